//! The series of a figure: lines, bars, bins, points and maps.

use super::{BOTTOM, DASHES, Look, push};
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

    pub(super) fn draw(&self, text: &mut String, look: &Look, place: usize, series: &Series) {
        let color = series.color;
        let base = self.y(look, 0.0_f64.max(self.y_range.0));
        let at = |[x, y]: &[f64; 2]| (self.x(look, *x), self.y(look, *y));
        let finite = |[x, y]: &&[f64; 2]| x.is_finite() && y.is_finite();
        match &series.shape {
            Shape::Steps { low, width, heights } => {
                let path = self.steps(look, *low, *width, heights);
                push(
                    text,
                    &format!("<path d=\"{path}\" fill=\"{color}\" fill-opacity=\"0.75\"/>"),
                );
            }
            Shape::Outline { low, width, heights } => {
                let path = self.steps(look, *low, *width, heights);
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
                let (places, dashes) = (places.join(" "), DASHES[place % DASHES.len()]);
                push(
                    text,
                    &format!(
                        "<polyline points=\"{places}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\" stroke-dasharray=\"{dashes}\"/>"
                    ),
                );
            }
            Shape::Points(points) => {
                for (x, y) in points.iter().filter(finite).map(at) {
                    push(
                        text,
                        &format!("<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"3\" fill=\"{color}\"/>"),
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
            Shape::Uprights(places) => {
                for x in places.iter().filter(|x| x.is_finite()) {
                    let x = self.x(look, *x);
                    push(
                        text,
                        &format!(
                            "<path d=\"M{x:.2} {}V{}\" stroke=\"{color}\"/>",
                            look.top,
                            look.height - BOTTOM
                        ),
                    );
                }
            }
        }
    }

    /// The outline of equal bins, from the base and back to it.
    fn steps(&self, look: &Look, low: f64, width: f64, heights: &[f64]) -> String {
        let base = self.y(look, 0.0_f64.max(self.y_range.0));
        let mut path = format!("M{:.2} {base:.2}", self.x(look, low));
        for (bin, height) in heights.iter().enumerate() {
            let end = self.x(look, low + width * (bin + 1) as f64);
            // Writing into a string cannot fail.
            let _ = write!(path, "V{:.2}H{end:.2}", self.y(look, *height));
        }
        format!("{path}V{base:.2}Z")
    }
}
