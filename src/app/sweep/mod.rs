//! Many settings at once: which values are tried, the rows as they finish, and what each added weight buys.

mod front;
mod grid;
mod paper;
mod table;

use super::Outbox;
use super::command::Command;
use super::look_only::look_only_ui;
use super::text::{self, note};
use super::theme::tokens;
use super::widgets::{data_buttons_ui, job_ui, stopped_ui};
use crate::inference::Score;
use crate::inference::sweep::{SweepGrid, SweepRow};
use crate::quantization::{Granularity, Rounding};
use crate::session::{Action, Kind, MOST_SETTINGS, OpenNetwork, RunState, Session};
use egui::{ScrollArea, Ui, vec2};
use grid::Axes;

/// Width from which the plot stands beside the table instead of above it, points.
const SIDE_BY_SIDE: f32 = 900.0;
/// Share of the height that a plot above the table takes.
const PLOT: f32 = 0.46;
/// Height of plot and table at least; where there is less, the view scrolls.
const RESULTS: f32 = 180.0;
/// Characters of the data's name.
const DATA_NAME: usize = 24;

/// State of the view between frames.
#[derive(Default)]
pub(super) struct SweepPanel {
    axes: Axes,
    /// What was started last.
    started: Option<SweepGrid>,
    /// The rows are laid out as in the paper, instead of as a list.
    as_paper: bool,
}

impl SweepPanel {
    /// Draws the values to try, the progress, and the rows as a plot and as a table.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        if look_only_ui(ui, &open.original.network) {
            return;
        }
        match open.run_state(session.limit()) {
            RunState::CannotRun(reason) => {
                ui.add(
                    egui::Label::new(format!(
                        "The network can't be run, so there is nothing to sweep: {reason}."
                    ))
                    .wrap(),
                );
                return;
            }
            RunState::NoData => {
                no_data_ui(ui, out);
                return;
            }
            RunState::Waiting | RunState::Done | RunState::Failed(_) | RunState::Cancelled => {}
        }
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            self.axes.ui(ui);
            self.start_ui(ui, session, open, out);
            let rows = open.sweep().rows();
            if !rows.is_empty() {
                ui.separator();
                let size = vec2(ui.available_width(), ui.available_height().max(RESULTS));
                ui.allocate_ui(size, |ui| self.results_ui(ui, open, rows, out));
            } else if !open.sweep_is_under_way() {
                let what = "Choose the values to try and start: each combination is quantized and run on the data, and what \
                            it costs and answers is listed here. A click on a row then takes its recipe.";
                ui.add(egui::Label::new(note(what)).wrap());
            }
        });
    }

    /// The plot and the rows, into all that is left.
    fn results_ui(&mut self, ui: &mut Ui, open: &OpenNetwork, rows: &[SweepRow], out: &mut Outbox) {
        let score = Score::of_rows(rows);
        let taken = rows.iter().position(|row| row.recipe == *open.recipe());
        let height = ui.available_height();
        let mut clicked = None;
        if ui.available_width() >= SIDE_BY_SIDE {
            ui.columns_const(|[left, right]| {
                clicked = self.rows_ui(left, rows, score, taken);
                clicked = clicked.or(front::front_ui(right, open, score, taken, height, out));
            });
        } else {
            clicked = front::front_ui(ui, open, score, taken, height * PLOT, out);
            clicked = clicked.or(self.rows_ui(ui, rows, score, taken));
        }
        if let Some(row) = clicked.and_then(|row| rows.get(row)) {
            out.actions.push(Action::EditRecipe {
                recipe: Box::new(row.recipe.clone()),
                gesture: false,
            });
        }
    }

    /// The rows, as they finish or as in the paper; tells the one that was clicked.
    fn rows_ui(&mut self, ui: &mut Ui, rows: &[SweepRow], score: Score, taken: Option<usize>) -> Option<usize> {
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.selectable_value(&mut self.as_paper, false, "list")
                .on_hover_text("One row a setting, as they finish.");
            ui.selectable_value(&mut self.as_paper, true, "as in the paper").on_hover_text(
                "One row a number of bits: clipping alone, splitting (OCS) alone, splitting with the best clipping (table 2 of \
                 Zhao et al. 2019).",
            );
        });
        if self.as_paper {
            paper::paper_ui(ui, rows, score, taken)
        } else {
            table::table_ui(ui, rows, score, taken)
        }
    }

    /// How many settings, the button that starts them, and how far they are.
    fn start_ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        let grid = self.axes.grid();
        let sweep = open.sweep();
        ui.horizontal_wrapped(|ui| {
            if open.sweep_is_under_way() {
                progress_ui(ui, session, out);
            } else {
                let count = self.axes.count();
                let (text, why) = if self.goes_on(&grid, session, open) {
                    (
                        "Go on",
                        "Compute the rows that are missing. Those that are there are kept.",
                    )
                } else {
                    ("Start", "Run the recipe with each combination of these values.")
                };
                let response = ui
                    .add_enabled(count <= MOST_SETTINGS, egui::Button::new(text))
                    .on_hover_text(why);
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("{text} sweep")));
                if response.clicked() {
                    self.started = Some(grid.clone());
                    out.actions.push(Action::StartSweep(grid));
                }
                ui.label(text::plural(count as u64, "setting", "settings"));
                if count > MOST_SETTINGS {
                    ui.colored_label(tokens(ui).warning, format!("{MOST_SETTINGS} at most"));
                }
            }
            if !sweep.rows().is_empty() {
                let command = Command::SaveSweep;
                if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
                    out.commands.push(command);
                }
            }
            state_ui(ui, open);
        });
    }

    /// Whether the same again would only add the rows that are missing.
    fn goes_on(&self, grid: &SweepGrid, session: &Session, open: &OpenNetwork) -> bool {
        let sweep = open.sweep();
        let (there, asked) = (sweep.rows().len(), sweep.recipes());
        let first = SweepGrid {
            weight_bits: grid.weight_bits.iter().take(1).copied().collect(),
            expand_ratios: grid.expand_ratios.iter().take(1).copied().collect(),
            clips: grid.clips.iter().take(1).copied().collect(),
            activation_bits: grid.activation_bits.iter().take(1).copied().collect(),
            scales: grid.scales.iter().take(1).copied().collect(),
            roundings: grid.roundings.iter().take(1).copied().collect(),
            zero_points: grid.zero_points.iter().take(1).copied().collect(),
        };
        there > 0
            && there < asked.len()
            && self.started.as_ref() == Some(grid)
            && sweep.of().is_some_and(|of| of.limit == session.limit())
            && first.recipes(open.recipe()).first() == asked.first()
    }
}

