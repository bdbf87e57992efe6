//! What is open now and what is known of it: network, recipe, data, results; actions, undo. Knows no window.
//!
//! [`Session::act`] takes what a person asks for, [`Session::poll`] takes what the jobs have brought; both end in
//! `Session::advance`, which looks at what is missing for the current network, recipe and data and starts the jobs for it.
//! Each derived result is one entry of a registry and has a [`Slot`]: the newest stays visible while a newer one is made.
//!
//! # Example
//!
//! ```
//! use splitscope::jobs::Waker;
//! use splitscope::session::{Action, Saved, Session};
//! use std::time::Duration;
//!
//! let mut session = Session::new(Waker::none(), Saved::default());
//! session.act(Action::SetSampleLimit(50));
//! session.act(Action::Open("demo:fashion".into()));
//! assert!(session.wait_until_idle(Duration::from_secs(120)));
//! let evaluated = session.open().and_then(|open| open.evaluated());
//! assert_eq!(evaluated.map(|(_, evaluated)| evaluated.evaluation.samples), Some(50));
//! ```

mod act;
mod action;
mod against;
mod analysis;
mod cards;
mod choosing;
mod comparison;
mod continuation;
mod curing;
mod curves;
mod derived;
mod discard;
mod drawing;
mod embedded;
mod exported;
mod files;
mod history;
mod input_channels;
mod keys;
mod layer_details;
mod layer_view;
mod made_up;
mod massive;
mod measure;
mod measured;
mod memory;
mod messages;
mod on_request;
mod open;
mod order;
mod presets;
mod preview;
mod remembered;
mod reporting;
mod results;
mod resume;
mod running;
mod saved;
mod snapshots;
mod start;
mod sweeping;
mod tracing;
mod trial;
mod weights;
mod window_memory;
mod work;
mod writing;

#[cfg(test)]
mod tests;

pub use action::{Action, ExportKind, Watched};
pub use against::Against;
pub use analysis::{Analysis, LayerFacts, NoStatistics};
pub use cards::{CARD_BINS, CardErrors, Cards, LayerCard, NoCard};
pub use choosing::AutoKey;
pub use comparison::{ComparedLayer, Comparison, ComparisonKey};
pub use continuation::{FloatTextKey, Prompt, QuantizedTextKey};
pub use curing::{CureKey, MendKey};
pub use curves::ErrorCurvesKey;
pub use derived::Slot;
pub use drawing::{Drawing, DrawnNode, Placement};
pub use exported::Exported;
pub use history::History;
pub use input_channels::InputChannelsKey;
pub use keys::{
    CalibrationChoice, CalibrationKey, CalibrationSource, EvaluationKey, PlanKey, PrepareKey, RunState, SmoothKey,
};
pub use layer_details::{ClipMark, Heat, InputDetails, LayerDetails, LayerDetailsKey};
pub use layer_view::{
    After, LayerView, LayerViewKey, Members, STACKED, StackedChannel, Staircase, ViewError, whole_range,
};
pub use massive::MassiveFound;
pub use memory::{Memory, set_aside};
pub use messages::{Event, Level, Message, Messages};
pub use on_request::MOST_SETTINGS;
pub use open::OpenNetwork;
pub use order::{LayerOrder, OrderKey};
pub use preview::{Preview, answers, row};
pub use resume::Last;
pub use saved::Saved;
pub use snapshots::{LayerSummary, PlanSummary, Side, Snapshot, Snapshots};
pub use start::start_recipe;
pub use sweeping::{Sweep, SweepKey};
pub use tracing::TRACE_SAMPLES;
pub use trial::{Trial, Trials};
pub use window_memory::{WINDOW_MEMORY, check_window_memory};
pub use work::{Evaluated, Kind, Planned};
pub use writing::Contents;

use crate::format::demo::Demo;
use crate::inference::{DataOptions, noise_warning};
use crate::jobs::{self, Finished, JobError, Running, Waker};
use crate::quantization::{PresetError, Recipe, UserPresets};
use derived::{Queue, REGISTRY, Wanted};
use remembered::Remembered;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use work::Output;

/// All that is open, known and under way.
pub struct Session {
    jobs: Queue,
    /// What is remembered from one start to the next.
    pub saved: Saved,
    messages: Messages,
    open: Option<OpenNetwork>,
    /// The model being opened.
    opening: Option<PathBuf>,
    /// A recipe that waits for a network to be opened.
    pending_recipe: Option<(String, Recipe)>,
    /// Data that wait for a network to be opened.
    pending_data: Option<(String, DataOptions)>,
    /// The layer to be selected once a network is open, by name.
    pending_layer: Option<String>,
    /// Models that were open before.
    remembered: Remembered,
    /// What is in sight.
    watched: Watched,
    /// Where recipes are saved by name, or why they cannot be.
    presets: Result<UserPresets, PresetError>,
    /// The names there.
    preset_names: Vec<String>,
    /// Counts the files that were to be written.
    files_written: u64,
}

