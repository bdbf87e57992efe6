//! Rounded copies of a channel added up again: they lie on one grid, so their sum is one code of it, only wider.
//!
//! With the quantization-aware split the sum is what the unsplit weight rounds to (Hermite's identity), unless a copy was
//! clamped. One channel with that code is exactly the split network: nothing is copied when it runs, and no weight is added.
//! The multiplier must take the wider code.

use super::SplitExport;
use crate::network::{Layer, Layout, Network};
use crate::quantization::storage::CodeType;
use crate::quantization::{Bits, Grid, LayerPlan, Outcome, PlacedScale, Plan, QuantizedLayer, Scales};
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

/// Why the copies of a split layer are not merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::quantization) enum NotMerged {
    #[error("its weights are float")]
    Float,
    #[error("its scales are in blocks, and the copies lie in different ones")]
    Blocks,
    #[error("its activations are split too")]
    Activations,
    /// The sum of the codes of copies.
    #[error("a merged code is {0}, and the exported tensor has 8 bits a code")]
    WideCode(i32),
    /// How many values the codes of a scale take up.
    #[error("the merged codes of one scale have {0} values, and the exported tensor has 8 bits a code")]
    WideScale(i32),
    #[error("a merged code is out of its range")]
    OutOfRange,
    /// Dearer than the copies, where the recipe wants the cheapest way.
    #[error("merged codes of {bits} bits would be stored as {together}, not as {apart}")]
    Dearer {
        bits: u8,
        together: &'static str,
        apart: &'static str,
    },
}

/// A plan with the splits of some layers merged.
pub(in crate::quantization) struct Merging<'a> {
    /// The plan that is carried out: merged layers have wider codes and no splits.
    pub(in crate::quantization) plan: Cow<'a, Plan>,
    /// For each merged layer, the bits of its widest code.
    bits: HashMap<usize, u8>,
    refused: HashMap<usize, NotMerged>,
}

impl<'a> Merging<'a> {
    /// What `plan` asks for on `network`; nothing is merged unless its recipe says so.
    pub(in crate::quantization) fn of(network: &Network, plan: &'a Plan) -> Self {
        let mut merging = Self {
            plan: Cow::Borrowed(plan),
            bits: HashMap::new(),
            refused: HashMap::new(),
        };
        if !matches!(plan.recipe.split_export, SplitExport::Merge | SplitExport::Auto) {
            return merging;
        }
        for (index, (layer, planned)) in network.layers.iter().zip(&plan.layers).enumerate() {
            if let Outcome::Expanded(float) = &planned.outcome
                && !float.splits.is_empty()
            {
                merging.refused.insert(index, NotMerged::Float);
            }
            let Some(quantized) = planned.quantized().filter(|quantized| !quantized.splits.is_empty()) else {
                continue;
            };
            let whole = merged(layer, quantized).and_then(|whole| fitting(layer, quantized, whole, plan));
            match whole {
                Ok(whole) => {
                    merging.bits.insert(index, whole.grid.bits);
                    merging.plan.to_mut().layers[index] = LayerPlan {
                        outcome: Outcome::Quantized(Arc::new(whole)),
                        ..planned.clone()
                    };
                }
                Err(why) => {
                    log::info!("{}: its copies are not merged: {why}", layer.name);
                    merging.refused.insert(index, why);
                }
            }
        }
        merging
    }

    /// Bits of the widest code of layer `index`, if its copies are merged.
    pub(in crate::quantization) fn bits(&self, index: usize) -> Option<u8> {
        self.bits.get(&index).copied()
    }

    /// Why the copies of layer `index` are not merged though the recipe would have them merged.
    pub(in crate::quantization) fn why_not(&self, index: usize) -> Option<&NotMerged> {
        self.refused.get(&index)
    }
}

