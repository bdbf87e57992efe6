use super::{RotatedStream, rotate};
use crate::data::Tensor;
use crate::engine::{Engine as _, Rten};
use crate::network::{Format, Network};
use crate::onnx::build::{float_tensor, float_value_info, int_attribute, ints_attribute, model_of, node, scalar_f32};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, NodeProto, TensorProto, ValueInfoProto, encode};

const WIDTH: usize = 24;
const ROWS: usize = 7;
/// A channel of the stream with huge numbers.
const LOUD: usize = 5;

/// Deterministic numbers between -1 and 1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    (0..count)
        .map(|i| ((i as f32 + seed as f32 * 0.37) * 12.9898).sin())
        .collect()
}

fn tensor(name: &str, dims: &[usize], seed: u32) -> TensorProto {
    float_tensor(name, dims, &noise(dims.iter().product(), seed))
}

/// A gain far from 1.
fn gain(name: &str, seed: u32) -> TensorProto {
    let gain: Vec<f32> = noise(WIDTH, seed).iter().map(|x| 1.5 + x).collect();
    float_tensor(name, &[WIDTH], &gain)
}

/// A network from rows of a table, one of whose columns is huge, to "y": the given nodes read "e".
fn network(nodes: Vec<NodeProto>, mut constants: Vec<TensorProto>) -> Network {
    let mut table = noise(ROWS * WIDTH, 1);
    for row in table.chunks_mut(WIDTH) {
        row[LOUD] += 40.0;
    }
    constants.push(float_tensor("table", &[ROWS, WIDTH], &table));
    let mut all = vec![node("Gather", "embed", ["table", "tokens"], ["e"], vec![])];
    all.extend(nodes);
    let mut tokens: ValueInfoProto = float_value_info("tokens", &[1, ROWS as i64]);
    if let Some(crate::onnx::schema::type_proto::Value::TensorType(tensor)) =
        tokens.r#type.as_mut().and_then(|kind| kind.value.as_mut())
    {
        tensor.elem_type = Some(data_type::INT64);
    }
    let graph = GraphProto {
        node: all,
        initializer: constants,
        input: vec![tokens],
        output: vec![float_value_info("y", &[1, ROWS as i64, 3])],
        ..GraphProto::default()
    };
    Network::new("test", None, Format::Onnx, model_of(17, graph)).unwrap()
}

fn values(network: &Network, name: &str) -> Vec<f32> {
    let engine = Rten::load_unoptimized(encode(&network.model).unwrap()).unwrap();
    let tokens = Tensor::from_shape([1, ROWS], (0..ROWS as i32).collect::<Vec<_>>()).unwrap();
    let values = engine.run(&[("tokens", &tokens)], &[name]).unwrap();
    values[0].floats().unwrap().to_vec()
}

fn assert_same(before: &Network, after: &Network) {
    let (a, b) = (values(before, "y"), values(after, "y"));
    let most = a.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
    assert!(
        a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-5 * most),
        "{a:?} {b:?}"
    );
}

/// The largest number of a value over the root of its mean square.
fn peak(network: &Network, name: &str) -> f32 {
    let values = values(network, name);
    let square = values.iter().map(|x| x * x).sum::<f32>() / values.len() as f32;
    values.iter().fold(0.0_f32, |most, x| most.max(x.abs())) / square.sqrt()
}

/// RMSNorm of `x` as the nodes that exporters write, to `out`.
fn rms_norm(x: &str, out: &str, gain: &str) -> Vec<NodeProto> {
    let name = |part: &str| format!("{out}.{part}");
    vec![
        node("Pow", name("square"), [x, "two"], [name("s")], vec![]),
        node(
            "ReduceMean",
            name("mean"),
            [name("s")],
            [name("m")],
            vec![ints_attribute("axes", [-1])],
        ),
        node(
            "Add",
            name("above"),
            [name("m"), "epsilon".to_owned()],
            [name("a")],
            vec![],
        ),
        node("Sqrt", name("root"), [name("a")], [name("r")], vec![]),
        node("Div", name("divide"), [x.to_owned(), name("r")], [name("n")], vec![]),
        node(
            "Mul",
            name("gain"),
            [gain.to_owned(), name("n")],
            [out.to_owned()],
            vec![],
        ),
    ]
}

/// Two blocks with RMSNorm: the matrices lie both ways, one has a bias, the embedding is scaled.
fn rms_network() -> Network {
    let mut nodes = vec![node("Mul", "scaled", ["e", "half"], ["x"], vec![])];
    nodes.extend(rms_norm("x", "n1", "g1"));
    nodes.extend([
        node("MatMul", "up", ["n1", "w1"], ["u"], vec![]),
        node("Relu", "relu", ["u"], ["h"], vec![]),
        node(
            "Transpose",
            "turned",
            ["w2"],
            ["w2t"],
            vec![ints_attribute("perm", [1, 0])],
        ),
        node("MatMul", "down", ["h", "w2t"], ["d"], vec![]),
        node("Add", "down.bias", ["d", "b2"], ["db"], vec![]),
        node("Add", "sum", ["x", "db"], ["x1"], vec![]),
    ]);
    nodes.extend(rms_norm("x1", "n2", "g2"));
    nodes.push(node("MatMul", "head", ["n2", "w3"], ["y"], vec![]));
    let constants = vec![
        scalar_f32("half", 0.5),
        scalar_f32("two", 2.0),
        scalar_f32("epsilon", 1e-3),
        gain("g1", 2),
        tensor("w1", &[WIDTH, 10], 3),
        // Small, so that the outlier stays in the stream.
        float_tensor(
            "w2",
            &[WIDTH, 10],
            &noise(WIDTH * 10, 4).iter().map(|w| 0.02 * w).collect::<Vec<_>>(),
        ),
        tensor("b2", &[WIDTH], 5),
        gain("g2", 6),
        tensor("w3", &[WIDTH, 3], 7),
    ];
    network(nodes, constants)
}

