//! How the codes of weights are stored in an exported file.
//!
//! ONNX has signed integers of 2 bits (operator set 25), 4 bits (21) and 8 bits. A grid of k bits is stored in the smallest of
//! them that holds its codes: there is none for 3, 5, 6 and 7 bits. Codes with zero points are stored in the unsigned integers of
//! the same sizes, half of their range more than they are.
//!
//! onnxruntime multiplies INT8 weights by bytes in pairs. On x86 processors without VNNI the sum of two products must fit 16 bits and
//! saturates where it does not (`VPMADDUBSW`), which weights of 8 bits reach ([`saturates`]). UINT8 weights it multiplies in 16 bits
//! each, exactly.
//!
//! onnxruntime 1.32 makes one integer operator of a layer whose input and output are on grids, and of its weights: of 2 bits too,
//! which none of these operators takes, so that the file does not load. Weights of 4 bits are left out of it.

use super::{Granularity, QuantizedLayer, ValueError};
use crate::network::{Layer, LayerKind};
use crate::onnx::TensorProto;
use crate::onnx::build::{i8_tensor, int2_tensor, int4_tensor, raw_tensor, u8_tensor, uint2_tensor, uint4_tensor};
use crate::onnx::schema::data_type;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How an exported file stores quantized weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// The smallest integers that hold the codes.
    #[default]
    Auto,
    /// Integers of 8 bits, whatever the codes need.
    Int8,
    /// The same unsigned, 128 more than they are.
    Uint8,
    /// Floats: the values on the grid.
    Float,
}

impl Storage {
    /// All that can be chosen.
    pub const CHOICES: [Self; 4] = [Self::Auto, Self::Int8, Self::Uint8, Self::Float];

    /// Name on the command line, in recipes and in menus.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Int8 => "int8",
            Self::Uint8 => "uint8",
            Self::Float => "float",
        }
    }

    /// What it costs and what it needs of the runtime, for a person.
    pub fn help(self) -> &'static str {
        match self {
            Self::Auto => {
                "INT2 for 2 bits (operator set 25), INT4 for 3 and 4 bits (operator set 21) and for 2 bits where inputs \
                 are on a grid too, INT8 for the others. The smallest file; the runtime must know these types."
            }
            Self::Int8 => {
                "8 bits for each weight. Runs in every runtime with operator set 13; integer kernels take it."
            }
            Self::Uint8 => {
                "8 bits for each weight, unsigned with zero point 128. onnxruntime then sums exactly on every processor; on \
                 x86 without VNNI sums of INT8 weights saturate. Takes longer than INT8."
            }
            Self::Float => {
                "The values on the grid as 32-bit floats. As large and as fast as the float network: for weights-only \
                 recipes, where runtimes would dequantize integers in every run."
            }
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Storage {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let found = Self::CHOICES.into_iter().find(|storage| storage.name() == text);
        found.ok_or_else(|| ValueError::not("weights are stored as auto, int8, uint8 or float", text))
    }
}

/// The element type of a stored weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CodeType {
    /// Four codes a byte.
    Int2,
    /// The same, with zero points.
    Uint2,
    /// Two codes a byte.
    Int4,
    /// The same, with zero points.
    Uint4,
    /// A byte a code.
    Int8,
    /// The same, with zero points.
    Uint8,
    /// No codes: 32-bit floats on the grid.
    Float,
}

impl CodeType {
    /// All of them, the smallest first.
    pub const ALL: [Self; 7] = [
        Self::Int2,
        Self::Uint2,
        Self::Int4,
        Self::Uint4,
        Self::Int8,
        Self::Uint8,
        Self::Float,
    ];

    /// The type of that size for codes with zero points.
    fn with_zero_points(self) -> Self {
        match self {
            Self::Int2 | Self::Uint2 => Self::Uint2,
            Self::Int4 | Self::Uint4 => Self::Uint4,
            Self::Int8 | Self::Uint8 => Self::Uint8,
            Self::Float => Self::Float,
        }
    }

    /// The smallest type for signed codes of `bits`, as `storage` allows.
    pub(super) fn holding(storage: Storage, bits: u8) -> Self {
        match (storage, bits) {
            (Storage::Float, _) => Self::Float,
            (Storage::Auto, ..=2) => Self::Int2,
            (Storage::Auto, 3..=4) => Self::Int4,
            (Storage::Auto | Storage::Int8 | Storage::Uint8, _) => Self::Int8,
        }
    }

    /// The type that `layer`, planned as `quantized`, is stored in. A table of embeddings is looked up before its codes are
    /// unpacked, two of which must fill a byte. Codes of 2 bits that a runtime may make an integer operator of take 4.
    pub(super) fn of(storage: Storage, layer: &Layer, quantized: &QuantizedLayer) -> Self {
        let smallest = match Self::holding(storage, quantized.grid.bits) {
            Self::Int2 if may_be_fused(layer, quantized) => Self::Int4,
            smallest => smallest,
        };
        match (smallest, layer.kind) {
            (Self::Int2 | Self::Int4, LayerKind::Embedding) => match layer.shape.last() {
                Some(columns) if columns % 2 == 0 => Self::Int4,
                _ => Self::Int8,
            },
            _ if quantized.zero_points.is_empty() && storage != Storage::Uint8 => smallest,
            _ => smallest.with_zero_points(),
        }
    }

