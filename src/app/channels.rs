//! The greatest |w| of each input channel, before and after, with the split channels marked.

use super::Outbox;
use super::plot::export::figure_menu;
use super::plot::figure::{Figure, Series, Shape};
use super::plot::{Scale, number_marks, number_text, swatch};
use super::text;
use super::theme::{faded, tokens};
use crate::session::{LayerView, OpenNetwork};
use egui::{Response, Ui};
use egui_plot::{Bar, BarChart, HLine, Plot, PlotBounds, PlotPoint, PlotUi, Text};

/// In which order the channels stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Index,
    Size,
}

/// Channels drawn with a bar of their own at most; of more, the first ones in the chosen order.
const MOST_BARS: usize = 2048;

/// State of the view between frames.
pub(super) struct ChannelsPanel {
    order: Order,
}

impl Default for ChannelsPanel {
    fn default() -> Self {
        Self { order: Order::Index }
    }
}

impl ChannelsPanel {
    /// Draws legend and plot into the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let Some((_, view)) = open.view() else { return };
        let colors = tokens(ui);
        let top = ui.cursor().top();
        let splits: usize = view.after.as_deref().map_or(0, |after| after.quantized.splits.len());
        ui.horizontal_wrapped(|ui| {
            ui.strong("Input channels").on_hover_text(
                "Splitting duplicates whole input channels: those that hold the largest weights. Here is the largest |w| of each.",
            );
            swatch(ui, colors.original, "before", "The largest |w| of the channel as it is in the file.");
            if view.after.is_some() {
                swatch(ui, colors.quantized, "after", "The largest |w| of the channel after splitting.");
                let text = format!("split ({})", text::plural(splits as u64, "copy added", "copies added"));
                swatch(ui, colors.split, &text, "The channel was split; ×2 means that there are two copies of it now.");
            }
            ui.spacing_mut().item_spacing.x = 4.0;
            for (order, name, why) in [
                (Order::Index, "by index", "In the order of the file."),
                (Order::Size, "by size", "Largest first."),
            ] {
                ui.selectable_value(&mut self.order, order, name).on_hover_text(why);
            }
        });
        let height = (height - (ui.cursor().top() - top)).max(60.0);
        let shown = self.plot_ui(ui, view, height);
        figure_menu(ui, &shown, "Plot of the channels", out, || self.figure(ui, open, view));
    }

    /// What the plot shows.
    fn figure(&self, ui: &Ui, open: &OpenNetwork, view: &LayerView) -> Figure {
        let colors = tokens(ui);
        let channels = self.ordered(view);
        let bars = |of: &[f32]| {
            let numbered = channels.iter().enumerate();
            Shape::Bars(
                numbered
                    .map(|(x, &channel)| [x as f64, f64::from(of[channel])])
                    .collect(),
            )
        };
        let series = |name: &str, color, of: &[f32]| Series {
            name: name.to_owned(),
            color,
            shape: bars(of),
        };
        let mut all = vec![series("before", colors.original, &view.channels)];
        all.extend(
            view.after
                .as_deref()
                .map(|after| series("after", colors.quantized, &after.channels)),
        );
        Figure {
            title: format!("largest weights of the input channels of {}", open.selected_name()),
            x: self.x_label().to_owned(),
            y: "max |w|".to_owned(),
            x_range: (-0.7, channels.len() as f64 - 0.3),
            y_range: (
                0.0,
                f64::from(view.channels.iter().copied().fold(0.0, f32::max)).max(1e-12) * 1.1,
            ),
            scale: Scale::Linear,
            series: all,
        }
    }

    fn x_label(&self) -> &'static str {
        match self.order {
            Order::Index => "input channel",
            Order::Size => "input channels, largest |w| first",
        }
    }

    fn plot_ui(&self, ui: &mut Ui, view: &LayerView, height: f32) -> Response {
        let colors = tokens(ui);
        let channels = self.ordered(view);
        let highest = channels
            .iter()
            .map(|&channel| view.channels[channel])
            .fold(0.0, f32::max);
        let highest = if highest > 0.0 { f64::from(highest) } else { 1.0 };
        let count = channels.len().max(1) as f64;
        let channel_at = |x: f64| (x >= -0.5).then(|| channels.get((x + 0.5) as usize).copied()).flatten();
        let before: Vec<Bar> = channels
            .iter()
            .enumerate()
            .map(|(x, &channel)| bar(x, view.channels[channel], faded(colors.original, 0.6)))
            .collect();
        Plot::new("channel maxima")
            .height(height)
            .allow_zoom(false)
            .allow_scroll(false)
            .allow_drag(false)
            .allow_boxed_zoom(false)
            .allow_axis_zoom_drag(false)
            .show_grid([false, true])
            .x_axis_label(self.x_label())
            .y_axis_label("max |w|")
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
            .show(ui, |plot| {
                plot.set_plot_bounds(PlotBounds::from_min_max([-0.7, 0.0], [count - 0.3, highest * 1.2]));
                let chart = BarChart::new("before", before).color(colors.original);
                plot.bar_chart(chart.allow_hover(false));
                if let Some(after) = view.after.as_deref() {
                    let bars = channels.iter().enumerate().map(|(x, &channel)| {
                        let color = if after.copies[channel] > 1 {
                            colors.split
                        } else {
                            faded(colors.quantized, 0.8)
                        };
                        bar(x, after.channels[channel], color)
                    });
                    let chart = BarChart::new("after", bars.collect()).color(colors.quantized);
                    plot.bar_chart(chart.allow_hover(false));
                    let threshold = f64::from(after.quantized.threshold);
                    let line = HLine::new("threshold", threshold).color(colors.handle).width(1.5);
                    plot.hline(line.allow_hover(false));
                    copies_text(plot, view, &channels, colors.split);
                }
                hover(plot, view, channel_at);
            })
            .response
    }

    fn ordered(&self, view: &LayerView) -> Vec<usize> {
        let mut channels: Vec<usize> = (0..view.channels.len()).collect();
        if self.order == Order::Size {
            channels.sort_by(|a, b| view.channels[*b].total_cmp(&view.channels[*a]));
        }
        channels.truncate(MOST_BARS);
        channels
    }
}

fn bar(x: usize, height: f32, color: egui::Color32) -> Bar {
    Bar::new(x as f64, f64::from(height))
        .width(0.86)
        .fill(color)
        .stroke(egui::Stroke::NONE)
}

/// `×2` above each split channel, where there is room for it.
fn copies_text(plot: &mut PlotUi<'_>, view: &LayerView, channels: &[usize], color: egui::Color32) {
    let Some(after) = view.after.as_deref() else { return };
    let mut last = f32::NEG_INFINITY;
    for (x, &channel) in channels.iter().enumerate() {
        if after.copies[channel] > 1 {
            let at = PlotPoint::new(x as f64, f64::from(view.channels[channel]));
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

fn hover(plot: &mut PlotUi<'_>, view: &LayerView, channel_at: impl Fn(f64) -> Option<usize>) {
    let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
        return;
    };
    let Some(channel) = channel_at(pointer.x) else { return };
    let mut lines = format!(
        "input channel {channel}\nmax |w| {}",
        text::three_digits(f64::from(view.channels[channel]))
    );
    if let Some(after) = view.after.as_deref() {
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
