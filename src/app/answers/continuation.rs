//! How both networks go on from a text that a person writes, side by side; what differs is marked.

use crate::app::Outbox;
use crate::app::text::{self, note};
use crate::app::theme::tokens;
use crate::app::widgets::{job_ui, stopped_ui};
use crate::data::TextUnit;
use crate::inference::Sampling;
use crate::session::{Action, Kind, OpenNetwork, Prompt, Session};
use egui::text::{LayoutJob, TextFormat};
use egui::{Color32, DragValue, FontId, Role, ScrollArea, TextEdit, Ui, WidgetInfo};

/// Characters of the text that the prompt begins with.
const GIVEN: usize = 60;
/// Characters to write.
const COUNT: usize = 160;
const MOST: usize = 1000;
/// Lines of the field.
const LINES: usize = 3;
/// Between the two texts, points.
const GUTTER: f32 = 10.0;

/// State between frames.
pub(super) struct ContinuationPanel {
    /// What stands in the field; `None` until it was taken from the text.
    text: Option<String>,
    /// The name of the data that it was taken from.
    of: String,
    count: usize,
    drawn: bool,
    temperature: f64,
    seed: u64,
}

impl Default for ContinuationPanel {
    fn default() -> Self {
        Self {
            text: None,
            of: String::new(),
            count: COUNT,
            drawn: false,
            temperature: 0.8,
            seed: 1,
        }
    }
}

impl ContinuationPanel {
    /// Draws the field, the choices and both texts.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        let Some(data) = open.data() else { return };
        if self.text.is_none() || self.of != data.name() {
            // A part of the text itself, so that there is something to see at once.
            let at = GIVEN.min(data.len().saturating_sub(1));
            self.text = data.context(at, GIVEN);
            self.of = data.name().to_owned();
        }
        let unit = data.text_unit();
        self.prompt_ui(ui);
        self.choices_ui(ui, unit);
        let prompt = self.prompt();
        if prompt.text.is_empty() {
            ui.label(format!("Write a few {} for the networks to go on from.", unit.plural()));
            return;
        }
        if let Err(fault) = data.tokens_of(&prompt.text) {
            ui.colored_label(tokens(ui).error, fault.reason.to_string());
            return;
        }
        if open.prompt() != Some(&prompt) {
            out.actions.push(Action::Continue(prompt));
            return;
        }
        texts_ui(ui, session, open, unit, out);
    }

    fn prompt(&self) -> Prompt {
        Prompt {
            text: self.text.clone().unwrap_or_default(),
            count: self.count,
            sampling: if self.drawn {
                Sampling::Seeded {
                    temperature: self.temperature,
                    seed: self.seed,
                }
            } else {
                Sampling::Greedy
            },
        }
    }

    fn prompt_ui(&mut self, ui: &mut Ui) {
        let text = self.text.get_or_insert_default();
        let label = ui.label("Go on from");
        let field = TextEdit::multiline(text)
            .desired_rows(LINES)
            .desired_width(f32::INFINITY)
            .font(egui::TextStyle::Monospace);
        ui.add(field).labelled_by(label.id).on_hover_text(
            "Both networks read this, then write. The recipe's text is written anew when the recipe changes.",
        );
    }

    fn choices_ui(&mut self, ui: &mut Ui, unit: TextUnit) {
        ui.horizontal_wrapped(|ui| {
            ui.selectable_value(&mut self.drawn, false, "likeliest")
                .on_hover_text(format!("Always the likeliest {}: often goes in circles.", unit.name()));
            ui.selectable_value(&mut self.drawn, true, "sampled").on_hover_text(
                "Drawn at random by the network's probabilities. Both networks draw with the same luck, so they differ only where their \
                 probabilities do.",
            );
            if self.drawn {
                number_ui(ui, "temperature", DragValue::new(&mut self.temperature).range(0.1..=2.0).speed(0.01))
                    .on_hover_text("Below 1 more careful, above 1 bolder.");
                number_ui(ui, "seed", DragValue::new(&mut self.seed).speed(0.1)).on_hover_text("Another seed, another text.");
            }
            number_ui(ui, unit.plural(), DragValue::new(&mut self.count).range(1..=MOST).speed(1.0))
                .on_hover_text("How many each network writes.");
        });
    }
}

/// A number with its name before it. Taken when the hand rests.
fn number_ui(ui: &mut Ui, name: &str, drag: DragValue<'_>) -> egui::Response {
    let label = ui.label(note(name));
    ui.add(drag.update_while_editing(false)).labelled_by(label.id)
}

