//! Changed answers: a table of classes, from down and to across, with the samples of a cell beside it.

use crate::app::Outbox;
use crate::app::preview::{Samples, class_name};
use crate::app::text::{self, note};
use crate::app::theme::{faded, readable_on, tokens};
use crate::inference::{ChangedAnswers, Dataset, Verdict, Verdicts};
use crate::session::{Evaluated, OpenNetwork};
use egui::epaint::TextShape;
use egui::{Align2, Color32, Rect, Role, ScrollArea, Sense, TextStyle, Ui, Vec2, WidgetInfo, pos2, vec2};
use std::f32::consts::FRAC_PI_2;
use std::sync::Arc;

/// Classes of the table at most; of more, the commonest changes are listed instead.
const MOST_CLASSES: usize = 24;
/// Changes listed then.
const LISTED: usize = 60;
/// Side of a cell and width of the names, points.
const CELL: f32 = 25.0;
const NAMES: f32 = 88.0;
/// Least height of the names above the columns: two lines, points.
const CORNER: f32 = 32.0;
/// Characters of a class's name.
const NAME: usize = 14;
/// Width of the list of changes, and what the samples need beside it or the table, points.
const LIST: f32 = 220.0;
const SAMPLES: f32 = 336.0;
/// Greatest share of the height that the table takes above the samples.
const TABLE: f32 = 0.64;

/// Which changes are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Choice {
    /// The classes, from and to; `None` for all.
    cell: Option<(usize, usize)>,
    verdict: Option<Verdict>,
}

impl Choice {
    /// The samples that are chosen, ascending.
    fn samples(&self, changed: &ChangedAnswers, data: &Dataset) -> Vec<usize> {
        let cells = changed
            .cells
            .iter()
            .filter(|cell| self.cell.is_none_or(|own| own == (cell.from, cell.to)));
        let mut samples: Vec<usize> = cells
            .flat_map(|cell| {
                let of = |sample: usize| data.label(sample).map(|label| Verdict::of(cell.from, cell.to, label));
                let fits = move |sample: &usize| self.verdict.is_none() || self.verdict == of(*sample);
                cell.samples.iter().copied().filter(fits)
            })
            .collect();
        samples.sort_unstable();
        samples
    }
}

/// Draws summary, table and samples.
pub(super) fn changes_ui(
    ui: &mut Ui,
    choice: &mut Choice,
    samples: &mut Samples,
    open: &OpenNetwork,
    evaluated: &Evaluated,
    out: &mut Outbox,
) {
    let changed = &evaluated.preview.answers;
    let Some(data) = open.data() else { return };
    if choice.cell.is_some_and(|(from, to)| changed.cell(from, to).is_none()) {
        choice.cell = None;
    }
    summary_ui(ui, choice, changed);
    if changed.cells.is_empty() {
        ui.label("This recipe changes no first answer.");
        return;
    }
    let classes = changed.classes().len();
    let width = if classes <= MOST_CLASSES {
        NAMES + CELL * classes as f32 + 16.0
    } else {
        LIST
    };
    if ui.available_width() >= width + SAMPLES {
        ui.horizontal_top(|ui| {
            ui.allocate_ui(vec2(width, ui.available_height()), |ui| {
                ui.set_width(width);
                ui.vertical(|ui| table_or_list_ui(ui, choice, changed, data, f32::INFINITY));
            });
            ui.separator();
            ui.vertical(|ui| chosen_ui(ui, choice, samples, open, changed, data, out));
        });
    } else {
        let height = ui.available_height() * TABLE;
        table_or_list_ui(ui, choice, changed, data, height);
        ui.separator();
        chosen_ui(ui, choice, samples, open, changed, data, out);
    }
}

/// The changes by their classes, as a table where it is not too large.
fn table_or_list_ui(ui: &mut Ui, choice: &mut Choice, changed: &ChangedAnswers, data: &Dataset, height: f32) {
    let classes = changed.classes();
    let area = ScrollArea::both()
        .id_salt("changes")
        .max_height(height)
        .auto_shrink([false, true]);
    area.show(ui, |ui| {
        if classes.len() <= MOST_CLASSES {
            table_ui(ui, choice, changed, data, &classes);
        } else {
            list_ui(ui, choice, changed, data);
        }
    });
}

