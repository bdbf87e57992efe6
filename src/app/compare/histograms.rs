//! The selected layer's weights in both networks, one histogram over the other.

use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::histogram::y_range;
use crate::app::plot::{Scale, Token, draw, histogram_plot, swatch};
use crate::app::text::{self, note};
use crate::app::theme::tokens;
use crate::difference::{LayerDifference, WeightDifference};
use crate::session::{Against, OpenNetwork};
use egui::Ui;

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
        ui.strong(text::short_name(name, 40)).on_hover_text(name);
        swatch(ui, colors.original, "here", "The weights of the open network.");
        swatch(
            ui,
            colors.quantized,
            &format!("in {}", text::elide_middle(&against.name, 28)),
            "The weights of the other network, copies of a channel added up.",
        );
    });
    let figure = figure(name, against, weights);
    let plot = histogram_plot(
        "compared weights",
        "weight",
        "weights in a bin",
        height - 26.0,
        figure.scale,
    );
    let shown = plot.show(ui, |plot| draw(plot, &figure));
    figure_menu(ui, &shown.response, "Plot of the compared weights", out, || figure);
}

fn figure(name: &str, against: &Against, weights: &WeightDifference) -> Figure {
    let [here, there] = &weights.histograms;
    let most = here.counts.iter().chain(&there.counts).copied().max().unwrap_or(1);
    let steps = |counts: &[u64]| Shape::steps(here.low, here.bin_width(), counts);
    Figure {
        title: format!("weights of {name} beside {}", against.name),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: (here.low, here.high),
        y_range: y_range(Scale::Log, most as f64, 1.08),
        scale: Scale::Log,
        series: vec![
            Series::new("here", Token::Original, steps(&here.counts)).opacity(0.85),
            Series::new(format!("in {}", against.name), Token::Quantized, steps(&there.counts)).opacity(0.7),
        ],
    }
}
