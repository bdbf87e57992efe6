//! `ConvInteger` and `MatMulInteger`. The engine (rten 0.27) sums convolutions with kernels larger than 1x1 wrongly when weights are signed
//! or have a zero point; and on processors without VNNI each sum of two products of bytes saturates at 16 bits, which codes of 8 bits exceed.
//!
//! The integers are decoded and multiplied as floats, which are exact as long as no sum is larger than 2^24. Weights are taken
//! apart into digits where it might be: `w = 16 high + low`, and so on.

use super::super::build::{i32_tensor, int_attribute, ints_attribute};
use super::super::schema::data_type;
use super::super::tensor_bytes;
use super::super::unfit::Unfit;
use super::pads::with_attributes;
use super::site::{Outcome, Ruled, Site};

/// The largest sum that floats hold exactly.
const EXACT: i64 = 1 << 24;
/// The largest that two bytes differ by.
const LARGEST: i64 = 255;
/// The largest weight of which two times a byte each fit 16 bits: `2 * 255 * 64 < 2^15`.
const MAX_EXACT_CODE: u8 = 64;

pub(super) fn convolution(site: &mut Site<'_>) -> Ruled {
    let node = site.node();
    let (x, w) = (site.needed(0)?.to_owned(), site.needed(1)?.to_owned());
    let sizes = site.sizes(1).ok_or("the shape of its weights is not known")?;
    let products = sizes
        .get(1..)
        .and_then(|sizes| sizes.iter().try_fold(1_i64, |count, size| count.checked_mul(*size)))
        .ok_or("its weights have no shape of a convolution")?;
    let digits = Digits::for_sums_of(products).ok_or("its sums are longer than can be computed exactly")?;
    let x = decoded(site, &x, 2, None)?;
    let rank = sizes.len();
    let w = decoded(site, &w, 3, Some(rank))?;
    let kernel = vec![ints_attribute("kernel_shape", sizes.get(2..).unwrap_or_default())];
    let attributes = with_attributes(node, &["kernel_shape"], kernel).attribute;
    sum_of_digits(site, &digits, &w, |site, digit| {
        site.op_with("Conv", &[&x, digit], attributes.clone())
    })
}

/// `(A - zero point) (B - zero point)`; the zero point of A is one for all, one for each row, or has the axes of A, that of B likewise
/// with columns.
pub(super) fn product(site: &mut Site<'_>) -> Ruled {
    let (a, b) = (site.needed(0)?.to_owned(), site.needed(1)?.to_owned());
    let length = |slot: usize, from_end: usize| {
        let shape = site.shape(slot)?;
        shape.get(shape.len().checked_sub(from_end)?).copied().flatten()
    };
    // One of two axes, except of a vector.
    let products = length(0, 1).or_else(|| length(1, 2));
    let products = products.ok_or("the number of products in its sums is not known")?;
    let digits = Digits::for_sums_of(products).ok_or("its sums are longer than can be computed exactly")?;
    let of_rows = match site.input(2).map(|_| site.rank(2)) {
        None | Some(Some(0)) => None,
        Some(Some(1)) => Some(2),
        Some(Some(_)) => None,
        Some(None) => return Err("the shape of a zero point is not known".into()),
    };
    let a = decoded(site, &a, 2, of_rows)?;
    let b = decoded(site, &b, 3, None)?;
    sum_of_digits(site, &digits, &b, |site, digit| site.op("MatMul", &[&a, digit]))
}

/// Weights for which two products of bytes fit 16 bits, and so are summed exactly on every processor: 7 bits, as `reduce_range` of
/// onnxruntime makes them.
pub(super) fn recurrent(site: &mut Site<'_>) -> Ruled {
    for slot in [1, 2] {
        let weights = site.codes(slot).ok_or("its weights are no constants of bytes")?;
        let bytes = tensor_bytes(weights)?;
        let fits = |byte: &u8| match weights.data_type() {
            data_type::UINT8 => byte.abs_diff(128) <= MAX_EXACT_CODE,
            _ => byte.cast_signed().unsigned_abs() <= MAX_EXACT_CODE,
        };
        if !bytes.iter().all(fits) {
            return Err(
                "weights of more than 7 bits are not summed exactly on every processor; onnxruntime runs it as its own processor does"
                    .into(),
            );
        }
    }
    Ok(Outcome::Kept)
}

