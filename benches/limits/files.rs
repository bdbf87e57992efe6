//! Opening a file against reading its bytes, exporting against writing as many bytes.

use super::clock::{in_turns, milliseconds};
use super::{networks, row, times};
use splitscope::format;
use splitscope::onnx::{encode, write_file};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Clip, Recipe, plan, rewrite};
use splitscope::session::Analysis;
use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

const SIGMA: f64 = 4.0;

pub(super) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("resnet50.onnx");
    let bytes = encode(&networks::resnet50())?;
    std::fs::write(&path, &bytes)?;
    let megabytes = bytes.len() as f64 / 1e6;
    let [opening, with_facts, reading] = in_turns(
        9,
        [
            &mut || drop(black_box(format::open(&path))),
            &mut || {
                let network = format::open(&path).map(Arc::new);
                drop(black_box(
                    network.map(|network| Analysis::new(network, SIGMA, &Progress::default())),
                ));
            },
            &mut || drop(black_box(std::fs::read(&path))),
        ],
    );
    let beside = format!("reading its bytes {}{}", milliseconds(reading.best()), reading.mark());
    for (name, figure) in [
        ("opening", &opening),
        ("opening and measuring all weights", &with_facts),
    ] {
        let name = format!("{name}, {megabytes:.0} MB of ONNX");
        let measured = format!("{}{}", milliseconds(figure.best()), figure.mark());
        let share = figure.best().as_secs_f64() / reading.best().as_secs_f64();
        row(&name, &measured, &beside, &format!("{share:.2} times as long"));
    }

    let network = format::open(&path)?;
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.02,
        clip: Clip::Mse,
        ..Recipe::default()
    };
    let planned = plan(&network, &recipe, None, &Progress::default())?;
    let exported = encode(&rewrite(&network, &planned)?)?;
    let (to, copy) = (folder.path().join("export.onnx"), folder.path().join("copy.onnx"));
    let [export, copying, planning] = in_turns(
        7,
        [
            &mut || {
                let model = rewrite(&network, &planned);
                drop(black_box(model.map(|model| write_file(&model, &to))));
            },
            &mut || drop(black_box(write_through(&copy, &exported))),
            &mut || drop(black_box(plan(&network, &recipe, None, &Progress::default()))),
        ],
    );
    let megabytes = exported.len() as f64 / 1e6;
    let beside = format!(
        "writing as many bytes {}{}",
        milliseconds(copying.best()),
        copying.mark()
    );
    let measured = format!("{}{}", milliseconds(export.best()), export.mark());
    row(
        &format!("export of a plan, {megabytes:.0} MB"),
        &measured,
        &beside,
        &format!("{} the copy", times(copying.best(), export.best())),
    );
    let measured = format!("{}{}", milliseconds(planning.best()), planning.mark());
    row("plan of ResNet-50, 4 bits, ratio 0.02, MSE", &measured, "", "");
    Ok(())
}

/// Writes and waits for the disk, as an export does.
fn write_through(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
