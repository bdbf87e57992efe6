//! What running the network tells: the engine, data, the float network's outputs, ranges, the recipe's outputs.

use super::derived::{Derived, Wanted, Work};
use super::keys::{CalibrationKey, EvaluationKey};
use super::open::OpenNetwork;
use super::weights::Planning;
use super::work::{self, Evaluated, EvaluationInputs, Kind, OpenData};
use crate::inference::incremental::{Incremental, Keep};
use crate::inference::{AtChance, Calibration, Dataset, Engine, Outputs, run_outputs};
use crate::quantization::{Bits, ValueShapes};
use std::sync::Arc;
use std::time::Duration;

/// Debounce before evaluating.
const SETTLE: Duration = Duration::from_millis(120);
/// An evaluation that takes longer is not repeated for the plain bits.
const CHEAP: Duration = Duration::from_secs(30);
/// Results of evaluations kept, so that undo shows its numbers at once.
const KEPT: usize = 8;
/// Most bytes of values between the layers that are kept from one evaluation to the next.
const MAX_BETWEEN: usize = Incremental::<Arc<Dataset>>::MOST_BYTES;

/// The float network in the engine.
pub(super) struct EngineLoaded;

impl Derived for EngineLoaded {
    type Key = ();
    type Value = (Arc<dyn Engine>, Option<Arc<ValueShapes>>);
    const KIND: Kind = Kind::Engine;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<()> {
        open.original.network.why_not_runnable.is_none().then_some(())
    }

    fn compute(open: &mut OpenNetwork, (): &(), _: &Wanted) -> Option<Work<Self::Value>> {
        let network = Arc::clone(&open.original.network);
        Some(Work::new("Loading the engine", move |progress| {
            work::load_engine(&network, progress)
        }))
    }
}

/// The data that were asked for last.
pub(super) struct Opened;

impl Derived for Opened {
    /// The number of the request.
    type Key = u64;
    type Value = OpenData;
    const KIND: Kind = Kind::LoadData;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<u64> {
        open.data_wanted.as_ref().map(|wanted| wanted.number)
    }

    fn compute(open: &mut OpenNetwork, _: &u64, _: &Wanted) -> Option<Work<OpenData>> {
        let engine = open.engine()?;
        let wanted = open.data_wanted.clone()?;
        let previous = open.slots.of::<Self>().latest().map(|(_, data)| data.clone());
        let network = Arc::clone(&open.original.network);
        let title = format!("Opening {}", wanted.path);
        Some(Work::new(title, move |progress| {
            work::load_data(&wanted, previous.as_ref(), &network, &engine, progress)
        }))
    }

    fn take(open: &mut OpenNetwork, data: OpenData, _: Duration) {
        // What is known between the layers is of the samples before.
        open.between = Some(Arc::new(Incremental::new(Arc::clone(&data.data), MAX_BETWEEN)));
        open.slots.of_mut::<Self>().finish(data, Self::KEPT);
    }
}

/// What the float network predicts.
pub(super) struct FloatRun;

impl Derived for FloatRun {
    /// Which data, and samples at most.
    type Key = (u64, usize);
    type Value = Arc<Outputs>;
    const KIND: Kind = Kind::FloatOutputs;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<(u64, usize)> {
        open.data_with_key().map(|(data, _)| (data, wanted.limit))
    }

    fn compute(open: &mut OpenNetwork, (_, limit): &(u64, usize), _: &Wanted) -> Option<Work<Arc<Outputs>>> {
        let (data, engine, limit) = (open.data()?.clone(), open.engine()?, *limit);
        Some(Work::new("Running the float network", move |progress| {
            Ok(Arc::new(run_outputs(&engine, &data, limit, progress)?))
        }))
    }
}

/// Looks into a float network that does no better than guessing, once for each data.
pub(super) struct Suggested;

impl Derived for Suggested {
    /// Which data.
    type Key = u64;
    type Value = Option<AtChance>;
    const KIND: Kind = Kind::Suggest;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<u64> {
        open.data_with_key().map(|(data, _)| data)
    }

    fn compute(open: &mut OpenNetwork, key: &u64, _: &Wanted) -> Option<Work<Self::Value>> {
        let (_, read) = open.slots.of::<Opened>().latest()?;
        let OpenData { data, options, .. } = read.clone();
        let ((of, _), float) = open.slots.of::<FloatRun>().latest()?;
        if of != key {
            return None;
        }
        let (engine, float) = (open.engine()?, Arc::clone(float));
        let network = Arc::clone(&open.original.network);
        Some(Work::new("Trying ways to read the pictures", move |progress| {
            work::suggest(&engine, &data, &options, &network, &float, progress)
        }))
    }
}

/// Ranges and histograms of the layers' inputs.
pub(super) struct Calibrated;

