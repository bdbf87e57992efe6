//! What the standard operators do to the channels, the scale and the values of their data input: one table.
//!
//! Equalization, the widening of split layers, data-free ranges and the export's grids ask here, so that an operator is
//! described once. Operators that are not in the table mix channels, or nothing is known of them.

use super::NodeProto;
use super::build::{attribute_int, is_standard_domain};
use std::ops::Range;

/// What an operator does to the channels of its data input, which are on one axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channels {
    /// Each element comes from the one in the same place; the shape stays.
    Elementwise,
    /// Likewise from the elements in the same place of two inputs, which are broadcast.
    Binary,
    /// Each channel of axis 1 by itself, over the axes behind it.
    Pool,
    /// Each channel of axis 1 by itself, with constants of one number a channel in these inputs.
    Normalize(Range<usize>),
    /// Axes from one on become a single one: a channel stays a run of neighbours.
    Flatten,
    /// Axes are taken out or reduced; those in front of them stay.
    Reduce {
        /// Whether the elements stay (the axes had one element).
        keeps_elements: bool,
    },
    /// Elements are put on a grid, or back: by one scale, or by one a channel.
    Quantize,
    /// Elements are moved about, repeated or left out.
    Move,
}

/// One operator of the standard operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its name.
    pub name: &'static str,
    /// What it does to channels.
    pub channels: Channels,
    /// Whether `f(s x) = s f(x)` for every s > 0.
    pub is_homogeneous: bool,
    /// Whether each output element is one of the input's elements (or, for a Relu or Clip, an end of its range): what lies on a
    /// grid with zero on it stays there.
    pub selects: bool,
}

const fn operator(name: &'static str, channels: Channels, is_homogeneous: bool, selects: bool) -> Operator {
    Operator {
        name,
        channels,
        is_homogeneous,
        selects,
    }
}

const fn elementwise(name: &'static str) -> Operator {
    operator(name, Channels::Elementwise, false, false)
}

const fn binary(name: &'static str) -> Operator {
    operator(name, Channels::Binary, false, false)
}

const fn moves(name: &'static str) -> Operator {
    operator(name, Channels::Move, true, true)
}

const fn reduce(name: &'static str) -> Operator {
    operator(name, Channels::Reduce { keeps_elements: false }, true, false)
}

const TABLE: &[Operator] = &[
    operator("Identity", Channels::Elementwise, true, true),
    operator("Dropout", Channels::Elementwise, true, true),
    operator("Relu", Channels::Elementwise, true, true),
    operator("LeakyRelu", Channels::Elementwise, true, false),
    operator("Abs", Channels::Elementwise, true, false),
    operator("Neg", Channels::Elementwise, true, false),
    operator("Clip", Channels::Elementwise, false, false),
    elementwise("Cast"),
    elementwise("ThresholdedRelu"),
    elementwise("Elu"),
    elementwise("Selu"),
    elementwise("Celu"),
    elementwise("Gelu"),
    elementwise("Mish"),
    elementwise("Sigmoid"),
    elementwise("HardSigmoid"),
    elementwise("HardSwish"),
    elementwise("Swish"),
    elementwise("Tanh"),
    elementwise("Softplus"),
    elementwise("Softsign"),
    elementwise("Erf"),
    elementwise("Exp"),
    elementwise("Log"),
    elementwise("Sqrt"),
    elementwise("Reciprocal"),
    elementwise("Floor"),
    elementwise("Ceil"),
    elementwise("Round"),
    elementwise("Sign"),
    binary("Add"),
    binary("Sub"),
    binary("Mul"),
    binary("Div"),
    binary("Min"),
    binary("Max"),
    binary("Pow"),
    // In its data, the slope being a constant.
    operator("PRelu", Channels::Binary, true, false),
    operator("MaxPool", Channels::Pool, true, true),
    operator("GlobalMaxPool", Channels::Pool, true, true),
    operator("AveragePool", Channels::Pool, true, false),
    operator("GlobalAveragePool", Channels::Pool, true, false),
    operator("LpPool", Channels::Pool, true, false),
    operator("GlobalLpPool", Channels::Pool, true, false),
    operator("BatchNormalization", Channels::Normalize(1..5), false, false),
    operator("InstanceNormalization", Channels::Normalize(1..3), false, false),
    operator("Flatten", Channels::Flatten, true, true),
    operator("Squeeze", Channels::Reduce { keeps_elements: true }, true, true),
    reduce("ReduceMean"),
    reduce("ReduceSum"),
    operator("ReduceMax", Channels::Reduce { keeps_elements: false }, true, true),
    operator("ReduceMin", Channels::Reduce { keeps_elements: false }, true, true),
    operator("QuantizeLinear", Channels::Quantize, false, false),
    operator("DequantizeLinear", Channels::Quantize, false, false),
    moves("Reshape"),
    moves("Transpose"),
    moves("Unsqueeze"),
    moves("Slice"),
    moves("Split"),
    moves("Gather"),
    // With zeros, which lie on every grid.
    moves("Pad"),
    moves("DepthToSpace"),
    moves("SpaceToDepth"),
    moves("Tile"),
    moves("Expand"),
];

