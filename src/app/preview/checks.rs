//! What is measured only on request: what the splits alone change, and the bound that Oracle OCS gives.

use super::super::Outbox;
use super::super::text::{self, note};
use crate::app::widgets::{job_ui, stopped_ui};
use crate::inference::{OracleMetrics, SplitOnly, fixed};
use crate::session::{Action, Kind, OpenNetwork, Session};
use egui::{Button, Ui};

const CHECK_HELP: &str = "Run the network with its splits but without any grid, on up to 64 samples, and compare its outputs with the float network's. Splitting alone must change nothing but the last digits.";
const ORACLE_HELP: &str = "Measure the network with the activation splits chosen anew for each batch that runs. No exported network can do that: it bounds what splitting activations can bring. It takes long.";
const NO_SPLITS: &str = "No activations are split: set activation bits and an activation ratio in the recipe first.";

/// Both, side by side, each a button with what it has brought.
pub(super) fn checks_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    ui.horizontal_wrapped(|ui| {
        split_ui(ui, session, open, out);
        oracle_ui(ui, session, open, out);
    });
}

fn split_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    let request = open.split_only_request();
    if request.is_under_way() {
        under_way_ui(ui, session, Kind::SplitOnly, out);
        return;
    }
    if let Some(found) = open.split_only(session.limit()) {
        match found {
            Some(found) => split_result_ui(ui, &found),
            None => {
                ui.label(note("The recipe splits nothing.")).on_hover_text(CHECK_HELP);
            }
        }
        return;
    }
    if ui.small_button("Check the split").on_hover_text(CHECK_HELP).clicked() {
        out.actions.push(Action::CheckSplit);
    }
    let key = open.evaluation_key(session.limit());
    if let Some(error) = key.as_ref().and_then(|key| request.failure(key)) {
        stopped_ui(ui, error);
    }
}

fn split_result_ui(ui: &mut Ui, found: &SplitOnly) {
    let most = text::three_digits(found.max_abs_difference);
    let share = text::three_digits(found.relative_difference);
    let details = format!(
        "On {}: {share} of the largest output{}.\n{CHECK_HELP}",
        text::plural(found.samples as u64, "sample", "samples"),
        same_answer(found.agreement, ", and the first answer is the same for "),
    );
    ui.label(note(format!("splitting alone changes the outputs by at most {most}")))
        .on_hover_text(details);
}

fn oracle_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    let request = open.oracle_request();
    if request.is_under_way() {
        under_way_ui(ui, session, Kind::Oracle, out);
        return;
    }
    if let Some(oracle) = open.oracle(session.limit()) {
        ui.label(note(format!("oracle bound {}", oracle_value(oracle))))
            .on_hover_text(oracle_details(oracle));
        return;
    }
    let button = ui.add_enabled(open.recipe().splits_activations(), Button::new("Oracle bound").small());
    let button = button.on_hover_text(ORACLE_HELP);
    if button.on_disabled_hover_text(NO_SPLITS).clicked() {
        out.actions.push(Action::MeasureOracle);
    }
    let key = open.evaluation_key(session.limit());
    if let Some(error) = key.as_ref().and_then(|key| request.failure(key)) {
        stopped_ui(ui, error);
    }
}

/// Accuracy, perplexity, or agreement where there are no labels.
fn oracle_value(oracle: &OracleMetrics) -> String {
    match (text::score(&oracle.metrics), oracle.metrics.perplexity) {
        (_, Some(perplexity)) => format!("perplexity {}", fixed(perplexity, 2)),
        (Some(score), None) => score,
        (None, None) => match (oracle.agreement, oracle.sqnr_db) {
            (Some(agreement), _) => format!("agreement {}", text::percent(agreement)),
            (None, sqnr_db) => format!(
                "output SQNR {}",
                sqnr_db.map_or_else(|| "∞ dB".to_owned(), text::decibels)
            ),
        },
    }
}

fn oracle_details(oracle: &OracleMetrics) -> String {
    let interval = super::interval(&oracle.metrics).map_or_else(String::new, |text| format!("{text}\n"));
    let agreement = same_answer(oracle.agreement, "The same first answer as the float network for ");
    let end = if agreement.is_empty() { "" } else { ".\n" };
    format!("{interval}{agreement}{end}{ORACLE_HELP}")
}

/// How often the first answer is the same, behind `words`; nothing where the outputs are no classes.
fn same_answer(agreement: Option<f64>, words: &str) -> String {
    agreement.map_or_else(String::new, |share| format!("{words}{}", text::percent(share)))
}

/// The job with its progress, or that it waits for another.
fn under_way_ui(ui: &mut Ui, session: &Session, kind: Kind, out: &mut Outbox) {
    match session.job(kind) {
        Some(job) => job_ui(ui, &job, out),
        None => {
            ui.label(note("waiting for the recipe…"));
        }
    }
}
