//! `config.json` beside a file of weights: timm's and transformers' account of what names and shapes cannot tell; and
//! transformers' `preprocessor_config.json` about pictures.

mod pictures;

use crate::files;
use crate::network::{Interpolation, PreprocessHint};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;

/// The names of the files.
const NAME: &str = "config.json";
const PICTURES_NAME: &str = "preprocessor_config.json";
/// Where a file of weights tells of its own network.
const INSIDE: &str = "the file itself";
/// More classes than any list of names has.
const MOST_CLASSES: usize = 1 << 20;

/// What the files say; nothing when there are none.
#[derive(Debug, Clone, Default)]
pub struct Config {
    root: Value,
    /// Preprocessing and class names.
    pub preprocess: PreprocessHint,
    /// Which files tell of preprocessing.
    sources: Vec<&'static str>,
}

impl Config {
    /// The configuration beside the file at `weights`. A file that is missing or cannot be read says nothing.
    pub fn beside(weights: &Path) -> Self {
        Self::beside_or(weights, None)
    }

    /// The configuration beside the file at `weights`; where there is none, `inside`, which the file itself holds.
    pub(in crate::format) fn beside_or(weights: &Path, inside: Option<Value>) -> Self {
        let read = |name: &str| {
            let path = weights.with_file_name(name);
            let text = match files::read_text(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => return None,
                Err(error) => {
                    log::error!("{} is left out: {error}", path.display());
                    return None;
                }
            };
            let parsed = serde_json::from_str(&text);
            parsed
                .inspect_err(|error| log::error!("{} is left out: not JSON: {error}", path.display()))
                .ok()
        };
        let (root, name) = match (read(NAME), inside) {
            (Some(beside), _) => (beside, NAME),
            (None, Some(inside)) => (inside, INSIDE),
            (None, None) => (Value::Null, NAME),
        };
        Self::new(root, name, &read(PICTURES_NAME).unwrap_or_default())
    }

    /// The configuration of the ONNX file at `graph`, as hubs keep it: beside a `model….onnx`, or beside its folder `onnx`. Any
    /// other file of a folder may have nothing to do with it.
    pub fn of_graph(graph: &Path) -> Self {
        let named = |name: Option<&std::ffi::OsStr>, start: &str| {
            name.is_some_and(|name| name.to_string_lossy().starts_with(start))
        };
        if !named(graph.file_name(), "model") {
            return Self::default();
        }
        let beside = Self::beside(graph);
        match graph
            .parent()
            .filter(|folder| folder.file_name().is_some_and(|name| name == "onnx"))
        {
            Some(folder) if beside.sources.is_empty() => Self::beside(folder),
            _ => beside,
        }
    }

    /// Reads the text of a `config.json`.
    ///
    /// # Errors
    /// The parser's, for text that is no JSON.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        Ok(Self::new(serde_json::from_str(text)?, NAME, &Value::Null))
    }

    /// A configuration that is no file.
    pub(in crate::format) fn from_value(root: Value) -> Self {
        Self::new(root, NAME, &Value::Null)
    }

    /// `name` is where `root` comes from.
    fn new(root: Value, name: &'static str, pictures: &Value) -> Self {
        let nothing = PreprocessHint::default();
        let (own, other) = (preprocess(&root), pictures::preprocess(pictures));
        let told = [(name, own != nothing), (PICTURES_NAME, other != nothing)];
        Self {
            sources: told.iter().filter(|(_, tells)| *tells).map(|(name, _)| *name).collect(),
            preprocess: over(own, other),
            root,
        }
    }

    /// timm's name of the architecture, such as `tf_efficientnet_lite0`.
    pub fn architecture(&self) -> Option<&str> {
        self.root.get("architecture")?.as_str()
    }

    /// The first of transformers' model classes, such as `BertForSequenceClassification`.
    pub fn class(&self) -> Option<&str> {
        self.root.get("architectures")?.get(0)?.as_str()
    }

    /// Anything at the top level; nothing for what is null.
    pub(in crate::format) fn value(&self, key: &str) -> Option<&Value> {
        self.root.get(key).filter(|value| !value.is_null())
    }

    /// A text at the top level, such as `hidden_act`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.root.get(key)?.as_str()
    }

    /// A count at the top level or among timm's arguments of the model, such as `num_attention_heads`.
    pub fn count(&self, key: &str) -> Option<usize> {
        let own = self.root.get(key);
        let found = own.or_else(|| self.root.get("model_args")?.get(key))?;
        usize::try_from(found.as_u64()?).ok()
    }

    /// A number at the top level, such as `layer_norm_eps`.
    pub fn number(&self, key: &str) -> Option<f32> {
        finite(self.root.get(key)?)
    }

    /// The files' preprocessing for a network of so many classes, if they tell any.
    pub(in crate::format) fn preprocess_for(&self, classes: Option<usize>) -> Option<PreprocessHint> {
        let mut told = self.preprocess_over(PreprocessHint::default());
        if classes.is_some_and(|classes| classes != told.classes.len()) {
            told.classes.clear();
        }
        (!self.sources.is_empty()).then_some(told)
    }

    /// The files' preprocessing, and `usual` where they say nothing.
    pub(super) fn preprocess_over(&self, usual: PreprocessHint) -> PreprocessHint {
        let source = match self.sources.as_slice() {
            [] => usual.source.clone(),
            sources => sources.join(" and "),
        };
        PreprocessHint {
            source,
            ..over(self.preprocess.clone(), usual)
        }
    }
}

