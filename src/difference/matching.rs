//! Which layers of two networks belong together: by name, then by the name of the weight, then by shape and place.

use super::seen::Reader;
use serde::Serialize;
use std::collections::HashMap;

/// What told that two layers belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchedBy {
    /// The layers have the same name.
    Name,
    /// Their weight tensors have the same name (of a quantized one without its ending).
    Weight,
    /// Their weights have the same shape, and they come in the same order.
    Place,
}

impl MatchedBy {
    /// In a word or three, for a person.
    pub fn label(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Weight => "weight's name",
            Self::Place => "shape and place",
        }
    }
}

/// Two layers that belong together, by their positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) layers: [usize; 2],
    pub(super) by: MatchedBy,
}

/// What belongs together, and what is left over in each network.
pub(super) struct Matching {
    /// In the order of the first network.
    pub(super) pairs: Vec<Pair>,
    pub(super) left: [Vec<usize>; 2],
    /// For each network, the layer of the other one that belongs to a layer of its own.
    partners: [HashMap<usize, usize>; 2],
}

impl Matching {
    /// The layer of the other network that belongs to layer `layer` of network `which`.
    pub(super) fn partner(&self, which: usize, layer: usize) -> Option<usize> {
        self.partners[which].get(&layer).copied()
    }
}

/// Ends of tensor names that exports put behind the name of a weight.
const ENDINGS: [&str; 3] = [".q", ".split", ".dequantized"];
/// Combinations of left-over layers up to which the longest common sequence is looked for.
const MAX_COMBINATIONS: usize = 1 << 24;

/// The layers that belong together.
pub(super) fn matches(readers: &[Reader<'_>; 2]) -> Matching {
    let all = |which: usize| -> Vec<usize> {
        let network = readers[which].network;
        (0..network.layers.len())
            .filter(|layer| !network.is_part_of_another(*layer))
            .collect()
    };
    let mut left = [all(0), all(1)];
    let mut pairs = Vec::new();
    let layer = |which: usize, place: usize| &readers[which].network.layers[place];
    by_name(&mut left, &mut pairs, MatchedBy::Name, |which, place| {
        &layer(which, place).name
    });
    by_name(&mut left, &mut pairs, MatchedBy::Weight, |which, place| {
        stem(&layer(which, place).weight)
    });
    by_place(&mut left, &mut pairs, |which, place| readers[which].shape(place));
    pairs.sort_by_key(|pair| pair.layers[0]);
    let partners = [0, 1].map(|which: usize| {
        let of = |pair: &Pair| (pair.layers[which], pair.layers[1 - which]);
        pairs.iter().map(of).collect()
    });
    Matching { pairs, left, partners }
}

/// A weight's name as it was before an export.
fn stem(name: &str) -> &str {
    ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending))
        .unwrap_or(name)
}

/// Pairs up what has the same name; of layers that share a tensor, the first with the first.
fn by_name<'a>(
    left: &mut [Vec<usize>; 2],
    pairs: &mut Vec<Pair>,
    by: MatchedBy,
    name: impl Fn(usize, usize) -> &'a str,
) {
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for place in left[1].iter().rev() {
        named.entry(name(1, *place)).or_default().push(*place);
    }
    let mut taken = Vec::new();
    left[0].retain(|one| {
        let other = named.get_mut(name(0, *one)).and_then(Vec::pop);
        if let Some(other) = other {
            taken.push(other);
            pairs.push(Pair {
                layers: [*one, other],
                by,
            });
        }
        other.is_none()
    });
    taken.sort_unstable();
    left[1].retain(|other| taken.binary_search(other).is_err());
}

