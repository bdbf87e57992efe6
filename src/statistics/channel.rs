//! What is known of one channel of an activation without data: a Gaussian, cut off at two ends.

use super::normal::{cumulative, density};

/// A Gaussian whose values beyond two ends are moved to them, as a ReLU moves what is below 0.
///
/// Each operation keeps the ends as far out as values may come, [`ChannelDistribution::REACH`] deviations for a Gaussian,
/// and mean and deviation exact where independent Gaussians stay such.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelDistribution {
    /// Mean of the Gaussian before it was cut.
    mean: f64,
    /// Its standard deviation, 0 for a constant.
    deviation: f64,
    low: f64,
    high: f64,
    /// Mean and standard deviation of the values.
    moments: (f64, f64),
}

impl ChannelDistribution {
    /// How many deviations a Gaussian is taken to reach (Nagel et al. 2019, arXiv 1906.04721).
    pub const REACH: f64 = 6.0;

    /// Points at which a function of the channel is looked at.
    const POINTS: u32 = 512;

    /// A Gaussian of this mean and standard deviation (>= 0).
    pub fn gaussian(mean: f64, deviation: f64) -> Self {
        let reach = Self::REACH * deviation;
        Self {
            mean,
            deviation,
            low: mean - reach,
            high: mean + reach,
            moments: (mean, deviation),
        }
    }

    /// A channel that always holds `value`.
    pub fn constant(value: f64) -> Self {
        Self::gaussian(value, 0.0)
    }

    /// The lower end.
    pub fn low(&self) -> f64 {
        self.low
    }

    /// The upper end.
    pub fn high(&self) -> f64 {
        self.high
    }

