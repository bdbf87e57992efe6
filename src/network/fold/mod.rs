//! Batch-norm folding: a normalization with fixed statistics is a scale and a shift of each channel, and the layer before
//! it can do both with its own weight and bias.

mod arithmetic;

#[cfg(test)]
mod tests;

use super::{Network, NetworkError, Preparation};
use crate::onnx::build::{attribute_float, attribute_int, is_standard_domain, opset_version};
use crate::onnx::schema::data_type;
use crate::onnx::{FloatData, GraphEdit, NodeProto, TensorProto, float_values};
use arithmetic::{Channels, Normalization};

/// Epsilon of a `BatchNormalization` that gives none (ONNX operator set).
const DEFAULT_EPSILON: f32 = 1e-5;

/// End of the names of new constants.
const FOLDED: &str = "folded";

/// The same function with every `BatchNormalization` that directly follows a Conv, ConvTranspose or Gemm (and is that
/// node's only reader) folded into its weight and bias: `W' = W g / sqrt(v + eps)`, `b' = (b - m) g / sqrt(v + eps) + B`,
/// computed in f64. Layer names, order and input values stay; the folded node's output keeps the name that the
/// batch-norm's output had.
///
/// Left as they are: batch-norms that train, whose parameters or whose layer's weight are not plain F32 constants, or
/// that stand inside a subgraph (whose layers are looked at only).
///
/// # Errors
/// [`NetworkError`] when a weight or a batch-norm parameter cannot be read.
pub fn fold_batch_norm(network: &Network) -> Result<Network, NetworkError> {
    // Before operator set 7 a batch-norm's attributes say otherwise whether it trains.
    let known = opset_version(&network.model).is_some_and(|version| version >= 7);
    let Some(graph) = network.model.graph.as_ref().filter(|_| known) else {
        return Ok(network.clone());
    };
    let norms: Vec<usize> = (0..graph.node.len())
        .filter(|&position| is_inference_norm(&graph.node[position]))
        .collect();
    if norms.is_empty() {
        return Ok(network.clone());
    }
    let count = norms.len();
    let mut edit = GraphEdit::new(network.model.as_ref().clone());
    let mut preparation = network.preparation.as_ref().clone();
    let mut folded = 0;
    for norm in norms {
        if let Some(fold) = Fold::find(&edit, norm)? {
            folded += 1;
            fold.carry_out(&mut edit, network, &mut preparation);
        }
    }
    preparation
        .steps
        .push(format!("folded {folded} of {count} batch-norms into the layer before"));
    network.prepared(edit.finish(), preparation)
}

fn is_inference_norm(node: &NodeProto) -> bool {
    node.op_type() == "BatchNormalization"
        && is_standard_domain(node.domain())
        && node.input.len() == 5
        && node.output.iter().skip(1).all(String::is_empty)
        && attribute_int(node, "training_mode").unwrap_or(0) == 0
        && attribute_int(node, "spatial").unwrap_or(1) == 1
}

/// A batch-norm that can go, the layer before it, and what that layer's constants become.
struct Fold {
    norm: usize,
    layer: usize,
    weight: Vec<f32>,
    weight_dims: Vec<i64>,
    bias: Vec<f32>,
    /// Mean and deviation of each channel behind the batch-norm, if the data are like those of its training.
    normalized: Vec<[f32; 2]>,
}

impl Fold {
    /// How batch-norm `norm` folds; `None` if it has to stay.
    fn find(edit: &GraphEdit, norm: usize) -> Result<Option<Self>, NetworkError> {
        let Some((norm_node, value)) = edit.node(norm).and_then(|node| Some((node, node.input.first()?))) else {
            return Ok(None);
        };
        let maker = edit.maker(value).filter(|_| edit.uses(value) == 1);
        let Some((layer, node)) = maker.and_then(|layer| Some((layer, edit.node(layer)?))) else {
            return Ok(None);
        };
        if !is_standard_domain(node.domain()) || node.output.len() != 1 {
            return Ok(None);
        }
        let Some(weight) = node.input.get(1).and_then(|name| plain_float(edit, name)) else {
            return Ok(None);
        };
        let Some(channels) = channels(node, weight) else {
            return Ok(None);
        };
        let Some(parameters) = parameters(edit, norm_node, channels.count())? else {
            return Ok(None);
        };
        let Some(bias) = bias(edit, node, channels.count())? else {
            return Ok(None);
        };
        let [gain, shift, mean, variance] = &parameters;
        let epsilon = attribute_float(norm_node, "epsilon").unwrap_or(DEFAULT_EPSILON);
        let Some(normalization) = Normalization::new(gain, shift, mean, variance, epsilon) else {
            return Ok(None);
        };
        let values = float_values(weight)?;
        let (Some(new_weight), Some(new_bias)) = (normalization.weight(&values, channels), normalization.bias(&bias))
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            norm,
            layer,
            weight_dims: weight.dims.clone(),
            weight: new_weight,
            bias: new_bias,
            normalized: shift
                .iter()
                .zip(gain.iter())
                .map(|(&mean, gain)| [mean, gain.abs()])
                .collect(),
        }))
    }

    fn carry_out(self, edit: &mut GraphEdit, network: &Network, preparation: &mut Preparation) {
        if let Some(value) = edit.node(self.norm).and_then(|node| node.output.first()) {
            preparation.normalized.insert(value.clone(), self.normalized);
        }
        replace_weight(edit, network, self.layer, FOLDED, &self.weight_dims, &self.weight);
        let dims = [i64::try_from(self.bias.len()).unwrap_or(i64::MAX)];
        replace_bias(edit, self.layer, FOLDED, &dims, &self.bias);
        edit.bypass(self.norm, self.layer);
    }
}

