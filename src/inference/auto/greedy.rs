//! Which choice for which layer: the least noise for a number of bytes.
//!
//! The noise of a network is taken as the sum over its layers, so this is the multiple-choice knapsack problem: one choice from
//! each list. Taking again and again the step that removes the most noise for each byte it adds, along the lower convex hull of
//! each list, is optimal wherever it ends exactly at the budget (Sinha and Zoltners, *The Multiple-Choice Knapsack Problem*,
//! Operations Research 27(3), 1979). What is left of the budget then goes to single choices and to exchanges between two layers.
//! Of few layers, where one step is much, a table over budgets may find better ([`super::table`]); the better of both is taken.

use super::table::allocate_by_table;

/// What a choice for a layer takes and what it does to the outputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Price {
    /// Bytes of the layer's weights.
    pub(super) bytes: u64,
    /// Noise that it adds to the outputs.
    pub(super) noise: f64,
}

/// Noise that is gained must be more than rounding.
const LEAST_GAIN: f64 = 1e-12;

/// For each list of prices, the position of the choice taken, so that all together take at most `budget` bytes; `None` where
/// even the smallest choices take more. Of equally good steps that of the earlier layer is taken.
pub(super) fn allocate(layers: &[Vec<Price>], budget: u64) -> Option<Vec<usize>> {
    let hulls: Vec<Vec<usize>> = layers.iter().map(|prices| hull(prices)).collect();
    let mut taken: Vec<usize> = hulls.iter().map(|hull| hull.first().copied()).collect::<Option<_>>()?;
    let mut left = budget.checked_sub(total_bytes(layers, &taken))?;
    let mut steps: Vec<Step> = hulls
        .iter()
        .enumerate()
        .flat_map(|(layer, hull)| {
            hull.windows(2)
                .map(move |pair| Step::new(layer, layers, pair[0], pair[1]))
        })
        .collect();
    // Along a hull the gain for each byte falls, so that a stable order keeps the steps of a layer in theirs.
    steps.sort_by(|a, b| b.gain_per_byte.total_cmp(&a.gain_per_byte));
    for step in steps {
        if taken[step.layer] == step.from && step.bytes <= left {
            taken[step.layer] = step.to;
            left -= step.bytes;
        }
    }
    spend(layers, &mut taken, &mut left);
    let by_table = allocate_by_table(layers, budget).map(|mut table| {
        let mut left = budget.saturating_sub(total_bytes(layers, &table));
        spend(layers, &mut table, &mut left);
        table
    });
    let better = |table: &Vec<usize>| noise(layers, table) < noise(layers, &taken) * (1.0 - LEAST_GAIN);
    Some(by_table.filter(better).unwrap_or(taken))
}

/// Spends what is left on single choices and exchanges as long as that removes noise.
fn spend(layers: &[Vec<Price>], taken: &mut [usize], left: &mut u64) {
    while fill(layers, taken, left) || exchange(layers, taken, left) {}
}

/// One step along a hull.
struct Step {
    layer: usize,
    from: usize,
    to: usize,
    bytes: u64,
    gain_per_byte: f64,
}

impl Step {
    fn new(layer: usize, layers: &[Vec<Price>], from: usize, to: usize) -> Self {
        let (before, after) = (layers[layer][from], layers[layer][to]);
        let bytes = after.bytes - before.bytes;
        Self {
            layer,
            from,
            to,
            bytes,
            gain_per_byte: (before.noise - after.noise) / bytes.max(1) as f64,
        }
    }
}

/// The choices of which no other takes as few bytes and makes as little noise, from the fewest bytes on; noise falls strictly.
pub(super) fn frontier(prices: &[Price]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..prices.len()).filter(|at| prices[*at].noise.is_finite()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (prices[*a], prices[*b]);
        a.bytes.cmp(&b.bytes).then(a.noise.total_cmp(&b.noise))
    });
    let mut least = f64::INFINITY;
    order.retain(|at| {
        let betters = prices[*at].noise < least;
        least = least.min(prices[*at].noise);
        betters
    });
    order
}

