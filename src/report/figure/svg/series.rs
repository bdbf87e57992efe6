//! The series of a figure: lines, bars, bins, points and maps.

use super::{BOTTOM, Look, dash_array, hatch_id, push};
use crate::report::figure::{Figure, Series, Shape};
use crate::report::html::escaped;
use std::fmt::Write as _;

impl Figure {
    /// Which of the series with names this one is, and of how many: their bars stand side by side.
    fn place_among_named(&self, series: &Series) -> (usize, usize) {
        let named = || {
            let all = self.series.iter();
            all.filter(|series| matches!(series.shape, Shape::Named(_)))
        };
        let place = named().position(|other| std::ptr::eq(other, series));
        (place.unwrap_or(0), named().count().max(1))
    }

    /// The greatest count of a map.
    fn most_of_a_map(&self) -> u32 {
        let counts = self.series.iter().filter_map(|series| match &series.shape {
            Shape::Column { counts, .. } => counts.iter().copied().max(),
            _ => None,
        });
        counts.max().unwrap_or(0)
    }

    /// The greatest value of a map of cells.
    fn most_of_the_cells(&self) -> f64 {
        let values = self.series.iter().flat_map(|series| match &series.shape {
            Shape::Cells { values, .. } => values.as_slice(),
            _ => &[],
        });
        values.copied().fold(f64::MIN_POSITIVE, f64::max)
    }

