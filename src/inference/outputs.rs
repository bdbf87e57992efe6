//! Running a network over a data set, batch by batch: what it answers for each sample.

mod slices;

use super::answer::answering;
use super::calibration::BATCH;
use super::detections::{Detections, Detector, run_detector};
use super::evaluate::{largest, negative_log_likelihood};
use super::lanes::side_by_side;
use super::prefetch::each_batch;
use super::{Dataset, Engine, EngineError, InferenceError, QuantizedModel};
use crate::data::{EncoderAnswer, Port, Tensor, TextLayout, shared_name};
use crate::engine::{RunOptions, Threads};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Plan;
use rayon::prelude::*;
use slices::Slices;
use std::ops::Range;

/// The outputs of a network on consecutive samples of a data set.
///
/// For images one row a sample; for text one row a predicted token.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    /// Position in the data set of the first of them.
    pub first: usize,
    /// Samples (images) or tokens (text).
    pub samples: usize,
    /// Width of a row: number of classes, or size of the vocabulary.
    pub classes: usize,
    /// Row-major `[samples, classes]` logits; of a text with a large vocabulary only those of the first tokens.
    pub logits: Vec<f32>,
    /// Whether a row has one number for each of several classes; false for maps, a single number and other outputs, which
    /// have no accuracy.
    pub classification: bool,
    /// Sizes of the axes behind the samples, where there are three of them and a map of several pixels.
    pub map: Option<[usize; 3]>,
    /// What the logits of every token said, where not all are kept; else empty.
    pub tokens: Vec<TokenAnswer>,
    /// What a detector found, on data with boxes; `logits` are then what it chose among, or empty where their number varies.
    pub detections: Option<Detections>,
}

/// What a language model answered at one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TokenAnswer {
    /// Negative log-likelihood of the token that came, nats.
    pub nats: f64,
    /// The likeliest token; `None` where all are NaN.
    pub first: Option<usize>,
}

/// Logits of a text that are kept, 128 MiB of them: a word vocabulary has tens of thousands for each token.
const MOST_KEPT: usize = 1 << 25;

/// Logits of a text that are computed at once, 16 MiB of them on each share of the threads: of more, the network's head runs on
/// some tokens after the others.
const MOST_AT_ONCE: usize = 1 << 22;

/// Runs the first `limit` samples in batches; checks `progress` between batches and advances it by samples.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub fn run_outputs(
    engine: &dyn Engine,
    data: &Dataset,
    limit: usize,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    run_samples(engine, data, 0..limit, progress)
}

/// Runs the samples `range` of `data`, as far as there are so many, as [`run_outputs`] runs the first.
///
/// # Errors
/// As [`run_outputs`].
pub fn run_samples(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    if data.boxes().is_some()
        && let Ok(detector) = Detector::of(engine)
    {
        return run_detector(&detector, (engine, data), range, progress);
    }
    run_side_by_side(engine, data, range, progress, |threads, _, inputs, output| {
        Ok(run_on(engine, threads, inputs, &[output])?.pop())
    })
}

/// Runs the samples `range` through the quantized network that `plan` makes of `network`: the very bytes that an export writes.
///
/// # Errors
/// [`InferenceError`] of graph, engine, data, or `Cancelled`.
pub fn run_plan(
    network: &Network,
    plan: &Plan,
    data: &Dataset,
    range: Range<usize>,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    let engine = QuantizedModel::of(network, plan)?.engine()?;
    run_samples(&engine, data, range, progress)
}

/// Runs once on these threads.
pub(super) fn run_on(
    engine: &dyn Engine,
    threads: &Threads,
    inputs: &[(&str, &Tensor)],
    outputs: &[&str],
) -> Result<Vec<Tensor>, EngineError> {
    let options = RunOptions {
        threads: Some(threads),
        ..RunOptions::default()
    };
    engine.run_with(inputs, outputs, options)
}

/// [`run_samples`] with the output of each batch from `answer`, which gets the threads to run on, the samples, their inputs and
/// the name of the value that is wanted: the output or, of a text with a large vocabulary, what the network's head reads.
/// `engine` tells what the network takes, and runs the head.
pub(super) fn run_side_by_side(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    progress: &Progress,
    answer: impl Fn(&Threads, &Range<usize>, &[(&str, &Tensor)], &str) -> Result<Option<Tensor>, InferenceError> + Sync,
) -> Result<Outputs, InferenceError> {
    run_in_slices(engine, data, range, progress, MOST_AT_ONCE, answer)
}

