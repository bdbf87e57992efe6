//! The least noise for a number of bytes by a table over budgets (dynamic programming, as in Kellerer, Pferschy and Pisinger,
//! *Knapsack Problems*, 2004, section 11.5): exact where the budget is a few thousand bytes, else to within the rounding of
//! each layer's bytes to one of as many parts of it. For few layers, where single steps are large and greed misses by one.

use super::greedy::{Price, frontier};

/// Entries of the table at most: budgets times layers.
const ENTRIES: usize = 1 << 22;
/// Budgets of the table at most.
const BUDGETS: usize = 1 << 14;
/// Budgets for each layer at least: with fewer, rounding takes away more than greed does.
const LEAST_FOR_A_LAYER: usize = 16;

/// For each list of prices, the position of the choice taken, so that all together take at most `budget` bytes and make little
/// noise. `None` where there are too many layers, or even the smallest choices take more.
pub(super) fn allocate_by_table(layers: &[Vec<Price>], budget: u64) -> Option<Vec<usize>> {
    let frontiers: Vec<Vec<usize>> = layers.iter().map(|prices| frontier(prices)).collect();
    let least: Vec<u64> = (layers.iter().zip(&frontiers))
        .map(|(prices, frontier)| frontier.first().map(|at| prices[*at].bytes))
        .collect::<Option<_>>()?;
    let spare = budget.checked_sub(least.iter().copied().fold(0, u64::saturating_add))?;
    let most = BUDGETS.min(ENTRIES / layers.len().max(1));
    if most < LEAST_FOR_A_LAYER * layers.len() {
        return None;
    }
    let budgets = usize::try_from(spare).unwrap_or(most).min(most);
    let part = |bytes: u64| -> Option<usize> {
        let scaled = (u128::from(bytes) * budgets as u128).div_ceil(u128::from(spare.max(1)));
        (bytes <= spare).then(|| usize::try_from(scaled).ok())?
    };
    // Least noise of the layers so far within each budget, and what the last of them took.
    let mut noise = vec![0.0_f64; budgets + 1];
    let mut taken: Vec<Vec<u32>> = Vec::with_capacity(layers.len());
    for ((prices, frontier), least) in layers.iter().zip(&frontiers).zip(&least) {
        let mut with = vec![f64::INFINITY; budgets + 1];
        let mut choice = vec![0_u32; budgets + 1];
        for &at in frontier {
            let Some(parts) = part(prices[at].bytes - least) else {
                break;
            };
            for (to, before) in noise[..=budgets - parts].iter().enumerate() {
                let sum = before + prices[at].noise;
                if sum < with[to + parts] {
                    with[to + parts] = sum;
                    choice[to + parts] = at as u32;
                }
            }
        }
        noise = with;
        taken.push(choice);
    }
    let mut left = budgets;
    let mut chosen: Vec<usize> = Vec::with_capacity(layers.len());
    for (layer, choice) in taken.iter().enumerate().rev() {
        let at = choice[left] as usize;
        chosen.push(at);
        left -= part(layers[layer][at].bytes - least[layer])?;
    }
    chosen.reverse();
    Some(chosen)
}
