//! What the window shows while nothing is open: what to do next.

use super::command::Command;
use super::{Outbox, theme};
use crate::format::demo::Demo;
use crate::session::{Level, Session};
use egui::Ui;

/// What is being opened, or what could be.
pub(super) fn welcome_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.3);
        if let Some(path) = session.opening() {
            ui.heading(format!("Opening {}…", path.display()));
            return;
        }
        ui.heading("Nothing is open");
        let messages = session.messages().iter();
        if let Some(fault) = messages.rev().find(|message| message.level == Level::Error) {
            ui.colored_label(theme::tokens(ui).error, &fault.text);
            ui.add_space(8.0);
        }
        ui.label("Open a trained network (ONNX or safetensors) to see its outliers, or drop a file here.");
        ui.add_space(8.0);
        let demos = Demo::ALL.map(Command::Demo);
        for command in std::iter::once(Command::Open).chain(demos) {
            if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
                out.commands.push(command);
            }
        }
    });
}
