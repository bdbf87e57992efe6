//! A figure as SVG: axes with round marks, the series in their colours, a legend.

mod series;

use super::{Dashes, Figure, Ink, Scale, Series, Shape, number_marks, number_text};
use crate::report::html::escaped;
use crate::report::numbers::elide_middle;
use crate::report::palette::{LIGHT, hex};

/// Room left of the axes, right of them and below.
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const BOTTOM: f64 = 52.0;
/// Height of a line of the legend.
const LEGEND: f64 = 18.0;
/// Distance of the lines of a hatch.
const HATCH: f64 = 6.0;

/// Dashes as SVG writes them.
fn dash_array(dashes: Dashes) -> &'static str {
    match dashes {
        Dashes::ByPlace | Dashes::Solid => "",
        Dashes::DashedLoose => "9 5",
        Dashes::DashedDense => "5 3",
        Dashes::DottedLoose => "1.5 5",
        Dashes::DottedDense => "1.5 2.5",
    }
}

/// What the drawing is for.
struct Look {
    width: f64,
    height: f64,
    /// Room above the axes.
    top: f64,
    /// Stands in front of the names that the drawing defines, which must be unique in a page.
    id: String,
    title: bool,
    text: &'static str,
    rule: &'static str,
    axis: &'static str,
    /// A part of a page takes the page's colours.
    inline: bool,
}

impl Look {
    fn color(&self, ink: Ink) -> String {
        if self.inline { ink.css() } else { hex(ink.rgb(&LIGHT)) }
    }
}

impl Figure {
    /// The drawing as a file of its own, on white.
    pub fn svg(&self) -> String {
        let look = Look {
            width: 720.0,
            height: 440.0,
            top: 0.0,
            id: String::new(),
            title: true,
            text: "#000",
            rule: "#ddd",
            axis: "#333",
            inline: false,
        };
        self.drawing(look)
    }

    /// The drawing as a part of a page, in the page's type and without a title. The page defines the colours `--text`, `--rule`
    /// and `--axis`; `id` is unique in it.
    pub fn inline_svg(&self, id: &str, (width, height): (f64, f64)) -> String {
        let look = Look {
            width,
            height,
            top: 0.0,
            id: id.to_owned(),
            title: false,
            text: "var(--text)",
            rule: "var(--rule)",
            axis: "var(--axis)",
            inline: true,
        };
        self.drawing(look)
    }

    fn drawing(&self, mut look: Look) -> String {
        let legend = self.legend(&mut look);
        let (width, height) = (look.width, look.height);
        let mut text = if look.title {
            format!(
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
                 font-family=\"sans-serif\" font-size=\"12\" fill=\"{}\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
                 <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>\n",
                look.text,
                escaped(&self.title)
            )
        } else {
            format!(
                "<svg viewBox=\"0 0 {width} {height}\" font-size=\"12\" fill=\"{}\" role=\"img\" aria-label=\"{}\">\n",
                look.text,
                escaped(&self.title)
            )
        };
        self.hatches(&mut text, &look);
        text.push_str(&legend);
        self.axes(&mut text, &look);
        let (frame, top) = (format!("{}frame", look.id), look.top);
        push(
            &mut text,
            &format!(
                "<clipPath id=\"{frame}\"><rect x=\"{LEFT}\" y=\"{top}\" width=\"{}\" height=\"{}\"/></clipPath>\n<g clip-path=\"url(#{frame})\">",
                width - LEFT - RIGHT,
                height - top - BOTTOM
            ),
        );
        for (place, series) in self.series.iter().enumerate().filter(|(_, series)| !series.is_empty()) {
            self.draw(&mut text, &look, place, series);
        }
        push(&mut text, "</g>\n</svg>");
        text
    }

