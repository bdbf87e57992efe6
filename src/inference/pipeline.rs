//! One path from a network and a recipe to the bytes of the quantized network and an engine that runs them: prepare, measure the
//! layers' inputs where the recipe asks for it, plan, rewrite, encode, load. Command line, session, report, sweep and auto take
//! this path, so that what is previewed, reported and exported are the same bytes.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::inference::{self, Dataset, Pipeline};
//! use splitscope::progress::Progress;
//! use splitscope::quantization::{Bits, Recipe, prepare};
//!
//! let recipe = Recipe { weight_bits: Bits::Grid(4), fold_batch_norm: true, ..Recipe::default() };
//! let network = prepare(&Demo::Fashion.network()?, &recipe)?;
//! let progress = Progress::default();
//! let quantized = Pipeline::new(&network, None).quantize(&recipe, &progress)?;
//! let outputs = inference::run_outputs(&quantized.engine()?, &Dataset::demo(Demo::Fashion), 20, &progress)?;
//! assert_eq!((outputs.samples, outputs.classes), (20, 10));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use super::shapes::{WorkedOut, worked_out_shapes};
use super::{
    Calibration, DataOptions, Dataset, Engine, InferenceError, SequentialSamples, add_moments, calibrate,
    data_free_activations, value_shapes,
};
use crate::engine;
use crate::files::Spool;
use crate::network::{Network, with_past};
use crate::onnx::{self, ModelProto};
use crate::progress::Progress;
use crate::quantization::{self, Activations, Plan, Recipe, ValueShapes, rewrite, rewrite_spooled, split_only};
use std::path::Path;
use std::sync::Arc;

/// Where ranges come from when there are no samples, for a person.
pub const RANGES_WITHOUT_DATA: &str = "no data: batch-norm statistics, and noise where there are none";

/// What a sweep's rows say of where their ranges come from: up to so many samples of some data, or none.
pub fn calibration_label(samples_of: Option<(&str, usize)>) -> String {
    match samples_of {
        Some((data, limit)) => format!("{data}, up to {limit} samples"),
        None => "data-free".to_owned(),
    }
}

/// The network as it is, in the engine that was chosen.
///
/// # Errors
/// [`InferenceError::Data`] with the reason why the network cannot be run, [`InferenceError::Engine`] with the engine's.
pub fn float_engine(network: &Network) -> Result<Arc<dyn Engine>, InferenceError> {
    match &network.why_not_runnable {
        Some(why) => Err(InferenceError::Data(why.clone())),
        None => Ok(engine::load_model(network.runnable_model())?),
    }
}

/// Shapes of the network's values for one sample of `data`, or of the declared size; `None`, and the reason in the log, where it
/// does not run so: then the overhead of activations and operations stays unknown. Without data they are worked out, and the
/// network runs only where an operator's shapes are not known and nothing in the file makes it large.
pub fn known_shapes(network: &Network, data: Option<&Dataset>) -> Option<ValueShapes> {
    if data.is_none() && network.why_not_runnable.is_none() {
        match worked_out_shapes(network) {
            WorkedOut::All(shapes) => return Some(shapes),
            WorkedOut::TooLarge => {
                log::info!("the overhead of activations stays unknown: the network is too large to be tried");
                return None;
            }
            WorkedOut::Part => {}
        }
    }
    float_engine(network)
        .and_then(|engine| value_shapes(network, &engine, data))
        .inspect_err(|error| log::info!("the overhead of activations stays unknown: {error:#}"))
        .ok()
}

/// What is known of the layers' inputs: from up to `limit` samples of `data`, or without any from batch-norm statistics, what
/// `stated` says of the network's input, and noise; with second moments if `moments`. `engine` runs `network`. The samples stay at
/// hand for recipes that plan layer by layer.
///
/// # Errors
/// [`InferenceError`] of data or engine, or `Cancelled`.
pub fn measure_inputs(
    network: &Network,
    engine: &dyn Engine,
    data: Option<&Arc<Dataset>>,
    stated: &DataOptions,
    (limit, moments): (usize, bool),
    progress: &Progress,
) -> Result<Calibration, InferenceError> {
    let mut known = match data {
        Some(data) => calibrate(network, engine, data, limit, progress)?,
        None => Calibration {
            activations: data_free_activations(network, engine, stated, progress)?,
            samples: 0,
            data_name: "no data".to_owned(),
        },
    };
    if moments {
        let data = data.map(|data| &**data);
        add_moments(network, engine, data, limit, &mut known.activations, progress)?;
    }
    if let Some(data) = data {
        let samples = SequentialSamples::new(Arc::clone(data), limit);
        known.activations.set_samples(Arc::new(samples));
    }
    Ok(known)
}

