//! Rows laid out as in table 2 of Zhao et al. 2019: a line for each number of bits, and in it clipping alone, splitting
//! alone, and splitting with the best way of clipping.

use super::SweepRow;
use crate::inference::Score;
use crate::quantization::{Bits, Clip, Granularity, Recipe, Rounding};

/// How good a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Others in its group of columns are better.
    Plain,
    /// The best of its line in its group of columns (clip, OCS, OCS + best clip).
    BestOfGroup,
    /// The best of its whole line.
    BestOfLine,
}

/// One number of the table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableCell {
    /// The row it comes from, as a place in the rows given.
    pub row: usize,
    /// Its score.
    pub value: f64,
    /// How good it is.
    pub mark: Mark,
}

/// The table for one number of activation bits, and for one of each other axis that its lines and columns do not show.
#[derive(Debug, Clone, PartialEq)]
pub struct PaperTable {
    /// Bits of the activations.
    pub activation_bits: Bits,
    /// What its rows have and those of another table have not, such as `scales channel`, `rounding squant`.
    pub settings: Vec<String>,
    /// Titles of the columns, such as `clip mse`, `OCS 0.02`, `OCS+clip 0.02`.
    pub columns: Vec<String>,
    /// Bits of the weights, and a cell for each column; `None` where no row has these values.
    pub lines: Vec<(Bits, Vec<Option<TableCell>>)>,
}

/// A column: which rows it takes.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    /// One way of clipping, nothing split.
    Clip(Clip),
    /// A ratio, not clipped.
    Ocs(f64),
    /// A ratio and the best way of clipping.
    OcsClip(f64),
}

impl Column {
    fn takes(self, row: &SweepRow) -> bool {
        let (ratio, clip) = (row.recipe.expand_ratio, row.recipe.clip);
        match self {
            Self::Clip(own) => ratio == 0.0 && clip == own,
            Self::Ocs(own) => ratio == own && clip == Clip::None,
            Self::OcsClip(own) => ratio == own && clip != Clip::None,
        }
    }

    fn title(self) -> String {
        match self {
            Self::Clip(clip) => format!("clip {clip}"),
            Self::Ocs(ratio) => format!("OCS {ratio}"),
            Self::OcsClip(ratio) => format!("OCS+clip {ratio}"),
        }
    }

    /// Columns of one group are compared with each other.
    fn group(self) -> usize {
        match self {
            Self::Clip(_) => 0,
            Self::Ocs(_) => 1,
            Self::OcsClip(_) => 2,
        }
    }
}

/// The axes that neither lines nor columns show.
#[derive(Clone, Copy, PartialEq)]
struct Axes {
    activation_bits: Bits,
    scales: Granularity,
    rounding: Rounding,
    zero_points: bool,
}

impl Axes {
    fn of(recipe: &Recipe) -> Self {
        Self {
            activation_bits: recipe.activation_bits,
            scales: recipe.scales,
            rounding: recipe.rounding,
            zero_points: recipe.weight_zero_points,
        }
    }

    /// The values of axes other than the activation bits that tell these from any of `all`.
    fn beside(&self, all: &[Self]) -> Vec<String> {
        let scales = all.iter().any(|other| other.scales != self.scales);
        let rounding = all.iter().any(|other| other.rounding != self.rounding);
        let zero_points = all.iter().any(|other| other.zero_points != self.zero_points);
        let zero_point = if self.zero_points {
            "zero points"
        } else {
            "no zero points"
        };
        let shown = [
            scales.then(|| format!("scales {}", self.scales)),
            rounding.then(|| format!("rounding {}", self.rounding)),
            zero_points.then(|| zero_point.to_owned()),
        ];
        shown.into_iter().flatten().collect()
    }
}

impl PaperTable {
    /// A table for each number of activation bits and each of the other axes in `rows`, values in the order in which they come.
    pub fn of_rows(rows: &[SweepRow], score: Score) -> Vec<Self> {
        let axes: Vec<Axes> = distinct(rows.iter().map(|row| Axes::of(&row.recipe)));
        axes.iter().map(|own| Self::one(rows, score, own, &axes)).collect()
    }

    fn one(rows: &[SweepRow], score: Score, axes: &Axes, all: &[Axes]) -> Self {
        let own: Vec<(usize, &SweepRow)> = (rows.iter().enumerate())
            .filter(|(_, row)| Axes::of(&row.recipe) == *axes)
            .collect();
        let clips = distinct(own.iter().map(|(_, row)| row.recipe.clip))
            .into_iter()
            .map(Column::Clip);
        let ratios = distinct(own.iter().map(|(_, row)| row.recipe.expand_ratio));
        let split: Vec<f64> = ratios.into_iter().filter(|ratio| *ratio > 0.0).collect();
        let ocs = split.iter().map(|ratio| Column::Ocs(*ratio));
        let both = split.iter().map(|ratio| Column::OcsClip(*ratio));
        let taken = |column: &Column| own.iter().any(|(_, row)| column.takes(row));
        let columns: Vec<Column> = clips.chain(ocs).chain(both).filter(taken).collect();
        let lines = distinct(own.iter().map(|(_, row)| row.recipe.weight_bits)).into_iter();
        let lines = lines.map(|bits| {
            let rows = own.iter().filter(move |(_, row)| row.recipe.weight_bits == bits);
            let cells = columns.iter().map(|column| {
                let mut best: Option<TableCell> = None;
                for (place, row) in rows.clone().filter(|(_, row)| column.takes(row)) {
                    if let Some(value) = score.value(row)
                        && best.is_none_or(|best| score.better(value, best.value))
                    {
                        best = Some(TableCell {
                            row: *place,
                            value,
                            mark: Mark::Plain,
                        });
                    }
                }
                best
            });
            let mut cells: Vec<Option<TableCell>> = cells.collect();
            mark(&mut cells, &columns, score);
            (bits, cells)
        });
        Self {
            activation_bits: axes.activation_bits,
            settings: axes.beside(all),
            lines: lines.collect(),
            columns: columns.iter().map(|column| column.title()).collect(),
        }
    }
}