impl Session {
    /// Nothing open yet. `waker` is called from other threads when [`Session::poll`] would find something.
    /// The remembered number of threads counts for the whole program from here on.
    pub fn new(waker: Waker, saved: Saved) -> Self {
        let saved = saved.sane();
        jobs::set_threads(saved.threads);
        Self {
            jobs: Queue::new(waker).with_check(work::check_files),
            saved,
            messages: Messages::default(),
            open: None,
            opening: None,
            pending_recipe: None,
            pending_data: None,
            pending_layer: None,
            remembered: Remembered::default(),
            watched: Watched::default(),
            presets: UserPresets::of_user(),
            preset_names: Vec::new(),
            files_written: 0,
        }
    }

    /// Takes the results of jobs that have ended and starts what follows from them. Call it whenever the waker was called.
    /// Tells whether anything has changed.
    pub fn poll(&mut self) -> bool {
        let finished = self.jobs.poll();
        // Before the end of their job is taken: by then all pieces were sent.
        let arrived = self.open.as_mut().is_some_and(OpenNetwork::take_arrived);
        let changed = arrived || !finished.is_empty();
        for job in finished {
            self.take(job);
        }
        if changed {
            self.advance();
        }
        changed
    }

    /// Starts the jobs for whatever is missing.
    fn advance(&mut self) {
        let wanted = Wanted {
            sigma: self.saved.sigma,
            limit: self.limit(),
            watched: self.watched.clone(),
        };
        let Some(open) = &mut self.open else { return };
        for entry in &REGISTRY {
            (entry.start)(open, &mut self.jobs, &wanted);
        }
        open.complete_snapshots(wanted.limit);
    }

