//! Arrays as data: which input each feeds, which one holds labels, and which is really pictures or a text.

use super::Opening;
use crate::data::Port;
use crate::data::arrays::{Array, Elements, InputArray};
use crate::data::label_maps::LabelMaps;
use crate::data::pictures::{Pictures, Stored};
use crate::data::preprocess::Origin;
use crate::data::text::Text;
use crate::data::{Dataset, DatasetError, Samples, fault, labels};

impl Opening<'_> {
    /// Arrays by input name, or one array for the only input; `labels` or `y` are labels. Bytes in the shape of pictures
    /// are pictures.
    pub(super) fn arrays(&self, mut arrays: Vec<(String, Array)>) -> Result<Dataset, DatasetError> {
        let is_port = |name: &str| self.ports.iter().any(|port| port.name == name);
        let labels_at = arrays
            .iter()
            .position(|(name, _)| ["labels", "y"].contains(&name.as_str()) && !is_port(name));
        let found = labels_at.map(|at| arrays.remove(at).1);
        let (maps, labels) = match found {
            Some(array) if LabelMaps::fits(&array) => (Some(LabelMaps::of(array, self.path)?), None),
            found => (None, found),
        };
        let in_file = labels.map(|array| array.into_labels(self.path)).transpose()?;
        // Of `whole` samples no more than `samples` may have been read.
        let labelled = |samples: usize, whole: usize| {
            let labels = match (&self.options.labels, in_file) {
                (Some(path), _) => Some(labels::ordered(labels::read(path)?, whole, path)?),
                (None, Some(labels)) if labels.len() == whole || labels.len() == samples => Some(labels),
                (None, Some(labels)) => {
                    return Err(self.fault(format!("{} labels for {whole} samples", labels.len())));
                }
                (None, None) => None,
            };
            Ok(labels.map(|mut labels| {
                labels.truncate(samples);
                labels
            }))
        };
        if let [(name, array)] = &mut arrays[..]
            && !is_port(name)
        {
            let free = |port: &&Port| !self.options.inputs.iter().any(|(given, _)| *given == port.name);
            let port = self.ports.iter().find(free);
            if array.shape.len() == 1 && port.is_some_and(|port| port.is_integer() && port.shape.as_ref().is_some()) {
                let tokens = tokens_of(array, self.path)?;
                return self.stream(
                    Text::of_tokens(tokens, port, self.options.window, self.path)?,
                    Vec::new(),
                    Vec::new(),
                );
            }
            *name = port.map_or_else(|| "input".to_owned(), |port| port.name.clone());
            if let Some(stored) = stored_pictures(array) {
                let channels = stored.channels;
                let labels = labelled(array.shape[0], array.rows)?;
                let data = self.pictures(Pictures::Stored(stored), labels, Vec::new(), Origin::Array, channels)?;
                return Ok(Dataset { maps, ..data });
            }
        }
        if self.options.wants_pictures() {
            return Err(self.fault("preprocessing is for pictures; these arrays go to the network as they are"));
        }
        let mut inputs = Vec::new();
        for (name, array) in arrays {
            inputs.push(self.input_array(&name, array, self.path)?);
        }
        let fed: Vec<String> = inputs.iter().map(|array| array.name.clone()).collect();
        inputs.extend(self.given_arrays(&fed, None, |name, shape| self.wanted_rows(name, shape))?);
        let samples = inputs.iter().filter_map(InputArray::samples).max().unwrap_or(1);
        let counts: Vec<usize> = inputs.iter().filter_map(|array| array.whole).collect();
        let whole = counts.iter().copied().max().unwrap_or(1);
        if samples == 0 || inputs.is_empty() {
            return Err(self.fault("there are no samples in it"));
        }
        if counts.iter().any(|count| *count != whole && *count != 1) {
            return Err(self.fault(format!("the arrays have different numbers of samples: {counts:?}")));
        }
        if let Some(found) = maps.as_ref().map(LabelMaps::len).filter(|found| *found < samples) {
            return Err(self.fault(format!("{found} label maps for {whole} samples")));
        }
        Ok(Dataset {
            name: self.name(),
            labels: labelled(samples, whole)?,
            samples: Samples::Arrays(samples),
            classes: Vec::new(),
            arrays: inputs,
            notes: Vec::new(),
            output: None,
            maps,
            boxes: None,
        })
    }
}

/// The numbers of an array as tokens.
fn tokens_of(array: &Array, path: &str) -> Result<Vec<i32>, DatasetError> {
    let token = |number: i64| {
        let token = i32::try_from(number).ok().filter(|token| *token >= 0);
        token.ok_or_else(|| fault(path, format!("{number} is no token")))
    };
    match &array.elements {
        Elements::Byte(bytes) => Ok(bytes.iter().map(|&byte| i32::from(byte)).collect()),
        Elements::Integer(numbers) => numbers.iter().map(|&number| token(number)).collect(),
        Elements::Float(_) => Err(fault(path, "tokens are integers, the array holds floats".to_owned())),
    }
}

/// The bytes of an array as pictures, where the shape is `[n, h, w]`, `[n, h, w, c]` or `[n, c, h, w]` with c 1 or 3.
fn stored_pictures(array: &mut Array) -> Option<Stored> {
    let (height, width, channels, planes) = match array.shape[..] {
        [_, height, width] => (height, width, 1, false),
        [_, height, width, channels @ (1 | 3)] => (height, width, channels, false),
        [_, channels @ (1 | 3), height, width] => (height, width, channels, true),
        _ => return None,
    };
    let Elements::Byte(bytes) = &mut array.elements else {
        return None;
    };
    Some(Stored::packed(std::mem::take(bytes), [height, width, channels], planes))
}
