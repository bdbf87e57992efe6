use super::fold_batch_norm;
use crate::format::demo::Demo;
use crate::network::{Format, Network};
use crate::onnx::build::{
    float_attribute, float_tensor, int_attribute, ints_attribute, node, raw_tensor, tensor_attribute,
};
use crate::onnx::schema::{OperatorSetIdProto, data_type};
use crate::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use prost::Message as _;
use rten_tensor::{NdTensor, prelude::*};

/// Deterministic numbers between -1 and 1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tensor(name: &str, dims: &[usize], seed: u32) -> TensorProto {
    float_tensor(name, dims, &noise(dims.iter().product(), seed))
}

fn value(name: &str, dims: &[usize]) -> ValueInfoProto {
    let dims: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
    crate::onnx::build::float_value_info(name, &dims)
}

/// A convolution's attributes: the defaults spelled out, as the engine of these tests wants them in two dimensions.
fn kernel(groups: i64) -> Vec<AttributeProto> {
    vec![
        int_attribute("group", groups),
        ints_attribute("strides", [1, 1]),
        ints_attribute("dilations", [1, 1]),
        ints_attribute("pads", [0, 0, 0, 0]),
    ]
}

/// A batch-norm of `x` over `channels` channels; its constants are named after `name`.
fn norm(name: &str, x: &str, y: &str, channels: usize) -> (NodeProto, Vec<TensorProto>) {
    let part = |suffix: &str| format!("{name}.{suffix}");
    let inputs = [x.to_owned(), part("scale"), part("bias"), part("mean"), part("var")];
    let node = node(
        "BatchNormalization",
        name,
        inputs.clone(),
        [y],
        vec![float_attribute("epsilon", 1e-3)],
    );
    let var: Vec<f32> = noise(channels, 4).iter().map(|v| v * v + 0.1).collect();
    let constants = vec![
        tensor(&inputs[1], &[channels], 1),
        tensor(&inputs[2], &[channels], 2),
        tensor(&inputs[3], &[channels], 3),
        float_tensor(inputs[4].clone(), &[channels], &var),
    ];
    (node, constants)
}

fn network(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>, x: &[usize], output: &str) -> Network {
    let graph = GraphProto {
        name: Some("g".into()),
        node: nodes,
        initializer: initializers,
        input: vec![value("x", x)],
        output: vec![ValueInfoProto {
            name: Some(output.into()),
            ..ValueInfoProto::default()
        }],
        ..GraphProto::default()
    };
    let model = ModelProto {
        ir_version: Some(8),
        graph: Some(graph),
        opset_import: vec![OperatorSetIdProto {
            domain: None,
            version: Some(13),
        }],
        ..ModelProto::default()
    };
    Network::new("test", None, Format::Onnx, model).unwrap()
}

fn ops(network: &Network) -> Vec<&str> {
    let graph = network.model.graph.as_ref().unwrap();
    graph.node.iter().map(NodeProto::op_type).collect()
}

fn constants(network: &Network) -> Vec<&str> {
    let graph = network.model.graph.as_ref().unwrap();
    graph.initializer.iter().map(TensorProto::name).collect()
}

fn run(network: &Network, dims: [usize; 4], seed: u32) -> Vec<f32> {
    let model = rten::Model::load(network.model.encode_to_vec()).unwrap();
    let input = noise(dims.iter().product(), seed);
    let output = if dims[2..] == [0, 0] {
        let input = noise(dims[0] * dims[1], seed);
        model.run_one(NdTensor::from_data([dims[0], dims[1]], input).into(), None)
    } else {
        model.run_one(NdTensor::from_data(dims, input).into(), None)
    };
    output.unwrap().into_tensor::<f32>().unwrap().to_vec()
}

/// Folded and unfolded agree to 1e-5 of the largest output; layer names and their order are the same.
fn assert_same(network: &Network, folded: &Network, dims: [usize; 4]) {
    let names = |network: &Network| -> Vec<String> { network.layers.iter().map(|l| l.name.clone()).collect() };
    assert_eq!(names(network), names(folded));
    let (before, after) = (run(network, dims, 7), run(folded, dims, 7));
    assert_eq!(before.len(), after.len());
    let largest = before.iter().fold(0.0_f32, |all, value| all.max(value.abs()));
    assert!(largest > 0.0);
    for (a, b) in before.iter().zip(&after) {
        assert!(
            (a - b).abs() <= 1e-5 * largest,
            "{a} became {b}, the largest is {largest}"
        );
    }
}

