//! The greatest |w| of each channel, before and after, with the split channels marked and the line above which they are split;
//! or how the weights of each channel are spread.

mod bars;
mod figure;
mod heat;
mod split_line;

pub(super) use bars::{channel_plot, light_band};

use super::Outbox;
use super::learn::glossary::{Term, words_help_ui};
use super::plot::swatch;
use super::text;
use super::theme::tokens;
use super::widgets::{failure_ui, waiting_ui};
use crate::session::{Kind, LayerView, OpenNetwork, Session};
use egui::Ui;
use heat::HeatPicture;
use split_line::LineGrip;

/// In which order the channels stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Order {
    #[default]
    Index,
    Size,
}

/// Which channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Axis {
    #[default]
    Input,
    Output,
}

/// How they are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Style {
    #[default]
    Bars,
    Heat,
}

/// The words of the legend.
const WORDS: [Term; 4] = [Term::Channel, Term::Split, Term::SplitLevel, Term::HeatMap];

/// Channels drawn at most; of more, the first ones in the chosen order.
const MOST: usize = 2048;

/// State of the view between frames.
#[derive(Default)]
pub(super) struct ChannelsPanel {
    order: Order,
    axis: Axis,
    style: Style,
    /// The heat map shows the weights as they are, not after splitting.
    heat_before: bool,
    grip: LineGrip,
    heat: HeatPicture,
}

impl ChannelsPanel {
    /// The whole view: legend and plot in the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let top = ui.cursor().top();
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            choice(
                ui,
                &mut self.style,
                Style::Bars,
                "largest |w|",
                "One bar a channel: its largest weight.",
            );
            choice(ui, &mut self.style, Style::Heat, "all weights", Term::HeatMap.text());
            ui.separator();
            choice(ui, &mut self.axis, Axis::Input, "input channels", Term::Channel.text());
            choice(
                ui,
                &mut self.axis,
                Axis::Output,
                "output channels",
                "All weights that make the same output of the layer. These are never split.",
            );
        });
        let left = height - (ui.cursor().top() - top);
        self.below_ui(ui, session, open, left, out);
    }

    /// The strip below the distribution: bars of the input channels.
    pub(super) fn strip_ui(
        &mut self,
        ui: &mut Ui,
        session: &Session,
        open: &OpenNetwork,
        height: f32,
        out: &mut Outbox,
    ) {
        self.below_ui(ui, session, open, height, out);
    }

    fn below_ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        let Some((_, view)) = open.view() else {
            missing_ui(ui, session, open, height, out);
            return;
        };
        let top = ui.cursor().top();
        self.legend_ui(ui, view);
        let height = (height - (ui.cursor().top() - top)).max(60.0);
        let channels = self.ordered(view);
        match self.style {
            Style::Bars => {
                let line = (self.axis == Axis::Input && !view.levels.is_empty()).then_some(&mut self.grip);
                let drawn = bars::Bars {
                    view,
                    channels: &channels,
                    axis: self.axis,
                    order: self.order,
                };
                drawn.ui(ui, open, line, height, out);
            }
            Style::Heat => match open.details() {
                Some((key, details)) => {
                    let output = self.axis == Axis::Output;
                    let (before, after) = if output {
                        (&details.output_heat, &details.output_heat_after)
                    } else {
                        (&details.input_heat, &details.input_heat_after)
                    };
                    let shown = after.as_ref().filter(|_| !self.heat_before);
                    let drawn = heat::Drawn {
                        key,
                        heat: shown.unwrap_or(before),
                        most: before.most(),
                        is_after: shown.is_some(),
                        output,
                        channels: &channels,
                        copies: view
                            .after
                            .as_deref()
                            .filter(|_| !output)
                            .map(|after| after.copies.as_slice()),
                    };
                    self.heat.ui(ui, open, &drawn, height, out);
                }
                None => {
                    let what = "Counting the weights of each channel…";
                    waiting_ui(ui, session, &[Kind::LayerDetails], what, height, out);
                }
            },
        }
    }

    fn legend_ui(&mut self, ui: &mut Ui, view: &LayerView) {
        let colors = tokens(ui);
        let after = view.after.as_deref();
        let splits = after.map_or(0, |after| after.quantized.splits.len());
        ui.horizontal_wrapped(|ui| {
            match self.axis {
                Axis::Input => ui.strong("Input channels").on_hover_text(Term::Channel.text()),
                Axis::Output => ui
                    .strong("Output channels")
                    .on_hover_text("All weights that make the same output of the layer."),
            };
            if self.style == Style::Heat && after.is_some() {
                choice(
                    ui,
                    &mut self.heat_before,
                    true,
                    "before",
                    "The weights as they are in the file.",
                );
                choice(
                    ui,
                    &mut self.heat_before,
                    false,
                    "after",
                    "All copies of a channel together, after splitting.",
                );
            } else {
                swatch(
                    ui,
                    colors.original,
                    "before",
                    "The largest |w| of the channel as it is in the file.",
                );
            }
            if after.is_some() && self.axis == Axis::Input {
                if self.style == Style::Bars {
                    swatch(
                        ui,
                        colors.quantized,
                        "after",
                        "The largest |w| of the channel after splitting.",
                    );
                }
                let text = format!("split ({})", text::plural(splits as u64, "copy added", "copies added"));
                swatch(
                    ui,
                    colors.split,
                    &text,
                    "The channel was split; ×2 means that there are two copies of it now.",
                );
            }
            ui.spacing_mut().item_spacing.x = 4.0;
            choice(
                ui,
                &mut self.order,
                Order::Index,
                "by index",
                "In the order of the file.",
            );
            choice(ui, &mut self.order, Order::Size, "by size", "Largest first.");
            words_help_ui(ui, "the channels", &WORDS);
        });
    }

    fn ordered(&self, view: &LayerView) -> Vec<usize> {
        let maxima = maxima(view, self.axis);
        let mut channels: Vec<usize> = (0..maxima.len()).collect();
        if self.order == Order::Size {
            channels.sort_by(|a, b| maxima[*b].total_cmp(&maxima[*a]));
        }
        channels.truncate(MOST);
        channels
    }
}

/// Why there are no channels to show, or how far they are.
fn missing_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
    match open.view_failure() {
        Some(reason) => failure_ui(ui, "The channels cannot be shown", reason),
        None if open.original.layers.is_empty() => {
            ui.label("This network has no layer with weights.");
        }
        None => waiting_ui(
            ui,
            session,
            &[Kind::LayerView, Kind::Prepare],
            "Reading the weights…",
            height,
            out,
        ),
    }
}

/// Greatest |w| of each channel as it is.
fn maxima(view: &LayerView, axis: Axis) -> &[f32] {
    match axis {
        Axis::Input => &view.channels,
        Axis::Output => &view.out_channels,
    }
}

/// `input channel`, `output channels, largest |w| first`.
fn axis_label(axis: Axis, order: Order) -> &'static str {
    match (axis, order) {
        (Axis::Input, Order::Index) => "input channel",
        (Axis::Input, Order::Size) => "input channels, largest |w| first",
        (Axis::Output, Order::Index) => "output channel",
        (Axis::Output, Order::Size) => "output channels, largest |w| first",
    }
}

fn choice<T: PartialEq>(ui: &mut Ui, value: &mut T, of: T, name: &str, why: &str) {
    ui.selectable_value(value, of, name).on_hover_text(why);
}
