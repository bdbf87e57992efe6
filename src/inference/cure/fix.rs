//! What can be done about one layer: changes of its own settings, each of which is run before it is proposed.

use crate::network::{Layer, Support};
use crate::quantization::{Bits, Clip, Granularity, LayerRecipe, LayerSettings, Rounding, WeightSettings, split_count};
use serde::Serialize;
use std::fmt;

/// A change of one layer's settings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "fix", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Fix {
    /// More input channels are split.
    Split {
        /// Splits in each group.
        splits: usize,
        /// The expand ratio that gives them.
        expand_ratio: f64,
    },
    /// Each output channel gets a scale of its own.
    ChannelScales,
    /// Weights are rounded by SQuant.
    Squant,
    /// Another clip threshold.
    Clip {
        /// How it is chosen.
        clip: Clip,
    },
    /// More bits for the weights.
    MoreBits {
        /// How many they then have.
        bits: u8,
    },
    /// The whole layer stays float.
    KeepFloat,
    /// Another threshold for the input.
    InputClip {
        /// How it is chosen.
        clip: Clip,
    },
    /// More bits for the input.
    InputBits {
        /// How many it then has.
        bits: u8,
    },
    /// Channels of the input are split.
    InputSplit {
        /// Splits in each group.
        splits: usize,
        /// The expand ratio that gives them.
        expand_ratio: f64,
    },
    /// The input stays float.
    InputFloat,
}

/// Shares of the input channels that are tried as splits.
const RATIOS: [f64; 3] = [0.02, 0.05, 0.1];
/// Share of the input's channels that is tried as splits of it.
const INPUT_RATIO: f64 = 0.05;
/// An outlier channel is split until it is no wider than the rest, if that takes no more than this share of the channels.
const MAX_RATIO: f64 = 0.5;

impl Fix {
    /// All that would change something, each by itself or two that belong together, in a layer under `settings`; `halvings` is how often its outlier channels must be split
    /// until they are as wide as the others, 0 where there are none.
    pub(super) fn candidates(layer: &Layer, settings: &LayerSettings, halvings: usize) -> Vec<Vec<Self>> {
        let (weights, input) = (settings.weights, settings.input);
        let Some(bits) = weights.bits.grid() else {
            return Vec::new();
        };
        let mut fixes: Vec<Vec<Self>> = Vec::new();
        let mut add = |fix: Self| fixes.push(vec![fix]);
        splits(layer, &weights, halvings).into_iter().for_each(&mut add);
        let channels = weights.scales == Granularity::Tensor && layer.takes_scales_per_channel();
        let squant = weights.rounding == Rounding::Nearest;
        if channels {
            add(Self::ChannelScales);
        }
        if squant {
            add(Self::Squant);
        }
        let clips = [Clip::None, Clip::Mse].into_iter().filter(|clip| *clip != weights.clip);
        clips.for_each(|clip| add(Self::Clip { clip }));
        if bits < Bits::MAX {
            add(Self::MoreBits { bits: bits + 1 });
        }
        // Where one more bit is stored in 8, all of them can be used.
        if (5..Bits::MAX).contains(&(bits + 1)) {
            add(Self::MoreBits { bits: Bits::MAX });
        }
        if let Some(bits) = input.bits.grid() {
            let clips = [Clip::None, Clip::Mse].into_iter().filter(|clip| *clip != input.clip);
            clips.for_each(|clip| add(Self::InputClip { clip }));
            if bits < Bits::MAX {
                add(Self::InputBits { bits: bits + 1 });
            }
            if bits + 1 < Bits::MAX {
                add(Self::InputBits { bits: Bits::MAX });
            }
            let by_block = matches!(weights.scales, Granularity::Block(_));
            if layer.support == Support::Split && !by_block && input.expand_ratio < INPUT_RATIO {
                let splits = split_count(&layer.layout, INPUT_RATIO);
                add(Self::InputSplit {
                    splits,
                    expand_ratio: INPUT_RATIO,
                });
            }
            add(Self::InputFloat);
        }
        add(Self::KeepFloat);
        if channels && squant {
            fixes.push(vec![Self::ChannelScales, Self::Squant]);
        }
        fixes
    }

