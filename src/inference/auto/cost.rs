//! The bytes that quantized weights take: those of [`weight_bytes`], with nothing but bits, splits and the number of scales known of each
//! layer.

use crate::network::Network;
use crate::network::{Layout, OutAxis};
use crate::quantization::{
    Granularity, Grid, Outcome, Plan, QuantizedLayer, Rounded, Scales, SplitExport, overhead, weight_bytes,
};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What of a layer's settings its bytes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stored {
    /// Bits of its weights.
    pub(super) bits: u8,
    /// Splits in each of its groups.
    pub(super) splits: usize,
    /// What has a scale of its own.
    pub(super) scales: Granularity,
    /// Whether each scale has a zero point.
    pub(super) zero_points: bool,
}

/// Counts bytes for choices of bits, splits and scales. What the recipe leaves float is not counted, unless a split of another layer
/// makes it grow.
pub(super) struct Cost<'a> {
    network: &'a Network,
    /// The network at the base bits and scales, without splits and without values.
    plain: Plan,
    /// Bytes of everything that is not quantized.
    rest: u64,
    plain_bytes: u64,
    /// Bytes of each layer in the plain network.
    plain_layers: Vec<u64>,
    /// Bytes of each layer with all of them stored so, where what one takes depends on no other; else nothing.
    alone: Option<RefCell<HashMap<Stored, Vec<u64>>>>,
}

impl<'a> Cost<'a> {
    /// For the layers that `plan` quantizes, whatever it splits.
    pub(super) fn new(network: &'a Network, plan: &Plan) -> Self {
        let mut plain = plan.clone();
        for layer in 0..plain.layers.len() {
            if let Some(quantized) = plan.layers[layer].quantized() {
                let stored = Stored {
                    bits: quantized.grid.bits,
                    splits: 0,
                    scales: quantized.scales.granularity(),
                    zero_points: !quantized.zero_points.is_empty(),
                };
                set(network, &mut plain, layer, stored);
            }
        }
        let plain_layers: Vec<u64> = (overhead(network, &plain, None).layers.iter())
            .map(|cost| cost.bytes.1)
            .collect();
        let plain_bytes = (plain.layers.iter().zip(&plain_layers))
            .filter(|(layer, _)| layer.quantized().is_some())
            .map(|(_, bytes)| bytes)
            .sum();
        // Copies by other layers, the cells of recurrent ones and weights that several layers share tie layers together.
        let mut weights = HashSet::new();
        let apart = plan.recipe.split_export == SplitExport::Gather
            && (network.layers.iter()).all(|layer| !layer.kind.is_recurrent() && weights.insert(&layer.weight));
        Self {
            network,
            alone: apart.then(RefCell::default),
            rest: weight_bytes(network, &plain).saturating_sub(plain_bytes),
            plain_layers,
            plain,
            plain_bytes,
        }
    }

    /// Bytes at the base bits without splits.
    pub(super) fn plain(&self) -> u64 {
        self.plain_bytes
    }

    /// Bytes of layer `layer` alone in the plain network.
    pub(super) fn plain_of(&self, layer: usize) -> u64 {
        self.plain_layers.get(layer).copied().unwrap_or(0)
    }

    /// Bytes with one layer stored so, less those of the other layers in the plain network.
    pub(super) fn with_one(&self, layer: usize, stored: Stored) -> u64 {
        if let Some(alone) = &self.alone {
            let mut alone = alone.borrow_mut();
            let bytes = alone.entry(stored).or_insert_with(|| self.all_stored(stored));
            return bytes.get(layer).copied().unwrap_or(0);
        }
        let others = self.plain_bytes.saturating_sub(self.plain_of(layer));
        self.total(&[(layer, stored)]).saturating_sub(others)
    }

    /// Bytes of each layer with all quantized ones stored so.
    fn all_stored(&self, stored: Stored) -> Vec<u64> {
        let mut plan = self.plain.clone();
        for layer in 0..plan.layers.len() {
            if self.plain.layers[layer].quantized().is_some() {
                set(self.network, &mut plan, layer, stored);
            }
        }
        let layers = overhead(self.network, &plan, None).layers;
        layers.iter().map(|cost| cost.bytes.1).collect()
    }

    /// Bytes with each of these layers stored so, all others plain.
    pub(super) fn total(&self, chosen: &[(usize, Stored)]) -> u64 {
        let mut plan = self.plain.clone();
        for &(layer, stored) in chosen {
            set(self.network, &mut plan, layer, stored);
        }
        weight_bytes(self.network, &plan).saturating_sub(self.rest)
    }
}

