//! The preview after a change of one layer: a whole run against one that begins at that layer.

use super::clock::{in_turns, milliseconds};
use super::{row, times};
use splitscope::format::demo::Demo;
use splitscope::inference::incremental::{Incremental, Keep, Signature};
use splitscope::inference::{Dataset, Rten, run_samples};
use splitscope::network::Network;
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, LayerRecipe, Recipe, plan, prepare, rewrite};
use std::hint::black_box;

const SAMPLES: usize = 240;

/// An exported network: its engine and its signature.
struct Exported {
    engine: Rten,
    signature: Signature,
}

/// `network` at 4 bits, one layer on a grid of `bits`.
fn exported(network: &Network, base: &Recipe, layer: &str, bits: u8) -> anyhow::Result<Exported> {
    let mut recipe = base.clone();
    let own = LayerRecipe {
        weight_bits: Some(Bits::Grid(bits)),
        ..LayerRecipe::default()
    };
    recipe.layers.insert(layer.to_owned(), own);
    let model = rewrite(network, &plan(network, &recipe, None, &Progress::default())?)?;
    Ok(Exported {
        signature: Signature::of(&model),
        engine: Rten::load(encode(&model)?)?,
    })
}

pub(super) fn run() -> anyhow::Result<()> {
    let base = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.05,
        fold_batch_norm: true,
        ..Recipe::default()
    };
    let network = prepare(&Demo::Fashion.network()?, &base)?;
    let data = Dataset::demo(Demo::Fashion);
    let quiet = Progress::default();
    let last = network.layers.len() - 1;
    for at in [0, last / 2, last - 2, last] {
        let name = &network.layers[at].name;
        let variants = [exported(&network, &base, name, 3)?, exported(&network, &base, name, 5)?];
        let kept = Incremental::new(&data, Incremental::<&Dataset>::MOST_BYTES);
        let resume = |variant: &Exported| {
            let (engine, signature) = (&variant.engine, &variant.signature);
            black_box(kept.run(engine, signature, 0..SAMPLES, Keep::BeforeChange, &quiet))
        };
        // What lies before the layer is kept from now on.
        for variant in &variants {
            resume(variant)?;
        }
        let mut turn = 0;
        let [resumed, whole] = in_turns(
            7,
            [
                &mut || {
                    turn += 1;
                    drop(resume(&variants[turn % 2]));
                },
                &mut || drop(black_box(run_samples(&variants[0].engine, &data, 0..SAMPLES, &quiet))),
            ],
        );
        let figure = format!("preview after a change of {name}");
        let beside = format!("whole run {}{}", milliseconds(whole.best()), whole.mark());
        let measured = format!("{}{}", milliseconds(resumed.best()), resumed.mark());
        let verdict = format!(
            "{}, work {}",
            times(whole.best(), resumed.best()),
            times(whole.work(), resumed.work())
        );
        row(&figure, &measured, &beside, &verdict);
    }
    Ok(())
}
