//! The selected layer's SQNR against splits and against bits, a line for each way to clip; a click takes a setting.

use super::super::Outbox;
use super::super::learn::glossary::{Term, words_help_ui};
use super::super::plot::export::figure_menu;
use super::super::plot::figure::{Dashes, Figure, Series, Shape};
use super::super::plot::{Scale, Token, draw, number_marks, number_text};
use super::super::text;
use super::super::theme::tokens;
use crate::network::Support;
use crate::quantization::{Bits, Clip, CurvePoint, ErrorCurves, split_count};
use crate::session::{ErrorCurvesKey, OpenNetwork};
use egui::{Response, RichText, Ui};
use egui_plot::{AxisHints, GridMark, MarkerShape, Plot, PlotUi, Points};

/// The words of the curves.
const WORDS: [Term; 4] = [Term::Sqnr, Term::Clip, Term::ExpandRatio, Term::Bits];

/// Curves with at most so many points have a marker on each.
const MOST_MARKERS: usize = 9;
/// Width from which the plots stand side by side, points.
const SIDE_BY_SIDE: f32 = 560.0;

/// What a plot has to the right.
#[derive(Clone, Copy, PartialEq)]
enum Against {
    /// The share of input channels that is split, percent.
    Splits,
    Bits,
}

/// One of the two plots.
struct Panel<'a> {
    against: Against,
    curves: &'a [(Clip, Vec<CurvePoint>)],
    /// Input channels in each group.
    channels: usize,
    /// The present setting.
    present: f64,
    clip: Clip,
    /// The bits that the curves over splits are for.
    bits: u8,
}

/// Draws legend and plots.
pub(super) fn curves_ui(
    ui: &mut Ui,
    open: &OpenNetwork,
    key: &ErrorCurvesKey,
    curves: &ErrorCurves,
    height: f32,
    out: &mut Outbox,
) {
    let Some(layer) = open.shown().network.layers.get(key.layer) else {
        return;
    };
    let settings = open.settings(key.layer);
    let channels = layer.layout.channels.max(1);
    let bits = |bits: Bits| bits.grid().unwrap_or(Bits::MAX);
    let splits = split_count(&layer.layout, settings.weights.expand_ratio);
    let panel = |against, curves, present| Panel {
        against,
        curves,
        channels,
        present,
        clip: settings.weights.clip,
        bits: bits(key.settings.bits),
    };
    let by_bits = panel(Against::Bits, &curves.by_bits, f64::from(bits(settings.weights.bits)));
    let by_splits = panel(
        Against::Splits,
        &curves.by_splits,
        splits as f64 / channels as f64 * 100.0,
    );
    legend_ui(ui, &curves.by_bits);
    let mut shown = vec![by_bits];
    match &layer.support {
        Support::Split => shown.insert(0, by_splits),
        Support::Quantize(reason) | Support::View(reason) => {
            ui.add(egui::Label::new(text::note(format!("Not split: {reason}."))).wrap());
        }
    }
    let wide = ui.available_width() >= SIDE_BY_SIDE;
    let columns = if wide { shown.len() } else { 1 };
    ui.columns(columns, |columns| {
        for (place, panel) in shown.iter().enumerate() {
            let count = columns.len();
            panel.ui(&mut columns[place % count], open, height, out);
        }
    });
}

fn legend_ui(ui: &mut Ui, curves: &[(Clip, Vec<CurvePoint>)]) {
    let colors = tokens(ui);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        ui.label(text::note("clip:")).on_hover_text(
            "One line for each way to choose the clip threshold. The ring and the upright line are the present setting; a click \
             takes the setting under the pointer for this layer.",
        );
        for (place, (clip, _)) in curves.iter().enumerate() {
            ui.label(RichText::new(look(place).1).color(colors.series(place)));
            ui.label(text::note(text::clip(*clip)));
            ui.add_space(6.0);
        }
        words_help_ui(ui, "the error curves", &WORDS);
    });
}

/// Marker of a curve, and the same in the legend: colour is not all that tells curves apart.
fn look(place: usize) -> (MarkerShape, &'static str) {
    match place % 7 {
        0 => (MarkerShape::Circle, "●"),
        1 => (MarkerShape::Square, "■"),
        2 => (MarkerShape::Up, "▲"),
        3 => (MarkerShape::Down, "▼"),
        4 => (MarkerShape::Diamond, "◆"),
        5 => (MarkerShape::Cross, "×"),
        _ => (MarkerShape::Plus, "+"),
    }
}

