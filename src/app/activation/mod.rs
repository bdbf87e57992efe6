//! The values that flow into the selected layer, once data was run: the same view as of its weights, and its channels below.

mod channels;
mod relief;

use super::command::Command;
use super::distribution::{Grip, Hand, Show, errors_ui, headroom, markers, markers_ui, threshold_hand, zoom_and_pan};
use super::learn::glossary::{Term, help_ui};
use super::plot::export::figure_menu;
use super::plot::figure::Figure;
use super::plot::histogram::{Bounds, Extreme, Histogram, y_range};
use super::plot::stack::Stack;
use super::plot::{Steps, Token, draw, draw_over, histogram_plot, swatch};
use super::theme::tokens;
use super::widgets::{data_buttons_ui, failure_ui, waiting_ui};
use super::{Outbox, lit, text};
use crate::inference::{InputChannel, InputChannels, StackedInput, noise_sizes_note};
use crate::quantization::{ActivationPlan, Clip, LayerPlan, expected_error};
use crate::session::{Action, CalibrationSource, ClipMark, InputDetails, Kind, OpenNetwork, Session};
use crate::statistics::{ActivationStatistics, RangeSource};
use egui::{CursorIcon, Rect, ScrollArea, Ui};
use egui_plot::PlotUi;

/// Share of the height that the histogram takes; the channels have the rest.
const HISTOGRAM: f32 = 0.6;
/// Height that histogram and channels need, points; in less the histogram has all of it, and the channels are scrolled to.
const MIN_WITH_CHANNELS: f32 = 400.0;
/// Height of the channels where they are scrolled to, points.
const SCROLLED_CHANNELS: f32 = 260.0;
/// Bars over the visible range, about.
const BARS: usize = 320;

/// State of the view between frames.
#[derive(Default)]
pub(super) struct ActivationPanel {
    show: Show,
    grip: Grip,
    channels: channels::Channels,
    /// It was drawn in this frame.
    drawn: bool,
    /// The visible range and the layer that it is of; all of another layer is shown.
    range: Option<(usize, (f64, f64))>,
}

impl ActivationPanel {
    /// At the end of a frame: whether it was drawn. The channels are looked at only while somebody sees them.
    pub(super) fn drawn(&mut self) -> bool {
        std::mem::take(&mut self.drawn)
    }

