//! The offer to go on where the last session ended.

use super::{Outbox, text};
use crate::session::{Action, Last, Session};
use egui::{Panel, Ui};

/// A line below the bar while the offer stands; it goes once it is taken or refused.
pub(super) fn resume_ui(ui: &mut Ui, session: &Session, offer: &mut Option<Last>, out: &mut Outbox) {
    let Some(last) = offer.clone().filter(|_| session.opening().is_none()) else {
        return;
    };
    Panel::top("resume").show(ui, |ui| {
        ui.horizontal(|ui| {
            let path = last.model.display().to_string();
            let name = last.model.file_name().map(|name| name.to_string_lossy().into_owned());
            let name = text::elide_middle(name.as_deref().unwrap_or(&path), 40);
            ui.label("The last time something else was open.");
            let button = ui.button(format!("Continue with {name}"));
            if button
                .on_hover_text(format!("Open {path} with its recipe, data and selected layer."))
                .clicked()
            {
                out.actions.push(Action::Resume(Box::new(last)));
                *offer = None;
            }
            if ui.button("No").on_hover_text("Stay with what is open.").clicked() {
                *offer = None;
            }
        });
    });
}
