//! Operators on single elements that the engine (rten 0.27) computes otherwise, or lacks.

use super::super::schema::data_type;
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
    if matches!(site.element_type(0), Some(data_type::INT8 | data_type::UINT8)) {
        return Err("the sign of bytes is not computed".into());
    }
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
        return Err("it trains (training_mode), with random numbers: export the network for inference".into());
    }
    Ok(Outcome::Kept)
}

/// `Asinh` and `Acosh`: `sign(x) (ln|x| + ln 2)` where the square that the engine takes would overflow.
pub(super) fn inverse_hyperbolic(site: &mut Site<'_>) -> Ruled {
    let (x, operator) = (site.needed(0)?, site.node().op_type());
    let size = site.op("Abs", &[x]);
    let bound = site.float("large", 1e10);
    // There is no Acosh of negative numbers.
    let is_large = match operator {
        "Acosh" => site.op("Greater", &[x, &bound]),
        _ => site.op("Greater", &[&size, &bound]),
    };
    let logarithm = site.op("Log", &[&size]);
    let ln_2 = site.float("ln_2", std::f32::consts::LN_2);
    let logarithm = site.op("Add", &[&logarithm, &ln_2]);
    let sign = site.op("Sign", &[x]);
    let large = site.op("Mul", &[&logarithm, &sign]);
    let usual = site.op(operator, &[x]);
    site.end("Where", &[&is_large, &large, &usual])
}