/// The choices on the lower convex hull of (bytes, noise), from the fewest bytes on.
fn hull(prices: &[Price]) -> Vec<usize> {
    let mut hull: Vec<usize> = Vec::new();
    for at in frontier(prices) {
        let point = prices[at];
        while let [.., before, last] = hull[..] {
            let slope = |from: Price, to: Price| (from.noise - to.noise) / (to.bytes - from.bytes).max(1) as f64;
            if slope(prices[before], prices[last]) > slope(prices[last], point) {
                break;
            }
            hull.pop();
        }
        hull.push(at);
    }
    hull
}

fn total_bytes(layers: &[Vec<Price>], taken: &[usize]) -> u64 {
    let bytes = layers.iter().zip(taken).map(|(prices, at)| prices[*at].bytes);
    bytes.fold(0, u64::saturating_add)
}

/// Takes the single choice that removes the most noise within what is left; tells whether there was one.
fn fill(layers: &[Vec<Price>], taken: &mut [usize], left: &mut u64) -> bool {
    let mut best = (LEAST_GAIN * noise(layers, taken), None);
    for (layer, prices) in layers.iter().enumerate() {
        let now = prices[taken[layer]];
        for (at, price) in prices.iter().enumerate() {
            let gain = now.noise - price.noise;
            if gain > best.0 && price.bytes <= now.bytes.saturating_add(*left) {
                best = (gain, Some((layer, at)));
            }
        }
    }
    let Some((layer, at)) = best.1 else { return false };
    *left = *left + layers[layer][taken[layer]].bytes - layers[layer][at].bytes;
    taken[layer] = at;
    true
}

/// Makes one layer smaller and another larger where that removes noise in all: the best such pair; tells whether there was
/// one.
fn exchange(layers: &[Vec<Price>], taken: &mut [usize], left: &mut u64) -> bool {
    let mut best = (LEAST_GAIN * noise(layers, taken), None);
    for (small, prices) in layers.iter().enumerate() {
        let now = prices[taken[small]];
        for (smaller, price) in prices.iter().enumerate().filter(|(_, price)| price.bytes < now.bytes) {
            let (lost, room) = (price.noise - now.noise, *left + now.bytes - price.bytes);
            for (large, others) in layers.iter().enumerate().filter(|(large, _)| *large != small) {
                let then = others[taken[large]];
                for (larger, other) in others.iter().enumerate() {
                    let gain = then.noise - other.noise - lost;
                    if gain > best.0 && other.bytes <= then.bytes.saturating_add(room) {
                        best = (gain, Some((small, smaller, large, larger)));
                    }
                }
            }
        }
    }
    let Some((small, smaller, large, larger)) = best.1 else {
        return false;
    };
    let before = layers[small][taken[small]].bytes + layers[large][taken[large]].bytes;
    *left = *left + before - layers[small][smaller].bytes - layers[large][larger].bytes;
    (taken[small], taken[large]) = (smaller, larger);
    true
}

