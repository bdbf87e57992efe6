//! The answers that a recipe changes, with all the room of a view: from which class to which, and the samples themselves; of
//! text also how surprised both networks are by each character, and how they go on from a prompt.

mod changes;
mod continuation;
mod losses;

use super::Outbox;
use super::look_only::look_only_ui;
use super::preview::Samples;
use super::text::note;
use super::widgets::{data_buttons_ui, job_ui};
use crate::session::{Kind, OpenNetwork, RunState, Session};
use changes::Choice;
use continuation::ContinuationPanel;
use egui::Ui;
use losses::LossesPanel;

/// What the view shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Page {
    #[default]
    Changes,
    Losses,
    Continuation,
}

/// State of the view between frames.
#[derive(Default)]
pub(super) struct AnswersPanel {
    page: Page,
    choice: Choice,
    samples: Samples,
    losses: LossesPanel,
    continuation: ContinuationPanel,
    /// The continuation was drawn in this frame.
    writing: bool,
}

impl AnswersPanel {
    /// Draws the view into all that is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        let text = open.data().is_some_and(|data| data.is_text());
        let page = if text { self.page } else { Page::Changes };
        if text {
            self.pages_ui(ui, open.text_unit().name());
        }
        let look_only = look_only_ui(ui, &open.original.network);
        match open.run_state(session.limit()) {
            RunState::NoData if look_only => {
                data_buttons_ui(ui, &[], out);
                return;
            }
            RunState::CannotRun(reason) => {
                let what = format!("The network can't be run, so it has no answers: {reason}.");
                ui.add(egui::Label::new(what).wrap());
                return;
            }
            RunState::NoData => {
                let what = "No data yet. Open images, arrays or text, and see here which answers the recipe changes.";
                ui.add(egui::Label::new(what).wrap());
                data_buttons_ui(ui, &[], out);
                return;
            }
            RunState::Waiting | RunState::Failed(_) | RunState::Cancelled | RunState::Done => {}
        }
        if page == Page::Continuation {
            self.writing = true;
            self.continuation.ui(ui, session, open, out);
            return;
        }
        let Some((_, evaluated)) = open.evaluated() else {
            waiting_ui(ui, session, out);
            return;
        };
        if open.float_outputs().is_some_and(|float| !float.classification) {
            let what = "The outputs of this network are numbers, not one for each of several classes, so there is no first \
                        answer to change. How far the recipe moves them is the output SQNR in the preview.";
            ui.add(egui::Label::new(what).wrap());
            return;
        }
        match (page, &evaluated.preview.losses) {
            (Page::Losses, Some(losses)) => self.losses.ui(ui, open, evaluated, losses),
            _ => changes::changes_ui(ui, &mut self.choice, &mut self.samples, open, evaluated, out),
        }
    }

    /// At the end of a frame: whether both networks are to go on from the prompt.
    pub(super) fn writing(&mut self) -> bool {
        std::mem::take(&mut self.writing)
    }

    fn pages_ui(&mut self, ui: &mut Ui, unit: &str) {
        let (losses, of_losses) = (
            format!("loss per {unit}"),
            format!("How surprised both networks are by each {unit} of the text."),
        );
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let pages = [
                (
                    Page::Changes,
                    "changed answers",
                    "Which first answers the recipe changes, and to what.",
                ),
                (Page::Losses, losses.as_str(), of_losses.as_str()),
                (
                    Page::Continuation,
                    "continuation",
                    "How both networks go on from a text that you write.",
                ),
            ];
            for (page, name, what) in pages {
                ui.selectable_value(&mut self.page, page, name).on_hover_text(what);
            }
        });
    }
}

/// What is under way before there is an answer.
fn waiting_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let running = session.announced();
    let job = running
        .iter()
        .find(|job| job.kind == Kind::Evaluate)
        .or(running.first());
    ui.horizontal(|ui| match job {
        Some(job) => job_ui(ui, job, out),
        None => {
            ui.label(note("waiting…"));
        }
    });
}