/// How many, and for better or worse; each number is a filter.
fn summary_ui(ui: &mut Ui, choice: &mut Choice, changed: &ChangedAnswers) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let count = changed.count() as u64;
        let all = format!(
            "{} of {} first answers changed",
            text::full_count(count),
            text::full_count(changed.samples as u64)
        );
        let everything = Choice::default();
        if ui.selectable_label(*choice == everything, all).on_hover_text("Show all of them.").clicked() {
            *choice = everything;
        }
        let Some(verdicts) = changed.verdicts else {
            ui.label(note("no labels: nothing tells which answer is right"));
            return;
        };
        let filters = [
            (Verdict::Broken, verdicts.broken, "right → wrong", "Right before, wrong under the recipe."),
            (Verdict::Mended, verdicts.mended, "wrong → right", "Wrong before, right under the recipe."),
            (Verdict::StillWrong, verdicts.still_wrong, "wrong → wrong", "Wrong before and after, but otherwise."),
        ];
        for (verdict, count, name, what) in filters {
            let on = choice.verdict == Some(verdict);
            let shown = format!("{} {name}", text::full_count(count as u64));
            if ui.selectable_label(on, shown).on_hover_text(what).clicked() {
                choice.verdict = (!on).then_some(verdict);
            }
        }
        ui.add(egui::Label::new(note(sign_test(&verdicts))).extend()).on_hover_text(
            "Sign test (McNemar): if the recipe broke and mended answers equally often, how likely would they differ by as \
             much as here or more?",
        );
    });
}

/// Whether the numbers of broken and mended answers tell them apart.
fn sign_test(verdicts: &Verdicts) -> String {
    let p = verdicts.p_value();
    let p_text = if p < 0.001 {
        "p < 0.001".to_owned()
    } else {
        format!("p = {p:.3}")
    };
    if p < 0.05 {
        let which = if verdicts.broken > verdicts.mended {
            "worse"
        } else {
            "better"
        };
        format!("{which} beyond chance ({p_text})")
    } else {
        format!("no difference beyond chance ({p_text})")
    }
}

/// The samples of the choice.
fn chosen_ui(
    ui: &mut Ui,
    choice: &mut Choice,
    samples: &mut Samples,
    open: &OpenNetwork,
    changed: &ChangedAnswers,
    data: &Dataset,
    out: &mut Outbox,
) {
    let chosen = choice.samples(changed, data);
    ui.horizontal(|ui| {
        let what = match choice.cell {
            None => "all changes".to_owned(),
            Some((from, to)) => format!("{} → {}", class_name(data, from), class_name(data, to)),
        };
        let count = text::plural(chosen.len() as u64, "sample", "samples");
        ui.label(note(format!("{what}: {count}")));
        if choice.cell.is_some()
            && ui
                .small_button("show all")
                .on_hover_text("Of all classes again.")
                .clicked()
        {
            choice.cell = None;
        }
    });
    samples.grid_ui(ui, open, &chosen, out);
}

/// The table of classes.
fn table_ui(ui: &mut Ui, choice: &mut Choice, changed: &ChangedAnswers, data: &Dataset, classes: &[usize]) {
    let font = TextStyle::Small.resolve(ui.style());
    let ink = ui.visuals().text_color();
    let weak = ui.visuals().weak_text_color();
    let painter = ui.painter().clone();
    let names: Vec<String> = classes.iter().map(|class| class_name(data, *class)).collect();
    let written = |name: &String| painter.layout_no_wrap(text::elide_middle(name, NAME), font.clone(), ink);
    let written: Vec<_> = names.iter().map(written).collect();
    // Above the columns names stand upright: all of a name is more than a cell is wide.
    let heads = written.iter().map(|name| name.size().x).fold(CORNER, f32::max) + 8.0;
    let size = vec2(NAMES, heads) + Vec2::splat(CELL * classes.len() as f32);
    let (area, _) = ui.allocate_exact_size(size, Sense::hover());
    let top = area.min.y + heads;
    // In the corner which side is which.
    let corner = Rect::from_min_max(area.min, pos2(area.min.x + NAMES - 5.0, top - 4.0));
    for (place, align, side) in [
        (corner.right_top(), Align2::RIGHT_TOP, "this recipe →"),
        (corner.left_bottom(), Align2::LEFT_BOTTOM, "float ↓"),
    ] {
        painter.text(place, align, side, font.clone(), weak);
    }
    let at = |row: usize, column: usize| {
        let corner = pos2(area.min.x + NAMES + CELL * column as f32, top + CELL * row as f32);
        Rect::from_min_size(corner, vec2(CELL, CELL)).shrink(1.0)
    };
    for (place, (name, written)) in names.iter().zip(&written).enumerate() {
        let left = at(place, 0);
        let row = Rect::from_min_max(pos2(area.min.x, left.min.y), left.left_bottom());
        let start = row.right_center() - vec2(5.0 + written.size().x, written.size().y / 2.0);
        painter.galley(start, Arc::clone(written), ink);
        let column = at(0, place);
        let head = Rect::from_min_max(pos2(column.min.x, top - heads), column.right_top());
        let start = head.center_bottom() - vec2(written.size().y / 2.0, 4.0);
        painter.add(TextShape::new(start, Arc::clone(written), ink).with_angle(-FRAC_PI_2));
        for (place, side) in [(row, "of the float network"), (head, "under this recipe")] {
            let label = format!("{name} {side}");
            let response = ui.interact(place, ui.scope_id().with(("class", &label)), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &label));
            response.on_hover_text(&label);
        }
    }
    let most = changed
        .cells
        .iter()
        .map(|cell| cell.samples.len())
        .max()
        .unwrap_or(1)
        .max(1);
    for (row, from) in classes.iter().enumerate() {
        for (column, to) in classes.iter().enumerate() {
            let rect = at(row, column);
            if from == to {
                painter.rect_filled(rect, 2.0, faded(tokens(ui).grid, 0.25));
                continue;
            }
            painter.rect_filled(rect, 2.0, faded(tokens(ui).grid, 0.08));
            if let Some(cell) = changed.cell(*from, *to) {
                cell_ui(ui, choice, data, rect, (*from, *to), cell.samples.len(), most);
            }
        }
    }
}

