//! The input of the selected layer, channel by channel: run on the samples that its range was measured on, once a view shows
//! it.

use super::derived::{Derived, Wanted, Work};
use super::keys::{CalibrationKey, CalibrationSource};
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::inference::{InputChannels, float_engine, input_channels};
use crate::jobs::JobError;
use std::sync::Arc;

/// What [`InputChannels`] are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct InputChannelsKey {
    /// The layer.
    pub layer: usize,
    /// The network that is run, and on what.
    pub calibration: CalibrationKey,
    /// Standard deviations at which outliers begin.
    sigma: f64,
}

/// The channels of the selected layer's input.
pub(super) struct Channelled;

impl Derived for Channelled {
    type Key = InputChannelsKey;
    type Value = Arc<InputChannels>;
    const KIND: Kind = Kind::InputChannels;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<InputChannelsKey> {
        let calibration = open.calibration_key();
        let measured = calibration.source != CalibrationSource::DataFree && open.calibration().is_some();
        (wanted.watched.input_channels && measured).then(|| InputChannelsKey {
            layer: open.selected(),
            calibration,
            sigma: wanted.sigma,
        })
    }

    fn compute(open: &mut OpenNetwork, key: &InputChannelsKey, _: &Wanted) -> Option<Work<Arc<InputChannels>>> {
        let network = Arc::clone(&open.analysis()?.network);
        let calibration = Arc::clone(open.calibration()?);
        let (data, set, key) = (open.data().cloned(), open.calibration_set(), key.clone());
        let layer = network.layers.get(key.layer)?.clone();
        let (name, _) = layer.input.clone()?;
        calibration.activations.get(&name)?;
        Some(Work::new(
            format!("Looking at the input of {}", layer.name),
            move |progress| {
                let seen = calibration.activations.get(&name).ok_or(JobError::Cancelled)?;
                let engine = float_engine(&network)?;
                progress.check()?;
                let source = key.calibration.source;
                work::with_calibration_data((&network, &engine), source, &set, data.as_ref(), |data| {
                    let data = data.ok_or_else(|| JobError::Failed("no data are open".to_owned()))?;
                    let samples = calibration.samples;
                    let found = input_channels(&engine, data, samples, &layer, seen, key.sigma, progress)?;
                    Ok(Arc::new(found))
                })
            },
        ))
    }
}

impl OpenNetwork {
    /// The newest channels of the selected layer's input, of the current network and data.
    pub fn input_channels(&self) -> Option<&Arc<InputChannels>> {
        let found = self.slots.of::<Channelled>().latest();
        let current = found.filter(|(key, _)| key.layer == self.selected && key.calibration == self.calibration_key());
        current.map(|(_, found)| found)
    }

    /// Why there are none.
    pub fn input_channels_failure(&self) -> Option<&JobError> {
        self.slots.of::<Channelled>().last_failure()
    }
}