    /// Name as ONNX spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int2 => "INT2",
            Self::Int4 => "INT4",
            Self::Int8 => "INT8",
            Self::Uint2 => "UINT2",
            Self::Uint4 => "UINT4",
            Self::Uint8 => "UINT8",
            Self::Float => "FLOAT",
        }
    }

    /// Bits of one stored code.
    pub fn bits(self) -> u8 {
        match self {
            Self::Int2 | Self::Uint2 => 2,
            Self::Int4 | Self::Uint4 => 4,
            Self::Int8 | Self::Uint8 => 8,
            Self::Float => 32,
        }
    }

    /// Whether codes are half of their range more than they are, so that there is a zero point to every scale.
    pub(super) fn is_unsigned(self) -> bool {
        matches!(self, Self::Uint2 | Self::Uint4 | Self::Uint8)
    }

    /// Whether several codes share a byte.
    pub(super) fn is_packed(self) -> bool {
        self.bits() < 8
    }

    /// The operator set that has it as an element type.
    pub(super) fn opset(self) -> i64 {
        match self {
            Self::Int2 | Self::Uint2 => 25,
            Self::Int4 | Self::Uint4 => 21,
            Self::Int8 | Self::Uint8 | Self::Float => 13,
        }
    }

    /// Number of its element type.
    pub(super) fn element_type(self) -> i32 {
        match self {
            Self::Int2 => data_type::INT2,
            Self::Int4 => data_type::INT4,
            Self::Int8 => data_type::INT8,
            Self::Uint2 => data_type::UINT2,
            Self::Uint4 => data_type::UINT4,
            Self::Uint8 => data_type::UINT8,
            Self::Float => data_type::FLOAT,
        }
    }

    /// Bytes of so many codes.
    pub(super) fn bytes_of(self, codes: u64) -> u64 {
        codes.saturating_mul(self.bits().into()).div_ceil(8)
    }

    /// `codes`, an INT8 tensor, in this integer type.
    pub(super) fn packed(self, codes: TensorProto) -> TensorProto {
        let raw = codes.raw_data.clone().unwrap_or_default();
        let of = |make: fn(String, &[usize], &[i8]) -> TensorProto| TensorProto {
            dims: codes.dims.clone(),
            ..make(codes.name().to_owned(), &[], bytemuck::cast_slice(&raw))
        };
        // Half of the range up, in the bits that are kept.
        let unsigned = |make: fn(String, &[usize], &[u8]) -> TensorProto| {
            let middle = 1_u8 << (self.bits() - 1);
            let moved: Vec<u8> = raw.iter().map(|code| code.wrapping_add(middle)).collect();
            TensorProto {
                dims: codes.dims.clone(),
                ..make(codes.name().to_owned(), &[], &moved)
            }
        };
        match self {
            Self::Int2 => of(int2_tensor),
            Self::Int4 => of(int4_tensor),
            Self::Uint2 => unsigned(uint2_tensor),
            Self::Uint4 => unsigned(uint4_tensor),
            Self::Uint8 => unsigned(u8_tensor),
            Self::Int8 | Self::Float => codes,
        }
    }
}

/// Whether a runtime may make one integer operator of `layer`, the step onto the grid of its input before it, its weights, and the
/// step onto a grid behind it, which the next layer may bring. Of scales in blocks none is made, nor of transposed convolutions.
fn may_be_fused(layer: &Layer, quantized: &QuantizedLayer) -> bool {
    quantized.activation.is_some()
        && !matches!(quantized.scales.granularity(), Granularity::Block(_))
        && matches!(layer.kind, LayerKind::Conv | LayerKind::Gemm | LayerKind::MatMul)
}

/// Whether the sum of two products of the inputs and stored weights of `layer` may be beyond 16 bits, where a runtime computes them
/// in integers. It makes inputs unsigned first.
pub(super) fn saturates(storage: Storage, layer: &Layer, quantized: &QuantizedLayer) -> bool {
    let Some(input) = quantized.activation.as_ref().map(|input| input.grid) else {
        return false;
    };
    let is_unsigned = input.unsigned || input.zero_point.is_some();
    let largest = if is_unsigned {
        input.high() - input.low()
    } else {
        input.high() + 128
    };
    may_be_fused(layer, quantized)
        && CodeType::of(storage, layer, quantized) == CodeType::Int8
        && 2 * largest * quantized.grid.high() > i32::from(i16::MAX)
}

/// Bytes of the scales of a weight, and of the zero points beside them.
pub(super) fn bytes_of_scales(code_type: CodeType, granularity: Granularity, scales: u64) -> u64 {
    let zero_points = match (code_type, granularity) {
        (CodeType::Float, _) => return 0,
        _ if code_type.is_unsigned() => code_type.bytes_of(scales),
        (CodeType::Int8, Granularity::Tensor | Granularity::Channel) => scales,
        _ => 0,
    };
    scales.saturating_mul(4).saturating_add(zero_points)
}

