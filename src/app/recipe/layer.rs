//! The recipe's exceptions for the selected layer, each with the value that holds and a reset.

use super::super::Outbox;
use super::super::learn::glossary::explain_ui;
use super::super::text::{self, note};
use super::super::widgets::choice_row;
use super::axis::axis_row;
use super::ranges::range_source_ui;
use super::rows::{Edit, bits_row, clip_row, help, ratio_row, rounding_row, scales_row, split_row};
use crate::network::Support;
use crate::quantization::{Bits, LayerRecipe, LayerSettings};
use crate::session::{Action, OpenNetwork};
use egui::Ui;

/// The part of the panel that is for the selected layer.
pub(super) fn layer_ui(ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
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
    axis_row(ui, layer, &mut edit);
    float_row(ui, open, &mut edit);
    let splits = matches!(layer.support, Support::Split);
    if settings.weights.bits != Bits::Float || edit.value.weight_bits.is_some() {
        overriding(
            ui,
            "Layer weight bits",
            &mut edit,
            |layer| &mut layer.weight_bits,
            settings.weights.bits,
            |ui, name, edit| {
                bits_row(ui, name, help("weight_bits"), edit, |value| value);
            },
        );
        if splits {
            overriding(
                ui,
                "Layer expand ratio",
                &mut edit,
                |layer| &mut layer.expand_ratio,
                settings.weights.expand_ratio,
                |ui, name, edit| {
                    ratio_row(ui, name, help("expand_ratio"), edit, |value| value);
                },
            );
            overriding(
                ui,
                "Layer split",
                &mut edit,
                |layer| &mut layer.split,
                settings.weights.split,
                |ui, name, edit| {
                    split_row(ui, name, help("split"), edit, |value| value);
                },
            );
        }
        overriding(
            ui,
            "Layer clip",
            &mut edit,
            |layer| &mut layer.clip,
            settings.weights.clip,
            |ui, name, edit| {
                clip_row(ui, name, help("clip"), edit, |value| value);
            },
        );
        overriding(
            ui,
            "Layer scales",
            &mut edit,
            |layer| &mut layer.scales,
            settings.weights.scales,
            |ui, name, edit| {
                scales_row(ui, name, help("scales"), edit, |value| value);
            },
        );
        overriding(
            ui,
            "Layer zero points",
            &mut edit,
            |layer| &mut layer.weight_zero_points,
            settings.weights.zero_points,
            |ui, name, edit| {
                let response = choice_row(ui, name, help("weight_zero_points"), |ui| {
                    ui.checkbox(&mut edit.value, "")
                });
                edit.seen(&response);
            },
        );
        overriding(
            ui,
            "Layer rounding",
            &mut edit,
            |layer| &mut layer.rounding,
            settings.weights.rounding,
            |ui, name, edit| {
                rounding_row(ui, name, help("rounding"), edit, |value| value);
            },
        );
        overriding(
            ui,
            "Layer activation bits",
            &mut edit,
            |layer| &mut layer.activation_bits,
            settings.input.bits,
            |ui, name, edit| {
                bits_row(ui, name, help("activation_bits"), edit, |value| value);
            },
        );
        activation_rows(ui, &settings, splits, &mut edit);
    }
    if open.recipe().needs_activations() {
        range_source_ui(ui, open, layer);
    }
    if let Some(gesture) = edit.changed {
        let value = edit.value;
        out.edit_layer(open, gesture, |layer| *layer = value);
    }
    if edit.released {
        out.actions.push(Action::EndGesture);
    }
}

/// What is done to the layer's inputs, where they are on a grid or an exception is left from when they were.
fn activation_rows(ui: &mut Ui, settings: &LayerSettings, splits: bool, edit: &mut Edit<LayerRecipe>) {
    let grid = settings.input.bits != Bits::Float;
    if splits && (grid || edit.value.activation_expand_ratio.is_some()) {
        overriding(
            ui,
            "Layer activation ratio",
            edit,
            |layer| &mut layer.activation_expand_ratio,
            settings.input.expand_ratio,
            |ui, name, edit| {
                ratio_row(ui, name, help("activation_expand_ratio"), edit, |value| value);
            },
        );
    }
    if splits && (grid || edit.value.activation_split.is_some()) {
        overriding(
            ui,
            "Layer activation split",
            edit,
            |layer| &mut layer.activation_split,
            settings.input.split,
            |ui, name, edit| {
                split_row(ui, name, help("activation_split"), edit, |value| value);
            },
        );
    }
    if grid || edit.value.activation_clip.is_some() {
        overriding(
            ui,
            "Layer activation clip",
            edit,
            |layer| &mut layer.activation_clip,
            settings.input.clip,
            |ui, name, edit| {
                clip_row(ui, name, help("activation_clip"), edit, |value| value);
            },
        );
    }
}

/// Whether this layer is left as it is: an exception in both directions.
fn float_row(ui: &mut Ui, open: &OpenNetwork, edit: &mut Edit<LayerRecipe>) {
    let settings = open.settings(open.selected());
    let mut float = edit.value.float.unwrap_or(settings.weights.bits == Bits::Float);
    ui.horizontal(|ui| {
        let help = "Leave this layer as it is, whatever the recipe says for the whole network.";
        let response = ui.checkbox(&mut float, "Keep this layer float").on_hover_text(help);
        if response.changed() {
            edit.value.float = Some(float);
        }
        edit.seen(&response);
        explain_ui(ui, "Keep this layer float", help);
        reset_button(ui, "Keep this layer float", edit, |layer| &mut layer.float);
    });
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
        ui.vertical(|ui| {
            ui.set_max_width(width);
            row(ui, name, &mut inner);
        });
        if inner.changed.is_some() {
            *field(&mut edit.value) = Some(inner.value);
            edit.changed = inner.changed;
        }
        edit.released |= inner.released;
        if inner.reset {
            *field(&mut edit.value) = None;
            edit.changed = Some(false);
        }
        reset_button(ui, name, edit, field);
    });
}

/// A button that drops an exception; nothing where there is none.
pub(super) fn reset_button<T>(
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
