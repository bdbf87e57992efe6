//! Weights that a file packs, as integers in the order of their elements and what turns those into numbers: in blocks of ONNX
//! Runtime's operators, and in quantized checkpoints, where tensors beside them hold scales and zero points (GPTQ, AWQ,
//! compressed-tensors, 8-bit numbers with a scale).

use super::layer::Layer;
use super::{Network, NetworkError, WEIGHTS_KEY};
use crate::onnx::build::float_tensor;
use crate::onnx::schema::data_type;
use crate::onnx::{
    BlockPacked, Conversion, ConversionError, Elements, OnnxError, TensorProto, element_count, is_float, numbers,
    one_line, tensor_bytes,
};

/// Why the weights that a file stores as integers cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodesError {
    /// A tensor does not hold together.
    #[error(transparent)]
    Tensor(#[from] OnnxError),
    /// The integers cannot be turned into numbers.
    #[error(transparent)]
    Conversion(#[from] ConversionError),
    /// A tensor that should have rows and columns.
    #[error("'{0}' is no matrix")]
    NoMatrix(String),
    /// A tensor that should hold packed integers.
    #[error("'{0}' is not of int32")]
    NotWords(String),
    /// A width that the format has no place for.
    #[error("weights of {0} bits are not read in this format")]
    Bits(usize),
    /// Tensors of other sizes than belong together; which.
    #[error("{0} do not fit each other")]
    Misfit(&'static str),
    /// Groups that are not those of the inputs.
    #[error("g_idx does not fit the inputs")]
    Groups,
    /// Neither a scale for all, nor for each row or square.
    #[error("its scale does not fit it")]
    Scale,
    /// An operator whose scale nobody knows.
    #[error("{0}: the scale of its weights is not beside them")]
    ScaleElsewhere(String),
    /// The metadata tell another shape than there are integers for.
    #[error("its metadata '{WEIGHTS_KEY}' tells the shape {shape:?}, and there are {count} codes")]
    Shape {
        /// What the metadata tell.
        shape: Vec<usize>,
        /// Integers.
        count: usize,
    },
    /// The metadata tell an axis that no tensor has.
    #[error("its axis is out of range")]
    Axis,
}

impl CodesError {
    /// That this is wrong with the weights of `layer`.
    pub(super) fn of(self, layer: &Layer) -> NetworkError {
        NetworkError::Codes {
            layer: layer.name.clone(),
            error: self,
        }
    }
}

/// An unpacked weight.
pub(super) struct Unpacked {
    /// Shape in elements.
    pub(super) shape: Vec<usize>,
    /// Element type of the integers (see [`data_type`]).
    pub(super) element_type: i32,
    /// The integers in the order of `shape`.
    pub(super) codes: Elements,
    /// What turns them into numbers, or why that is not known.
    pub(super) conversion: Result<Conversion, CodesError>,
    /// Which format it is, for a person.
    pub(super) scheme: String,
}

impl Network {
    /// The weight of `layer` out of what the file packs it in; `None` where it is stored as it is.
    pub(super) fn unpacked(&self, layer: &Layer) -> Option<Result<Unpacked, CodesError>> {
        let tensor = self.tensor(layer).ok()?;
        match self.node(layer) {
            Some(node) => {
                let packed = match BlockPacked::of(node, tensor)? {
                    Ok(packed) => packed,
                    Err(why) => return Some(Err(why.into())),
                };
                let find = |name: &str| self.constant_beside(layer, name);
                let codes = packed.codes(tensor).map_err(CodesError::from);
                Some(codes.map(|codes| Unpacked {
                    conversion: packed.conversion(node, find).map_err(CodesError::from),
                    shape: packed.shape.clone(),
                    element_type: packed.element_type,
                    codes,
                    scheme: node.op_type().to_owned(),
                }))
            }
            None if layer.node.is_none() => match self.stored.of_codes(&layer.weight) {
                Some((_, stored)) => Some(stored.unpacked(tensor, |name| self.constant(name))),
                None => of_checkpoint(tensor, &|name| self.constant(name)),
            },
            None => None,
        }
    }
}

/// Finds a tensor of the file by its name.
type Find<'f, 'a> = &'f dyn Fn(&str) -> Option<&'a TensorProto>;

/// The weight whose integers are `tensor`, if its name and the tensors beside it say how it is packed.
pub(super) fn of_checkpoint(tensor: &TensorProto, find: Find<'_, '_>) -> Option<Result<Unpacked, CodesError>> {
    let (module, last) = tensor.name().rsplit_once('.')?;
    let beside = |part: &str| find(&format!("{module}.{part}"));
    match last {
        "qweight" => Some(gptq_or_awq(
            tensor,
            beside("qzeros")?,
            beside("scales")?,
            beside("g_idx"),
        )),
        "weight_packed" => {
            let (shape, scale) = (beside("weight_shape")?, beside("weight_scale")?);
            Some(compressed(tensor, shape, scale, beside("weight_zero_point")))
        }
        "weight" if !is_float(tensor) => {
            let scale = beside("weight_scale").or_else(|| beside("weight_scale_inv"));
            match scale {
                Some(scale) => Some(scaled(tensor, scale, beside("weight_zero_point"))),
                None => Some(of_largest(tensor, beside("SCB")?)),
            }
        }
        _ => None,
    }
}

/// Rows and columns of a matrix.
fn matrix(tensor: &TensorProto) -> Result<[usize; 2], CodesError> {
    let size = |at: usize| tensor.dims.get(at).and_then(|size| usize::try_from(*size).ok());
    match (tensor.dims.len(), size(0), size(1)) {
        (2, Some(rows), Some(columns)) if rows > 0 && columns > 0 => Ok([rows, columns]),
        _ => Err(CodesError::NoMatrix(one_line(tensor.name()))),
    }
}

/// The words of an int32 matrix.
fn words(tensor: &TensorProto) -> Result<([usize; 2], Vec<u32>), CodesError> {
    if tensor.data_type() != data_type::INT32 {
        return Err(CodesError::NotWords(one_line(tensor.name())));
    }
    let bytes = tensor_bytes(tensor)?;
    let words = bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
    Ok((matrix(tensor)?, words.collect()))
}

/// Which unsigned type holds codes of so many bits.
fn type_of(bits: usize) -> Result<i32, CodesError> {
    match bits {
        2 => Ok(data_type::UINT2),
        4 => Ok(data_type::UINT4),
        8 => Ok(data_type::UINT8),
        bits => Err(CodesError::Bits(bits)),
    }
}

/// Codes one behind the other, the first in the low end of its byte.
fn packed(codes: impl Iterator<Item = u32>, bits: usize, count: usize) -> Vec<u8> {
    let in_byte = 8 / bits;
    let mut bytes = vec![0_u8; count.div_ceil(in_byte)];
    for (at, code) in codes.enumerate() {
        bytes[at / in_byte] |= (code as u8) << (at % in_byte * bits);
    }
    bytes
}

/// The words of a matrix column by column. A word holds codes of neighbouring inputs in their order, so that it is moved whole.
fn turned_words(words: &[u32], [rows, columns]: [usize; 2]) -> Vec<u8> {
    /// Columns that are walked down together: what is read lies side by side.
    const TOGETHER: usize = 16;
    let mut bytes = vec![0_u8; words.len() * 4];
    for first in (0..columns).step_by(TOGETHER) {
        for (row, words) in words.chunks_exact(columns).enumerate() {
            for column in first..columns.min(first + TOGETHER) {
                bytes[(column * rows + row) * 4..][..4].copy_from_slice(&words[column].to_le_bytes());
            }
        }
    }
    bytes
}

/// Columns that the eight codes of a word of AWQ stand for.
const AWQ_ORDER: [usize; 8] = [0, 2, 4, 6, 1, 3, 5, 7];

/// GPTQ packs the codes of neighbouring inputs into a word, `qweight[I / per word, O]`; AWQ those of neighbouring outputs in an
/// order of its own, `qweight[I, O / per word]`. Both have `qzeros[groups, O / per word]` and `scales[groups, O]`.
fn gptq_or_awq(
    qweight: &TensorProto,
    qzeros: &TensorProto,
    scales: &TensorProto,
    g_idx: Option<&TensorProto>,
) -> Result<Unpacked, CodesError> {
    let ([rows, columns], codes) = words(qweight)?;
    let ([zero_rows, zero_columns], zeros) = words(qzeros)?;
    let [groups, outputs] = matrix(scales)?;
    let scale = numbers(scales)?;
    let is_awq = columns != outputs;
    let misfit = || CodesError::Misfit("qweight, qzeros and scales");
    let bits = 32 * zero_columns / outputs;
    let element_type = type_of(bits)?;
    let per_word = 32 / bits;
    let inputs = if is_awq {
        rows
    } else {
        rows.checked_mul(per_word).ok_or_else(misfit)?
    };
    let packs_outputs = zero_columns * per_word == outputs && zero_rows == groups;
    let fits = packs_outputs && (!is_awq || (columns == zero_columns && bits == 4));
    if !fits || codes.len() != rows * columns || zeros.len() != zero_rows * zero_columns || groups > inputs {
        return Err(misfit());
    }
    let mask = (1_u32 << bits) - 1;
    let mut place = [0; 8];
    for (nibble, column) in AWQ_ORDER.iter().enumerate() {
        place[*column] = nibble;
    }
    // The code of output `o` in a row of words that packs outputs.
    let of_output = |row: &[u32], o: usize| {
        let nibble = if is_awq { place[o % 8] } else { o % per_word };
        (row[o / per_word] >> (nibble * bits)) & mask
    };
    let count = outputs.checked_mul(inputs).ok_or_else(misfit)?;
    let bytes = if is_awq {
        let places = (0..outputs).flat_map(|o| (0..inputs).map(move |i| (o, i)));
        let all = places.map(|(o, i)| of_output(&codes[i * columns..][..columns], o));
        packed(all, bits, count)
    } else {
        turned_words(&codes, [rows, columns])
    };
    let zero = |o: usize, g: usize| of_output(&zeros[g * zero_columns..][..zero_columns], o);
    let in_rows = || (0..outputs).flat_map(|o| (0..groups).map(move |g| (o, g)));
    let mut points: Vec<f32> = in_rows().map(|(o, g)| zero(o, g) as f32).collect();
    // Of GPTQ's two versions the first stores each zero point less one, and no symmetric file has its middle there.
    let middle = (1_u32 << (bits - 1)) as f32;
    if !is_awq && !points.iter().all(|point| *point == middle) {
        points.iter_mut().for_each(|point| *point += 1.0);
    }
    let turned: Vec<f32> = in_rows().map(|(o, g)| scale[g * outputs + o]).collect();
    let group = inputs.div_ceil(groups);
    let shape = vec![outputs, inputs];
    let mut conversion = Ok(Conversion::in_blocks(
        scales.name(),
        turned,
        (points, 0.0),
        &shape,
        1,
        group,
    ));
    if let Some(g_idx) = g_idx.filter(|_| !is_awq) {
        let listed = numbers(g_idx)?;
        let of: Option<Vec<usize>> = (listed.iter())
            .map(|place| (*place >= 0.0 && *place < groups as f32).then_some(*place as usize))
            .collect();
        conversion = match of.filter(|of| of.len() == inputs) {
            Some(of) if of.iter().enumerate().all(|(input, of)| *of == input / group) => conversion,
            Some(of) => conversion.map(|conversion| conversion.listed(of, groups)),
            None => Err(CodesError::Groups),
        };
    }
    let codes = Elements::of_rows(bytes.into(), element_type, outputs, inputs, inputs).ok_or_else(misfit)?;
    let name = if is_awq { "AWQ" } else { "GPTQ" };
    Ok(Unpacked {
        shape,
        element_type,
        codes,
        conversion,
        scheme: format!("{name}, {bits} bits, groups of {group}"),
    })
}

/// compressed-tensors, `pack-quantized`: codes of neighbouring inputs in a word, moved up so that none is negative.
fn compressed(
    tensor: &TensorProto,
    shape: &TensorProto,
    scale: &TensorProto,
    zero: Option<&TensorProto>,
) -> Result<Unpacked, CodesError> {
    let ([rows, columns], codes) = words(tensor)?;
    let shape = numbers(shape)?;
    let misfit = || CodesError::Misfit("weight_packed, weight_shape and weight_scale");
    let [outputs, inputs] = shape[..] else {
        return Err(misfit());
    };
    let (outputs, inputs) = (outputs as usize, inputs as usize);
    let bits = [2, 4, 8]
        .into_iter()
        .find(|bits| inputs.checked_mul(*bits).map(|bits| bits.div_ceil(32)) == Some(columns));
    let bits = bits.ok_or_else(misfit)?;
    let per_word = 32 / bits;
    let element_type = type_of(bits)?;
    if rows != outputs || inputs == 0 || codes.len() != rows * columns {
        return Err(misfit());
    }
    let stored = columns * per_word;
    let bytes = tensor_bytes(tensor)?;
    let codes = Elements::of_rows(bytes, element_type, rows, inputs, stored).ok_or_else(misfit)?;
    let values = numbers(scale)?;
    let groups = values.len() / outputs.max(1);
    if groups == 0 || groups * outputs != values.len() || groups > inputs {
        return Err(misfit());
    }
    let points = match zero {
        None => Vec::new(),
        Some(zero) => {
            let ([_, zero_columns], zeros) = words(zero)?;
            if zero_columns != groups || zeros.len() < outputs.div_ceil(per_word) * groups {
                return Err(misfit());
            }
            let mask = (1_u32 << bits) - 1;
            let point = |o: usize, g: usize| (zeros[o / per_word * groups + g] >> (o % per_word * bits)) & mask;
            (0..outputs)
                .flat_map(|o| (0..groups).map(move |g| (o, g)))
                .map(|(o, g)| point(o, g) as f32)
                .collect()
        }
    };
    let group = inputs.div_ceil(groups);
    let shape = vec![outputs, inputs];
    let middle = (1_u32 << (bits - 1)) as f32;
    let conversion = Conversion::in_blocks(scale.name(), values.to_vec(), (points, middle), &shape, 1, group);
    Ok(Unpacked {
        shape,
        element_type,
        codes,
        conversion: Ok(conversion),
        scheme: format!("compressed-tensors, {bits} bits, groups of {group}"),
    })
}

/// bitsandbytes keeps beside a matrix of 8 bits the largest magnitude of each row, for which 127 stands.
fn of_largest(tensor: &TensorProto, largest: &TensorProto) -> Result<Unpacked, CodesError> {
    let scale: Vec<f32> = numbers(largest)?.iter().map(|largest| largest / 127.0).collect();
    scaled(tensor, &float_tensor(largest.name(), &[scale.len()], &scale), None)
}

/// Numbers of 8 bits with one scale, one for each row, or one for each square of rows and columns; and zero points, as many, if there
/// are any (compressed-tensors `int-quantized`, torch's quantized tensors). The rows of a kernel hold all that an output reads.
fn scaled(tensor: &TensorProto, scale: &TensorProto, zero: Option<&TensorProto>) -> Result<Unpacked, CodesError> {
    let shape: Option<Vec<usize>> = tensor.dims.iter().map(|size| usize::try_from(*size).ok()).collect();
    let shape = shape.filter(|shape| shape.len() > 1 && !shape.contains(&0));
    let shape = shape.ok_or_else(|| CodesError::NoMatrix(one_line(tensor.name())))?;
    let (outputs, inputs) = (shape[0], element_count(tensor)? / shape[0]);
    let count = element_count(scale)?;
    let squares = match matrix(scale) {
        _ if count == 1 || count == outputs => None,
        Ok([rows, columns]) if rows <= outputs && columns <= inputs => Some([rows, columns]),
        _ => return Err(CodesError::Scale),
    };
    // Of squares one stands for each row of theirs.
    let by_row = |values: Vec<f32>| match squares {
        None => values,
        Some([rows, columns]) => {
            let tall = outputs.div_ceil(rows);
            let row = |o: usize| values[o / tall * columns..][..columns].to_vec();
            (0..outputs).flat_map(row).collect()
        }
    };
    let points = match zero {
        None => Vec::new(),
        Some(zero) if element_count(zero)? == count => by_row(numbers(zero)?.to_vec()),
        Some(_) => return Err(CodesError::Misfit("weight_scale and weight_zero_point")),
    };
    let block = squares.map_or(inputs, |[_, columns]| inputs.div_ceil(columns));
    let scales = by_row(numbers(scale)?.to_vec());
    let conversion = Conversion::in_blocks(scale.name(), scales, (points, 0.0), &[outputs, inputs], 1, block);
    Ok(Unpacked {
        codes: Elements::of(tensor)?,
        conversion: conversion
            .check(outputs * inputs)
            .map(|()| conversion)
            .map_err(CodesError::from),
        shape,
        element_type: tensor.data_type(),
        scheme: format!(
            "{} with a scale",
            crate::onnx::data_type_name(tensor.data_type()).to_lowercase()
        ),
    })
}
