//! Where the error arises: every value of the graph as a curve, cumulative and own; the channels and positions of one value.

use super::super::Outbox;
use super::super::channels::channel_plot;
use super::super::plot::draw;
use super::super::plot::export::figure_menu;
use super::super::plot::figure::{Dashes, Figure, Series, Shape};
use super::super::plot::{Scale, Token};
use super::super::text::{self, note};
use super::super::theme::tokens;
use super::super::widgets::{data_buttons_ui, failure_ui, waiting_ui};
use crate::inference::{Trace, TracedValue};
use crate::session::{Action, Kind, OpenNetwork, Session, TRACE_SAMPLES};
use egui::{Color32, Label, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

/// Values with more decibels differ by the rounding of floats alone: the curves end there.
const MOST_DB: f64 = 80.0;
/// Share of the height for the curves.
const CURVES: f32 = 0.52;

/// State of the section between frames.
#[derive(Default)]
pub(super) struct TraceSection {
    /// The value that is looked at, by name; without one, the output of the selected layer.
    chosen: Option<String>,
    /// The layer that was selected when it was chosen.
    layer: usize,
}

impl TraceSection {
    /// Draws the curves, and channels and positions of one value.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        if let Some(why) = &open.original.network.why_not_runnable {
            ui.add(
                Label::new(format!(
                    "Values are compared by running the network, which can't be run: {why}."
                ))
                .wrap(),
            );
            return;
        }
        match (open.trace(), open.trace_failure()) {
            (_, Some(error)) => failure_ui(ui, "The values cannot be compared", error),
            (Some((_, trace)), None) => self.trace_ui(ui, open, trace, height, out),
            (None, None) if open.data().is_none() && session.is_idle() => {
                ui.label("Every value of the graph is compared on data: open some, or use noise.");
                data_buttons_ui(ui, &[], out);
            }
            (None, None) => {
                let kinds = [Kind::Trace, Kind::Calibrate, Kind::Plan];
                waiting_ui(ui, session, &kinds, "Comparing every value of the graph…", height, out);
            }
        }
    }

    fn trace_ui(&mut self, ui: &mut Ui, open: &OpenNetwork, trace: &Trace, height: f32, out: &mut Outbox) {
        if self.layer != open.selected() {
            (self.layer, self.chosen) = (open.selected(), None);
        }
        let name = open.selected_name();
        let of = |value: &TracedValue| match &self.chosen {
            Some(chosen) => value.name == *chosen,
            None => value.layer.as_deref() == Some(name),
        };
        let looked_at = trace.values.iter().position(of);
        self.head_ui(ui, open, trace, out);
        let figure = figure(trace, looked_at, open);
        let mut clicked = None;
        let plot_height = (height * CURVES).max(110.0);
        let shown = channel_plot("trace", &figure.x, &figure.y, plot_height).show(ui, |plot| {
            draw(plot, &figure);
            let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
                return;
            };
            let place = (pointer.x + 0.5).floor();
            let Some((place, value)) = (place >= 0.0)
                .then(|| trace.values.get(place as usize).map(|value| (place as usize, value)))
                .flatten()
            else {
                return;
            };
            plot.response().clone().on_hover_text_at_pointer(value_text(value));
            if plot.response().clicked() {
                clicked = Some(place);
            }
        });
        figure_menu(ui, &shown.response, "Plot of the error along the graph", out, || figure);
        if let Some(value) = clicked.and_then(|place| trace.values.get(place)) {
            self.chosen = Some(value.name.clone());
            if let Some(layer) = layer_of(open, value) {
                self.layer = layer;
                out.actions.push(Action::SelectLayer(layer));
            }
        }
        if let Some(value) = looked_at.and_then(|place| trace.values.get(place)) {
            value_ui(ui, value, out);
        } else {
            ui.label(note("Click the curve to see the channels and positions of a value."));
        }
    }

    fn head_ui(&mut self, ui: &mut Ui, open: &OpenNetwork, trace: &Trace, out: &mut Outbox) {
        ui.horizontal_wrapped(|ui| {
            let colors = tokens(ui);
            ui.spacing_mut().item_spacing.x = 4.0;
            let samples = text::plural(trace.samples as u64, "sample", "samples");
            let help = format!(
                "SQNR of every value of the graph, float against quantized, on the first {TRACE_SAMPLES} samples of the open data."
            );
            ui.colored_label(colors.quantized, "━ cumulative").on_hover_text(&help);
            ui.label(note("both networks run"));
            ui.add_space(8.0);
            ui.colored_label(colors.outlier, "● own").on_hover_text(&help);
            ui.label(note(format!("float inputs: the lowest is where most arises · {samples}")));
            ui.add_space(8.0);
            if !open.trace_is_current() {
                ui.label(note("Out of date; being renewed."));
            }
            if let Some(value) = trace.worst_own() {
                let name = value.layer.as_ref().unwrap_or(&value.name);
                let button = ui.small_button(format!("Largest own error: {}", text::short_name(name, 28)));
                button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Largest own error: {name}")));
                if button.on_hover_text(name).clicked() {
                    self.chosen = Some(value.name.clone());
                    if let Some(layer) = layer_of(open, value) {
                        self.layer = layer;
                        out.actions.push(Action::SelectLayer(layer));
                    }
                }
            }
        });
        if !trace.unmatched.is_empty() {
            let text = format!(
                "{} without a counterpart in the quantized graph",
                text::plural(trace.unmatched.len() as u64, "value", "values")
            );
            ui.label(note(text)).on_hover_text(trace.unmatched.join("\n"));
        }
    }
}

