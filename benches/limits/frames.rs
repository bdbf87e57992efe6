//! Frames of the window while a hand drags or the wheel turns: a DenseNet-121, and a network of 10 000 layers.

use super::headless::Headless;
use super::{clock, frames, networks, row};
use splitscope::onnx::write_file;
use std::time::Duration;

const LIMIT: Duration = Duration::from_millis(8);

pub(super) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, model) in [
        ("DenseNet-121", networks::densenet121()),
        ("10 000 layers", networks::chain(10_000)),
    ] {
        let path = folder.path().join("network.onnx");
        write_file(&model, &path)?;
        drop(model);
        let mut window = Headless::open(&path);
        print(name, &frames::scroll(&mut window, "table of layers", 150.0, 400.0));
        if let Some(figure) = frames::drag_the_threshold(&mut window) {
            print(name, &figure);
        }
        for view in frames::VIEWS {
            print(name, &frames::drag_the_ratio(&mut window, view));
            if matches!(view, "Network" | "Graph") {
                print(name, &frames::scroll(&mut window, view, 650.0, 400.0));
            }
        }
        anyhow::ensure!(window.app().session().open().is_some(), "the network stayed open");
    }
    Ok(())
}

fn print(network: &str, figure: &frames::Figure) {
    let high = figure.own(0.99);
    let median = clock::milliseconds(figure.own(0.5));
    let beside = format!(
        "limit 8 ms; median {median}; wall {}",
        clock::milliseconds(figure.wall(0.99))
    );
    let verdict = if high <= LIMIT { "within" } else { "BEYOND" };
    let name = format!("frame, {network}: {}", figure.what);
    row(&name, &clock::milliseconds(high), &beside, verdict);
}
