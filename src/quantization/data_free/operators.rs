//! What each operator does to what is known of its inputs.

use super::{Known, Order, floats, second_axis};
use crate::onnx::build::{attribute_float, attribute_int, attribute_ints, attribute_string};
use crate::onnx::operators::{Channels, operator_of};
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, NodeProto, TensorProto, tensor_bytes};
use crate::statistics::{ChannelDistribution, RangeSource};
use std::collections::HashMap;

/// Everything about the graph that an operator may ask for.
struct Site<'a> {
    node: &'a NodeProto,
    known: &'a HashMap<String, Known>,
    graph: &'a Graph<'a>,
}

/// What is known of the first output of `node`.
pub(super) fn output(node: &NodeProto, known: &HashMap<String, Known>, graph: &Graph<'_>) -> Option<Known> {
    let site = Site { node, known, graph };
    match node.op_type() {
        "BatchNormalization" => site.batch_norm(),
        "Add" | "Sub" | "Mul" | "Div" | "Sum" => site.arithmetic(),
        "Min" | "Max" => site.extremum(),
        "Concat" => site.concat(),
        "Pad" => site.pad(),
        _ => site.of_one(site.input(0)?),
    }
}

impl Site<'_> {
    fn name(&self, slot: usize) -> Option<&str> {
        let name = self.node.input.get(slot)?;
        (!name.is_empty()).then_some(name.as_str())
    }

    fn input(&self, slot: usize) -> Option<&Known> {
        self.known.get(self.name(slot)?)
    }

    /// Operators that look at one value.
    fn of_one(&self, x: &Known) -> Option<Known> {
        let float = |name: &str, default: f32| f64::from(attribute_float(self.node, name).unwrap_or(default));
        match self.node.op_type() {
            "Identity" | "Dropout" => Some(x.clone()),
            "Cast" => is_float_type(attribute_int(self.node, "to")?).then(|| x.clone()),
            "Transpose" => Some(x.transposed(attribute_ints(self.node, "perm"))),
            "Relu" => Some(x.each(|channel| channel.clamped(0.0, f64::INFINITY))),
            "Clip" => {
                let (low, high) = self.clip_ends()?;
                Some(x.each(|channel| channel.clamped(low, high)))
            }
            "LeakyRelu" => {
                let alpha = float("alpha", 0.01);
                Some(x.each(|channel| channel.mapped(|x| if x < 0.0 { alpha * x } else { x })))
            }
            "Elu" => {
                let alpha = float("alpha", 1.0);
                Some(x.each(|channel| channel.mapped(|x| if x < 0.0 { alpha * x.exp_m1() } else { x })))
            }
            "HardSigmoid" | "Sigmoid" => {
                let gate = gate(self.node)?;
                Some(x.each(|channel| channel.mapped(&gate)))
            }
            "HardSwish" => Some(x.each(|channel| channel.mapped(|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)))),
            "Tanh" => Some(x.each(|channel| channel.mapped(f64::tanh))),
            "Softplus" => Some(x.each(|channel| channel.mapped(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()))),
            "Gelu" => Some(x.each(|channel| {
                channel.mapped(|x| 0.5 * x * (1.0 + (0.797_884_56 * (x + 0.044_715 * x.powi(3))).tanh()))
            })),
            // A mean varies less than its elements do; how much less depends on what cannot be known.
            "AveragePool" if attribute_int(self.node, "count_include_pad").unwrap_or(0) != 0 => Some(Known {
                means: false,
                ..x.each(|channel| channel.including(0.0))
            }),
            "AveragePool" | "GlobalAveragePool" => Some(x.clone()),
            "ReduceMean" => self.mean_of_pictures(x),
            "MaxPool" | "GlobalMaxPool" => Some(Known {
                means: false,
                ..x.clone()
            }),
            "Upsample" | "Resize" => {
                (attribute_string(self.node, "mode").unwrap_or("nearest") != "cubic").then(|| x.clone())
            }
            "Flatten" if attribute_int(self.node, "axis").unwrap_or(1) == 1 => Some(x.flat()),
            "Reshape" => Some(self.reshaped(x)),
            "Slice" => Some(self.slice(x)),
            // A Flatten of another axis, a Squeeze, and what moves elements about.
            op => {
                let moves = operator_of(self.node).is_some_and(|operator| operator.channels == Channels::Move);
                (moves || matches!(op, "Flatten" | "Squeeze")).then(|| x.mixed())
            }
        }
    }

    /// Mean and deviation are what the batch-norm makes them, whatever comes in.
    fn batch_norm(&self) -> Option<Known> {
        let training = attribute_int(self.node, "training_mode").unwrap_or(0) != 0;
        if training || self.node.input.len() != 5 {
            return None;
        }
        let (_, scale) = floats(self.graph, self.name(1)?)?;
        let (_, bias) = floats(self.graph, self.name(2)?)?;
        let channels = bias.iter().zip(&scale);
        (bias.len() == scale.len())
            .then(|| second_axis(channels.map(|(&mean, &deviation)| [mean as f32, deviation.abs() as f32])))
    }

    /// `min` and `max` of a Clip, attributes before operator set 11, constants since.
    fn clip_ends(&self) -> Option<(f64, f64)> {
        let end = |slot: usize, attribute: &str, default: f64| match self.name(slot) {
            Some(name) => floats(self.graph, name)?.1.first().copied(),
            None => Some(attribute_float(self.node, attribute).map_or(default, f64::from)),
        };
        Some((end(1, "min", f64::NEG_INFINITY)?, end(2, "max", f64::INFINITY)?))
    }

    /// Sums and products, of values or with constants.
    fn arithmetic(&self) -> Option<Known> {
        let op = self.node.op_type();
        if op == "Mul"
            && let Some(gated) = self.gated()
        {
            return Some(gated);
        }
        let last = (0..self.node.input.len()).any(|slot| self.input(slot).is_some_and(|x| x.order == Order::LastAxis));
        let mut all = (0..self.node.input.len()).map(|slot| self.operand(slot, last));
        let mut result = all.next()??;
        for operand in all {
            let operand = operand?;
            result = match op {
                "Sub" => combine(&result, &operand, |a, b| a.plus(b.scaled(-1.0, 0.0)))?,
                "Mul" => combine(&result, &operand, ChannelDistribution::times)?,
                "Div" => {
                    let whole = operand.channels.iter().all(|c| c.low() == c.high() && c.low() != 0.0);
                    combine(&result, &operand, |a, b| a.scaled(1.0 / b.low(), 0.0)).filter(|_| whole)?
                }
                _ => combine(&result, &operand, ChannelDistribution::plus)?,
            };
        }
        Some(result)
    }

    /// A value, or a constant as channels that never change: one for all, or `[1, channels, 1, ...]`; beside a picture with
    /// its channels `last`, `[..., channels]`.
    fn operand(&self, slot: usize, last: bool) -> Option<Known> {
        if let Some(known) = self.input(slot) {
            return Some(known.clone());
        }
        let (sizes, values) = floats(self.graph, self.name(slot)?)?;
        // `[channels, 1, 1]` stands beside a picture; a shorter one could be along any axis.
        let along = match sizes.as_slice() {
            _ if values.len() == 1 => true,
            [.., channels] if last => *channels == values.len(),
            [1, channels, rest @ ..] => *channels == values.len() && rest.iter().all(|size| *size == 1),
            [channels, 1, 1] => *channels == values.len(),
            _ => false,
        };
        along.then(|| Known {
            channels: values
                .iter()
                .map(|&value| ChannelDistribution::constant(value))
                .collect(),
            order: if last { Order::LastAxis } else { Order::SecondAxis },
            means: true,
            source: RangeSource::BatchNorm,
        })
    }

    /// `Min` or `Max` of a value and a constant cuts each channel off there.
    fn extremum(&self) -> Option<Known> {
        let last = [0, 1]
            .iter()
            .any(|slot| self.input(*slot).is_some_and(|x| x.order == Order::LastAxis));
        let (one, other) = (self.operand(0, last)?, self.operand(1, last)?);
        let (x, ends) = if is_constant(&other) {
            (one, other)
        } else {
            (other, one)
        };
        let is_min = self.node.op_type() == "Min";
        let cut = |x: ChannelDistribution, end: ChannelDistribution| match is_min {
            true => x.clamped(f64::NEG_INFINITY, end.low()),
            false => x.clamped(end.low(), f64::INFINITY),
        };
        (self.node.input.len() == 2 && is_constant(&ends)).then(|| combine(&x, &ends, cut))?
    }

    /// `x * sigmoid(x)` and the like, written as two nodes: not a product of independent values.
    fn gated(&self) -> Option<Known> {
        for (x, gated) in [(0, 1), (1, 0)] {
            let node = self.graph.maker_node(self.name(gated)?)?;
            if node.input.first().map(String::as_str) == self.name(x)
                && let Some(gate) = gate(node)
            {
                return Some(self.input(x)?.each(|channel| channel.mapped(|x| x * gate(x))));
            }
        }
        None
    }

    fn concat(&self) -> Option<Known> {
        let parts = (0..self.node.input.len()).map(|slot| self.input(slot));
        let parts: Vec<&Known> = parts.collect::<Option<_>>()?;
        let in_order =
            parts.iter().all(|part| part.order == Order::SecondAxis) && attribute_int(self.node, "axis") == Some(1);
        Some(Known {
            channels: parts.iter().flat_map(|part| part.channels.iter().copied()).collect(),
            order: if in_order { Order::SecondAxis } else { Order::Mixed },
            means: parts.iter().all(|part| part.means),
            source: parts
                .iter()
                .fold(parts.first()?.source, |source, part| joint(source, part.source)),
        })
    }

    /// Padding with a constant, or with values that are there already.
    fn pad(&self) -> Option<Known> {
        let x = self.input(0)?;
        if attribute_string(self.node, "mode").unwrap_or("constant") != "constant" {
            return Some(x.clone());
        }
        let value = match self.name(2) {
            Some(name) => *floats(self.graph, name)?.1.first()?,
            None => f64::from(attribute_float(self.node, "value").unwrap_or(0.0)),
        };
        let pads = match self.name(1) {
            Some(name) => integers(self.graph.constant(name)?)?,
            None => attribute_ints(self.node, "pads")?.to_vec(),
        };
        let padded = x.each(|channel| channel.including(value));
        let rank = pads.len() / 2;
        let around = |axis: usize| Some([*pads.get(axis)?, *pads.get(axis + rank)?]);
        let pictures = self.name(3).is_none() && x.order == Order::SecondAxis && rank >= 2;
        Some(match around(1).filter(|_| pictures) {
            // Whole channels of the constant: what shortcuts of residual networks without weights are.
            Some([before, after]) if (0..=1 << 20).contains(&before) && (0..=1 << 20).contains(&after) => {
                let constant = |count: i64| vec![ChannelDistribution::constant(value); count as usize];
                let elsewhere = (0..rank)
                    .filter(|axis| *axis != 1)
                    .any(|axis| around(axis) != Some([0, 0]));
                let channels = if elsewhere { padded.channels } else { x.channels.clone() };
                Known {
                    channels: [constant(before), channels, constant(after)].concat(),
                    order: Order::SecondAxis,
                    means: x.means && !elsewhere,
                    source: x.source,
                }
            }
            _ => padded.mixed(),
        })
    }

    /// Rows and columns that are left out leave the channels as they are, as in the shortcuts of residual networks without
    /// weights; of the channels those that are taken stay.
    fn slice(&self, x: &Known) -> Known {
        let numbers = |slot: usize, attribute: &str| match self.name(slot) {
            Some(name) => integers(self.graph.constant(name)?),
            None => attribute_ints(self.node, attribute).map(<[i64]>::to_vec),
        };
        let (Some(starts), Some(ends)) = (numbers(1, "starts"), numbers(2, "ends")) else {
            return x.mixed();
        };
        let axes = numbers(3, "axes").unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = numbers(4, "steps").unwrap_or_else(|| vec![1; starts.len()]);
        // An axis that counts from the end could be any.
        let all_are_known = axes.iter().all(|axis| *axis >= 0);
        let fits = [ends.len(), axes.len(), steps.len()] == [starts.len(); 3];
        if x.order != Order::SecondAxis || !all_are_known || !fits {
            return x.mixed();
        }
        let Some(at) = axes.iter().position(|axis| *axis == 1) else {
            return x.clone();
        };
        let count = x.channels.len() as i64;
        let from_start = |end: i64| {
            let end = if end < 0 { end.saturating_add(count) } else { end };
            end.clamp(0, count)
        };
        let (start, end) = (from_start(starts[at]), from_start(ends[at]));
        let channels = x.channels.get(start as usize..end.max(start) as usize);
        match (channels, usize::try_from(steps[at])) {
            (Some(channels), Ok(step)) if step > 0 => Known {
                channels: channels.iter().step_by(step).copied().collect(),
                ..*x
            },
            _ => x.mixed(),
        }
    }

    /// A mean over rows and columns keeps channels apart; over anything else it does not.
    fn mean_of_pictures(&self, x: &Known) -> Option<Known> {
        let axes = match self.name(1) {
            Some(name) => integers(self.graph.constant(name)?)?,
            None => attribute_ints(self.node, "axes")?.to_vec(),
        };
        let rows_and_columns = matches!(axes.as_slice(), [2, 3] | [-1, -2] | [-2, -1] | [3, 2]);
        Some(if rows_and_columns && x.order == Order::SecondAxis {
            x.clone()
        } else {
            // Means of several channels lie inside the ends of all.
            let low = x
                .channels
                .iter()
                .map(ChannelDistribution::low)
                .fold(f64::INFINITY, f64::min);
            let high = x
                .channels
                .iter()
                .map(ChannelDistribution::high)
                .fold(f64::NEG_INFINITY, f64::max);
            Known {
                channels: vec![ChannelDistribution::gaussian(0.5 * (low + high), (high - low) / 12.0)],
                order: Order::Mixed,
                means: false,
                source: x.source,
            }
        })
    }

    /// A reshape to a matrix with a row for each sample is a Flatten.
    fn reshaped(&self, x: &Known) -> Known {
        let shape = self.name(1).and_then(|name| integers(self.graph.constant(name)?));
        let count = i64::try_from(x.channels.len()).unwrap_or(i64::MAX);
        match shape.as_deref() {
            Some([0, -1]) => x.flat(),
            Some([_, columns]) if *columns > 0 && columns % count == 0 => x.flat(),
            _ => x.mixed(),
        }
    }
}