    pub(super) fn draw(&self, text: &mut String, look: &Look, place: usize, series: &Series) {
        let color = look.color(series.color);
        let opacity = |usual: f32| series.look.opacity.unwrap_or(usual);
        let wide = |usual: f32| series.look.width.unwrap_or(usual);
        let dashes = dash_array(series.look.dashes.at(place));
        // Of lines that stand by themselves the place says nothing.
        let own_dashes = dash_array(series.look.dashes);
        let base = self.y(look, 0.0_f64.max(self.y_range.0));
        let at = |[x, y]: &[f64; 2]| (self.x(look, *x), self.y(look, *y));
        let finite = |[x, y]: &&[f64; 2]| x.is_finite() && y.is_finite();
        match &series.shape {
            Shape::Steps {
                low,
                width,
                heights,
                below,
            } => {
                let path = self.steps(look, *low, *width, heights, below);
                let opacity = opacity(0.75);
                push(
                    text,
                    &format!("<path d=\"{path}\" fill=\"{color}\" fill-opacity=\"{opacity}\"/>"),
                );
            }
            Shape::Hatched { low, width, heights } => {
                let path = self.steps(look, *low, *width, heights, &[]);
                let hatch = hatch_id(&look.id, place);
                push(text, &format!("<path d=\"{path}\" fill=\"url(#{hatch})\"/>"));
            }
            Shape::Outline { low, width, heights } => {
                let path = self.steps(look, *low, *width, heights, &[]);
                push(
                    text,
                    &format!("<path d=\"{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>"),
                );
            }
            Shape::Bars(points) => {
                for [x, y] in points {
                    let (left, right, top) = (self.x(look, x - 0.43), self.x(look, x + 0.43), self.y(look, *y));
                    let (width, height) = (right - left, (base - top).max(0.0));
                    push(
                        text,
                        &format!(
                            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{color}\" fill-opacity=\"0.8\"/>"
                        ),
                    );
                }
            }
            Shape::Line(points) => {
                let places = points.iter().filter(finite).map(at);
                let places: Vec<String> = places.map(|(x, y)| format!("{x:.2},{y:.2}")).collect();
                let (places, width, opacity) = (places.join(" "), wide(1.8), opacity(1.0));
                push(
                    text,
                    &format!(
                        "<polyline points=\"{places}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" \
                         stroke-opacity=\"{opacity}\" stroke-dasharray=\"{dashes}\"/>"
                    ),
                );
            }
            Shape::Points(points) => {
                for (x, y) in points.iter().filter(finite).map(at) {
                    let (radius, opacity) = (wide(3.0), opacity(1.0));
                    let paint = if series.look.hollow {
                        format!("fill=\"none\" stroke=\"{color}\"")
                    } else {
                        format!("fill=\"{color}\" fill-opacity=\"{opacity}\"")
                    };
                    push(
                        text,
                        &format!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"{radius}\" {paint}/>"),
                    );
                }
            }
            Shape::Named(bars) => {
                let (place, of) = self.place_among_named(series);
                let width = 0.86 / of as f64;
                for (index, (name, y)) in bars.iter().enumerate().filter(|(_, (_, y))| y.is_finite()) {
                    let left = index as f64 - 0.43 + width * place as f64;
                    let (left, right, top) = (self.x(look, left), self.x(look, left + width), self.y(look, *y));
                    let (wide, high, name) = (right - left, (base - top).max(0.0), escaped(name));
                    push(
                        text,
                        &format!(
                            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{wide:.2}\" height=\"{high:.2}\" fill=\"{color}\"><title>{name}</title></rect>"
                        ),
                    );
                }
            }
            Shape::Cells { x, low, width, values } => {
                let (left, right) = (self.x(look, x - 0.5), self.x(look, x + 0.5));
                let most = self.most_of_the_cells();
                for (cell, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                    let foot = low + width * cell as f64;
                    let (bottom, top) = (self.y(look, foot), self.y(look, foot + width));
                    let strength = (value / most).min(1.0).sqrt();
                    push(
                        text,
                        &format!(
                            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{color}\" fill-opacity=\"{strength:.2}\"/>",
                            right - left,
                            bottom - top
                        ),
                    );
                }
            }
            Shape::Column { x, low, width, counts } => {
                let (left, right) = (self.x(look, x - 0.5), self.x(look, x + 0.5));
                let most = f64::from(self.most_of_a_map()).ln_1p().max(1e-9);
                for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                    let foot = low + width * bin as f64;
                    let (bottom, top) = (self.y(look, foot), self.y(look, foot + width));
                    let strength = 0.25 + 0.75 * f64::from(*count).ln_1p() / most;
                    push(
                        text,
                        &format!(
                            "<rect x=\"{left:.2}\" y=\"{top:.2}\" width=\"{:.2}\" height=\"{:.2}\" fill=\"{color}\" fill-opacity=\"{strength:.2}\"/>",
                            right - left,
                            bottom - top
                        ),
                    );
                }
            }
            Shape::Spikes(points) => {
                for (x, y) in points.iter().filter(finite).map(at) {
                    let high = (base - y).max(0.0);
                    push(
                        text,
                        &format!(
                            "<rect x=\"{:.2}\" y=\"{y:.2}\" width=\"5\" height=\"{high:.2}\" fill=\"{color}\"/>",
                            x - 2.5
                        ),
                    );
                }
            }
            Shape::Uprights(places) => {
                let (width, opacity) = (wide(1.0), opacity(1.0));
                let line = format!(
                    "stroke=\"{color}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" stroke-dasharray=\"{own_dashes}\""
                );
                for x in places.iter().filter(|x| x.is_finite()) {
                    self.upright(text, look, *x, &line);
                }
            }
            Shape::Levels(places) => {
                let (width, opacity) = (wide(1.0), opacity(1.0));
                for y in places.iter().filter(|y| y.is_finite()) {
                    let (y, right) = (self.y(look, *y), look.width - super::RIGHT);
                    push(
                        text,
                        &format!(
                            "<path d=\"M{} {y:.2}H{right}\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\" \
                             stroke-dasharray=\"{own_dashes}\"/>",
                            super::LEFT
                        ),
                    );
                }
            }
            Shape::Ticks { places, ends } => {
                let (width, from, to) = (wide(1.0), self.y(look, ends.0), self.y(look, ends.1));
                for x in places.iter().filter(|x| x.is_finite()) {
                    let x = self.x(look, *x);
                    push(
                        text,
                        &format!("<path d=\"M{x:.2} {from:.2}V{to:.2}\" stroke=\"{color}\" stroke-width=\"{width}\"/>"),
                    );
                }
            }
            Shape::Intervals(intervals) => {
                let (width, opacity) = (wide(1.0), opacity(1.0));
                let finite =
                    |(x, [low, high]): &&(f64, [f64; 2])| [x, low, high].iter().all(|number| number.is_finite());
                for (x, [low, high]) in intervals.iter().filter(finite) {
                    let (x, from, to) = (self.x(look, *x), self.y(look, *low), self.y(look, *high));
                    push(
                        text,
                        &format!(
                            "<path d=\"M{x:.2} {from:.2}V{to:.2}\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-opacity=\"{opacity}\"/>"
                        ),
                    );
                }
            }
            Shape::Grid(values) => self.grid(text, look, values, &color),
            Shape::Outliers(outliers) => {
                for (place, outlier) in outliers.iter().enumerate() {
                    let (x, y) = at(&outlier.place);
                    let (ring, label) = (look.color(outlier.ring), escaped(&outlier.label));
                    // Neighbours may stand close together: each has a line of its own.
                    let line = y - 12.0 - 12.0 * (place % 4) as f64;
                    push(
                        text,
                        &format!(
                            "<circle cx=\"{x:.2}\" cy=\"{:.2}\" r=\"4\" fill=\"{color}\" stroke=\"{ring}\" stroke-width=\"1.5\"/>\
                             <text x=\"{x:.2}\" y=\"{line:.2}\" font-size=\"11\" text-anchor=\"middle\">{label}</text>",
                            y - 5.0
                        ),
                    );
                }
            }
            Shape::Labels(labels) => {
                for ([x, y], label) in labels.iter().filter(|([x, y], _)| x.is_finite() && y.is_finite()) {
                    let (x, y, label) = (self.x(look, *x), self.y(look, *y) - 3.0, escaped(label));
                    push(
                        text,
                        &format!(
                            "<text x=\"{x:.2}\" y=\"{y:.2}\" font-size=\"11\" text-anchor=\"middle\" fill=\"{color}\">{label}</text>"
                        ),
                    );
                }
            }
            Shape::Marks(marks) => {
                for (name, x) in marks.iter().filter(|(_, x)| x.is_finite()) {
                    self.upright(text, look, *x, &format!("stroke=\"{color}\" stroke-opacity=\"0.4\""));
                    let (x, name) = (self.x(look, *x), escaped(name));
                    push(
                        text,
                        &format!(
                            "<text transform=\"translate({:.2} {:.2}) rotate(90)\" font-size=\"10\">{name}</text>",
                            x + 3.0,
                            look.top + 4.0
                        ),
                    );
                }
            }
        }
    }

    fn upright(&self, text: &mut String, look: &Look, x: f64, line: &str) {
        let (x, top, bottom) = (self.x(look, x), look.top, look.height - BOTTOM);
        push(text, &format!("<path d=\"M{x:.2} {top}V{bottom}\" {line}/>"));
    }

    /// The values of a grid: weaker where they run together, with a mark at the foot of each where there is room for it.
    fn grid(&self, text: &mut String, look: &Look, values: &[f64], color: &str) {
        let distance = match values {
            [first, second, ..] => (self.x(look, *second) - self.x(look, *first)).abs(),
            _ => f64::INFINITY,
        };
        let opacity = if distance < 3.0 { 0.25 } else { 0.8 };
        let foot = look.height - BOTTOM;
        for x in values.iter().filter(|x| x.is_finite()) {
            self.upright(
                text,
                look,
                *x,
                &format!("stroke=\"{color}\" stroke-opacity=\"{opacity}\""),
            );
            if distance >= 10.0 {
                let x = self.x(look, *x);
                push(
                    text,
                    &format!("<path d=\"M{:.2} {foot}h8l-4 -7z\" fill=\"{}\"/>", x - 4.0, look.axis),
                );
            }
        }
    }

    /// The outline of equal bins: along their upper ends, and back along the lower ones. A bin without a number has no height.
    fn steps(&self, look: &Look, low: f64, width: f64, heights: &[f64], below: &[f64]) -> String {
        let base = 0.0_f64.max(self.y_range.0);
        let lower = |bin: usize| below.get(bin).copied().unwrap_or(base);
        let upper = |bin: usize| {
            heights
                .get(bin)
                .copied()
                .filter(|y| y.is_finite())
                .unwrap_or_else(|| lower(bin))
        };
        let left = |bin: usize| self.x(look, low + width * bin as f64);
        let mut path = format!("M{:.2} {:.2}", left(0), self.y(look, lower(0)));
        // Writing into a string cannot fail.
        for bin in 0..heights.len() {
            let _ = write!(path, "V{:.2}H{:.2}", self.y(look, upper(bin)), left(bin + 1));
        }
        if below.is_empty() {
            let _ = write!(path, "V{:.2}", self.y(look, base));
        } else {
            for bin in (0..heights.len()).rev() {
                let _ = write!(path, "V{:.2}H{:.2}", self.y(look, lower(bin)), left(bin));
            }
        }
        path + "Z"
    }
}
