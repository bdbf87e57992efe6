//! A histogram as small as a row of a table.

use super::{Ink, Scale};
use std::fmt::Write as _;

/// A histogram without axes, as high as its row of a table: what was before filled, what is after as an outline. Heights are
/// logarithmic.
pub fn mini_histogram(before: &[u64], after: Option<&[u64]>, [filled, outlined]: [Ink; 2]) -> String {
    const WIDTH: f64 = 120.0;
    const HEIGHT: f64 = 22.0;
    let most = before
        .iter()
        .chain(after.unwrap_or_default())
        .copied()
        .max()
        .unwrap_or(0);
    let highest = Scale::Log.height(most as f64).max(f64::MIN_POSITIVE);
    let path = |counts: &[u64]| {
        let mut path = format!("M0 {HEIGHT}");
        for (bin, count) in counts.iter().enumerate() {
            let y = HEIGHT - Scale::Log.height(*count as f64) / highest * HEIGHT;
            let _ = write!(path, "V{y:.1}H{:.1}", (bin + 1) as f64 / counts.len() as f64 * WIDTH);
        }
        format!("{path}V{HEIGHT}Z")
    };
    let mut text = format!(
        "<svg class=\"mini\" viewBox=\"0 -1 {WIDTH} {}\" aria-hidden=\"true\"><path d=\"{}\" fill=\"{}\"/>",
        HEIGHT + 1.0,
        path(before),
        filled.css()
    );
    if let Some(after) = after {
        let _ = write!(
            text,
            "<path d=\"{}\" fill=\"none\" stroke=\"{}\"/>",
            path(after),
            outlined.css()
        );
    }
    text + "</svg>"
}
