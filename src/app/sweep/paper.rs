//! The rows of a sweep as in table 2 of Zhao et al. 2019: a line for each number of bits, and in it clipping alone, splitting
//! alone, and splitting with the best way of clipping.

use super::{describe, score_text};
use crate::app::text;
use crate::inference::Score;
use crate::inference::sweep::{Mark, PaperTable, SweepRow, TableCell};
use egui::{Grid, RichText, Role, ScrollArea, Ui, WidgetInfo};

/// Draws the tables, one for each number of activation bits and each other axis, into all that is left; tells the row that was clicked. `taken`
/// is the row of the present recipe.
pub(super) fn paper_ui(ui: &mut Ui, rows: &[SweepRow], score: Score, taken: Option<usize>) -> Option<usize> {
    let tables = PaperTable::of_rows(rows, score);
    let mut clicked = None;
    ScrollArea::both()
        .id_salt("paper table")
        .auto_shrink(false)
        .show(ui, |ui| {
            for table in &tables {
                let mut title = format!("{}, {} activations", title(score), text::bits(table.activation_bits));
                for setting in &table.settings {
                    title.push_str(&format!(" · {setting}"));
                }
                let grid = Grid::new(("paper table", &title));
                ui.label(text::note(&title));
                grid.striped(true).spacing([10.0, 4.0]).show(ui, |ui| {
                    ui.label(RichText::new("Bits").small().strong())
                        .on_hover_text("Bits of the weights.");
                    for column in &table.columns {
                        ui.label(RichText::new(column).small().strong())
                            .on_hover_text(column_help(column));
                    }
                    ui.end_row();
                    for (bits, cells) in &table.lines {
                        ui.label(RichText::new(bits.to_string()).small());
                        for cell in cells {
                            match cell {
                                None => {
                                    ui.label(text::note("–")).on_hover_text("Not there yet.");
                                }
                                Some(cell) => {
                                    if cell_ui(ui, rows, cell, score, taken) {
                                        clicked = Some(cell.row);
                                    }
                                }
                            }
                        }
                        ui.end_row();
                    }
                });
                ui.add_space(6.0);
            }
            ui.label(text::note(
                "Bold: the best of its line. Underlined: the best of its line within clip, OCS or OCS+clip.",
            ));
        });
    clicked
}

fn title(score: Score) -> &'static str {
    match score {
        Score::Top1 => "Top-1, %",
        Score::Perplexity => "Perplexity (less is better)",
        Score::MeanIou => "Mean IoU",
        Score::MeanAp => "mAP",
        Score::Pearson => "Pearson correlation",
        Score::Sqnr => "Output SQNR, dB",
    }
}

/// What a column takes, in a sentence.
fn column_help(column: &str) -> String {
    if column.starts_with("OCS+clip") {
        format!("{column}: splitting at this ratio with the way of clipping that does best.")
    } else if column.starts_with("OCS") {
        format!("{column}: splitting alone, at this ratio.")
    } else {
        format!("{column}: nothing split.")
    }
}

/// A number to click; tells whether it was.
fn cell_ui(ui: &mut Ui, rows: &[SweepRow], cell: &TableCell, score: Score, taken: Option<usize>) -> bool {
    let Some(row) = rows.get(cell.row) else { return false };
    let shown = RichText::new(score.show(cell.value)).small();
    let (shown, best) = match cell.mark {
        Mark::Plain => (shown, ""),
        Mark::BestOfGroup => (shown.underline(), ", the best of its group"),
        Mark::BestOfLine => (shown.strong().underline(), ", the best of its line"),
    };
    let chosen = taken == Some(cell.row);
    let response = ui.selectable_label(chosen, shown);
    let label = format!("Cell: {}, {}{best}", describe(row), score_text(row, score));
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
    response
        .on_hover_text(format!(
            "{}\n{}{best}\nClick to apply.",
            describe(row),
            score_text(row, score)
        ))
        .clicked()
}
