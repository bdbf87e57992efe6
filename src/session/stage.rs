//! One derived result: for which inputs it is there, under way, or has failed.

/// A result `V` that is computed from inputs `K` by a job.
#[derive(Debug)]
pub struct Stage<K, V> {
    running: Option<K>,
    done: Option<(K, V)>,
    failed: Option<(K, String)>,
}

impl<K, V> Default for Stage<K, V> {
    fn default() -> Self {
        Self {
            running: None,
            done: None,
            failed: None,
        }
    }
}

impl<K: PartialEq, V> Stage<K, V> {
    /// Whether a result for `key` is neither there nor under way, nor has it failed before.
    pub fn lacks(&self, key: &K) -> bool {
        let done = self.done.as_ref().is_some_and(|(of, _)| of == key);
        let failed = self.failed.as_ref().is_some_and(|(of, _)| of == key);
        !done && !failed && self.running.as_ref() != Some(key)
    }

    /// A job for `key` was started.
    pub fn begin(&mut self, key: K) {
        self.running = Some(key);
    }

    /// The inputs of the job under way.
    pub fn running(&self) -> Option<&K> {
        self.running.as_ref()
    }

    /// The job under way was dropped.
    pub fn abandon(&mut self) {
        self.running = None;
    }

    /// The job under way has brought `value`.
    pub fn finish(&mut self, value: V) {
        self.exchange(value);
    }

    /// The same; gives back the result whose place it takes, which may be large to free.
    pub fn exchange(&mut self, value: V) -> Option<V> {
        let key = self.running.take()?;
        self.failed = None;
        self.done.replace((key, value)).map(|(_, old)| old)
    }

    /// The result for `key` is known without a job.
    pub fn put(&mut self, key: K, value: V) {
        self.failed = None;
        self.done = Some((key, value));
    }

    /// The job under way has failed.
    pub fn fail(&mut self, reason: String) {
        if let Some(key) = self.running.take() {
            self.failed = Some((key, reason));
        }
    }

    /// The newest result and its inputs, which may be older than what is wanted now.
    pub fn latest(&self) -> Option<(&K, &V)> {
        self.done.as_ref().map(|(key, value)| (key, value))
    }

    /// The newest result, to be completed with what came to be known since.
    pub fn latest_mut(&mut self) -> Option<&mut V> {
        self.done.as_mut().map(|(_, value)| value)
    }

    /// The result for exactly these inputs.
    pub fn for_key(&self, key: &K) -> Option<&V> {
        self.done.as_ref().filter(|(of, _)| of == key).map(|(_, value)| value)
    }

    /// Why there is no result for these inputs.
    pub fn failure(&self, key: &K) -> Option<&str> {
        self.failed
            .as_ref()
            .filter(|(of, _)| of == key)
            .map(|(_, reason)| reason.as_str())
    }

    /// Forgets a failure, so that it is tried again.
    pub fn forgive(&mut self) {
        self.failed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_result_is_not_tried_again_until_its_inputs_change_or_it_is_forgiven() {
        let mut stage: Stage<u8, char> = Stage::default();
        assert!(stage.lacks(&1));
        stage.begin(1);
        assert!(!stage.lacks(&1) && stage.lacks(&2));
        stage.fail("no data".to_owned());
        assert_eq!(stage.failure(&1), Some("no data"));
        assert!(!stage.lacks(&1) && stage.lacks(&2));
        stage.forgive();
        assert!(stage.lacks(&1));
    }

    #[test]
    fn the_latest_result_stays_visible_while_a_newer_one_is_made() {
        let mut stage = Stage::default();
        stage.begin(1);
        stage.finish('a');
        stage.begin(2);
        assert_eq!(stage.latest(), Some((&1, &'a')));
        assert_eq!(stage.for_key(&2), None);
        assert_eq!(stage.exchange('b'), Some('a'));
        assert_eq!(stage.for_key(&2), Some(&'b'));
    }
}
