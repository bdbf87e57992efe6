//! Lesson: clipping trades a few large errors for many small ones.

use super::super::theme::tokens;
use super::super::{Outbox, text};
use super::scene::{FIGURE, Scene, sentences};
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Dashes, Figure, Series, Shape};
use crate::app::plot::{Scale, Token, draw, number_plot, swatch};
use crate::quantization::{Clip, ExpectedError, Grid, expected_error};
use crate::statistics::{ActivationStatistics, RangeSource};
use egui::{Slider, Ui};

/// Thresholds of the curve.
const POINTS: u32 = 60;

/// Thresholds and what each costs.
type Curve = Vec<(f32, ExpectedError)>;

pub(super) struct ClippingLesson {
    /// The threshold, in percent of the largest weight.
    threshold: f32,
    /// The curve, and the sample and bits that it is of.
    curve: Option<(u64, u8, Curve)>,
}

impl Default for ClippingLesson {
    fn default() -> Self {
        Self {
            threshold: 40.0,
            curve: None,
        }
    }
}

impl ClippingLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let wanted = (scene.sample.number, scene.bits);
        if self
            .curve
            .as_ref()
            .is_none_or(|(sample, bits, _)| (*sample, *bits) != wanted)
        {
            self.curve = Some((wanted.0, wanted.1, curve(scene)));
        }
        let points = self.curve.as_ref().map_or(&[][..], |(_, _, points)| points);
        let threshold = scene.max_abs * self.threshold / 100.0;
        plot_ui(ui, scene, points, threshold, out);
        let Some(best) = points.iter().min_by(|a, b| a.1.mse.total_cmp(&b.1.mse)) else {
            return;
        };
        let distance = |point: &&(f32, ExpectedError)| (point.0 - threshold).abs();
        let here = points
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap_or(best);
        ui.horizontal(|ui| {
            let label = ui.label("Clip at");
            let slider = Slider::new(&mut self.threshold, 5.0..=100.0).suffix(" % of the largest weight");
            ui.add(slider.max_decimals(0)).labelled_by(label.id);
        });
        let error = |x: f64| text::three_digits(x);
        sentences(
            ui,
            [
                format!(
                    "A grid that ends at {} rounds with an error of {} and cuts what lies beyond with one of {}.",
                    text::three_digits(f64::from(here.0)),
                    error(here.1.mse - here.1.clip_mse),
                    error(here.1.clip_mse)
                ),
                "Moving its end inwards makes the steps finer for most weights, until the few that are cut cost more than \
                 all others gain."
                    .to_owned(),
                format!(
                    "For this layer at {} bits the sum is least at {}: {} instead of {} without clipping.",
                    scene.bits,
                    text::three_digits(f64::from(best.0)),
                    error(best.1.mse),
                    points.last().map_or_else(String::new, |last| error(last.1.mse))
                ),
            ],
        );
        scene.try_it(ui, "Clip this layer here", out, |layer| {
            layer.clip = Some(Clip::Manual(threshold));
        });
    }
}

/// The error at thresholds up to the largest weight.
fn curve(scene: &Scene<'_>) -> Vec<(f32, ExpectedError)> {
    let mut counted = ActivationStatistics::new(RangeSource::Calibration);
    counted.add(&scene.sample.values);
    if counted.count == 0 || counted.max_abs() <= 0.0 {
        return Vec::new();
    }
    let at = |i: u32| {
        let threshold = scene.max_abs * i as f32 / POINTS as f32;
        let grid = Grid::symmetric(scene.bits, threshold);
        (threshold, expected_error(&counted, grid, threshold))
    };
    (2..=POINTS).map(at).collect()
}

type Part = fn(&ExpectedError) -> f64;

fn plot_ui(ui: &mut Ui, scene: &Scene<'_>, points: &[(f32, ExpectedError)], threshold: f32, out: &mut Outbox) {
    let colors = tokens(ui);
    let parts: [(&str, Token, Dashes, Part); 3] = [
        ("both", Token::Quantized, Dashes::Solid, |error| error.mse),
        ("rounding", Token::Original, Dashes::DashedDense, |error| {
            error.mse - error.clip_mse
        }),
        ("clipping", Token::Clipped, Dashes::DottedDense, |error| error.clip_mse),
    ];
    let places = |of: Part| -> Vec<[f64; 2]> { points.iter().map(|(t, error)| [f64::from(*t), of(error)]).collect() };
    ui.horizontal_wrapped(|ui| {
        let meanings = [
            "Rounding and clipping together: the error of the layer.",
            "From moving weights to the nearest value of the grid.",
            "From cutting the weights that lie beyond the threshold.",
        ];
        for ((name, color, ..), meaning) in parts.iter().zip(meanings) {
            swatch(ui, colors.token(*color), name, meaning);
        }
    });
    let most = points
        .iter()
        .map(|(_, error)| error.mse)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut series: Vec<Series> = parts
        .iter()
        .map(|(name, color, dashes, of)| {
            let line = Series::new(*name, *color, Shape::Line(places(*of)));
            line.dashes(*dashes).width(2.0)
        })
        .collect();
    let present = Shape::Uprights(vec![f64::from(threshold)]);
    series.push(Series::new("threshold", Token::Handle, present).width(1.5));
    let first = points.first().map_or(0.0, |(threshold, _)| f64::from(*threshold));
    let last = f64::from(scene.max_abs);
    let side = (last - first) * 0.05;
    let figure = Figure {
        title: format!("error against threshold of {}", scene.open.selected_name()),
        x: "threshold".to_owned(),
        y: "mean squared error".to_owned(),
        x_range: (first - side, last + side),
        y_range: (most * -0.05, most * 1.05),
        scale: Scale::Linear,
        series,
    };
    let shown = number_plot("lesson clipping", &figure, (FIGURE, 60.0), 40.0).show(ui, |plot| draw(plot, &figure));
    figure_menu(ui, &shown.response, "Plot of the lesson", out, || figure);
}