/// Pairs up the longest sequence of equal shapes that both have in the same order.
fn by_place<S: PartialEq>(left: &mut [Vec<usize>; 2], pairs: &mut Vec<Pair>, shape: impl Fn(usize, usize) -> S) {
    let shapes = [0, 1].map(|which: usize| left[which].iter().map(|place| shape(which, *place)).collect::<Vec<S>>());
    // What is alike at both ends is part of a longest sequence: of one network under two sets of names, all of it.
    let both = || shapes[0].iter().zip(&shapes[1]);
    let start = both().take_while(|(one, other)| one == other).count();
    let ends = shapes[0][start..].iter().rev().zip(shapes[1][start..].iter().rev());
    let end = ends.take_while(|(one, other)| one == other).count();
    let (rows, columns) = (shapes[0].len() - start - end, shapes[1].len() - start - end);
    let mut taken = [Vec::new(), Vec::new()];
    let mut pair = |row: usize, column: usize| {
        let layers = [left[0][row], left[1][column]];
        let by = MatchedBy::Place;
        pairs.push(Pair { layers, by });
        taken[0].push(layers[0]);
        taken[1].push(layers[1]);
    };
    (0..start).for_each(|place| pair(place, place));
    if rows.saturating_mul(columns) <= MAX_COMBINATIONS {
        let between = [0, 1].map(|which: usize| &shapes[which][start..shapes[which].len() - end]);
        longest_common(between, |row, column| pair(start + row, start + column));
    }
    (0..end).for_each(|place| pair(start + rows + place, start + columns + place));
    for (left, taken) in left.iter_mut().zip(&taken) {
        // Both are in the order of the network.
        left.retain(|place| taken.binary_search(place).is_err());
    }
}

/// Calls `pair` for the positions of a longest sequence that both have in the same order.
fn longest_common<S: PartialEq>(shapes: [&[S]; 2], mut pair: impl FnMut(usize, usize)) {
    let (rows, columns) = (shapes[0].len(), shapes[1].len());
    // Length of the longest sequence from each pair of places on.
    let width = columns + 1;
    let mut longest = vec![0_u32; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            longest[row * width + column] = if shapes[0][row] == shapes[1][column] {
                longest[(row + 1) * width + column + 1] + 1
            } else {
                longest[(row + 1) * width + column].max(longest[row * width + column + 1])
            };
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        if shapes[0][row] == shapes[1][column] {
            pair(row, column);
            row += 1;
            column += 1;
        } else if longest[(row + 1) * width + column] >= longest[row * width + column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_paired_in_order_of_shapes() {
        let shapes = [vec![3, 5, 7, 5], vec![5, 9, 5]];
        let mut left = [vec![10, 11, 12, 13], vec![20, 21, 22]];
        let mut pairs = Vec::new();
        by_place(&mut left, &mut pairs, |which, place| {
            shapes[which][place - 10 * (which + 1)]
        });
        let places: Vec<[usize; 2]> = pairs.iter().map(|pair| pair.layers).collect();
        assert_eq!(places, [[11, 20], [13, 22]]);
        assert_eq!(left, [vec![10, 12], vec![21]]);
    }

    /// One network under two sets of names, with a layer more in the middle of one: too many layers for every combination.
    #[test]
    fn many_layers_of_equal_shapes_are_paired_from_both_ends() {
        const LAYERS: usize = 100_000;
        let mut left = [(0..LAYERS).collect::<Vec<_>>(), (0..=LAYERS).collect()];
        let mut pairs = Vec::new();
        let middle = LAYERS / 2;
        by_place(&mut left, &mut pairs, |which, place| match which {
            0 => place,
            _ if place == middle => usize::MAX,
            _ => place - usize::from(place > middle),
        });
        assert_eq!(left, [vec![], vec![middle]]);
        assert!(
            pairs
                .iter()
                .all(|pair| pair.layers[1] == pair.layers[0] + usize::from(pair.layers[0] >= middle))
        );
    }

    #[test]
    fn layers_of_one_name_are_paired_one_by_one() {
        let names = [vec!["a", "b", "a"], vec!["a", "c"]];
        let mut left = [vec![0, 1, 2], vec![0, 1]];
        let mut pairs = Vec::new();
        by_name(&mut left, &mut pairs, MatchedBy::Name, |which, place| {
            names[which][place]
        });
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].layers, [0, 0]);
        assert_eq!(left, [vec![1, 2], vec![1]]);
    }

    #[test]
    fn a_quantized_weight_is_called_as_before() {
        assert_eq!(stem("conv1.weight.q"), "conv1.weight");
        assert_eq!(stem("conv1.weight"), "conv1.weight");
    }
}
