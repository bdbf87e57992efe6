//! The vocabulary of a language model: which piece of text is which token. The pieces are characters, or words between
//! spaces; the entries tell which. Word pieces need more than a list, and are refused with the way out.

use super::{DatasetError, fault};
use serde_json::Value as Json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Keys under which files keep their list or map, the first that is there counts: `chars` is this program's own,
/// `model.vocab` of a `tokenizer.json` comes before all.
const KEYS: [&str; 11] = [
    "chars",
    "words",
    "vocab",
    "vocabulary",
    "tokens",
    "itos",
    "stoi",
    "idx2word",
    "word2idx",
    "id2token",
    "token2id",
];
/// What stands for a word that is not in the vocabulary.
const UNKNOWN: [&str; 6] = ["<unk>", "<UNK>", "[UNK]", "<oov>", "<OOV>", "UNK"];
/// What stands for the end of a line, as in the WikiText and Penn Treebank models of torch's examples.
const LINE_ENDS: [&str; 4] = ["<eos>", "<EOS>", "</s>", "[EOS]"];
/// What the entries of word pieces begin with: GPT-2's space, SentencePiece's space, BERT's word that goes on.
const PIECES: [&str; 3] = ["\u{120}", "\u{2581}", "##"];
/// Share of entries with such a beginning from which on the vocabulary is one of word pieces.
const MANY_PIECES: f64 = 0.02;
/// Ids far beyond the number of entries are a mistake, not a reason to fill memory.
const MOST_TOKENS: usize = 1 << 20;
/// Share of the text without a token above which the vocabulary is another text's: where it is left out, and where a token
/// stands for the unknown.
const MOST_LEFT_OUT: f64 = 0.1;
const MOST_UNKNOWN: f64 = 0.5;

/// Pieces of text and their token ids.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vocabulary {
    ids: HashMap<String, i32>,
    unit: Unit,
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Character,
    Word {
        /// The token of a word that is not in the vocabulary.
        unknown: Option<i32>,
        /// The token behind each line.
        line_end: Option<i32>,
        /// Whether words are read in lower case: no entry has an upper-case letter.
        lower_case: bool,
    },
}

/// A text as tokens, and what a person should know of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Encoded {
    pub(super) tokens: Vec<i32>,
    pub(super) notes: Vec<String>,
}

impl Vocabulary {
    /// Reads a list of pieces in the order of their ids, or a map from piece to id or from id to piece, by itself or under
    /// one of the usual keys.
    ///
    /// # Errors
    /// What is wrong with the file called `name`.
    pub(super) fn parse(json: &[u8], name: &str) -> Result<Self, DatasetError> {
        let root: Json = serde_json::from_slice(json).map_err(|error| fault(name, format!("no JSON: {error}")))?;
        let holds = |value: &&Json| value.is_array() || value.is_object() || value.is_string();
        let model = root.get("model").and_then(|model| model.get("vocab"));
        let keyed = KEYS.iter().find_map(|key| root.get(key).filter(holds));
        let place = model.filter(holds).or(keyed);
        let ids = entries(place.unwrap_or(&root));
        let expected = "expected {\"chars\": [\"a\", …]}, [\"a\", …], {\"a\": 0, …} or the same with words";
        if ids.is_empty() {
            return Err(fault(name, format!("no vocabulary: {expected}")));
        }
        if let Some(key) = KEYS.iter().find(|key| place.is_none() && is_a_setting(&ids, key)) {
            let what = format!("'{key}' holds a number where the pieces themselves belong");
            return Err(fault(name, format!("no vocabulary: {what}; {expected}")));
        }
        let count = |test: &dyn Fn(&str) -> bool| ids.keys().filter(|piece| test(piece)).count();
        let pieces = count(&|piece| {
            PIECES
                .iter()
                .any(|start| piece.len() > start.len() && piece.starts_with(start))
        });
        if pieces as f64 > MANY_PIECES * ids.len() as f64 && pieces > 1 {
            let what = "these are word pieces, which a list alone does not tell how to make";
            return Err(fault(
                name,
                format!("{what}: give the text as an .npy array of token ids"),
            ));
        }
        let singles = count(&is_character);
        let longer = count(&|piece| !is_character(piece) && !is_special(piece));
        let unit = if singles >= longer {
            Unit::Character
        } else {
            let first = |names: &[&str]| names.iter().find_map(|name| ids.get(*name).copied());
            Unit::Word {
                unknown: first(&UNKNOWN),
                line_end: first(&LINE_ENDS),
                lower_case: !ids
                    .keys()
                    .any(|word| !is_special(word) && word.chars().any(char::is_uppercase)),
            }
        };
        Ok(Self { ids, unit })
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// When so much of the text called `name` has no token that the vocabulary is another text's.
    pub(super) fn encode(&self, text: &str, name: &str) -> Result<Encoded, DatasetError> {
        let mut tokens = Vec::new();
        let mut missing = Missing::default();
        match self.unit {
            Unit::Character => {
                tokens.reserve(text.len());
                let mut buffer = [0; 4];
                for c in text.chars() {
                    match self.ids.get(&*c.encode_utf8(&mut buffer)) {
                        Some(token) => tokens.push(*token),
                        None => missing.note(&format!("{c:?}")),
                    }
                }
                let notes = missing.sentence("characters", tokens.len(), None, name)?;
                Ok(Encoded { tokens, notes })
            }
            Unit::Word {
                unknown,
                line_end,
                lower_case,
            } => {
                let mut words = 0;
                for line in text.lines() {
                    for word in line.split_whitespace() {
                        words += 1;
                        let found = self.ids.get(word).copied();
                        match found.or_else(|| self.ids.get(&word.to_lowercase()).copied().filter(|_| lower_case)) {
                            Some(token) => tokens.push(token),
                            None => {
                                missing.note(word);
                                tokens.extend(unknown);
                            }
                        }
                    }
                    tokens.extend(line_end);
                }
                let known = words - missing.count;
                let stands = unknown.and_then(|token| self.named(token));
                let mut notes = missing.sentence("words", known, stands, name)?;
                if lower_case && text.chars().any(char::is_uppercase) {
                    notes.push("words are read in lower case, as the vocabulary has no others".to_owned());
                }
                Ok(Encoded { tokens, notes })
            }
        }
    }

    /// The pieces by their ids; empty where an id has none.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (piece, token) in &self.ids {
            let token = usize::try_from(*token).unwrap_or(usize::MAX);
            if token < MOST_TOKENS {
                names.resize(names.len().max(token + 1), String::new());
                names[token].clone_from(piece);
            }
        }
        names
    }

    /// What stands between two pieces of a text.
    pub(super) fn separator(&self) -> &'static str {
        match self.unit {
            Unit::Character => "",
            Unit::Word { .. } => " ",
        }
    }

    fn named(&self, token: i32) -> Option<&str> {
        let found = self.ids.iter().find(|(piece, id)| **id == token && is_special(piece));
        found
            .or_else(|| self.ids.iter().find(|(_, id)| **id == token))
            .map(|(piece, _)| piece.as_str())
    }
}

