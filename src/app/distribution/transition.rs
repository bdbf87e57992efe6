//! The way from one split to the next, shown once: the largest channels walk to where their halves lie, the other bins grow
//! or shrink.

use crate::app::plot::stack::Stack;
use crate::session::{LayerView, LayerViewKey};
use egui::Ui;

/// Seconds from one picture to the next.
const DURATION: f64 = 0.5;

/// What is on its way.
#[derive(Default)]
pub(super) struct Transition {
    /// What was drawn in the last frame.
    shown: Option<Shown>,
    /// Where the present way began, and when.
    from: Option<(Shown, f64)>,
}

#[derive(Clone)]
struct Shown {
    key: LayerViewKey,
    splits: Vec<usize>,
    stack: Stack,
    /// Values of the largest channels, ascending.
    sorted: Vec<Vec<f32>>,
}

impl Transition {
    /// What to draw in this frame for `stack`, the weights after splitting. Asks for the next frame while under way.
    pub(super) fn step(&mut self, ui: &Ui, key: &LayerViewKey, view: &LayerView, stack: &Stack) -> Stack {
        let splits = view.after.as_deref().map(|after| after.quantized.splits.as_slice());
        let goal = || Shown {
            key: key.clone(),
            splits: splits.unwrap_or_default().to_vec(),
            stack: stack.clone(),
            sorted: view.stacked.iter().map(|channel| channel.sorted.clone()).collect(),
        };
        let now = ui.input(|input| input.time);
        let moves = ui.style().animation_time > 0.0;
        match &self.shown {
            Some(shown) if !comparable(shown, key, stack) || !moves => {
                self.from = None;
                self.shown = Some(goal());
            }
            Some(shown) if shown.splits != splits.unwrap_or_default() => {
                self.from = Some((shown.clone(), now));
                self.shown = Some(goal());
            }
            Some(shown) if shown.key != *key && self.from.is_none() => self.shown = Some(goal()),
            Some(_) => {}
            None => self.shown = Some(goal()),
        }
        let Some((from, started)) = &self.from else {
            return stack.clone();
        };
        let done = ((now - started) / DURATION).clamp(0.0, 1.0);
        if done >= 1.0 {
            self.from = None;
            self.shown = Some(goal());
            return stack.clone();
        }
        ui.request_repaint();
        // Slow at both ends.
        let share = done * done * (3.0 - 2.0 * done);
        let between = between(from, &goal(), share, view.range);
        let drawn = between.stack.clone();
        self.shown = Some(between);
        drawn
    }
}

/// Whether the picture shows the same bins of the same weights, so that a way between them means something.
fn comparable(shown: &Shown, key: &LayerViewKey, stack: &Stack) -> bool {
    (shown.key.layer, shown.key.prepared, shown.key.range) == (key.layer, key.prepared, key.range)
        && shown.stack.rest.len() == stack.rest.len()
        && shown.stack.channels.len() == stack.channels.len()
}

/// The picture at `share` of the way. A channel's values move along the straight lines that join equal ranks.
fn between(from: &Shown, to: &Shown, share: f64, range: (f64, f64)) -> Shown {
    let mix = |a: f64, b: f64| a + (b - a) * share;
    let rest = from
        .stack
        .rest
        .iter()
        .zip(&to.stack.rest)
        .map(|(a, b)| mix(*a, *b))
        .collect();
    let mut channels = Vec::new();
    let mut sorted = Vec::new();
    for (rank, goal) in to.stack.channels.iter().enumerate() {
        let (start, end) = (&from.sorted[rank], &to.sorted[rank]);
        let moving = between_ranks(start, end, share);
        channels.push(if moving.is_empty() {
            goal.clone()
        } else {
            let total = mix(start.len() as f64, end.len() as f64);
            counted(&moving, total / moving.len() as f64, range, goal.len())
        });
        sorted.push(moving);
    }
    Shown {
        stack: Stack { rest, channels },
        sorted,
        ..to.clone()
    }
}

/// Values of equal rank, joined.
fn between_ranks(start: &[f32], end: &[f32], share: f64) -> Vec<f32> {
    let count = start.len().max(end.len());
    if start.is_empty() || end.is_empty() {
        return Vec::new();
    }
    let at = |values: &[f32], i: usize| values[(i * values.len() / count).min(values.len() - 1)];
    let join = |i: usize| at(start, i) + (at(end, i) - at(start, i)) * share as f32;
    (0..count).map(join).collect()
}

fn counted(values: &[f32], weight: f64, range: (f64, f64), bins: usize) -> Vec<f64> {
    let mut counts = vec![0.0; bins];
    let scale = bins as f64 / (range.1 - range.0);
    for value in values {
        let bin = ((f64::from(*value) - range.0) * scale).floor();
        if bin >= 0.0 && (bin as usize) < bins {
            counts[bin as usize] += weight;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_walk_from_where_the_whole_was() {
        let (start, end) = ([8.0_f32], [4.0_f32, 4.0]);
        assert_eq!(between_ranks(&start, &end, 0.0), [8.0, 8.0]);
        assert_eq!(between_ranks(&start, &end, 0.5), [6.0, 6.0]);
        assert_eq!(between_ranks(&start, &end, 1.0), [4.0, 4.0]);
    }

    #[test]
    fn no_weight_is_lost_on_the_way() {
        let moving: Vec<f32> = (0..100).map(|i| i as f32 / 100.0).collect();
        let counts = counted(&moving, 1.5, (0.0, 1.0), 7);
        assert!((counts.iter().sum::<f64>() - 150.0).abs() < 1e-9);
    }
}
