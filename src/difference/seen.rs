//! The weights of both sides of a pair as their networks see them, in one order.

use super::NotCompared;
use super::matching::{Matching, Pair};
use super::rows::{self, Repeats};
use crate::network::{Layer, LayerKind, Layout, Network, OutAxis, RepeatedChannels};
use rayon::prelude::*;
use std::sync::Arc;

/// A network with what is known of the copies in it.
pub(super) struct Reader<'a> {
    pub(super) network: &'a Network,
    repeated: Vec<Option<RepeatedChannels>>,
    before: Vec<Option<usize>>,
}

/// Weights in the order `[groups, outer, channels, inner]`, of a matrix always output channels first.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) values: Vec<f32>,
    pub(super) layout: Layout,
    /// The order of the axes is a guess: a square matrix of a file without a graph.
    pub(super) may_be_turned: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(network: &'a Network) -> Self {
        Self {
            network,
            repeated: network.repeated_channels(),
            before: network.layers_before(),
        }
    }

    /// Output channels, input channels without copies, the rest: what tells layers without a common name apart.
    pub(super) fn shape(&self, layer: usize) -> [usize; 4] {
        let layout = in_order(&self.network.layers[layer]).0;
        let channels = self.repeated[layer]
            .as_ref()
            .map_or(layout.channels, |repeated| repeated.channels);
        [layout.groups, layout.outer, channels, layout.inner]
    }

    /// The weights of a layer with the copies that its network tells of added up; how many those were.
    fn seen(&self, layer: usize) -> Result<(Seen, usize), NotCompared> {
        let values = self.network.real_weights(layer).map_err(Arc::new)?;
        let stored = &self.network.layers[layer];
        let (layout, turn) = in_order(stored);
        let values = if turn { turned(&values, layout) } else { values.to_vec() };
        let seen = Seen {
            values,
            layout,
            may_be_turned: stored.kind == LayerKind::Tensor
                && stored.shape.len() == 2
                && layout.outer == layout.channels,
        };
        let Some(repeated) = &self.repeated[layer] else {
            return Ok((seen, 0));
        };
        let copies = (layout.channels - repeated.channels) * layout.groups;
        Ok((seen.added_up(repeated), copies))
    }

    fn gates(&self, layer: usize) -> Option<usize> {
        match self.network.layers[layer].op.as_str() {
            "LSTM" => Some(4),
            "GRU" => Some(3),
            "RNN" => Some(1),
            _ => None,
        }
    }
}

/// The layout of a layer with output channels first, and whether the stored matrix must be turned for that.
fn in_order(layer: &Layer) -> (Layout, bool) {
    let layout = layer.layout;
    let is_matrix = layout.groups == 1 && layout.outer == 1 && layer.shape.len() <= 2;
    if layout.out_axis == OutAxis::Inner && is_matrix {
        let turned = Layout {
            outer: layout.inner,
            inner: 1,
            out_axis: OutAxis::Outer,
            ..layout
        };
        return (turned, true);
    }
    (layout, false)
}

/// `[I, O]` as `[O, I]`; `layout` is that of the result.
fn turned(values: &[f32], layout: Layout) -> Vec<f32> {
    let mut turned = vec![0.0; values.len()];
    if layout.channels == 0 || layout.outer == 0 {
        return turned;
    }
    turned
        .par_chunks_mut(layout.channels)
        .enumerate()
        .for_each(|(row, to)| {
            for (channel, x) in to.iter_mut().enumerate() {
                *x = values.get(channel * layout.outer + row).copied().unwrap_or_default();
            }
        });
    turned
}

