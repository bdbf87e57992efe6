//! What the plots share: how figures are drawn, the axis of counts, a swatch of a legend.

mod draw;
pub(super) mod export;
pub(super) mod histogram;
pub(super) mod stack;

pub(super) use crate::report::figure::{self, Scale};
pub(super) use crate::report::palette::Token;
pub(super) use draw::{draw, draw_over};

use super::text;
use super::theme::{SQNR_RANGE_DB, tokens};
use egui::{Color32, Mesh, Painter, Rect, Response, Role, Sense, Stroke, TextStyle, Ui, WidgetInfo, pos2, vec2};
use egui_plot::{AxisHints, GridInput, GridMark, Plot, PlotPoint, PlotUi};

/// The choice of the scale, for the line above a histogram.
pub(super) fn scale_ui(ui: &mut Ui, scale: &mut Scale) {
    ui.spacing_mut().item_spacing.x = 4.0;
    for (value, name, why) in [
        (
            Scale::Log,
            "log",
            "Counts on a logarithmic axis: a single one stays visible.",
        ),
        (Scale::Linear, "linear", "Counts on a linear axis: true proportions."),
    ] {
        ui.selectable_value(scale, value, name).on_hover_text(why);
    }
}

/// Equal bins with the heights of their steps.
pub(super) struct Steps<'a> {
    /// Lower end of the first bin.
    pub(super) low: f64,
    /// Width of a bin.
    pub(super) width: f64,
    /// Elements in each.
    pub(super) counts: &'a [u64],
}

impl Steps<'_> {
    /// The bin that holds `x`.
    pub(super) fn bin(&self, x: f64) -> Option<usize> {
        let bin = ((x - self.low) / self.width).floor();
        (bin >= 0.0 && (bin as usize) < self.counts.len()).then_some(bin as usize)
    }
}

/// Points between the lines of a hatch.
const HATCH: f32 = 5.0;

/// Hatches a rectangle, over what is drawn already.
fn hatch_rect(painter: &Painter, rect: Rect, color: Color32) {
    painter.rect_filled(rect, 0.0, color.gamma_multiply(0.35));
    for line in hatch_lines(rect) {
        painter.line_segment(line, Stroke::new(1.5, color));
    }
}

/// Rising diagonals inside of a rectangle, in step with those of its neighbours.
fn hatch_lines(rect: Rect) -> Vec<[egui::Pos2; 2]> {
    // Along such a line x + y is the same.
    let first = ((rect.min.x + rect.min.y) / HATCH).ceil() as i64;
    let last = ((rect.max.x + rect.max.y) / HATCH).floor() as i64;
    (first..=last)
        .map(|k| {
            let sum = k as f32 * HATCH;
            let low = (sum - rect.max.y).max(rect.min.x);
            let high = (sum - rect.min.y).min(rect.max.x);
            [pos2(low, sum - low), pos2(high, sum - high)]
        })
        .collect()
}

/// Points between two marks that egui_plot asks for at least.
const ASKED: f64 = 8.0;
/// Points between two numbers upwards: egui_plot leaves out those that have 20 or less.
const NUMBERS: f64 = 22.0;

/// Points of a histogram's height that the axis below it takes.
const BELOW: f32 = 36.0;
/// Points that a letter of an axis' name takes at most.
const LETTER: f32 = 6.5;

/// The name of the axis of counts: a short one where the whole would stand out of a plot of that height.
fn count_label(name: &str, height: f32) -> &str {
    if name.chars().count() as f32 * LETTER <= height - BELOW {
        name
    } else {
        "count"
    }
}

/// An empty plot for a histogram: values to the right with round marks, counts upwards in `scale`. It stays where it is put;
/// whoever shows it sets the bounds.
pub(super) fn histogram_plot<'a>(id: &str, x_label: &str, y_label: &str, height: f32, scale: Scale) -> Plot<'a> {
    Plot::new(id)
        .height(height)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .show_grid([false, true])
        .custom_x_axes(vec![axis_across(x_label)])
        .y_axis_label(count_label(y_label, height))
        .y_axis_min_width(46.0)
        .x_grid_spacer(|input| marks_across(&input))
        .y_grid_spacer(move |input| grid_marks(scale.marks_apart(input.bounds, input.base_step_size * NUMBERS / ASKED)))
        .y_axis_formatter(move |mark, _| scale.mark_text(mark.value))
        .label_formatter(|_| None)
}

