//! How far the outputs of onnxruntime may be from those of the file as it is written: what its kernels round otherwise, carried
//! through the network by running it.

use super::{ROUNDING, gates, inputs};
use splitscope::data::{Tensor, by_name};
use splitscope::engine::{EngineChoice, RunOptions};
use splitscope::onnx::build::{attribute_float, attribute_int, float_tensor, float_value_info, node};
use splitscope::onnx::{GraphProto, ModelProto, NodeProto, encode, float_values};
use splitscope::quantization::Products;
use std::collections::HashMap;

/// How near to the border of two grid points a value must lie to fall on either side, as a share of the step. A sum of 72 products (8
/// channels, kernel of 3x3) of at most 255 steps each is off by at most `72 * 255 * 2^-24 = 1.1e-3` steps where floats are added in another order.
const AT_BORDER: f32 = 1.1e-3;

/// Where the nodes are whose input goes on a grid.
struct Grid {
    node: usize,
    value: String,
    step: f32,
}

/// The constants of floats by their names.
type Constants<'graph> = HashMap<&'graph str, Vec<f32>>;

fn initializers(graph: &GraphProto) -> Constants<'_> {
    let floats = graph.initializer.iter();
    let floats = floats.filter_map(|tensor| Some((tensor.name(), float_values(tensor).ok()?.to_vec())));
    floats.collect()
}

pub(super) fn made_by<'graph>(graph: &'graph GraphProto, value: &str) -> Option<&'graph NodeProto> {
    graph
        .node
        .iter()
        .find(|node| node.output.iter().any(|output| output == value))
}

/// Whether an activation between a `MaxPool` and a grid keeps `QDQPropagation` from putting the grid before the pool: not where it was
/// fused into the grid by then, which depends on the passes before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BehindPool {
    Stays,
    IsFused,
}

/// What onnxruntime folds into the weights and the bias of a layer on the way to the grid that its output goes on: a factor and a
/// summand for each output channel. `None` where it goes on no grid, or anywhere else too.
fn folded(
    graph: &GraphProto,
    conv: &NodeProto,
    constants: &Constants<'_>,
    channels: usize,
    behind_pool: BehindPool,
) -> Option<Vec<[f32; 2]>> {
    let mut folded = vec![[1.0, 0.0]; channels];
    let mut value = &conv.output[0];
    // Behind an activation nothing is folded; into a transposed convolution a batch-norm alone, into a Gemm nothing.
    let takes = |op: &str| match conv.op_type() {
        "Conv" => true,
        "ConvTranspose" => op == "BatchNormalization",
        _ => false,
    };
    let (mut is_cut, mut is_pooled) = (false, false);
    loop {
        let mut readers = graph.node.iter().filter(|reader| reader.input.contains(value));
        let (reader, None) = (readers.next()?, readers.next()) else {
            return None;
        };
        let constant = |place: usize| constants.get(reader.input.get(place)?.as_str());
        let of_channels = folded.iter_mut().enumerate();
        match reader.op_type() {
            "QuantizeLinear" => return Some(folded),
            "MaxPool" => (is_cut, is_pooled) = (true, true),
            "Relu" | "Clip" if !is_pooled || behind_pool == BehindPool::IsFused => is_cut = true,
            op if is_cut || !takes(op) => return None,
            op @ ("Add" | "Mul") => {
                let other = constant(0).or_else(|| constant(1))?;
                // A summand that is one for all channels stays.
                if op == "Add" && other.len() < channels {
                    return None;
                }
                for (channel, [factor, summand]) in of_channels {
                    let other = other[if other.len() == 1 { 0 } else { channel }];
                    if op == "Add" {
                        *summand += other;
                    } else {
                        (*factor, *summand) = (*factor * other, *summand * other);
                    }
                }
            }
            "BatchNormalization" => {
                let [scale, shift, mean, variance] = [1, 2, 3, 4].map(constant);
                let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
                let epsilon = attribute_float(reader, "epsilon").unwrap_or(1e-5);
                for (channel, [factor, summand]) in of_channels {
                    let by = scale[channel] / (variance[channel] + epsilon).sqrt();
                    (*factor, *summand) = (*factor * by, (*summand - mean[channel]) * by + shift[channel]);
                }
            }
            _ => return None,
        }
        value = &reader.output[0];
    }
}

