//! Score against size: every row a point with its confidence interval, and a line through those that no other row beats.

use super::{describe, score_text, size_text};
use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Dashes, Figure, Series, Shape};
use crate::app::plot::{Scale, Token, draw, number_plot};
use crate::inference::Score;
use crate::inference::sweep::{SizeMeasure, SweepRow, pareto_front};
use crate::session::OpenNetwork;
use egui::Ui;
use egui_plot::{PlotPoint, PlotUi, Points};

/// How near to a point the pointer must be, points.
const NEAR: f32 = 10.0;

/// The rows as points, and what is in sight of them.
struct Shown {
    /// Place of the row, size and score in the units of their axes.
    points: Vec<(usize, [f64; 2])>,
    /// Size, and the 95 % confidence interval of the score, where it is known.
    intervals: Vec<(f64, [f64; 2])>,
    size: SizeMeasure,
    /// Those on the front, cheapest first.
    front: Vec<[f64; 2]>,
    /// The float network's score.
    float: Option<f64>,
    x_range: (f64, f64),
    y_range: (f64, f64),
}

fn axis(score: Score) -> &'static str {
    match score {
        Score::Top1 => "top-1, %",
        Score::Perplexity | Score::MeanIou | Score::MeanAp | Score::Pearson => score.name(),
        Score::Sqnr => "output SQNR, dB",
    }
}

impl Shown {
    fn new(rows: &[SweepRow], score: Score, float: Option<f64>) -> Self {
        let size = SizeMeasure::of_rows(rows);
        let point = |place: usize| {
            let row = rows.get(place)?;
            let point = [size.on_axis(row), score.on_axis(score.value(row)?)];
            point.iter().all(|number| number.is_finite()).then_some((place, point))
        };
        let points: Vec<(usize, [f64; 2])> = (0..rows.len()).filter_map(point).collect();
        let front = pareto_front(rows, score, |row| size.value(row));
        let interval = |(place, [x, _]): &(usize, [f64; 2])| {
            let ends = score.interval(rows.get(*place)?)?;
            Some((*x, ends.map(|end| score.on_axis(end))))
        };
        let float = float
            .map(|value| score.on_axis(value))
            .filter(|value| value.is_finite());
        let intervals: Vec<(f64, [f64; 2])> = points.iter().filter_map(interval).collect();
        let ends = intervals
            .iter()
            .flat_map(|(_, ends)| *ends)
            .filter(|end| end.is_finite());
        let heights = points.iter().map(|(_, [_, y])| *y).chain(float).chain(ends);
        let (low, high) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| {
            (low.min(y), high.max(y))
        });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let margin = ((high - low) * 0.08).max(0.5);
        let xs = || points.iter().map(|(_, [x, _])| *x);
        let (left, right) = xs().fold((f64::INFINITY, f64::NEG_INFINITY), |(left, right), x| {
            (left.min(x), right.max(x))
        });
        let (left, right) = if left <= right { (left, right) } else { (0.0, 1.0) };
        let side = ((right - left) * 0.04).max(right.abs() * 0.01).max(1e-3);
        Self {
            intervals,
            size,
            front: front.into_iter().filter_map(point).map(|(_, point)| point).collect(),
            points,
            float,
            x_range: (left - side, right + side),
            y_range: (low - margin, high + margin),
        }
    }

    fn figure(&self, open: &OpenNetwork, score: Score) -> Figure {
        let all = self.points.iter().map(|(_, point)| *point).collect();
        Figure {
            title: format!("sweep of {}", open.original.network.name),
            x: self.size.axis().to_owned(),
            y: axis(score).to_owned(),
            x_range: self.x_range,
            y_range: self.y_range,
            scale: Scale::Linear,
            series: vec![
                Series::new(
                    "float",
                    Token::Original,
                    Shape::Levels(self.float.into_iter().collect()),
                ),
                Series::new(
                    "95 % interval",
                    Token::Quantized,
                    Shape::Intervals(self.intervals.clone()),
                )
                .opacity(0.3),
                Series::new("Pareto front", Token::Quantized, Shape::Line(self.front.clone())).dashes(Dashes::Solid),
                Series::new("settings", Token::Quantized, Shape::Points(all)).opacity(0.55),
                Series::new("on the front", Token::Quantized, Shape::Points(self.front.clone())).width(4.0),
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
    score.of(&evaluated.evaluation.float)
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
    let figure = shown.figure(open, score);
    let mark = ui.visuals().selection.stroke.color;
    let drawn = number_plot("sweep front", &figure, (height.max(90.0), 46.0), 18.0).show(ui, |plot| {
        draw(plot, &figure);
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
        let what = format!(
            "{}\n{}, {}\nClick to apply.",
            describe(row),
            score_text(row, score),
            size_text(row)
        );
        response.clone().on_hover_text_at_pointer(what);
    }
    figure_menu(ui, &response, "Plot of the sweep", out, || figure);
    near.filter(|_| response.clicked())
}
