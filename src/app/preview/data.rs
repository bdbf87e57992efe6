//! The open data: name, how they are read, how many are run.

use super::super::Outbox;
use super::super::command::Command;
use super::super::text::{self, note};
use crate::inference::{DataOptions, Dataset};
use crate::session::{Action, OpenNetwork, Session};
use egui::Ui;

/// Ways to turn pixels into numbers, and which networks expect them.
const PRESETS: [(&str, &str); 5] = [
    (
        "imagenet",
        "Resized and cropped as torchvision does; minus the mean of ImageNet, over its deviation.",
    ),
    (
        "cifar",
        "Minus the mean of ImageNet, over its deviation, at their own size.",
    ),
    ("fashion", "Minus the mean of Fashion-MNIST, over its deviation; grey."),
    ("unit", "0 to 1."),
    ("raw", "0 to 255, as they are."),
];
/// Characters of the data's name.
const NAME: usize = 28;

/// The menu of the data, and the number of samples.
pub(super) fn data_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, data: &Dataset, out: &mut Outbox) {
    let mut limit = session.limit().min(data.len());
    let drag = egui::DragValue::new(&mut limit).range(1..=data.len()).speed(10.0);
    let response = ui
        .add(drag)
        .on_hover_text("How many samples are run at most. More take longer and make the numbers surer.");
    let name = ui.label(note("first"));
    if response.labelled_by(name.id).changed() {
        out.actions.push(Action::SetSampleLimit(limit));
    }
    let preset = preset(data);
    let shown = match preset {
        Some(preset) => format!("{} · {preset} ▾", text::elide_middle(data.name(), NAME)),
        None => format!("{} ▾", text::elide_middle(data.name(), NAME)),
    };
    let menu = ui.menu_button(egui::RichText::new(shown).small(), |ui| {
        menu_ui(ui, open, data, preset, out);
    });
    let what = format!("{}\n{}", data.name(), data.preprocessing());
    let response = menu.response.on_hover_text(what);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Data"));
}

/// The preset that the pictures are read with; `None` for text and arrays.
fn preset(data: &Dataset) -> Option<&'static str> {
    let described = data.preprocessing();
    let (name, _) = described.split_once(':')?;
    PRESETS.iter().map(|(preset, _)| *preset).find(|preset| *preset == name)
}

fn menu_ui(ui: &mut Ui, open: &OpenNetwork, data: &Dataset, preset: Option<&str>, out: &mut Outbox) {
    ui.set_max_width(340.0);
    ui.strong(data.name());
    ui.label(text::plural(data.len() as u64, "sample", "samples"));
    ui.add(egui::Label::new(data.preprocessing()).wrap());
    for note in data.notes() {
        ui.add(egui::Label::new(note).wrap());
    }
    ui.separator();
    if let (Some(preset), Some((path, options))) = (preset, open.data_opened()) {
        ui.label(note("Read the pictures as the network was trained:"));
        for (name, what) in PRESETS {
            if ui.radio(name == preset, name).on_hover_text(what).clicked() {
                let options = DataOptions {
                    preprocess: Some(name.to_owned()),
                    ..options.clone()
                };
                let path = path.clone();
                out.actions.push(Action::OpenData { path, options });
                ui.close();
            }
        }
        ui.separator();
    }
    for command in [Command::OpenData, Command::OpenDataFolder] {
        if command.menu_entry(ui, true) {
            out.commands.push(command);
        }
    }
}
