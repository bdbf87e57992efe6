//! What is drawn over the bars of a histogram: the grid, fitted curves, the staircase after rounding.

use super::super::plot::Scale;
use super::super::text;
use super::super::theme::{faded, thin};
use crate::quantization::{CentredFits, Grid};
use crate::session::Staircase;
use egui::{Align2, Color32, Painter, Rect, TextStyle, Ui, pos2};
use egui_plot::{Line, LineStyle, MarkerShape, PlotPoint, PlotPoints, PlotTransform, PlotUi, Points, VLine};

/// Grid values closer than that many points are not drawn one by one.
const LEAST_TICK_DISTANCE: f32 = 3.0;
/// The same for the marks at their feet.
const LEAST_MARK_DISTANCE: f32 = 10.0;
/// Points of a curve.
const CURVE: u32 = 400;
/// Width of a spike of the staircase, and room that its count needs, points.
const SPIKE: f32 = 5.0;
const COUNT_WIDTH: f32 = 38.0;

/// One thin line a grid value with a `mark` at its foot, unless they would run together.
pub(in crate::app) fn draw_grid(plot: &mut PlotUi<'_>, grid: Grid, color: Color32, mark: Color32) {
    let at = |x: f64| plot.screen_from_plot(PlotPoint::new(x, 0.0)).x;
    let distance = (at(f64::from(grid.step)) - at(0.0)).abs();
    let strength = if distance < LEAST_TICK_DISTANCE { 0.25 } else { 0.8 };
    let bounds = plot.plot_bounds();
    let (foot, height) = (bounds.min()[1], bounds.height());
    for q in grid.low()..=grid.high() {
        let value = f64::from(grid.value(q));
        let line = VLine::new("grid", value).stroke(thin(faded(color, strength)));
        plot.vline(line.allow_hover(false));
    }
    if distance < LEAST_MARK_DISTANCE {
        return;
    }
    // What is a value of the grid and not a line of the plot.
    let marks: Vec<[f64; 2]> = (grid.low()..=grid.high())
        .map(|q| [f64::from(grid.value(q)), foot + height * 0.012])
        .collect();
    let marks = Points::new("values of the grid", marks).shape(MarkerShape::Up);
    plot.points(marks.radius(4.5).color(mark).allow_hover(false));
}

/// Both fits as counts in bins of `width`: the Gaussian dashed, the Laplacian dotted, the better one stronger.
pub(in crate::app) fn draw_fits(
    plot: &mut PlotUi<'_>,
    fits: &CentredFits,
    range: (f64, f64),
    width: f64,
    scale: Scale,
    color: Color32,
) {
    let better = fits.gaussian_is_better();
    let curve = |density: &dyn Fn(f64) -> f64| -> Vec<[f64; 2]> {
        let x = |i: u32| range.0 + (range.1 - range.0) * f64::from(i) / f64::from(CURVE);
        let height = |x: f64| scale.height(fits.count * density(x) * width);
        (0..=CURVE).map(|i| [x(i), height(x(i))]).collect()
    };
    let curves = [
        (
            "Gaussian",
            curve(&|x| fits.gaussian(x)),
            LineStyle::dashed_loose(),
            better,
        ),
        (
            "Laplacian",
            curve(&|x| fits.laplacian(x)),
            LineStyle::dotted_dense(),
            !better,
        ),
    ];
    for (name, points, style, better) in curves {
        let line = Line::new(name, PlotPoints::from(points))
            .color(faded(color, if better { 1.0 } else { 0.55 }))
            .width(if better { 2.0 } else { 1.5 })
            .style(style);
        plot.line(line.allow_hover(false));
    }
}

/// A spike at each value of the grid as high as the weights that land there, with their count where there is room.
pub(super) fn draw_staircase(
    ui: &Ui,
    painter: &Painter,
    transform: &PlotTransform,
    staircase: &Staircase,
    grid: Grid,
    scale: Scale,
    color: Color32,
) {
    let at = |x: f64, y: f64| transform.position_from_point(&PlotPoint::new(x, y));
    let distance = at(f64::from(grid.step), 0.0).x - at(0.0, 0.0).x;
    let half = SPIKE.min(distance * 0.5).max(1.0) / 2.0;
    let font = TextStyle::Small.resolve(ui.style());
    for (index, count) in staircase.steps().filter(|(_, count)| *count > 0) {
        let top = at(f64::from(grid.value(index)), scale.height(count as f64));
        let foot = at(0.0, 0.0).y;
        painter.rect_filled(
            Rect::from_min_max(pos2(top.x - half, top.y), pos2(top.x + half, foot)),
            1.0,
            color,
        );
        if distance > COUNT_WIDTH {
            let place = pos2(top.x, top.y - 2.0);
            painter.text(
                place,
                Align2::CENTER_BOTTOM,
                text::short_count(count),
                font.clone(),
                ui.visuals().text_color(),
            );
        }
    }
}
