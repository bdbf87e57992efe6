//! Text as data: its vocabulary, and the input that takes its tokens.

use super::Opening;
use crate::data::arrays::{Array, Elements};
use crate::data::companions::Companions;
use crate::data::encoder::Windows;
use crate::data::masked::Masked;
use crate::data::pieces::Pieces;
use crate::data::sentence_pairs::SentencePairs;
use crate::data::text::{DECODER_TOKENS, Text};
use crate::data::tokenizer::Tokenizer;
use crate::data::vocabulary;
use crate::data::{DataOptions, Port};
use crate::data::{Dataset, DatasetError, Samples};
use crate::network::Network;
use std::path::Path;

/// Tokens that an encoder reads at a time where nothing else is chosen.
const ENCODER_WINDOW: usize = 128;
/// What a decoder beside an encoder begins with where nothing tells it: T5's padding.
const DECODER_START: i32 = 0;

impl Dataset {
    /// Tokens in streams of `window` as a text for the language model `network`, whose inputs are `ports`.
    ///
    /// # Errors
    /// [`DatasetError`] for a network that takes no text.
    pub(crate) fn of_tokens(
        name: &str,
        tokens: Vec<i32>,
        window: usize,
        network: &Network,
        ports: &[Port],
    ) -> Result<Self, DatasetError> {
        let options = DataOptions::default().for_network(network);
        let opening = Opening {
            path: name,
            options: &options,
            ports,
        };
        let text = Text::of_tokens(tokens, opening.free_port(true)?, Some(window), name)?;
        opening.stream(text, Vec::new(), Vec::new())
    }
}