/// [`run_side_by_side`] with at most so many logits of a text at once.
fn run_in_slices(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    progress: &Progress,
    most: usize,
    answer: impl Fn(&Threads, &Range<usize>, &[(&str, &Tensor)], &str) -> Result<Option<Tensor>, InferenceError> + Sync,
) -> Result<Outputs, InferenceError> {
    let mut run = Run::new(engine, data, range, progress)?;
    let (batches, output) = (run.batches.clone(), run.output.clone());
    let slices = Slices::of(engine, &run, most);
    side_by_side(
        data,
        &run.ranges(),
        progress,
        |position, inputs, threads| {
            let batch = &batches[position];
            let get = |name: &str| answer(threads, &batch.run, inputs, name);
            if let Some(slices) = slices.as_ref().filter(|slices| slices.work())
                && let Some(value) = get(&slices.head.value)?
                && let Some(answered) = slices.answered(threads, batch, &value)?
            {
                return Ok(Answer::Tokens(answered));
            }
            Ok(Answer::Whole(get(&output)?))
        },
        |position, answer| match answer {
            Answer::Whole(answer) => run.take(position, answer.as_ref()),
            Answer::Tokens(answered) => {
                run.take_tokens(position, answered);
                Ok(())
            }
        },
    )?;
    run.finish()
}