impl Seen {
    /// The columns of copies added to those that they copy.
    pub(super) fn added_up(self, repeated: &RepeatedChannels) -> Self {
        let layout = Layout {
            channels: repeated.channels,
            ..self.layout
        };
        let (wide, narrow) = (self.layout.channels * layout.inner, layout.channels * layout.inner);
        let mut values = vec![0.0_f32; layout.elements()];
        if wide == 0 || narrow == 0 {
            return Self { values, layout, ..self };
        }
        values
            .par_chunks_mut(narrow)
            .zip(self.values.par_chunks(wide))
            .enumerate()
            .for_each(|(row, (to, from))| {
                let first = row / layout.outer.max(1) * self.layout.channels;
                for channel in 0..self.layout.channels {
                    let (source, factor) = (repeated.sources[first + channel], repeated.factors[first + channel]);
                    let to = &mut to[source * layout.inner..][..layout.inner];
                    for (to, x) in to.iter_mut().zip(&from[channel * layout.inner..]) {
                        *to += factor * x;
                    }
                }
            });
        Self { values, layout, ..self }
    }
}

/// The weights of both sides in the same order and size, and the copies that were added up or left out on each side.
///
/// # Errors
/// Why they cannot be laid beside each other, in words.
pub(super) fn both(
    readers: &[Reader<'_>; 2],
    matching: &Matching,
    pair: &Pair,
) -> Result<([Seen; 2], [usize; 2]), NotCompared> {
    let (one, mut first) = readers[0].seen(pair.layers[0])?;
    let (other, mut second) = readers[1].seen(pair.layers[1])?;
    let (one, more) = narrowed(readers, matching, pair, 0, one, &other)?;
    first += more;
    let (other, more) = narrowed(readers, matching, pair, 1, other, &one)?;
    second += more;
    let [one, other] = laid_together(one, other, || {
        let shape = |which: usize| readers[which].network.layers[pair.layers[which]].shape.clone();
        NotCompared::Shapes(shape(0), shape(1))
    })?;
    let other = match gate_order(readers, pair) {
        Some(order) => nearer(&one, other, |seen| with_gates(seen, order)),
        None => other,
    };
    Ok(([one, other], [first, second]))
}

/// `seen`, of network `which`, without the copies that no `Gather` tells of but that make it wider than `target`: rows that
/// repeat others, and the input channels that belong to repeated rows of the layer before.
fn narrowed(
    readers: &[Reader<'_>; 2],
    matching: &Matching,
    pair: &Pair,
    which: usize,
    mut seen: Seen,
    target: &Seen,
) -> Result<(Seen, usize), NotCompared> {
    let (reader, layer) = (&readers[which], pair.layers[which]);
    let mut copies = 0;
    let gates = reader.gates(layer);
    let blocks = gates.map_or(1, |gates| {
        gates * reader.network.layers[layer].shape.first().copied().unwrap_or(1)
    });
    let is_wider = |seen: &Seen| rows::count(&seen.layout) > rows::count(&target.layout);
    let own = is_wider(&seen)
        .then(|| Repeats::find(&seen, rows::count(&target.layout), blocks))
        .flatten();
    if let Some(own) = &own {
        seen = own.without_copies(&seen);
        copies += own.copies();
    }
    if seen.layout.channels > target.layout.channels && seen.layout.groups == 1 {
        // The state of a cell goes back into it; all else comes from the layer before.
        let is_state = gates.is_some() && reader.network.layers[layer].weight_input == Layer::RECURRENT_WEIGHT;
        let sources = match own {
            Some(own) if is_state => Some(own.sources().to_vec()),
            _ => repeats_before(readers, matching, which, layer),
        };
        let sources = sources.and_then(|sources| spread(&sources, seen.layout.channels));
        let repeated = sources.and_then(|sources| RepeatedChannels::new(1, sources));
        if let Some(repeated) = repeated.filter(|repeated| repeated.channels == target.layout.channels) {
            copies += seen.layout.channels - repeated.channels;
            seen = seen.added_up(&repeated);
        }
    }
    Ok((seen, copies))
}

/// The rows that the layer before repeats, if it is wider than the layer that belongs to it in the other network.
fn repeats_before(readers: &[Reader<'_>; 2], matching: &Matching, which: usize, layer: usize) -> Option<Vec<usize>> {
    let before = readers[which].before[layer]?;
    let partner = matching.partner(which, before)?;
    let (seen, _) = readers[which].seen(before).ok()?;
    let (target, _) = readers[1 - which].seen(partner).ok()?;
    let repeats = Repeats::find(&seen, rows::count(&target.layout), 1)?;
    Some(repeats.sources().to_vec())
}

/// The sources of `channels` input channels, where each of the outputs before has become several by flattening.
fn spread(sources: &[usize], channels: usize) -> Option<Vec<usize>> {
    let each = channels
        .checked_div(sources.len())
        .filter(|each| each * sources.len() == channels)?;
    Some(
        sources
            .iter()
            .flat_map(|source| (0..each).map(move |place| source * each + place))
            .collect(),
    )
}

fn laid_together(one: Seen, other: Seen, unfit: impl Fn() -> NotCompared) -> Result<[Seen; 2], NotCompared> {
    let of = |seen: &Seen| {
        (
            seen.layout.groups,
            seen.layout.outer,
            seen.layout.channels,
            seen.layout.inner,
        )
    };
    // A grouped convolution and the same tensor in a file without a graph: rows and columns are the same.
    let flat = |seen: &Seen| {
        (
            seen.layout.groups * seen.layout.outer,
            seen.layout.channels,
            seen.layout.inner,
        )
    };
    let same = of(&one) == of(&other) || flat(&one) == flat(&other);
    if !same {
        let across = |a: &Seen, b: &Seen| a.layout.outer == b.layout.channels && a.layout.channels == b.layout.outer;
        let matrices = [&one, &other]
            .iter()
            .all(|seen| seen.layout.groups == 1 && seen.layout.inner == 1);
        if matrices && across(&one, &other) {
            let layout = one.layout;
            let values = turned(&other.values, layout);
            return Ok([
                one,
                Seen {
                    values,
                    layout,
                    ..other
                },
            ]);
        }
        // Transposed convolutions know their axes otherwise than a file without a graph.
        if one.values.len() != other.values.len() || one.layout.inner != other.layout.inner {
            return Err(unfit());
        }
    }
    if one.may_be_turned != other.may_be_turned {
        // Which way round a square matrix lies, a file without a graph does not tell: the nearer way is taken.
        let other = nearer(&one, other, |seen| turned(&seen.values, seen.layout));
        return Ok([one, other]);
    }
    Ok([one, other])
}

/// `other`, or what `altered` makes of it if that is nearer to `one`.
fn nearer(one: &Seen, other: Seen, altered: impl Fn(&Seen) -> Vec<f32>) -> Seen {
    let values = altered(&other);
    if distance(&one.values, &values) < distance(&one.values, &other.values) {
        Seen { values, ..other }
    } else {
        other
    }
}

/// Which gates of the first network's cell stand where the second has its first, second, … if one is a cell of a graph and the
/// other a tensor of a file without a graph: ONNX has input, output, forget, cell and update, reset, hidden; torch input,
/// forget, cell, output and reset, update, new.
fn gate_order(readers: &[Reader<'_>; 2], pair: &Pair) -> Option<&'static [usize]> {
    let layer = |which: usize| &readers[which].network.layers[pair.layers[which]];
    let is_tensor = [0, 1].map(|which| layer(which).kind == LayerKind::Tensor);
    let gates = [0, 1].map(|which| readers[which].gates(pair.layers[which]));
    match (is_tensor, gates) {
        ([true, false], [_, Some(4)]) => Some(&[0, 2, 3, 1]),
        ([false, true], [Some(4), _]) => Some(&[0, 3, 1, 2]),
        ([true, false], [_, Some(3)]) | ([false, true], [Some(3), _]) => Some(&[1, 0, 2]),
        _ => None,
    }
}

/// The weights of a cell in one direction with the gates at the places `order`.
fn with_gates(seen: &Seen, order: &[usize]) -> Vec<f32> {
    let gate = seen.values.len() / order.len();
    if gate * order.len() != seen.values.len() {
        return seen.values.clone();
    }
    order
        .iter()
        .flat_map(|place| &seen.values[place * gate..][..gate])
        .copied()
        .collect()
}

fn distance(one: &[f32], other: &[f32]) -> f64 {
    one.par_iter().zip(other).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
