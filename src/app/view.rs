//! The views that the window is made of: a name, a sentence and a least size each, and where each is drawn.
//!
//! A new view is a file of its own, a variant here, its state in [`Views`] and a line in [`Views::ui`].

use super::Outbox;
use super::ab::AbPanel;
use super::activation::ActivationPanel;
use super::answers::AnswersPanel;
use super::auto::AutoPanel;
use super::channels::ChannelsPanel;
use super::compare::ComparePanel;
use super::distribution::DistributionPanel;
use super::errors::ErrorsPanel;
use super::graph::GraphPanel;
use super::layer_table::LayerTable;
use super::layer_title::layer_title_ui;
use super::learn::LearnPanel;
use super::network::NetworkPanel;
use super::preview::PreviewPanel;
use super::recipe::recipe_ui;
use super::sweep::SweepPanel;
use crate::session::{Action, OpenNetwork, Session, Watched};
use egui::{Key, Ui, Vec2, vec2};
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
                "Which answers the recipe changes and to what; of text, which characters surprise it and how it goes on."
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
            Self::Layers => vec2(228.0, 120.0),
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

    /// Whether it is about the selected layer, which is then named above it.
    fn is_of_a_layer(self) -> bool {
        matches!(
            self,
            Self::Weights | Self::Channels | Self::Activations | Self::Errors | Self::Learn
        )
    }
}

/// What the views keep between frames.
#[derive(Default)]
pub(super) struct Views {
    pub(super) table: LayerTable,
    distribution: DistributionPanel,
    /// Below the distribution.
    channel_strip: ChannelsPanel,
    channels: ChannelsPanel,
    activations: ActivationPanel,
    errors: ErrorsPanel,
    network: NetworkPanel,
    graph: GraphPanel,
    answers: AnswersPanel,
    compare: ComparePanel,
    sweep: SweepPanel,
    pub(super) ab: AbPanel,
    auto: AutoPanel,
    learn: LearnPanel,
    preview: PreviewPanel,
    /// What the session was last told to keep up to date.
    watched: Watched,
}

/// Share of the height that the distribution takes; the strip of channels has the rest.
const DISTRIBUTION: f32 = 0.64;
/// Height below which there is no room for the strip, points.
const LEAST_WITH_STRIP: f32 = 400.0;

impl Views {
    /// Takes what the views have computed in the background.
    pub(super) fn poll(&mut self) {
        self.network.poll();
        self.graph.poll();
    }

    /// Whether no view computes anything.
    pub(super) fn is_idle(&self) -> bool {
        self.network.is_idle() && self.graph.is_idle()
    }

    /// At the end of a frame: tells the session what is in sight.
    pub(super) fn watch(&mut self, out: &mut Outbox) {
        let watched = Watched {
            error_curves: self.errors.drawn(),
            comparison: self.ab.drawn(),
            continuation: self.answers.writing(),
        };
        if watched != self.watched {
            self.watched = watched;
            out.actions.push(Action::Watch(watched));
        }
    }

    /// Draws a view into all that is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, view: View, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        let sigma = session.saved.sigma;
        if view.is_of_a_layer() {
            layer_title_ui(ui, open, sigma);
        }
        let height = ui.available_height();
        match view {
            View::Layers => self.table.ui(ui, open, sigma, out),
            View::Weights if height < LEAST_WITH_STRIP => self.distribution.ui(ui, session, open, height, out),
            View::Weights => {
                self.distribution.ui(ui, session, open, height * DISTRIBUTION, out);
                ui.separator();
                let left = ui.available_height();
                self.channel_strip.strip_ui(ui, session, open, left, out);
            }
            View::Channels => self.channels.ui(ui, session, open, height, out),
            View::Activations => self.activations.ui(ui, session, open, height, out),
            View::Errors => self.errors.ui(ui, session, open, height, out),
            View::Network => self.network.ui(ui, open, sigma, out),
            View::Graph => self.graph.ui(ui, open, out),
            View::Answers => self.answers.ui(ui, session, open, out),
            View::Sweep => self.sweep.ui(ui, session, open, out),
            View::Ab => self.ab.ui(ui, session, open, out),
            View::Auto => self.auto.ui(ui, session, open, out),
            View::Compare => self.compare.ui(ui, session, open, height, out),
            View::Learn => self.learn.ui(ui, open, out),
            View::Recipe => {
                egui::ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| recipe_ui(ui, session, open, out));
            }
            View::Preview => self.preview.ui(ui, session, open, out),
        }
    }
}