impl Known {
    fn each(&self, change: impl Fn(ChannelDistribution) -> ChannelDistribution) -> Self {
        Self {
            channels: self.channels.iter().map(|channel| change(*channel)).collect(),
            ..*self
        }
    }

    fn flat(&self) -> Self {
        let order = match self.order {
            Order::SecondAxis | Order::Flat => Order::Flat,
            Order::LastAxis | Order::Mixed => Order::Mixed,
        };
        Self { order, ..self.clone() }
    }

    /// The axes of pictures in another order.
    fn transposed(&self, axes: Option<&[i64]>) -> Self {
        let order = match (self.order, axes) {
            (Order::LastAxis, Some([0, 3, 1, 2])) => Order::SecondAxis,
            (Order::SecondAxis, Some([0, 2, 3, 1])) => Order::LastAxis,
            _ => Order::Mixed,
        };
        Self { order, ..self.clone() }
    }

    fn mixed(&self) -> Self {
        Self {
            order: Order::Mixed,
            ..self.clone()
        }
    }
}

/// Channel by channel; a single channel stands beside all.
fn combine(
    a: &Known,
    b: &Known,
    of: impl Fn(ChannelDistribution, ChannelDistribution) -> ChannelDistribution,
) -> Option<Known> {
    let count = a.channels.len().max(b.channels.len());
    let fits =
        |known: &Known| known.channels.len() == 1 || (known.channels.len() == count && known.order != Order::Mixed);
    let order = if a.channels.len() == count { a.order } else { b.order };
    let same_order = a.order == b.order || a.channels.len() == 1 || b.channels.len() == 1;
    // One channel beside many may be of any order itself, but many of an unknown order go with one alone.
    let one_beside_mixed = a.channels.len().min(b.channels.len()) == 1;
    if !(one_beside_mixed || (fits(a) && fits(b) && same_order)) {
        return None;
    }
    let at = |known: &Known, place: usize| known.channels.get(place).or(known.channels.first()).copied();
    Some(Known {
        channels: (0..count)
            .map(|place| Some(of(at(a, place)?, at(b, place)?)))
            .collect::<Option<_>>()?,
        order,
        means: a.means && b.means,
        source: match (is_constant(a), is_constant(b)) {
            (true, false) => b.source,
            (false, true) => a.source,
            _ => joint(a.source, b.source),
        },
    })
}

