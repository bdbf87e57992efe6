//! Draws a [`Figure`] as a plot of the window: what the file holds is what was drawn.
//!
//! [`draw`] goes into the plot, [`draw_over`] over it once its place on the screen is known (hatches and spikes are measured
//! in points). Marks are controls, which their view draws.

use super::figure::{Dashes, Figure, Outlier, Series, Shape};
use super::{hatch_rect, text};
use crate::app::theme::{Tokens, faded, thin, tokens, tokens_of};
use egui::{Align2, Color32, Pos2, Rect, RichText, Stroke, TextStyle, Ui, Vec2, pos2};
use egui_plot::{
    Bar, BarChart, FilledArea, HLine, Line, LineStyle, MarkerShape, PlotBounds, PlotPoint, PlotPoints, PlotTransform,
    PlotUi, Points, Text, VLine,
};

/// Grid values closer than that many points are drawn weaker.
const MIN_TICK_DISTANCE: f32 = 3.0;
/// Closer than that, they have no marks at their feet.
const MIN_MARK_DISTANCE: f32 = 10.0;
/// Width of a spike, and room that its count needs, points.
const SPIKE: f32 = 5.0;
const COUNT_WIDTH: f32 = 38.0;

/// Sets what is in sight and draws the series in their order.
pub(in crate::app) fn draw(plot: &mut PlotUi<'_>, figure: &Figure) {
    let colors = tokens_of(plot.ctx().global_style().visuals.dark_mode);
    let scale = figure.scale;
    let (low, high) = (scale.height(figure.y_range.0), scale.height(figure.y_range.1));
    plot.set_plot_bounds(PlotBounds::from_min_max(
        [figure.x_range.0, low],
        [figure.x_range.1, high],
    ));
    for (place, series) in figure.series.iter().enumerate() {
        draw_series(plot, figure, place, series, colors);
    }
}

fn draw_series(plot: &mut PlotUi<'_>, figure: &Figure, place: usize, series: &Series, colors: &Tokens) {
    let color = color(series, colors);
    let name = series.name.as_str();
    let width = |usual: f32| series.look.width.unwrap_or(usual);
    let height = |y: f64| figure.scale.height(y);
    let scaled = |points: &[[f64; 2]]| -> Vec<[f64; 2]> { points.iter().map(|[x, y]| [*x, height(*y)]).collect() };
    match &series.shape {
        Shape::Steps {
            low,
            width,
            heights,
            below,
        } => {
            if series.is_empty() {
                return;
            }
            let mut xs = Vec::with_capacity(heights.len() * 2);
            let (mut bottoms, mut tops) = (xs.clone(), xs.clone());
            for (bin, top) in heights.iter().enumerate() {
                let left = low + width * bin as f64;
                let bottom = below.get(bin).copied().unwrap_or(0.0);
                let top = if top.is_finite() { *top } else { bottom };
                xs.extend([left, left + width]);
                bottoms.extend([height(bottom); 2]);
                tops.extend([height(top); 2]);
            }
            // One shape, not a bar a bin: adjacent thin bars show stripes.
            let area = FilledArea::new(name, &xs, &bottoms, &tops).fill_color(color);
            plot.add(area.allow_hover(false));
        }
        Shape::Bars(points) => {
            let bar = |[x, y]: &[f64; 2]| Bar::new(*x, height(*y)).width(0.86).fill(color).stroke(Stroke::NONE);
            let bars = points.iter().map(bar).collect();
            plot.bar_chart(BarChart::new(name, bars).color(color).allow_hover(false));
        }
        Shape::Line(points) => {
            // As bands, steps within a pixel are filled up to the next point.
            let line = Line::new(name, PlotPoints::from(scaled(points)))
                .color(color)
                .allow_band(false);
            let style = line_style(series.look.dashes.at(place));
            plot.line(line.width(width(1.5)).style(style).allow_hover(false));
        }
        Shape::Points(points) => {
            let dots = Points::new(name, scaled(points)).filled(!series.look.hollow);
            plot.points(dots.radius(width(3.0)).color(color).allow_hover(false));
        }
        Shape::Uprights(places) => {
            for x in places {
                let line = VLine::new(name, *x).color(color).width(width(1.0));
                plot.vline(line.style(line_style(series.look.dashes)).allow_hover(false));
            }
        }
        Shape::Levels(places) => {
            for y in places {
                let line = HLine::new(name, height(*y)).color(color).width(width(1.0));
                plot.hline(line.style(line_style(series.look.dashes)).allow_hover(false));
            }
        }
        Shape::Grid(values) => draw_grid(plot, values, color, colors.handle),
        Shape::Ticks { places, ends } => {
            for x in places {
                let tick = vec![[*x, height(ends.0)], [*x, height(ends.1)]];
                plot.line(Line::new(name, tick).color(color).width(width(1.0)).allow_hover(false));
            }
        }
        Shape::Intervals(intervals) => {
            for (x, [low, high]) in intervals {
                let line = vec![[*x, height(*low)], [*x, height(*high)]];
                plot.line(Line::new(name, line).color(color).width(width(1.0)).allow_hover(false));
            }
        }
        Shape::Labels(labels) => {
            for ([x, y], label) in labels {
                let label = RichText::new(label).small().strong();
                let at = PlotPoint::new(*x, height(*y));
                let label = Text::new(name, at, label).color(color).anchor(Align2::CENTER_BOTTOM);
                plot.text(label.allow_hover(false));
            }
        }
        Shape::Hatched { .. }
        | Shape::Outliers(_)
        | Shape::Spikes(_)
        | Shape::Outline { .. }
        | Shape::Marks(_)
        | Shape::Named(_)
        | Shape::Column { .. }
        | Shape::Cells { .. } => {}
    }
}

