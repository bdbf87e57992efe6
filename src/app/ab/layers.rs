//! The layers' errors of both sides, a row each.

use crate::app::Outbox;
use crate::app::text::{self, note};
use crate::app::theme::{readable_on, tokens};
use crate::app::widgets::{Heading, ROW_HEIGHT};
use crate::session::{Action, LayerSummary, OpenNetwork, PlanSummary, Snapshot};
use egui::{Align, Label, Layout, RichText, Role, Sense, Ui, WidgetInfo};
use egui_extras::{Column, TableBuilder};

/// In which order the layers stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Order {
    /// As in the network.
    #[default]
    Network,
    /// The greatest difference first.
    Difference,
}

/// A layer under both recipes.
struct Row {
    layer: usize,
    sides: [Option<LayerSummary>; 2],
}

impl Row {
    /// Decibels that B has more than A; `None` where one of them is float.
    fn gain(&self) -> Option<f64> {
        let [a, b] = &self.sides;
        let gain = b.as_ref()?.sqnr_db - a.as_ref()?.sqnr_db;
        gain.is_finite().then_some(gain)
    }
}

fn rows(sides: [Option<&PlanSummary>; 2], order: Order) -> Vec<Row> {
    let [Some(a), Some(b)] = sides else {
        return Vec::new();
    };
    let pairs = a.layers.iter().zip(&b.layers).enumerate();
    let mut rows: Vec<Row> = pairs.map(|(layer, (a, b))| Row { layer, sides: [*a, *b] }).collect();
    if order == Order::Difference {
        let size = |row: &Row| row.gain().map_or(-1.0, f64::abs);
        rows.sort_by(|a, b| size(b).total_cmp(&size(a)));
    }
    rows
}

/// Draws the table into the `height` that is given.
pub(super) fn layers_ui(
    ui: &mut Ui,
    open: &OpenNetwork,
    sides: &[Snapshot; 2],
    order: &mut Order,
    height: f32,
    out: &mut Outbox,
) {
    ui.horizontal(|ui| {
        ui.strong("Layers");
        ui.selectable_value(order, Order::Network, "in order")
            .on_hover_text("In the order of the network.");
        ui.selectable_value(order, Order::Difference, "by difference")
            .on_hover_text("The layers first that the two recipes treat most differently.");
    });
    let rows = rows(sides.each_ref().map(|side| side.planned.as_deref()), *order);
    if rows.is_empty() {
        ui.label(note(
            "The layers' errors are not there yet: they come when the recipe is planned.",
        ));
        return;
    }
    let table = TableBuilder::new(ui)
        .id_salt("ab layers")
        .striped(true)
        .sense(Sense::click())
        .cell_layout(Layout::right_to_left(Align::Center))
        .auto_shrink(false)
        .min_scrolled_height(0.0)
        .max_scroll_height(height)
        .column(Column::remainder().at_least(100.0).clip(true))
        .column(Column::exact(74.0))
        .column(Column::exact(74.0))
        .column(Column::exact(66.0))
        .column(Column::exact(64.0));
    table
        .header(ROW_HEIGHT, |mut header| {
            let titles = [
                ("Layer", "Click a layer to look at it."),
                (
                    "A SQNR",
                    "Strength of the weights over strength of their error, under A.",
                ),
                ("B SQNR", "The same under B."),
                ("B − A", "Decibels that B has more: 6 dB is one bit."),
                ("Splits", "Channels added, A and B."),
            ];
            for (place, (title, help)) in titles.into_iter().enumerate() {
                let heading = Heading {
                    title,
                    help,
                    is_text: place == 0,
                };
                header.col(|ui| heading.ui(ui));
            }
        })
        .body(|body| {
            body.rows(ROW_HEIGHT, rows.len(), |mut line| {
                let row = &rows[line.index()];
                line.set_selected(row.layer == open.selected());
                let name = open
                    .original
                    .network
                    .layers
                    .get(row.layer)
                    .map_or("", |layer| layer.name.as_str());
                line.col(|ui| {
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        let width = ui.available_width();
                        let response = text::elided_label(ui, name, width);
                        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, describe(name, row)));
                    });
                });
                for side in &row.sides {
                    line.col(|ui| sqnr_ui(ui, side.as_ref()));
                }
                line.col(|ui| {
                    let gain = row
                        .gain()
                        .map_or_else(String::new, |gain| format!("{gain:+.1}").replace('-', "−"));
                    ui.add(Label::new(RichText::new(gain).small()).selectable(false));
                });
                line.col(|ui| {
                    let splits = row.sides.map(|side| side.map_or(0, |side| side.splits));
                    let shown = format!("{} · {}", splits[0], splits[1]);
                    ui.add(Label::new(RichText::new(shown).small()).selectable(false));
                });
                if line.response().clicked() {
                    out.actions.push(Action::SelectLayer(row.layer));
                }
            });
        });
}

/// A row for screen readers.
fn describe(name: &str, row: &Row) -> String {
    let [a, b] = row
        .sides
        .map(|side| side.map_or_else(|| "float".to_owned(), |side| text::decibels(side.sqnr_db)));
    format!("{name}: A {a}, B {b}")
}

fn sqnr_ui(ui: &mut Ui, side: Option<&LayerSummary>) {
    let Some(side) = side else {
        ui.add(Label::new(note("float")).selectable(false));
        return;
    };
    let color = tokens(ui).sqnr(side.sqnr_db);
    let shown = RichText::new(format!(" {} ", text::decibels(side.sqnr_db)))
        .small()
        .background_color(color)
        .color(readable_on(color));
    ui.add(Label::new(shown).selectable(false)).on_hover_text(format!(
        "{}, grid to ±{}",
        text::bits(side.bits),
        text::three_digits(f64::from(side.threshold))
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Bits;

    fn side(sqnr: &[Option<f64>]) -> PlanSummary {
        let layer = |db: &Option<f64>| {
            db.map(|sqnr_db| LayerSummary {
                bits: Bits::Grid(4),
                splits: 0,
                threshold: 1.0,
                sqnr_db,
            })
        };
        PlanSummary {
            layers: sqnr.iter().map(layer).collect(),
            weights: 1.0,
            macs: None,
            bytes: 1,
        }
    }

    #[test]
    fn the_layers_that_differ_most_come_first_and_float_ones_last() {
        let a = side(&[Some(10.0), None, Some(20.0), Some(5.0)]);
        let b = side(&[Some(11.0), Some(9.0), Some(14.0), Some(5.0)]);
        let sides = [Some(&a), Some(&b)];
        let order = |order| rows(sides, order).iter().map(|row| row.layer).collect::<Vec<_>>();
        assert_eq!(order(Order::Network), [0, 1, 2, 3]);
        assert_eq!(order(Order::Difference), [2, 0, 3, 1]);
        assert_eq!(rows(sides, Order::Network)[2].gain(), Some(-6.0));
        assert!(rows([Some(&a), None], Order::Network).is_empty());
    }
}
