//! What reads or writes files: opening networks and recipes, exporting.

use super::work::{self, Output};
use super::{ExportKind, Kind, RunState, Session, display_name, reporting};
use crate::network::Network;
use crate::quantization::Recipe;
use std::path::PathBuf;
use std::sync::Arc;

impl Session {
    pub(super) fn start_opening(&mut self, path: PathBuf) {
        let sigma = self.saved.sigma;
        let title = format!("Opening {}", display_name(&path));
        self.opening = Some(path.clone());
        self.jobs
            .start(Kind::Open, title, move |progress| work::open(&path, sigma, progress));
    }

    pub(super) fn start_loading_recipe(&mut self, path: PathBuf) {
        let title = format!("Reading {}", display_name(&path));
        self.jobs.start(Kind::LoadRecipe, title, move |_| {
            let recipe = Recipe::load(&path).map_err(work::failed)?;
            Ok(Output::Recipe(path.display().to_string(), Box::new(recipe)))
        });
    }

    pub(super) fn start_export(&mut self, kind: ExportKind, path: PathBuf) {
        let Some(open) = &self.open else {
            let text = "Nothing is open, so there is nothing to export: open a model first";
            self.messages.warn(text);
            return;
        };
        let Some(analysis) = open.analysis() else {
            let text = "The network is still being prepared: export again in a moment";
            self.messages.warn(text);
            return;
        };
        if open.lacks_calibration() && kind != ExportKind::Recipe {
            let failure = open.calibration_failure().map(ToString::to_string);
            let text = match failure.or_else(|| open.original.network.why_not_runnable.clone()) {
                Some(reason) => format!("Activations cannot be measured, so set them to float to export: {reason}"),
                None => "Activations are still being measured: export again in a moment".to_owned(),
            };
            self.messages.warn(text);
            return;
        }
        let network = Arc::clone(&analysis.network);
        let limit = self.limit();
        if let Some(open) = &mut self.open {
            open.exports(kind, path.clone(), limit);
        }
        let Some(open) = &self.open else { return };
        if kind == ExportKind::Report {
            self.start_report(network, path);
            return;
        }
        let inputs = work::ExportInputs {
            network,
            recipe: open.recipe().clone(),
            calibration: open.calibration().cloned(),
            kind,
            path,
        };
        let title = format!("Writing {}", display_name(&inputs.path));
        self.jobs
            .start(Kind::Export, title, move |progress| work::export(&inputs, progress));
    }

    fn start_report(&mut self, network: Arc<Network>, path: PathBuf) {
        let (limit, sigma) = (self.limit(), self.saved.sigma);
        let Some(open) = &self.open else { return };
        if open.run_state(limit) == RunState::Waiting {
            let text = "The recipe is still being run: export the report in a moment, so that it tells the accuracy";
            self.messages.warn(text);
            return;
        }
        let title = format!("Writing {}", display_name(&path));
        let inputs = reporting::ReportInputs::of(open, network, limit, sigma, path);
        self.jobs
            .start(Kind::Export, title, move |progress| reporting::write(&inputs, progress));
    }
}