/// One thin line a grid value with a `mark` at its foot, unless they would run together.
fn draw_grid(plot: &mut PlotUi<'_>, values: &[f64], color: Color32, mark: Color32) {
    let at = |x: f64| plot.screen_from_plot(PlotPoint::new(x, 0.0)).x;
    let distance = match values {
        [first, second, ..] => (at(*second) - at(*first)).abs(),
        _ => f32::INFINITY,
    };
    let strength = if distance < MIN_TICK_DISTANCE { 0.25 } else { 0.8 };
    let bounds = plot.plot_bounds();
    let (foot, height) = (bounds.min()[1], bounds.height());
    for value in values {
        let line = VLine::new("grid", *value).stroke(thin(faded(color, strength)));
        plot.vline(line.allow_hover(false));
    }
    if distance < MIN_MARK_DISTANCE {
        return;
    }
    // What is a value of the grid and not a line of the plot.
    let marks: Vec<[f64; 2]> = values.iter().map(|value| [*value, foot + height * 0.012]).collect();
    let marks = Points::new("values of the grid", marks).shape(MarkerShape::Up);
    plot.points(marks.radius(4.5).color(mark).allow_hover(false));
}

/// Draws what lies over the plot. No label of it is put where `taken` says that others are.
pub(in crate::app) fn draw_over(ui: &Ui, transform: &PlotTransform, figure: &Figure, taken: &[Rect]) {
    let colors = tokens(ui);
    let painter = ui.painter().with_clip_rect(*transform.frame());
    let height = |y: f64| figure.scale.height(y);
    let at = |x: f64, y: f64| transform.position_from_point(&PlotPoint::new(x, y));
    for series in &figure.series {
        let color = color(series, colors);
        match &series.shape {
            Shape::Hatched { low, width, heights } => {
                for (bin, count) in heights.iter().enumerate().filter(|(_, count)| **count > 0.0) {
                    let left = low + width * bin as f64;
                    let rect = Rect::from_two_pos(at(left, height(*count)), at(left + width, 0.0));
                    hatch_rect(&painter, rect, color);
                }
            }
            Shape::Outline { low, width, heights } => {
                // Not as a line of the plot, which leaves out points that lie near to each other.
                let corner = |(bin, count): (usize, &f64)| {
                    let left = low + width * bin as f64;
                    [at(left, height(*count)), at(left + width, height(*count))]
                };
                let points: Vec<_> = heights.iter().enumerate().flat_map(corner).collect();
                painter.line(points, Stroke::new(series.look.width.unwrap_or(1.5), color));
            }
            Shape::Spikes(points) => {
                let distance = match points.as_slice() {
                    [[first, _], [second, _], ..] => (at(*second, 0.0).x - at(*first, 0.0).x).abs(),
                    _ => f32::INFINITY,
                };
                let half = SPIKE.min(distance * 0.5).max(1.0) / 2.0;
                let font = TextStyle::Small.resolve(ui.style());
                let foot = at(0.0, 0.0).y;
                for [x, count] in points.iter().filter(|[_, count]| *count > 0.0) {
                    let top = at(*x, height(*count));
                    let rect = Rect::from_min_max(pos2(top.x - half, top.y), pos2(top.x + half, foot));
                    painter.rect_filled(rect, 1.0, color);
                    if distance > COUNT_WIDTH {
                        let place = pos2(top.x, top.y - 2.0);
                        let ink = ui.visuals().text_color();
                        let label = text::short_count(*count as u64);
                        painter.text(place, Align2::CENTER_BOTTOM, label, font.clone(), ink);
                    }
                }
            }
            Shape::Outliers(outliers) => draw_outliers(ui, transform, figure, (outliers, color), taken),
            _ => {}
        }
    }
}

