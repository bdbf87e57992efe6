//! The selected layer's weights: histogram before and after splitting with the largest channels in their own colours, the
//! grid, the clip threshold as a line to drag, and what each way to clip would choose.

mod figure;
mod hand;
mod hover;
mod integers;
mod legend;
mod markers;
mod readout;
mod show;
mod transition;

pub(super) use hand::{Grip, Hand, threshold_hand, zoom_and_pan};
pub(super) use markers::{MARKERS_HEIGHT, markers, markers_ui};
pub(super) use readout::errors_ui;
pub(super) use show::Show;

use super::learn::spotlight::{Spot, spot};
use super::plot::export::figure_menu;
use super::plot::stack::Stack;
use super::plot::{Steps, draw, draw_over, histogram_plot};
use super::widgets::{failure_ui, waiting_ui};
use super::{Outbox, lit};
use crate::network::LayerKind;
use crate::quantization::{Clip, QuantizedLayer};
use crate::session::{
    Action, Kind, LayerDetails, LayerFacts, LayerView, LayerViewKey, OpenNetwork, Session, StackedChannel, whole_range,
};
use egui::{CursorIcon, Rect, Ui};
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
    details: Option<&'a LayerDetails>,
    /// The visible range.
    range: (f64, f64),
    sigma: f64,
    before: Stack,
    /// After splitting, or on the way there.
    after: Option<Stack>,
    /// The channel under the pointer, here or in another view.
    lit: Option<usize>,
}

impl DistributionPanel {
    /// Draws legend, plot and readout into the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let sigma = session.saved.sigma;
        let Some((key, view)) = open.view() else {
            missing_ui(ui, session, open, height, out);
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
                missing_ui(ui, session, open, height, out);
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
            details: open.details().map(|(_, details)| details),
            range: open.view_key().range.unwrap_or_else(|| whole(facts)),
            before: stack_before(view, self.show.channels),
            after: self.moving(ui, key, view),
            lit: lit::channel(ui.ctx(), open.selected()),
        };
        let hand = self.plot_ui(ui, &picture, plot_height, out);
        self.grip = hand.grip;
        if hand.grip.hot {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
        }
        send(&hand, open, out);
        readout::readout_ui(ui, view);
    }

    /// The same for a lecture hall: no marks of ways to clip; `staircase` shows how many weights each grid value gets.
    pub(super) fn present_ui(
        &mut self,
        ui: &mut Ui,
        session: &Session,
        open: &OpenNetwork,
        height: f32,
        staircase: bool,
        out: &mut Outbox,
    ) {
        (self.show.staircase, self.show.clips) = (staircase, false);
        self.ui(ui, session, open, height, out);
    }

    /// The weights after splitting as they are shown in this frame.
    fn moving(&mut self, ui: &Ui, key: &LayerViewKey, view: &LayerView) -> Option<Stack> {
        let after = stack_after(view, self.show.channels)?;
        Some(self.transition.step(ui, key, view, &after))
    }

    fn plot_ui(&self, ui: &mut Ui, picture: &Picture<'_>, height: f32, out: &mut Outbox) -> Hand {
        let (view, open, scale) = (picture.view, picture.open, self.show.scale);
        let before = steps(view.range, &view.before.counts);
        let histogram = view.after_histogram.as_ref();
        let after = histogram.map(|histogram| steps(view.range, &histogram.counts));
        let whole = whole(picture.facts);
        let figure = figure::figure(picture, &self.show, self.grip, height);
        let quantized = view.after.as_deref().map(|after| &after.quantized);
        let shown = histogram_plot("weight histogram", "weight", "weights in a bin", height, scale)
            .allow_double_click_reset(false)
            .show(ui, |plot| {
                draw(plot, &figure);
                let mut hand = Hand::default();
                if let Some(quantized) = quantized {
                    let (threshold, sides) = threshold_and_sides(quantized);
                    hand = threshold_hand(plot, self.grip, threshold, &sides, whole.1);
                }
                if !self.grip.dragging {
                    hover::hover(plot, view, &before, after.as_ref(), self.show.staircase);
                    hover::light(plot, open.selected(), view, &before, after.as_ref());
                }
                if !hand.grip.hot {
                    hand.range = zoom_and_pan(plot, picture.range, whole);
                }
                hand
            });
        let frame = *shown.transform.frame();
        let markers = markers(ui, &shown.transform, figure::marks(picture, &self.show, height));
        let labels: Vec<Rect> = markers.iter().map(|marker| marker.place).collect();
        draw_over(ui, &shown.transform, &figure, &labels);
        let present = open.settings(open.selected()).weights.clip;
        if let Some(clip) = markers_ui(ui, frame, &markers, present, "weights") {
            out.edit_layer(open, false, |layer| layer.clip = Some(clip));
        }
        spot(ui.ctx(), Spot::Weights, shown.response.rect);
        spot(ui.ctx(), Spot::Clips, frame.with_max_y(frame.min.y + MARKERS_HEIGHT));
        figure_menu(ui, &shown.response, "Plot of the weights", out, || figure);
        shown.inner
    }
}

