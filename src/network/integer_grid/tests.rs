use super::*;
use crate::network::Format;
use crate::onnx::build::{
    float_tensor, i8_tensor, i64_tensor, int_attribute, node, raw_tensor, scalar_f32, scalar_i8, scalar_u8, u8_tensor,
};
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, ModelProto, NodeProto, ValueInfoProto};

fn network(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> Network {
    let input = ValueInfoProto {
        name: Some("x".into()),
        ..ValueInfoProto::default()
    };
    let graph = GraphProto {
        node: nodes,
        initializer,
        input: vec![input],
        ..GraphProto::default()
    };
    let model = ModelProto {
        graph: Some(graph),
        ..ModelProto::default()
    };
    Network::new("net", None, Format::Onnx, model).unwrap()
}

fn grid(nodes: Vec<NodeProto>, initializers: Vec<TensorProto>) -> IntegerGrid {
    network(nodes, initializers).integer_grid(0).unwrap().unwrap()
}

#[test]
fn levels_behind_dequantize_linear_are_counted_with_their_scale() {
    let found = grid(
        vec![
            node("DequantizeLinear", "", ["w", "s", "z"], ["wd"], vec![]),
            node("Conv", "c", ["x", "wd"], ["y"], vec![]),
        ],
        vec![
            i8_tensor("w", &[2, 3, 1, 1], &[-3, 0, 0, 1, 3, -3]),
            scalar_f32("s", 0.25),
            scalar_i8("z", 0),
        ],
    );
    assert_eq!((found.element_type.as_str(), found.counts.len()), ("int8", 256));
    assert_eq!([-3, -2, 0, 1, 3].map(|level| found.count(level)), [2, 0, 2, 1, 1]);
    assert_eq!(
        (found.used(), found.reach(), found.bits_in_use()),
        (4, Some((-3, 3)), Some(3))
    );
    let scale = found.scale.unwrap();
    assert_eq!(
        (scale.name.as_str(), &scale.values[..], &scale.zero_points[..]),
        ("s", &[0.25][..], &[0][..])
    );
    assert!(!found.rounded_when_run);
}

#[test]
fn each_channel_has_its_scale_and_zero_point() {
    let found = grid(
        vec![
            node(
                "DequantizeLinear",
                "",
                ["w", "s", "z"],
                ["wd"],
                vec![int_attribute("axis", -2)],
            ),
            node("MatMul", "m", ["x", "wd"], ["y"], vec![]),
        ],
        vec![
            u8_tensor("w", &[2, 2], &[0, 255, 128, 127]),
            float_tensor("s", &[2], &[0.5, 0.125]),
            u8_tensor("z", &[2], &[128, 127]),
        ],
    );
    assert_eq!(
        (found.least, found.used(), found.zero_point(), found.bits_in_use()),
        (0, 4, None, None)
    );
    let scale = found.scale.unwrap();
    assert_eq!(
        (scale.axis, scale.values, scale.zero_points),
        (0, vec![0.5, 0.125], vec![128, 127])
    );
}

#[test]
fn operators_that_take_integers_name_scale_and_zero_point_among_their_inputs() {
    let inputs = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"];
    let conv = grid(
        vec![node("QLinearConv", "c", inputs, ["y"], vec![])],
        vec![
            u8_tensor("w", &[1, 2, 1, 1], &[120, 130]),
            scalar_f32("ws", 0.1),
            scalar_u8("wz", 128),
            scalar_f32("xs", 9.0),
            scalar_u8("xz", 9),
        ],
    );
    let scale = conv.scale.as_ref().unwrap();
    assert_eq!(
        (scale.name.as_str(), conv.zero_point(), conv.bits_in_use()),
        ("ws", Some(128), Some(5))
    );
    let integer = grid(
        vec![node("MatMulInteger", "m", ["x", "w", "", "wz"], ["y"], vec![])],
        vec![i8_tensor("w", &[2, 1], &[-1, 1]), scalar_i8("wz", 0)],
    );
    assert!(integer.scale.is_none(), "the operator knows no scale");
    assert_eq!(integer.used(), 2);
}

#[test]
fn packed_fours_are_read_and_packed_blocks_are_not() {
    let four = raw_tensor("w", data_type::INT4, &[1, 4], vec![0x18, 0x7f]);
    let found = grid(
        vec![
            node("DequantizeLinear", "", ["w", "s"], ["wd"], vec![]),
            node("MatMul", "m", ["x", "wd"], ["y"], vec![]),
        ],
        vec![four, scalar_f32("s", 1.0)],
    );
    assert_eq!(
        (found.counts.len(), found.reach(), found.used()),
        (16, Some((-8, 7)), 4)
    );
}

#[test]
fn floats_before_a_pair_of_quantizers_are_rounded_as_the_pair_does() {
    let found = grid(
        vec![
            node("QuantizeLinear", "", ["w", "s", "z"], ["wq"], vec![]),
            node("DequantizeLinear", "", ["wq", "s", "z"], ["wd"], vec![]),
            node("Conv", "c", ["x", "wd"], ["y"], vec![]),
        ],
        vec![
            // 2.5 and 3.5 steps go to the even level, 1000 is saturated.
            float_tensor("w", &[1, 4, 1, 1], &[0.25, 0.35, -0.1, 100.0]),
            scalar_f32("s", 0.1),
            scalar_i8("z", 0),
        ],
    );
    assert!(found.rounded_when_run);
    let levels = [2, 4, -1, 127];
    assert_eq!(levels.map(|level| found.count(level)), [1; 4]);
}

#[test]
fn integers_are_found_behind_a_reshape_and_channels_where_it_puts_them() {
    let layers = |shape: [i64; 2]| {
        let nodes = vec![
            node("DequantizeLinear", "", ["w", "s"], ["wd"], vec![]),
            node("Reshape", "", ["wd", "shape"], ["wr"], vec![]),
            node("MatMul", "m", ["x", "wr"], ["y"], vec![]),
        ];
        let constants = vec![
            i8_tensor("w", &[2, 3], &[1, 2, 3, 4, 5, 6]),
            scalar_f32("s", 0.5),
            i64_tensor("shape", &[2], &shape),
        ];
        network(nodes, constants)
    };
    for same in [[2, 3], [0, 0], [-1, 3]] {
        let grid = layers(same).integer_grid(0).unwrap().unwrap();
        assert_eq!((grid.used(), grid.scale.unwrap().values), (6, vec![0.5]), "{same:?}");
    }
    let other = layers([3, 2]);
    let layer = &other.layers[0];
    assert_eq!(
        (layer.shape.as_slice(), layer.layout.channels, layer.layout.inner),
        (&[3, 2][..], 3, 2)
    );
    assert_eq!(other.integer_grid(0).unwrap().unwrap().used(), 6);
    assert_eq!(other.real_weights(0).unwrap().to_vec(), [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
    // It does not hold as many elements.
    assert!(layers([3, 3]).layers.is_empty());
}

#[test]
fn a_layer_of_floats_has_no_integers() {
    let conv = node("Conv", "c", ["x", "w"], ["y"], vec![]);
    let plain = network(vec![conv], vec![float_tensor("w", &[1, 1, 1, 1], &[1.0])]);
    assert_eq!(plain.integer_grid(0).unwrap(), None);
    assert!(plain.integer_grid(1).is_err());
}

#[test]
fn our_own_export_uses_the_levels_of_its_recipe() {
    use crate::format::demo::Demo;
    use crate::progress::Progress;
    use crate::quantization::{Bits, Recipe, plan, prepare, rewrite};
    let recipe = Recipe {
        weight_bits: Bits::Grid(3),
        activation_bits: Bits::Float,
        fold_batch_norm: true,
        ..Recipe::default()
    };
    let network = prepare(&Demo::Fashion.network().unwrap(), &recipe).unwrap();
    let made = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let model = rewrite(&network, &made).unwrap();
    let export = Network::new("export", None, Format::Onnx, model).unwrap();
    assert_eq!(export.layers.len(), network.layers.len());
    for (index, layer) in made.layers.iter().enumerate() {
        let grid = export.integer_grid(index).unwrap().unwrap();
        let planned = layer.quantized().unwrap();
        assert!(grid.bits_in_use().unwrap() <= 3 && grid.used() <= 7, "{}", layer.name);
        assert_eq!(grid.scale.as_ref().unwrap().values, [planned.grid.step]);
        assert_eq!(grid.count(0), planned.values.iter().filter(|q| **q == 0).count() as u64);
    }
}
