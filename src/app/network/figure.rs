//! The errors of all layers as a figure, to copy or save.

use super::rows::Rows;
use crate::app::plot::Scale;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::theme::{ink, tokens};
use crate::session::OpenNetwork;
use egui::{Color32, Ui};

/// SQNR of each layer's weights under the recipe; of `rows` that are known, with and without splitting and clipping too.
pub(in crate::app) fn layers_figure(ui: &Ui, open: &OpenNetwork, rows: Option<&Rows>) -> Figure {
    let colors = tokens(ui);
    let layers = &open.original.network.layers;
    let series = |name: &str, color: Color32, of: &dyn Fn(usize) -> f64| Series {
        name: name.to_owned(),
        color: ink(color),
        shape: Shape::Named(
            (layers.iter().enumerate())
                .map(|(index, layer)| (layer.name.clone(), of(index)))
                .collect(),
        ),
    };
    let planned = open.planned().map(|(_, planned)| &planned.plan);
    let mut all = vec![series("this recipe", colors.quantized, &|index| {
        let layer = planned.and_then(|plan| plan.layers.get(index)?.quantized());
        layer.map_or(f64::NAN, |layer| layer.sqnr_db)
    })];
    if let Some(rows) = rows {
        let errors = |index: usize| rows.get(open, index)?.as_ref().ok()?.errors;
        let decibels = |error: Option<f64>| error.map_or(f64::NAN, |error| -20.0 * error.log10());
        all.push(series("plain", colors.original, &|index| {
            decibels(errors(index).map(|errors| errors.plain))
        }));
        all.push(series("clip", colors.clipped, &|index| {
            decibels(errors(index).map(|errors| errors.clip))
        }));
        all.push(series("OCS", colors.split, &|index| {
            decibels(errors(index).map(|errors| errors.split))
        }));
        all.push(series("OCS and clip", colors.outlier, &|index| {
            decibels(errors(index).map(|errors| errors.both))
        }));
    }
    let heights = all.iter().flat_map(|series| match &series.shape {
        Shape::Named(bars) => bars.as_slice(),
        _ => &[],
    });
    let most = heights.map(|(_, y)| *y).filter(|y| y.is_finite()).fold(1.0, f64::max);
    Figure {
        title: format!("errors of the layers of {}", open.original.network.name),
        x: "layer".to_owned(),
        y: "SQNR of the weights, dB".to_owned(),
        x_range: (-0.7, layers.len() as f64 - 0.3),
        y_range: (0.0, most * 1.05),
        scale: Scale::Linear,
        series: all,
    }
}
