//! Presentation mode: the selected layer's weights in large type with the accuracy; the arrow keys walk through split, clip, scales
//! and rounding. For a lecture hall.

use super::Outbox;
use super::distribution::DistributionPanel;
use super::text;
use super::theme::tokens;
use crate::quantization::{Clip, Granularity, Recipe, Rounding};
use crate::session::{Action, OpenNetwork, RunState, Session};
use egui::{Align, Button, Key, Layout, Modifiers, RichText, Ui, ViewportCommand};

/// How much larger type is than otherwise.
const LARGER: f32 = 1.6;
/// Size of the accuracy, points.
const ACCURACY: f32 = 44.0;
/// Share of the channels that are split where the recipe splits none.
const RATIO: f64 = 0.05;

/// What is added to the recipe, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Plain,
    Split,
    Clip,
    Scale,
    Round,
}

impl Step {
    const ALL: [Self; 5] = [Self::Plain, Self::Split, Self::Clip, Self::Scale, Self::Round];

    fn title(self) -> &'static str {
        match self {
            Self::Plain => "Plain",
            Self::Split => "Split",
            Self::Clip => "Clip",
            Self::Scale => "Scale",
            Self::Round => "Round",
        }
    }

    fn tells(self) -> &'static str {
        match self {
            Self::Plain => "One grid for the whole layer: the outliers decide how coarse it is.",
            Self::Split => "The channels with the outliers are duplicated and halved: the grid gets finer.",
            Self::Clip => "What is still far out is cut off where that costs least: finer again.",
            Self::Scale => "Each output channel gets a scale of its own.",
            Self::Round => "SQuant rounds so that the errors of a channel add up to zero.",
        }
    }

    /// `base` with everything up to this step, and nothing behind it.
    fn recipe(self, base: &Recipe) -> Recipe {
        let mut recipe = base.plain();
        recipe.scales = Granularity::Tensor;
        let up_to =
            |step: Self| Self::ALL.iter().position(|of| *of == self) >= Self::ALL.iter().position(|of| *of == step);
        if up_to(Self::Split) {
            recipe.expand_ratio = if base.expand_ratio > 0.0 {
                base.expand_ratio
            } else {
                RATIO
            };
        }
        if up_to(Self::Clip) {
            recipe.clip = if base.clip == Clip::None { Clip::Mse } else { base.clip };
        }
        if up_to(Self::Scale) {
            recipe.scales = Granularity::Channel;
        }
        if up_to(Self::Round) {
            recipe.rounding = Rounding::Squant;
        }
        recipe
    }
}

/// State of the mode between frames.
#[derive(Default)]
pub(super) struct Presentation {
    talk: Option<Talk>,
    figure: DistributionPanel,
}

struct Talk {
    /// The recipe that comes back at the end.
    before: Recipe,
    step: usize,
}

impl Presentation {
    /// Whether the window shows it.
    pub(super) fn is_under_way(&self) -> bool {
        self.talk.is_some()
    }

    /// Begins, or ends.
    pub(super) fn toggle(&mut self, ctx: &egui::Context, open: Option<&OpenNetwork>, out: &mut Outbox) {
        match (self.talk.take(), open) {
            (Some(talk), open) => {
                ctx.send_viewport_cmd(ViewportCommand::Fullscreen(false));
                out.actions.push(Action::EndGesture);
                // All steps are one of the history.
                if open.is_some_and(|open| *open.recipe() != talk.before) {
                    out.actions.push(Action::Undo);
                }
            }
            (None, Some(open)) => {
                ctx.send_viewport_cmd(ViewportCommand::Fullscreen(true));
                let before = open.recipe().clone();
                edit(Step::Plain.recipe(&before), out);
                self.talk = Some(Talk { before, step: 0 });
            }
            (None, None) => {}
        }
    }

