//! A text with each token tinted by how much more, or less, the recipe makes the network wonder at it.

use crate::app::preview::class_name;
use crate::app::text::{self, note};
use crate::app::theme::{Tokens, faded, tokens};
use crate::inference::{Dataset, TokenLosses};
use crate::session::{Evaluated, OpenNetwork};
use egui::{Align2, Color32, FontId, Rect, Role, ScrollArea, Sense, Ui, WidgetInfo, pos2, vec2};
use std::ops::Range;
use std::sync::{Arc, Weak};

/// Nats at which the tint is full.
const FULL: f32 = 3.0;
/// Nats below which a token has no tint.
const LEAST: f32 = 0.05;
const FONT: f32 = 13.0;
/// Height of a line, points.
const LINE: f32 = 20.0;

/// State between frames: how the text is broken into lines.
#[derive(Default)]
pub(super) struct LossesPanel {
    broken: Option<(Key, Vec<Range<usize>>)>,
    /// Bring that token into sight.
    go_to: Option<usize>,
}

/// What the lines depend on.
struct Key {
    data: Weak<Dataset>,
    samples: usize,
    columns: usize,
}

impl Key {
    fn same(&self, other: &Self) -> bool {
        Weak::ptr_eq(&self.data, &other.data) && (self.samples, self.columns) == (other.samples, other.columns)
    }
}

impl LossesPanel {
    /// Draws the summary and the text.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, evaluated: &Evaluated, losses: &TokenLosses) {
        let Some(data) = open.data() else { return };
        self.summary_ui(ui, data, evaluated, losses);
        let font = FontId::monospace(FONT);
        let advance = ui.fonts_mut(|fonts| fonts.glyph_width(&font, 'm')).max(1.0);
        let room = ui.available_width() - ui.spacing().scroll.bar_width - 12.0;
        let key = Key {
            data: Arc::downgrade(data),
            samples: losses.float.len(),
            columns: ((room / advance) as usize).max(8),
        };
        if !self.broken.as_ref().is_some_and(|(of, _)| of.same(&key)) {
            let lines = broken(key.samples, key.columns, |sample| shown(data, sample));
            self.broken = Some((key, lines));
        }
        let Some((_, lines)) = &self.broken else { return };
        let mut area = ScrollArea::vertical().id_salt("losses").auto_shrink(false);
        if let Some(token) = self.go_to.take() {
            let line = lines.iter().position(|line| line.contains(&token)).unwrap_or(0);
            area = area.vertical_scroll_offset((line as f32 - 2.0).max(0.0) * LINE);
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        area.show_rows(ui, LINE, lines.len(), |ui, rows| {
            for line in &lines[rows] {
                line_ui(ui, data, losses, line, &font, advance);
            }
        });
    }

    /// What the tints mean, the means, and a way to the worst token.
    fn summary_ui(&mut self, ui: &mut Ui, data: &Dataset, evaluated: &Evaluated, losses: &TokenLosses) {
        let (colors, unit) = (tokens(ui), data.text_unit().name());
        let nats = |nats: Option<f64>| nats.map_or_else(|| "–".to_owned(), |nats| format!("{nats:.3}"));
        let evaluation = &evaluated.evaluation;
        ui.horizontal_wrapped(|ui| {
            let means = format!(
                "mean loss: float {}, this recipe {} nats a {unit}",
                nats(evaluation.float.nats_per_token),
                nats(evaluation.quantized.nats_per_token)
            );
            ui.label(means).on_hover_text(format!(
                "The loss of a {unit} is −ln of the probability that the network gave it: 0 when it was sure, 0.69 when it \
                 gave it a half, 4.6 at one in a hundred."
            ));
            for (color, meaning) in [
                (tint_of(colors, 1.0), "surprises this recipe more than float"),
                (tint_of(colors, -1.0), "less"),
            ] {
                crate::app::plot::swatch(ui, color, meaning, "The stronger, the greater the difference; full from 3 nats on.");
            }
            let worst = (0..losses.float.len())
                .filter_map(|sample| Some((sample, losses.difference(sample)?)))
                .max_by(|a, b| a.1.total_cmp(&b.1));
            if let Some((sample, difference)) = worst
                && ui
                    .small_button(format!("worst {unit}"))
                    .on_hover_text(describe(data, losses, sample))
                    .clicked()
                && difference.is_finite()
            {
                self.go_to = Some(sample);
            }
        });
        ui.label(note(format!("Hover a {unit} for its numbers.")));
    }
}

/// A token's text as it is shown: line ends are seen.
fn shown(data: &Dataset, sample: usize) -> String {
    let name = data.label(sample).map_or_else(
        || "?".to_owned(),
        |token| match data.class_name(token) {
            Some(name) => name.to_owned(),
            None => format!("⟨{token}⟩"),
        },
    );
    name.replace('\n', "↵").replace('\t', "→")
}

