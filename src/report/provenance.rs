//! Where a report's numbers come from: file, program, recipe, data.

use super::gather::{Report, Subject};
use super::html::escaped;
use super::numbers::{full_count, short_count};
use crate::network::Format;

/// Where a report's numbers come from.
#[derive(Debug, Clone)]
pub struct Provenance {
    /// The file, or the name of the demo.
    pub file: String,
    /// Its size in bytes, if it is a file.
    pub bytes: Option<u64>,
    /// What kind of file it is, and what it was recognised as.
    pub format: String,
    /// Parameters of the network.
    pub parameters: u64,
    /// Nodes of its graph.
    pub nodes: usize,
    /// What was done to it before its layers were split, and what was taken for granted.
    pub steps: Vec<String>,
    /// Where the ranges of activations come from.
    pub ranges: Option<String>,
    /// The recipe as TOML.
    pub recipe: String,
    /// Version of the program.
    pub version: &'static str,
}

impl Provenance {
    pub(super) fn of(subject: &Subject<'_>) -> Self {
        let original = subject.original;
        let format = match original.format {
            Format::Onnx => "ONNX",
            Format::Safetensors => "safetensors",
            Format::Gguf => "GGUF",
            Format::PyTorch => "PyTorch",
            Format::Numpy => "NumPy",
        };
        let format = match &original.architecture {
            Some(architecture) => format!("{format}, as {architecture}"),
            None => format.to_owned(),
        };
        let steps = original.notes.iter().chain(&subject.network.preparation.steps);
        Self {
            file: original
                .path
                .as_ref()
                .map_or_else(|| original.name.clone(), |path| path.display().to_string()),
            bytes: original
                .path
                .as_ref()
                .and_then(|path| path.metadata().ok())
                .map(|file| file.len()),
            format,
            parameters: original.parameters(),
            nodes: original.nodes(),
            steps: steps.cloned().collect(),
            ranges: subject.ranges.map(str::to_owned),
            recipe: subject.plan.recipe.to_toml().unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

impl Report {
    /// The recipe, and where the numbers come from.
    pub(super) fn provenance_html(&self) -> String {
        let from = &self.provenance;
        let mut rows = vec![
            ("File", from.file.clone()),
            ("Format", from.format.clone()),
            (
                "Parameters",
                format!(
                    "{} in {} nodes",
                    short_count(from.parameters),
                    full_count(from.nodes as u64)
                ),
            ),
        ];
        if let Some(bytes) = from.bytes {
            rows.insert(1, ("Size", format!("{} bytes", full_count(bytes))));
        }
        let steps = from.steps.iter().map(|step| ("Step", step.clone()));
        rows.extend(steps);
        match &from.ranges {
            Some(ranges) => rows.push(("Activation ranges", ranges.clone())),
            None => rows.push(("Activation ranges", "not needed: activations stay float".to_owned())),
        }
        rows.push(match &self.accuracy {
            Some(accuracy) => ("Data", accuracy.data.clone()),
            None => ("Data", "none: the networks were not run".to_owned()),
        });
        rows.push(("Program", format!("Splitscope {}", from.version)));
        let rows: String = (rows.iter())
            .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n", escaped(value)))
            .collect();
        format!(
            "<section><h2>Recipe</h2>\n<pre>{}</pre>\n<p class=\"quiet\">Save it as a .toml file; <code>splitscope quantize MODEL \
             --recipe FILE -o OUT.onnx</code> writes the network, <code>splitscope MODEL --recipe FILE --data DATA</code> opens it in \
             the window with this recipe.</p></section>\n<section><h2>Where the numbers come from</h2>\n\
             <table class=\"facts\">{rows}</table></section>\n",
            escaped(&from.recipe)
        )
    }
}
