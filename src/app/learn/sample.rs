//! Weights of the selected layer for the lessons: all of a small layer, pieces from all over a large one.

use crate::network::Network;
use crate::onnx::FloatSource;
use crate::session::{OpenNetwork, PrepareKey};
use std::sync::{Arc, Weak};

/// Weights at most.
const MOST: usize = 1 << 16;
/// Weights that are read in one piece.
const PIECE: usize = 1 << 10;

/// The sample, and what it is of.
#[derive(Default)]
pub(super) struct Sample {
    of: Option<(Weak<Network>, usize, PrepareKey)>,
    pub(super) values: Vec<f32>,
    /// Counts the samples taken, for what is computed from one.
    pub(super) number: u64,
}

impl Sample {
    /// Takes a new sample when another layer is selected.
    pub(super) fn refresh(&mut self, open: &OpenNetwork) {
        let network = &open.shown().network;
        let layer = open.selected();
        let prepared = open.prepare_key(open.recipe());
        let same = self.of.as_ref().is_some_and(|(of, index, key)| {
            std::ptr::eq(of.as_ptr(), Arc::as_ptr(network)) && (*index, *key) == (layer, prepared)
        });
        if same {
            return;
        }
        self.of = Some((Arc::downgrade(network), layer, prepared));
        self.number += 1;
        self.values = network
            .weight_elements(layer)
            .map(|elements| pieces(&elements))
            .unwrap_or_default();
    }
}

/// Pieces at equal distances, with what is finite of them.
fn pieces(elements: &impl FloatSource) -> Vec<f32> {
    let count = elements.count();
    let pieces = (MOST / PIECE).min(count.div_ceil(PIECE)).max(1);
    let mut scratch = Vec::new();
    let mut values = Vec::new();
    for piece in 0..pieces {
        let start = if count <= MOST {
            piece * PIECE
        } else {
            (count - PIECE) / (pieces - 1).max(1) * piece
        };
        let end = (start + PIECE).min(count);
        values.extend(
            elements
                .piece(start..end, &mut scratch)
                .iter()
                .filter(|x| x.is_finite()),
        );
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_layer_is_taken_whole_and_a_large_one_from_end_to_end() {
        let small: Vec<f32> = (0..5000).map(|i| i as f32).collect();
        assert_eq!(pieces(&Whole(small.clone())), small);
        let large: Vec<f32> = (0..300_000).map(|i| i as f32).collect();
        let found = pieces(&Whole(large));
        assert_eq!(found.len(), MOST);
        assert_eq!(found[0], 0.0);
        assert!(found[MOST - 1] > 298_000.0 && found.is_sorted());
        assert!(pieces(&Whole(Vec::new())).is_empty());
    }

    struct Whole(Vec<f32>);

    impl FloatSource for Whole {
        fn count(&self) -> usize {
            self.0.len()
        }

        fn piece<'a>(&'a self, range: std::ops::Range<usize>, _: &'a mut Vec<f32>) -> &'a [f32] {
            &self.0[range]
        }
    }
}
