//! What a session remembers from one start of the program to the next.

use super::resume::Last;
use crate::jobs::available_threads;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Files kept in the list of recent ones.
const RECENT: usize = 10;

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
    /// Tokens of text evaluated at most.
    pub token_limit: usize,
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
            token_limit: 50_000,
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
        if self.token_limit == 0 {
            self.token_limit = default.token_limit;
        }
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
}
