//! `Cast` and `CastLike`: the engine (rten 0.27) keeps booleans as integers and half floats as floats, and converts to the type
//! that it keeps them in: 0.5 to false, 2 to a boolean that is 2, 0.1 to a half float that no half float is.

use super::super::build::{attribute_int, int_attribute};
use super::super::schema::data_type;
use super::super::tensor::data_type_name;
use super::super::unfit::Unfit;
use super::site::{Outcome, Ruled, Site};

/// What sets a format of floats apart from float32.
struct Format {
    /// Bits of the mantissa that are stored.
    mantissa: i32,
    /// The smallest number with all of them is 2 to this.
    min_exponent: i32,
    /// From here on numbers round to infinity; none where that happens by itself.
    overflow: Option<f32>,
}

const HALF: Format = Format {
    mantissa: 10,
    min_exponent: -14,
    overflow: Some(65520.0),
};

const BRAIN: Format = Format {
    mantissa: 7,
    min_exponent: -126,
    overflow: None,
};

pub(super) fn cast(site: &mut Site<'_>) -> Ruled {
    let to = attribute_int(site.node(), "to").and_then(|to| i32::try_from(to).ok());
    let to = to.ok_or(Unfit::NoAttribute("to"))?;
    convert(site, to)
}

/// The type is that of the second input, which must be known.
pub(super) fn cast_like(site: &mut Site<'_>) -> Ruled {
    let to = site
        .element_type(1)
        .ok_or("the type of its second input is not known")?;
    let x = site.needed(0)?;
    match convert(site, to)? {
        Outcome::Kept => site.end_with("Cast", &[x], vec![int_attribute("to", i64::from(to))]),
        Outcome::Replaced => Ok(Outcome::Replaced),
    }
}

fn convert(site: &mut Site<'_>, to: i32) -> Ruled {
    use data_type::{BFLOAT16, BOOL, DOUBLE, FLOAT, FLOAT16, INT8, INT32, INT64, UINT8};
    let from = site.element_type(0);
    match to {
        _ if from == Some(to) && to != BFLOAT16 => Ok(Outcome::Kept),
        FLOAT | DOUBLE | INT8 | UINT8 | INT32 | INT64 => Ok(Outcome::Kept),
        BOOL => {
            let x = as_float(site)?;
            let zero = site.float("zero", 0.0);
            let is_zero = site.op("Equal", &[&x, &zero]);
            site.end("Not", &[&is_zero])
        }
        // Their values are half floats already.
        FLOAT16 if matches!(from, Some(BOOL | INT8 | UINT8)) => Ok(Outcome::Kept),
        FLOAT16 => rounded(site, &HALF),
        BFLOAT16 => rounded(site, &BRAIN),
        other => Err(Unfit::NoElements(data_type_name(other))),
    }
}

fn as_float(site: &mut Site<'_>) -> Result<String, Unfit> {
    let x = site.needed(0)?;
    if site.element_type(0) == Some(data_type::FLOAT) {
        return Ok(x.to_owned());
    }
    Ok(site.op_with("Cast", &[x], vec![int_attribute("to", i64::from(data_type::FLOAT))]))
}

/// The nearest number of the format, half to even: `round(x / ulp) * ulp`. The power of two below `|x|` is what is left of its
/// bits when the mantissa is cleared.
fn rounded(site: &mut Site<'_>, format: &Format) -> Ruled {
    let x = as_float(site)?;
    let size = site.op("Abs", &[&x]);
    let to = |element_type: i32| vec![int_attribute("to", i64::from(element_type))];
    let bits = site.op_with("BitCast", &[&size], to(data_type::INT32));
    let mantissa = site.int("mantissa", 1 << 23);
    let mantissa = site.op("Mod", &[&bits, &mantissa]);
    let exponent = site.op("Sub", &[&bits, &mantissa]);
    let power = site.op_with("BitCast", &[&exponent], to(data_type::FLOAT));
    let smallest = site.float("smallest_power", 2_f32.powi(format.min_exponent));
    let power = site.op("Max", &[&power, &smallest]);
    let ulps = site.float("ulps", 2_f32.powi(-format.mantissa));
    let ulp = site.op("Mul", &[&power, &ulps]);
    let quotient = site.op("Div", &[&x, &ulp]);
    let whole = site.op("Round", &[&quotient]);
    let near = site.op("Mul", &[&whole, &ulp]);
    // Infinity over infinity is no number.
    let bound = site.float("overflow", format.overflow.unwrap_or(f32::INFINITY));
    let is_beyond = site.op("GreaterOrEqual", &[&size, &bound]);
    let infinity = site.float("infinity", f32::INFINITY);
    let beyond = site.op("Mul", &[&x, &infinity]);
    site.end("Where", &[&is_beyond, &beyond, &near])
}
