//! What is known of the values of a graph before it is changed: element types, shapes, constants, who is read.

use super::build::{attribute_int, attribute_ints, attribute_tensor, is_standard_domain};
use super::schema::{data_type, tensor_shape_proto, type_proto};
use super::{GraphProto, NodeProto, TensorProto, ValueInfoProto, each_read, element_count};
use std::collections::{HashMap, HashSet};

/// Sizes of the axes, `None` where one is free.
type Shape = Vec<Option<i64>>;

#[derive(Clone, Default)]
struct Fact {
    element_type: Option<i32>,
    shape: Option<Shape>,
}

/// Facts about the values of a graph; what a subgraph doesn't know, the graph around it may.
pub(super) struct Facts<'outer> {
    outer: Option<&'outer Facts<'outer>>,
    values: HashMap<String, Fact>,
    /// Small constants that no caller can override.
    constants: HashMap<String, TensorProto>,
    /// Constants of bytes of any size that no caller can override: they lie where they lay.
    codes: HashMap<String, TensorProto>,
    read: HashSet<String>,
    /// Values of nodes that keep them between bounds.
    bounded: HashSet<String>,
    /// Values that a node of the same graph rounds.
    rounded: HashSet<String>,
}

impl<'outer> Facts<'outer> {
    pub(super) fn of(graph: &GraphProto, outer: Option<&'outer Facts<'outer>>) -> Self {
        Self::told(graph, outer, &graph.output)
    }

    /// What follows from the nodes and the values between them, whatever is declared of the outputs.
    pub(super) fn computed(graph: &GraphProto) -> Self {
        Self::told(graph, None, &[])
    }

    fn told(graph: &GraphProto, outer: Option<&'outer Facts<'outer>>, outputs: &[ValueInfoProto]) -> Self {
        let mut facts = Self {
            outer,
            values: HashMap::new(),
            constants: HashMap::new(),
            codes: HashMap::new(),
            read: HashSet::new(),
            bounded: HashSet::new(),
            rounded: HashSet::new(),
        };
        facts.gather_read(graph);
        let inputs: HashSet<&str> = graph.input.iter().map(ValueInfoProto::name).collect();
        for tensor in &graph.initializer {
            facts.values.insert(tensor.name().to_owned(), Fact::of_tensor(tensor));
            if inputs.contains(tensor.name()) {
                continue;
            }
            if is_small(tensor) {
                facts.constants.insert(tensor.name().to_owned(), tensor.clone());
            } else if tensor.raw_data.is_some() && matches!(tensor.data_type(), data_type::INT8 | data_type::UINT8) {
                facts.codes.insert(tensor.name().to_owned(), tensor.clone());
            }
        }
        let infos = graph.input.iter().chain(outputs).chain(&graph.value_info);
        for info in infos {
            facts.learn(info.name(), Fact::of_info(info));
        }
        for node in &graph.node {
            facts.learn_node(node);
        }
        facts
    }

    /// Sizes of the axes of a value, if their number is known.
    pub(super) fn shape(&self, name: &str) -> Option<&[Option<i64>]> {
        let own = self.values.get(name).and_then(|fact| fact.shape.as_deref());
        own.or_else(|| self.outer?.shape(name))
    }

    /// Number of axes of a value, if known.
    pub(super) fn rank(&self, name: &str) -> Option<usize> {
        self.shape(name).map(<[_]>::len)
    }

    /// Element type of a value, if known.
    pub(super) fn element_type(&self, name: &str) -> Option<i32> {
        let own = self.values.get(name).and_then(|fact| fact.element_type);
        own.or_else(|| self.outer?.element_type(name))
    }

    /// The tensor of that name, if it is a constant of a few elements.
    pub(super) fn constant(&self, name: &str) -> Option<&TensorProto> {
        self.constants.get(name).or_else(|| self.outer?.constant(name))
    }

    /// The tensor of that name, if it is a constant of bytes, of however many.
    pub(super) fn codes(&self, name: &str) -> Option<&TensorProto> {
        let own = self.constants.get(name).or_else(|| self.codes.get(name));
        own.or_else(|| self.outer?.codes(name))
    }

    /// Whether a node, here or in a subgraph, or the caller reads the value.
    pub(super) fn is_read(&self, name: &str) -> bool {
        self.read.contains(name)
    }

    fn gather_read(&mut self, graph: &GraphProto) {
        self.read
            .extend(graph.output.iter().map(|output| output.name().to_owned()));
        for node in &graph.node {
            each_read(node, &mut |name| {
                if !name.is_empty() {
                    self.read.insert(name.to_owned());
                }
            });
        }
    }

    /// Whether its node keeps the value between bounds.
    pub(super) fn is_bounded(&self, name: &str) -> bool {
        self.bounded.contains(name) || self.outer.is_some_and(|outer| outer.is_bounded(name))
    }

