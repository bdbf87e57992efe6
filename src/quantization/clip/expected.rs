//! What a threshold costs an activation, from the histogram gathered while it was seen.

use super::samples::Samples;
use crate::quantization::Grid;
use crate::statistics::ActivationStatistics;

/// The error that a grid makes in values of which a histogram is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpectedError {
    /// Mean squared error.
    pub mse: f64,
    /// The part of it from values beyond the end of the grid.
    pub clip_mse: f64,
    /// `10 log10(E[x^2] / mse)`, decibels; infinite without error.
    pub sqnr_db: f64,
}

/// The error of `activation` on `grid`, whose outermost value is `threshold`. An unsigned grid is for values that are never
/// negative.
pub fn expected_error(activation: &ActivationStatistics, grid: Grid, threshold: f32) -> ExpectedError {
    let samples = Samples::of_activation(activation);
    let magnitudes = samples.magnitudes();
    // A grid with a zero point has more steps on one side; its values end where it does.
    let steps = if grid.zero_point.is_some() {
        (threshold / grid.step).round() as i32
    } else {
        grid.high()
    };
    let mse = magnitudes.expected_mse(threshold, steps);
    let (total, inside) = (magnitudes.total(), magnitudes.up_to(f64::from(threshold)));
    let beyond = [total[0] - inside[0], total[1] - inside[1], total[2] - inside[2]];
    let t = f64::from(threshold);
    let count = total[0].max(1.0);
    // Exactly 0 where nothing lies beyond: the sums only nearly cancel.
    let clip = if threshold >= activation.max_abs() {
        0.0
    } else {
        (beyond[2] - 2.0 * t * beyond[1] + t * t * beyond[0]).max(0.0) / count
    };
    ExpectedError {
        mse,
        clip_mse: clip.min(mse),
        sqnr_db: if mse > 0.0 {
            10.0 * (total[2] / count / mse).log10()
        } else {
            f64::INFINITY
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::RangeSource;

    /// Evenly spread values on `[-1, 1]`. Up to a there is d^2/12 but for the halves of the outermost cells, beyond it
    /// `(1 - a)^3 / 3` on either side.
    #[test]
    fn rounding_and_clipping_of_evenly_spread_values_have_their_closed_form() {
        let values: Vec<f32> = (0..200_001).map(|i| i as f32 / 100_000.0 - 1.0).collect();
        let mut seen = ActivationStatistics::new(RangeSource::Calibration);
        seen.add(&values);
        let a = 0.8_f32;
        let found = expected_error(&seen, Grid::symmetric(4, a), a);
        let step = f64::from(a) / 7.0;
        let clip = 0.2_f64.powi(3) / 3.0;
        let rounding = f64::from(a) * step * step / 12.0;
        assert!((found.clip_mse / clip - 1.0).abs() < 0.01, "{} {clip}", found.clip_mse);
        assert!(
            ((found.mse - found.clip_mse) / rounding - 1.0).abs() < 0.01,
            "{} {rounding}",
            found.mse - found.clip_mse
        );
        assert_eq!(expected_error(&seen, Grid::symmetric(4, 1.0), 1.0).clip_mse, 0.0);
        let sqnr = 10.0 * ((1.0 / 3.0) / (clip + rounding)).log10();
        assert!((found.sqnr_db - sqnr).abs() < 0.05, "{} {sqnr}", found.sqnr_db);
    }
}
