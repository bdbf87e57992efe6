//! A layer's error against the number of splits and against bits, for every way of clipping at once.
//!
//! One pass counts the weights into a histogram for each number of times that their channel was split. A further split of a
//! channel moves that channel's weights, and nothing else, from one histogram to the next. What a split makes of a weight
//! depends on the weight and that number alone, so the histograms tell both the values that a threshold is chosen on and the
//! error of the weights that the network sees.

mod copies;
mod tally;

use super::clip::CountedThresholds;
use super::split::split_orders;
use super::weight::plan_layer_in;
use super::{Bits, Buffers, Clip, Granularity, Grid, Rounding, WeightSettings, split_count};
use crate::network::Layout;
use crate::progress::{Cancelled, Progress};
use rayon::prelude::*;
use serde::Serialize;
use tally::Tally;

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Splits in each group of the layer.
    pub splits: usize,
    /// Bits of the grid.
    pub bits: u8,
    /// Clip threshold a.
    pub threshold: f32,
    /// Mean squared error of the weights that the network sees.
    pub mse: f64,
    /// `10 log10(sum w^2 / sum error^2)`, decibels; infinite when there is no error (null in JSON).
    pub sqnr_db: f64,
}

/// Error curves of one layer, a curve for each of [`Clip::CHOICES`] in their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct ErrorCurves {
    /// Error against the number of splits, at the settings' bits.
    pub by_splits: Vec<(Clip, Vec<CurvePoint>)>,
    /// Error against 2 to 8 bits, at the settings' expand ratio.
    pub by_bits: Vec<(Clip, Vec<CurvePoint>)>,
}

impl ErrorCurves {
    /// Share of a layer's input channels up to which splits are worth a look (Zhao et al. 2019, tables 1 and 2).
    pub const MAX_RATIO: f64 = 0.2;
}

/// Points of a curve over splits; a layer with more splits than that has them evenly thinned out, both ends kept.
const MAX_POINTS: usize = 129;
/// Tensors up to this size are planned for every point: it is as quick, and with few values a histogram says little.
const SMALL: usize = 1 << 12;

/// The curves of a layer with one scale for the tensor ([`WeightSettings::scales`] is not looked at): 0 to
/// `ceil(max_ratio * channels)` splits at the bits of `settings` (float is taken as 8), and 2 to 8 bits at its expand ratio.
/// Give 0 for `max_ratio` and an expand ratio of 0 for a layer that cannot be split. Empty when a value is not finite.
///
/// Small tensors are planned point by point. Larger ones are counted once; against planning, errors are then off by less than
/// 0.1 dB. Only the threshold of least divergence may be another: where several are nearly as good, either may be taken.
///
/// # Errors
/// [`Cancelled`] when cancelled.
pub fn error_curves(
    values: &[f32],
    layout: &Layout,
    settings: &WeightSettings,
    max_ratio: f64,
    progress: &Progress,
) -> Result<ErrorCurves, Cancelled> {
    if values.is_empty() || values.len() != layout.elements() || !values.par_iter().all(|x| x.is_finite()) {
        return Ok(ErrorCurves::default());
    }
    let subject = Subject {
        values,
        layout,
        settings: WeightSettings {
            scales: Granularity::Tensor,
            rounding: Rounding::Nearest,
            ..*settings
        },
    };
    let last = split_count(layout, max_ratio);
    let wanted = split_count(layout, settings.expand_ratio);
    let at = thinned(last);
    progress.start(at.len() as u64 + 1, "Error curves");
    if values.len() <= SMALL || settings.zero_points {
        subject.planned(&at, progress)
    } else {
        subject.counted(&at, wanted, progress)
    }
}

/// At most [`MAX_POINTS`] numbers from 0 to `last`, both among them.
fn thinned(last: usize) -> Vec<usize> {
    let steps = last.min(MAX_POINTS - 1);
    (0..=steps)
        .map(|i| (i * last + steps / 2).checked_div(steps).unwrap_or(0))
        .collect()
}

struct Subject<'a> {
    values: &'a [f32],
    layout: &'a Layout,
    settings: WeightSettings,
}

