//! The selected layer's weights: histogram before and after splitting with the largest channels in their own colours, the
//! grid, the clip threshold as a line to drag, and what each way to clip would choose.

mod curves;
mod figure;
mod hand;
mod hover;
mod integers;
mod legend;
mod markers;
mod readout;
mod show;
mod stack;
mod transition;

pub(super) use curves::{draw_fits, draw_grid};
pub(super) use hand::{Grip, Hand, threshold_line, zoom_and_pan};
pub(super) use markers::{MARKERS_HEIGHT, markers_ui};
pub(super) use readout::errors_ui;
pub(super) use show::Show;

use super::Outbox;
use super::plot::export::figure_menu;
use super::plot::{Steps, histogram_plot};
use super::theme::{Tokens, faded, tokens};
use crate::network::LayerKind;
use crate::quantization::Clip;
use crate::session::{Action, LayerFacts, LayerView, LayerViewKey, OpenNetwork, whole_range};
use egui::{CursorIcon, Ui};
use egui_plot::{PlotBounds, PlotUi};
use stack::{Bins, Stack};
use transition::Transition;

/// Height of the readout below the plot, points.
const READOUT: f32 = 46.0;

/// State of the view between frames.
#[derive(Default)]
pub(super) struct DistributionPanel {
    show: Show,
    grip: Grip,
    transition: Transition,
    integers: integers::Integers,
}

/// What is drawn in this frame.
struct Picture<'a> {
    open: &'a OpenNetwork,
    view: &'a LayerView,
    facts: &'a LayerFacts,
    sigma: f64,
    before: Stack,
    /// After splitting, or on the way there.
    after: Option<Stack>,
}

