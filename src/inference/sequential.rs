//! The calibration samples run through the float network and the quantized one side by side, from stage to stage: what layers read
//! behind quantized layers ([`crate::quantization::CalibrationSamples`]).
//!
//! Between two stages the values that the rest is computed from are kept, up to [`MAX_KEPT_BYTES`] of both networks; batches that
//! do not fit run from the beginning again. The moments of one stage's inputs take up to twice what [`InputMoments::bytes_of`] says,
//! [`MAX_MOMENT_BYTES`] at most; layers that are left are rounded by the float network's inputs.

use super::moments::{Channels, MAX_MOMENT_BYTES, PlaceSums, Reading};
use super::{Dataset, Engine, InferenceError, Rten};
use crate::data::{Tensor, by_name};
use crate::engine::{self, EngineChoice, EngineError, Threads, UNOPTIMIZED};
use crate::network::{Layer, Network};
use crate::onnx::{self, ModelProto};
use crate::progress::Progress;
use crate::quantization::{
    CalibrationSamples, Grid, InputMoments, InputsBehind, MeasuredInput, QuantizationError, WantedInput,
};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

/// Bytes of values between layers that are kept from one stage to the next.
pub const MAX_KEPT_BYTES: usize = 1 << 30;

/// Samples of a data set.
pub struct SequentialSamples {
    data: Arc<Dataset>,
    limit: usize,
    most_kept: usize,
}

impl SequentialSamples {
    /// Up to `limit` samples of `data`.
    pub fn new(data: Arc<Dataset>, limit: usize) -> Self {
        Self {
            data,
            limit,
            most_kept: MAX_KEPT_BYTES,
        }
    }
}

impl CalibrationSamples for SequentialSamples {
    fn begin<'a>(&'a self, network: &'a Network) -> Result<Box<dyn InputsBehind + 'a>, QuantizationError> {
        let float = load(&network.runnable_model()).map_err(told)?;
        let samples = self.data.len().min(self.limit);
        let batches = super::outputs::measured_batches(&*float, &self.data, 0..samples).map_err(told)?;
        Ok(Box::new(SideBySide {
            network,
            data: &self.data,
            samples,
            kept: batches.iter().map(|_| None).collect(),
            batches: batches.into_iter().map(|batch| batch.run).collect(),
            kept_bytes: 0,
            most_kept: self.most_kept,
            float,
        }))
    }
}

/// A model whose values between nodes can be asked for and given.
fn load(model: &ModelProto) -> Result<Arc<dyn Engine>, InferenceError> {
    let bytes = onnx::encode(model)?;
    Ok(match engine::chosen() {
        EngineChoice::Rten => Arc::new(Rten::load_unoptimized(bytes)?),
        chosen @ EngineChoice::Onnxruntime(_) => chosen.load(bytes)?,
    })
}

fn told(error: InferenceError) -> QuantizationError {
    match error {
        InferenceError::Cancelled(cancelled) => cancelled.into(),
        InferenceError::Quantization(error) => error,
        error => QuantizationError::Inputs(error.to_string()),
    }
}

/// Values of one batch by name, in the float network and in the quantized one.
type Kept = HashMap<String, [Tensor; 2]>;

/// Both networks, and how far each batch has come.
struct SideBySide<'a> {
    network: &'a Network,
    data: &'a Dataset,
    samples: usize,
    float: Arc<dyn Engine>,
    batches: Vec<Range<usize>>,
    kept: Vec<Option<Kept>>,
    kept_bytes: usize,
    most_kept: usize,
}

impl InputsBehind for SideBySide<'_> {
    fn measure(
        &mut self,
        quantized: &ModelProto,
        wanted: &[WantedInput<'_>],
        kept: &[&str],
        progress: &Progress,
    ) -> Result<Vec<MeasuredInput>, QuantizationError> {
        self.measured(quantized, wanted, kept, progress).map_err(told)
    }
}