/// Marks the best of each group and of the line; all of those that are equally good.
fn mark(cells: &mut [Option<TableCell>], columns: &[Column], score: Score) {
    let best = |cells: &[Option<TableCell>], group: Option<usize>| {
        let of_group = |column: &Column| group.is_none_or(|group| column.group() == group);
        let values = (cells.iter().zip(columns))
            .filter(|(_, column)| of_group(column))
            .filter_map(|(cell, _)| cell.map(|cell| cell.value));
        values.reduce(|best, value| if score.better(value, best) { value } else { best })
    };
    let of_line = best(cells, None);
    let of_groups: Vec<Option<f64>> = columns.iter().map(|column| best(cells, Some(column.group()))).collect();
    for (cell, of_group) in cells.iter_mut().zip(of_groups) {
        if let Some(cell) = cell {
            cell.mark = if Some(cell.value) == of_line {
                Mark::BestOfLine
            } else if Some(cell.value) == of_group {
                Mark::BestOfGroup
            } else {
                Mark::Plain
            };
        }
    }
}

/// Each value once, in the order in which they come.
fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;

    #[test]
    fn rows_stand_where_the_paper_has_them_and_the_best_are_marked() {
        let rows = [
            row(5, 0.0, "none", 0.50),
            row(5, 0.0, "mse", 0.60),
            row(5, 0.02, "none", 0.70),
            row(5, 0.02, "mse", 0.65),
            row(5, 0.02, "kl", 0.68),
            row(5, 0.05, "none", 0.70),
            row(4, 0.0, "none", 0.10),
            row(4, 0.02, "kl", 0.30),
        ];
        let tables = PaperTable::of_rows(&rows, Score::Top1);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].activation_bits, Bits::Float);
        assert_eq!(
            tables[0].columns,
            ["clip none", "clip mse", "OCS 0.02", "OCS 0.05", "OCS+clip 0.02"]
        );
        let line = |at: usize| -> Vec<Option<(usize, Mark)>> {
            let cells = tables[0].lines[at].1.iter();
            cells.map(|cell| cell.map(|cell| (cell.row, cell.mark))).collect()
        };
        assert_eq!(tables[0].lines[0].0, Bits::Grid(5));
        assert_eq!(
            line(0),
            [
                Some((0, Mark::Plain)),
                Some((1, Mark::BestOfGroup)),
                Some((2, Mark::BestOfLine)),
                Some((5, Mark::BestOfLine)),
                Some((4, Mark::BestOfGroup)),
            ]
        );
        assert_eq!(
            line(1),
            [
                Some((6, Mark::BestOfGroup)),
                None,
                None,
                None,
                Some((7, Mark::BestOfLine))
            ]
        );
    }

    #[test]
    fn what_lines_and_columns_do_not_show_has_a_table_each() {
        let mut rows = [
            row(4, 0.0, "none", 0.1),
            row(4, 0.0, "none", 0.2),
            row(4, 0.0, "none", 0.3),
        ];
        rows[1].recipe.scales = Granularity::Channel;
        (rows[2].recipe.scales, rows[2].recipe.rounding) = (Granularity::Channel, Rounding::Squant);
        let tables = PaperTable::of_rows(&rows, Score::Top1);
        let told: Vec<String> = tables.iter().map(|table| table.settings.join(", ")).collect();
        let expected = [
            "scales tensor, rounding nearest",
            "scales channel, rounding nearest",
            "scales channel, rounding squant",
        ];
        assert_eq!(told, expected);
        let values: Vec<f64> = tables
            .iter()
            .flat_map(|table| table.lines[0].1.iter().flatten())
            .map(|cell| cell.value)
            .collect();
        assert_eq!(values, [0.1, 0.2, 0.3]);
        assert!(PaperTable::of_rows(&rows[..1], Score::Top1)[0].settings.is_empty());
    }

    #[test]
    fn of_perplexities_the_least_is_best_and_activation_bits_have_a_table_each() {
        let mut rows = [
            row(5, 0.0, "none", 4.0),
            row(5, 0.0, "mse", 3.0),
            row(5, 0.0, "kl", 9.0),
        ];
        for row in &mut rows {
            row.metrics.perplexity = row.metrics.top1.take();
        }
        rows[2].recipe.activation_bits = Bits::Grid(8);
        let tables = PaperTable::of_rows(&rows, Score::Perplexity);
        assert_eq!(tables.len(), 2);
        let marks =
            |table: &PaperTable| -> Vec<Mark> { table.lines[0].1.iter().flatten().map(|cell| cell.mark).collect() };
        assert_eq!(marks(&tables[0]), [Mark::Plain, Mark::BestOfLine]);
        assert_eq!((tables[1].activation_bits, marks(&tables[1]).len()), (Bits::Grid(8), 1));
    }
}
