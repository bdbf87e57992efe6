//! What a histogram shows, of weights or of inputs, as the series of a figure: bars in layers, outliers, the grid, the clip
//! threshold, fitted curves, what is clipped, the staircase after rounding.

use super::figure::{Dashes, Outlier, Series, Shape};
use super::stack::Stack;
use super::{Scale, Token};
use crate::app::text;
use crate::quantization::{CentredFits, Grid};
use crate::session::{ClipMark, Staircase};

/// Points of a curve.
const CURVE: u32 = 400;

/// Where outliers begin.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Bounds {
    pub(in crate::app) mean: f64,
    pub(in crate::app) std: f64,
    /// How many standard deviations from the mean.
    pub(in crate::app) sigma: f64,
}

impl Bounds {
    pub(in crate::app) fn is_outlier(&self, x: f64) -> bool {
        (x - self.mean).abs() > self.sigma * self.std
    }
}

/// One of the outermost values.
#[derive(Debug, Clone, Copy)]
pub(in crate::app) struct Extreme {
    pub(in crate::app) x: f64,
    /// Rank and number of its channel.
    pub(in crate::app) channel: Option<(usize, usize)>,
}

/// The series of a histogram, in the order in which they are drawn.
pub(in crate::app) struct Histogram {
    /// Lower end of the first bin.
    low: f64,
    /// Width of a bin.
    width: f64,
    pub(in crate::app) series: Vec<Series>,
}

impl Histogram {
    pub(in crate::app) fn new(low: f64, width: f64) -> Self {
        Self {
            low,
            width,
            series: Vec::new(),
        }
    }

    /// The middle of a bin.
    fn centre(&self, bin: usize) -> f64 {
        self.low + self.width * (bin as f64 + 0.5)
    }

    /// Those bins whose middle satisfies `of`.
    fn masked(&self, counts: &[f64], of: impl Fn(f64) -> bool) -> Vec<f64> {
        let shown = |(bin, count): (usize, &f64)| if of(self.centre(bin)) { *count } else { f64::NAN };
        counts.iter().enumerate().map(shown).collect()
    }

    /// Where outliers begin on either side.
    pub(in crate::app) fn bounds(&mut self, bounds: &Bounds) {
        let at = |side: f64| bounds.mean + side * bounds.sigma * bounds.std;
        let name = format!("±{} σ", text::short_number(bounds.sigma));
        let lines = Series::new(name, Token::Outlier, Shape::Uprights(vec![at(-1.0), at(1.0)]));
        self.series
            .push(lines.opacity(0.8).width(1.0).dashes(Dashes::DottedDense));
    }

    /// Bars that stand on 0, in those bins whose middle satisfies `of`.
    pub(in crate::app) fn bars(
        &mut self,
        name: impl Into<String>,
        color: Token,
        opacity: f32,
        counts: &[f64],
        of: impl Fn(f64) -> bool,
    ) {
        let shape = Shape::Steps {
            low: self.low,
            width: self.width,
            heights: self.masked(counts, of),
            below: Vec::new(),
        };
        self.series.push(Series::new(name, color, shape).opacity(opacity));
    }

    /// The channels of a stack above what is below them, by their `numbers`; `what` stands behind their names.
    /// The one that is `lit` stands out from the others.
    pub(in crate::app) fn channels(
        &mut self,
        stack: &Stack,
        numbers: &[usize],
        lit: Option<usize>,
        what: &str,
        opacity: f32,
    ) {
        let is_lit = |rank: usize| numbers.get(rank).copied() == lit;
        let any_lit = lit.is_some_and(|lit| numbers.contains(&lit));
        for (rank, below, heights) in stack.layers() {
            let opacity = if any_lit && !is_lit(rank) {
                opacity * 0.3
            } else {
                opacity
            };
            let number = numbers.get(rank).map_or_else(String::new, usize::to_string);
            let shape = Shape::Steps {
                low: self.low,
                width: self.width,
                heights,
                below,
            };
            let name = format!("channel {number}{what}");
            self.series
                .push(Series::new(name, Token::Channel(rank), shape).opacity(opacity));
        }
    }

    /// The values of the grid.
    pub(in crate::app) fn grid(&mut self, grid: Grid) {
        self.series.push(Series::new("grid", Token::Grid, Shape::grid(grid)));
    }

    /// The clip threshold on those `sides`; wider while it is under the pointer.
    pub(in crate::app) fn threshold(&mut self, threshold: f64, sides: &[f64], hot: bool) {
        let lines = Shape::Uprights(sides.iter().map(|side| side * threshold).collect());
        let lines = Series::new("clip threshold", Token::Handle, lines);
        self.series.push(lines.width(if hot { 2.5 } else { 1.5 }));
    }