    /// Polls until no job is under way; `false` when that takes longer than `limit`. For programs without a window.
    pub fn wait_until_idle(&mut self, limit: Duration) -> bool {
        let started = Instant::now();
        loop {
            self.poll();
            if self.is_idle() {
                return true;
            }
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The open network with all that is known of it.
    pub fn open(&self) -> Option<&OpenNetwork> {
        self.open.as_ref()
    }

    /// The model being opened, if one is.
    pub fn opening(&self) -> Option<&Path> {
        self.opening.as_deref()
    }

    /// Samples (of text: tokens) that are run at most.
    pub fn limit(&self) -> usize {
        let reads_text = |open: &&OpenNetwork| open.data().is_some_and(|data| data.is_text());
        match self.open.as_ref().filter(reads_text) {
            Some(open) => self.saved.token_limit.unwrap_or(open.usual_tokens),
            None => self.saved.sample_limit,
        }
    }

    /// The jobs under way, oldest first.
    pub fn running(&self) -> Vec<Running<Kind>> {
        self.jobs.running()
    }

    /// Those that a person is told of, oldest first.
    pub fn announced(&self) -> Vec<Running<Kind>> {
        let mut running = self.running();
        running.retain(|job| job.kind.is_announced());
        running
    }

    /// The job of that kind, if one is under way.
    pub fn job(&self, kind: Kind) -> Option<Running<Kind>> {
        self.running().into_iter().find(|job| job.kind == kind)
    }

    /// Whether no job is under way.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_idle()
    }

    /// What the session had to say, oldest first.
    pub fn messages(&self) -> &[Message] {
        self.messages.all()
    }

    /// A network was opened: everything that belonged to the old one goes.
    fn take_network(&mut self, analysis: Analysis) {
        let path = self.opening.take().unwrap_or_default();
        let demo = path.to_str().and_then(Demo::from_name);
        for entry in &REGISTRY {
            self.jobs.replace(entry.kind);
        }
        self.warn_of_not_finite(&analysis);
        let count = analysis.network.layers.len();
        let network = &analysis.network;
        let recognised = network
            .architecture
            .as_ref()
            .map_or_else(String::new, |name| format!(", as {name}"));
        let text = format!("Opened {}{recognised}: {count} layers", network.name);
        self.messages.push(Message::new(Level::Info, Event::Opened, text));
        for note in &network.notes {
            let text = format!("{}: {note}", network.name);
            self.messages.warn(text);
        }
        if demo.is_none() {
            self.saved.remember(&path);
        }
        let mut open = OpenNetwork::new(analysis, demo);
        open.foreground = self.jobs.foreground();
        if open.is_too_large_to_plan() {
            let text = "The network is large: the selected layer follows the recipe, all others do when you export";
            self.messages.note(text);
        }
        if let Some((path, options)) = self.pending_data.take() {
            open.request_data(path, options);
        } else if let Some(demo) = demo {
            open.request_data(demo.name().to_owned(), DataOptions::default());
        }
        if let Some(mut old) = self.open.take() {
            self.remembered.keep(&mut old);
            discard::discard(old);
        }
        self.remembered.give_back(&mut open);
        self.open = Some(open);
        if let (Some(name), Some(open)) = (self.pending_layer.take(), &mut self.open)
            && let Some(layer) = open.original.network.layer_index(&name)
        {
            open.select(layer);
        }
        if let Some((name, recipe)) = self.pending_recipe.take() {
            self.take_recipe(name, recipe);
        }
    }

    /// Tells what is notable of data that were opened.
    fn warn_of_data(&mut self) {
        let Some(data) = self.open.as_ref().and_then(|open| open.data().cloned()) else {
            return;
        };
        for note in data.notes() {
            let text = format!("{}: {note}", data.name());
            self.messages.warn(text);
        }
    }

    /// Tells which inputs go on a grid whose range came from noise.
    fn warn_of_noise(&mut self) {
        let Some(open) = self.open.as_ref().filter(|open| open.recipe().quantizes_activations()) else {
            return;
        };
        let (Some(analysis), Some(calibration)) = (open.analysis(), open.calibration()) else {
            return;
        };
        if let Some(warning) = noise_warning(&analysis.network, &calibration.activations) {
            let text = format!("{}: {warning}; choose data to measure it on", analysis.network.name);
            self.messages.warn(text);
        }
    }

    fn warn_of_not_finite(&mut self, analysis: &Analysis) {
        for (layer, nan, infinite) in analysis.not_finite() {
            let name = &analysis.network.layers[layer].name;
            let text = format!(
                "Layer '{name}' holds {nan} NaN and {infinite} infinite weights; they are left out of its numbers"
            );
            self.messages.warn(text);
        }
    }

    /// A recipe was read; `name` is its file or its preset.
    fn take_recipe(&mut self, name: String, recipe: Recipe) {
        let Some(open) = self.open.as_mut().filter(|_| self.opening.is_none()) else {
            self.pending_recipe = Some((name, recipe));
            return;
        };
        match recipe.check(&open.original.network) {
            Ok(()) => {
                open.history.edit(recipe, false);
                let text = format!("Recipe {} applied", display_name(Path::new(&name)));
                self.messages.note(text);
            }
            Err(reason) => {
                let text = format!("{name}: {reason}");
                self.messages.refuse(text);
            }
        }
    }

    fn take(&mut self, job: Finished<Kind, Output>) {
        match job.result {
            Ok(Output::Opened(analysis)) => self.take_network(analysis),
            Ok(Output::Recipe(name, recipe)) => self.take_recipe(name, *recipe),
            Ok(Output::Presets(names, done)) => {
                self.preset_names = names;
                if let Some(text) = done {
                    self.messages.note(text);
                }
            }
            Ok(Output::Wrote(path)) => {
                if let Some(open) = self.open.as_mut().filter(|_| job.kind == Kind::Export) {
                    open.was_exported(&path);
                }
                self.wrote(path);
            }
            Ok(Output::Derived(deliver)) => {
                if let Some(open) = &mut self.open {
                    deliver(open, job.elapsed);
                }
                match job.kind {
                    Kind::LoadData => self.warn_of_data(),
                    Kind::Calibrate => self.warn_of_noise(),
                    Kind::Measure => {
                        if let Some(analysis) = self.open.as_ref().map(|open| open.original.clone()) {
                            self.warn_of_not_finite(&analysis);
                        }
                    }
                    _ => {}
                }
            }
            Err(error) => {
                if job.kind == Kind::Open {
                    self.opening = None;
                }
                if let Some(open) = &mut self.open {
                    open.fail(job.kind, &error);
                }
                let text = format!("{}: {error}", job.title);
                let (level, event) = if error == JobError::Cancelled {
                    (Level::Info, Event::Cancelled(job.kind))
                } else if job.kind == Kind::LayerOrder && matches!(error, JobError::Failed(_)) {
                    // Nobody asked for it.
                    (Level::Warning, Event::Failed(job.kind))
                } else {
                    (Level::Error, Event::Failed(job.kind))
                };
                let detail = self.detail(&text);
                self.messages.push(Message::new(level, event, text).with_detail(detail));
            }
        }
    }

    /// A message with what a report needs besides.
    fn detail(&self, text: &str) -> String {
        let network = self
            .open
            .as_ref()
            .map_or("nothing open", |open| open.original.network.name.as_str());
        let recipe = self
            .open
            .as_ref()
            .and_then(|open| open.recipe().to_toml().ok())
            .unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        format!(
            "{text}\n\nSplitscope {version} · {}\nnetwork: {network}\nrecipe:\n{recipe}",
            std::env::consts::OS
        )
    }
}

/// The last part of a path, for a title.
fn display_name(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
