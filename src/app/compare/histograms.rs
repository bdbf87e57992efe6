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
use egui_plot::PlotBounds;

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
            steps(here).draw(plot, "here", faded(colors.original, 0.85), scale, |_| true);
            steps(there).draw(plot, "there", faded(colors.quantized, 0.7), scale, |_| true);
        });
    figure_menu(ui, &shown.response, "Plot of the compared weights", out, || {
        figure(ui, name, against, weights)
    });
}

fn steps(histogram: &Histogram) -> Steps<'_> {
    Steps {
        low: histogram.low,
        width: histogram.bin_width(),
        counts: &histogram.counts,
    }
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