    /// Whether a node of this graph rounds the value to whole numbers.
    pub(super) fn is_rounded(&self, name: &str) -> bool {
        self.rounded.contains(name)
    }

    /// Adds what isn't known yet.
    fn learn(&mut self, name: &str, fact: Fact) {
        let known = self.values.entry(name.to_owned()).or_default();
        known.element_type = known.element_type.or(fact.element_type);
        if known.shape.is_none() {
            known.shape = fact.shape;
        }
    }

    /// Follows ranks and element types through the operators that commonly stand before one whose rule needs them.
    fn learn_node(&mut self, node: &NodeProto) {
        let Some(output) = node.output.first().filter(|_| is_standard_domain(node.domain())) else {
            return;
        };
        match (node.op_type(), node.input.as_slice()) {
            ("Clip", [_, low, high]) if !low.is_empty() && !high.is_empty() => {
                self.bounded.insert(output.clone());
            }
            ("HardSigmoid" | "Sigmoid" | "Softmax" | "Tanh", _) => {
                self.bounded.insert(output.clone());
            }
            ("Cast" | "Ceil" | "Floor" | "Round", [rounded, ..]) => {
                self.rounded.insert(rounded.clone());
            }
            _ => {}
        }
        if let Some(tensor) =
            attribute_tensor(node, "value").filter(|tensor| node.op_type() == "Constant" && is_small(tensor))
        {
            self.constants.insert(output.clone(), tensor.clone());
        }
        let fact = self.infer(node);
        self.learn(output, fact);
        if node.op_type() == "DynamicQuantizeLinear" {
            // One scale and one zero point for the whole input.
            for (name, element_type) in node.output[1..].iter().zip([data_type::FLOAT, data_type::UINT8]) {
                let shape = Some(Vec::new());
                let element_type = Some(element_type);
                self.learn(name, Fact { element_type, shape });
            }
        }
    }

