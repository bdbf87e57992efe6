//! How far a batch of inputs is from what batch-norms remember of the training data, and which way it must change: a graph that
//! computes both.
//!
//! A batch-norm keeps mean and variance of each channel of its input. Inputs that reproduce them in the whole network look to it
//! like those that it was trained on (Cai et al., *ZeroQ*, CVPR 2020, section 3.1). The gradient is itself an ONNX graph, behind
//! the nodes of the network, so that any engine computes it.

mod backward;
mod operators;

#[cfg(test)]
mod tests;

use super::{Network, Shapes, shapes};
use crate::onnx::build::{Axis, attribute_float, attribute_int, is_standard_domain, value_info};
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, GraphProto, ModelProto, NodeProto, OnnxError, make_runnable};
use backward::Backward;
use std::collections::HashSet;

/// A graph that computes the distance of a batch from the statistics of the batch-norms, and its gradient.
pub struct MomentGradient {
    /// The network with the gradient behind it; takes the network's input.
    pub model: ModelProto,
    /// The value that is the distance, a single number: over all batch-norms the sum of the mean over the channels of
    /// `((m - mean)² + (s - deviation)²) / (variance + epsilon)`, with mean `m` and deviation `s` of the batch.
    pub distance: String,
    /// The value that is the gradient of the distance with respect to the input, in the input's shape.
    pub gradient: String,
}

/// Epsilon of a `BatchNormalization` that gives none (ONNX operator set).
const DEFAULT_EPSILON: f32 = 1e-5;

/// The graph for batches whose `input` has the `shape`; `None` for a network without batch-norms that the input leads to. Operators
/// that no gradient is known of pass none on: then it is that of the other ways to the input.
///
/// # Errors
/// [`OnnxError`] for a network that the engine refuses.
pub fn moment_gradient(network: &Network, input: &str, shape: &[usize]) -> Result<Option<MomentGradient>, OnnxError> {
    let mut model = network.runnable_model();
    make_runnable(&mut model)?;
    let Some(graph) = &model.graph else { return Ok(None) };
    let shapes = shapes(graph, &Shapes::from([(input.to_owned(), shape.to_vec())]));
    let index = Graph::main(graph);
    let reached = reached_from(graph, input);
    let mut backward = Backward::new(&model, &index, &shapes, &reached);
    for node in graph.node.iter().rev() {
        if let Some(known) = BatchNorm::of(node, &index) {
            backward.measure(node, &known);
        }
        operators::pass(&mut backward, node);
    }
    let (Some(distance), Some(gradient)) = (backward.distance(), backward.gradient(input)) else {
        return Ok(None);
    };
    let (nodes, constants) = backward.finish();
    let axes: Vec<Axis> = shape.iter().map(|size| Axis::Size(*size)).collect();
    let outputs = [(&distance, &[][..]), (&gradient, &axes)];
    let outputs = outputs.map(|(name, axes)| value_info(name, data_type::FLOAT, axes));
    let graph = model.graph.get_or_insert_default();
    graph.node.extend(nodes);
    graph.initializer.extend(constants);
    graph.output = outputs.to_vec();
    Ok(Some(MomentGradient {
        model,
        distance,
        gradient,
    }))
}

/// What a batch-norm remembers of its input, for each channel.
struct BatchNorm {
    /// `gain / sqrt(variance + epsilon)`.
    scale: Vec<f32>,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    /// `1 / (variance + epsilon)`.
    weight: Vec<f32>,
}

impl BatchNorm {
    /// That of a `BatchNormalization` with constant statistics.
    fn of(node: &NodeProto, graph: &Graph<'_>) -> Option<Self> {
        let training = attribute_int(node, "training_mode").unwrap_or(0) != 0;
        if node.op_type() != "BatchNormalization" || !is_standard_domain(node.domain()) || training {
            return None;
        }
        let constant = |slot: usize| backward::constant(graph, node.input.get(slot)?);
        let (gain, mean, variance) = (constant(1)?, constant(3)?, constant(4)?);
        let epsilon = attribute_float(node, "epsilon").unwrap_or(DEFAULT_EPSILON);
        let fits = gain.len() == mean.len() && mean.len() == variance.len() && epsilon > 0.0;
        let sound = gain.iter().chain(&mean).chain(&variance).all(|x| x.is_finite());
        (fits && sound && variance.iter().all(|x| *x >= 0.0)).then(|| Self {
            scale: (gain.iter().zip(&variance))
                .map(|(gain, variance)| gain / (variance + epsilon).sqrt())
                .collect(),
            deviation: variance.iter().map(|variance| variance.sqrt()).collect(),
            weight: variance.iter().map(|variance| 1.0 / (variance + epsilon)).collect(),
            mean,
        })
    }
}

/// The values that are computed from `input`, itself included.
fn reached_from<'a>(graph: &'a GraphProto, input: &'a str) -> HashSet<&'a str> {
    let mut reached = HashSet::from([input]);
    for node in &graph.node {
        if node.input.iter().any(|name| reached.contains(name.as_str())) {
            reached.extend(node.output.iter().map(String::as_str));
        }
    }
    reached
}