/// Lines of at most `columns` characters, ended at line ends and, where there is room to, at spaces.
fn broken(samples: usize, columns: usize, text: impl Fn(usize) -> String) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let (mut start, mut width, mut space) = (0, 0, None);
    let mut sample = 0;
    while sample < samples {
        let token = text(sample);
        let length = token.chars().count();
        if width + length > columns && sample > start {
            // Behind the last space, unless the line would be less than half full.
            let end = space.filter(|end| end - start > columns / 2).unwrap_or(sample);
            lines.push(start..end);
            (start, sample, width, space) = (end, end, 0, None);
            continue;
        }
        width += length;
        sample += 1;
        if token.ends_with('↵') {
            lines.push(start..sample);
            (start, width, space) = (sample, 0, None);
        } else if token.ends_with(' ') {
            space = Some(sample);
        }
    }
    if start < samples {
        lines.push(start..samples);
    }
    lines
}

/// A line: a tint behind each token, its numbers on hover.
fn line_ui(ui: &mut Ui, data: &Dataset, losses: &TokenLosses, line: &Range<usize>, font: &FontId, advance: f32) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), LINE), Sense::hover());
    let painter = ui.painter();
    let (mut left, mut whole, mut under) = (rect.min.x, String::new(), None);
    let pointer = response.hover_pos();
    for sample in line.clone() {
        let text = shown(data, sample);
        let width = advance * text.chars().count() as f32;
        let place = Rect::from_min_size(pos2(left, rect.min.y), vec2(width, LINE));
        if let Some(color) = tint(ui, losses.difference(sample).unwrap_or(0.0)) {
            painter.rect_filled(place.shrink2(vec2(0.0, 1.0)), 2.0, color);
        }
        if pointer.is_some_and(|pointer| place.contains(pointer)) {
            under = Some((sample, place));
        }
        left += width;
        whole += &text;
    }
    painter.text(
        rect.left_center(),
        Align2::LEFT_CENTER,
        &whole,
        font.clone(),
        ui.visuals().text_color(),
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Text: {whole}")));
    if let Some((sample, place)) = under {
        painter.rect_stroke(
            place,
            2.0,
            egui::Stroke::new(1.0, ui.visuals().strong_text_color()),
            egui::StrokeKind::Inside,
        );
        response.on_hover_text_at_pointer(describe(data, losses, sample));
    }
}

/// The full colour for a difference of that sign.
fn tint_of(colors: &Tokens, difference: f32) -> Color32 {
    if difference > 0.0 { colors.changed } else { colors.surer }
}

/// The colour for a difference of losses; `None` where there is next to none.
fn tint(ui: &Ui, difference: f32) -> Option<Color32> {
    let color = tint_of(tokens(ui), difference);
    let share = (difference.abs() / FULL).min(1.0);
    (difference.abs() >= LEAST).then(|| faded(color, 0.12 + 0.68 * share))
}

/// A token's numbers, each loss also as the probability that it stands for.
fn describe(data: &Dataset, losses: &TokenLosses, sample: usize) -> String {
    let name = data
        .label(sample)
        .map_or_else(|| "?".to_owned(), |token| class_name(data, token));
    let one = |who: &str, losses: &[f32]| {
        let loss = losses.get(sample).copied().unwrap_or(f32::NAN);
        let probability = f64::from(-loss).exp();
        format!(
            "{who}: {} nats ({})",
            text::three_digits(f64::from(loss)),
            text::percent(probability)
        )
    };
    let difference = losses.difference(sample).unwrap_or(f32::NAN);
    let difference = format!("{difference:+.2}").replace('-', "−");
    format!(
        "'{name}', {} {}\n{}\n{}\ndifference: {difference} nats",
        data.text_unit().name(),
        text::full_count(sample as u64 + 1),
        one("float network", &losses.float),
        one("this recipe", &losses.quantized)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::theme::tokens_of;

    #[test]
    fn lines_end_at_line_ends_and_spaces_and_lose_no_character() {
        let text: Vec<char> = "To be, or not to be:↵that".chars().collect();
        let lines = broken(text.len(), 10, |sample| text[sample].to_string());
        let shown: Vec<String> = lines.iter().map(|line| text[line.clone()].iter().collect()).collect();
        assert_eq!(shown, ["To be, or ", "not to ", "be:↵", "that"]);
        assert_eq!(lines.iter().map(ExactSizeIterator::len).sum::<usize>(), text.len());
    }

    #[test]
    fn no_tint_is_the_colour_of_a_split() {
        for dark in [false, true] {
            let colors = tokens_of(dark);
            let tints = [1.0, -1.0].map(|difference| tint_of(colors, difference));
            assert_eq!(tints, [colors.changed, colors.surer]);
            assert!(!tints.contains(&colors.split));
        }
    }

    #[test]
    fn a_word_longer_than_a_line_is_cut() {
        let lines = broken(25, 10, |_| "a".to_owned());
        assert_eq!(lines, [0..10, 10..20, 20..25]);
        assert_eq!(
            broken(2, 3, |_| "longer".to_owned()),
            [0..1, 1..2],
            "a token is never cut"
        );
        assert!(broken(0, 10, |_| String::new()).is_empty());
    }
}
