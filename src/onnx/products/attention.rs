//! Attention of com.microsoft: one product with the packed weights of queries, keys and values, then what standard operators do. The
//! reference is ONNX Runtime's own kernel (contrib_ops/cpu/bert/attention_cpu_base.h).

use super::Site;
use crate::onnx::build::{attribute_float, attribute_int, attribute_ints, int_attribute, ints_attribute, node};
use crate::onnx::build::{i64_tensor, scalar_f32, scalar_i64};
use crate::onnx::schema::data_type;
use crate::onnx::{AttributeProto, NodeProto, label};

/// What ONNX Runtime adds to the score of a token that is masked, where the node does not say.
const MASKED: f32 = -10_000.0;

/// The product and the operators behind it; `None` for what needs more: keys and values of earlier tokens, rotary positions, masks
/// that are no number for each token, weights that are computed.
pub(super) fn attention(site: &mut Site<'_>, fused: &NodeProto) -> Option<Vec<NodeProto>> {
    let input = |slot: usize| {
        fused
            .input
            .get(slot)
            .map(String::as_str)
            .filter(|name| !name.is_empty())
    };
    let (x, weights) = (input(0)?, input(1)?);
    let [_, columns] = *site.weights.get(weights)?.as_slice() else {
        return None;
    };
    let is_set = |name: &str| attribute_int(fused, name).unwrap_or(0) != 0;
    let more_outputs = fused.output.iter().skip(1).any(|name| !name.is_empty());
    let past = input(4).is_some() || input(6).is_some();
    let float = site.facts.element_type(weights) == Some(data_type::FLOAT);
    if past || more_outputs || is_set("do_rotary") || site.version < 11 || !float {
        return None;
    }
    let heads = attribute_int(fused, "num_heads").filter(|heads| *heads > 0)?;
    let sizes = match attribute_ints(fused, "qkv_hidden_sizes") {
        Some(&[q, k, v]) => [q, k, v],
        Some(_) => return None,
        None => [columns / 3; 3],
    };
    let whole = sizes.iter().all(|size| *size > 0 && size % heads == 0);
    if !whole || sizes[0] != sizes[1] || sizes.iter().sum::<i64>() != columns {
        return None;
    }
    if input(3).is_some_and(|mask| site.facts.rank(mask) != Some(2)) {
        return None;
    }
    let mut made = Made {
        site,
        fused,
        nodes: Vec::new(),
    };
    let mut packed = made.push("MatMul", "product", &[x, weights], Vec::new());
    // The product is the layer, and has the node's name.
    made.nodes.last_mut()?.name = Some(fused.name().to_owned());
    if let Some(bias) = input(2) {
        packed = made.push("Add", "biased", &[&packed, bias], Vec::new());
    }
    let mut from = 0;
    let [queries, keys, values] = sizes.map(|size| {
        let part = made.slice(&packed, from, from + size);
        from += size;
        let apart = made.reshaped("heads", &part, &[0, 0, heads, size / heads]);
        (apart, size)
    });
    let turned = |order: [i64; 4]| vec![ints_attribute("perm", order)];
    let q = made.push("Transpose", "queries", &[&queries.0], turned([0, 2, 1, 3]));
    let k = made.push("Transpose", "keys", &[&keys.0], turned([0, 2, 3, 1]));
    let v = made.push("Transpose", "values", &[&values.0], turned([0, 2, 1, 3]));
    let usual = 1.0 / ((queries.1 / heads) as f32).sqrt();
    let scale = attribute_float(fused, "scale")
        .filter(|scale| *scale != 0.0)
        .unwrap_or(usual);
    let scale = made.number("scale", scale);
    let product = made.push("MatMul", "scores", &[&q, &k], Vec::new());
    let mut scores = made.push("Mul", "scaled", &[&product, &scale], Vec::new());
    if let Some(bias) = input(5) {
        scores = made.push("Add", "moved", &[&scores, bias], Vec::new());
    }
    if let Some(mask) = input(3) {
        let masked = attribute_float(fused, "mask_filter_value").unwrap_or(MASKED);
        let (kept, hidden) = (made.number("kept", 0.0), made.number("hidden", masked));
        let is_float = made.push(
            "Cast",
            "mask",
            &[mask],
            vec![int_attribute("to", i64::from(data_type::FLOAT))],
        );
        let counts = made.push("Greater", "counts", &[&is_float, &kept], Vec::new());
        let added = made.push("Where", "added", &[&counts, &kept, &hidden], Vec::new());
        let added = made.reshaped("wide", &added, &[0, 1, 1, -1]);
        scores = made.push("Add", "masked", &[&scores, &added], Vec::new());
    }
    if is_set("unidirectional") {
        scores = made.of_the_past(&scores);
    }
    let shares = made.push("Softmax", "shares", &[&scores], vec![int_attribute("axis", 3)]);
    let read = made.push("MatMul", "read", &[&shares, &v], Vec::new());
    let steps = made.push("Transpose", "steps", &[&read], turned([0, 2, 1, 3]));
    made.reshaped("joined", &steps, &[0, 0, values.1]);
    let mut nodes = made.nodes;
    nodes.last_mut()?.output = vec![fused.output.first()?.clone()];
    Some(nodes)
}

