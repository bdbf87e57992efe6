use super::{scale, smooth};
use crate::data::Tensor;
use crate::engine::{Engine as _, Rten};
use crate::network::{Format, Network};
use crate::onnx::build::{float_attribute, float_tensor, float_value_info, int_attribute, model_of, node};
use crate::onnx::{GraphProto, NodeProto, TensorProto, encode, numbers};

/// Deterministic numbers between -1 and 1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| ((i as f32 + seed as f32 * 0.37) * 12.9898).sin())
        .collect()
}

fn tensor(name: &str, dims: &[usize], seed: u32) -> TensorProto {
    float_tensor(name, dims, &noise(dims.iter().product(), seed))
}

/// A network from `x [5, 4]` to "y".
fn network(nodes: Vec<NodeProto>, constants: Vec<TensorProto>) -> Network {
    let graph = GraphProto {
        node: nodes,
        initializer: constants,
        input: vec![float_value_info("x", &[5, 4])],
        output: vec![float_value_info("y", &[5, 3])],
        ..GraphProto::default()
    };
    let model = model_of(17, graph);
    Network::new("test", None, Format::Onnx, model).unwrap()
}

/// Values of the network on one input.
fn values(network: &Network, names: &[&str]) -> Vec<Vec<f32>> {
    let engine = Rten::load_unoptimized(encode(&network.model).unwrap()).unwrap();
    let x = Tensor::from_shape([5, 4], noise(20, 9)).unwrap();
    let values = engine.run(&[("x", &x)], names).unwrap();
    values.iter().map(|value| value.floats().unwrap().to_vec()).collect()
}

/// The largest |x| of each of the channels of a value on its last axis.
fn largest(network: &Network, name: &str, channels: usize) -> Vec<f32> {
    let values = values(network, &[name]).remove(0);
    (0..channels)
        .map(|channel| {
            values
                .iter()
                .skip(channel)
                .step_by(channels)
                .fold(0.0_f32, |most, x| most.max(x.abs()))
        })
        .collect()
}

fn assert_same(before: &Network, after: &Network) {
    let (a, b) = (values(before, &["y"]).remove(0), values(after, &["y"]).remove(0));
    let most = a.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!(
        a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5 * most),
        "{a:?} {b:?}"
    );
}

fn constant(network: &Network, position: usize, slot: usize) -> Vec<f32> {
    let graph = network.model.graph.as_ref().unwrap();
    let name = &graph.node[position].input[slot];
    let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
    numbers(tensor).unwrap().to_vec()
}

#[test]
fn the_scale_shares_an_outlier_out_and_leaves_dead_channels() {
    assert!((scale(16.0, 4.0, 0.5) - 2.0).abs() < 1e-12);
    assert!((scale(16.0, 4.0, 1.0) - 16.0).abs() < 1e-12);
    assert!((scale(16.0, 4.0, 0.0) - 0.25).abs() < 1e-12);
    assert_eq!((scale(0.0, 4.0, 0.5), scale(3.0, 0.0, 0.5)), (1.0, 1.0));
    assert_eq!(scale(f32::NAN, 1.0, 0.5), 1.0);
}

/// Closed form: two layers behind one norm have `s_j = sqrt(max|x_j| / max(max|u_j|, max|v_j|))`.
#[test]
fn gain_and_bias_of_a_norm_are_divided_and_all_columns_multiplied() {
    let nodes = vec![
        node(
            "LayerNormalization",
            "norm",
            ["x", "gain", "bias"],
            ["n"],
            vec![int_attribute("axis", -1)],
        ),
        node("MatMul", "u", ["n", "wu"], ["a"], vec![]),
        node("Gemm", "v", ["n", "wv"], ["b"], vec![int_attribute("transB", 1)]),
        node("Add", "", ["a", "b"], ["y"], vec![]),
    ];
    let gain = float_tensor("gain", &[4], &[1.0, 30.0, 0.1, 2.0]);
    let constants = vec![
        gain,
        tensor("bias", &[4], 1),
        tensor("wu", &[4, 3], 2),
        tensor("wv", &[3, 4], 3),
    ];
    let before = network(nodes, constants);
    let seen = largest(&before, "n", 4);
    let smoothed = smooth(&before, |_| Some(seen.clone()), 0.5).unwrap();
    assert_eq!(
        smoothed.groups,
        [("norm".to_owned(), vec!["u".to_owned(), "v".to_owned()])]
    );
    assert!(smoothed.skipped.is_empty(), "{:?}", smoothed.skipped);
    let after = smoothed.network;
    assert_same(&before, &after);
    let (u, v) = (constant(&before, 1, 1), constant(&before, 2, 1));
    for channel in 0..4 {
        let columns = (0..3).map(|i| u[channel * 3 + i].abs().max(v[i * 4 + channel].abs()));
        let s = (seen[channel] / columns.fold(0.0, f32::max)).sqrt();
        let close = |a: f32, b: f32| (a - b).abs() <= 1e-5 * b.abs();
        for slot in [1, 2] {
            assert!(close(
                constant(&after, 0, slot)[channel] * s,
                constant(&before, 0, slot)[channel]
            ));
        }
        assert!(close(constant(&after, 1, 1)[channel * 3], u[channel * 3] * s));
        assert!(close(constant(&after, 2, 1)[4 + channel], v[4 + channel] * s));
    }
    // Both sides reach as far as each other now: sqrt(max|x| max|w|).
    let now = largest(&after, "n", 4);
    let columns: Vec<f32> = (0..4)
        .map(|channel| {
            (0..3).fold(0.0_f32, |most, i| {
                most.max(constant(&after, 1, 1)[channel * 3 + i].abs())
                    .max(constant(&after, 2, 1)[i * 4 + channel].abs())
            })
        })
        .collect();
    for (x, w) in now.iter().zip(&columns) {
        assert!((x / w - 1.0).abs() < 1e-4, "{now:?} {columns:?}");
    }
}

