//! The report of the present recipe, written by a job: with the numbers that were measured, and without new runs.

use super::keys::CalibrationSource;
use super::open::OpenNetwork;
use super::work::{self, Output};
use crate::inference::sweep::SweepRow;
use crate::inference::{Calibration, Pipeline, RANGES_WITHOUT_DATA};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Recipe, ValueShapes, overhead};
use crate::replacement::replace_file;
use crate::report::{Accuracy, Report, Subject};
use std::path::PathBuf;
use std::sync::Arc;

/// What a report needs.
pub(super) struct ReportInputs {
    original: Arc<Network>,
    /// The network that the recipe asks for (folded, equalized).
    network: Arc<Network>,
    recipe: Recipe,
    calibration: Option<Arc<Calibration>>,
    shapes: Option<Arc<ValueShapes>>,
    accuracy: Option<Accuracy>,
    ranges: Option<String>,
    sweep: Vec<SweepRow>,
    sigma: f64,
    path: PathBuf,
}

impl ReportInputs {
    /// What is known of the open network now; `network` is prepared as the recipe says. What was not run is left out.
    pub(super) fn of(open: &OpenNetwork, network: Arc<Network>, limit: usize, sigma: f64, path: PathBuf) -> Self {
        let key = open.evaluation_key(limit);
        let evaluated = key.as_ref().and_then(|key| open.evaluation(key));
        let accuracy = evaluated.zip(open.data()).map(|(evaluated, data)| Accuracy {
            data: format!("{} · {}", data.name(), data.preprocessing()),
            is_text: data.is_text(),
            recipe: evaluated.evaluation.clone(),
            plain: open.plain_evaluated().map(|plain| plain.evaluation.clone()),
        });
        let calibration = open
            .calibration()
            .filter(|_| open.recipe().needs_activations())
            .cloned();
        let ranges = calibration.as_ref().map(|calibration| match open.calibration_source() {
            CalibrationSource::DataFree => RANGES_WITHOUT_DATA.to_owned(),
            CalibrationSource::Demo(_) | CalibrationSource::Data(_) | CalibrationSource::Set(_) => {
                format!("{} samples of {}", calibration.samples, calibration.data_name)
            }
        });
        Self {
            original: Arc::clone(&open.original.network),
            network,
            recipe: open.recipe().clone(),
            calibration,
            shapes: open.shapes(),
            accuracy,
            ranges,
            sweep: open.sweep.rows().to_vec(),
            sigma,
            path,
        }
    }
}

/// Plans the recipe, gathers the report and writes its page.
pub(super) fn write(inputs: &ReportInputs, progress: &Progress) -> Result<Output, JobError> {
    let activations = inputs
        .calibration
        .as_deref()
        .map(|calibration| &calibration.activations);
    let plan = Pipeline::new(&inputs.network, activations).plan(&inputs.recipe, progress)?;
    let overhead = overhead(&inputs.network, &plan, inputs.shapes.as_deref());
    let subject = Subject {
        original: &inputs.original,
        network: &inputs.network,
        plan: &plan,
        overhead: &overhead,
        accuracy: inputs.accuracy.as_ref(),
        ranges: inputs.ranges.as_deref(),
        sweep: &inputs.sweep,
        sigma: inputs.sigma,
    };
    let page = Report::gather(&subject, progress)?.page();
    progress.check()?;
    let fault = |error: std::io::Error| work::failed(format!("{}: {error}", inputs.path.display()));
    replace_file(&inputs.path, page.as_bytes()).map_err(fault)?;
    Ok(Output::Wrote(inputs.path.clone()))
}
