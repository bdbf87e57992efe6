//! Floats of 8, 6 and 4 bits as f32, and back (OCP 8-bit floating point specification 1.0, OCP microscaling formats 1.0; the FNUZ kinds:
//! Noune et al. 2022, arXiv 2206.02915).

use super::schema::data_type;
use std::sync::LazyLock;

/// What the codes of one kind mean.
struct Kind {
    exponent_bits: u32,
    mantissa_bits: u32,
    bias: i32,
    special: Special,
}

/// Which codes are no finite numbers.
enum Special {
    /// As in IEEE 754: the highest exponent is infinite or NaN.
    Ieee,
    /// Only the code with all bits but the sign set is NaN.
    AllOnes,
    /// Only minus zero is NaN.
    MinusZero,
    /// All are finite.
    Finite,
}

/// The number for each of the 256 codes of an 8-bit kind; `None` for any other element type.
pub(super) fn table(element_type: i32) -> Option<&'static [f32; 256]> {
    static E4M3FN: LazyLock<[f32; 256]> = LazyLock::new(|| codes(4, 3, 7, Special::AllOnes));
    static E4M3FNUZ: LazyLock<[f32; 256]> = LazyLock::new(|| codes(4, 3, 8, Special::MinusZero));
    static E5M2: LazyLock<[f32; 256]> = LazyLock::new(|| codes(5, 2, 15, Special::Ieee));
    static E5M2FNUZ: LazyLock<[f32; 256]> = LazyLock::new(|| codes(5, 2, 16, Special::MinusZero));
    static E8M0: LazyLock<[f32; 256]> = LazyLock::new(|| std::array::from_fn(power));
    match element_type {
        data_type::FLOAT8E4M3FN => Some(&E4M3FN),
        data_type::FLOAT8E4M3FNUZ => Some(&E4M3FNUZ),
        data_type::FLOAT8E5M2 => Some(&E5M2),
        data_type::FLOAT8E5M2FNUZ => Some(&E5M2FNUZ),
        data_type::FLOAT8E8M0 => Some(&E8M0),
        _ => None,
    }
}

/// The number for each of the 64 codes of a 6-bit kind; `None` for any other element type.
pub(super) fn table_of_six_bits(element_type: i32) -> Option<&'static [f32; 64]> {
    static E2M3: LazyLock<[f32; 64]> = LazyLock::new(|| codes(2, 3, 1, Special::Finite));
    static E3M2: LazyLock<[f32; 64]> = LazyLock::new(|| codes(3, 2, 3, Special::Finite));
    match element_type {
        data_type::FLOAT6E2M3 => Some(&E2M3),
        data_type::FLOAT6E3M2 => Some(&E3M2),
        _ => None,
    }
}

/// A float of sign, two bits of exponent and one of mantissa, in the low half of `code`: all 16 are finite.
pub(super) fn e2m1(code: u8) -> f32 {
    const SIZES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let size = SIZES[usize::from(code & 7)];
    if code & 8 == 0 { size } else { -size }
}

/// The code of the float of sign, two bits of exponent and one of mantissa that is nearest to `x`; half to even, saturated.
pub(super) fn to_e2m1(x: f32) -> u8 {
    // Halfway points of neighbouring sizes; at one of them the even code is taken, above it the higher one.
    const HALVES: [f32; 7] = [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0];
    let size = x.abs();
    let above = |(code, half): (usize, &f32)| size > *half || (size == *half && code % 2 == 1);
    let code = HALVES.iter().enumerate().filter(|place| above(*place)).count() as u8;
    code | if x.is_sign_negative() { 8 } else { 0 }
}

/// The code in `table` of the number nearest to `x`: half to even, saturated at the greatest finite number; NaN where `x` is,
/// 0 in the kinds without.
pub(super) fn nearest(table: &[f32], x: f32) -> u8 {
    let middle = table.len() / 2;
    if x.is_nan() {
        return table.iter().position(|value| value.is_nan()).unwrap_or(0) as u8;
    }
    // E8M0 has no sign: there the numbers grow to the last code but one.
    let is_signed = table[middle + 1] < 0.0;
    let numbers = if is_signed { &table[..middle] } else { table };
    let finite = numbers.iter().take_while(|value| value.is_finite()).count();
    let numbers = &numbers[..finite];
    let size = if is_signed { x.abs() } else { x.max(0.0) };
    let above = numbers.partition_point(|value| *value < size);
    let place = match (above.checked_sub(1), numbers.get(above)) {
        (None, _) => 0,
        (Some(below), None) => below,
        (Some(below), Some(high)) => {
            let (low, high) = (
                f64::from(size) - f64::from(numbers[below]),
                f64::from(*high) - f64::from(size),
            );
            if low < high || (low == high && below % 2 == 0) {
                below
            } else {
                above
            }
        }
    };
    // The kinds without a minus zero have NaN at its code.
    let has_code = place > 0 || !table[middle].is_nan();
    let sign = if is_signed && x.is_sign_negative() && has_code {
        middle
    } else {
        0
    };
    (place | sign) as u8
}

