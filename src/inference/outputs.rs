//! Running a network over a data set, batch by batch: what it answers for each sample.

use super::dataset::TextLayout;
use super::lanes::side_by_side;
use super::prefetch::each_batch;
use super::{Dataset, Engine, InferenceError};
use crate::progress::Progress;
use rten::Value;
use rten_tensor::prelude::*;
use std::ops::Range;

/// The outputs of a network on the first samples of a data set.
///
/// For images one row a sample; for text one row a predicted token.
#[derive(Debug, Clone)]
pub struct Outputs {
    /// Samples (images) or tokens (text).
    pub samples: usize,
    /// Width of a row: number of classes, or size of the vocabulary.
    pub classes: usize,
    /// Row-major `[samples, classes]` logits.
    pub logits: Vec<f32>,
    /// Whether a row has one number a class; false for maps and other outputs, which have no accuracy.
    pub classification: bool,
}

/// Runs the first `limit` samples in batches; checks `progress` between batches and advances it by samples.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn run_outputs(
    engine: &Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    let mut run = Run::new(engine, data, limit, progress)?;
    let (ranges, output) = (run.ranges(), run.output.clone());
    side_by_side(
        data,
        &ranges,
        progress,
        |inputs, threads| Ok(engine.run_on(threads, inputs, &[&output])?.pop()),
        |position, answer| run.take(position, answer),
    )?;
    run.finish()
}

/// [`run_outputs`] one batch after the other, with the output of each from `answer`, which gets the inputs and the output's
/// name; `engine` tells what the network takes.
pub(super) fn run_batches(
    engine: &Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
    mut answer: impl FnMut(&[(&str, Value)], &str) -> Result<Option<Value>, InferenceError>,
) -> Result<Outputs, InferenceError> {
    let mut run = Run::new(engine, data, limit, progress)?;
    let (ranges, output) = (run.ranges(), run.output.clone());
    each_batch(data, &ranges, progress, |position, inputs| {
        run.take(position, answer(inputs, &output)?)
    })?;
    run.finish()
}

/// A run over data that is under way.
struct Run<'a> {
    data: &'a Dataset,
    progress: &'a Progress,
    batches: Vec<Batch>,
    /// Name of the output that is wanted.
    output: String,
    outputs: Outputs,
}

impl<'a> Run<'a> {
    fn new(engine: &Engine, data: &'a Dataset, limit: usize, progress: &'a Progress) -> Result<Self, InferenceError> {
        let samples = data.len().min(limit);
        if samples == 0 {
            return Err(InferenceError::Data(format!("{}: no samples to run", data.name())));
        }
        let output = engine.outputs().first().map(|port| port.name.clone());
        let output = output.ok_or_else(|| InferenceError::Data("the network has no output".to_owned()))?;
        progress.start(samples as u64, format!("Running {}", data.name()));
        Ok(Self {
            data,
            progress,
            batches: batches(engine, data, samples, IMAGES)?,
            output,
            outputs: Outputs {
                samples,
                classes: 0,
                logits: Vec::new(),
                classification: true,
            },
        })
    }

    fn ranges(&self) -> Vec<Range<usize>> {
        self.batches.iter().map(|batch| batch.run.clone()).collect()
    }

    /// Takes the answer to the batch at `position`; they come in order.
    fn take(&mut self, position: usize, answer: Option<Value>) -> Result<(), InferenceError> {
        let (batch, output) = (&self.batches[position], &self.output);
        let Some(Value::FloatTensor(value)) = answer else {
            return Err(InferenceError::Data(format!(
                "the output '{output}' is no float tensor"
            )));
        };
        self.outputs
            .take_in(output, value.shape(), &value.to_vec(), self.data, batch)?;
        self.progress.advance(batch.wanted.len() as u64);
        Ok(())
    }

    /// The outputs, if their labels are classes that the network knows.
    fn finish(self) -> Result<Outputs, InferenceError> {
        let (outputs, data) = (self.outputs, self.data);
        if outputs.classification && !data.is_text() {
            let label = |at: usize| data.label(at).filter(|label| *label >= outputs.classes);
            let wrong = (0..outputs.samples).find_map(|at| Some((at, label(at)?)));
            if let Some((sample, label)) = wrong {
                return Err(InferenceError::Data(format!(
                    "{}: sample {sample} has the label {label}, the network answers {} classes",
                    data.name(),
                    outputs.classes
                )));
            }
        }
        Ok(outputs)
    }
}

/// What is run at once, and which of its samples are wanted.
pub(super) struct Batch {
    pub(super) run: Range<usize>,
    pub(super) wanted: Range<usize>,
}