/// What `own` says, and `other` where it says nothing; class names are its own.
fn over(own: PreprocessHint, other: PreprocessHint) -> PreprocessHint {
    PreprocessHint {
        source: own.source,
        mean: own.mean.or(other.mean),
        std: own.std.or(other.std),
        size: own.size.or(other.size),
        crop: own.crop.or(other.crop),
        interpolation: own.interpolation.or(other.interpolation),
        decoder_start: own.decoder_start.or(other.decoder_start),
        classes: own.classes,
    }
}

/// timm keeps these fields under `pretrained_cfg`, in older files at the top.
fn preprocess(root: &Value) -> PreprocessHint {
    let field = |key: &str| {
        root.get("pretrained_cfg")
            .and_then(|nested| nested.get(key))
            .or_else(|| root.get(key))
    };
    let numbers = |key: &str| {
        let numbers: Option<Vec<f32>> = field(key)?.as_array()?.iter().map(finite).collect();
        numbers.filter(|numbers| !numbers.is_empty())
    };
    let size = field("input_size")
        .and_then(Value::as_array)
        .and_then(|axes| match axes.as_slice() {
            [.., height, width] => Some([side(height)?, side(width)?]),
            _ => None,
        });
    PreprocessHint {
        source: String::new(),
        mean: numbers("mean"),
        std: numbers("std").filter(|std| std.iter().all(|std| *std > 0.0)),
        size: size.or_else(|| side(root.get("image_size")?).map(|side| [side, side])),
        crop: field("crop_pct")
            .and_then(finite)
            .filter(|crop| *crop > 0.0 && *crop <= 1.0),
        interpolation: field("interpolation").and_then(Value::as_str).and_then(interpolation),
        decoder_start: root.get("decoder_start_token_id").and_then(token),
        classes: classes(root),
    }
}

fn finite(number: &Value) -> Option<f32> {
    Some(number.as_f64()? as f32).filter(|number| number.is_finite())
}

fn side(number: &Value) -> Option<usize> {
    usize::try_from(number.as_u64()?).ok().filter(|side| *side > 0)
}

fn token(number: &Value) -> Option<i32> {
    i32::try_from(number.as_u64()?).ok()
}

fn interpolation(name: &str) -> Option<Interpolation> {
    Some(match name {
        "nearest" => Interpolation::Nearest,
        "bilinear" => Interpolation::Bilinear,
        "bicubic" => Interpolation::Bicubic,
        "lanczos" => Interpolation::Lanczos,
        _ => return None,
    })
}