    /// Draws the view into the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let Some(layer) = open.original.network.layers.get(open.selected()) else {
            return;
        };
        let statistics = layer
            .input
            .as_ref()
            .and_then(|(name, _)| open.calibration()?.activations.get(name));
        let Some(statistics) = statistics else {
            missing_ui(ui, session, open, height, out);
            return;
        };
        self.drawn = true;
        if height >= MIN_WITH_CHANNELS {
            let heights = [height * HISTOGRAM, height * (1.0 - HISTOGRAM)];
            self.histogram_and_channels_ui(ui, session, open, (statistics, heights), out);
            return;
        }
        ScrollArea::vertical()
            .id_salt("activations")
            .auto_shrink(false)
            .show(ui, |ui| {
                let heights = [height, SCROLLED_CHANNELS];
                self.histogram_and_channels_ui(ui, session, open, (statistics, heights), out);
            });
    }

    /// Each into its height.
    fn histogram_and_channels_ui(
        &mut self,
        ui: &mut Ui,
        session: &Session,
        open: &OpenNetwork,
        (statistics, [height, below]): (&ActivationStatistics, [f32; 2]),
        out: &mut Outbox,
    ) {
        let found = open.input_channels();
        let planned = open.planned();
        let plan = planned.and_then(|(_, planned)| planned.plan.layers.get(open.selected()));
        let quantized = plan.and_then(LayerPlan::quantized);
        let splits = quantized.map_or(&[][..], |quantized| quantized.activation_splits.as_slice());
        let plan = quantized.and_then(|quantized| quantized.activation);
        let top = ui.cursor().top();
        self.legend_ui(ui, plan.is_some(), found.map(|found| &**found));
        let plot_height = (height - (ui.cursor().top() - top) - 46.0).max(80.0);
        let hand = self.plot_ui(ui, open, statistics, plan, plot_height, out);
        self.grip = hand.grip;
        if hand.grip.hot {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
        }
        self.take(&hand, open, out);
        match plan {
            Some(plan) => {
                let error = expected_error(statistics, plan.grid, plan.threshold);
                errors_ui(ui, error.mse, error.clip_mse, error.sqnr_db);
            }
            None => {
                ui.label("The input stays float. Set activation bits to quantize this input.");
            }
        }
        source_ui(ui, open, statistics, out);
        ui.separator();
        let left = (top + height + below - ui.cursor().top()).max(60.0);
        match found {
            Some(found) => self.channels.ui(ui, open, found, splits, left, out),
            None => channels_missing_ui(ui, session, open, left, out),
        }
    }

    fn legend_ui(&mut self, ui: &mut Ui, quantized: bool, found: Option<&InputChannels>) {
        let colors = tokens(ui);
        ui.horizontal_wrapped(|ui| {
            self.show.menu_ui(ui, false);
            swatch(ui, colors.original, "input of the layer", Term::Activation.text());
            if quantized {
                swatch(ui, colors.clipped, "clipped", Term::Clip.text());
                swatch(ui, colors.grid, "grid", Term::Grid.text());
            }
            if let Some(found) = found {
                let beyond = format!("> {} σ", text::short_number(found.sigma));
                swatch(
                    ui,
                    colors.outlier,
                    &beyond,
                    "Values further from the mean than that many standard deviations.",
                );
                if self.show.channels && !found.stacked.is_empty() {
                    ui.label(text::note("largest channels"))
                        .on_hover_text("The channels with the largest |x|, largest first, each in its own colour.");
                    for (rank, stacked) in found.stacked.iter().enumerate() {
                        let most = found.channels.get(stacked.channel).map_or(0.0, InputChannel::max_abs);
                        let help = format!(
                            "Input channel {}: its largest |x| is {}.",
                            stacked.channel,
                            text::three_digits(f64::from(most))
                        );
                        swatch(ui, colors.channel(rank), &stacked.channel.to_string(), &help);
                    }
                }
            }
            help_ui(ui, Term::Activation);
        });
    }

    fn plot_ui(
        &self,
        ui: &mut Ui,
        open: &OpenNetwork,
        statistics: &ActivationStatistics,
        plan: Option<ActivationPlan>,
        height: f32,
        out: &mut Outbox,
    ) -> Hand {
        let scale = self.show.scale;
        let whole = visible(statistics);
        let range = match self.range {
            Some((layer, range)) if layer == open.selected() => range,
            _ => whole,
        };
        let (low, width, counts) = merged(statistics, range);
        let steps = Steps {
            low,
            width,
            counts: &counts,
        };
        let details = open.details().and_then(|(_, details)| details.input.as_ref());
        let picture = Picture {
            name: open.selected_name(),
            steps: &steps,
            range,
            plan,
            details,
            found: open.input_channels().map(|found| &**found),
            stacked: open
                .input_channels()
                .map_or_else(Vec::new, |found| stacked(statistics, found, range)),
            lit: lit::channel(ui.ctx(), open.selected()),
        };
        let marks = picture.marks(&self.show);
        let figure = picture.figure(&self.show, self.grip, height);
        let shown = histogram_plot("activation histogram", "input value", "values in a bin", height, scale)
            .allow_double_click_reset(false)
            .show(ui, |plot| {
                draw(plot, &figure);
                let mut hand = Hand::default();
                if let Some(plan) = plan {
                    let most = f64::from(statistics.max_abs());
                    let threshold = f64::from(plan.threshold);
                    hand = threshold_hand(plot, self.grip, threshold, sides(plan), most);
                }
                if !self.grip.dragging {
                    hover(plot, &steps);
                }
                if !hand.grip.hot {
                    hand.range = zoom_and_pan(plot, range, whole);
                }
                hand
            });
        let markers = markers(ui, &shown.transform, marks);
        let labels: Vec<Rect> = markers.iter().map(|marker| marker.place).collect();
        draw_over(ui, &shown.transform, &figure, &labels);
        let present = open.settings(open.selected()).input.clip;
        if let Some(clip) = markers_ui(ui, *shown.transform.frame(), &markers, present, "inputs") {
            out.edit_layer(open, false, |layer| layer.activation_clip = Some(clip));
        }
        figure_menu(ui, &shown.response, "Plot of the inputs", out, || figure);
        shown.inner
    }

    fn take(&mut self, hand: &Hand, open: &OpenNetwork, out: &mut Outbox) {
        if let Some(range) = hand.range {
            self.range = range.map(|range| (open.selected(), range));
        }
        if let Some(threshold) = hand.threshold {
            let clip = Clip::Manual(threshold as f32);
            out.edit_layer(open, true, |layer| layer.activation_clip = Some(clip));
        }
        if hand.released {
            out.actions.push(Action::EndGesture);
        }
        if hand.reset_threshold {
            out.edit_layer(open, false, |layer| layer.activation_clip = None);
        }
    }
}

