//! `Expand` to a shape of fewer axes than its input: the engine (rten 0.27) gives up while it loads such a network.

use super::super::build::int_attribute;
use super::site::{Outcome, Ruled, Site};

/// The missing axes in front are spelled out as 1.
pub(super) fn expand(site: &mut Site<'_>) -> Ruled {
    let length = site.shape(1).and_then(|shape| shape.first().copied().flatten());
    let length = length.and_then(|length| usize::try_from(length).ok());
    let missing = match (site.rank(0), length) {
        (Some(rank), Some(length)) => rank.saturating_sub(length),
        _ => 0,
    };
    if missing == 0 {
        return Ok(Outcome::Kept);
    }
    let (x, shape) = (site.needed(0)?, site.needed(1)?);
    let ones = site.ints("ones", &vec![1; missing]);
    let whole = site.op_with("Concat", &[&ones, shape], vec![int_attribute("axis", 0)]);
    site.end("Expand", &[x, &whole])
}