#[test]
fn an_outlier_is_shared_out_and_the_function_stays() {
    let before = rms_network();
    let rotation = rotate(&before).unwrap();
    assert_eq!(
        rotation.streams,
        [RotatedStream {
            width: WIDTH,
            readers: vec!["up".to_owned(), "head".to_owned()],
            writers: vec!["down".to_owned()],
            norms: 2,
        }]
    );
    assert!(rotation.skipped.is_empty(), "{:?}", rotation.skipped);
    let after = rotation.network;
    assert_same(&before, &after);
    for value in ["x", "n1", "x1"] {
        let (a, b) = (peak(&before, value), peak(&after, value));
        println!("{value}: {a} became {b}");
        assert!(a > 3.0 && b < 0.7 * a, "{value}: {a} became {b}");
    }
    // What is inside of a block is as it was.
    let (a, b) = (values(&before, "h"), values(&after, "h"));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3), "{a:?} {b:?}");
}

/// LayerNormalization takes the mean off, and its bias goes on into layers without one, with one, and into a Gemm's.
#[test]
fn layer_normalization_is_passed_by_a_rotation_that_keeps_means() {
    let norm = |x: &str, out: &str, number: usize| {
        let (gain, bias) = (format!("g{number}"), format!("c{number}"));
        node(
            "LayerNormalization",
            format!("norm{number}"),
            [x.to_owned(), gain, bias],
            [out.to_owned()],
            vec![int_attribute("axis", -1)],
        )
    };
    let nodes = vec![
        node("Add", "positions", ["e", "p"], ["x"], vec![]),
        norm("x", "n1", 1),
        node("MatMul", "up", ["n1", "w1"], ["u"], vec![]),
        node("MatMul", "gate", ["n1", "w4"], ["g"], vec![]),
        node("Add", "gate.bias", ["b4", "g"], ["gb"], vec![]),
        node("Mul", "gated", ["u", "gb"], ["h"], vec![]),
        node("MatMul", "down", ["h", "w2"], ["d"], vec![]),
        node("Add", "sum", ["d", "x"], ["x1"], vec![]),
        norm("x1", "n2", 2),
        node("MatMul", "head", ["n2", "w3"], ["y"], vec![]),
    ];
    let constants = vec![
        tensor("p", &[1, ROWS, WIDTH], 2),
        gain("g1", 3),
        tensor("c1", &[WIDTH], 4),
        tensor("w1", &[WIDTH, 10], 5),
        tensor("w4", &[WIDTH, 10], 6),
        tensor("b4", &[10], 7),
        tensor("w2", &[10, WIDTH], 8),
        gain("g2", 9),
        tensor("c2", &[WIDTH], 10),
        tensor("w3", &[WIDTH, 3], 11),
    ];
    let before = network(nodes, constants);
    let after = rotate(&before).unwrap().network;
    assert_same(&before, &after);
    let names = |network: &Network| {
        network
            .layers
            .iter()
            .map(|layer| layer.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&before), names(&after));
    assert!(peak(&after, "n1") < 0.7 * peak(&before, "n1"));
}

#[test]
fn what_a_rotation_cannot_pass_is_named() {
    let refused = |network: &Network| rotate(network).err().map(|error| error.to_string()).unwrap_or_default();
    // The norm stands behind the sum: its gain goes on into the stream.
    let mut nodes = vec![node("MatMul", "up", ["e", "w1"], ["u"], vec![])];
    nodes.push(node("Add", "sum", ["e", "u"], ["x"], vec![]));
    nodes.extend(rms_norm("x", "n1", "g1"));
    nodes.push(node("MatMul", "mix", ["n1", "w2"], ["m"], vec![]));
    nodes.push(node("Add", "sum2", ["n1", "m"], ["x1"], vec![]));
    nodes.push(node("MatMul", "head", ["x1", "w3"], ["y"], vec![]));
    let constants = || {
        vec![
            scalar_f32("two", 2.0),
            scalar_f32("epsilon", 1e-3),
            gain("g1", 2),
            tensor("w1", &[WIDTH, WIDTH], 3),
            tensor("w2", &[WIDTH, WIDTH], 4),
            tensor("w3", &[WIDTH, 3], 5),
        ]
    };
    let reason = refused(&network(nodes, constants()));
    assert!(reason.contains("Add 'sum2' reads it too"), "{reason}");
    // A function of single channels in the stream.
    let mut nodes = vec![node("Relu", "bend", ["e"], ["b"], vec![])];
    nodes.push(node("MatMul", "up", ["b", "w1"], ["u"], vec![]));
    nodes.push(node("Add", "sum", ["b", "u"], ["x"], vec![]));
    nodes.extend(rms_norm("x", "n1", "g1"));
    nodes.push(node("MatMul", "head", ["n1", "w3"], ["y"], vec![]));
    let reason = refused(&network(nodes, constants()));
    assert!(
        reason.contains("comes from Relu 'bend'") && reason.contains("rotate = false"),
        "{reason}"
    );
    // Nothing is added up.
    let mut nodes = rms_norm("e", "n1", "g1");
    nodes.push(node("MatMul", "head", ["n1", "w3"], ["y"], vec![]));
    let reason = refused(&network(nodes, constants()));
    assert!(reason.contains("no residual stream"), "{reason}");
}
