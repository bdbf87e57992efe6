//! Embeddings: float unless asked for, never split, looked up as integers.

use crate::common::graph::{self, model, typed, value};
use splitscope::data::Tensor;
use splitscope::inference::{Engine, Rten};
use splitscope::network::{LayerKind, Network, Support};
use splitscope::onnx::build::{float_tensor, node};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Granularity, LayerRecipe, Recipe, plan, rewrite};

const ROWS: usize = 300;
const WIDTH: usize = 40;

fn table() -> Vec<f32> {
    (0..ROWS * WIDTH)
        .map(|i| (((i * 37) % 101) as f32 / 50.0 - 1.0) * (1.0 + (i / WIDTH) as f32 / 30.0))
        .collect()
}

fn network() -> Network {
    let nodes = vec![
        node("Gather", "embed", ["table", "ids"], ["e"], vec![]),
        node("Identity", "", ["e"], ["y"], vec![]),
    ];
    let constants = vec![float_tensor("table", &[ROWS, WIDTH], &table())];
    graph::network(model(
        17,
        (nodes, constants),
        vec![typed("ids", data_type::INT64, &[0])],
        vec![value("y")],
    ))
}

fn looked_up(model: &ModelProto, ids: &[i32]) -> Vec<f32> {
    let engine = Rten::load(encode(model).unwrap()).unwrap();
    let ids = Tensor::from_shape([ids.len()], ids.to_vec()).unwrap();
    let values = engine.run(&[("ids", &ids)], &["y"]).unwrap();
    values[0].floats().unwrap().to_vec()
}

fn recipe(asked: bool, per_channel: bool) -> Recipe {
    let mut recipe = Recipe {
        weight_bits: Bits::Grid(8),
        activation_bits: Bits::Float,
        expand_ratio: 0.1,
        scales: if per_channel {
            Granularity::Channel
        } else {
            Granularity::Tensor
        },
        ..Recipe::default()
    };
    if asked {
        let own = LayerRecipe {
            weight_bits: Some(Bits::Grid(8)),
            ..LayerRecipe::default()
        };
        recipe.layers.insert("embed".to_owned(), own);
    }
    recipe
}

#[test]
fn a_table_is_listed_and_stays_float_unless_asked_for() {
    let network = network();
    let layer = &network.layers[0];
    assert_eq!(
        (layer.name.as_str(), layer.kind, &layer.shape[..]),
        ("embed", LayerKind::Embedding, &[ROWS, WIDTH][..])
    );
    assert!(matches!(&layer.support, Support::Quantize(why) if why.to_string().contains("nothing to split")));
    let plan = plan(&network, &recipe(false, false), None, &Progress::default()).unwrap();
    assert!(plan.layers[0].quantized().is_none());
    let model = rewrite(&network, &plan).unwrap();
    assert_eq!(model.graph.unwrap().node, network.model.graph.as_ref().unwrap().node);
}

/// `round(w / s) * s` with `s = max |w| / 127`, over the table or over each row.
#[test]
fn rows_of_integers_are_looked_up_and_scaled() {
    let network = network();
    let ids = [0, 299, 7, 7];
    for per_channel in [false, true] {
        let plan = plan(&network, &recipe(true, per_channel), None, &Progress::default()).unwrap();
        assert!(plan.layers[0].quantized().unwrap().splits.is_empty());
        let model = rewrite(&network, &plan).unwrap();
        let graph = model.graph.as_ref().unwrap();
        let gather = graph.node.iter().find(|node| node.name() == "embed").unwrap();
        let stored = graph
            .initializer
            .iter()
            .find(|tensor| tensor.name() == gather.input[0])
            .unwrap();
        assert_eq!(stored.data_type(), data_type::INT8);
        assert!(
            graph.initializer.iter().all(|tensor| tensor.name() != "table"),
            "the float table is gone"
        );
        assert!(encode(&model).unwrap().len() < ROWS * WIDTH + ROWS * 4 + 2000);
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let all = table();
        let expected: Vec<f32> = (ids.iter())
            .flat_map(|id| {
                let row = &all[*id as usize * WIDTH..][..WIDTH];
                let scale = largest(if per_channel { row } else { &all }) / 127.0;
                row.iter().map(move |x| (x / scale + 0.5).floor() * scale)
            })
            .collect();
        for (ours, right) in looked_up(&model, &ids).iter().zip(&expected) {
            assert!((ours - right).abs() < 1e-5, "{ours} {right}");
        }
    }
}

/// `Gather` takes no integers of 4 bits: two share a byte, and the sum that unpacks them gives `round(w / s) * s`.
#[test]
fn rows_of_four_bits_share_bytes() {
    let network = network();
    let ids = [0, 299, 7, 7];
    for (bits, per_channel) in [(4, false), (4, true), (3, true), (2, false)] {
        let mut recipe = recipe(true, per_channel);
        recipe.layers.get_mut("embed").unwrap().weight_bits = Some(Bits::Grid(bits));
        let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
        let model = rewrite(&network, &plan).unwrap();
        assert!(encode(&model).unwrap().len() < ROWS * WIDTH / 2 + ROWS * 4 + 2000);
        let ends = (1 << (bits - 1)) - 1;
        let largest = |values: &[f32]| values.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        let all = table();
        let expected = ids.iter().flat_map(|id| {
            let row = &all[*id as usize * WIDTH..][..WIDTH];
            let scale = largest(if per_channel { row } else { &all }) / ends as f32;
            row.iter().map(move |x| (x / scale + 0.5).floor() * scale)
        });
        for (ours, right) in looked_up(&model, &ids).iter().zip(expected) {
            assert!((ours - right).abs() < 1e-5, "{bits} bits: {ours} {right}");
        }
    }
}