/// A chain of layers: the middle one is divided for the last and multiplied for itself.
#[test]
fn the_layer_before_takes_the_division_through_relu_and_bias() {
    let nodes = vec![
        node("MatMul", "first", ["x", "w1"], ["p"], vec![]),
        node("Add", "", ["b1", "p"], ["q"], vec![]),
        node("Relu", "", ["q"], ["h"], vec![]),
        node("Gemm", "second", ["h", "w2", "b2"], ["r"], vec![]),
        node("LeakyRelu", "", ["r"], ["k"], vec![float_attribute("alpha", 0.1)]),
        node("MatMul", "third", ["k", "w3"], ["y"], vec![]),
    ];
    let mut w1 = noise(24, 1);
    w1.iter_mut().step_by(6).for_each(|x| *x *= 40.0);
    let constants = vec![
        float_tensor("w1", &[4, 6], &w1),
        // So that no channel is 0 on all rows.
        float_tensor("b1", &[6], &noise(6, 2).iter().map(|x| x + 3.0).collect::<Vec<f32>>()),
        tensor("w2", &[6, 5], 3),
        tensor("b2", &[5], 4),
        tensor("w3", &[5, 3], 5),
    ];
    let before = network(nodes, constants);
    let known = |name: &str| match name {
        "h" => Some(largest(&before, "h", 6)),
        "k" => Some(largest(&before, "k", 5)),
        _ => None,
    };
    let smoothed = smooth(&before, known, 0.5).unwrap();
    let makers: Vec<&str> = smoothed.groups.iter().map(|(maker, _)| maker.as_str()).collect();
    assert_eq!(makers, ["first", "second"]);
    assert_eq!(smoothed.skipped.len(), 1, "the network's input: {:?}", smoothed.skipped);
    let after = smoothed.network;
    assert_same(&before, &after);
    let spread = |values: &[f32]| values.iter().fold(0.0_f32, |a, b| a.max(*b)) / values.iter().sum::<f32>();
    assert!(spread(&largest(&after, "h", 6)) < 0.85 * spread(&largest(&before, "h", 6)));
}

#[test]
fn of_a_gated_product_the_factor_that_keeps_scales_is_divided() {
    let nodes = vec![
        node("MatMul", "gate", ["x", "wg"], ["g"], vec![]),
        node("MatMul", "up", ["x", "wu"], ["u"], vec![]),
        node("Sigmoid", "", ["g"], ["s"], vec![]),
        node("Mul", "", ["g", "s"], ["silu"], vec![]),
        node("Mul", "", ["silu", "u"], ["h"], vec![]),
        node("MatMul", "down", ["h", "wd"], ["y"], vec![]),
    ];
    let constants = vec![
        tensor("wg", &[4, 6], 1),
        tensor("wu", &[4, 6], 2),
        tensor("wd", &[6, 3], 3),
    ];
    let before = network(nodes, constants);
    let known = |name: &str| (name == "h").then(|| largest(&before, "h", 6));
    let smoothed = smooth(&before, known, 0.5).unwrap();
    assert_eq!(smoothed.groups, [("up".to_owned(), vec!["down".to_owned()])]);
    assert_same(&before, &smoothed.network);
    assert_eq!(
        constant(&before, 0, 1),
        constant(&smoothed.network, 0, 1),
        "the gate stays"
    );
    assert_ne!(constant(&before, 1, 1), constant(&smoothed.network, 1, 1));
}

#[test]
fn what_bars_the_way_is_told_and_nothing_changes() {
    let behind = |between: NodeProto, more: Vec<NodeProto>| {
        let first = node("MatMul", "first", ["x", "w1"], ["p"], vec![]);
        let last = node("MatMul", "last", ["h", "w2"], ["z"], vec![]);
        let nodes = [vec![first, between, last], more].concat();
        network(
            nodes,
            vec![
                tensor("w1", &[4, 6], 1),
                tensor("w2", &[6, 3], 2),
                tensor("one", &[3], 3),
            ],
        )
    };
    let end = || vec![node("Identity", "", ["z"], ["y"], vec![])];
    let also_read = vec![
        node("ReduceMax", "", ["h"], ["m"], vec![int_attribute("keepdims", 0)]),
        node("Add", "", ["z", "m"], ["y"], vec![]),
    ];
    for (network, why) in [
        (behind(node("Tanh", "", ["p"], ["h"], vec![]), end()), "keeps scales"),
        (
            behind(node("Relu", "", ["p"], ["h"], vec![]), also_read),
            "more than layers",
        ),
    ] {
        let smoothed = smooth(&network, |_| Some(vec![1.0; 6]), 0.5).unwrap();
        assert!(smoothed.groups.is_empty());
        let (_, said) = smoothed.skipped.iter().find(|(layer, _)| layer == "last").unwrap();
        assert!(said.contains(why), "{said}");
        assert_same(&network, &smoothed.network);
    }
    let relu = behind(node("Relu", "", ["p"], ["h"], vec![]), end());
    let unknown = smooth(&relu, |_| None, 0.5).unwrap();
    assert!(unknown.skipped.iter().any(|(_, why)| why.contains("nothing is known")));
}
