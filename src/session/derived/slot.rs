//! One derived result: for which inputs it is there, under way, or has failed.

use crate::jobs::JobError;

/// A result `V` that a job computes from inputs `K`. The newest stays visible while a newer one is made; a failure is
/// remembered until the inputs change or it is retried.
#[derive(Debug)]
pub struct Slot<K, V> {
    /// Somebody asks for it; of no matter where the result is made unasked.
    asked: bool,
    /// The inputs of the job under way.
    running: Option<K>,
    /// Counts the jobs, so that what an older one still sends is told apart.
    runs: u64,
    /// What the job under way has brought so far, or the one that was stopped last.
    partial: Option<(K, V)>,
    /// Results by their inputs, newest last.
    kept: Vec<(K, V)>,
    failed: Option<(K, JobError)>,
}

impl<K, V> Slot<K, V> {
    /// Nothing there, nothing under way.
    pub(in crate::session) const EMPTY: Self = Self {
        asked: false,
        running: None,
        runs: 0,
        partial: None,
        kept: Vec::new(),
        failed: None,
    };
}

impl<K, V> Default for Slot<K, V> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<K: PartialEq + Clone, V> Slot<K, V> {
    /// Somebody asks for the result; what has failed is tried again.
    pub(in crate::session) fn ask(&mut self) {
        self.asked = true;
        self.failed = None;
    }

    pub(in crate::session) fn is_asked(&self) -> bool {
        self.asked
    }

    /// Whether a result for `key` is neither there nor under way, nor has it failed before.
    pub(in crate::session) fn lacks(&self, key: &K) -> bool {
        self.for_key(key).is_none() && self.failure(key).is_none() && self.running.as_ref() != Some(key)
    }

    /// A job for `key` begins.
    pub(in crate::session) fn begin(&mut self, key: K) {
        self.asked = false;
        self.running = Some(key);
        self.runs += 1;
        self.partial = None;
    }

    /// The result for `key`, if it is there already, becomes the newest, and whoever asks has it.
    pub(in crate::session) fn renew(&mut self, key: &K) {
        self.asked = false;
        if let Some(place) = self.kept.iter().position(|(of, _)| of == key) {
            let entry = self.kept.remove(place);
            self.kept.push(entry);
            if self.running.is_none() {
                (self.partial, self.failed) = (None, None);
            }
        }
    }

    /// How many jobs have begun.
    pub(in crate::session) fn runs(&self) -> u64 {
        self.runs
    }

    /// The job under way was dropped.
    pub(in crate::session) fn abandon(&mut self) {
        self.running = None;
    }

    /// The job under way has brought `value`; of the results `most` are kept. Gives back the one that goes, which may be
    /// large to free.
    pub(in crate::session) fn finish(&mut self, value: V, most: usize) -> Option<V> {
        let key = self.running.take()?;
        self.partial = None;
        self.put(key, value, most)
    }

    /// The job under way has ended, and its result is kept elsewhere.
    pub(in crate::session) fn settle(&mut self) -> Option<K> {
        self.failed = None;
        self.running.take()
    }

    /// The result for `key` is known without a job.
    pub(in crate::session) fn put(&mut self, key: K, value: V, most: usize) -> Option<V> {
        self.failed = None;
        let same = self.kept.iter().position(|(of, _)| *of == key);
        let old = same.map(|place| self.kept.remove(place).1);
        self.kept.push((key, value));
        old.or_else(|| (self.kept.len() > most).then(|| self.kept.remove(0).1))
    }

    /// The job under way has failed.
    pub(in crate::session) fn fail(&mut self, error: &JobError) {
        if let Some(key) = self.running.take() {
            self.failed = Some((key, error.clone()));
        }
    }

    /// Forgets a failure, so that it is tried again.
    pub(in crate::session) fn retry(&mut self) {
        self.failed = None;
    }

    /// The newest result, to be completed with what came to be known since.
    pub(in crate::session) fn latest_mut(&mut self) -> Option<(&K, &mut V)> {
        self.kept.last_mut().map(|(key, value)| (&*key, value))
    }

    /// The newest result whose inputs satisfy `of`.
    pub(in crate::session) fn find(&self, of: impl Fn(&K) -> bool) -> Option<&V> {
        let mut newest_first = self.kept.iter().rev();
        newest_first.find(|(key, _)| of(key)).map(|(_, value)| value)
    }

    /// The inputs of the job under way.
    pub fn running(&self) -> Option<&K> {
        self.running.as_ref()
    }

    /// Whether it was asked for and is not there yet.
    pub fn is_under_way(&self) -> bool {
        self.asked || self.running.is_some()
    }

    /// The newest result and its inputs, which may be older than what is wanted now.
    pub fn latest(&self) -> Option<(&K, &V)> {
        self.kept.last().map(|(key, value)| (key, value))
    }

    /// The result for exactly these inputs.
    pub fn for_key(&self, key: &K) -> Option<&V> {
        self.find(|of| of == key)
    }