/// Whether the tensors of new weights hold their codes, or only are as long.
pub(super) enum Elements {
    /// They hold them.
    Codes,
    /// Slices of these zeros.
    Hollow(Bytes),
}

impl Elements {
    /// Zeros for tensors of at most `longest` bytes.
    pub(super) fn hollow(longest: usize) -> Self {
        Self::Hollow(vec![0; longest].into())
    }

    /// An INT8 tensor of the values that `values` gives.
    pub(super) fn codes<V: AsRef<[i8]>>(&self, shape: &[usize], values: impl FnOnce() -> V) -> TensorProto {
        match self {
            Self::Codes => i8_tensor("", shape, values().as_ref()),
            Self::Hollow(_) => self.zeros(data_type::INT8, shape, shape.iter().product()),
        }
    }

    /// An F32 tensor of the values that `values` gives.
    pub(super) fn floats(&self, shape: &[usize], values: impl FnOnce() -> Vec<f32>) -> TensorProto {
        match self {
            Self::Codes => crate::onnx::build::float_tensor("", shape, &values()),
            Self::Hollow(_) => self.zeros(data_type::FLOAT, shape, 4 * shape.iter().product::<usize>()),
        }
    }

    /// `codes`, an INT8 tensor, in another integer type.
    pub(super) fn packed(&self, codes: TensorProto, code_type: CodeType) -> TensorProto {
        if code_type == CodeType::Int8 || matches!(self, Self::Codes) {
            return code_type.packed(codes);
        }
        let bytes = codes.raw_data.as_ref().map_or(0, Bytes::len);
        let length = usize::try_from(code_type.bytes_of(bytes as u64)).unwrap_or(bytes);
        TensorProto {
            dims: codes.dims,
            ..self.zeros(code_type.element_type(), &[], length)
        }
    }

    /// `codes`, an INT8 matrix of an even number of columns, as UINT8: a byte holds the codes of columns j (low half) and
    /// j + half of the columns, each 8 more than it is.
    pub(super) fn nibbles(&self, codes: &TensorProto) -> TensorProto {
        let mut dims = codes.dims.clone();
        let half = dims.last_mut().map_or(0, |columns| {
            *columns /= 2;
            usize::try_from(*columns).unwrap_or(0)
        });
        let raw = codes.raw_data.as_deref().unwrap_or_default();
        let tensor = match self {
            Self::Codes => {
                let code = |byte: &u8| byte.wrapping_add(8) & 15;
                let row = |row: &[u8]| {
                    let (low, high) = row.split_at(half);
                    let pairs = low.iter().zip(high);
                    pairs
                        .map(|(low, high)| code(low) | code(high) << 4)
                        .collect::<Vec<u8>>()
                };
                let bytes: Vec<u8> = raw.chunks_exact((2 * half).max(1)).flat_map(row).collect();
                raw_tensor("", data_type::UINT8, &[], bytes)
            }
            Self::Hollow(_) => self.zeros(data_type::UINT8, &[], raw.len() / 2),
        };
        TensorProto { dims, ..tensor }
    }

    fn zeros(&self, element_type: i32, shape: &[usize], bytes: usize) -> TensorProto {
        let zeros = match self {
            Self::Hollow(zeros) if zeros.len() >= bytes => zeros.slice(..bytes),
            _ => vec![0; bytes].into(),
        };
        raw_tensor("", element_type, shape, zeros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_stored_in_the_next_larger_type() {
        let types = |storage| {
            (2..=8)
                .map(|bits| CodeType::holding(storage, bits).bits())
                .collect::<Vec<_>>()
        };
        assert_eq!(types(Storage::Auto), [2, 4, 4, 8, 8, 8, 8]);
        assert_eq!(types(Storage::Int8), [8; 7]);
        assert_eq!(types(Storage::Uint8), [8; 7]);
        assert_eq!(types(Storage::Float), [32; 7]);
        for storage in Storage::CHOICES {
            assert_eq!(storage.to_string().parse(), Ok(storage));
        }
    }

    #[test]
    fn hollow_tensors_are_as_long_as_those_with_codes() {
        for count in [1, 2, 3, 4, 5, 63] {
            let values = || vec![-1_i8; count];
            for code_type in CodeType::ALL.into_iter().filter(|kind| *kind != CodeType::Float) {
                let of = |elements: &Elements| elements.packed(elements.codes(&[count], values), code_type);
                let (real, hollow) = (of(&Elements::Codes), of(&Elements::hollow(count)));
                assert_eq!(
                    real.raw_data.as_ref().unwrap().len() as u64,
                    code_type.bytes_of(count as u64)
                );
                assert_eq!(real.raw_data.unwrap().len(), hollow.raw_data.unwrap().len());
                assert_eq!((real.data_type, real.dims), (hollow.data_type, hollow.dims));
            }
        }
    }
}