/// Nodes in the making.
struct Made<'site, 'graph> {
    site: &'site mut Site<'graph>,
    fused: &'site NodeProto,
    nodes: Vec<NodeProto>,
}

impl Made<'_, '_> {
    fn fresh(&mut self, what: &str) -> String {
        self.site.names.fresh(&format!("{}.{what}", label(self.fused)))
    }

    fn push(&mut self, op: &str, what: &str, inputs: &[&str], attributes: Vec<AttributeProto>) -> String {
        let name = self.fresh(what);
        self.nodes
            .push(node(op, &name, inputs.iter().copied(), [&name], attributes));
        name
    }

    fn integers(&mut self, what: &str, values: &[i64]) -> String {
        let name = self.fresh(what);
        self.site.added.push(i64_tensor(&name, &[values.len()], values));
        name
    }

    fn number(&mut self, what: &str, value: f32) -> String {
        let name = self.fresh(what);
        self.site.added.push(scalar_f32(&name, value));
        name
    }

    /// Columns of the last axis of three.
    fn slice(&mut self, value: &str, from: i64, to: i64) -> String {
        let (from, to) = (self.integers("from", &[from]), self.integers("to", &[to]));
        let axis = self.integers("axis", &[2]);
        self.push("Slice", "part", &[value, &from, &to, &axis], Vec::new())
    }

    fn reshaped(&mut self, what: &str, value: &str, shape: &[i64]) -> String {
        let shape = self.integers("shape", shape);
        self.push("Reshape", what, &[value, &shape], Vec::new())
    }

    /// Scores `[batch, heads, steps, steps]` of which those of later tokens are as small as can be.
    fn of_the_past(&mut self, scores: &str) -> String {
        let sizes = self.push("Shape", "sizes", &[scores], Vec::new());
        let number = |made: &mut Self, what: &str, value: i64| {
            let name = made.fresh(what);
            made.site.added.push(scalar_i64(&name, value));
            name
        };
        let (last, zero, one) = (number(self, "last", 3), number(self, "zero", 0), number(self, "one", 1));
        let steps = self.push("Gather", "count", &[&sizes, &last], Vec::new());
        let columns = self.push("Range", "columns", &[&zero, &steps, &one], Vec::new());
        let rows = self.reshaped("rows", &columns, &[-1, 1]);
        let later = self.push("Greater", "later", &[&columns, &rows], Vec::new());
        let least = self.number("least", f32::MIN);
        self.push("Where", "past", &[&later, &least, scores], Vec::new())
    }
}