    /// What is tried on top of `base`, where that does not mend the layer.
    pub(super) fn further(base: &[Self], layer: &Layer, settings: &LayerSettings) -> Vec<Vec<Self>> {
        let weights = settings.weights;
        let mut more: Vec<Self> = Vec::new();
        if let Some(bits) = weights.bits.grid() {
            let bits = [bits + 1, bits + 2].into_iter().filter(|bits| *bits <= Bits::MAX);
            more.extend(bits.map(|bits| Self::MoreBits { bits }));
        }
        more.extend(splits(layer, &weights, 0).into_iter().next());
        if weights.clip != Clip::Mse {
            more.push(Self::Clip { clip: Clip::Mse });
        }
        let other = |fix: &Self| {
            base.iter()
                .all(|of| std::mem::discriminant(of) != std::mem::discriminant(fix))
        };
        let more = more.into_iter().filter(other);
        more.map(|fix| [base, &[fix]].concat()).collect()
    }

    /// Whether it takes a part of the layer off its grid, which is the last resort.
    pub fn leaves_float(self) -> bool {
        matches!(self, Self::KeepFloat | Self::InputFloat)
    }

    /// Writes the change into a layer's exceptions.
    pub fn apply(self, own: &mut LayerRecipe) {
        match self {
            Self::Split { expand_ratio, .. } => own.expand_ratio = Some(expand_ratio),
            Self::ChannelScales => own.scales = Some(Granularity::Channel),
            Self::Squant => own.rounding = Some(Rounding::Squant),
            Self::Clip { clip } => own.clip = Some(clip),
            Self::MoreBits { bits } => own.weight_bits = Some(Bits::Grid(bits)),
            // A float layer can be split, and its input be on a grid: neither is wanted here.
            Self::KeepFloat => {
                own.float = Some(true);
                (own.expand_ratio, own.activation_bits) = (Some(0.0), Some(Bits::Float));
            }
            Self::InputClip { clip } => own.activation_clip = Some(clip),
            Self::InputBits { bits } => own.activation_bits = Some(Bits::Grid(bits)),
            Self::InputSplit { expand_ratio, .. } => own.activation_expand_ratio = Some(expand_ratio),
            Self::InputFloat => own.activation_bits = Some(Bits::Float),
        }
    }
}

/// Splits that are tried: a few shares of the channels, and as many as bring outlier channels down to the others.
fn splits(layer: &Layer, weights: &WeightSettings, halvings: usize) -> Vec<Fix> {
    let channels = layer.layout.channels;
    if layer.support != Support::Split || channels == 0 {
        return Vec::new();
    }
    let now = split_count(&layer.layout, weights.expand_ratio);
    let most = ((channels as f64 * MAX_RATIO) as usize).max(1);
    let mut counts: Vec<usize> = RATIOS.iter().map(|ratio| split_count(&layer.layout, *ratio)).collect();
    counts.push(halvings.min(most));
    counts.retain(|count| *count > now);
    counts.sort_unstable();
    counts.dedup();
    let fix = |splits: usize| Fix::Split {
        splits,
        expand_ratio: splits as f64 / channels as f64,
    };
    counts.into_iter().map(fix).collect()
}

/// What is done, as a person says it.
impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = |splits: usize| if splits == 1 { "channel" } else { "channels" };
        match self {
            Self::Split { splits, .. } => write!(f, "split {splits} {}", channels(*splits)),
            Self::ChannelScales => f.write_str("per-channel scales"),
            Self::Squant => f.write_str("SQuant"),
            Self::Clip { clip: Clip::None } => f.write_str("no clipping"),
            Self::Clip { clip } => write!(f, "clip {}", clip.label()),
            Self::MoreBits { bits } => write!(f, "{bits}-bit weights"),
            Self::KeepFloat => f.write_str("keep float"),
            Self::InputClip { clip: Clip::None } => f.write_str("no clipping of the input"),
            Self::InputClip { clip } => write!(f, "clip the input, {}", clip.label()),
            Self::InputBits { bits } => write!(f, "{bits}-bit input"),
            Self::InputSplit { splits, .. } => write!(f, "split {splits} {} of the input", channels(*splits)),
            Self::InputFloat => f.write_str("float input"),
        }
    }
}
