//! A plot as one description: the window draws it, and it is saved as CSV and as SVG, so that what is on the screen is in the
//! file. Reports show the same.

mod axis;
mod mini;
mod svg;

pub use axis::{Mark, Scale, marks_across, number_marks, number_text};
pub use mini::mini_histogram;

use super::palette::{Palette, Rgb, Token, hex};
use crate::printable::csv::cell;
use crate::quantization::Grid;
use std::fmt::Write as _;

/// What a plot shows.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Stands above the drawing, and names the file.
    pub title: String,
    /// Name of the axis to the right, with its unit.
    pub x: String,
    /// Name of the axis upwards, with its unit.
    pub y: String,
    /// What is in sight, in units of x.
    pub x_range: (f64, f64),
    /// What is in sight, in units of y before [`Figure::scale`].
    pub y_range: (f64, f64),
    /// How y is drawn.
    pub scale: Scale,
    /// What is drawn, in this order.
    pub series: Vec<Series>,
}

/// One series of a plot.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub color: Ink,
    /// How strong, how wide and in what dashes.
    pub look: Look,
    /// Its numbers, and how they are drawn.
    pub shape: Shape,
}

/// How a series is drawn beyond its shape; what is not said is left to the renderer.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Look {
    /// 1 hides what is behind, 0 is not seen.
    pub opacity: Option<f32>,
    /// Of a line, points; of a dot, its radius.
    pub width: Option<f32>,
    /// Of a line.
    pub dashes: Dashes,
    /// Dots are rings.
    pub hollow: bool,
}

/// Dashes of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dashes {
    /// By the place of the series among the others: colour is not all that tells lines apart.
    #[default]
    ByPlace,
    /// None.
    Solid,
    /// Long ones, far apart.
    DashedLoose,
    /// Long ones, close together.
    DashedDense,
    /// Dots, far apart.
    DottedLoose,
    /// Dots, close together.
    DottedDense,
}

impl Dashes {
    /// The dashes of the line at `place` among the others.
    #[must_use]
    pub fn at(self, place: usize) -> Self {
        const ORDER: [Dashes; 7] = [
            Dashes::Solid,
            Dashes::Solid,
            Dashes::DashedLoose,
            Dashes::DashedDense,
            Dashes::DashedLoose,
            Dashes::DottedLoose,
            Dashes::DottedDense,
        ];
        if self == Self::ByPlace {
            ORDER[place % ORDER.len()]
        } else {
            self
        }
    }
}

impl Series {
    /// A series in the look that the renderer gives such a shape.
    pub fn new(name: impl Into<String>, color: impl Into<Ink>, shape: Shape) -> Self {
        Self {
            name: name.into(),
            color: color.into(),
            look: Look::default(),
            shape,
        }
    }

    /// The same, letting what is behind it through.
    #[must_use]
    pub fn opacity(mut self, opacity: f32) -> Self {
        self.look.opacity = Some(opacity);
        self
    }

    /// The same, with lines or dots of that width.
    #[must_use]
    pub fn width(mut self, width: f32) -> Self {
        self.look.width = Some(width);
        self
    }

    /// The same, with lines in those dashes.
    #[must_use]
    pub fn dashes(mut self, dashes: Dashes) -> Self {
        self.look.dashes = dashes;
        self
    }

    /// The same, with rings for dots.
    #[must_use]
    pub fn hollow(mut self) -> Self {
        self.look.hollow = true;
        self
    }

    /// Whether nothing of it would be seen.
    pub fn is_empty(&self) -> bool {
        let nothing = |heights: &[f64], below: &[f64]| {
            let is_seen = |(bin, height): (usize, &f64)| *height > below.get(bin).copied().unwrap_or(0.0);
            // A height that is NaN is not seen.
            !heights.iter().enumerate().any(is_seen)
        };
        match &self.shape {
            Shape::Steps { heights, below, .. } => nothing(heights, below),
            Shape::Hatched { heights, .. } | Shape::Outline { heights, .. } => nothing(heights, &[]),
            Shape::Bars(points) | Shape::Line(points) | Shape::Points(points) | Shape::Spikes(points) => {
                points.is_empty()
            }
            Shape::Uprights(places) | Shape::Levels(places) | Shape::Grid(places) | Shape::Ticks { places, .. } => {
                places.is_empty()
            }
            Shape::Intervals(intervals) => intervals.is_empty(),
            Shape::Outliers(outliers) => outliers.is_empty(),
            Shape::Labels(labels) => labels.is_empty(),
            Shape::Marks(marks) => marks.is_empty(),
            Shape::Named(bars) => bars.is_empty(),
            Shape::Column { counts, .. } => counts.is_empty(),
            Shape::Cells { values, .. } => values.is_empty(),
        }
    }
}

