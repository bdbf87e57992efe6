//! Running a network again that has changed from some layer on: everything before is taken from the last time.
//!
//! Two networks compute the same up to the first value with another fingerprint ([`Signature`]). The values that are live there
//! (both branches of a residual block) are kept while the first of them runs, batch by batch, and the next one starts from them:
//! its answers are those of a whole run, to the bit. Only values that the engine's optimized graph has are kept, so that the
//! nodes before and behind the cut are fused as they are in a whole run.

mod cache;
mod signature;

pub use signature::Signature;

use super::detections::Detector;
use super::outputs::{run_on, run_samples, run_side_by_side};
use super::{Dataset, Engine, InferenceError, Outputs, QuantizedModel};
use crate::data::Tensor;
use crate::engine::{self, Threads};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Plan;
use cache::ActivationCache;
use std::borrow::Borrow;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Places before the first change that are tried when the engine does not have the values there.
const TRIED: usize = 8;

/// What to keep while a network runs.
#[derive(Debug, Clone, Copy)]
pub enum Keep<'a> {
    /// Nothing more.
    Nothing,
    /// What is live before the first difference from the network that ran last with this: for a hand on a slider.
    BeforeChange,
    /// What is live before the first difference from that network: for many networks that each differ from it in one layer.
    BeforeChangeFrom(&'a Signature),
}

/// Values between the layers on the samples of one data set, kept from one run to the next.
pub struct Incremental<D> {
    data: D,
    state: Mutex<State>,
}

struct State {
    cache: ActivationCache,
    last: Option<Signature>,
}

/// How much of a run was taken from the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reuse {
    /// Batches that began at a cut.
    pub resumed: usize,
    /// All batches.
    pub batches: usize,
}

impl<D: Borrow<Dataset> + Sync> Incremental<D> {
    /// Most bytes of values that are kept: 256 MiB.
    pub const MOST_BYTES: usize = 256 << 20;

    /// For the samples of `data`, with up to `most` bytes of values.
    pub fn new(data: D, most: usize) -> Self {
        Self {
            data,
            state: Mutex::new(State {
                cache: ActivationCache::new(most),
                last: None,
            }),
        }
    }

    /// The samples.
    pub fn data(&self) -> &Dataset {
        self.data.borrow()
    }

    /// Bytes of values that are kept now.
    pub fn bytes(&self) -> usize {
        self.with(|state| state.cache.bytes())
    }

    /// [`super::run_plan`] that begins where values are known.
    ///
    /// # Errors
    /// As [`super::run_plan`].
    pub fn run_plan(
        &self,
        network: &Network,
        plan: &Plan,
        range: Range<usize>,
        keep: Keep<'_>,
        progress: &Progress,
    ) -> Result<Outputs, InferenceError> {
        let quantized = QuantizedModel::of(network, plan)?;
        let signature = Signature::of(quantized.model());
        let bytes = quantized.bytes()?;
        drop(quantized);
        progress.check()?;
        let engine = engine::load(bytes)?;
        Ok(self.run(&engine, &signature, range, keep, progress)?.0)
    }

