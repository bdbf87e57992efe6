//! How an export makes the copies of split channels: by a `Gather`, by the layer before, or not at all.
//!
//! Net2Net widening (Chen, Goodfellow, Shlens 2016, arXiv 1511.05641) in place of a `Gather`: where the input of a split
//! layer comes from another layer, through nodes that keep channels apart, and nobody else reads what is on the way, the
//! copies of a channel can be made by repeating its row in that other layer. The network computes the same.

mod cheapest;
mod fill;
mod merge;
mod way;

pub(super) use fill::LARGEST_MULTIPLE;
pub(super) use merge::Merging;

use super::{Expansion, Plan, PlannedInputs, ValueError};
use crate::network::{LayerKind, Network};
use crate::onnx::Graph;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use way::{NoWay, Walk};

/// How an exported graph makes the copies of split channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplitExport {
    /// A `Gather` before each split layer repeats channels of its input at run time.
    #[default]
    Gather,
    /// The layer before computes them, where that is possible; else `Gather`.
    Widen,
    /// There are none: the rounded copies of a channel are added up to one channel with a wider code, where the exported
    /// tensor holds it; else `Gather`.
    Merge,
    /// The cheapest that computes the same: merged, else by the layer before or by `Gather`, whichever is faster.
    Auto,
}

impl SplitExport {
    /// All that can be chosen.
    pub const CHOICES: [Self; 4] = [Self::Gather, Self::Widen, Self::Merge, Self::Auto];

    /// Name on the command line, in recipes and in menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Widen => "widen",
            Self::Merge => "merge",
            Self::Auto => "auto",
        }
    }

    /// What it costs and what it needs of the hardware, for a person.
    pub fn help(self) -> &'static str {
        match self {
            Self::Gather => {
                "Channels are copied each time the network runs: memory traffic, but no more multiplications than the \
                 added channels need. Weights have the chosen bits."
            }
            Self::Widen => {
                "The layer before computes the copies: nothing is copied at run time, but that layer needs its MACs for \
                 them too. Weights have the chosen bits. Where the layer before cannot do it, channels are gathered."
            }
            Self::Merge => {
                "The rounded copies of a channel are added up to one channel: the same numbers at no cost, but the \
                 multiplier must take weights one bit wider (two after a second split). Where 8 bits don't hold them, \
                 channels are gathered."
            }
            Self::Auto => {
                "The cheapest that computes the same: merged where that takes no wider type, else for each layer widened or \
                 gathered, whichever is faster."
            }
        }
    }

    fn widens(self) -> bool {
        matches!(self, Self::Widen | Self::Auto)
    }
}

impl std::fmt::Display for SplitExport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for SplitExport {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::CHOICES.into_iter().find(|export| export.name() == text);
        found.ok_or(ValueError::Needed("copies are made by gather, widen, merge or auto"))
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

    /// Numbers that are added to constants other than weights.
    pub(super) fn parameters(&self) -> u64 {
        self.added() * self.steps.iter().map(|step| step.parameters).sum::<u64>()
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
    refused: HashMap<usize, NoWay>,
    /// The split layer on whose way a layer is.
    widened: HashMap<usize, usize>,
}

impl Widening {
    /// What `plan` asks for on `network`; nothing is widened unless its recipe says so.
    pub(super) fn of(network: &Network, plan: &Plan) -> Self {
        let mut widening = Self::default();
        let graph = network.model.graph.as_ref();
        let Some(graph) = graph.filter(|_| plan.recipe.split_export.widens()) else {
            return widening;
        };
        let graph = Graph::main(graph);
        let walk = Walk::new(network, &graph);
        for (index, planned) in plan.layers.iter().enumerate() {
            let Some(inputs) = planned.inputs() else {
                continue;
            };
            let expansion = Expansion::of(inputs);
            let layer = &network.layers[index];
            if layer.input.is_none() || expansion.copies.len() == layer.layout.in_channels() {
                continue;
            }
            let way = walk.to(layer).and_then(|steps| {
                let multiple = fill::multiple(network, plan, index, &steps);
                let expansion = expansion.up_to_multiple_of(multiple);
                if plan.recipe.split_export == SplitExport::Auto {
                    cheapest::is_worth_it(network, layer, &steps, &expansion)?;
                }
                Ok((steps, expansion))
            });
            match way {
                Ok((steps, expansion)) => {
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

    /// The input channels of layer `index` of `plan` as the graph has them; `inputs` are what was planned.
    pub(super) fn expansion(
        &self,
        network: &Network,
        plan: &Plan,
        index: usize,
        inputs: PlannedInputs<'_>,
    ) -> Expansion {
        let steps = self.way(index).map_or(&[][..], |way| &way.steps);
        Expansion::of(inputs).up_to_multiple_of(fill::multiple(network, plan, index, steps))
    }

    /// The way to split layer `index`, if the copies of its input are made at its beginning.
    pub(super) fn way(&self, index: usize) -> Option<&Way> {
        self.ways.get(&index)
    }

    /// Why the copies of layer `index` are made by `Gather` though the recipe would have them made by the layer before.
    pub(super) fn why_gather(&self, index: usize) -> Option<&NoWay> {
        self.refused.get(&index)
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
