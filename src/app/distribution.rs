//! The selected layer's weights: histogram before and after splitting, the grid, and the clip threshold as a line to drag.

use super::plot::export::figure_menu;
use super::plot::figure::{Figure, Series, Shape};
use super::plot::{Scale, Steps, histogram_plot, near, scale_ui, swatch};
use super::theme::{faded, thin, tokens};
use super::{Outbox, text};
use crate::quantization::{Clip, Grid};
use crate::session::{Action, After, LayerFacts, LayerView, Members, OpenNetwork, whole_range};
use egui::{CursorIcon, Response, Ui};
use egui_plot::{PlotBounds, PlotPoint, VLine};

/// Grid values closer than that many points are not drawn one by one.
const LEAST_TICK_DISTANCE: f32 = 3.0;

/// State of the view between frames.
pub(super) struct DistributionPanel {
    pub(super) scale: Scale,
    /// The threshold is being dragged.
    dragging: bool,
    /// The pointer is on the threshold; from the last frame, so that the plot doesn't pan when it is grabbed.
    hot: bool,
}

impl Default for DistributionPanel {
    fn default() -> Self {
        Self {
            scale: Scale::Log,
            dragging: false,
            hot: false,
        }
    }
}

/// What the hand did on the plot in this frame.
#[derive(Default)]
struct Hand {
    hot: bool,
    dragging: bool,
    /// A new threshold.
    threshold: Option<f64>,
    /// The threshold was let go.
    released: bool,
    /// A new visible range.
    range: Option<Option<(f64, f64)>>,
    reset_threshold: bool,
}

