//! What the grid costs the layer, in numbers and in words.

use super::super::learn::glossary::{Term, words_help_ui};
use super::super::text;
use crate::session::{After, LayerView};
use egui::Ui;

/// Width of the question mark behind the numbers, points.
const HELP: f32 = 20.0;

/// Two lines below the histogram.
pub(super) fn readout_ui(ui: &mut Ui, view: &LayerView) {
    let Some(after) = view.after.as_deref() else {
        ui.label("This layer stays float: nothing is rounded.");
        return;
    };
    let quantized = &after.quantized;
    errors_ui(ui, quantized.mse, quantized.clip_mse, quantized.sqnr_db);
    ui.add(egui::Label::new(text::note(crowding(after))).truncate());
}

/// `MSE … = rounding … + clipping … · SQNR …`, with its explanation; without the parts where there is no room for them.
pub(in crate::app) fn errors_ui(ui: &mut Ui, mse: f64, clip_mse: f64, sqnr_db: f64) {
    let numbers = format!(
        "MSE {} = rounding {} + clipping {} · SQNR {}",
        text::three_digits(mse),
        text::three_digits((mse - clip_mse).max(0.0)),
        text::three_digits(clip_mse),
        text::decibels(sqnr_db)
    );
    let (font, ink) = (egui::TextStyle::Body.resolve(ui.style()), ui.visuals().text_color());
    let width = ui.painter().layout_no_wrap(numbers.clone(), font, ink).size().x;
    let shown = if width + HELP <= ui.available_width() {
        numbers.clone()
    } else {
        format!("MSE {} · SQNR {}", text::three_digits(mse), text::decibels(sqnr_db))
    };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(shown)
            .on_hover_text(format!("{numbers}\n{}\n{}", Term::Mse.text(), Term::Sqnr.text()));
        words_help_ui(ui, "the error", &[Term::Mse, Term::Rounding, Term::Clip, Term::Sqnr]);
    });
}

/// How few grid values carry how many weights: what an outlier does to the rest.
fn crowding(after: &After) -> String {
    let quantized = &after.quantized;
    let steps = after.staircase.steps();
    let middle: u64 = steps
        .filter(|(q, _)| (-1..=1).contains(&(q - quantized.grid.zero())))
        .map(|(_, count)| count)
        .sum();
    let share = middle as f64 / quantized.values.len().max(1) as f64;
    let values = quantized.grid.high() - quantized.grid.low() + 1;
    let grid = quantized.grid;
    let reach = if grid.zero_point.is_some() {
        let [low, high] = [grid.low(), grid.high()].map(|index| text::three_digits(f64::from(grid.value(index))));
        format!("from {low} to {high}")
    } else {
        format!("to ±{}", text::three_digits(f64::from(quantized.threshold)))
    };
    format!(
        "The grid's {values} values reach {reach}; {} of the weights share the middle 3.",
        text::percent(share)
    )
}
