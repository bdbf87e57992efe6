//! How both networks go on from a text that a person writes, kept up to date with the recipe while it is in sight.

use super::derive::Queue;
use super::keys::CalibrationSource;
use super::live::Live;
use super::open::OpenNetwork;
use super::work::{self, Kind, Output};
use crate::inference::{Dataset, Engine, Sampling, continue_text};
use crate::jobs::JobError;
use crate::network::Network;
use crate::onnx;
use crate::progress::Progress;
use crate::quantization::{Plan, Recipe, rewrite};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Rest of the hand before the quantized network begins to write.
const SETTLE: Duration = Duration::from_millis(250);

/// What is to be written on from, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// What both networks read first.
    pub text: String,
    /// Tokens to write.
    pub count: usize,
    /// How each is chosen.
    pub sampling: Sampling,
}

/// What the float network's text depends on: prompt and data (which hold the vocabulary).
#[derive(Debug, Clone, PartialEq)]
pub struct FloatTextKey {
    prompt: Prompt,
    data: u64,
}

/// What the quantized network's text depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedTextKey {
    float: FloatTextKey,
    recipe: Recipe,
    calibration: Option<CalibrationSource>,
}

/// The texts of both networks, token by token as they are written.
#[derive(Debug, Default)]
pub struct Continuation {
    pub(super) prompt: Option<Prompt>,
    pub(super) float: Live<FloatTextKey, String>,
    pub(super) quantized: Live<QuantizedTextKey, String>,
}

impl Continuation {
    /// What was asked for last.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// What the float network has written.
    pub fn float(&self) -> &Live<FloatTextKey, String> {
        &self.float
    }

    /// What the quantized network has written, maybe under a slightly older recipe.
    pub fn quantized(&self) -> &Live<QuantizedTextKey, String> {
        &self.quantized
    }

    /// Lets what has failed be tried again.
    pub(super) fn forgive(&mut self) {
        if self.float.failure().is_some() {
            self.float = Live::default();
        }
        if self.quantized.failure().is_some() {
            self.quantized = Live::default();
        }
    }

    /// Takes what has been written since; tells whether there was anything.
    pub(super) fn drain(&mut self) -> bool {
        let more = self.float.drain();
        self.quantized.drain() || more
    }
}

impl OpenNetwork {
    /// The continuation of the prompt.
    pub fn continuation(&self) -> &Continuation {
        &self.continuation
    }

    /// Whether what the quantized network writes is under the present recipe.
    pub fn continuation_is_current(&self) -> bool {
        let key = self.quantized_text_key();
        key.is_some() && self.continuation.quantized.of() == key.as_ref()
    }

    fn float_text_key(&self) -> Option<FloatTextKey> {
        let (data, _) = self.data_with_key().filter(|(_, data)| data.is_text())?;
        Some(FloatTextKey {
            prompt: self.continuation.prompt.clone()?,
            data,
        })
    }

    fn quantized_text_key(&self) -> Option<QuantizedTextKey> {
        Some(QuantizedTextKey {
            float: self.float_text_key()?,
            recipe: self.recipe().clone(),
            calibration: self.recipe().needs_activations().then(|| self.calibration_source()),
        })
    }
}

/// Starts what is missing of a continuation that is in sight.
pub(super) fn start(open: &mut OpenNetwork, jobs: &mut Queue) {
    let (Some(key), Some(engine)) = (open.float_text_key(), open.engine.for_key(&()).cloned()) else {
        return;
    };
    let Some(data) = open.data().cloned() else { return };
    if open.continuation.float.of() != Some(&key) {
        let written = open.continuation.float.restart(key.clone());
        let (data, prompt) = (Arc::clone(&data), key.prompt.clone());
        jobs.start(Kind::ContinueFloat, "Writing on, float", move |progress| {
            write(&engine, &data, &prompt, &written, progress)
        });
    }
    quantized(open, jobs, data);
}

fn quantized(open: &mut OpenNetwork, jobs: &mut Queue, data: Arc<Dataset>) {
    let Some(key) = open.quantized_text_key() else { return };
    if open.continuation.quantized.of() == Some(&key) || open.lacks_calibration() {
        return;
    }
    let Some(analysis) = open.analysis() else { return };
    let Some(planned) = open.plan.for_key(&open.plan_key()) else {
        return;
    };
    let (network, plan) = (Arc::clone(&analysis.network), Arc::clone(&planned.plan));
    let prompt = key.float.prompt.clone();
    let written = open.continuation.quantized.restart(key);
    jobs.start(Kind::ContinueQuantized, "Writing on, quantized", move |progress| {
        work::settle(progress, SETTLE)?;
        let engine = quantized_engine(&network, &plan, progress)?;
        write(&engine, &data, &prompt, &written, progress)
    });
}

/// An engine with the bytes that an export would write.
pub(super) fn quantized_engine(network: &Network, plan: &Plan, progress: &Progress) -> Result<Engine, JobError> {
    progress.start(0, "writing the quantized graph");
    let model = rewrite(network, plan)?;
    progress.check()?;
    let engine = Engine::load(onnx::encode(&model).map_err(work::failed)?)?;
    progress.check()?;
    Ok(engine)
}

fn write(
    engine: &Engine,
    data: &Dataset,
    prompt: &Prompt,
    written: &Sender<String>,
    progress: &Progress,
) -> Result<Output, JobError> {
    let tokens = data.tokens_of(&prompt.text).map_err(work::failed)?;
    continue_text(
        engine,
        data,
        &tokens,
        prompt.count,
        prompt.sampling,
        progress,
        |token| {
            let text = data
                .token_text(token)
                .map_or_else(|| format!("⟨{token}⟩"), str::to_owned);
            // Whoever does not want it any more has cancelled the job, which ends by that.
            let _ = written.send(text);
        },
    )?;
    Ok(Output::AllRows)
}
