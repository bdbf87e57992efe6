//! What the window shows while nothing is open: what to do next.

use super::command::Command;
use super::{Outbox, text, theme, widgets};
use crate::format::demo::Demo;
use crate::session::{Action, Kind, Level, Session};
use egui::Ui;

/// Recent files that are offered.
const RECENT: usize = 5;

/// What is being opened, or what could be.
pub(super) fn welcome_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.3);
        if let Some(path) = session.opening() {
            let shown = path.display().to_string();
            ui.heading(format!("Opening {}…", text::elide_middle(&shown, 70)))
                .on_hover_text(shown);
            if let Some(job) = session.job(Kind::Open) {
                widgets::progress_ui(ui, &job, out);
            }
            return;
        }
        ui.heading("Nothing is open");
        let messages = session.messages().iter();
        if let Some(fault) = messages.rev().find(|message| message.level == Level::Error) {
            let shown = egui::RichText::new(&fault.text).color(theme::tokens(ui).error);
            ui.add(egui::Label::new(shown).wrap());
            let copy = ui
                .small_button("Copy")
                .on_hover_text("Copy the message with its details.");
            if copy.clicked() {
                ui.ctx().copy_text(fault.detail.clone());
            }
            ui.add_space(8.0);
        }
        ui.label("Open a trained network (ONNX or safetensors) to see its outliers, or drop a file here.");
        ui.add_space(8.0);
        let demos = Demo::ALL.map(Command::Demo);
        for command in [Command::Open, Command::TypePath].into_iter().chain(demos) {
            if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
                out.commands.push(command);
            }
        }
        recent_ui(ui, session, out);
    });
}

/// The files that were open lately.
fn recent_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    if session.saved.recent.is_empty() {
        return;
    }
    ui.add_space(8.0);
    ui.label(text::note("Opened lately"));
    for path in session.saved.recent.iter().take(RECENT) {
        let shown = path.display().to_string();
        if ui.link(text::elide_middle(&shown, 70)).on_hover_text(&shown).clicked() {
            out.actions.push(Action::Open(path.clone()));
        }
    }
}
