//! What a text is read in.

use super::{Dataset, Samples};

/// The pieces that a text is read in, one at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextUnit {
    /// Each character by itself.
    Character,
    /// What stands between spaces.
    Word,
    /// The pieces of a tokenizer, or numbers of which nobody knows what they stand for.
    Token,
}

impl TextUnit {
    /// One of them, as a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Character => "character",
            Self::Word => "word",
            Self::Token => "token",
        }
    }

    /// Several of them.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Character => "characters",
            Self::Word => "words",
            Self::Token => "tokens",
        }
    }
}

impl Dataset {
    /// What its text is read in; of other data, tokens.
    pub fn text_unit(&self) -> TextUnit {
        match &self.samples {
            Samples::Text(text) if text.pieces().is_none() && !self.classes.is_empty() => {
                if text.separator().is_empty() {
                    TextUnit::Character
                } else {
                    TextUnit::Word
                }
            }
            _ => TextUnit::Token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataOptions, ElementKind, Port};
    use crate::format::demo::Demo;

    #[test]
    fn characters_words_and_numbers_are_told_apart() {
        assert_eq!(Dataset::demo(Demo::Shakespeare).text_unit(), TextUnit::Character);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("vocabulary.json"), r#"["to", "be", "or", "not"]"#).unwrap();
        std::fs::write(path("text.txt"), "to be or not to be").unwrap();
        let options = DataOptions {
            vocabulary: Some(path("vocabulary.json").into()),
            ..DataOptions::default()
        };
        let ports = [Port {
            name: "tokens".to_owned(),
            shape: Some(vec![None, None]),
            axis_names: vec![None; 2],
            kind: ElementKind::Integer,
        }];
        let words = Dataset::open(&path("text.txt"), &options, &ports).unwrap();
        assert_eq!(words.text_unit(), TextUnit::Word);
    }
}
