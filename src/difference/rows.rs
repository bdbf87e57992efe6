//! Output channels that repeat others: what an export leaves in the layer that makes the copies for the next one, and in a
//! recurrent cell whose hidden units were split.

use super::seen::Seen;
use crate::network::Layout;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Units (output channels, or hidden units with a row in each block) of which the last ones repeat earlier ones.
pub(super) struct Repeats {
    blocks: usize,
    /// For each unit the one that it repeats, for the first ones themselves.
    sources: Vec<usize>,
    kept: usize,
}

/// Rows of the weights.
pub(super) fn count(layout: &Layout) -> usize {
    layout.groups * layout.outer
}

impl Repeats {
    /// Finds for each unit beyond those of a layer of `rows` rows an earlier one whose rows are the same bit for bit, in all
    /// `blocks` blocks. `None` where one has none.
    pub(super) fn find(seen: &Seen, rows: usize, blocks: usize) -> Option<Self> {
        let (all, row) = (count(&seen.layout), seen.layout.channels * seen.layout.inner);
        let whole = |rows: usize| rows.checked_div(blocks).filter(|units| units * blocks == rows);
        let (units, kept) = (whole(all)?, whole(rows)?);
        if kept >= units || kept == 0 || row == 0 {
            return None;
        }
        let of_unit = |unit: usize| (0..blocks).map(move |block| &seen.values[(block * units + unit) * row..][..row]);
        let fingerprint = |unit: usize| {
            let mut hasher = DefaultHasher::new();
            of_unit(unit).flatten().for_each(|x| x.to_bits().hash(&mut hasher));
            hasher.finish()
        };
        let mut first: HashMap<u64, usize> = HashMap::new();
        for unit in 0..kept {
            first.entry(fingerprint(unit)).or_insert(unit);
        }
        let mut sources: Vec<usize> = (0..kept).collect();
        for unit in kept..units {
            let source = *first.get(&fingerprint(unit))?;
            of_unit(unit).zip(of_unit(source)).all(|(a, b)| a == b).then_some(())?;
            sources.push(source);
        }
        Some(Self { blocks, sources, kept })
    }

    /// For each unit the one that it repeats.
    pub(super) fn sources(&self) -> &[usize] {
        &self.sources
    }

    /// Units that repeat others.
    pub(super) fn copies(&self) -> usize {
        self.sources.len() - self.kept
    }

    /// The weights without the rows that repeat others.
    pub(super) fn without_copies(&self, seen: &Seen) -> Seen {
        let row = seen.layout.channels * seen.layout.inner;
        let blocks = seen.values.chunks(self.sources.len() * row);
        let values = blocks.flat_map(|block| &block[..self.kept * row]).copied().collect();
        let mut layout = seen.layout;
        // The rows of a depthwise convolution are its groups.
        if layout.groups > 1 {
            layout.groups = self.kept / layout.outer.max(1);
        } else {
            layout.outer = self.kept * self.blocks;
        }
        Seen {
            values,
            layout,
            ..*seen
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;

    fn seen(outer: usize, channels: usize, values: &[f32]) -> Seen {
        Seen {
            values: values.to_vec(),
            layout: Layout {
                groups: 1,
                outer,
                channels,
                inner: 1,
                out_axis: OutAxis::Outer,
                out_run: 1,
            },
            may_be_turned: false,
        }
    }

    #[test]
    fn rows_that_repeat_earlier_ones_are_found_and_left_out() {
        let wide = seen(3, 2, &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0]);
        let repeats = Repeats::find(&wide, 2, 1).unwrap();
        assert_eq!(repeats.sources(), [0, 1, 0]);
        assert_eq!(repeats.without_copies(&wide), seen(2, 2, &[1.0, 2.0, 3.0, 4.0]));
        assert!(Repeats::find(&seen(3, 1, &[1.0, 2.0, 5.0]), 2, 1).is_none());
    }

    #[test]
    fn a_unit_must_repeat_the_same_unit_in_every_block() {
        let wide = seen(6, 1, &[1.0, 1.0, 1.0, 5.0, 6.0, 6.0]);
        let repeats = Repeats::find(&wide, 4, 2).unwrap();
        assert_eq!(repeats.sources(), [0, 1, 1], "the first block alone would not tell");
        assert_eq!(repeats.without_copies(&wide), seen(4, 1, &[1.0, 1.0, 5.0, 6.0]));
    }
}
