//! The newest results by what they were computed from, so that undo shows its numbers at once.

/// Up to a fixed number of results `V` by their inputs `K`; the oldest goes first.
#[derive(Debug)]
pub struct Kept<K, V> {
    entries: Vec<(K, V)>,
    most: usize,
}

impl<K: PartialEq, V> Kept<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            entries: Vec::new(),
            most,
        }
    }

    /// Keeps a result as the newest.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.entries.retain(|(of, _)| *of != key);
        self.entries.push((key, value));
        if self.entries.len() > self.most {
            self.entries.remove(0);
        }
    }

    /// The result for exactly these inputs.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.iter().find(|(of, _)| of == key).map(|(_, value)| value)
    }

    /// The newest result whose inputs satisfy `of`.
    pub(super) fn find(&self, of: impl Fn(&K) -> bool) -> Option<&V> {
        self.entries
            .iter()
            .rev()
            .find(|(key, _)| of(key))
            .map(|(_, value)| value)
    }

    /// The newest result and its inputs.
    pub fn latest(&self) -> Option<(&K, &V)> {
        self.entries.last().map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_results_are_forgotten_and_a_key_has_one_result() {
        let mut kept = Kept::new(2);
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            kept.put(key, value);
        }
        assert_eq!(
            [1, 2, 3].map(|key| kept.get(&key).copied()),
            [Some('c'), None, Some('d')]
        );
        assert_eq!(kept.latest(), Some((&3, &'d')));
        assert_eq!(kept.find(|key| *key < 3), Some(&'c'));
    }
}
