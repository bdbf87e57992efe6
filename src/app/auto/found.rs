//! What a search found: the settings one above the other, the button that takes the chosen one, and its layers.

use crate::app::Outbox;
use crate::app::text::{self, note};
use crate::app::theme::tokens;
use crate::inference::Score;
use crate::inference::auto::{AutoLayer, AutoResult, AutoSetting, Origin, Scores};
use crate::inference::sweep::RowLatency;
use crate::quantization::Recipe;
use crate::session::{Action, AutoKey, OpenNetwork};
use egui::{Align, Label, Layout, RichText, Role, Sense, Ui, WidgetInfo};
use egui_extras::{Column, TableBuilder};

const ROW_HEIGHT: f32 = 20.0;
/// Width of the name of a setting, points.
const NAME: f32 = 230.0;

/// Draws all of it.
pub(super) fn found_ui(ui: &mut Ui, open: &OpenNetwork, key: &AutoKey, result: &AutoResult, out: &mut Outbox) {
    settings_ui(ui, result);
    ui.horizontal_wrapped(|ui| {
        let taken = result.auto.recipe == *open.recipe();
        let response = ui
            .add_enabled(!taken, egui::Button::new("Take this recipe"))
            .on_hover_text(
                "The recipe gets these choices as exceptions of single layers. Undo brings the present one back.",
            )
            .on_disabled_hover_text("This is the present recipe.");
        if response.clicked() {
            out.actions.push(Action::EditRecipe {
                recipe: Box::new(result.auto.recipe.clone()),
                gesture: false,
            });
        }
        ui.label(verdict(result));
        let (chosen, judged) = (result.auto.chosen_on.samples, result.auto.judged_on.samples);
        ui.label(note(format!(
            "chosen on {}, judged by {} others",
            text::plural(chosen as u64, "sample", "samples"),
            text::full_count(judged as u64)
        )));
        if let Some(target) = result.target_note() {
            ui.label(note(target));
        }
        let of_now = key.recipe == *open.recipe() || taken;
        if !of_now {
            ui.label(note("The recipe has changed since."));
        }
    });
    ui.separator();
    layers_ui(ui, open, result, out);
}

/// By how much the chosen setting is better or worse than the best uniform one.
fn verdict(result: &AutoResult) -> String {
    if result.origin == Origin::Uniform {
        return "No choice by layers was better than one setting for all.".to_owned();
    }
    let gain = result
        .gain_db()
        .map_or_else(|| "–".to_owned(), |db| format!("{db:+.1} dB"));
    let points = (result.auto.judged_on.metrics.top1)
        .zip(result.uniform.judged_on.metrics.top1)
        .map_or_else(String::new, |(auto, uniform)| {
            format!(", {:+.1} points", (auto - uniform) * 100.0)
        });
    format!("{gain}{points} against uniform").replace('-', "−")
}

fn describe(recipe: &Recipe) -> String {
    let bias = if recipe.bias_correction {
        ", biases corrected"
    } else {
        ""
    };
    let zero_points = if recipe.weight_zero_points { ", zero points" } else { "" };
    let folded = if recipe.fold_batch_norm { ", folded" } else { "" };
    format!(
        "{}, ratio {}, clip {}, {}{zero_points}, {}{bias}{folded}",
        text::bits(recipe.weight_bits),
        recipe.expand_ratio,
        text::clip(recipe.clip),
        recipe.scales.label(),
        recipe.rounding.label()
    )
}

fn settings_ui(ui: &mut Ui, result: &AutoResult) {
    let (score, show) = score(result);
    let tokens = tokens(ui);
    let time = |ui: &mut Ui, latency: Option<&RowLatency>| {
        if result.latency.is_some() {
            ui.label(latency.map_or_else(|| "–".to_owned(), |latency| format!("{:.2} ms", latency.time.median_ms)));
        }
    };
    egui::Grid::new("auto settings")
        .num_columns(6)
        .spacing([16.0, 3.0])
        .show(ui, |ui| {
            for title in ["", "Bytes", score, "Same answer", "Output SQNR"] {
                ui.label(note(title));
            }
            if let Some(latency) = &result.latency {
                let engine = &latency.float.engine;
                ui.label(note("Latency")).on_hover_text(format!(
                    "Median of a run on one sample, timed in {engine}; at most {:.2} ms was asked for.",
                    latency.limit_ms
                ));
            }
            ui.end_row();
            let row = |ui: &mut Ui, name: String, setting: &AutoSetting| {
                ui.scope(|ui| {
                    ui.set_min_width(NAME);
                    ui.label(name);
                });
                ui.label(text::full_count(setting.bytes));
                ui.label(show(&setting.judged_on));
                let agreement = setting.judged_on.agreement;
                ui.label(agreement.map_or_else(|| "–".to_owned(), text::percent));
                ui.label(setting.judged_on.sqnr_db.map_or_else(|| "–".to_owned(), text::decibels));
                time(ui, setting.latency.as_ref());
                ui.end_row();
            };
            row(
                ui,
                format!("Plain, {}", text::bits(result.plain.recipe.weight_bits)),
                &result.plain,
            );
            row(
                ui,
                format!("Uniform: {}", describe(&result.uniform.recipe)),
                &result.uniform,
            );
            row(ui, "Layer by layer".to_owned(), &result.auto);
            let float = Scores {
                metrics: result.float.clone(),
                ..Scores::default()
            };
            ui.colored_label(tokens.original, "Float");
            ui.label("");
            ui.label(show(&float));
            if let Some(latency) = &result.latency {
                ui.label("");
                ui.label("");
                time(ui, Some(&latency.float));
            }
            ui.end_row();
        });
}

