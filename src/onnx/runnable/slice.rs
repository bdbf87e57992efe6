//! `Slice`: the engine (rten 0.27) takes the steps for the axes where those are left out, and wants as many starts as the value has
//! axes; and an end that means "as far as it goes" is read backwards as well, as onnxruntime does.

use super::super::build::i64_tensor;
use super::super::unfit::Unfit;
use super::site::{Outcome, Ruled, Site};

/// The axes are spelled out, and where a slice goes backwards the greatest integer as its end becomes the least one.
pub(super) fn slice(site: &mut Site<'_>) -> Ruled {
    let (ends, steps) = (site.integers(2), site.integers(4));
    let backwards = |place: usize| {
        steps
            .as_ref()
            .and_then(|steps| steps.get(place))
            .is_some_and(|step| *step < 0)
    };
    let is_greatest = |end: i64| end == i64::MAX || end == i64::from(i32::MAX);
    let meant: Option<Vec<i64>> = ends.as_ref().map(|ends| {
        let end = |(place, end): (usize, &i64)| match is_greatest(*end) && backwards(place) {
            true => i64::from(i32::MIN),
            false => *end,
        };
        ends.iter().enumerate().map(end).collect()
    });
    let meant = meant.filter(|meant| Some(meant) != ends.as_ref());
    let may_go_backwards = match &steps {
        Some(steps) => steps.iter().any(|step| *step < 0),
        None => site.input(4).is_some(),
    };
    // What is known while the network runs only is looked at then.
    let looks = may_go_backwards && (ends.is_none() || steps.is_none());
    let begun = begun_inside(site, backwards);
    let lacks_axes = site.input(3).is_none();
    if !lacks_axes && meant.is_none() && begun.is_none() && !looks {
        return Ok(Outcome::Kept);
    }
    let mut inputs: Vec<String> = (0..5)
        .map(|slot| site.input(slot).unwrap_or_default().to_owned())
        .collect();
    if lacks_axes {
        let listed = |slot: usize| site.shape(slot)?.first().copied().flatten();
        let Some(count) = listed(1)
            .or_else(|| listed(2))
            .or_else(|| listed(4))
            .filter(|count| *count <= 64)
        else {
            return match site.input(4) {
                Some(_) => Err("it has steps and no axes, and the number of its starts is not known".into()),
                // Without steps the engine tells by itself where the numbers do not fit.
                None => Ok(Outcome::Kept),
            };
        };
        inputs[3] = site.ints("axes", &(0..count).collect::<Vec<i64>>());
    }
    if let Some(begun) = begun {
        inputs[1] = site.tensor("starts", i64_tensor("", &[begun.len()], &begun));
    }
    if let Some(meant) = meant {
        inputs[2] = site.tensor("ends", i64_tensor("", &[meant.len()], &meant));
    }
    if looks {
        inputs[2] = ends_looked_at(site)?;
    }
    while inputs.last().is_some_and(String::is_empty) {
        inputs.pop();
    }
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    site.end("Slice", &inputs)
}

/// The ends with the greatest integer as the least one wherever a step is negative.
fn ends_looked_at(site: &mut Site<'_>) -> Result<String, Unfit> {
    let (ends, steps) = (site.needed(2)?, site.needed(4)?);
    let (none, greatest, least) = (
        site.ints("zero", &[0]),
        site.ints("greatest", &[i64::from(i32::MAX)]),
        site.ints("least", &[i64::from(i32::MIN)]),
    );
    let is_backwards = site.op("Less", &[steps, &none]);
    let is_greatest = site.op("Equal", &[ends, &greatest]);
    let turns = site.op("And", &[&is_backwards, &is_greatest]);
    Ok(site.op("Where", &[&turns, &least, ends]))
}

/// The starts, where a slice goes backwards from before the first element: from the first one then. The engine gives up on
/// others. `None` where none does, or where it is not known.
fn begun_inside(site: &Site<'_>, backwards: impl Fn(usize) -> bool) -> Option<Vec<i64>> {
    let starts = site.integers(1)?;
    let shape = site.shape(0)?;
    let axes = match site.input(3) {
        Some(_) => site.integers(3)?,
        None => (0..starts.len() as i64).collect(),
    };
    let start = |(place, start): (usize, &i64)| {
        let axis = *axes.get(place)?;
        let axis = if axis < 0 { axis + shape.len() as i64 } else { axis };
        let size = shape.get(usize::try_from(axis).ok()?).copied().flatten()?;
        (backwards(place) && size > 0 && *start < -size).then_some(-size)
    };
    let begun: Vec<i64> = starts
        .iter()
        .enumerate()
        .map(|(place, own)| start((place, own)).unwrap_or(*own))
        .collect();
    (begun != starts).then_some(begun)
}