/// E8M0 has an exponent only: 2^(code - 127), and NaN.
fn power(code: usize) -> f32 {
    if code == 255 {
        f32::NAN
    } else {
        2.0_f64.powi(code as i32 - 127) as f32
    }
}

fn codes<const COUNT: usize>(exponent_bits: u32, mantissa_bits: u32, bias: i32, special: Special) -> [f32; COUNT] {
    let kind = Kind {
        exponent_bits,
        mantissa_bits,
        bias,
        special,
    };
    std::array::from_fn(|code| kind.value(code as u32))
}

impl Kind {
    fn value(&self, code: u32) -> f32 {
        let mantissa = code & ((1 << self.mantissa_bits) - 1);
        let exponent = code >> self.mantissa_bits & ((1 << self.exponent_bits) - 1);
        let is_positive = code >> (self.exponent_bits + self.mantissa_bits) == 0;
        let sign = if is_positive { 1.0 } else { -1.0 };
        let highest = exponent == (1 << self.exponent_bits) - 1;
        match self.special {
            Special::Ieee if highest && mantissa == 0 => return sign * f32::INFINITY,
            Special::Ieee if highest => return f32::NAN,
            Special::AllOnes if code & 0x7f == 0x7f => return f32::NAN,
            Special::MinusZero if code == 0x80 => return f32::NAN,
            _ => {}
        }
        let fraction = mantissa as f32 / (1 << self.mantissa_bits) as f32;
        let size = if exponent == 0 {
            fraction * 2.0_f32.powi(1 - self.bias)
        } else {
            (1.0 + fraction) * 2.0_f32.powi(exponent as i32 - self.bias)
        };
        sign * size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Greatest finite number, smallest positive one and 1.0 of each kind, as the specifications tabulate them.
    #[test]
    fn the_ends_of_each_kind_are_those_of_its_specification() {
        let of = |element_type, code: usize| table(element_type).unwrap()[code];
        assert_eq!(of(data_type::FLOAT8E4M3FN, 0x7e), 448.0);
        assert_eq!(of(data_type::FLOAT8E4M3FN, 0x01), 2.0_f32.powi(-9));
        assert_eq!(of(data_type::FLOAT8E4M3FN, 0xb8), -1.0);
        assert!(of(data_type::FLOAT8E4M3FN, 0xff).is_nan());
        assert_eq!(of(data_type::FLOAT8E5M2, 0x7b), 57344.0);
        assert_eq!(of(data_type::FLOAT8E5M2, 0x01), 2.0_f32.powi(-16));
        assert_eq!(of(data_type::FLOAT8E5M2, 0xfc), f32::NEG_INFINITY);
        assert!(of(data_type::FLOAT8E5M2, 0x7d).is_nan());
        assert_eq!(of(data_type::FLOAT8E4M3FNUZ, 0x7f), 240.0);
        assert_eq!(of(data_type::FLOAT8E4M3FNUZ, 0x01), 2.0_f32.powi(-10));
        assert!(of(data_type::FLOAT8E4M3FNUZ, 0x80).is_nan());
        assert_eq!(of(data_type::FLOAT8E5M2FNUZ, 0x7f), 57344.0);
        assert_eq!(of(data_type::FLOAT8E5M2FNUZ, 0x01), 2.0_f32.powi(-17));
        assert_eq!(of(data_type::FLOAT8E8M0, 127), 1.0);
        assert_eq!(of(data_type::FLOAT8E8M0, 0), 2.0_f32.powi(-127));
        assert!(of(data_type::FLOAT8E8M0, 255).is_nan());
        assert_eq!((e2m1(7), e2m1(9)), (6.0, -0.5));
        let of = |element_type, code: usize| table_of_six_bits(element_type).unwrap()[code];
        assert_eq!(of(data_type::FLOAT6E2M3, 0x1f), 7.5);
        assert_eq!(of(data_type::FLOAT6E2M3, 0x01), 0.125);
        assert_eq!(of(data_type::FLOAT6E3M2, 0x3f), -28.0);
        assert_eq!(of(data_type::FLOAT6E3M2, 0x01), 0.0625);
    }

    #[test]
    fn codes_of_one_sign_grow_with_the_number() {
        for element_type in [
            data_type::FLOAT8E4M3FN,
            data_type::FLOAT8E5M2,
            data_type::FLOAT8E4M3FNUZ,
            data_type::FLOAT8E5M2FNUZ,
        ] {
            let positive = &table(element_type).unwrap()[..0x7c];
            assert!(positive.is_sorted() && positive.windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