    /// Runs the samples `range` through the network in `engine`, whose graph has `signature`. Tells also how much was known.
    ///
    /// # Errors
    /// [`InferenceError`] of data, engine, or `Cancelled`; what was kept by then is good.
    pub fn run(
        &self,
        engine: &dyn Engine,
        signature: &Signature,
        range: Range<usize>,
        keep: Keep<'_>,
        progress: &Progress,
    ) -> Result<(Outputs, Reuse), InferenceError> {
        // Of a detector several outputs count, which are kept nowhere.
        if self.data().boxes().is_some() && Detector::of(engine).is_ok() {
            return Ok((run_samples(engine, self.data(), range, progress)?, Reuse::default()));
        }
        let wanted = match keep {
            Keep::Nothing => None,
            Keep::BeforeChangeFrom(other) => signature.first_change_from(other),
            Keep::BeforeChange => self.with(|state| {
                let last = state.last.replace(signature.clone());
                last.and_then(|last| signature.first_change_from(&last))
            }),
        };
        let (wanted, reuse) = (Mutex::new(wanted), Mutex::new(Reuse::default()));
        let resumed = || locked(&reuse).resumed += 1;
        let outputs = run_side_by_side(
            engine,
            self.data(),
            range,
            progress,
            |threads, batch, inputs, output| {
                locked(&reuse).batches += 1;
                let start = self.start(engine, signature, batch);
                let known = start.as_ref().map_or(0, |start| start.cut);
                // There is nothing to keep where the run begins behind it.
                let wanted_now = *locked(&wanted);
                let keeps = wanted_now.filter(|cut| *cut > known && !self.holds(signature, *cut, batch));
                let given: Vec<(&str, &Tensor)> = match &start {
                    Some(start) => start.given(signature),
                    None => inputs.to_vec(),
                };
                if let Some((_, answer)) = given.iter().find(|(name, _)| start.is_some() && *name == output) {
                    resumed();
                    return Ok(Some((*answer).clone()));
                }
                if let Some(cut) = keeps {
                    match self.run_and_keep((engine, threads), signature, cut, batch, &given, output)? {
                        Some((answer, kept)) => {
                            *locked(&wanted) = Some(kept);
                            if start.is_some() {
                                resumed();
                            }
                            return Ok(Some(answer));
                        }
                        // The engine has none of these values, for no batch.
                        None => *locked(&wanted) = None,
                    }
                }
                if start.is_some()
                    && let Some(mut values) = engine.compute_between(threads, &given, &[output])?
                {
                    resumed();
                    return Ok(values.pop());
                }
                Ok(run_on(engine, threads, inputs, &[output])?.pop())
            },
        )?;
        Ok((outputs, reuse.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    /// The last cut whose values are known for a batch.
    fn start(&self, engine: &dyn Engine, signature: &Signature, batch: &Range<usize>) -> Option<Start> {
        self.with(|state| {
            for (cut, place) in signature.cuts().iter().enumerate().rev() {
                if let Some(values) = state.cache.get(place.key, batch)
                    && signature.live(place).all(|(name, _)| engine.has_value(name))
                {
                    return Some(Start { cut, values });
                }
            }
            None
        })
    }

    fn holds(&self, signature: &Signature, cut: usize, batch: &Range<usize>) -> bool {
        self.with(|state| state.cache.holds(signature.cuts()[cut].key, batch))
    }

    /// Runs a batch and keeps what is live at `cut`, or at the nearest place before it where the engine has all values. Gives
    /// the answer and the place; `None` if there is no such place nearby.
    fn run_and_keep(
        &self,
        (engine, threads): (&dyn Engine, &Threads),
        signature: &Signature,
        cut: usize,
        batch: &Range<usize>,
        given: &[(&str, &Tensor)],
        output: &str,
    ) -> Result<Option<(Tensor, usize)>, InferenceError> {
        for cut in (0..=cut).rev().take(TRIED) {
            let place = &signature.cuts()[cut];
            if !signature.saves_work(place) {
                return Ok(None);
            }
            let live: Vec<&str> = signature.live(place).map(|(name, _)| name).collect();
            let mut names: Vec<&str> = live.iter().copied().filter(|name| *name != output).collect();
            names.push(output);
            // A value that is given is known; the engine refuses to be asked for it.
            names.retain(|name| !given.iter().any(|(known, _)| known == name));
            let Some(values) = engine.compute_between(threads, given, &names)? else {
                continue;
            };
            let mut computed: Vec<(&str, Tensor)> = names.iter().copied().zip(values).collect();
            let Some((_, answer)) = computed.pop().filter(|(name, _)| *name == output) else {
                return Ok(None);
            };
            let mut take = |name: &str| match computed.iter().position(|(of, _)| *of == name) {
                Some(at) => Some(computed.swap_remove(at).1),
                None => given
                    .iter()
                    .find(|(of, _)| *of == name)
                    .map(|(_, value)| (*value).clone()),
            };
            let kept: Option<Vec<_>> = (signature.live(place))
                .map(|(name, fingerprint)| Some((fingerprint, take(name)?)))
                .collect();
            if let Some(kept) = kept {
                self.with(|state| state.cache.put(place.key, batch, kept));
            }
            return Ok(Some((answer, cut)));
        }
        Ok(None)
    }

    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut locked(&self.state))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a batch begins, and the values there.
struct Start {
    cut: usize,
    values: cache::LiveValues,
}

impl Start {
    fn given<'a>(&'a self, signature: &'a Signature) -> Vec<(&'a str, &'a Tensor)> {
        let live = signature.live(&signature.cuts()[self.cut]);
        live.filter_map(|(name, fingerprint)| {
            let value = self.values.iter().find(|(of, _)| *of == fingerprint);
            Some((name, &value?.1))
        })
        .collect()
    }
}
