//! The symmetric linear grid (Zhao et al. 2019, section 3.1), and grids with a zero point.

use super::ValueError;
use multiversion::multiversion;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Bits of a tensor: float, or a grid of 2 to 8 bits. Written as `"float"` or the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bits {
    /// A grid of 2 to 8 bits.
    Grid(u8),
    /// Left as it is.
    Float,
}

impl Bits {
    /// The least number of bits with a grid point besides 0.
    pub const MIN: u8 = 2;
    /// The greatest number of bits that an int8 export can hold.
    pub const MAX: u8 = 8;

    /// The number of bits, if there is a grid.
    pub fn grid(self) -> Option<u8> {
        match self {
            Self::Grid(bits) => Some(bits),
            Self::Float => None,
        }
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grid(bits) => write!(f, "{bits}"),
            Self::Float => f.write_str("float"),
        }
    }
}

impl FromStr for Bits {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text {
            "float" => Ok(Self::Float),
            _ => match text.parse() {
                Ok(bits @ Self::MIN..=Self::MAX) => Ok(Self::Grid(bits)),
                _ => Err(ValueError::not("bits are 2 to 8 or 'float'", text)),
            },
        }
    }
}

impl Serialize for Bits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Grid(bits) => serializer.serialize_u8(*bits),
            Self::Float => serializer.serialize_str("float"),
        }
    }
}

