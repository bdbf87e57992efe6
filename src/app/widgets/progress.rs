//! What a view says while it waits (for what, how far that is, how long it still takes, the way to stop it) and when what it
//! waited for has failed.

use crate::app::text::{self, note};
use crate::app::{Outbox, theme};
use crate::jobs::{JobError, Running};
use crate::session::{Action, Kind, Session};
use egui::{ProgressBar, Ui};

/// Width of the bar, points.
const BAR: f32 = 220.0;

/// `what` in the middle of `height`, with the progress of the first job of `kinds` that is under way.
pub(in crate::app) fn waiting_ui(
    ui: &mut Ui,
    session: &Session,
    kinds: &[Kind],
    what: &str,
    height: f32,
    out: &mut Outbox,
) {
    let job = kinds.iter().find_map(|kind| session.job(*kind));
    ui.vertical_centered(|ui| {
        ui.add_space((height * 0.38).max(0.0));
        ui.label(what);
        if let Some(job) = job {
            progress_ui(ui, &job, out);
        }
    });
}

/// Stage, bar, time left and a button that stops the job.
pub(in crate::app) fn progress_ui(ui: &mut Ui, job: &Running<Kind>, out: &mut Outbox) {
    if let Some(fraction) = job.fraction {
        let bar = ProgressBar::new(fraction).desired_width(BAR).desired_height(10.0);
        ui.add(bar);
    }
    let left = job.left.map(|left| format!("{} left", text::duration(left)));
    let parts: Vec<String> = Some(job.stage.clone())
        .filter(|stage| !stage.is_empty())
        .into_iter()
        .chain(left)
        .collect();
    if !parts.is_empty() {
        ui.label(note(parts.join(", ")));
    }
    cancel_ui(ui, job, out);
}

/// The button that starts a job or, while that is under way, the job in one row.
pub(in crate::app) fn start_ui(
    ui: &mut Ui,
    session: &Session,
    kind: Kind,
    (text, help): (&str, &str),
    action: Action,
    out: &mut Outbox,
) {
    match session.job(kind) {
        Some(job) => job_ui(ui, &job, out),
        None if ui.button(text).on_hover_text(help).clicked() => out.actions.push(action),
        None => {}
    }
}

/// A job in one row: its title, bar, time left and a button that stops it.
pub(in crate::app) fn job_ui(ui: &mut Ui, job: &Running<Kind>, out: &mut Outbox) {
    let left = job
        .left
        .map(|left| format!(", {} left", text::duration(left)))
        .unwrap_or_default();
    ui.label(note(format!("{}{left}", job.title))).on_hover_text(&job.stage);
    if let Some(fraction) = job.fraction {
        ui.add(ProgressBar::new(fraction).desired_width(90.0).desired_height(10.0));
    }
    cancel_ui(ui, job, out);
}

fn cancel_ui(ui: &mut Ui, job: &Running<Kind>, out: &mut Outbox) {
    let cancel = ui.small_button("Cancel").on_hover_text(format!("Stop: {}", job.title));
    if cancel.clicked() {
        out.actions.push(Action::Cancel(job.id));
    }
}

/// Characters of a failure that are shown on a line.
const REASON: usize = 70;

/// Why a result is not there, on a line: quiet where somebody stopped it, red where it failed.
pub(in crate::app) fn stopped_ui(ui: &mut Ui, error: &JobError) {
    let reason = error.to_string();
    if *error == JobError::Cancelled {
        ui.label(note(reason));
    } else {
        let shown = egui::RichText::new(text::elide_middle(&reason, REASON)).color(theme::tokens(ui).error);
        ui.label(shown).on_hover_text(reason);
    }
}

/// What is not there and why; what has failed wrapped, with a button that copies it.
pub(in crate::app) fn failure_ui(ui: &mut Ui, what: &str, error: &JobError) {
    if *error == JobError::Cancelled {
        return stopped_ui(ui, error);
    }
    let said = format!("{what}: {error}");
    ui.horizontal_wrapped(|ui| {
        let shown = egui::RichText::new(&said).color(theme::tokens(ui).error);
        ui.add(egui::Label::new(shown).wrap());
        if ui
            .small_button("Copy")
            .on_hover_text("Copy what has failed and why.")
            .clicked()
        {
            ui.ctx().copy_text(said.clone());
        }
    });
}
