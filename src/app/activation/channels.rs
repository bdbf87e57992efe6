//! The channels of the selected layer's input: a bar each, or a map of where in the sample each is large.

use super::super::channels::{channel_plot, light_band};
use super::super::learn::glossary::Term;
use super::super::plot::export::figure_menu;
use super::super::plot::figure::{Figure, Series, Shape};
use super::super::plot::{Scale, Token, draw, swatch};
use super::super::theme::{faded, tokens};
use super::super::{Outbox, lit, text};
use super::relief::Relief;
use crate::inference::{InputChannels, PositionMap};
use crate::session::OpenNetwork;
use egui::{Color32, ColorImage, TextureHandle, TextureOptions, Ui, vec2};
use egui_plot::{PlotBounds, PlotImage, PlotPoint, PlotUi};
use std::sync::Arc;

/// Channels drawn at most; of more, the first ones in the chosen order.
const MAX_CHANNELS: usize = 2048;

/// What is shown of each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Measure {
    #[default]
    Max,
    Mean,
    Beyond,
    Map,
    Relief,
}

impl Measure {
    const ALL: [Self; 5] = [Self::Max, Self::Mean, Self::Beyond, Self::Map, Self::Relief];

    fn name(self) -> &'static str {
        match self {
            Self::Max => "max |x|",
            Self::Mean => "mean |x|",
            Self::Beyond => "beyond σ",
            Self::Map => "map",
            Self::Relief => "relief",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::Max => "The largest |x| of each channel.",
            Self::Mean => "The mean of |x| of each channel.",
            Self::Beyond => "The share of each channel's values that are outliers.",
            Self::Map => {
                "The largest |x| of each channel at each position: an outlier channel is a line from end to end."
            }
            Self::Relief => "The map as a relief: an outlier channel is a wall. Drag to turn it.",
        }
    }

    fn axis(self) -> &'static str {
        match self {
            Self::Max => "max |x|",
            Self::Mean => "mean |x|",
            Self::Beyond => "beyond the bounds, %",
            Self::Map | Self::Relief => "position",
        }
    }
}

/// State between frames.
#[derive(Default)]
pub(super) struct Channels {
    measure: Measure,
    by_size: bool,
    /// The map of one sample; of all without one.
    sample: Option<usize>,
    made: Option<(Made, TextureHandle)>,
    relief: Relief,
}

/// What the texture of the map was made of.
struct Made {
    of: Arc<InputChannels>,
    channels: Vec<usize>,
    sample: Option<usize>,
    dark: bool,
}