/// What is known of the operator of `node`; `None` for one of another domain, or in a form that its entry does not describe
/// (a Flatten that joins samples, a batch-norm that trains).
pub fn operator_of(node: &NodeProto) -> Option<&'static Operator> {
    if !is_standard_domain(node.domain()) {
        return None;
    }
    let found = TABLE.iter().find(|operator| operator.name == node.op_type())?;
    let described = match found.channels {
        Channels::Flatten => attribute_int(node, "axis").unwrap_or(1) == 1,
        Channels::Normalize(_) => attribute_int(node, "training_mode").unwrap_or(0) == 0,
        _ => true,
    };
    described.then_some(found)
}

/// Number of axes of the first output of `node`, from those of its inputs; `None` where it is not known.
pub fn output_rank(node: &NodeProto, input: impl Fn(usize) -> Option<usize>) -> Option<usize> {
    if !is_standard_domain(node.domain()) {
        return None;
    }
    match node.op_type() {
        "Gemm" => return Some(2),
        "Conv" | "ConvTranspose" => return input(0),
        "MatMul" => {
            let (left, right) = (input(0)?, input(1)?);
            // A vector stands for a matrix with an axis of one element, which is taken out again.
            let vectors = usize::from(left == 1) + usize::from(right == 1);
            return (left.max(2).max(right.max(2))).checked_sub(vectors);
        }
        _ => {}
    }
    match operator_of(node)?.channels {
        Channels::Elementwise | Channels::Pool | Channels::Normalize(_) | Channels::Quantize => input(0),
        Channels::Binary => Some(input(0)?.max(input(1)?)),
        Channels::Flatten => Some(2),
        Channels::Reduce { .. } | Channels::Move => None,
    }
}

impl Operator {
    /// Whether every channel of the output comes from one channel of the data input alone, wherever the channels are. Of a
    /// [`Channels::Binary`] this holds if the other operand is a constant.
    pub fn keeps_channels_apart(&self) -> bool {
        self.channels != Channels::Move
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{int_attribute, node};

    #[test]
    fn each_operator_is_described_once() {
        let mut names: Vec<&str> = TABLE.iter().map(|operator| operator.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_form_that_is_another_function_is_not_described() {
        let of = |op: &str, attributes| operator_of(&node(op, "", ["x"], ["y"], attributes)).map(|found| found.name);
        assert_eq!(of("Flatten", vec![]), Some("Flatten"));
        assert_eq!(
            of("Flatten", vec![int_attribute("axis", 2)]),
            None,
            "joins samples and channels"
        );
        assert_eq!(of("BatchNormalization", vec![int_attribute("training_mode", 1)]), None);
        assert_eq!(of("Softmax", vec![]), None);
        let mut foreign = node("Relu", "", ["x"], ["y"], vec![]);
        foreign.domain = Some("com.example".to_owned());
        assert_eq!(operator_of(&foreign), None);
    }

    #[test]
    fn ranks_follow_numpy_s_rules() {
        let of = |op: &str, ranks: [usize; 2]| {
            let node = node(op, "", ["a", "b"], ["y"], vec![]);
            output_rank(&node, |slot| ranks.get(slot).copied())
        };
        assert_eq!(of("MatMul", [2, 1]), Some(1));
        assert_eq!(of("MatMul", [1, 1]), Some(0));
        assert_eq!(of("MatMul", [3, 2]), Some(3));
        assert_eq!(of("MatMul", [1, 3]), Some(2));
        assert_eq!(of("Add", [4, 1]), Some(4));
        assert_eq!(of("Reshape", [4, 1]), None);
    }

    #[test]
    fn what_selects_or_reduces_linearly_is_homogeneous() {
        for operator in TABLE.iter().filter(|operator| operator.selects) {
            assert!(operator.is_homogeneous, "{}", operator.name);
        }
    }
}
