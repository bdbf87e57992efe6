//! Score against added weights: every row a point, and a line through those that no other row beats.

use super::{added_percent, describe, score_text};
use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, number_marks, number_text};
use crate::app::theme::ink;
use crate::app::theme::{faded, tokens};
use crate::inference::sweep::{Score, SweepRow, pareto_front};
use crate::session::OpenNetwork;
use egui::Ui;
use egui_plot::{HLine, Line, Plot, PlotBounds, PlotPoint, PlotUi, Points};

/// Name of the axis of costs.
const COST: &str = "added weights, %";
/// How near to a point the pointer must be, points.
const NEAR: f32 = 10.0;

/// The rows as points, and what is in sight of them.
struct Shown {
    /// Place of the row, added percent, score in the unit of its axis.
    points: Vec<(usize, [f64; 2])>,
    /// Those on the front, cheapest first.
    front: Vec<[f64; 2]>,
    /// The float network's score.
    float: Option<f64>,
    x_range: (f64, f64),
    y_range: (f64, f64),
}

/// A score in the unit of its axis.
fn height(score: Score, value: f64) -> f64 {
    match score {
        Score::Top1 => value * 100.0,
        Score::Perplexity | Score::Sqnr => value,
    }
}

fn axis(score: Score) -> &'static str {
    match score {
        Score::Top1 => "top-1, %",
        Score::Perplexity => "perplexity",
        Score::Sqnr => "output SQNR, dB",
    }
}

impl Shown {
    fn new(rows: &[SweepRow], score: Score, float: Option<f64>) -> Self {
        let point = |place: usize| {
            let row = rows.get(place)?;
            let point = [added_percent(row), height(score, score.value(row)?)];
            point.iter().all(|number| number.is_finite()).then_some((place, point))
        };
        let points: Vec<(usize, [f64; 2])> = (0..rows.len()).filter_map(point).collect();
        let front = pareto_front(rows, score, |row| row.overhead.weights);
        let float = float
            .map(|value| height(score, value))
            .filter(|value| value.is_finite());
        let heights = points.iter().map(|(_, [_, y])| *y).chain(float);
        let (low, high) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| {
            (low.min(y), high.max(y))
        });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let margin = ((high - low) * 0.08).max(0.5);
        let most = points.iter().map(|(_, [x, _])| *x).fold(1.0, f64::max);
        Self {
            front: front.into_iter().filter_map(point).map(|(_, point)| point).collect(),
            points,
            float,
            x_range: (-0.04 * most, 1.04 * most),
            y_range: (low - margin, high + margin),
        }
    }

    fn figure(&self, ui: &Ui, open: &OpenNetwork, score: Score) -> Figure {
        let colors = tokens(ui);
        let all = self.points.iter().map(|(_, point)| *point).collect();
        Figure {
            title: format!("sweep of {}", open.original.network.name),
            x: COST.to_owned(),
            y: axis(score).to_owned(),
            x_range: self.x_range,
            y_range: self.y_range,
            scale: Scale::Linear,
            series: vec![
                Series {
                    name: "settings".to_owned(),
                    color: ink(colors.grid),
                    shape: Shape::Points(all),
                },
                Series {
                    name: "Pareto front".to_owned(),
                    color: ink(colors.quantized),
                    shape: Shape::Line(self.front.clone()),
                },
            ],
        }
    }

    /// The row whose point is nearest to the pointer, if one is near.
    fn near(&self, plot: &PlotUi<'_>) -> Option<usize> {
        let pointer = plot.response().hover_pos()?;
        let distance = |[x, y]: [f64; 2]| plot.screen_from_plot(PlotPoint::new(x, y)).distance(pointer);
        let near = self.points.iter().map(|(place, point)| (*place, distance(*point)));
        let nearest = near.min_by(|a, b| a.1.total_cmp(&b.1));
        nearest
            .filter(|(_, distance)| *distance <= NEAR)
            .map(|(place, _)| place)
    }
}

/// The float network's score on the very samples of the rows, if it is known.
fn float_score(open: &OpenNetwork, score: Score) -> Option<f64> {
    let (key, evaluated) = open.evaluated()?;
    let of = open.sweep().of()?;
    if (key.data, key.limit) != (of.data, of.limit) {
        return None;
    }
    match score {
        Score::Top1 => evaluated.evaluation.float.top1,
        Score::Perplexity => evaluated.evaluation.float.perplexity,
        Score::Sqnr => None,
    }
}

/// Draws the plot; tells the row whose point was clicked. `taken` is the row of the present recipe.
pub(super) fn front_ui(
    ui: &mut Ui,
    open: &OpenNetwork,
    score: Score,
    taken: Option<usize>,
    height: f32,
    out: &mut Outbox,
) -> Option<usize> {
    let rows = open.sweep().rows();
    let shown = Shown::new(rows, score, float_score(open, score));
    let (colors, mark) = (tokens(ui), ui.visuals().selection.stroke.color);
    let plot = Plot::new("sweep front")
        .height(height.max(90.0))
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .x_axis_label(COST)
        .y_axis_label(axis(score))
        .y_axis_min_width(46.0)
        .x_grid_spacer(|input| number_marks(&input, 80.0))
        .x_axis_formatter(|mark, _| number_text(&mark))
        .y_grid_spacer(|input| number_marks(&input, 30.0))
        .y_axis_formatter(|mark, _| number_text(&mark))
        .label_formatter(|_| None);
    let drawn = plot.show(ui, |plot| {
        let ((left, right), (bottom, top)) = (shown.x_range, shown.y_range);
        plot.set_plot_bounds(PlotBounds::from_min_max([left, bottom], [right, top]));
        if let Some(float) = shown.float {
            plot.hline(HLine::new("float", float).color(colors.original).allow_hover(false));
        }
        let front = Line::new("Pareto front", shown.front.clone()).color(colors.quantized);
        plot.line(front.width(1.5).allow_hover(false));
        let all: Vec<[f64; 2]> = shown.points.iter().map(|(_, point)| *point).collect();
        points(plot, "settings", all, 3.0, faded(colors.quantized, 0.55));
        points(plot, "on the front", shown.front.clone(), 4.0, colors.quantized);
        let of = |place: usize| shown.points.iter().find(|(row, _)| *row == place);
        if let Some((_, point)) = taken.and_then(of) {
            let ring = Points::new("taken", vec![*point]).radius(7.0).filled(false).color(mark);
            plot.points(ring.allow_hover(false));
        }
        shown.near(plot)
    });
    let near = drawn.inner;
    let response = drawn.response;
    if let Some(row) = near.and_then(|place| rows.get(place)) {
        let added = added_percent(row);
        let what = format!(
            "{}\n{}, +{added:.1} % weights\nA click takes this recipe.",
            describe(row),
            score_text(row, score)
        );
        response.clone().on_hover_text_at_pointer(what);
    }
    figure_menu(ui, &response, "Plot of the sweep", out, || {
        shown.figure(ui, open, score)
    });
    near.filter(|_| response.clicked())
}

fn points(plot: &mut PlotUi<'_>, name: &str, points: Vec<[f64; 2]>, radius: f32, color: egui::Color32) {
    plot.points(Points::new(name, points).radius(radius).color(color).allow_hover(false));
}
