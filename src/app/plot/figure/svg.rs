//! A figure as SVG: axes with round marks, the series in their colours, a legend.

use super::super::{Scale, number_marks, number_text};
use super::{Figure, Series, Shape};
use crate::app::text;
use egui::Color32;
use egui_plot::GridInput;
use std::fmt::Write as _;

/// Size of the drawing, and where the axes lie in it.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 440.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = 52.0;

impl Figure {
    /// The drawing, on white.
    pub(in crate::app) fn svg(&self) -> String {
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
        );
        let title = escaped(&self.title);
        push(
            &mut text,
            &format!("<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{title}</text>"),
        );
        self.legend(&mut text);
        self.axes(&mut text);
        push(
            &mut text,
            &format!(
                "<clipPath id=\"frame\"><rect x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{}\"/></clipPath>\n<g clip-path=\"url(#frame)\">",
                WIDTH - LEFT - RIGHT,
                HEIGHT - TOP - BOTTOM
            ),
        );
        for series in &self.series {
            self.draw(&mut text, series);
        }
        push(&mut text, "</g>\n</svg>");
        text
    }

    fn x(&self, x: f64) -> f64 {
        let (low, high) = self.x_range;
        LEFT + (x - low) / (high - low).max(f64::MIN_POSITIVE) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, y: f64) -> f64 {
        let of = |y: f64| self.scale.height(y);
        let (low, high) = (of(self.y_range.0), of(self.y_range.1));
        HEIGHT - BOTTOM - (of(y) - low) / (high - low).max(f64::MIN_POSITIVE) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, text: &mut String) {
        let input = |(low, high): (f64, f64), length: f64| GridInput {
            bounds: (low, high),
            base_step_size: (high - low) / length * 8.0,
        };
        let bottom = HEIGHT - BOTTOM;
        let named = self.series.iter().find_map(|series| match &series.shape {
            Shape::Named(bars) => Some(bars),
            _ => None,
        });
        for mark in number_marks(&input(self.x_range, WIDTH - LEFT - RIGHT), 80.0) {
            if named.is_some() && (mark.value.fract() != 0.0 || mark.value < 0.0) {
                continue;
            }
            let x = self.x(mark.value);
            push(text, &format!("<path d=\"M{x:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/>"));
            let named = named.and_then(|bars| bars.get(mark.value as usize));
            let number = named.map_or_else(
                || number_text(&mark),
                |(name, _)| escaped(&text::elide_middle(name, 14)),
            );
            push(
                text,
                &format!(
                    "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{number}</text>",
                    bottom + 16.0
                ),
            );
        }
        let heights = (self.scale.height(self.y_range.0), self.scale.height(self.y_range.1));
        let marks = match self.scale {
            Scale::Log => self.scale.marks(&input(heights, HEIGHT - TOP - BOTTOM)),
            Scale::Linear => number_marks(&input(heights, HEIGHT - TOP - BOTTOM), 40.0),
        };
        for mark in marks {
            let share = (mark.value - heights.0) / (heights.1 - heights.0).max(f64::MIN_POSITIVE);
            let y = bottom - share * (HEIGHT - TOP - BOTTOM);
            let number = match self.scale {
                Scale::Log => self.scale.mark_text(mark.value),
                Scale::Linear => number_text(&mark),
            };
            push(
                text,
                &format!("<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#ddd\"/>", WIDTH - RIGHT),
            );
            push(
                text,
                &format!(
                    "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{number}</text>",
                    LEFT - 6.0,
                    y + 4.0
                ),
            );
        }
        push(
            text,
            &format!(
                "<path d=\"M{LEFT} {TOP}V{bottom}H{}\" fill=\"none\" stroke=\"#333\"/>",
                WIDTH - RIGHT
            ),
        );
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        let label = escaped(&self.x);
        push(
            text,
            &format!(
                "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                HEIGHT - 12.0
            ),
        );
        let (middle, label) = ((TOP + bottom) / 2.0, escaped(&self.y));
        push(
            text,
            &format!("<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"),
        );
    }

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

    fn legend(&self, text: &mut String) {
        let mut x = LEFT;
        let columns = |series: &&Series| matches!(series.shape, Shape::Column { .. });
        for series in self.series.iter().filter(|series| !columns(series)) {
            let (color, name) = (hex(series.color), escaped(&series.name));
            push(
                text,
                &format!("<rect x=\"{x}\" y=\"36\" width=\"10\" height=\"10\" fill=\"{color}\"/>"),
            );
            push(text, &format!("<text x=\"{}\" y=\"46\">{name}</text>", x + 15.0));
            x += 34.0 + 6.6 * series.name.chars().count() as f64;
        }
    }

    fn draw(&self, text: &mut String, series: &Series) {
        let color = hex(series.color);
        let base = self.y(0.0_f64.max(self.y_range.0));
        match &series.shape {
            Shape::Steps { low, width, heights } => {
                let mut path = format!("M{:.2} {base:.2}", self.x(*low));
                for (bin, height) in heights.iter().enumerate() {
                    let end = self.x(low + width * (bin + 1) as f64);
                    let _ = write!(path, "V{:.2}H{end:.2}", self.y(*height));
                }
                push(
                    text,
                    &format!("<path d=\"{path}V{base:.2}Z\" fill=\"{color}\" fill-opacity=\"0.75\"/>"),
                );
            }
            Shape::Bars(points) => {
                for [x, y] in points {
                    let (left, right, top) = (self.x(x - 0.43), self.x(x + 0.43), self.y(*y));
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
                let places = points.iter().filter(|[x, y]| x.is_finite() && y.is_finite());
                let places: Vec<String> = places
                    .map(|[x, y]| format!("{:.2},{:.2}", self.x(*x), self.y(*y)))
                    .collect();
                let places = places.join(" ");
                push(
                    text,
                    &format!("<polyline points=\"{places}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.8\"/>"),
                );
            }
            Shape::Points(points) => {
                let places = points.iter().filter(|[x, y]| x.is_finite() && y.is_finite());
                for [x, y] in places {
                    let (x, y) = (self.x(*x), self.y(*y));
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
                    let (left, right, top) = (self.x(left), self.x(left + width), self.y(*y));
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
                let (left, right) = (self.x(x - 0.5), self.x(x + 0.5));
                let most = f64::from(self.most_of_a_map()).ln_1p().max(1e-9);
                for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
                    let foot = low + width * bin as f64;
                    let (bottom, top) = (self.y(foot), self.y(foot + width));
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
                for x in places {
                    let x = self.x(*x);
                    push(
                        text,
                        &format!("<path d=\"M{x:.2} {TOP}V{}\" stroke=\"{color}\"/>", HEIGHT - BOTTOM),
                    );
                }
            }
        }
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

fn hex(color: Color32) -> String {
    format!("#{:02x}{:02x}{:02x}", color.r(), color.g(), color.b())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn a_drawing_holds_axes_series_and_no_raw_text() {
        let svg = example().svg();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("weights of a/b &lt;1&gt;") && !svg.contains("<1>"));
        assert!(svg.contains("#010203") && svg.contains(">100</text>") && svg.contains(">−0.5</text>"));
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        let opened = svg.matches("<text").count();
        assert_eq!(opened, svg.matches("</text>").count());
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        let figure = example();
        assert!((figure.x(-1.0) - LEFT).abs() < 1e-9 && (figure.x(1.0) - (WIDTH - RIGHT)).abs() < 1e-9);
        assert!((figure.y(0.0) - (HEIGHT - BOTTOM)).abs() < 1e-9 && (figure.y(100.0) - TOP).abs() < 1e-9);
        // Logarithmic: 9 is half way from 0 to 99.
        let half = (figure.y(0.0) + figure.y(99.0)) / 2.0;
        assert!((figure.y(9.0) - half).abs() < 1e-9);
    }
}