/// A cell with its count; a click chooses its samples.
fn cell_ui(
    ui: &Ui,
    choice: &mut Choice,
    data: &Dataset,
    rect: Rect,
    classes: (usize, usize),
    count: usize,
    most: usize,
) {
    let response = ui.interact(rect, ui.scope_id().with(("change", classes)), Sense::click());
    let chosen = choice.cell == Some(classes);
    let label = change_label(data, classes, count);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
    let fill = strength(ui, count, most);
    let painter = ui.painter();
    painter.rect_filled(rect, 2.0, fill);
    if chosen || response.hovered() {
        let stroke = egui::Stroke::new(if chosen { 2.0 } else { 1.0 }, ui.visuals().strong_text_color());
        painter.rect_stroke(rect, 2.0, stroke, egui::StrokeKind::Inside);
    }
    let font = TextStyle::Small.resolve(ui.style());
    painter.text(
        rect.center(),
        Align2::CENTER_CENTER,
        count.to_string(),
        font,
        readable_on(fill),
    );
    if response
        .on_hover_text(format!("{label}. Click to see these samples."))
        .clicked()
    {
        choice.cell = (!chosen).then_some(classes);
    }
}

/// The colour of changed answers, stronger the more there are.
fn strength(ui: &Ui, count: usize, most: usize) -> Color32 {
    let share = 0.25 + 0.75 * count as f32 / most as f32;
    let (full, ground) = (tokens(ui).changed, ui.visuals().panel_fill);
    let mix = |a: u8, b: u8| (f32::from(a) * share + f32::from(b) * (1.0 - share)).round() as u8;
    Color32::from_rgb(
        mix(full.r(), ground.r()),
        mix(full.g(), ground.g()),
        mix(full.b(), ground.b()),
    )
}

fn change_label(data: &Dataset, (from, to): (usize, usize), count: usize) -> String {
    let samples = text::plural(count as u64, "sample", "samples");
    format!("{} → {}: {samples}", class_name(data, from), class_name(data, to))
}

/// The commonest changes as a list, where a table would have too many classes.
fn list_ui(ui: &mut Ui, choice: &mut Choice, changed: &ChangedAnswers, data: &Dataset) {
    for cell in changed.cells.iter().take(LISTED) {
        let classes = (cell.from, cell.to);
        let chosen = choice.cell == Some(classes);
        let label = change_label(data, classes, cell.samples.len());
        let button = egui::Button::selectable(chosen, text::elide_middle(&label, 60)).truncate();
        if ui.add(button).on_hover_text(&label).clicked() {
            choice.cell = (!chosen).then_some(classes);
        }
    }
    if changed.cells.len() > LISTED {
        ui.label(note(format!("and {} rarer ones", changed.cells.len() - LISTED)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::inference::{Outputs, changed_answers};

    #[test]
    fn a_choice_of_classes_and_verdict_leaves_the_samples_of_both() {
        let data = Dataset::demo(Demo::Fashion);
        let label = |sample: usize| data.label(sample).unwrap();
        let other = |sample: usize, by: usize| (label(sample) + by) % 10;
        let outputs = |answers: &[usize]| Outputs {
            samples: answers.len(),
            classes: 10,
            logits: answers
                .iter()
                .flat_map(|answer| (0..10).map(move |class| f32::from(u8::from(class == *answer))))
                .collect(),
            classification: true,
            ..Outputs::default()
        };
        let float = outputs(&[label(0), label(1), other(2, 1)]);
        let quantized = outputs(&[other(0, 1), other(1, 3), label(2)]);
        let changed = changed_answers(&float, &quantized, &data);
        let samples = |cell, verdict| Choice { cell, verdict }.samples(&changed, &data);
        assert_eq!(samples(None, None), [0, 1, 2]);
        assert_eq!(samples(None, Some(Verdict::Broken)), [0, 1]);
        assert_eq!(samples(None, Some(Verdict::Mended)), [2]);
        assert_eq!(samples(Some((label(1), other(1, 3))), Some(Verdict::Broken)), [1]);
        assert_eq!(samples(Some((label(1), other(1, 3))), Some(Verdict::Mended)), [0; 0]);
    }
}
