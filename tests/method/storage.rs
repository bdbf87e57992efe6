//! What an exported file takes, and that the numbers in it do not depend on how they are stored.

use crate::common::{open, relative_difference, shared};
use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Rten, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::opset_version;
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{ModelProto, encode, numbers};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Granularity, Plan, Recipe, SplitExport, Storage, exported_bytes, overhead, plan, prepare, rewrite,
};

fn planned(network: &Network, recipe: &Recipe) -> (Network, Plan) {
    let network = prepare(network, recipe).unwrap();
    let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
    (network, plan)
}

fn exported(network: &Network, recipe: &Recipe) -> ModelProto {
    let (network, plan) = planned(network, recipe);
    rewrite(&network, &plan).unwrap()
}

fn bits(bits: u8) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(bits),
        ..Recipe::default()
    }
}

/// Recipes of every form of export.
fn recipes() -> Vec<Recipe> {
    let mut recipes = Vec::new();
    for storage in Storage::CHOICES {
        for weight_bits in [2, 3, 4, 5, 8] {
            for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(32)] {
                for (expand_ratio, split_export) in [
                    (0.0, SplitExport::Gather),
                    (0.1, SplitExport::Gather),
                    (0.1, SplitExport::Widen),
                    (0.1, SplitExport::Merge),
                    (0.1, SplitExport::Auto),
                ] {
                    recipes.push(Recipe {
                        storage,
                        scales,
                        weight_zero_points: recipes.len().is_multiple_of(3),
                        expand_ratio,
                        split_export,
                        fold_batch_norm: weight_bits % 2 == 0,
                        quantize_embeddings: true,
                        ..bits(weight_bits)
                    });
                }
            }
        }
    }
    recipes
}

/// The figure that is shown before anything is written is the length of the file.
#[test]
fn the_size_that_is_shown_is_that_of_the_file() {
    for demo in [Demo::Fashion, Demo::Shakespeare] {
        let network = demo.network().unwrap();
        for recipe in recipes().into_iter().step_by(2) {
            let (network, plan) = planned(&network, &recipe);
            let file = encode(&rewrite(&network, &plan).unwrap()).unwrap().len() as u64;
            assert_eq!(exported_bytes(&network, &plan).unwrap(), file, "{recipe:?}");
            let shown = overhead(&network, &plan, None).bytes;
            assert_eq!(shown.quantized, file, "{recipe:?}");
            assert_eq!(shown.float, encode(&network.model).unwrap().len() as u64);
        }
    }
}

/// The bytes of the elements of all weight codes in a file, and the element types.
fn codes(model: &ModelProto) -> (usize, Vec<i32>) {
    let graph = model.graph.as_ref().unwrap();
    let of_weights = graph.initializer.iter().filter(|tensor| tensor.name().ends_with(".q"));
    let mut types: Vec<i32> = of_weights
        .clone()
        .map(splitscope::onnx::TensorProto::data_type)
        .collect();
    types.sort_unstable();
    types.dedup();
    (
        of_weights.map(|tensor| tensor.raw_data.as_ref().unwrap().len()).sum(),
        types,
    )
}

#[test]
fn weights_take_the_bits_of_the_smallest_type_that_holds_them() {
    let network = open("demo:fashion");
    let weights: usize = network
        .layers
        .iter()
        .map(|layer| layer.shape.iter().product::<usize>())
        .sum();
    for (weight_bits, of_type, opset, per_byte) in [
        (2, data_type::INT2, 25, 4),
        (3, data_type::INT4, 21, 2),
        (4, data_type::INT4, 21, 2),
        (5, data_type::INT8, 13, 1),
        (8, data_type::INT8, 13, 1),
    ] {
        let model = exported(&network, &bits(weight_bits));
        let (bytes, types) = codes(&model);
        assert_eq!(types, [of_type], "{weight_bits} bits");
        // No layer of the demo has a number of weights that leaves a byte half full.
        assert_eq!(bytes, weights / per_byte, "{weight_bits} bits");
        assert!(opset_version(&model).unwrap() >= opset);
        let int8 = Recipe {
            storage: Storage::Int8,
            ..bits(weight_bits)
        };
        let int8 = exported(&network, &int8);
        assert_eq!(codes(&int8), (weights, vec![data_type::INT8]));
        assert!(opset_version(&int8).unwrap() < 21, "for runtimes of old");
        // The same integers, whatever they are packed in.
        let codes_of = |model: &ModelProto| -> Vec<f32> {
            let graph = model.graph.as_ref().unwrap();
            let weights = graph.initializer.iter().filter(|tensor| tensor.name().ends_with(".q"));
            weights.flat_map(|tensor| numbers(tensor).unwrap().to_vec()).collect()
        };
        assert_eq!(codes_of(&model), codes_of(&int8));
    }
}