impl Panel<'_> {
    fn ui(&self, ui: &mut Ui, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let figure = self.figure(open);
        let (response, taken) = self.plot_ui(ui, &figure, height);
        let name = match self.against {
            Against::Splits => "Plot of the error against splits",
            Against::Bits => "Plot of the error against bits",
        };
        figure_menu(ui, &response, name, out, || figure);
        if let Some((clip, point)) = taken {
            self.take(open, clip, point, out);
        }
    }

    fn plot_ui(&self, ui: &mut Ui, figure: &Figure, height: f32) -> (Response, Option<(Clip, CurvePoint)>) {
        let colors = tokens(ui);
        let whole = self.against == Against::Bits;
        let shown = Plot::new(("errors", whole))
            .height(height)
            .allow_zoom(false)
            .allow_scroll(false)
            .allow_drag(false)
            .allow_boxed_zoom(false)
            .allow_axis_zoom_drag(false)
            .custom_x_axes(vec![
                AxisHints::new_x()
                    .label(self.x_label())
                    .label_spacing(18.0..=24.0)
                    .formatter(move |mark: GridMark, _| {
                        if whole {
                            format!("{:.0}", mark.value)
                        } else {
                            number_text(&mark)
                        }
                    }),
            ])
            .y_axis_label("SQNR, dB")
            .y_axis_min_width(40.0)
            .x_grid_spacer(move |input| {
                let marks = number_marks(&input, if whole { 20.0 } else { 40.0 }).into_iter();
                marks.filter(|mark| !whole || mark.value.fract() == 0.0).collect()
            })
            .y_grid_spacer(|input| number_marks(&input, 30.0))
            .y_axis_formatter(|mark, _| number_text(&mark))
            .label_formatter(|_| None)
            .show(ui, |plot| {
                draw(plot, figure);
                for (place, (_, points)) in self.curves.iter().enumerate() {
                    self.markers(plot, place, points, colors.series(place));
                }
                let (clip, point) = self.under_pointer(plot)?;
                ring(plot, self.place(&point), colors.handle, 4.0);
                let response = plot.response().clone();
                let clicked = response.clicked();
                response.on_hover_text_at_pointer(hover_text(clip, &point, self.channels));
                clicked.then_some((clip, point))
            });
        (shown.response, shown.inner)
    }

    /// A marker on some points of a curve: colour is not all that tells curves apart.
    fn markers(&self, plot: &mut PlotUi<'_>, place: usize, points: &[CurvePoint], color: egui::Color32) {
        let (marker, _) = look(place);
        let places = self.places(points);
        let each = places.len().div_ceil(MOST_MARKERS).max(1);
        let marked: Vec<[f64; 2]> = places.iter().copied().step_by(each).collect();
        let markers = Points::new(format!("curve {place}"), marked)
            .shape(marker)
            .radius(3.5)
            .color(color);
        plot.points(markers.allow_hover(false));
    }

    /// The point of the nearest setting, on the curve that is nearest there.
    fn under_pointer(&self, plot: &PlotUi<'_>) -> Option<(Clip, CurvePoint)> {
        let pointer = plot.pointer_coordinate().filter(|_| plot.response().hovered())?;
        let nearest = |points: &Vec<CurvePoint>| {
            let finite = points.iter().filter(|point| point.sqnr_db.is_finite());
            finite
                .min_by(|a, b| (self.x(a) - pointer.x).abs().total_cmp(&(self.x(b) - pointer.x).abs()))
                .copied()
        };
        self.curves
            .iter()
            .filter_map(|(clip, points)| Some((*clip, nearest(points)?)))
            .min_by(|(_, a), (_, b)| (a.sqnr_db - pointer.y).abs().total_cmp(&(b.sqnr_db - pointer.y).abs()))
    }

    /// Takes a point as the selected layer's setting.
    fn take(&self, open: &OpenNetwork, clip: Clip, point: CurvePoint, out: &mut Outbox) {
        let float = open.settings(open.selected()).weights.bits == Bits::Float;
        out.edit_layer(open, false, |layer| {
            layer.clip = Some(clip);
            if float {
                layer.float = Some(false);
            }
            if float || self.against == Against::Bits {
                layer.weight_bits = Some(Bits::Grid(point.bits));
            }
            if self.against == Against::Splits {
                layer.expand_ratio = Some(point.splits as f64 / self.channels as f64);
            }
        });
    }

    fn figure(&self, open: &OpenNetwork) -> Figure {
        let mut series = vec![Series::new(
            "present",
            Token::Handle,
            Shape::Uprights(vec![self.present]),
        )];
        let curves = self.curves.iter().enumerate();
        series.extend(curves.map(|(place, (clip, points))| {
            let line = Series::new(
                format!("clip {}", text::clip(*clip)),
                Token::Series(place),
                Shape::Line(self.places(points)),
            );
            line.dashes(Dashes::ByPlace.at(place))
        }));
        let present = self.present_point().into_iter().collect();
        let ring = Series::new("present setting", Token::Handle, Shape::Points(present));
        series.push(ring.width(6.0).hollow());
        let against = match self.against {
            Against::Splits => "splits",
            Against::Bits => "bits",
        };
        Figure {
            title: format!("error of {} against {against}", open.selected_name()),
            x: self.x_label(),
            y: "SQNR, dB".to_owned(),
            x_range: self.x_range(),
            y_range: self.y_range(),
            scale: Scale::Linear,
            series,
        }
    }

    fn x(&self, point: &CurvePoint) -> f64 {
        match self.against {
            Against::Splits => point.splits as f64 / self.channels as f64 * 100.0,
            Against::Bits => f64::from(point.bits),
        }
    }

    fn place(&self, point: &CurvePoint) -> [f64; 2] {
        [self.x(point), point.sqnr_db]
    }

    /// Points without any error are beyond the plot.
    fn places(&self, points: &[CurvePoint]) -> Vec<[f64; 2]> {
        let finite = points.iter().filter(|point| point.sqnr_db.is_finite());
        finite.map(|point| self.place(point)).collect()
    }

    /// The present setting on the curve of the present way to clip.
    fn present_point(&self) -> Option<[f64; 2]> {
        let (_, points) = self.curves.iter().find(|(clip, _)| *clip == self.clip)?;
        let distance = |place: &[f64; 2]| (place[0] - self.present).abs();
        let places = self.places(points).into_iter();
        let nearest = places.min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
        // Thinned curves may lack the very point.
        (distance(&nearest) < 100.0 / self.channels as f64).then_some(nearest)
    }

    fn x_label(&self) -> String {
        match self.against {
            Against::Splits => format!("expand ratio, % (at {} bits)", self.bits),
            Against::Bits => "weight bits".to_owned(),
        }
    }

    fn x_range(&self) -> (f64, f64) {
        match self.against {
            Against::Bits => (f64::from(Bits::MIN) - 0.4, f64::from(Bits::MAX) + 0.4),
            Against::Splits => {
                let most = self.curves.iter().flat_map(|(_, points)| points.last());
                let most = most.map(|point| self.x(point)).fold(1.0, f64::max);
                (most * -0.04, most * 1.04)
            }
        }
    }

    fn y_range(&self) -> (f64, f64) {
        let values = self.curves.iter().flat_map(|(_, points)| points);
        let values = values.map(|point| point.sqnr_db).filter(|db| db.is_finite());
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), db| {
            (low.min(db), high.max(db))
        });
        if low > high {
            return (0.0, 1.0);
        }
        let room = ((high - low) * 0.06).max(0.5);
        (low - room, high + room)
    }
}

fn ring(plot: &mut PlotUi<'_>, place: [f64; 2], color: egui::Color32, radius: f32) {
    let ring = Points::new("ring", vec![place]).filled(false);
    plot.points(ring.radius(radius).color(color).allow_hover(false));
}

fn hover_text(clip: Clip, point: &CurvePoint, channels: usize) -> String {
    format!(
        "{} bits, {} ({}), clip {}\nSQNR {} · MSE {} · threshold {}\nClick to take this setting for the layer.",
        point.bits,
        text::plural(point.splits as u64, "split", "splits"),
        text::percent(point.splits as f64 / channels as f64),
        text::clip(clip),
        text::decibels(point.sqnr_db),
        text::three_digits(point.mse),
        text::three_digits(f64::from(point.threshold)),
    )
}
