//! The selected layer's weights under both recipes, one histogram over the other, each with its grid.

use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, Steps, histogram_plot, swatch};
use crate::app::text;
use crate::app::theme::{faded, ink, thin, tokens};
use crate::session::{ComparedLayer, Comparison, OpenNetwork, Side};
use egui::{Color32, Painter, Stroke, Ui};
use egui_plot::{Line, PlotBounds, PlotPoint, PlotTransform, VLine};

/// Places of the colours of A and B among those of curves without a meaning of their own.
const COLORS: [usize; 2] = [1, 5];
/// Share of the height that the ticks of a grid take.
const TICK: f64 = 0.06;

/// Draws the histograms into the `height` that is given, or what is waited for.
pub(super) fn histograms_ui(ui: &mut Ui, open: &OpenNetwork, sides: [Side; 2], height: f32, out: &mut Outbox) {
    let name = open.selected_name();
    let Some(found) = open.comparison(sides) else {
        match open.comparison_failure(sides) {
            Some(reason) => ui.colored_label(tokens(ui).error, format!("{name} cannot be compared: {reason}")),
            None => ui.label(format!("Comparing {name}…")),
        };
        return;
    };
    let colors = COLORS.map(|place| tokens(ui).series(place));
    ui.horizontal_wrapped(|ui| {
        ui.strong(text::elide_middle(name, 40)).on_hover_text(name);
        for ((letter, side), color) in ["A", "B"].into_iter().zip(&found.sides).zip(colors) {
            swatch(
                ui,
                color,
                &legend(letter, side),
                "The weights that are rounded (after splitting), and below them the values of the grid.",
            );
        }
    });
    let steps = found.sides.each_ref().map(steps);
    let scale = Scale::Log;
    let highest = steps.iter().map(|steps| steps.highest(scale)).fold(0.3, f64::max) * 1.08;
    let plot = histogram_plot("ab histogram", "weight", "weights in a bin", height, scale);
    let shown = plot.show(ui, |plot| {
        let range = range(found);
        plot.set_plot_bounds(PlotBounds::from_min_max(
            [range.0, -2.0 * TICK * highest],
            [range.1, highest],
        ));
        for ((side, steps), color) in found.sides.iter().zip(&steps).zip(colors) {
            steps.draw(plot, "weights", faded(color, 0.45), scale, |_| true);
            if let Some(grid) = side.grid {
                let end = f64::from(grid.value(grid.high()));
                for x in [-end, end] {
                    plot.vline(VLine::new("end of the grid", x).stroke(thin(color)).allow_hover(false));
                }
            }
        }
        for (place, (side, color)) in found.sides.iter().zip(colors).enumerate() {
            ticks(plot, side, place as f64, highest, color);
        }
    });
    let painter = ui.painter().with_clip_rect(*shown.transform.frame());
    for (steps, color) in steps.iter().zip(colors) {
        outline(&painter, &shown.transform, steps, scale, color);
    }
    figure_menu(ui, &shown.response, "Plot of both recipes", out, || {
        figure(name, found, colors)
    });
}

fn legend(letter: &str, side: &ComparedLayer) -> String {
    match side.grid {
        None => format!("{letter}: float"),
        Some(grid) => format!(
            "{letter}: {} bits to ±{}",
            grid.bits,
            text::three_digits(f64::from(grid.value(grid.high())))
        ),
    }
}

fn steps(side: &ComparedLayer) -> Steps<'_> {
    let histogram = &side.histogram;
    Steps {
        low: histogram.low,
        width: (histogram.high - histogram.low) / histogram.counts.len().max(1) as f64,
        counts: &histogram.counts,
    }
}

fn range(found: &Comparison) -> (f64, f64) {
    let histogram = &found.sides[0].histogram;
    (histogram.low, histogram.high)
}

/// The upper edge of a histogram over the plot, so that the one behind stays seen. Not as a line of the plot, which leaves
/// out points that lie near to each other.
fn outline(painter: &Painter, transform: &PlotTransform, steps: &Steps<'_>, scale: Scale, color: Color32) {
    let mut points = Vec::with_capacity(steps.counts.len() * 2);
    for (bin, count) in steps.counts.iter().enumerate() {
        let (left, top) = (steps.low + steps.width * bin as f64, scale.height(*count as f64));
        for x in [left, left + steps.width] {
            points.push(transform.position_from_point(&PlotPoint::new(x, top)));
        }
    }
    painter.line(points, Stroke::new(1.5, color));
}

/// The values of a grid, in a row of their own below the histograms.
fn ticks(plot: &mut egui_plot::PlotUi<'_>, side: &ComparedLayer, place: f64, highest: f64, color: Color32) {
    let Some(grid) = side.grid.filter(|grid| grid.high() - grid.low() <= 64) else {
        return;
    };
    let (top, bottom) = (-place * TICK * highest, -(place + 0.85) * TICK * highest);
    for q in grid.low()..=grid.high() {
        let x = f64::from(grid.value(q));
        let line = Line::new("grid", vec![[x, top], [x, bottom]]).color(color).width(1.5);
        plot.line(line.allow_hover(false));
    }
}

fn figure(name: &str, found: &Comparison, colors: [Color32; 2]) -> Figure {
    let series = ["A", "B"].into_iter().zip(&found.sides).zip(colors);
    let most = found
        .sides
        .iter()
        .flat_map(|side| &side.histogram.counts)
        .copied()
        .max();
    Figure {
        title: format!("weights of {name} under two recipes"),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: range(found),
        y_range: (0.0, most.unwrap_or(1).max(1) as f64 * 1.1),
        scale: Scale::Log,
        series: series
            .map(|((letter, side), color)| {
                let steps = steps(side);
                Series {
                    name: legend(letter, side),
                    color: ink(color),
                    shape: Shape::Steps {
                        low: steps.low,
                        width: steps.width,
                        heights: steps.counts.iter().map(|count| *count as f64).collect(),
                    },
                }
            })
            .collect(),
    }
}
