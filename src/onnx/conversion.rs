//! Steps between numbers and an integer grid, as `QuantizeLinear` and `DequantizeLinear` define them: which scale and which zero
//! point an element has (one, one for each place of an axis, one for each block), and what becomes of it.

use super::build::attribute_int;
use super::schema::data_type;
use super::small_floats;
use super::{NodeProto, OnnxError, TensorProto, numbers};
use rayon::prelude::*;

/// Elements that one task converts.
const TASK: usize = 1 << 16;

/// Why weights on a grid cannot be turned into numbers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// A tensor does not hold together.
    #[error(transparent)]
    Tensor(#[from] OnnxError),
    /// The scales are computed; by which operator they are taken.
    #[error("the scale of {0} is no constant")]
    ComputedScale(String),
    /// Other inputs of the operator are computed; what they are.
    #[error("its {0} no constant")]
    Computed(&'static str),
    /// Scales along an axis that is not there.
    #[error("{operator} scales axis {axis} of {rank}")]
    NoAxis {
        /// The operator.
        operator: String,
        /// What it says.
        axis: i64,
        /// The axes that there are.
        rank: usize,
    },
    /// Not one scale and one zero point for each place that has its own.
    #[error("{scales} scales and {zero_points} zero points for {places} places")]
    Misfit {
        /// Scales.
        scales: usize,
        /// Zero points.
        zero_points: usize,
        /// Places.
        places: usize,
    },
    /// A step onto a grid of some other type.
    #[error("it is put on a grid of a type that is not followed")]
    UnknownGrid,
    /// Packed integers of a width that is not read; what they are, and their bits.
    #[error("{0} of {1} bits are not read")]
    Bits(&'static str, i64),
    /// An attribute of an operator that packs its weight.
    #[error("its attribute {0} is missing or makes no sense")]
    Attribute(&'static str),
    /// The axis of the blocks.
    #[error("quantize_axis does not fit a table of {0} axes")]
    BlockAxis(usize),
    /// The weight has another length than its sizes say, in bytes.
    #[error("its sizes need {wanted} bytes, its weight has {found}")]
    Length {
        /// What the sizes say.
        wanted: usize,
        /// What there is.
        found: usize,
    },
    /// What else of an operator that packs its weight does not hold together.
    #[error("{0}")]
    Packed(&'static str),
}

/// A step onto a grid or off it, with constant scales.
#[derive(Debug, Clone)]
pub struct Conversion {
    /// Name of the tensor of scales.
    scale_name: String,
    scale: Vec<f32>,
    /// Empty where there is none, which stands for 0.
    zero: Vec<f32>,
    /// What stands for 0 where `zero` is empty.
    default_zero: f32,
    place: Place,
    onto: Option<Onto>,
}

/// Where the scale of an element is.
#[derive(Debug, Clone)]
enum Place {
    /// One for all.
    All,
    /// One for each place of an axis.
    Axis(Along),
    /// One for each `block` neighbouring places of an axis.
    Block { along: Along, block: usize },
    /// The elements of a row belong to the blocks that are listed, of which each row has `blocks`.
    Listed { of: Vec<usize>, blocks: usize },
}

/// An axis of a row-major tensor.
#[derive(Debug, Clone, Copy)]
struct Along {
    axis: usize,
    /// Elements behind one place.
    inner: usize,
    /// Places.
    size: usize,
}

impl Along {
    fn new(shape: &[usize], axis: usize) -> Self {
        let inner: usize = shape.iter().skip(axis + 1).product();
        Self {
            axis,
            inner: inner.max(1),
            size: shape.get(axis).copied().unwrap_or(1).max(1),
        }
    }
}

/// The grid of a step onto it.
#[derive(Debug, Clone, Copy)]
enum Onto {
    /// Element type, least and greatest.
    Integers(i32, f32, f32),
    /// The numbers of an 8-bit float.
    Floats(&'static [f32; 256]),
}

impl Conversion {
    /// The conversion that `node` makes with the constants in its inputs `scale` and `zero` (`constant` finds them by name), onto
    /// the grid if it is a `QuantizeLinear`. `shape` is that of the stored tensor, `axes` are its axes in the order that the node
    /// sees them.
    ///
    /// # Errors
    /// What of it is no constant, or does not fit.
    pub fn of<'a>(
        node: &NodeProto,
        (scale, zero): (usize, usize),
        constant: impl Fn(&str) -> Option<&'a TensorProto>,
        shape: &[usize],
        axes: &[usize],
    ) -> Result<Self, ConversionError> {
        let onto = node.op_type() == "QuantizeLinear";
        let input = |slot: usize| node.input.get(slot).filter(|name| !name.is_empty());
        let no_constant = || ConversionError::ComputedScale(node.op_type().to_owned());
        let name = input(scale).ok_or_else(no_constant)?;
        let read = |tensor: &TensorProto| numbers(tensor).map(|values| values.to_vec());
        let scale = read(constant(name).ok_or_else(no_constant)?)?;
        let point = match input(zero) {
            Some(name) => Some(constant(name).ok_or(ConversionError::Computed("zero point is"))?),
            None => None,
        };
        let rank = axes.len();
        let axis = attribute_int(node, "axis").unwrap_or(1);
        let axis = if axis < 0 {
            axis.saturating_add_unsigned(rank as u64)
        } else {
            axis
        };
        let stored = usize::try_from(axis).ok().and_then(|axis| axes.get(axis)).copied();
        let block = attribute_int(node, "block_size").and_then(|size| usize::try_from(size).ok());
        let place = match (scale.len(), stored) {
            (1, _) => Place::All,
            (_, None) => {
                let operator = node.op_type().to_owned();
                return Err(ConversionError::NoAxis { operator, axis, rank });
            }
            (_, Some(axis)) => match (Along::new(shape, axis), block.unwrap_or(0)) {
                (along, 0) => Place::Axis(along),
                (along, block) => Place::Block { along, block },
            },
        };
        let said = attribute_int(node, "output_dtype").and_then(|kind| i32::try_from(kind).ok());
        let kind = point.map(TensorProto::data_type).or(said.filter(|kind| *kind != 0));
        Ok(Self {
            scale_name: name.clone(),
            zero: point.map(read).transpose()?.unwrap_or_default(),
            default_zero: 0.0,
            scale,
            place,
            onto: if onto {
                Some(grid(kind.unwrap_or(data_type::UINT8))?)
            } else {
                None
            },
        })
    }

    /// A step off the grid with one scale for each block of `block` places of `axis`, and zero points likewise.
    pub fn in_blocks(
        scale_name: &str,
        scale: Vec<f32>,
        (zero, default_zero): (Vec<f32>, f32),
        shape: &[usize],
        axis: usize,
        block: usize,
    ) -> Self {
        Self {
            scale_name: scale_name.to_owned(),
            scale,
            zero,
            default_zero,
            place: Place::Block {
                along: Along::new(shape, axis),
                block,
            },
            onto: None,
        }
    }

    /// The same, with the block of each element of a row listed instead of counted.
    #[must_use]
    pub fn listed(self, of: Vec<usize>, blocks: usize) -> Self {
        Self {
            place: Place::Listed { of, blocks },
            ..self
        }
    }

    /// The same with the scales along `axis`, if there are several.
    #[must_use]
    pub fn on_axis(mut self, shape: &[usize], axis: usize) -> Self {
        if let Place::Axis(along) = &mut self.place {
            *along = Along::new(shape, axis);
        }
        self
    }

    /// Whether the elements of a row belong to blocks that are listed, so that neighbours may have different scales.
    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.place, Place::Listed { .. })
    }

    /// For rows of `inputs` elements: the scales, one, or those of the blocks of each row in turn; the zero points, as many, or none
    /// where 0 stands for 0; and the elements of a block. `None` where they lie otherwise.
    pub(crate) fn in_rows(&self, outputs: usize, inputs: usize) -> Option<(Vec<f32>, Vec<f32>, usize)> {
        self.check(outputs.checked_mul(inputs)?).ok()?;
        let spread = |values: &[f32], count: usize| match values {
            [value] => vec![*value; count],
            values => values.to_vec(),
        };
        let zeros = |count: usize| match (self.zero.is_empty(), self.default_zero) {
            (true, 0.0) => Vec::new(),
            (true, zero) => vec![zero; count],
            (false, _) => spread(&self.zero, count),
        };
        match &self.place {
            Place::All => Some((self.scale.clone(), zeros(1), inputs)),
            Place::Block { along, block } if along.axis == 1 && along.inner == 1 && along.size == inputs => {
                let whole = self.scale.len() == 1 && self.zero.len() <= 1;
                let count = if whole {
                    1
                } else {
                    outputs * inputs.div_ceil((*block).max(1))
                };
                Some((spread(&self.scale, count), zeros(count), *block))
            }
            // Each element by itself.
            Place::Listed { of, .. } if of.len() == inputs => {
                let elements = 0..outputs * inputs;
                let place = |element: usize| self.place_of(element);
                let pick = |values: &[f32]| {
                    elements
                        .clone()
                        .map(|at| values[place(at).min(values.len() - 1)])
                        .collect()
                };
                let zeros = if self.zero.is_empty() {
                    zeros(elements.len())
                } else {
                    pick(&self.zero)
                };
                Some((pick(&self.scale), zeros, 1))
            }
            _ => None,
        }
    }

    /// Name of the tensor that holds the scales.
    pub fn scale_name(&self) -> &str {
        &self.scale_name
    }

    /// The scales in row-major order.
    pub fn scales(&self) -> &[f32] {
        &self.scale
    }

    /// The zero points: one, or as many as scales; empty where the file has none and 0 stands for 0.
    pub fn zero_points(&self) -> Vec<f32> {
        match self.zero.is_empty() && self.default_zero != 0.0 {
            true => vec![self.default_zero],
            false => self.zero.clone(),
        }
    }

    /// The axis of the stored tensor that several scales run along.
    pub fn axis(&self) -> Option<usize> {
        match &self.place {
            Place::All => None,
            Place::Axis(along) | Place::Block { along, .. } => Some(along.axis),
            Place::Listed { .. } => Some(1),
        }
    }

    /// Neighbouring places of the axis that share a scale; `None` where each has its own or all have one.
    pub fn block_size(&self) -> Option<usize> {
        match &self.place {
            Place::Block { block, .. } => Some(*block),
            Place::All | Place::Axis(_) | Place::Listed { .. } => None,
        }
    }

    /// The element type of the integers that a step onto the grid makes; `None` for a step off it, and for floats.
    pub fn integers(&self) -> Option<i32> {
        match self.onto {
            Some(Onto::Integers(kind, ..)) => Some(kind),
            Some(Onto::Floats(_)) | None => None,
        }
    }

    /// Whether there is a scale for each of `count` elements.
    ///
    /// # Errors
    /// How many there are of what.
    pub fn check(&self, count: usize) -> Result<(), ConversionError> {
        let wanted = match &self.place {
            Place::All => 1,
            Place::Axis(along) => along.size,
            Place::Block { along, block } => {
                let rows = count / along.inner.saturating_mul(along.size).max(1);
                let blocks = rows.saturating_mul(along.size.div_ceil((*block).max(1)));
                blocks.saturating_mul(along.inner)
            }
            Place::Listed { of, blocks } => (count / of.len().max(1)).saturating_mul(*blocks),
        };
        let fits = |length: usize| length == wanted || length == 1;
        if fits(self.scale.len()) && (self.zero.is_empty() || fits(self.zero.len())) && wanted > 0 {
            return Ok(());
        }
        Err(ConversionError::Misfit {
            scales: self.scale.len(),
            zero_points: self.zero.len(),
            places: wanted,
        })
    }

    /// Carries it out on all elements of the stored tensor.
    ///
    /// # Errors
    /// As [`Conversion::check`].
    pub fn apply(&self, values: &mut [f32]) -> Result<(), ConversionError> {
        self.check(values.len())?;
        values.par_chunks_mut(TASK).enumerate().for_each(|(task, values)| {
            let first = task * TASK;
            for (at, x) in values.iter_mut().enumerate() {
                *x = self.value(*x, first + at);
            }
        });
        Ok(())
    }

    /// Which of the scales element number `element` has.
    fn place_of(&self, element: usize) -> usize {
        match &self.place {
            Place::All => 0,
            Place::Axis(along) => element / along.inner % along.size,
            Place::Block { along, block } => {
                let (inner, size) = (along.inner, along.size);
                let (row, along) = (element / (inner * size), element / inner % size);
                (row * size.div_ceil(*block) + along / block) * inner + element % inner
            }
            Place::Listed { of, blocks } => element / of.len() * blocks + of[element % of.len()],
        }
    }

    /// The integer that element number `element` becomes, for a step onto the grid; the number, for one off it.
    pub fn value(&self, x: f32, element: usize) -> f32 {
        let place = self.place_of(element);
        let of = |values: &[f32], default: f32| values.get(place).or(values.first()).copied().unwrap_or(default);
        let (scale, zero) = (of(&self.scale, 0.0), of(&self.zero, self.default_zero));
        match self.onto {
            Some(Onto::Integers(_, low, high)) => ((x / scale).round_ties_even() + zero).clamp(low, high),
            Some(Onto::Floats(table)) => table[usize::from(small_floats::nearest(table, x / scale))],
            None => (x - zero) * scale,
        }
    }
}

/// The grid of an element type.
fn grid(kind: i32) -> Result<Onto, ConversionError> {
    if let Some((least, greatest)) = integer_range(kind) {
        return Ok(Onto::Integers(kind, least as f32, greatest as f32));
    }
    let table = small_floats::table(kind).map(Onto::Floats);
    table.ok_or(ConversionError::UnknownGrid)
}

/// The least and the greatest integer of an element type; `None` for floats and for integers of more than 16 bits.
pub fn integer_range(kind: i32) -> Option<(i32, i32)> {
    Some(match kind {
        data_type::INT8 => (-128, 127),
        data_type::UINT8 => (0, 255),
        data_type::INT16 => (-32_768, 32_767),
        data_type::UINT16 => (0, 65_535),
        data_type::INT4 => (-8, 7),
        data_type::UINT4 => (0, 15),
        data_type::INT2 => (-2, 1),
        data_type::UINT2 => (0, 3),
        _ => return None,
    })
}
