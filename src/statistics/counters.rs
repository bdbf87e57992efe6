//! Counting many small numbers.

/// Sets of counters, used in turn: neighbouring values often fall into the same slot, and one counter would wait for itself.
const SETS: usize = 4;

/// How often each slot was met.
#[derive(Debug, Clone)]
pub(crate) struct Counters {
    // The sets of a slot lie side by side, so that rarely used slots take no room in the cache.
    slots: Vec<[u32; SETS]>,
}

impl Counters {
    /// Slots `0..count`, none met yet.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            slots: vec![[0; SETS]; count],
        }
    }

    /// Counts each of `met` once; what is beyond the last slot is left out. A slot must not be met 2^32 times.
    pub(crate) fn add(&mut self, met: &[u32]) {
        let slots = self.slots.as_mut_slice();
        let mut count = |slot: u32, set: usize| {
            if let Some(counters) = slots.get_mut(slot as usize) {
                counters[set] = counters[set].wrapping_add(1);
            }
        };
        let (groups, rest) = met.as_chunks::<SETS>();
        for group in groups {
            for (set, slot) in group.iter().enumerate() {
                count(*slot, set);
            }
        }
        for slot in rest {
            count(*slot, 0);
        }
    }

    /// The counts.
    pub(crate) fn totals(&self) -> impl Iterator<Item = u64> {
        self.slots
            .iter()
            .map(|sets| sets.iter().map(|count| u64::from(*count)).sum())
    }
}
