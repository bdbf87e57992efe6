//! Which input of the network data feed, and the inputs that are given as arrays beside them.

use super::Opening;
use crate::data::Port;
use crate::data::arrays::{self, Array, InputArray};
use crate::data::{DatasetError, element_count, fault};
use crate::files;

impl Opening<'_> {
    /// The first input that takes `integer` and is not given as an array; `None` when the network is not known.
    pub(super) fn free_port(&self, integer: bool) -> Result<Option<&Port>, DatasetError> {
        let given = |port: &Port| self.options.inputs.iter().any(|(name, _)| *name == port.name);
        let free = |port: &&Port| !given(port) && (port.shape.as_ref().is_none_or(|shape| shape.len() > 1) || integer);
        let found = self.ports.iter().filter(free).find(|port| port.integer == integer);
        if found.is_none() && !self.ports.is_empty() {
            let what = if integer {
                "text needs an input of integer tokens"
            } else {
                "images need an input of floats"
            };
            let all: Vec<String> = self.ports.iter().map(Port::describe).collect();
            return Err(self.fault(format!("{what}; the network has {}", all.join(", "))));
        }
        Ok(found)
    }

    /// The arrays of the options; every input must be in `fed` or among them, and have `samples` samples if it has any.
    pub(super) fn given_arrays(&self, fed: &[String], samples: Option<usize>) -> Result<Vec<InputArray>, DatasetError> {
        let mut given = Vec::new();
        for (name, path) in &self.options.inputs {
            let file = path.display().to_string();
            let bytes = files::read(path, files::LARGEST_DATA).map_err(|error| fault(&file, error.to_string()))?;
            let array = arrays::parse_npy(&bytes, &file)?;
            given.push(self.input_array(name, array, &file)?);
        }
        self.check_inputs(fed, &given)?;
        if let (Some(samples), Some(odd)) = (
            samples,
            given
                .iter()
                .find(|array| array.samples().is_some_and(|n| n != 1 && Some(n) != samples)),
        ) {
            let count = odd.samples().unwrap_or(0);
            return Err(self.fault(format!(
                "the input '{}' has {count} samples, the data {samples}",
                odd.name
            )));
        }
        Ok(given)
    }

    fn check_inputs(&self, fed: &[String], given: &[InputArray]) -> Result<(), DatasetError> {
        let missing: Vec<String> = (self.ports.iter())
            .filter(|port| !fed.contains(&port.name) && !given.iter().any(|array| array.name == port.name))
            .map(Port::describe)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        Err(self.fault(format!(
            "the network also takes {}: give each as --input NAME=FILE.npy, or all in an .npz",
            missing.join(", ")
        )))
    }

    /// An array for the input `name`. Its samples lie on the axis that is named as the first input's first axis, else on
    /// the first; an input whose sizes are all fixed is the same for every sample.
    pub(super) fn input_array(&self, name: &str, array: Array, file: &str) -> Result<InputArray, DatasetError> {
        let Some(port) = self.ports.iter().find(|port| port.name == name) else {
            let all: Vec<String> = self.ports.iter().map(Port::describe).collect();
            return Err(fault(
                file,
                format!("the network has no input '{name}'; it takes {}", all.join(", ")),
            ));
        };
        if element_count(&array.shape) == Some(0) {
            let shape = &array.shape;
            return Err(fault(file, format!("an array of shape {shape:?} has no elements")));
        }
        let rank = array.shape.len();
        let axis = match &port.shape {
            None => (rank > 0).then_some(0),
            Some(shape) if shape.len() != rank => {
                return Err(fault(
                    file,
                    format!(
                        "the array has the shape {:?}, the network takes {}",
                        array.shape,
                        port.describe()
                    ),
                ));
            }
            Some(shape) => {
                let batch = self
                    .ports
                    .first()
                    .and_then(|first| first.axis_names.first().cloned().flatten());
                let named =
                    batch.and_then(|batch| port.axis_names.iter().position(|axis| axis.as_ref() == Some(&batch)));
                // A fixed first size that the array exceeds is a fixed batch.
                let first = shape
                    .first()
                    .is_some_and(|size| size.is_none_or(|size| size != array.shape[0]));
                named.or(first.then_some(0))
            }
        };
        if let Some(shape) = &port.shape
            && (shape.iter().zip(&array.shape).enumerate())
                .any(|(at, (want, have))| Some(at) != axis && want.is_some_and(|want| want != *have))
        {
            let have = &array.shape;
            return Err(fault(
                file,
                format!(
                    "the array has the shape {have:?}, the network takes {}",
                    port.describe()
                ),
            ));
        }
        InputArray::new(name, array, port.integer, axis, file)
    }
}
