//! What a detector finds: boxes, how sure it is of each, and what is in them. Networks that end in non-maximum suppression answer
//! so in a few forms, which are known by the names and sizes of their outputs.

use super::lanes::side_by_side;
use super::outputs::{Batch, IMAGES, batches, run_on};
use super::{Dataset, Engine, InferenceError, Outputs, Port};
use crate::data::{ElementKind, Tensor, TensorValues};
use crate::engine::Threads;
use crate::progress::Progress;
use std::ops::Range;

/// An object that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Left, top, right and bottom, in pixels of what the network sees or in shares of it, as the network has them.
    pub corners: [f32; 4],
    /// How sure the network is.
    pub score: f32,
    /// What it is, by the network's number.
    pub class: i64,
}

/// What is known of detections on data that have boxes.
#[derive(Debug, Clone, PartialEq)]
pub enum Detections {
    /// Those of each sample.
    Found(Vec<Vec<Detection>>),
    /// Why the outputs are not understood as such.
    NotKnown(NoDetector),
}

/// The outputs of a network are not those of a detector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the boxes of the data are not used: {outputs} is not what a network answers behind non-maximum suppression (outputs called boxes, \
     scores and labels, or one of [samples, n, 6]), so there is no mAP"
)]
pub struct NoDetector {
    /// What the outputs are.
    pub outputs: String,
}

/// The outputs of a detector.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Detector {
    form: Form,
    /// What the suppression chooses by: there every candidate keeps its place, so that two networks can be compared.
    before: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// Boxes `[samples, n, 4]`, scores and classes `[samples, n]`, and how many of them count `[samples]`; or the same of one sample
    /// without its axis.
    Apart {
        boxes: String,
        scores: String,
        classes: String,
        count: Option<String>,
        /// Top before left, as TensorFlow has them.
        top_first: bool,
        one_by_one: bool,
    },
    /// `[samples, n, 6]`: left, top, right, bottom, score, class.
    Rows(String),
}

impl Detector {
    /// The detector in `engine`.
    ///
    /// # Errors
    /// What the outputs are, where they are not understood.
    pub(super) fn of(engine: &dyn Engine) -> Result<Self, NoDetector> {
        Ok(Self {
            form: form(engine.outputs())?,
            before: engine.before_suppression().map(str::to_owned),
        })
    }

    /// The values to ask for; those of the form first.
    fn names(&self) -> Vec<&str> {
        let mut names = match &self.form {
            Form::Apart {
                boxes,
                scores,
                classes,
                count,
                ..
            } => {
                let mut names = vec![boxes.as_str(), scores.as_str(), classes.as_str()];
                names.extend(count.as_deref());
                names
            }
            Form::Rows(rows) => vec![rows.as_str()],
        };
        names.extend(self.before.as_deref());
        names
    }

    /// Where among [`Detector::names`] the value is by which outputs are compared.
    fn compared(&self) -> usize {
        match &self.before {
            Some(_) => self.names().len() - 1,
            None => 0,
        }
    }

    /// What was found in each of `samples` samples that ran at once; `None` for values of other sizes.
    fn read(&self, values: &[Tensor], samples: usize) -> Option<Vec<Vec<Detection>>> {
        let found = |each: usize, detection: &dyn Fn(usize) -> Detection| {
            let sample = |sample: usize| {
                let all = (sample * each..(sample + 1) * each).map(detection);
                all.filter(|found| found.score > 0.0 && found.class >= 0).collect()
            };
            Some((0..samples).map(sample).collect())
        };
        match &self.form {
            Form::Rows(_) => {
                let rows = values.first()?;
                let (&[of, each, 6], Some(numbers)) = (rows.shape(), rows.floats()) else {
                    return None;
                };
                (of == samples).then_some(())?;
                found(each, &|at| {
                    let row: [f32; 6] = std::array::from_fn(|place| numbers[6 * at + place]);
                    Detection {
                        corners: [row[0], row[1], row[2], row[3]],
                        score: row[4],
                        class: row[5] as i64,
                    }
                })
            }
            Form::Apart { count, top_first, .. } => {
                let [boxes, scores, classes, ..] = values else {
                    return None;
                };
                let (boxes, scores, classes) = (boxes.floats()?, scores.floats()?, whole_numbers(classes));
                let each = scores.len() / samples.max(1);
                if scores.len() != each * samples || boxes.len() != 4 * scores.len() || classes.len() != scores.len() {
                    return None;
                }
                let kept = count.as_ref().and(values.get(3)).map(whole_numbers);
                found(each, &|at| {
                    let [a, b, c, d]: [f32; 4] = std::array::from_fn(|edge| boxes[4 * at + edge]);
                    let kept = kept.as_ref().and_then(|kept| kept.get(at / each.max(1)));
                    let counts =
                        kept.is_none_or(|kept| i64::try_from(at % each.max(1)).is_ok_and(|place| place < *kept));
                    Detection {
                        corners: if *top_first { [b, a, d, c] } else { [a, b, c, d] },
                        score: if counts { scores[at] } else { 0.0 },
                        class: classes[at],
                    }
                })
            }
        }
    }
}

fn whole_numbers(value: &Tensor) -> Vec<i64> {
    match value.values() {
        TensorValues::F32(values) => values.iter().map(|value| *value as i64).collect(),
        TensorValues::I32(values) => values.iter().map(|value| i64::from(*value)).collect(),
        TensorValues::I64(values) => values.clone(),
        TensorValues::I8(values) => values.iter().map(|value| i64::from(*value)).collect(),
        TensorValues::U8(values) => values.iter().map(|value| i64::from(*value)).collect(),
    }
}

