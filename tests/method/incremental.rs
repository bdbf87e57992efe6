//! A network that changed from some layer on starts from the values before: the same answers as from a whole run, to the bit.

use crate::common::open;
use splitscope::format::demo::Demo;
use splitscope::inference::incremental::{Incremental, Keep, Reuse, Signature};
use splitscope::inference::{Dataset, Outputs, Rten, run_samples};
use splitscope::network::{Format, Network};
use splitscope::onnx::build::{float_tensor, ints_attribute, node};
use splitscope::onnx::schema::{OperatorSetIdProto, TensorShapeProto, TypeProto, tensor_shape_proto, type_proto};
use splitscope::onnx::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, LayerRecipe, Recipe, plan, prepare, rewrite};
use std::ops::Range;

/// An exported network: its engine and its signature.
struct Exported {
    engine: Rten,
    signature: Signature,
}

fn exported(network: &Network, recipe: &Recipe) -> Exported {
    let plan = plan(network, recipe, None, &Progress::default()).unwrap();
    let model = rewrite(network, &plan).unwrap();
    Exported {
        signature: Signature::of(&model),
        engine: Rten::load(encode(&model).unwrap()).unwrap(),
    }
}

fn whole(exported: &Exported, data: &Dataset, range: Range<usize>) -> Outputs {
    run_samples(&exported.engine, data, range, &Progress::default()).unwrap()
}

fn resumed(kept: &Incremental<&Dataset>, exported: &Exported, range: Range<usize>, keep: Keep<'_>) -> (Outputs, Reuse) {
    let (engine, signature) = (&exported.engine, &exported.signature);
    kept.run(engine, signature, range, keep, &Progress::default()).unwrap()
}

/// `base` with other bits and splits for one layer.
fn with_layer(base: &Recipe, name: &str, bits: u8, expand_ratio: f64) -> Recipe {
    let mut recipe = base.clone();
    let own = LayerRecipe {
        weight_bits: Some(Bits::Grid(bits)),
        expand_ratio: Some(expand_ratio),
        ..LayerRecipe::default()
    };
    recipe.layers.insert(name.to_owned(), own);
    recipe
}

/// Drags every layer in turn through three settings, forth and back, with one store for all, and compares each run with a
/// whole one. Gives the number of batches that began at a cut.
fn drag_every_layer(network: &Network, base: &Recipe, data: &Dataset, samples: usize) -> usize {
    let kept = Incremental::new(data, 16 << 20);
    let mut begun = 0;
    let layers: Vec<&str> = network.layers.iter().map(|layer| layer.name.as_str()).collect();
    for name in layers.iter().chain(layers.iter().rev().step_by(3)) {
        for (bits, ratio) in [(3, 0.0), (3, 0.1), (5, 0.1)] {
            let changed = exported(network, &with_layer(base, name, bits, ratio));
            let (outputs, reuse) = resumed(&kept, &changed, 0..samples, Keep::BeforeChange);
            let expected = whole(&changed, data, 0..samples);
            assert!(outputs.logits == expected.logits, "{name}: {bits} bits, ratio {ratio}");
            begun += reuse.resumed;
            assert!(kept.bytes() <= 16 << 20);
        }
    }
    begun
}

fn recipe(bits: u8, fold_batch_norm: bool) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(bits),
        expand_ratio: 0.05,
        fold_batch_norm,
        ..Recipe::default()
    }
}

#[test]
fn the_demo_answers_the_same_to_the_bit_whatever_layer_is_dragged() {
    let data = Dataset::demo(Demo::Fashion);
    for fold in [false, true] {
        let base = recipe(4, fold);
        let network = prepare(&open("demo:fashion"), &base).unwrap();
        let begun = drag_every_layer(&network, &base, &data, 30);
        // Two batches; two of the three settings of each layer but the first can start behind what was kept.
        assert!(begun >= 2 * 2 * (network.layers.len() - 1), "{begun}");
    }
}

#[test]
fn quantized_inputs_and_widened_layers_answer_the_same() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let calibration = Dataset::demo_calibration(Demo::Fashion);
    let progress = Progress::default();
    let learnt = splitscope::inference::calibrate(&network, &engine, &calibration, 20, &progress).unwrap();
    let kept = Incremental::new(&data, 16 << 20);
    for split_export in [
        splitscope::quantization::SplitExport::Gather,
        splitscope::quantization::SplitExport::Widen,
    ] {
        for bits in [8, 3, 4, 5] {
            let base = Recipe {
                activation_bits: Bits::Grid(8),
                split_export,
                ..recipe(4, false)
            };
            let changed = with_layer(&base, "layer3.1.conv1", bits, 0.1);
            let planned = plan(&network, &changed, Some(&learnt.activations), &progress).unwrap();
            let outputs = kept
                .run_plan(&network, &planned, 0..30, Keep::BeforeChange, &progress)
                .unwrap();
            let expected = splitscope::inference::run_plan(&network, &planned, &data, 0..30, &progress).unwrap();
            assert!(outputs.logits == expected.logits, "{bits} bits");
        }
    }
}

#[test]
fn an_lstm_answers_the_same_to_the_bit() {
    let network = open("demo:shakespeare");
    let data = Dataset::demo(Demo::Shakespeare);
    let begun = drag_every_layer(&network, &recipe(4, false), &data, 3000);
    assert!(begun > 0);
}