/// The sweep's progress; before it, that of what it waits for.
fn progress_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let running = session.announced();
    let job = running.iter().find(|job| job.kind == Kind::Sweep).or(running.first());
    match job {
        Some(job) => job_ui(ui, job, out),
        None => {
            ui.label(note("waiting…"));
        }
    }
}

/// How many rows are there, of what, and why no more.
fn state_ui(ui: &mut Ui, open: &OpenNetwork) {
    let sweep = open.sweep();
    let (there, asked) = (sweep.rows().len(), sweep.recipes().len());
    if asked == 0 {
        return;
    }
    if let Some(error) = open.sweep_failure() {
        stopped_ui(ui, error);
    }
    ui.label(note(format!(
        "{there} of {}",
        text::plural(asked as u64, "row", "rows")
    )));
    if let Some(setting) = sweep.setting() {
        let samples = text::plural(setting.samples as u64, "sample", "samples");
        // How they are read is for who asks.
        let name = setting.data.split(" · ").next().unwrap_or_default();
        ui.label(note(format!("{samples} of {}", text::elide_middle(name, DATA_NAME))))
            .on_hover_text(format!("{samples} of {}", setting.data));
    }
}

/// What to do when there is nothing to run the network on.
fn no_data_ui(ui: &mut Ui, out: &mut Outbox) {
    let what = "No data yet. A sweep runs the network many times: open images or arrays, or take noise, on which the output \
                SQNR alone tells how good a setting is.";
    ui.add(egui::Label::new(what).wrap());
    data_buttons_ui(ui, &[], out);
}

/// The values of a row, for a tooltip and for screen readers; scales, zero points and rounding where they are not the usual ones.
fn describe(row: &SweepRow) -> String {
    let recipe = &row.recipe;
    let scales = (recipe.scales != Granularity::default()).then(|| format!(", {}", recipe.scales.label()));
    let zero_points = if recipe.weight_zero_points { ", zero points" } else { "" };
    let rounding = (recipe.rounding != Rounding::default()).then(|| format!(", {}", recipe.rounding.label()));
    format!(
        "{} weights, ratio {}, clip {}, {} activations{}{zero_points}{}",
        text::bits(recipe.weight_bits),
        recipe.expand_ratio,
        text::clip(recipe.clip),
        text::bits(recipe.activation_bits),
        scales.unwrap_or_default(),
        rounding.unwrap_or_default()
    )
}

/// How large the exported file is; of a row that does not tell, the bits of its parameters.
fn size_text(row: &SweepRow) -> String {
    match row.overhead.file_bytes {
        Some(bytes) => format!("file of {} kB", text::full_count(bytes.div_ceil(1000))),
        None => format!("size {}", text::percent(row.overhead.size)),
    }
}

/// A score with its unit and, of a share of samples, one standard error.
fn score_text(row: &SweepRow, score: Score) -> String {
    let Some(value) = score.value(row) else {
        return "–".to_owned();
    };
    match score {
        Score::Top1 => {
            let error = (value * (1.0 - value) / row.samples.max(1) as f64).sqrt() * 100.0;
            format!("{} ± {error:.1}", text::percent(value))
        }
        Score::Perplexity | Score::MeanIou | Score::MeanAp | Score::Pearson => score.show(value),
        Score::Sqnr => text::decibels(value),
    }
}

/// What a setting adds to the number of weights, percent.
fn added_percent(row: &SweepRow) -> f64 {
    (row.overhead.weights - 1.0) * 100.0
}