/// `whole`, the merged form of `quantized`, unless the recipe wants the cheapest way and its wider codes would need a larger type.
fn fitting(
    layer: &Layer,
    quantized: &QuantizedLayer,
    whole: QuantizedLayer,
    plan: &Plan,
) -> Result<QuantizedLayer, NotMerged> {
    let stored = |quantized: &QuantizedLayer| CodeType::of(plan.recipe.storage, layer, quantized);
    let (apart, together) = (stored(quantized), stored(&whole));
    if plan.recipe.split_export == SplitExport::Auto && together > apart {
        let (bits, together, apart) = (whole.grid.bits, together.name(), apart.name());
        return Err(NotMerged::Dearer { bits, together, apart });
    }
    Ok(whole)
}

/// `quantized` with one channel in place of the copies of each, its code their sum.
fn merged(layer: &Layer, quantized: &QuantizedLayer) -> Result<QuantizedLayer, NotMerged> {
    if matches!(quantized.scales, Scales::Block { .. }) {
        return Err(NotMerged::Blocks);
    }
    if !quantized.activation_splits.is_empty() {
        return Err(NotMerged::Activations);
    }
    if !quantized.zero_points.is_empty() {
        return merged_with_zero_points(layer, quantized);
    }
    let sums = summed(&quantized.values, quantized, &layer.layout);
    let widest = sums
        .iter()
        .copied()
        .fold((0, 0), |(low, high), code| (low.min(code), high.max(code)));
    let values = sums
        .iter()
        .map(|code| i8::try_from(*code).map_err(|_| NotMerged::WideCode(*code)));
    Ok(QuantizedLayer {
        values: values.collect::<Result<Vec<i8>, _>>()?.into(),
        grid: Grid {
            bits: bits(widest).max(quantized.grid.bits),
            ..quantized.grid
        },
        layout: layer.layout,
        index: (0..layer.layout.in_channels()).collect(),
        splits: Vec::new(),
        ..quantized.clone()
    })
}

/// [`merged`] on a grid with zero points: each scale gets a zero point of its own again, so that the sums of its weights fit.
fn merged_with_zero_points(layer: &Layer, quantized: &QuantizedLayer) -> Result<QuantizedLayer, NotMerged> {
    let layout = layer.layout;
    let placed = quantized.scales.on(&layout);
    let row = (layout.channels * layout.inner).max(1);
    // How far the codes of all copies lie from that of 0.
    let copies_placed = quantized.placed();
    let wide_row = (quantized.layout.channels * layout.inner).max(1);
    let off_zero: Vec<i32> = (quantized.values.iter().enumerate())
        .map(|(at, code)| i32::from(*code) - zero_of(copies_placed.both_at(at / wide_row, at % wide_row)))
        .collect();
    let sums = summed(&off_zero, quantized, &layout);
    let mut ends = vec![(0_i32, 0_i32); quantized.zero_points.len()];
    for (at, sum) in sums.iter().enumerate() {
        let (low, high) = &mut ends[placed.number(at / row, at % row)];
        (*low, *high) = ((*low).min(*sum), (*high).max(*sum));
    }
    let values_of = |(low, high): &(i32, i32)| high - low + 1;
    let most = ends.iter().map(values_of).max().unwrap_or(1);
    let bits = (1..=i32::BITS as u8 - 1)
        .find(|bits| (1_i64 << bits) >= i64::from(most))
        .unwrap_or(u8::MAX)
        .max(quantized.grid.bits);
    if bits > Bits::MAX {
        return Err(NotMerged::WideScale(most));
    }
    let least = -(1_i32 << (bits - 1));
    // The zero point that there was, as near as the sums allow.
    let highest = (1_i32 << (bits - 1)) - 1;
    let zero_point = |(old, (low, high)): (&i8, &(i32, i32))| i32::from(*old).clamp(least - low, highest - high);
    let zeros: Vec<i32> = quantized.zero_points.iter().zip(&ends).map(zero_point).collect();
    let narrow = |code: i32| i8::try_from(code).map_err(|_| NotMerged::OutOfRange);
    let values = (sums.iter().enumerate()).map(|(at, sum)| narrow(sum + zeros[placed.number(at / row, at % row)]));
    let values = values.collect::<Result<Vec<i8>, _>>()?.into();
    let zero_points: Vec<i8> = zeros.iter().map(|zero| narrow(*zero)).collect::<Result<_, _>>()?;
    Ok(QuantizedLayer {
        values,
        grid: Grid {
            bits,
            zero_point: zero_points.first().copied(),
            ..quantized.grid
        },
        zero_points,
        layout,
        index: (0..layout.in_channels()).collect(),
        splits: Vec::new(),
        ..quantized.clone()
    })
}

