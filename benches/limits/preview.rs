//! Samples a second of the exported network, against the engine on the float network. With `SPLITSCOPE_EXPORTS=FOLDER` the
//! networks are left there, for `benches/rival_onnxruntime.py`.

use super::clock::{Times, in_turns};
use super::{networks, row};
use splitscope::format::demo::Demo;
use splitscope::inference::{Dataset, Engine, Rten, calibrate, run_outputs};
use splitscope::network::{Format, Network};
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Clip, Recipe, plan, prepare, rewrite};
use std::hint::black_box;

pub(super) fn run() -> anyhow::Result<()> {
    compare(
        "Fashion ResNet-20",
        "images",
        &Demo::Fashion.network()?,
        &Dataset::demo(Demo::Fashion),
        200,
    )?;
    compare(
        "Shakespeare LSTM",
        "characters",
        &Demo::Shakespeare.network()?,
        &Dataset::demo(Demo::Shakespeare),
        4000,
    )?;
    let network = Network::new("resnet50", None, Format::Onnx, networks::resnet50())?;
    let engine = Rten::load(encode(&network.runnable_model())?)?;
    let data = Dataset::noise(&network, &engine, 8, 1)?;
    compare("ResNet-50", "images", &network, &data, 8)
}

fn compare(name: &str, unit: &str, network: &Network, data: &Dataset, samples: usize) -> anyhow::Result<()> {
    let quiet = Progress::default();
    let float = encode(&network.runnable_model())?;
    keep(name, "float", &float, unit, samples)?;
    let float = Rten::load(float)?;
    let mut exports = Vec::new();
    for activation_bits in [Bits::Float, Bits::Grid(8)] {
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.02,
            clip: Clip::Mse,
            fold_batch_norm: true,
            activation_bits,
            ..Recipe::default()
        };
        let prepared = prepare(network, &recipe)?;
        let activations = match activation_bits {
            Bits::Float => None,
            Bits::Grid(_) => {
                let engine = Rten::load(encode(&prepared.runnable_model())?)?;
                Some(calibrate(&prepared, &engine, data, samples.min(64), &quiet)?.activations)
            }
        };
        let planned = plan(&prepared, &recipe, activations.as_ref(), &quiet)?;
        let exported = encode(&rewrite(&prepared, &planned)?)?;
        keep(
            name,
            if activations.is_some() { "w4a8" } else { "w4" },
            &exported,
            unit,
            samples,
        )?;
        exports.push(Rten::load(exported)?);
    }
    let run = |engine: &dyn Engine| drop(black_box(run_outputs(engine, data, samples, &quiet)));
    let [rival, weights, both] = in_turns(
        5,
        [&mut || run(&float), &mut || run(&exports[0]), &mut || run(&exports[1])],
    );
    let rate = |times: &Times| samples as f64 / times.best().as_secs_f64();
    let work = |times: &Times| times.work().as_secs_f64() * 1e3 / samples as f64;
    let beside = format!(
        "float {:.1}/s{}, {:.3} ms of work each",
        rate(&rival),
        rival.mark(),
        work(&rival)
    );
    for (what, times) in [("w4", &weights), ("w4a8", &both)] {
        let measured = format!("{:.1}/s{}", rate(times), times.mark());
        let share = rate(times) / rate(&rival);
        let verdict = format!("{share:.2} of its speed, {:.3} ms", work(times));
        row(&format!("preview, {name} {what}, {unit}"), &measured, &beside, &verdict);
    }
    Ok(())
}

/// Leaves a network where a person wants it, with what a run of it is in its name: samples, and how many at once.
fn keep(name: &str, kind: &str, bytes: &[u8], unit: &str, samples: usize) -> anyhow::Result<()> {
    if let Some(folder) = std::env::var_os("SPLITSCOPE_EXPORTS") {
        let batch = if unit == "characters" || samples < 25 { 4 } else { 12 };
        let name = name.replace(' ', "-");
        std::fs::write(
            std::path::Path::new(&folder).join(format!("{name}-{kind}-{samples}in{batch}.onnx")),
            bytes,
        )?;
    }
    Ok(())
}
