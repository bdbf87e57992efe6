//! What follows from what: which result is missing, and the job that makes it.
//!
//! The selected layer and the plan are coalesced: a running job ends first, then the newest values are taken, so that a
//! dragged slider shows results on its way. Evaluations take longer: the newest wins and older ones are cancelled.

use super::Session;
use super::layer_details;
use super::layer_view::LayerView;
use super::open::OpenNetwork;
use super::start::plain;
use super::work::{self, EvaluationInputs, Kind, Output};
use super::{against, comparison, continuation, curves, on_request, trial};
use crate::inference::incremental::Keep;
use crate::jobs::{JobError, Jobs};
use crate::quantization::Bits;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Rest of the hand before an evaluation begins.
const SETTLE: Duration = Duration::from_millis(120);
/// An evaluation that takes longer is not repeated for the plain bits.
const CHEAP: Duration = Duration::from_secs(30);

impl Session {
    /// Starts the jobs for whatever is missing.
    pub(super) fn advance(&mut self) {
        let sigma = self.saved.sigma;
        let limit = self.limit();
        let Some(open) = &mut self.open else { return };
        let jobs = &mut self.jobs;
        measure(open, jobs, sigma);
        prepare(open, jobs, sigma);
        recount(open, jobs, sigma);
        view(open, jobs);
        layer_details::start(open, jobs);
        plan(open, jobs);
        engine(open, jobs);
        data(open, jobs);
        float_outputs(open, jobs, limit);
        suggest(open, jobs, limit);
        calibrate(open, jobs);
        evaluate(open, jobs, limit);
        evaluate_plain(open, jobs, limit);
        if self.watched.error_curves {
            curves::start(open, jobs);
        }
        if let Some(sides) = self.watched.comparison {
            comparison::start(open, jobs, sides);
        }
        if self.watched.continuation {
            continuation::start(open, jobs);
        }
        trial::start(open, jobs);
        against::start(open, jobs);
        let model = open
            .original
            .network
            .path
            .as_ref()
            .map(|path| path.display().to_string());
        let model = model.unwrap_or_else(|| open.original.network.name.clone());
        on_request::start(open, jobs, limit, &model);
        open.complete_snapshots(limit);
    }
}

pub(super) type Queue = Jobs<Kind, Output>;

/// Reads the weights of a network that was too large to do so before it was shown; facts come by a channel as they are
/// known.
fn measure(open: &mut OpenNetwork, jobs: &mut Queue, sigma: f64) {
    if open.original.is_complete() || !open.measured.lacks(&()) {
        return;
    }
    open.measured.begin(());
    let (sender, receiver) = channel();
    open.arriving = Some(receiver);
    let (analysis, selected) = (open.original.clone(), Arc::clone(&open.wanted));
    jobs.start(Kind::Measure, "Reading weights", move |progress| {
        analysis.stream(sigma, &selected, &sender, progress)?;
        Ok(Output::Measured)
    });
}

fn prepare(open: &mut OpenNetwork, jobs: &mut Queue, sigma: f64) {
    if let Some(key) = open.lacks_preparation() {
        open.prepared.begin(key);
        let original = open.original.clone();
        let recipe = open.recipe().clone();
        let title = if key.equalize {
            "Equalizing layers"
        } else {
            "Folding batch-norm"
        };
        jobs.start(Kind::Prepare, title, move |progress| {
            work::prepare_network(&original, &recipe, sigma, progress)
        });
    }
}

fn recount(open: &mut OpenNetwork, jobs: &mut Queue, sigma: f64) {
    let key = sigma.to_bits();
    if open.recount.latest().is_none() && open.recount.running().is_none() {
        // The counts that came with the opening are for the sigma of that moment.
        open.recount.put(key, ());
    }
    // Reading and preparation must be through, or their counts would be lost.
    let settled = open.prepared.running().is_none() && open.measured.running().is_none();
    if open.recount.lacks(&key) && settled {
        open.recount.begin(key);
        let original = open.original.clone();
        let prepared = open.prepared.latest().map(|(key, analysis)| (*key, analysis.clone()));
        jobs.start(Kind::Recount, "Counting outliers", move |progress| {
            let prepared = match prepared {
                Some((key, analysis)) => Some((key, analysis.recount(sigma, progress)?)),
                None => None,
            };
            Ok(Output::Recounted(original.recount(sigma, progress)?, prepared))
        });
    }
}

