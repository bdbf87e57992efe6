//! A plot as numbers: what is copied and saved of it, as CSV and as SVG, and what a report shows.

mod axis;
mod mini;
mod svg;

pub use axis::{Mark, Scale, number_marks, number_text};
pub use mini::mini_histogram;

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
#[derive(Debug, Clone)]
pub struct Series {
    /// What the legend calls it.
    pub name: String,
    /// Its colour.
    pub color: Ink,
    /// Its numbers, and how they are drawn.
    pub shape: Shape,
}

/// A colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Red, green, blue.
    Rgb([u8; 3]),
    /// A colour that the page around the drawing defines for its light and its dark look, by the name of its CSS variable.
    Css(&'static str),
}

impl std::fmt::Display for Ink {
    /// As CSS and SVG write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rgb([red, green, blue]) => write!(f, "#{red:02x}{green:02x}{blue:02x}"),
            Self::Css(name) => write!(f, "var(--{name})"),
        }
    }
}

/// How a series is drawn.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Equal bins from `low` on, `width` wide, as high as `heights`.
    Steps {
        /// Lower end of the first bin.
        low: f64,
        /// Width of a bin.
        width: f64,
        /// Height of each bin.
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
    /// Upright lines.
    Uprights(Vec<f64>),
    /// A bar each, side by side in their order, with a name instead of a number.
    Named(Vec<(String, f64)>),
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

impl Figure {
    /// One row a point: series, x, end of the bin (empty for what is no bin), y (empty for an upright line).
    pub fn csv(&self) -> String {
        let is_map = self
            .series
            .iter()
            .any(|series| matches!(series.shape, Shape::Column { .. }));
        // The columns of a map are named; along them lies what is upwards in the drawing.
        let (along, number) = if is_map {
            (&self.y, "count")
        } else {
            (&self.x, self.y.as_str())
        };
        let mut text = format!("series,{},bin end,{}\n", quoted(along), quoted(number));
        for series in &self.series {
            let name = quoted(&series.name);
            // Writing into a string cannot fail.
            match &series.shape {
                Shape::Steps { low, width, heights } | Shape::Outline { low, width, heights } => {
                    for (bin, height) in heights.iter().enumerate() {
                        let start = low + width * bin as f64;
                        let _ = writeln!(text, "{name},{start},{},{height}", start + width);
                    }
                }
                Shape::Bars(points) | Shape::Line(points) | Shape::Points(points) => {
                    for [x, y] in points {
                        let _ = writeln!(text, "{name},{x},,{y}");
                    }
                }
                Shape::Uprights(places) => {
                    for x in places {
                        let _ = writeln!(text, "{name},{x},,");
                    }
                }
                Shape::Named(bars) => {
                    for (of, y) in bars {
                        let y = if y.is_finite() { y.to_string() } else { String::new() };
                        let _ = writeln!(text, "{name},{},,{y}", quoted(of));
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

/// A field of CSV (RFC 4180).
pub(crate) fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
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
                Series {
                    name: "before".to_owned(),
                    color: Ink::Rgb([1, 2, 3]),
                    shape: Shape::Steps {
                        low: -1.0,
                        width: 0.5,
                        heights: vec![1.0, 99.0, 0.0, 2.0],
                    },
                },
                Series {
                    name: "line".to_owned(),
                    color: Ink::Rgb([255, 0, 0]),
                    shape: Shape::Line(vec![[-1.0, 1.0], [1.0, 9.0]]),
                },
                Series {
                    name: "grid".to_owned(),
                    color: Ink::Rgb([128, 128, 128]),
                    shape: Shape::Uprights(vec![-0.5, 0.5]),
                },
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
        figure.series = vec![Series {
            name: "plain".to_owned(),
            color: Ink::Rgb([255, 0, 0]),
            shape: Shape::Named(vec![("a, b".to_owned(), 1.5), ("c".to_owned(), 2.0)]),
        }];
        assert_eq!(figure.csv().lines().nth(1), Some("plain,\"a, b\",,1.5"));
        figure.series = vec![Series {
            name: "channel 7".to_owned(),
            color: Ink::Rgb([255, 0, 0]),
            shape: Shape::Column {
                x: 0.0,
                low: -1.0,
                width: 0.5,
                counts: vec![0, 3],
            },
        }];
        let csv = figure.csv();
        let lines: Vec<&str> = csv.lines().collect();
        assert!(lines[0].ends_with(",bin end,count"), "{}", lines[0]);
        assert_eq!(lines[2], "channel 7,-0.5,0,3");
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
