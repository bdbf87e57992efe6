//! The rows of a sweep as they finish; the best of each column stands out.

use super::{added_percent, describe, score_text};
use crate::app::text;
use crate::app::widgets::{Heading, ROW_HEIGHT};
use crate::inference::Score;
use crate::inference::sweep::SweepRow;
use egui::{Align, Color32, Label, Layout, RichText, Role, ScrollArea, Sense, TextStyle, Ui, WidgetInfo};
use egui_extras::{Column, TableBuilder};

/// Points between columns.
const GAP: f32 = 10.0;
/// Columns that are left out where there is no room, the first first; the row's tooltip tells them.
const SPARED: [Field; 10] = [
    Field::Size,
    Field::Latency,
    Field::Scales,
    Field::ZeroPoints,
    Field::Rounding,
    Field::File,
    Field::Sqnr,
    Field::ActivationBits,
    Field::Added,
    Field::Ratio,
];

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
    Scales,
    ZeroPoints,
    Rounding,
    File,
    Latency,
}

impl Field {
    /// All columns, in their order.
    fn all(rows: &[SweepRow], score: Score) -> Vec<Self> {
        let all = [
            Self::WeightBits,
            Self::Ratio,
            Self::Clip,
            Self::ActivationBits,
            Self::Scales,
            Self::ZeroPoints,
            Self::Rounding,
            Self::Score,
            Self::Sqnr,
            Self::Added,
            Self::Size,
            Self::File,
            Self::Latency,
        ];
        let differ = |of: &dyn Fn(&SweepRow, &SweepRow) -> bool| rows.windows(2).any(|pair| of(&pair[0], &pair[1]));
        let wanted = |field: &Self| match field {
            Self::Sqnr => score != Score::Sqnr,
            Self::Scales => differ(&|a, b| a.recipe.scales != b.recipe.scales),
            Self::ZeroPoints => differ(&|a, b| a.recipe.weight_zero_points != b.recipe.weight_zero_points),
            Self::Rounding => differ(&|a, b| a.recipe.rounding != b.recipe.rounding),
            Self::File => rows.iter().any(|row| row.overhead.file_bytes.is_some()),
            Self::Latency => rows.iter().any(|row| row.latency.is_some()),
            _ => true,
        };
        all.into_iter().filter(wanted).collect()
    }

    /// Those of `columns`, each with the width that it needs, that fit into `room` points side by side.
    fn fitting(mut columns: Vec<(Self, f32)>, room: f32) -> Vec<(Self, f32)> {
        for spared in SPARED {
            if needed(&columns) <= room {
                break;
            }
            columns.retain(|(field, _)| *field != spared);
        }
        columns
    }

