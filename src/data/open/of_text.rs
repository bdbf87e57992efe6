//! Text as data: its vocabulary, and the input that takes its tokens.

use super::Opening;
use crate::data::text::Text;
use crate::data::tokenizer::Tokenizer;
use crate::data::vocabulary;
use crate::data::{Dataset, DatasetError, Samples};
use std::path::Path;

impl Opening<'_> {
    pub(super) fn tokenizer(&self) -> Result<Tokenizer, DatasetError> {
        let beside = || vocabulary::beside_text(Path::new(self.path));
        let path = self.options.vocabulary.clone().or_else(beside).ok_or_else(|| {
            self.fault(
                "text needs the network's vocabulary: put it beside the text or the model as NAME.vocab.json or tokenizer.json",
            )
        })?;
        Tokenizer::read(&path)
    }

    pub(super) fn text(&self, content: &str) -> Result<Dataset, DatasetError> {
        self.free_port(true)?;
        self.tokens(content, &self.tokenizer()?)
    }

    pub(super) fn tokens(&self, content: &str, tokenizer: &Tokenizer) -> Result<Dataset, DatasetError> {
        if self.options.wants_pictures() || self.options.labels.is_some() {
            return Err(self.fault("text takes no labels and no preprocessing of pictures"));
        }
        let (text, notes) = Text::new(
            content,
            tokenizer,
            self.free_port(true)?,
            self.options.window,
            self.path,
        )?;
        self.stream(text, tokenizer.names(), notes)
    }

    /// Streams of tokens, each to be guessed from those before it.
    pub(super) fn stream(&self, text: Text, classes: Vec<String>, notes: Vec<String>) -> Result<Dataset, DatasetError> {
        let input = self
            .free_port(true)?
            .map_or_else(|| "tokens".to_owned(), |port| port.name.clone());
        let arrays = self.given_arrays(&[input], None)?;
        Ok(Dataset {
            name: self.name(),
            samples: Samples::Text(text),
            labels: None,
            classes,
            arrays,
            notes,
        })
    }
}
