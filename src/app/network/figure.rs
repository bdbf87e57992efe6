//! The errors of all layers as a figure, to copy or save.

use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, Token};
use crate::session::{Cards, OpenNetwork};

/// SQNR of each layer's weights under the recipe; of `cards` that are known, with and without splitting and clipping too.
pub(in crate::app) fn layers_figure(open: &OpenNetwork, cards: Option<&Cards>) -> Figure {
    let layers = &open.original.network.layers;
    let series = |name: &str, color: Token, of: &dyn Fn(usize) -> f64| {
        let bars = layers.iter().enumerate();
        let bars = bars.map(|(index, layer)| (layer.name.clone(), of(index)));
        Series::new(name, color, Shape::Named(bars.collect()))
    };
    let planned = open.planned().map(|(_, planned)| &planned.plan);
    let mut all = vec![series("this recipe", Token::Quantized, &|index| {
        let layer = planned.and_then(|plan| plan.layers.get(index)?.quantized());
        layer.map_or(f64::NAN, |layer| layer.sqnr_db)
    })];
    if let Some(cards) = cards {
        let errors = |index: usize| cards.get(index)?.as_ref().ok()?.errors;
        let decibels = |error: Option<f64>| error.map_or(f64::NAN, |error| -20.0 * error.log10());
        all.push(series("plain", Token::Original, &|index| {
            decibels(errors(index).map(|errors| errors.plain))
        }));
        all.push(series("clip", Token::Clipped, &|index| {
            decibels(errors(index).map(|errors| errors.clip))
        }));
        all.push(series("OCS", Token::Split, &|index| {
            decibels(errors(index).map(|errors| errors.split))
        }));
        all.push(series("OCS and clip", Token::Handle, &|index| {
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
