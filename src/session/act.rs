//! Carries out what a person asks for.

use super::choosing::Chosen;
use super::history::History;
use super::keys::CalibrationChoice;
use super::massive::Searched;
use super::messages::{Event, Level, Message};
use super::on_request::{Oracle, Sensitivity, SplitAlone};
use super::open::OpenNetwork;
use super::snapshots::Side;
use super::{Action, Session, work};
use crate::inference::DataOptions;
use crate::jobs;
use crate::quantization::Recipe;
use std::path::PathBuf;

impl Session {
    /// Carries out what a person asks for; whatever takes time goes on a job.
    pub fn act(&mut self, action: Action) {
        match action {
            Action::Open(path) => self.start_opening(path),
            Action::Resume(last) => self.resume(*last),
            Action::OpenData { path, options } => match &mut self.open {
                Some(open) if self.opening.is_none() => open.request_data(path, options),
                _ => self.pending_data = Some((path, options)),
            },
            Action::UseNoise => self.with_open(|open| {
                open.request_data(work::NOISE.to_owned(), DataOptions::default());
            }),
            Action::EditRecipe { recipe, gesture } => self.edit_recipe(*recipe, gesture),
            Action::EndGesture => self.with_history(History::end_gesture),
            Action::ApplyPreset(preset) => self.with_history(|history| {
                let present = history.present();
                let mut recipe = Recipe::preset(preset);
                if !preset.has_bits() {
                    recipe.weight_bits = present.weight_bits;
                }
                recipe.expand_ratio = present.expand_ratio;
                history.edit(recipe, false);
            }),
            Action::Undo => self.with_history(History::undo),
            Action::Redo => self.with_history(History::redo),
            Action::LoadRecipe(path) => self.start_loading_recipe(path),
            Action::ListPresets => self.list_presets(),
            Action::SavePreset(name) => self.save_preset(name),
            Action::ApplyUserPreset(name) => self.apply_user_preset(name),
            Action::DeletePreset(name) => self.delete_preset(name),
            Action::SelectLayer(layer) => self.with_open(|open| open.select(layer)),
            Action::ShowRange(range) => {
                let range = range.filter(|(low, high)| low.is_finite() && high.is_finite() && low < high);
                self.with_open(|open| open.range = range);
            }
            Action::ShowActivations => self.with_open(|open| open.wants_activations = true),
            Action::Watch(watched) => self.watched = watched,
            Action::MeasureSensitivity => self.ask(|open| open.slots.of_mut::<Sensitivity>().ask()),
            Action::FindMassive => self.ask(|open| open.slots.of_mut::<Searched>().ask()),
            Action::FixAll { within } => self.with_open(|open| open.ask_to_mend(within)),
            Action::CheckSplit => self.ask(|open| open.slots.of_mut::<SplitAlone>().ask()),
            Action::MeasureOracle => self.ask(|open| open.slots.of_mut::<Oracle>().ask()),
            Action::StartAuto(options) => self.ask(|open| {
                let recipe = open.recipe().clone();
                open.auto_wanted = Some((options, recipe));
                open.slots.of_mut::<Chosen>().ask();
            }),
            Action::StartSweep(grid) => self.ask_for_sweep(&grid),
            Action::SaveSweep(path) => self.save_sweep(path),
            Action::TakeSnapshot(name) => self.with_open(|open| {
                let recipe = open.recipe().clone();
                open.snapshots.take(&name, recipe);
            }),
            Action::RenameSnapshot { id, name } => self.with_open(|open| open.snapshots.rename(id, &name)),
            Action::RemoveSnapshot(id) => self.with_open(|open| open.snapshots.remove(id)),
            Action::RestoreSnapshot(id) => self.with_open(|open| {
                if let Some(recipe) = open.recipe_of(Side::Snapshot(id)).cloned() {
                    open.history.edit(recipe, false);
                }
            }),
            Action::Continue(prompt) => self.with_open(|open| open.prompt = Some(prompt)),
            Action::CarryRecipe => self.carry_recipe(),
            Action::TryPicture(path) => self.try_picture(path),
            Action::ForgetPicture(path) => self.with_open(|open| open.trials.remove(&path)),
            Action::CalibrateOnData(wanted) => self.with_open(|open| {
                open.calibrate_on(match (wanted, open.demo) {
                    (true, _) => CalibrationChoice::OpenData,
                    (false, Some(_)) => CalibrationChoice::Automatic,
                    (false, None) => CalibrationChoice::DataFree,
                });
            }),
            Action::CalibrateOn(choice) => self.with_open(|open| open.calibrate_on(choice)),
            Action::SetSigma(sigma) => {
                self.saved.sigma = sigma;
                self.saved = std::mem::take(&mut self.saved).sane();
            }
            Action::SetThreads(threads) => {
                self.saved.threads = threads;
                self.saved = std::mem::take(&mut self.saved).sane();
                jobs::set_threads(self.saved.threads);
            }
            Action::SetSampleLimit(limit) => self.set_sample_limit(limit),
            Action::CompareWith(path) => self.compare_with(path),
            Action::DismissExport => self.with_open(|open| open.exported = None),
            Action::Export { kind, path } => self.start_export(kind, path),
            Action::Cancel(id) => self.jobs.cancel(id),
            Action::Retry => self.with_open(OpenNetwork::retry),
            Action::Report(text) => self.messages.refuse(text),
            Action::Note(text) => self.messages.note(text),
            Action::Write { path, contents } => self.write(path, contents),
            Action::ClearMessages => self.messages.clear(),
            Action::ClearRecent => self.saved.recent.clear(),
        }
        self.advance();
    }

    /// A file was written.
    pub(super) fn wrote(&mut self, path: PathBuf) {
        let text = format!("Wrote {}", path.display());
        self.messages.push(Message::new(Level::Info, Event::Wrote(path), text));
    }

    fn with_open(&mut self, change: impl FnOnce(&mut OpenNetwork)) {
        if let Some(open) = &mut self.open {
            change(open);
        }
    }

    fn with_history(&mut self, change: impl FnOnce(&mut History<Recipe>)) {
        self.with_open(|open| change(&mut open.history));
    }

    fn try_picture(&mut self, path: PathBuf) {
        let why = self
            .open
            .as_ref()
            .map(|open| open.original.network.why_not_runnable.clone());
        match why {
            Some(None) => self.with_open(|open| open.trials.ask(path)),
            Some(Some(why)) => {
                let text = format!("{}: the network can't be run: {why}", path.display());
                self.messages.refuse(text);
            }
            None => {
                let text = "Nothing is open: open a model first, then drop pictures on it";
                self.messages.warn(text);
            }
        }
    }

    fn edit_recipe(&mut self, recipe: Recipe, gesture: bool) {
        // It does not equal itself: no result would ever be the one for it, and all would be computed again and again.
        if recipe != recipe.clone() {
            let text = "A setting that is not a number (NaN) was not taken";
            self.messages.warn(text);
            return;
        }
        self.with_history(|history| history.edit(recipe, gesture));
    }

    fn set_sample_limit(&mut self, limit: usize) {
        let data = self.open.as_ref().and_then(OpenNetwork::data);
        if data.is_some_and(|data| data.is_text()) {
            self.saved.token_limit = Some(limit.max(1));
        } else {
            self.saved.sample_limit = limit.max(1);
        }
    }
}
