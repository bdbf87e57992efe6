use super::*;
use crate::format::demo::Demo;
use crate::quantization::{Products, Storage};

/// A recipe that differs from the default in every field.
fn everything() -> Recipe {
    let layer = LayerRecipe {
        float: Some(false),
        weight_bits: Some(Bits::Grid(5)),
        expand_ratio: Some(0.2),
        split: Some(SplitKind::Naive),
        clip: Some(Clip::Kl),
        activation_bits: Some(Bits::Grid(6)),
        activation_clip: Some(Clip::Aciq),
        activation_expand_ratio: Some(0.1),
        activation_split: Some(SplitKind::Naive),
        scales: Some(Granularity::Block(32)),
        weight_zero_points: Some(true),
        rounding: Some(Rounding::Squant),
        channel_axis: None,
    };
    Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.05,
        split: SplitKind::Naive,
        clip: Clip::Mse,
        activation_bits: Bits::Grid(7),
        activation_clip: Clip::Octav,
        activation_expand_ratio: 0.03,
        activation_split: SplitKind::Naive,
        scales: Granularity::Channel,
        weight_zero_points: true,
        rounding: Rounding::Gptq,
        unsigned_activations: true,
        fold_batch_norm: true,
        cross_layer_equalization: true,
        rotate: true,
        smooth: 0.5,
        awq: true,
        sequential: true,
        bias_correction: true,
        quantize_outputs: true,
        quantize_embeddings: true,
        split_export: SplitExport::Widen,
        storage: Storage::Int8,
        products: Products::Fast,
        float_first_layer: true,
        float_last_layer: true,
        layers: BTreeMap::from([("conv1".to_owned(), layer)]),
    }
}

#[test]
fn every_field_is_in_the_table_and_comes_back_from_its_text() {
    let (one, mut other) = (everything(), Recipe::default());
    for field in FIELDS {
        assert!(!field.same(&one, &other), "{}", field.name);
        field.set(&mut other, &field.text(&one)).unwrap();
        assert!(field.same(&one, &other), "{}", field.name);
        assert_eq!(
            field.is_per_layer(),
            field.show_layer(&one.layers["conv1"]).is_some(),
            "{}",
            field.name
        );
    }
    other.layers.clone_from(&one.layers);
    assert_eq!(one, other);
    assert!(
        FIELDS
            .iter()
            .all(|field| !field.label.is_empty() && !field.help.is_empty())
    );
}

#[test]
fn a_recipe_comes_back_from_toml_and_json() {
    let mut recipe = everything();
    let json = serde_json::to_string(&recipe).unwrap();
    assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    // Copies of a channel have no blocks of their own: with splits of activations blocks are refused.
    let refused = Recipe::from_toml(&recipe.to_toml().unwrap()).unwrap_err().to_string();
    assert!(refused.contains("blocks"), "{refused}");
    recipe.layers.clear();
    assert_eq!(Recipe::from_toml(&recipe.to_toml().unwrap()).unwrap(), recipe);
}

#[test]
fn scales_have_an_older_name() {
    let read = |text: &str| Recipe::from_toml(text).map(|recipe| recipe.scales);
    assert_eq!(read("per_channel = true").unwrap(), Granularity::Channel);
    assert_eq!(read("per_channel = false").unwrap(), Granularity::Tensor);
    assert_eq!(
        read("scales = \"block:64\"\nper_channel = false").unwrap(),
        Granularity::Block(64)
    );
    let contradiction = read("per_channel = true\nscales = \"block:64\"")
        .unwrap_err()
        .to_string();
    assert!(contradiction.contains("contradicts"), "{contradiction}");
    let unknown = read("per_chanel = true").unwrap_err().to_string();
    assert!(
        unknown.contains("unknown field `per_chanel`") && unknown.contains("scales"),
        "{unknown}"
    );
    // In JSON it is still there, for who reads it.
    let channel = Recipe {
        scales: Granularity::Channel,
        ..Recipe::default()
    };
    let json: serde_json::Value = serde_json::to_value(&channel).unwrap();
    assert_eq!(
        (&json["per_channel"], &json["scales"]),
        (&true.into(), &"channel".into())
    );
}

