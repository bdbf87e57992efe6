//! The controls of the recipe: one row each, for the whole network and for a layer alike.

use super::super::text;
use super::super::widgets::{choice_row, label_row, slider_width};
use crate::quantization::{Bits, Clip, Field, Granularity, Products, Rounding, SplitExport, SplitKind, Storage};
use egui::{DragValue, Response, Sense, Slider, SliderClamping, Ui};

/// Stands for float at the end of the slider of bits.
const FLOAT_STEP: u8 = Bits::MAX + 1;
/// Percent of added channels at the end of the slider.
const MOST_PERCENT: f64 = 20.0;
/// Width of a choice, points.
const CHOICE: f32 = 136.0;

/// What a field of the recipe does, from the table of fields.
pub(super) fn help(name: &str) -> &'static str {
    Field::named(name).map_or("", |field| field.help)
}

/// A value under edit: whether it changed in this frame, and whether the hand is still on the control.
pub(super) struct Edit<T> {
    pub(super) value: T,
    /// Changed; `true` while dragging.
    pub(super) changed: Option<bool>,
    pub(super) released: bool,
    /// A double click on the control asks for the value that it had at first.
    pub(super) reset: bool,
    /// What that was, where it is not for the caller to say.
    start: Option<T>,
}

impl<T> Edit<T> {
    pub(super) fn new(value: T) -> Self {
        Self {
            value,
            changed: None,
            released: false,
            reset: false,
            start: None,
        }
    }

    /// The same; a double click takes the value of `start` again.
    pub(super) fn from_start(value: T, start: T) -> Self {
        Self {
            start: Some(start),
            ..Self::new(value)
        }
    }

    /// Looks for a double click on the slider in `response`.
    fn watch_reset<V: Clone>(&mut self, ui: &Ui, response: &Response, field: fn(&mut T) -> &mut V) {
        let slider = response.rect.with_max_x(response.rect.min.x + slider_width(ui));
        let hand = ui.interact(slider, response.id.with("reset"), Sense::click());
        if !hand.double_clicked() {
            return;
        }
        self.reset = true;
        if let Some(start) = &mut self.start {
            *field(&mut self.value) = field(start).clone();
            self.changed = Some(false);
        }
    }

    pub(super) fn seen(&mut self, response: &Response) {
        if response.changed() {
            self.changed = Some(held(response));
        }
        self.released |= response.drag_stopped();
    }
}

/// Whether a change belongs to a drag: the last one may come in the frame in which the hand lets go.
fn held(response: &Response) -> bool {
    response.dragged() || response.drag_stopped()
}

pub(super) fn bits_row<T>(ui: &mut Ui, name: &str, help: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut Bits) {
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
        ui.add(slider.update_while_editing(false))
    });
    if response.changed() {
        *field(&mut edit.value) = if step >= FLOAT_STEP {
            Bits::Float
        } else {
            Bits::Grid(step)
        };
    }
    edit.seen(&response);
    edit.watch_reset(ui, &response, field);
}

pub(super) fn ratio_row<T>(ui: &mut Ui, name: &str, help: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut f64) {
    let before = *field(&mut edit.value);
    // Without the digits that only the multiplication brings.
    let mut percent = hundredths(before * 100.0);
    let most = MOST_PERCENT.max(percent);
    let response = label_row(ui, name, help, |ui| {
        // A number from a file is shown as it is; only what the hand sets goes in steps.
        let slider = Slider::new(&mut percent, 0.0..=most).clamping(SliderClamping::Edits);
        let slider = slider.step_by(0.5).suffix(" %").max_decimals(1);
        // A number that is typed is one step of undo, not one a digit.
        ui.add(slider.update_while_editing(false))
    });
    let ratio = hundredths(percent * 100.0) / 1e4;
    if response.changed() && (ratio - before).abs() > 1e-9 {
        *field(&mut edit.value) = ratio;
        edit.changed = Some(held(&response));
    }
    edit.released |= response.drag_stopped();
    edit.watch_reset(ui, &response, field);
}

/// Rounded to two decimals.
fn hundredths(x: f64) -> f64 {
    (x * 100.0).round() / 100.0
}

