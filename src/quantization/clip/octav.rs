//! Optimally clipped tensors (Sakr et al., *Optimal Clipping and Magnitude-aware Differentiation for Improved
//! Quantization-aware Training*, ICML 2022, equation 6).

use super::samples::Samples;

/// The threshold that balances rounding noise inside with clipping noise outside, by the fixed point
/// `a <- E[|x|; |x| > a] / (4^-k/3 P(|x| <= a) + P(|x| > a))` for k bits over `[-a, a]` (over `[0, a]`: `4^-k/12`).
pub(super) fn threshold(samples: &Samples, levels: i32) -> f32 {
    let magnitudes = samples.magnitudes();
    let total = magnitudes.total();
    let max_abs = f64::from(samples.max_abs());
    if total[0] == 0.0 || max_abs == 0.0 {
        return samples.max_abs();
    }
    let inside = noise_inside(levels);
    let mut a = total[1] / total[0];
    for _ in 0..100 {
        let below = magnitudes.up_to(a);
        let next = (total[1] - below[1]) / (inside * below[0] + (total[0] - below[0]));
        let moved = (next - a).abs();
        a = next.clamp(0.0, max_abs);
        if moved <= 1e-7 * max_abs {
            break;
        }
    }
    // Where nothing lies beyond a, the fixed point is 0: the noise of rounding is all there is, and no clipping serves.
    if a > 0.0 { a as f32 } else { samples.max_abs() }
}

/// Rounding noise over a^2, `(step / a)^2 / 12`, with the step of the paper's grid: `levels + 1` steps from 0 to a.
fn noise_inside(levels: i32) -> f64 {
    1.0 / (12.0 * f64::from(levels + 1).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The objective of the paper, computed from the values.
    fn objective(values: &[f32], a: f64, levels: i32) -> f64 {
        let cost = |x: &f32| {
            let x = f64::from(x.abs());
            if x > a {
                (x - a).powi(2)
            } else {
                a * a * noise_inside(levels)
            }
        };
        values.iter().map(cost).sum::<f64>() / values.len() as f64
    }

    /// The fixed point from the values themselves, by bisection.
    fn balance(values: &[f32], levels: i32) -> f64 {
        let excess = |a: f64| {
            let outside = values.iter().map(|x| f64::from(x.abs())).filter(|x| *x > a);
            let (count, sum) = outside.fold((0.0, 0.0), |s, x| (s.0 + 1.0, s.1 + x));
            a * (noise_inside(levels) * (values.len() as f64 - count) + count) - sum
        };
        let (mut low, mut high) = (0.0, f64::from(values.iter().fold(0.0_f32, |m, x| m.max(x.abs()))));
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if excess(middle) < 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn it_is_the_balance_point_and_near_the_best_of_a_dense_search(
            seed in 1_u64.., n in 2000_usize..20_000, power in 1_i32..6, bits in 3_u32..=8,
        ) {
            let levels = (1 << (bits - 1)) - 1;
            prop_assert!((noise_inside(levels) - 0.25_f64.powi(bits as i32) / 3.0).abs() < 1e-12);
            let mut state = seed;
            let values: Vec<f32> = (0..n).map(|_| {
                state ^= state << 13; state ^= state >> 7; state ^= state << 17;
                ((state >> 40) as f32 / (1 << 23) as f32 - 1.0).powi(power)
            }).collect();
            let found = f64::from(threshold(&Samples::of_values(&values), levels));
            let exact = balance(&values, levels);
            prop_assert!((found - exact).abs() <= 5e-3 * exact, "{found} {exact}");
            let cost = objective(&values, found, levels);
            let best = (1..=1000).map(|i| objective(&values, f64::from(i) / 1000.0, levels)).fold(f64::INFINITY, f64::min);
            prop_assert!(cost <= best * 1.03, "{cost} {best}");
        }
    }
}
