//! Text for a language model: tokens, cut into parallel streams.
//!
//! The text is read as a number of streams of equal length, one after the other in the text, each from the network's zero
//! state. A window is a short stream: what a network without a state reads at a time. Sample i is token i: the network reads tokens up to i of its stream and answers token i + 1.

mod source;

use super::companions::Companions;
use super::pieces::Pieces;
use super::tokenizer::Tokenizer;
use super::{DatasetError, Tensor, fault};
use crate::data::Port;
pub(crate) use source::DECODER_TOKENS;
use source::Source;
use std::ops::Range;
use std::sync::Arc;

/// Streams of a long text: with these the held-out tenth of tiny-shakespeare gives the demo's published perplexity.
const STREAMS: usize = 32;
/// Shortest streams that a text is cut into, tokens; the first tokens of a stream are guessed badly.
const SHORTEST: usize = 1500;
/// Numbers that a network may answer at once, 256 MiB of them: one for each token of the vocabulary at each step of a stream.
/// Of large vocabularies fewer streams are read at once, and longer texts are cut into more of them.
const MOST_ANSWERS: usize = 1 << 26;
/// The same for windows, 64 MiB: several at once are no faster, each layer of a transformer having steps enough.
const MOST_WINDOW_ANSWERS: usize = 1 << 24;

/// Token ids in streams.
#[derive(Debug, Clone)]
pub(super) struct Text {
    tokens: Vec<i32>,
    streams: usize,
    /// Predicted tokens of a stream.
    length: usize,
    /// What an encoder reads of each stream before them.
    source: Option<Source>,
    /// The network's input.
    input: String,
    axes: Axes,
    /// Tokens of the vocabulary, as far as they occur.
    width: usize,
    /// What stands between two tokens that are shown.
    separator: &'static str,
    /// Whether a person, or the kind of network, chose the length of a stream.
    windowed: bool,
    /// The tokenizer, where it cuts word pieces.
    pieces: Option<Arc<Pieces>>,
    /// What the network takes beside the tokens.
    companions: Companions,
}

/// The axes of the network's tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axes {
    TimeBatch,
    BatchTime,
    Time,
}

/// Where the answer for a token is among the rows of the network's output for a batch of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TextLayout {
    /// Tokens of a stream.
    pub(crate) length: usize,
    /// Whether rows go stream by stream instead of step by step.
    pub(crate) batch_first: bool,
    /// Streams that may run at once.
    pub(crate) at_once: usize,
    /// Whether an encoder reads other tokens of the window: then a place in a stream does not tell the token.
    pub(crate) behind_source: bool,
}

impl Text {
    /// Cuts `text` for `port`; and what a person should know of.
    pub(super) fn new(
        text: &str,
        tokenizer: &Tokenizer,
        port: Option<&Port>,
        window: Option<usize>,
        name: &str,
    ) -> Result<(Self, Vec<String>), DatasetError> {
        let encoded = tokenizer.encode(text, name)?;
        if encoded.tokens.len() < 2 {
            let reason = "the text has no two characters or words of the vocabulary";
            return Err(fault(name, reason.to_owned()));
        }
        let cut = Self::of_tokens(encoded.tokens, port, window, name)?;
        let text = Self {
            separator: tokenizer.separator(),
            pieces: tokenizer.pieces(),
            ..cut
        };
        Ok((text, encoded.notes))
    }

    /// Cuts tokens for `port`, in windows of so many if there is a number.
    pub(super) fn of_tokens(
        tokens: Vec<i32>,
        port: Option<&Port>,
        window: Option<usize>,
        name: &str,
    ) -> Result<Self, DatasetError> {
        let predicted = tokens.len().saturating_sub(1);
        if predicted == 0 {
            return Err(fault(name, "there are no two tokens in it".to_owned()));
        }
        let (axes, fixed) = axes(name, port)?;
        let largest = tokens.iter().max().copied().unwrap_or_default();
        let width = usize::try_from(largest).map_or(1, |largest| largest + 1);
        let longest = (MOST_ANSWERS / width).max(1);
        let window = fixed.or(window.map(|window| window.clamp(1, predicted)));
        let streams = match (axes, window) {
            (Axes::Time, None) => 1,
            (_, Some(length)) => predicted / length,
            _ => (predicted / SHORTEST)
                .clamp(1, STREAMS)
                .max(predicted.div_ceil(longest)),
        };
        let length = window.unwrap_or_else(|| predicted / streams.max(1));
        if streams == 0 || length == 0 {
            return Err(fault(
                name,
                format!("the network reads {length} tokens at a time, the text has {predicted}"),
            ));
        }
        let input = port.map_or_else(|| "tokens".to_owned(), |port| port.name.clone());
        Ok(Self {
            tokens,
            streams,
            length,
            source: None,
            input,
            axes,
            width,
            separator: "",
            windowed: fixed.is_none() && window.is_some(),
            pieces: None,
            companions: Companions::default(),
        })
    }

    /// Predicted tokens.
    pub(super) fn len(&self) -> usize {
        self.streams * self.length
    }

    /// The place of the first token of a stream.
    fn begin(&self, stream: usize) -> usize {
        let read = self.source.as_ref().map_or(0, |source| source.length);
        stream * (read + self.length)
    }

