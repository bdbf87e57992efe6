//! Five minutes from a damaged network to an exported one: one step a time, each knows from the session when it is done.

use super::super::Outbox;
use super::super::command::Command;
use super::super::view::View;
use super::spotlight::{self, Spot};
use crate::quantization::{Clip, Recipe};
use crate::session::{Event, OpenNetwork, RunState, Session};
use egui::{Align, Layout, Panel, RichText, Ui};

/// A step of the tour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Look,
    Split,
    Recover,
    Clip,
    Layer,
    Undo,
    Export,
}

impl Step {
    const ALL: [Self; 7] = [
        Self::Look,
        Self::Split,
        Self::Recover,
        Self::Clip,
        Self::Layer,
        Self::Undo,
        Self::Export,
    ];

    /// What to see and what to do.
    fn text(self) -> &'static str {
        match self {
            Self::Look => {
                "Look at the selected layer. Its weights are a needle in the middle and a few coloured specks far out: the grid \
                 has to reach the specks, so the needle gets few values."
            }
            Self::Split => {
                "Move Expand ratio, in the recipe, to 5 %. Channels with specks are split: the specks walk inwards and the grid \
                 gets finer."
            }
            Self::Recover => {
                "Watch the line of the preview: float, this recipe, plain bits. A layer's SQNR can rise while the accuracy falls: \
                 SQNR counts each weight's error by itself, the network sees their sums. Accuracy lost, in the table, counts."
            }
            Self::Clip => {
                "Clipping is the other way. Click a label above the histogram, such as MSE, to cut this layer's weights there."
            }
            Self::Layer => "Other layers suffer differently. Click another one in the list.",
            Self::Undo => "Every change is one step. Press Undo, or Ctrl+Z, to take the last one back.",
            Self::Export => {
                "Press Export and choose ONNX graph: the file holds exactly what the preview ran, for any runtime."
            }
        }
    }

    /// What is pointed at.
    fn spot(self) -> Spot {
        match self {
            Self::Look => Spot::Weights,
            Self::Split => Spot::ExpandRatio,
            Self::Recover => Spot::Preview,
            Self::Clip => Spot::Clips,
            Self::Layer => Spot::Layers,
            Self::Undo => Spot::Undo,
            Self::Export => Spot::Export,
        }
    }

    /// Where that is.
    fn view(self) -> View {
        match self {
            Self::Look | Self::Clip => View::Weights,
            Self::Split | Self::Undo | Self::Export => View::Recipe,
            Self::Recover => View::Preview,
            Self::Layer => View::Layers,
        }
    }

    /// Whether the session shows that it was done since `start`.
    fn is_done(self, session: &Session, open: &OpenNetwork, start: &Start) -> bool {
        match self {
            // Nobody can tell whether somebody has looked.
            Self::Look => false,
            Self::Split => most_split(open.recipe()) > start.split,
            Self::Recover => most_split(open.recipe()) > 0.0 && open.run_state(session.limit()) == RunState::Done,
            Self::Clip => clips(open.recipe()) != start.clips,
            Self::Layer => open.selected() != start.selected,
            Self::Undo => open.history().can_redo(),
            Self::Export => session
                .messages()
                .iter()
                .skip(start.messages)
                .any(|message| matches!(message.event, Event::Wrote(_))),
        }
    }
}

/// What a step started from.
struct Start {
    split: f64,
    clips: Vec<Clip>,
    selected: usize,
    messages: usize,
}

impl Start {
    fn of(session: &Session, open: &OpenNetwork) -> Self {
        Self {
            split: most_split(open.recipe()),
            clips: clips(open.recipe()),
            selected: open.selected(),
            messages: session.messages().len(),
        }
    }
}

/// The largest expand ratio of any layer.
fn most_split(recipe: &Recipe) -> f64 {
    let layers = recipe.layers.values().filter_map(|layer| layer.expand_ratio);
    layers.fold(recipe.expand_ratio, f64::max)
}

/// How thresholds are chosen: of the network, and of layers that are exceptions.
fn clips(recipe: &Recipe) -> Vec<Clip> {
    let layers = recipe.layers.values().filter_map(|layer| layer.clip);
    std::iter::once(recipe.clip).chain(layers).collect()
}

/// The tour under way.
#[derive(Default)]
pub(in crate::app) struct Tour {
    under_way: Option<(usize, Option<Start>)>,
    is_offered: bool,
}

impl Tour {
    /// Begins with the first step.
    pub(in crate::app) fn start(&mut self) {
        (self.under_way, self.is_offered) = (Some((0, None)), false);
    }

    /// Whether it is offered, to somebody who has never seen the program.
    pub(in crate::app) fn offered(is_first_start: bool) -> Self {
        Self {
            under_way: None,
            is_offered: is_first_start,
        }
    }

    /// A line below the bar while the offer stands; it goes once it is taken or refused.
    pub(in crate::app) fn offer_ui(&mut self, ui: &mut Ui, out: &mut Outbox) {
        if !self.is_offered {
            return;
        }
        Panel::top("tour offer").show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.label("New here? A tour of five minutes mends this network and ends with an exported file.");
                let tour = Command::Tour;
                if ui.button("Start the tour").on_hover_text(tour.tooltip()).clicked() {
                    out.commands.push(tour);
                }
                let no = ui.button("Not now").on_hover_text("It stays behind the button Tour.");
                self.is_offered &= !no.clicked();
            });
        });
    }

    /// Whether it is under way.
    pub(in crate::app) fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// The step's text and what to press.
    pub(in crate::app) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        let Some((index, start)) = &mut self.under_way else {
            return;
        };
        let Some(step) = Step::ALL.get(*index).copied() else {
            self.under_way = None;
            return;
        };
        let words = ui.max_rect().expand(8.0);
        spotlight::want(ui.ctx(), Some(step.spot()), words);
        if start.is_none() {
            out.commands.push(Command::ShowView(step.view()));
        }
        let start = start.get_or_insert_with(|| Start::of(session, open));
        let done = step.is_done(session, open, start);
        if done {
            spotlight::want(ui.ctx(), None, words);
        }
        let last = *index + 1 == Step::ALL.len();
        let (mut next, mut end) = (false, false);
        ui.horizontal(|ui| {
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                end |= ui.button("End tour").clicked();
                let name = if last { "Finish" } else { "Next" };
                let text = if done {
                    RichText::new(name).strong()
                } else {
                    RichText::new(name)
                };
                next |= ui.add(egui::Button::new(text).selected(done)).clicked();
                if ui
                    .button("Show me")
                    .on_hover_text("Brings the view to the front.")
                    .clicked()
                {
                    out.commands.push(Command::ShowView(step.view()));
                }
                if done {
                    ui.label(RichText::new("• done").strong());
                }
                ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                    ui.strong(format!("{} / {}", *index + 1, Step::ALL.len()));
                    ui.add(egui::Label::new(step.text()).wrap());
                });
            });
        });
        if next && !last {
            self.under_way = Some((*index + 1, None));
            ui.ctx().request_repaint();
        } else if end || next {
            self.under_way = None;
            spotlight::want(ui.ctx(), None, words);
        }
    }
}