/// An empty plot of numbers against numbers, with the axes of `figure`, that stays where it is put: so high, with so much room
/// for the numbers upwards, which stand about `apart` points from each other.
pub(super) fn number_plot<'a>(
    id: &str,
    figure: &figure::Figure,
    (height, numbers): (f32, f32),
    apart: f64,
) -> Plot<'a> {
    Plot::new(id)
        .height(height)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .custom_x_axes(vec![axis_across(&figure.x)])
        .custom_y_axes(vec![
            AxisHints::new_y()
                .label(figure.y.clone())
                .min_thickness(numbers)
                // The marks have room for their texts already.
                .label_spacing(1.0..=2.0)
                .formatter(|mark, _| number_text(&mark)),
        ])
        .x_grid_spacer(|input| marks_across(&input))
        .y_grid_spacer(move |input| number_marks(&input, apart))
        .label_formatter(|_| None)
}

/// The axis below a plot. Its marks have room for their texts: egui_plot would leave out what is nearer than 60 points, and fade
/// what is nearer than 80.
fn axis_across<'a>(label: &str) -> AxisHints<'a> {
    AxisHints::new_x()
        .label(label)
        .label_spacing(1.0..=2.0)
        .formatter(|mark, _| number_text(&mark))
}

/// Marks of an axis of numbers to the right: about one in 80 points, or two that are nearer to each other.
fn marks_across(input: &GridInput) -> Vec<GridMark> {
    grid_marks(figure::marks_across(input.bounds, ASKED / input.base_step_size, 80.0))
}

/// Marks of an axis of numbers: steps of 1, 2 or 5, at most about one in `distance` points.
pub(super) fn number_marks(input: &GridInput, distance: f64) -> Vec<GridMark> {
    grid_marks(figure::number_marks(
        input.bounds,
        input.base_step_size * distance / ASKED,
    ))
}

/// Text of such a mark.
pub(super) fn number_text(mark: &GridMark) -> String {
    figure::number_text(figure::Mark {
        value: mark.value,
        step: mark.step_size,
    })
}

fn grid_marks(marks: Vec<figure::Mark>) -> Vec<GridMark> {
    let grid_mark = |mark: figure::Mark| GridMark {
        value: mark.value,
        step_size: mark.step,
    };
    marks.into_iter().map(grid_mark).collect()
}

/// A square of colour with its meaning, for the legend above a plot; in one piece, so that a line never ends between them.
pub(super) fn swatch(ui: &mut Ui, color: Color32, meaning: &str, explanation: &str) {
    let font = TextStyle::Small.resolve(ui.style());
    let ink = ui.visuals().weak_text_color();
    let words = ui.painter().layout_no_wrap(meaning.to_owned(), font, ink);
    let size = vec2(SWATCH + 4.0 + words.size().x, words.size().y.max(SWATCH));
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, meaning));
    let square = Rect::from_center_size(pos2(rect.min.x + SWATCH / 2.0, rect.center().y), vec2(SWATCH, SWATCH));
    ui.painter().rect_filled(square, 2.0, color);
    let place = pos2(square.max.x + 4.0, rect.center().y - words.size().y / 2.0);
    ui.painter().galley(place, words, ink);
    response.on_hover_text(explanation);
    ui.add_space(4.0);
}

/// Side of a square of colour in a legend, points.
const SWATCH: f32 = 10.0;

/// Width of the scale of errors, points.
const SCALE: f32 = 60.0;

/// The scale of errors: its colours from bad to good between the decibels of its ends, in one piece.
pub(super) fn sqnr_scale_ui(ui: &mut Ui) {
    let colors = tokens(ui);
    let (bad, good) = SQNR_RANGE_DB;
    let ends = [format!("SQNR {bad:.0} dB"), format!("{good:.0} dB")];
    let says = format!("Colours of layers: SQNR from {bad:.0} to {good:.0} dB");
    let color = |share: f32| colors.sqnr(bad + (good - bad) * f64::from(share));
    color_scale_ui(ui, ends, &says, color).on_hover_text(
        "The colour of a layer is its error: the SQNR of its weights under the present recipe. What stands out is bad.",
    );
}

/// The same colours for what layers cost: from nothing to the worst layer of this network.
pub(super) fn cost_scale_ui(ui: &mut Ui) {
    let colors = tokens(ui);
    let ends = ["worst layer".to_owned(), "no error".to_owned()];
    let says = "Colours of layers: from the worst layer to no error of the outputs";
    let color = |share: f32| colors.cost(1.0 - f64::from(share));
    color_scale_ui(ui, ends, says, color).on_hover_text(
        "The colour of a layer is the error of the network's outputs with only this layer quantized, as a share of what the worst \
         layer makes.",
    );
}

