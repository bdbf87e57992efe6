//! `LRN`, which the engine (rten 0.27) lacks.

use super::super::build::{attribute_float, attribute_int, int_attribute, ints_attribute};
use super::super::unfit::Unfit;
use super::site::{Ruled, Site};

/// `y = x / (bias + alpha / size * sum of x^2 over size neighbouring channels)^beta` (ONNX operator LRN): the sum is `size`
/// times the mean that a pool takes along the channels, once they stand last. For values `[n, c, h, w]`, as pictures are.
pub(super) fn lrn(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let size = attribute_int(node, "size").filter(|size| *size > 0);
    let size = size.ok_or(Unfit::NoAttribute("size"))?;
    let x = site.needed(0)?;
    let number = |name: &str, default: f32| attribute_float(node, name).unwrap_or(default);
    let perm = |axes: [i64; 4]| vec![ints_attribute("perm", axes)];
    let square = site.op("Mul", &[x, x]);
    let last = site.op_with("Transpose", &[&square], perm([0, 2, 3, 1]));
    // Of an even size, the longer side comes behind.
    let (before, behind) = ((size - 1) / 2, size / 2);
    let pool = vec![
        ints_attribute("kernel_shape", [1, size]),
        ints_attribute("pads", [0, before, 0, behind]),
        ints_attribute("strides", [1, 1]),
        int_attribute("count_include_pad", 1),
    ];
    let mean = site.op_with("AveragePool", &[&last], pool);
    let mean = site.op_with("Transpose", &[&mean], perm([0, 3, 1, 2]));
    let alpha = site.float("alpha", number("alpha", 1e-4));
    let scaled = site.op("Mul", &[&mean, &alpha]);
    let bias = site.float("bias", number("bias", 1.0));
    let sum = site.op("Add", &[&scaled, &bias]);
    let beta = site.float("beta", number("beta", 0.75));
    let power = site.op("Pow", &[&sum, &beta]);
    site.end("Div", &[x, &power])
}
