//! Exports of weights without a graph, opened again: the same codes, scales and sources of channels, and nothing is quantized twice.

use crate::common::graph::{self, floats, model};
use crate::common::relative_difference;
use splitscope::format::{open, safetensors::write};
use splitscope::network::{Network, Support};
use splitscope::onnx::build::{float_tensor, i8_tensor, i64_tensor, node, tensor_attribute};
use splitscope::onnx::{TensorProto, float_values, numbers};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Granularity, NamedTensors, Recipe, Storage, plan, prepare, quantized_tensors, rewrite,
};
use std::path::{Path, PathBuf};

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/fashion_resnet.safetensors")
}

fn exported(path: &Path, recipe: &Recipe) -> NamedTensors {
    let network = prepare(&open(path).unwrap(), recipe).unwrap();
    let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
    quantized_tensors(&network, &plan).unwrap()
}

fn saved(folder: &Path, name: &str, (tensors, metadata): &NamedTensors) -> PathBuf {
    let path = folder.join(name);
    write(&path, tensors, metadata).unwrap();
    path
}

fn named<'a>(tensors: &'a [TensorProto], name: &str) -> &'a TensorProto {
    let found = tensors.iter().find(|tensor| tensor.name() == name);
    found.unwrap_or_else(|| {
        panic!(
            "{name}: {:?}",
            tensors.iter().map(TensorProto::name).collect::<Vec<_>>()
        )
    })
}

fn recipe(bits: u8, scales: Granularity) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(bits),
        activation_bits: Bits::Float,
        expand_ratio: 0.05,
        scales,
        ..Recipe::default()
    }
}

fn sorted(mut tensors: Vec<TensorProto>) -> Vec<TensorProto> {
    tensors.sort_by(|a, b| a.name().cmp(b.name()));
    tensors
}

#[test]
fn an_export_comes_back_with_its_levels_scales_and_copies() {
    let folder = tempfile::tempdir().unwrap();
    for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(32)] {
        for (bits, weight_zero_points) in [2, 3, 4, 6, 8]
            .into_iter()
            .flat_map(|bits| [(bits, false), (bits, true)])
        {
            let recipe = Recipe {
                weight_zero_points,
                ..recipe(bits, scales)
            };
            let file = saved(folder.path(), "q.safetensors", &exported(&demo(), &recipe));
            let floats = Recipe {
                storage: Storage::Float,
                ..recipe.clone()
            };
            let (floats, _) = exported(&demo(), &floats);
            let network = open(&file).unwrap();
            let repeated = network.repeated_channels();
            let original = open(&demo()).unwrap();
            assert_eq!(network.layers.len(), original.layers.len(), "{bits} {scales}");
            for (index, layer) in network.layers.iter().enumerate() {
                assert!(
                    matches!(&layer.support, Support::View(why) if why.to_string().contains(&format!("{bits} bits by Splitscope"))),
                    "{:?}",
                    layer.support
                );
                let expected = float_values(named(&floats, &layer.name)).unwrap();
                assert_eq!(
                    network.real_weights(index).unwrap()[..],
                    expected[..],
                    "{} {bits} {scales}",
                    layer.name
                );
                let grid = network.integer_grid(index).unwrap().unwrap();
                if !weight_zero_points {
                    assert!(grid.bits_in_use().unwrap() <= u32::from(bits), "{}", layer.name);
                }
                assert_eq!(grid.counts.iter().sum::<u64>(), expected.len() as u64);
                let listed = floats
                    .iter()
                    .find(|tensor| tensor.name() == format!("{}.ocs_index", layer.name));
                let sources = repeated[index].as_ref().map(|repeated| repeated.sources.clone());
                let listed = listed.map(|tensor| numbers(tensor).unwrap().iter().map(|x| *x as usize).collect());
                assert_eq!(sources, listed, "{}", layer.name);
            }
            assert!(repeated.iter().any(Option::is_some), "something was split");
        }
    }
}

#[test]
fn an_export_that_is_quantized_again_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let first = Recipe {
        weight_zero_points: true,
        ..recipe(4, Granularity::Channel)
    };
    let first = exported(&demo(), &first);
    let file = saved(folder.path(), "q.safetensors", &first);
    let (tensors, metadata) = exported(&file, &recipe(8, Granularity::Tensor));
    assert!(sorted(tensors) == sorted(first.0));
    let mut before = first.1;
    let mut after = metadata;
    before.sort();
    after.sort();
    assert_eq!(before, after, "the recipe is that of the codes");
}

