//! Pairs of sentences with a score of how alike they are, as SICK and the STS benchmark have them: what sentence encoders are
//! judged by. A table with a head, separated by tabs, of which three columns count.

use super::companions::Companions;
use super::pieces::Pieces;
use super::{DatasetError, Tensor, fault};
use csv::ReaderBuilder;
use std::ops::Range;

/// What the columns are called.
const FIRST: [&str; 4] = ["sentence1", "sentence_a", "text1", "sentence_1"];
const SECOND: [&str; 4] = ["sentence2", "sentence_b", "text2", "sentence_2"];
const SCORE: [&str; 5] = [
    "score",
    "relatedness_score",
    "similarity",
    "similarity_score",
    "gold_score",
];

/// Sentences that are run at once where their lengths may differ.
const AT_ONCE: usize = 16;

/// Sentences as tokens: samples 2i and 2i + 1 are pair i.
#[derive(Debug)]
pub(super) struct SentencePairs {
    sentences: Vec<Vec<i32>>,
    scores: Vec<f64>,
    /// Fills shorter rows up.
    pad: i32,
    /// The network's input.
    input: String,
    companions: Companions,
}

/// The places of the columns in the head of a table, if it has them.
fn columns(head: &str) -> Option<[usize; 3]> {
    let names: Vec<String> = head
        .trim_end()
        .split('\t')
        .map(|name| name.trim().to_lowercase())
        .collect();
    let place = |wanted: &[&str]| {
        wanted
            .iter()
            .find_map(|wanted| names.iter().position(|name| name == wanted))
    };
    Some([place(&FIRST)?, place(&SECOND)?, place(&SCORE)?])
}

impl SentencePairs {
    /// Whether a text is such a table.
    pub(super) fn is_table(content: &str) -> bool {
        content.lines().next().and_then(columns).is_some()
    }

    /// Reads a table; sentences are cut off at `longest` tokens, those of beginning and end included. Gives what a person should
    /// know too.
    ///
    /// # Errors
    /// The line that is wrong, or that the tokenizer is another network's.
    pub(super) fn read(
        content: &str,
        name: &str,
        pieces: &Pieces,
        longest: usize,
        (input, companions): (&str, &Companions),
    ) -> Result<(Self, Vec<String>), DatasetError> {
        let Some(places) = content.lines().next().and_then(columns) else {
            return Err(fault(
                name,
                "it has no columns sentence1, sentence2 and score".to_owned(),
            ));
        };
        // Quotation marks are part of the sentences in these tables.
        let mut reader = ReaderBuilder::new()
            .delimiter(b'\t')
            .quoting(false)
            .flexible(true)
            .from_reader(content.as_bytes());
        let (before, after) = pieces.ends();
        let room = longest.saturating_sub(before.len() + after.len()).max(1);
        let (mut sentences, mut scores, mut cut) = (Vec::new(), Vec::new(), 0);
        for record in reader.records() {
            let record = record.map_err(|error| fault(name, error.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |column: usize| record.get(places[column]).map(str::trim).unwrap_or_default();
            let (texts, score) = ([field(0), field(1)], field(2));
            let score: f64 = match score.parse() {
                Ok(score) if f64::is_finite(score) => score,
                _ => return Err(fault(name, format!("line {line}: the score '{score}' is no number"))),
            };
            if texts.contains(&"") {
                return Err(fault(name, format!("line {line}: a sentence is missing")));
            }
            for text in texts {
                let mut tokens = pieces.tokens(text, name)?;
                cut += usize::from(tokens.len() > room);
                tokens.truncate(room);
                sentences.push([&before, tokens.as_slice(), &after].concat());
            }
            scores.push(score);
        }
        if scores.is_empty() {
            return Err(fault(name, "there are no pairs in it".to_owned()));
        }
        let mut notes = vec![format!(
            "{} pairs of sentences: cosine of the two outputs (their mean over the tokens, where there is one for each) against the score",
            scores.len()
        )];
        notes.extend(pieces.unknown_note(&sentences.concat(), name)?);
        if cut > 0 {
            notes.push(format!("{cut} sentences are cut off at {longest} tokens"));
        }
        let pairs = Self {
            sentences,
            scores,
            pad: pieces.pad(),
            input: input.to_owned(),
            companions: companions.clone(),
        };
        Ok((pairs, notes))
    }

    /// Number of sentences.
    pub(super) fn len(&self) -> usize {
        self.sentences.len()
    }

    /// How alike the pairs are.
    pub(super) fn scores(&self) -> &[f64] {
        &self.scores
    }

    /// Tokens of a sentence.
    pub(super) fn tokens(&self, sample: usize) -> usize {
        self.sentences.get(sample).map_or(0, Vec::len)
    }

    /// Sentences that are run at once: a network that takes no mask cannot tell what shorter ones are filled up with.
    pub(super) fn at_once(&self) -> usize {
        let masks = self.companions.names().any(|name| name == "attention_mask");
        if masks { AT_ONCE } else { 1 }
    }

    /// The network's inputs for these sentences, as long as the longest; beyond the last it is repeated.
    pub(super) fn batch(&self, range: &Range<usize>) -> Result<Vec<(String, Tensor)>, DatasetError> {
        let last = self.len().saturating_sub(1);
        let rows: Vec<&[i32]> = range
            .clone()
            .filter_map(|sample| self.sentences.get(sample.min(last)).map(Vec::as_slice))
            .collect();
        let length = rows.iter().map(|row| row.len()).max().unwrap_or(0);
        let filled = |number: &dyn Fn(i32) -> i32, rest: i32| -> Vec<i32> {
            let row = |row: &&[i32]| {
                let numbers = row.iter().map(|token| number(*token));
                numbers
                    .chain(std::iter::repeat_n(rest, length - row.len()))
                    .collect::<Vec<_>>()
            };
            rows.iter().flat_map(row).collect()
        };
        let tensor = |numbers: Vec<i32>| {
            let value = Tensor::from_shape([rows.len(), length], numbers);
            value.map_err(|error| fault(&self.input, error.to_string()))
        };
        let mut inputs = self.companions.values(rows.len(), length)?;
        for (name, value) in &mut inputs {
            if name == "attention_mask" {
                *value = tensor(filled(&|_| 1, 0))?;
            }
        }
        inputs.push((self.input.clone(), tensor(filled(&|token| token, self.pad))?));
        Ok(inputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_known_tables_are_known() {
        assert_eq!(
            columns("pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\r"),
            Some([1, 2, 3])
        );
        let sts = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore";
        assert_eq!(columns(sts), Some([7, 8, 9]));
        assert!(!SentencePairs::is_table("A sentence.\tAnother.\t3.5"));
    }
}