pub(super) fn split_row<T>(
    ui: &mut Ui,
    name: &str,
    help: &str,
    edit: &mut Edit<T>,
    field: fn(&mut T) -> &mut SplitKind,
) {
    let value = field(&mut edit.value);
    let before = *value;
    choice_row(ui, name, help, |ui| {
        let shown = text::split(*value);
        let combo = egui::ComboBox::from_id_salt(name).selected_text(shown).width(CHOICE);
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

/// What has a scale of its own.
pub(super) fn scales_row<T>(
    ui: &mut Ui,
    name: &str,
    help: &str,
    edit: &mut Edit<T>,
    field: fn(&mut T) -> &mut Granularity,
) {
    let shown = |scales: Granularity| scales.label();
    list_row(ui, name, help, edit, field, (&Granularity::CHOICES, shown, |_| ""));
}

/// Which integer each weight gets.
pub(super) fn rounding_row<T>(
    ui: &mut Ui,
    name: &str,
    help: &str,
    edit: &mut Edit<T>,
    field: fn(&mut T) -> &mut Rounding,
) {
    let shown = |rounding: Rounding| rounding.label().to_owned();
    list_row(ui, name, help, edit, field, (&Rounding::CHOICES, shown, Rounding::help));
}

/// How an exported file stores quantized weights.
pub(super) fn storage_row<T>(ui: &mut Ui, edit: &mut Edit<T>, field: fn(&mut T) -> &mut Storage) {
    let shown = |storage: Storage| storage.name().to_owned();
    let choices = (
        &Storage::CHOICES[..],
        shown as fn(Storage) -> String,
        Storage::help as fn(Storage) -> &'static str,
    );
    list_row(ui, "Storage", help("storage"), edit, field, choices);
}

/// How matrix products with float inputs are exported.
pub(super) fn products_row<T>(ui: &mut Ui, edit: &mut Edit<T>, field: fn(&mut T) -> &mut Products) {
    let shown = |products: Products| products.name().to_owned();
    let choices = (
        &Products::CHOICES[..],
        shown as fn(Products) -> String,
        Products::help as fn(Products) -> &'static str,
    );
    list_row(ui, "Matrix products", help("products"), edit, field, choices);
}

/// Choices, the name of each and what it does.
type Choices<'a, V> = (&'a [V], fn(V) -> String, fn(V) -> &'static str);

/// A choice from a list.
fn list_row<T, V: Copy + PartialEq>(
    ui: &mut Ui,
    name: &str,
    help: &str,
    edit: &mut Edit<T>,
    field: fn(&mut T) -> &mut V,
    (choices, shown, explained): Choices<'_, V>,
) {
    let value = field(&mut edit.value);
    let before = *value;
    choice_row(ui, name, help, |ui| {
        let combo = egui::ComboBox::from_id_salt(name)
            .selected_text(shown(before))
            .width(CHOICE);
        combo
            .show_ui(ui, |ui| {
                for choice in choices {
                    let response = ui.selectable_value(value, *choice, shown(*choice));
                    let help = explained(*choice);
                    if !help.is_empty() {
                        response.on_hover_text(help);
                    }
                }
            })
            .response
    });
    if *value != before {
        edit.changed = Some(false);
    }
}

/// Who makes the copies of split channels in an exported graph.
pub(super) fn export_row(ui: &mut Ui, edit: &mut Edit<SplitExport>) {
    let before = edit.value;
    choice_row(ui, "Copies", help("split_export"), |ui| {
        let combo = egui::ComboBox::from_id_salt("split export").selected_text(before.name());
        combo
            .width(CHOICE)
            .show_ui(ui, |ui| {
                for way in SplitExport::CHOICES {
                    let response = ui.selectable_value(&mut edit.value, way, way.name());
                    response.on_hover_text(way.help());
                }
            })
            .response
    });
    if edit.value != before {
        edit.changed = Some(false);
    }
}

pub(super) fn clip_row<T>(ui: &mut Ui, name: &str, help: &str, edit: &mut Edit<T>, field: fn(&mut T) -> &mut Clip) {
    let value = field(&mut edit.value);
    let before = *value;
    choice_row(ui, name, help, |ui| {
        let combo = egui::ComboBox::from_id_salt(name)
            .selected_text(text::clip(*value))
            .width(CHOICE);
        combo
            .show_ui(ui, |ui| {
                for clip in Clip::CHOICES {
                    let chosen = std::mem::discriminant(&clip) == std::mem::discriminant(value);
                    let response = ui.selectable_label(chosen, text::clip(clip));
                    if response.on_hover_text(clip_help(clip)).clicked() && !chosen {
                        *value = clip;
                    }
                }
            })
            .response
    });
    if *value != before {
        edit.changed = Some(false);
    }
    let Clip::Percentile(percent) = *field(&mut edit.value) else {
        return;
    };
    let mut shown = f64::from(percent);
    let name = format!("{name} percentile");
    let what = "The threshold lies where this share of the numbers is smaller. 100 % cuts nothing.";
    let response = choice_row(ui, "  keep", what, |ui| {
        let drag = DragValue::new(&mut shown).range(50.0..=100.0).speed(0.01).suffix(" %");
        ui.add(drag.max_decimals(3))
    });
    response.widget_info(|| egui::WidgetInfo::slider(true, shown, &name));
    if response.changed() {
        *field(&mut edit.value) = Clip::Percentile(shown as f32);
    }
    edit.seen(&response);
}

/// What a way to clip does, in a sentence.
fn clip_help(clip: Clip) -> &'static str {
    match clip {
        Clip::None => "The largest number; nothing is cut.",
        Clip::Mse => "Where the mean squared error is least.",
        Clip::Aciq => "The best threshold for a bell curve or a Laplacian, whichever fits better (Banner et al. 2018).",
        Clip::Aciq2019 => "The same with the constants of the paper on channel splitting (Zhao et al. 2019).",
        Clip::Kl => "Where the histogram loses least information (as TensorRT does).",
        Clip::Percentile(_) => "Where a chosen share of the numbers is smaller.",
        Clip::Octav => "Where clipping noise and rounding noise balance (Sakr et al. 2022).",
        Clip::Manual(_) => "Where you put it.",
    }
}
