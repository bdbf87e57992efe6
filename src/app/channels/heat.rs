//! Channels to the right, values upwards, the darker the more weights: one texture, drawn as a picture.

use super::super::plot::export::figure_menu;
use super::super::plot::figure::{Figure, Series, Shape};
use super::super::plot::{Scale, Token};
use super::super::theme::{Tokens, tokens};
use super::super::{Outbox, lit, text};
use super::bars::{channel_plot, light_band};
use super::{Axis, Order, axis_label};
use crate::session::{Heat, LayerDetailsKey, OpenNetwork};
use egui::{Color32, ColorImage, TextureHandle, TextureOptions, Ui, vec2};
use egui_plot::{HLine, PlotBounds, PlotImage, PlotPoint, PlotUi, Points};

/// What is drawn.
pub(super) struct Drawn<'a> {
    pub(super) key: &'a LayerDetailsKey,
    pub(super) heat: &'a Heat,
    /// Weights where it is strongest.
    pub(super) most: u32,
    pub(super) is_after: bool,
    pub(super) output: bool,
    /// From left to right.
    pub(super) channels: &'a [usize],
    /// Copies of each channel, where they are split.
    pub(super) copies: Option<&'a [usize]>,
}

/// The picture as it was last made, and what of.
#[derive(Default)]
pub(super) struct HeatPicture {
    made: Option<(Made, TextureHandle)>,
}

#[derive(PartialEq)]
struct Made {
    key: LayerDetailsKey,
    is_after: bool,
    output: bool,
    channels: Vec<usize>,
    dark: bool,
}

impl HeatPicture {
    /// Draws the picture in the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, drawn: &Drawn<'_>, height: f32, out: &mut Outbox) {
        let colors = tokens(ui);
        let columns = drawn.channels.len().min(drawn.heat.channels);
        if columns == 0 {
            return;
        }
        let channels: Vec<usize> = drawn
            .channels
            .iter()
            .copied()
            .filter(|c| *c < drawn.heat.channels)
            .collect();
        let texture = self.texture(ui, drawn, &channels, colors);
        let reach = drawn.heat.reach;
        let axis = if drawn.output { Axis::Output } else { Axis::Input };
        let sorted = !channels.is_sorted();
        let order = if sorted { Order::Size } else { Order::Index };
        let count = channels.len() as f64;
        let label = axis_label(axis, order);
        let shown = channel_plot("channel heat", label, "weight", height).show(ui, |plot| {
            plot.set_plot_bounds(PlotBounds::from_min_max(
                [-0.7, -reach * 1.12],
                [count - 0.3, reach * 1.12],
            ));
            let centre = PlotPoint::new((count - 1.0) / 2.0, 0.0);
            let size = vec2(count as f32, 2.0 * reach as f32);
            plot.image(PlotImage::new("weights of the channels", texture, centre, size).allow_hover(false));
            plot.hline(HLine::new("zero", 0.0).color(colors.grid).width(0.5).allow_hover(false));
            if let Some(copies) = drawn.copies {
                let marks = split_marks(&channels, copies, reach);
                let points = Points::new("split", marks).color(colors.split).radius(3.5);
                plot.points(points.allow_hover(false));
            }
            let layer = open.selected();
            let lit = lit::channel(plot.ctx(), layer).filter(|_| !drawn.output);
            light_band(plot, &channels, lit, colors.handle);
            hover(plot, layer, drawn, &channels);
        });
        figure_menu(ui, &shown.response, "Map of the channels", out, || {
            figure(open, drawn, &channels, label)
        });
    }

    /// The texture; made anew when what it shows has changed.
    fn texture(&mut self, ui: &Ui, drawn: &Drawn<'_>, channels: &[usize], colors: &Tokens) -> egui::TextureId {
        let wanted = Made {
            key: drawn.key.clone(),
            is_after: drawn.is_after,
            output: drawn.output,
            channels: channels.to_vec(),
            dark: ui.visuals().dark_mode,
        };
        if let Some((made, texture)) = &self.made
            && *made == wanted
        {
            return texture.id();
        }
        let image = picture(
            drawn,
            channels,
            if drawn.is_after {
                colors.quantized
            } else {
                colors.original
            },
        );
        let texture = ui.ctx().load_texture("channel heat", image, TextureOptions::NEAREST);
        let id = texture.id();
        self.made = Some((wanted, texture));
        id
    }
}