/// Colours in one piece between what their ends stand for; `says` is the whole in words.
pub(super) fn color_scale_ui(ui: &mut Ui, ends: [String; 2], says: &str, color: impl Fn(f32) -> Color32) -> Response {
    let font = TextStyle::Small.resolve(ui.style());
    let ink = ui.visuals().weak_text_color();
    let [left, right] = ends.map(|text| ui.painter().layout_no_wrap(text, font.clone(), ink));
    let size = vec2(left.size().x + SCALE + right.size().x + 8.0, left.size().y);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, says));
    let start = rect.min.x + left.size().x + 4.0;
    let mut mesh = Mesh::default();
    for i in 0..=12_u32 {
        let share = i as f32 / 12.0;
        let color = color(share);
        let x = start + SCALE * share;
        mesh.colored_vertex(pos2(x, rect.center().y - 5.0), color);
        mesh.colored_vertex(pos2(x, rect.center().y + 5.0), color);
        if i > 0 {
            let first = 2 * (i - 1);
            mesh.add_triangle(first, first + 1, first + 2);
            mesh.add_triangle(first + 1, first + 2, first + 3);
        }
    }
    ui.painter().add(egui::Shape::mesh(mesh));
    ui.painter().galley(rect.min, left, ink);
    ui.painter().galley(pos2(start + SCALE + 4.0, rect.min.y), right, ink);
    response
}

/// A pointer on a vertical line: near enough to grab.
pub(super) fn near(plot: &PlotUi<'_>, x: f64) -> bool {
    plot.response()
        .hover_pos()
        .is_some_and(|pointer| (plot.screen_from_plot(PlotPoint::new(x, 0.0)).x - pointer.x).abs() < 6.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_an_axis_are_round() {
        let input = GridInput {
            bounds: (-1.2, 1.2),
            base_step_size: 0.04,
        };
        let marks: Vec<String> = number_marks(&input, 60.0).iter().map(number_text).collect();
        assert_eq!(marks, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        let broken = GridInput {
            bounds: (0.0, 1.0),
            base_step_size: 0.0,
        };
        assert!(number_marks(&broken, 60.0).is_empty());
    }

    /// The numbers below a histogram of values between ±`reach`, with their places, in a panel so wide.
    fn numbers_below(reach: f64, width: f32) -> Vec<(String, Rect)> {
        let ctx = egui::Context::default();
        crate::app::theme::install(&ctx);
        let input = egui::RawInput {
            screen_rect: Some(Rect::from_min_size(pos2(0.0, 0.0), vec2(width, 300.0))),
            ..egui::RawInput::default()
        };
        let mut texts = Vec::new();
        // egui_plot places its axes by what the frame before took.
        for _ in 0..3 {
            let mut bottom = 0.0;
            let output = ctx.run_ui(input.clone(), |ui| {
                let shown = histogram_plot("narrow", "weight", "weights in a bin", 200.0, Scale::Log)
                    .show(ui, |plot| plot.set_plot_bounds_x(-reach..=reach));
                bottom = shown.transform.frame().max.y;
            });
            texts = output
                .shapes
                .iter()
                .filter_map(|clipped| match &clipped.shape {
                    egui::Shape::Text(text) => Some((text.galley.text().to_owned(), text.visual_bounding_rect())),
                    _ => None,
                })
                .filter(|(text, place)| place.center().y > bottom && text != "weight")
                .collect();
        }
        texts
    }

    #[test]
    fn a_narrow_histogram_has_two_numbers_below_it_that_do_not_touch() {
        for reach in [0.0009, 0.024, 0.31, 0.9, 1.2, 4.4, 999.0] {
            for width in [220.0, 260.0, 300.0, 333.0, 400.0, 640.0] {
                let numbers = numbers_below(reach, width);
                assert!(numbers.len() >= 2, "{numbers:?} for ±{reach} in {width} points");
                let apart = |pair: &[(String, Rect)]| pair[1].1.min.x - pair[0].1.max.x;
                let least = numbers.windows(2).map(apart).fold(f32::INFINITY, f32::min);
                assert!(least >= 4.0, "{numbers:?} for ±{reach} in {width} points");
            }
        }
    }

    #[test]
    fn the_name_of_the_counts_is_no_longer_than_a_low_plot_is_high() {
        assert_eq!(count_label("weights in a bin", 80.0), "count");
        assert_eq!(count_label("weights in a bin", 150.0), "weights in a bin");
        let count_letters = "count".len() as f32;
        assert!(count_letters * LETTER <= 80.0 - BELOW, "the lowest plot has room");
    }

    #[test]
    fn the_lines_of_a_hatch_stay_inside() {
        let rect = Rect::from_min_max(pos2(3.0, 7.0), pos2(9.0, 40.0));
        let lines = hatch_lines(rect);
        assert_eq!(lines.len(), 8, "sums 10, 15 … 45");
        let inside = |p: &egui::Pos2| rect.expand(1e-3).contains(*p);
        assert!(lines.iter().flatten().all(inside), "{lines:?}");
    }

    #[test]
    fn each_bin_holds_its_left_end() {
        let steps = Steps {
            low: -1.0,
            width: 0.5,
            counts: &[1, 2, 3, 4],
        };
        assert_eq!(
            [-1.01, -1.0, -0.5, 0.99, 1.0].map(|x| steps.bin(x)),
            [None, Some(0), Some(1), Some(3), None]
        );
    }
}
