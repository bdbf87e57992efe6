//! The threshold as a quantile of |x|.

use super::samples::Samples;

/// The magnitude below which `percent` of the elements lie: an order statistic where the values are at hand, interpolated
/// in the histogram of an activation.
pub(super) fn threshold(samples: &Samples, percent: f32) -> f32 {
    let share = f64::from(percent) / 100.0;
    let Some(values) = samples.values() else {
        return samples.magnitudes().quantile(share) as f32;
    };
    // The histogram says which bin holds the rank; only that bin is gathered and ordered.
    let finite = samples.magnitudes().total()[0];
    if finite == 0.0 {
        return 0.0;
    }
    let rank = ((share * finite).ceil() as usize).max(1) - 1;
    let (low, high) = samples.magnitudes().bin_of_rank(rank);
    let max_abs = samples.max_abs();
    let mut candidates: Vec<f32> = values
        .iter()
        .map(|x| x.abs())
        .filter(|x| f64::from(*x) >= low && f64::from(*x) <= high && *x <= max_abs)
        .collect();
    // Values near the lower edge are among the candidates: the rank counts from what lies below them all.
    let under = values.iter().filter(|x| f64::from(x.abs()) < low).count();
    let place = rank.saturating_sub(under).min(candidates.len().saturating_sub(1));
    if candidates.is_empty() {
        return max_abs;
    }
    *candidates.select_nth_unstable_by(place, f32::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_the_order_statistic_of_the_sorted_magnitudes(
            values in proptest::collection::vec(-3.0_f32..3.0, 1..500), percent in 0.1_f32..=100.0,
        ) {
            let mut sorted: Vec<f32> = values.iter().map(|x| x.abs()).collect();
            sorted.sort_by(f32::total_cmp);
            let rank = ((f64::from(percent) / 100.0 * values.len() as f64).ceil() as usize).max(1) - 1;
            prop_assert_eq!(threshold(&Samples::of_values(&values), percent), sorted[rank]);
        }
    }

    #[test]
    fn all_of_the_values_is_the_largest() {
        assert_eq!(threshold(&Samples::of_values(&[0.5, -2.0, 1.0]), 100.0), 2.0);
        assert_eq!(threshold(&Samples::of_values(&[]), 99.0), 0.0);
    }
}
