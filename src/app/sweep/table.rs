//! The rows of a sweep as they finish; the best of each column stands out.

use super::{added_percent, describe, score_text};
use crate::app::text;
use crate::inference::sweep::{Score, SweepRow};
use egui::{Align, Label, Layout, RichText, Role, Sense, Ui, WidgetInfo};
use egui_extras::{Column, TableBuilder};

const ROW_HEIGHT: f32 = 20.0;
/// Width from which all columns are shown, points.
const ALL: f32 = 540.0;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    WeightBits,
    Ratio,
    Clip,
    ActivationBits,
    Score,
    Sqnr,
    Added,
    Size,
}

impl Field {
    /// The columns that fit into `width` points.
    fn of_width(width: f32, score: Score) -> Vec<Self> {
        let all = [
            Self::WeightBits,
            Self::Ratio,
            Self::Clip,
            Self::ActivationBits,
            Self::Score,
            Self::Sqnr,
            Self::Added,
            Self::Size,
        ];
        let fits = |field: &Self| match field {
            Self::Sqnr => score != Score::Sqnr && width >= ALL,
            Self::Size => width >= ALL,
            _ => true,
        };
        all.into_iter().filter(fits).collect()
    }

    fn title(self, score: Score) -> &'static str {
        match self {
            Self::WeightBits => "Bits",
            Self::Ratio => "Ratio",
            Self::Clip => "Clip",
            Self::ActivationBits => "Act.",
            Self::Score => match score {
                Score::Top1 => "Top-1",
                Score::Perplexity => "Perplexity",
                Score::Sqnr => "Output SQNR",
            },
            Self::Sqnr => "SQNR",
            Self::Added => "Added",
            Self::Size => "Size",
        }
    }

    fn help(self, score: Score) -> &'static str {
        match self {
            Self::WeightBits => "Bits of the weights.",
            Self::Ratio => "Share of the input channels that may be added.",
            Self::Clip => "Where the grid of the weights ends.",
            Self::ActivationBits => "Bits of the numbers that flow between layers.",
            Self::Score => match score {
                Score::Top1 => "Share of samples whose first answer is right. ± is one standard error.",
                Score::Perplexity => "Between how many tokens the network hesitates, on average. Less is better.",
                Score::Sqnr => "Strength of the outputs over strength of their error against the float network.",
            },
            Self::Sqnr => "Strength of the outputs over strength of their error against the float network.",
            Self::Added => "Weights that the splits add.",
            Self::Size => "Bits of all parameters as a share of the float network's.",
        }
    }

    fn width(self) -> Option<f32> {
        match self {
            Self::WeightBits => Some(34.0),
            Self::Ratio | Self::ActivationBits => Some(42.0),
            Self::Clip => None,
            Self::Score => Some(92.0),
            Self::Sqnr | Self::Added => Some(62.0),
            Self::Size => Some(56.0),
        }
    }

    fn text(self, row: &SweepRow, score: Score) -> String {
        match self {
            Self::WeightBits => row.recipe.weight_bits.to_string(),
            Self::Ratio => row.recipe.expand_ratio.to_string(),
            Self::Clip => text::clip(row.recipe.clip),
            Self::ActivationBits => row.recipe.activation_bits.to_string(),
            Self::Score => score_text(row, score),
            Self::Sqnr => score_text(row, Score::Sqnr),
            Self::Added => format!("+{:.1} %", added_percent(row)),
            Self::Size => text::percent(row.overhead.size),
        }
    }

    /// What the rows are compared by in this column, and by which order; `None` for the settings themselves.
    fn value(self, row: &SweepRow, score: Score) -> Option<(f64, Score)> {
        match self {
            Self::WeightBits | Self::Ratio | Self::Clip | Self::ActivationBits => None,
            Self::Score => Some((score.value(row)?, score)),
            Self::Sqnr => Some((Score::Sqnr.value(row)?, Score::Sqnr)),
            // Less is better, as of perplexities.
            Self::Added => Some((row.overhead.weights, Score::Perplexity)),
            Self::Size => Some((row.overhead.size, Score::Perplexity)),
        }
    }

    /// The best of the column.
    fn best(self, rows: &[SweepRow], score: Score) -> Option<f64> {
        let values = rows.iter().filter_map(|row| self.value(row, score));
        let better = |best: (f64, Score), value: (f64, Score)| {
            if value.1.better(value.0, best.0) { value } else { best }
        };
        values.reduce(better).map(|(best, _)| best)
    }
}