/// The model as onnxruntime runs it where its transformer `WeightBiasQuantization` rounds what stands between two grids, once what
/// follows was folded into it: weights of a Conv, ConvTranspose or Gemm that are floats go on 8 bits, one scale and zero point for all;
/// biases that are floats, also those that only what follows gives, go on multiples of the steps of input and weight.
pub(super) fn as_rounded(model: &ModelProto, behind_pool: BehindPool) -> Rounded {
    let mut rounded = model.clone();
    let mut otherwise = Vec::new();
    let (Some(graph), Some(changed)) = (&model.graph, &mut rounded.graph) else {
        return Rounded {
            model: rounded,
            otherwise,
        };
    };
    let constants = initializers(graph);
    let replace = |changed: &mut GraphProto, name: &str, values: &[f32]| {
        let tensor = changed
            .initializer
            .iter_mut()
            .find(|tensor| tensor.name() == name)
            .unwrap();
        let dims: Vec<usize> = tensor.dims.iter().map(|size| usize::try_from(*size).unwrap()).collect();
        *tensor = float_tensor(name, &dims, values);
    };
    let scale_of = |value: &str| {
        let dequantize = made_by(graph, value).filter(|node| node.op_type() == "DequantizeLinear")?;
        constants.get(dequantize.input[1].as_str())
    };
    for (place, conv) in graph.node.iter().enumerate() {
        if !matches!(conv.op_type(), "Conv" | "ConvTranspose" | "Gemm") {
            continue;
        }
        let Some([input_step]) = scale_of(&conv.input[0]).map(Vec::as_slice) else {
            continue;
        };
        let stored = made_by(graph, &conv.input[1]).map_or(&conv.input[1], |dequantize| &dequantize.input[0]);
        let Some(tensor) = graph.initializer.iter().find(|tensor| tensor.name() == stored) else {
            continue;
        };
        let channels = match conv.op_type() {
            "ConvTranspose" => tensor.dims[1] * attribute_int(conv, "group").unwrap_or(1),
            "Gemm" if attribute_int(conv, "transB") != Some(1) => tensor.dims[1],
            _ => tensor.dims[0],
        };
        let channels = usize::try_from(channels).unwrap();
        let Some(folded) = folded(graph, conv, &constants, channels, behind_pool) else {
            continue;
        };
        let steps = match (constants.get(conv.input[1].as_str()), scale_of(&conv.input[1])) {
            (Some(weights), _) => {
                let channel = |place: usize| match (conv.op_type(), tensor.dims.as_slice()) {
                    // Input channels come first: groups of them, each with the same number of outputs.
                    ("ConvTranspose", [inputs, outputs, ..]) => {
                        let [inputs, outputs] = [*inputs, *outputs].map(|size| usize::try_from(size).unwrap());
                        let row = place * inputs * outputs / weights.len();
                        row / outputs * (channels / outputs) / inputs * outputs + row % outputs
                    }
                    _ => place * channels / weights.len(),
                };
                let factor = |place: usize| folded[channel(place)][0];
                let values = weights.iter().enumerate().map(|(place, x)| x * factor(place));
                let values: Vec<f32> = values.collect();
                let (low, high) = values
                    .iter()
                    .fold((0.0_f32, 0.0_f32), |(low, high), x| (low.min(*x), high.max(*x)));
                let step = (high - low) / 255.0;
                let zero = -128.0 - low / step;
                // The weight at `place` of a code, where codes have this zero point.
                let weight = |place: usize, code: f32, zero: f32| match factor(place) {
                    0.0 => weights[place],
                    by => ((code + zero).clamp(-128.0, 127.0) - zero) * step / by,
                };
                let of = |zero: f32| -> Vec<f32> {
                    let codes = values.iter().map(|x| (x / step).round_ties_even());
                    codes
                        .enumerate()
                        .map(|(place, code)| weight(place, code, zero))
                        .collect()
                };
                let usual = of(zero.round_ties_even());
                if let Some(zero) = other_side(zero) {
                    otherwise.push((conv.input[1].clone(), of(zero)));
                }
                for (place, x) in values.iter().enumerate() {
                    if let Some(code) = other_side(x / step) {
                        let mut other = usual.clone();
                        other[place] = weight(place, code, zero.round_ties_even());
                        otherwise.push((conv.input[1].clone(), other));
                    }
                }
                replace(changed, &conv.input[1], &usual);
                vec![step]
            }
            // What follows cannot be folded into integers. A transposed convolution in groups has a scale for each channel of one group:
            // its bias stays.
            (None, Some(steps))
                if folded.iter().all(|folded| *folded == [1.0, 0.0]) && [1, channels].contains(&steps.len()) =>
            {
                steps.clone()
            }
            _ => continue,
        };
        let given = conv.input.get(2).filter(|name| !name.is_empty());
        let bias = match given {
            Some(name) => constants.get(name.as_str()).cloned(),
            None => Some(vec![0.0; channels]),
        };
        let Some(bias) = bias else { continue };
        let values = bias
            .iter()
            .zip(&folded)
            .enumerate()
            .map(|(channel, (bias, [factor, summand]))| {
                // Those of a ConvTranspose are the same in each group.
                let step = input_step * steps[channel % steps.len()];
                match *factor {
                    0.0 => *bias,
                    by => (((bias * by + summand) / step).round_ties_even() * step - summand) / by,
                }
            });
        let values: Vec<f32> = values.collect();
        if let Some(name) = given {
            replace(changed, name, &values);
        } else {
            let name = format!("{}.folded_bias", conv.output[0]);
            changed.initializer.push(float_tensor(&name, &[channels], &values));
            let inputs = &mut changed.node[place].input;
            inputs.truncate(2);
            inputs.push(name);
        }
    }
    Rounded {
        model: rounded,
        otherwise,
    }
}

