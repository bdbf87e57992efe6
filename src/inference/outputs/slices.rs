//! The head of a language model on some tokens after the others: the logits of all, tokens times vocabulary, are never there at once.

use super::{Answered, Batch, Run, TextRows};
use crate::data::{EncoderAnswer, Tensor};
use crate::engine::{Head, Threads};
use crate::inference::{Dataset, Engine, InferenceError};
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs a network's head on some tokens after the others, so that the logits of all are never there at once.
pub(super) struct Slices<'a> {
    engine: &'a dyn Engine,
    pub(super) head: &'a Head,
    data: &'a Dataset,
    output: String,
    /// Position of the first token, and their number.
    all: (usize, usize),
    /// Tokens at once.
    tokens: usize,
    /// Whether the engine has turned out not to run the head alone.
    refused: AtomicBool,
}

impl<'a> Slices<'a> {
    /// `None` where no more than `most` logits are computed at once anyway, or the head is not known.
    pub(super) fn of(engine: &'a dyn Engine, run: &Run<'a>, most: usize) -> Option<Self> {
        let head = engine.head(&run.output)?;
        let (data, outputs) = (run.data, &run.outputs);
        let steps = match data.text_layout() {
            Some(_) => 1,
            None => data.masked_length()?,
        };
        let largest = run.batches.iter().map(|batch| batch.run.len()).max()?;
        let at_once = largest.saturating_mul(steps).saturating_mul(head.width);
        (at_once > most).then(|| Self {
            engine,
            head,
            data,
            output: run.output.clone(),
            all: (outputs.first, outputs.samples),
            tokens: (most / head.width.max(1)).max(1),
            refused: AtomicBool::new(false),
        })
    }

    /// Whether the engine runs the head alone, as far as it has been asked.
    pub(super) fn work(&self) -> bool {
        !self.refused.load(Ordering::Relaxed)
    }

    /// The answers to the wanted tokens of a batch, for which the head reads `value`, rows on its last axis; `None` where the engine
    /// does not run the head alone.
    pub(super) fn answered(
        &self,
        threads: &Threads,
        batch: &Batch,
        value: &Tensor,
    ) -> Result<Option<Answered>, InferenceError> {
        let (name, shape) = (self.head.value.as_str(), value.shape());
        let wrong = || {
            InferenceError::Data(format!(
                "the value '{name}' has the shape {shape:?}, which is not one row a token"
            ))
        };
        let (Some(floats), Some((width, lead))) = (value.floats(), shape.split_last()) else {
            return Err(wrong());
        };
        let rows = floats.len() / width.max(&1);
        let place = self.places(batch, rows).ok_or_else(wrong)?;
        let mut found = Answered::default();
        // No slice is much shorter than the others: a single row would be multiplied in another order.
        let slices = batch.wanted.len().div_ceil(self.tokens).max(1);
        for slice in 0..slices {
            let cut = |part: usize| batch.wanted.start + batch.wanted.len() * part / slices;
            let tokens = cut(slice)..cut(slice + 1);
            let mut picked = Vec::with_capacity(tokens.len() * width);
            for token in tokens.clone() {
                let from = place(token).saturating_mul(*width);
                picked.extend_from_slice(floats.get(from..from.saturating_add(*width)).ok_or_else(wrong)?);
            }
            let mut sizes = vec![1; lead.len().saturating_sub(1)];
            sizes.extend([tokens.len(), *width]);
            let rows = Tensor::from_shape(&sizes, picked).map_err(|_| wrong())?;
            let answer = self
                .engine
                .compute_between(threads, &[(name, &rows)], &[&self.output])?;
            let Some(answer) = answer.and_then(|mut answer| answer.pop()) else {
                self.refused.store(true, Ordering::Relaxed);
                return Ok(None);
            };
            let logits = answer
                .floats()
                .filter(|logits| logits.len() == tokens.len() * self.head.width);
            let logits = logits.ok_or_else(|| {
                let shape = answer.shape();
                InferenceError::Data(format!(
                    "the output '{}' has the shape {shape:?} for {} tokens",
                    self.output,
                    tokens.len()
                ))
            })?;
            found.classes = self.head.width;
            for (token, row) in tokens.zip(logits.chunks_exact(self.head.width)) {
                found.keep(self.data, self.all, token, row);
            }
        }
        Ok(Some(found))
    }

    /// Where the row of a token is among so many; `None` for a number of rows that does not fit the batch.
    fn places(&self, batch: &Batch, rows: usize) -> Option<Box<dyn Fn(usize) -> usize + 'a>> {
        if let Some(layout) = self.data.text_layout() {
            let row = TextRows::of(layout, batch, rows).ok()?;
            return Some(Box::new(move |token| row.place(token)));
        }
        let (data, start) = (self.data, batch.run.start);
        let steps = rows / batch.run.len().max(1);
        (steps * batch.run.len() == rows).then(|| -> Box<dyn Fn(usize) -> usize + 'a> {
            Box::new(move |sample| match data.encoder_answer(sample) {
                Some(EncoderAnswer::AtToken(place)) => (sample - start) * steps + place,
                _ => usize::MAX,
            })
        })
    }
}