fn zero_of(scale: PlacedScale) -> i32 {
    scale.zero_point.map_or(0, i32::from)
}

/// The codes of each channel of `layout`, those of its copies added up.
fn summed<T: Copy + Into<i32>>(codes: &[T], quantized: &QuantizedLayer, layout: &Layout) -> Vec<i32> {
    let inner = layout.inner;
    let (row, wide_row) = (layout.channels * inner, quantized.layout.channels * inner);
    let mut sums = vec![0_i32; layout.elements()];
    if row == 0 || wide_row == 0 {
        return sums;
    }
    for (number, (to, from)) in sums.chunks_mut(row).zip(codes.chunks(wide_row)).enumerate() {
        let group = number / layout.outer.max(1);
        let sources = &quantized.index[group * quantized.layout.channels..][..quantized.layout.channels];
        for (copy, source) in sources.iter().enumerate() {
            let channel = source - group * layout.channels;
            let codes = &from[copy * inner..][..inner];
            for (sum, code) in to[channel * inner..][..inner].iter_mut().zip(codes) {
                *sum += (*code).into();
            }
        }
    }
    sums
}

/// The least bits of a signed integer that holds both.
fn bits((low, high): (i32, i32)) -> u8 {
    let of = |magnitude: i32| (33 - magnitude.leading_zeros()) as u8;
    // In two's complement -n takes the bits of n - 1.
    of(high).max(if low < 0 { of(!low) } else { 1 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;
    use crate::quantization::{WeightSettings, plan_layer};

    #[test]
    fn bits_are_those_of_two_s_complement() {
        assert_eq!(bits((0, 0)), 1);
        assert_eq!((bits((-1, 1)), bits((-2, 1)), bits((-2, 2))), (2, 2, 3));
        assert_eq!(
            (bits((-8, 7)), bits((-9, 7)), bits((0, 127)), bits((-128, 0))),
            (4, 5, 8, 8)
        );
    }

    /// Away from the ends of the grid, the merged code of the quantization-aware split is what the weight rounds to.
    #[test]
    fn merged_codes_are_the_rounded_weights() {
        for (groups, out_axis) in [(1, OutAxis::Outer), (2, OutAxis::Outer), (1, OutAxis::Inner)] {
            let layout = Layout {
                groups,
                outer: if out_axis == OutAxis::Inner { 1 } else { 5 },
                channels: 12,
                inner: 3,
                out_axis,
                out_run: 1,
            };
            let values: Vec<f32> = (0..layout.elements())
                .map(|i| {
                    let outlier = i / layout.inner % layout.channels == 5;
                    ((i as f32 * 0.618_034).fract() - 0.5).powi(3) * if outlier { 1.9 } else { 1.0 }
                })
                .collect();
            let settings = WeightSettings {
                bits: Bits::Grid(4),
                expand_ratio: 0.25,
                ..WeightSettings::default()
            };
            let planned = plan_layer(&values, &layout, &settings);
            let sums = summed(&planned.values, &planned, &layout);
            assert_eq!(sums.len(), values.len());
            let step = planned.grid.step;
            let mut wider = 0;
            for (sum, x) in sums.iter().zip(&values) {
                let rounded = (x / step + 0.5).floor() as i32;
                // A half that is a quarter step beyond the end is clamped: at most one step is lost.
                assert!(
                    (sum - rounded).abs() <= i32::from(rounded.abs() >= 7),
                    "{sum} {rounded}"
                );
                wider += i32::from(sum.abs() > 7);
            }
            assert!(wider > 0, "some code needs the fifth bit");
        }
    }
}