    /// Both fits as counts of a bin: the Gaussian dashed, the Laplacian dotted, the better one stronger.
    pub(in crate::app) fn fits(&mut self, fits: &CentredFits, range: (f64, f64)) {
        let curve = |density: &dyn Fn(f64) -> f64| -> Vec<[f64; 2]> {
            let x = |i: u32| range.0 + (range.1 - range.0) * f64::from(i) / f64::from(CURVE);
            (0..=CURVE)
                .map(|i| [x(i), fits.count * density(x(i)) * self.width])
                .collect()
        };
        let better = fits.gaussian_is_better();
        let curves = [
            (
                "Gaussian fit",
                curve(&|x| fits.gaussian(x)),
                Dashes::DashedLoose,
                better,
            ),
            (
                "Laplacian fit",
                curve(&|x| fits.laplacian(x)),
                Dashes::DottedDense,
                !better,
            ),
        ];
        for (name, points, dashes, better) in curves {
            let line = Series::new(name, Token::Handle, Shape::Line(points)).dashes(dashes);
            self.series.push(if better {
                line.opacity(1.0).width(2.0)
            } else {
                line.opacity(0.55).width(1.5)
            });
        }
    }

    /// How far the channel under the pointer reaches.
    pub(in crate::app) fn lit(&mut self, channel: usize, ends: &[f64]) {
        let name = format!("reach of channel {channel}");
        let lines = Series::new(name, Token::Handle, Shape::Uprights(ends.to_vec()));
        self.series.push(lines.width(1.5).dashes(Dashes::DashedDense));
    }

    /// Where each way to clip would.
    pub(in crate::app) fn marks(&mut self, marks: &[ClipMark]) {
        let places = marks
            .iter()
            .map(|mark| (text::clip(mark.clip), f64::from(mark.threshold)));
        self.series
            .push(Series::new("clip", Token::Handle, Shape::Marks(places.collect())));
    }

    /// The outermost values: at `place`, of the channel of that rank and number where channels are told apart. Those within
    /// the bounds are no outliers. Drawn last, the farthest from the mean first.
    pub(in crate::app) fn outliers(&mut self, bounds: &Bounds, extremes: &[Extreme], stack: &Stack) {
        let distance = |extreme: &Extreme| (extreme.x - bounds.mean).abs();
        let mut far: Vec<&Extreme> = extremes.iter().filter(|extreme| bounds.is_outlier(extreme.x)).collect();
        far.sort_by(|a, b| distance(b).total_cmp(&distance(a)));
        let marks = far.into_iter().map(|extreme| {
            let bin = ((extreme.x - self.low) / self.width).floor();
            let last = stack.rest.len().saturating_sub(1);
            let bin = (bin.max(0.0) as usize).min(last);
            let height = if stack.rest.is_empty() { 0.0 } else { stack.total(bin) };
            let sigmas = text::three_digits(distance(extreme) / bounds.std.max(f64::MIN_POSITIVE));
            let (label, ring) = match extreme.channel {
                Some((rank, number)) => (format!("ch {number} · {sigmas} σ"), Token::Channel(rank)),
                None => (format!("{sigmas} σ"), Token::Handle),
            };
            Outlier {
                place: [extreme.x, height],
                label,
                ring: ring.into(),
            }
        });
        let marks = Shape::Outliers(marks.collect());
        self.series.push(Series::new("outliers marked", Token::Outlier, marks));
    }

    /// A hatch over those bins whose middle satisfies `of`.
    pub(in crate::app) fn clipped(&mut self, counts: &[u64], of: impl Fn(f64) -> bool) {
        let counts: Vec<f64> = counts.iter().map(|count| *count as f64).collect();
        let shape = Shape::Hatched {
            low: self.low,
            width: self.width,
            heights: self.masked(&counts, of),
        };
        self.series.push(Series::new("clipped", Token::Clipped, shape));
    }

    /// A spike at each value of the grid, as high as the weights that land there.
    pub(in crate::app) fn staircase(&mut self, staircase: &Staircase, grid: Grid) {
        let spikes = staircase
            .steps()
            .map(|(q, count)| [f64::from(grid.value(q)), count as f64]);
        let spikes = Shape::Spikes(spikes.collect());
        self.series
            .push(Series::new("after rounding", Token::Quantized, spikes));
    }
}

/// The highest count of bins as a height, and what is above it: room for the labels of marks, or a little.
pub(in crate::app) fn y_range(scale: Scale, most: f64, headroom: f64) -> (f64, f64) {
    (0.0, scale.count(scale.height(most).max(0.3) * headroom))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The farthest is the one that always has a label.
    #[test]
    fn outliers_come_with_the_farthest_from_the_mean_first() {
        let mut histogram = Histogram::new(-8.0, 1.0);
        let bounds = Bounds {
            mean: 1.0,
            std: 1.0,
            sigma: 3.0,
        };
        let at = |x: f64, rank: usize| Extreme {
            x,
            channel: Some((rank, 10 * rank)),
        };
        let extremes = [at(5.5, 0), at(-5.0, 1), at(3.9, 2), at(-2.5, 3)];
        histogram.outliers(&bounds, &extremes, &Stack::of(&[1; 16], Vec::new()));
        let Shape::Outliers(marked) = &histogram.series[0].shape else {
            panic!("{:?}", histogram.series[0].shape);
        };
        let labels: Vec<&str> = marked.iter().map(|outlier| outlier.label.as_str()).collect();
        assert_eq!(labels, ["ch 10 · 6.00 σ", "ch 0 · 4.50 σ", "ch 30 · 3.50 σ"]);
    }
}
