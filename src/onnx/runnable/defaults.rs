//! Attributes of convolutions and pools that ONNX lets a file leave out, spelled out for engines that want them.
//!
//! rten 0.27 learns the number of spatial axes from `kernel_shape` and takes pools without `strides` for zero-dimensional; for
//! ONNX all of `kernel_shape` (of a convolution), `strides`, `dilations`, `pads` and `group` are optional.

use super::super::build::is_standard_domain;
use super::super::build::{
    attribute, attribute_ints, attribute_string, attribute_tensor, int_attribute, ints_attribute,
};
use super::super::{GraphProto, ModelProto, NodeProto};
use std::collections::HashMap;

/// Nodes between a weight and its convolution that are followed; the bound ends circles.
const LONGEST_CHAIN: usize = 32;

/// Shapes of constants by name.
type Shapes = HashMap<String, Vec<i64>>;

/// Gives every Conv, ConvTranspose, ConvInteger, MaxPool and AveragePool, in subgraphs too, the attributes that it leaves at
/// their defaults. What the model computes stays the same. A convolution without `kernel_shape` gets it when its weight is a
/// constant; a node of which nothing tells the number of axes stays as it is.
pub fn spell_out_defaults(model: &mut ModelProto) {
    if let Some(graph) = &mut model.graph {
        in_graph(graph, &Shapes::new());
    }
}

fn in_graph(graph: &mut GraphProto, outer: &Shapes) {
    let mut shapes = outer.clone();
    for tensor in &graph.initializer {
        shapes.insert(tensor.name().to_owned(), tensor.dims.clone());
    }
    for node in &graph.node {
        let constant = attribute_tensor(node, "value").filter(|_| node.op_type() == "Constant");
        if let (Some(tensor), [output]) = (constant, node.output.as_slice()) {
            shapes.insert(output.clone(), tensor.dims.clone());
        }
    }
    let sources = sources(graph);
    for node in &mut graph.node {
        if is_standard_domain(node.domain()) {
            spell_out(node, &sources, &shapes);
        }
        for body in node.subgraphs_mut() {
            in_graph(body, &shapes);
        }
    }
}

/// What nodes that keep a tensor's shape read, by what they make.
fn sources(graph: &GraphProto) -> HashMap<String, String> {
    let keeps_shape = |node: &&NodeProto| {
        matches!(
            node.op_type(),
            "Identity" | "Cast" | "QuantizeLinear" | "DequantizeLinear"
        )
    };
    let ends = |node: &NodeProto| Some((node.output.first()?.clone(), node.input.first()?.clone()));
    graph.node.iter().filter(keeps_shape).filter_map(ends).collect()
}

fn is_convolution(node: &NodeProto) -> bool {
    matches!(node.op_type(), "Conv" | "ConvTranspose" | "ConvInteger")
}

fn spell_out(node: &mut NodeProto, sources: &HashMap<String, String>, shapes: &Shapes) {
    let convolution = is_convolution(node);
    if !convolution && !matches!(node.op_type(), "MaxPool" | "AveragePool") {
        return;
    }
    if convolution && attribute(node, "kernel_shape").is_none() {
        let kernel = kernel_shape(node, sources, shapes);
        node.attribute
            .extend(kernel.map(|kernel| ints_attribute("kernel_shape", kernel)));
    }
    let Some(axes) = axes(node) else { return };
    let padded_by_engine = attribute_string(node, "auto_pad").is_some_and(|kind| kind != "NOTSET");
    let pads = !padded_by_engine && attribute(node, "output_shape").is_none();
    let defaults = [
        ("strides", true, vec![1; axes]),
        // Pools gained theirs in later operator sets.
        ("dilations", convolution, vec![1; axes]),
        ("pads", pads, vec![0; 2 * axes]),
    ];
    for (name, wanted, values) in defaults {
        if wanted && attribute(node, name).is_none() {
            node.attribute.push(ints_attribute(name, values));
        }
    }
    if convolution && attribute(node, "group").is_none() {
        node.attribute.push(int_attribute("group", 1));
    }
}

/// Spatial axes of a convolution or pool, as its attributes tell.
fn axes(node: &NodeProto) -> Option<usize> {
    let length = |name| {
        attribute_ints(node, name)
            .map(<[i64]>::len)
            .filter(|length| *length > 0)
    };
    length("kernel_shape")
        .or_else(|| length("strides"))
        .or_else(|| length("dilations"))
        .or_else(|| length("pads").map(|length| length / 2))
}

