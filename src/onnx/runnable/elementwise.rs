//! Operators on single elements that the engine (rten 0.27) computes otherwise, or lacks.

use super::super::tensor_bytes;
use super::site::{Outcome, Ruled, Site};

/// `max(x, 0) + softplus(-|x|)`: the engine computes `ln(1 + exp(x))` as it is written, which is infinite from 89 on.
pub(super) fn softplus(site: &mut Site<'_>) -> Ruled {
    let x = site.needed(0)?;
    let positive = site.op("Relu", &[x]);
    let size = site.op("Abs", &[x]);
    let negative = site.op("Neg", &[&size]);
    let small = site.op("Softplus", &[&negative]);
    site.end("Add", &[&positive, &small])
}

/// For the engine the sign of 0 is 1.
pub(super) fn sign(site: &mut Site<'_>) -> Ruled {
    let x = site.needed(0)?;
    // A zero of the same type, whatever it is.
    let zero = site.op("Sub", &[x, x]);
    let is_zero = site.op("Equal", &[x, &zero]);
    let sign = site.op("Sign", &[x]);
    site.end("Where", &[&is_zero, &zero, &sign])
}

/// `Dropout` does nothing but where it trains, and then with random numbers.
pub(super) fn dropout(site: &mut Site<'_>) -> Ruled {
    let trains = match site.input(2) {
        None => false,
        Some(_) => site
            .constant(2)
            .and_then(|tensor| tensor_bytes(tensor).ok())
            .is_none_or(|bytes| bytes.iter().any(|byte| *byte != 0)),
    };
    if trains {
        return Err("it trains (training_mode), with random numbers: export the network for inference".to_owned());
    }
    Ok(Outcome::Kept)
}
