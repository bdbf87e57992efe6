//! How near the order of layers comes to the truth: Spearman against the output error on many samples, one layer at a time.
//!
//!     cargo bench --bench ranking [-- MODEL DATA ...]
//!
//! Without arguments the demos; pairs of a network and its data besides. The last column is the order on half of the samples of the
//! truth: where it is below 1, there are layers so near each other that the truth does not tell which is worse.

use splitscope::format::{self, demo::Demo};
use splitscope::inference::sweep::SweepSubject;
use splitscope::inference::{
    DataOptions, Dataset, Engine, InferenceError, LayerSensitivity, Rten, made_up_data, order_on_data, run_outputs,
    sensitivity, spearman,
};
use splitscope::network::Network;
use splitscope::onnx;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, prepare};
use std::error::Error;
use std::path::Path;

/// Samples (of text: tokens) that the truth is measured on.
const MANY: usize = 512;
const MANY_TOKENS: usize = 8192;

fn main() -> Result<(), Box<dyn Error>> {
    println!(
        "{:44} {:>5} {:>8} {:>8} {:>10} {:>8} {:>8}",
        "network", "bits", "weights", "noise", "no data", "data", "half"
    );
    let given: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    for bits in [3, 4] {
        for demo in Demo::ALL {
            report(demo.name(), &demo.network()?, &Dataset::demo(demo), bits)?;
        }
        for pair in given.chunks_exact(2) {
            let network = format::open(Path::new(&pair[0]))?;
            let engine = engine(&network)?;
            let data = Dataset::open(&pair[1], &DataOptions::default().for_network(&network), engine.inputs())?;
            report(&network.name, &network, &data, bits)?;
        }
    }
    Ok(())
}

fn engine(network: &Network) -> Result<Rten, Box<dyn Error>> {
    Ok(Rten::load(onnx::encode(&network.runnable_model())?)?)
}

fn report(name: &str, original: &Network, data: &Dataset, bits: u8) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe {
        weight_bits: Bits::Grid(bits),
        fold_batch_norm: true,
        ..Recipe::default()
    };
    let (network, engine, progress) = (prepare(original, &recipe)?, engine(original)?, Progress::default());
    let on = |data: &Dataset, samples: usize| -> Result<Vec<LayerSensitivity>, InferenceError> {
        let subject = SweepSubject {
            network: &network,
            activations: None,
            shapes: None,
            data,
            float: &run_outputs(&engine, data, samples, &progress)?,
        };
        sensitivity(&subject, &recipe, &progress, &mut |_| Ok(()))
    };
    let many = if data.is_text() { MANY_TOKENS } else { MANY };
    let (truth, half) = (on(data, many)?, on(data, many / 2)?);
    let errors = |rows: &[LayerSensitivity]| rows.iter().map(LayerSensitivity::output_error).collect::<Vec<f64>>();
    let against = |numbers: &[f64]| spearman(numbers, &errors(&truth));
    let weights: Vec<f64> = truth.iter().map(|row| -row.weight_sqnr_db).collect();
    let noise = on(&Dataset::noise(&network, &engine, 64, 1)?, 64)?;
    let settings = (&recipe, None);
    let made_up = made_up_data(original, &engine, &mut || Ok(()), &progress)?;
    let estimate = order_on_data(&network, &engine, &made_up, settings, &progress, &mut |_| Ok(()))?;
    let few = order_on_data(&network, &engine, data, settings, &progress, &mut |_| Ok(()))?;
    println!(
        "{name:44} {bits:>5} {:>8.2} {:>8.2} {:>10.2} {:>8.2} {:>8.2}",
        against(&weights),
        against(&errors(&noise)),
        against(&errors(&estimate)),
        against(&errors(&few)),
        against(&errors(&half))
    );
    Ok(())
}
