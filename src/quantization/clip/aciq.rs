//! Analytic clipping for integer quantization (Banner et al. 2018, arXiv 1810.05723): fit a Gaussian and a Laplacian to
//! the values, take the better fit, and the threshold that is best for that distribution.
//!
//! The fits and which is better: [`CentredFits`].

use super::fit::CentredFits;
use super::samples::Samples;

/// Best thresholds for 2 to 8 bits on the grid of `2^k - 1` values, in deviations of a Gaussian (the test derives
/// them anew).
const GAUSSIAN: [f64; 7] = [1.224, 1.952, 2.474, 2.899, 3.270, 3.607, 3.921];
/// The same in scales of a Laplacian.
const LAPLACIAN: [f64; 7] = [2.000, 3.487, 4.820, 6.098, 7.359, 8.617, 9.883];
/// The constants in the code of Zhao et al. 2019, about one bit too small from 4 bits on.
const GAUSSIAN_2019: [f64; 7] = [1.478, 1.805, 2.192, 2.577, 2.945, 3.291, 3.617];
/// The same in scales of a Laplacian.
const LAPLACIAN_2019: [f64; 7] = [2.332, 3.045, 4.004, 5.083, 6.232, 7.427, 8.653];

/// The threshold with the optima of this grid and the sample's own deviation.
pub(super) fn threshold(samples: &Samples, bits: u8) -> f32 {
    let fits = CentredFits::of_moments(&samples.moments());
    choose(samples, &fits, bits, &GAUSSIAN, &LAPLACIAN)
}

/// The threshold as the code of Zhao et al. 2019 has it: their constants, and a deviation estimated from the range as
/// `0.5402 (max - min) / sqrt(2 ln N)`.
pub(super) fn threshold_2019(samples: &Samples, bits: u8) -> f32 {
    let moments = samples.moments();
    let mut fits = CentredFits::of_moments(&moments);
    if moments.count > 1.0 {
        fits.deviation = 0.5402 * (moments.max - moments.min) / (2.0 * moments.count.ln()).sqrt();
    }
    choose(samples, &fits, bits, &GAUSSIAN_2019, &LAPLACIAN_2019)
}

fn choose(samples: &Samples, fits: &CentredFits, bits: u8, gaussian: &[f64; 7], laplacian: &[f64; 7]) -> f32 {
    let row = usize::from(bits.clamp(2, 8)) - 2;
    let threshold = if fits.gaussian_is_better() {
        gaussian[row] * fits.deviation
    } else {
        laplacian[row] * fits.scale
    };
    // A fit may ask for more than there is.
    (threshold as f32).min(samples.max_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mean squared error of the grid with outermost value `a` for a density on `[0, inf)`, by the midpoint rule.
    fn mse(density: impl Fn(f64) -> f64, a: f64, levels: i32) -> f64 {
        let (step, end, n) = (a / f64::from(levels), 40.0, 200_000);
        let dx = end / f64::from(n);
        (0..n)
            .map(|i| {
                let x = (f64::from(i) + 0.5) * dx;
                let value = ((x / step + 0.5).floor()).min(f64::from(levels)) * step;
                density(x) * (x - value).powi(2) * dx
            })
            .sum()
    }

    fn optimum(density: impl Fn(f64) -> f64 + Copy, near: f64, levels: i32) -> f64 {
        // Golden section around the published value, wide enough to notice a wrong one.
        let (mut low, mut high) = (near * 0.8, near * 1.2);
        let ratio = 0.618_033_988_75;
        while high - low > 1e-3 {
            let (a, b) = (high - ratio * (high - low), low + ratio * (high - low));
            if mse(density, a, levels) < mse(density, b, levels) {
                high = b;
            } else {
                low = a;
            }
        }
        (low + high) / 2.0
    }

    #[test]
    fn the_constants_minimise_the_error_of_the_grid() {
        let gaussian = |x: f64| (2.0 / std::f64::consts::PI).sqrt() * (-x * x / 2.0).exp();
        let laplacian = |x: f64| (-x).exp();
        for bits in 2..=8_u8 {
            let (row, levels) = (usize::from(bits) - 2, (1 << (bits - 1)) - 1);
            let found = optimum(gaussian, GAUSSIAN[row], levels);
            assert!((found - GAUSSIAN[row]).abs() < 0.01, "Gaussian, {bits} bits: {found}");
            let found = optimum(laplacian, LAPLACIAN[row], levels);
            assert!((found - LAPLACIAN[row]).abs() < 0.02, "Laplacian, {bits} bits: {found}");
        }
    }

    /// Quantiles of a distribution stand for a sample of it.
    fn sample(quantile: impl Fn(f64) -> f64) -> Vec<f32> {
        (0..20_000)
            .map(|i| quantile((f64::from(i) + 0.5) / 20_000.0) as f32)
            .collect()
    }

    #[test]
    fn the_better_fit_is_taken() {
        let laplacian = sample(|u| {
            if u < 0.5 {
                (2.0 * u).ln()
            } else {
                -(2.0 * (1.0 - u)).ln()
            }
        });
        let found = threshold(&Samples::of_values(&laplacian), 4);
        assert!((found - 4.820).abs() < 0.05, "{found}");
        // A logistic quantile by Tocher's approximation is near a Gaussian of deviation 1.
        let gaussian = sample(|u| (u / (1.0 - u)).ln() / 1.702);
        let moments = Samples::of_values(&gaussian).moments();
        let found = f64::from(threshold(&Samples::of_values(&gaussian), 4));
        assert!((found - 2.474 * moments.mean_square.sqrt()).abs() < 0.01, "{found}");
    }

    #[test]
    fn the_papers_version_takes_its_deviation_from_the_range() {
        let uniform = sample(|u| 2.0 * u - 1.0);
        let range = f64::from(uniform[19_999] - uniform[0]);
        let deviation = 0.5402 * range / (2.0 * 20_000_f64.ln()).sqrt();
        let found = f64::from(threshold_2019(&Samples::of_values(&uniform), 4));
        assert!((found - 2.192 * deviation).abs() < 1e-4, "{found}");
    }
}
