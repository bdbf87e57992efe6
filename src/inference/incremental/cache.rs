//! Values of single batches, up to a fixed number of bytes; what was not used for longest goes first.

use super::signature::Fingerprint;
use crate::data::Tensor;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The values that are live at a cut, for one batch.
pub(super) type LiveValues = Arc<Vec<(Fingerprint, Tensor)>>;

/// Values of batches at cuts.
#[derive(Default)]
pub(super) struct ActivationCache {
    entries: HashMap<Place, Entry>,
    bytes: usize,
    most: usize,
    /// Counts uses.
    clock: u64,
}

/// A cut, and the samples of a batch.
type Place = (Fingerprint, Range<usize>);

struct Entry {
    values: LiveValues,
    bytes: usize,
    used: u64,
}

impl ActivationCache {
    /// Holds up to `most` bytes.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the values of a batch at a cut are there.
    pub(super) fn holds(&self, cut: Fingerprint, batch: &Range<usize>) -> bool {
        self.entries.contains_key(&(cut, batch.clone()))
    }

    /// The values of a batch at a cut.
    pub(super) fn get(&mut self, cut: Fingerprint, batch: &Range<usize>) -> Option<LiveValues> {
        let entry = self.entries.get_mut(&(cut, batch.clone()))?;
        self.clock += 1;
        entry.used = self.clock;
        Some(Arc::clone(&entry.values))
    }

    /// Keeps the values of a batch at a cut, if they fit. Values of the same cut never make room for each other: of data that are
    /// too large the first batches stay, instead of each driving out the one that is needed next.
    pub(super) fn put(&mut self, cut: Fingerprint, batch: &Range<usize>, values: Vec<(Fingerprint, Tensor)>) {
        let bytes: usize = values.iter().map(|(_, value)| value.bytes()).sum();
        if self.holds(cut, batch) || bytes > self.most {
            return;
        }
        while self.bytes + bytes > self.most {
            let others = self.entries.iter().filter(|((of, _), _)| *of != cut);
            let Some(oldest) = others
                .min_by_key(|(_, entry)| entry.used)
                .map(|(place, _)| place.clone())
            else {
                return;
            };
            self.bytes -= self.entries.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
        self.clock += 1;
        self.bytes += bytes;
        let entry = Entry {
            values: Arc::new(values),
            bytes,
            used: self.clock,
        };
        self.entries.insert((cut, batch.clone()), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: usize) -> Vec<(Fingerprint, Tensor)> {
        vec![(7, Tensor::from_shape([count], vec![0.5_f32; count]).unwrap())]
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut cache = ActivationCache::new(100);
        for cut in 1..=3 {
            cache.put(cut, &(0..4), values(8));
        }
        assert_eq!(cache.bytes(), 96);
        assert!(cache.get(1, &(0..4)).is_some());
        cache.put(4, &(0..4), values(8));
        let held: Vec<Fingerprint> = (1..=4).filter(|cut| cache.holds(*cut, &(0..4))).collect();
        assert_eq!((held, cache.bytes()), (vec![1, 3, 4], 96));
    }

    #[test]
    fn batches_of_one_cut_do_not_drive_each_other_out() {
        let mut cache = ActivationCache::new(100);
        for at in 0..5 {
            cache.put(1, &(at..at + 1), values(10));
        }
        assert!(cache.holds(1, &(0..1)) && cache.holds(1, &(1..2)) && !cache.holds(1, &(2..3)));
        cache.put(2, &(0..1), values(30));
        assert!(!cache.holds(2, &(0..1)), "larger than all there is room for");
        cache.put(2, &(0..1), values(20));
        assert_eq!((cache.holds(2, &(0..1)), cache.bytes()), (true, 80));
    }
}