#[test]
fn the_demo_gives_the_same_logits_without_its_batch_norms() {
    let network = Demo::Fashion.network().unwrap();
    let folded = fold_batch_norm(&network).unwrap();
    assert!(!ops(&folded).contains(&"BatchNormalization"));
    assert_eq!(constants(&folded).len(), 2 * 22);
    assert_same(&network, &folded, [3, 1, 28, 28]);
}

#[test]
fn a_grouped_convolution_with_a_bias_folds() {
    let (bn, mut all) = norm("bn", "c", "y", 6);
    all.extend([tensor("w", &[6, 2, 3, 3], 5), tensor("b", &[6], 6)]);
    let conv = node("Conv", "", ["x", "w", "b"], ["c"], kernel(3));
    let network = network(vec![conv, bn], all, &[1, 6, 5, 5], "y");
    let folded = fold_batch_norm(&network).unwrap();
    assert_eq!((ops(&folded), constants(&folded)), (vec!["Conv"], vec!["w", "b"]));
    assert_same(&network, &folded, [1, 6, 5, 5]);
}

#[test]
fn a_transposed_convolution_folds_over_its_second_axis() {
    let (bn, mut all) = norm("bn", "c", "y", 4);
    all.push(tensor("w", &[6, 4, 2, 2], 5));
    let conv = node("ConvTranspose", "", ["x", "w"], ["c"], kernel(1));
    let network = network(vec![conv, bn], all, &[1, 6, 3, 3], "y");
    let folded = fold_batch_norm(&network).unwrap();
    assert_eq!(ops(&folded), ["ConvTranspose"]);
    assert_same(&network, &folded, [1, 6, 3, 3]);
}

#[test]
fn a_gemm_folds_with_its_factors_in_both_orientations() {
    for (trans_b, dims) in [(0, [3, 5]), (1, [5, 3])] {
        let (bn, mut all) = norm("bn", "c", "y", 5);
        all.extend([tensor("w", &dims, 5), tensor("b", &[1, 5], 6)]);
        let attributes = vec![
            int_attribute("transB", trans_b),
            float_attribute("alpha", 0.5),
            float_attribute("beta", 2.0),
        ];
        let gemm = node("Gemm", "", ["x", "w", "b"], ["c"], attributes);
        let network = network(vec![gemm, bn], all, &[2, 3], "y");
        let folded = fold_batch_norm(&network).unwrap();
        assert_eq!(ops(&folded), ["Gemm"]);
        assert_same(&network, &folded, [2, 3, 0, 0]);
    }
}

#[test]
fn a_weight_shared_by_two_layers_is_copied_and_the_names_stay() {
    let (first, mut all) = norm("first", "c", "d", 4);
    let (second, more) = norm("second", "e", "y", 4);
    all.extend(more);
    all.push(tensor("w", &[4, 4, 1, 1], 5));
    let nodes = vec![
        node("Conv", "", ["x", "w"], ["c"], kernel(1)),
        first,
        node("Conv", "", ["d", "w"], ["e"], kernel(1)),
        second,
    ];
    let network = network(nodes, all, &[1, 4, 2, 2], "y");
    let folded = fold_batch_norm(&network).unwrap();
    assert_eq!(ops(&folded), ["Conv", "Conv"]);
    assert_eq!(folded.layers[1].name, "w#2");
    assert_same(&network, &folded, [1, 4, 2, 2]);
}

#[test]
fn weights_of_constant_nodes_fold_where_they_stand_and_two_norms_fold_one_after_the_other() {
    let (first, mut all) = norm("first", "c", "d", 4);
    let (second, more) = norm("second", "d", "y", 4);
    all.extend(more);
    let weight = tensor_attribute("value", tensor("", &[4, 2, 1, 1], 5));
    let nodes = vec![
        node("Constant", "", [""; 0], ["w"], vec![weight]),
        node("Conv", "", ["x", "w"], ["c"], kernel(1)),
        first,
        second,
    ];
    let network = network(nodes, all, &[1, 2, 3, 3], "y");
    let folded = fold_batch_norm(&network).unwrap();
    assert_eq!(
        (ops(&folded), constants(&folded)),
        (vec!["Constant", "Conv"], vec!["w.bias"])
    );
    assert_same(&network, &folded, [1, 2, 3, 3]);
}

