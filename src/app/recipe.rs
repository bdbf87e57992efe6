//! The recipe: for the whole network, and for the selected layer as exceptions with a reset each.

use super::text::{self, note};
use super::theme::tokens;
use super::{Outbox, choice_row, label_row};
use crate::network::Support;
use crate::quantization::{Bits, Clip, LayerRecipe, Preset, Recipe, SplitKind};
use crate::session::{Action, OpenNetwork};
use egui::{Response, Slider, Ui};

/// Stands for float at the end of the slider of bits.
const FLOAT_STEP: u8 = Bits::MAX + 1;
/// Percent of added channels at the end of the slider.
const MOST_PERCENT: f64 = 20.0;

const BITS_HELP: &str =
    "How many bits a weight has. k bits give 2^k − 1 values, the same distance apart, the largest weight at the end.";
const RATIO_HELP: &str = "How many input channels may be added, as a share of those there are. Each split halves the largest weight of the layer, so the grid gets finer for all others.";
const SPLIT_HELP: &str = "How a weight becomes two. Quantization-aware halves are moved by a quarter step, so that together they round to what the weight rounded to; naive halves are equal.";
const CLIP_HELP: &str = "Where the grid ends. None: at the largest weight. MSE: where the squared error is least; larger weights are cut down to it.";
const ACTIVATION_HELP: &str = "Bits of the numbers that flow between layers. Their ranges are measured on data.";

/// The panel.
pub(super) fn recipe_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    ui.horizontal(|ui| {
        ui.heading("Recipe");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            preset_ui(ui, out);
        });
    });
    network_ui(ui, open, out);
    overhead_ui(ui, open);
    ui.separator();
    layer_ui(ui, open, out);
}

fn preset_ui(ui: &mut Ui, out: &mut Outbox) {
    ui.menu_button("Preset ▾", |ui| {
        for (preset, name, what) in [
            (
                Preset::Deploy,
                "Deploy",
                "For shipping: batch-norm folded, every layer quantized, 8-bit activations.",
            ),
            (
                Preset::Paper,
                "Paper",
                "As in the paper: first layer and classifier stay float, batch-norm is not folded, 8-bit activations.",
            ),
        ] {
            if ui.button(name).on_hover_text(what).clicked() {
                out.actions.push(Action::ApplyPreset(preset));
                ui.close();
            }
        }
    })
    .response
    .on_hover_text("Start from a known set of choices; bits and ratio stay.");
}

fn network_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let present = open.recipe();
    let mut edit = Edit::new(present.clone());
    bits_row(ui, "Weight bits", BITS_HELP, &mut edit, |recipe| {
        &mut recipe.weight_bits
    });
    ratio_row(ui, "Expand ratio", &mut edit, |recipe| &mut recipe.expand_ratio);
    if present.expand_ratio == 0.0 {
        let hint = "At 0 % nothing is split. Move it up to split the channels that hold the outliers.";
        ui.add(egui::Label::new(note(hint)).wrap());
    }
    split_row(ui, "Split", &mut edit, |recipe| &mut recipe.split);
    clip_row(ui, "Clip", CLIP_HELP, &mut edit, |recipe| &mut recipe.clip);
    bits_row(ui, "Activation bits", ACTIVATION_HELP, &mut edit, |recipe| {
        &mut recipe.activation_bits
    });
    if present.activation_bits != Bits::Float {
        clip_row(ui, "Activation clip", CLIP_HELP, &mut edit, |recipe| {
            &mut recipe.activation_clip
        });
        if open.lacks_calibration() && open.data().is_none() {
            ui.label(note(
                "Activations stay float until data is open: their ranges are measured on it.",
            ));
        }
    }
    for (name, help, field) in [
        (
            "Fold batch-norm",
            "Multiply each batch-norm into the layer before it, as inference engines do. The function is the same, the weights are not.",
            (|recipe| &mut recipe.fold_batch_norm) as fn(&mut Recipe) -> &mut bool,
        ),
        (
            "Keep first layer float",
            "The first layer has few weights and every error of it goes through the whole network.",
            |recipe| &mut recipe.float_first_layer,
        ),
        (
            "Keep last layer float",
            "The classifier; the paper leaves it as it is.",
            |recipe| &mut recipe.float_last_layer,
        ),
    ] {
        let response = ui.checkbox(field(&mut edit.value), name).on_hover_text(help);
        edit.seen(&response);
    }
    if let Some(gesture) = edit.changed {
        out.actions.push(Action::EditRecipe {
            recipe: Box::new(edit.value),
            gesture,
        });
    }
    if edit.released {
        out.actions.push(Action::EndGesture);
    }
}