/// A network, prepared as its recipes say ([`quantization::prepare`]), and what is known of its layers' inputs.
#[derive(Clone, Copy)]
pub struct Pipeline<'a> {
    network: &'a Network,
    activations: Option<&'a Activations>,
}

impl<'a> Pipeline<'a> {
    /// `activations` are needed for recipes that ask for them ([`Recipe::needs_activations`]).
    pub fn new(network: &'a Network, activations: Option<&'a Activations>) -> Self {
        Self { network, activations }
    }

    /// The plan of a recipe.
    ///
    /// # Errors
    /// [`InferenceError::Quantization`] when the recipe is out of range or lacks activations, or `Cancelled`.
    pub fn plan(self, recipe: &Recipe, progress: &Progress) -> Result<Plan, InferenceError> {
        self.replan(recipe, None, progress)
    }

    /// [`Pipeline::plan`] with the codes in the file of `spool`, if there is one, for networks larger than memory.
    ///
    /// # Errors
    /// As [`Pipeline::plan`].
    pub fn plan_spooled(
        self,
        recipe: &Recipe,
        spool: Option<&Spool>,
        progress: &Progress,
    ) -> Result<Plan, InferenceError> {
        let plan = quantization::plan_spooled(self.network, recipe, self.activations, spool, progress);
        Ok(plan?)
    }

    /// [`Pipeline::plan`] that takes over the layers' weights of which `known`, a plan for the same network, asked the same.
    ///
    /// # Errors
    /// As [`Pipeline::plan`].
    pub fn replan(self, recipe: &Recipe, known: Option<&Plan>, progress: &Progress) -> Result<Plan, InferenceError> {
        let plan = quantization::replan(self.network, recipe, self.activations, known, progress);
        Ok(plan?)
    }

    /// The quantized network of a recipe.
    ///
    /// # Errors
    /// As [`Pipeline::plan`] and [`QuantizedModel::of`].
    pub fn quantize(self, recipe: &Recipe, progress: &Progress) -> Result<QuantizedModel, InferenceError> {
        QuantizedModel::of(self.network, &self.plan(recipe, progress)?)
    }
}

/// The network that a plan makes: what is run, written and measured is this one model.
#[derive(Debug, Clone)]
pub struct QuantizedModel(ModelProto);

impl QuantizedModel {
    /// The network `plan` makes of `network`, which it is a plan for.
    ///
    /// # Errors
    /// [`InferenceError::Quantization`] when a tensor cannot be read or an operator cannot be rewritten.
    pub fn of(network: &Network, plan: &Plan) -> Result<Self, InferenceError> {
        Ok(Self(rewrite(network, plan)?))
    }

    /// [`QuantizedModel::of`] with its new weights in the file of `spool`, for networks larger than memory.
    ///
    /// # Errors
    /// As [`QuantizedModel::of`].
    pub fn of_spooled(network: &Network, plan: &Plan, spool: &Spool) -> Result<Self, InferenceError> {
        Ok(Self(rewrite_spooled(network, plan, spool)?))
    }

    /// The same with the splits of the plan alone, in float.
    ///
    /// # Errors
    /// As [`QuantizedModel::of`].
    pub fn of_splits_alone(network: &Network, plan: &Plan) -> Result<Self, InferenceError> {
        Ok(Self(split_only(network, plan)?))
    }

    /// The model itself.
    pub fn model(&self) -> &ModelProto {
        &self.0
    }

    /// The model itself, taken out.
    pub fn into_model(self) -> ModelProto {
        self.0
    }

    /// The same with inputs and outputs for keys and values of earlier tokens ([`with_past`]).
    ///
    /// # Errors
    /// [`InferenceError::Data`] with the reason where it is no decoder that is known.
    pub fn with_past(&self) -> Result<Self, InferenceError> {
        let decoder = with_past(&self.0).map_err(|error| InferenceError::Data(error.to_string()))?;
        Ok(Self(decoder.model))
    }

