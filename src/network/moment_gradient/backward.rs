//! A gradient being written: the nodes and constants so far, and what readers of a value say of it (reverse accumulation).

use super::BatchNorm;
use crate::network::Shapes;
use crate::onnx::build::{float_tensor, i64_tensor, int_attribute, node, scalar_f32};
use crate::onnx::{AttributeProto, Graph, ModelProto, Names, NodeProto, TensorProto, numbers};
use std::collections::{HashMap, HashSet};

/// Added to variances of a batch, so that a channel that is the same everywhere divides by no zero.
const LEAST_VARIANCE: f32 = 1e-12;

/// A gradient being written. Every gradient has the shape of its value.
pub(super) struct Backward<'a> {
    graph: &'a Graph<'a>,
    shapes: &'a Shapes,
    /// Values that the input leads to: the others need no gradient.
    reached: &'a HashSet<&'a str>,
    names: Names,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    /// By value: what its readers say so far.
    gradients: HashMap<String, Vec<String>>,
    /// The distances of the batch-norms so far.
    distances: Vec<String>,
}

impl<'a> Backward<'a> {
    pub(super) fn new(
        model: &ModelProto,
        graph: &'a Graph<'a>,
        shapes: &'a Shapes,
        reached: &'a HashSet<&'a str>,
    ) -> Self {
        Self {
            graph,
            shapes,
            reached,
            names: Names::of(model),
            nodes: Vec::new(),
            constants: Vec::new(),
            gradients: HashMap::new(),
            distances: Vec::new(),
        }
    }

    /// The network's graph.
    pub(super) fn graph(&self) -> &'a Graph<'a> {
        self.graph
    }