/// The ends of what was seen, how much, and where it comes from.
fn source_ui(ui: &mut Ui, open: &OpenNetwork, statistics: &ActivationStatistics, out: &mut Outbox) {
    let seen = format!(
        "{} to {} · {}. ",
        text::three_digits(f64::from(statistics.min)),
        text::three_digits(f64::from(statistics.max)),
        text::plural(statistics.count, "value", "values"),
    );
    let from = match (statistics.source, open.calibration()) {
        (RangeSource::Calibration, Some(calibration)) => {
            format!("From {} samples of {}.", calibration.samples, calibration.data_name)
        }
        (RangeSource::Calibration, None) => "From samples.".to_owned(),
        (RangeSource::BatchNorm, _) => {
            "Range from batch-norm statistics, without data: what the layer before was trained to give.".to_owned()
        }
        (RangeSource::Preprocessing, _) => {
            "Range from the stated preprocessing, without data: what it makes of pixels from 0 to 255.".to_owned()
        }
        (RangeSource::Noise, _) => {
            "Range from noise that was run through the network, without data: it can be far off.".to_owned()
        }
    };
    let sizes = open.calibration().filter(|_| statistics.source == RangeSource::Noise);
    let sizes = sizes.and_then(|calibration| noise_sizes_note(calibration.activations.noise_sizes()));
    ui.horizontal_wrapped(|ui| {
        ui.label(text::note(seen + &from));
        if statistics.source != RangeSource::Calibration && open.data().is_some() {
            let response = ui.small_button("Measure on the open data");
            if response
                .on_hover_text("Run the network on the open data to see what really flows here.")
                .clicked()
            {
                out.actions.push(Action::CalibrateOnData(true));
            }
        }
    });
    if let Some(sizes) = sizes {
        ui.add(egui::Label::new(text::note(sizes)).wrap());
    }
}

/// Lower end of the first bin, width and counts of the bins over `range`: as many of those that were counted together as
/// give about [`BARS`] over it.
fn merged(statistics: &ActivationStatistics, range: (f64, f64)) -> (f64, f64, Vec<u64>) {
    let (end, counts) = statistics.bins();
    let end = if end > 0.0 { f64::from(end) } else { 1.0 };
    let width = 2.0 * end / counts.len().max(1) as f64;
    let together = together(statistics, range);
    let merged = counts.chunks(together).map(|chunk| chunk.iter().sum()).collect();
    (-end, width * together as f64, merged)
}

/// How many of the counted bins are one bar.
fn together(statistics: &ActivationStatistics, range: (f64, f64)) -> usize {
    let (end, counts) = statistics.bins();
    let end = if end > 0.0 { f64::from(end) } else { 1.0 };
    let visible = ((range.1 - range.0) * counts.len().max(1) as f64 / (2.0 * end)).max(1.0);
    ((visible / BARS as f64) as usize).max(1).next_power_of_two()
}

