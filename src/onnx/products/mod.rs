//! Products with constant matrices in other spellings, written as the MatMul, Gemm or Conv that they are: Einsum, and what ONNX
//! Runtime fuses (com.microsoft FusedMatMul, FusedGemm, FusedConv, Attention). Behind this, they are layers like any other, and every engine
//! runs them.

mod attention;
mod einsum;
mod fused;

use super::build::{attribute_string, i64_tensor, ints_attribute, is_standard_domain, node, opset_version};
use super::facts::Facts;
use super::{ModelProto, Names, NodeProto, TensorProto, constant_tensor, is_float, label};
use einsum::{Operand, Projection};
use std::collections::HashMap;

/// What is known where a node is rewritten, and what it adds.
struct Site<'graph> {
    /// Version of the standard operator set.
    version: i64,
    facts: &'graph Facts<'graph>,
    names: &'graph mut Names,
    /// Sizes of the float constants of the graph.
    weights: &'graph HashMap<String, Vec<i64>>,
    /// New constants of the graph.
    added: Vec<TensorProto>,
}

/// Rewrites the nodes of the main graph of `model` that are products in another spelling. A node keeps its name on the product,
/// and its output. What is no plain product stays as it is.
pub fn plain_products(model: &mut ModelProto) {
    let Some(version) = opset_version(model) else { return };
    let spelled = |node: &NodeProto| {
        let standard = is_standard_domain(node.domain());
        match node.op_type() {
            "Einsum" => standard,
            "FusedMatMul" | "FusedGemm" | "FusedConv" | "Attention" => node.domain() == "com.microsoft",
            _ => false,
        }
    };
    if !model.graph.iter().any(|graph| graph.node.iter().any(spelled)) {
        return;
    }
    let mut names = Names::of(model);
    let Some(graph) = &mut model.graph else { return };
    let facts = Facts::of(graph, None);
    let made = graph
        .node
        .iter()
        .filter_map(|node| Some((node.output.first()?.as_str(), constant_tensor(node)?)));
    let constants = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name(), tensor))
        .chain(made);
    let weights = constants
        .filter(|(_, tensor)| is_float(tensor))
        .map(|(name, tensor)| (name.to_owned(), tensor.dims.clone()))
        .collect();
    let mut site = Site {
        version,
        facts: &facts,
        names: &mut names,
        weights: &weights,
        added: Vec::new(),
    };
    for node in std::mem::take(&mut graph.node) {
        let plain = match node.op_type() {
            _ if !spelled(&node) => None,
            "Einsum" => einsum(&mut site, &node),
            "FusedMatMul" => fused::matmul(&mut site, &node),
            "FusedGemm" => fused::gemm(&mut site, &node),
            "Attention" => attention::attention(&mut site, &node),
            _ => fused::conv(&mut site, &node),
        };
        match plain {
            Some(nodes) => graph.node.extend(nodes),
            None => graph.node.push(node),
        }
    }
    graph.initializer.append(&mut site.added);
}

/// Why an Einsum whose input `slot` is a constant of the sizes `weight_sizes` is no plain product; `None` if it is one. `rank`
/// is the number of axes of its other input.
pub fn why_no_product(node: &NodeProto, slot: usize, weight_sizes: &[i64], rank: Option<usize>) -> Option<String> {
    let equation = attribute_string(node, "equation").unwrap_or_default();
    let operand = Operand { rank, sizes: None };
    match node.input.len() {
        2 => Projection::of(equation, slot, weight_sizes, &operand)
            .err()
            .map(|why| why.to_string()),
        count => Some(format!("it has {count} terms, not two")),
    }
}

fn einsum(site: &mut Site<'_>, einsum: &NodeProto) -> Option<Vec<NodeProto>> {
    let [first, second] = einsum.input.as_slice() else {
        return None;
    };
    let sides = [first, second];
    let is_weight = |side: usize| site.weights.contains_key(sides[side]);
    let weight = match (is_weight(0), is_weight(1)) {
        (true, false) => 0,
        (false, true) => 1,
        _ => return None,
    };
    let (matrix, input) = (sides[weight], sides[1 - weight]);
    let operand = Operand {
        rank: site.facts.rank(input),
        sizes: site.facts.shape(input),
    };
    let equation = attribute_string(einsum, "equation")?;
    let plan = Projection::of(equation, weight, site.weights.get(matrix)?, &operand).ok()?;
    let output = einsum.output.first()?;

    let mut nodes = Vec::new();
    let input = site.arranged(&mut nodes, einsum, "input", input, (plan.input_axes, plan.input_shape));
    let matrix = site.arranged(
        &mut nodes,
        einsum,
        "weight",
        matrix,
        (plan.weight_axes, plan.weight_shape),
    );
    let product = node("MatMul", einsum.name(), [input, matrix], [output], Vec::new());
    if plan.output_shape.is_none() && plan.output_axes.is_none() {
        nodes.push(product);
        return Some(nodes);
    }
    let inner = site.names.fresh(&format!("{}.product", label(einsum)));
    nodes.push(NodeProto {
        output: vec![inner.clone()],
        ..product
    });
    let shaped = site.arranged(&mut nodes, einsum, "output", &inner, (None, plan.output_shape));
    site.arranged(&mut nodes, einsum, "output", &shaped, (plan.output_axes, None));
    nodes.last_mut()?.output = vec![output.clone()];
    Some(nodes)
}

impl Site<'_> {
    /// `value` with its axes in another order, then in another shape; the name of what comes out.
    fn arranged(
        &mut self,
        nodes: &mut Vec<NodeProto>,
        around: &NodeProto,
        what: &str,
        value: &str,
        (axes, shape): (Option<Vec<i64>>, Option<Vec<i64>>),
    ) -> String {
        let mut value = value.to_owned();
        if let Some(axes) = axes {
            let turned = self.names.fresh(&format!("{}.{what}.turned", label(around)));
            let turn = vec![ints_attribute("perm", axes)];
            nodes.push(node("Transpose", &turned, [&value], [&turned], turn));
            value = turned;
        }
        if let Some(shape) = shape {
            let shaped = self.names.fresh(&format!("{}.{what}.shaped", label(around)));
            let sizes = self.names.fresh(&format!("{}.{what}.shape", label(around)));
            self.added.push(i64_tensor(&sizes, &[shape.len()], &shape));
            nodes.push(node("Reshape", &shaped, [&value, &sizes], [&shaped], Vec::new()));
            value = shaped;
        }
        value
    }
}
