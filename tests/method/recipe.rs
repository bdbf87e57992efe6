//! Recipes: what is written reads back, what is wrong is refused by its name, exceptions win over defaults.

use crate::common::open;
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Clip, Granularity, LayerRecipe, Preset, QuantizationError, Recipe, SplitKind, plan,
};

fn unusual() -> Recipe {
    let mut recipe = Recipe {
        weight_bits: Bits::Grid(3),
        expand_ratio: 0.05,
        split: SplitKind::Naive,
        clip: Clip::Percentile(99.5),
        activation_bits: Bits::Grid(6),
        activation_clip: Clip::Manual(1.5),
        scales: Granularity::Channel,
        ..Recipe::preset(Preset::Deploy)
    };
    let exception = LayerRecipe {
        float: Some(false),
        weight_bits: Some(Bits::Float),
        clip: Some(Clip::Kl),
        ..LayerRecipe::default()
    };
    recipe.layers.insert("layer1.0.conv1".to_owned(), exception);
    recipe
}

#[test]
fn a_recipe_reads_back_from_its_file_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    for recipe in [Recipe::default(), Recipe::preset(Preset::Paper), unusual()] {
        recipe.save(&path).unwrap();
        assert_eq!(Recipe::load(&path).unwrap(), recipe);
    }
}

#[test]
fn what_is_wrong_in_a_recipe_is_named_with_its_line() {
    for (text, wanted) in [
        ("weight_bits = 4\nweight_bit = 3\n", ["line 2", "weight_bit"]),
        ("weight_bits = 9\n", ["line 1", "2 to 8"]),
        ("expand_ratio = 1.5\n", ["expand_ratio", "0 to 1"]),
        ("clip = \"best\"\n", ["line 1", "best"]),
        ("[layers.\"conv1\"]\nratio = 0.1\n", ["line 2", "ratio"]),
        ("weight_bits = \n", ["line 1", ""]),
    ] {
        let error = Recipe::from_toml(text).unwrap_err();
        assert!(
            wanted.iter().all(|word| error.to_string().contains(word)),
            "{text:?}: {error}"
        );
    }
}

#[test]
fn an_exception_for_a_layer_that_is_not_there_names_the_nearest() {
    let network = open("demo:fashion");
    let mut recipe = Recipe::default();
    recipe.layers.insert("layer1.0.conv".to_owned(), LayerRecipe::default());
    let error = recipe.check(&network).unwrap_err();
    assert!(
        error.to_string().contains("'layer1.0.conv'") && error.to_string().contains("did you mean 'layer1.0.conv"),
        "{error}"
    );
}

#[test]
fn the_paper_keeps_both_ends_float_and_an_exception_wins_over_that() {
    let network = open("demo:fashion");
    let mut recipe = Recipe::preset(Preset::Paper);
    let float = |recipe: &Recipe| -> Vec<usize> {
        (0..network.layers.len())
            .filter(|i| recipe.settings(&network, *i).weights.bits == Bits::Float)
            .collect()
    };
    assert_eq!(float(&recipe), [0, 21]);
    assert!(!recipe.fold_batch_norm);
    let wanted = LayerRecipe {
        float: Some(false),
        expand_ratio: Some(0.1),
        ..LayerRecipe::default()
    };
    recipe.layers.insert("fc".to_owned(), wanted);
    assert_eq!(float(&recipe), [0]);
    assert_eq!(recipe.settings(&network, 21).weights.expand_ratio, 0.1);
    assert_eq!(recipe.settings(&network, 20).weights.expand_ratio, 0.0);
}

#[test]
fn a_plan_that_nobody_wants_any_more_stops() {
    let progress = Progress::default();
    progress.cancel();
    let planned = plan(&open("demo:fashion"), &Recipe::default(), None, &progress);
    assert!(matches!(planned, Err(QuantizationError::Cancelled(_))));
}