    /// Why there is no result for these inputs.
    pub fn failure(&self, key: &K) -> Option<&JobError> {
        self.failed.as_ref().filter(|(of, _)| of == key).map(|(_, error)| error)
    }

    /// Why the newest job brought no result; `None` once another has begun or it is to be tried again.
    pub fn last_failure(&self) -> Option<&JobError> {
        let failed = self.failed.as_ref().map(|(_, error)| error);
        failed.filter(|_| !self.is_under_way())
    }
}

/// Results that come row by row: the rows of a job that was stopped stay.
impl<K: PartialEq + Clone, T> Slot<K, Vec<T>> {
    /// The job under way has brought one more row.
    pub(in crate::session) fn grow(&mut self, row: T) {
        if let Some(key) = &self.running {
            let (_, rows) = self.partial.get_or_insert_with(|| (key.clone(), Vec::new()));
            rows.push(row);
        }
    }

    /// What the rows are computed from.
    pub fn of(&self) -> Option<&K> {
        self.partial.as_ref().or(self.kept.last()).map(|(key, _)| key)
    }

    /// The newest rows, as far as they are there.
    pub fn rows(&self) -> &[T] {
        let newest = self.partial.as_ref().or(self.kept.last());
        newest.map_or(&[], |(_, rows)| rows)
    }

    /// Whether a job is bringing more.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Whether [`Slot::rows`] are all there are.
    pub fn is_complete(&self) -> bool {
        self.partial.is_none() && !self.kept.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: &str) -> JobError {
        JobError::Failed(reason.to_owned())
    }

    #[test]
    fn a_failed_result_is_not_tried_again_until_its_inputs_change_or_it_is_retried() {
        let mut slot: Slot<u8, char> = Slot::default();
        assert!(slot.lacks(&1));
        slot.begin(1);
        assert!(!slot.lacks(&1) && slot.lacks(&2));
        slot.fail(&failed("no data"));
        assert_eq!(slot.failure(&1), Some(&failed("no data")));
        assert!(!slot.lacks(&1) && slot.lacks(&2));
        slot.retry();
        assert!(slot.lacks(&1));
    }

    #[test]
    fn the_latest_result_stays_visible_while_a_newer_one_is_made() {
        let mut slot = Slot::default();
        slot.begin(1);
        slot.finish('a', 1);
        slot.begin(2);
        assert_eq!(slot.latest(), Some((&1, &'a')));
        assert_eq!(slot.for_key(&2), None);
        assert_eq!(slot.finish('b', 1), Some('a'), "to be freed elsewhere");
        assert_eq!(slot.for_key(&2), Some(&'b'));
    }

    #[test]
    fn the_oldest_results_are_forgotten_and_a_key_has_one_result() {
        let mut slot = Slot::default();
        for (key, value) in [(1, 'a'), (2, 'b'), (1, 'c'), (3, 'd')] {
            slot.put(key, value, 2);
        }
        assert_eq!(
            [1, 2, 3].map(|key| slot.for_key(&key).copied()),
            [Some('c'), None, Some('d')]
        );
        assert_eq!(slot.latest(), Some((&3, &'d')));
        assert_eq!(slot.find(|key| *key < 3), Some(&'c'));
        slot.renew(&1);
        assert_eq!(slot.latest(), Some((&1, &'c')), "undo brings it back");
    }

    #[test]
    fn asking_tries_again_what_has_failed_and_is_answered_once() {
        let mut slot: Slot<u8, char> = Slot::default();
        slot.begin(1);
        slot.fail(&JobError::Cancelled);
        assert_eq!(slot.last_failure(), Some(&JobError::Cancelled));
        slot.ask();
        assert!(slot.lacks(&1) && slot.is_under_way() && slot.last_failure().is_none());
        slot.begin(1);
        assert!(!slot.is_asked());
        slot.finish('a', 1);
        assert!(!slot.is_under_way());
    }

    #[test]
    fn rows_stay_when_the_work_is_stopped_and_do_not_come_twice_when_it_is_done_again() {
        let mut slot: Slot<u8, Vec<char>> = Slot::default();
        slot.begin(1);
        slot.grow('a');
        assert!(slot.is_running() && !slot.is_complete());
        slot.fail(&JobError::Cancelled);
        assert_eq!((slot.rows(), slot.of()), (&['a'][..], Some(&1)));
        slot.begin(1);
        assert!(slot.rows().is_empty());
        slot.grow('a');
        slot.grow('b');
        slot.finish(vec!['a', 'b'], 1);
        assert!(slot.is_complete() && slot.rows() == ['a', 'b']);
        slot.begin(2);
        assert_eq!(
            (slot.rows(), slot.of()),
            (&['a', 'b'][..], Some(&1)),
            "the older rows until newer ones come"
        );
        slot.grow('c');
        assert_eq!((slot.rows(), slot.of()), (&['c'][..], Some(&2)));
    }
}