impl DistributionPanel {
    /// Draws legend, plot and readout into the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, sigma: f64, height: f32, out: &mut Outbox) {
        let Some((_, view)) = open.view() else {
            waiting_ui(ui, open, height);
            return;
        };
        let Some(facts) = open.selected_facts() else { return };
        let top = ui.cursor().top();
        self.legend_ui(ui, view, sigma);
        let plot_height = (height - (ui.cursor().top() - top) - 46.0).max(80.0);
        let (hand, shown) = self.plot_ui(ui, open, view, facts, sigma, plot_height);
        figure_menu(ui, &shown, "Plot of the weights", out, || self.figure(ui, open, view));
        self.hot = hand.hot;
        self.dragging = hand.dragging;
        if hand.hot {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
        }
        send(&hand, open, out);
        readout_ui(ui, view);
    }

    fn legend_ui(&mut self, ui: &mut Ui, view: &LayerView, sigma: f64) {
        let colors = tokens(ui);
        ui.horizontal_wrapped(|ui| {
            swatch(ui, colors.original, "before", "The weights as they are in the file.");
            swatch(
                ui,
                colors.outlier,
                &format!("outliers (> {} σ)", text::short_number(sigma)),
                "Weights further from the mean than this many standard deviations. The largest of them sets how wide the grid must be.",
            );
            if let Some(after) = view.after.as_deref() {
                swatch(ui, colors.quantized, "after splitting", "The weights once the channels with the largest ones are split in two: each half carries half of the weight.");
                if after.quantized.clip_mse > 0.0 {
                    swatch(ui, colors.clipped, "clipped", "Weights beyond the threshold are cut down to it.");
                }
                let grid = after.quantized.grid;
                let values = grid.high() - grid.low() + 1;
                swatch(
                    ui,
                    colors.grid,
                    &format!("grid: {values} values"),
                    "The only values that a weight can have at this number of bits. Drag one of the two outer lines to clip, double-click it to undo that.",
                );
            }
            scale_ui(ui, &mut self.scale);
        });
    }

    fn plot_ui(
        &self,
        ui: &mut Ui,
        open: &OpenNetwork,
        view: &LayerView,
        facts: &LayerFacts,
        sigma: f64,
        height: f32,
    ) -> (Hand, Response) {
        let colors = tokens(ui);
        let scale = self.scale;
        let before = steps(view.range, &view.before.counts);
        let after = view
            .after_histogram
            .as_ref()
            .map(|histogram| steps(view.range, &histogram.counts));
        let highest = after
            .as_ref()
            .map_or(0.0, |after| after.highest(scale))
            .max(before.highest(scale))
            .max(0.3);
        let statistics = facts.readable();
        let (mean, std) = statistics.map_or((0.0, 0.0), |statistics| (statistics.mean, statistics.std));
        let is_outlier = |x: f64| (x - mean).abs() > sigma * std;
        let quantized = view.after.as_deref().map(|after| &after.quantized);
        let whole = statistics.map_or((-1.0, 1.0), |statistics| whole_range(statistics.max_abs));
        let range = open.view_key().range.unwrap_or(whole);

        // Halves of a split may lie a little beyond the threshold and still round to the end of the grid: no error from that.
        let clips = quantized.filter(|quantized| quantized.clip_mse > 0.0);
        let threshold = clips.map_or(f64::INFINITY, |quantized| f64::from(quantized.threshold));
        let clipped = |x: f64| x.abs() > threshold + before.width * 0.5;
        let shown = histogram_plot("weight histogram", "weight", "weights in a bin", height, scale)
            .allow_double_click_reset(false)
            .show(ui, |plot| {
                plot.set_plot_bounds(PlotBounds::from_min_max([range.0, 0.0], [range.1, highest * 1.08]));
                let alone = after.is_none();
                let strength = if alone { 0.85 } else { 0.6 };
                before.draw(plot, "before", faded(colors.original, strength), scale, |x| {
                    !is_outlier(x)
                });
                let mut hand = Hand::default();
                if let (Some(after), Some(quantized)) = (&after, quantized) {
                    after.draw(plot, "after", faded(colors.quantized, 0.8), scale, |x| !clipped(x));
                    draw_grid(plot, quantized.grid, colors.grid);
                    hand = self.threshold_line(plot, f64::from(quantized.threshold), whole.1, colors.handle);
                }
                before.draw(
                    plot,
                    "outliers",
                    faded(colors.outlier, if alone { 1.0 } else { 0.8 }),
                    scale,
                    is_outlier,
                );
                self.hover(plot, view, &before, after.as_ref());
                if !hand.hot {
                    hand.range = zoom_and_pan(plot, range, whole);
                }
                hand
            });
        if let Some(after) = &after {
            let painter = ui.painter().with_clip_rect(*shown.transform.frame());
            after.hatch(&painter, &shown.transform, colors.clipped, scale, clipped);
        }
        (shown.inner, shown.response)
    }

    /// What the plot shows.
    fn figure(&self, ui: &Ui, open: &OpenNetwork, view: &LayerView) -> Figure {
        let colors = tokens(ui);
        let heights = |counts: &[u64]| counts.iter().map(|count| *count as f64).collect();
        let steps = |name: &str, color, counts: &[u64]| Series {
            name: name.to_owned(),
            color,
            shape: Shape::Steps {
                low: view.range.0,
                width: (view.range.1 - view.range.0) / counts.len().max(1) as f64,
                heights: heights(counts),
            },
        };
        let uprights = |name: &str, color, places| Series {
            name: name.to_owned(),
            color,
            shape: Shape::Uprights(places),
        };
        let mut all = vec![steps("before", colors.original, &view.before.counts)];
        if let (Some(histogram), Some(after)) = (&view.after_histogram, view.after.as_deref()) {
            let grid = after.quantized.grid;
            let threshold = f64::from(after.quantized.threshold);
            let values = (grid.low()..=grid.high()).map(|q| f64::from(grid.value(q))).collect();
            all.push(steps("after splitting", colors.quantized, &histogram.counts));
            all.push(uprights("grid", colors.grid, values));
            all.push(uprights("clip threshold", colors.clipped, vec![-threshold, threshold]));
        }
        let counts = view
            .before
            .counts
            .iter()
            .chain(view.after_histogram.iter().flat_map(|after| &after.counts));
        Figure {
            title: format!("weights of {}", open.selected_name()),
            x: "weight".to_owned(),
            y: "weights in a bin".to_owned(),
            x_range: view.range,
            y_range: (0.0, counts.copied().max().unwrap_or(1).max(1) as f64 * 1.1),
            scale: self.scale,
            series: all,
        }
    }

    /// The threshold on both sides; what the hand does with it.
    fn threshold_line(
        &self,
        plot: &mut egui_plot::PlotUi<'_>,
        threshold: f64,
        most: f64,
        color: egui::Color32,
    ) -> Hand {
        for x in [-threshold, threshold] {
            let width = if self.hot { 2.5 } else { 1.5 };
            plot.vline(VLine::new("threshold", x).color(color).width(width).allow_hover(false));
        }
        let near = near(plot, threshold) || near(plot, -threshold);
        let response = plot.response().clone();
        let (pressed, down) = response
            .ctx
            .input(|input| (input.pointer.primary_pressed(), input.pointer.primary_down()));
        // Grabbed on the press: a drag is told only after the pointer has moved some way.
        let dragging = (self.dragging || (near && pressed)) && down;
        let mut hand = Hand {
            hot: near || dragging,
            dragging,
            released: self.dragging && !down,
            reset_threshold: near && response.double_clicked(),
            ..Hand::default()
        };
        let moved = response.ctx.input(|input| input.pointer.delta().x != 0.0);
        if dragging
            && moved
            && let Some(pointer) = plot.pointer_coordinate()
        {
            hand.threshold = Some(pointer.x.abs().clamp(most * 0.01, most));
        }
        hand
    }

    fn hover(&self, plot: &mut egui_plot::PlotUi<'_>, view: &LayerView, before: &Steps<'_>, after: Option<&Steps<'_>>) {
        if self.dragging {
            return;
        }
        let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
            return;
        };
        let Some(bin) = before.bin(pointer.x) else { return };
        let low = before.low + before.width * bin as f64;
        let count = text::plural(before.counts[bin], "weight", "weights");
        let mut lines = format!(
            "{} to {}\nbefore: {count}",
            text::three_digits(low),
            text::three_digits(low + before.width)
        );
        if let Some(members) = view.members.get(&bin) {
            lines += &channels_text(members);
        }
        if let Some(after) = after {
            lines += &format!("\nafter splitting: {}", text::full_count(after.counts[bin]));
        }
        plot.response().clone().on_hover_text_at_pointer(lines);
    }
}