    /// The bytes of its `.onnx` file.
    ///
    /// # Errors
    /// [`InferenceError::Onnx`] above the 2 GiB that one file holds.
    pub fn bytes(&self) -> Result<Vec<u8>, InferenceError> {
        Ok(onnx::encode(&self.0)?)
    }

    /// Those bytes in the engine that was chosen.
    ///
    /// # Errors
    /// As [`QuantizedModel::bytes`], and [`InferenceError::Engine`] with the engine's reason.
    pub fn engine(&self) -> Result<Arc<dyn Engine>, InferenceError> {
        Ok(engine::load(self.bytes()?)?)
    }

    /// Writes its `.onnx` file.
    ///
    /// # Errors
    /// [`InferenceError::Onnx`] with the system's reason; an existing file is then untouched.
    pub fn write(&self, path: &Path) -> Result<(), InferenceError> {
        Ok(onnx::write_file(&self.0, path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::by_name;
    use crate::format::demo::Demo;
    use crate::quantization::{Bits, Rounding, prepare};

    fn recipe() -> Recipe {
        Recipe {
            weight_bits: Bits::Grid(4),
            activation_bits: Bits::Grid(8),
            expand_ratio: 0.05,
            fold_batch_norm: true,
            ..Recipe::default()
        }
    }

    /// What runs is what is written: the engine of the model and one that reads the file give the same bits.
    #[test]
    fn the_file_holds_the_bytes_that_run() {
        let network = prepare(&Demo::Fashion.network().unwrap(), &recipe()).unwrap();
        let engine = float_engine(&network).unwrap();
        let (data, progress) = (Arc::new(Dataset::demo_calibration(Demo::Fashion)), Progress::default());
        let known = measure_inputs(
            &network,
            &engine,
            Some(&data),
            &DataOptions::default(),
            (30, false),
            &progress,
        )
        .unwrap();
        assert_eq!((known.samples, known.activations.has_moments()), (30, false));
        let pipeline = Pipeline::new(&network, Some(&known.activations));
        let quantized = pipeline.quantize(&recipe(), &progress).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.onnx");
        quantized.write(&path).unwrap();
        let written = std::fs::read(&path).unwrap();
        assert_eq!(written, quantized.bytes().unwrap());
        let inputs = data.filled_batch(0..5).unwrap();
        let run = |engine: &dyn Engine| {
            let output = engine.outputs()[0].name.clone();
            let values = engine.run(&by_name(&inputs), &[&output]).unwrap();
            values[0].floats().unwrap().to_vec()
        };
        assert_eq!(run(&quantized.engine().unwrap()), run(&engine::load(written).unwrap()));
        assert_ne!(run(&quantized.engine().unwrap()), run(&engine), "nothing was quantized");
    }

    #[test]
    fn moments_are_measured_with_and_without_data_and_a_recipe_that_needs_ranges_says_so() {
        let network = prepare(&Demo::Fashion.network().unwrap(), &recipe()).unwrap();
        let engine = float_engine(&network).unwrap();
        let (data, progress) = (Arc::new(Dataset::demo_calibration(Demo::Fashion)), Progress::default());
        let gptq = Recipe {
            rounding: Rounding::Gptq,
            activation_bits: Bits::Float,
            ..recipe()
        };
        for data in [None, Some(&data)] {
            let known =
                measure_inputs(&network, &engine, data, &DataOptions::default(), (10, true), &progress).unwrap();
            assert!(known.activations.has_moments(), "{}", known.data_name);
            Pipeline::new(&network, Some(&known.activations))
                .plan(&gptq, &progress)
                .unwrap();
        }
        let error = Pipeline::new(&network, None).plan(&gptq, &progress).unwrap_err();
        assert!(error.to_string().contains("GPTQ needs the layers' inputs"), "{error}");
    }

    #[test]
    fn a_network_that_cannot_run_says_why_and_has_no_shapes() {
        let mut network = Demo::Fashion.network().unwrap();
        assert!(known_shapes(&network, None).is_some());
        network.why_not_runnable = Some("holds weights only".to_owned());
        assert_eq!(float_engine(&network).err().unwrap().to_string(), "holds weights only");
        assert!(known_shapes(&network, None).is_none());
    }
}
