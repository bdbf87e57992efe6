//! Text for a language model: characters to token ids, cut into parallel streams.
//!
//! The text is read as a number of streams of equal length, one after the other in the text, each from the network's zero
//! state. Sample i is token i: the network reads tokens up to i of its stream and answers token i + 1.

use super::{DatasetError, fault};
use crate::inference::Port;
use rten::Value;
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Streams of a long text: with these the held-out tenth of tiny-shakespeare gives the demo's published perplexity.
const STREAMS: usize = 32;
/// Shortest streams that a text is cut into, tokens; the first tokens of a stream are guessed badly.
const SHORTEST: usize = 1500;
/// Share of characters without a token, above which the vocabulary is another text's.
const MAX_UNKNOWN: f64 = 0.1;

/// Token ids in streams.
#[derive(Debug, Clone)]
pub(super) struct Text {
    tokens: Vec<i32>,
    streams: usize,
    /// Predicted tokens of a stream.
    length: usize,
    /// The network's input.
    input: String,
    axes: Axes,
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
}

/// Reads a vocabulary: `{"chars": […]}`, `{"chars": "…"}`, `["a", …]` or `{"a": 0, …}`.
pub(super) fn vocabulary(json: &[u8], name: &str) -> Result<HashMap<char, i32>, DatasetError> {
    let json: Json = serde_json::from_slice(json).map_err(|error| fault(name, format!("no JSON: {error}")))?;
    let chars = json
        .get("chars")
        .filter(|chars| chars.is_array() || chars.is_string())
        .unwrap_or(&json);
    let single = |text: &str| {
        let mut chars = text.chars();
        chars.next().filter(|_| chars.next().is_none())
    };
    let id = |at: usize| i32::try_from(at).unwrap_or(i32::MAX);
    // A key that is no single character can stand for none; the characters it was meant for are reported with the text.
    let vocabulary: HashMap<char, i32> = match chars {
        Json::String(text) => text.chars().enumerate().map(|(at, c)| (c, id(at))).collect(),
        Json::Array(list) => (list.iter().enumerate())
            .filter_map(|(at, entry)| Some((entry.as_str().and_then(single)?, id(at))))
            .collect(),
        Json::Object(map) => map
            .iter()
            .filter_map(|(key, value)| Some((single(key)?, i32::try_from(value.as_u64()?).ok()?)))
            .collect(),
        _ => HashMap::new(),
    };
    if vocabulary.is_empty() {
        return Err(fault(
            name,
            "no vocabulary: expected {\"chars\": [\"a\", …]}, [\"a\", …] or {\"a\": 0, …}".to_owned(),
        ));
    }
    Ok(vocabulary)
}

/// The vocabulary's file beside a text: `NAME.vocab.json`, `vocab.json`, or the only `*vocab.json` of the folder.
pub(super) fn vocabulary_beside(text: &Path) -> Option<PathBuf> {
    let named = text.with_extension("vocab.json");
    let general = text.with_file_name("vocab.json");
    if let Some(found) = [named, general].into_iter().find(|path| path.is_file()) {
        return Some(found);
    }
    let folder = text
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut found = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let mut vocabularies = found
        .by_ref()
        .filter(|path| path.to_string_lossy().ends_with("vocab.json"));
    vocabularies.next().filter(|_| vocabularies.next().is_none())
}

impl Text {
    /// Cuts `text` for `port`; and what a person should know of.
    pub(super) fn new(
        text: &str,
        vocabulary: &HashMap<char, i32>,
        port: Option<&Port>,
        name: &str,
    ) -> Result<(Self, Vec<String>), DatasetError> {
        let mut unknown: BTreeMap<char, usize> = BTreeMap::new();
        let mut tokens = Vec::with_capacity(text.len());
        for c in text.chars() {
            match vocabulary.get(&c) {
                Some(token) => tokens.push(*token),
                None => *unknown.entry(c).or_default() += 1,
            }
        }
        let missing: usize = unknown.values().sum();
        let mut notes = Vec::new();
        if missing > 0 {
            let named: Vec<String> = unknown.keys().take(8).map(|c| format!("{c:?}")).collect();
            let what = format!("{missing} characters are not in the vocabulary: {}", named.join(" "));
            if missing as f64 > MAX_UNKNOWN * (missing + tokens.len()) as f64 {
                return Err(fault(name, format!("{what}; is it the network's own vocabulary?")));
            }
            log::warn!("{name}: {what}; they are left out");
            notes.push(format!("{what}; they are left out"));
        }
        if tokens.len() < 2 {
            return Err(fault(
                name,
                "the text has no two characters of the vocabulary".to_owned(),
            ));
        }
        Ok((Self::of_tokens(tokens, port, name)?, notes))
    }