/// One pixel a channel and bin: no weight leaves the ground as it is, one weight is seen, the most are the full colour.
fn picture(drawn: &Drawn<'_>, channels: &[usize], color: Color32) -> ColorImage {
    let heat = drawn.heat;
    let full = (1.0 + f64::from(drawn.most)).ln().max(1e-9);
    let mut image = ColorImage::filled([channels.len(), heat.bins], Color32::TRANSPARENT);
    for (x, &channel) in channels.iter().enumerate() {
        for (bin, &count) in heat.column(channel).iter().enumerate().filter(|(_, count)| **count > 0) {
            let share = ((1.0 + f64::from(count)).ln() / full).min(1.0);
            let row = heat.bins - 1 - bin;
            image.pixels[row * channels.len() + x] = color.gamma_multiply((0.25 + 0.75 * share) as f32);
        }
    }
    image
}

/// A mark above and one below each channel that is split.
fn split_marks(channels: &[usize], copies: &[usize], reach: f64) -> Vec<[f64; 2]> {
    let split = channels.iter().enumerate().filter(|(_, channel)| copies[**channel] > 1);
    split
        .flat_map(|(x, _)| [[x as f64, reach * 1.06], [x as f64, -reach * 1.06]])
        .collect()
}

/// What the map shows.
fn figure(open: &OpenNetwork, drawn: &Drawn<'_>, channels: &[usize], label: &str) -> Figure {
    let heat = drawn.heat;
    let color = if drawn.is_after {
        Token::Quantized
    } else {
        Token::Original
    };
    let column = |(x, channel): (usize, &usize)| {
        let column = Shape::Column {
            x: x as f64,
            low: -heat.reach,
            width: 2.0 * heat.reach / heat.bins.max(1) as f64,
            counts: heat.column(*channel).to_vec(),
        };
        Series::new(format!("channel {channel}"), color, column)
    };
    let mut series: Vec<Series> = channels.iter().enumerate().map(column).collect();
    if let Some(copies) = drawn.copies {
        series.push(
            Series::new(
                "split",
                Token::Split,
                Shape::Points(split_marks(channels, copies, heat.reach)),
            )
            .width(3.5),
        );
    }
    Figure {
        title: format!("weights of each channel of {}", open.selected_name()),
        x: label.to_owned(),
        y: "weight".to_owned(),
        x_range: (-0.7, channels.len() as f64 - 0.3),
        y_range: (-heat.reach * 1.12, heat.reach * 1.12),
        scale: Scale::Linear,
        series,
    }
}

fn hover(plot: &PlotUi<'_>, layer: usize, drawn: &Drawn<'_>, channels: &[usize]) {
    let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
        return;
    };
    let heat = drawn.heat;
    let place = (pointer.x + 0.5).floor();
    let bin = ((pointer.y + heat.reach) / (2.0 * heat.reach) * heat.bins as f64).floor();
    if place < 0.0 || bin < 0.0 {
        return;
    }
    let (Some(channel), width) = (channels.get(place as usize), 2.0 * heat.reach / heat.bins as f64) else {
        return;
    };
    let Some(count) = heat.column(*channel).get(bin as usize) else {
        return;
    };
    if !drawn.output {
        lit::light(plot.ctx(), layer, *channel);
    }
    let low = bin * width - heat.reach;
    let mut lines = format!(
        "{} channel {channel}\n{} to {}: {}",
        if drawn.output { "output" } else { "input" },
        text::three_digits(low),
        text::three_digits(low + width),
        text::plural(u64::from(*count), "weight", "weights")
    );
    if let Some(copies) = drawn.copies.map(|copies| copies[*channel]).filter(|copies| *copies > 1) {
        lines += &format!("\nsplit: {copies} copies");
    }
    plot.response().clone().on_hover_text_at_pointer(lines);
}