/// A network of residual blocks whose shortcuts skip one to three convolutions, some with a convolution of their own.
fn residual(seed: u64) -> Network {
    let mut state = seed;
    let mut draw = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let mut constants: Vec<TensorProto> = Vec::new();
    let mut nodes: Vec<NodeProto> = Vec::new();
    let mut conv = |input: &str, channels: usize, draw: &mut dyn FnMut() -> f32, nodes: &mut Vec<NodeProto>| {
        let number = nodes.len();
        let values: Vec<f32> = (0..8 * channels * 9).map(|_| (draw() - 0.5).powi(3)).collect();
        let weight = format!("w{number}");
        constants.push(float_tensor(weight.clone(), &[8, channels, 3, 3], &values));
        let output = format!("c{number}");
        let attributes = vec![
            ints_attribute("pads", [1; 4]),
            ints_attribute("strides", [1, 1]),
            ints_attribute("dilations", [1, 1]),
        ];
        nodes.push(node(
            "Conv",
            format!("conv{number}"),
            [input, &weight],
            [output.clone()],
            attributes,
        ));
        output
    };
    let mut value = conv("x", 3, &mut draw, &mut nodes);
    for _ in 0..4 {
        let start = value.clone();
        let mut inner = value;
        for _ in 0..1 + (draw() * 3.0) as usize {
            let relu = format!("r{}", nodes.len());
            nodes.push(node("Relu", relu.clone(), [inner], [relu.clone()], vec![]));
            inner = conv(&relu, 8, &mut draw, &mut nodes);
        }
        let shortcut = if draw() < 0.5 {
            conv(&start, 8, &mut draw, &mut nodes)
        } else {
            start
        };
        value = format!("s{}", nodes.len());
        nodes.push(node("Add", value.clone(), [inner, shortcut], [value.clone()], vec![]));
    }
    nodes.push(node("GlobalAveragePool", "pool", [value], ["p"], vec![]));
    nodes.push(node("Flatten", "flatten", ["p"], ["y"], vec![]));
    let port = |name: &str, sizes: &[i64]| {
        let dim = |size: &i64| tensor_shape_proto::Dimension {
            value: (*size > 0).then_some(tensor_shape_proto::Value::DimValue(*size)),
            ..Default::default()
        };
        let shape = TensorShapeProto {
            dim: sizes.iter().map(dim).collect(),
        };
        let tensor = type_proto::Tensor {
            elem_type: Some(splitscope::onnx::schema::data_type::FLOAT),
            shape: Some(shape),
        };
        ValueInfoProto {
            name: Some(name.to_owned()),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(tensor)),
                ..TypeProto::default()
            }),
            ..ValueInfoProto::default()
        }
    };
    let model = ModelProto {
        ir_version: Some(8),
        opset_import: vec![OperatorSetIdProto {
            version: Some(17),
            ..OperatorSetIdProto::default()
        }],
        graph: Some(GraphProto {
            name: Some("residual".to_owned()),
            node: nodes,
            initializer: constants,
            input: vec![port("x", &[0, 3, 9, 9])],
            output: vec![port("y", &[0, 8])],
            ..GraphProto::default()
        }),
        ..ModelProto::default()
    };
    Network::new("residual", None, Format::Onnx, model).unwrap()
}

#[test]
fn random_residual_networks_answer_the_same_to_the_bit() {
    for seed in 0..6 {
        let network = residual(seed);
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let data = Dataset::noise(&network, &engine, 40, seed).unwrap();
        let begun = drag_every_layer(&network, &recipe(4, false), &data, 40);
        assert!(
            begun >= 2 * 2 * (network.layers.len() - 1),
            "{begun} of {}",
            network.layers.len()
        );
    }
}

#[test]
fn a_first_run_begins_at_the_start_and_a_change_of_everything_too() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    let kept = Incremental::new(&data, 16 << 20);
    for bits in [4, 3, 4] {
        // A split would repeat the pictures before the first layer, and that would be kept.
        let unsplit = Recipe {
            expand_ratio: 0.0,
            ..recipe(bits, false)
        };
        let changed = exported(&network, &unsplit);
        let (outputs, reuse) = resumed(&kept, &changed, 0..30, Keep::BeforeChange);
        assert_eq!(reuse, Reuse { resumed: 0, batches: 3 });
        assert_eq!(outputs.logits, whole(&changed, &data, 0..30).logits);
    }
    assert_eq!(kept.bytes(), 0, "before the first layer there is nothing to keep");
}

#[test]
fn with_little_room_some_batches_start_early_and_all_answer_the_same() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    // One batch of 12 images before layer3.0.conv1: 12 x 32 x 14 x 14 floats, 301 kB.
    let kept = Incremental::new(&data, 350_000);
    let base = recipe(4, false);
    let mut last = Reuse::default();
    for bits in [3, 5, 6, 3] {
        let changed = exported(&network, &with_layer(&base, "layer3.0.conv1", bits, 0.0));
        let (outputs, reuse) = resumed(&kept, &changed, 0..96, Keep::BeforeChange);
        assert_eq!(outputs.logits, whole(&changed, &data, 0..96).logits);
        last = reuse;
    }
    assert_eq!(last, Reuse { resumed: 1, batches: 8 });
}