impl Derived for Calibrated {
    type Key = CalibrationKey;
    type Value = Arc<Calibration>;
    const KIND: Kind = Kind::Calibrate;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<CalibrationKey> {
        let wanted = open.wants_activations || open.recipe().needs_activations();
        // Without the engine's word that it can run the network nothing else is tried; and data that are on their way may
        // be what is wanted.
        (wanted && open.engine().is_some() && !open.awaits_data()).then(|| open.calibration_key())
    }

    fn compute(open: &mut OpenNetwork, key: &CalibrationKey, _: &Wanted) -> Option<Work<Arc<Calibration>>> {
        let network = Arc::clone(&open.analysis()?.network);
        let (data, source, set) = (open.data().cloned(), (key.source, key.moments), open.calibration_set());
        Some(Work::new("Measuring activations", move |progress| {
            work::calibrate_on(&network, source, &set, data.as_ref(), progress)
        }))
    }
}

/// What an evaluation of the current recipe needs, once it is all there.
fn inputs(open: &OpenNetwork, key: &EvaluationKey) -> Option<EvaluationInputs> {
    if open.lacks_calibration() {
        return None;
    }
    Some(EvaluationInputs {
        network: Arc::clone(&open.analysis()?.network),
        plan: Arc::clone(&open.slots.of::<Planning>().for_key(&open.plan_key())?.plan),
        data: Arc::clone(open.data()?),
        between: Arc::clone(open.between.as_ref()?),
        float: Arc::clone(open.slots.of::<FloatRun>().for_key(&(key.data, key.limit))?),
        limit: key.limit,
    })
}

/// The network under the current recipe.
pub(super) struct QuantizedRun;

impl Derived for QuantizedRun {
    type Key = EvaluationKey;
    type Value = Arc<Evaluated>;
    const KIND: Kind = Kind::Evaluate;
    const KEPT: usize = KEPT;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<EvaluationKey> {
        open.evaluation_key(wanted.limit)
    }

    fn known(open: &OpenNetwork, key: &EvaluationKey) -> Option<Arc<Evaluated>> {
        open.slots.of::<PlainRun>().for_key(key).cloned()
    }

    fn compute(open: &mut OpenNetwork, key: &EvaluationKey, _: &Wanted) -> Option<Work<Arc<Evaluated>>> {
        let inputs = inputs(open, key)?;
        let title = format!("Evaluating {}", bits_title(key.recipe.weight_bits));
        Some(Work::new(title, move |progress| {
            work::settle(progress, SETTLE)?;
            // The next value of a slider that is being dragged begins where this one differs from the last.
            work::run_quantized(&inputs, Keep::BeforeChange, progress)
        }))
    }

    fn take(open: &mut OpenNetwork, evaluated: Arc<Evaluated>, elapsed: Duration) {
        open.evaluation_time = elapsed;
        open.slots.of_mut::<Self>().finish(evaluated, Self::KEPT);
    }
}

/// The same bits without split and clip: the baseline.
pub(super) struct PlainRun;

impl Derived for PlainRun {
    type Key = EvaluationKey;
    type Value = Arc<Evaluated>;
    const KIND: Kind = Kind::EvaluatePlain;
    const KEPT: usize = KEPT;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<EvaluationKey> {
        let mut key = open.evaluation_key(wanted.limit)?;
        key.recipe = key.recipe.plain();
        key.calibration = key.calibration.filter(|_| key.recipe.needs_activations());
        Some(key)
    }

    fn known(open: &OpenNetwork, key: &EvaluationKey) -> Option<Arc<Evaluated>> {
        open.slots.of::<QuantizedRun>().for_key(key).cloned()
    }

    fn compute(open: &mut OpenNetwork, key: &EvaluationKey, _: &Wanted) -> Option<Work<Arc<Evaluated>>> {
        // It comes after the evaluation that was asked for, and only where that was quick.
        let current = open.evaluation_key(key.limit)?;
        open.slots.of::<QuantizedRun>().for_key(&current)?;
        if open.evaluation_time > CHEAP {
            return None;
        }
        let mut inputs = inputs(open, &current)?;
        let (calibration, recipe) = (open.calibration().cloned(), key.recipe.clone());
        let title = format!("Evaluating plain {}", bits_title(recipe.weight_bits));
        Some(Work::new(title, move |progress| {
            work::settle(progress, SETTLE)?;
            let activations = calibration.as_deref().map(|calibration| &calibration.activations);
            inputs.plan = work::make_plan(&inputs.network, &recipe, activations, None, progress)?.plan;
            work::run_quantized(&inputs, Keep::Nothing, progress)
        }))
    }
}

fn bits_title(bits: Bits) -> String {
    match bits {
        Bits::Grid(bits) => format!("{bits} bits"),
        Bits::Float => "float weights".to_owned(),
    }
}
