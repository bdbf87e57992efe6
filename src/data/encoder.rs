//! Text for an encoder, which sees the words on both sides and guesses no next one: windows of the text between the tokens that
//! stand for beginning and end.

use super::pieces::Pieces;

/// Windows of equal length.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Windows {
    /// Tokens of a window.
    pub(super) length: usize,
    /// Tokens of them that stand for the beginning.
    pub(super) before: usize,
    /// Tokens of the text in a window.
    pub(super) inner: usize,
    /// Row-major `[windows, length]`.
    pub(super) tokens: Vec<i32>,
}

impl Windows {
    /// Cuts `tokens` into windows of `length` tokens, those of beginning and end included; what is left at the end of the text
    /// is left out. A shorter text is one window.
    pub(super) fn of(tokens: &[i32], pieces: &Pieces, length: usize) -> Self {
        let (before, after) = pieces.ends();
        let inner = length
            .saturating_sub(before.len() + after.len())
            .clamp(1, tokens.len().max(1));
        let rows = tokens.chunks_exact(inner);
        Self {
            length: before.len() + inner + after.len(),
            before: before.len(),
            inner,
            tokens: rows.flat_map(|row| [&before, row, &after].concat()).collect(),
        }
    }

    /// Number of windows.
    pub(super) fn len(&self) -> usize {
        self.tokens.len() / self.length
    }
}
