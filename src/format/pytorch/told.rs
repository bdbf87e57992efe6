//! What a module that was saved whole tells of itself: transformers and timm keep in it what their `config.json` says beside a
//! file of weights.

use super::pickle::{Id, Pickle, Value};
use serde_json::{Map, Value as Json};

/// Containers within containers that are read.
const MAX_DEPTH: usize = 8;

/// What is read in all, a value costing 1 and its bytes of text: a configuration has hundreds, and one list or text may stand in
/// many places.
const MAX_COST: usize = 1 << 20;

/// Where the classes of transformers' networks live, in a module named after the `model_type`.
const MODELS: &str = "transformers.models.";

/// The configuration that the module `root` holds, as `config.json` would say it; `None` where it holds none.
pub(super) fn config(pickle: &Pickle, root: Id) -> Option<Json> {
    pickle.module(root)?;
    let mut left = MAX_COST;
    let mut of = |name: &str| match pickle.state_entry(root, name) {
        Some(id) => object(pickle, id, 0, &mut left),
        None => Map::new(),
    };
    let (mut config, timm) = (of("config"), of("pretrained_cfg"));
    if let Some(id) = pickle.state_entry(root, "config") {
        let kind = class(pickle, id).and_then(model_type);
        complete(&mut config, "model_type", kind.map(Json::String));
        let own = class(pickle, root).and_then(|class| class.rsplit('.').next());
        complete(&mut config, "architectures", own.map(|class| Json::from(vec![class])));
    }
    complete(&mut config, "architecture", timm.get("architecture").cloned());
    if !timm.is_empty() {
        config.insert("pretrained_cfg".to_owned(), Json::Object(timm));
    }
    (!config.is_empty()).then_some(Json::Object(config))
}

/// Adds what is not there, or null.
fn complete(config: &mut Map<String, Json>, key: &str, value: Option<Json>) {
    if let Some(value) = value
        && config.get(key).is_none_or(Json::is_null)
    {
        config.insert(key.to_owned(), value);
    }
}

/// The class of an object.
fn class(pickle: &Pickle, id: Id) -> Option<&str> {
    match pickle.value(id) {
        Value::Object { class, .. } => Some(class),
        _ => None,
    }
}

/// `gemma3_text` of `transformers.models.gemma3.configuration_gemma3.Gemma3TextConfig`: objects don't hold what their class says.
fn model_type(class: &str) -> Option<String> {
    let folder = class.strip_prefix(MODELS)?.split('.').next()?;
    let part = if class.ends_with("TextConfig") { "_text" } else { "" };
    Some(match folder {
        "xlm_roberta" => "xlm-roberta".to_owned(),
        folder => format!("{folder}{part}"),
    })
}

/// The entries of a dict, or of the state of an object; nothing for anything else.
fn object(pickle: &Pickle, id: Id, depth: usize, left: &mut usize) -> Map<String, Json> {
    let id = match pickle.value(id) {
        Value::Object { state: Some(state), .. } => *state,
        _ => id,
    };
    let Value::Dict(pairs) = pickle.value(id) else {
        return Map::new();
    };
    let mut entries = Map::new();
    for (key, value) in pairs {
        let key = match pickle.value(*key) {
            Value::Text(text) if spend(left, text.len()) => text.clone(),
            Value::Int(number) => number.to_string(),
            _ => String::new(),
        };
        if !spend(left, 0) {
            break;
        }
        if !key.is_empty() {
            entries.insert(key, json(pickle, *value, depth + 1, left));
        }
    }
    entries
}

/// A value as JSON; null for what has no place there.
fn json(pickle: &Pickle, id: Id, depth: usize, left: &mut usize) -> Json {
    if depth > MAX_DEPTH {
        return Json::Null;
    }
    match pickle.value(id) {
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) => Json::from(*number),
        Value::Float(number) => Json::from(*number),
        Value::Text(text) if spend(left, text.len()) => Json::String(text.clone()),
        Value::Items(items) => {
            let mut list = Vec::new();
            for item in items {
                if !spend(left, 0) {
                    break;
                }
                list.push(json(pickle, *item, depth + 1, left));
            }
            Json::Array(list)
        }
        Value::Dict(_) | Value::Object { .. } => Json::Object(object(pickle, id, depth, left)),
        _ => Json::Null,
    }
}

/// Takes the cost of a value with `bytes` of text; `false` where too little is left.
fn spend(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes.saturating_add(1));
    *left = rest.unwrap_or(0);
    rest.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a module tells that has `state` besides its dicts: the keys and values of a pickle.
    fn told(state: &[u8]) -> Option<Json> {
        let dicts = b"V_parameters\n}V_buffers\n}V_modules\n}";
        let parts = [&b"\x80\x02ctimm.models\nNet\n)\x81}("[..], dicts, state, b"ub."];
        let pickle = Pickle::read(&parts.concat()).unwrap();
        config(&pickle, pickle.root)
    }

    #[test]
    fn a_network_of_timm_tells_its_name_and_its_pictures() {
        assert_eq!(told(b""), None);
        let state = b"Vpretrained_cfg\nctimm.models\nCfg\n)\x81}(Varchitecture\nVtf_net\nVmean\n(F0.5\nI1\nNtub";
        let right = serde_json::json!({
            "architecture": "tf_net",
            "pretrained_cfg": {"architecture": "tf_net", "mean": [0.5, 1, null]}
        });
        assert_eq!(told(state), Some(right));
    }

    #[test]
    fn classes_of_transformers_tell_their_kind() {
        let kind = |class: &str| model_type(&format!("transformers.models.{class}"));
        assert_eq!(kind("gpt2.configuration_gpt2.GPT2Config").as_deref(), Some("gpt2"));
        assert_eq!(
            kind("gemma3.configuration_gemma3.Gemma3TextConfig").as_deref(),
            Some("gemma3_text")
        );
        assert_eq!(model_type("mine.Config"), None);
        // What the object says itself goes first.
        let own = told(b"Vconfig\nctransformers.models.llama\nLlamaConfig\n)\x81}(Vmodel_type\nVmistral\nub").unwrap();
        assert_eq!(own["model_type"], "mistral");
    }

    /// One text that stands in a thousand places, and a list in itself.
    #[test]
    fn a_configuration_costs_no_more_than_one_does() {
        let mut state = b"Vpretrained_cfg\n}(Va\n(V".to_vec();
        state.extend(vec![b'x'; 100_000]);
        state.extend(b"\nq\x01");
        state.extend(b"h\x01".repeat(1000));
        state.extend(b"lVb\n]q\x02h\x02au");
        let length = told(&state).unwrap().to_string().len();
        assert!((100_000..2 * MAX_COST).contains(&length), "{length}");
    }
}