fn view(open: &mut OpenNetwork, jobs: &mut Queue) {
    let Some(analysis) = open.analysis().filter(|analysis| !analysis.layers.is_empty()) else {
        return;
    };
    let key = open.view_key();
    let pending = analysis.layers.get(key.layer).is_some_and(|facts| facts.pending);
    if pending || jobs.is_running(Kind::LayerView) || !open.view.lacks(&key) {
        return;
    }
    let analysis = analysis.clone();
    let previous = open.view.latest().map(|(key, view)| (key.clone(), view.clone()));
    let title = format!("Looking at {}", analysis.network.layers[key.layer].name);
    open.view.begin(key.clone());
    jobs.start(Kind::LayerView, title, move |progress| {
        let previous = previous.as_ref().map(|(key, view)| (key, view));
        let view = LayerView::compute(&analysis, &key, previous, progress)?;
        Ok(Output::LayerView(view))
    });
}

fn plan(open: &mut OpenNetwork, jobs: &mut Queue) {
    let key = open.plan_key();
    let Some(analysis) = open.analysis() else { return };
    if open.is_too_large_to_plan() || jobs.is_running(Kind::Plan) || !open.plan.lacks(&key) {
        return;
    }
    let network = Arc::clone(&analysis.network);
    let calibration = open.calibration().cloned();
    let shapes = open.shapes.as_ref().map(|(_, shapes)| Arc::clone(shapes));
    open.plan.begin(key.clone());
    jobs.start(Kind::Plan, "Planning all layers", move |progress| {
        let activations = calibration.as_deref().map(|calibration| &calibration.activations);
        work::make_plan(&network, &key.recipe, activations, shapes.as_deref(), progress)
    });
}

fn engine(open: &mut OpenNetwork, jobs: &mut Queue) {
    if open.original.network.why_not_runnable.is_none() && open.engine.lacks(&()) {
        open.engine.begin(());
        let network = Arc::clone(&open.original.network);
        jobs.start(Kind::Engine, "Loading the engine", move |progress| {
            work::load_engine(&network, progress)
        });
    }
}

fn data(open: &mut OpenNetwork, jobs: &mut Queue) {
    let Some(engine) = open.engine.for_key(&()).cloned() else {
        return;
    };
    let Some((path, options)) = open.data_request.take() else {
        return;
    };
    let previous = open
        .data_read()
        .map(|(path, options, data)| work::OpenData { data, path, options });
    open.data_opened = Some((path.clone(), options.clone()));
    let key = open.next_generation();
    open.data.begin(key);
    let network = Arc::clone(&open.original.network);
    jobs.start(Kind::LoadData, format!("Opening {path}"), move |progress| {
        work::load_data(&path, &options, previous.as_ref(), &network, &engine, progress)
    });
}

fn float_outputs(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let Some((data_key, data)) = open.data_with_key() else {
        return;
    };
    let data = Arc::clone(data);
    let Some(engine) = open.engine.for_key(&()).cloned() else {
        return;
    };
    let key = (data_key, limit);
    if open.float.lacks(&key) {
        open.float.begin(key);
        jobs.start(Kind::FloatOutputs, "Running the float network", move |progress| {
            work::run_float(&engine, &data, limit, progress)
        });
    }
}

/// Looks into a float network that does no better than guessing, once for each data.
fn suggest(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let (Some((data_key, data)), Some(engine)) = (open.data_with_key(), open.engine.for_key(&())) else {
        return;
    };
    let Some(float) = open.float.for_key(&(data_key, limit)) else {
        return;
    };
    let Some((_, options)) = open.data_opened.clone().filter(|_| open.data.running().is_none()) else {
        return;
    };
    if !open.suggestions.lacks(&data_key) {
        return;
    }
    let (data, engine, float) = (Arc::clone(data), Arc::clone(engine), Arc::clone(float));
    let network = Arc::clone(&open.original.network);
    open.suggestions.begin(data_key);
    jobs.start(Kind::Suggest, "Trying ways to read the pictures", move |progress| {
        work::suggest(&engine, &data, &options, &network, &float, progress)
    });
}

