//! Shapes of the values of a network without running it: what a layer costs does not depend on numbers, and a file of a hundred
//! bytes may ask for more memory than there is.

use super::Port;
use super::calibration::{ONE_SAMPLE, layer_values, sizes};
use super::free_sizes::tried;
use crate::data::ElementKind;
use crate::network::{Network, Shapes, shapes};
use crate::onnx::schema::{data_type, tensor_shape_proto, type_proto};
use crate::onnx::{GraphProto, ValueInfoProto, axis_names};
use crate::quantization::ValueShapes;

/// Elements of all values together up to which a network is run to learn what is not worked out.
const MAX_ELEMENTS: usize = 1 << 28;

/// Operators whose output can be of any size, whatever the size of what they read.
const MAKERS: [&str; 17] = [
    "ConstantOfShape",
    "ConvTranspose",
    "EyeLike",
    "Expand",
    "If",
    "Loop",
    "OneHot",
    "Pad",
    "RandomNormal",
    "RandomUniform",
    "Range",
    "Resize",
    "Scan",
    "Tile",
    "Upsample",
    "Conv",
    "DepthToSpace",
];

/// What is known of the values that layers read and make.
pub(super) enum WorkedOut {
    /// The shapes of all of them.
    All(ValueShapes),
    /// Not all, and nothing says that the network is too large to run.
    Part,
    /// The network may need more memory than there is.
    TooLarge,
}

/// The shapes for one sample of the declared size; where height and width of a picture are free, for the first that fits.
pub(super) fn worked_out_shapes(network: &Network) -> WorkedOut {
    let Some(graph) = &network.model.graph else {
        return WorkedOut::Part;
    };
    let wanted = layer_values(network);
    let ports: Vec<Port> = (graph.input.iter())
        .filter(|input| network.is_input(input.name()))
        .map(port)
        .collect();
    let mut nearest = WorkedOut::TooLarge;
    let mut before: Vec<Shapes> = Vec::new();
    for free in tried(&ONE_SAMPLE) {
        let given = match sizes(&ports, free) {
            Ok(sizes) => ports
                .iter()
                .map(|port| port.name.clone())
                .zip(sizes)
                .collect::<Shapes>(),
            Err(_) if before.is_empty() => return WorkedOut::TooLarge,
            Err(_) => continue,
        };
        if before.contains(&given) {
            continue;
        }
        before.push(given.clone());
        let found = shapes(graph, &given);
        let all: Option<ValueShapes> = (wanted.iter())
            .map(|name| Some(((*name).to_owned(), found.get(*name)?.clone())))
            .collect();
        if let Some(all) = all {
            return WorkedOut::All(all);
        }
        if is_small(graph, &found) {
            nearest = WorkedOut::Part;
        }
    }
    nearest
}

/// Whether the values whose shapes are known are few, and no operator that can make many has an output of unknown shape.
fn is_small(graph: &GraphProto, found: &Shapes) -> bool {
    let count = |shape: &Vec<usize>| shape.iter().copied().fold(1, usize::saturating_mul);
    let elements = found.values().map(count).fold(0, usize::saturating_add);
    let is_open = |output: &String| !output.is_empty() && !found.contains_key(output);
    let mut makers = graph.node.iter().filter(|node| MAKERS.contains(&node.op_type()));
    elements <= MAX_ELEMENTS && !makers.any(|node| node.output.iter().any(is_open))
}

/// What the file tells of an input.
fn port(info: &ValueInfoProto) -> Port {
    let tensor = match info.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => Some(tensor),
        _ => None,
    };
    let size = |dimension: &tensor_shape_proto::Dimension| match dimension.value {
        Some(tensor_shape_proto::Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    Port {
        name: info.name().to_owned(),
        shape: shape.map(|shape| shape.dim.iter().map(size).collect()),
        axis_names: axis_names(info),
        kind: match tensor.and_then(|tensor| tensor.elem_type) {
            Some(data_type::INT64 | data_type::INT32 | data_type::BOOL) => ElementKind::Integer,
            Some(data_type::UINT8) => ElementKind::Byte,
            Some(data_type::INT8) => ElementKind::SignedByte,
            _ => ElementKind::Float,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::inference::value_shapes;
    use crate::network::Format;
    use crate::onnx::build::{float_tensor, float_value_info, i64_tensor, int_attribute, model_of, node};

    #[test]
    fn shapes_that_are_worked_out_are_those_of_a_run() {
        for demo in Demo::ALL {
            let network = demo.network().unwrap();
            let engine = Rten::load(demo.model_bytes().to_vec()).unwrap();
            let run = value_shapes(&network, &engine, None).unwrap();
            let WorkedOut::All(worked_out) = worked_out_shapes(&network) else {
                panic!("{}: not all shapes", demo.name());
            };
            assert_eq!(worked_out, run, "{}", demo.name());
        }
    }

    /// A convolution beside a constant of ten thousand million elements: 100 bytes that would take 40 GB to run.
    #[test]
    fn a_small_file_that_asks_for_much_memory_is_not_run() {
        let of = |x: &[i64], more: bool| {
            let mut nodes = vec![node("Conv", "c", ["x", "w"], ["t"], vec![])];
            if more {
                let keep = vec![int_attribute("keepdims", 0)];
                nodes.push(node("ConstantOfShape", "", ["s"], ["k"], vec![]));
                nodes.push(node("ReduceSum", "", ["k"], ["r"], keep));
                nodes.push(node("MatMul", "m", ["k", "v"], ["y"], vec![]));
            }
            let graph = GraphProto {
                node: nodes,
                initializer: vec![
                    float_tensor("w", &[2, 1, 1, 1], &[1.0, 1.0]),
                    float_tensor("v", &[100_000, 1], &vec![1.0; 100_000]),
                    i64_tensor("s", &[2], &[100_000, 100_000]),
                ],
                input: vec![float_value_info("x", x)],
                output: vec![float_value_info("t", &[])],
                ..GraphProto::default()
            };
            Network::new("n", None, Format::Onnx, model_of(17, graph)).unwrap()
        };
        let WorkedOut::All(shapes) = worked_out_shapes(&of(&[1, 1, 4, 4], true)) else {
            panic!("not worked out");
        };
        assert_eq!(
            (shapes["t"].as_slice(), shapes["k"].as_slice()),
            (&[1, 2, 4, 4][..], &[100_000, 100_000][..])
        );
        for size in [1 << 40, 100_000] {
            assert!(matches!(
                worked_out_shapes(&of(&[1, 1, size, size], false)),
                WorkedOut::TooLarge
            ));
        }
    }
}