impl Subject<'_> {
    fn bits(&self) -> u8 {
        self.settings.bits.grid().unwrap_or(Bits::MAX)
    }

    /// The curves by planning the layer for each point.
    fn planned(&self, at: &[usize], progress: &Progress) -> Result<ErrorCurves, Cancelled> {
        let buffers = Buffers::default();
        let point = |splits: usize, bits: u8, clip: Clip| {
            let settings = WeightSettings {
                bits: Bits::Grid(bits),
                expand_ratio: splits as f64 / self.layout.channels.max(1) as f64,
                clip,
                ..self.settings
            };
            let planned = plan_layer_in(&buffers, self.values, self.layout, &settings, super::NO_INPUTS);
            CurvePoint {
                splits,
                bits,
                threshold: planned.threshold,
                mse: planned.mse,
                sqnr_db: planned.sqnr_db,
            }
        };
        let mut by_splits = Vec::with_capacity(at.len());
        for splits in at {
            progress.check()?;
            by_splits.push(each_clip(|clip| point(*splits, self.bits(), clip)));
            progress.advance(1);
        }
        progress.check()?;
        let wanted = split_count(self.layout, self.settings.expand_ratio);
        let by_bits = (Bits::MIN..=Bits::MAX).map(|bits| each_clip(|clip| point(wanted, bits, clip)));
        let by_bits: Vec<Vec<CurvePoint>> = by_bits.collect();
        progress.advance(1);
        Ok(ErrorCurves {
            by_splits: curves(&by_splits),
            by_bits: curves(&by_bits),
        })
    }

    /// The curves by counting the weights once and moving those of each channel that is split.
    fn counted(&self, at: &[usize], wanted: usize, progress: &Progress) -> Result<ErrorCurves, Cancelled> {
        let last = at.last().copied().unwrap_or(0).max(wanted);
        let (orders, ranges) = split_orders(self.values, self.layout, last);
        let mut tally = Tally::new(self, &ranges);
        let (mut by_splits, mut by_bits) = (Vec::with_capacity(at.len()), Vec::new());
        for splits in 0..=last {
            progress.check()?;
            if splits > 0 {
                let channels = orders.iter().filter_map(|order| order.get(splits - 1));
                channels.for_each(|channel| tally.split(self, *channel));
            }
            let is_point = at.binary_search(&splits).is_ok();
            if !is_point && splits != wanted {
                continue;
            }
            let seen = tally.seen(&ranges, self.settings.split);
            let thresholds = CountedThresholds::new(&seen.counted);
            let point = |bits: u8, clip: Clip| {
                let threshold = thresholds.choose(bits, clip);
                let grid = Grid::symmetric(bits, threshold);
                let noise = (seen.noise(grid) + tally.regrouped(self, &ranges, splits, grid)).max(0.0);
                CurvePoint {
                    splits,
                    bits,
                    threshold,
                    mse: noise / self.values.len() as f64,
                    sqnr_db: if noise > 0.0 {
                        10.0 * (tally.signal / noise).log10()
                    } else {
                        f64::INFINITY
                    },
                }
            };
            if is_point {
                by_splits.push(each_clip(|clip| point(self.bits(), clip)));
                progress.advance(1);
            }
            if splits == wanted {
                let points = (Bits::MIN..=Bits::MAX).map(|bits| each_clip(|clip| point(bits, clip)));
                by_bits = points.collect();
                progress.advance(1);
            }
        }
        Ok(ErrorCurves {
            by_splits: curves(&by_splits),
            by_bits: curves(&by_bits),
        })
    }
}

/// A point for each way of clipping.
fn each_clip(point: impl Fn(Clip) -> CurvePoint + Sync) -> Vec<CurvePoint> {
    Clip::CHOICES.par_iter().map(|clip| point(*clip)).collect()
}

/// Points in rows of one for each way of clipping, as a curve for each.
fn curves(rows: &[Vec<CurvePoint>]) -> Vec<(Clip, Vec<CurvePoint>)> {
    let curve = |place: usize| rows.iter().filter_map(|row| row.get(place).copied()).collect();
    (Clip::CHOICES.into_iter().enumerate())
        .map(|(place, clip)| (clip, curve(place)))
        .collect()
}

#[cfg(test)]
mod tests;
