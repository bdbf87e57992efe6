use super::*;
use crate::format::demo::Demo;
use crate::onnx::build::{i8_tensor, node};
use crate::onnx::schema::GraphProto;

fn demo(demo: Demo) -> Network {
    demo.network().unwrap()
}

/// The counts are those of the scripts that trained the demos.
#[test]
fn the_demos_have_the_parameters_that_their_training_says() {
    assert_eq!(demo(Demo::Fashion).parameters(), 273_754);
    assert_eq!(demo(Demo::Shakespeare).parameters(), 243_969);
}

#[test]
fn the_fashion_demo_has_a_layer_for_each_convolution_and_its_classifier() {
    let network = demo(Demo::Fashion);
    assert_eq!((network.layers.len(), network.nodes()), (22, 73));
    assert!(network.layers.iter().all(|layer| layer.support == Support::Split));
    assert_eq!(network.layers[0].layout.in_channels(), 1);
    assert_eq!(network.layers[21].kind, LayerKind::Gemm);
    assert_eq!(network.layers[21].layout.out_channels(), 10);
    assert_eq!(network.graph_inputs(), ["input"]);
    for (index, layer) in network.layers.iter().enumerate() {
        assert_eq!(network.layer_index(&layer.name), Some(index));
        assert_eq!(network.weights(index).unwrap().len() as u64, layer.parameters());
        assert_eq!(network.node(layer).unwrap().op_type(), layer.op);
        assert_eq!(network.tensor(layer).unwrap().name(), layer.weight);
    }
}

#[test]
fn the_shakespeare_demo_has_two_layers_for_each_lstm_and_its_decoder() {
    let network = demo(Demo::Shakespeare);
    let names: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["rnn.l0/W", "rnn.l0/R", "rnn.l1/W", "rnn.l1/R", "fc"]);
    assert_eq!(network.layers[4].support, Support::Split);
    assert_eq!(network.layers[3].layout.in_channels(), 128);
}

#[test]
fn the_weights_of_a_quantized_layer_come_as_numbers_and_missing_ones_as_errors() {
    let graph = GraphProto {
        node: vec![
            node("MatMulInteger", "", ["x", "q"], ["y"], vec![]),
            node("MatMulInteger", "", ["x", "none"], ["z"], vec![]),
        ],
        initializer: vec![i8_tensor("q", &[1, 2], &[-3, 4]), i8_tensor("none", &[0, 2], &[])],
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    let network = Network::new("quantized", None, Format::Onnx, model).unwrap();
    assert_eq!(*network.weights(0).unwrap(), [-3.0, 4.0]);
    let error = |index| network.weights(index).unwrap_err().to_string();
    assert!(error(1).contains("no elements"), "{}", error(1));
    assert!(error(2).contains("no layer number 2"), "{}", error(2));
}