/// `, input channels 3, 7`.
fn channels_text(members: &Members) -> String {
    let names: Vec<String> = members.channels.iter().map(usize::to_string).collect();
    let (what, more) = match (members.channels.len(), members.more) {
        (1, false) => ("channel", ""),
        (_, false) => ("channels", ""),
        (_, true) => ("channels", ", …"),
    };
    format!(", input {what} {}{more}", names.join(", "))
}

fn steps(range: (f64, f64), counts: &[u64]) -> Steps<'_> {
    Steps {
        low: range.0,
        width: (range.1 - range.0) / counts.len().max(1) as f64,
        counts,
    }
}

/// One thin tick a grid value, unless they would run together.
pub(super) fn draw_grid(plot: &mut egui_plot::PlotUi<'_>, grid: Grid, color: egui::Color32) {
    let at = |x: f64| plot.screen_from_plot(PlotPoint::new(x, 0.0)).x;
    let distance = (at(f64::from(grid.step)) - at(0.0)).abs();
    let strength = if distance < LEAST_TICK_DISTANCE { 0.25 } else { 0.8 };
    for q in grid.low()..=grid.high() {
        let line = VLine::new("grid", f64::from(grid.value(q))).stroke(thin(faded(color, strength)));
        plot.vline(line.allow_hover(false));
    }
}

/// The wheel zooms around the pointer, a drag pans, a double click shows all.
fn zoom_and_pan(plot: &egui_plot::PlotUi<'_>, range: (f64, f64), whole: (f64, f64)) -> Option<Option<(f64, f64)>> {
    let response = plot.response();
    if response.double_clicked() {
        return Some(None);
    }
    if response.dragged() {
        let delta = f64::from(plot.pointer_coordinate_drag_delta().x);
        return (delta != 0.0).then(|| limited((range.0 - delta, range.1 - delta), whole));
    }
    let pointer = plot.pointer_coordinate().filter(|_| response.hovered())?;
    let (scroll, zoom) = response
        .ctx
        .input(|input| (input.smooth_scroll_delta().y, input.zoom_delta()));
    if scroll == 0.0 && (zoom - 1.0).abs() < f32::EPSILON {
        return None;
    }
    let factor = f64::from(zoom * (scroll / 200.0).exp());
    Some(limited(
        (
            pointer.x + (range.0 - pointer.x) / factor,
            pointer.x + (range.1 - pointer.x) / factor,
        ),
        whole,
    ))
}