/// Radius of the dot of an outlier, points: seen at once, however large the plot.
const OUTLIER: f32 = 4.0;

/// A dot above the bar of each outlier, with its label where nothing else is written. The first, which is the farthest, always
/// has one; another that finds no room has only its dot.
fn draw_outliers(
    ui: &Ui,
    transform: &PlotTransform,
    figure: &Figure,
    (outliers, color): (&[Outlier], Color32),
    taken: &[Rect],
) {
    let colors = tokens(ui);
    let frame = *transform.frame();
    let painter = ui.painter().with_clip_rect(frame);
    let font = TextStyle::Small.resolve(ui.style());
    let ink = ui.visuals().strong_text_color();
    let mut taken = taken.to_vec();
    let mut labels: Vec<(Rect, std::sync::Arc<egui::Galley>)> = Vec::new();
    for outlier in outliers {
        let [x, y] = outlier.place;
        let at = transform.position_from_point(&PlotPoint::new(x, figure.scale.height(y)));
        if !frame.x_range().contains(at.x) {
            continue;
        }
        let dot = pos2(at.x, (at.y - OUTLIER - 2.0).max(frame.min.y + OUTLIER));
        let label = painter.layout_no_wrap(outlier.label.clone(), font.clone(), ink);
        let free = free_place(dot, label.size(), frame, &taken);
        let place = free.or_else(|| labels.is_empty().then(|| place_above(dot, label.size(), frame)));
        if let Some(place) = place {
            painter.line_segment([dot, place.clamp(dot)], thin(faded(ink, 0.5)));
            taken.push(place);
            labels.push((place, label));
        }
        painter.circle(dot, OUTLIER, color, Stroke::new(1.5, colors.ink(outlier.ring)));
    }
    // Over all dots and the lines that lead to them.
    for (place, label) in labels {
        painter.rect_filled(place, 2.0, faded(ui.visuals().panel_fill, 0.85));
        painter.galley(place.min, label, ink);
    }
}

/// Right above a dot and within `frame`, whatever else is there.
fn place_above(dot: Pos2, size: Vec2, frame: Rect) -> Rect {
    let room = frame.shrink(2.0);
    let left = (dot.x - size.x / 2.0).min(room.max.x - size.x).max(room.min.x);
    let top = (dot.y - OUTLIER - 2.0 - size.y).max(room.min.y);
    Rect::from_min_size(pos2(left, top), size)
}

/// Where the label of a dot goes: as near above it as nothing is `taken`, else beside it and down from there; nowhere if all of
/// `frame` is full.
fn free_place(dot: Pos2, size: Vec2, frame: Rect, taken: &[Rect]) -> Option<Rect> {
    let room = frame.shrink(2.0);
    let [above, right, left] = [
        place_above(dot, size, frame).min.x,
        dot.x + OUTLIER + 3.0,
        dot.x - OUTLIER - 3.0 - size.x,
    ];
    let first = dot.y - OUTLIER - 2.0 - size.y;
    let rows = (frame.height() / size.y.max(1.0)) as usize;
    let up = (0..rows).map(|row| pos2(above, first - row as f32 * size.y));
    let down = (0..rows).flat_map(|row| [right, left].map(|x| pos2(x, dot.y - size.y / 2.0 + row as f32 * size.y)));
    let mut places = up.chain(down).map(|corner| Rect::from_min_size(corner, size));
    places.find(|place| {
        // A label above the frame would be cut.
        room.expand(0.5).contains_rect(*place) && !taken.iter().any(|other| other.expand(1.0).intersects(*place))
    })
}

