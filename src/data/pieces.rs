//! Word pieces: text cut into the tokens that a network was trained on, by Hugging Face's own library, from a
//! `tokenizer.json` or the tokenizer of a GGUF file.

use super::vocabulary::Encoded;
use super::{DatasetError, fault};
use serde_json::Value as Json;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokenizers::Tokenizer;

/// Kinds of models that cut words into pieces.
const KINDS: [&str; 3] = ["BPE", "WordPiece", "Unigram"];
/// What stands for a hidden piece, and what fills shorter sentences up.
const MASK: [&str; 2] = ["[MASK]", "<mask>"];
const PAD: [&str; 2] = ["[PAD]", "<pad>"];
/// What stands for a piece that is not in the vocabulary.
const UNKNOWN: [&str; 2] = ["[UNK]", "<unk>"];
/// Share of unknown tokens above which the vocabulary is another text's. Spaces may be tokens of their own, so that half of the
/// tokens of a text of which no word is known can be known.
const MAX_UNKNOWN: f64 = 0.3;

/// A tokenizer of word pieces.
pub(super) struct Pieces {
    tokenizer: Tokenizer,
    unknown: Option<i32>,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pieces = self.tokenizer.get_vocab_size(true);
        f.debug_struct("Pieces")
            .field("pieces", &pieces)
            .finish_non_exhaustive()
    }
}

impl Pieces {
    /// Whether the text of a JSON file is a tokenizer of word pieces: Hugging Face's format.
    pub(super) fn is_tokenizer(json: &[u8]) -> bool {
        let root: Option<Json> = serde_json::from_slice(json).ok();
        let kind = root.as_ref().and_then(|root| root.get("model")?.get("type")?.as_str());
        kind.is_some_and(|kind| KINDS.contains(&kind))
    }

    /// Reads the text of a `tokenizer.json` called `name`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(json: &[u8], name: &str) -> Result<Self, DatasetError> {
        // The library was not written for files of strangers: what it cannot take may be a panic.
        let read = catch_unwind(AssertUnwindSafe(|| Tokenizer::from_bytes(json)));
        let mut tokenizer = match read {
            Ok(Ok(tokenizer)) => tokenizer,
            Ok(Err(error)) => return Err(fault(name, format!("not a tokenizer that can be used: {error}"))),
            Err(_) => {
                return Err(fault(
                    name,
                    "not a tokenizer that can be used: it does not hold together".to_owned(),
                ));
            }
        };
        // Settings for single sentences: a text is read whole.
        tokenizer.with_padding(None);
        tokenizer
            .with_truncation(None)
            .map_err(|error| fault(name, error.to_string()))?;
        let mut pieces = Self {
            unknown: None,
            tokenizer,
        };
        pieces.unknown = pieces.named(&UNKNOWN);
        Ok(pieces)
    }

    /// The id of the first of these pieces that the vocabulary has.
    fn named(&self, names: &[&str]) -> Option<i32> {
        let id = names.iter().find_map(|piece| self.tokenizer.token_to_id(piece))?;
        i32::try_from(id).ok()
    }

    /// The token that stands for a hidden one, if there is one.
    pub(super) fn mask(&self) -> Option<i32> {
        self.named(&MASK)
    }

    /// The token that fills shorter sentences up.
    pub(super) fn pad(&self) -> i32 {
        self.named(&PAD).unwrap_or(0)
    }

    /// Number of pieces.
    pub(super) fn len(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The tokens of `text`, without any that stand for its beginning or end.
    ///
    /// # Errors
    /// When the tokenizer fails, or so much of the text called `name` is unknown that it is another text's.
    pub(super) fn encode(&self, text: &str, name: &str) -> Result<Encoded, DatasetError> {
        let tokens = self.tokens(text, name)?;
        let notes = self.unknown_note(&tokens, name)?.into_iter().collect();
        Ok(Encoded { tokens, notes })
    }

    /// [`Pieces::encode`] of a part of a text, of which it is no matter how much is unknown.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub(super) fn tokens(&self, text: &str, name: &str) -> Result<Vec<i32>, DatasetError> {
        self.cut(text, false, name)
    }

    /// The tokens of `text` and those that stand for its beginning and end, as an encoder reads it.
    ///
    /// # Errors
    /// As [`Pieces::encode`].
    pub(super) fn whole(&self, text: &str, name: &str) -> Result<Vec<i32>, DatasetError> {
        let tokens = self.cut(text, true, name)?;
        self.unknown_note(&tokens, name)?;
        Ok(tokens)
    }

    fn cut(&self, text: &str, ends: bool, name: &str) -> Result<Vec<i32>, DatasetError> {
        let cut = catch_unwind(AssertUnwindSafe(|| self.tokenizer.encode_fast(text, ends)));
        let encoding = match cut {
            Ok(Ok(encoding)) => encoding,
            Ok(Err(error)) => return Err(fault(name, format!("the tokenizer fails: {error}"))),
            Err(_) => return Err(fault(name, "the tokenizer fails on this text".to_owned())),
        };
        let tokens: Option<Vec<i32>> = encoding.get_ids().iter().map(|id| i32::try_from(*id).ok()).collect();
        tokens.ok_or_else(|| fault(name, "the tokenizer has ids that no network reads".to_owned()))
    }

    /// How many of the tokens of a text stand for what is not in the vocabulary, if any do.
    ///
    /// # Errors
    /// When they are so many that it is another text's.
    pub(super) fn unknown_note(&self, tokens: &[i32], name: &str) -> Result<Option<String>, DatasetError> {
        let unknown = tokens.iter().filter(|token| Some(**token) == self.unknown).count();
        if unknown > 0 {
            let (all, percent) = (tokens.len(), 100.0 * unknown as f64 / tokens.len() as f64);
            let what = format!("{unknown} of {all} tokens ({percent:.1} %) stand for what is not in the vocabulary");
            if unknown as f64 > MAX_UNKNOWN * all as f64 {
                return Err(fault(name, format!("{what}; is it the network's own tokenizer?")));
            }
            return Ok(Some(what));
        }
        Ok(None)
    }

    /// The tokens that stand before and behind a text.
    pub(super) fn ends(&self) -> (Vec<i32>, Vec<i32>) {
        let around = catch_unwind(AssertUnwindSafe(|| self.tokenizer.encode_fast("", true)));
        let Some(encoding) = around.ok().and_then(Result::ok) else {
            return (Vec::new(), Vec::new());
        };
        let mut ids: Vec<i32> = encoding
            .get_ids()
            .iter()
            .filter_map(|id| i32::try_from(*id).ok())
            .collect();
        // One of two is the end, one alone is the beginning.
        let after = ids.split_off(ids.len().div_ceil(2));
        (ids, after)
    }

    /// The text of a sequence of tokens. Bytes of characters that begin or end outside of it become U+FFFD.
    pub(super) fn text(&self, tokens: &[i32]) -> String {
        let ids: Vec<u32> = tokens.iter().filter_map(|token| u32::try_from(*token).ok()).collect();
        let decoded = catch_unwind(AssertUnwindSafe(|| self.tokenizer.decode(&ids, false)));
        decoded.ok().and_then(Result::ok).unwrap_or_default()
    }

    /// The text of each token by itself, by id.
    pub(super) fn names(&self) -> Vec<String> {
        let count = i32::try_from(self.len()).unwrap_or(0);
        (0..count).map(|token| self.text(&[token])).collect()
    }
}

#[cfg(test)]
mod tests;