/// The largest channels in the same bars.
fn stacked(statistics: &ActivationStatistics, found: &InputChannels, range: (f64, f64)) -> Vec<Vec<f64>> {
    let together = together(statistics, range);
    let bars = |stacked: &StackedInput| {
        let bars = stacked.counts.chunks(together);
        bars.map(|chunk| chunk.iter().sum::<u64>() as f64).collect()
    };
    found.stacked.iter().map(bars).collect()
}

/// What the channels wait for or lack.
fn channels_missing_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
    if let Some(error) = open.input_channels_failure() {
        failure_ui(ui, "The channels cannot be shown", error);
    } else if open.calibration_source() == CalibrationSource::DataFree {
        ui.label("The channels of this input are seen when data are run.");
        data_buttons_ui(ui, &[], out);
    } else {
        let what = "Looking at the channels…";
        waiting_ui(ui, session, &[Kind::InputChannels], what, height, out);
    }
}

/// What is drawn in this frame.
struct Picture<'a> {
    name: &'a str,
    steps: &'a Steps<'a>,
    range: (f64, f64),
    plan: Option<ActivationPlan>,
    details: Option<&'a InputDetails>,
    found: Option<&'a InputChannels>,
    /// The largest channels, in the bins of `steps`.
    stacked: Vec<Vec<f64>>,
    /// The channel under the pointer, here or in another view.
    lit: Option<usize>,
}

impl<'a> Picture<'a> {
    /// Where each way to clip would, if that is shown.
    fn marks(&self, show: &Show) -> &'a [ClipMark] {
        let details = self.details.filter(|_| show.clips);
        details.map_or(&[][..], |details| &details.clips)
    }

    /// What the plot shows, in a plot `height` points high.
    fn figure(&self, show: &Show, grip: Grip, height: f32) -> Figure {
        let Steps { low, width, counts } = *self.steps;
        let mut drawn = Histogram::new(low, width);
        let stack = Stack::of(
            counts,
            if show.channels {
                self.stacked.clone()
            } else {
                Vec::new()
            },
        );
        let bounds = self.found.map(|found| Bounds {
            mean: found.mean,
            std: found.std,
            sigma: found.sigma,
        });
        if let Some(bounds) = &bounds {
            drawn.bounds(bounds);
        }
        let is_outlier = |x: f64| bounds.is_some_and(|bounds| bounds.is_outlier(x));
        drawn.bars("input", Token::Original, 0.85, &stack.rest, |x| !is_outlier(x));
        drawn.bars("outliers", Token::Outlier, 1.0, &stack.rest, is_outlier);
        if let Some(found) = self.found {
            let numbers: Vec<usize> = found.stacked.iter().map(|stacked| stacked.channel).collect();
            drawn.channels(&stack, &numbers, self.lit, "", 1.0);
            if let Some((number, channel)) = self.lit.and_then(|lit| Some((lit, found.channels.get(lit)?))) {
                drawn.lit(number, &[f64::from(channel.min), f64::from(channel.max)]);
            }
        }
        if let Some(plan) = self.plan {
            drawn.grid(plan.grid);
            drawn.threshold(f64::from(plan.threshold), sides(plan), grip.hot);
        }
        if let Some(details) = self.details.filter(|_| show.fits) {
            drawn.fits(&details.fits, self.range);
        }
        let marks = self.marks(show);
        drawn.marks(marks);
        if let Some(plan) = self.plan {
            let threshold = f64::from(plan.threshold);
            drawn.clipped(counts, |x| x.abs() > threshold + width * 0.5);
        }
        if let (Some(found), Some(bounds)) = (self.found.filter(|_| show.outliers), &bounds) {
            let of_channel = |(rank, stacked): (usize, &StackedInput)| {
                let channel = found.channels.get(stacked.channel)?;
                Some(Extreme {
                    x: f64::from(channel.extreme()),
                    channel: Some((rank, stacked.channel)),
                })
            };
            let extremes: Vec<Extreme> = found.stacked.iter().enumerate().filter_map(of_channel).collect();
            drawn.outliers(bounds, &extremes, &stack);
        }
        let most = stack.highest();
        Figure {
            title: format!("inputs of {}", self.name),
            x: "input value".to_owned(),
            y: "values in a bin".to_owned(),
            x_range: self.range,
            y_range: y_range(show.scale, most, headroom(height, !marks.is_empty())),
            scale: show.scale,
            series: drawn.series,
        }
    }
}

