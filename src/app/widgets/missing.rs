//! What a view lacks: one sentence and the button that mends it.

use crate::app::Outbox;
use crate::app::command::Command;
use crate::session::Action;
use egui::Ui;

/// What helps a network without data; `more` are commands besides.
pub(in crate::app) fn data_buttons_ui(ui: &mut Ui, more: &[Command], out: &mut Outbox) {
    ui.horizontal_wrapped(|ui| {
        for &command in [Command::OpenData, Command::OpenDataFolder].iter().chain(more) {
            if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
                out.commands.push(command);
            }
        }
        let noise = ui
            .button("Use noise")
            .on_hover_text("Run the network on seeded noise, which has no labels.");
        if noise.clicked() {
            out.actions.push(Action::UseNoise);
        }
    });
}