fn overhead_ui(ui: &mut Ui, open: &OpenNetwork) {
    let Some((_, planned)) = open.planned() else {
        match open.plan_failure() {
            Some(reason) => ui.colored_label(tokens(ui).error, reason),
            None => ui.label("Overhead: counting…"),
        };
        return;
    };
    let overhead = &planned.overhead;
    let mut parts = vec![format!("{} weights", text::added(overhead.weights))];
    if let Some(activations) = overhead.activations {
        parts.push(format!("{} activations", text::added(activations)));
    }
    if let Some(macs) = overhead.macs {
        parts.push(format!("{} MACs", text::added(macs)));
    }
    ui.add(egui::Label::new(format!("Overhead {}", parts.join(" · "))).wrap())
        .on_hover_text(
            "What splitting adds: parameters of the model, input values of its layers, multiply-accumulates.",
        );
    if let Some(reason) = open.plan_failure() {
        ui.colored_label(tokens(ui).error, reason);
    }
}

fn layer_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
    let index = open.selected();
    let Some(layer) = open.original.network.layers.get(index) else {
        return;
    };
    ui.horizontal(|ui| {
        ui.label("Only for");
        let width = ui.available_width();
        text::elided_label(ui, &layer.name, width);
    });
    match &layer.support {
        Support::View(reason) => {
            ui.add(egui::Label::new(format!("Look only: {reason}.")).wrap());
            return;
        }
        Support::Quantize(reason) => {
            ui.add(egui::Label::new(note(format!("Not split: {reason}."))).wrap());
        }
        Support::Split => {}
    }
    let settings = open.settings(index);
    let present = open.recipe().layers.get(&layer.name).cloned().unwrap_or_default();
    let mut edit = Edit::new(present);
    float_row(ui, open, &mut edit);
    if settings.weight_bits != Bits::Float || edit.value.weight_bits.is_some() {
        let splits = matches!(layer.support, Support::Split);
        overriding(
            ui,
            "Layer weight bits",
            &mut edit,
            |layer| &mut layer.weight_bits,
            settings.weight_bits,
            |ui, name, edit| {
                bits_row(ui, name, BITS_HELP, edit, |value| value);
            },
        );
        if splits {
            overriding(
                ui,
                "Layer expand ratio",
                &mut edit,
                |layer| &mut layer.expand_ratio,
                settings.expand_ratio,
                |ui, name, edit| {
                    ratio_row(ui, name, edit, |value| value);
                },
            );
            overriding(
                ui,
                "Layer split",
                &mut edit,
                |layer| &mut layer.split,
                settings.split,
                |ui, name, edit| {
                    split_row(ui, name, edit, |value| value);
                },
            );
        }
        overriding(
            ui,
            "Layer clip",
            &mut edit,
            |layer| &mut layer.clip,
            settings.clip,
            |ui, name, edit| {
                clip_row(ui, name, CLIP_HELP, edit, |value| value);
            },
        );
        overriding(
            ui,
            "Layer activation bits",
            &mut edit,
            |layer| &mut layer.activation_bits,
            settings.activation_bits,
            |ui, name, edit| {
                bits_row(ui, name, ACTIVATION_HELP, edit, |value| value);
            },
        );
    }
    if let Some(gesture) = edit.changed {
        let value = edit.value;
        out.edit_layer(open, gesture, |layer| *layer = value);
    }
    if edit.released {
        out.actions.push(Action::EndGesture);
    }
}

/// Whether this layer is left as it is: an exception in both directions.
fn float_row(ui: &mut Ui, open: &OpenNetwork, edit: &mut Edit<LayerRecipe>) {
    let settings = open.settings(open.selected());
    let mut float = edit.value.float.unwrap_or(settings.weight_bits == Bits::Float);
    ui.horizontal(|ui| {
        let help = "Leave this layer as it is, whatever the recipe says for the whole network.";
        let response = ui.checkbox(&mut float, "Keep this layer float").on_hover_text(help);
        if response.changed() {
            edit.value.float = Some(float);
        }
        edit.seen(&response);
        reset_button(ui, "Keep this layer float", edit, |layer| &mut layer.float);
    });
}

/// A value under edit: whether it changed in this frame, and whether the hand is still on the control.
struct Edit<T> {
    value: T,
    /// Changed; `true` while dragging.
    changed: Option<bool>,
    released: bool,
}