/// How near to the middle of two codes a weight falls on either, by the order in which it is divided: twenty times what 128 steps are off
/// by in 32 bits.
const AT_MIDDLE: f32 = 3e-4;

/// The integer on the other side of a number that lies in the middle of two.
fn other_side(x: f32) -> Option<f32> {
    let nearest = x.round_ties_even();
    let other = if x > nearest { nearest + 1.0 } else { nearest - 1.0 };
    ((x - nearest).abs() > 0.5 - AT_MIDDLE).then_some(other)
}

/// A model with its floats between grids rounded, and weights that may as well be rounded otherwise.
pub(super) struct Rounded {
    pub(super) model: ModelProto,
    otherwise: Vec<(String, Vec<f32>)>,
}

impl From<&ModelProto> for Rounded {
    /// As it is written.
    fn from(model: &ModelProto) -> Self {
        Self {
            model: model.clone(),
            otherwise: Vec::new(),
        }
    }
}

impl Rounded {
    /// For each number of `y`, how far each weight moves it that may be rounded otherwise.
    fn either_way(&self, y: &[f32]) -> Vec<Vec<f32>> {
        let moved = self.otherwise.iter().map(|(name, values)| {
            let mut model = self.model.clone();
            let mut tensors = model.graph.iter_mut().flat_map(|graph| &mut graph.initializer);
            let tensor = tensors.find(|tensor| tensor.name() == name).unwrap();
            let dims: Vec<usize> = tensor.dims.iter().map(|size| usize::try_from(*size).unwrap()).collect();
            *tensor = float_tensor(name, &dims, values);
            let other = self::values(&model, &["y"]).remove(0);
            let pairs = other.floats().unwrap().iter().zip(y);
            pairs.map(|(other, y)| (other - y).abs()).collect()
        });
        moved.collect()
    }
}

