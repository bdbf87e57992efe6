//! The selected layer's weights under both recipes, one histogram over the other, each with its grid.

use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, Token, draw, draw_over, histogram_plot, swatch};
use crate::app::text;
use crate::app::theme::tokens;
use crate::app::widgets::failure_ui;
use crate::session::{ComparedLayer, Comparison, OpenNetwork, Side};
use egui::Ui;

/// The colours of A and B.
const COLORS: [Token; 2] = [Token::SideA, Token::SideB];
/// Share of the height that the ticks of a grid take.
const TICK: f64 = 0.06;

/// Draws the histograms into the `height` that is given, or what is waited for.
pub(super) fn histograms_ui(ui: &mut Ui, open: &OpenNetwork, sides: [Side; 2], height: f32, out: &mut Outbox) {
    let name = open.selected_name();
    let Some(found) = open.comparison(sides) else {
        match open.comparison_failure(sides) {
            Some(error) => failure_ui(ui, &format!("{name} cannot be compared"), error),
            None => {
                ui.label(format!("Comparing {name}…"));
            }
        }
        return;
    };
    let colors = COLORS.map(|side| tokens(ui).token(side));
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
    let figure = figure(name, found);
    let plot = histogram_plot("ab histogram", "weight", "weights in a bin", height, figure.scale);
    let shown = plot.show(ui, |plot| draw(plot, &figure));
    draw_over(ui, &shown.transform, &figure, &[]);
    figure_menu(ui, &shown.response, "Plot of both recipes", out, || figure);
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

fn range(found: &Comparison) -> (f64, f64) {
    let histogram = &found.sides[0].histogram;
    (histogram.low, histogram.high)
}

/// The weights on both sides, one over the other, each with the end of its grid; the values of the grids lie in rows of their
/// own below.
fn figure(name: &str, found: &Comparison) -> Figure {
    let scale = Scale::Log;
    let counts = |side: &ComparedLayer| side.histogram.counts.iter().copied().max().unwrap_or(0);
    let most = found.sides.iter().map(counts).max().unwrap_or(0);
    // A height, in the units of the scale, as a count.
    let top = scale.height(most as f64).max(0.3) * 1.08;
    let below = |share: f64| scale.count(-share * TICK * top);
    let sides = || ["A", "B"].into_iter().zip(&found.sides).zip(COLORS);
    let bins = |side: &ComparedLayer| {
        let histogram = &side.histogram;
        let width = (histogram.high - histogram.low) / histogram.counts.len().max(1) as f64;
        (histogram.low, width)
    };
    let mut series = Vec::new();
    for ((letter, side), color) in sides() {
        let (low, width) = bins(side);
        let steps = Shape::steps(low, width, &side.histogram.counts);
        series.push(Series::new(legend(letter, side), color, steps).opacity(0.45));
        if let Some(grid) = side.grid {
            let end = f64::from(grid.value(grid.high()));
            let ends = Shape::Uprights(vec![-end, end]);
            series.push(Series::new(format!("end of the grid of {letter}"), color, ends));
        }
    }
    for (place, ((letter, side), color)) in sides().enumerate() {
        let Some(grid) = side.grid.filter(|grid| grid.high() - grid.low() <= 64) else {
            continue;
        };
        let place = place as f64;
        let ends = (below(place), below(place + 0.85));
        let values = (grid.low()..=grid.high()).map(|q| f64::from(grid.value(q)));
        series.push(
            Series::new(
                format!("grid of {letter}"),
                color,
                Shape::Ticks {
                    places: values.collect(),
                    ends,
                },
            )
            .width(1.5),
        );
    }
    for ((letter, side), color) in sides() {
        let (low, width) = bins(side);
        let heights = side.histogram.counts.iter().map(|count| *count as f64).collect();
        let outline = Shape::Outline { low, width, heights };
        series.push(Series::new(format!("outline of {letter}"), color, outline));
    }
    Figure {
        title: format!("weights of {name} under two recipes"),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: range(found),
        y_range: (below(2.0), scale.count(top)),
        scale,
        series,
    }
}