impl<T> Edit<T> {
    fn new(value: T) -> Self {
        Self {
            value,
            changed: None,
            released: false,
        }
    }

    fn seen(&mut self, response: &Response) {
        if response.changed() {
            self.changed = Some(response.dragged());
        }
        self.released |= response.drag_stopped();
    }
}

/// One exception: shows the value that holds, marks it when it is an exception, and resets it.
fn overriding<T: Clone>(
    ui: &mut Ui,
    name: &str,
    edit: &mut Edit<LayerRecipe>,
    field: fn(&mut LayerRecipe) -> &mut Option<T>,
    effective: T,
    row: impl FnOnce(&mut Ui, &str, &mut Edit<T>),
) {
    ui.horizontal(|ui| {
        let mut inner = Edit::new(field(&mut edit.value).clone().unwrap_or(effective));
        let width = ui.available_width() - 30.0;
        ui.scope(|ui| {
            ui.set_max_width(width);
            row(ui, name, &mut inner);
        });
        if inner.changed.is_some() {
            *field(&mut edit.value) = Some(inner.value);
            edit.changed = inner.changed;
        }
        edit.released |= inner.released;
        reset_button(ui, name, edit, field);
    });
}

/// A button that drops an exception; nothing where there is none.
fn reset_button<T>(
    ui: &mut Ui,
    name: &str,
    edit: &mut Edit<LayerRecipe>,
    field: fn(&mut LayerRecipe) -> &mut Option<T>,
) {
    if field(&mut edit.value).is_none() {
        return;
    }
    let response = ui
        .small_button("↺")
        .on_hover_text("An exception for this layer. Click to take the whole network's value again.");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Reset {name}")));
    if response.clicked() {
        *field(&mut edit.value) = None;
        edit.changed = Some(false);
    }
}

fn bits_row<T>(ui: &mut Ui, name: &str, help: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut Bits) {
    let mut step = field(&mut edit.value).grid().unwrap_or(FLOAT_STEP);
    let response = label_row(ui, name, help, |ui| {
        let slider = Slider::new(&mut step, Bits::MIN..=FLOAT_STEP)
            .custom_formatter(|step, _| {
                if step as u8 >= FLOAT_STEP {
                    "float".to_owned()
                } else {
                    format!("{step}")
                }
            })
            .custom_parser(|text| match text.trim() {
                "float" => Some(f64::from(FLOAT_STEP)),
                number => number.parse().ok(),
            });
        ui.add(slider)
    });
    if response.changed() {
        *field(&mut edit.value) = if step >= FLOAT_STEP {
            Bits::Float
        } else {
            Bits::Grid(step)
        };
    }
    edit.seen(&response);
}

fn ratio_row<T>(ui: &mut Ui, name: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut f64) {
    let mut percent = *field(&mut edit.value) * 100.0;
    let most = MOST_PERCENT.max(percent);
    let response = label_row(ui, name, RATIO_HELP, |ui| {
        ui.add(
            Slider::new(&mut percent, 0.0..=most)
                .step_by(0.5)
                .suffix(" %")
                .max_decimals(1),
        )
    });
    if response.changed() {
        // Whole hundredths of a percent: 0.05, not 0.05000000000000001.
        *field(&mut edit.value) = (percent * 100.0).round() / 1e4;
    }
    edit.seen(&response);
}

fn split_row<T>(ui: &mut Ui, name: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut SplitKind) {
    let value = field(&mut edit.value);
    let before = *value;
    choice_row(ui, name, SPLIT_HELP, |ui| {
        let shown = text::split(*value);
        let combo = egui::ComboBox::from_id_salt(name).selected_text(shown).width(140.0);
        combo
            .show_ui(ui, |ui| {
                for kind in [SplitKind::Qa, SplitKind::Naive] {
                    ui.selectable_value(value, kind, text::split(kind));
                }
            })
            .response
    });
    if *value != before {
        edit.changed = Some(false);
    }
}

fn clip_row<T>(ui: &mut Ui, name: &str, help: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut Clip) {
    let value = field(&mut edit.value);
    let before = *value;
    choice_row(ui, name, help, |ui| {
        let combo = egui::ComboBox::from_id_salt(name)
            .selected_text(text::clip(*value))
            .width(140.0);
        combo
            .show_ui(ui, |ui| {
                for clip in Clip::CHOICES {
                    ui.selectable_value(value, clip, text::clip(clip));
                }
            })
            .response
    });
    if *value != before {
        edit.changed = Some(false);
    }
}
