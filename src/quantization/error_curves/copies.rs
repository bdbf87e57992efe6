//! What becomes of a weight whose channel is split again and again.

use super::super::{Grid, SplitKind};

/// A channel split more often than this has its copies taken as equal.
const MAX_COPIES: usize = 64;

/// How often the copies of a channel are halved when it was split `times` times, and how many copies are: of equals the
/// shallowest is split next.
pub(super) fn depths(times: usize) -> [(u32, u64); 2] {
    let depth = (times + 1).ilog2();
    let deeper = times as u64 + 1 - (1 << depth);
    [(depth, (1 << depth) - deeper), (depth + 1, 2 * deeper)]
}

/// A copy of a weight: `(w + offset d) scale`, rounded on a grid that ends at `reach` times its greatest index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    pub(super) scale: f64,
    pub(super) offset: f64,
    pub(super) reach: f64,
    /// How many copies are like this.
    pub(super) count: f64,
}

/// The copies of a weight whose channel was split `times` times. Weights are taken by their magnitude, as if of the sign of
/// their channel's largest.
pub(super) fn copies(times: usize, kind: SplitKind) -> Vec<Share> {
    let whole = Share {
        scale: 1.0,
        offset: 0.0,
        reach: 1.0,
        count: 1.0,
    };
    match kind {
        SplitKind::Naive => (depths(times).into_iter())
            .filter(|(_, count)| *count > 0)
            .map(|(depth, count)| Share {
                scale: 0.5_f64.powi(depth as i32),
                count: count as f64,
                ..whole
            })
            .collect(),
        // Rounded copies add up to the rounded whole, as long as none of them is cut.
        SplitKind::Qa if times > MAX_COPIES => vec![Share {
            reach: (times + 1) as f64,
            ..whole
        }],
        SplitKind::Qa => {
            let mut copies = vec![whole];
            for _ in 0..times {
                let largest = (copies.iter().enumerate())
                    .max_by(|(_, a), (_, b)| a.scale.total_cmp(&b.scale).then(a.offset.total_cmp(&b.offset)));
                let Some((place, Share { scale, offset, .. })) = largest.map(|(place, copy)| (place, *copy)) else {
                    break;
                };
                let side = |sign: f64| Share {
                    scale: scale / 2.0,
                    offset: offset + sign * 0.5 / scale,
                    ..whole
                };
                copies[place] = side(-1.0);
                copies.push(side(1.0));
            }
            copies
        }
    }
}

/// Error of a weight, given in steps of the grid, whose copies are rounded and added up.
pub(super) fn error(weight: f64, copies: &[Share], grid: Grid) -> f64 {
    let limit = f64::from(grid.high());
    let seen: f64 = (copies.iter())
        .map(|copy| {
            let index = ((weight + copy.offset) * copy.scale + 0.5).floor();
            copy.count * index.clamp(-limit * copy.reach, limit * copy.reach)
        })
        .sum();
    (weight - seen) * f64::from(grid.step)
}