#[test]
fn initializers_listed_as_inputs_are_listed_so_afterwards() {
    let (bn, mut all) = norm("bn", "c", "y", 4);
    all.push(tensor("w", &[4, 2, 1, 1], 5));
    let network = network(
        vec![node("Conv", "", ["x", "w"], ["c"], kernel(1)), bn],
        all,
        &[1, 2, 3, 3],
        "y",
    );
    let mut model = network.model.as_ref().clone();
    model.ir_version = Some(3);
    let graph = model.graph.as_mut().unwrap();
    let listed: Vec<ValueInfoProto> = graph
        .initializer
        .iter()
        .map(|tensor| value(tensor.name(), &[4]))
        .collect();
    graph.input.extend(listed);
    graph.value_info.push(value("c", &[1, 4, 3, 3]));
    let network = Network::new("old", None, Format::Onnx, model).unwrap();
    let folded = fold_batch_norm(&network).unwrap();
    let graph = folded.model.graph.as_ref().unwrap();
    let inputs: Vec<&str> = graph.input.iter().map(ValueInfoProto::name).collect();
    assert_eq!(inputs, ["x", "w", "w.bias"]);
    assert!(graph.value_info.is_empty());
    assert_eq!(folded.graph_inputs(), ["x"]);
}

/// The operators that are left of a Conv and a batch-norm, after `change`.
fn left_after(change: impl FnOnce(&mut GraphProto)) -> usize {
    let (bn, mut all) = norm("bn", "c", "y", 4);
    all.push(tensor("w", &[4, 2, 1, 1], 5));
    let network = network(
        vec![node("Conv", "", ["x", "w"], ["c"], kernel(1)), bn],
        all,
        &[1, 2, 3, 3],
        "y",
    );
    let mut model = network.model.as_ref().clone();
    change(model.graph.as_mut().unwrap());
    let network = Network::new("test", None, Format::Onnx, model).unwrap();
    ops(&fold_batch_norm(&network).unwrap()).len()
}

#[test]
fn a_batch_norm_stays_where_folding_would_change_something() {
    assert_eq!(left_after(|_| {}), 1);
    let training = |graph: &mut GraphProto| graph.node[1].attribute.push(int_attribute("training_mode", 1));
    assert_eq!(left_after(training), 2);
    let statistics = |graph: &mut GraphProto| graph.node[1].output.push("mean_out".into());
    assert_eq!(left_after(statistics), 2);
    let by_element = |graph: &mut GraphProto| graph.node[1].attribute.push(int_attribute("spatial", 0));
    assert_eq!(left_after(by_element), 2);
    let an_output = |graph: &mut GraphProto| graph.output.push(value("c", &[1]));
    assert_eq!(left_after(an_output), 2);
    let read_twice = |graph: &mut GraphProto| graph.node.push(node("Relu", "", ["c"], ["r"], vec![]));
    assert_eq!(left_after(read_twice), 3);
    let half = |graph: &mut GraphProto| {
        graph.initializer[4] = raw_tensor("w", data_type::FLOAT16, &[4, 2, 1, 1], vec![0; 16]);
    };
    assert_eq!(left_after(half), 2);
    let too_few = |graph: &mut GraphProto| graph.initializer[0] = tensor("bn.scale", &[3], 1);
    assert_eq!(left_after(too_few), 2);
}

#[test]
fn a_broken_batch_norm_is_an_error_that_names_the_tensor() {
    let (bn, mut all) = norm("bn", "c", "y", 4);
    all.push(tensor("w", &[4, 2, 1, 1], 5));
    all[0] = raw_tensor("bn.scale", data_type::FLOAT, &[4], vec![0; 12]);
    let network = network(
        vec![node("Conv", "", ["x", "w"], ["c"], kernel(1)), bn],
        all,
        &[1, 2, 3, 3],
        "y",
    );
    let error = fold_batch_norm(&network).err().unwrap().to_string();
    assert!(error.contains("bn.scale"), "{error}");
}

fn shared(file: &str) -> Network {
    let path = format!("{}/../shared/models/{file}", env!("CARGO_MANIFEST_DIR"));
    let model = crate::onnx::read_file(std::path::Path::new(&path)).unwrap();
    Network::new(file, None, Format::Onnx, model).unwrap()
}

#[test]
#[ignore = "needs ../shared"]
fn cifar_resnet_gives_the_same_logits_without_its_batch_norms() {
    let network = shared("cifar10_resnet20.onnx");
    let folded = fold_batch_norm(&network).unwrap();
    assert!(!ops(&folded).contains(&"BatchNormalization"));
    assert_same(&network, &folded, [2, 3, 32, 32]);
}

#[test]
#[ignore = "needs ../shared"]
fn a_network_whose_weights_are_constant_nodes_gives_the_same_output_without_its_batch_norms() {
    let network = shared("ch_ppocr_mobile_v2.0_cls_infer.onnx");
    let folded = fold_batch_norm(&network).unwrap();
    let norms = ops(&folded).iter().filter(|op| **op == "BatchNormalization").count();
    assert_eq!(norms, 0);
    assert_same(&network, &folded, [1, 3, 48, 192]);
}
