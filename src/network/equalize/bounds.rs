//! Clips on the way between two layers. `min(x, c)` is no function with `f(s x) = s f(x)`, but dividing channel i by s_i and
//! its bound with it computes the same: behind a ReLU6 each channel has a cap of its own, 6 / s_i.

use crate::onnx::build::{attribute_float, float_tensor, node, scalar_f32};
use crate::onnx::{GraphEdit, NodeProto, TensorProto, float_values};

/// A node that cuts its input off at constants.
pub(super) struct Bound {
    /// Position of the node.
    position: usize,
    kind: Kind,
    /// The value is a matrix, whose columns are the channels, or runs of neighbours of them.
    flat: bool,
}

enum Kind {
    /// `Clip`: the ends for all channels.
    Clip { low: Option<f32>, high: Option<f32> },
    /// `Min` or `Max` with a constant in that input: one number, or one a channel.
    Extremum { slot: usize, numbers: Vec<f32> },
}

impl Bound {
    /// The bound that `reader`, the node at `position`, sets to `value` of so many channels with so many axes behind them;
    /// `None` where it is no such node or its ends are no constants.
    pub(super) fn of(
        edit: &GraphEdit,
        position: usize,
        reader: &NodeProto,
        value: &str,
        (channels, axes): (usize, usize),
        flat: bool,
    ) -> Option<Self> {
        let input = |slot: usize| reader.input.get(slot).filter(|name| !name.is_empty());
        let kind = match reader.op_type() {
            "Clip" if input(0).is_some_and(|name| name == value) => {
                // Attributes before operator set 11, inputs since.
                let end = |slot: usize, name: &str| match input(slot) {
                    Some(constant) => scalar(edit.constant(constant)?).map(Some),
                    None => Some(attribute_float(reader, name)),
                };
                let (low, high) = (end(1, "min")?, end(2, "max")?);
                let fits = low.is_none_or(|low| high.is_none_or(|high| low <= high));
                Kind::Clip { low, high }
                    .filter(fits && low != Some(f32::INFINITY) && high != Some(f32::NEG_INFINITY))?
            }
            "Min" | "Max" if reader.input.len() == 2 => {
                let slot = usize::from(input(0).is_some_and(|name| name == value));
                let numbers = per_channel(edit.constant(input(slot)?)?, channels, axes, flat)?;
                let reads = input(1 - slot).is_some_and(|name| name == value);
                Kind::Extremum { slot, numbers }.filter(reads)?
            }
            _ => return None,
        };
        let alone = reader.output.len() == 1;
        alone.then_some(Self { position, kind, flat })
    }

    /// Divides the bound of each channel by its scale. `axes` is the number of axes behind that of the channels; a channel is
    /// `repeats` neighbours in a matrix.
    pub(super) fn divide(&self, edit: &mut GraphEdit, scales: &[f64], axes: usize, repeats: usize) {
        let same = scales.iter().all(|scale| *scale == scales[0]);
        if same && scales.first().is_none_or(|scale| *scale == 1.0) {
            return;
        }
        let shape = |count: usize| match self.flat {
            true => vec![count],
            false => [vec![count], vec![1; axes]].concat(),
        };
        let spread = |numbers: &dyn Fn(usize) -> f32| {
            let numbers: Vec<f32> = (0..scales.len())
                .flat_map(|channel| {
                    let number = (f64::from(numbers(channel)) / scales[channel]) as f32;
                    std::iter::repeat_n(number, if self.flat { repeats } else { 1 })
                })
                .collect();
            float_tensor("", &shape(numbers.len()), &numbers)
        };
        match &self.kind {
            Kind::Extremum { slot, numbers } => {
                let of = |channel: usize| numbers.get(channel).or(numbers.first()).copied().unwrap_or(0.0);
                let constant = edit.add_initializer(&format!("{}.bound", self.label(edit)), spread(&of));
                edit.replace_input(self.position, *slot, constant);
            }
            // As a ReLU is.
            Kind::Clip {
                low: None | Some(0.0),
                high: None | Some(f32::INFINITY),
            } => {}
            Kind::Clip { low, high } if same => {
                for (slot, name, end) in [(1, "min", low), (2, "max", high)] {
                    let divided = |end: f32| (f64::from(end) / scales[0]) as f32;
                    if let Some(end) = end.map(divided).filter(|end| end.is_finite() && *end != 0.0) {
                        self.set_end(edit, slot, name, end);
                    }
                }
            }
            Kind::Clip { low, high } => {
                let bounded = |end: &Option<f32>| end.filter(|end| end.is_finite());
                self.separate(edit, bounded(low), bounded(high), &|end: f32| spread(&|_| end));
            }
        }
    }