/// Both texts as far as they are written.
fn texts_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, unit: TextUnit, out: &mut Outbox) {
    let (float, quantized) = (open.float_text().rows(), open.quantized_text().rows());
    let colors = tokens(ui);
    ui.separator();
    ui.label(note(summary(unit, float, quantized, open.continuation_is_current())));
    ScrollArea::vertical()
        .id_salt("continuation")
        .auto_shrink(false)
        .show(ui, |ui| {
            ui.columns_const(|[left, right]| {
                let sides = [
                    (left, "float", colors.original, float, quantized, Kind::ContinueFloat),
                    (
                        right,
                        "this recipe",
                        colors.quantized,
                        quantized,
                        float,
                        Kind::ContinueQuantized,
                    ),
                ];
                for (ui, name, color, own, other, kind) in sides {
                    ui.horizontal(|ui| {
                        ui.colored_label(color, name);
                        if let Some(job) = session.job(kind) {
                            job_ui(ui, &job, out);
                        }
                    });
                    let failure = match kind {
                        Kind::ContinueFloat => open.float_text().last_failure(),
                        _ => open.quantized_text().last_failure(),
                    };
                    if let Some(error) = failure {
                        stopped_ui(ui, error);
                    }
                    text_ui(ui, name, own, other);
                }
            });
        });
}

/// How long both write the same.
fn summary(unit: TextUnit, float: &[String], quantized: &[String], current: bool) -> String {
    let same = float.iter().zip(quantized).take_while(|(a, b)| a == b).count();
    let both = float.len().min(quantized.len());
    if !current || both == 0 {
        return "The recipe's text is being written…".to_owned();
    }
    let apart = float.iter().zip(quantized).filter(|(a, b)| a != b).count();
    if apart == 0 {
        format!(
            "The same {} so far.",
            text::plural(both as u64, unit.name(), unit.plural())
        )
    } else {
        let are = if same == 1 { "is" } else { "are" };
        format!(
            "The first {} {are} the same; of {} written, {} differ in their place.",
            text::plural(same as u64, unit.name(), unit.plural()),
            text::full_count(both as u64),
            text::full_count(apart as u64)
        )
    }
}

/// A text; tokens that differ from the other's in the same place are marked.
fn text_ui(ui: &mut Ui, name: &str, own: &[String], other: &[String]) {
    let font = FontId::monospace(12.5);
    let mark = tokens(ui).changed;
    let ink = ui.visuals().text_color();
    let format = |differs: bool| TextFormat {
        background: if differs {
            mark.gamma_multiply(0.35)
        } else {
            Color32::TRANSPARENT
        },
        ..TextFormat::simple(font.clone(), ink)
    };
    let mut job = LayoutJob::default();
    let width = ui.available_width() - GUTTER;
    for (place, token) in own.iter().enumerate() {
        let differs = other.get(place).is_some_and(|other| other != token);
        // A line end that differs must be seen.
        let shown = if differs {
            token.replace('\n', "↵\n")
        } else {
            token.clone()
        };
        job.append(&shown, 0.0, format(differs));
    }
    let whole: String = own.concat();
    // A column would stretch the lines to its width.
    let left = ui.with_layout(egui::Layout::top_down(egui::Align::Min), |ui| {
        ui.set_max_width(width);
        ui.add(egui::Label::new(job).wrap())
    });
    let response = left.inner;
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{name} writes: {whole}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_of(text: &str) -> Vec<String> {
        text.chars().map(String::from).collect()
    }

    #[test]
    fn the_summary_tells_where_the_texts_part() {
        let (one, other) = (tokens_of("To be or"), tokens_of("To bat at"));
        let told = summary(TextUnit::Character, &one, &other, true);
        assert_eq!(
            told,
            "The first 4 characters are the same; of 8 written, 4 differ in their place."
        );
        assert_eq!(
            summary(TextUnit::Character, &one, &one, true),
            "The same 8 characters so far."
        );
        assert_eq!(summary(TextUnit::Token, &one, &one, true), "The same 8 tokens so far.");
        let late = tokens_of("Tea");
        assert!(
            summary(TextUnit::Word, &one, &late, true).starts_with("The first 1 word is the same; of 3 written, 2")
        );
        assert!(summary(TextUnit::Character, &one, &[], true).contains("being written"));
        assert!(summary(TextUnit::Character, &one, &other, false).contains("being written"));
    }
}
