//! Net2Net widening (Chen, Goodfellow, Shlens 2016, arXiv 1511.05641) in place of a `Gather`: where the input of a split
//! layer comes from another layer, through nodes that keep channels apart, and nobody else reads what is on the way, the
//! copies of a channel can be made by repeating its row in that other layer. The network computes the same.

mod way;

use super::{Expansion, Plan};
use crate::network::{LayerKind, Network};
use crate::onnx::Graph;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use way::Walk;

/// How an exported graph makes the copies of split channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitExport {
    /// A `Gather` before each split layer repeats channels of its input at run time.
    #[default]
    Gather,
    /// The layer before computes them, where that is possible; else `Gather`.
    Widen,
}

impl SplitExport {
    /// All that can be chosen.
    pub const CHOICES: [Self; 2] = [Self::Gather, Self::Widen];
}

impl std::fmt::Display for SplitExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Gather => "gather",
            Self::Widen => "widen",
        })
    }
}

impl std::str::FromStr for SplitExport {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let way = Self::CHOICES.into_iter().find(|way| way.to_string() == text);
        way.ok_or_else(|| "copies are made by gather or widen".to_owned())
    }
}

/// A node whose channels are repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Its position in the main graph.
    pub(super) node: usize,
    /// The layer that it is, if it is one: the producer, or a depthwise convolution on the way.
    pub(super) layer: Option<usize>,
    /// Constants with a number for each channel: input of the node, and axis of the channels. A layer's weight is not among
    /// them.
    pub(super) constants: Vec<(usize, usize)>,
    /// Numbers for each channel in these constants.
    pub(super) parameters: u64,
    /// Whether its output has as many elements in each channel as its input.
    pub(super) keeps_size: bool,
}

/// The way from the layer that makes the copies to the split layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way {
    /// The nodes on it, in the order of the graph; the first is the producer.
    pub(super) steps: Vec<Step>,
    /// For each channel that they have then, the one that it copies.
    pub(super) index: Vec<usize>,
    /// Channels that they have in the original.
    pub(super) channels: usize,
}

impl Way {
    /// Channels that are added.
    pub(super) fn added(&self) -> u64 {
        (self.index.len() - self.channels) as u64
    }

    /// The producer among the layers.
    pub(super) fn producer(&self) -> Option<usize> {
        self.steps.first()?.layer
    }
}

/// Where the copies of each split layer's input are made.
#[derive(Debug, Default)]
pub(super) struct Widening {
    // In order: what is written must not depend on chance.
    ways: BTreeMap<usize, Way>,
    refused: HashMap<usize, String>,
    /// The split layer on whose way a layer is.
    widened: HashMap<usize, usize>,
}

impl Widening {
    /// What `plan` asks for on `network`; nothing is widened unless its recipe says so.
    pub(super) fn of(network: &Network, plan: &Plan) -> Self {
        let mut widening = Self::default();
        let graph = network.model.graph.as_ref();
        let Some(graph) = graph.filter(|_| plan.recipe.split_export == SplitExport::Widen) else {
            return widening;
        };
        let graph = Graph::main(graph);
        let walk = Walk::new(network, &graph);
        for (index, planned) in plan.layers.iter().enumerate() {
            let Some(expansion) = planned.quantized().map(Expansion::of) else {
                continue;
            };
            let layer = &network.layers[index];
            if layer.input.is_none() || expansion.copies.len() == layer.layout.in_channels() {
                continue;
            }
            match walk.to(layer) {
                Ok(steps) => {
                    let layers = steps.iter().filter_map(|step| step.layer);
                    widening.widened.extend(layers.map(|step| (step, index)));
                    let way = Way {
                        steps,
                        index: expansion.copies.iter().map(|copy| copy.source).collect(),
                        channels: layer.layout.in_channels(),
                    };
                    widening.ways.insert(index, way);
                }
                Err(why) => {
                    log::info!("{}: its copies are made by Gather: {why}", layer.name);
                    widening.refused.insert(index, why);
                }
            }
        }
        widening
    }

    /// The way to split layer `index`, if the copies of its input are made at its beginning.
    pub(super) fn way(&self, index: usize) -> Option<&Way> {
        self.ways.get(&index)
    }

    /// Why the copies of layer `index` are made by `Gather` though the recipe would have them made by the layer before.
    pub(super) fn why_gather(&self, index: usize) -> Option<&str> {
        self.refused.get(&index).map(String::as_str)
    }

    /// The way that layer `index` is on with its output channels.
    pub(super) fn of_outputs(&self, index: usize) -> Option<&Way> {
        self.ways.get(self.widened.get(&index)?)
    }

    /// All ways.
    pub(super) fn ways(&self) -> impl Iterator<Item = &Way> {
        self.ways.values()
    }
}

/// Whether a layer of this kind can make the copies.
fn makes_channels(kind: LayerKind) -> bool {
    matches!(kind, LayerKind::Conv | LayerKind::Gemm | LayerKind::MatMul)
}