/// The sum of what `product` makes of each digit of `w`, as the output of the node.
fn sum_of_digits(
    site: &mut Site<'_>,
    digits: &Digits,
    w: &str,
    product: impl Fn(&mut Site<'_>, &str) -> String,
) -> Ruled {
    let to_int = || vec![int_attribute("to", i64::from(data_type::INT32))];
    let mut sum: Option<String> = None;
    for (digit, factor) in digits.of(site, w) {
        let part = product(site, &digit);
        let part = site.op_with("Cast", &[&part], to_int());
        let factor = site.tensor("factor", i32_tensor("", &[], &[factor]));
        let part = site.op("Mul", &[&part, &factor]);
        sum = Some(match sum {
            None => part,
            Some(sum) => site.op("Add", &[&sum, &part]),
        });
    }
    let sum = sum.ok_or("it has no weights")?;
    site.end("Identity", &[&sum])
}

/// `float(value) - float(zero point)`; the zero point stands in input `slot`, one for all or one for each first axis of `rank`.
pub(super) fn decoded(site: &mut Site<'_>, value: &str, slot: usize, rank: Option<usize>) -> Result<String, Unfit> {
    let to_float = || vec![int_attribute("to", i64::from(data_type::FLOAT))];
    let value = site.op_with("Cast", &[value], to_float());
    let Some(zero) = site.input(slot) else {
        return Ok(value);
    };
    let mut zero = site.op_with("Cast", &[zero], to_float());
    if let Some(rank) = rank {
        // [channels, 1, …], whatever number of them there is.
        let mut shape = vec![1; rank];
        shape[0] = -1;
        let shape = site.ints("shape", &shape);
        zero = site.op("Reshape", &[&zero, &shape]);
    }
    Ok(site.op("Sub", &[&value, &zero]))
}

/// How many digits weights are taken apart into, and to which base.
struct Digits {
    count: u32,
    base: i64,
}

impl Digits {
    /// The fewest with which a sum of so many products of two bytes is exact.
    fn for_sums_of(products: i64) -> Option<Self> {
        [(1, 256), (2, 16), (4, 4)]
            .into_iter()
            .map(|(count, base)| Self { count, base })
            .find(|digits| {
                products
                    .checked_mul(LARGEST * (digits.base - 1))
                    .is_some_and(|sum| sum <= EXACT)
            })
    }

    /// The digits of `w`, each with what it counts.
    fn of(&self, site: &mut Site<'_>, w: &str) -> Vec<(String, i32)> {
        let mut parts = Vec::new();
        let mut rest = w.to_owned();
        for place in (1..self.count).rev() {
            let factor = (self.base as i32).pow(place);
            // Powers of two divide exactly; towards zero, so that a digit has the sign of the weight.
            let reciprocal = site.float("reciprocal", 1.0 / factor as f32);
            let quotient = site.op("Mul", &[&rest, &reciprocal]);
            let whole = site.op_with(
                "Cast",
                &[&quotient],
                vec![int_attribute("to", i64::from(data_type::INT32))],
            );
            let digit = site.op_with(
                "Cast",
                &[&whole],
                vec![int_attribute("to", i64::from(data_type::FLOAT))],
            );
            let factor_name = site.float("factor", factor as f32);
            let taken = site.op("Mul", &[&digit, &factor_name]);
            rest = site.op("Sub", &[&rest, &taken]);
            parts.push((digit, factor));
        }
        parts.push((rest, 1));
        parts
    }
}
