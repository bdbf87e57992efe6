//! The bars as a figure: drawn in the window, copied and saved.

use super::super::plot::figure::{Figure, Series, Shape};
use super::super::plot::{Scale, Token};
use super::bars::Bars;
use super::{Axis, axis_label, maxima};
use crate::session::OpenNetwork;

/// What the plot shows.
pub(super) fn figure(bars: &Bars<'_>, open: &OpenNetwork) -> Figure {
    let maxima = maxima(bars.view, bars.axis);
    let highest = maxima.iter().copied().fold(0.0, f32::max);
    let highest = if highest > 0.0 { f64::from(highest) } else { 1.0 };
    let places = || bars.channels.iter().enumerate();
    let series = |name: &str, color, of: &[f32], wanted: &dyn Fn(usize) -> bool| {
        let wanted = places().filter(|(_, channel)| wanted(**channel));
        let points = wanted.map(|(x, &channel)| [x as f64, f64::from(of[channel])]);
        Series::new(name, color, Shape::Bars(points.collect()))
    };
    let mut all = vec![series("before", Token::Original, maxima, &|_| true).opacity(0.6)];
    if let Some(after) = bars.view.after.as_deref() {
        if bars.axis == Axis::Input {
            let is_split = |channel: usize| after.copies[channel] > 1;
            let whole = series("after", Token::Quantized, &after.channels, &|channel| {
                !is_split(channel)
            });
            all.push(whole.opacity(0.8));
            all.push(series("split", Token::Split, &after.channels, &is_split).opacity(1.0));
            let copies = places()
                .filter(|(_, channel)| is_split(**channel))
                .map(|(x, &channel)| {
                    let top = f64::from(bars.view.channels[channel]);
                    ([x as f64, top], format!("×{}", after.copies[channel]))
                });
            all.push(Series::new("copies", Token::Split, Shape::Labels(copies.collect())));
        }
        let end = Shape::Levels(vec![f64::from(after.quantized.threshold)]);
        all.push(Series::new("end of the grid", Token::Handle, end).opacity(0.5));
    }
    let what = if bars.axis == Axis::Input { "input" } else { "output" };
    Figure {
        title: format!("largest weights of the {what} channels of {}", open.selected_name()),
        x: axis_label(bars.axis, bars.order).to_owned(),
        y: "max |w|".to_owned(),
        x_range: (-0.7, bars.channels.len().max(1) as f64 - 0.3),
        y_range: (0.0, highest * 1.2),
        scale: Scale::Linear,
        series: all,
    }
}