/// The elements of both files take the same bytes: the graph and the zero points of bytes are all that ONNX has more.
#[test]
fn weights_take_as_many_bytes_as_in_an_onnx_file() {
    for (bits, per_byte) in [(2, 4), (4, 2), (8, 1)] {
        let recipe = recipe(bits, Granularity::Channel);
        let network = prepare(&open(&demo()).unwrap(), &recipe).unwrap();
        let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
        let bytes = |tensors: &[TensorProto], ending: &str| -> usize {
            let of_kind = tensors.iter().filter(|tensor| tensor.name().ends_with(ending));
            of_kind.map(|tensor| tensor.raw_data.as_ref().unwrap().len()).sum()
        };
        let (tensors, _) = quantized_tensors(&network, &plan).unwrap();
        let onnx = rewrite(&network, &plan).unwrap().graph.unwrap().initializer;
        for ending in [".q", ".scale"] {
            assert_eq!(bytes(&tensors, ending), bytes(&onnx, ending), "{bits} {ending}");
        }
        let weights: usize = (plan.layers.iter().filter_map(|layer| layer.quantized()))
            .map(|layer| layer.values.len().div_ceil(per_byte))
            .sum();
        assert_eq!(bytes(&tensors, ".q"), weights);
    }
}

/// What exports of older versions hold: the weight as floats, the codes beside it, the index always.
#[test]
fn an_export_of_an_older_version_opens_with_its_levels() {
    let folder = tempfile::tempdir().unwrap();
    let codes: Vec<i8> = vec![1, -2, 3, 4, -5, 6];
    let floats: Vec<f32> = codes.iter().map(|code| f32::from(*code) * 0.5).collect();
    let tensors = vec![
        float_tensor("conv1.weight", &[2, 3], &floats),
        i8_tensor("conv1.weight.q", &[2, 3], &codes),
        float_tensor("conv1.weight.scale", &[], &[0.5]),
        i64_tensor("conv1.weight.ocs_index", &[3], &[0, 1, 1]),
        float_tensor("conv1.bias", &[2], &[0.0; 2]),
    ];
    let file = saved(folder.path(), "old.safetensors", &(tensors.clone(), Vec::new()));
    let network = open(&file).unwrap();
    assert_eq!(network.layers.len(), 1);
    assert_eq!(network.layers[0].name, "conv1.weight");
    assert_eq!(network.real_weights(0).unwrap()[..], floats[..]);
    assert_eq!(network.repeated_channels()[0].as_ref().unwrap().sources, [0, 1, 1]);
    let (written, _) = exported(&file, &recipe(4, Granularity::Tensor));
    assert!(sorted(written) == sorted(tensors));
}

#[test]
fn names_of_an_export_that_are_taken_get_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..16).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect();
    let others = ["w.q", "w.scale", "w.ocs_index"].map(|name| float_tensor(name, &[4], &values[..4]));
    let tensors = [&[float_tensor("w", &[4, 4], &values)][..], &others].concat();
    let file = saved(folder.path(), "w.safetensors", &(tensors, Vec::new()));
    let export = exported(&file, &recipe(4, Granularity::Channel));
    for other in &others {
        assert_eq!(named(&export.0, other.name()), other);
    }
    let network: Network = open(&saved(folder.path(), "out.safetensors", &export)).unwrap();
    assert_eq!(network.layers.len(), 1);
    assert_eq!(
        (network.layers[0].name.as_str(), network.layers[0].weight.as_str()),
        ("w", "w.q_2")
    );
    assert_eq!(network.repeated_channels()[0].as_ref().unwrap().channels, 4);
}

/// A weight that was split and is split again: each copy's source is the channel of the first network, and the copies of each still
/// add up to it.
#[test]
fn splitting_twice_keeps_the_source_of_each_channel() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..64)
        .map(|i| {
            if i == 19 {
                9.0
            } else {
                (i as f32 * 0.618_034).fract() - 0.5
            }
        })
        .collect();
    let file = saved(
        folder.path(),
        "w.safetensors",
        &(vec![float_tensor("w", &[8, 8], &values)], Vec::new()),
    );
    let split = Recipe {
        weight_bits: Bits::Float,
        activation_bits: Bits::Float,
        expand_ratio: 0.1,
        ..Recipe::default()
    };
    let once = saved(folder.path(), "once.safetensors", &exported(&file, &split));
    let (tensors, _) = exported(&once, &split);
    let (wide, index) = (named(&tensors, "w"), numbers(named(&tensors, "w.ocs_index")).unwrap());
    assert_eq!((wide.dims.clone(), index.len()), (vec![8, 10], 10));
    let mut sums = vec![0.0; 64];
    for (place, value) in float_values(wide).unwrap().iter().enumerate() {
        sums[place / 10 * 8 + index[place % 10] as usize] += value;
    }
    assert_eq!(sums, values);
}

