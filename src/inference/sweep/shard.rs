//! A part of a sweep for one of several machines. Which rows belong to it follows from their order alone, so that machines
//! need not speak to each other, and the parts are disjoint and whole.

use crate::quantization::ValueError;
use std::fmt;
use std::str::FromStr;

/// The `index`-th (from 1) of `count` parts. Written `1/3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Every `count`-th item from the `index`-th on: neighbours, which cost alike, go to different machines.
    pub fn of<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.index - 1).step_by(self.count).collect()
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match parsed {
            Some((index, count)) if 1 <= index && index <= count => Ok(Self { index, count }),
            _ => Err(ValueError::not("a shard is I/N with I from 1 to N, such as 2/3", text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_disjoint_and_together_whole() {
        for (count, items) in [(1, 7), (3, 7), (7, 7), (9, 7), (2, 0)] {
            let parts = (1..=count).map(|index| Shard { index, count }.of((0..items).collect::<Vec<usize>>()));
            let mut all: Vec<usize> = parts.flatten().collect();
            all.sort_unstable();
            assert_eq!(all, (0..items).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_shard_is_refused() {
        assert_eq!("2/3".parse::<Shard>().unwrap().to_string(), "2/3");
        for text in ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/2", ""] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