/// Images that run at once. From 16 to 100 the size makes no difference to the demo's speed; this one cancels quickly.
const IMAGES: usize = 25;

/// Images of [`LARGE`] numbers and more that run at once.
const LARGE_IMAGES: usize = 4;

/// Numbers of a sample from which on it counts as large: a ResNet-50 takes 70 ms an image.
const LARGE: usize = 3 * 128 * 128;

/// Streams of text that run at once: fewer are slower a stream, more are not faster.
const STREAMS: usize = 4;

/// The batches for the first `samples` samples. A network with a fixed batch size gets full batches only: the last one
/// begins earlier then.
pub(super) fn batches(
    engine: &Engine,
    data: &Dataset,
    samples: usize,
    images: usize,
) -> Result<Vec<Batch>, InferenceError> {
    let fixed = |axis: usize| -> Option<usize> {
        let port = engine
            .inputs()
            .iter()
            .find(|port| port.integer == data.is_text())
            .or(engine.inputs().first())?;
        let shape = port.shape.as_ref()?;
        if shape.len() > 1 { *shape.get(axis)? } else { None }
    };
    let large = engine
        .inputs()
        .iter()
        .filter_map(|port| port.shape.as_ref())
        .any(|shape| {
            let known = shape.iter().skip(1).flatten();
            known.fold(1_usize, |product, size| product.saturating_mul(*size)) >= LARGE
        });
    let (size, fixed) = match data.text_layout() {
        Some(layout) => {
            let axis = usize::from(!layout.batch_first);
            let one = (engine.inputs().iter().find(|port| port.integer))
                .and_then(|port| port.shape.as_ref())
                .is_some_and(|shape| shape.len() == 1);
            let fixed = if one { Some(1) } else { fixed(axis) };
            (
                fixed.unwrap_or(STREAMS) * layout.length,
                fixed.map(|streams| streams * layout.length),
            )
        }
        None => (
            fixed(0).unwrap_or(if large { images.min(LARGE_IMAGES) } else { images }),
            fixed(0),
        ),
    };
    if size == 0 || fixed.is_some_and(|size| size > data.len()) {
        return Err(InferenceError::Data(format!(
            "{}: the network takes {size} samples at once, there are {}",
            data.name(),
            data.len()
        )));
    }
    let batch = |at: usize| {
        let wanted = at..samples.min(at + size);
        let run = match fixed {
            Some(size) => {
                let start = at.min(data.len() - size);
                start..start + size
            }
            None => wanted.clone(),
        };
        Batch { run, wanted }
    };
    Ok((0..samples).step_by(size).map(batch).collect())
}

impl Outputs {
    /// The answer for one sample; empty beyond the last.
    pub fn row(&self, sample: usize) -> &[f32] {
        let from = sample.saturating_mul(self.classes);
        self.logits
            .get(from..from.saturating_add(self.classes))
            .unwrap_or_default()
    }

    /// Adds the wanted rows of a batch's output.
    fn take_in(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[f32],
        data: &Dataset,
        batch: &Batch,
    ) -> Result<(), InferenceError> {
        let wrong = |rows: usize| {
            InferenceError::Data(format!(
                "the output '{name}' has the shape {shape:?} for {rows} samples at once"
            ))
        };
        match data.text_layout() {
            None => {
                let rows = batch.run.len();
                if shape.first() != Some(&rows) {
                    return Err(wrong(rows));
                }
                self.classes = values.len() / rows;
                self.classification = shape.len() >= 2 && shape[2..].iter().all(|size| *size == 1);
                let from = (batch.wanted.start - batch.run.start) * self.classes;
                self.logits
                    .extend_from_slice(&values[from..from + batch.wanted.len() * self.classes]);
            }
            Some(TextLayout { length, batch_first }) => {
                let first = batch.run.start / length;
                let streams = batch.run.end.div_ceil(length) - first;
                // A single stream is run up to the last wanted token only.
                let steps = if streams == 1 { batch.run.len() } else { length };
                let classes = shape.last().copied().unwrap_or(0);
                // One-stream networks without a batch axis run their whole stream.
                let steps = if values.len() == length * classes && streams == 1 {
                    length
                } else {
                    steps
                };
                if classes == 0 || values.len() != streams * steps * classes {
                    return Err(wrong(streams * steps));
                }
                self.classes = classes;
                for token in batch.wanted.clone() {
                    let (stream, time) = (token / length - first, token % length);
                    let row = if batch_first {
                        stream * steps + time
                    } else {
                        time * streams + stream
                    };
                    self.logits.extend_from_slice(&values[row * classes..][..classes]);
                }
            }
        }
        Ok(())
    }
}