/// The same one batch after the other.
pub(super) fn run_batches(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    progress: &Progress,
    mut answer: impl FnMut(&[(&str, &Tensor)], &str) -> Result<Option<Tensor>, InferenceError>,
) -> Result<Outputs, InferenceError> {
    let mut run = Run::new(engine, data, range, progress)?;
    let (ranges, output) = (run.ranges(), run.output.clone());
    each_batch(data, &ranges, progress, |position, inputs| {
        run.take(position, answer(inputs, &output)?.as_ref())
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
    /// The axis on which it has the samples, as far as names tell.
    sample_axis: usize,
    outputs: Outputs,
}

impl<'a> Run<'a> {
    fn new(
        engine: &dyn Engine,
        data: &'a Dataset,
        range: Range<usize>,
        progress: &'a Progress,
    ) -> Result<Self, InferenceError> {
        let range = range.start..range.end.min(data.len());
        let samples = range.len();
        if samples == 0 {
            return Err(InferenceError::Data(format!("{}: no samples to run", data.name())));
        }
        let answers = answering(engine, data)?;
        let (output, sample_axis) = (answers.name.clone(), axis_of_samples(engine, data, answers));
        progress.start(samples as u64, format!("Running {}", data.name()));
        Ok(Self {
            data,
            progress,
            batches: batches(engine, data, range.clone(), IMAGES)?,
            output,
            sample_axis,
            outputs: Outputs {
                first: range.start,
                samples,
                classification: true,
                detections: match data.boxes() {
                    Some(_) => Detector::of(engine).err().map(Detections::NotKnown),
                    None => None,
                },
                ..Outputs::default()
            },
        })
    }

    fn ranges(&self) -> Vec<Range<usize>> {
        self.batches.iter().map(|batch| batch.run.clone()).collect()
    }

    /// Takes the answer to the batch at `position`; they come in order.
    fn take(&mut self, position: usize, answer: Option<&Tensor>) -> Result<(), InferenceError> {
        let (batch, output) = (&self.batches[position], &self.output);
        let Some((value, values)) = answer.and_then(|answer| Some((answer, answer.floats()?))) else {
            return Err(InferenceError::Data(format!(
                "the output '{output}' is no float tensor"
            )));
        };
        let answer = (output.as_str(), self.sample_axis);
        self.outputs.take_in(answer, value.shape(), values, self.data, batch)?;
        self.progress.advance(batch.wanted.len() as u64);
        Ok(())
    }

    /// The same of answers to tokens of which is kept what there is room for.
    fn take_tokens(&mut self, position: usize, answered: Answered) {
        self.outputs.classes = answered.classes;
        self.outputs.add(answered);
        self.progress.advance(self.batches[position].wanted.len() as u64);
    }

    /// The outputs, if their labels are classes that the network knows.
    fn finish(self) -> Result<Outputs, InferenceError> {
        let (outputs, data) = (self.outputs, self.data);
        if outputs.classification && !data.is_text() {
            let label = |at: usize| data.label(at).filter(|label| *label >= outputs.classes);
            let wrong = outputs.range().find_map(|at| Some((at, label(at)?)));
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

/// The axis on which an output has the samples: behind the steps in time as in the input, or where it is called as the axis of the
/// samples there (recognizers of text answer `[steps, samples, letters]` to pictures).
fn axis_of_samples(engine: &dyn Engine, data: &Dataset, output: &Port) -> usize {
    let inputs = engine.inputs();
    let of_input = (inputs.first()).and_then(|first| shared_name(inputs, first, first.sample_axis()));
    let of_output = |axis: usize| shared_name(inputs, output, axis);
    let is_second = of_input.is_some() && of_output(1) == of_input && of_output(0) != of_input;
    if is_second { 1 } else { data.sample_axis() }
}

/// What a batch answered.
enum Answer {
    /// The network's output.
    Whole(Option<Tensor>),
    /// What is kept of it.
    Tokens(Answered),
}

/// What is kept of the answers to tokens.
#[derive(Default)]
struct Answered {
    classes: usize,
    logits: Vec<f32>,
    tokens: Vec<TokenAnswer>,
}

impl Answered {
    /// Keeps of the answer to `token` what there is room for, if `samples` tokens are asked for from `first` on: all logits or,
    /// where those of all tokens are too many, those of the first, and what each says.
    fn keep(&mut self, data: &Dataset, (first, samples): (usize, usize), token: usize, row: &[f32]) {
        let all = samples.saturating_mul(row.len()) <= MOST_KEPT;
        if all || token - first < MOST_KEPT / row.len().max(1) {
            self.logits.extend_from_slice(row);
        }
        if !all {
            self.tokens.push(TokenAnswer::of(data, token, row));
        }
    }
}

impl TokenAnswer {
    fn of(data: &Dataset, token: usize, row: &[f32]) -> Self {
        Self {
            nats: negative_log_likelihood(row, data.label(token).unwrap_or(usize::MAX)),
            first: largest(row),
        }
    }
}

/// Where the answers to the tokens of a batch are among the rows of an output.
struct TextRows {
    layout: TextLayout,
    /// The first stream of the batch.
    first: usize,
    streams: usize,
    steps: usize,
}

impl TextRows {
    /// # Errors
    /// The number of rows that there should be.
    fn of(layout: TextLayout, batch: &Batch, rows: usize) -> Result<Self, usize> {
        let length = layout.length;
        let first = batch.run.start / length;
        let streams = batch.run.end.div_ceil(length) - first;
        // A single stream is run from its beginning up to the last wanted token only; one-stream networks without a batch axis
        // run their whole stream.
        let steps = if streams == 1 && rows != length {
            batch.run.end - first * length
        } else {
            length
        };
        if rows != streams * steps {
            return Err(streams * steps);
        }
        Ok(Self {
            layout,
            first,
            streams,
            steps,
        })
    }

    fn place(&self, token: usize) -> usize {
        let length = self.layout.length;
        let (stream, time) = (token / length - self.first, token % length);
        if self.layout.batch_first {
            stream * self.steps + time
        } else {
            time * self.streams + stream
        }
    }
}

/// What is run at once, and which of its samples are wanted.
#[derive(Clone)]
pub(super) struct Batch {
    pub(super) run: Range<usize>,
    pub(super) wanted: Range<usize>,
}

/// Images that run at once: as many as a layer's values stay in the cache for. With 8-bit activations the demo takes 2.4 ms an
/// image in batches of 2 to 12, 2.9 ms in batches of 25.
pub(super) const IMAGES: usize = 12;

/// Images of [`LARGE`] numbers and more that run at once.
const LARGE_IMAGES: usize = 4;

/// Numbers of a sample from which on it counts as large: a ResNet-50 takes 70 ms an image.
const LARGE: usize = 3 * 128 * 128;

/// Streams of text that run at once: fewer are slower a stream, more are not faster.
const STREAMS: usize = 4;

/// The batches for the samples `range`, which are there. A network with a fixed batch size gets full batches only: the last one
/// begins earlier then.
pub(super) fn batches(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    images: usize,
) -> Result<Vec<Batch>, InferenceError> {
    batches_of(engine, data, range, images, data.encoder_at_once())
}

/// The batches in which the values between layers are measured: no sentence is filled up to the length of a longer one, since
/// what stands there is no sample.
pub(super) fn measured_batches(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
) -> Result<Vec<Batch>, InferenceError> {
    let sentences = data
        .encoder_at_once()
        .map(|at_once| if data.is_padded() { 1 } else { at_once });
    batches_of(engine, data, range, BATCH, sentences)
}

fn batches_of(
    engine: &dyn Engine,
    data: &Dataset,
    range: Range<usize>,
    images: usize,
    sentences: Option<usize>,
) -> Result<Vec<Batch>, InferenceError> {
    let fixed = |axis: usize| -> Option<usize> {
        let port = engine
            .inputs()
            .iter()
            .find(|port| port.is_integer() == data.is_text())
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
            let one = (engine.inputs().iter().find(|port| port.is_integer()))
                .and_then(|port| port.shape.as_ref())
                .is_some_and(|shape| shape.len() == 1);
            let fixed = if one { Some(1) } else { fixed(axis) };
            (
                fixed.unwrap_or(STREAMS.min(layout.at_once)) * layout.length,
                fixed.map(|streams| streams * layout.length),
            )
        }
        None if sentences.is_some() => (fixed(0).or(sentences).unwrap_or(1), fixed(0)),
        None => (
            fixed(data.sample_axis()).unwrap_or(if large { images.min(LARGE_IMAGES) } else { images }),
            fixed(data.sample_axis()),
        ),
    };
    // Of samples that do not fill a fixed batch the last one is repeated; a text has none to spare.
    let short = fixed.is_some_and(|size| size > data.len());
    if size == 0 || (short && data.is_text()) {
        return Err(InferenceError::Data(format!(
            "{}: the network takes {size} samples at once, there are {}",
            data.name(),
            data.len()
        )));
    }
    let batch = |at: usize| {
        let wanted = at..range.end.min(at + size);
        let run = match fixed {
            Some(size) => {
                let start = at.min(data.len().saturating_sub(size));
                start..start + size
            }
            None => wanted.clone(),
        };
        Batch { run, wanted }
    };
    Ok(range.clone().step_by(size).map(batch).collect())
}

impl Outputs {
    /// The positions of the samples in the data set.
    pub fn range(&self) -> Range<usize> {
        self.first..self.first + self.samples
    }

    /// The answer for one sample, counted from the first that was run; empty beyond the last.
    pub fn row(&self, sample: usize) -> &[f32] {
        let from = sample.saturating_mul(self.classes);
        self.logits
            .get(from..from.saturating_add(self.classes))
            .unwrap_or_default()
    }

    /// The likeliest class of that row, of equal ones the lowest; `None` where all are NaN.
    pub fn first_answer(&self, row: usize) -> Option<usize> {
        match self.tokens.get(row) {
            Some(answer) => answer.first,
            None => largest(self.row(row)),
        }
    }

    /// Negative log-likelihood of `label` in that row, nats. Of a text, `label` must be the token that came.
    pub fn nats(&self, row: usize, label: usize) -> f64 {
        match self.tokens.get(row) {
            Some(answer) => answer.nats,
            None => negative_log_likelihood(self.row(row), label),
        }
    }

    /// Adds the wanted rows of a batch's output, of which are known the name and the axis that samples should be on.
    fn take_in(
        &mut self,
        (name, sample_axis): (&str, usize),
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
            None if data.encoder_at_once().is_some() => {
                self.take_encoded(shape, values, data, batch)
                    .ok_or_else(|| wrong(batch.run.len()))?;
            }
            None => {
                let rows = batch.run.len();
                let each = values.len() / rows.max(1);
                if !self.logits.is_empty() && each != self.classes {
                    let before = self.classes;
                    return Err(InferenceError::Data(format!(
                        "the output '{name}' has {each} numbers for some samples and {before} for others, which cannot be compared"
                    )));
                }
                self.classes = each;
                let wanted = batch.wanted.start - batch.run.start..batch.wanted.end - batch.run.start;
                match shape {
                    // Steps in time come first: a sample is one column of them.
                    [steps, samples, rest @ ..]
                        if *samples == rows && (sample_axis == 1 || (*steps != rows && !rest.is_empty())) =>
                    {
                        let each = self.classes / steps.max(&1);
                        self.classification = *steps == 1 && each >= 2 && shape.len() == 3;
                        for sample in wanted {
                            for step in 0..*steps {
                                let from = (step * rows + sample) * each;
                                self.logits.extend_from_slice(&values[from..from + each]);
                            }
                        }
                    }
                    [samples, rest @ ..] if *samples == rows => {
                        self.classification = match rest {
                            [classes, behind @ ..] => *classes >= 2 && behind.iter().all(|size| *size == 1),
                            [] => false,
                        };
                        self.map = <[usize; 3]>::try_from(rest).ok().filter(|_| !self.classification);
                        let each = self.classes;
                        self.logits
                            .extend_from_slice(&values[wanted.start * each..wanted.end * each]);
                    }
                    // Whatever is answered to one sample is its answer.
                    _ if rows == 1 => {
                        (self.classification, self.map) = (false, None);
                        self.logits.extend_from_slice(values);
                    }
                    _ => return Err(wrong(rows)),
                }
            }
            Some(layout) => {
                let classes = shape.last().copied().unwrap_or(0);
                let rows = values.len().checked_div(classes).unwrap_or(0);
                let place = TextRows::of(layout, batch, rows).map_err(wrong)?;
                self.classes = classes;
                self.keep(data, batch.wanted.clone(), |token| {
                    &values[place.place(token) * classes..][..classes]
                });
            }
        }
        Ok(())
    }

    /// Adds what an encoder answers to the wanted samples: at the hidden token of each, or the mean over the tokens of a sentence.
    /// `None` for an output of another shape.
    fn take_encoded(&mut self, shape: &[usize], values: &[f32], data: &Dataset, batch: &Batch) -> Option<()> {
        let (steps, width) = match *shape {
            [_, width] => (1, width),
            [_, steps, width] => (steps, width),
            _ => return None,
        };
        let each = steps.checked_mul(width).filter(|each| *each > 0)?;
        if shape.first() != Some(&batch.run.len()) || values.len() != batch.run.len() * each {
            return None;
        }
        self.classes = width;
        let sample_values = |sample: usize| &values[(sample - batch.run.start) * each..][..each];
        let place = |sample: usize| match data.encoder_answer(sample) {
            Some(EncoderAnswer::AtToken(place)) => Some(place),
            _ => None,
        };
        if let Some(places) = batch.wanted.clone().map(place).collect::<Option<Vec<usize>>>() {
            if shape.len() != 3 || places.iter().any(|place| *place >= steps) {
                return None;
            }
            let first = batch.wanted.start;
            self.keep(data, batch.wanted.clone(), |sample| {
                &sample_values(sample)[places[sample - first] * width..][..width]
            });
            return Some(());
        }
        self.classification = false;
        for sample in batch.wanted.clone() {
            let Some(EncoderAnswer::MeanOfTokens(tokens)) = data.encoder_answer(sample) else {
                return None;
            };
            let tokens = tokens.clamp(1, steps);
            let rows = &sample_values(sample)[..tokens * width];
            let mean = |at: usize| {
                let sum: f64 = rows.iter().skip(at).step_by(width).map(|x| f64::from(*x)).sum();
                (sum / tokens as f64) as f32
            };
            self.logits.extend((0..width).map(mean));
        }
        Some(())
    }

    /// Keeps of the answers to `tokens` what there is room for.
    fn keep<'a>(&mut self, data: &Dataset, tokens: Range<usize>, row: impl Fn(usize) -> &'a [f32] + Sync) {
        let all = (self.first, self.samples);
        let kept = |mut kept: Answered, token: usize| {
            kept.keep(data, all, token, row(token));
            kept
        };
        let parts: Vec<Answered> = tokens.into_par_iter().fold(Answered::default, kept).collect();
        for part in parts {
            self.add(part);
        }
    }

    fn add(&mut self, part: Answered) {
        self.logits.extend(part.logits);
        self.tokens.extend(part.tokens);
    }
}

#[cfg(test)]
mod tests;