    /// Points that the title and the longest text of the column take.
    fn needs(self, ui: &Ui, rows: &[SweepRow], score: Score) -> f32 {
        let font = TextStyle::Small.resolve(ui.style());
        let width = |text: String| {
            let text = ui.painter().layout_no_wrap(text, font.clone(), Color32::PLACEHOLDER);
            text.size().x
        };
        let title = width(self.title(score).to_owned());
        let widest = rows
            .iter()
            .map(|row| width(self.text(row, score)))
            .fold(title, f32::max);
        widest.ceil() + 2.0
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
                Score::MeanIou => "Mean IoU",
                Score::MeanAp => "mAP",
                Score::Pearson => "Pearson",
                Score::Sqnr => "Output SQNR",
            },
            Self::Sqnr => "SQNR",
            Self::Added => "Added",
            Self::Size => "Size",
            Self::Scales => "Scales",
            Self::ZeroPoints => "Zero points",
            Self::Rounding => "Rounding",
            Self::File => "File, kB",
            Self::Latency => "ms",
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
                _ => score.help(),
            },
            Self::Sqnr => "Strength of the outputs over strength of their error against the float network.",
            Self::Added => "Weights that the splits add.",
            Self::Size => "Bits of all parameters as a share of the float network's.",
            Self::Scales => "What has a scale of its own.",
            Self::ZeroPoints => "Whether each scale has a zero point.",
            Self::Rounding => "Which grid point a weight between two of them goes to.",
            Self::File => "Size of the exported .onnx file, 1 kB = 1000 bytes.",
            Self::Latency => "Median time of a batch of one.",
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
            Self::Scales => row.recipe.scales.to_string(),
            Self::ZeroPoints => text::on_or_off(row.recipe.weight_zero_points).to_owned(),
            Self::Rounding => row.recipe.rounding.to_string(),
            Self::File => {
                (row.overhead.file_bytes).map_or_else(|| "–".to_owned(), |bytes| text::full_count(bytes.div_ceil(1000)))
            }
            Self::Latency => (row.latency.as_ref())
                .map_or_else(|| "–".to_owned(), |latency| format!("{:.2}", latency.time.median_ms)),
        }
    }

    /// What the rows are compared by in this column, and by which order; `None` for the settings themselves.
    fn value(self, row: &SweepRow, score: Score) -> Option<(f64, Score)> {
        match self {
            Self::WeightBits
            | Self::Ratio
            | Self::Clip
            | Self::ActivationBits
            | Self::Scales
            | Self::ZeroPoints
            | Self::Rounding => None,
            Self::Score => Some((score.value(row)?, score)),
            Self::Sqnr => Some((Score::Sqnr.value(row)?, Score::Sqnr)),
            // Less is better, as of perplexities.
            Self::Added => Some((row.overhead.weights, Score::Perplexity)),
            Self::Size => Some((row.overhead.size, Score::Perplexity)),
            Self::File => Some((row.overhead.file_bytes? as f64, Score::Perplexity)),
            Self::Latency => Some((row.latency.as_ref()?.time.median_ms, Score::Perplexity)),
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

/// Points that columns side by side take.
fn needed(columns: &[(Field, f32)]) -> f32 {
    columns.iter().map(|(_, width)| width + GAP).sum()
}

/// Every column of a row with its title: what a narrow table leaves out.
fn in_full(row: &SweepRow, score: Score) -> String {
    let line = |field: Field| format!("{}: {}\n", field.title(score), field.text(row, score));
    Field::all(std::slice::from_ref(row), score)
        .into_iter()
        .map(line)
        .collect::<String>()
        + "Click to apply."
}

/// Draws the table into all that is left; tells the row that was clicked. `taken` is the row of the present recipe.
pub(super) fn table_ui(ui: &mut Ui, rows: &[SweepRow], score: Score, taken: Option<usize>) -> Option<usize> {
    let room = ui.available_width() - ui.spacing().scroll.allocated_width();
    let columns = Field::all(rows, score).into_iter();
    let columns = columns.map(|field| (field, field.needs(ui, rows, score))).collect();
    let columns = Field::fitting(columns, room);
    if needed(&columns) <= room {
        return columns_ui(ui, rows, score, taken, &columns);
    }
    let area = ScrollArea::horizontal().id_salt("sweep columns").auto_shrink(false);
    area.show(ui, |ui| columns_ui(ui, rows, score, taken, &columns)).inner
}

fn columns_ui(
    ui: &mut Ui,
    rows: &[SweepRow],
    score: Score,
    taken: Option<usize>,
    columns: &[(Field, f32)],
) -> Option<usize> {
    ui.spacing_mut().item_spacing.x = GAP;
    let fields: Vec<Field> = columns.iter().map(|(field, _)| *field).collect();
    let best: Vec<Option<f64>> = fields.iter().map(|field| field.best(rows, score)).collect();
    let mut clicked = None;
    let mut table = TableBuilder::new(ui)
        .id_salt(("sweep", fields.len()))
        .striped(true)
        .sense(Sense::click())
        .cell_layout(Layout::right_to_left(Align::Center))
        .auto_shrink(false)
        .min_scrolled_height(0.0);
    for (field, width) in columns {
        table = table.column(match field {
            Field::Clip => Column::remainder().at_least(*width),
            _ => Column::exact(*width),
        });
    }
    table
        .header(ROW_HEIGHT, |mut header| {
            for field in &fields {
                let heading = Heading {
                    title: field.title(score),
                    help: field.help(score),
                    is_text: false,
                };
                header.col(|ui| heading.ui(ui));
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
                if line.response().on_hover_text(in_full(row, score)).clicked() {
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
            agreement: Some(1.0),
            sqnr_db: Some(sqnr_db),
            sqnr_db_interval: None,
            overhead: SweepOverhead {
                weights,
                activations: None,
                macs: None,
                size: 0.1,
                file_bytes: None,
            },
            latency: None,
            not_timed: None,
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
    fn a_narrow_table_drops_whole_columns_and_its_tooltip_tells_them() {
        let rows = [row(0.5, 12.0, 1.05)];
        let all: Vec<(Field, f32)> = Field::all(&rows, Score::Top1)
            .into_iter()
            .map(|field| (field, 50.0))
            .collect();
        let of = |room: f32| -> Vec<Field> {
            let columns = Field::fitting(all.clone(), room);
            columns.into_iter().map(|(field, _)| field).collect()
        };
        assert_eq!(of(8.0 * (50.0 + GAP)).len(), 8);
        let six = of(6.5 * (50.0 + GAP));
        assert!(six.len() == 6 && !six.contains(&Field::Size) && !six.contains(&Field::Sqnr));
        // What names a row and what came of it stay, and scroll sideways where even they have no room.
        assert_eq!(of(0.0), [Field::WeightBits, Field::Clip, Field::Score]);
        let told = in_full(&row(0.5, 12.0, 1.05), Score::Top1);
        for part in ["Added: +5.0 %", "SQNR: 12.0 dB", "Size: 10.0 %", "Act.: "] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_score_is_written_with_its_unit_and_error() {
        // The standard error of 50 of 100 is 5 points.
        assert_eq!(Field::Score.text(&row(0.5, 1.0, 1.0), Score::Top1), "50.0 % ± 5.0");
        assert_eq!(Field::Added.text(&row(0.5, 1.0, 1.05), Score::Top1), "+5.0 %");
    }
}