fn calibrate(open: &mut OpenNetwork, jobs: &mut Queue) {
    if !open.wants_activations && !open.recipe().needs_activations() {
        return;
    }
    // Without the engine's word that it can run the network nothing else is tried; and data that are on their way may be
    // what is wanted.
    if open.engine.for_key(&()).is_none() || open.data_request.is_some() || open.data.running().is_some() {
        return;
    }
    let key = open.calibration_key();
    let Some(analysis) = open.analysis().filter(|_| open.calibration.lacks(&key)) else {
        return;
    };
    let network = Arc::clone(&analysis.network);
    let data = open.data().cloned();
    open.calibration.begin(key);
    jobs.start(Kind::Calibrate, "Measuring activations", move |progress| {
        let calibration = work::calibrate_on(&network, key.source, data.as_deref(), progress)?;
        Ok(Output::Calibrated(calibration))
    });
}

fn evaluate(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let Some(key) = open.evaluation_key(limit) else { return };
    if open.evaluation.running().is_some_and(|running| *running != key) {
        jobs.replace(Kind::Evaluate);
        open.evaluation.abandon();
    }
    if !open.evaluation.lacks(&key) {
        return;
    }
    if let Some(evaluated) = open.kept.get(&key).cloned() {
        open.evaluation.put(key, evaluated);
        return;
    }
    let Some(inputs) = inputs(open, limit) else { return };
    let title = format!("Evaluating {}", bits_title(key.recipe.weight_bits));
    open.evaluation.begin(key);
    jobs.start(Kind::Evaluate, title, move |progress| {
        work::settle(progress, SETTLE)?;
        // The next value of a slider that is being dragged begins where this one differs from the last.
        work::run_quantized(&inputs, Keep::BeforeChange, progress)
    });
}

/// What an evaluation of the present recipe needs, once it is all there.
fn inputs(open: &OpenNetwork, limit: usize) -> Option<EvaluationInputs> {
    if open.lacks_calibration() {
        return None;
    }
    let (data_key, data) = open.data_with_key()?;
    Some(EvaluationInputs {
        network: Arc::clone(&open.analysis()?.network),
        plan: Arc::clone(&open.plan.for_key(&open.plan_key())?.plan),
        data: Arc::clone(data),
        between: Arc::clone(open.between.as_ref()?),
        float: Arc::clone(open.float.for_key(&(data_key, limit))?),
        limit,
    })
}

fn evaluate_plain(open: &mut OpenNetwork, jobs: &mut Queue, limit: usize) {
    let Some(present) = open.evaluation_key(limit) else {
        return;
    };
    let mut key = present.clone();
    key.recipe = plain(&present.recipe);
    key.calibration = key.calibration.filter(|_| key.recipe.needs_activations());
    if open.plain.running().is_some_and(|running| *running != key) {
        jobs.replace(Kind::EvaluatePlain);
        open.plain.abandon();
    }
    // It comes after the evaluation that was asked for, and only where that was quick.
    let Some(evaluated) = open.evaluation.for_key(&present).cloned() else {
        return;
    };
    if !open.plain.lacks(&key) {
        return;
    }
    if key == present {
        open.plain.put(key, evaluated);
        return;
    }
    if let Some(evaluated) = open.kept.get(&key).cloned() {
        open.plain.put(key, evaluated);
        return;
    }
    if open.evaluation_time > CHEAP {
        return;
    }
    let Some(mut inputs) = inputs(open, limit) else { return };
    let calibration = open.calibration().cloned();
    let title = format!("Evaluating plain {}", bits_title(key.recipe.weight_bits));
    open.plain.begin(key.clone());
    jobs.start(Kind::EvaluatePlain, title, move |progress| {
        work::settle(progress, SETTLE)?;
        let activations = calibration.as_deref().map(|calibration| &calibration.activations);
        match work::make_plan(&inputs.network, &key.recipe, activations, None, progress)? {
            Output::Planned(planned) => inputs.plan = planned.plan,
            _ => return Err(JobError::Failed("no plan".to_owned())),
        }
        work::run_quantized(&inputs, Keep::Nothing, progress)
    });
}

fn bits_title(bits: Bits) -> String {
    match bits {
        Bits::Grid(bits) => format!("{bits} bits"),
        Bits::Float => "float weights".to_owned(),
    }
}