/// For each number of the output `y`, how far it may be from what `model` makes of it.
pub(super) fn allowed(rounded: &Rounded, products: Products) -> Vec<f32> {
    let model = &rounded.model;
    let graph = model.graph.as_ref().unwrap();
    let constants = initializers(graph);
    let y = values(model, &["y"]).remove(0);
    let largest = y.floats().unwrap().iter().fold(0.0_f32, |most, y| most.max(y.abs()));
    let mut allowed = vec![ROUNDING * largest; y.len()];
    for moved in rounded.either_way(y.floats().unwrap()) {
        add(&mut allowed, &moved);
    }
    for at_border in at_borders(model, &constants) {
        add(&mut allowed, &at_border);
    }
    for moved in graph.node.iter().filter_map(|node| gates::approximated(model, node)) {
        add(&mut allowed, &moved);
    }
    for node in graph.node.iter().filter(|_| products == Products::Fast) {
        if let Some(rounded) = rounded_inputs(model, node) {
            add(&mut allowed, &rounded);
        }
    }
    allowed
}

fn add(sums: &mut [f32], others: &[f32]) {
    assert_eq!(sums.len(), others.len());
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}

/// Values of the graph as it is written.
fn values(model: &ModelProto, names: &[&str]) -> Vec<Tensor> {
    run(model, &inputs(), names)
}

/// A value of the graph as it is written, or a constant of floats.
pub(super) fn value_or_constant(model: &ModelProto, name: &str) -> Tensor {
    let constants = model.graph.iter().flat_map(|graph| &graph.initializer);
    let Some(tensor) = constants.into_iter().find(|tensor| tensor.name() == name) else {
        return values(model, &[name]).remove(0);
    };
    let dims: Vec<usize> = tensor.dims.iter().map(|size| usize::try_from(*size).unwrap()).collect();
    Tensor::from_shape(&dims, float_values(tensor).unwrap().to_vec()).unwrap()
}

pub(super) fn run(model: &ModelProto, inputs: &[(String, Tensor)], names: &[&str]) -> Vec<Tensor> {
    let engine = EngineChoice::Rten.load(encode(model).unwrap()).unwrap();
    let options = RunOptions {
        unoptimized: true,
        ..RunOptions::default()
    };
    engine.run_with(&by_name(inputs), names, options).unwrap()
}

/// For each value that lies at the border of two grid points, and for all of a tensor together: by how much the outputs change when they
/// fall on the other side.
fn at_borders(model: &ModelProto, constants: &Constants<'_>) -> Vec<Vec<f32>> {
    let graph = model.graph.as_ref().unwrap();
    let grids = graph.node.iter().enumerate().filter_map(|(number, node)| {
        let step = match constants.get(node.input.get(1)?.as_str())?.as_slice() {
            [step] => *step,
            _ => return None,
        };
        (node.op_type() == "QuantizeLinear").then(|| Grid {
            node: number,
            value: node.input[0].clone(),
            step,
        })
    });
    let grids: Vec<Grid> = grids.collect();
    if grids.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<&str> = grids.iter().map(|grid| grid.value.as_str()).collect();
    names.push("y");
    let mut before = values(model, &names);
    let y = before.pop().unwrap();

    // The same graph with a number added to each value before it goes on its grid.
    let mut moved = model.clone();
    let mut moves = inputs();
    let of = moved.graph.as_mut().unwrap();
    for (number, (grid, value)) in grids.iter().zip(&before).enumerate().rev() {
        let (by, sum) = (format!("move{number}"), format!("moved{number}"));
        of.node[grid.node].input[0].clone_from(&sum);
        let add = node(
            "Add",
            format!("add{number}"),
            [grid.value.clone(), by.clone()],
            [sum],
            vec![],
        );
        of.node.insert(grid.node, add);
        let dims: Vec<i64> = value.shape().iter().map(|size| *size as i64).collect();
        of.input.push(float_value_info(&by, &dims));
        moves.push((by, Tensor::from_shape(value.shape(), vec![0.0; value.len()]).unwrap()));
    }
    let engine = EngineChoice::Rten.load(encode(&moved).unwrap()).unwrap();
    let options = RunOptions {
        unoptimized: true,
        ..RunOptions::default()
    };
    let mut effects = Vec::new();
    for (number, (grid, value)) in grids.iter().zip(&before).enumerate() {
        let place = moves
            .iter()
            .position(|(name, _)| *name == format!("move{number}"))
            .unwrap();
        let still = moves[place].1.clone();
        let at_border = |x: &f32| {
            let steps = x / grid.step;
            ((steps - steps.floor()) - 0.5).abs() <= AT_BORDER
        };
        let elements = value.floats().unwrap().iter().enumerate();
        let elements: Vec<usize> = elements
            .filter(|(_, x)| at_border(x))
            .map(|(element, _)| element)
            .collect();
        // One at a time; and all together, of which none alone need carry a value behind them over a border: up, down, to the even code and to
        // the odd one.
        let to_even = |element: usize| {
            let below = (value.floats().unwrap()[element] / grid.step).floor();
            if below % 2.0 == 0.0 { -1.0 } else { 1.0 }
        };
        let signs: [&dyn Fn(usize) -> f32; 4] = [&|_| 1.0, &|_| -1.0, &to_even, &|element| -to_even(element)];
        let together = (elements.len() > 1).then_some((elements.as_slice(), &signs[..]));
        for (moved, signs) in elements.chunks(1).map(|one| (one, &signs[..2])).chain(together) {
            let mut effect = vec![0.0_f32; y.len()];
            for sign in signs {
                let mut some = vec![0.0; value.len()];
                for element in moved {
                    some[*element] = sign(*element) * 2.0 * AT_BORDER * grid.step;
                }
                moves[place].1 = Tensor::from_shape(value.shape(), some).unwrap();
                let other = engine.run_with(&by_name(&moves), &["y"], options).unwrap().remove(0);
                let pairs = other.floats().unwrap().iter().zip(y.floats().unwrap());
                for (most, (other, y)) in effect.iter_mut().zip(pairs) {
                    *most = most.max((other - y).abs());
                }
            }
            effects.push(effect);
        }
        moves[place].1 = still;
    }
    effects
}

