//! Text for a network of an encoder and a decoder: of each window the encoder reads the first half, and the decoder is asked for the
//! second, each token behind the true ones before it (teacher forcing, Williams and Zipser 1989).

use super::{Axes, Text, axes};
use crate::data::{DatasetError, Port, Tensor, fault};
use std::ops::Range;

/// The input of the decoder's tokens, as exporters of transformers name it.
pub(crate) const DECODER_TOKENS: &str = "decoder_input_ids";

/// What the encoder reads of a window, and how the decoder begins.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Tokens that the encoder reads, 1 or more.
    pub(super) length: usize,
    /// The decoder's input.
    decoder: String,
    /// What the decoder reads before the first token of the second half.
    start: i32,
}

impl Text {
    /// The same for a network whose encoder reads `encoder`, and whose decoder reads `decoder` and begins with the token `start`. A
    /// half is as long as its input where that is fixed.
    pub(in crate::data) fn with_decoder(
        self,
        [encoder, decoder]: [&Port; 2],
        start: i32,
        path: &str,
    ) -> Result<Self, DatasetError> {
        let [(_, reads), (order, asks)] = [axes(path, Some(encoder))?, axes(path, Some(decoder))?];
        if [self.axes, order] != [Axes::BatchTime; 2] {
            let reason = format!("the input {} takes no window of tokens", decoder.describe());
            return Err(fault(path, reason));
        }
        let window = self.length;
        let (read, asked) = match (reads, asks) {
            (Some(read), asked) => (read, asked.unwrap_or(read)),
            (None, Some(asked)) => (window.saturating_sub(asked), asked),
            (None, None) => (window / 2, window.div_ceil(2)),
        };
        let streams = self.tokens.len() / read.saturating_add(asked).max(1);
        if read == 0 || asked == 0 || streams == 0 {
            let reason = format!(
                "the encoder reads {read} tokens and the decoder is asked for {asked}, of {} in the text",
                self.tokens.len()
            );
            return Err(fault(path, reason));
        }
        Ok(Self {
            streams,
            length: asked,
            source: Some(Source {
                length: read,
                decoder: decoder.name.clone(),
                start,
            }),
            ..self
        })
    }

    /// The inputs where the encoder has read the tokens `read`, and the decoder has answered `answer`.
    pub(in crate::data) fn answer_to(
        &self,
        read: &[i32],
        answer: &[i32],
    ) -> Option<Result<Vec<(String, Tensor)>, DatasetError>> {
        let source = self.source.as_ref()?;
        let given = std::iter::once(&source.start).chain(answer).copied().collect();
        let inputs = self.companions.values(1, read.len()).and_then(|mut inputs| {
            inputs.extend(source.tokens(self, 1, [read.to_vec(), given], "prompt")?);
            Ok(inputs)
        });
        Some(inputs)
    }

    /// What a person should know of it: which half perplexity is of.
    pub(in crate::data) fn note_of_halves(&self) -> Option<String> {
        let read = self.source.as_ref()?.length;
        Some(format!(
            "of each window of {} tokens the encoder reads the first {read}; perplexity is that of the other {}, each predicted by the \
             decoder from those before",
            read + self.length,
            self.length
        ))
    }
}

impl Source {
    /// The inputs of encoder and decoder for `streams`, the decoder's for the first `asked` tokens of its half.
    pub(super) fn batch(
        &self,
        text: &Text,
        streams: Range<usize>,
        asked: usize,
        path: &str,
    ) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let count = streams.len();
        let mut inputs = text.companions.values(count, self.length)?;
        let (mut read, mut given) = (Vec::new(), Vec::new());
        for stream in streams {
            let begin = text.begin(stream);
            let second = begin + self.length;
            read.extend(text.tokens.get(begin..second).unwrap_or_default());
            given.push(self.start);
            given.extend(
                text.tokens
                    .get(second..second + asked.saturating_sub(1))
                    .unwrap_or_default(),
            );
        }
        inputs.extend(self.tokens(text, count, [read, given], path)?);
        Ok(inputs)
    }

    /// What encoder and decoder read, each for `count` streams.
    fn tokens(
        &self,
        text: &Text,
        count: usize,
        [read, given]: [Vec<i32>; 2],
        path: &str,
    ) -> Result<[(String, Tensor); 2], DatasetError> {
        let input = |name: &String, tokens: Vec<i32>| {
            let value = Tensor::from_shape([count, tokens.len() / count.max(1)], tokens);
            let value = value.map_err(|error| fault(path, error.to_string()))?;
            Ok((name.clone(), value))
        };
        Ok([input(&text.input, read)?, input(&self.decoder, given)?])
    }
}
