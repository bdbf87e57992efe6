//! The layers of both networks, those that differ most first.

use crate::app::text;
use crate::app::theme::{readable_on, tokens};
use crate::app::widgets::{Heading, ROW_HEIGHT, column, number_cell};
use crate::difference::{LayerDifference, NetworkDifference};
use egui::{Align, Label, Layout, RichText, Role, Sense, Ui, WidgetInfo};
use egui_extras::TableBuilder;

/// Width from which all columns are shown, points.
const ALL: f32 = 560.0;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Shape,
    Copies,
    Largest,
    Mse,
    Sqnr,
}

impl Field {
    const ALL: [Self; 6] = [
        Self::Name,
        Self::Shape,
        Self::Copies,
        Self::Largest,
        Self::Mse,
        Self::Sqnr,
    ];

    fn fits(self, width: f32) -> bool {
        width >= ALL || !matches!(self, Self::Shape | Self::Mse)
    }

    fn title(self) -> &'static str {
        match self {
            Self::Name => "Layer",
            Self::Shape => "Shape",
            Self::Copies => "Copies",
            Self::Largest => "Largest",
            Self::Mse => "MSE",
            Self::Sqnr => "SQNR",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Name => "The layer's name in the open network. Hover over a row to see what it was matched by.",
            Self::Shape => "Shape of the weights as stored, here and there where they differ.",
            Self::Copies => "Copies of channels that splitting made; they were added up for the comparison.",
            Self::Largest => "Largest difference of a weight.",
            Self::Mse => "Mean squared difference.",
            Self::Sqnr => {
                "Strength of the open network's weights over strength of the difference. Less is farther apart."
            }
        }
    }

    fn width(self) -> Option<f32> {
        match self {
            Self::Name => None,
            Self::Shape => Some(150.0),
            Self::Copies => Some(52.0),
            Self::Largest | Self::Mse => Some(70.0),
            Self::Sqnr => Some(74.0),
        }
    }

    fn text(self, layer: &LayerDifference) -> String {
        let [one, other] = &layer.sides;
        let number = |number: fn(&crate::difference::WeightDifference) -> f64| match &layer.weights {
            Ok(weights) => text::three_digits(number(weights)),
            Err(_) => "–".to_owned(),
        };
        match self {
            Self::Name => one.name.clone(),
            Self::Shape if one.shape == other.shape => text::shape(&one.shape),
            Self::Shape => format!("{} / {}", text::shape(&one.shape), text::shape(&other.shape)),
            Self::Copies => match one.copies + other.copies {
                0 => String::new(),
                copies => copies.to_string(),
            },
            Self::Largest => number(|weights| weights.max_abs),
            Self::Mse => number(|weights| weights.mse),
            Self::Sqnr => match &layer.weights {
                Ok(weights) if weights.is_equal() => "equal".to_owned(),
                Ok(weights) => text::decibels(weights.sqnr_db),
                Err(_) => "unknown".to_owned(),
            },
        }
    }
}

/// Draws the table into what is left; tells the layer (of the open network) that was clicked.
pub(super) fn table_ui(ui: &mut Ui, difference: &NetworkDifference, selected: usize) -> Option<usize> {
    let rows = difference.worst_first();
    let width = ui.available_width();
    let fields: Vec<Field> = Field::ALL.into_iter().filter(|field| field.fits(width)).collect();
    let mut clicked = None;
    let mut table = TableBuilder::new(ui)
        .id_salt(("compare", fields.len()))
        .striped(true)
        .sense(Sense::click())
        .cell_layout(Layout::right_to_left(Align::Center))
        .auto_shrink(false)
        .min_scrolled_height(0.0);
    for field in &fields {
        table = table.column(column(field.width(), 90.0));
    }
    table
        .header(ROW_HEIGHT, |mut header| {
            for field in &fields {
                let heading = Heading {
                    title: field.title(),
                    help: field.help(),
                    is_text: *field == Field::Name,
                };
                header.col(|ui| heading.ui(ui));
            }
        })
        .body(|body| {
            body.rows(ROW_HEIGHT, rows.len(), |mut line| {
                let layer = rows[line.index()];
                line.set_selected(layer.sides[0].layer == selected);
                for field in &fields {
                    line.col(|ui| cell_ui(ui, *field, layer));
                }
                let response = line.response().on_hover_text(hover_text(layer));
                if response.clicked() {
                    clicked = Some(layer.sides[0].layer);
                }
            });
        });
    clicked
}

fn cell_ui(ui: &mut Ui, field: Field, layer: &LayerDifference) {
    match field {
        Field::Name => {
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let name = &layer.sides[0].name;
                let label = format!("Difference of {name}, {}", Field::Sqnr.text(layer));
                let response = text::elided_label(ui, name, ui.available_width());
                response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
            });
        }
        Field::Sqnr => {
            let mut text = RichText::new(field.text(layer)).small();
            if let Ok(weights) = &layer.weights
                && !weights.is_equal()
            {
                let ground = tokens(ui).sqnr(weights.sqnr_db);
                text = text.background_color(ground).color(readable_on(ground));
            }
            ui.add(Label::new(text).selectable(false).extend());
        }
        field => number_cell(ui, &field.text(layer)),
    }
}

fn hover_text(layer: &LayerDifference) -> String {
    let [one, other] = &layer.sides;
    let mut text = format!(
        "{} and {}, matched by {}\nweights {} and {}",
        one.name,
        other.name,
        layer.matched_by.label(),
        one.weight,
        other.weight
    );
    match &layer.weights {
        Ok(weights) if weights.not_finite > 0 => {
            text.push_str(&format!(
                "\n{} weights are NaN or infinite and were left out",
                weights.not_finite
            ));
        }
        Ok(_) => {}
        Err(why) => text.push_str(&format!("\nNot compared: {why}")),
    }
    text
}
