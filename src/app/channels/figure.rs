//! The bars as a figure, to copy or save.

use super::super::plot::Scale;
use super::super::plot::figure::{Figure, Series, Shape};
use super::super::theme::ink;
use super::super::theme::tokens;
use super::bars::Bars;
use super::{Axis, axis_label, maxima};
use crate::session::OpenNetwork;
use egui::Ui;

/// What the plot shows.
pub(super) fn figure(ui: &Ui, bars: &Bars<'_>, open: &OpenNetwork) -> Figure {
    let colors = tokens(ui);
    let series = |name: &str, color, of: &[f32]| {
        let places = bars.channels.iter().enumerate();
        Series {
            name: name.to_owned(),
            color: ink(color),
            shape: Shape::Bars(places.map(|(x, &channel)| [x as f64, f64::from(of[channel])]).collect()),
        }
    };
    let maxima = maxima(bars.view, bars.axis);
    let mut all = vec![series("before", colors.original, maxima)];
    let after = bars.view.after.as_deref().filter(|_| bars.axis == Axis::Input);
    all.extend(after.map(|after| series("after", colors.quantized, &after.channels)));
    let what = if bars.axis == Axis::Input { "input" } else { "output" };
    Figure {
        title: format!("largest weights of the {what} channels of {}", open.selected_name()),
        x: axis_label(bars.axis, bars.order).to_owned(),
        y: "max |w|".to_owned(),
        x_range: (-0.7, bars.channels.len() as f64 - 0.3),
        y_range: (
            0.0,
            f64::from(maxima.iter().copied().fold(0.0, f32::max)).max(1e-12) * 1.1,
        ),
        scale: Scale::Linear,
        series: all,
    }
}
