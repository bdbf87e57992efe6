//! A recipe: read, checked against a network, written; written it means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use splitscope::format::demo::Demo;
use splitscope::network::Network;
use splitscope::quantization::Recipe;
use std::sync::OnceLock;

fn network() -> &'static Network {
    static NETWORK: OnceLock<Network> = OnceLock::new();
    NETWORK.get_or_init(|| Demo::Fashion.network().expect("the demo"))
}

fuzz_target!(|text: &str| {
    let Ok(recipe) = Recipe::from_toml(text) else {
        return;
    };
    let _ = recipe.check(network());
    let written = recipe.to_toml().expect("a recipe that was read can be written");
    let again = Recipe::from_toml(&written).expect("a recipe that was written can be read");
    assert_eq!(again, recipe);
});