/// Gives the layer of `network` whose node is at `position` a new weight. A layer without a node name is called after its
/// weight; if that gets another name because others still use it, the node takes the layer's.
pub(super) fn replace_weight(
    edit: &mut GraphEdit,
    network: &Network,
    position: usize,
    what: &str,
    dims: &[i64],
    values: &[f32],
) {
    let renamed = edit.replace_constant(position, 1, what, dims, values);
    if renamed
        && let Some(node) = edit.node_mut(position).filter(|node| node.name().is_empty())
        && let Some(layer) = network.layers_of_main_node(position).first()
    {
        node.name = Some(network.layers[*layer].name.clone());
    }
}

/// Gives the layer whose node is at `position` a new bias, as it is added: a Gemm's factor of the bias is in it.
pub(super) fn replace_bias(edit: &mut GraphEdit, position: usize, what: &str, dims: &[i64], bias: &[f32]) {
    edit.replace_constant(position, 2, what, dims, bias);
    if edit.node(position).is_some_and(|node| node.op_type() == "Gemm") {
        edit.remove_attribute(position, "beta");
    }
}

/// The F32 constant `name`, used as it is stored.
pub(super) fn plain_float<'a>(edit: &'a GraphEdit, name: &str) -> Option<&'a TensorProto> {
    edit.constant(name)
        .filter(|tensor| tensor.data_type() == data_type::FLOAT)
}

/// Where the output channels of the weight of `node` are; `None` for an operator or a shape that does not fold.
fn channels(node: &NodeProto, weight: &TensorProto) -> Option<Channels> {
    let sizes: Vec<usize> = weight
        .dims
        .iter()
        .map(|&size| usize::try_from(size).ok())
        .collect::<Option<_>>()?;
    if sizes.contains(&0) {
        return None;
    }
    let kernel = |rest: &[usize]| rest.iter().try_fold(1_usize, |all, &size| all.checked_mul(size));
    match (node.op_type(), sizes.as_slice()) {
        ("Conv", [outputs, rest @ ..]) if rest.len() >= 2 => Some(Channels::Rows {
            count: *outputs,
            length: kernel(rest)?,
        }),
        ("ConvTranspose", [inputs, outputs, rest @ ..]) if !rest.is_empty() => {
            let groups = usize::try_from(attribute_int(node, "group").unwrap_or(1)).ok()?;
            if groups == 0 || !inputs.is_multiple_of(groups) {
                return None;
            }
            Some(Channels::Transposed {
                groups,
                inputs: inputs / groups,
                outputs: *outputs,
                kernel: kernel(rest)?,
            })
        }
        ("Gemm", [rows, columns]) if attribute_int(node, "transB").unwrap_or(0) != 0 => Some(Channels::Rows {
            count: *rows,
            length: *columns,
        }),
        ("Gemm", [_, columns]) => Some(Channels::Columns { count: *columns }),
        _ => None,
    }
}

/// Scale, B, mean and variance of a batch-norm over `count` channels.
fn parameters(edit: &GraphEdit, norm: &NodeProto, count: usize) -> Result<Option<[FloatData; 4]>, NetworkError> {
    let mut found = Vec::with_capacity(4);
    for name in &norm.input[1..] {
        let Some(tensor) = plain_float(edit, name) else {
            return Ok(None);
        };
        let values = float_values(tensor)?;
        if values.len() != count {
            return Ok(None);
        }
        found.push(values);
    }
    Ok(found.try_into().ok())
}

/// The bias of a layer of `count` output channels, as it is added: zeros if it has none, `None` if it is no constant or
/// not one number a channel.
pub(super) fn bias(edit: &GraphEdit, node: &NodeProto, count: usize) -> Result<Option<Vec<f64>>, NetworkError> {
    let Some(name) = node.input.get(2).filter(|name| !name.is_empty()) else {
        return Ok(Some(vec![0.0; count]));
    };
    let Some(tensor) = plain_float(edit, name) else {
        return Ok(None);
    };
    let values = float_values(tensor)?;
    let is_gemm = node.op_type() == "Gemm";
    let factor = match attribute_float(node, "beta") {
        Some(beta) if is_gemm => f64::from(beta),
        _ => 1.0,
    };
    // Gemm broadcasts: [O], [1, O] or a single number; a bias for each row cannot be one for each channel.
    let last = tensor.dims.last().and_then(|&size| usize::try_from(size).ok());
    Ok(match values.len() {
        1 if is_gemm => Some(vec![f64::from(values[0]) * factor; count]),
        length if length == count && last == Some(count) => {
            Some(values.iter().map(|&value| f64::from(value) * factor).collect())
        }
        _ => None,
    })
}