/// A range narrower than the whole, and no narrower than numbers can tell apart; `None` when it shows all.
fn limited(range: (f64, f64), whole: (f64, f64)) -> Option<(f64, f64)> {
    let (width, full) = (range.1 - range.0, whole.1 - whole.0);
    if width.is_nan() || width >= full * 0.999 {
        return None;
    }
    let centre = (range.0 + range.1) / 2.0;
    let centre = centre.clamp(whole.0, whole.1);
    let half = (width / 2.0).max(full * 1e-5);
    Some((centre - half, centre + half))
}

fn send(hand: &Hand, open: &OpenNetwork, out: &mut Outbox) {
    if let Some(range) = hand.range {
        out.actions.push(Action::ShowRange(range));
    }
    if let Some(threshold) = hand.threshold {
        let clip = Clip::Manual(threshold as f32);
        out.edit_layer(open, true, |layer| layer.clip = Some(clip));
    }
    if hand.released {
        out.actions.push(Action::EndGesture);
    }
    if hand.reset_threshold {
        out.edit_layer(open, false, |layer| layer.clip = None);
    }
}

/// What the grid costs, in numbers and in words.
fn readout_ui(ui: &mut Ui, view: &LayerView) {
    let Some(after) = view.after.as_deref() else {
        ui.label("This layer stays float: nothing is rounded.");
        return;
    };
    let quantized = &after.quantized;
    let rounding = (quantized.mse - quantized.clip_mse).max(0.0);
    let numbers = format!(
        "MSE {} = rounding {} + clipping {} · SQNR {}",
        text::three_digits(quantized.mse),
        text::three_digits(rounding),
        text::three_digits(quantized.clip_mse),
        text::decibels(quantized.sqnr_db)
    );
    ui.label(numbers).on_hover_text(
        "MSE: mean squared error of the layer's weights. Rounding to the grid makes one part of it, clipping the other.\n\
         SQNR: strength of the weights over strength of that error; 6 dB more is about one bit better.",
    );
    ui.label(text::note(crowding(after)));
}

/// How few grid values carry how many weights: what an outlier does to the rest.
fn crowding(after: &After) -> String {
    let quantized = &after.quantized;
    let middle = quantized.values.iter().filter(|q| (-1..=1).contains(*q)).count();
    let share = middle as f64 / quantized.values.len().max(1) as f64;
    let values = quantized.grid.high() - quantized.grid.low() + 1;
    let reach = text::three_digits(f64::from(quantized.threshold));
    format!(
        "The grid's {values} values reach to ±{reach}; {} of the weights share the middle 3.",
        text::percent(share)
    )
}

fn waiting_ui(ui: &mut Ui, open: &OpenNetwork, height: f32) {
    ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| {
        ui.centered_and_justified(|ui| match open.view_failure() {
            Some(reason) => ui.colored_label(tokens(ui).error, format!("The weights cannot be shown: {reason}")),
            None if open.original.layers.is_empty() => ui.label("This network has no layer with weights."),
            None => ui.label("Reading the weights…"),
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zooming_out_ends_at_all_weights_and_zooming_in_ends_somewhere() {
        let whole = (-1.0, 1.0);
        assert_eq!(limited((-1.5, 1.5), whole), None);
        assert_eq!(limited((0.25, 0.5), whole), Some((0.25, 0.5)));
        let (low, high) = limited((0.5, 0.5), whole).unwrap();
        assert!(high > low);
        let (low, high) = limited((5.0, 5.5), whole).unwrap();
        assert!(low <= 1.0 && high >= 1.0, "the view never leaves the weights");
        assert_eq!(limited((f64::NAN, 1.0), whole), None);
    }
}