/// Codes and zero points are 128 more than those of INT8, so that the numbers are the same.
#[test]
fn unsigned_bytes_are_the_signed_ones_moved() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(32)] {
        for weight_bits in [2, 5, 8] {
            let of = |storage: Storage| {
                let recipe = Recipe {
                    storage,
                    scales,
                    expand_ratio: 0.05,
                    ..bits(weight_bits)
                };
                exported(&network, &recipe)
            };
            let (signed, unsigned) = (of(Storage::Int8), of(Storage::Uint8));
            assert_eq!(codes(&unsigned).1, [data_type::UINT8]);
            assert_eq!(opset_version(&unsigned), opset_version(&signed));
            let bytes = |model: &ModelProto, ending: &str| -> Vec<u8> {
                let initializers = &model.graph.as_ref().unwrap().initializer;
                let tensors = initializers.iter().filter(|tensor| tensor.name().ends_with(ending));
                tensors
                    .flat_map(|tensor| tensor.raw_data.clone().unwrap().to_vec())
                    .collect()
            };
            let moved: Vec<u8> = bytes(&signed, ".q").iter().map(|code| code.wrapping_add(128)).collect();
            assert_eq!(bytes(&unsigned, ".q"), moved);
            let zero_points = bytes(&unsigned, ".zero_point");
            assert!(!zero_points.is_empty() && zero_points.iter().all(|zero| *zero == 128));
            let answers = |model: &ModelProto| {
                let engine = Rten::load(encode(model).unwrap()).unwrap();
                run_outputs(&engine, &data, 20, &Progress::default()).unwrap().logits
            };
            assert_eq!(answers(&unsigned), answers(&signed), "{scales}, {weight_bits} bits");
        }
    }
}

/// Merged codes need a bit more: a person who asks for merging gets the larger type, who asks for the cheapest does not.
#[test]
fn merged_codes_are_stored_in_what_holds_them() {
    let network = open("demo:fashion");
    let with = |split_export| Recipe {
        expand_ratio: 0.1,
        split_export,
        ..bits(4)
    };
    let (merge, auto) = (
        exported(&network, &with(SplitExport::Merge)),
        exported(&network, &with(SplitExport::Auto)),
    );
    assert!(codes(&merge).1.contains(&data_type::INT8));
    assert_eq!(codes(&auto).1, [data_type::INT4]);
    let size = |model: &ModelProto| encode(model).unwrap().len();
    assert!(size(&auto) < size(&merge));
    // Three bits are stored in four: the bit for merging is there.
    let three = Recipe {
        weight_bits: Bits::Grid(3),
        ..with(SplitExport::Auto)
    };
    let (network, plan) = planned(&network, &three);
    let costs = overhead(&network, &plan, None).copies;
    assert!(costs.merged > 15 && costs.merged_bits == 4, "{costs:?}");
}

/// What is computed does not depend on how weights are stored: embeddings, recurrent matrices, convolutions.
#[test]
fn every_storage_computes_the_same() {
    for (demo, limit) in [(Demo::Fashion, 20), (Demo::Shakespeare, 2)] {
        let network = demo.network().unwrap();
        let data = Dataset::demo(demo);
        let outputs = |recipe: &Recipe| {
            let engine = Rten::load(encode(&exported(&network, recipe)).unwrap()).unwrap();
            run_outputs(&engine, &data, limit, &Progress::default()).unwrap().logits
        };
        for weight_bits in [2, 4] {
            for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(32)] {
                let with = |storage| Recipe {
                    storage,
                    scales,
                    weight_zero_points: weight_bits == 2,
                    quantize_embeddings: true,
                    ..bits(weight_bits)
                };
                let [auto, int8, uint8, float] = Storage::CHOICES.map(|storage| outputs(&with(storage)));
                let difference = relative_difference(&auto, &int8).max(relative_difference(&auto, &float));
                assert_eq!(uint8, int8);
                assert!(difference <= 1e-5, "{demo:?} {weight_bits} {scales}: {difference}");
                let eight = outputs(&Recipe { scales, ..bits(8) });
                assert!(relative_difference(&auto, &eight) > 1e-3, "the bits show");
            }
        }
    }
}

#[test]
#[ignore = "needs ../shared/models"]
fn sizes_of_other_people_s_networks_are_those_of_their_files() {
    for file in [
        "cifar10_resnet20.onnx",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "charrnn_shakespeare.onnx",
    ] {
        let network = splitscope::format::open(&shared("models").join(file)).unwrap();
        for recipe in recipes().iter().step_by(7) {
            let (network, plan) = planned(&network, recipe);
            let written = encode(&rewrite(&network, &plan).unwrap()).unwrap().len() as u64;
            assert_eq!(
                overhead(&network, &plan, None).bytes.quantized,
                written,
                "{file} {recipe:?}"
            );
        }
    }
}
