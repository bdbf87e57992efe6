//! The standard normal distribution.

use std::f64::consts::{PI, SQRT_2};

/// Density at `z`.
pub(super) fn density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// Probability of a value below `z`.
pub(super) fn cumulative(z: f64) -> f64 {
    0.5 * upper_error(-z / SQRT_2)
}

/// The complementary error function (Abramowitz, Stegun 1964, formulas 7.1.6 and 7.1.14).
fn upper_error(x: f64) -> f64 {
    /// Beyond it the continued fraction is exact to f64 with these many terms, below it the series.
    const FAR: f64 = 3.0;
    const TERMS: u32 = 60;
    if x < 0.0 {
        return 2.0 - upper_error(-x);
    }
    let factor = (-x * x).exp() / PI.sqrt();
    if x >= FAR {
        let fraction = (1..=TERMS).rev().fold(x, |rest, term| x + 0.5 * f64::from(term) / rest);
        return factor / fraction;
    }
    let (mut term, mut sum) = (2.0 * x, 2.0 * x);
    for n in 1..=TERMS {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    1.0 - factor * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Abramowitz, Stegun 1964, tables 26.1 and 26.2.
    #[test]
    fn the_distribution_is_that_of_the_tables() {
        for (z, below) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746_068_543),
            (2.0, 0.977_249_868_051_821),
            (-3.0, 0.001_349_898_031_630),
            (-5.0, 2.866_515_719e-7),
            (-6.0, 9.865_876_450e-10),
        ] {
            let error = (cumulative(z) - below).abs();
            assert!(error < 1e-9 * below, "{z}: {} for {below}", cumulative(z));
        }
        assert!((density(1.0) - 0.241_970_724_519).abs() < 1e-12);
        assert!((cumulative(4.24) + cumulative(-4.24) - 1.0).abs() < 1e-14);
    }
}
