//! Lesson: one scale for a layer serves its largest output channel; a scale for each serves every one.

use super::super::{Outbox, text};
use super::scene::{FIGURE, Scene, sentences};
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, Token, draw, number_plot};
use crate::quantization::{Granularity, Grid};
use egui::{Slider, Ui};

#[derive(Default)]
pub(super) struct ScalesLesson {
    /// The channel that is looked at, counted from the one with the smallest weights.
    channel: Option<usize>,
}

impl ScalesLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let mut reach = scene.channel_reach();
        reach.sort_by(f32::total_cmp);
        let (Some(last), Some(largest)) = (reach.len().checked_sub(1), reach.last().copied()) else {
            ui.label("The output channels of this layer are not known. Select another one.");
            return;
        };
        // A channel in the middle has most to tell: half of the channels have even smaller weights.
        let mut channel = self.channel.unwrap_or(last / 2).min(last);
        plot_ui(ui, scene, &reach, channel, out);
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Output channel");
            let slider = Slider::new(&mut channel, 0..=last).suffix(format!(" of {last}"));
            if ui.add(slider).labelled_by(label.id).changed() {
                self.channel = Some(channel);
            }
        });
        let grid = Grid::symmetric(scene.bits, largest);
        let used = 2 * grid.index(reach[channel]).max(0) + 1;
        sentences(
            ui,
            [
                format!(
                    "Each bar is the largest weight of an output channel. One scale for all must reach {}, so that its step is {} \
                     in every channel.",
                    text::three_digits(f64::from(largest)),
                    text::three_digits(f64::from(grid.step))
                ),
                format!(
                    "This channel reaches {} only: of the {} values of the grid it uses {used}.",
                    text::three_digits(f64::from(reach[channel])),
                    grid.high() - grid.low() + 1
                ),
                format!(
                    "With a scale for each channel all of them use every value; the squared error of rounding falls to about {} \
                     of what it is, for one number more a channel.",
                    text::percent(error_left(&reach))
                ),
            ],
        );
        ui.horizontal_wrapped(|ui| {
            scene.try_it(ui, "A scale for each channel of this layer", out, |layer| {
                layer.scales = Some(Granularity::Channel);
            });
            scene.try_it(ui, "One scale for this layer", out, |layer| {
                layer.scales = Some(Granularity::Tensor);
            });
        });
    }
}

/// Share of the squared rounding error that is left with a scale for each channel: errors go with the square of the step, and
/// the step with the largest weight that it must reach. Sorted, smallest first.
fn error_left(reach: &[f32]) -> f64 {
    let largest = reach.last().map_or(0.0, |x| f64::from(*x));
    if largest <= 0.0 {
        return 1.0;
    }
    let squares = reach.iter().map(|x| (f64::from(*x) / largest).powi(2));
    squares.sum::<f64>() / reach.len() as f64
}

fn plot_ui(ui: &mut Ui, scene: &Scene<'_>, reach: &[f32], channel: usize, out: &mut Outbox) {
    let heights: Vec<f64> = reach.iter().map(|x| f64::from(*x)).collect();
    let most = heights.last().copied().unwrap_or(1.0).max(f64::MIN_POSITIVE);
    let bars = |low: usize, heights: Vec<f64>| Shape::Steps {
        low: low as f64 - 0.5,
        width: 1.0,
        heights,
        below: Vec::new(),
    };
    let own = vec![heights[channel]];
    let figure = Figure {
        title: format!(
            "largest weight of each output channel of {}",
            scene.open.selected_name()
        ),
        x: "output channel, smallest first".to_owned(),
        y: "largest |weight|".to_owned(),
        x_range: (-0.5, heights.len() as f64 - 0.5),
        y_range: (0.0, most * 1.05),
        scale: Scale::Linear,
        series: vec![
            Series::new("channels", Token::Original, bars(0, heights)),
            Series::new("this channel", Token::Handle, bars(channel, own)),
        ],
    };
    let shown = number_plot("lesson scales", &figure, (FIGURE, 60.0), 40.0).show(ui, |plot| draw(plot, &figure));
    figure_menu(ui, &shown.response, "Plot of the lesson", out, || figure);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_one_size_gain_nothing_and_a_lone_large_one_costs_all_others() {
        assert_eq!(error_left(&[2.0; 5]), 1.0);
        // Three channels at a tenth of the largest: (3 * 0.01 + 1) / 4.
        assert!((error_left(&[0.1, 0.1, 0.1, 1.0]) - 0.2575).abs() < 1e-6);
        assert_eq!(error_left(&[]), 1.0);
    }
}
