//! One bar a channel, as high as its largest |w|.

use super::super::plot::export::figure_menu;
use super::super::plot::{number_marks, number_text};
use super::super::theme::{faded, tokens};
use super::super::{Outbox, text};
use super::figure::figure;
use super::split_line::{LineGrip, split_line};
use super::{Axis, Order, axis_label, maxima};
use crate::session::{LayerView, OpenNetwork};
use egui::{CursorIcon, Ui};
use egui_plot::{Bar, BarChart, HLine, Plot, PlotBounds, PlotPoint, PlotUi, Text};

/// What is drawn.
pub(super) struct Bars<'a> {
    pub(super) view: &'a LayerView,
    /// From left to right.
    pub(super) channels: &'a [usize],
    pub(super) axis: Axis,
    pub(super) order: Order,
}

impl Bars<'_> {
    /// Draws the plot; `line` is the grip of the split line, where there is one.
    pub(super) fn ui(
        &self,
        ui: &mut Ui,
        open: &OpenNetwork,
        line: Option<&mut LineGrip>,
        height: f32,
        out: &mut Outbox,
    ) {
        let colors = tokens(ui);
        let maxima = maxima(self.view, self.axis);
        let highest = maxima.iter().copied().fold(0.0, f32::max);
        let highest = if highest > 0.0 { f64::from(highest) } else { 1.0 };
        let count = self.channels.len().max(1) as f64;
        let mut hot = false;
        let shown =
            channel_plot("channel maxima", axis_label(self.axis, self.order), "max |w|", height).show(ui, |plot| {
                plot.set_plot_bounds(PlotBounds::from_min_max([-0.7, 0.0], [count - 0.3, highest * 1.2]));
                let before = self.bars(|channel| (maxima[channel], faded(colors.original, 0.6)));
                plot.bar_chart(
                    BarChart::new("before", before)
                        .color(colors.original)
                        .allow_hover(false),
                );
                if let Some(after) = self.view.after.as_deref() {
                    if self.axis == Axis::Input {
                        let bars = self.bars(|channel| {
                            let split = after.copies[channel] > 1;
                            let color = if split {
                                colors.split
                            } else {
                                faded(colors.quantized, 0.8)
                            };
                            (after.channels[channel], color)
                        });
                        plot.bar_chart(BarChart::new("after", bars).color(colors.quantized).allow_hover(false));
                        self.copies_text(plot, colors.split);
                    }
                    let threshold = f64::from(after.quantized.threshold);
                    let end = HLine::new("threshold", threshold)
                        .color(faded(colors.handle, 0.5))
                        .width(1.0);
                    plot.hline(end.allow_hover(false));
                    // At the largest weight of all it says nothing new, and would lie on the words of the split line.
                    if threshold < highest * 0.98 {
                        let name = format!("the grid ends at {} ", text::three_digits(threshold));
                        let at = PlotPoint::new(plot.plot_bounds().max()[0], threshold);
                        let label = Text::new("threshold", at, egui::RichText::new(name).small()).color(colors.handle);
                        plot.text(label.anchor(egui::Align2::RIGHT_TOP).allow_hover(false));
                    }
                }
                if let Some(grip) = line {
                    split_line(plot, open, self.view, grip, highest, colors.split, out);
                    hot = grip.hot;
                }
                if !hot {
                    self.hover(plot);
                }
            });
        figure_menu(ui, &shown.response, "Plot of the channels", out, || {
            figure(ui, self, open)
        });
        if hot {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeVertical);
        }
    }

    fn bars(&self, of: impl Fn(usize) -> (f32, egui::Color32)) -> Vec<Bar> {
        let bar = |(x, channel): (usize, &usize)| {
            let (height, color) = of(*channel);
            Bar::new(x as f64, f64::from(height))
                .width(0.86)
                .fill(color)
                .stroke(egui::Stroke::NONE)
        };
        self.channels.iter().enumerate().map(bar).collect()
    }

    /// `×2` above each split channel, where there is room for it.
    fn copies_text(&self, plot: &mut PlotUi<'_>, color: egui::Color32) {
        let Some(after) = self.view.after.as_deref() else {
            return;
        };
        let mut last = f32::NEG_INFINITY;
        for (x, &channel) in self.channels.iter().enumerate() {
            if after.copies[channel] > 1 {
                let at = PlotPoint::new(x as f64, f64::from(self.view.channels[channel]));
                let screen = plot.screen_from_plot(at).x;
                if screen - last > 18.0 {
                    let label = egui::RichText::new(format!("×{}", after.copies[channel]))
                        .small()
                        .strong();
                    let text = Text::new("copies", at, label)
                        .color(color)
                        .anchor(egui::Align2::CENTER_BOTTOM);
                    plot.text(text.allow_hover(false));
                    last = screen;
                }
            }
        }
    }

    fn hover(&self, plot: &PlotUi<'_>) {
        let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
            return;
        };
        let at = |x: f64| {
            (x >= -0.5)
                .then(|| self.channels.get((x + 0.5) as usize).copied())
                .flatten()
        };
        let Some(channel) = at(pointer.x) else { return };
        let what = if self.axis == Axis::Input { "input" } else { "output" };
        let mut lines = format!(
            "{what} channel {channel}\nmax |w| {}",
            text::three_digits(f64::from(maxima(self.view, self.axis)[channel]))
        );
        if let Some(after) = self.view.after.as_deref().filter(|_| self.axis == Axis::Input) {
            let copies = after.copies[channel];
            if copies > 1 {
                lines += &format!(
                    ", {} in each of {copies} copies",
                    text::three_digits(f64::from(after.channels[channel]))
                );
            }
        }
        plot.response().clone().on_hover_text_at_pointer(lines);
    }
}

/// An empty plot of channels to the right: it stays where it is put.
pub(super) fn channel_plot<'a>(id: &str, x_label: &str, y_label: &str, height: f32) -> Plot<'a> {
    Plot::new(id)
        .height(height)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_grid([false, true])
        .x_axis_label(x_label)
        .y_axis_label(y_label)
        .y_axis_min_width(46.0)
        .x_grid_spacer(|input| {
            number_marks(&input, 80.0)
                .into_iter()
                .filter(|mark| mark.value.fract() == 0.0)
                .collect()
        })
        .x_axis_formatter(|mark, _| format!("{:.0}", mark.value))
        .y_grid_spacer(|input| number_marks(&input, 30.0))
        .y_axis_formatter(|mark, _| number_text(&mark))
        .label_formatter(|_| None)
}