/// Position of the layer whose output the value is.
fn layer_of(open: &OpenNetwork, value: &TracedValue) -> Option<usize> {
    open.original.network.layer_index(value.layer.as_ref()?)
}

/// What the curves show.
fn figure(trace: &Trace, looked_at: Option<usize>, open: &OpenNetwork) -> Figure {
    let curve = |of: &dyn Fn(&TracedValue) -> Option<f64>| -> Vec<[f64; 2]> {
        let points = trace.values.iter().enumerate();
        points.filter_map(|(x, value)| Some([x as f64, of(value)?])).collect()
    };
    let cumulative = curve(&|value| Some(value.sqnr_db));
    // What only floats round is no error of its own.
    let own = curve(&|value| value.own_sqnr_db.filter(|db| *db < MOST_DB));
    let shown = cumulative
        .iter()
        .chain(&own)
        .map(|point| point[1])
        .filter(|db| *db < MOST_DB);
    let (least, most) = shown.fold((0.0_f64, 10.0_f64), |(least, most), db| (least.min(db), most.max(db)));
    let (least, most) = (least.max(-20.0), most * 1.08);
    let drawn = |points: Vec<[f64; 2]>| {
        points
            .into_iter()
            .map(|[x, y]| [x, y.clamp(least, most)])
            .collect::<Vec<_>>()
    };
    let mut series = vec![
        Series::new("cumulative", Token::Quantized, Shape::Line(drawn(cumulative)))
            .width(2.0)
            .dashes(Dashes::Solid),
        Series::new("own", Token::Outlier, Shape::Points(drawn(own))).width(3.5),
    ];
    if let Some(place) = looked_at {
        let upright = Shape::Uprights(vec![place as f64]);
        series.push(Series::new("looked at", Token::Handle, upright).dashes(Dashes::Solid));
    }
    Figure {
        title: format!("error along the graph of {}", open.original.network.name),
        x: "value, in the order of the graph".to_owned(),
        y: "SQNR, dB".to_owned(),
        x_range: (-0.7, trace.values.len().max(1) as f64 - 0.3),
        y_range: (least - 1.0, most + 1.0),
        scale: Scale::Linear,
        series,
    }
}

fn decibels(db: f64) -> String {
    if db >= MOST_DB {
        "exact".to_owned()
    } else {
        text::decibels(db)
    }
}

fn value_text(value: &TracedValue) -> String {
    let mut lines = value.layer.clone().unwrap_or_else(|| value.name.clone());
    let operator = value.operator.as_deref().unwrap_or("input");
    lines += &format!("\n{operator}, {}", text::shape(&value.shape));
    lines += &format!("\ncumulative {}", decibels(value.sqnr_db));
    if let Some(own) = value.own_sqnr_db {
        lines += &format!("\nown {}", decibels(own));
    }
    if let Some(grid) = value.grid_sqnr_db {
        lines += &format!("\nits grid alone {}", decibels(grid));
    }
    lines
}