    /// Draws it into all of the window; tells whether a person wants to leave.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) -> bool {
        let Some(talk) = &mut self.talk else { return false };
        let leave = keys(ui, talk, open, out);
        for font in ui.style_mut().text_styles.values_mut() {
            font.size *= LARGER;
        }
        let step = Step::ALL[talk.step];
        let mut wanted = None;
        ui.horizontal(|ui| {
            let width = ui.available_width() * 0.55;
            ui.scope(|ui| {
                ui.style_mut().override_text_style = Some(egui::TextStyle::Heading);
                text::elided_label(ui, open.selected_name(), width);
            });
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                accuracy_ui(ui, session, open);
            });
        });
        ui.horizontal_wrapped(|ui| {
            for (place, each) in Step::ALL.iter().enumerate() {
                let title = format!("{} {}", place + 1, each.title());
                if ui
                    .add(Button::selectable(*each == step, title))
                    .on_hover_text(each.tells())
                    .clicked()
                {
                    wanted = Some(place);
                }
            }
        });
        ui.label(step.tells());
        if let Some(place) = wanted {
            go(talk, place, out);
        }
        let hints = 30.0;
        let height = (ui.available_height() - hints).max(120.0);
        self.figure
            .present_ui(ui, session, open, height, step == Step::Round, out);
        ui.with_layout(Layout::bottom_up(Align::Min), |ui| {
            ui.label(RichText::new("← → step   ↑ ↓ layer   Esc back").weak());
        });
        leave
    }
}

/// What the keys ask for; tells whether to leave.
fn keys(ui: &Ui, talk: &mut Talk, open: &OpenNetwork, out: &mut Outbox) -> bool {
    let pressed = |key: Key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
    let forth = pressed(Key::ArrowRight) || pressed(Key::PageDown) || pressed(Key::Space);
    let back = pressed(Key::ArrowLeft) || pressed(Key::PageUp);
    let place = if forth {
        (talk.step + 1).min(Step::ALL.len() - 1)
    } else if back {
        talk.step.saturating_sub(1)
    } else {
        talk.step
    };
    if place != talk.step {
        go(talk, place, out);
    }
    let last = open.original.network.layers.len().saturating_sub(1);
    let (up, down) = (pressed(Key::ArrowUp), pressed(Key::ArrowDown));
    if up || down {
        let layer = open.selected();
        let layer = if up {
            layer.saturating_sub(1)
        } else {
            (layer + 1).min(last)
        };
        out.actions.push(Action::SelectLayer(layer));
    }
    pressed(Key::Escape)
}

fn go(talk: &mut Talk, place: usize, out: &mut Outbox) {
    talk.step = place;
    edit(Step::ALL[place].recipe(&talk.before), out);
}

fn edit(recipe: Recipe, out: &mut Outbox) {
    out.actions.push(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: true,
    });
}

/// `94.2 % → 80.8 %`, large; weak while it is of the step before.
fn accuracy_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork) {
    let Some((_, evaluated)) = open.evaluated() else {
        ui.label(RichText::new("no accuracy: open data").weak());
        return;
    };
    let evaluation = &evaluated.evaluation;
    let colors = tokens(ui);
    let done = open.run_state(session.limit()) == RunState::Done;
    let (float, quantized) = match text::score(&evaluation.float) {
        Some(float) => (float, text::score_value(&evaluation.quantized)),
        None => (String::from("SQNR"), evaluation.sqnr_db.map(text::decibels)),
    };
    let large = |shown: String| RichText::new(shown).size(ACCURACY).strong();
    let quantized = large(quantized.unwrap_or_default());
    // From right to left.
    ui.label(if done {
        quantized.color(colors.quantized)
    } else {
        quantized.weak()
    });
    ui.label(large("→".to_owned()).weak());
    ui.label(large(float).color(colors.original));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Bits;

    #[test]
    fn each_step_adds_one_thing_to_the_plain_recipe() {
        let base = Recipe {
            weight_bits: Bits::Grid(3),
            expand_ratio: 0.1,
            fold_batch_norm: true,
            ..Recipe::default()
        };
        let all = Step::ALL.map(|step| step.recipe(&base));
        assert!(
            all.iter()
                .all(|recipe| recipe.weight_bits == Bits::Grid(3) && recipe.fold_batch_norm)
        );
        let told = |recipe: &Recipe| (recipe.expand_ratio, recipe.clip, recipe.scales, recipe.rounding);
        assert_eq!(told(&all[0]), (0.0, Clip::None, Granularity::Tensor, Rounding::Nearest));
        assert_eq!(told(&all[1]), (0.1, Clip::None, Granularity::Tensor, Rounding::Nearest));
        assert_eq!(told(&all[2]), (0.1, Clip::Mse, Granularity::Tensor, Rounding::Nearest));
        assert_eq!(told(&all[3]), (0.1, Clip::Mse, Granularity::Channel, Rounding::Nearest));
        assert_eq!(told(&all[4]), (0.1, Clip::Mse, Granularity::Channel, Rounding::Squant));
    }
}
