//! How pictures are made ready: presets, every field by hand, and what the network really gets.

use super::super::text::{self, note};
use crate::data::{CLASS_LISTS, PreprocessFields, PreprocessPreset, SeenPicture, interpolation_name};
use crate::inference::{DataOptions, Dataset};
use crate::network::Interpolation;
use crate::session::OpenNetwork;
use egui::{ColorImage, TextureHandle, TextureOptions, Ui, vec2};

/// Side of the picture, points.
const PICTURE: f32 = 72.0;
/// Width of a number, points.
const NUMBER: f32 = 52.0;
/// The sample that is shown as the network gets it.
const SHOWN: usize = 0;

/// State between frames: the picture that the network gets, and of which data.
#[derive(Default)]
pub(super) struct Reading {
    seen: Option<(String, SeenPicture, TextureHandle)>,
}

impl Reading {
    /// Draws all of it; returns other options when a person has changed something.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        open: &OpenNetwork,
        data: &Dataset,
        options: &DataOptions,
        (preset, fields): (&str, PreprocessFields),
    ) -> Option<DataOptions> {
        let mut changed = None;
        ui.horizontal(|ui| {
            self.seen_ui(ui, data);
            ui.vertical(|ui| {
                ui.label(note("Read the pictures as the network was trained:"));
                let (named, network) = (preset.to_owned(), open.original.network.preprocess.as_ref());
                let mut entries: Vec<(&str, String)> = Vec::new();
                if let Some(hint) = network {
                    entries.push(("network", format!("As the network's files say ({}).", hint.source)));
                }
                entries.extend(
                    PreprocessPreset::ALL
                        .iter()
                        .map(|preset| (preset.name, preset.about.to_owned())),
                );
                ui.horizontal_wrapped(|ui| {
                    for (name, about) in entries {
                        if ui.selectable_label(name == named, name).on_hover_text(about).clicked() {
                            changed = Some(DataOptions {
                                preprocess: Some(name.to_owned()),
                                size: None,
                                crop: None,
                                mean: None,
                                std: None,
                                interpolation: None,
                                ..options.clone()
                            });
                        }
                    }
                });
            });
        });
        egui::Grid::new("preprocessing fields").num_columns(2).show(ui, |ui| {
            let mut edited = options.clone();
            if fields_ui(ui, &fields, &mut edited) | classes_ui(ui, &mut edited) {
                changed = Some(edited);
            }
        });
        changed
    }

    fn seen_ui(&mut self, ui: &mut Ui, data: &Dataset) {
        let key = format!("{} {}", data.name(), data.preprocessing());
        if self.seen.as_ref().is_none_or(|(of, ..)| *of != key)
            && let Some(seen) = data.seen_by_network(SHOWN)
        {
            let image = ColorImage::from_rgb([seen.width, seen.height], &seen.rgb);
            let texture = ui.ctx().load_texture("seen by network", image, TextureOptions::NEAREST);
            self.seen = Some((key, seen, texture));
        }
        let Some((_, seen, texture)) = &self.seen else { return };
        let longer = seen.width.max(seen.height).max(1) as f32;
        let size = vec2(seen.width as f32, seen.height as f32) * (PICTURE / longer);
        let [width, height] = seen.size;
        let [low, high] = seen.range.map(|end| text::three_digits(f64::from(end)));
        let what = format!(
            "What the network gets of the first sample: {width} × {height} numbers a channel from {low} to {high}. Shown with \
             mean and deviation taken back and its first channel as red: with blue first, red and blue change places."
        );
        ui.vertical(|ui| {
            let image = egui::Image::new((texture.id(), size)).alt_text("First sample as the network gets it");
            ui.add(image).on_hover_text(what);
            ui.label(note(format!("{width} × {height}")));
            ui.label(note(&seen.order));
            ui.label(note(format!("{low} … {high}")));
        });
    }
}

/// One row a field; tells whether one was changed.
fn fields_ui(ui: &mut Ui, fields: &PreprocessFields, options: &mut DataOptions) -> bool {
    let mut changed = false;
    ui.label("mean");
    changed |= numbers_ui(ui, "mean", &fields.mean, &mut options.mean, None);
    ui.end_row();
    ui.label("deviation");
    changed |= numbers_ui(ui, "deviation", &fields.std, &mut options.std, Some(1e-4));
    ui.end_row();
    ui.label("shorter side");
    changed |= side_ui(ui, "shorter side", fields.size, &mut options.size);
    ui.end_row();
    ui.label("centre crop");
    changed |= side_ui(ui, "centre crop", fields.crop, &mut options.crop);
    ui.end_row();
    ui.label("resizing");
    ui.horizontal(|ui| {
        use Interpolation::{Bicubic, Bilinear, Lanczos, Nearest};
        for way in [Nearest, Bilinear, Bicubic, Lanczos] {
            if ui
                .selectable_label(fields.interpolation == way, interpolation_name(way))
                .clicked()
            {
                options.interpolation = Some(way);
                changed = true;
            }
        }
    });
    ui.end_row();
    ui.label("order");
    ui.horizontal(|ui| {
        for (last, name) in [(false, "NCHW"), (true, "NHWC")] {
            if ui.selectable_label(fields.channels_last == last, name).clicked() {
                options.channels_last = Some(last);
                changed = true;
            }
        }
        ui.separator();
        for (blue, name) in [(false, "RGB"), (true, "BGR")] {
            if ui.selectable_label(fields.blue_first == blue, name).clicked() {
                options.blue_first = blue;
                changed = true;
            }
        }
    });
    ui.end_row();
    changed
}

/// A number for each channel. Taken when the hand leaves the field.
fn numbers_ui(ui: &mut Ui, name: &str, shown: &[f32], chosen: &mut Option<Vec<f32>>, least: Option<f32>) -> bool {
    let mut numbers = shown.to_vec();
    let mut done = false;
    ui.horizontal(|ui| {
        for (channel, number) in numbers.iter_mut().enumerate() {
            let range = least.unwrap_or(f32::MIN)..=f32::MAX;
            let drag = egui::DragValue::new(number)
                .speed(0.0)
                .range(range)
                .max_decimals(5)
                .update_while_editing(false);
            let response = ui.add_sized([NUMBER, 18.0], drag);
            done |= response.changed();
            let label = format!("{name} of channel {channel}");
            response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::SpinButton, true, &label));
        }
    });
    if done {
        *chosen = Some(numbers);
    }
    done
}

/// Pixels, 0 for none.
fn side_ui(ui: &mut Ui, name: &str, shown: Option<usize>, chosen: &mut Option<usize>) -> bool {
    let mut side = shown.unwrap_or(0);
    let drag = egui::DragValue::new(&mut side)
        .speed(0.0)
        .range(0..=8192)
        .suffix(" px")
        .update_while_editing(false);
    let response = ui.add_sized([NUMBER + 20.0, 18.0], drag);
    let changed = response.changed();
    response
        .on_hover_text("0 for none.")
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::SpinButton, true, name));
    if changed {
        *chosen = (side > 0).then_some(side);
    }
    changed
}

/// Which list the classes' names are from.
fn classes_ui(ui: &mut Ui, options: &mut DataOptions) -> bool {
    let mut changed = false;
    ui.label("class names");
    ui.horizontal(|ui| {
        let known = options.classes.clone();
        if ui.selectable_label(known.is_none(), "data's own").clicked() {
            options.classes = None;
            changed = true;
        }
        for list in CLASS_LISTS {
            if ui.selectable_label(known.as_deref() == Some(list), list).clicked() {
                options.classes = Some(list.to_owned());
                changed = true;
            }
        }
    });
    ui.end_row();
    changed
}