    /// The end of a Clip where it has it.
    fn set_end(&self, edit: &mut GraphEdit, slot: usize, name: &str, end: f32) {
        let is_input = edit
            .node(self.position)
            .is_some_and(|node| node.input.get(slot).is_some_and(|x| !x.is_empty()));
        if is_input {
            let constant = edit.add_initializer(&format!("{}.{name}", self.label(edit)), scalar_f32("", end));
            edit.replace_input(self.position, slot, constant);
        } else if let Some(node) = edit.node_mut(self.position) {
            for attribute in node.attribute.iter_mut().filter(|attribute| attribute.name() == name) {
                attribute.f = Some(end);
            }
        }
    }

    /// The Clip as a node for each end: `Relu` or `Max`, then `Min` with a number for each channel.
    fn separate(&self, edit: &mut GraphEdit, low: Option<f32>, high: Option<f32>, ends: &dyn Fn(f32) -> TensorProto) {
        let Some(clip) = edit.node(self.position).cloned() else {
            return;
        };
        let (value, output, label) = (clip.input[0].clone(), clip.output[0].clone(), self.label(edit));
        let mut operators: Vec<(&str, Option<String>)> = Vec::new();
        match low {
            Some(0.0) => operators.push(("Relu", None)),
            Some(low) => operators.push(("Max", Some(edit.add_initializer(&format!("{label}.min"), ends(low))))),
            None => {}
        }
        if let Some(high) = high {
            operators.push(("Min", Some(edit.add_initializer(&format!("{label}.max"), ends(high)))));
        }
        for slot in 1..clip.input.len() {
            edit.replace_input(self.position, slot, String::new());
        }
        let count = operators.len();
        let mut from = value;
        for (at, (operator, constant)) in operators.into_iter().enumerate() {
            let to = if at + 1 == count {
                output.clone()
            } else {
                edit.fresh(&format!("{output}.{operator}"))
            };
            if at == 0 {
                if let Some(node) = edit.node_mut(self.position) {
                    node.op_type = Some(operator.to_owned());
                    node.attribute.clear();
                    node.input.truncate(1);
                    node.output = vec![to.clone()];
                }
                if let Some(constant) = constant {
                    edit.replace_input(self.position, 1, constant);
                }
            } else {
                let name = edit.fresh(&format!("{label}/cap"));
                let inputs = std::iter::once(from.clone()).chain(constant);
                edit.append(self.position, node(operator, name, inputs, [to.clone()], vec![]));
            }
            from = to;
        }
    }

    /// What new names begin with: the node's name, or that of what it makes.
    fn label(&self, edit: &GraphEdit) -> String {
        let Some(node) = edit.node(self.position) else {
            return String::new();
        };
        match node.name() {
            "" => node.output.first().cloned().unwrap_or_default(),
            name => name.to_owned(),
        }
    }
}

impl Kind {
    fn filter(self, keep: bool) -> Option<Self> {
        keep.then_some(self)
    }
}

/// The one number of an F32 constant.
fn scalar(tensor: &TensorProto) -> Option<f32> {
    let values = float_values(tensor).ok()?;
    match values[..] {
        [number] if !number.is_nan() => Some(number),
        _ => None,
    }
}

/// One number, or one for each channel of a picture `[n, channels, ...]` or of a matrix.
fn per_channel(tensor: &TensorProto, channels: usize, axes: usize, flat: bool) -> Option<Vec<f32>> {
    let values = float_values(tensor).ok()?.to_vec();
    let sizes = tensor.dims.as_slice();
    let along = match sizes {
        _ if values.len() == 1 => true,
        [.., last] if flat => usize::try_from(*last) == Ok(channels),
        // With fewer axes it would be the columns of pictures.
        [1, count, rest @ ..] | [count, rest @ ..] if !flat && rest.len() == axes => {
            usize::try_from(*count) == Ok(channels) && rest.iter().all(|size| *size == 1)
        }
        _ => false,
    };
    let numbers = values.len() == 1 || values.len() == channels;
    (along && numbers && values.iter().all(|number| !number.is_nan())).then_some(values)
}
