//! Rows that a running job brings one by one.

use std::sync::mpsc::{Receiver, Sender, channel};

/// Rows `T` computed from inputs `K` by a job that hands each over as it is finished. Rows that came before the job was
/// cancelled or failed stay.
#[derive(Debug)]
pub struct Live<K, T> {
    of: Option<K>,
    rows: Vec<T>,
    incoming: Option<Receiver<T>>,
    complete: bool,
    failure: Option<String>,
}

impl<K, T> Default for Live<K, T> {
    fn default() -> Self {
        Self {
            of: None,
            rows: Vec::new(),
            incoming: None,
            complete: false,
            failure: None,
        }
    }
}

impl<K: PartialEq, T> Live<K, T> {
    /// A job for `key` begins; rows of the same inputs stay, others go. The job sends its rows into what is returned.
    pub(super) fn begin(&mut self, key: K) -> Sender<T> {
        self.drain();
        if self.of.as_ref() != Some(&key) {
            self.rows.clear();
        }
        self.of = Some(key);
        self.complete = false;
        self.failure = None;
        let (sender, incoming) = channel();
        self.incoming = Some(incoming);
        sender
    }

    /// The same from the start: rows of the same inputs go too, because the job brings them again.
    pub(super) fn restart(&mut self, key: K) -> Sender<T> {
        self.of = None;
        self.begin(key)
    }

    /// Takes the rows that have come since the last call; tells whether there were any.
    pub(super) fn drain(&mut self) -> bool {
        let before = self.rows.len();
        if let Some(incoming) = &self.incoming {
            self.rows.extend(incoming.try_iter());
        }
        self.rows.len() > before
    }

    /// The job has brought all its rows.
    pub(super) fn finish(&mut self) {
        self.drain();
        self.incoming = None;
        self.complete = true;
    }

    /// The job was cancelled or has failed.
    pub(super) fn fail(&mut self, reason: String) {
        self.drain();
        self.incoming = None;
        self.failure = Some(reason);
    }

    /// The results are known without a job.
    pub(super) fn put(&mut self, key: K, rows: Vec<T>) {
        *self = Self {
            of: Some(key),
            rows,
            complete: true,
            ..Self::default()
        };
    }

    /// What the rows are computed from.
    pub fn of(&self) -> Option<&K> {
        self.of.as_ref()
    }

    /// The rows that are there.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Whether a job is bringing more.
    pub fn is_running(&self) -> bool {
        self.incoming.is_some()
    }

    /// Whether all rows are there.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Why there are no more rows.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_come_twice_when_the_work_is_done_again() {
        let mut live: Live<u8, char> = Live::default();
        let sender = live.begin(1);
        sender.send('a').unwrap();
        live.fail("cancelled".to_owned());
        let sender = live.restart(1);
        assert!(live.rows().is_empty() && live.of() == Some(&1) && live.failure().is_none());
        sender.send('a').unwrap();
        live.finish();
        assert_eq!(live.rows(), ['a']);
    }

    #[test]
    fn rows_of_the_same_inputs_stay_when_the_work_is_taken_up_again() {
        let mut live: Live<u8, char> = Live::default();
        let sender = live.begin(1);
        sender.send('a').unwrap();
        assert!(live.drain() && !live.drain());
        sender.send('b').unwrap();
        live.fail("cancelled".to_owned());
        assert_eq!((live.rows(), live.failure()), (&['a', 'b'][..], Some("cancelled")));
        let sender = live.begin(1);
        sender.send('c').unwrap();
        live.finish();
        assert!(live.is_complete() && !live.is_running());
        assert_eq!(live.rows(), ['a', 'b', 'c']);
        let _late = live.begin(2);
        assert!(live.rows().is_empty() && live.is_running() && live.failure().is_none());
        assert!(sender.send('x').is_err(), "an older job is not listened to");
    }
}
