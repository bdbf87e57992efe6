//! Which tensors of a checkpoint are the weights of the network, and what they are called.

use super::pickle::{Id, Pickle, Tensor, Value};
use super::tensor::{Maker, Storages};
use super::{CheckpointError, Weights, told};
use crate::onnx::{GraphProto, ModelProto, one_line};
use std::collections::HashSet;

/// Keys under which training frameworks keep the weights, the ones that ship first: averaged copies where they are all there is.
const WEIGHTS: [&str; 14] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "params",
    "weights",
    "state_dict_ema",
    "model_ema",
    "ema",
    "ema_state_dict",
    "params_ema",
];

/// Nested containers that are followed: state dicts are flat, checkpoints two or three deep.
const MAX_DEPTH: usize = 16;

/// Entries of a checkpoint that are followed down to the state dict.
const MAX_WRAPPERS: usize = 4;

/// Names that a note lists.
const MAX_NAMED: usize = 8;

/// Bytes that the names of all tensors may take: names within names add up.
const MAX_NAMES: usize = 1 << 26;

/// Levels down to which a tensor is looked for: modules within modules.
const MAX_LEVELS: usize = 8;

/// A file may be read again as many times as this by tensors that are not as they lie.
const MAX_COPIES: usize = 4;

/// The weights by name, notes for a person, and the network's configuration where the file holds it. `length` is that of the
/// file.
///
/// # Errors
/// Where there are no weights, or one does not hold together.
pub(super) fn weights(pickle: &Pickle, storages: &dyn Storages, length: usize) -> Result<Weights, CheckpointError> {
    let mut notes = Vec::new();
    let root = chosen(pickle, pickle.root, &mut notes);
    if let (Value::Object { class, .. }, Some(_)) = (pickle.value(root), pickle.module(root)) {
        let class = one_line(class);
        notes.push(format!(
            "The file holds a whole module of the class '{class}': its weights were read, nothing of it was run."
        ));
    }
    if !pickle.left_out.is_empty() {
        let names = some(&pickle.left_out);
        notes.push(format!(
            "Left out are values that only a call would make, of {names}: nothing of the file was run."
        ));
    }
    let mut gatherer = Gatherer {
        pickle,
        seen: HashSet::new(),
        left: MAX_NAMES,
        found: Vec::new(),
    };
    gatherer.gather(root, "", 0)?;
    let found = gatherer.found;
    if found.is_empty() {
        return Err(CheckpointError::NoTensors);
    }
    // Modules that torch quantized keep their weights in objects of its runtime.
    let is_quantized = |tensor: &Tensor| tensor.quantizer.is_some();
    let all =
        (0..pickle.count()).filter(|id| matches!(pickle.value(*id), Value::Tensor(tensor) if is_quantized(tensor)));
    let read = found.iter().filter(|(_, tensor)| is_quantized(tensor)).count();
    let left = all.count().saturating_sub(read);
    if left > 0 {
        notes.push(format!(
            "{left} quantized tensor(s) without a name of a parameter, as in packed modules, are left out: the state_dict() names them."
        ));
    }
    let mut maker = Maker {
        pickle,
        storages,
        left: length.saturating_mul(MAX_COPIES).saturating_add(1 << 20),
    };
    let mut names = HashSet::new();
    let mut tensors = Vec::with_capacity(found.len());
    for (name, tensor) in found {
        let name = unpacked_name(name);
        if names.insert(name.clone()) {
            tensors.push(maker.tensor(&name, &tensor)?);
            let module = name.strip_suffix(".weight");
            if let (Some(module), Some(quantizer)) = (module, tensor.quantizer) {
                let grid = maker.grid(module, quantizer);
                let grid = grid.map_err(|error| CheckpointError::Tensor {
                    name: one_line(&name),
                    error,
                })?;
                tensors.extend(grid.into_iter().filter(|tensor| names.insert(tensor.name().to_owned())));
            }
        }
    }
    Ok(Weights {
        model: ModelProto {
            graph: Some(GraphProto {
                initializer: tensors,
                ..GraphProto::default()
            }),
            ..ModelProto::default()
        },
        notes,
        config: told::config(pickle, root),
    })
}