/// Whether no channel ever changes.
fn is_constant(known: &Known) -> bool {
    known.channels.iter().all(|channel| channel.low() == channel.high())
}

/// What told a value that is made of two.
fn joint(one: RangeSource, other: RangeSource) -> RangeSource {
    if one == other { one } else { RangeSource::BatchNorm }
}

fn is_float_type(element_type: i64) -> bool {
    [
        data_type::FLOAT,
        data_type::FLOAT16,
        data_type::BFLOAT16,
        data_type::DOUBLE,
    ]
    .iter()
    .any(|float| i64::from(*float) == element_type)
}

/// The function of a gate.
fn gate(node: &NodeProto) -> Option<Box<dyn Fn(f64) -> f64>> {
    match node.op_type() {
        "Sigmoid" => Some(Box::new(|x: f64| 1.0 / (1.0 + (-x).exp()))),
        "HardSigmoid" => {
            let alpha = f64::from(attribute_float(node, "alpha").unwrap_or(0.2));
            let beta = f64::from(attribute_float(node, "beta").unwrap_or(0.5));
            Some(Box::new(move |x: f64| (alpha * x + beta).clamp(0.0, 1.0)))
        }
        _ => None,
    }
}

/// The elements of a constant of INT64.
fn integers(tensor: &TensorProto) -> Option<Vec<i64>> {
    if tensor.data_type() != data_type::INT64 {
        return None;
    }
    if !tensor.int64_data.is_empty() {
        return Some(tensor.int64_data.clone());
    }
    let bytes = tensor_bytes(tensor).ok()?;
    let (elements, _) = bytes.as_chunks::<8>();
    Some(elements.iter().map(|&element| i64::from_le_bytes(element)).collect())
}