/// Inputs that the fast kernel rounds together where the weights have one scale, or one a channel.
const USUAL_BLOCK: i64 = 32;

/// Where `product` makes the output `y` with integer weights, which onnxruntime's fast kernel computes with its inputs on 8 bits, block
/// by block: each input moves by at most half a step, 1/254 of the largest of its block.
fn rounded_inputs(model: &ModelProto, product: &NodeProto) -> Option<Vec<f32>> {
    let graph = model.graph.as_ref()?;
    let dequantize = made_by(graph, product.input.get(1)?)?;
    let block = usize::try_from(attribute_int(dequantize, "block_size").unwrap_or(USUAL_BLOCK)).ok()?;
    if !matches!(product.op_type(), "MatMul" | "Gemm") || dequantize.op_type() != "DequantizeLinear" {
        return None;
    }
    let behind = graph.node.iter().find(|node| node.input.contains(&product.output[0]));
    let makes_y =
        product.output[0] == "y" || behind.is_some_and(|node| node.op_type() == "Add" && node.output[0] == "y");
    assert!(
        makes_y,
        "a product in blocks that is not the last layer: its error is not followed"
    );
    let [x, weight] = <[Tensor; 2]>::try_from(values(model, &[&product.input[0], &product.input[1]])).ok()?;
    let by_column = attribute_int(product, "transB") == Some(1);
    let [depth, columns] = match *weight.shape() {
        [columns, depth] if by_column => [depth, columns],
        [depth, columns] => [depth, columns],
        _ => return None,
    };
    let (x, weight) = (x.floats()?, weight.floats()?);
    let weight = |k: usize, column: usize| {
        weight[if by_column {
            column * depth + k
        } else {
            k * columns + column
        }]
    };
    let rows = x.chunks(depth).map(|row| {
        let largest: Vec<f32> = (row.chunks(block))
            .map(|block| block.iter().fold(0.0_f32, |most, x| most.max(x.abs())))
            .collect();
        let of_column = move |column: usize| -> f32 {
            let moved = (0..depth).map(|k| weight(k, column).abs() * largest[k / block] / 254.0);
            moved.sum()
        };
        (0..columns).map(of_column).collect::<Vec<f32>>()
    });
    Some(rows.flatten().collect())
}
