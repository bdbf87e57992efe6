//! The two distributions that analytic clipping fits (Banner et al. 2018, section 3): a Gaussian and a Laplacian, both centred
//! on zero, as the grid is.

use super::samples::{Moments, Samples};
use crate::statistics::ActivationStatistics;

/// A Gaussian and a Laplacian centred on zero, fitted to the same values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CentredFits {
    /// Values that they were fitted to.
    pub count: f64,
    /// Deviation of the Gaussian: `sqrt(E[x^2])`, in the units of the values.
    pub deviation: f64,
    /// Scale of the Laplacian: `E|x|`, in the units of the values.
    pub scale: f64,
}

impl CentredFits {
    /// Fits to `values`; those that are not finite are left out.
    pub fn of_values(values: &[f32]) -> Self {
        Self::of_moments(&Samples::of_values(values).moments())
    }

    /// Fits to what was counted of an activation.
    pub fn of_activation(activation: &ActivationStatistics) -> Self {
        Self::of_moments(&Samples::of_activation(activation).moments())
    }

    pub(super) fn of_moments(moments: &Moments) -> Self {
        Self {
            count: moments.count,
            deviation: moments.mean_square.sqrt(),
            scale: moments.mean_abs,
        }
    }

    /// Which fit has the greater likelihood; the mean log-likelihoods are `-ln(sigma sqrt(2 pi e))` and `-ln(2 b e)`.
    pub fn gaussian_is_better(&self) -> bool {
        let tau_e = std::f64::consts::TAU * std::f64::consts::E;
        self.deviation * tau_e.sqrt() <= 2.0 * std::f64::consts::E * self.scale
    }

    /// Density of the Gaussian at `x`, per unit of the values.
    pub fn gaussian(&self, x: f64) -> f64 {
        if self.deviation <= 0.0 {
            return 0.0;
        }
        let z = x / self.deviation;
        (-z * z / 2.0).exp() / (self.deviation * std::f64::consts::TAU.sqrt())
    }

    /// Density of the Laplacian at `x`, per unit of the values.
    pub fn laplacian(&self, x: f64) -> f64 {
        if self.scale <= 0.0 {
            return 0.0;
        }
        (-x.abs() / self.scale).exp() / (2.0 * self.scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_are_the_moments_about_zero() {
        let fits = CentredFits::of_values(&[3.0, -4.0, f32::NAN]);
        assert_eq!((fits.count, fits.scale), (2.0, 3.5));
        assert!((fits.deviation - 12.5_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn density_times_count_times_bin_width_adds_up_to_the_count() {
        let values: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.618_034).fract() - 0.4).collect();
        let fits = CentredFits::of_values(&values);
        let (end, bins) = (20.0 * fits.deviation, 4001_u32);
        let width = 2.0 * end / f64::from(bins);
        let sum = |density: &dyn Fn(f64) -> f64| -> f64 {
            let centre = |bin: u32| (f64::from(bin) + 0.5) * width - end;
            (0..bins).map(|bin| fits.count * density(centre(bin)) * width).sum()
        };
        for found in [sum(&|x| fits.gaussian(x)), sum(&|x| fits.laplacian(x))] {
            assert!((found / 5000.0 - 1.0).abs() < 1e-3, "{found}");
        }
    }

    #[test]
    fn zeros_have_no_density_anywhere_else() {
        let fits = CentredFits::of_values(&[0.0; 8]);
        assert_eq!((fits.gaussian(0.1), fits.laplacian(0.1)), (0.0, 0.0));
    }
}