#[test]
fn a_description_of_weights_that_does_not_fit_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (tensors, metadata) = exported(&demo(), &recipe(4, Granularity::Block(32)));
    let with = |from: &str, to: &str| {
        let changed = metadata.iter().map(|(key, value)| {
            let value = if key == "splitscope.weights" {
                value.replace(from, to)
            } else {
                value.clone()
            };
            (key.clone(), value)
        });
        open(&saved(
            folder.path(),
            "bad.safetensors",
            &(tensors.clone(), changed.collect()),
        ))
    };
    let error = with("{", "[").err().unwrap().to_string();
    assert!(error.contains("'splitscope.weights' cannot be read"), "{error}");
    let reason = |network: &Network| format!("{:?}", network.layers[0].support);
    let shape = with("\"shape\":[", "\"shape\":[18446744073709551615,2,").unwrap();
    assert!(reason(&shape).contains("codes"), "{}", reason(&shape));
    // Levels without a scale that fits are levels all the same.
    let blocks = with("\"block_size\":32", "\"block_size\":7").unwrap();
    assert!(blocks.integer_grid(1).unwrap().is_some());
    assert!(blocks.real_weights(1).is_err());
}

/// Two layers that read the weight of one Constant node: one set of codes, or one for each where the layers differ.
#[test]
fn a_weight_in_a_constant_node_that_two_layers_read_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    let values: Vec<f32> = (0..64).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect();
    let constant = tensor_attribute("value", float_tensor("", &[8, 8], &values));
    let nodes = vec![
        node("Constant", "constant", [""; 0], ["w"], vec![constant]),
        node("MatMul", "first", ["x", "w"], ["h"], vec![]),
        node("MatMul", "second", ["h", "w"], ["y"], vec![]),
    ];
    let io = [floats("x", &[1, 8]), floats("y", &[1, 8])].map(|value| vec![value]);
    let [x, y] = io;
    let network = graph::network(model(17, (nodes, Vec::new()), x, y));
    assert_eq!(network.layers.len(), 2);
    let names = |second: u8| {
        let mut recipe = recipe(4, Granularity::Tensor);
        recipe.layers.entry("second".to_owned()).or_default().weight_bits = Some(Bits::Grid(second));
        let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
        let file = saved(
            folder.path(),
            "c.safetensors",
            &quantized_tensors(&network, &plan).unwrap(),
        );
        let opened = open(&file).unwrap();
        assert!((0..opened.layers.len()).all(|index| opened.real_weights(index).is_ok()));
        opened.layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(4), ["w"]);
    assert_eq!(names(8).len(), 2);
}

/// Weights that a node without `kernel_shape` computes from constants.
#[test]
fn a_computed_weight_of_a_convolution_without_kernel_shape_is_quantized() {
    let values: Vec<f32> = (0..108).map(|i| (i as f32 * 0.618_034).fract() - 0.5).collect();
    let half = |weight: Vec<f32>| weight.iter().map(|x| x * 0.5).collect::<Vec<f32>>();
    for op in ["Mul", "Identity"] {
        let computed = match op {
            "Mul" => node("Mul", "compute", ["k", "s"], ["w"], vec![]),
            _ => node("Identity", "compute", ["k"], ["w"], vec![]),
        };
        let nodes = vec![computed, node("Conv", "conv", ["x", "w"], ["y"], vec![])];
        let constants = vec![
            float_tensor("k", &[4, 3, 3, 3], &values),
            float_tensor("s", &[], &[0.5]),
        ];
        let network = graph::network(model(
            17,
            (nodes, constants),
            vec![floats("x", &[1, 3, 5, 5])],
            vec![floats("y", &[1, 4, 3, 3])],
        ));
        let expected = if op == "Mul" {
            half(values.clone())
        } else {
            values.clone()
        };
        assert_eq!(network.weights(0).unwrap()[..], expected[..], "{op}");
        let plan = plan(&network, &recipe(8, Granularity::Channel), None, &Progress::default()).unwrap();
        let x = values.repeat(1)[..75].to_vec();
        let (float, exported) = (
            graph::run(&network.runnable_model(), &[1, 3, 5, 5], &x),
            graph::run(&rewrite(&network, &plan).unwrap(), &[1, 3, 5, 5], &x),
        );
        assert!(relative_difference(&float, &exported) < 0.02, "{op}");
    }
}