/// The sides on which a plan clips: a grid with a zero point may end before the threshold on one of them.
fn sides(plan: ActivationPlan) -> &'static [f64] {
    let reaches = |end: i32| plan.grid.value(end).abs() + plan.grid.step > plan.threshold;
    match [plan.grid.low(), plan.grid.high()].map(reaches) {
        [true, true] => &[-1.0, 1.0],
        [true, false] => &[-1.0],
        [false, _] => &[1.0],
    }
}

/// The bin under the pointer.
fn hover(plot: &PlotUi<'_>, steps: &Steps<'_>) {
    let pointer = plot.pointer_coordinate().filter(|_| plot.response().hovered());
    let Some(bin) = pointer.and_then(|pointer| steps.bin(pointer.x)) else {
        return;
    };
    let low = steps.low + steps.width * bin as f64;
    let lines = format!(
        "{} to {}\n{}",
        text::three_digits(low),
        text::three_digits(low + steps.width),
        text::plural(steps.counts[bin], "value", "values")
    );
    plot.response().clone().on_hover_text_at_pointer(lines);
}

/// What was seen, with a little room.
fn visible(statistics: &ActivationStatistics) -> (f64, f64) {
    let (min, max) = (f64::from(statistics.min), f64::from(statistics.max));
    let room = ((max - min) * 0.04).max(1e-12);
    if min.is_finite() && max.is_finite() {
        (min.min(0.0) - room, max.max(0.0) + room)
    } else {
        (-1.0, 1.0)
    }
}

/// Says what is missing and offers what mends it.
fn missing_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
    let known = open.original.network.why_not_runnable.is_some()
        || open.calibration_failure().is_some()
        || open.engine_failure().is_some()
        || open.calibration().is_some();
    if !known {
        let kinds = [Kind::Calibrate, Kind::LoadData, Kind::Engine, Kind::Prepare];
        waiting_ui(
            ui,
            session,
            &kinds,
            "Measuring what flows into the layers…",
            height,
            out,
        );
        if !open.wants_activations() {
            out.actions.push(Action::ShowActivations);
        }
        return;
    }
    ui.vertical_centered(|ui| {
        ui.add_space(height * 0.35);
        if let Some(reason) = open.original.network.why_not_runnable.as_deref() {
            ui.label(format!("No inputs to show: {reason}."));
        } else if let Some(reason) = open.calibration_failure() {
            failure_ui(ui, "The inputs could not be measured", reason);
            if ui.button(Command::Retry.text()).clicked() {
                out.commands.push(Command::Retry);
            }
        } else if let Some(reason) = open.engine_failure() {
            ui.label(format!(
                "No inputs to show, because the network can't be run: {reason}."
            ));
        } else {
            ui.label("The input of this layer was not seen: it lies inside a subgraph, or is no value of the graph.");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_bins_lose_no_value_and_end_where_the_counted_ones_end() {
        let mut seen = ActivationStatistics::new(RangeSource::Calibration);
        seen.add(&[0.0, 0.5, 0.9, 3.0]);
        for range in [(-0.1, 3.1), (0.4, 0.6)] {
            let (low, width, counts) = merged(&seen, range);
            assert_eq!(counts.iter().sum::<u64>(), 4);
            assert!((low + width * counts.len() as f64 + low).abs() < 1e-9);
            assert!((range.1 - range.0) / width <= 2.0 * BARS as f64);
        }
    }
}
