//! Which axis of a tensor is its input channels, where no graph tells.

use super::super::text;
use super::super::widgets::choice_row;
use super::layer::reset_button;
use super::rows::Edit;
use crate::network::Layer;
use crate::quantization::LayerRecipe;
use egui::Ui;

const NAME: &str = "Channel axis";
const HELP: &str = "Which axis of this tensor is the input channels, which are split. The file holds tensors without a graph, so nothing tells; torch stores linear and convolution weights with them on axis 1.";
/// Width of the choice, points.
const WIDTH: f32 = 112.0;

/// The choice; nothing for a layer whose operator decides, or with one axis only.
pub(super) fn axis_row(ui: &mut Ui, layer: &Layer, edit: &mut Edit<LayerRecipe>) {
    if layer.shape.len() < 2 || layer.check_channel_axis(0).is_err() {
        return;
    }
    let present = edit.value.channel_axis.unwrap_or_else(|| layer.channel_axis());
    let mut chosen = present;
    ui.horizontal(|ui| {
        let width = ui.available_width() - 30.0;
        ui.vertical(|ui| {
            ui.set_max_width(width);
            choice_row(ui, NAME, HELP, |ui| {
                let combo = egui::ComboBox::from_id_salt(NAME).selected_text(axis_name(layer, present));
                combo
                    .width(WIDTH)
                    .show_ui(ui, |ui| {
                        for axis in 0..layer.shape.len() {
                            ui.selectable_value(&mut chosen, axis, axis_name(layer, axis));
                        }
                    })
                    .response
            });
        });
        if chosen != present {
            edit.value.channel_axis = Some(chosen);
            edit.changed = Some(false);
        }
        reset_button(ui, NAME, edit, |layer| &mut layer.channel_axis);
    });
}

/// `1 (64 channels)`.
fn axis_name(layer: &Layer, axis: usize) -> String {
    let channels = layer.shape.get(axis).copied().unwrap_or_default();
    format!("{axis} ({})", text::plural(channels as u64, "channel", "channels"))
}
