//! Which output of a network counts.

use super::{Dataset, Engine, InferenceError, Port};
use crate::data::ElementKind;

/// The output that is compared and judged on `data`: the one that was chosen for them, else the first that holds floats.
/// (Converters of classic classifiers put the label, an integer, before the probabilities.)
///
/// # Errors
/// [`InferenceError`] for a name that no output has, or that holds integers, and for a network without outputs.
pub fn answering<'a>(engine: &'a dyn Engine, data: &Dataset) -> Result<&'a Port, InferenceError> {
    let outputs = engine.outputs();
    let fault = |reason: String| Err(InferenceError::Data(reason));
    match data.output() {
        Some(name) => match outputs.iter().find(|port| port.name == name) {
            Some(port) if port.kind != ElementKind::Float => fault(format!(
                "the output '{name}' holds integers, which cannot be compared; choose one of {}",
                listed(outputs)
            )),
            Some(port) => Ok(port),
            None => fault(format!(
                "the network has no output '{name}'; it has {}",
                listed(outputs)
            )),
        },
        None => match outputs
            .iter()
            .find(|port| port.kind == ElementKind::Float)
            .or(outputs.first())
        {
            Some(port) => Ok(port),
            None => fault("the network has no output".to_owned()),
        },
    }
}

/// That outputs before the one that counts were skipped; `None` where a person chose, or the first one counts.
pub fn skipped_outputs(engine: &dyn Engine, data: &Dataset) -> Option<String> {
    let counts = answering(engine, data).ok().filter(|_| data.output().is_none())?;
    let skipped = engine.outputs().iter().take_while(|port| port.name != counts.name);
    let skipped: Vec<String> = skipped.map(|port| format!("'{}'", port.name)).collect();
    (!skipped.is_empty()).then(|| {
        format!(
            "the output '{}' is judged; {} before it holds integers",
            counts.name,
            skipped.join(", ")
        )
    })
}

fn listed(outputs: &[Port]) -> String {
    let all: Vec<String> = outputs.iter().map(Port::describe).collect();
    all.join(", ")
}