/// A list, a map in either direction, or a text of characters.
fn entries(json: &Json) -> HashMap<String, i32> {
    let id = |at: usize| i32::try_from(at).ok();
    let number = |value: &Json| value.as_u64().and_then(|id| i32::try_from(id).ok());
    match json {
        Json::String(text) => (text.chars().enumerate())
            .filter_map(|(at, c)| Some((c.to_string(), id(at)?)))
            .collect(),
        // SentencePiece's lists hold pairs of a piece and its likelihood.
        Json::Array(list) => (list.iter().enumerate())
            .filter_map(|(at, entry)| {
                let piece = entry.as_str().or_else(|| entry.get(0)?.as_str())?;
                Some((piece.to_owned(), id(at)?))
            })
            .collect(),
        Json::Object(map) => map
            .iter()
            .filter_map(|(key, value)| match value {
                Json::String(piece) => Some((piece.clone(), key.parse().ok()?)),
                _ => Some((key.clone(), number(value)?)),
            })
            .filter(|(piece, _)| !piece.is_empty())
            .collect(),
        _ => HashMap::new(),
    }
}

/// Whether an entry called like the place of a vocabulary is no piece but a setting, such as how many pieces there are: as a
/// piece its id would lie among those of the others.
fn is_a_setting(ids: &HashMap<String, i32>, key: &str) -> bool {
    let alone = ids.keys().all(|piece| KEYS.contains(&piece.as_str()));
    (ids.get(key)).is_some_and(|id| alone || usize::try_from(*id).is_ok_and(|id| id >= ids.len()))
}

fn is_character(piece: &str) -> bool {
    let mut chars = piece.chars();
    chars.next().is_some() && chars.next().is_none()
}

/// Whether an entry stands for something that is no text, such as `<pad>`.
fn is_special(piece: &str) -> bool {
    piece.len() > 2
        && [('<', '>'), ('[', ']')]
            .iter()
            .any(|(open, close)| piece.starts_with(*open) && piece.ends_with(*close))
        || piece == "UNK"
}

/// Pieces that are not in the vocabulary.
#[derive(Debug, Default)]
struct Missing {
    count: usize,
    pieces: HashMap<String, usize>,
}

impl Missing {
    fn note(&mut self, piece: &str) {
        self.count += 1;
        match self.pieces.get_mut(piece) {
            Some(count) => *count += 1,
            None => {
                self.pieces.insert(piece.to_owned(), 1);
            }
        }
    }

    /// A sentence about what is missing, the most frequent first; nothing if nothing is.
    fn sentence(
        &self,
        unit: &str,
        known: usize,
        stands: Option<&str>,
        name: &str,
    ) -> Result<Vec<String>, DatasetError> {
        if self.count == 0 {
            return Ok(Vec::new());
        }
        let all = known + self.count;
        let mut pieces: Vec<(&String, &usize)> = self.pieces.iter().collect();
        pieces.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let shown: Vec<&str> = pieces.iter().take(8).map(|(piece, _)| piece.as_str()).collect();
        let share = 100.0 * self.count as f64 / all as f64;
        let what = format!(
            "{} of {all} {unit} ({share:.1} %) are not in the vocabulary: {}{}",
            self.count,
            shown.join(" "),
            if pieces.len() > shown.len() { " …" } else { "" }
        );
        let most = if stands.is_some() { MOST_UNKNOWN } else { MOST_LEFT_OUT };
        if self.count as f64 > most * all as f64 {
            return Err(fault(name, format!("{what}; is it the network's own vocabulary?")));
        }
        let note = match stands {
            Some(stands) => format!("{what}; they are read as {stands}"),
            None => format!("{what}; they are left out"),
        };
        log::warn!("{name}: {note}");
        Ok(vec![note])
    }
}

/// The vocabulary's file beside a text: `NAME.vocab.json`, `vocab.json`, or the only `*vocab.json` of the folder.
pub(super) fn beside_text(text: &Path) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests;