fn noise(layers: &[Vec<Price>], taken: &[usize]) -> f64 {
    layers.iter().zip(taken).map(|(prices, at)| prices[*at].noise).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn price(bytes: u64, noise: f64) -> Price {
        Price { bytes, noise }
    }

    /// The least noise within the budget by trying all combinations.
    fn least_noise(layers: &[Vec<Price>], budget: u64) -> Option<f64> {
        let Some((first, rest)) = layers.split_first() else {
            return Some(0.0);
        };
        let with = |price: &Price| Some(price.noise + least_noise(rest, budget.checked_sub(price.bytes)?)?);
        first.iter().filter_map(with).min_by(f64::total_cmp)
    }

    #[test]
    fn the_step_with_the_most_noise_removed_for_each_byte_comes_first() {
        let layers = [
            vec![price(10, 8.0), price(20, 4.0), price(30, 3.0)],
            vec![price(10, 9.0), price(30, 1.0)],
        ];
        assert_eq!(allocate(&layers, 19), None);
        assert_eq!(allocate(&layers, 20), Some(vec![0, 0]));
        assert_eq!(allocate(&layers, 30), Some(vec![1, 0]));
        assert_eq!(
            allocate(&layers, 40),
            Some(vec![0, 1]),
            "an exchange: 8 removed instead of 4"
        );
        assert_eq!(allocate(&layers, 50), Some(vec![1, 1]));
        assert_eq!(allocate(&layers, 1000), Some(vec![2, 1]));
    }

    #[test]
    fn the_hull_leaves_out_what_another_choice_or_a_mix_of_two_betters() {
        let prices = [
            price(30, 1.0),
            price(10, 9.0),
            price(20, 8.0),
            price(15, 9.5),
            price(25, 2.0),
            price(25, f64::NAN),
        ];
        assert_eq!(hull(&prices), [1, 4, 0]);
    }

    #[test]
    fn equal_layers_are_served_in_their_order() {
        let layers = vec![vec![price(1, 2.0), price(2, 1.0)]; 4];
        assert_eq!(allocate(&layers, 6), Some(vec![1, 1, 0, 0]));
    }

    #[test]
    fn where_exchanges_end_too_early_the_table_finds_better() {
        let steps: [&[(u64, f64)]; 3] = [
            &[(30, 0.814), (23, 0.5), (1, 0.5), (12, 0.5)],
            &[(31, 0.5), (31, 0.5)],
            &[(20, 0.752), (19, 0.5), (4, 0.5), (5, 0.5)],
        ];
        let layers = steps.map(falling);
        let taken = allocate(&layers, 127).unwrap();
        let best = least_noise(&layers, 127).unwrap();
        assert!((noise(&layers, &taken) - best).abs() < 1e-9, "{taken:?} {best}");
    }

    /// Beyond as many bytes as the table has budgets, bytes are rounded: the same choices must still fit.
    #[test]
    fn millions_of_bytes_stay_within_the_budget_and_near_the_least_noise() {
        let steps: [&[(u64, f64)]; 3] = [
            &[(300_007, 0.8), (230_011, 0.5), (10_007, 0.5)],
            &[(310_019, 0.5), (310_027, 0.5)],
            &[(200_003, 0.75), (190_027, 0.5), (40_009, 0.5), (50_021, 0.5)],
        ];
        let layers = steps.map(falling);
        for budget in (30..1_700_000).step_by(61_001) {
            let taken = allocate(&layers, budget).unwrap();
            assert!(total_bytes(&layers, &taken) <= budget);
            let best = least_noise(&layers, budget).unwrap();
            assert!(noise(&layers, &taken) <= best * 1.02, "{budget}: {taken:?}");
        }
    }

    /// Choices of which each adds bytes and leaves a share of the noise, as bits and splits do.
    fn falling(steps: &[(u64, f64)]) -> Vec<Price> {
        let mut at = price(10, 100.0);
        let mut prices = vec![at];
        for (bytes, factor) in steps {
            at = price(at.bytes + bytes, at.noise * factor);
            prices.push(at);
        }
        prices
    }

    proptest! {
        /// Against all combinations of a small lattice: never over the budget, and the least noise. (Greedy alone may miss it by
        /// one step.)
        #[test]
        fn small_lattices_come_out_as_by_trying_everything(
            sizes in prop::collection::vec(prop::collection::vec((1_u64..40, 0.5_f64..0.95), 1..5), 1..5),
            share in 0.0_f64..1.1,
        ) {
            let layers: Vec<Vec<Price>> = sizes.iter().map(|steps| falling(steps)).collect();
            let least = 10 * layers.len() as u64;
            let most: u64 = layers.iter().filter_map(|prices| Some(prices.last()?.bytes)).sum();
            let budget = least + ((most - least) as f64 * share) as u64;
            let taken = allocate(&layers, budget).unwrap();
            prop_assert!(total_bytes(&layers, &taken) <= budget);
            let best = least_noise(&layers, budget).unwrap();
            prop_assert!(noise(&layers, &taken) <= best * (1.0 + 1e-9), "{} {best}", noise(&layers, &taken));
        }
    }
}
