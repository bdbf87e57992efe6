//! Which layers a graph has, and what is said of each.

mod quantized;
mod sources;

use super::{StoredWeights, layers};
use crate::network::{Format, Layer, LayerKind, Layout, OutAxis, Support, Unsupported};
use crate::onnx::build::{float_tensor, i8_tensor, int_attribute, node, raw_tensor, string_attribute};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};

fn zeros(name: &str, dims: &[usize]) -> TensorProto {
    float_tensor(name, dims, &vec![0.0; dims.iter().product()])
}

fn found(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> Vec<Layer> {
    let graph = GraphProto {
        node: nodes,
        initializer: initializers,
        input: vec![ValueInfoProto {
            name: Some("x".into()),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    layers(&model, Format::Onnx, &StoredWeights::default()).unwrap()
}

fn one(node: NodeProto, initializers: Vec<TensorProto>) -> Layer {
    let mut all = found(vec![node], initializers);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn layout(groups: usize, outer: usize, channels: usize, inner: usize, out_axis: OutAxis) -> Layout {
    Layout {
        groups,
        outer,
        channels,
        inner,
        out_axis,
        out_run: 1,
    }
}

fn why(layer: &Layer) -> String {
    layer
        .support
        .why_not_split()
        .map(ToString::to_string)
        .unwrap_or_default()
}

#[test]
fn a_convolution_reads_its_input_channels_from_the_second_axis() {
    let conv = one(
        node("Conv", "c", ["x", "w"], ["y"], vec![]),
        vec![zeros("w", &[8, 3, 5, 5])],
    );
    assert_eq!(conv.layout, layout(1, 8, 3, 25, OutAxis::Outer));
    assert_eq!((conv.kind, conv.support), (LayerKind::Conv, Support::Split));
    assert_eq!(conv.input, Some(("x".into(), 1)));
    assert_eq!(
        (conv.weight_input, conv.name.as_str(), conv.weight.as_str()),
        (1, "c", "w")
    );
}

#[test]
fn grouped_convolutions_split_and_depthwise_ones_do_not() {
    let group = |count| vec![int_attribute("group", count)];
    let grouped = one(
        node("Conv", "", ["x", "w"], ["y"], group(2)),
        vec![zeros("w", &[8, 3, 1, 1])],
    );
    assert_eq!(grouped.layout, layout(2, 4, 3, 1, OutAxis::Outer));
    assert_eq!(grouped.support, Support::Split);
    let depthwise = one(
        node("Conv", "", ["x", "w"], ["y"], group(8)),
        vec![zeros("w", &[8, 1, 3, 3])],
    );
    assert_eq!(depthwise.support, Support::Quantize(Unsupported::Depthwise));
    let gray = one(
        node("Conv", "", ["x", "w"], ["y"], vec![]),
        vec![zeros("w", &[8, 1, 3, 3])],
    );
    assert_eq!(gray.support, Support::Split);
}

#[test]
fn a_convolution_that_does_not_hold_together_says_why() {
    let conv = |dims: &[usize], group| {
        one(
            node("Conv", "", ["x", "w"], ["y"], vec![int_attribute("group", group)]),
            vec![zeros("w", dims)],
        )
    };
    assert!(why(&conv(&[8, 3, 1], 3)).contains("cannot be divided into 3 groups"));
    assert!(why(&conv(&[8, 3, 1], 0)).contains("cannot be divided into 0 groups"));
    assert!(why(&conv(&[8, 3, 1], -2)).contains("cannot be divided into -2 groups"));
    assert!(why(&conv(&[8, 3], 1)).contains("3 or more dimensions"));
    assert!(why(&conv(&[8, 0, 3], 1)).contains("no elements"));
    assert!(!conv(&[8, 3], 1).support.can_quantize());
}

#[test]
fn a_weight_whose_data_does_not_fit_its_shape_is_shown_with_the_fault() {
    let conv = || node("Conv", "", ["x", "w"], ["y"], vec![]);
    let short = raw_tensor("w", data_type::FLOAT, &[2, 2, 2], vec![0; 12]);
    assert!(why(&one(conv(), vec![short.clone()])).starts_with("broken weight: "));
    for dims in [vec![-1, 2, 2], vec![i64::MAX, i64::MAX, 4]] {
        let broken = TensorProto { dims, ..short.clone() };
        let layer = one(conv(), vec![broken]);
        assert!(why(&layer).starts_with("broken weight: "), "{layer:?}");
        assert_eq!(layer.parameters(), 0);
    }
}

#[test]
fn a_transposed_convolution_reads_its_input_channels_from_the_first_axis() {
    let layer = one(
        node("ConvTranspose", "", ["x", "w"], ["y"], vec![int_attribute("group", 2)]),
        vec![zeros("w", &[4, 3, 2, 2])],
    );
    // The kernel of an output channel lies together.
    let expected = Layout {
        out_run: 4,
        ..layout(2, 1, 2, 12, OutAxis::Inner)
    };
    assert_eq!(layer.layout, expected);
    assert_eq!((layer.support, layer.input), (Support::Split, Some(("x".into(), 1))));
}

#[test]
fn gemm_reads_its_channels_where_trans_b_says() {
    let gemm = |attributes| node("Gemm", "", ["x", "w", "b"], ["y"], attributes);
    let stored = one(gemm(vec![]), vec![zeros("w", &[4, 6])]);
    assert_eq!(stored.layout, layout(1, 1, 4, 6, OutAxis::Inner));
    let turned = one(gemm(vec![int_attribute("transB", 1)]), vec![zeros("w", &[4, 6])]);
    assert_eq!(turned.layout, layout(1, 4, 6, 1, OutAxis::Outer));
    assert_eq!(turned.input, Some(("x".into(), -1)));
    assert_eq!(turned.support, Support::Split);
    let on_its_side = one(gemm(vec![int_attribute("transA", 1)]), vec![zeros("w", &[4, 6])]);
    assert!(why(&on_its_side).contains("transA"));
}

#[test]
fn matmul_takes_its_constant_on_either_side() {
    let right = one(node("MatMul", "", ["x", "w"], ["y"], vec![]), vec![zeros("w", &[4, 6])]);
    assert_eq!(right.layout, layout(1, 1, 4, 6, OutAxis::Inner));
    assert_eq!((right.weight_input, right.input), (1, Some(("x".into(), -1))));
    let left = one(node("MatMul", "", ["w", "x"], ["y"], vec![]), vec![zeros("w", &[4, 6])]);
    assert_eq!(left.layout, layout(1, 4, 6, 1, OutAxis::Outer));
    assert_eq!((left.weight_input, left.input), (0, Some(("x".into(), -2))));
    assert_eq!(left.support, Support::Split);
}

#[test]
fn matmuls_without_one_constant_matrix_are_looked_at() {
    let right = |dims: &[usize]| one(node("MatMul", "", ["x", "w"], ["y"], vec![]), vec![zeros("w", dims)]);
    let batched = right(&[2, 4, 6]);
    assert!(why(&batched).starts_with("batched weights"));
    assert_eq!(batched.layout, layout(2, 1, 4, 6, OutAxis::Inner));
    assert!(why(&right(&[4])).contains("vector"));
    let both = one(
        node("MatMul", "", ["v", "w"], ["y"], vec![]),
        vec![zeros("v", &[2, 4]), zeros("w", &[4, 6])],
    );
    assert!(why(&both).contains("both sides are constant"));
    assert!(found(vec![node("MatMul", "", ["x", "x"], ["y"], vec![])], vec![]).is_empty());
}

#[test]
fn an_lstm_is_two_layers() {
    let lstm = |hidden| {
        let attributes = vec![
            int_attribute("hidden_size", hidden),
            string_attribute("direction", "bidirectional"),
        ];
        node("LSTM", "rnn", ["x", "w", "r"], ["y"], attributes)
    };
    let weights = || vec![zeros("w", &[2, 8, 3]), zeros("r", &[2, 8, 2])];
    let layers = found(vec![lstm(2)], weights());
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["rnn/W", "rnn/R"]);
    assert_eq!(layers[0].layout, layout(1, 16, 3, 1, OutAxis::Outer));
    assert_eq!(layers[1].layout, layout(1, 16, 2, 1, OutAxis::Outer));
    assert_eq!((layers[0].weight_input, layers[1].weight_input), (1, 2));
    assert_eq!(layers[0].input, Some(("x".into(), -1)));
    assert_eq!(layers[1].input, None);
    assert!(layers.iter().all(|layer| layer.support == Support::Split));
    assert_eq!((layers[0].channel_axis(), layers[0].output_axis()), (2, 1));
    let wrong = found(vec![lstm(3)], weights());
    assert!(
        why(&wrong[1]).contains("do not fit LSTM of 3 hidden units"),
        "{wrong:?}"
    );
}

#[test]
fn a_gru_has_three_gates_and_an_rnn_one() {
    for (op, gates) in [("GRU", 3), ("RNN", 1)] {
        let weights = vec![zeros("w", &[1, gates * 5, 3]), zeros("r", &[1, gates * 5, 5])];
        let layers = found(vec![node(op, "", ["x", "w", "r"], ["y"], vec![])], weights);
        assert!(layers.iter().all(|layer| layer.support == Support::Split), "{layers:?}");
        let weights = vec![zeros("w", &[1, gates * 5, 3]), zeros("r", &[1, gates * 5, 4])];
        let layers = found(vec![node(op, "", ["x", "w", "r"], ["y"], vec![])], weights);
        assert!(why(&layers[1]).contains("[1,"), "{layers:?}");
    }
}

#[test]
fn repeated_names_are_numbered_without_hitting_a_name_in_use() {
    let matmul = |name: &str| node("MatMul", name, ["x", "w"], ["y"], vec![]);
    let nodes = vec![
        matmul("a"),
        matmul("a"),
        matmul("a#2"),
        matmul("a"),
        matmul(""),
        matmul(""),
    ];
    let layers = found(nodes, vec![zeros("w", &[2, 2])]);
    let names: Vec<&str> = layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["a", "a#3", "a#2", "a#4", "w", "w#2"]);
}

#[test]
fn half_floats_split_as_floats_do() {
    let half = raw_tensor("w", data_type::FLOAT16, &[2, 2], vec![0; 8]);
    let layer = one(node("MatMul", "", ["x", "w"], ["y"], vec![]), vec![half]);
    assert_eq!(layer.support, Support::Split);
}

#[test]
fn a_file_of_tensors_has_its_matrices_of_numbers_as_layers() {
    let graph = GraphProto {
        initializer: vec![
            zeros("conv", &[8, 3, 5, 5]),
            zeros("bias", &[8]),
            i8_tensor("int", &[2, 2], &[0; 4]),
            zeros("none", &[2, 0]),
        ],
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    let layers = layers(&model, Format::Safetensors, &StoredWeights::default()).unwrap();
    assert_eq!(layers.len(), 3);
    assert_eq!(layers[0].layout, layout(1, 8, 3, 25, OutAxis::Outer));
    assert_eq!((layers[0].op.as_str(), &layers[0].node), ("Tensor", &None));
    assert_eq!(why(&layers[1]), "weights are int8: looked at without their scale");
    assert!(why(&layers[2]).contains("no elements"));
}

#[test]
fn a_model_without_a_graph_is_refused() {
    let error = layers(&ModelProto::default(), Format::Onnx, &StoredWeights::default()).unwrap_err();
    assert!(error.to_string().contains("no graph"), "{error}");
}