/// As many scales as a tensor of `layout` has, all 0.
fn scales_of(scales: Granularity, layout: &Layout) -> Scales {
    let (rows, width) = (layout.groups * layout.outer, layout.channels * layout.inner);
    match (scales, layout.out_axis) {
        (Granularity::Tensor, _) => Scales::Tensor(0.0),
        (Granularity::Channel, _) => Scales::Channel(vec![0.0; layout.out_channels()]),
        (Granularity::Block(size), OutAxis::Outer) => Scales::Block {
            size,
            values: vec![0.0; rows * width.div_ceil(size.max(1))],
        },
        (Granularity::Block(size), OutAxis::Inner) => Scales::Block {
            size,
            values: vec![0.0; rows * layout.channels.div_ceil(size.max(1)) * layout.inner],
        },
    }
}

/// Gives a layer bits, splits and scales, and no values: what it costs depends on neither them nor on which channels are split.
fn set(network: &Network, plan: &mut Plan, layer: usize, stored: Stored) {
    let Stored {
        bits,
        splits,
        scales,
        zero_points,
    } = stored;
    let mut layout = network.layers[layer].layout;
    let group = (0..layout.channels).chain(std::iter::repeat_n(0, splits));
    let groups = 0..layout.groups;
    let index = groups.flat_map(|at| group.clone().map(move |channel| at * layout.channels + channel));
    let index = index.collect();
    layout.channels += splits;
    plan.layers[layer].outcome = Outcome::Quantized(Arc::new(QuantizedLayer {
        grid: Grid::symmetric(bits, 1.0),
        zero_points: match zero_points {
            true => vec![0; scales_of(scales, &layout).values().len()],
            false => Vec::new(),
        },
        scales: scales_of(scales, &layout),
        rounding: Rounded::default(),
        threshold: 1.0,
        layout,
        values: Vec::new().into(),
        index,
        splits: vec![0; splits],
        mse: 0.0,
        clip_mse: 0.0,
        sqnr_db: f64::INFINITY,
        activation: None,
        activation_splits: Vec::new(),
        bias: None,
        bias_note: None,
        raised_scales: 0,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::progress::Progress;
    use crate::quantization::{Bits, Clip, Recipe, plan, split_count};

    /// Against the overhead of the plan itself, recurrent layers and widened ones too.
    #[test]
    fn bytes_are_those_of_the_whole_plan() {
        for (demo, split_export, scales) in [
            (Demo::Fashion, SplitExport::Gather, Granularity::Tensor),
            (Demo::Fashion, SplitExport::Widen, Granularity::Tensor),
            (Demo::Shakespeare, SplitExport::Gather, Granularity::Tensor),
            (Demo::Fashion, SplitExport::Gather, Granularity::Channel),
            (Demo::Fashion, SplitExport::Widen, Granularity::Channel),
            (Demo::Fashion, SplitExport::Gather, Granularity::Block(32)),
            (Demo::Shakespeare, SplitExport::Gather, Granularity::Channel),
            (Demo::Shakespeare, SplitExport::Gather, Granularity::Block(16)),
        ] {
            let network = demo.network().unwrap();
            let recipe = |expand_ratio| Recipe {
                weight_bits: Bits::Grid(5),
                expand_ratio,
                split_export,
                scales,
                clip: Clip::None,
                ..Recipe::default()
            };
            let planned = |ratio| plan(&network, &recipe(ratio), None, &Progress::default()).unwrap();
            let (plain, split) = (planned(0.0), planned(0.1));
            let cost = Cost::new(&network, &split);
            let added = |plan: &Plan| weight_bytes(&network, plan);
            let layers: Vec<(usize, Stored)> = (0..network.layers.len())
                .filter(|layer| split.layers[*layer].quantized().is_some())
                .map(|layer| {
                    let splits = split.layers[layer].quantized().map(|layer| layer.splits.len());
                    let count = split_count(&network.layers[layer].layout, 0.1).min(splits.unwrap_or(0));
                    let scales = recipe(0.1).effective(&network, layer).weights.scales;
                    (
                        layer,
                        Stored {
                            bits: 5,
                            splits: count,
                            scales,
                            zero_points: false,
                        },
                    )
                })
                .collect();
            assert_eq!(cost.total(&[]), cost.plain());
            assert_eq!(
                cost.total(&layers) - cost.plain(),
                added(&split) - added(&plain),
                "{} {scales}",
                demo.name()
            );
            // One layer alone, whether it is looked up or the whole is counted.
            for &(layer, stored) in &layers {
                let others = cost.plain() - cost.plain_of(layer);
                assert_eq!(cost.with_one(layer, stored) + others, cost.total(&[(layer, stored)]));
            }
            let (layer, stored) = layers[2];
            assert!(cost.with_one(layer, stored) > cost.plain_of(layer));
        }
    }
}