impl SideBySide<'_> {
    fn measured(
        &mut self,
        quantized: &ModelProto,
        wanted: &[WantedInput<'_>],
        kept: &[&str],
        progress: &Progress,
    ) -> Result<Vec<MeasuredInput>, InferenceError> {
        let quantized = load(quantized)?;
        let mut names: Vec<&str> = kept.to_vec();
        let is_kept: HashSet<&str> = kept.iter().copied().collect();
        names.extend(
            WantedInput::values(wanted)
                .into_iter()
                .filter(|name| !is_kept.contains(name)),
        );
        let places: HashMap<&str, usize> = names.iter().enumerate().map(|(at, name)| (*name, at)).collect();
        let mut bytes = 0;
        let mut seen: Vec<Seen<'_>> = (wanted.iter())
            .map(|wanted| Seen::of(self.network, wanted, &mut bytes))
            .collect();
        let batches = self.batches.clone();
        for (number, batch) in batches.iter().enumerate() {
            progress.check()?;
            let before = self.kept.get_mut(number).and_then(Option::take);
            let [float, changed] = self.values(&*quantized, batch, before.as_ref(), &names)?;
            let share = batch.len() as f64 / self.samples.max(1) as f64;
            for seen in &mut seen {
                let value = |values: &[Tensor]| {
                    let (name, _) = seen.layer.input.as_ref()?;
                    values.get(*places.get(name.as_str())?).cloned()
                };
                if let (Some(float), Some(changed)) = (value(&float), value(&changed)) {
                    seen.add(&float, &changed, share);
                }
                progress.check()?;
            }
            if let Some(before) = before {
                self.kept_bytes -= bytes_of(&before);
            }
            let pairs = names.iter().zip(float.into_iter().zip(changed)).take(kept.len());
            let now: Kept = pairs
                .map(|(name, (float, changed))| ((*name).to_owned(), [float, changed]))
                .collect();
            let bytes = bytes_of(&now);
            if self.kept_bytes + bytes <= self.most_kept {
                self.kept_bytes += bytes;
                self.kept[number] = Some(now);
            }
        }
        Ok(seen.into_iter().map(Seen::finish).collect())
    }

    /// The values `names` of a batch in the float network and in `quantized`, from what is known of it.
    fn values(
        &self,
        quantized: &dyn Engine,
        batch: &Range<usize>,
        known: Option<&Kept>,
        names: &[&str],
    ) -> Result<[Vec<Tensor>; 2], InferenceError> {
        if let Some(known) = known {
            let of = |which: usize| {
                known
                    .iter()
                    .map(|(name, pair)| (name.as_str(), &pair[which]))
                    .collect::<Vec<_>>()
            };
            let float = between(&*self.float, &of(0), names)?;
            let changed = between(quantized, &of(1), names)?;
            if let (Some(float), Some(changed)) = (float, changed) {
                return Ok([float, changed]);
            }
        }
        let inputs = self.data.filled_batch(batch.clone());
        let inputs = inputs.map_err(|error| InferenceError::Data(error.to_string()))?;
        let inputs = by_name(&inputs);
        let run = |engine: &dyn Engine| engine.run_with(&inputs, names, UNOPTIMIZED);
        Ok([run(&*self.float)?, run(quantized)?])
    }
}

fn bytes_of(kept: &Kept) -> usize {
    kept.values().flatten().map(Tensor::bytes).sum()
}

/// The values `names`, from `given` ones; `None` where the engine cannot begin there.
fn between(engine: &dyn Engine, given: &[(&str, &Tensor)], names: &[&str]) -> Result<Option<Vec<Tensor>>, EngineError> {
    let known: HashMap<&str, &Tensor> = given.iter().copied().collect();
    let known = |name: &str| known.get(name).copied();
    let wanted: Vec<&str> = names.iter().copied().filter(|name| known(name).is_none()).collect();
    let computed = match wanted.is_empty() {
        true => Vec::new(),
        false => match engine.compute_between(&Threads::current(), given, &wanted)? {
            Some(values) => values,
            None => return Ok(None),
        },
    };
    let mut computed = computed.into_iter();
    Ok(names
        .iter()
        .map(|name| known(name).cloned().or_else(|| computed.next()))
        .collect())
}

/// What is summed for one layer.
struct Seen<'a> {
    layer: &'a Layer,
    grid: Option<Grid>,
    /// How it reads its input, where that is known.
    reading: Option<Reading>,
    /// The moments, where they are wanted and fit.
    moments: Option<InputMoments>,
    /// Where there are none: sums of what each weight meets, in the quantized network and in the float one.
    places: [PlaceSums; 2],
    /// In the float network and in the quantized one.
    channels: [Channels; 2],
}

impl<'a> Seen<'a> {
    /// `bytes` are those of all moments so far.
    fn of(network: &Network, wanted: &WantedInput<'a>, bytes: &mut u64) -> Self {
        let layer = wanted.layer;
        let reading = Reading::of(network, layer).ok();
        let more = 2 * InputMoments::bytes_of(layer);
        let gathers = wanted.moments && reading.is_some() && *bytes + more <= MAX_MOMENT_BYTES;
        if gathers {
            *bytes += more;
        }
        let (groups, columns) = (layer.layout.groups, InputMoments::columns_of(layer));
        let of_pairs = || InputMoments::of_pairs(groups, columns, wanted.centred);
        Self {
            layer,
            grid: wanted.grid,
            moments: gathers.then(of_pairs),
            reading,
            places: [(); 2].map(|()| PlaceSums::new(groups, columns)),
            channels: Default::default(),
        }
    }

