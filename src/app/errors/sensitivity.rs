//! What each layer alone does to the network's outputs: a bar a layer, the worst first.

use super::super::Outbox;
use super::super::learn::glossary::{Term, help_ui};
use super::super::plot::export::menu;
use super::super::plot::figure::{Figure, Series, Shape};
use super::super::plot::{Scale, Token};
use super::super::text::{self, note};
use super::super::theme::tokens;
use super::super::widgets::{start_ui, stopped_ui};
use crate::inference::LayerSensitivity;
use crate::session::{Action, Kind, OpenNetwork, Session};
use egui::{Align2, Rect, Response, Role, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};

/// Height of a bar, points.
const ROW: f32 = 18.0;
/// Share of the width for the names, and points for the numbers.
const NAMES: f32 = 0.34;
const NUMBERS: f32 = 64.0;

/// Draws the button, the progress and the bars.
pub(super) fn sensitivity_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    let found = open.sensitivity();
    ui.horizontal_wrapped(|ui| {
        let help =
            "Runs the network with one layer quantized at a time: how far does that layer alone push the outputs?";
        let button = ("Measure layer sensitivity", help);
        start_ui(ui, session, Kind::Sensitivity, button, Action::MeasureSensitivity, out);
        help_ui(ui, Term::Sensitivity);
        if let Some(error) = found.last_failure() {
            stopped_ui(ui, error);
        } else if !found.rows().is_empty() && !open.sensitivity_is_current(session.limit()) {
            ui.label(note("Out of date. Measure again."));
        }
    });
    if found.rows().is_empty() {
        let what = "Which layers do the network's predictions depend on? The network is run with one layer quantized at a time, on \
                    all samples; without data, on seeded noise.";
        ui.add(egui::Label::new(note(what)).wrap());
        return;
    }
    ui.label(note(
        "SQNR of the network's outputs with only this layer quantized, dB: the shorter, the worse.",
    ));
    let rows = worst_first(found.rows());
    let finite = rows.iter().map(|row| decibels(row)).filter(|db| db.is_finite());
    let most = finite.fold(1.0, f64::max);
    let all = ui.available_rect_before_wrap();
    for row in &rows {
        let response = row_ui(ui, open, row, most, out);
        menu(&response, all.intersect(ui.clip_rect()), out, || {
            figure(open, &rows, most)
        });
    }
}

/// Outputs without any error have infinitely many decibels.
fn decibels(row: &LayerSensitivity) -> f64 {
    row.sqnr_db.unwrap_or(f64::INFINITY)
}

fn worst_first(rows: &[LayerSensitivity]) -> Vec<&LayerSensitivity> {
    let mut rows: Vec<&LayerSensitivity> = rows.iter().collect();
    rows.sort_by(|a, b| decibels(a).total_cmp(&decibels(b)));
    rows
}

fn row_ui(ui: &mut Ui, open: &OpenNetwork, row: &LayerSensitivity, most: f64, out: &mut Outbox) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    let selected = open.selected_name() == row.name;
    let number = text::decibels(decibels(row));
    let label = format!("Sensitivity of {}, {number}", row.name);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &label));
    let visuals = ui.visuals();
    let painter = ui.painter_at(rect);
    if selected || response.hovered() {
        let fill = if selected {
            visuals.selection.bg_fill
        } else {
            visuals.faint_bg_color
        };
        painter.rect_filled(rect, 2.0, fill);
    }
    let font = TextStyle::Small.resolve(ui.style());
    let ink = visuals.text_color();
    let names = rect.width() * NAMES;
    // A character of small type is about half as wide as it is high.
    let keep = (names / (font.size * 0.56)) as usize;
    let middle = rect.center().y;
    let name = text::short_name(&row.name, keep);
    painter.text(
        pos2(rect.min.x + 4.0, middle),
        Align2::LEFT_CENTER,
        name,
        font.clone(),
        ink,
    );
    painter.text(pos2(rect.max.x - 4.0, middle), Align2::RIGHT_CENTER, number, font, ink);
    let room = (rect.width() - names - NUMBERS).max(0.0);
    let share = (decibels(row).min(most) / most).clamp(0.01, 1.0) as f32;
    let bar = Rect::from_min_size(
        pos2(rect.min.x + names, rect.min.y + 4.0),
        vec2(room * share, ROW - 8.0),
    );
    painter.rect_filled(bar, 1.0, tokens(ui).sqnr(decibels(row)));
    let response = response.on_hover_text(hover_text(row));
    if response.clicked()
        && let Some(layer) = open.original.network.layer_index(&row.name)
    {
        out.actions.push(Action::SelectLayer(layer));
    }
    response
}

/// The bars, to copy or save.
fn figure(open: &OpenNetwork, rows: &[&LayerSensitivity], most: f64) -> Figure {
    Figure {
        title: format!("sensitivity of the layers of {}", open.original.network.name),
        x: "layer".to_owned(),
        y: "SQNR of the outputs, dB".to_owned(),
        x_range: (-0.7, rows.len() as f64 - 0.3),
        y_range: (0.0, most * 1.05),
        scale: Scale::Linear,
        series: vec![Series::new(
            "only this layer quantized",
            Token::Quantized,
            Shape::Named(rows.iter().map(|row| (row.name.clone(), decibels(row))).collect()),
        )],
    }
}

fn hover_text(row: &LayerSensitivity) -> String {
    let mut lines = format!(
        "{}\nweights {}, input {}, {}\nSQNR of its weights {}, of the outputs {}",
        row.name,
        text::bits(row.weight_bits),
        text::bits(row.activation_bits),
        text::plural(row.splits as u64, "split", "splits"),
        text::decibels(row.weight_sqnr_db),
        text::decibels(decibels(row)),
    );
    if let Some(agreement) = row.agreement {
        lines += &format!("\nsame first answer as float: {}", text::percent(agreement));
    }
    if let Some(top1) = row.metrics.top1 {
        lines += &format!(
            "\ntop-1 {} of {}",
            text::percent(top1),
            text::full_count(row.samples as u64)
        );
    }
    if let Some(score) = text::score(&row.metrics).filter(|_| row.metrics.top1.is_none()) {
        lines += &format!("\n{score}");
    }
    lines
}