/// Which outputs are boxes, scores and classes.
fn form(outputs: &[Port]) -> Result<Form, NoDetector> {
    let called = |port: &Port, words: &[&str]| {
        let name = port.name.to_lowercase();
        words.iter().any(|word| name.contains(word))
    };
    let axes = |port: &Port, allowed: &[usize]| port.shape.as_ref().is_none_or(|shape| allowed.contains(&shape.len()));
    let last = |port: &Port, size: usize| {
        let last = port.shape.as_ref().and_then(|shape| shape.last().copied().flatten());
        last.is_none_or(|last| last == size)
    };
    let is_float = |port: &Port| port.kind == ElementKind::Float;
    let find = |is: &dyn Fn(&Port) -> bool| outputs.iter().find(|port| is(port));
    let boxes = find(&|port| is_float(port) && called(port, &["box"]) && axes(port, &[2, 3]) && last(port, 4));
    let scores = find(&|port| is_float(port) && called(port, &["score", "conf"]) && axes(port, &[1, 2]));
    let classes = find(&|port| called(port, &["label", "class"]) && !called(port, &["score"]) && axes(port, &[1, 2]));
    if let (Some(boxes), Some(scores), Some(classes)) = (boxes, scores, classes) {
        let name = |port: &Port| port.name.clone();
        return Ok(Form::Apart {
            count: find(&|port| called(port, &["num"]) && axes(port, &[1, 2])).map(name),
            top_first: boxes.name.starts_with("detection_boxes"),
            one_by_one: boxes.shape.as_ref().is_some_and(|shape| shape.len() == 2),
            boxes: name(boxes),
            scores: name(scores),
            classes: name(classes),
        });
    }
    if let [rows] = outputs
        && is_float(rows)
        && rows
            .shape
            .as_ref()
            .is_some_and(|shape| shape.len() == 3 && shape[2] == Some(6))
    {
        return Ok(Form::Rows(rows.name.clone()));
    }
    let listed: Vec<String> = outputs.iter().map(Port::describe).collect();
    let outputs = listed.join(", ");
    Err(NoDetector { outputs })
}

/// Runs the samples `range` of `data` through the detector in `engine`, as far as there are so many.
///
/// # Errors
/// [`InferenceError`] of data, engine, or `Cancelled`.
pub(super) fn run_detector(
    detector: &Detector,
    (engine, data): (&dyn Engine, &Dataset),
    range: Range<usize>,
    progress: &Progress,
) -> Result<Outputs, InferenceError> {
    let range = range.start..range.end.min(data.len());
    if range.is_empty() {
        return Err(InferenceError::Data(format!("{}: no samples to run", data.name())));
    }
    let one_by_one = matches!(detector.form, Form::Apart { one_by_one: true, .. });
    let batches = batches(engine, data, range.clone(), if one_by_one { 1 } else { IMAGES })?;
    let ranges: Vec<Range<usize>> = batches.iter().map(|batch| batch.run.clone()).collect();
    let names = detector.names();
    progress.start(range.len() as u64, format!("Running {}", data.name()));
    let mut outputs = Outputs {
        first: range.start,
        samples: range.len(),
        ..Outputs::default()
    };
    let mut all = Vec::with_capacity(range.len());
    side_by_side(
        data,
        &ranges,
        progress,
        |_, inputs, threads: &Threads| Ok(run_on(engine, threads, inputs, &names)?),
        |position, values| {
            let batch = &batches[position];
            let found = detector
                .read(&values, batch.run.len())
                .ok_or_else(|| wrong(&names, &values, batch))?;
            let wanted = batch.wanted.start - batch.run.start..batch.wanted.end - batch.run.start;
            if let Some(value) = values.get(detector.compared()) {
                keep(&mut outputs, value, batch.run.len(), wanted.clone());
            }
            all.extend(found.into_iter().skip(wanted.start).take(wanted.len()));
            progress.advance(wanted.len() as u64);
            Ok(())
        },
    )?;
    // Rows of differing lengths cannot be compared.
    if outputs.logits.len() != outputs.samples * outputs.classes {
        (outputs.logits, outputs.classes) = (Vec::new(), 0);
    }
    outputs.detections = Some(Detections::Found(all));
    Ok(outputs)
}

/// Keeps the wanted rows of a value that has as many as samples ran, for the comparison of two networks.
fn keep(outputs: &mut Outputs, value: &Tensor, samples: usize, wanted: Range<usize>) {
    let (Some(values), Some(&rows)) = (value.floats(), value.shape().first()) else {
        return;
    };
    let each = values.len() / samples.max(1);
    if rows == samples && (outputs.classes == 0 || outputs.classes == each) {
        outputs.classes = each;
        outputs
            .logits
            .extend_from_slice(&values[wanted.start * each..wanted.end * each]);
    }
}

fn wrong(names: &[&str], values: &[Tensor], batch: &Batch) -> InferenceError {
    let shapes = names
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name} {:?}", value.shape()));
    let shapes: Vec<String> = shapes.collect();
    InferenceError::Data(format!(
        "{} are no boxes, scores and classes of {} sample(s)",
        shapes.join(", "),
        batch.run.len()
    ))
}
