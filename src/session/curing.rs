//! Why the selected layer hurts and what mends it, made while that is in sight; all worst layers fixed, on request.
//!
//! On the same samples as the order of layers.

use super::derived::{Derived, Wanted, Work};
use super::made_up::MadeUp;
use super::open::OpenNetwork;
use super::order::OrderKey;
use super::work::{self, Kind};
use crate::inference::sweep::SweepSubject;
use crate::inference::{
    Calibration, Cure, Dataset, Engine, Examination, InferenceError, Mended, mend, order_samples, run_outputs,
    worst_layers,
};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Recipe;
use std::sync::Arc;
use std::time::Duration;

/// Debounce before fixes are tried.
const SETTLE: Duration = Duration::from_millis(250);
/// Layers that are looked at when all are to be fixed.
const MAX_LAYERS: usize = 8;

/// What the cure of a layer is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct CureKey {
    /// Recipe and data.
    pub order: OrderKey,
    /// Position of the layer.
    pub layer: usize,
}

/// What a mended network is computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct MendKey {
    /// Recipe and data.
    pub order: OrderKey,
    /// Share of the quantized network's bytes that the fixes may add.
    pub within: f64,
}

impl OpenNetwork {
    fn cure_key(&self) -> CureKey {
        CureKey {
            order: self.order_key(),
            layer: self.selected(),
        }
    }

    /// Why the selected layer hurts and what was tried; `None` inside for a layer that stays float. Maybe of a slightly older
    /// recipe. Made while [`super::Watched::cure`] is set.
    pub fn cure(&self) -> Option<Option<&Cure>> {
        let slot = self.slots.of::<Cured>();
        let current = slot.for_key(&self.cure_key());
        let older = || slot.find(|key| key.layer == self.selected());
        current.or_else(older).map(Option::as_deref)
    }

    /// Whether that is for the current recipe and data.
    pub fn cure_is_current(&self) -> bool {
        self.slots.of::<Cured>().for_key(&self.cure_key()).is_some()
    }

    /// Why there is no cure of the selected layer.
    pub fn cure_failure(&self) -> Option<&JobError> {
        self.slots.of::<Cured>().failure(&self.cure_key())
    }

    /// What the last fixing of all layers gave, and from what.
    pub fn mended(&self) -> Option<(&MendKey, &Mended)> {
        self.slots
            .of::<Mending>()
            .latest()
            .map(|(key, mended)| (key, &**mended))
    }

    /// Why the last fixing of all layers gave nothing.
    pub fn mend_failure(&self) -> Option<&JobError> {
        self.slots.of::<Mending>().last_failure()
    }

    /// The worst layers are to be fixed within that share of bytes.
    pub(super) fn ask_to_mend(&mut self, within: f64) {
        if within.is_finite() {
            self.mend_within = Some(within.max(0.0));
            self.slots.of_mut::<Mending>().ask();
        }
    }

    fn examination_inputs(&self) -> Option<ExaminationInputs> {
        let (network, _) = self.current_plan()?;
        let has_data = self.order_key().data.is_some();
        Some(ExaminationInputs {
            network,
            original: Arc::clone(&self.original.network),
            made_up: self.made_up.clone(),
            engine: self.engine()?,
            recipe: self.recipe().clone(),
            data: self.data().filter(|_| has_data).cloned(),
            calibration: self
                .calibration()
                .filter(|_| self.recipe().needs_activations())
                .cloned(),
        })
    }
}

/// All that an examination needs, taken along by a job.
struct ExaminationInputs {
    network: Arc<Network>,
    /// The network that inputs are made up for.
    original: Arc<Network>,
    made_up: MadeUp,
    engine: Arc<dyn Engine>,
    recipe: Recipe,
    /// Without, inputs are made up.
    data: Option<Arc<Dataset>>,
    calibration: Option<Arc<Calibration>>,
}

impl ExaminationInputs {
    fn examine<T>(
        &self,
        progress: &Progress,
        look: impl FnOnce(&SweepSubject<'_>, &Examination<'_>) -> Result<T, InferenceError>,
    ) -> Result<T, InferenceError> {
        let data = match &self.data {
            Some(data) => Arc::clone(data),
            None => self
                .made_up
                .data(&self.original, &self.engine, &mut || Ok(()), &progress.part())?,
        };
        let float = run_outputs(&self.engine, &data, order_samples(&data), &progress.part())?;
        let subject = SweepSubject {
            network: &self.network,
            activations: self.calibration.as_deref().map(|known| &known.activations),
            shapes: None,
            data: &data,
            float: &float,
        };
        look(&subject, &Examination::new(&subject, &self.recipe, progress)?)
    }
}

/// The cure of the selected layer.
pub(super) struct Cured;

impl Derived for Cured {
    type Key = CureKey;
    /// `None` for a layer that stays float.
    type Value = Option<Arc<Cure>>;
    const KIND: Kind = Kind::Cure;
    const KEPT: usize = 24;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<CureKey> {
        (wanted.watched.cure && open.can_be_ranked()).then(|| open.cure_key())
    }

    fn compute(open: &mut OpenNetwork, key: &CureKey, wanted: &Wanted) -> Option<Work<Self::Value>> {
        let bed = open.examination_inputs().filter(|_| open.was_evaluated(wanted.limit))?;
        let layer = key.layer;
        Some(Work::new("Trying fixes", move |progress| {
            work::settle(progress, SETTLE)?;
            let cure = bed.examine(progress, |_, examination| examination.cure(layer, progress))?;
            Ok(cure.map(Arc::new))
        }))
    }
}

/// The recipe with the worst layers fixed, which it becomes.
pub(super) struct Mending;

impl Derived for Mending {
    type Key = MendKey;
    type Value = Arc<Mended>;
    const KIND: Kind = Kind::Mend;
    const ON_REQUEST: bool = true;
    const KEPT: usize = 4;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<MendKey> {
        let within = open.mend_within.filter(|_| open.can_be_ranked())?;
        Some(MendKey {
            order: open.order_key(),
            within,
        })
    }

    fn compute(open: &mut OpenNetwork, key: &MendKey, _: &Wanted) -> Option<Work<Arc<Mended>>> {
        let (bed, within) = (open.examination_inputs()?, key.within);
        Some(Work::new("Fixing the worst layers", move |progress| {
            let mended = bed.examine(progress, |subject, examination| {
                let rows = examination.layers(&progress.part())?;
                let worst = worst_layers(&rows, MAX_LAYERS);
                progress.start(worst.len() as u64, "Trying fixes");
                let mut cures = Vec::new();
                for place in worst {
                    progress.stage_is(format!("Trying fixes of {}", rows[place].name));
                    cures.extend(examination.cure(rows[place].layer, &progress.part())?);
                    progress.advance(1);
                }
                let bytes = (within * examination.bytes() as f64) as u64;
                mend(subject, &bed.recipe, &cures, bytes, progress)
            })?;
            Ok(Arc::new(mended))
        }))
    }

    fn take(open: &mut OpenNetwork, mended: Arc<Mended>, _: Duration) {
        let slot = open.slots.of_mut::<Self>();
        let of_now = slot
            .running()
            .is_some_and(|key| key.order.recipe == *open.history.present());
        let recipe = mended.recipe.clone();
        slot.finish(mended, Self::KEPT);
        // A recipe that was changed meanwhile is not overwritten.
        if of_now {
            open.history.edit(recipe, false);
        }
    }
}
