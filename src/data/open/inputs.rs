//! Which input of the network data feed, and the inputs that are given as arrays beside them.

use super::Opening;
use crate::data::Port;
use crate::data::arrays::{Array, InputArray};
use crate::data::free_axes::shared_name;
use crate::data::{DatasetError, element_count, fault, npy};
use crate::files;
use std::io::BufReader;

impl Opening<'_> {
    /// The first input that takes `integer` and is not given as an array; `None` when the network is not known.
    pub(super) fn free_port(&self, integer: bool) -> Result<Option<&Port>, DatasetError> {
        let given = |port: &Port| self.options.inputs.iter().any(|(name, _)| *name == port.name);
        let free = |port: &&Port| !given(port) && (port.shape.as_ref().is_none_or(|shape| shape.len() > 1) || integer);
        let found = self.ports.iter().filter(free).find(|port| port.is_integer() == integer);
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

    /// The arrays of the options; every input must be in `fed` or among them, and have `samples` samples if it has any. They
    /// are read whole, or no further than is `wanted`.
    pub(super) fn given_arrays(
        &self,
        fed: &[String],
        samples: Option<usize>,
        wanted: impl Fn(&str, &[usize]) -> Option<usize>,
    ) -> Result<Vec<InputArray>, DatasetError> {
        let mut given = Vec::new();
        for (name, path) in &self.options.inputs {
            let file = path.display().to_string();
            let wrong = |error: std::io::Error| fault(&file, error.to_string());
            let opened = files::open_ordinary(path).map_err(wrong)?;
            let length = opened.metadata().map_err(wrong)?.len();
            let array = npy::read_npy(BufReader::new(opened), length, &file, &|_, shape| wanted(name, shape))?;
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

    /// An array for the input `name`. Its samples lie on the axis that is named as the first input's axis of samples (the
    /// first, or of sequences whose steps come first the second), else on the first; an input whose sizes are all fixed is the same for every sample.
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
        let axis = self.sample_axis(port, &array.shape).ok_or_else(|| {
            let (shape, wanted) = (&array.shape, port.describe());
            fault(
                file,
                format!("the array has the shape {shape:?}, the network takes {wanted}"),
            )
        })?;
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
        InputArray::new(name, array, port.kind, axis, file)
    }

    /// The axis of an array of that shape that the samples lie on; `None` within for an array that is the same for every
    /// sample, `None` for one with another number of axes than `port` has.
    fn sample_axis(&self, port: &Port, shape: &[usize]) -> Option<Option<usize>> {
        let Some(declared) = &port.shape else {
            return Some((!shape.is_empty()).then_some(0));
        };
        if declared.len() != shape.len() {
            return None;
        }
        let first = self.ports.first();
        let batch = first.and_then(|first| shared_name(self.ports, first, first.sample_axis()));
        let named =
            batch.and_then(|batch| (0..shape.len()).find(|axis| shared_name(self.ports, port, *axis) == Some(batch)));
        let named = named.or(port.is_time_major().then_some(1));
        // A fixed first size that the array exceeds is a fixed batch, and so is one that the first input has too.
        let size = declared.first().copied().flatten();
        let of_first = first.and_then(|first| *first.shape.as_ref()?.first()?);
        let is_batch = |size: usize| Some(size) == of_first && size > 1;
        let along_first = !shape.is_empty() && size.is_none_or(|size| size != shape[0] || is_batch(size));
        Some(named.or(along_first.then_some(0)))
    }

    /// How many rows are wanted of an array called `name` ("" for a file of one) with that shape: `None` for all, where no
    /// limit is set, or where its samples lie otherwise than row by row.
    pub(super) fn wanted_rows(&self, name: &str, shape: &[usize]) -> Option<usize> {
        let limit = self.options.limit?;
        let given = |port: &&Port| self.options.inputs.iter().any(|(given, _)| *given == port.name);
        let named = self.ports.iter().find(|port| port.name == name);
        let port = named.or_else(|| self.ports.iter().find(|port| !given(port)))?;
        // One axis is labels, or a text for a language model.
        let by_rows = shape.len() > 1 && (named.is_none() || self.sample_axis(port, shape) == Some(Some(0)));
        let batch = port.shape.as_ref().and_then(|shape| *shape.first()?);
        by_rows.then(|| limit.max(batch.unwrap_or(1)))
    }
}
