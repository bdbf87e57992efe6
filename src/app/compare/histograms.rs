//! The selected layer's weights in both networks, one histogram over the other.

use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, Steps, histogram_plot, swatch};
use crate::app::text::{self, note};
use crate::app::theme::{faded, ink, tokens};
use crate::difference::{LayerDifference, WeightDifference};
use crate::session::{Against, OpenNetwork};
use crate::statistics::Histogram;
use egui::Ui;
use egui_plot::{Line, PlotBounds};

/// Draws legend and plot, or says why there is none.
pub(super) fn histograms_ui(
    ui: &mut Ui,
    open: &OpenNetwork,
    against: &Against,
    layer: Option<&LayerDifference>,
    height: f32,
    out: &mut Outbox,
) {
    let name = open.selected_name();
    let weights = match layer.map(|layer| &layer.weights) {
        Some(Ok(weights)) => weights,
        Some(Err(why)) => {
            ui.label(note(format!("{name}: not compared, {why}")));
            return;
        }
        None => {
            ui.label(note(format!("The other network has no layer that belongs to {name}.")));
            return;
        }
    };
    let colors = tokens(ui);
    ui.horizontal_wrapped(|ui| {
        ui.strong(text::elide_middle(name, 40)).on_hover_text(name);
        swatch(ui, colors.original, "here", "The weights of the open network.");
        swatch(
            ui,
            colors.quantized,
            &format!("in {}", text::elide_middle(&against.name, 28)),
            "The weights of the other network, copies of a channel added up.",
        );
    });
    let scale = Scale::Log;
    let [here, there] = &weights.histograms;
    let steps = Steps {
        low: here.low,
        width: here.bin_width(),
        counts: &here.counts,
    };
    let highest = [here, there]
        .into_iter()
        .flat_map(|histogram| &histogram.counts)
        .copied()
        .max()
        .unwrap_or(1);
    let shown =
        histogram_plot("compared weights", "weight", "weights in a bin", height - 26.0, scale).show(ui, |plot| {
            let top = scale.height(highest as f64).max(0.3) * 1.08;
            plot.set_plot_bounds(PlotBounds::from_min_max([here.low, 0.0], [here.high, top]));
            steps.draw(plot, "here", faded(colors.original, 0.85), scale, |_| true);
            plot.line(
                Line::new("there", outline(there, scale))
                    .color(colors.quantized)
                    .width(1.6)
                    .allow_hover(false),
            );
        });
    figure_menu(ui, &shown.response, "Plot of the compared weights", out, || {
        figure(ui, name, against, weights)
    });
}

/// The upper edge of the steps, from the base and back to it.
fn outline(histogram: &Histogram, scale: Scale) -> Vec<[f64; 2]> {
    let (low, width) = (histogram.low, histogram.bin_width());
    let mut points = vec![[low, 0.0]];
    for (bin, count) in histogram.counts.iter().enumerate() {
        let (left, height) = (low + width * bin as f64, scale.height(*count as f64));
        points.extend([[left, height], [left + width, height]]);
    }
    points.push([histogram.high, 0.0]);
    points
}

fn figure(ui: &Ui, name: &str, against: &Against, weights: &WeightDifference) -> Figure {
    let colors = tokens(ui);
    let [here, there] = &weights.histograms;
    let heights = |histogram: &Histogram| histogram.counts.iter().map(|count| *count as f64).collect();
    let most = here
        .counts
        .iter()
        .chain(&there.counts)
        .copied()
        .max()
        .unwrap_or(1)
        .max(1);
    let (low, width) = (here.low, here.bin_width());
    Figure {
        title: format!("weights of {name} beside {}", against.name),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: (here.low, here.high),
        y_range: (0.0, most as f64 * 1.1),
        scale: Scale::Log,
        series: vec![
            Series {
                name: "here".to_owned(),
                color: ink(colors.original),
                shape: Shape::Steps {
                    low,
                    width,
                    heights: heights(here),
                },
            },
            Series {
                name: format!("in {}", against.name),
                color: ink(colors.quantized),
                shape: Shape::Outline {
                    low,
                    width,
                    heights: heights(there),
                },
            },
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::histogram;

    #[test]
    fn the_outline_has_the_heights_of_the_bins_and_both_ends_on_the_ground() {
        let counted = histogram(&[0.1, 0.6, 0.7], 0.0, 1.0, 2);
        let points = outline(&counted, Scale::Linear);
        let expected = [[0.0, 0.0], [0.0, 1.0], [0.5, 1.0], [0.5, 2.0], [1.0, 2.0], [1.0, 0.0]];
        assert_eq!(points, expected);
    }
}
