//! More of the selected layer than a moving slider needs: made once the hand rests.

mod heat;

pub use heat::Heat;

use super::analysis::Analysis;
use super::derived::{Derived, Wanted, Work};
use super::keys::CalibrationKey;
use super::layer_view::{After, LayerViewKey, ViewError, Viewed};
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::inference::Calibration;
use crate::network::{IntegerGrid, Layer};
use crate::progress::Progress;
use crate::quantization::{CentredFits, Clip, InputSettings, clip_thresholds, plan_input};
use crate::statistics::ActivationStatistics;
use heat::Axis;
use std::time::Duration;

/// Rest of the hand before this begins.
const SETTLE: Duration = Duration::from_millis(60);

/// What [`LayerDetails`] are computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerDetailsKey {
    /// The layer and its settings; the range is of no matter and left out.
    pub view: LayerViewKey,
    /// What is known of its input.
    pub calibration: Option<CalibrationKey>,
}

/// More of the selected layer.
#[derive(Debug, Clone)]
pub struct LayerDetails {
    /// The threshold that each way to clip would choose for the weights, in the order of [`Clip::CHOICES`]; empty for a float
    /// layer.
    pub clips: Vec<ClipMark>,
    /// The distributions that ACIQ fits to the weights: to the split ones if there are any.
    pub fits: CentredFits,
    /// The same of the layer's input.
    pub input: Option<InputDetails>,
    /// The grid of a layer that is quantized already.
    pub integers: Option<IntegerGrid>,
    /// How the weights of each input channel are spread, before.
    pub input_heat: Heat,
    /// The same after splitting, all copies of a channel together; `None` for a float layer.
    pub input_heat_after: Option<Heat>,
    /// How the weights of each output channel are spread, before.
    pub output_heat: Heat,
    /// The same after splitting.
    pub output_heat_after: Option<Heat>,
}

/// What is known of a layer's input beyond its histogram.
#[derive(Debug, Clone)]
pub struct InputDetails {
    /// The threshold that each way to clip would choose; empty while the input stays float.
    pub clips: Vec<ClipMark>,
    /// The distributions that ACIQ fits.
    pub fits: CentredFits,
}

/// A way to clip, and where it would.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClipMark {
    /// The way.
    pub clip: Clip,
    /// Its threshold, in the units of the tensor.
    pub threshold: f32,
}

/// The details of the selected layer, once its view is for the current settings.
pub(super) struct Detailed;

impl Derived for Detailed {
    type Key = LayerDetailsKey;
    type Value = LayerDetails;
    const KIND: Kind = Kind::LayerDetails;

    fn key(open: &OpenNetwork, _: &Wanted) -> Option<LayerDetailsKey> {
        Some(open.details_key())
    }

    fn compute(open: &mut OpenNetwork, key: &LayerDetailsKey, _: &Wanted) -> Option<Work<LayerDetails>> {
        let after = open.slots.of::<Viewed>().for_key(&open.view_key())?.after.clone();
        let (analysis, key) = (open.analysis()?.clone(), key.clone());
        let calibration = open.calibration().cloned();
        let layer = &analysis.network.layers[key.view.layer];
        let title = format!("Comparing thresholds for {}", layer.name);
        Some(Work::new(title, move |progress| {
            work::settle(progress, SETTLE)?;
            let (after, calibration) = (after.as_deref(), calibration.as_deref());
            Ok(LayerDetails::compute(&analysis, &key, after, calibration, progress)?)
        }))
    }
}

impl OpenNetwork {
    /// What the details of the selected layer should be computed from now.
    pub fn details_key(&self) -> LayerDetailsKey {
        LayerDetailsKey {
            view: LayerViewKey {
                range: None,
                ..self.view_key()
            },
            calibration: self.calibration().is_some().then(|| self.calibration_key()),
        }
    }

    /// The newest details of the selected layer, maybe of slightly older settings.
    pub fn details(&self) -> Option<(&LayerDetailsKey, &LayerDetails)> {
        let details = self.slots.of::<Detailed>().latest();
        details.filter(|(key, _)| key.view.layer == self.selected)
    }
}

impl LayerDetails {
    /// Computes the details of `key`; `after` is the layer under these settings.
    ///
    /// # Errors
    /// [`ViewError`] when cancelled, or when the weights cannot be read.
    pub fn compute(
        analysis: &Analysis,
        key: &LayerDetailsKey,
        after: Option<&After>,
        calibration: Option<&Calibration>,
        progress: &Progress,
    ) -> Result<Self, ViewError> {
        let index = key.view.layer;
        let layer = &analysis.network.layers[index];
        let weights = analysis.network.weights(index)?;
        let settings = key.view.settings;
        let fits = CentredFits::of_values(after.map_or(&weights, |after| &after.split));
        let mut clips = Vec::new();
        if after.is_some() {
            progress.check()?;
            clips = marks(&clip_thresholds(
                &weights,
                &layer.layout,
                &settings.weights,
                &Clip::CHOICES,
            ));
        }
        let integers = analysis.network.integer_grid(index)?;
        let input = calibration.and_then(|calibration| input_details(layer, &settings.input, calibration));
        let reach = analysis.layers[index]
            .readable()
            .map_or(1.0, |statistics| statistics.max_abs);
        let heat = |axis: Axis| -> Result<(Heat, Option<Heat>), ViewError> {
            progress.check()?;
            let before = Heat::of(&weights, &layer.layout, &axis, reach);
            let after = after.map(|after| {
                let axis = axis.after(&after.quantized.index);
                Heat::of(&after.split, &after.quantized.layout, &axis, reach)
            });
            Ok((before, after))
        };
        let (input_heat, input_heat_after) = heat(Axis::input(&layer.layout))?;
        let (output_heat, output_heat_after) = heat(Axis::Output)?;
        Ok(Self {
            clips,
            fits,
            input,
            integers,
            input_heat,
            input_heat_after,
            output_heat,
            output_heat_after,
        })
    }
}

fn marks(thresholds: &[f32]) -> Vec<ClipMark> {
    let mark = |(clip, threshold): (Clip, &f32)| ClipMark {
        clip,
        threshold: *threshold,
    };
    Clip::CHOICES.into_iter().zip(thresholds).map(mark).collect()
}

fn input_details(layer: &Layer, settings: &InputSettings, calibration: &Calibration) -> Option<InputDetails> {
    let (name, _) = layer.input.as_ref()?;
    let seen: &ActivationStatistics = calibration.activations.get(name)?;
    let chosen = |clip: Clip| {
        let settings = InputSettings { clip, ..*settings };
        let plan = plan_input(layer, &settings, &calibration.activations).ok()??;
        Some(ClipMark {
            clip,
            threshold: plan.threshold,
        })
    };
    Some(InputDetails {
        clips: Clip::CHOICES.into_iter().filter_map(chosen).collect(),
        fits: CentredFits::of_activation(seen),
    })
}

#[cfg(test)]
mod tests;
