//! A text that a person writes, as tokens for the network, and tokens as text again.

use super::{Dataset, DatasetError, Samples, Tensor, fault};

impl Dataset {
    /// The tokens of `text`, by the tokenizer of this text's word pieces; else one a character, by the names of its tokens. What an
    /// encoder reads has those of its beginning and end.
    ///
    /// # Errors
    /// [`DatasetError`] for data that are no text, and naming the characters that the vocabulary lacks.
    pub fn tokens_of(&self, text: &str) -> Result<Vec<i32>, DatasetError> {
        if !matches!(self.samples, Samples::Text(_)) {
            return Err(fault(
                &self.name,
                "it is no text, so nothing can be continued".to_owned(),
            ));
        }
        if let Samples::Text(read) = &self.samples
            && let Some(pieces) = read.pieces()
        {
            return if read.has_source() {
                pieces.whole(text, &self.name)
            } else {
                Ok(pieces.encode(text, &self.name)?.tokens)
            };
        }
        let token = |c: char| {
            let mut buffer = [0; 4];
            let name: &str = c.encode_utf8(&mut buffer);
            let place = self.classes.iter().position(|class| class == name);
            place.and_then(|place| i32::try_from(place).ok()).ok_or(c)
        };
        let (tokens, mut unknown) = text
            .chars()
            .fold((Vec::new(), Vec::new()), |(mut tokens, mut unknown), c| {
                match token(c) {
                    Ok(token) => tokens.push(token),
                    Err(c) => unknown.push(c),
                }
                (tokens, unknown)
            });
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(tokens);
        }
        let named: Vec<String> = unknown.iter().take(8).map(|c| format!("{c:?}")).collect();
        let reason = format!("the network's vocabulary has no {}", named.join(" "));
        Err(fault(&self.name, reason))
    }

    /// The token's text, if its number is known.
    pub fn token_text(&self, token: i32) -> Option<&str> {
        self.class_name(usize::try_from(token).ok()?)
    }

    /// The text of a sequence of tokens; a number without a name is left out.
    pub fn text_of(&self, tokens: &[i32]) -> String {
        match &self.samples {
            Samples::Text(read) if read.pieces().is_some() => {
                read.pieces().map(|pieces| pieces.text(tokens)).unwrap_or_default()
            }
            _ => tokens.iter().filter_map(|token| self.token_text(*token)).collect(),
        }
    }

    /// A sequence of tokens as the network's inputs by name, the same in each of `streams` streams, behind `past` others whose
    /// keys and values the caller has; `None` for data that are no text.
    pub(crate) fn sequence(
        &self,
        past: usize,
        tokens: &[i32],
        streams: usize,
    ) -> Option<Result<Vec<(String, Tensor)>, DatasetError>> {
        match &self.samples {
            Samples::Text(text) => Some(text.sequence(past, tokens, streams)),
            _ => None,
        }
    }

    /// Whether an encoder reads what a decoder then answers.
    pub fn has_source(&self) -> bool {
        matches!(&self.samples, Samples::Text(text) if text.has_source())
    }

    /// The inputs of a network whose encoder has read the tokens `read`, and whose decoder has answered `answer`; `None` where
    /// the data are for no such network.
    pub(crate) fn answer_to(
        &self,
        read: &[i32],
        answer: &[i32],
    ) -> Option<Result<Vec<(String, Tensor)>, DatasetError>> {
        match &self.samples {
            Samples::Text(text) => text.answer_to(read, answer),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    #[test]
    fn a_text_becomes_tokens_and_a_text_again() {
        let data = Dataset::demo(Demo::Shakespeare);
        let text = "To be,\nor not";
        let tokens = data.tokens_of(text).unwrap();
        let again: String = tokens.iter().filter_map(|token| data.token_text(*token)).collect();
        assert_eq!(again, text);
    }

    #[test]
    fn characters_without_a_token_are_named_once_each() {
        let data = Dataset::demo(Demo::Shakespeare);
        let error = data.tokens_of("naïve café, naïve").unwrap_err().to_string();
        assert!(error.ends_with("has no 'é' 'ï'"), "{error}");
        let error = Dataset::demo(Demo::Fashion).tokens_of("a").unwrap_err().to_string();
        assert!(error.contains("it is no text"), "{error}");
    }
}
