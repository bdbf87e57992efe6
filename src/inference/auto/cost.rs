//! The bytes that quantized weights take: those of [`weight_bytes`], with nothing but bits and splits known of each layer.

use crate::network::Network;
use crate::quantization::{Grid, Outcome, Plan, QuantizedLayer, Rounded, Scales, overhead, weight_bytes};
use std::sync::Arc;

/// Counts bytes for choices of bits and splits. What the recipe leaves float is not counted, unless a split of another layer
/// makes it grow.
pub(super) struct Cost<'a> {
    network: &'a Network,
    /// The network at the base bits, without splits and without values.
    plain: Plan,
    /// Bytes of everything that is not quantized.
    rest: u64,
    plain_bytes: u64,
    /// Bytes of each layer in the plain network.
    plain_layers: Vec<u64>,
}

impl<'a> Cost<'a> {
    /// For the layers that `plan` quantizes, whatever it splits.
    pub(super) fn new(network: &'a Network, plan: &Plan) -> Self {
        let mut plain = plan.clone();
        for layer in 0..plain.layers.len() {
            if let Some(quantized) = plan.layers[layer].quantized() {
                set(network, &mut plain, layer, quantized.grid.bits, 0);
            }
        }
        let plain_layers: Vec<u64> = (overhead(network, &plain, None).layers.iter())
            .map(|cost| cost.bytes.1)
            .collect();
        let plain_bytes = (plain.layers.iter().zip(&plain_layers))
            .filter(|(layer, _)| layer.quantized().is_some())
            .map(|(_, bytes)| bytes)
            .sum();
        Self {
            network,
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

    /// Bytes with layer `layer` at `bits` with `splits` in each group, less those of the other layers in the plain network.
    pub(super) fn with_one(&self, layer: usize, bits: u8, splits: usize) -> u64 {
        let others = self.plain_bytes.saturating_sub(self.plain_of(layer));
        self.total(&[(layer, bits, splits)]).saturating_sub(others)
    }

    /// Bytes with each of these layers at its bits with its splits, all others plain.
    pub(super) fn total(&self, chosen: &[(usize, u8, usize)]) -> u64 {
        let mut plan = self.plain.clone();
        for &(layer, bits, splits) in chosen {
            set(self.network, &mut plan, layer, bits, splits);
        }
        weight_bytes(self.network, &plan).saturating_sub(self.rest)
    }
}

/// Gives a layer bits and splits, and no values: what it costs depends on neither them nor on which channels are split.
fn set(network: &Network, plan: &mut Plan, layer: usize, bits: u8, splits: usize) {
    let mut layout = network.layers[layer].layout;
    let group = (0..layout.channels).chain(std::iter::repeat_n(0, splits));
    let groups = 0..layout.groups;
    let index = groups.flat_map(|at| group.clone().map(move |channel| at * layout.channels + channel));
    let index = index.collect();
    layout.channels += splits;
    plan.layers[layer].outcome = Outcome::Quantized(Arc::new(QuantizedLayer {
        grid: Grid::symmetric(bits, 1.0),
        scales: Scales::Tensor(0.0),
        rounding: Rounded::default(),
        threshold: 1.0,
        layout,
        values: Vec::new(),
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
    use crate::quantization::{Bits, Recipe, SplitExport, plan, split_count};

    /// Against the overhead of the plan itself, recurrent layers and widened ones too.
    #[test]
    fn bytes_are_those_of_the_whole_plan() {
        for (demo, split_export) in [
            (Demo::Fashion, SplitExport::Gather),
            (Demo::Fashion, SplitExport::Widen),
            (Demo::Shakespeare, SplitExport::Gather),
        ] {
            let network = demo.network().unwrap();
            let recipe = |expand_ratio| Recipe {
                weight_bits: Bits::Grid(5),
                expand_ratio,
                split_export,
                ..Recipe::default()
            };
            let planned = |ratio| plan(&network, &recipe(ratio), None, &Progress::default()).unwrap();
            let (plain, split) = (planned(0.0), planned(0.1));
            let cost = Cost::new(&network, &split);
            let added = |plan: &Plan| weight_bytes(&network, plan);
            let layers: Vec<(usize, u8, usize)> = (0..network.layers.len())
                .filter(|layer| split.layers[*layer].quantized().is_some())
                .map(|layer| {
                    let splits = split.layers[layer].quantized().map(|layer| layer.splits.len());
                    let count = split_count(&network.layers[layer].layout, 0.1).min(splits.unwrap_or(0));
                    (layer, 5, count)
                })
                .collect();
            assert_eq!(cost.total(&[]), cost.plain());
            assert_eq!(
                cost.total(&layers) - cost.plain(),
                added(&split) - added(&plain),
                "{}",
                demo.name()
            );
            let (layer, bits, splits) = layers[2];
            assert!(cost.with_one(layer, bits, splits) > cost.plain_of(layer));
        }
    }
}
