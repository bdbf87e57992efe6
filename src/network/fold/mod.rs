//! Batch-norm folding: a normalization with fixed statistics is a scale and a shift of each channel, and the layer before
//! it can do both with its own weight and bias.

mod arithmetic;

#[cfg(test)]
mod tests;

use super::editor::Editor;
use super::{Network, NetworkError, Preparation};
use crate::onnx::build::{attribute_float, attribute_int, is_standard_domain, opset_version};
use crate::onnx::schema::data_type;
use crate::onnx::{FloatData, ModelProto, NodeProto, TensorProto, float_values};
use arithmetic::{Channels, Normalization};

/// Epsilon of a `BatchNormalization` that gives none (ONNX operator set).
const DEFAULT_EPSILON: f32 = 1e-5;

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
    let mut editor = Editor::new(graph, network.model.ir_version(), "folded");
    let mut preparation = network.preparation.as_ref().clone();
    let mut folded = 0;
    for norm in norms {
        if let Some(fold) = Fold::find(&editor, norm)? {
            folded += 1;
            fold.carry_out(&mut editor, network, &mut preparation);
        }
    }
    let graph = editor.finish();
    let model = ModelProto {
        graph: Some(graph),
        ..network.model.as_ref().clone()
    };
    preparation
        .steps
        .push(format!("folded {folded} of {count} batch-norms into the layer before"));
    network.prepared(model, preparation)
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
    fn find(editor: &Editor, norm: usize) -> Result<Option<Self>, NetworkError> {
        let norm_node = editor.node(norm);
        let value = &norm_node.input[0];
        let Some(layer) = editor.producer(value).filter(|_| editor.uses(value) == 1) else {
            return Ok(None);
        };
        let node = editor.node(layer);
        if !is_standard_domain(node.domain()) || node.output.len() != 1 {
            return Ok(None);
        }
        let Some(weight) = node.input.get(1).and_then(|name| plain_float(editor, name)) else {
            return Ok(None);
        };
        let Some(channels) = channels(node, weight) else {
            return Ok(None);
        };
        let Some(parameters) = parameters(editor, norm_node, channels.count())? else {
            return Ok(None);
        };
        let Some(bias) = bias(editor, node, channels.count())? else {
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

    fn carry_out(self, editor: &mut Editor, network: &Network, preparation: &mut Preparation) {
        if let Some(value) = editor.node(self.norm).output.first() {
            preparation.normalized.insert(value.clone(), self.normalized);
        }
        editor.replace_weight(network, self.layer, &self.weight_dims, &self.weight);
        let dims = [i64::try_from(self.bias.len()).unwrap_or(i64::MAX)];
        editor.replace_input(self.layer, 2, &dims, &self.bias);
        if editor.node(self.layer).op_type() == "Gemm" {
            // The factor of the bias is in the new bias.
            editor.remove_attribute(self.layer, "beta");
        }
        editor.bypass(self.norm, self.layer);
    }
}

/// The F32 constant `name`, used as it is stored.
pub(super) fn plain_float<'a>(editor: &'a Editor, name: &str) -> Option<&'a TensorProto> {
    editor
        .constant(name)
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
fn parameters(editor: &Editor, norm: &NodeProto, count: usize) -> Result<Option<[FloatData; 4]>, NetworkError> {
    let mut found = Vec::with_capacity(4);
    for name in &norm.input[1..] {
        let Some(tensor) = plain_float(editor, name) else {
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
pub(super) fn bias(editor: &Editor, node: &NodeProto, count: usize) -> Result<Option<Vec<f64>>, NetworkError> {
    let Some(name) = node.input.get(2).filter(|name| !name.is_empty()) else {
        return Ok(Some(vec![0.0; count]));
    };
    let Some(tensor) = plain_float(editor, name) else {
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