impl Channels {
    /// Draws legend and plot into the `height` that is given. `splits` are the channels that activation splitting halves.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        open: &OpenNetwork,
        found: &Arc<InputChannels>,
        splits: &[usize],
        height: f32,
        out: &mut Outbox,
    ) {
        let top = ui.cursor().top();
        self.legend_ui(ui, found, splits);
        let height = (height - (ui.cursor().top() - top)).max(60.0);
        let channels = self.ordered(found);
        let mut figure = Figure {
            title: format!("input channels of {}: {}", open.selected_name(), self.measure.name()),
            x: if self.by_size {
                "input channels, largest |x| first".to_owned()
            } else {
                "input channel".to_owned()
            },
            y: self.measure.axis().to_owned(),
            x_range: (-0.7, channels.len().max(1) as f64 - 0.3),
            y_range: (0.0, 1.0),
            scale: Scale::Linear,
            series: Vec::new(),
        };
        if self.measure == Measure::Map {
            self.map_ui(ui, open, found, &channels, figure, height, out);
            return;
        }
        if self.measure == Measure::Relief {
            let own = self.sample.and_then(|sample| found.map_of_sample.get(sample));
            let map = own.unwrap_or(&found.map);
            let shown = self.relief.ui(ui, found, map, &channels, open.selected(), height);
            figure_menu(ui, &shown, "Relief of the input channels", out, || {
                self.map_figure(found, &channels, figure)
            });
            return;
        }
        figure.series = self.bars(found, &channels, splits);
        let heights = figure.series.iter().flat_map(|series| match &series.shape {
            Shape::Bars(bars) => bars.as_slice(),
            _ => &[],
        });
        let highest = heights.map(|[_, y]| *y).fold(0.0, f64::max);
        figure.y_range.1 = if highest > 0.0 { highest * 1.2 } else { 1.0 };
        let shown = channel_plot("input channels", &figure.x, &figure.y, height).show(ui, |plot| {
            draw(plot, &figure);
            self.pointer(plot, open, found, &channels);
        });
        figure_menu(ui, &shown.response, "Plot of the input channels", out, || figure);
    }

    fn legend_ui(&mut self, ui: &mut Ui, found: &InputChannels, splits: &[usize]) {
        let colors = tokens(ui);
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.strong("Input channels").on_hover_text(Term::Channel.text());
            for measure in Measure::ALL {
                ui.selectable_value(&mut self.measure, measure, measure.name())
                    .on_hover_text(measure.help());
            }
            ui.separator();
            ui.selectable_value(&mut self.by_size, false, "by index")
                .on_hover_text("In the order of the network.");
            ui.selectable_value(&mut self.by_size, true, "by size")
                .on_hover_text("Largest first.");
            let outliers = text::plural(found.outlier_channels() as u64, "outlier channel", "outlier channels");
            swatch(ui, colors.outlier, &outliers, "Channels with values beyond the bounds.");
            if !splits.is_empty() {
                let halved = text::plural(splits.len() as u64, "split", "splits");
                swatch(
                    ui,
                    colors.split,
                    &halved,
                    "The channel is sent twice at half its value.",
                );
            }
            if let Some(ratio) = found.ratio_to_median() {
                let ratio = format!("largest {} × the median", text::three_digits(ratio));
                ui.label(text::note(ratio))
                    .on_hover_text("The largest |x| of the largest channel over that of the median channel.");
            }
            if matches!(self.measure, Measure::Map | Measure::Relief) {
                self.sample_ui(ui, found);
            }
        });
    }

    fn sample_ui(&mut self, ui: &mut Ui, found: &InputChannels) {
        let name = |sample: Option<usize>| {
            sample.map_or_else(|| "all samples".to_owned(), |sample| format!("sample {}", sample + 1))
        };
        self.sample = self.sample.filter(|sample| *sample < found.map_of_sample.len());
        let combo = egui::ComboBox::from_id_salt("sample of the map").selected_text(name(self.sample));
        combo.show_ui(ui, |ui| {
            let each = (0..found.map_of_sample.len()).map(Some);
            for sample in std::iter::once(None).chain(each) {
                ui.selectable_value(&mut self.sample, sample, name(sample));
            }
        });
    }

    fn ordered(&self, found: &InputChannels) -> Vec<usize> {
        let mut channels: Vec<usize> = (0..found.channels.len()).collect();
        if self.by_size {
            let reach = |channel: &usize| found.channels[*channel].max_abs();
            channels.sort_by(|a, b| reach(b).total_cmp(&reach(a)));
        }
        channels.truncate(MAX_CHANNELS);
        channels
    }

    /// The bars: outlier channels in their colour, split ones halved.
    fn bars(&self, found: &InputChannels, channels: &[usize], splits: &[usize]) -> Vec<Series> {
        let value = |channel: usize| {
            let channel = &found.channels[channel];
            match self.measure {
                Measure::Max | Measure::Map | Measure::Relief => f64::from(channel.max_abs()),
                Measure::Mean => channel.mean_abs,
                Measure::Beyond => channel.beyond * 100.0,
            }
        };
        let is_far = |channel: usize| found.channels[channel].beyond > 0.0;
        let series = |name: &str, color, wanted: &dyn Fn(usize) -> bool, factor: f64| {
            let bars = channels.iter().enumerate().filter(|(_, channel)| wanted(**channel));
            let bars = bars.map(|(x, channel)| [x as f64, value(*channel) * factor]);
            Series::new(name, color, Shape::Bars(bars.collect()))
        };
        let mut all = vec![
            series("channels", Token::Original, &|channel| !is_far(channel), 1.0).opacity(0.85),
            series("outlier channels", Token::Outlier, &is_far, 1.0).opacity(0.85),
        ];
        if matches!(self.measure, Measure::Max | Measure::Mean) {
            let halved = series(
                "after splitting",
                Token::Split,
                &|channel| splits.contains(&channel),
                0.5,
            );
            all.push(halved.opacity(1.0));
        }
        if self.measure == Measure::Max {
            let ends = [-1.0, 1.0].map(|side| (found.mean + side * found.sigma * found.std).abs());
            let bound = ends.into_iter().fold(0.0, f64::max);
            let name = format!("{} σ", text::short_number(found.sigma));
            all.push(Series::new(name, Token::Outlier, Shape::Levels(vec![bound])).opacity(0.8));
        }
        all
    }

    #[expect(clippy::too_many_arguments, reason = "what is drawn and where")]
    fn map_ui(
        &mut self,
        ui: &mut Ui,
        open: &OpenNetwork,
        found: &Arc<InputChannels>,
        channels: &[usize],
        mut figure: Figure,
        height: f32,
        out: &mut Outbox,
    ) {
        let positions = found.positions.max(1) as f64;
        figure.y_range = (0.0, positions);
        let texture = self.texture(ui, found, channels);
        let handle = tokens(ui).handle;
        let shown = channel_plot("input map", &figure.x, &figure.y, height).show(ui, |plot| {
            let (low, high) = figure.x_range;
            plot.set_plot_bounds(PlotBounds::from_min_max([low, 0.0], [high, positions]));
            let count = channels.len() as f64;
            let centre = PlotPoint::new((count - 1.0) / 2.0, positions / 2.0);
            let size = vec2(count as f32, positions as f32);
            plot.image(PlotImage::new("input by channel and position", texture, centre, size).allow_hover(false));
            let lit = lit::channel(plot.ctx(), open.selected());
            light_band(plot, channels, lit, handle);
            self.pointer(plot, open, found, channels);
        });
        figure_menu(ui, &shown.response, "Map of the input channels", out, || {
            self.map_figure(found, channels, figure)
        });
    }

    /// The cells of the map in `figure`, to copy or save.
    fn map_figure(&self, found: &InputChannels, channels: &[usize], mut figure: Figure) -> Figure {
        let (map, positions) = (self.map(found), found.positions.max(1) as f64);
        figure.y_range = (0.0, positions);
        let width = positions / map.cells.max(1) as f64;
        let column = |(x, channel): (usize, &usize)| {
            let values = map.channel(*channel).iter().map(|value| f64::from(*value)).collect();
            let cells = Shape::Cells {
                x: x as f64,
                low: 0.0,
                width,
                values,
            };
            Series::new(format!("channel {channel}"), Token::Original, cells)
        };
        figure.series = channels.iter().enumerate().map(column).collect();
        figure
    }

    fn map<'a>(&self, found: &'a InputChannels) -> &'a PositionMap {
        let own = self.sample.and_then(|sample| found.map_of_sample.get(sample));
        own.unwrap_or(&found.map)
    }

    /// The map as a texture; made anew when what it shows has changed.
    fn texture(&mut self, ui: &Ui, found: &Arc<InputChannels>, channels: &[usize]) -> egui::TextureId {
        let dark = ui.visuals().dark_mode;
        if let Some((made, texture)) = &self.made
            && Arc::ptr_eq(&made.of, found)
            && (made.sample, made.dark) == (self.sample, dark)
            && made.channels == channels
        {
            return texture.id();
        }
        let colors = tokens(ui);
        let image = picture(found, self.map(found), channels, colors.original, colors.outlier);
        let texture = ui.ctx().load_texture("input map", image, TextureOptions::NEAREST);
        let id = texture.id();
        let made = Made {
            of: Arc::clone(found),
            channels: channels.to_vec(),
            sample: self.sample,
            dark,
        };
        self.made = Some((made, texture));
        id
    }

    /// Tells what is under the pointer and lights its channel everywhere.
    fn pointer(&self, plot: &mut PlotUi<'_>, open: &OpenNetwork, found: &InputChannels, channels: &[usize]) {
        let lit = lit::channel(plot.ctx(), open.selected());
        if self.measure != Measure::Map {
            let handle = super::super::theme::tokens_of(plot.ctx().global_style().visuals.dark_mode).handle;
            light_band(plot, channels, lit, handle);
        }
        let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
            return;
        };
        let place = (pointer.x + 0.5).floor();
        let channel = (place >= 0.0).then(|| channels.get(place as usize).copied()).flatten();
        let Some(number) = channel else { return };
        lit::light(plot.ctx(), open.selected(), number);
        let channel = &found.channels[number];
        let mut lines = format!(
            "input channel {number}\n{} to {} · mean |x| {}\n{} beyond {} σ",
            text::three_digits(f64::from(channel.min)),
            text::three_digits(f64::from(channel.max)),
            text::three_digits(channel.mean_abs),
            text::percent(channel.beyond),
            text::short_number(found.sigma),
        );
        if self.measure == Measure::Map {
            let map = self.map(found);
            let cell = pointer.y / found.positions.max(1) as f64 * map.cells as f64;
            let value = (cell >= 0.0).then(|| map.channel(number).get(cell as usize)).flatten();
            if let Some(value) = value {
                let at = pointer.y.floor();
                lines += &format!("\nposition {at}: max |x| {}", text::three_digits(f64::from(*value)));
            }
        }
        plot.response().clone().on_hover_text_at_pointer(lines);
    }
}

