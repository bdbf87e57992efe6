//! One bar a channel, as high as its largest |w|.

use super::super::plot::export::figure_menu;
use super::super::plot::{draw, number_marks, number_text};
use super::super::theme::{faded, thin, tokens};
use super::super::{Outbox, lit, text};
use super::figure::figure;
use super::split_line::{LineGrip, split_line};
use super::{Axis, Order, maxima};
use crate::session::{LayerView, OpenNetwork};
use egui::{CursorIcon, Ui};
use egui_plot::{Plot, PlotPoint, PlotUi, Polygon, Text};

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
        let figure = figure(self, open);
        // Without the room above the bars.
        let highest = figure.y_range.1 / 1.2;
        let mut hot = false;
        let shown = channel_plot("channel maxima", &figure.x, "max |w|", height).show(ui, |plot| {
            draw(plot, &figure);
            let lit = lit::channel(plot.ctx(), open.selected()).filter(|_| self.axis == Axis::Input);
            light_band(plot, self.channels, lit, colors.handle);
            if let Some(after) = self.view.after.as_deref() {
                let threshold = f64::from(after.quantized.threshold);
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
                self.hover(plot, open.selected());
            }
        });
        figure_menu(ui, &shown.response, "Plot of the channels", out, || figure);
        if hot {
            ui.ctx().set_cursor_icon(CursorIcon::ResizeVertical);
        }
    }

    fn hover(&self, plot: &PlotUi<'_>, layer: usize) {
        let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
            return;
        };
        let at = |x: f64| {
            (x >= -0.5)
                .then(|| self.channels.get((x + 0.5) as usize).copied())
                .flatten()
        };
        let Some(channel) = at(pointer.x) else { return };
        if self.axis == Axis::Input {
            lit::light(plot.ctx(), layer, channel);
        }
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

/// A band behind the channel that is lit, here or in another view.
pub(in crate::app) fn light_band(plot: &mut PlotUi<'_>, channels: &[usize], lit: Option<usize>, color: egui::Color32) {
    let Some(place) = lit.and_then(|lit| channels.iter().position(|channel| *channel == lit)) else {
        return;
    };
    let (low, high) = (plot.plot_bounds().min()[1], plot.plot_bounds().max()[1]);
    let x = place as f64;
    let ends = [[x - 0.5, low], [x - 0.5, high], [x + 0.5, high], [x + 0.5, low]];
    let band = Polygon::new("lit channel", ends.to_vec()).fill_color(faded(color, 0.16));
    plot.polygon(band.stroke(thin(faded(color, 0.6))).allow_hover(false));
}

/// An empty plot of channels to the right: it stays where it is put.
pub(in crate::app) fn channel_plot<'a>(id: &str, x_label: &str, y_label: &str, height: f32) -> Plot<'a> {
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
