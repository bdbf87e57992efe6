//! The histogram as a figure, to copy or save.

use super::super::plot::figure::{Figure, Series, Shape};
use super::super::theme::ink;
use super::super::theme::tokens;
use super::Show;
use crate::session::{LayerView, OpenNetwork};
use egui::{Color32, Ui};

/// What the plot shows.
pub(super) fn figure(ui: &Ui, show: &Show, open: &OpenNetwork, view: &LayerView) -> Figure {
    let colors = tokens(ui);
    let steps = |name: String, color: Color32, counts: &[u64]| Series {
        name,
        color: ink(color),
        shape: Shape::Steps {
            low: view.range.0,
            width: (view.range.1 - view.range.0) / counts.len().max(1) as f64,
            heights: counts.iter().map(|count| *count as f64).collect(),
        },
    };
    let uprights = |name: &str, color: Color32, places| Series {
        name: name.to_owned(),
        color: ink(color),
        shape: Shape::Uprights(places),
    };
    let mut all = vec![steps("before".to_owned(), colors.original, &view.before.counts)];
    if let (Some(histogram), Some(after)) = (&view.after_histogram, view.after.as_deref()) {
        let grid = after.quantized.grid;
        let threshold = f64::from(after.quantized.threshold);
        let values = (grid.low()..=grid.high()).map(|q| f64::from(grid.value(q))).collect();
        all.push(steps("after splitting".to_owned(), colors.quantized, &histogram.counts));
        all.push(uprights("grid", colors.grid, values));
        all.push(uprights("clip threshold", colors.clipped, vec![-threshold, threshold]));
    }
    for (rank, channel) in view.stacked.iter().enumerate().filter(|_| show.channels) {
        let counts = channel.after.as_ref().unwrap_or(&channel.before);
        all.push(steps(
            format!("channel {}", channel.channel),
            colors.channel(rank),
            counts,
        ));
    }
    let after = view.after_histogram.iter().flat_map(|after| &after.counts);
    let most = view
        .before
        .counts
        .iter()
        .chain(after)
        .copied()
        .max()
        .unwrap_or(1)
        .max(1);
    Figure {
        title: format!("weights of {}", open.selected_name()),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: view.range,
        y_range: (0.0, most as f64 * 1.1),
        scale: show.scale,
        series: all,
    }
}