/// One pixel a channel and cell, first positions at the bottom: the larger, the stronger; what lies beyond the bounds in the
/// colour of outliers.
fn picture(
    found: &InputChannels,
    map: &PositionMap,
    channels: &[usize],
    usual: Color32,
    outlier: Color32,
) -> ColorImage {
    let most = map.values.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
    let mut image = ColorImage::filled([channels.len().max(1), map.cells.max(1)], Color32::TRANSPARENT);
    for (x, &channel) in channels.iter().enumerate() {
        for (cell, &value) in map.channel(channel).iter().enumerate() {
            let far = found.is_outlier(f64::from(value)) || found.is_outlier(-f64::from(value));
            let color = if far { outlier } else { usual };
            let row = map.cells - 1 - cell;
            // The square root shows what is small beside an outlier.
            image.pixels[row * channels.len() + x] = faded(color, (value / most).max(0.0).sqrt());
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::InputChannel;

    #[test]
    fn an_outlier_channel_is_a_line_in_the_colour_of_outliers() {
        let channel = |max: f32| InputChannel {
            min: 0.0,
            max,
            mean_abs: f64::from(max),
            beyond: 0.0,
        };
        let found = InputChannels {
            samples: 1,
            data_name: String::new(),
            mean: 0.0,
            std: 1.0,
            sigma: 4.0,
            channels: vec![channel(1.0), channel(9.0)],
            stacked: Vec::new(),
            positions: 3,
            map: PositionMap {
                cells: 3,
                values: vec![1.0, 0.0, 0.5, 9.0, 9.0, 9.0],
            },
            map_of_sample: Vec::new(),
        };
        let (usual, outlier) = (Color32::from_rgb(1, 2, 3), Color32::from_rgb(200, 100, 0));
        let image = picture(&found, &found.map, &[1, 0], usual, outlier);
        assert_eq!(image.size, [2, 3]);
        for row in 0..3 {
            assert_eq!(image.pixels[row * 2], outlier, "row {row}");
        }
        // The first position is at the bottom, and 0 leaves the ground as it is.
        assert_eq!(image.pixels[3], Color32::TRANSPARENT);
        assert_ne!(image.pixels[5], outlier);
    }
}
