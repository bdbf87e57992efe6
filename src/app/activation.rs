//! The values that flow into the selected layer, once data was run.

use super::command::Command;
use super::distribution::draw_grid;
use super::plot::export::figure_menu;
use super::plot::figure::{Figure, Series, Shape};
use super::plot::{Scale, Steps, histogram_plot, scale_ui, swatch};
use super::theme::{faded, tokens};
use super::{Outbox, text};
use crate::quantization::ActivationPlan;
use crate::session::{Action, OpenNetwork};
use crate::statistics::{ActivationStatistics, RangeSource};
use egui::{Response, Ui};
use egui_plot::{PlotBounds, PlotUi, VLine};

/// Draws the view into the `height` that is given.
pub(super) fn activation_ui(ui: &mut Ui, open: &OpenNetwork, scale: &mut Scale, height: f32, out: &mut Outbox) {
    let Some(layer) = open.original.network.layers.get(open.selected()) else {
        return;
    };
    let statistics = layer
        .input
        .as_ref()
        .and_then(|(name, _)| open.calibration()?.activations.get(name));
    let Some(statistics) = statistics else {
        missing_ui(ui, open, height, out);
        return;
    };
    let plan = open
        .planned()
        .and_then(|(_, planned)| planned.plan.layers.get(open.selected()));
    let plan = plan.and_then(|plan| plan.quantized()?.activation);
    let top = ui.cursor().top();
    let colors = tokens(ui);
    ui.horizontal_wrapped(|ui| {
        swatch(
            ui,
            colors.original,
            "input of the layer",
            "The numbers that the weights multiply, gathered from samples.",
        );
        if plan.is_some() {
            swatch(
                ui,
                colors.clipped,
                "clipped",
                "Values beyond the threshold are cut down to it.",
            );
            swatch(
                ui,
                colors.grid,
                "grid",
                "The only values that an input can have at this number of bits.",
            );
        }
        scale_ui(ui, scale);
    });
    let plot_height = (height - (ui.cursor().top() - top) - 46.0).max(80.0);
    let shown = plot_ui(ui, statistics, plan, *scale, plot_height);
    figure_menu(ui, &shown, "Plot of the inputs", out, || {
        figure(ui, open, statistics, *scale)
    });
    ui.label(format!(
        "{} to {} · {}",
        text::three_digits(f64::from(statistics.min)),
        text::three_digits(f64::from(statistics.max)),
        text::plural(statistics.count, "value", "values"),
    ));
    let from = match (statistics.source, open.calibration()) {
        (RangeSource::Calibration, Some(calibration)) => {
            format!("From {} samples of {}.", calibration.samples, calibration.data_name)
        }
        (RangeSource::Calibration, None) => "From samples.".to_owned(),
        (RangeSource::BatchNorm, _) => {
            "Range from batch-norm statistics, without data: what the layer before was trained to give.".to_owned()
        }
        (RangeSource::Noise, _) => "Range from noise that was run through the network, without data.".to_owned(),
    };
    ui.horizontal_wrapped(|ui| {
        ui.label(text::note(from));
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
}

fn plot_ui(
    ui: &mut Ui,
    statistics: &ActivationStatistics,
    plan: Option<ActivationPlan>,
    scale: Scale,
    height: f32,
) -> Response {
    let colors = tokens(ui);
    let (range, counts) = statistics.bins();
    let range = if range > 0.0 { f64::from(range) } else { 1.0 };
    let steps = Steps {
        low: -range,
        width: 2.0 * range / counts.len().max(1) as f64,
        counts,
    };
    let highest = steps.highest(scale).max(0.3);
    let (low, high) = visible(statistics);
    let threshold = plan.map_or(f64::INFINITY, |plan| f64::from(plan.threshold));
    let clipped = |x: f64| x.abs() > threshold + steps.width * 0.5;
    let shown =
        histogram_plot("activation histogram", "input value", "values in a bin", height, scale).show(ui, |plot| {
            plot.set_plot_bounds(PlotBounds::from_min_max([low, 0.0], [high, highest * 1.08]));
            steps.draw(plot, "input", faded(colors.original, 0.85), scale, |_| true);
            if let Some(plan) = plan {
                draw_grid(plot, plan.grid, colors.grid);
                let sides: &[f64] = if plan.grid.unsigned { &[1.0] } else { &[-1.0, 1.0] };
                for side in sides {
                    let line = VLine::new("threshold", side * threshold)
                        .color(colors.handle)
                        .width(1.5);
                    plot.vline(line.allow_hover(false));
                }
            }
            hover(plot, &steps);
        });
    let painter = ui.painter().with_clip_rect(*shown.transform.frame());
    steps.hatch(&painter, &shown.transform, colors.clipped, scale, clipped);
    shown.response
}

/// What the plot shows.
fn figure(ui: &Ui, open: &OpenNetwork, statistics: &ActivationStatistics, scale: Scale) -> Figure {
    let (range, counts) = statistics.bins();
    let reach = f64::from(range).max(f64::MIN_POSITIVE);
    Figure {
        title: format!("inputs of {}", open.selected_name()),
        x: "input value".to_owned(),
        y: "values in a bin".to_owned(),
        x_range: visible(statistics),
        y_range: (0.0, counts.iter().copied().max().unwrap_or(1).max(1) as f64 * 1.1),
        scale,
        series: vec![Series {
            name: "input".to_owned(),
            color: tokens(ui).original,
            shape: Shape::Steps {
                low: -reach,
                width: 2.0 * reach / counts.len().max(1) as f64,
                heights: counts.iter().map(|count| *count as f64).collect(),
            },
        }],
    }
}

/// The bin under the pointer.
fn hover(plot: &mut PlotUi<'_>, steps: &Steps<'_>) {
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
fn missing_ui(ui: &mut Ui, open: &OpenNetwork, height: f32, out: &mut Outbox) {
    ui.vertical_centered(|ui| {
        ui.add_space(height * 0.35);
        if let Some(reason) = open.original.network.why_not_runnable.as_deref() {
            ui.label(format!("No inputs to show: {reason}."));
        } else if let Some(reason) = open.calibration_failure() {
            ui.colored_label(tokens(ui).error, format!("The inputs could not be measured: {reason}"));
            if ui.button(Command::Retry.text()).clicked() {
                out.commands.push(Command::Retry);
            }
        } else if let Some(reason) = open.engine_failure() {
            ui.label(format!(
                "No inputs to show, because the network can't be run: {reason}."
            ));
        } else if open.calibration().is_some() {
            ui.label("The input of this layer was not seen: it lies inside a subgraph, or is no value of the graph.");
        } else {
            ui.label("Measuring what flows into the layers…");
            if !open.wants_activations() {
                out.actions.push(Action::ShowActivations);
            }
        }
    });
}