impl<'de> Deserialize<'de> for Bits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Number(i64),
            Real(f64),
            Text(String),
        }
        let text = match Raw::deserialize(deserializer)? {
            Raw::Number(number) => number.to_string(),
            Raw::Real(number) => number.to_string(),
            Raw::Text(text) => text,
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A uniform grid: values `(q - zero_point) * step` for integer q in [`Grid::low`]`..=`[`Grid::high`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// Bits k, 2 to 8.
    pub bits: u8,
    /// Distance d of neighbouring values, in the units of the tensor.
    pub step: f32,
    /// `0..=2^k - 1` instead of `-n..=n`; only for activations that are never negative.
    pub unsigned: bool,
    /// The index of 0 on a grid that has all of `-2^(k-1)..=2^(k-1) - 1` (weights with zero points, and inputs on unsigned grids that
    /// have negative values); `None` for the other two grids, on which 0 has index 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_point: Option<i8>,
}

impl Grid {
    /// The symmetric grid whose outermost values are `±threshold`: `d = a / n`, `n = 2^(k-1) - 1`. A threshold of 0 (or one
    /// whose step would vanish) gives step 1, on which everything that small is 0.
    pub fn symmetric(bits: u8, threshold: f32) -> Self {
        Self {
            bits,
            step: positive_or_one(threshold / symmetric_levels(bits) as f32),
            unsigned: false,
            zero_point: None,
        }
    }

    /// The grid from 0 to `threshold` with `2^k` values.
    pub fn unsigned(bits: u8, threshold: f32) -> Self {
        Self {
            bits,
            step: positive_or_one(threshold / ((1_u32 << bits) - 1) as f32),
            unsigned: true,
            zero_point: None,
        }
    }

    /// The grid of `2^k` values that reaches from `low` to `high`, both widened to hold 0, with 0 on it: the step is
    /// `(high - low) / (2^k - 1)`, and the ends move by half a step at most.
    ///
    /// ```
    /// # use splitscope::quantization::Grid;
    /// let grid = Grid::asymmetric(2, -1.0, 5.0);
    /// assert_eq!((grid.step, grid.zero_point), (2.0, Some(-1)));
    /// assert_eq!((grid.value(grid.low()), grid.value(grid.high())), (-2.0, 4.0));
    /// ```
    pub fn asymmetric(bits: u8, low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let last = ((1_u32 << bits) - 1) as f32;
        let step = positive_or_one(high / last - low / last);
        let place = floor_clamped(-low / step + 0.5, 0.0, last);
        Self {
            bits,
            step,
            unsigned: false,
            zero_point: i8::try_from(place - half_range(bits)).ok().or(Some(0)),
        }
    }

    /// The symmetric grid of this one's bits with zero points: its step, and 0 in the middle, which adds one value below.
    #[must_use]
    pub fn with_middle_zero_point(self) -> Self {
        Self {
            zero_point: Some(0),
            ..self
        }
    }

    /// Least index.
    pub fn low(self) -> i32 {
        match (self.zero_point, self.unsigned) {
            (Some(_), _) => -half_range(self.bits),
            (None, true) => 0,
            (None, false) => -symmetric_levels(self.bits),
        }
    }

    /// Greatest index.
    pub fn high(self) -> i32 {
        match self.unsigned {
            true => (1 << self.bits) - 1,
            false => symmetric_levels(self.bits),
        }
    }

    /// The index of 0.
    pub fn zero(self) -> i32 {
        self.zero_point.map_or(0, i32::from)
    }

    /// The least and the greatest number that round to a value without being cut.
    pub(super) fn ends(self) -> [f32; 2] {
        let end = |index: i32, half: f32| ((index - self.zero()) as f32 + half) * self.step;
        [end(self.low(), -0.5), end(self.high(), 0.5)]
    }

    /// Index of the value nearest to `x`: `clamp(floor(x/d + 1/2) + zero, low, high)`. NaN becomes that of 0.
    pub fn index(self, x: f32) -> i32 {
        let zero = self.zero();
        let (low, high) = ((self.low() - zero) as f32, (self.high() - zero) as f32);
        floor_clamped(x / self.step + 0.5, low, high) + zero
    }

    /// Indices of a run of values on a grid of signed indices.
    pub fn indices(self, values: &[f32], indices: &mut [i8]) {
        let zero = self.zero();
        let (low, high) = ((self.low() - zero) as f32, (self.high() - zero) as f32);
        quantize_run(values, indices, self.step, (low, high), zero);
    }

    /// The value of index `q`.
    pub fn value(self, q: i32) -> f32 {
        (q - self.zero()) as f32 * self.step
    }

    /// `x` on the grid.
    pub fn round(self, x: f32) -> f32 {
        self.value(self.index(x))
    }
}

/// `clamp(floor(x), low, high)` for whole `low` and `high`, without a call: clamping first makes the cast exact.
#[inline(always)]
fn floor_clamped(x: f32, low: f32, high: f32) -> i32 {
    let x = if x < low { low } else { x };
    let x = if x > high { high } else { x };
    let towards_zero = x as i32;
    towards_zero - i32::from(towards_zero as f32 > x)
}

#[multiversion(targets = "simd")]
fn quantize_run(values: &[f32], indices: &mut [i8], step: f32, (low, high): (f32, f32), zero: i32) {
    // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits of an f32; where that is above, the one below is meant.
    // That takes few instructions where a cast, which is defined for every number, takes many.
    const WHOLE: f32 = 12_582_912.0;
    for (index, x) in indices.iter_mut().zip(values) {
        let place = x / step + 0.5;
        let place = if place < low { low } else { place };
        let place = if place > high { high } else { place };
        let shifted = place + WHOLE;
        let above = i32::from(shifted - WHOLE > place);
        let whole = shifted.to_bits() as i32 - above;
        *index = if x.is_nan() { zero as i8 } else { (whole + zero) as i8 };
    }
}

/// n = 2^(k-1) - 1: the greatest index of the symmetric grid of k bits.
pub(super) fn symmetric_levels(bits: u8) -> i32 {
    (1 << (bits - 1)) - 1
}

/// 2^(k-1): how far the signed integers of k bits reach below 0.
fn half_range(bits: u8) -> i32 {
    1 << (bits - 1)
}

fn positive_or_one(step: f32) -> f32 {
    if step >= f32::MIN_POSITIVE && step.is_finite() {
        step
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bits_may_be_written_as_a_real_number_that_is_whole() {
        #[derive(Deserialize)]
        struct Of {
            bits: Bits,
        }
        let read = |text: &str| {
            toml::from_str::<Of>(text)
                .map(|of| of.bits)
                .map_err(|error| error.to_string())
        };
        assert_eq!(read("bits = 4.0"), Ok(Bits::Grid(4)));
        assert!(
            read("bits = 4.5")
                .unwrap_err()
                .contains("bits are 2 to 8 or 'float', not '4.5'")
        );
    }

    #[test]
    fn the_symmetric_grid_has_two_to_the_k_minus_one_values_and_ends_at_the_threshold() {
        for bits in 2..=8 {
            let grid = Grid::symmetric(bits, 3.0);
            assert_eq!(grid.high() - grid.low() + 1, (1 << bits) - 1);
            assert!((grid.value(grid.high()) - 3.0).abs() < 1e-6);
            assert_eq!(grid.low(), -grid.high());
            assert_eq!(grid.index(1e9), grid.high());
            assert_eq!(grid.index(-1e9), grid.low());
        }
    }

    #[test]
    fn a_tensor_of_zeros_stays_zero() {
        assert_eq!(Grid::symmetric(4, 0.0).round(0.0), 0.0);
    }

    #[test]
    fn a_run_of_values_gets_the_index_of_each() {
        let mut values: Vec<f32> = (-4000..4000).map(|i| i as f32 / 16.0).collect();
        values.extend([
            f32::NAN,
            -f32::NAN,
            f32::from_bits(0x7fc0_0055),
            f32::INFINITY,
            f32::NEG_INFINITY,
        ]);
        values.extend([
            f32::MIN_POSITIVE,
            -f32::MIN_POSITIVE,
            f32::MAX,
            f32::MIN,
            0.499_999_97,
            -0.500_000_06,
        ]);
        for bits in 2..=8 {
            let zero_points = [None, Some(0), Some(-1_i8 << (bits - 1)), Some(1)];
            for (step, zero_point) in [1.0, 0.37, 1.75]
                .into_iter()
                .flat_map(|step| zero_points.map(|zero| (step, zero)))
            {
                let grid = Grid {
                    bits,
                    step,
                    unsigned: false,
                    zero_point,
                };
                let mut indices = vec![0; values.len()];
                grid.indices(&values, &mut indices);
                let each: Vec<i8> = values.iter().map(|x| grid.index(*x) as i8).collect();
                assert_eq!(indices, each, "{bits} bits, step {step}, {zero_point:?}");
            }
        }
    }

    #[test]
    fn halves_round_up_as_the_split_needs() {
        let grid = Grid {
            bits: 8,
            step: 1.0,
            unsigned: false,
            zero_point: None,
        };
        assert_eq!([-1.5, -0.5, 0.5, 1.5].map(|x| grid.index(x)), [-1, 0, 1, 2]);
    }

    #[test]
    fn a_grid_with_a_zero_point_reaches_both_ends_and_holds_zero() {
        for bits in 2..=8 {
            for (low, high) in [(-1.0, 3.0), (0.0, 2.0), (-2.0, 0.0), (0.5, 2.0), (-0.01, 7.0)] {
                let grid = Grid::asymmetric(bits, low, high);
                assert_eq!(grid.high() - grid.low() + 1, 1 << bits);
                assert_eq!(grid.round(0.0), 0.0);
                assert!((grid.step - (high - f32::min(low, 0.0)) / ((1 << bits) - 1) as f32).abs() < 1e-6);
                for end in [low, high] {
                    assert!(
                        (grid.round(end) - end).abs() <= grid.step * 0.500_01,
                        "{bits} {low} {high}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn rounding_moves_by_half_a_step_at_most(x in -3.0_f32..3.0, bits in 2_u8..=8) {
            let grid = Grid::symmetric(bits, 3.0);
            prop_assert!((grid.round(x) - x).abs() <= grid.step * 0.500_01);
        }
    }
}