/// Channels and positions of one value, side by side.
fn value_ui(ui: &mut Ui, value: &TracedValue, out: &mut Outbox) {
    let name = value.layer.as_ref().unwrap_or(&value.name);
    ui.horizontal(|ui| {
        let operator = value.operator.as_deref().unwrap_or("input");
        let told = format!("{operator} · cumulative {}", decibels(value.sqnr_db));
        let width = (ui.available_width() - 300.0).max(80.0);
        text::elided_label(ui, name, width);
        ui.label(note(told));
    });
    let height = (ui.available_height() - 8.0).max(70.0);
    let has_map = !value.position_sqnr_db.is_empty();
    let map_width = if has_map {
        (ui.available_width() * 0.4).min(height * 2.2)
    } else {
        0.0
    };
    let bars_width = ui.available_width() - map_width - 8.0;
    ui.horizontal(|ui| {
        ui.allocate_ui(vec2(bars_width, height), |ui| {
            let figure = channels_figure(value);
            let shown = channel_plot("trace channels", &figure.x, &figure.y, height)
                .width(bars_width)
                .show(ui, |plot| {
                    draw(plot, &figure);
                    let pointer = plot.pointer_coordinate().filter(|_| plot.response().hovered());
                    if let Some(pointer) = pointer.filter(|pointer| pointer.x >= -0.5)
                        && let Some(db) = value.channel_sqnr_db.get((pointer.x + 0.5) as usize)
                    {
                        let text = format!("channel {}: {}", (pointer.x + 0.5) as usize, decibels(*db));
                        plot.response().clone().on_hover_text_at_pointer(text);
                    }
                });
            figure_menu(ui, &shown.response, "Plot of the error by channel", out, || figure);
        });
        if has_map {
            positions_ui(ui, value, vec2(map_width, height));
        }
    });
}

fn channels_figure(value: &TracedValue) -> Figure {
    let bars = value.channel_sqnr_db.iter().enumerate();
    let bars = bars
        .map(|(channel, db)| [channel as f64, db.clamp(-20.0, MOST_DB)])
        .collect::<Vec<_>>();
    let most = bars.iter().map(|bar| bar[1]).fold(1.0, f64::max);
    let least = bars.iter().map(|bar| bar[1]).fold(0.0, f64::min);
    Figure {
        title: format!("error by channel of {}", value.name),
        x: "channel".to_owned(),
        y: "SQNR, dB".to_owned(),
        x_range: (-0.7, bars.len().max(1) as f64 - 0.3),
        y_range: (least * 1.08, most * 1.08),
        scale: Scale::Linear,
        series: vec![Series::new("cumulative", Token::Quantized, Shape::Bars(bars))],
    }
}

/// The positions of a map, or the tokens of a sequence, in the colours of the error.
fn positions_ui(ui: &mut Ui, value: &TracedValue, size: egui::Vec2) {
    let [rows, columns] = value.positions;
    let finite = || value.position_sqnr_db.iter().copied().filter(|db| db.is_finite());
    let (least, most) = (
        finite().fold(f64::INFINITY, f64::min),
        finite().fold(f64::NEG_INFINITY, f64::max),
    );
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let label = if rows > 1 { "SQNR by position" } else { "SQNR by token" };
    response.widget_info(|| WidgetInfo::labeled(Role::GraphicsObject, true, label));
    let colors = tokens(ui);
    let painter = ui.painter_at(rect);
    let font = egui::TextStyle::Small.resolve(ui.style());
    let title = 15.0;
    painter.text(
        rect.left_top(),
        egui::Align2::LEFT_TOP,
        if least <= most {
            format!("{label}: {least:.1} to {most:.1} dB").replace('-', "−")
        } else {
            format!("{label}: no error")
        },
        font,
        ui.visuals().weak_text_color(),
    );
    let field = Rect::from_min_max(rect.min + vec2(0.0, title), rect.max);
    let cell = vec2(
        field.width() / columns.max(1) as f32,
        field.height() / rows.max(1) as f32,
    );
    // A map keeps its shape.
    let cell = if rows > 1 {
        vec2(cell.min_elem(), cell.min_elem())
    } else {
        cell
    };
    for (place, db) in value.position_sqnr_db.iter().enumerate() {
        let (row, column) = (place / columns.max(1), place % columns.max(1));
        let min = field.min + vec2(column as f32 * cell.x, row as f32 * cell.y);
        let square = Rect::from_min_size(pos2(min.x, min.y), cell);
        let color = if db.is_finite() {
            colors.sqnr(*db)
        } else {
            Color32::TRANSPARENT
        };
        painter.rect_filled(square.shrink(0.5), 0.0, color);
    }
    let Some(pointer) = response.hover_pos() else { return };
    let (row, column) = (
        ((pointer.y - field.min.y) / cell.y).floor(),
        ((pointer.x - field.min.x) / cell.x).floor(),
    );
    if row >= 0.0 && column >= 0.0 && (column as usize) < columns {
        let place = row as usize * columns + column as usize;
        if let Some(db) = value.position_sqnr_db.get(place) {
            let what = if rows > 1 {
                format!("row {row}, column {column}")
            } else {
                format!("token {column}")
            };
            response.on_hover_text_at_pointer(format!("{what}: {}", decibels(*db)));
        }
    }
}
