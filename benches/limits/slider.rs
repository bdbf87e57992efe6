//! From a move of a slider to the numbers: the histogram of the selected layer, and those of the whole network.

use super::clock::{milliseconds, percentile};
use super::{networks, row};
use anyhow::Context;
use splitscope::jobs::Waker;
use splitscope::onnx::write_file;
use splitscope::quantization::{Bits, Recipe};
use splitscope::session::{Action, Saved, Session};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Moves of the slider that are timed.
const MOVES: usize = 30;
const HISTOGRAM: Duration = Duration::from_millis(50);
const NETWORK: Duration = Duration::from_millis(150);

pub(super) fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("resnet50.onnx");
    write_file(&networks::resnet50(), &path)?;
    let (mut session, woken) = open(&path)?;
    let open = session.open().context("the network is open")?;
    let layers = &open.original.network.layers;
    let weights: u64 = layers.iter().map(splitscope::network::Layer::parameters).sum();
    let large = (0..layers.len()).find(|index| layers[*index].shape == [512, 512, 3, 3]);
    let large = large.context("a layer of 2.4 M weights")?;
    let of_layer = layers[large].parameters();
    session.act(Action::SelectLayer(large));
    rest(&mut session, &woken)?;

    let (mut histogram, mut network) = (Vec::new(), Vec::new());
    for number in 0..MOVES {
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.005 + 0.005 * (number % 10) as f64,
            ..Recipe::default()
        };
        let started = Instant::now();
        session.act(Action::EditRecipe {
            recipe: Box::new(recipe),
            gesture: true,
        });
        let (mut seen, mut planned) = (None, None);
        while seen.is_none() || planned.is_none() {
            woken.recv_timeout(Duration::from_secs(60))?;
            session.poll();
            let open = session.open().context("the network is open")?;
            if open.view().is_some_and(|(key, _)| *key == open.view_key()) {
                seen.get_or_insert(started.elapsed());
            }
            if open.planned().is_some_and(|(key, _)| *key == open.plan_key()) {
                planned.get_or_insert(started.elapsed());
            }
        }
        histogram.extend(seen);
        network.extend(planned);
        rest(&mut session, &woken)?;
    }
    let millions = |count: u64| count as f64 / 1e6;
    let name = format!("slider to histogram, {:.1} M weights", millions(of_layer));
    print(&name, &histogram, HISTOGRAM);
    let name = format!("slider to all numbers, {:.1} M weights", millions(weights));
    print(&name, &network, NETWORK);
    Ok(())
}

fn print(name: &str, times: &[Duration], limit: Duration) {
    let median = percentile(times, 0.5);
    let most = milliseconds(percentile(times, 0.9));
    let beside = format!("limit {} ms; 9 of 10 below {most}", limit.as_millis());
    let verdict = if median <= limit { "within" } else { "BEYOND" };
    row(name, &milliseconds(median), &beside, verdict);
}

/// A session with the model at `path`, at rest, and a channel on which it calls for a poll.
pub(super) fn open(path: &Path) -> anyhow::Result<(Session, Receiver<()>)> {
    let (sender, woken) = channel();
    let wake = move || {
        // Nobody waits any more when the session ends.
        let _ = sender.send(());
    };
    let mut session = Session::new(Waker::new(wake), Saved::default());
    session.act(Action::Open(path.to_owned()));
    rest(&mut session, &woken)?;
    Ok((session, woken))
}

/// Waits until nothing is under way.
pub(super) fn rest(session: &mut Session, woken: &Receiver<()>) -> anyhow::Result<()> {
    anyhow::ensure!(
        session.wait_until_idle(Duration::from_secs(300)),
        "{:?}",
        session.running()
    );
    while woken.try_recv().is_ok() {}
    Ok(())
}
