//! Which rows are worth a look: the front of score against cost.

use super::SweepRow;
use crate::inference::Score;

impl Score {
    /// The score that all `rows` have.
    pub fn of_rows(rows: &[SweepRow]) -> Self {
        let all = |score: &Self| !rows.is_empty() && rows.iter().all(|row| score.value(row).is_some());
        Self::BY_LABELS.into_iter().find(all).unwrap_or(Self::Sqnr)
    }

    /// The score of a row; `None` where it is not known or no number.
    pub fn value(self, row: &SweepRow) -> Option<f64> {
        let value = match self {
            Self::Sqnr => row.sqnr_db,
            _ => self.of(&row.metrics),
        };
        value.filter(|value| !value.is_nan())
    }

    /// The 95 % confidence interval of a row's score, low and high, where it is known.
    pub fn interval(self, row: &SweepRow) -> Option<[f64; 2]> {
        match self {
            Self::Sqnr => row.sqnr_db_interval,
            _ => self.interval_of(&row.metrics),
        }
    }
}

/// Costs that differ by no more than this share are one: a file holds its recipe as text, and with it some bytes more or less.
const SAME_COST: f64 = 1e-3;

/// The rows that no other row beats: none costs as little and scores better, or costs less and scores as well. Places in
/// `rows`, cheapest first. Rows without a score or a cost are on no front. Cost by `cost`, such as
/// `|row| row.overhead.weights`; costs within a thousandth count as equal.
pub fn pareto_front(rows: &[SweepRow], score: Score, cost: impl Fn(&SweepRow) -> f64) -> Vec<usize> {
    let mut known: Vec<(usize, f64, f64)> = (rows.iter().enumerate())
        .filter_map(|(place, row)| Some((place, cost(row), score.value(row)?)))
        .filter(|(_, cost, _)| !cost.is_nan())
        .collect();
    // Cheapest first, of equals the best; then a row is on the front if it is better than all before it.
    known.sort_by(|a, b| {
        let by_score = if score.better(a.2, b.2) {
            std::cmp::Ordering::Less
        } else if score.better(b.2, a.2) {
            std::cmp::Ordering::Greater
        } else {
            a.0.cmp(&b.0)
        };
        a.1.total_cmp(&b.1).then(by_score)
    });
    let mut front: Vec<(usize, f64, f64)> = Vec::new();
    let mut best: Option<(f64, f64)> = None;
    for (place, cost, value) in known {
        if best.is_none_or(|(at, best)| score.better(value, best) || (value == best && same(at, cost))) {
            best = Some((cost, value));
            // Better ones of the same cost leave no room.
            while front
                .pop_if(|(_, last, worse)| same(*last, cost) && score.better(value, *worse))
                .is_some()
            {}
            front.push((place, cost, value));
        }
    }
    front.into_iter().map(|(place, _, _)| place).collect()
}

/// Whether `cost`, which is not less than `least`, is the same for a person.
fn same(least: f64, cost: f64) -> bool {
    cost == least || cost - least <= least.abs() * SAME_COST
}

#[cfg(test)]
mod tests {
    use super::super::tests::row;
    use super::*;
    use proptest::prelude::*;

    fn beats(score: Score, one: (f64, f64), other: (f64, f64)) -> bool {
        let no_worse = one.0 <= other.0 && !score.better(other.1, one.1);
        no_worse && (one.0 < other.0 || score.better(one.1, other.1))
    }

    proptest! {
        #[test]
        fn the_front_is_what_comparing_all_pairs_leaves(points in proptest::collection::vec((0_u8..8, 0_u8..8), 0..30), less in any::<bool>()) {
            let score = if less { Score::Perplexity } else { Score::Top1 };
            let rows: Vec<SweepRow> = points.iter().map(|(cost, value)| {
                let mut row = row(4, 0.0, "none", f64::from(*value));
                row.metrics.perplexity = row.metrics.top1;
                row.overhead.weights = f64::from(*cost);
                row
            }).collect();
            let mut front = pareto_front(&rows, score, |row| row.overhead.weights);
            prop_assert!(front.is_sorted_by_key(|place| points[*place].0));
            front.sort_unstable();
            let point = |place: usize| (f64::from(points[place].0), f64::from(points[place].1));
            let naive: Vec<usize> = (0..points.len())
                .filter(|place| !(0..points.len()).any(|other| beats(score, point(other), point(*place))))
                .collect();
            prop_assert_eq!(front, naive);
        }
    }

    #[test]
    fn a_byte_more_or_less_is_no_difference_in_cost() {
        // As files of one setting are that differ by the text of their recipes.
        let points = [
            (161_423.0, 0.895),
            (161_424.0, 0.907),
            (161_425.0, 0.85),
            (164_459.0, 0.919),
        ];
        let rows: Vec<SweepRow> = (points.iter())
            .map(|(cost, value)| {
                let mut row = row(4, 0.0, "none", *value);
                row.overhead.weights = *cost;
                row
            })
            .collect();
        let front = |rows: &[SweepRow]| pareto_front(rows, Score::Top1, |row| row.overhead.weights);
        assert_eq!(front(&rows), [1, 3]);
        // As good for a byte more: both are worth a look.
        let mut equal = rows;
        equal[0].metrics.top1 = Some(0.907);
        assert_eq!(front(&equal), [0, 1, 3]);
    }

    #[test]
    fn rows_are_judged_by_the_best_that_all_of_them_have() {
        let mut rows = vec![row(4, 0.0, "none", 0.5), row(4, 0.0, "mse", 0.6)];
        assert_eq!(Score::of_rows(&rows), Score::Top1);
        rows[1].metrics.top1 = None;
        assert_eq!(Score::of_rows(&rows), Score::Sqnr);
        assert_eq!(Score::of_rows(&[]), Score::Sqnr);
        // Pairs of sentences: the correlation ranks, not the SQNR.
        let mut pairs = rows.clone();
        for (row, (pearson, sqnr_db)) in pairs.iter_mut().zip([(0.8, 10.0), (0.7, 20.0)]) {
            row.metrics.top1 = None;
            (row.metrics.pearson, row.sqnr_db) = (Some(pearson), Some(sqnr_db));
        }
        assert_eq!(Score::of_rows(&pairs), Score::Pearson);
        assert_eq!(pareto_front(&pairs, Score::Pearson, |_| 1.0), [0]);
        rows[0].sqnr_db = Some(f64::NAN);
        assert_eq!(pareto_front(&rows, Score::Sqnr, |row| row.overhead.weights), [1]);
    }
}
