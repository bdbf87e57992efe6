//! The last line: what is under way, the last message; and the list of all messages.

use super::Outbox;
use super::command::Command;
use super::text::{self, note};
use super::theme::tokens;
use super::widgets::job_ui;
use crate::session::{Action, Level, Message, Session};
use egui::{Align, Layout, RichText, Ui};

/// Jobs shown one by one; more are counted.
const MOST_JOBS: usize = 2;
/// Characters of the last message on the line.
const MOST_CHARACTERS: usize = 110;

/// The line itself.
pub(super) fn status_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    ui.horizontal(|ui| {
        let running = session.announced();
        if running.is_empty() {
            ui.label(note("Ready"));
        }
        for job in running.iter().take(MOST_JOBS) {
            job_ui(ui, job, out);
            ui.separator();
        }
        if running.len() > MOST_JOBS {
            ui.label(note(format!("and {} more", running.len() - MOST_JOBS)));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let count = session.messages().len();
            let button = ui.small_button(format!("Messages ({count})"));
            if button
                .on_hover_text(Command::ShowMessages.tooltip_with_keys(ui.ctx()))
                .clicked()
            {
                out.commands.push(Command::ShowMessages);
            }
            if let Some(message) = session.messages().last() {
                copy_button(ui, message);
                let one_line = message.text.replace('\n', " ");
                let shown = text::elide_middle(&one_line, MOST_CHARACTERS);
                ui.add(egui::Label::new(colored(ui, message.level, shown).small()).truncate())
                    .on_hover_text(&message.text);
            }
        });
    });
}

/// The window with all messages, newest first.
pub(super) fn messages_window(ctx: &egui::Context, session: &Session, open: &mut bool, out: &mut Outbox) {
    egui::Window::new("Messages")
        .open(open)
        .default_size([560.0, 320.0])
        .default_pos(ctx.content_rect().center() - egui::vec2(280.0, 200.0))
        .show(ctx, |ui| {
            if session.messages().is_empty() {
                ui.label("Nothing to report.");
                return;
            }
            ui.horizontal(|ui| {
                if ui
                    .button("Copy all")
                    .on_hover_text("Copy all messages with their details.")
                    .clicked()
                {
                    let all: Vec<&str> = session
                        .messages()
                        .iter()
                        .map(|message| message.detail.as_str())
                        .collect();
                    ui.ctx().copy_text(all.join("\n\n"));
                }
                if ui.button("Clear").on_hover_text("Empty the list.").clicked() {
                    out.actions.push(Action::ClearMessages);
                }
            });
            ui.separator();
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                for message in session.messages().iter().rev() {
                    ui.horizontal_wrapped(|ui| {
                        copy_button(ui, message);
                        ui.add(egui::Label::new(colored(ui, message.level, message.text.clone())).wrap());
                    });
                }
            });
        });
}

fn copy_button(ui: &mut Ui, message: &Message) {
    if ui
        .small_button("Copy")
        .on_hover_text("Copy the message with its details.")
        .clicked()
    {
        ui.ctx().copy_text(message.detail.clone());
    }
}

fn colored(ui: &Ui, level: Level, text: String) -> RichText {
    let colors = tokens(ui);
    match level {
        Level::Info => RichText::new(text),
        Level::Warning => RichText::new(text).color(colors.warning),
        Level::Error => RichText::new(text).color(colors.error),
    }
}
