//! Positions as T5 tells them: a number for each head that is added to the scores, from a table with a row for each bucket of
//! distances.
//!
//! A row of the table is looked up for every distance up to the farthest that counts, once for a stack; which of these distances
//! lies between two steps is all that depends on the length of a text.

use crate::format::architecture::causal::Steps;
use crate::format::architecture::misfit::Fault;
use crate::format::architecture::net::{Net, as_i64};
use crate::onnx::build::{i64_tensor, int_attribute, scalar_i64};

/// Distance from which all are alike, where nothing tells it.
pub(super) const USUAL_FARTHEST: usize = 128;
/// A configuration is not believed beyond this: there is a number for each distance.
const MAX_FARTHEST: usize = 1 << 16;

/// The distances between the steps of a stack.
pub(super) struct Distances {
    /// Buckets that the table has rows for.
    buckets: usize,
    /// The bucket of each distance that is told apart.
    list: String,
    /// For each step, and each that it looks at, the place of their distance in the list, integers `[steps, steps]`.
    places: String,
}

impl Distances {
    /// Of a stack whose steps look both ways, or only at those before; `table` `[buckets, heads]` is blamed for what does not
    /// fit.
    pub(super) fn of(net: &mut Net<'_>, steps: &Steps, stack: &str, both_ways: bool, table: &str) -> Self {
        let buckets = net.dict.size(table, 0).unwrap_or(1);
        let told = net.config.count("relative_attention_max_distance");
        let farthest = told.unwrap_or(USUAL_FARTHEST);
        let one_way = if both_ways { buckets / 2 } else { buckets };
        let fits = one_way > 1 && (one_way / 2 + 1..=MAX_FARTHEST).contains(&farthest);
        if net.expect(table, &[None, None]) && !fits {
            let reason = format!("has {buckets} buckets for distances up to {farthest}, which is not known");
            net.fail(table, Fault::Other(reason));
        }
        let name = |part: &str| format!("{stack}.distances.{part}");
        // From the step that looks to the one that is looked at.
        let apart = [steps.row.clone(), steps.column.clone()];
        let apart = net.node("Sub", &name("apart"), apart, vec![]);
        let first = as_i64(farthest);
        let last = if both_ways { first } else { 0 };
        let [low, high, from] = [("low", -first), ("high", last), ("from", first)]
            .map(|(part, number)| net.constant(scalar_i64(name(part), number)));
        let within = net.node("Clip", &name("within"), [apart, low, high], vec![]);
        let places = net.node("Add", &name("places"), [within, from], vec![]);
        let list = if fits {
            listed(one_way, farthest, both_ways)
        } else {
            Vec::new()
        };
        let list = i64_tensor(name("buckets"), &[list.len()], &list);
        Self {
            buckets,
            list: net.constant(list),
            places,
        }
    }

    /// What `table` adds to the scores, `[heads, steps, steps]`.
    pub(super) fn bias(&self, net: &mut Net<'_>, table: &str, heads: usize) -> String {
        let rows = net.parameter(table, &[Some(self.buckets), Some(heads)]).value;
        let module = table.strip_suffix(".weight").unwrap_or(table);
        let name = |part: &str| format!("{module}.{part}");
        let rows = [rows, self.list.clone()];
        let by_distance = net.node("Gather", module, rows, vec![int_attribute("axis", 0)]);
        let by_head = net.transpose(&by_distance, &name("by_head"), &[1, 0]);
        let places = [by_head, self.places.clone()];
        net.node("Gather", &name("by_step"), places, vec![int_attribute("axis", 1)])
    }
}

/// The buckets of the distances from `-farthest` to 0, and on to `farthest` where steps look both ways: those ahead have buckets of
/// their own.
fn listed(one_way: usize, farthest: usize, both_ways: bool) -> Vec<i64> {
    let before = (0..=farthest).rev().map(|distance| bucket(distance, one_way, farthest));
    let ahead = (1..=farthest).map(|distance| one_way + bucket(distance, one_way, farthest));
    before.chain(ahead.filter(|_| both_ways)).map(as_i64).collect()
}

/// The bucket of a distance among `buckets` of one direction: half of them are for a single distance each, the others grow with
/// its logarithm up to `farthest`.
fn bucket(distance: usize, buckets: usize, farthest: usize) -> usize {
    let exact = buckets / 2;
    if distance < exact {
        return distance;
    }
    // At the edge of two buckets rounding decides: each step in 32 bits, as torch takes it.
    let logarithm = |distance: f64| (distance / exact as f64).ln() as f32;
    let share = logarithm(distance as f64) / logarithm(farthest as f64);
    let beyond = (share * (buckets - exact) as f32) as usize;
    (exact + beyond).min(buckets - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where each bucket begins by `_relative_position_bucket` of transformers, for 32 buckets of distances up to 128.
    #[test]
    fn buckets_begin_where_those_of_transformers_do() {
        let begins = |buckets: usize| -> Vec<usize> {
            let first = |wanted: usize| (0..=128).find(|distance| bucket(*distance, buckets, 128) == wanted);
            (0..buckets).map(|wanted| first(wanted).unwrap()).collect()
        };
        let encoder = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91];
        assert_eq!(begins(16), encoder);
        let decoder = [16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113];
        assert_eq!(begins(32)[16..], decoder);
    }

    #[test]
    fn steps_ahead_have_buckets_of_their_own() {
        assert_eq!(listed(4, 4, true), [3, 3, 2, 1, 0, 5, 6, 7, 7]);
        assert_eq!(listed(4, 4, false), [3, 3, 2, 1, 0]);
    }
}