/// torch's quantized linear layers keep weight and bias in one value.
fn unpacked_name(name: String) -> String {
    let of = |place: &str| {
        name.strip_suffix(place)?
            .strip_suffix("._packed_params._packed_params.")
    };
    match (of("0"), of("1")) {
        (Some(module), _) => format!("{module}.weight"),
        (_, Some(module)) => format!("{module}.bias"),
        _ => name,
    }
}

/// The container of the weights: that of a known key, if the root is a checkpoint; else the root. Some frameworks keep a state
/// dict within a model's entry.
fn chosen(pickle: &Pickle, mut root: Id, notes: &mut Vec<String>) -> Id {
    for _ in 0..MAX_WRAPPERS {
        let pairs = pairs(pickle, root);
        let holds_tensors = pairs
            .iter()
            .any(|(_, value)| matches!(pickle.value(*value), Value::Tensor(_)));
        // Of a module all that is in it counts, whatever its parts are called.
        if holds_tensors || pickle.module(root).is_some() {
            break;
        }
        let under = |key: &str| {
            let found = pairs.iter().find(|(name, _)| name == key).map(|(_, value)| *value)?;
            has_tensor(pickle, found, 0, &mut HashSet::new()).then_some(found)
        };
        let Some((key, value)) = WEIGHTS.iter().find_map(|key| Some((*key, under(key)?))) else {
            break;
        };
        let others: Vec<&String> = (pairs.iter().map(|(name, _)| name).filter(|name| *name != key)).collect();
        if !others.is_empty() {
            let others = some(&others);
            notes.push(format!(
                "The weights are those under '{key}' of the checkpoint; left aside: {others}."
            ));
        }
        root = value;
    }
    root
}

/// The first names of a list, fit to print.
fn some(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<_> = names
        .iter()
        .take(MAX_NAMED)
        .map(|name| one_line(name.as_ref()))
        .collect();
    let more = if names.len() > MAX_NAMED { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Whether a container holds a tensor, at most [`MAX_LEVELS`] down.
fn has_tensor(pickle: &Pickle, id: Id, depth: usize, seen: &mut HashSet<Id>) -> bool {
    match pickle.value(id) {
        Value::Tensor(_) => true,
        _ if depth >= MAX_LEVELS || !seen.insert(id) => false,
        _ => pairs(pickle, id)
            .iter()
            .any(|(_, value)| has_tensor(pickle, *value, depth + 1, seen)),
    }
}

/// The values of a container by their names; the places of a list are its names.
fn pairs(pickle: &Pickle, id: Id) -> Vec<(String, Id)> {
    match pickle.value(id) {
        Value::Dict(pairs) => {
            let name = |key: Id| match pickle.value(key) {
                Value::Text(text) => Some(text.clone()),
                Value::Int(number) => Some(number.to_string()),
                _ => None,
            };
            pairs
                .iter()
                .filter_map(|(key, value)| Some((name(*key)?, *value)))
                .collect()
        }
        Value::Items(items) => items
            .iter()
            .enumerate()
            .map(|(place, item)| (place.to_string(), *item))
            .collect(),
        Value::Object { .. } if let Some(dicts) = pickle.module(id) => {
            let left_out = pickle.not_persistent(id);
            let all = dicts.into_iter().flat_map(|dict| pairs(pickle, dict));
            all.filter(|(name, _)| !left_out.contains(name.as_str())).collect()
        }
        Value::Object { state: Some(state), .. } if *state != id => match pickle.value(*state) {
            Value::Dict(_) => pairs(pickle, *state),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

/// Collects tensors, each container once: one that stands in many places, or in itself, is as large as it is.
struct Gatherer<'a> {
    pickle: &'a Pickle,
    seen: HashSet<Id>,
    /// Bytes that names may still take.
    left: usize,
    found: Vec<(String, Tensor)>,
}

impl Gatherer<'_> {
    fn gather(&mut self, container: Id, name: &str, depth: usize) -> Result<(), CheckpointError> {
        if depth >= MAX_DEPTH || !self.seen.insert(container) {
            return Ok(());
        }
        for (part, value) in pairs(self.pickle, container) {
            let whole = if name.is_empty() {
                part
            } else {
                format!("{name}.{part}")
            };
            let left = self.left.checked_sub(whole.len());
            self.left = left.ok_or(CheckpointError::LongNames)?;
            match self.pickle.value(value) {
                Value::Tensor(tensor) => self.found.push((whole, tensor.clone())),
                _ => self.gather(value, &whole, depth + 1)?,
            }
        }
        Ok(())
    }
}
