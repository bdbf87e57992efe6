//! Lesson: which of its two neighbours each weight takes, and what the errors add up to.

use super::super::Outbox;
use super::scene::{Scene, sentences};
use crate::network::{Layout, OutAxis};
use crate::quantization::{Bits, Clip, Grid, Rounding, WeightSettings, plan_layer};
use egui::{Button, RichText, Slider, Ui};

/// Weights shown where the layer has no kernel of its own, and at most.
const SHOWN: usize = 9;

/// Neighbouring weights of the layer, and which of their codes a person flipped.
#[derive(Default)]
pub(super) struct RoundingLesson {
    /// Which run of weights, and of which sample; at first the one whose errors add up to most.
    number: Option<(u64, usize)>,
    /// Of which sample and run the codes are, and at which bits.
    of: Option<(u64, usize, u8)>,
    codes: Vec<i32>,
}

impl RoundingLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let length = kernel(scene).min(scene.sample.values.len());
        let Some(runs) = scene.sample.values.len().checked_div(length).filter(|runs| *runs > 0) else {
            ui.label("The weights of this layer cannot be read. Select another one.");
            return;
        };
        let grid = Grid {
            bits: scene.bits,
            ..scene.grid()
        };
        let sample = scene.sample.number;
        let mut number = match self.number {
            Some((of, number)) if of == sample => number.min(runs - 1),
            _ => farthest(&scene.sample.values, length, grid),
        };
        self.number = Some((sample, number));
        let weights = &scene.sample.values[number * length..][..length];
        let of = (sample, number, scene.bits);
        if self.of != Some(of) || self.codes.len() != length {
            self.of = Some(of);
            self.codes = rounded(weights, grid, Rounding::Nearest);
        }
        self.weights_ui(ui, weights, grid);
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Weights");
            let slider = Slider::new(&mut number, 0..=runs - 1).custom_formatter(|run, _| {
                let first = run as usize * length;
                format!("{first} to {}", first + length - 1)
            });
            ui.add(slider).labelled_by(label.id);
        });
        ui.horizontal_wrapped(|ui| {
            for (name, method) in [("Nearest", Rounding::Nearest), ("SQuant", Rounding::Squant)] {
                let what = "Rounds these weights so, in the figure alone.";
                if ui.button(name).on_hover_text(what).clicked() {
                    self.codes = rounded(weights, grid, method);
                }
            }
        });
        let [sum, squares] = errors(weights, &self.codes, grid);
        let nearest = errors(weights, &rounded(weights, grid, Rounding::Nearest), grid);
        let flipped = errors(weights, &rounded(weights, grid, Rounding::Squant), grid);
        sentences(
            ui,
            [
                format!(
                    "Rounded to the nearest, these {length} weights are off by {:+.2} steps in sum. Where their inputs are alike, as \
                     neighbouring pixels are, the output is off by this sum times the input.",
                    nearest[0]
                ),
                format!(
                    "Click an integer: its weight goes to the other neighbour, which is farther away, and the sum changes by one \
                     step. Now the sum is {sum:+.2}, the squares of the errors add up to {squares:.2} ({:.2} for the nearest).",
                    nearest[1]
                ),
                format!(
                    "SQuant flips the weights nearest to the middle between two integers until the sum is at most half a step: here \
                     {:+.2}. GPTQ does the same by what the layer's inputs really have in common.",
                    flipped[0]
                ),
            ],
        );
        ui.horizontal_wrapped(|ui| {
            for method in [Rounding::Squant, Rounding::Nearest] {
                scene.try_it(ui, &format!("Round this layer by {}", method.label()), out, |layer| {
                    layer.rounding = Some(method);
                });
            }
        });
        self.number = Some((sample, number));
    }

    /// The weights in steps, their integers (buttons), and the errors.
    fn weights_ui(&mut self, ui: &mut Ui, weights: &[f32], grid: Grid) {
        egui::ScrollArea::horizontal().show(ui, |ui| {
            egui::Grid::new("lesson rounding").striped(true).show(ui, |ui| {
                ui.label("weight, steps");
                for weight in weights {
                    ui.monospace(format!("{:+.2}", weight / grid.step));
                }
                ui.end_row();
                ui.label("integer");
                for (weight, code) in weights.iter().zip(&mut self.codes) {
                    let is_nearest = *code == grid.index(*weight);
                    let text = RichText::new(code.to_string()).monospace();
                    let response = ui
                        .add(Button::new(text).selected(!is_nearest))
                        .on_hover_text("Click to take the other neighbour.");
                    if response.clicked() {
                        *code = other(*weight, *code, grid);
                    }
                }
                ui.end_row();
                ui.label("error, steps");
                for (weight, code) in weights.iter().zip(&self.codes) {
                    ui.monospace(format!("{:+.2}", error(*weight, *code, grid)));
                }
                ui.end_row();
            });
        });
        let [sum, _] = errors(weights, &self.codes, grid);
        ui.strong(format!("sum of errors: {sum:+.2} steps"));
    }
}

