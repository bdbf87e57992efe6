//! Memory for expanded tensors, used again from layer to layer: a fresh page costs more than writing it.

use std::sync::{Mutex, PoisonError};

/// Memory that one plan writes its expanded tensors to, as many as are written at a time.
#[derive(Debug, Default)]
pub struct Buffers(Mutex<Vec<Vec<f32>>>);

impl Buffers {
    /// `count` numbers, whatever they were before.
    pub(super) fn take(&self, count: usize) -> Vec<f32> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let largest = (0..kept.len()).max_by_key(|&at| kept[at].capacity());
        let buffer = largest.map(|at| kept.swap_remove(at));
        drop(kept);
        match buffer {
            Some(mut buffer) if buffer.capacity() >= count => {
                buffer.resize(count, 0.0);
                buffer
            }
            _ => vec![0.0; count],
        }
    }

    /// Keeps the memory of a split's values, which nobody needs any more, for the next.
    pub fn give_back(&self, values: Vec<f32>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(values);
    }
}
