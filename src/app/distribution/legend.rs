//! The line above the histogram: what each colour means, and the menu of what is shown.

use super::super::learn::glossary::{Term, words_help_ui};
use super::super::plot::swatch;
use super::super::text;
use super::super::theme::tokens;
use super::show::Show;
use crate::session::LayerView;
use egui::Ui;

/// The words of the legend, for the one `?` at its end.
const WORDS: [Term; 7] = [
    Term::Grid,
    Term::Weight,
    Term::Channel,
    Term::Outlier,
    Term::Sigma,
    Term::Split,
    Term::Clip,
];

/// Draws the legend; it wraps where it does not fit.
pub(super) fn legend_ui(ui: &mut Ui, show: &mut Show, view: &LayerView, sigma: f64) {
    let colors = tokens(ui);
    ui.horizontal_wrapped(|ui| {
        // First, so that it stays in its place while the legend changes.
        show.menu_ui(ui, true);
        let after = view.after.as_deref();
        if show.before || after.is_none() {
            swatch(ui, colors.original, "before", "The weights as they are in the file.");
        }
        if let Some(after) = after {
            swatch(ui, colors.quantized, "after", Term::Split.text());
            if after.quantized.clip_mse > 0.0 {
                swatch(ui, colors.clipped, "clipped", Term::Clip.text());
            }
        }
        let outliers = format!("> {} σ", text::short_number(sigma));
        swatch(ui, colors.outlier, &outliers, Term::Outlier.text());
        if show.channels && !view.stacked.is_empty() {
            ui.label(text::note("largest channels")).on_hover_text(
                "The input channels that hold the largest weights, largest first, each in its own colour.",
            );
            for (rank, channel) in view.stacked.iter().enumerate() {
                let most = text::three_digits(f64::from(view.channels[channel.channel]));
                let help = format!("Input channel {}: its largest |w| is {most}.", channel.channel);
                swatch(ui, colors.channel(rank), &channel.channel.to_string(), &help);
            }
        }
        if let Some(after) = after {
            let grid = after.quantized.grid;
            let values = format!("grid: {} values", grid.high() - grid.low() + 1);
            let help = format!(
                "{} Drag one of the two outer lines to clip, double-click it to undo that.",
                Term::Grid.text()
            );
            swatch(ui, colors.grid, &values, &help);
        }
        words_help_ui(ui, "the histogram", &WORDS);
    });
}