/// Weights of a kernel; of a matrix, some neighbours.
fn kernel(scene: &Scene<'_>) -> usize {
    let layer = scene.open.shown().network.layers.get(scene.open.selected());
    let inner = layer.filter(|layer| layer.layout.out_axis == OutAxis::Outer);
    inner
        .map(|layer| layer.layout.inner)
        .filter(|inner| (2..=SHOWN).contains(inner))
        .unwrap_or(SHOWN)
}

/// The run of `length` weights whose errors add up to most, rounded to the nearest, among the first thousand.
fn farthest(values: &[f32], length: usize, grid: Grid) -> usize {
    let sum = |weights: &[f32]| {
        let errors = weights.iter().map(|weight| error(*weight, grid.index(*weight), grid));
        errors.sum::<f64>().abs()
    };
    let runs = values.chunks_exact(length.max(1)).take(1000).map(sum).enumerate();
    let largest = runs.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    largest.map_or(0, |(number, _)| number)
}

/// The codes of one kernel.
fn rounded(weights: &[f32], grid: Grid, rounding: Rounding) -> Vec<i32> {
    let layout = Layout {
        groups: 1,
        outer: 1,
        channels: 1,
        inner: weights.len(),
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    let settings = WeightSettings {
        bits: Bits::Grid(grid.bits),
        clip: Clip::Manual(grid.step * grid.high() as f32),
        rounding,
        ..WeightSettings::default()
    };
    let planned = plan_layer(weights, &layout, &settings);
    planned.values.iter().map(|code| i32::from(*code)).collect()
}

fn error(weight: f32, code: i32, grid: Grid) -> f64 {
    f64::from(code) - f64::from(weight / grid.step)
}

/// The sum of the errors and of their squares, in steps.
fn errors(weights: &[f32], codes: &[i32], grid: Grid) -> [f64; 2] {
    let each = weights
        .iter()
        .zip(codes)
        .map(|(weight, code)| error(*weight, *code, grid));
    each.fold([0.0; 2], |[sum, squares], error| [sum + error, squares + error * error])
}

/// The integer on the other side of the weight, if the grid has it.
fn other(weight: f32, code: i32, grid: Grid) -> i32 {
    let other = if error(weight, code, grid) > 0.0 {
        code - 1
    } else {
        code + 1
    };
    other.clamp(grid.low(), grid.high())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid {
        bits: 4,
        step: 0.5,
        unsigned: false,
        zero_point: None,
    };

    /// .6, 1.55, 2.65 and 3.2 steps: errors .4, .45, .35, -.2 add up to 1, so that SQuant flips the second.
    #[test]
    fn a_flip_changes_the_sum_by_a_step_and_squant_makes_it_small() {
        let weights = [0.3, 0.775, 1.325, 1.6];
        let nearest = rounded(&weights, GRID, Rounding::Nearest);
        assert_eq!(nearest, [1, 2, 3, 3]);
        assert!((errors(&weights, &nearest, GRID)[0] - 1.0).abs() < 1e-5);
        let flipped = rounded(&weights, GRID, Rounding::Squant);
        assert_eq!(flipped, [1, 1, 3, 3]);
        assert!(errors(&weights, &flipped, GRID)[0].abs() < 1e-5);
        assert_eq!((other(0.775, 2, GRID), other(0.775, 1, GRID)), (1, 2));
        assert_eq!(other(3.6, 7, GRID), 7, "the grid ends there");
        // Sums of the errors of two at a time: .4 + .45, .35 - .2.
        assert_eq!(farthest(&[1.325, 1.6, 0.3, 0.775], 2, GRID), 1);
    }
}
