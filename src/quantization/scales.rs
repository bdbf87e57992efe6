//! How many scales a weight has, and which scale belongs to which weight.
//!
//! A scale is the distance of two grid points, in the units of the tensor, as `DequantizeLinear` stores it.

use super::{Grid, ValueError};
use crate::network::{Layout, OutAxis};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Which parts of a weight have a scale of their own. Written `tensor`, `channel` or `block:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Granularity {
    /// One scale for the tensor (Zhao et al. 2019).
    #[default]
    Tensor,
    /// One for each output channel.
    Channel,
    /// One for each run of that many weights along the inputs of an output channel, as `block_size` of `DequantizeLinear`
    /// (operator set 21) has it; the last block of a channel may be shorter. A convolution's inputs are its input channels with
    /// their kernels, in the order in which they are stored.
    Block(usize),
}

impl Granularity {
    /// Sizes of a block.
    pub const BLOCKS: [usize; 4] = [16, 32, 64, 128];
    /// All that can be chosen, coarse to fine.
    pub const CHOICES: [Self; 6] = [
        Self::Tensor,
        Self::Channel,
        Self::Block(128),
        Self::Block(64),
        Self::Block(32),
        Self::Block(16),
    ];

    /// Name for a person.
    pub fn label(self) -> String {
        match self {
            Self::Tensor => "per tensor".to_owned(),
            Self::Channel => "per channel".to_owned(),
            Self::Block(size) => format!("blocks of {size}"),
        }
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor => f.write_str("tensor"),
            Self::Channel => f.write_str("channel"),
            Self::Block(size) => write!(f, "block:{size}"),
        }
    }
}

impl FromStr for Granularity {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let block = text.strip_prefix("block:").and_then(|size| size.parse().ok());
        match (text, block) {
            ("tensor", _) => Ok(Self::Tensor),
            ("channel", _) => Ok(Self::Channel),
            (_, Some(size)) if Self::BLOCKS.contains(&size) => Ok(Self::Block(size)),
            _ => Err(ValueError::not(
                "scales are tensor, channel or block:N with N 16, 32, 64 or 128",
                text,
            )),
        }
    }
}

impl Serialize for Granularity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Granularity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// The scales of a weight tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Scales {
    /// One for the tensor.
    Tensor(f32),
    /// One for each output channel.
    Channel(Vec<f32>),
    /// One for each block: row by row (`[groups * outer, blocks]`) where output channels are the rows of the layout, else
    /// `[blocks, inner]`.
    Block {
        /// Weights in a block.
        size: usize,
        /// The scales.
        values: Vec<f32>,
    },
}

impl Scales {
    /// Which parts have a scale of their own.
    pub fn granularity(&self) -> Granularity {
        match self {
            Self::Tensor(_) => Granularity::Tensor,
            Self::Channel(_) => Granularity::Channel,
            Self::Block { size, .. } => Granularity::Block(*size),
        }
    }

    /// All of them.
    pub fn values(&self) -> &[f32] {
        match self {
            Self::Tensor(scale) => std::slice::from_ref(scale),
            Self::Channel(scales) | Self::Block { values: scales, .. } => scales,
        }
    }

    /// One for each output channel, if that is how they are; else nothing.
    pub fn of_channels(&self) -> &[f32] {
        match self {
            Self::Channel(scales) => scales,
            Self::Tensor(_) | Self::Block { .. } => &[],
        }
    }

    /// Where they lie on a tensor of `layout`.
    pub fn on<'a>(&'a self, layout: &Layout) -> PlacedScales<'a> {
        PlacedScales {
            scales: self,
            out_axis: layout.out_axis,
            inner: layout.inner.max(1),
            out_run: layout.out_run.max(1),
            width: layout.channels * layout.inner,
            zero_points: &[],
        }
    }
}

/// The scale of a weight, and the code of 0 where that is not 0's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedScale {
    /// Distance of two grid points.
    pub scale: f32,
    /// The code of 0; `None` on a symmetric grid.
    pub zero_point: Option<i8>,
}

impl PlacedScale {
    /// The grid of `base`'s bits with this scale and zero point.
    pub fn grid(self, base: Grid) -> Grid {
        Grid {
            step: self.scale,
            zero_point: self.zero_point,
            ..base
        }
    }

    /// The number that a code stands for, as `DequantizeLinear` computes it.
    pub fn value(self, code: i8) -> f32 {
        (i32::from(code) - self.zero_point.map_or(0, i32::from)) as f32 * self.scale
    }
}

/// Blocks of `size` that cover `length` weights.
pub(super) fn blocks(length: usize, size: usize) -> usize {
    length.div_ceil(size.max(1))
}

/// The scale at each place of a tensor.
#[derive(Clone, Copy)]
pub struct PlacedScales<'a> {
    scales: &'a Scales,
    out_axis: OutAxis,
    inner: usize,
    out_run: usize,
    /// Weights in a row of the layout.
    width: usize,
    /// One for each scale, or none.
    zero_points: &'a [i8],
}

impl<'a> PlacedScales<'a> {
    /// The same with zero points: one for each scale, in their order, or none.
    #[must_use]
    pub fn with_zero_points(self, zero_points: &'a [i8]) -> Self {
        Self { zero_points, ..self }
    }

    /// The scale of a whole row (rows of all groups counted through), if it has one.
    pub fn of_row(&self, row: usize) -> Option<PlacedScale> {
        match (self.scales, self.out_axis) {
            (Scales::Tensor(_), _) => Some(self.numbered(0)),
            (Scales::Channel(scales), OutAxis::Outer) if row < scales.len() => Some(self.numbered(row)),
            _ => None,
        }
    }

    /// The scale of the tensor, if there is one for all.
    pub fn of_tensor(&self) -> Option<PlacedScale> {
        match self.scales {
            Scales::Tensor(_) => Some(self.numbered(0)),
            Scales::Channel(_) | Scales::Block { .. } => None,
        }
    }

    /// The scale of element `place` of row `row`.
    pub fn at(&self, row: usize, place: usize) -> f32 {
        self.scales.values()[self.number(row, place)]
    }

    /// The scale of element `place` of row `row`, with its zero point.
    pub fn both_at(&self, row: usize, place: usize) -> PlacedScale {
        self.numbered(self.number(row, place))
    }

    fn numbered(&self, number: usize) -> PlacedScale {
        PlacedScale {
            scale: self.scales.values()[number],
            zero_point: self.zero_points.get(number).copied(),
        }
    }

    /// Which of the scales belongs to element `place` of row `row`.
    pub(super) fn number(&self, row: usize, place: usize) -> usize {
        match (self.scales, self.out_axis) {
            (Scales::Tensor(_), _) => 0,
            (Scales::Channel(_), OutAxis::Outer) => row,
            (Scales::Channel(_), OutAxis::Inner) => place % self.inner / self.out_run,
            (Scales::Block { size, .. }, OutAxis::Outer) => row * blocks(self.width, *size) + place / size,
            (Scales::Block { size, .. }, OutAxis::Inner) => {
                let lines = self.width / self.inner;
                let block = row * blocks(lines, *size) + place / self.inner / size;
                block * self.inner + place % self.inner
            }
        }
    }

    /// The parts of column `column` of row `row` that have one scale, counted in input channels, with that scale: for layouts
    /// whose output channels are columns.
    pub fn of_column(&self, row: usize, column: usize) -> impl Iterator<Item = (Range<usize>, PlacedScale)> + '_ {
        let lines = self.width / self.inner;
        let length = match self.scales {
            Scales::Block { size, .. } => *size,
            Scales::Tensor(_) | Scales::Channel(_) => lines,
        };
        (0..lines).step_by(length.max(1)).map(move |start| {
            let scale = self.both_at(row, start * self.inner + column);
            (start..(start + length).min(lines), scale)
        })
    }

    /// The parts of a row that have one scale, in order, with that scale.
    pub fn runs(&self, row: usize) -> impl Iterator<Item = (Range<usize>, PlacedScale)> + '_ {
        let length = match (self.scales, self.out_axis) {
            (Scales::Tensor(_), _) | (Scales::Channel(_), OutAxis::Outer) => self.width,
            (Scales::Block { size, .. }, OutAxis::Outer) => *size,
            (_, OutAxis::Inner) => 1,
        };
        let width = self.width;
        (0..width)
            .step_by(length.max(1))
            .map(move |start| (start..(start + length).min(width), self.both_at(row, start)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTER: Layout = Layout {
        groups: 2,
        outer: 2,
        channels: 5,
        inner: 4,
        out_axis: OutAxis::Outer,
        out_run: 1,
    };
    const INNER: Layout = Layout {
        groups: 1,
        outer: 1,
        channels: 40,
        inner: 3,
        out_axis: OutAxis::Inner,
        out_run: 1,
    };

    #[test]
    fn names_are_read_as_they_are_written() {
        for scales in Granularity::CHOICES {
            assert_eq!(scales.to_string().parse(), Ok(scales));
        }
        assert!("block:17".parse::<Granularity>().is_err() && "blocks".parse::<Granularity>().is_err());
    }

    #[test]
    fn a_block_lies_along_the_inputs_of_one_output_channel() {
        // Four rows of 20 weights: blocks of 16 and 4.
        let values = (0..8).map(|i| i as f32).collect();
        let scales = Scales::Block { size: 16, values };
        let placed = scales.on(&OUTER);
        assert_eq!(
            (placed.at(0, 15), placed.at(0, 16), placed.at(3, 0), placed.at(3, 19)),
            (0.0, 1.0, 6.0, 7.0)
        );
        let runs: Vec<_> = placed.runs(1).map(|(range, placed)| (range, placed.scale)).collect();
        assert_eq!(runs, [(0..16, 2.0), (16..20, 3.0)]);
        // W[I, O]: 40 inputs in blocks of 16, three output channels.
        let values = (0..9).map(|i| i as f32).collect();
        let scales = Scales::Block { size: 16, values };
        let placed = scales.on(&INNER);
        assert_eq!(
            (
                placed.at(0, 0),
                placed.at(0, 15 * 3 + 2),
                placed.at(0, 16 * 3),
                placed.at(0, 39 * 3 + 1)
            ),
            (0.0, 2.0, 3.0, 7.0)
        );
    }

    #[test]
    fn runs_cover_a_row_with_the_scale_of_each_place() {
        let of = |scales: &Scales, layout: &Layout| {
            let placed = scales.on(layout);
            for row in 0..layout.groups * layout.outer {
                let mut next = 0;
                for (range, scale) in placed.runs(row) {
                    assert_eq!(range.start, next);
                    next = range.end;
                    assert!(range.into_iter().all(|place| placed.at(row, place) == scale.scale));
                }
                assert_eq!(next, layout.channels * layout.inner);
            }
        };
        let count = |n: usize| (0..n).map(|i| i as f32).collect::<Vec<_>>();
        for layout in [OUTER, INNER] {
            of(&Scales::Tensor(0.5), &layout);
            of(&Scales::Channel(count(layout.out_channels())), &layout);
            of(
                &Scales::Block {
                    size: 16,
                    values: count(16),
                },
                &layout,
            );
        }
    }
}
