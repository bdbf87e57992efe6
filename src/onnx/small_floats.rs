//! Floats of 8 and 4 bits as f32 (OCP 8-bit floating point specification 1.0, OCP microscaling formats 1.0; the FNUZ kinds:
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

/// A float of sign, two bits of exponent and one of mantissa, in the low half of `code`: all 16 are finite.
pub(super) fn e2m1(code: u8) -> f32 {
    const SIZES: [f32; 8] = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    let size = SIZES[usize::from(code & 7)];
    if code & 8 == 0 { size } else { -size }
}

/// E8M0 has an exponent only: 2^(code - 127), and NaN.
fn power(code: usize) -> f32 {
    if code == 255 {
        f32::NAN
    } else {
        2.0_f64.powi(code as i32 - 127) as f32
    }
}

fn codes(exponent_bits: u32, mantissa_bits: u32, bias: i32, special: Special) -> [f32; 256] {
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
        let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
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
