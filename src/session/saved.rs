//! What a session remembers from one start of the program to the next.

use super::resume::Last;
use crate::jobs::available_threads;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Files kept in the list of recent ones.
const RECENT: usize = 10;

/// Tokens that are evaluated where nobody says how many: at most, and at least.
const MAX_USUAL_TOKENS: usize = 50_000;
const MIN_USUAL_TOKENS: usize = 1024;

/// Multiply-accumulates that two cores do in some seconds.
const AFFORDABLE: u64 = 300_000_000_000;

/// Tokens that a network with so many parameters, each used once a token, is evaluated on where nobody says how many: 50 000 of a small
/// one, of a language model as many as show a perplexity in seconds, in windows of 256.
pub(super) fn usual_tokens(parameters: u64) -> usize {
    let affordable = usize::try_from(AFFORDABLE / parameters.max(1)).unwrap_or(usize::MAX);
    match affordable {
        MAX_USUAL_TOKENS.. => MAX_USUAL_TOKENS,
        fewer => (fewer / 256 * 256).max(MIN_USUAL_TOKENS),
    }
}

/// The remembered part of a session. Fields may be added freely: what is missing takes its default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// Model files opened lately, newest first.
    pub recent: Vec<PathBuf>,
    /// Standard deviations beyond which a weight is called an outlier.
    pub sigma: f64,
    /// Images or arrays evaluated at most.
    pub sample_limit: usize,
    /// Tokens of text evaluated at most; `None` for as many as the network runs in some seconds.
    pub token_limit: Option<usize>,
    /// Threads of each job; `None` for as many as there are cores.
    pub threads: Option<usize>,
    /// What was open at the end, unless it was nothing but the untouched demo.
    pub last: Option<Last>,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            recent: Vec::new(),
            sigma: 4.0,
            sample_limit: 1000,
            token_limit: None,
            threads: None,
            last: None,
        }
    }
}

impl Saved {
    /// Puts a file at the head of the recent ones.
    pub fn remember(&mut self, path: &Path) {
        self.recent.retain(|known| known != path);
        self.recent.insert(0, path.to_owned());
        self.recent.truncate(RECENT);
    }

    /// The same with the files that another program of ours has opened lately behind its own.
    #[must_use]
    pub fn with_recent_of(mut self, other: Self) -> Self {
        let own = self.recent.clone();
        self.recent
            .extend(other.recent.into_iter().filter(|path| !own.contains(path)));
        self.recent.truncate(RECENT);
        self
    }

    /// The same with every number in its range, whatever a file of settings said.
    pub fn sane(mut self) -> Self {
        let default = Self::default();
        if !(self.sigma.is_finite() && (1.0..=20.0).contains(&self.sigma)) {
            self.sigma = default.sigma;
        }
        if self.sample_limit == 0 {
            self.sample_limit = default.sample_limit;
        }
        // What stood there before it depended on the network.
        self.token_limit = self.token_limit.filter(|limit| ![0, MAX_USUAL_TOKENS].contains(limit));
        // Of the settings of a machine with more cores all that there are remains.
        self.threads = self
            .threads
            .filter(|threads| (1..available_threads()).contains(threads));
        self.recent.truncate(RECENT);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_opened_again_moves_to_the_head() {
        let mut saved = Saved::default();
        for name in ["a", "b", "a"] {
            saved.remember(Path::new(name));
        }
        assert_eq!(saved.recent, [PathBuf::from("a"), PathBuf::from("b")]);
    }

    #[test]
    fn settings_of_an_older_or_damaged_file_take_their_defaults() {
        let saved: Saved = serde_json::from_str(r#"{"sigma": -3.0, "sample_limit": 0, "threads": 0}"#).unwrap();
        assert_eq!(saved.sane(), Saved::default());
    }
    #[test]
    fn all_cores_stay_all_cores_on_another_machine() {
        let sane = |threads| {
            let saved = Saved {
                threads,
                ..Saved::default()
            };
            saved.sane().threads
        };
        assert_eq!(sane(Some(available_threads())), None);
        assert_eq!(sane(Some(available_threads() + 60)), None);
        assert_eq!(sane(Some(1)), (available_threads() > 1).then_some(1));
    }

    #[test]
    fn a_language_model_is_judged_on_fewer_tokens_unless_somebody_says_how_many() {
        // The Shakespeare demo, a network of 6 M, SmolLM2, one of 8 G.
        let tokens = [243_969, 6_000_000, 134_515_008, 8_000_000_000].map(usual_tokens);
        assert_eq!(tokens, [50_000, 50_000, 2048, 1024]);
        let of = |text: &str| serde_json::from_str::<Saved>(text).unwrap().sane().token_limit;
        assert_eq!(of("{}"), None);
        assert_eq!(of(r#"{"token_limit": 300}"#), Some(300));
        // The number that every file held before.
        assert_eq!(of(r#"{"token_limit": 50000}"#), None);
    }
}