    fn infer(&self, node: &NodeProto) -> Fact {
        let input = |i: usize| node.input.get(i).map(String::as_str).unwrap_or_default();
        let shape = |i: usize| self.shape(input(i)).map(<[_]>::to_vec);
        let any = |rank: usize| vec![None; rank];
        let rank = |i: usize| self.rank(input(i)).map(any);
        let broadcast = || broadcast(self.shape(input(0))?, self.shape(input(1))?);
        let over_all = || !has_axes(node) && attribute_int(node, "noop_with_empty_axes").unwrap_or(0) == 0;
        // As many axes as a constant list has elements.
        let rank_from_length = |i: usize| {
            let length = self.shape(input(i))?.first().copied().flatten()?;
            usize::try_from(length).ok().filter(|rank| *rank <= 64).map(any)
        };
        // How many axes an attribute lists, or an input of a known length.
        let axes_told = |slot: usize| match attribute_ints(node, "axes") {
            Some(axes) => Some(axes.len()),
            None => rank_from_length(slot).map(|shape| shape.len()),
        };
        let same = self.element_type(input(0));
        let (element_type, shape) = match node.op_type() {
            "Constant" => return attribute_tensor(node, "value").map(Fact::of_tensor).unwrap_or_default(),
            "ConstantOfShape" => {
                let value = attribute_tensor(node, "value").and_then(|value| value.data_type);
                (value.or(Some(data_type::FLOAT)), rank_from_length(0))
            }
            "Cast" => (
                attribute_int(node, "to").and_then(|to| i32::try_from(to).ok()),
                shape(0),
            ),
            "DynamicQuantizeLinear" => (Some(data_type::UINT8), shape(0)),
            // The type of the zero point, which is UINT8 where it is left out and no attribute says otherwise.
            "QuantizeLinear" => {
                let told = attribute_int(node, "output_dtype").and_then(|told| i32::try_from(told).ok());
                let left_out = told.filter(|told| *told != 0).or(Some(data_type::UINT8));
                let element_type = if input(2).is_empty() {
                    left_out
                } else {
                    self.element_type(input(2))
                };
                (element_type, shape(0))
            }
            "Shape" => {
                let length = self.rank(input(0)).and_then(|rank| i64::try_from(rank).ok());
                (Some(data_type::INT64), Some(vec![length]))
            }
            "Abs"
            | "BatchNormalization"
            | "Clip"
            | "Dropout"
            | "Elu"
            | "Exp"
            | "Identity"
            | "InstanceNormalization"
            | "LRN"
            | "LeakyRelu"
            | "Log"
            | "Neg"
            | "Relu"
            | "Selu"
            | "Sigmoid"
            | "Softplus"
            | "Sqrt"
            | "Tanh"
            | "Softmax"
            | "LogSoftmax" => (same, shape(0)),
            "Concat" => (same, self.joined(node).or_else(|| rank(0))),
            "AveragePool" | "Conv" | "ConvTranspose" | "CumSum" | "DepthToSpace" | "MaxPool" | "Pad" | "Resize"
            | "ScatterElements" | "ScatterND" | "Slice" | "SpaceToDepth" | "Split" | "Tile" | "TopK" | "Transpose"
            | "Trilu" | "Upsample" => (same, rank(0)),
            // As many as the list of indices has.
            "GatherElements" => (same, rank(1)),
            "Gather" => {
                let ranks = self.rank(input(0)).zip(self.rank(input(1)));
                (same, ranks.and_then(|(data, of)| (data + of).checked_sub(1)).map(any))
            }
            "GRU" | "LSTM" | "RNN" => (same, Some(any(4))),
            "Range" => (same, Some(any(1))),
            "NonZero" => (Some(data_type::INT64), Some(any(2))),
            "Size" => (Some(data_type::INT64), Some(Vec::new())),
            "ArgMax" | "ArgMin" => {
                let is_kept = attribute_int(node, "keepdims").unwrap_or(1) != 0;
                let less = self
                    .rank(input(0))
                    .and_then(|rank| rank.checked_sub(usize::from(!is_kept)));
                (Some(data_type::INT64), less.map(any))
            }
            "Equal" | "Greater" | "GreaterOrEqual" | "Less" | "LessOrEqual" | "And" | "Or" | "Xor" => {
                (Some(data_type::BOOL), broadcast())
            }
            "IsInf" | "IsNaN" | "Not" => (Some(data_type::BOOL), shape(0)),
            "Where" => {
                let ranks = [0, 1, 2].map(|slot| self.rank(input(slot)));
                let most = ranks.into_iter().try_fold(0, |most, rank| Some(rank?.max(most)));
                (self.element_type(input(1)), most.map(any))
            }
            "Expand" => {
                let asked = rank_from_length(1).map(|shape| shape.len());
                let ranks = self.rank(input(0)).zip(asked);
                (same, ranks.map(|(own, asked)| any(own.max(asked))))
            }
            "GlobalAveragePool" | "GlobalMaxPool" => {
                let mut pooled = shape(0);
                pooled.iter_mut().flatten().skip(2).for_each(|size| *size = Some(1));
                (same, pooled)
            }
            "Flatten" | "Gemm" => (same, Some(any(2))),
            "Add" | "Sub" | "Mul" | "Div" => (same, broadcast()),
            "Max" | "Min" if node.input.len() == 2 => (same, broadcast()),
            operator if operator.starts_with("Reduce") && over_all() => {
                let keeps = attribute_int(node, "keepdims").unwrap_or(1) != 0;
                let kept = || shape(0).map(|axes| vec![Some(1); axes.len()]);
                (same, if keeps { kept() } else { Some(Vec::new()) })
            }
            operator if operator.starts_with("Reduce") && attribute_int(node, "keepdims") != Some(0) => (same, rank(0)),
            "MatMul" => (
                same,
                (broadcast().map(|shape| any(shape.len())))
                    .filter(|_| self.rank(input(0)) > Some(1) && self.rank(input(1)) > Some(1)),
            ),
            "Reshape" => (same, rank_from_length(1)),
            "Unsqueeze" => {
                let more = axes_told(1).unwrap_or(0);
                let shape = rank(0).filter(|_| more > 0).map(|shape| match shape.len() {
                    0 => vec![Some(1); more],
                    axes => any(axes + more),
                });
                (same, shape)
            }
            "Squeeze" => {
                let less = axes_told(1).filter(|less| *less > 0);
                let left = rank(0).and_then(|shape| shape.len().checked_sub(less?));
                (same, left.map(any))
            }
            // Types that do not follow the first input.
            "If" | "Loop" | "OneHot" | "Scan" | "DequantizeLinear" | "SequenceAt" => (None, None),
            _ => (same, None),
        };
        Fact { element_type, shape }
    }

    /// The shape of tensors one behind the other; an axis is known where one of them tells it, that along which they lie where all do.
    fn joined(&self, node: &NodeProto) -> Option<Shape> {
        let shapes: Option<Vec<&[Option<i64>]>> = node.input.iter().map(|name| self.shape(name)).collect();
        let (first, rest) = shapes.as_deref()?.split_first()?;
        let rank = i64::try_from(first.len()).ok()?;
        let axis = attribute_int(node, "axis")?;
        let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).ok()?;
        let mut joined = first.to_vec();
        for shape in rest.iter().filter(|shape| shape.len() == first.len()) {
            for (at, (own, other)) in joined.iter_mut().zip(shape.iter()).enumerate() {
                *own = if at == axis {
                    own.zip(*other).and_then(|(own, other)| own.checked_add(other))
                } else {
                    own.or(*other)
                };
            }
        }
        Some(joined)
    }
}

