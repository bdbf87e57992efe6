//! What follows from the weights alone: their statistics, the prepared network, the plan.

use super::analysis::{Analysis, LayerFacts};
use super::derived::{Derived, Newer, Pieces, Wanted, Work};
use super::keys::{PlanKey, PrepareKey};
use super::open::OpenNetwork;
use super::work::{self, Kind, Planned};
use std::sync::Arc;
use std::time::Duration;

/// Reading of the weights of a network that was too large to do so before it was shown; facts come as they are known.
pub(super) struct WeightsRead;

impl Derived for WeightsRead {
    type Key = ();
    type Value = ();
    const KIND: Kind = Kind::Measure;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<()> {
        (!open.original.is_complete()).then_some(())
    }

    fn compute(open: &mut OpenNetwork, (): &(), _: &Wanted) -> Option<Work<()>> {
        let facts = Pieces::of::<Self>(open, |open, (index, facts): (usize, LayerFacts)| {
            open.original.put(index, facts);
        });
        let (analysis, selected) = (open.original.clone(), Arc::clone(&open.wanted));
        Some(Work::new("Reading weights", move |progress| {
            Ok(analysis.stream(&selected, |index, known| facts.send((index, known)), progress)?)
        }))
    }
}

/// The network as the recipe wants it first: folded, equalized.
pub(super) struct Prepared;

impl Derived for Prepared {
    type Key = PrepareKey;
    type Value = Analysis;
    const KIND: Kind = Kind::Prepare;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<PrepareKey> {
        let key = open.prepare_key(open.recipe());
        // Inputs that are to be smoothed must be known: from data that may be on their way, by the engine's word.
        let waits = key.smooth.is_some()
            && (open.awaits_data() || (open.engine().is_none() && open.original.network.why_not_runnable.is_none()));
        (!key.is_nothing() && !waits).then_some(key)
    }

    fn compute(open: &mut OpenNetwork, key: &PrepareKey, _: &Wanted) -> Option<Work<Analysis>> {
        let (original, recipe) = (open.original.clone(), open.recipe().clone());
        let title = match key {
            PrepareKey { smooth: Some(_), .. } => "Smoothing inputs",
            PrepareKey { rotate: true, .. } => "Rotating the residual stream",
            PrepareKey { equalize: true, .. } => "Equalizing layers",
            _ => "Folding batch-norm",
        };
        let (source, set, data) = (open.calibration_source(), open.calibration_set(), open.data().cloned());
        Some(Work::new(title, move |progress| {
            progress.start(0, "preparing the network");
            let network = work::prepare_on(&original.network, &recipe, (source, &set, data.as_ref()), progress)?;
            progress.check()?;
            Ok(original.of_prepared(Arc::new(network), progress)?)
        }))
    }

    fn take(open: &mut OpenNetwork, mut analysis: Analysis, _: Duration) {
        // Weights may have been read while this was on its way.
        analysis.inherit(&open.original);
        open.slots.of_mut::<Self>().finish(analysis, Self::KEPT);
    }
}

/// Outliers counted anew, beyond another number of standard deviations than that of the opening.
pub(super) struct Recounted;

impl Derived for Recounted {
    /// The number of standard deviations, as bits.
    type Key = u64;
    type Value = (Analysis, Option<(PrepareKey, Analysis)>);
    const KIND: Kind = Kind::Recount;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<u64> {
        // Reading and preparation must be through, or their counts would be lost.
        let slots = &open.slots;
        let settled = slots.of::<Prepared>().running().is_none() && slots.of::<WeightsRead>().running().is_none();
        let prepared = slots.of::<Prepared>().latest().map(|(_, analysis)| analysis);
        let stale = |analysis: &Analysis| analysis.sigma.to_bits() != wanted.sigma.to_bits();
        (settled && (stale(&open.original) || prepared.is_some_and(stale))).then_some(wanted.sigma.to_bits())
    }

    fn compute(open: &mut OpenNetwork, sigma: &u64, _: &Wanted) -> Option<Work<Self::Value>> {
        let sigma = f64::from_bits(*sigma);
        let original = open.original.clone();
        let prepared = open.slots.of::<Prepared>().latest();
        let prepared = prepared.map(|(key, analysis)| (*key, analysis.clone()));
        Some(Work::new("Counting outliers", move |progress| {
            let prepared = match prepared {
                Some((key, analysis)) => Some((key, analysis.recount(sigma, progress)?)),
                None => None,
            };
            Ok((original.recount(sigma, progress)?, prepared))
        }))
    }

    fn take(open: &mut OpenNetwork, (original, prepared): Self::Value, _: Duration) {
        open.slots.of_mut::<Self>().settle();
        open.original = original;
        // Another preparation may have come meanwhile; it is counted next.
        if let (Some((key, counted)), Some((of, latest))) = (prepared, open.slots.of_mut::<Prepared>().latest_mut())
            && key == *of
        {
            *latest = counted;
        }
    }
}

/// The whole network under the recipe.
pub(super) struct Planning;

impl Derived for Planning {
    type Key = PlanKey;
    type Value = Planned;
    const KIND: Kind = Kind::Plan;
    const NEWER: Newer = Newer::Waits;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<PlanKey> {
        (!open.is_too_large_to_plan()).then(|| open.plan_key())
    }

    fn compute(open: &mut OpenNetwork, key: &PlanKey, _: &Wanted) -> Option<Work<Planned>> {
        let network = Arc::clone(&open.analysis()?.network);
        let calibration = open.calibration().cloned();
        let (shapes, recipe) = (open.shapes(), key.recipe.clone());
        Some(Work::new("Planning all layers", move |progress| {
            let activations = calibration.as_deref().map(|calibration| &calibration.activations);
            work::make_plan(&network, &recipe, activations, shapes.as_deref(), progress)
        }))
    }
}
