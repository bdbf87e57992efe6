//! Inputs of a language model beside its tokens that follow from their number alone: a mask of ones, kinds of text, positions,
//! and keys and values of an empty past, as exporters of transformers name them.

use super::{Dataset, DatasetError, Port, Samples, Tensor, fault};

/// What an input takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Every token counts.
    Ones,
    /// All of the first text.
    Zeros,
    /// Counted from 0, or on from the past.
    Positions,
    /// Nothing before the first token.
    Past,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Companions(Vec<(Port, Kind)>);

impl Companions {
    /// Those among `ports` that are not `given` otherwise.
    pub(super) fn of(ports: &[Port], given: impl Fn(&str) -> bool) -> Self {
        let kind = |port: &Port| match port.name.as_str() {
            "attention_mask" if port.is_integer() => Some(Kind::Ones),
            "token_type_ids" if port.is_integer() => Some(Kind::Zeros),
            "position_ids" if port.is_integer() => Some(Kind::Positions),
            name if name.starts_with("past_key_values.")
                && port.shape.as_ref().is_some_and(|shape| shape.len() == 4) =>
            {
                Some(Kind::Past)
            }
            _ => None,
        };
        let known = ports.iter().filter(|port| !given(&port.name));
        Self(known.filter_map(|port| Some((port.clone(), kind(port)?))).collect())
    }

    /// Their names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(port, _)| port.name.as_str())
    }

    /// Whether the network could read on from a past, which is left empty.
    pub(super) fn have_past(&self) -> bool {
        self.0.iter().any(|(_, kind)| *kind == Kind::Past)
    }

    /// What they take for `streams` streams of `steps` tokens.
    ///
    /// # Errors
    /// [`DatasetError`] when the engine refuses a shape.
    pub(super) fn values(&self, streams: usize, steps: usize) -> Result<Vec<(String, Tensor)>, DatasetError> {
        self.values_behind(0, streams, steps)
    }

    /// The same for tokens that follow `past` others, whose keys and values the caller has: the mask covers both, positions are
    /// counted on.
    ///
    /// # Errors
    /// As [`Companions::values`].
    pub(super) fn values_behind(
        &self,
        past: usize,
        streams: usize,
        steps: usize,
    ) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let value = |(port, kind): &(Port, Kind)| {
            let shape = [streams, steps];
            let value = match kind {
                Kind::Ones => Tensor::from_shape([streams, past + steps], vec![1_i32; streams * (past + steps)]),
                Kind::Zeros => Tensor::from_shape(shape, vec![0_i32; streams * steps]),
                Kind::Positions => {
                    let positions = past..past + steps;
                    let row: Vec<i32> = positions.map(|at| i32::try_from(at).unwrap_or(i32::MAX)).collect();
                    Tensor::from_shape(shape, row.repeat(streams))
                }
                Kind::Past => {
                    let sizes = port.shape.iter().flatten().enumerate();
                    // Streams first; what else is free is the length of the past.
                    let sizes: Vec<usize> = sizes
                        .map(|(axis, size)| size.unwrap_or(if axis == 0 { streams } else { 0 }))
                        .collect();
                    Tensor::from_shape(&sizes, Vec::<f32>::new())
                }
            };
            let value = value.map_err(|error| fault(&port.name, error.to_string()))?;
            Ok((port.name.clone(), value))
        };
        self.0.iter().map(value).collect()
    }
}

impl Dataset {
    /// The same text for a network that takes more beside the tokens, as far as that follows from their number: `ports` are its
    /// inputs, those for keys and values get an empty past. `None` for data that are no text.
    pub fn for_ports(&self, ports: &[Port]) -> Option<Self> {
        let Samples::Text(text) = &self.samples else {
            return None;
        };
        let is_given = |name: &str| self.arrays.iter().any(|array| array.name == name);
        let text = text.clone().beside(Companions::of(ports, is_given));
        Some(Self {
            name: self.name.clone(),
            samples: Samples::Text(text),
            labels: self.labels.clone(),
            maps: None,
            boxes: None,
            classes: self.classes.clone(),
            arrays: self.arrays.clone(),
            notes: self.notes.clone(),
            output: self.output.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ElementKind;

    fn port(name: &str, shape: &[Option<usize>], integer: bool) -> Port {
        Port {
            name: name.to_owned(),
            shape: Some(shape.to_vec()),
            axis_names: vec![None; shape.len()],
            kind: if integer {
                ElementKind::Integer
            } else {
                ElementKind::Float
            },
        }
    }

    #[test]
    fn masks_positions_and_an_empty_past_follow_from_the_number_of_tokens() {
        let ports = [
            port("input_ids", &[None, None], true),
            port("attention_mask", &[None, None], true),
            port("position_ids", &[None, None], true),
            port("past_key_values.0.key", &[None, Some(3), None, Some(8)], false),
            port("past_key_values.0.value", &[None, None], false),
        ];
        let companions = Companions::of(&ports, |name| name == "position_ids");
        assert_eq!(
            companions.names().collect::<Vec<_>>(),
            ["attention_mask", "past_key_values.0.key"]
        );
        assert!(companions.have_past());
        let values = companions.values(2, 5).unwrap();
        let (mask, past) = (&values[0].1, &values[1].1);
        assert_eq!(*mask, Tensor::from_shape([2, 5], vec![1_i32; 10]).unwrap());
        assert_eq!(past.shape(), [2, 3, 0, 8]);
        // Behind four others the mask is of all six, and positions go on.
        let behind = Companions::of(&ports[1..3], |_| false).values_behind(4, 1, 2).unwrap();
        assert_eq!(behind[0].1, Tensor::from_shape([1, 6], vec![1_i32; 6]).unwrap());
        assert_eq!(behind[1].1, Tensor::from_shape([1, 2], vec![4_i32, 5]).unwrap());
        let positions = Companions::of(&ports[2..3], |_| false).values(2, 3).unwrap();
        assert_eq!(
            positions[0].1,
            Tensor::from_shape([2, 3], vec![0_i32, 1, 2, 0, 1, 2]).unwrap()
        );
    }
}