    fn add(&mut self, float: &Tensor, changed: &Tensor, share: f64) {
        let (Some(float_values), Some(values)) = (float.floats(), changed.floats()) else {
            return;
        };
        let on_grid: Vec<f32>;
        let values = match self.grid {
            Some(grid) => {
                on_grid = values.iter().map(|x| grid.round(*x)).collect();
                &on_grid
            }
            None => values,
        };
        let shape = changed.shape();
        match (&self.reading, &mut self.moments) {
            (Some(reading), Some(moments)) => reading.add_rows(shape, [values, float_values], share, moments),
            (Some(reading), None) => {
                let [own, float] = &mut self.places;
                reading.add_rows(shape, [values, values], share, own);
                reading.add_rows(shape, [float_values, float_values], share, float);
            }
            (None, _) => {}
        }
        if let Some((_, axis)) = &self.layer.input {
            self.channels[0].add_values(shape, float_values, *axis);
            self.channels[1].add_values(shape, values, *axis);
        }
    }

    fn finish(self) -> MeasuredInput {
        let [float, quantized] = self.channels.map(|channels| {
            let means = channels.moments().into_iter().map(|[mean, _]| mean);
            means.collect::<Vec<f64>>()
        });
        let moments = (self.moments)
            .map(InputMoments::finish)
            .filter(|moments| moments.rows() > 0);
        let of_places = match &moments {
            Some(moments) => moments.means(),
            None => {
                let [quantized, float] = self.places.map(PlaceSums::means);
                float.zip(quantized).map(|(float, quantized)| [float, quantized])
            }
        };
        MeasuredInput {
            moments: moments.map(Arc::new),
            means: of_places.or((!float.is_empty()).then_some([float, quantized])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::inference::{DataOptions, float_engine, measure_inputs};
    use crate::quantization::{Bits, Granularity, LayerPlan, QuantizedLayer, Recipe, Rounding, plan, prepare};

    fn recipe() -> Recipe {
        Recipe {
            weight_bits: Bits::Grid(3),
            activation_bits: Bits::Grid(6),
            scales: Granularity::Channel,
            rounding: Rounding::Gptq,
            fold_batch_norm: true,
            bias_correction: true,
            sequential: true,
            ..Recipe::default()
        }
    }

    #[test]
    fn what_is_not_kept_is_computed_again() {
        let network = prepare(&Demo::Fashion.network().unwrap(), &recipe()).unwrap();
        let engine = float_engine(&network).unwrap();
        let (data, progress) = (Arc::new(Dataset::demo_calibration(Demo::Fashion)), Progress::default());
        let stated = DataOptions::default();
        let known = measure_inputs(&network, &engine, Some(&data), &stated, (30, true), &progress).unwrap();
        // All of it, the values of one batch but not of both, nothing.
        let plans = [MAX_KEPT_BYTES, 4_000_000, 0].map(|most_kept| {
            let mut activations = known.activations.clone();
            activations.set_samples(Arc::new(SequentialSamples {
                data: Arc::clone(&data),
                limit: 30,
                most_kept,
            }));
            plan(&network, &recipe(), Some(&activations), &progress).unwrap()
        });
        let layers =
            |at: usize| -> Vec<&QuantizedLayer> { plans[at].layers.iter().filter_map(LayerPlan::quantized).collect() };
        assert_eq!(layers(0).len(), network.layers.len());
        assert!(
            layers(0)
                .iter()
                .all(|layer| layer.rounding.by == Rounding::Gptq && layer.bias.is_some())
        );
        assert_eq!(layers(0), layers(1));
        assert_eq!(layers(0), layers(2));
        let float_inputs = Recipe {
            sequential: false,
            ..recipe()
        };
        let other = plan(&network, &float_inputs, Some(&known.activations), &progress).unwrap();
        assert_ne!(other.layers[3].quantized(), plans[0].layers[3].quantized());

        let cancelled = Progress::default();
        cancelled.cancel();
        let stopped = plan(&network, &recipe(), Some(&known.activations), &cancelled);
        assert!(matches!(stopped, Err(QuantizationError::Cancelled(_))));
    }
}