/// A colour: one with a meaning, which is another in a dark window, a light one and on a page, or one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// By its meaning.
    Token(Token),
    /// Red, green, blue.
    Rgb(Rgb),
}

impl From<Token> for Ink {
    fn from(token: Token) -> Self {
        Self::Token(token)
    }
}

impl Ink {
    /// The colour in `palette`.
    pub fn rgb(self, palette: &Palette) -> Rgb {
        match self {
            Self::Token(token) => palette.color(token),
            Self::Rgb(rgb) => rgb,
        }
    }

    /// As CSS writes it in a page that defines the colours of [`Palette::css`].
    pub fn css(self) -> String {
        match self {
            Self::Token(token) => format!("var(--{})", token.variable()),
            Self::Rgb(rgb) => hex(rgb),
        }
    }
}

/// A value far out.
#[derive(Debug, Clone, PartialEq)]
pub struct Outlier {
    /// Where, and how high the bar is that it lies in.
    pub place: [f64; 2],
    /// What it is: `ch 37 · 369 σ`.
    pub label: String,
    /// Colour of the ring around the dot: that of its channel.
    pub ring: Ink,
}

/// How a series is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Equal bins from `low` on, `width` wide, filled up to `heights`. A height that is NaN is no bar and no number.
    Steps {
        /// Lower end of the first bin.
        low: f64,
        /// Width of a bin.
        width: f64,
        /// Height of each bin's upper end.
        heights: Vec<f64>,
        /// Height of its lower end: what it is stacked on. Empty where all stand on 0.
        below: Vec<f64>,
    },
    /// Equal bins under a hatch, over what is drawn already.
    Hatched {
        /// Lower end of the first bin.
        low: f64,
        /// Width of a bin.
        width: f64,
        /// Height of each bin; NaN for one that is not hatched.
        heights: Vec<f64>,
    },
    /// The same as an outline, to be seen over another series.
    Outline {
        /// Lower end of the first bin.
        low: f64,
        /// Width of a bin.
        width: f64,
        /// Height of each bin.
        heights: Vec<f64>,
    },
    /// A bar around each x.
    Bars(Vec<[f64; 2]>),
    /// A line through the points, in their order.
    Line(Vec<[f64; 2]>),
    /// A dot at each point.
    Points(Vec<[f64; 2]>),
    /// How far off each number may be: an upright line at x, from low to high.
    Intervals(Vec<(f64, [f64; 2])>),
    /// A thin bar each, as high as y: so many values lie at that very x.
    Spikes(Vec<[f64; 2]>),
    /// Upright lines.
    Uprights(Vec<f64>),
    /// Level lines, at these y.
    Levels(Vec<f64>),
    /// The values of a grid: thin upright lines with a mark at the foot of each, as far as they can be told apart.
    Grid(Vec<f64>),
    /// Short upright lines between two y.
    Ticks {
        /// Where.
        places: Vec<f64>,
        /// From which y to which.
        ends: (f64, f64),
    },
    /// Single values that must not be missed: a dot of at least a few points above the bar at x and y, with what it is.
    Outliers(Vec<Outlier>),
    /// A text each, above x and y.
    Labels(Vec<([f64; 2], String)>),
    /// Upright lines with a name each. In the window they are controls, which their view draws.
    Marks(Vec<(String, f64)>),
    /// A bar each, side by side in their order, with a name instead of a number.
    Named(Vec<(String, f64)>),
    /// A column of a map at `x`: cells from `low` upwards, `width` high, the darker the greater their value.
    Cells {
        /// Middle of the column; it is 1 wide.
        x: f64,
        /// Lower end of the first cell.
        low: f64,
        /// Height of a cell.
        width: f64,
        /// The value of each.
        values: Vec<f64>,
    },
    /// A column of a map at `x`: bins from `low` upwards, `width` high, the darker the greater the count.
    Column {
        /// Middle of the column; it is 1 wide.
        x: f64,
        /// Lower end of the first bin.
        low: f64,
        /// Height of a bin.
        width: f64,
        /// How many values each bin holds.
        counts: Vec<u32>,
    },
}