/// What the data tell of accuracy: a title, and how it is shown.
fn score(result: &AutoResult) -> (&'static str, fn(&Scores) -> String) {
    let value = |scores: &Scores| text::score_value(&scores.metrics).unwrap_or_default();
    match Score::of_metrics(&result.float) {
        Score::Top1 => ("Top-1", value),
        Score::Perplexity => ("Perplexity", value),
        Score::MeanIou => ("Mean IoU", value),
        Score::MeanAp => ("mAP", value),
        Score::Pearson => ("Pearson", value),
        Score::Sqnr => ("–", |_| "–".to_owned()),
    }
}

/// Height of the rows at least, points; where there is less, the view scrolls.
const ROWS: f32 = 160.0;

fn layers_ui(ui: &mut Ui, open: &OpenNetwork, result: &AutoResult, out: &mut Outbox) {
    // Of all choices the one that most searches do not make.
    let with_zero_points = result.layers.iter().any(|layer| layer.zero_points);
    let mut columns = vec![
        ("Bits", "Bits of the layer's weights.", 40.0),
        ("Splits", "Input channels that are split.", 48.0),
        ("Clip", "How the end of the layer's grid is chosen.", 64.0),
        ("Scales", "What has a scale of its own.", 56.0),
        (
            "Rounding",
            "Which grid point a weight between two of them goes to.",
            60.0,
        ),
        (
            "Bytes",
            "Bytes of the layer's weights as they are stored, with their splits and scales.",
            72.0,
        ),
        (
            "Against plain",
            "The same against the recipe's bits without splits.",
            88.0,
        ),
        (
            "Alone",
            "SQNR of the network's outputs with this layer alone quantized so.",
            68.0,
        ),
    ];
    if with_zero_points {
        columns.insert(4, ("Zero points", "Whether each scale has a zero point.", 76.0));
    }
    let mut table = TableBuilder::new(ui)
        .id_salt("auto layers")
        .striped(true)
        .sense(Sense::click())
        .cell_layout(Layout::right_to_left(Align::Center))
        .auto_shrink(false)
        .min_scrolled_height(ROWS)
        .column(Column::remainder().clip(true));
    for (.., width) in &columns {
        table = table.column(Column::exact(*width));
    }
    table
        .header(ROW_HEIGHT, |mut header| {
            header.col(|ui| {
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| ui.label(note("Layer")));
            });
            for (title, help, _) in &columns {
                header.col(|ui| {
                    ui.label(note(*title)).on_hover_text(*help);
                });
            }
        })
        .body(|body| {
            body.rows(ROW_HEIGHT, result.layers.len(), |mut row| {
                let layer = &result.layers[row.index()];
                let selected = open.selected_name() == layer.name;
                row.set_selected(selected);
                row.col(|ui| {
                    ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                        ui.add(Label::new(RichText::new(&layer.name)).selectable(false).truncate());
                    });
                });
                for cell in cells(layer, with_zero_points) {
                    row.col(|ui| {
                        ui.add(Label::new(cell).selectable(false));
                    });
                }
                let response = row.response();
                let label = format!("Chosen for {}: {} bits", layer.name, layer.weight_bits);
                response.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &label));
                if response.clicked()
                    && let Some(index) = open.original.network.layer_index(&layer.name)
                {
                    out.actions.push(Action::SelectLayer(index));
                }
            });
        });
}

fn cells(layer: &AutoLayer, with_zero_points: bool) -> Vec<String> {
    let against = (layer.bytes as f64 / layer.plain_bytes.max(1) as f64 - 1.0) * 100.0;
    let alone = layer.output_noise.map(|noise| -10.0 * noise.log10());
    let mut cells = vec![
        layer.weight_bits.to_string(),
        layer.splits.to_string(),
        text::clip(layer.clip),
        text::scales(layer.scales),
        layer.rounding.label().to_owned(),
        text::full_count(layer.bytes),
        format!("{against:+.0} %").replace('-', "−"),
        alone.map_or_else(|| "–".to_owned(), text::decibels),
    ];
    if with_zero_points {
        cells.insert(4, text::on_or_off(layer.zero_points).to_owned());
    }
    cells
}
