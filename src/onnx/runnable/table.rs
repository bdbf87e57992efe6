//! What becomes of each operator on the way into the built-in engine.

use super::super::build::is_standard_domain;
use super::site::{Ruled, Site};
use super::{
    arg_max, cast, concat, elementwise, expand, instance, integer, lrn, normalization, pads, quantize, recurrent,
    resize, scatter, slice, vector,
};

/// Rewrites a node, or says why it cannot be computed.
pub(super) type Rule = fn(&mut Site<'_>) -> Ruled;

/// What becomes of an operator.
#[derive(Clone, Copy)]
pub(super) enum Treatment {
    /// The engine computes what ONNX says.
    Right,
    /// It does after the rule.
    Rewritten(Rule),
    /// Nothing computes it.
    Refused,
}

/// An operator and what becomes of it.
pub(super) struct Operator {
    pub(super) domain: &'static str,
    pub(super) name: &'static str,
    pub(super) treatment: Treatment,
    /// How it is rewritten, what is refused, why: for the page and for who is refused.
    pub(super) text: &'static str,
}

const fn right(name: &'static str, text: &'static str) -> Operator {
    Operator {
        domain: "",
        name,
        treatment: Treatment::Right,
        text,
    }
}

const fn rewritten(name: &'static str, rule: Rule, text: &'static str) -> Operator {
    Operator {
        domain: "",
        name,
        treatment: Treatment::Rewritten(rule),
        text,
    }
}

const fn refused(name: &'static str, text: &'static str) -> Operator {
    Operator {
        domain: "",
        name,
        treatment: Treatment::Refused,
        text,
    }
}

const fn microsoft(name: &'static str, text: &'static str) -> Operator {
    Operator {
        domain: "com.microsoft",
        name,
        treatment: Treatment::Right,
        text,
    }
}

/// All operators that are known, in the order of their names.
pub(super) const OPERATORS: &[Operator] = &[
    right("Abs", ""),
    right("Acos", ""),
    rewritten(
        "Acosh",
        elementwise::inverse_hyperbolic,
        "by a logarithm where the square of the value overflows",
    ),
    right("Add", ""),
    right("And", ""),
    rewritten(
        "ArgMax",
        arg_max::first_of_equals,
        "the last of the values reversed, so that of equal ones the first is taken",
    ),
    rewritten(
        "ArgMin",
        arg_max::first_of_equals,
        "the last of the values reversed, so that of equal ones the first is taken",
    ),
    right("Asin", ""),
    rewritten(
        "Asinh",
        elementwise::inverse_hyperbolic,
        "by a logarithm where the square of the value overflows",
    ),
    right("Atan", ""),
    right("Atanh", ""),
    right("Attention", ""),
    rewritten(
        "AveragePool",
        pads::pool,
        "SAME_LOWER, and SAME_UPPER of windows apart or with ceil_mode, by pads, or by a Pad computed from the sizes; refused with dilations, and with SAME_UPPER and strides two greater than the kernel",
    ),
    right("BatchNormalization", "refused in training mode"),
    right("BitCast", ""),
    rewritten(
        "Cast",
        cast::cast,
        "to BOOL by a comparison with 0; to FLOAT16 and BFLOAT16 by rounding, after which floats stand for them; refused to types that the engine has none for",
    ),
    rewritten(
        "CastLike",
        cast::cast_like,
        "as Cast; refused where the type is not known",
    ),
    right("Ceil", ""),
    right("Clip", "a value that is no number becomes a bound"),
    rewritten("Concat", concat::concat, "bytes as INT32"),
    right("ConcatFromSequence", ""),
    right("Constant", ""),
    right("ConstantOfShape", ""),
    rewritten(
        "Conv",
        pads::convolution,
        "SAME_LOWER by pads, or by a Pad computed from the sizes",
    ),
    rewritten(
        "ConvInteger",
        integer::convolution,
        "decoded, and multiplied as floats in as many digits as make every sum exact; refused where the shape of the weights is not known",
    ),
    rewritten(
        "ConvTranspose",
        pads::transposed,
        "SAME_LOWER and output_shape by pads; refused where output_shape needs sizes that are not known",
    ),
    right("Cos", ""),
    right("Cosh", ""),
    right("CumSum", ""),
    refused("DFT", "the engine is built without Fourier transforms"),
    right("DepthToSpace", ""),
    right(
        "DequantizeLinear",
        "refused in blocks and of types other than INT8, UINT8 and INT32",
    ),
    rewritten(
        "Div",
        quantize::division,
        "by a single number: a true division where the result is rounded, else multiplied by the reciprocal, so that the last bit may differ",
    ),
    rewritten("Dropout", elementwise::dropout, "refused in training mode"),
    rewritten(
        "DynamicQuantizeLinear",
        quantize::dynamic,
        "by its definition, with a true division",
    ),
    right("Einsum", ""),
    right("Elu", ""),
    right("Equal", ""),
    right("Erf", ""),
    right("Exp", ""),
    rewritten(
        "Expand",
        expand::expand,
        "a shape of fewer axes than the input gets them",
    ),
    right("EyeLike", ""),
    right("Flatten", ""),
    right("Floor", ""),
    rewritten(
        "GRU",
        recurrent::recurrent,
        "sequence_lens by masks and reversed sequences, layout by transposes; refused with linear_before_reset = 0, clip and other activations",
    ),
    right("Gather", ""),
    right("GatherElements", ""),
    right("GatherND", ""),
    right("Gelu", ""),
    right("Gemm", ""),
    right("GlobalAveragePool", ""),
    right("GlobalMaxPool", ""),
    right("Greater", ""),
    right("GreaterOrEqual", ""),
    right("GridSample", "refused but for linear interpolation between zeros"),
    right("HardSigmoid", ""),
    right("HardSwish", ""),
    right("Identity", ""),
    right("If", ""),
    rewritten(
        "InstanceNormalization",
        instance::instance,
        "by products and sums in the order of onnxruntime on x86-64, to the bit; where the number of values of a channel is free and no multiple of four, the mean may differ in its last bit",
    ),
    right("IsInf", "refused where one sign only is asked for"),
    right("IsNaN", ""),
    rewritten("LRN", lrn::lrn, "by a pool along the channels"),
    rewritten(
        "LSTM",
        recurrent::recurrent,
        "sequence_lens by masks and reversed sequences, layout by transposes; refused with peepholes, clip, input_forget and other activations",
    ),
    rewritten(
        "LayerNormalization",
        normalization::layer,
        "the outputs Mean and InvStdDev by reductions; where the variance is lost in the rounding of the mean, as far from the exact value as onnxruntime, but elsewhere",
    ),
    right("LeakyRelu", ""),
    right("Less", ""),
    right("LessOrEqual", ""),
    right("Log", ""),
    right("LogSoftmax", ""),
    right("Loop", ""),
    right("LpNormalization", ""),
    rewritten(
        "MatMul",
        vector::product,
        "a vector beside a stack of matrices becomes a matrix, whose axis is taken out again",
    ),
    rewritten(
        "MatMulInteger",
        integer::product,
        "decoded, and multiplied as floats in as many digits as make every sum exact; refused where the length of the sums is not known",
    ),
    right("Max", ""),
    rewritten(
        "MaxPool",
        pads::pool,
        "SAME_LOWER, and SAME_UPPER of windows apart or with ceil_mode, by pads, or by a Pad computed from the sizes; refused with dilations and with Indices",
    ),
    right("Mean", ""),
    right("Min", ""),
    right("Mod", ""),
    right("Mul", ""),
    right("Multinomial", "other random numbers than those of onnxruntime"),
    right("Neg", ""),
    refused("NonMaxSuppression", "the engine does not keep classes apart"),
    right("NonZero", ""),
    right("Not", ""),
    right("OneHot", ""),
    right("Or", ""),
    right("PRelu", ""),
    right(
        "Pad",
        "refused with axes, and along more than the last two axes but for a constant",
    ),
    right("Pow", ""),
    rewritten(
        "QuantizeLinear",
        quantize::quantize,
        "divided by the scale, where the engine multiplies by its reciprocal; refused in blocks and to types other than INT8 and UINT8",
    ),
    right("RMSNormalization", ""),
    right("RandomNormal", "other random numbers than those of onnxruntime"),
    right("RandomNormalLike", "other random numbers than those of onnxruntime"),
    right("RandomUniform", "other random numbers than those of onnxruntime"),
    right("RandomUniformLike", "other random numbers than those of onnxruntime"),
    right("Range", ""),
    right("Reciprocal", ""),
    rewritten("ReduceL1", vector::norm, "the magnitude where no axes are reduced"),
    rewritten("ReduceL2", vector::norm, "the magnitude where no axes are reduced"),
    right("ReduceLogSum", ""),
    right("ReduceLogSumExp", ""),
    right("ReduceMax", ""),
    right("ReduceMean", ""),
    right("ReduceMin", ""),
    right(
        "ReduceProd",
        "refused of integers that are no sizes; a product on the way that leaves the range of floats may be another than in onnxruntime, which takes the factors in another order",
    ),
    right("ReduceSum", ""),
    right("ReduceSumSquare", ""),
    right("Relu", "a value that is no number becomes 0"),
    right("Reshape", ""),
    rewritten(
        "Resize",
        resize::resize,
        "cubic, half_pixel_symmetric and tf_half_pixel_for_nn by weighted sums of gathered elements; refused with antialias, axes, a kept aspect ratio, tf_crop_and_resize, and nearest with half_pixel_symmetric",
    ),
    right("ReverseSequence", ""),
    right("RotaryEmbedding", ""),
    right("Round", ""),
    refused("STFT", "the engine is built without Fourier transforms"),
    rewritten(
        "ScatterElements",
        scatter::scatter_elements,
        "as ScatterND, unless indices and value are known to have the same sizes along the other axes; refused where the number of axes is not known",
    ),
    right("ScatterND", ""),
    right("SequenceAt", ""),
    right("SequenceConstruct", ""),
    right("SequenceEmpty", ""),
    right("SequenceErase", ""),
    right("SequenceInsert", ""),
    right("SequenceLength", ""),
    right("Shape", ""),
    right(
        "Sigmoid",
        "onnxruntime's is up to 1.7e-7 off, which tells where it is near 0",
    ),
    rewritten("Sign", elementwise::sign, "0 where the value is 0; the engine says 1"),
    right("SimplifiedLayerNormalization", ""),
    right("Sin", ""),
    right("Sinh", ""),
    right("Size", ""),
    rewritten(
        "Slice",
        slice::slice,
        "axes that are left out are spelled out; backwards, the greatest integer as an end becomes the least one, as in onnxruntime; refused with steps, without axes and of an unknown number of starts",
    ),
    right("Softmax", ""),
    rewritten(
        "Softplus",
        elementwise::softplus,
        "max(x, 0) + softplus(-abs(x)), which does not overflow",
    ),
    right("Softsign", ""),
    right("Split", ""),
    right("SplitToSequence", ""),
    right("Sqrt", ""),
    right("Squeeze", ""),
    right("Sub", ""),
    right("Sum", ""),
    right("Swish", ""),
    right("Tan", ""),
    right("Tanh", ""),
    right("Tile", ""),
    right("TopK", ""),
    right("Transpose", ""),
    right("Trilu", ""),
    right("Unsqueeze", ""),
    right("Upsample", "only as Resize, which it becomes in operator set 13"),
    right("Where", ""),
    right("Xor", ""),
    microsoft("BiasGelu", ""),
    Operator {
        domain: "com.microsoft",
        name: "DynamicQuantizeLSTM",
        treatment: Treatment::Rewritten(integer::recurrent),
        text: "refused with weights of more than 7 bits, whose sums saturate on processors without VNNI",
    },
    microsoft("FastGelu", ""),
    microsoft("Gelu", ""),
    microsoft("GroupQueryAttention", ""),
    microsoft("MatMulNBits", ""),
    microsoft("MultiHeadAttention", ""),
    microsoft("QuickGelu", ""),
    microsoft("SkipLayerNormalization", ""),
    microsoft("SkipSimplifiedLayerNormalization", ""),
    microsoft("RotaryEmbedding", ""),
];

/// The table as the page prints it.
#[cfg(test)]
fn page() -> String {
    let row = |operator: &Operator| {
        let domain = match operator.domain {
            "" => String::new(),
            domain => format!("{domain}."),
        };
        let computed = match operator.treatment {
            Treatment::Right => "as it is",
            Treatment::Rewritten(_) => "rewritten",
            Treatment::Refused => "refused",
        };
        format!("| {domain}{} | {computed} | {} |\n", operator.name, operator.text)
    };
    let head = "| Operator | Computed | |\n|---|---|---|\n".to_owned();
    OPERATORS.iter().map(row).fold(head, |page, row| page + &row)
}

/// The row of an operator.
pub(super) fn find(domain: &str, name: &str) -> Option<&'static Operator> {
    let same = |row: &&Operator| {
        row.name == name && (row.domain == domain || row.domain.is_empty() && is_standard_domain(domain))
    };
    OPERATORS.iter().find(same)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_operator_has_one_row() {
        let mut seen = HashSet::new();
        for operator in OPERATORS {
            assert!(seen.insert((operator.domain, operator.name)), "{} twice", operator.name);
            let explained = !operator.text.is_empty();
            assert!(
                explained || matches!(operator.treatment, Treatment::Right),
                "{}",
                operator.name
            );
        }
        assert!(find("", "Conv").is_some() && find("ai.onnx", "Conv").is_some());
        assert!(find("com.microsoft", "Conv").is_none() && find("", "QuickGelu").is_none());
    }

    #[test]
    fn the_page_of_the_engine_prints_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/engine.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (table, missing) = (page(), "docs/engine.md does not print this table");
        assert!(text.contains(&table), "{missing}:\n{table}");
    }
}