    /// The patterns of what is hatched.
    fn hatches(&self, text: &mut String, look: &Look) {
        for (place, series) in self.series.iter().enumerate() {
            if matches!(series.shape, Shape::Hatched { .. }) && !series.is_empty() {
                let (id, color) = (hatch_id(&look.id, place), look.color(series.color));
                push(
                    text,
                    &format!(
                        "<pattern id=\"{id}\" width=\"{HATCH}\" height=\"{HATCH}\" patternUnits=\"userSpaceOnUse\" \
                         patternTransform=\"rotate(45)\"><rect width=\"{HATCH}\" height=\"{HATCH}\" fill=\"{color}\" \
                         fill-opacity=\"0.35\"/><path d=\"M0 0V{HATCH}\" stroke=\"{color}\" stroke-width=\"2.5\"/></pattern>"
                    ),
                );
            }
        }
    }

    fn x(&self, look: &Look, x: f64) -> f64 {
        let (low, high) = self.x_range;
        LEFT + (x - low) / (high - low).max(f64::MIN_POSITIVE) * (look.width - LEFT - RIGHT)
    }

    fn y(&self, look: &Look, y: f64) -> f64 {
        let of = |y: f64| self.scale.height(y);
        let (low, high) = (of(self.y_range.0), of(self.y_range.1));
        look.height - BOTTOM - (of(y) - low) / (high - low).max(f64::MIN_POSITIVE) * (look.height - look.top - BOTTOM)
    }

    fn axes(&self, text: &mut String, look: &Look) {
        let (top, bottom, right) = (look.top, look.height - BOTTOM, look.width - RIGHT);
        let rule = look.rule;
        let x_step = (self.x_range.1 - self.x_range.0) / (right - LEFT) * 80.0;
        let named = self.series.iter().find_map(|series| match &series.shape {
            Shape::Named(bars) => Some(bars),
            _ => None,
        });
        for mark in number_marks(self.x_range, x_step) {
            if named.is_some() && (mark.value.fract() != 0.0 || mark.value < 0.0) {
                continue;
            }
            let x = self.x(look, mark.value);
            let named = named.and_then(|bars| bars.get(mark.value as usize));
            let number = named.map_or_else(|| number_text(mark), |(name, _)| escaped(&elide_middle(name, 14)));
            push(text, &format!("<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"{rule}\"/>"));
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
            Scale::Log => self.scale.marks(heights),
            Scale::Linear => number_marks(heights, (heights.1 - heights.0) / (bottom - top) * 40.0),
        };
        for mark in marks {
            let share = (mark.value - heights.0) / (heights.1 - heights.0).max(f64::MIN_POSITIVE);
            let y = bottom - share * (bottom - top);
            let number = match self.scale {
                Scale::Log => self.scale.mark_text(mark.value),
                Scale::Linear => number_text(mark),
            };
            push(text, &format!("<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"{rule}\"/>"));
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
                "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"{}\"/>",
                look.axis
            ),
        );
        let (middle, label) = ((LEFT + right) / 2.0, escaped(&self.x));
        push(
            text,
            &format!(
                "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                look.height - 12.0
            ),
        );
        let (middle, label) = ((top + bottom) / 2.0, escaped(&self.y));
        push(
            text,
            &format!("<text transform=\"translate(18 {middle}) rotate(-90)\" text-anchor=\"middle\">{label}</text>"),
        );
    }

    /// The legend in as many lines as it takes; leaves room for them above the axes.
    fn legend(&self, look: &mut Look) -> String {
        let mut text = String::new();
        let (mut x, mut y) = (LEFT, if look.title { 46.0 } else { 14.0 });
        let named = |series: &Series| {
            !matches!(
                series.shape,
                Shape::Column { .. } | Shape::Cells { .. } | Shape::Labels(_)
            ) && !series.is_empty()
        };
        for (place, series) in self.series.iter().enumerate().filter(|(_, series)| named(series)) {
            // A character of sans-serif type is on average little more than half as wide as it is high.
            let width = 34.0 + 6.6 * series.name.chars().count() as f64;
            if x + width > look.width && x > LEFT {
                (x, y) = (LEFT, y + LEGEND);
            }
            let color = look.color(series.color);
            let sign = match &series.shape {
                Shape::Line(_) => format!(
                    "<path d=\"M{x} {}h14\" stroke=\"{color}\" stroke-width=\"2\" stroke-dasharray=\"{}\"/>",
                    y - 4.0,
                    dash_array(series.look.dashes.at(place))
                ),
                Shape::Levels(_) => format!(
                    "<path d=\"M{x} {}h14\" stroke=\"{color}\" stroke-width=\"1\"/>",
                    y - 4.0
                ),
                Shape::Uprights(_)
                | Shape::Grid(_)
                | Shape::Ticks { .. }
                | Shape::Intervals(_)
                | Shape::Marks(_)
                | Shape::Spikes(_) => {
                    format!(
                        "<path d=\"M{} {}v12\" stroke=\"{color}\" stroke-width=\"2\"/>",
                        x + 6.0,
                        y - 10.0
                    )
                }
                Shape::Outline { .. } => format!(
                    "<rect x=\"{x}\" y=\"{}\" width=\"11\" height=\"10\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
                    y - 10.0
                ),
                Shape::Hatched { .. } => format!(
                    "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"url(#{})\"/>",
                    y - 11.0,
                    hatch_id(&look.id, place)
                ),
                Shape::Steps { .. }
                | Shape::Bars(_)
                | Shape::Points(_)
                | Shape::Outliers(_)
                | Shape::Named(_)
                | Shape::Column { .. }
                | Shape::Cells { .. }
                | Shape::Labels(_) => {
                    format!(
                        "<rect x=\"{x}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{color}\"/>",
                        y - 11.0
                    )
                }
            };
            push(&mut text, &sign);
            push(
                &mut text,
                &format!("<text x=\"{}\" y=\"{y}\">{}</text>", x + 18.0, escaped(&series.name)),
            );
            x += width;
        }
        look.top = y + 16.0;
        text
    }
}