fn color(series: &Series, colors: &Tokens) -> Color32 {
    let color = colors.ink(series.color);
    series.look.opacity.map_or(color, |opacity| faded(color, opacity))
}

fn line_style(dashes: Dashes) -> LineStyle {
    match dashes {
        Dashes::ByPlace | Dashes::Solid => LineStyle::Solid,
        Dashes::DashedLoose => LineStyle::dashed_loose(),
        Dashes::DashedDense => LineStyle::dashed_dense(),
        Dashes::DottedLoose => LineStyle::dotted_loose(),
        Dashes::DottedDense => LineStyle::dotted_dense(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::vec2;

    /// As bands, which egui_plot makes of solid lines with several points in a pixel, a step up is filled up to the next point.
    #[test]
    fn a_line_with_a_step_is_a_line() {
        let ctx = egui::Context::default();
        crate::app::theme::install(&ctx);
        let input = egui::RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(400.0, 300.0))),
            ..egui::RawInput::default()
        };
        let line = vec![[0.1, 0.1], [0.1, 0.6], [0.5, 0.6], [0.5, 0.9], [0.9, 0.95]];
        let figure = Figure {
            title: "steps".to_owned(),
            x: "bytes".to_owned(),
            y: "top-1".to_owned(),
            x_range: (0.0, 1.0),
            y_range: (0.0, 1.0),
            scale: crate::app::plot::Scale::Linear,
            series: vec![
                Series::new("front", crate::app::plot::Token::Quantized, Shape::Line(line.clone()))
                    .dashes(Dashes::Solid),
            ],
        };
        let output = ctx.run_ui(input, |ui| {
            egui_plot::Plot::new("steps").show(ui, |plot| draw(plot, &figure));
        });
        let shapes = || output.shapes.iter().map(|clipped| &clipped.shape);
        assert!(!shapes().any(|shape| matches!(shape, egui::Shape::Band(_))));
        assert!(shapes().any(|shape| matches!(shape, egui::Shape::Path(path) if path.points.len() == line.len())));
    }

    #[test]
    fn labels_of_outliers_lie_on_nothing_that_is_written() {
        let frame = Rect::from_min_size(pos2(0.0, 0.0), vec2(300.0, 120.0));
        let size = vec2(60.0, 14.0);
        // Free above the dot, above and clear of the first, and in the frame at its edge.
        assert_eq!(
            free_place(pos2(150.0, 80.0), size, frame, &[]),
            Some(Rect::from_min_size(pos2(120.0, 60.0), size))
        );
        let first = Rect::from_min_size(pos2(120.0, 60.0), size);
        let second = free_place(pos2(152.0, 80.0), size, frame, &[first]).unwrap();
        assert!(second.max.y <= first.min.y, "{second:?}");
        let at_edge = free_place(pos2(299.0, 80.0), size, frame, &[]).unwrap();
        assert_eq!(at_edge.max.x, 298.0);
        // Four rows of other labels fill the upper half: the label stands beside its dot.
        let rows: Vec<Rect> = (0..4)
            .map(|row| Rect::from_min_size(pos2(0.0, 2.0 + 15.0 * row as f32), vec2(300.0, 14.0)))
            .collect();
        for x in [20.0, 150.0, 280.0] {
            let place = free_place(pos2(x, 30.0), size, frame, &rows).unwrap();
            assert!(frame.contains_rect(place), "{place:?}");
            assert!(rows.iter().all(|row| !row.intersects(place)), "{place:?}");
        }
        // With no room at all there is none, and the one that is drawn anyhow is still in the frame.
        assert_eq!(free_place(pos2(150.0, 30.0), size, frame, &[frame]), None);
        for dot in [pos2(150.0, 30.0), pos2(0.0, 4.0), pos2(300.0, 118.0)] {
            assert!(frame.contains_rect(place_above(dot, size, frame)));
        }
    }
}