impl DistributionPanel {
    /// Draws legend, plot and readout into the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, sigma: f64, height: f32, out: &mut Outbox) {
        let Some((key, view)) = open.view() else {
            waiting_ui(ui, open, height);
            return;
        };
        match (open.details(), open.original.network.layers.get(open.selected())) {
            (Some((_, details)), _) => {
                if let Some(grid) = &details.integers {
                    self.integers.ui(ui, open, grid, height, out);
                    return;
                }
            }
            (None, Some(layer)) if layer.kind == LayerKind::Quantized => {
                waiting_ui(ui, open, height);
                return;
            }
            (None, _) => {}
        }
        let Some(facts) = open.selected_facts() else { return };
        let top = ui.cursor().top();
        legend::legend_ui(ui, &mut self.show, view, sigma);
        let plot_height = (height - (ui.cursor().top() - top) - READOUT).max(80.0);
        let picture = Picture {
            open,
            view,
            facts,
            sigma,
            before: Stack::before(view, self.show.channels),
            after: self.moving(ui, key, view),
        };
        let hand = self.plot_ui(ui, &picture, plot_height, out);
        self.grip = hand.grip;
        if hand.grip.hot {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
        }
        send(&hand, open, out);
        readout::readout_ui(ui, view);
    }

    /// The weights after splitting as they are shown in this frame.
    fn moving(&mut self, ui: &Ui, key: &LayerViewKey, view: &LayerView) -> Option<Stack> {
        let after = Stack::after(view, self.show.channels)?;
        Some(self.transition.step(ui, key, view, &after))
    }

    fn plot_ui(&self, ui: &mut Ui, picture: &Picture<'_>, height: f32, out: &mut Outbox) -> Hand {
        let colors = tokens(ui);
        let (view, open, scale) = (picture.view, picture.open, self.show.scale);
        let before = steps(view.range, &view.before.counts);
        let histogram = view.after_histogram.as_ref();
        let after = histogram.map(|histogram| steps(view.range, &histogram.counts));
        let bins = Bins {
            low: view.range.0,
            width: before.width,
            scale,
        };
        let whole = picture
            .facts
            .readable()
            .map_or((-1.0, 1.0), |statistics| whole_range(statistics.max_abs));
        let range = open.view_key().range.unwrap_or(whole);
        let details = open.details().map(|(_, details)| details);
        let marks = details
            .filter(|_| self.show.clips)
            .map_or(&[][..], |details| &details.clips);
        let highest = self.highest(picture) * headroom(height, !marks.is_empty());

        // Halves of a split may lie a little beyond the threshold and still round to the end of the grid: no error from that.
        let quantized = view.after.as_deref().map(|after| &after.quantized);
        let clips = quantized.filter(|quantized| quantized.clip_mse > 0.0);
        let threshold = clips.map_or(f64::INFINITY, |quantized| f64::from(quantized.threshold));
        let clipped = |x: f64| x.abs() > threshold + before.width * 0.5;
        let shown = histogram_plot("weight histogram", "weight", "weights in a bin", height, scale)
            .allow_double_click_reset(false)
            .show(ui, |plot| {
                plot.set_plot_bounds(PlotBounds::from_min_max([range.0, 0.0], [range.1, highest]));
                self.bars(plot, colors, picture, &bins, clipped);
                let mut hand = Hand::default();
                if let Some(quantized) = quantized {
                    draw_grid(plot, quantized.grid, colors.grid);
                    let threshold = f64::from(quantized.threshold);
                    hand = threshold_line(plot, self.grip, threshold, &[-1.0, 1.0], whole.1, colors.handle);
                }
                if let Some(details) = details.filter(|_| self.show.fits) {
                    draw_fits(plot, &details.fits, range, before.width, scale, colors.handle);
                }
                if !self.grip.dragging {
                    hover::hover(plot, view, &before, after.as_ref(), self.show.staircase);
                }
                if !hand.grip.hot {
                    hand.range = zoom_and_pan(plot, range, whole);
                }
                hand
            });
        let painter = ui.painter().with_clip_rect(*shown.transform.frame());
        if let Some(after) = &after {
            after.hatch(&painter, &shown.transform, colors.clipped, scale, clipped);
        }
        if let Some(after) = view.after.as_deref().filter(|_| self.show.staircase) {
            let (grid, stairs) = (after.quantized.grid, &after.staircase);
            curves::draw_staircase(ui, &painter, &shown.transform, stairs, grid, scale, colors.quantized);
        }
        let present = open.settings(open.selected()).clip;
        if let Some(clip) = markers_ui(ui, &shown.transform, marks, present, "weights") {
            out.edit_layer(open, false, |layer| layer.clip = Some(clip));
        }
        figure_menu(ui, &shown.response, "Plot of the weights", out, || {
            figure::figure(ui, &self.show, open, view)
        });
        shown.inner
    }

    /// The bars: before as a ghost behind those after splitting, the largest channels in their colours.
    fn bars(
        &self,
        plot: &mut PlotUi<'_>,
        colors: &Tokens,
        picture: &Picture<'_>,
        bins: &Bins,
        clipped: impl Fn(f64) -> bool,
    ) {
        let statistics = picture.facts.readable();
        let (mean, std) = statistics.map_or((0.0, 0.0), |statistics| (statistics.mean, statistics.std));
        let is_outlier = |x: f64| (x - mean).abs() > picture.sigma * std;
        let Some(after) = &picture.after else {
            let before = &picture.before;
            before.draw_rest(plot, "before", faded(colors.original, 0.85), bins, |x| !is_outlier(x));
            before.draw_rest(plot, "outliers", colors.outlier, bins, is_outlier);
            before.draw_channels(plot, "largest channels", |rank| colors.channel(rank), bins);
            return;
        };
        let before = &picture.before;
        if self.show.before {
            before.draw_rest(plot, "before", faded(colors.original, 0.6), bins, |x| !is_outlier(x));
            before.draw_channels(
                plot,
                "largest channels before",
                |rank| faded(colors.channel(rank), 0.4),
                bins,
            );
        }
        let strength = if self.show.staircase { 0.35 } else { 0.8 };
        after.draw_rest(plot, "after", faded(colors.quantized, strength), bins, |x| !clipped(x));
        if self.show.before {
            before.draw_rest(plot, "outliers", faded(colors.outlier, 0.8), bins, is_outlier);
        }
        after.draw_channels(plot, "largest channels", |rank| colors.channel(rank), bins);
    }

    /// Height of the tallest thing that is shown.
    fn highest(&self, picture: &Picture<'_>) -> f64 {
        let mut most = picture.before.highest();
        if let Some(histogram) = &picture.view.after_histogram {
            most = most.max(histogram.counts.iter().copied().max().unwrap_or(0) as f64);
        }
        if let Some(after) = picture.view.after.as_deref().filter(|_| self.show.staircase) {
            most = most.max(after.staircase.counts.iter().copied().max().unwrap_or(0) as f64);
        }
        self.show.scale.height(most).max(0.3)
    }
}

/// How much higher than its bars a plot is, with the labels of marks above them or without.
pub(super) fn headroom(height: f32, marks: bool) -> f64 {
    if marks {
        f64::from(height / (height - MARKERS_HEIGHT).max(height * 0.4))
    } else {
        1.08
    }
}

fn steps(range: (f64, f64), counts: &[u64]) -> Steps<'_> {
    Steps {
        low: range.0,
        width: (range.1 - range.0) / counts.len().max(1) as f64,
        counts,
    }
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

fn waiting_ui(ui: &mut Ui, open: &OpenNetwork, height: f32) {
    ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| {
        ui.centered_and_justified(|ui| match open.view_failure() {
            Some(reason) => ui.colored_label(tokens(ui).error, format!("The weights cannot be shown: {reason}")),
            None if open.original.layers.is_empty() => ui.label("This network has no layer with weights."),
            None => ui.label("Reading the weights…"),
        });
    });
}
