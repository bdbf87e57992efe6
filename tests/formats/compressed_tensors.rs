//! Exports in the layout `pack-quantized` of compressed-tensors, read back. (`fixtures/check_compressed.py` compares them with what the
//! package's own function unpacks.)

use serde_json::Value;
use splitscope::format::{open, safetensors::write};
use splitscope::onnx::build::float_tensor;
use splitscope::onnx::{float_values, tensor_bytes};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, CompressedTensors, Granularity, Recipe, Storage, compressed_tensors, plan, prepare, quantized_tensors,
};
use std::path::{Path, PathBuf};

fn values(count: usize, seed: f32) -> Vec<f32> {
    (0..count)
        .map(|i| (i as f32 * 0.618_034 + seed).fract() - 0.5)
        .collect()
}

fn checkpoint(folder: &Path) -> PathBuf {
    let tensors = [
        float_tensor("embed_tokens.weight", &[10, 64], &values(640, 0.1)),
        float_tensor("layers.0.q.weight", &[8, 64], &values(512, 0.2)),
        float_tensor("layers.0.k.weight", &[6, 64], &values(384, 0.3)),
        float_tensor("layers.0.odd.weight", &[8, 40], &values(320, 0.4)),
        float_tensor("layers.0.norm.weight", &[64], &values(64, 0.5)),
    ];
    let path = folder.join("model.safetensors");
    write(&path, &tensors, &[]).unwrap();
    path
}

fn exported(path: &Path, recipe: &Recipe) -> CompressedTensors {
    let network = prepare(&open(path).unwrap(), recipe).unwrap();
    let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
    compressed_tensors(&network, &plan, None).unwrap()
}

fn recipe(bits: u8, scales: Granularity) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(bits),
        activation_bits: Bits::Float,
        scales,
        ..Recipe::default()
    }
}

#[test]
fn packed_modules_come_back_as_the_numbers_on_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path());
    for (bits, stored) in [(2_u8, 2_i64), (3, 4), (4, 4), (6, 8), (8, 8)] {
        for scales in [Granularity::Tensor, Granularity::Channel, Granularity::Block(32)] {
            let recipe = Recipe {
                weight_zero_points: bits.is_multiple_of(2),
                ..recipe(bits, scales)
            };
            let export = exported(&path, &recipe);
            let out = folder.path().join("out.safetensors");
            write(&out, &export.tensors.0, &export.tensors.1).unwrap();
            let opened = open(&out).unwrap();
            let floats = Recipe {
                storage: Storage::Float,
                ..recipe.clone()
            };
            let network = prepare(&open(&path).unwrap(), &floats).unwrap();
            let plan = plan(&network, &floats, None, &Progress::default()).unwrap();
            let (floats, _) = quantized_tensors(&network, &plan).unwrap();
            for name in [
                "layers.0.q.weight",
                "layers.0.k.weight",
                "layers.0.odd.weight",
                "embed_tokens.weight",
            ] {
                let layer = opened.layer_index(name).unwrap();
                let expected = float_values(floats.iter().find(|tensor| tensor.name() == name).unwrap()).unwrap();
                assert_eq!(
                    opened.real_weights(layer).unwrap()[..],
                    expected[..],
                    "{name} {bits} {scales}"
                );
            }
            let tensor = |name: &str| export.tensors.0.iter().find(|tensor| tensor.name() == name);
            let words = tensor("layers.0.q.weight_packed").unwrap();
            assert_eq!(tensor_bytes(words).unwrap().len() as i64, 8 * 64 * stored / 8);
            assert!(tensor("layers.0.q.weight").is_none() && tensor("embed_tokens.weight_packed").is_none());
            // 40 inputs are no multiple of 32.
            let is_packed = scales != Granularity::Block(32);
            assert_eq!(tensor("layers.0.odd.weight_packed").is_some(), is_packed);
            assert_eq!(
                export.floats.iter().any(|(layer, _)| layer == "layers.0.odd.weight"),
                !is_packed
            );
            let group = &export.config["config_groups"]["group_0"];
            assert_eq!(group["weights"]["num_bits"], stored);
            assert_eq!(group["targets"][0], "Linear");
            assert_eq!(group["weights"]["symmetric"], !bits.is_multiple_of(2));
            let zeros = tensor("layers.0.k.weight_zero_point");
            assert_eq!(zeros.is_some(), bits.is_multiple_of(2));
            if let Some(zeros) = zeros {
                // Those of six outputs in words of 32 bits, column by column of the groups.
                let groups = if scales == Granularity::Block(32) { 2 } else { 1 };
                assert_eq!(zeros.dims, [if stored == 8 { 2 } else { 1 }, groups]);
            }
            assert_eq!(
                group["weights"]["group_size"],
                if is_packed { Value::Null } else { Value::from(32) }
            );
            assert!(
                export.config["ignore"]
                    .as_array()
                    .unwrap()
                    .contains(&Value::from("embed_tokens"))
            );
        }
    }
}

#[test]
fn copies_of_split_channels_are_added_up_and_other_bits_are_another_group() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path());
    let mut recipe = recipe(4, Granularity::Channel);
    let mut layer = |name: &str| {
        recipe
            .layers
            .entry(format!("layers.0.{name}.weight"))
            .or_default()
            .clone()
    };
    let (mut q, mut k) = (layer("q"), layer("k"));
    q.expand_ratio = Some(0.1);
    k.weight_bits = Some(Bits::Grid(8));
    recipe.layers.insert("layers.0.q.weight".to_owned(), q);
    recipe.layers.insert("layers.0.k.weight".to_owned(), k);
    let export = exported(&path, &recipe);
    let whole = export
        .tensors
        .0
        .iter()
        .find(|tensor| tensor.name() == "layers.0.q.weight")
        .unwrap();
    assert_eq!(whole.dims, [8, 64]);
    let step = 0.5 / 7.0;
    for (ours, original) in float_values(whole).unwrap().iter().zip(values(512, 0.2)) {
        assert!((ours - original).abs() <= 1.1 * step, "{ours} {original}");
    }
    let groups = export.config["config_groups"].as_object().unwrap();
    assert_eq!(groups.len(), 2);
    assert_eq!(groups["group_0"]["targets"], serde_json::json!(["layers.0.odd"]));
    assert_eq!(groups["group_1"]["targets"], serde_json::json!(["layers.0.k"]));
    let (_, why) = export
        .floats
        .iter()
        .find(|(layer, _)| layer == "layers.0.q.weight")
        .unwrap();
    assert!(why.contains("channels are split"), "{why}");
}

#[test]
fn a_network_without_linear_modules_is_refused_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("conv.safetensors");
    write(
        &path,
        &[float_tensor("conv.weight", &[4, 3, 3, 3], &values(108, 0.0))],
        &[],
    )
    .unwrap();
    let recipe = recipe(4, Granularity::Channel);
    let network = prepare(&open(&path).unwrap(), &recipe).unwrap();
    let plan = plan(&network, &recipe, None, &Progress::default()).unwrap();
    let Err(error) = compressed_tensors(&network, &plan, None) else {
        panic!("it has no linear module");
    };
    let error = error.to_string();
    assert!(
        error.contains("layer 'conv.weight'") && error.contains("--layout splitscope"),
        "{error}"
    );
}