fn hatch_id(page_id: &str, place: usize) -> String {
    format!("{page_id}hatch{place}")
}

fn push(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use crate::report::palette::Token;

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
    fn a_part_of_a_page_takes_the_pages_colours_and_names_of_its_own() {
        let mut figure = example();
        figure.series[0].color = Token::Original.into();
        let svg = figure.inline_svg("a", (560.0, 300.0));
        assert!(svg.contains("fill=\"var(--original)\"") && svg.contains("var(--rule)"));
        assert!(svg.contains("clipPath id=\"aframe\"") && svg.contains("url(#aframe)"));
        assert!(svg.contains("aria-label=\"weights of a/b &lt;1&gt;\"") && !svg.contains("xmlns"));
    }

    #[test]
    fn points_lie_where_the_axes_say() {
        let figure = example();
        let mut look = Look {
            width: 720.0,
            height: 440.0,
            top: 0.0,
            id: String::new(),
            title: true,
            text: "",
            rule: "",
            axis: "",
            inline: false,
        };
        figure.legend(&mut look);
        let (x, y) = (|x: f64| figure.x(&look, x), |y: f64| figure.y(&look, y));
        assert!((x(-1.0) - LEFT).abs() < 1e-9 && (x(1.0) - (look.width - RIGHT)).abs() < 1e-9);
        assert!((y(0.0) - (look.height - BOTTOM)).abs() < 1e-9 && (y(100.0) - look.top).abs() < 1e-9);
        // Logarithmic: 9 is half way from 0 to 99.
        assert!((y(9.0) - (y(0.0) + y(99.0)) / 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_legend_that_is_too_long_goes_on_below() {
        let mut figure = example();
        let series = figure.series[0].clone();
        figure.series = vec![series; 12];
        let svg = figure.inline_svg("a", (400.0, 300.0));
        assert!(svg.contains("y=\"32\">before</text>"), "a second line");
    }
}
