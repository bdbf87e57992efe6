//! Text for an encoder that was trained to guess hidden words: each token is hidden by itself and guessed from the window around
//! it. The loss of these guesses is the pseudo-perplexity (Salazar et al. 2020, *Masked Language Model Scoring*, arXiv 1910.14659,
//! section 2): one run of the network for each token.

use super::companions::Companions;
use super::encoder::Windows;
use super::pieces::Pieces;
use super::{DatasetError, Tensor, fault};
use std::ops::Range;

/// Numbers that a network may answer at once, 64 MiB of them: one for each token of the vocabulary at each place of a window.
const MAX_ANSWERS: usize = 1 << 24;

/// Windows of a text of which sample i hides token i.
#[derive(Debug)]
pub(super) struct Masked {
    windows: Windows,
    /// The token that stands for a hidden one.
    mask: i32,
    /// Size of the vocabulary.
    vocabulary: usize,
    /// The network's input.
    input: String,
    companions: Companions,
}

impl Masked {
    /// `None` where the tokenizer has no token for a hidden word, or the network's output of `width` numbers a token cannot be one
    /// for each token of its vocabulary.
    pub(super) fn of(
        windows: &Windows,
        pieces: &Pieces,
        width: Option<usize>,
        input: &str,
        companions: &Companions,
    ) -> Option<Self> {
        let vocabulary = pieces.len();
        // Tables are filled up to a round number of rows.
        let is_vocabulary = width.is_some_and(|width| (vocabulary..2 * vocabulary.max(1)).contains(&width));
        let mask = pieces.mask().filter(|_| is_vocabulary)?;
        Some(Self {
            windows: windows.clone(),
            mask,
            vocabulary: width.unwrap_or(vocabulary),
            input: input.to_owned(),
            companions: companions.clone(),
        })
    }

    /// Tokens that are hidden one after the other.
    pub(super) fn len(&self) -> usize {
        self.windows.len() * self.windows.inner
    }

    /// The window of a sample, and the place of the hidden token in it.
    fn place(&self, sample: usize) -> (usize, usize) {
        (
            sample / self.windows.inner,
            self.windows.before + sample % self.windows.inner,
        )
    }

    /// Tokens that the network reads, and answers, for a sample.
    pub(super) fn length(&self) -> usize {
        self.windows.length
    }

    /// The place of the hidden token in the network's answer.
    pub(super) fn hidden(&self, sample: usize) -> usize {
        self.place(sample).1
    }

    /// The token that is hidden.
    pub(super) fn target(&self, sample: usize) -> Option<usize> {
        let (window, place) = self.place(sample);
        usize::try_from(*self.windows.tokens.get(window * self.windows.length + place)?).ok()
    }

    /// Samples that are run at once.
    pub(super) fn at_once(&self) -> usize {
        (MAX_ANSWERS / self.vocabulary.max(1) / self.windows.length.max(1)).max(1)
    }

    /// The network's inputs for these samples; beyond the last it is repeated.
    pub(super) fn batch(&self, range: &Range<usize>) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let length = self.windows.length;
        let mut tokens = Vec::with_capacity(range.len() * length);
        for sample in range.clone() {
            let (window, place) = self.place(sample.min(self.len().saturating_sub(1)));
            let row = self.windows.tokens.iter().skip(window * length).take(length).copied();
            tokens.extend(
                row.enumerate()
                    .map(|(at, token)| if at == place { self.mask } else { token }),
            );
        }
        let mut inputs = self.companions.values(range.len(), length)?;
        let value = Tensor::from_shape([range.len(), length], tokens);
        inputs.push((
            self.input.clone(),
            value.map_err(|error| fault(&self.input, error.to_string()))?,
        ));
        Ok(inputs)
    }

    pub(super) fn describe(&self) -> String {
        format!(
            "each token hidden and guessed from its window of {} tokens (pseudo-perplexity)",
            self.windows.length
        )
    }
}