    /// The shape of a value, where it is known.
    pub(super) fn shape(&self, value: &str) -> Option<&'a [usize]> {
        self.shapes.get(value).map(Vec::as_slice)
    }

    /// The numbers of the constant that `node` reads at `slot`.
    pub(super) fn constant_input(&self, node: &NodeProto, slot: usize) -> Option<Vec<f32>> {
        constant(self.graph, node.input.get(slot)?)
    }

    /// The same of whole numbers.
    pub(super) fn whole_input(&self, node: &NodeProto, slot: usize) -> Option<Vec<i64>> {
        Some(self.constant_input(node, slot)?.into_iter().map(|x| x as i64).collect())
    }

    /// Adds a node with one output, and gives that.
    pub(super) fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let output = self.names.fresh(&format!("moment_gradient.{op}"));
        self.nodes.push(node(
            op,
            output.as_str(),
            inputs.iter().copied(),
            [output.as_str()],
            attributes,
        ));
        output
    }

    /// Adds a constant of this shape.
    pub(super) fn floats(&mut self, shape: &[usize], values: &[f32]) -> String {
        let name = self.names.fresh("moment_gradient.constant");
        self.constants.push(float_tensor(name.as_str(), shape, values));
        name
    }

    /// Adds a constant that is one number.
    pub(super) fn number(&mut self, value: f32) -> String {
        let name = self.names.fresh("moment_gradient.constant");
        self.constants.push(scalar_f32(name.as_str(), value));
        name
    }

    /// Adds a constant list of whole numbers: axes, sizes, pads.
    pub(super) fn list(&mut self, values: &[i64]) -> String {
        let name = self.names.fresh("moment_gradient.constant");
        self.constants.push(i64_tensor(name.as_str(), &[values.len()], values));
        name
    }

    /// `value` times one number.
    pub(super) fn times(&mut self, value: &str, factor: f32) -> String {
        let factor = self.number(factor);
        self.node("Mul", &[value, &factor], Vec::new())
    }

    /// `value` in another shape.
    pub(super) fn reshaped(&mut self, value: &str, shape: &[usize]) -> String {
        let sizes: Vec<i64> = shape.iter().map(|size| *size as i64).collect();
        let sizes = self.list(&sizes);
        self.node("Reshape", &[value, &sizes], Vec::new())
    }

    /// The sum of `value` over `axes`, which stay with size 1.
    pub(super) fn sum(&mut self, value: &str, axes: &[i64]) -> String {
        let axes = self.list(axes);
        self.node("ReduceSum", &[value, &axes], vec![int_attribute("keepdims", 1)])
    }

    /// Notes `gradient` as what a reader of `value` says of it.
    pub(super) fn add(&mut self, value: &str, gradient: String) {
        self.gradients.entry(value.to_owned()).or_default().push(gradient);
    }

    /// Whether the input leads to `value`, so that its gradient is wanted.
    pub(super) fn wants(&self, value: &str) -> bool {
        self.reached.contains(value)
    }

    /// The gradient of `value`: the sum of what its readers say; `None` where none of them says anything.
    pub(super) fn gradient(&mut self, value: &str) -> Option<String> {
        let gradients = self.gradients.remove(value)?;
        let sum = self.total(gradients)?;
        self.gradients.insert(value.to_owned(), vec![sum.clone()]);
        Some(sum)
    }

    /// The sum of all distances.
    pub(super) fn distance(&mut self) -> Option<String> {
        let distances = std::mem::take(&mut self.distances);
        self.total(distances)
    }

    fn total(&mut self, values: Vec<String>) -> Option<String> {
        values
            .into_iter()
            .reduce(|sum, next| self.node("Add", &[&sum, &next], Vec::new()))
    }

    /// Measures how far the input of a batch-norm is from what it remembers, and notes the gradient of that.
    pub(super) fn measure(&mut self, node: &NodeProto, known: &BatchNorm) {
        let Some(x) = node.input.first().filter(|x| self.wants(x)) else {
            return;
        };
        let Some(shape) = self.shape(x).filter(|shape| shape.get(1) == Some(&known.mean.len())) else {
            return;
        };
        let channels = known.mean.len();
        let count = shape.iter().product::<usize>() as f32 / channels as f32;
        if count < 2.0 {
            return;
        }
        let axes: Vec<i64> = (0..shape.len() as i64).filter(|axis| *axis != 1).collect();
        let mut of_channels = vec![1; shape.len()];
        of_channels[1] = channels;
        // Mean and deviation of the batch.
        let sum = self.sum(x, &axes);
        let mean = self.times(&sum, 1.0 / count);
        let centred = self.node("Sub", &[x, &mean], Vec::new());
        let squares = self.node("Mul", &[&centred, &centred], Vec::new());
        let sum = self.sum(&squares, &axes);
        let variance = self.times(&sum, 1.0 / count);
        let least = self.number(LEAST_VARIANCE);
        let variance = self.node("Add", &[&variance, &least], Vec::new());
        let deviation = self.node("Sqrt", &[&variance], Vec::new());
        // How far they are from the remembered ones, weighed.
        let remembered = self.floats(&of_channels, &known.mean);
        let mean_off = self.node("Sub", &[&mean, &remembered], Vec::new());
        let remembered = self.floats(&of_channels, &known.deviation);
        let deviation_off = self.node("Sub", &[&deviation, &remembered], Vec::new());
        let weight: Vec<f32> = known.weight.iter().map(|weight| weight / channels as f32).collect();
        let weight = self.floats(&of_channels, &weight);
        let weighed_mean = self.node("Mul", &[&mean_off, &weight], Vec::new());
        let weighed_deviation = self.node("Mul", &[&deviation_off, &weight], Vec::new());
        let of_means = self.node("Mul", &[&mean_off, &weighed_mean], Vec::new());
        let of_deviations = self.node("Mul", &[&deviation_off, &weighed_deviation], Vec::new());
        let both = self.node("Add", &[&of_means, &of_deviations], Vec::new());
        let all = self.list(&(0..shape.len() as i64).collect::<Vec<_>>());
        let distance = self.node("ReduceSum", &[&both, &all], vec![int_attribute("keepdims", 0)]);
        self.distances.push(distance);
        // d mean / d x = 1 / count, d deviation / d x = (x - mean) / (count deviation).
        let slope = self.node("Div", &[&weighed_deviation, &deviation], Vec::new());
        let by_deviation = self.node("Mul", &[&slope, &centred], Vec::new());
        let both = self.node("Add", &[&by_deviation, &weighed_mean], Vec::new());
        let gradient = self.times(&both, 2.0 / count);
        self.add(x, gradient);
    }

    /// The nodes and constants that were written.
    pub(super) fn finish(self) -> (Vec<NodeProto>, Vec<TensorProto>) {
        (self.nodes, self.constants)
    }
}

/// The numbers of the constant called `name`.
pub(super) fn constant(graph: &Graph<'_>, name: &str) -> Option<Vec<f32>> {
    Some(numbers(graph.constant(name)?).ok()?.to_vec())
}