impl Shape {
    /// Filled bins that stand on 0.
    pub fn steps(low: f64, width: f64, counts: &[u64]) -> Self {
        Self::Steps {
            low,
            width,
            heights: counts.iter().map(|count| *count as f64).collect(),
            below: Vec::new(),
        }
    }

    /// Those of the grid's values.
    pub fn grid(grid: Grid) -> Self {
        Self::Grid((grid.low()..=grid.high()).map(|q| f64::from(grid.value(q))).collect())
    }
}

impl Figure {
    /// One row a point: series, x, end of the bin (empty for what is no bin), y (empty for an upright line).
    pub fn csv(&self) -> String {
        let is_map = self
            .series
            .iter()
            .any(|series| matches!(series.shape, Shape::Column { .. } | Shape::Cells { .. }));
        // The columns of a map are named; along them lies what is upwards in the drawing.
        let (along, number) = if is_map {
            let counts = self
                .series
                .iter()
                .any(|series| matches!(series.shape, Shape::Column { .. }));
            (&self.y, if counts { "count" } else { "value" })
        } else {
            (&self.x, self.y.as_str())
        };
        let mut text = format!("series,{},bin end,{}\n", cell(along), cell(number));
        for series in &self.series {
            let name = cell(&series.name);
            // Writing into a string cannot fail.
            match &series.shape {
                Shape::Steps {
                    low,
                    width,
                    heights,
                    below,
                } => {
                    // Of a stack each part's own number: together they add up to the histogram.
                    let own = |(bin, height): (usize, &f64)| height - below.get(bin).copied().unwrap_or(0.0);
                    let own: Vec<f64> = heights.iter().enumerate().map(own).collect();
                    bins(&mut text, &name, *low, *width, &own);
                }
                Shape::Outline { low, width, heights } | Shape::Hatched { low, width, heights } => {
                    bins(&mut text, &name, *low, *width, heights);
                }
                Shape::Bars(points) | Shape::Line(points) | Shape::Points(points) | Shape::Spikes(points) => {
                    for [x, y] in points {
                        let _ = writeln!(text, "{name},{x},,{y}");
                    }
                }
                Shape::Uprights(places) | Shape::Grid(places) | Shape::Ticks { places, .. } => {
                    for x in places {
                        let _ = writeln!(text, "{name},{x},,");
                    }
                }
                Shape::Levels(places) => {
                    for y in places {
                        let _ = writeln!(text, "{name},,,{y}");
                    }
                }
                Shape::Intervals(intervals) => {
                    for (x, [low, high]) in intervals {
                        let _ = writeln!(text, "{name} low,{x},,{low}\n{name} high,{x},,{high}");
                    }
                }
                Shape::Marks(marks) => {
                    for (of, x) in marks {
                        let _ = writeln!(text, "{},{x},,", cell(&format!("{} {of}", series.name)));
                    }
                }
                Shape::Outliers(outliers) => {
                    for Outlier { place, label, .. } in outliers {
                        let _ = writeln!(text, "{},{},,{}", cell(label), place[0], place[1]);
                    }
                }
                // What is written beside a number is in the row of that number already.
                Shape::Labels(_) => {}
                Shape::Cells { low, width, values, .. } => bins(&mut text, &name, *low, *width, values),
                Shape::Named(bars) => {
                    for (of, y) in bars {
                        let y = if y.is_finite() { y.to_string() } else { String::new() };
                        let _ = writeln!(text, "{name},{},,{y}", cell(of));
                    }
                }
                Shape::Column { low, width, counts, .. } => {
                    for (bin, count) in counts.iter().enumerate() {
                        let start = low + width * bin as f64;
                        let _ = writeln!(text, "{name},{start},{},{count}", start + width);
                    }
                }
            }
        }
        text
    }