/// timm's `label_names`, else transformers' `id2label` if it names every class from 0 on.
fn classes(root: &Value) -> Vec<String> {
    let listed = || {
        let names = root.get("label_names")?.as_array()?;
        names
            .iter()
            .map(|name| name.as_str().map(str::to_owned))
            .collect::<Option<Vec<String>>>()
    };
    let mapped = || {
        let names = root.get("id2label")?.as_object()?;
        let count = Some(names.len()).filter(|count| *count <= MOST_CLASSES)?;
        (0..count)
            .map(|id| names.get(&id.to_string())?.as_str().map(str::to_owned))
            .collect()
    };
    listed().or_else(mapped).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timm_tells_architecture_preprocessing_and_labels() {
        let config = Config::parse(
            r#"{"architecture": "resnet50", "num_classes": 2, "label_names": ["cat", "dog"],
                "pretrained_cfg": {"mean": [0.5, 0.25, 0.125], "std": [1, 2, 4], "input_size": [3, 160, 176],
                                   "crop_pct": 0.95, "interpolation": "bicubic"}}"#,
        )
        .unwrap();
        assert_eq!(config.architecture(), Some("resnet50"));
        let hint = PreprocessHint {
            source: String::new(),
            mean: Some(vec![0.5, 0.25, 0.125]),
            std: Some(vec![1.0, 2.0, 4.0]),
            size: Some([160, 176]),
            crop: Some(0.95),
            interpolation: Some(Interpolation::Bicubic),
            decoder_start: None,
            classes: vec!["cat".into(), "dog".into()],
        };
        assert_eq!(config.preprocess, hint);
    }

    #[test]
    fn transformers_tell_sizes_and_labels() {
        let config = Config::parse(
            r#"{"architectures": ["ViTForImageClassification"], "num_attention_heads": 12, "layer_norm_eps": 1e-12,
                "image_size": 384, "id2label": {"1": "b", "0": "a"}, "hidden_act": "gelu", "decoder_start_token_id": 2}"#,
        )
        .unwrap();
        assert_eq!(config.class(), Some("ViTForImageClassification"));
        assert_eq!(config.count("num_attention_heads"), Some(12));
        assert_eq!(config.number("layer_norm_eps"), Some(1e-12));
        assert_eq!(config.text("hidden_act"), Some("gelu"));
        assert_eq!(config.preprocess.size, Some([384, 384]));
        assert_eq!(config.preprocess.classes, ["a", "b"]);
        assert_eq!(config.preprocess.decoder_start, Some(2));
    }

    #[test]
    fn nonsense_says_nothing_and_what_is_missing_is_usual() {
        let config = Config::parse(
            r#"{"pretrained_cfg": {"mean": ["x"], "std": [0], "input_size": [-1, 2], "crop_pct": 7, "interpolation": 3},
                "id2label": {"0": "a", "2": "c"}, "num_attention_heads": -1}"#,
        )
        .unwrap();
        assert_eq!(config.preprocess, PreprocessHint::default());
        assert_eq!(config.count("num_attention_heads"), None);
        let usual = PreprocessHint {
            source: "usual".into(),
            size: Some([32, 32]),
            ..PreprocessHint::default()
        };
        assert_eq!(config.preprocess_over(usual.clone()), usual);
        let sized = Config::parse(r#"{"crop_pct": 0.5}"#).unwrap().preprocess_over(usual);
        assert_eq!(
            (sized.source.as_str(), sized.size, sized.crop),
            (NAME, Some([32, 32]), Some(0.5))
        );
        assert!(Config::parse("{").is_err());
    }

    #[test]
    fn transformers_keep_preprocessing_in_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("model.safetensors");
        let pictures = r#"{"do_resize": true, "size": 256, "resample": 3, "do_center_crop": true, "crop_size": 224,
                           "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 0.5]}"#;
        // With a byte order mark, as some editors write it.
        std::fs::write(folder.path().join(PICTURES_NAME), format!("\u{feff}{pictures}")).unwrap();
        let hint = Config::beside(&weights).preprocess_over(PreprocessHint::default());
        assert_eq!(
            (hint.source.as_str(), hint.size, hint.crop),
            (PICTURES_NAME, Some([224, 224]), Some(0.875))
        );
        // The network's own size goes before that of the pictures.
        std::fs::write(folder.path().join(NAME), r#"{"image_size": 518}"#).unwrap();
        let hint = Config::beside(&weights).preprocess_over(PreprocessHint::default());
        assert_eq!(hint.source, "config.json and preprocessor_config.json");
        assert_eq!((hint.size, hint.std), (Some([518, 518]), Some(vec![0.5, 0.25, 0.5])));
    }

    #[test]
    fn a_graph_has_the_configuration_that_hubs_keep_with_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("onnx")).unwrap();
        std::fs::write(
            folder.path().join(NAME),
            r#"{"id2label": {"0": "a", "1": "b"}, "image_size": 64}"#,
        )
        .unwrap();
        let told = |path: &str, classes| Config::of_graph(&folder.path().join(path)).preprocess_for(classes);
        for path in ["model.onnx", "model_fp16.onnx", "onnx/model.onnx"] {
            let hint = told(path, Some(2)).unwrap();
            assert_eq!(
                (hint.source.as_str(), hint.size, hint.classes.len()),
                (NAME, Some([64, 64]), 2),
                "{path}"
            );
        }
        assert_eq!(told("model.onnx", Some(3)).unwrap().classes, Vec::<String>::new());
        assert_eq!(told("resnet.onnx", Some(2)), None);
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let weights = folder.path().join("model.safetensors");
        assert_eq!(Config::beside(&weights).preprocess, PreprocessHint::default());
        std::fs::write(folder.path().join(NAME), r#"{"architecture": "x"}"#).unwrap();
        assert_eq!(Config::beside(&weights).architecture(), Some("x"));
    }
}
