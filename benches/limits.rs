//! Every figure that we promise, beside its limit or its rival, in one run: `cargo bench --bench limits`. A part alone:
//! `cargo bench --bench limits -- frames` (weights, split, files, preview, incremental, slider, frames).
//!
//! What is compared is run in turns, and of each side the best round counts, so that a machine that others use too disturbs the
//! ratios little; a figure whose rounds differ by more than a quarter is marked with `~`. Work is the time that all threads
//! together ran for: where the machine is busy, believe that. Where the limits come from, and what
//! was measured, is in `docs/limits.md`.

#[path = "common/clock.rs"]
mod clock;
#[path = "common/frames.rs"]
mod frames;
#[path = "common/headless.rs"]
mod headless;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/paper.rs"]
mod paper;
#[path = "limits/files.rs"]
mod part_files;
#[path = "limits/frames.rs"]
mod part_frames;
#[path = "limits/incremental.rs"]
mod part_incremental;
#[path = "limits/preview.rs"]
mod part_preview;
#[path = "limits/slider.rs"]
mod part_slider;
#[path = "limits/split.rs"]
mod part_split;
#[path = "limits/weights.rs"]
mod part_weights;
#[path = "common/tensors.rs"]
mod tensors;

/// Prints one row: the figure, what was measured, what it stands beside, how they compare.
fn row(figure: &str, measured: &str, beside: &str, verdict: &str) {
    println!("| {figure:<46} | {measured:>14} | {beside:<44} | {verdict:<24} |");
}

/// How many times as fast.
fn times(rival: std::time::Duration, ours: std::time::Duration) -> String {
    format!("{:.1}x", rival.as_secs_f64() / ours.as_secs_f64().max(1e-9))
}

/// The port of the paper against ours: in time, and in work, which other programs on the machine disturb less.
fn versus(port: &clock::Times, ours: &clock::Times) -> String {
    format!(
        "{} the port, work {}",
        times(port.best(), ours.best()),
        times(port.work(), ours.work())
    )
}

fn main() -> anyhow::Result<()> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let threads = rayon::current_num_threads();
    println!("{threads} threads. ~ disturbed: the rounds differ by more than a quarter.\n");
    row("figure", "measured", "beside", "");
    row(&"-".repeat(46), &"-".repeat(14), &"-".repeat(44), &"-".repeat(24));
    type Part = (&'static str, fn() -> anyhow::Result<()>);
    let parts: [Part; 7] = [
        ("weights", part_weights::run),
        ("split", part_split::run),
        ("files", part_files::run),
        ("preview", part_preview::run),
        ("incremental", part_incremental::run),
        ("slider", part_slider::run),
        ("frames", part_frames::run),
    ];
    for (name, run) in parts {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            run()?;
        }
    }
    Ok(())
}