/// The kernel's sizes from the constant weight `[_, _, k…]`.
fn kernel_shape(node: &NodeProto, sources: &HashMap<String, String>, shapes: &Shapes) -> Option<Vec<i64>> {
    let mut name = node.input.get(1)?;
    for _ in 0..LONGEST_CHAIN {
        if let Some(shape) = shapes.get(name) {
            let kernel = shape.get(2..).filter(|kernel| !kernel.is_empty())?;
            return Some(kernel.to_vec());
        }
        name = sources.get(name)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::build::{float_tensor, node, raw_tensor, string_attribute, tensor_attribute};
    use crate::onnx::schema::{attribute_type, data_type};
    use crate::onnx::{AttributeProto, TensorProto};

    fn spelled(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> Vec<NodeProto> {
        let graph = GraphProto {
            node: nodes,
            initializer: initializers,
            ..GraphProto::default()
        };
        let mut model = ModelProto {
            graph: Some(graph),
            ..ModelProto::default()
        };
        spell_out_defaults(&mut model);
        model.graph.unwrap().node
    }

    fn weight() -> TensorProto {
        float_tensor("w", &[1, 1, 3, 5], &[0.0; 15])
    }

    fn ints<'a>(node: &'a NodeProto, name: &str) -> Option<&'a [i64]> {
        attribute_ints(node, name)
    }

    #[test]
    fn a_bare_convolution_gets_all_of_its_attributes() {
        for op in ["Conv", "ConvTranspose"] {
            let nodes = spelled(vec![node(op, "", ["x", "w"], ["y"], vec![])], vec![weight()]);
            assert_eq!(ints(&nodes[0], "kernel_shape"), Some(&[3, 5][..]));
            assert_eq!(ints(&nodes[0], "strides"), Some(&[1, 1][..]));
            assert_eq!(ints(&nodes[0], "dilations"), Some(&[1, 1][..]));
            assert_eq!(ints(&nodes[0], "pads"), Some(&[0, 0, 0, 0][..]));
            assert_eq!(attribute(&nodes[0], "group").and_then(|group| group.i), Some(1));
        }
    }

    #[test]
    fn what_is_given_stays() {
        let attributes = vec![
            ints_attribute("strides", [2, 3]),
            string_attribute("auto_pad", "SAME_UPPER"),
            int_attribute("group", 4),
        ];
        let nodes = spelled(vec![node("Conv", "", ["x", "w"], ["y"], attributes)], vec![]);
        assert_eq!(ints(&nodes[0], "strides"), Some(&[2, 3][..]));
        assert_eq!(ints(&nodes[0], "dilations"), Some(&[1, 1][..]));
        assert_eq!((ints(&nodes[0], "pads"), ints(&nodes[0], "kernel_shape")), (None, None));
        assert_eq!(attribute(&nodes[0], "group").and_then(|group| group.i), Some(4));
    }

    #[test]
    fn pools_get_strides_and_pads_only() {
        let kernel = || vec![ints_attribute("kernel_shape", [2, 2])];
        for op in ["MaxPool", "AveragePool"] {
            let nodes = spelled(vec![node(op, "", ["x"], ["y"], kernel())], vec![]);
            assert_eq!(ints(&nodes[0], "strides"), Some(&[1, 1][..]));
            assert_eq!(ints(&nodes[0], "pads"), Some(&[0, 0, 0, 0][..]));
            assert_eq!(nodes[0].attribute.len(), 3);
        }
    }

    #[test]
    fn a_kernel_is_found_behind_casts_constants_and_in_the_graph_around() {
        let half = raw_tensor("h", data_type::FLOAT16, &[1, 1, 7], vec![0; 14]);
        let body = GraphProto {
            node: vec![
                node("Cast", "", ["h"], ["c"], vec![int_attribute("to", 1)]),
                node("Conv", "", ["x", "c"], ["y"], vec![]),
                node("Conv", "", ["x", "outer"], ["z"], vec![]),
            ],
            initializer: vec![half],
            ..GraphProto::default()
        };
        let then = AttributeProto {
            name: Some("then_branch".into()),
            r#type: Some(attribute_type::GRAPH),
            g: Some(body),
            ..AttributeProto::default()
        };
        let constant = node(
            "Constant",
            "",
            [""; 0],
            ["outer"],
            vec![tensor_attribute("value", weight())],
        );
        let nodes = spelled(vec![constant, node("If", "", ["b"], ["o"], vec![then])], vec![]);
        let body = nodes[1].attribute[0].g.as_ref().unwrap();
        assert_eq!(ints(&body.node[1], "kernel_shape"), Some(&[7][..]));
        assert_eq!(ints(&body.node[2], "kernel_shape"), Some(&[3, 5][..]));
    }

    #[test]
    fn a_convolution_of_unknown_rank_stays_as_it_is() {
        let nodes = spelled(vec![node("Conv", "", ["x", "w"], ["y"], vec![])], vec![]);
        assert!(nodes[0].attribute.is_empty());
    }
}
