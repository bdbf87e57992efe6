//! Frames of the window while a hand drags or the wheel turns: a DenseNet-121, and a network of 10 000 layers.

use super::{clock, frames, row};
use std::time::Duration;

const LIMIT: Duration = Duration::from_millis(8);

pub(super) fn run() -> anyhow::Result<()> {
    frames::each_network(|name, window| frames::every_view(window, |figure| print(name, figure)))
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
