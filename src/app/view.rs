//! The views that the window is made of: a name, a sentence, a key and a least size each. The panels that draw them are in
//! [`super::views`], so that whoever only names a view depends on none of them.
//!
//! A new view is a file of its own, a variant here, its state in [`super::views::Views`] and a line in its `ui`.

use egui::{Key, Vec2, vec2};
use serde::{Deserialize, Serialize};

/// A view. Its name is kept in the saved layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum View {
    Layers,
    Weights,
    Channels,
    Activations,
    Errors,
    Network,
    Graph,
    Answers,
    Sweep,
    Ab,
    Auto,
    Compare,
    Learn,
    Recipe,
    Preview,
}

impl View {
    /// All, in the order of the menu.
    pub(super) const ALL: [Self; 15] = [
        Self::Layers,
        Self::Weights,
        Self::Channels,
        Self::Activations,
        Self::Errors,
        Self::Network,
        Self::Graph,
        Self::Answers,
        Self::Sweep,
        Self::Ab,
        Self::Auto,
        Self::Compare,
        Self::Learn,
        Self::Recipe,
        Self::Preview,
    ];

    /// What stands on its tab.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Layers => "Layers",
            Self::Weights => "Weights",
            Self::Channels => "Channels",
            Self::Activations => "Activations",
            Self::Errors => "Errors",
            Self::Network => "Network",
            Self::Graph => "Graph",
            Self::Answers => "Answers",
            Self::Sweep => "Sweep",
            Self::Ab => "A/B",
            Self::Auto => "Auto",
            Self::Compare => "Compare",
            Self::Learn => "Learn",
            Self::Recipe => "Recipe",
            Self::Preview => "Preview",
        }
    }

    /// What it shows, in a sentence.
    pub(super) fn tooltip(self) -> &'static str {
        match self {
            Self::Layers => "All layers with their outliers and errors. Click one to look at it.",
            Self::Weights => {
                "The numbers that the selected layer has learnt: their distribution, the grid and the clip line."
            }
            Self::Channels => "The largest weight of each input channel, and which channels are split.",
            Self::Activations => "The numbers that flow into the selected layer when the network runs.",
            Self::Errors => {
                "The selected layer's error against splits and bits, and how sensitive the network is about each layer."
            }
            Self::Network => {
                "All layers side by side: their distributions on one scale, and what clipping and splitting do to each."
            }
            Self::Graph => {
                "The network from its input to its output: which layer feeds which, and where the errors are."
            }
            Self::Answers => {
                "Which answers the recipe changes and to what; of text, what surprises it and how it goes on."
            }
            Self::Sweep => "Many settings side by side: what each costs and what the network then answers.",
            Self::Ab => {
                "Settings that you kept beside the present ones: answers, cost, and what becomes of each layer."
            }
            Self::Auto => "Bits, splits and clipping chosen for each layer, within a budget or for an accuracy.",
            Self::Compare => "This network beside another one: which layers differ, and how far.",
            Self::Learn => {
                "Short lessons on the selected layer's own weights, the words that are used here, and a tour."
            }
            Self::Recipe => "What is done to the network: bits, splits, clipping.",
            Self::Preview => "What the recipe does to the network's answers.",
        }
    }

    /// The key that shows it, with Ctrl: its place among all, as far as there are digits.
    pub(super) fn digit(self) -> Option<Key> {
        const DIGITS: [Key; 9] = [
            Key::Num1,
            Key::Num2,
            Key::Num3,
            Key::Num4,
            Key::Num5,
            Key::Num6,
            Key::Num7,
            Key::Num8,
            Key::Num9,
        ];
        let place = Self::ALL.iter().position(|view| *view == self)?;
        DIGITS.get(place).copied()
    }

    /// Width and height below which it is of no use, points.
    pub(super) fn least(self) -> Vec2 {
        match self {
            Self::Layers => vec2(256.0, 120.0),
            Self::Recipe => vec2(264.0, 120.0),
            Self::Preview => vec2(300.0, 84.0),
            Self::Sweep | Self::Answers | Self::Ab | Self::Auto | Self::Compare => vec2(380.0, 240.0),
            Self::Weights
            | Self::Channels
            | Self::Activations
            | Self::Errors
            | Self::Network
            | Self::Graph
            | Self::Learn => vec2(300.0, 150.0),
        }
    }

    /// Whether it is there from the beginning; the others are opened when they are needed.
    pub(super) fn opens_by_itself(self) -> bool {
        !matches!(self, Self::Ab | Self::Compare)
    }

    /// Whether it takes the room that a larger window gives; the others keep their size.
    pub(super) fn grows(self) -> bool {
        !matches!(self, Self::Layers | Self::Recipe | Self::Preview)
    }

    /// Share of a wider window's room that it takes though it keeps its size else: the table of layers has columns for it.
    pub(super) fn share_of_room(self) -> f32 {
        if matches!(self, Self::Layers) { 0.2 } else { 0.0 }
    }

    /// Whether it is about the selected layer, which is then named above it.
    pub(super) fn is_of_a_layer(self) -> bool {
        matches!(
            self,
            Self::Weights | Self::Channels | Self::Activations | Self::Errors | Self::Learn
        )
    }
}