    /// Cuts tokens for `port`.
    pub(super) fn of_tokens(tokens: Vec<i32>, port: Option<&Port>, name: &str) -> Result<Self, DatasetError> {
        let predicted = tokens.len().saturating_sub(1);
        if predicted == 0 {
            return Err(fault(name, "there are no two tokens in it".to_owned()));
        }
        let (axes, fixed) = axes(port).map_err(|reason| fault(name, reason))?;
        let streams = match (axes, fixed) {
            (Axes::Time, None) => 1,
            (_, Some(length)) => predicted / length,
            _ => (predicted / SHORTEST).clamp(1, STREAMS),
        };
        let length = fixed.unwrap_or_else(|| predicted / streams.max(1));
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
            input,
            axes,
        })
    }

    /// Predicted tokens.
    pub(super) fn len(&self) -> usize {
        self.streams * self.length
    }

    /// The token that follows token `sample`.
    pub(super) fn target(&self, sample: usize) -> Option<usize> {
        let token = (sample < self.len()).then(|| self.tokens.get(sample + 1)).flatten()?;
        usize::try_from(*token).ok()
    }

    /// Up to `most` tokens of the stream that the network has read when it answers `sample`, that token included.
    pub(super) fn before(&self, sample: usize, most: usize) -> &[i32] {
        let start = sample - sample % self.length.max(1);
        let from = start.max((sample + 1).saturating_sub(most));
        self.tokens.get(from..=sample).unwrap_or(&[])
    }

    pub(super) fn layout(&self) -> TextLayout {
        TextLayout {
            length: self.length,
            batch_first: self.axes == Axes::BatchTime,
        }
    }

    /// The streams that hold the tokens of `range`, each from its beginning; of a single stream only up to the range's end.
    pub(super) fn batch(&self, range: &Range<usize>, path: &str) -> Result<(String, Value), DatasetError> {
        let streams = range.start / self.length..range.end.div_ceil(self.length);
        let single = streams.len() == 1 && self.axes != Axes::Time;
        let length = if single {
            range.end - streams.start * self.length
        } else {
            self.length
        };
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
        let value = Value::from_shape(&shape, tokens).map_err(|error| fault(path, error.to_string()))?;
        Ok((self.input.clone(), value))
    }

    /// One sequence of tokens as the network's input takes it, in each of `streams` streams.
    pub(super) fn sequence(&self, tokens: &[i32], streams: usize) -> Result<(String, Value), DatasetError> {
        let streams = if self.axes == Axes::Time { 1 } else { streams.max(1) };
        let (shape, values): (Vec<usize>, Vec<i32>) = match self.axes {
            Axes::TimeBatch => (
                vec![tokens.len(), streams],
                tokens.iter().flat_map(|token| vec![*token; streams]).collect(),
            ),
            Axes::BatchTime => (vec![streams, tokens.len()], tokens.repeat(streams)),
            Axes::Time => (vec![tokens.len()], tokens.to_vec()),
        };
        let value = Value::from_shape(&shape, values).map_err(|error| fault("prompt", error.to_string()))?;
        Ok((self.input.clone(), value))
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "tokens in {} stream(s) of {} tokens, each from a zero state",
            self.streams, self.length
        )
    }
}

/// The order of the axes by their names, and the number of steps if it is fixed.
fn axes(port: Option<&Port>) -> Result<(Axes, Option<usize>), String> {
    let Some((port, shape)) = port.and_then(|port| Some((port, port.shape.as_ref()?))) else {
        return Ok((Axes::TimeBatch, None));
    };
    let name = |axis: usize| {
        port.axis_names
            .get(axis)
            .cloned()
            .flatten()
            .unwrap_or_default()
            .to_lowercase()
    };
    let batch = |axis| name(axis).starts_with("batch") || ["b", "n"].contains(&name(axis).as_str());
    let time = |axis| {
        name(axis).starts_with("seq") || name(axis).starts_with("time") || ["t", "l"].contains(&name(axis).as_str())
    };
    match shape[..] {
        [steps] => Ok((Axes::Time, steps)),
        [steps, _] if batch(1) || (time(0) && !batch(0)) => Ok((Axes::TimeBatch, steps)),
        [_, steps] => Ok((Axes::BatchTime, steps)),
        _ => Err(format!("the input {} takes no stream of tokens", port.describe())),
    }
}