    /// Whether no number of it is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        [self.mean, self.deviation, self.low, self.high]
            .iter()
            .all(|number| number.is_finite())
    }

    /// Mean and standard deviation of the values, ends included.
    pub fn moments(&self) -> (f64, f64) {
        self.moments
    }

    /// Mean and standard deviation of the Gaussian when it is cut.
    fn cut_moments(&self) -> (f64, f64) {
        let Self {
            mean,
            deviation,
            low,
            high,
            ..
        } = *self;
        if deviation <= 0.0 || low >= high {
            return (mean.clamp(low, high.max(low)), 0.0);
        }
        let (a, b) = ((low - mean) / deviation, (high - mean) / deviation);
        let (below, above, inside) = (cumulative(a), cumulative(-b), cumulative(b) - cumulative(a));
        let (at_low, at_high) = (density(a), density(b));
        let first = low * below + high * above + mean * inside + deviation * (at_low - at_high);
        let second = low * low * below
            + high * high * above
            + (mean * mean + deviation * deviation) * inside
            + deviation * ((mean + low) * at_low - (mean + high) * at_high);
        (first.clamp(low, high), (second - first * first).max(0.0).sqrt())
    }

    /// Probability of a value below `x`, which lies between the ends; the lower end itself is below.
    pub(super) fn share_below(&self, x: f64, table: impl Fn(f64) -> f64) -> f64 {
        if self.deviation > 0.0 {
            table((x - self.mean) / self.deviation)
        } else if x > self.mean {
            1.0
        } else {
            0.0
        }
    }

    /// After values beyond `[low, high]` are moved to its ends.
    #[must_use]
    pub fn clamped(self, low: f64, high: f64) -> Self {
        let inside = |x: f64| x.max(low).min(high);
        let (low, high) = (inside(self.low), inside(self.high));
        if (low, high) == (self.low, self.high) {
            return self;
        }
        let mut cut = Self { low, high, ..self };
        cut.moments = cut.cut_moments();
        cut
    }

    /// With the ends `low` and `high`, whether the channel reached them before or not: values beyond are moved to the ends.
    #[must_use]
    pub fn within(self, low: f64, high: f64) -> Self {
        let mut cut = Self { low, high, ..self };
        cut.moments = cut.cut_moments();
        cut
    }

    /// After `x * factor + shift`.
    #[must_use]
    pub fn scaled(self, factor: f64, shift: f64) -> Self {
        let of = |x: f64| x * factor + shift;
        let (low, high) = (of(self.low), of(self.high));
        Self {
            mean: of(self.mean),
            deviation: self.deviation * factor.abs(),
            low: low.min(high),
            high: low.max(high),
            moments: (of(self.moments.0), self.moments.1 * factor.abs()),
        }
    }

    /// The sum with an independent channel. How far the ends lie from the mean adds up as deviations do: two Gaussians give
    /// the Gaussian of their sum, [`ChannelDistribution::REACH`] deviations wide. Were both always to rise together, this
    /// would still be more than 4 deviations.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let ((mean, deviation), (more_mean, more_deviation)) = (self.moments(), other.moments());
        let (sum, deviation) = (mean + more_mean, deviation.hypot(more_deviation));
        Self {
            mean: sum,
            deviation,
            moments: (sum, deviation),
            low: sum - (mean - self.low).hypot(more_mean - other.low),
            high: sum + (self.high - mean).hypot(other.high - more_mean),
        }
    }

    /// The product with an independent channel.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let ((mean, deviation), (more_mean, more_deviation)) = (self.moments(), other.moments());
        let ends = [
            self.low * other.low,
            self.low * other.high,
            self.high * other.low,
            self.high * other.high,
        ];
        let variance =
            (deviation * more_deviation).powi(2) + (deviation * more_mean).powi(2) + (mean * more_deviation).powi(2);
        let (mean, deviation) = (mean * more_mean, variance.sqrt());
        Self {
            mean,
            deviation,
            moments: (mean, deviation),
            low: ends.into_iter().fold(f64::INFINITY, f64::min),
            high: ends.into_iter().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// After a continuous function; moments by integration, ends from points that lie close.
    #[must_use]
    pub fn mapped(self, function: impl Fn(f64) -> f64) -> Self {
        let points = f64::from(Self::POINTS);
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        let (mut weight, mut first, mut second) = (0.0, 0.0, 0.0);
        for point in 0..=Self::POINTS {
            let place = f64::from(point) / points;
            let end = function(self.low + (self.high - self.low) * place);
            (low, high) = (low.min(end), high.max(end));
            let z = (2.0 * place - 1.0) * Self::REACH;
            let value = function((self.mean + z * self.deviation).max(self.low).min(self.high));
            let share = density(z);
            weight += share;
            first += share * value;
            second += share * value * value;
        }
        let mean = first / weight;
        let deviation = (second / weight - mean * mean).max(0.0).sqrt();
        Self {
            mean,
            deviation,
            moments: (mean, deviation),
            low,
            high,
        }
    }

    /// With `value` inside the ends, as padding puts it there.
    #[must_use]
    pub fn including(self, value: f64) -> Self {
        Self {
            low: self.low.min(value),
            high: self.high.max(value),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 1e-6 * expected.abs().max(1.0),
            "{found}, expected {expected}"
        );
    }

    #[test]
    fn a_rectified_standard_gaussian_has_the_known_moments() {
        // E = 1 / sqrt(2 pi), E^2 = 1/2.
        let relu = ChannelDistribution::gaussian(0.0, 1.0).clamped(0.0, f64::INFINITY);
        let (mean, deviation) = relu.moments();
        close(mean, 0.398_942_280_4);
        close(deviation, (0.5 - 0.398_942_280_4_f64.powi(2)).sqrt());
        assert_eq!((relu.low(), relu.high()), (0.0, 6.0));
        let off = ChannelDistribution::gaussian(-9.0, 1.0).clamped(0.0, f64::INFINITY);
        assert_eq!((off.low(), off.high(), off.moments()), (0.0, 0.0, (0.0, 0.0)));
    }

    #[test]
    fn integration_agrees_with_the_closed_form() {
        for (mean, deviation) in [(0.0, 1.0), (1.5, 0.7), (-1.0, 2.0)] {
            let x = ChannelDistribution::gaussian(mean, deviation);
            let (closed, mapped) = (x.clamped(0.0, 6.0), x.mapped(|x| x.clamp(0.0, 6.0)));
            let (a, b) = (closed.moments(), mapped.moments());
            assert!((a.0 - b.0).abs() < 2e-3 && (a.1 - b.1).abs() < 2e-3, "{a:?} {b:?}");
            assert_eq!((closed.low(), closed.high()), (mapped.low(), mapped.high()));
        }
    }

    #[test]
    fn sums_and_multiples_of_gaussians_are_gaussians() {
        let sum = ChannelDistribution::gaussian(1.0, 3.0).plus(ChannelDistribution::gaussian(-2.0, 4.0));
        close(sum.low(), -31.0);
        close(sum.high(), 29.0);
        close(sum.moments().1, 5.0);
        let turned = ChannelDistribution::gaussian(1.0, 1.0).scaled(-2.0, 1.0);
        assert_eq!((turned.low(), turned.high(), turned.mean), (-13.0, 11.0, -1.0));
        let product = ChannelDistribution::gaussian(0.0, 1.0).times(ChannelDistribution::constant(3.0));
        assert_eq!((product.low(), product.high()), (-18.0, 18.0));
        close(product.moments().1, 3.0);
    }
}
