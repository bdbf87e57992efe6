//! Standard operators that the engine lacks, written with others that it has.

use super::build::{
    attribute_float, attribute_int, int_attribute, ints_attribute, is_standard_domain, node, scalar_f32,
    tensor_attribute,
};
use super::{GraphProto, ModelProto, NodeProto};
use std::collections::HashSet;

/// Rewrites every operator of `model` that rten 0.27 lacks and that others can express: LRN. What the model computes stays
/// the same, up to rounding.
pub fn rewrite_lacking(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    if !has_lrn(graph) {
        return;
    }
    let mut taken = HashSet::new();
    gather_names(graph, &mut taken);
    in_graph(graph, &mut taken);
}

fn is_lrn(node: &NodeProto) -> bool {
    node.op_type() == "LRN" && is_standard_domain(node.domain())
}

fn has_lrn(graph: &GraphProto) -> bool {
    let bodies = |node: &NodeProto| {
        node.attribute
            .iter()
            .filter_map(|attribute| attribute.g.as_ref())
            .any(has_lrn)
    };
    graph.node.iter().any(|node| is_lrn(node) || bodies(node))
}

fn gather_names(graph: &GraphProto, taken: &mut HashSet<String>) {
    taken.extend(graph.input.iter().map(|input| input.name().to_owned()));
    taken.extend(graph.initializer.iter().map(|tensor| tensor.name().to_owned()));
    for node in &graph.node {
        taken.extend(node.output.iter().cloned());
        node.attribute
            .iter()
            .filter_map(|attribute| attribute.g.as_ref())
            .for_each(|body| gather_names(body, taken));
    }
}

fn in_graph(graph: &mut GraphProto, taken: &mut HashSet<String>) {
    for mut old in std::mem::take(&mut graph.node) {
        for body in old.attribute.iter_mut().filter_map(|attribute| attribute.g.as_mut()) {
            in_graph(body, taken);
        }
        match lrn(&old, taken) {
            Some(nodes) => graph.node.extend(nodes),
            None => graph.node.push(old),
        }
    }
}

/// `y = x / (bias + alpha / size * sum of x^2 over size neighbouring channels)^beta` (ONNX operator LRN): the sum is `size`
/// times the mean that a pool takes along the channels, once they stand last. `None` for another operator. For values
/// `[n, c, h, w]`, as pictures are.
fn lrn(old: &NodeProto, taken: &mut HashSet<String>) -> Option<Vec<NodeProto>> {
    let ([x], [y]) = (old.input.as_slice(), old.output.as_slice()) else {
        return None;
    };
    let size = attribute_int(old, "size").filter(|size| *size > 0)?;
    if !is_lrn(old) {
        return None;
    }
    let mut name = |part: &str| {
        let mut name = format!("{y}.{part}");
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        name
    };
    let (square, last, mean, back) = (
        name("square"),
        name("channels_last"),
        name("mean"),
        name("channels_first"),
    );
    let (alpha, scaled, bias, sum) = (name("alpha"), name("scaled"), name("bias"), name("sum"));
    let (beta, power) = (name("beta"), name("power"));
    let constant = |output: &str, attribute: &str, default: f32| {
        let value = scalar_f32("", attribute_float(old, attribute).unwrap_or(default));
        node(
            "Constant",
            "",
            [""; 0],
            [output],
            vec![tensor_attribute("value", value)],
        )
    };
    let perm = |axes: [i64; 4]| vec![ints_attribute("perm", axes)];
    // Of an even size, the longer side comes behind.
    let (before, behind) = ((size - 1) / 2, size / 2);
    let pool = vec![
        ints_attribute("kernel_shape", [1, size]),
        ints_attribute("pads", [0, before, 0, behind]),
        ints_attribute("strides", [1, 1]),
        int_attribute("count_include_pad", 1),
    ];
    let step = |op: &str, inputs: [&str; 2], output: &str| node(op, "", inputs, [output], vec![]);
    let mut division = node("Div", old.name(), [x.as_str(), power.as_str()], [y.as_str()], vec![]);
    division.doc_string.clone_from(&old.doc_string);
    Some(vec![
        step("Mul", [x, x], &square),
        node("Transpose", "", [square.as_str()], [last.as_str()], perm([0, 2, 3, 1])),
        node("AveragePool", "", [last.as_str()], [mean.as_str()], pool),
        node("Transpose", "", [mean.as_str()], [back.as_str()], perm([0, 3, 1, 2])),
        constant(&alpha, "alpha", 1e-4),
        step("Mul", [&back, &alpha], &scaled),
        constant(&bias, "bias", 1.0),
        step("Add", [&scaled, &bias], &sum),
        constant(&beta, "beta", 0.75),
        step("Pow", [&sum, &beta], &power),
        division,
    ])
}