#[test]
fn plain_has_the_bits_and_the_grid_but_no_split_no_clip_and_nearest_rounding() {
    let plain = everything().plain();
    let expected = Recipe {
        expand_ratio: 0.0,
        split: SplitKind::Qa,
        clip: Clip::None,
        activation_clip: Clip::None,
        activation_expand_ratio: 0.0,
        activation_split: SplitKind::Qa,
        rounding: Rounding::Nearest,
        layers: BTreeMap::from([(
            "conv1".to_owned(),
            LayerRecipe {
                float: Some(false),
                weight_bits: Some(Bits::Grid(5)),
                activation_bits: Some(Bits::Grid(6)),
                scales: Some(Granularity::Block(32)),
                weight_zero_points: Some(true),
                ..LayerRecipe::default()
            },
        )]),
        ..everything()
    };
    assert_eq!(plain, expected);
    // Splits of activations alone are no baseline either.
    let split = Recipe {
        activation_bits: Bits::Grid(4),
        activation_expand_ratio: 0.2,
        ..Recipe::default()
    };
    assert_ne!(split.plain(), split);
}

#[test]
fn uniform_keeps_of_the_layers_which_are_float_and_where_their_channels_are() {
    let mut recipe = everything();
    let only_float = LayerRecipe {
        float: Some(true),
        clip: Some(Clip::Kl),
        channel_axis: Some(0),
        ..LayerRecipe::default()
    };
    recipe.layers.insert("fc".to_owned(), only_float);
    let uniform = recipe.uniform();
    let expected = LayerRecipe {
        clip: None,
        ..recipe.layers["fc"].clone()
    };
    assert_eq!(uniform.layers["fc"], expected);
    assert_eq!(uniform.layers["conv1"].weight_bits, None);
    assert_eq!(uniform.clip, recipe.clip);
}

#[test]
fn what_a_layer_cannot_do_does_not_hold_for_it() {
    let network = Demo::Shakespeare.network().unwrap();
    let recipe = Recipe {
        layers: BTreeMap::new(),
        float_first_layer: false,
        ..everything()
    };
    for (index, layer) in network.layers.iter().enumerate() {
        let (asked, holds) = (recipe.settings(&network, index), recipe.effective(&network, index));
        assert_eq!(holds, holds.effective(layer), "twice is once");
        if layer.kind.is_recurrent() {
            assert_eq!(holds.input.bits, Bits::Float, "{}", layer.name);
        }
        if layer.support.why_not_split().is_some() {
            assert_eq!(holds.weights.expand_ratio, 0.0, "{}", layer.name);
        }
        assert_eq!(holds.weights.clip, asked.weights.clip);
    }
}

#[test]
fn who_chooses_nothing_gets_what_the_network_and_the_data_allow() {
    let deploy = Recipe::preset_for(Preset::Deploy, true);
    assert_eq!(Recipe::suggested(true, true).0, deploy);
    assert_eq!(
        (deploy.rounding, deploy.activation_bits),
        (Rounding::Gptq, Bits::Grid(8))
    );
    let (unmeasured, sentence) = Recipe::suggested(true, false);
    assert_eq!(unmeasured.activation_bits, Bits::Float);
    assert!(unmeasured.bias_correction && sentence.contains("--calibration"));
    // What is not run can be asked nothing.
    for with_data in [false, true] {
        let (weights_only, sentence) = Recipe::suggested(false, with_data);
        assert!(!weights_only.needs_activations() && sentence.contains("cannot be run"));
        assert_eq!(
            (weights_only.rounding, weights_only.scales),
            (Rounding::Squant, Granularity::Channel)
        );
    }
    for preset in Preset::ALL {
        assert_eq!(Recipe::preset_for(preset, false), Recipe::preset(preset));
    }
}

/// As some tools write whole numbers, and as Windows' editor begins a file.
#[test]
fn bits_with_a_point_and_a_byte_order_mark_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.toml");
    std::fs::write(&path, b"\xef\xbb\xbfweight_bits = 4.0\nactivation_bits = 8.0\n").unwrap();
    let recipe = Recipe::load(&path).unwrap();
    assert_eq!(
        (recipe.weight_bits, recipe.activation_bits),
        (Bits::Grid(4), Bits::Grid(8))
    );
    let json = serde_json::from_str::<Recipe>(r#"{"weight_bits": 4.0}"#).unwrap();
    assert_eq!(json.weight_bits, Bits::Grid(4));
    let fault = Recipe::from_toml("weight_bits = 4.5").unwrap_err().to_string();
    assert!(fault.contains("line 1") && fault.contains("4.5"), "{fault}");
}