/// Draws the table into all that is left; tells the row that was clicked. `taken` is the row of the present recipe.
pub(super) fn table_ui(ui: &mut Ui, rows: &[SweepRow], score: Score, taken: Option<usize>) -> Option<usize> {
    let fields = Field::of_width(ui.available_width(), score);
    let best: Vec<Option<f64>> = fields.iter().map(|field| field.best(rows, score)).collect();
    let mut clicked = None;
    let mut table = TableBuilder::new(ui)
        .id_salt(("sweep", fields.len()))
        .striped(true)
        .sense(Sense::click())
        .cell_layout(Layout::right_to_left(Align::Center))
        .auto_shrink(false)
        .min_scrolled_height(0.0);
    for field in &fields {
        table = table.column(match field.width() {
            Some(width) => Column::exact(width).clip(true),
            None => Column::remainder().at_least(60.0).clip(true),
        });
    }
    table
        .header(ROW_HEIGHT, |mut header| {
            for field in &fields {
                header.col(|ui| {
                    let title = RichText::new(field.title(score)).small().strong();
                    ui.add(Label::new(title).selectable(false).extend())
                        .on_hover_text(field.help(score));
                });
            }
        })
        .body(|body| {
            body.rows(ROW_HEIGHT, rows.len(), |mut line| {
                let place = line.index();
                let row = &rows[place];
                line.set_selected(taken == Some(place));
                for (field, best) in fields.iter().zip(&best) {
                    let value = field.value(row, score).map(|(value, _)| value);
                    line.col(|ui| cell_ui(ui, *field, row, score, value.is_some() && value == *best));
                }
                if line.response().on_hover_text("Take this recipe.").clicked() {
                    clicked = Some(place);
                }
            });
        });
    clicked
}

fn cell_ui(ui: &mut Ui, field: Field, row: &SweepRow, score: Score, best: bool) {
    let text = RichText::new(field.text(row, score)).small();
    let text = if best { text.strong() } else { text };
    let response = ui.add(Label::new(text).selectable(false).extend());
    if field == Field::WeightBits {
        response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("Row: {}", describe(row))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::sweep::SweepOverhead;
    use crate::quantization::Recipe;

    fn row(top1: f64, sqnr_db: f64, weights: f64) -> SweepRow {
        SweepRow {
            recipe: Recipe::default(),
            samples: 100,
            metrics: crate::inference::Metrics {
                top1: Some(top1),
                ..crate::inference::Metrics::default()
            },
            agreement: 1.0,
            sqnr_db: Some(sqnr_db),
            overhead: SweepOverhead {
                weights,
                activations: None,
                macs: None,
                size: 0.1,
            },
        }
    }

    #[test]
    fn the_best_score_is_the_greatest_and_the_best_cost_the_least() {
        let rows = [row(0.5, 12.0, 1.0), row(0.9, 10.0, 1.05)];
        let best = |field: Field| field.best(&rows, Score::Top1);
        assert_eq!(best(Field::Score), Some(0.9));
        assert_eq!(best(Field::Sqnr), Some(12.0));
        assert_eq!(best(Field::Added), Some(1.0));
        assert_eq!(best(Field::Clip), None);
    }

    #[test]
    fn a_score_is_written_with_its_unit_and_error() {
        // The standard error of 50 of 100 is 5 points.
        assert_eq!(Field::Score.text(&row(0.5, 1.0, 1.0), Score::Top1), "50.0 % ± 5.0");
        assert_eq!(Field::Added.text(&row(0.5, 1.0, 1.05), Score::Top1), "+5.0 %");
    }
}
