//! The open data: name, how they are read, how many are run.

use super::super::Outbox;
use super::super::command::Command;
use super::super::text::{self, note};
use super::super::theme::tokens;
use super::reading::Reading;
use crate::inference::{AtChance, Dataset};
use crate::session::{Action, OpenNetwork, Session};
use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{PopupCloseBehavior, RichText, Ui};

/// Characters of the data's name.
const NAME: usize = 28;
/// Width of the menus, points.
const WIDTH: f32 = 360.0;
/// Suggestions shown.
const SHOWN: usize = 3;

/// The menu of the data, and the number of samples.
pub(super) fn data_ui(
    ui: &mut Ui,
    reading: &mut Reading,
    session: &Session,
    open: &OpenNetwork,
    data: &Dataset,
    out: &mut Outbox,
) {
    let mut limit = session.limit().min(data.len());
    let drag = egui::DragValue::new(&mut limit).range(1..=data.len()).speed(10.0);
    let response = ui
        .add(drag)
        .on_hover_text("How many samples are run at most. More take longer and make the numbers surer.");
    let name = ui.label(note("first"));
    if response.labelled_by(name.id).changed() {
        out.actions.push(Action::SetSampleLimit(limit));
    }
    let preset = data.preprocess_fields().map(|(preset, _)| preset);
    let shown = match preset {
        Some(preset) => format!("{} · {preset} ▾", text::elide_middle(data.name(), NAME)),
        None => format!("{} ▾", text::elide_middle(data.name(), NAME)),
    };
    let menu = stays_open(RichText::new(shown).small()).ui(ui, |ui| menu_ui(ui, reading, open, data, out));
    let what = format!("{}\n{}", data.name(), data.preprocessing());
    let response = menu.0.on_hover_text(what);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Data"));
    if let Some(at_chance) = open.at_chance() {
        at_chance_ui(ui, open, at_chance, out);
    }
    let evaluated = open.evaluated().map(|(_, evaluated)| &evaluated.evaluation);
    if let Some(reason) = evaluated.and_then(|evaluation| evaluation.labels_unused.as_ref()) {
        let title = RichText::new("labels not used").small().color(tokens(ui).warning);
        ui.label(title).on_hover_text(reason);
    }
}

/// A menu whose fields can be edited without closing it.
fn stays_open<'a>(title: RichText) -> MenuButton<'a> {
    let config = MenuConfig::default().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    MenuButton::new(title).config(config)
}

fn menu_ui(ui: &mut Ui, reading: &mut Reading, open: &OpenNetwork, data: &Dataset, out: &mut Outbox) {
    ui.set_max_width(WIDTH);
    ui.strong(data.name());
    ui.label(text::plural(data.len() as u64, "sample", "samples"));
    ui.add(egui::Label::new(data.preprocessing()).wrap());
    for note in data.notes() {
        ui.add(egui::Label::new(note).wrap());
    }
    ui.separator();
    if let (Some(fields), Some((path, options))) = (data.preprocess_fields(), open.data_opened()) {
        if let Some(options) = reading.ui(ui, open, data, options, fields) {
            let path = path.to_owned();
            out.actions.push(Action::OpenData { path, options });
        }
        ui.separator();
    }
    for command in [Command::OpenData, Command::OpenDataFolder] {
        if command.menu_entry(ui, true) {
            out.commands.push(command);
        }
    }
}

/// That the float network guesses, and ways of reading the pictures that do better.
fn at_chance_ui(ui: &mut Ui, open: &OpenNetwork, at_chance: &AtChance, out: &mut Outbox) {
    let title = RichText::new("no better than guessing ▾")
        .small()
        .color(tokens(ui).warning);
    let menu = ui.menu_button(title, |ui| {
        ui.set_max_width(WIDTH);
        let chance = text::percent(at_chance.chance);
        let what = format!(
            "The float network is no better than guessing ({chance}): its pictures may be read otherwise than in its training."
        );
        ui.add(egui::Label::new(what).wrap());
        if at_chance.suggestions.is_empty() {
            let none = "No preset does better. Do the labels belong to this network?";
            ui.add(egui::Label::new(none).wrap());
        }
        for suggestion in at_chance.suggestions.iter().take(SHOWN) {
            let right = text::percent(suggestion.top1);
            let text = format!("{}: {right} of {} samples", suggestion.title(), suggestion.samples);
            if ui.button(text).on_hover_text("Read the pictures this way.").clicked()
                && let Some((path, _)) = open.data_opened()
            {
                let (path, options) = (path.to_owned(), suggestion.options.clone());
                out.actions.push(Action::OpenData { path, options });
                ui.close();
            }
        }
    });
    let response = menu
        .response
        .on_hover_text("The float network is no better than guessing.");
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "No better than guessing"));
}
