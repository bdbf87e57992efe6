//! How both networks go on from a text that a person writes, kept up to date with the recipe while it is in sight.

use super::derived::{Derived, Pieces, Slot, Wanted, Work, rows};
use super::keys::CalibrationSource;
use super::open::OpenNetwork;
use super::work::{self, Kind};
use crate::inference::{Dataset, Engine, QuantizedModel, Sampling, TextWriter};
use crate::jobs::JobError;
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::{Plan, Recipe};
use std::sync::{Arc, PoisonError};
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

impl OpenNetwork {
    /// The prompt that was given last.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.prompt.as_ref()
    }

    /// What the float network has written, token by token.
    pub fn float_text(&self) -> &Slot<FloatTextKey, Vec<String>> {
        self.slots.of::<FloatText>()
    }

    /// What the quantized network has written, maybe under a slightly older recipe.
    pub fn quantized_text(&self) -> &Slot<QuantizedTextKey, Vec<String>> {
        self.slots.of::<QuantizedText>()
    }

    /// Whether what the quantized network writes is under the present recipe.
    pub fn continuation_is_current(&self) -> bool {
        let key = self.quantized_text_key();
        key.is_some() && self.quantized_text().of() == key.as_ref()
    }

    fn float_text_key(&self) -> Option<FloatTextKey> {
        let (data, _) = self.data_with_key().filter(|(_, data)| data.is_text())?;
        Some(FloatTextKey {
            prompt: self.prompt.clone()?,
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

/// What the float network writes, while that is in sight.
pub(super) struct FloatText;

impl Derived for FloatText {
    type Key = FloatTextKey;
    type Value = Vec<String>;
    const KIND: Kind = Kind::ContinueFloat;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<FloatTextKey> {
        open.float_text_key().filter(|_| wanted.watched.continuation)
    }

    fn compute(open: &mut OpenNetwork, key: &FloatTextKey, _: &Wanted) -> Option<Work<Vec<String>>> {
        let (network, engine) = (Arc::clone(&open.original.network), open.engine()?);
        let (data, prompt) = (open.data()?.clone(), key.prompt.clone());
        // Loaded once: the prompt changes with every key that is pressed.
        let kept = Arc::clone(&open.float_writer);
        let written = rows::<Self, String>(open);
        Some(Work::new("Writing on, float", move |progress| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let writer = match &*kept {
                Some(writer) => Arc::clone(writer),
                None => Arc::clone(kept.insert(Arc::new(TextWriter::of(network.runnable_model(), Some(engine))?))),
            };
            drop(kept);
            write(&writer, &data, &prompt, &written, progress)
        }))
    }
}

/// What the quantized network writes, likewise.
pub(super) struct QuantizedText;

impl Derived for QuantizedText {
    type Key = QuantizedTextKey;
    type Value = Vec<String>;
    const KIND: Kind = Kind::ContinueQuantized;

    fn key(open: &OpenNetwork, wanted: &Wanted) -> Option<QuantizedTextKey> {
        open.quantized_text_key().filter(|_| wanted.watched.continuation)
    }

    fn compute(open: &mut OpenNetwork, key: &QuantizedTextKey, _: &Wanted) -> Option<Work<Vec<String>>> {
        let (network, plan) = open.current_plan()?;
        let (data, prompt) = (open.data()?.clone(), key.float.prompt.clone());
        let written = rows::<Self, String>(open);
        Some(Work::new("Writing on, quantized", move |progress| {
            work::settle(progress, SETTLE)?;
            progress.start(0, "writing the quantized graph");
            let quantized = QuantizedModel::of(&network, &plan)?;
            progress.check()?;
            let writer = TextWriter::of(quantized.into_model(), None)?;
            progress.check()?;
            write(&writer, &data, &prompt, &written, progress)
        }))
    }
}

/// An engine with the bytes that an export would write.
pub(super) fn quantized_engine(
    network: &Network,
    plan: &Plan,
    progress: &Progress,
) -> Result<Arc<dyn Engine>, JobError> {
    progress.start(0, "writing the quantized graph");
    let quantized = QuantizedModel::of(network, plan)?;
    progress.check()?;
    let engine = quantized.engine()?;
    progress.check()?;
    Ok(engine)
}

fn write(
    writer: &TextWriter,
    data: &Dataset,
    prompt: &Prompt,
    written: &Pieces<String>,
    progress: &Progress,
) -> Result<Vec<String>, JobError> {
    let tokens = data.tokens_of(&prompt.text).map_err(work::failed)?;
    let mut texts = Vec::with_capacity(prompt.count);
    writer.continue_text(data, &tokens, prompt.count, prompt.sampling, progress, |token| {
        let text = data
            .token_text(token)
            .map_or_else(|| format!("⟨{token}⟩"), str::to_owned);
        written.send(text.clone());
        texts.push(text);
    })?;
    Ok(texts)
}