    /// A file name without its end.
    pub fn file_stem(&self) -> String {
        let plain = |c: char| {
            if c.is_alphanumeric() || "-_.".contains(c) {
                c
            } else {
                '-'
            }
        };
        let stem: String = self.title.chars().map(plain).collect();
        let stem = stem.trim_matches(['-', '.']);
        if stem.is_empty() {
            "plot".to_owned()
        } else {
            stem.to_owned()
        }
    }
}

/// Rows of bins; those without a number are left out.
fn bins(text: &mut String, name: &str, low: f64, width: f64, heights: &[f64]) {
    for (bin, height) in heights.iter().enumerate().filter(|(_, height)| height.is_finite()) {
        let start = low + width * bin as f64;
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{name},{start},{},{height}", start + width);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn example() -> Figure {
        Figure {
            title: "weights of a/b <1>".to_owned(),
            x: "weight".to_owned(),
            y: "weights in a bin, \"counted\"".to_owned(),
            x_range: (-1.0, 1.0),
            y_range: (0.0, 100.0),
            scale: Scale::Log,
            series: vec![
                Series::new("before", Ink::Rgb([1, 2, 3]), Shape::steps(-1.0, 0.5, &[1, 99, 0, 2])),
                Series::new(
                    "line",
                    Ink::Rgb([255, 0, 0]),
                    Shape::Line(vec![[-1.0, 1.0], [1.0, 9.0]]),
                ),
                Series::new("grid", Ink::Rgb([128, 128, 128]), Shape::Uprights(vec![-0.5, 0.5])),
            ],
        }
    }

    #[test]
    fn the_data_are_rows_of_numbers() {
        let csv = example().csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert_eq!(lines[0], "series,weight,bin end,\"weights in a bin, \"\"counted\"\"\"");
        assert_eq!(lines[2], "before,-0.5,0,99");
        assert_eq!(lines[5], "line,-1,,1");
        assert_eq!(lines[8], "grid,0.5,,");
        assert_eq!(lines.len(), 9);
    }

    #[test]
    fn names_and_columns_of_a_map_are_in_the_data() {
        let mut figure = example();
        figure.series = vec![Series::new(
            "plain",
            Ink::Rgb([255, 0, 0]),
            Shape::Named(vec![("a, b".to_owned(), 1.5), ("c".to_owned(), 2.0)]),
        )];
        assert_eq!(figure.csv().lines().nth(1), Some("plain,\"a, b\",,1.5"));
        figure.series = vec![Series::new(
            "channel 7",
            Ink::Rgb([255, 0, 0]),
            Shape::Column {
                x: 0.0,
                low: -1.0,
                width: 0.5,
                counts: vec![0, 3],
            },
        )];
        let csv = figure.csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].ends_with(",bin end,count"), "{}", lines[0]);
        assert_eq!(lines[2], "channel 7,-0.5,0,3");
    }

    #[test]
    fn the_parts_of_a_stack_add_up_and_bins_without_a_number_are_left_out() {
        let mut figure = example();
        figure.series = vec![
            Series::new("rest", Token::Original, Shape::steps(0.0, 1.0, &[5, 3])),
            Series::new(
                "channel 2",
                Token::Channel(0),
                Shape::Steps {
                    low: 0.0,
                    width: 1.0,
                    heights: vec![7.0, f64::NAN],
                    below: vec![5.0, 3.0],
                },
            ),
            Series::new("float", Token::Original, Shape::Levels(vec![0.25])),
            Series::new("clip", Token::Handle, Shape::Marks(vec![("MSE".to_owned(), 0.5)])),
        ];
        let csv = figure.csv();
        let rows: Vec<&str> = csv.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "rest,0,1,5",
                "rest,1,2,3",
                "channel 2,0,1,2",
                "float,,,0.25",
                "clip MSE,0.5,,"
            ]
        );
    }

    #[test]
    fn a_title_becomes_a_file_name() {
        assert_eq!(example().file_stem(), "weights-of-a-b--1");
        let empty = Figure {
            title: "///".to_owned(),
            ..example()
        };
        assert_eq!(empty.file_stem(), "plot");
    }
}