impl Opening<'_> {
    pub(super) fn tokenizer(&self) -> Result<Tokenizer, DatasetError> {
        let beside = || vocabulary::beside_text(&crate::files::real_path(Path::new(self.path)));
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
        let companions = self.companions();
        if SentencePairs::is_table(content) {
            return self.pairs(content, tokenizer, &companions);
        }
        if let (Tokenizer::Pieces(pieces), true) = (tokenizer, self.is_encoder(&companions)) {
            return self.encoded(content, pieces, &companions);
        }
        let (text, mut notes) = Text::new(
            content,
            tokenizer,
            self.free_port(true)?,
            self.options.window,
            self.path,
        )?;
        if companions.have_past() {
            notes.push("each window is read without a past: the network's keys and values are left empty".to_owned());
        }
        self.stream(text, tokenizer.names(), notes)
    }

    /// Streams of tokens, each to be guessed from those before it; where an encoder stands before the decoder, in halves.
    pub(super) fn stream(
        &self,
        mut text: Text,
        classes: Vec<String>,
        mut notes: Vec<String>,
    ) -> Result<Dataset, DatasetError> {
        let input = self.free_port(true)?;
        let companions = self.companions();
        let mut fed: Vec<String> = companions.names().map(str::to_owned).collect();
        fed.push(input.map_or_else(|| "tokens".to_owned(), |port| port.name.clone()));
        if let (Some(encoder), Some(decoder)) = (input, self.decoder()) {
            let told = self.options.hint.as_ref().and_then(|hint| hint.decoder_start);
            text = text.with_decoder([encoder, decoder], told.unwrap_or(DECODER_START), self.path)?;
            notes.extend(text.note_of_halves());
            fed.push(decoder.name.clone());
        }
        let arrays = self.given_arrays(&fed, None, |_, _| None)?;
        Ok(Dataset {
            name: self.name(),
            samples: Samples::Text(text.beside(companions)),
            labels: None,
            classes,
            arrays,
            notes,
            output: None,
            maps: None,
            boxes: None,
        })
    }

    /// What the network takes beside its tokens, as far as it follows from their number.
    fn companions(&self) -> Companions {
        Companions::of(self.ports, |name| {
            self.options.inputs.iter().any(|(given, _)| given == name)
        })
    }

    /// The input of the tokens of a decoder beside an encoder.
    fn decoder(&self) -> Option<&Port> {
        let given = |port: &Port| self.options.inputs.iter().any(|(name, _)| *name == port.name);
        let mut found = self.ports.iter().filter(|port| port.name == DECODER_TOKENS);
        found.find(|port| port.is_integer() && !given(port))
    }

    /// Whether the network sees both sides of a word: it tells kinds of text apart, or masks words and neither counts positions
    /// nor keeps a past, and no decoder stands behind it.
    fn is_encoder(&self, companions: &Companions) -> bool {
        let takes = |wanted: &str| companions.names().any(|name| name == wanted);
        if self.decoder().is_some() {
            return false;
        }
        takes("token_type_ids") || takes("attention_mask") && !takes("position_ids") && !companions.have_past()
    }

    /// Pairs of sentences with a score, for an encoder.
    fn pairs(&self, content: &str, tokenizer: &Tokenizer, companions: &Companions) -> Result<Dataset, DatasetError> {
        let Tokenizer::Pieces(pieces) = tokenizer else {
            return Err(self.fault("pairs of sentences need the encoder's tokenizer.json, not a list of words"));
        };
        let input = self.tokens_input()?;
        let longest = self.options.window.unwrap_or(ENCODER_WINDOW);
        let (pairs, notes) = SentencePairs::read(content, self.path, pieces, longest, (&input, companions))?;
        let samples = Samples::Pairs(pairs);
        self.of_encoder(samples, &input, companions, notes)
    }

    /// The input that takes the tokens.
    fn tokens_input(&self) -> Result<String, DatasetError> {
        let port = self.free_port(true)?;
        Ok(port.map_or_else(|| "input_ids".to_owned(), |port| port.name.clone()))
    }

    /// Text that makes its own inputs, with those that are given as arrays.
    fn of_encoder(
        &self,
        samples: Samples,
        input: &str,
        companions: &Companions,
        notes: Vec<String>,
    ) -> Result<Dataset, DatasetError> {
        let fed: Vec<String> = std::iter::once(input)
            .chain(companions.names())
            .map(str::to_owned)
            .collect();
        Ok(Dataset {
            name: self.name(),
            samples,
            labels: None,
            classes: Vec::new(),
            arrays: self.given_arrays(&fed, None, |_, _| None)?,
            notes,
            output: None,
            maps: None,
            boxes: None,
        })
    }

    /// A text for an encoder: windows, of which one that was trained to guess hidden words gets its tokens hidden in turn; of others
    /// they have no labels.
    fn encoded(&self, content: &str, pieces: &Pieces, companions: &Companions) -> Result<Dataset, DatasetError> {
        let encoded = pieces.encode(content, self.path)?;
        if encoded.tokens.is_empty() {
            return Err(self.fault("there are no tokens in it"));
        }
        let input = self.tokens_input()?;
        let windows = Windows::of(&encoded.tokens, pieces, self.options.window.unwrap_or(ENCODER_WINDOW));
        let (samples, length) = (windows.len(), windows.length);
        let mut notes = encoded.notes;
        if let Some(masked) = Masked::of(&windows, pieces, self.options.answer_width, &input, companions) {
            notes.push(
                "perplexity is pseudo-perplexity: each token is hidden by itself and guessed from both sides; one run for each token"
                    .to_owned(),
            );
            let data = self.of_encoder(Samples::Masked(masked), &input, companions, notes)?;
            return Ok(Dataset {
                classes: pieces.names(),
                ..data
            });
        }
        notes.push(format!(
            "an encoder guesses no next word: {samples} windows of {length} tokens are compared by their outputs"
        ));
        let whole = |name: &str, numbers: Vec<i32>| {
            let elements = Elements::Integer(numbers.into_iter().map(i64::from).collect());
            let shape = vec![samples, length];
            self.input_array(name, Array::new(shape, elements), self.path)
        };
        let mut arrays = Vec::new();
        for name in companions.names() {
            let number = i32::from(name == "attention_mask");
            arrays.push(whole(name, vec![number; samples * length])?);
        }
        arrays.push(whole(&input, windows.tokens)?);
        let fed: Vec<String> = arrays.iter().map(|array| array.name.clone()).collect();
        arrays.extend(self.given_arrays(&fed, Some(samples), |_, _| None)?);
        Ok(Dataset {
            name: self.name(),
            samples: Samples::Arrays(samples),
            labels: None,
            classes: Vec::new(),
            arrays,
            notes,
            output: None,
            maps: None,
            boxes: None,
        })
    }
}
