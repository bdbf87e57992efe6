//! The menu of presets: those that are built in, and those that a person saves by name.

use super::super::Outbox;
use super::super::command::Command;
use super::super::text::note;
use crate::quantization::Preset;
use crate::session::{Action, Session};
use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{Id, Key, PopupCloseBehavior, TextEdit, Ui, WidgetInfo};

/// Width of the menu, points.
const WIDTH: f32 = 230.0;
/// Height of the saved presets before they scroll, points.
const HEIGHT: f32 = 240.0;

/// What is built in, the usual choice first.
const BUILT_IN: [Preset; 4] = [Preset::Deploy, Preset::Int8, Preset::Int4, Preset::Paper];

/// The button that opens the menu.
pub(super) fn presets_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    // A field for a name is in it: a click there must not close it.
    let config = MenuConfig::default().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let (button, _) = MenuButton::new("Preset ▾")
        .config(config)
        .ui(ui, |ui| menu_ui(ui, session, out));
    if button.clicked() {
        out.actions.push(Action::ListPresets);
    }
    button.on_hover_text("Start from a known set of choices, or keep this recipe under a name.");
}

fn menu_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    ui.set_width(WIDTH);
    for preset in BUILT_IN {
        let command = Command::Preset(preset);
        if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
            out.actions.push(Action::ApplyPreset(preset));
            ui.close();
        }
    }
    ui.separator();
    if session.preset_names().is_empty() {
        ui.label(note("Nothing saved yet."));
    }
    egui::ScrollArea::vertical().max_height(HEIGHT).show(ui, |ui| {
        for name in session.preset_names() {
            saved_ui(ui, name, out);
        }
    });
    save_ui(ui, session, out);
}

/// A saved preset and a button that deletes it.
fn saved_ui(ui: &mut Ui, name: &str, out: &mut Outbox) {
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            let response = ui
                .small_button("Delete")
                .on_hover_text(format!("Delete the preset {name} from disk."));
            response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, format!("Delete preset {name}")));
            if response.clicked() {
                out.actions.push(Action::DeletePreset(name.to_owned()));
            }
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                let button = ui.add(egui::Button::new(name).truncate());
                let what = format!("Take the recipe {name} as it was saved, with its bits and ratios.");
                if button.on_hover_text(what).clicked() {
                    out.actions.push(Action::ApplyUserPreset(name.to_owned()));
                    ui.close();
                }
            });
        });
    });
}

/// A field for a name and a button that saves the present recipe under it.
fn save_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let id = Id::unique("name of a new preset");
    let mut name: String = ui.data(|data| data.get_temp(id)).unwrap_or_default();
    ui.horizontal(|ui| {
        let field = ui.add(
            TextEdit::singleline(&mut name)
                .hint_text("name")
                .desired_width(WIDTH - 80.0),
        );
        field.widget_info(|| WidgetInfo::labeled(egui::Role::TextInput, true, "Preset name"));
        let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
        let wanted = name.trim();
        let replaces = session.preset_names().iter().any(|known| known == wanted);
        let (title, what) = if replaces {
            ("Replace", "Save this recipe in place of the preset of that name.")
        } else {
            ("Save", "Save this recipe under that name, for every network.")
        };
        let button = ui.add_enabled(!wanted.is_empty(), egui::Button::new(title));
        button.widget_info(|| WidgetInfo::labeled(egui::Role::Button, !wanted.is_empty(), format!("{title} preset")));
        let button = button.on_hover_text(what).on_disabled_hover_text("Type a name first.");
        if (button.clicked() || entered) && !wanted.is_empty() {
            out.actions.push(Action::SavePreset(wanted.to_owned()));
            name.clear();
        }
    });
    ui.data_mut(|data| data.insert_temp(id, name));
}