    /// The place of the last token that the network has read when it answers `sample`.
    fn place(&self, sample: usize) -> usize {
        let read = self.source.as_ref().map_or(0, |source| source.length - 1);
        let length = self.length.max(1);
        self.begin(sample / length) + read + sample % length
    }

    /// The token that follows those that the network has read when it answers `sample`.
    pub(super) fn target(&self, sample: usize) -> Option<usize> {
        let next = self.place(sample) + 1;
        let token = (sample < self.len()).then(|| self.tokens.get(next)).flatten()?;
        usize::try_from(*token).ok()
    }

    /// Whether an encoder reads a part of each window.
    pub(super) fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Up to `most` tokens of the stream that the network has read when it answers `sample`, that token included.
    pub(super) fn before(&self, sample: usize, most: usize) -> &[i32] {
        let (start, last) = (self.begin(sample / self.length.max(1)), self.place(sample));
        let from = start.max((last + 1).saturating_sub(most));
        self.tokens.get(from..=last).unwrap_or(&[])
    }

    pub(super) fn layout(&self) -> TextLayout {
        TextLayout {
            length: self.length,
            batch_first: self.axes == Axes::BatchTime,
            behind_source: self.source.is_some(),
            at_once: {
                let most = if self.windowed {
                    MOST_WINDOW_ANSWERS
                } else {
                    MOST_ANSWERS
                };
                (most / self.width / self.length.max(1)).max(1)
            },
        }
    }

    /// What stands between two tokens that are shown.
    pub(super) fn separator(&self) -> &'static str {
        self.separator
    }

    /// The same for a network that takes these inputs beside the tokens.
    pub(super) fn beside(self, companions: Companions) -> Self {
        Self { companions, ..self }
    }

    /// The tokenizer, where it cuts word pieces.
    pub(super) fn pieces(&self) -> Option<&Pieces> {
        self.pieces.as_deref()
    }

    /// The streams that hold the tokens of `range`, each from its beginning; of a single stream only up to the range's end.
    pub(super) fn batch(&self, range: &Range<usize>, path: &str) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let streams = range.start / self.length..range.end.div_ceil(self.length);
        let single = streams.len() == 1 && self.axes != Axes::Time;
        let length = if single {
            range.end - streams.start * self.length
        } else {
            self.length
        };
        if let Some(source) = &self.source {
            return source.batch(self, streams, length, path);
        }
        let mut inputs = self.companions.values(streams.len(), length)?;
        let at = |stream: usize, time: usize| self.tokens[stream * self.length + time];
        let (shape, tokens): (Vec<usize>, Vec<i32>) = match self.axes {
            Axes::TimeBatch => (
                vec![length, streams.len()],
                (0..length)
                    .flat_map(|t| streams.clone().map(move |s| at(s, t)))
                    .collect(),
            ),
            Axes::BatchTime => (
                vec![streams.len(), length],
                streams.flat_map(|s| (0..length).map(move |t| at(s, t))).collect(),
            ),
            Axes::Time => (vec![length], (0..length).map(|t| at(streams.start, t)).collect()),
        };
        let value = Tensor::from_shape(&shape, tokens).map_err(|error| fault(path, error.to_string()))?;
        inputs.push((self.input.clone(), value));
        Ok(inputs)
    }

    /// One sequence of tokens behind `past` others as the network's input takes it, in each of `streams` streams.
    pub(super) fn sequence(
        &self,
        past: usize,
        tokens: &[i32],
        streams: usize,
    ) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let streams = if self.axes == Axes::Time { 1 } else { streams.max(1) };
        let mut inputs = self.companions.values_behind(past, streams, tokens.len())?;
        let (shape, values): (Vec<usize>, Vec<i32>) = match self.axes {
            Axes::TimeBatch => (
                vec![tokens.len(), streams],
                tokens.iter().flat_map(|token| vec![*token; streams]).collect(),
            ),
            Axes::BatchTime => (vec![streams, tokens.len()], tokens.repeat(streams)),
            Axes::Time => (vec![tokens.len()], tokens.to_vec()),
        };
        let value = Tensor::from_shape(&shape, values).map_err(|error| fault("prompt", error.to_string()))?;
        inputs.push((self.input.clone(), value));
        Ok(inputs)
    }

    pub(super) fn describe(&self) -> String {
        if let Some(source) = &self.source {
            return format!(
                "tokens in {} window(s), of each {} read by the encoder and {} predicted by the decoder",
                self.streams, source.length, self.length
            );
        }
        if self.windowed {
            return format!(
                "tokens in {} window(s) of {} tokens, each read alone",
                self.streams, self.length
            );
        }
        format!(
            "tokens in {} stream(s) of {} tokens, each from a zero state",
            self.streams, self.length
        )
    }
}

/// The order of the axes by their names, and the number of steps if it is fixed.
fn axes(name: &str, port: Option<&Port>) -> Result<(Axes, Option<usize>), DatasetError> {
    let Some((port, shape)) = port.and_then(|port| Some((port, port.shape.as_ref()?))) else {
        return Ok((Axes::TimeBatch, None));
    };
    match shape[..] {
        [steps] => Ok((Axes::Time, steps)),
        [steps, _] if port.names_batch(1) || port.is_time_major() => Ok((Axes::TimeBatch, steps)),
        [_, steps] => Ok((Axes::BatchTime, steps)),
        _ => {
            let input = port.describe();
            Err(fault(name, format!("the input {input} takes no stream of tokens")))
        }
    }
}