/// Whether a reduction is told its axes, by attribute or input.
fn has_axes(node: &NodeProto) -> bool {
    attribute_ints(node, "axes").is_some() || node.input.get(1).is_some_and(|axes| !axes.is_empty())
}

/// The shape of what an operator makes of two tensors element by element; an axis is known where both are.
fn broadcast(a: &[Option<i64>], b: &[Option<i64>]) -> Option<Shape> {
    let rank = a.len().max(b.len());
    let size = |shape: &[Option<i64>], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(axis) => shape[axis],
        None => Some(1),
    };
    let axes = (0..rank).map(|axis| match (size(a, axis), size(b, axis)) {
        (Some(1), other) | (other, Some(1)) => other,
        (a, b) => a.or(b),
    });
    Some(axes.collect())
}

/// Whether the tensor may hold parameters of an operator rather than weights.
fn is_small(tensor: &TensorProto) -> bool {
    element_count(tensor).is_ok_and(|count| count <= 64)
}

impl Fact {
    fn of_tensor(tensor: &TensorProto) -> Self {
        Self {
            element_type: tensor.data_type,
            shape: Some(tensor.dims.iter().copied().map(Some).collect()),
        }
    }

    fn of_info(info: &ValueInfoProto) -> Self {
        let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|kind| kind.value.as_ref())
        else {
            return Self::default();
        };
        let size = |dimension: &tensor_shape_proto::Dimension| match dimension.value {
            Some(tensor_shape_proto::Value::DimValue(size)) if size >= 0 => Some(size),
            _ => None,
        };
        Self {
            element_type: tensor.elem_type.filter(|kind| *kind != 0),
            shape: tensor.shape.as_ref().map(|shape| shape.dim.iter().map(size).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::build::{Axis, i64_tensor, int_attribute, node, value_info};
    use super::*;

    #[test]
    fn ranks_and_types_follow_from_what_operators_do() {
        let no_axis = || vec![int_attribute("keepdims", 0)];
        let nodes = vec![
            node("Shape", "", ["x"], ["sizes"], vec![]),
            node("Size", "", ["x"], ["count"], vec![]),
            node("Range", "", ["zero", "count", "one"], ["steps"], vec![]),
            node("ConstantOfShape", "", ["sizes"], ["zeros"], vec![]),
            node("Gather", "", ["x", "steps"], ["rows"], vec![]),
            node("Gather", "", ["x", "zero"], ["row"], vec![]),
            node("NonZero", "", ["x"], ["places"], vec![]),
            node("GreaterOrEqual", "", ["x", "zeros"], ["above"], vec![]),
            node("Where", "", ["above", "x", "zero"], ["chosen"], vec![]),
            node("Expand", "", ["x", "larger"], ["expanded"], vec![]),
            node("ArgMax", "", ["x"], ["best"], no_axis()),
            node("Squeeze", "", ["expanded", "axis"], ["squeezed"], vec![]),
            node("Unsqueeze", "", ["row", "axis"], ["unsqueezed"], vec![]),
            node("ReduceSum", "", ["x", "axis"], ["kept"], vec![]),
            node("ReduceSum", "", ["x", "axis"], ["gone"], no_axis()),
        ];
        let graph = GraphProto {
            node: nodes,
            initializer: vec![
                i64_tensor("zero", &[], &[0]),
                i64_tensor("one", &[], &[1]),
                i64_tensor("axis", &[1], &[0]),
                i64_tensor("larger", &[3], &[5, 2, 3]),
            ],
            input: vec![value_info("x", data_type::FLOAT, &[Axis::Free("n"), Axis::Size(3)])],
            ..GraphProto::default()
        };
        let facts = Facts::of(&graph, None);
        let known = |name: &str| (facts.rank(name), facts.element_type(name));
        let (float, int64) = (Some(data_type::FLOAT), Some(data_type::INT64));
        assert_eq!(known("steps"), (Some(1), int64));
        assert_eq!(known("count"), (Some(0), int64));
        assert_eq!(known("zeros"), (Some(2), float));
        assert_eq!((known("rows"), known("row")), ((Some(2), float), (Some(1), float)));
        assert_eq!(known("places"), (Some(2), int64));
        assert_eq!(known("above"), (Some(2), Some(data_type::BOOL)));
        assert_eq!(known("chosen"), (Some(2), float));
        assert_eq!(known("expanded"), (Some(3), float));
        assert_eq!(known("best"), (Some(1), int64));
        assert_eq!((known("squeezed").0, known("unsqueezed").0), (Some(2), Some(2)));
        assert_eq!((known("kept").0, known("gone").0), (Some(2), None));
    }
}
