//! The rows of the table: layers, and in the network's order a row above those of a block, which folds them away.

use crate::network::Blocks;
use std::collections::BTreeSet;

/// From so many layers on blocks have rows of their own.
pub(super) const MANY: usize = 40;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Row {
    /// Position of the block.
    Block(usize),
    /// Position of the layer.
    Layer(usize),
}

impl Row {
    /// The layer, if it is one.
    pub(super) fn layer(self) -> Option<usize> {
        match self {
            Self::Block(_) => None,
            Self::Layer(layer) => Some(layer),
        }
    }
}

/// The rows of layers in the network's `order`: those of a block stand below its row, or are `folded` away.
pub(super) fn rows(order: &[usize], blocks: &Blocks, folded: &BTreeSet<usize>) -> Vec<Row> {
    let mut block_of = vec![None; order.len()];
    for (block, found) in blocks.blocks.iter().enumerate() {
        for (_, layer) in &found.layers {
            if let Some(place) = block_of.get_mut(*layer) {
                *place = Some(block);
            }
        }
    }
    let mut is_there = vec![false; blocks.blocks.len()];
    let mut rows = Vec::with_capacity(order.len() + is_there.len());
    for &layer in order {
        let Some(block) = block_of.get(layer).copied().flatten() else {
            rows.push(Row::Layer(layer));
            continue;
        };
        if std::mem::replace(&mut is_there[block], true) {
            continue;
        }
        rows.push(Row::Block(block));
        if !folded.contains(&block) {
            rows.extend(blocks.blocks[block].layers.iter().map(|(_, layer)| Row::Layer(*layer)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_one_row_and_a_folded_block_none_but_its_own() {
        let blocks = Blocks::of(["stem", "a.0.x", "a.1.x", "a.0.y", "a.1.y", "head"]);
        let order = [0, 1, 2, 3, 4, 5];
        let (block, layer) = (Row::Block, Row::Layer);
        let all = [
            layer(0),
            block(0),
            layer(1),
            layer(3),
            block(1),
            layer(2),
            layer(4),
            layer(5),
        ];
        assert_eq!(rows(&order, &blocks, &BTreeSet::new()), all);
        let folded = [layer(0), block(0), block(1), layer(2), layer(4), layer(5)];
        assert_eq!(rows(&order, &blocks, &BTreeSet::from([0])), folded);
    }
}
