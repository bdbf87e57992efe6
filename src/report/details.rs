//! The worst layers: their weights before and after, and their error against splits and bits.

use super::figure::{Figure, Scale, Series, Shape};
use super::gather::{Detail, Report};
use super::html::escaped;
use super::numbers::{clip, decibels, plural, three_digits};
use super::palette::Token;
use crate::quantization::{Bits, Clip, CurvePoint, Granularity, QuantizedLayer, split_count};
use std::fmt::Write as _;

/// Width and height of a drawing, in its own units.
const WIDE: (f64, f64) = (1040.0, 300.0);
const HALF: (f64, f64) = (510.0, 320.0);

impl Report {
    pub(super) fn details_html(&self) -> String {
        if self.worst.is_empty() {
            return String::new();
        }
        let mut text = "<section><h2>The layers with the largest error</h2>\n<p class=\"quiet\">Heights are logarithmic: a single weight \
                        stays visible beside a thousand.</p>\n"
            .to_owned();
        for (place, detail) in self.worst.iter().enumerate() {
            let layer = &self.layers[detail.layer];
            let Ok(quantized) = &layer.outcome else { continue };
            // Writing into a string cannot fail.
            let _ = write!(
                text,
                "<figure><figcaption><h3>{}</h3><span class=\"quiet\">{} · {} bits · {} · clip {} · MSE {} = rounding {} + \
                 clipping {}{}</span></figcaption>\n{}",
                escaped(&layer.name),
                decibels(quantized.sqnr_db),
                quantized.grid.bits,
                plural(quantized.splits.len() as u64, "split", "splits"),
                clip(detail.settings.clip),
                three_digits(quantized.mse),
                three_digits(quantized.mse - quantized.clip_mse),
                three_digits(quantized.clip_mse),
                if detail.settings.scales != Granularity::Tensor {
                    " · curves for one scale a tensor"
                } else {
                    ""
                },
                weights(detail, &layer.name, quantized).inline_svg(&format!("w{place}"), WIDE)
            );
            let by_bits = curves(detail, &layer.name, &detail.curves.by_bits, false);
            let by_splits = curves(detail, &layer.name, &detail.curves.by_splits, true);
            text.push_str("<div class=\"pair\">");
            for (end, figure) in [("s", by_splits), ("b", by_bits)] {
                if let Some(figure) = figure {
                    let _ = write!(text, "<div>{}</div>", figure.inline_svg(&format!("{end}{place}"), HALF));
                }
            }
            text.push_str("</div></figure>\n");
        }
        text + "</section>\n"
    }
}

/// The weights before and after, with grid and threshold.
fn weights(detail: &Detail, name: &str, quantized: &QuantizedLayer) -> Figure {
    let (low, width) = (detail.before.low, detail.before.bin_width());
    let grid = quantized.grid;
    let threshold = f64::from(quantized.threshold);
    let most = detail
        .before
        .counts
        .iter()
        .chain(&detail.after.counts)
        .copied()
        .max()
        .unwrap_or(1)
        .max(1);
    let one_scale = quantized.scales.granularity() == Granularity::Tensor;
    Figure {
        title: format!("Weights of {name} before and after splitting, with the grid"),
        x: "weight".to_owned(),
        y: "weights in a bin".to_owned(),
        x_range: (detail.before.low, detail.before.high),
        y_range: (0.0, most as f64 * 1.1),
        scale: Scale::Log,
        series: vec![
            Series::new(
                "before",
                Token::Original,
                Shape::steps(low, width, &detail.before.counts),
            ),
            Series::new(
                if one_scale {
                    "grid"
                } else {
                    "grid of the largest channel"
                },
                Token::Grid,
                Shape::grid(grid),
            ),
            Series::new(
                "after splitting",
                Token::Quantized,
                Shape::Outline {
                    low,
                    width,
                    heights: detail.after.counts.iter().map(|count| *count as f64).collect(),
                },
            ),
            Series::new(
                "threshold",
                Token::Clipped,
                Shape::Uprights(vec![-threshold, threshold]),
            ),
        ],
    }
}

/// SQNR against the expand ratio or against bits, a line for each way of clipping; `None` without points.
fn curves(detail: &Detail, name: &str, curves: &[(Clip, Vec<CurvePoint>)], by_splits: bool) -> Option<Figure> {
    let settings = &detail.settings;
    let bits = settings.bits.grid().unwrap_or(Bits::MAX);
    let x = |point: &CurvePoint| {
        if by_splits {
            point.splits as f64 / detail.channels as f64 * 100.0
        } else {
            f64::from(point.bits)
        }
    };
    let places = |points: &[CurvePoint]| -> Vec<[f64; 2]> {
        let finite = points.iter().filter(|point| point.sqnr_db.is_finite());
        finite.map(|point| [x(point), point.sqnr_db]).collect()
    };
    let mut series: Vec<Series> = (curves.iter().enumerate())
        .map(|(place, (way, points))| Series::new(clip(*way), Token::Series(place), Shape::Line(places(points))))
        .collect();
    let points = curves.iter().flat_map(|(_, points)| places(points));
    let limits = points.fold(None, |limits: Option<[f64; 4]>, [x, y]| {
        let [left, right, low, high] = limits.unwrap_or([x, x, y, y]);
        Some([left.min(x), right.max(x), low.min(y), high.max(y)])
    });
    let [left, right, low, high] = limits.filter(|[left, right, ..]| left < right)?;
    let present = if by_splits {
        let layout = crate::network::Layout {
            groups: 1,
            outer: 1,
            channels: detail.channels,
            inner: 1,
            out_axis: crate::network::OutAxis::Outer,
            out_run: 1,
        };
        split_count(&layout, settings.expand_ratio) as f64 / detail.channels as f64 * 100.0
    } else {
        f64::from(bits)
    };
    series.push(Series::new(
        "this recipe",
        Token::Handle,
        Shape::Uprights(vec![present]),
    ));
    let (room, side) = (((high - low) * 0.06).max(0.5), (right - left) * 0.04);
    Some(Figure {
        title: format!("Error of {name} against {}", if by_splits { "splits" } else { "bits" }),
        x: if by_splits {
            format!("expand ratio, % (at {bits} bits)")
        } else {
            "weight bits".to_owned()
        },
        y: "SQNR, dB".to_owned(),
        x_range: (left - side, right + side),
        y_range: (low - room, high + room),
        scale: Scale::Linear,
        series,
    })
}
