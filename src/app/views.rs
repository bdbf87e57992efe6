//! The panels of the views: what each keeps between frames, and where each is drawn.

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
use super::learn::spotlight::{Spot, spot};
use super::network::NetworkPanel;
use super::preview::PreviewPanel;
use super::recipe::recipe_ui;
use super::sweep::SweepPanel;
use super::view::View;
use crate::session::{Action, OpenNetwork, Session, Watched};
use egui::Ui;

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
    /// At the end of a frame: tells the session what is in sight.
    pub(super) fn watch(&mut self, out: &mut Outbox) {
        let mut watched = Watched {
            comparison: self.ab.drawn(),
            continuation: self.answers.writing(),
            input_channels: self.activations.drawn(),
            ..Watched::default()
        };
        self.errors.watch(&mut watched);
        self.graph.watch(&mut watched);
        self.network.watch(&mut watched);
        if watched != self.watched {
            self.watched = watched.clone();
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
            View::Layers => spot(ui.ctx(), Spot::Layers, ui.available_rect_before_wrap()),
            View::Preview => spot(ui.ctx(), Spot::Preview, ui.available_rect_before_wrap()),
            _ => {}
        }
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