impl Picture<'_> {
    /// Whether the weights of the bin around `x` are clipped.
    fn clipped(&self, x: f64) -> bool {
        // Halves of a split may lie a little beyond the threshold and still round to the end of the grid: no error from that.
        let quantized = self.view.after.as_deref().map(|after| &after.quantized);
        let clips = quantized.filter(|quantized| quantized.clip_mse > 0.0);
        let Some((threshold, [low, high])) = clips.map(threshold_and_sides) else {
            return false;
        };
        let width = (self.view.range.1 - self.view.range.0) / self.view.before.counts.len().max(1) as f64;
        x < threshold * low - width * 0.5 || x > threshold * high + width * 0.5
    }
}

/// How far the grid of a layer reaches, and its ends as shares of that: ±1 of one that is symmetric.
fn threshold_and_sides(quantized: &QuantizedLayer) -> (f64, [f64; 2]) {
    let grid = quantized.grid;
    if grid.zero_point.is_none() {
        return (f64::from(quantized.threshold), [-1.0, 1.0]);
    }
    let ends = [grid.low(), grid.high()].map(|index| f64::from(grid.value(index)));
    let threshold = ends.iter().map(|end| end.abs()).fold(f64::MIN_POSITIVE, f64::max);
    (threshold, ends.map(|end| end / threshold))
}

/// The range that shows all weights.
fn whole(facts: &LayerFacts) -> (f64, f64) {
    let statistics = facts.readable();
    statistics.map_or((-1.0, 1.0), |statistics| whole_range(statistics.max_abs))
}

/// The weights as they are; without `apart` all in one.
fn stack_before(view: &LayerView, apart: bool) -> Stack {
    let channels = parts(view, apart, |channel| Some(&channel.before));
    Stack::of(&view.before.counts, channels)
}

/// The weights after splitting.
fn stack_after(view: &LayerView, apart: bool) -> Option<Stack> {
    let histogram = view.after_histogram.as_ref()?;
    let channels = parts(view, apart, |channel| channel.after.as_ref());
    Some(Stack::of(&histogram.counts, channels))
}

fn parts(view: &LayerView, apart: bool, part: impl Fn(&StackedChannel) -> Option<&Vec<u64>>) -> Vec<Vec<f64>> {
    let parts = view.stacked.iter().filter(|_| apart).filter_map(part);
    parts.map(|part| part.iter().map(|n| *n as f64).collect()).collect()
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

/// Why there is no histogram, or how far it is.
fn missing_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
    ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| {
        match open.view_failure() {
            Some(reason) => failure_ui(ui, "The weights cannot be shown", reason),
            None if open.original.layers.is_empty() => {
                ui.centered_and_justified(|ui| ui.label("This network has no layer with weights."));
            }
            None => {
                let kinds = [Kind::LayerView, Kind::Prepare, Kind::Measure];
                waiting_ui(ui, session, &kinds, "Reading the weights…", height, out);
            }
        }
    });
}
