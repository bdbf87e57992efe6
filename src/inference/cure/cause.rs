//! Why a layer loses much: named causes, told from its weights, its grid, its input and its place in the network.

use crate::network::{Layer, Layout, Network};
use crate::onnx::Graph;
use crate::onnx::operators::{Channels, operator_of};
use crate::quantization::{Granularity, LayerPlan, QuantizedLayer};
use crate::statistics::{ActivationStatistics, TensorStatistics, tensor_statistics};
use serde::Serialize;
use std::fmt;

/// An input channel stands out if the largest of the others is less than half as large.
const MIN_GAP: f64 = 2.0;
/// At most this share of the channels can be "a few that stand out".
const MAX_OUTLYING: f64 = 0.05;
/// Output channels are unequal if the largest range is so many times the median one, and the root mean square too: a channel with
/// one large weight is as narrow as the others otherwise.
const MIN_UNEQUAL: f64 = 4.0;
const MIN_UNEQUAL_RMS: f64 = 2.5;
/// A tail is wide from so many standard deviations on: a Gaussian of a million weights reaches 5.
const MIN_SIGMA: f64 = 8.0;
/// First and last layers are named by their place from here on.
const MIN_SIGMA_AT_END: f64 = 5.0;
/// An input is wide from so many times its root mean square on: half a Gaussian, as behind a ReLU, reaches 7.
const MIN_INPUT_RATIO: f64 = 8.0;
/// A grid is dead if so large a share of the weights lies on three of its values.
const MIN_DEAD: f64 = 0.99;
/// An input's grid is the cause if it makes more than half of the layer's noise, and worth a word from a fifth on.
const MAIN_SHARE: f64 = 0.5;
const SOME_SHARE: f64 = 0.2;

/// Which end of the network a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkEnd {
    /// The first layer that computes.
    First,
    /// The last one, mostly the classifier.
    Last,
}

/// Why quantizing a layer costs much. Ratios and shares are plain numbers (0.99 is 99 %).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Cause {
    /// A few input channels hold much larger weights than all others and stretch the grid for them.
    OutlierChannel {
        /// The channels, the largest first.
        channels: Vec<usize>,
        /// Largest |w| of the first of them over that of the largest other channel.
        ratio: f64,
    },
    /// Output channels have very different ranges but one scale.
    UnequalChannels {
        /// Largest range over the median one.
        ratio: f64,
        /// Each channel is convolved by itself: there is nothing to split.
        depthwise: bool,
    },
    /// Nearly all weights lie on three values of the grid.
    DeadGrid {
        /// Their share.
        share: f64,
        /// Values that the grid has.
        values: usize,
    },
    /// The weights reach far beyond their standard deviation, in many channels.
    WideTail {
        /// Largest |w| in standard deviations (of an output channel, where each has its own scale).
        sigma: f64,
    },
    /// The first or the last layer, with a wide range: few weights that everything goes through.
    WideEnd {
        /// Which.
        end: NetworkEnd,
        /// Largest |w| in standard deviations.
        sigma: f64,
    },
    /// The clip threshold cuts off more than rounding loses.
    ClippedWeights {
        /// Share of the mean squared error that comes from clipped weights.
        share: f64,
    },
    /// The threshold of the input's grid cuts off more than rounding loses.
    SaturatedActivations {
        /// Share of the input's values that are cut off.
        share: f64,
        /// The threshold.
        threshold: f32,
        /// Largest |x| seen.
        max: f32,
    },
    /// A few channels of the input are much larger than all others and stretch its grid.
    OutlierActivations {
        /// The channels, the largest first.
        channels: Vec<usize>,
        /// Largest |x| of the first of them over that of the largest other channel.
        ratio: f64,
    },
    /// The input is the sum of two branches, whose ranges add up.
    ResidualSum {
        /// The value that the sum makes.
        value: String,
    },
    /// The input reaches far beyond its usual size.
    WideActivations {
        /// Largest |x| over the root mean square.
        ratio: f64,
    },
    /// Nothing stands out in the input: its grid has too few values.
    TooFewInputBits {
        /// Bits of the input.
        bits: u8,
    },
    /// Nothing stands out: the grid has too few values for this layer.
    TooFewBits {
        /// Bits of the weights.
        bits: u8,
    },
}

impl Cause {
    /// The name of the cause, a few words.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutlierChannel { channels, .. } if channels.len() == 1 => "one outlier channel",
            Self::OutlierChannel { .. } => "outlier channels",
            Self::UnequalChannels { depthwise: true, .. } => "depthwise layer with unequal channels",
            Self::UnequalChannels { .. } => "unequal output channels",
            Self::DeadGrid { .. } => "dead grid",
            Self::WideTail { .. } => "wide tail",
            Self::WideEnd {
                end: NetworkEnd::First, ..
            } => "wide first layer",
            Self::WideEnd { .. } => "wide last layer",
            Self::ClippedWeights { .. } => "clipped weights",
            Self::SaturatedActivations { .. } => "saturated activations",
            Self::OutlierActivations { .. } => "outlier channels in the input",
            Self::ResidualSum { .. } => "residual sum",
            Self::WideActivations { .. } => "wide activations",
            Self::TooFewInputBits { .. } => "too few bits for the input",
            Self::TooFewBits { .. } => "too few bits",
        }
    }
}

/// A sentence with the numbers.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutlierChannel { channels, ratio } => write!(
                f,
                "{} {} weights up to {ratio:.1} times as large as all other input channels.",
                channel_list("Input", channels),
                if channels.len() == 1 { "holds" } else { "hold" },
            ),
            Self::UnequalChannels { ratio, depthwise } => write!(
                f,
                "The widest output channel reaches {ratio:.1} times as far as the median one, and all share one scale{}.",
                if *depthwise {
                    "; in a depthwise layer there is nothing to split"
                } else {
                    ""
                }
            ),
            Self::DeadGrid { share, values } => write!(
                f,
                "{:.1} % of the weights share 3 of the grid's {values} values.",
                share * 100.0
            ),
            Self::WideTail { sigma } => write!(
                f,
                "The largest weight is {sigma:.1} σ out, with many others on the way."
            ),
            Self::WideEnd { end, sigma } => write!(
                f,
                "The {} layer reaches {sigma:.1} σ, and everything goes through its few weights.",
                match end {
                    NetworkEnd::First => "first",
                    NetworkEnd::Last => "last",
                }
            ),
            Self::ClippedWeights { share } => {
                write!(
                    f,
                    "{:.0} % of the squared error comes from clipped weights.",
                    share * 100.0
                )
            }
            Self::SaturatedActivations { share, threshold, max } => write!(
                f,
                "{:.2} % of the input's values lie beyond the threshold {threshold:.3} (largest {max:.3}) and are cut off.",
                share * 100.0
            ),
            Self::OutlierActivations { channels, ratio } => write!(
                f,
                "{} of the input {} up to {ratio:.1} times as large as all others.",
                channel_list("Channel", channels),
                if channels.len() == 1 { "is" } else { "are" },
            ),
            Self::ResidualSum { value } => write!(
                f,
                "The input is the residual sum '{value}': the ranges of both branches add up on one grid."
            ),
            Self::WideActivations { ratio } => write!(
                f,
                "The input's largest value is {ratio:.1} times its root mean square, which stretches its grid."
            ),
            Self::TooFewInputBits { bits } => write!(
                f,
                "The input's grid makes most of the error: {bits} bits are too few for it."
            ),
            Self::TooFewBits { bits } => write!(f, "No outlier stands out: {bits} bits are too few for this layer."),
        }
    }
}

/// `Input channel 37`, `Input channels 37, 12`.
fn channel_list(before: &str, channels: &[usize]) -> String {
    const SHOWN: usize = 3;
    let shown: Vec<String> = channels.iter().take(SHOWN).map(usize::to_string).collect();
    let more = if channels.len() > SHOWN {
        format!(" and {} more", channels.len() - SHOWN)
    } else {
        String::new()
    };
    let (noun, plural) = match before {
        "Channel" => (String::new(), if channels.len() == 1 { "Channel" } else { "Channels" }),
        before => (
            format!("{before} "),
            if channels.len() == 1 { "channel" } else { "channels" },
        ),
    };
    format!("{noun}{plural} {}{more}", shown.join(", "))
}

/// What is known of a quantized layer when its causes are looked for.
pub(super) struct Evidence<'a> {
    pub(super) network: &'a Network,
    pub(super) layer: usize,
    pub(super) planned: &'a LayerPlan,
    pub(super) quantized: &'a QuantizedLayer,
    pub(super) weights: &'a [f32],
    /// What was seen of the input, if that is known.
    pub(super) seen: Option<&'a ActivationStatistics>,
    /// Share of the layer's noise in the outputs that its input's grid makes, 0 to 1.
    pub(super) input_share: f64,
}

impl Evidence<'_> {
    fn layer(&self) -> &Layer {
        &self.network.layers[self.layer]
    }

    /// The causes, the main one first; never empty.
    pub(super) fn causes(&self) -> Vec<Cause> {
        let (weights, input) = (self.of_weights(), self.of_input());
        let mut causes = if self.input_share > MAIN_SHARE {
            [input, weights].concat()
        } else if self.input_share > SOME_SHARE {
            [weights, input].concat()
        } else {
            weights
        };
        if causes.is_empty() {
            let bits = self.quantized.grid.bits;
            causes.push(Cause::TooFewBits { bits });
        }
        causes
    }

    /// Share of the codes that are -1, 0 or 1.
    pub(super) fn share_of_three(&self) -> f64 {
        let codes = &self.quantized.values;
        let few = codes.iter().filter(|code| code.unsigned_abs() <= 1).count();
        few as f64 / codes.len().max(1) as f64
    }

    fn of_weights(&self) -> Vec<Cause> {
        let (layer, quantized) = (self.layer(), self.quantized);
        let layout = layer.layout;
        let mut causes = Vec::new();
        let share = if quantized.mse > 0.0 {
            quantized.clip_mse / quantized.mse
        } else {
            0.0
        };
        if share > MAIN_SHARE {
            causes.push(Cause::ClippedWeights { share });
        }
        let depthwise = layout.channels == 1 && layout.groups > 1;
        let statistics = tensor_statistics(self.weights, &layout);
        // What is clipped does not stretch the grid.
        let cut = |maxima: &[f32]| -> Vec<f32> { maxima.iter().map(|max| max.min(quantized.threshold)).collect() };
        if !depthwise && let Some((channels, ratio)) = outlying(&cut(&statistics.in_channel_max_abs)) {
            causes.push(Cause::OutlierChannel { channels, ratio });
        }
        let per_tensor = self.planned.settings.weights.scales == Granularity::Tensor;
        let rms = out_channel_rms(self.weights, &layout);
        let unequal = unequal(&cut(&statistics.out_channel_max_abs), &rms).filter(|_| per_tensor);
        let sigma = self.sigma(&statistics, &rms, per_tensor);
        let end = self.end();
        if let Some(end) = end
            && (sigma >= MIN_SIGMA_AT_END || unequal.is_some())
        {
            causes.push(Cause::WideEnd { end, sigma });
        }
        if let Some(ratio) = unequal {
            causes.push(Cause::UnequalChannels { ratio, depthwise });
        }
        let share = self.share_of_three();
        let bits = quantized.grid.bits;
        // At 2 bits the grid has no more than three values.
        if share >= MIN_DEAD && bits > 2 {
            let values = (1_usize << bits) - 1;
            causes.push(Cause::DeadGrid { share, values });
        }
        if sigma >= MIN_SIGMA && end.is_none() {
            causes.push(Cause::WideTail { sigma });
        }
        causes
    }

    /// How far the weights reach in standard deviations, as far as they are not clipped: of the tensor, or of the output channel
    /// that reaches farthest where each has its own scale.
    fn sigma(&self, statistics: &TensorStatistics, rms: &[f64], per_tensor: bool) -> f64 {
        if per_tensor {
            return statistics.farthest_in_sigma(self.quantized.threshold).unwrap_or(0.0);
        }
        let channels = statistics.out_channel_max_abs.iter().zip(rms);
        channels
            .map(|(max, rms)| ratio(f64::from(*max), *rms))
            .fold(0.0, f64::max)
    }

    fn end(&self) -> Option<NetworkEnd> {
        let layers = &self.network.layers;
        let can = |layer: &Layer| layer.support.can_quantize();
        match self.layer {
            at if layers.iter().position(can) == Some(at) => Some(NetworkEnd::First),
            at if layers.iter().rposition(can) == Some(at) => Some(NetworkEnd::Last),
            _ => None,
        }
    }

    fn of_input(&self) -> Vec<Cause> {
        let (Some(plan), Some(seen)) = (self.quantized.activation, self.seen) else {
            return Vec::new();
        };
        let mut causes = Vec::new();
        let (energy, share) = beyond(seen, plan.threshold);
        let step = f64::from(plan.grid.step);
        if energy > step * step / 12.0 {
            causes.push(Cause::SaturatedActivations {
                share,
                threshold: plan.threshold,
                max: seen.max_abs(),
            });
        }
        let maxima: Option<Vec<f32>> =
            (seen.channel_outliers()).map(|channels| channels.iter().map(|(_, max)| max.min(plan.threshold)).collect());
        if let Some((channels, ratio)) = maxima.and_then(|maxima| outlying(&maxima)) {
            causes.push(Cause::OutlierActivations { channels, ratio });
        }
        if let Some(value) = residual_sum(self.network, self.layer()) {
            causes.push(Cause::ResidualSum { value });
        }
        let wide = ratio(f64::from(seen.max_abs().min(plan.threshold)), root_mean_square(seen));
        if wide >= MIN_INPUT_RATIO {
            causes.push(Cause::WideActivations { ratio: wide });
        }
        if causes.is_empty() {
            let bits = plan.grid.bits;
            causes.push(Cause::TooFewInputBits { bits });
        }
        causes
    }
}

fn ratio(one: f64, other: f64) -> f64 {
    if other > 0.0 { one / other } else { 0.0 }
}

/// The few channels that are so much larger than all others, the largest first, and how many times.
///
/// Of all ways to cut off the largest channels, at most one in twenty, the one with the widest gap is taken.
fn outlying(maxima: &[f32]) -> Option<(Vec<usize>, f64)> {
    if maxima.len() < 3 {
        return None;
    }
    let mut order: Vec<usize> = (0..maxima.len()).collect();
    order.sort_by(|one, other| maxima[*other].total_cmp(&maxima[*one]));
    let of = |place: usize| f64::from(maxima[order[place]]);
    let most = ((maxima.len() as f64 * MAX_OUTLYING) as usize).clamp(1, maxima.len() - 1);
    let gaps = (1..=most).map(|count| (count, ratio(of(count - 1), of(count))));
    let (count, gap) = gaps.max_by(|one, other| one.1.total_cmp(&other.1))?;
    (gap >= MIN_GAP).then(|| (order[..count].to_vec(), ratio(of(0), of(count))))
}

/// The largest over the median range of output channels, if that and the root mean squares differ much; channels without weights
/// are left out.
fn unequal(maxima: &[f32], rms: &[f64]) -> Option<f64> {
    let maxima: Vec<f64> = maxima.iter().map(|max| f64::from(*max)).collect();
    let ranges = over_median(&maxima)?;
    (ranges >= MIN_UNEQUAL && over_median(rms)? >= MIN_UNEQUAL_RMS).then_some(ranges)
}

/// The largest over the median of the numbers above 0.
fn over_median(numbers: &[f64]) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.iter().copied().filter(|number| *number > 0.0).collect();
    numbers.sort_by(f64::total_cmp);
    Some(ratio(*numbers.last()?, *numbers.get(numbers.len() / 2)?))
}

/// Root mean square of each output channel.
fn out_channel_rms(weights: &[f32], layout: &Layout) -> Vec<f64> {
    let mut sums = vec![0.0_f64; layout.out_channels()];
    let row = (layout.channels * layout.inner).max(1);
    for (at, weight) in weights.iter().enumerate() {
        let channel = layout.out_channel(at / row, at % row);
        if let Some(sum) = sums.get_mut(channel) {
            *sum += f64::from(*weight) * f64::from(*weight);
        }
    }
    let count = weights.len() as f64 / sums.len().max(1) as f64;
    sums.iter().map(|sum| (sum / count.max(1.0)).sqrt()).collect()
}

/// Mean squared error of what lies beyond `threshold`, and its share of all values; from the histogram.
fn beyond(seen: &ActivationStatistics, threshold: f32) -> (f64, f64) {
    let (mut energy, mut count) = (0.0, 0.0);
    for (center, number) in centers(seen) {
        let over = center.abs() - f64::from(threshold);
        if over > 0.0 {
            energy += number * over * over;
            count += number;
        }
    }
    let all = (seen.count as f64).max(1.0);
    (energy / all, count / all)
}

fn root_mean_square(seen: &ActivationStatistics) -> f64 {
    let squares: f64 = centers(seen).map(|(center, number)| number * center * center).sum();
    (squares / (seen.count as f64).max(1.0)).sqrt()
}

/// The middle of each bin and the values in it.
fn centers(seen: &ActivationStatistics) -> impl Iterator<Item = (f64, f64)> {
    let (range, counts) = seen.bins();
    let (range, half) = (f64::from(range), counts.len() as f64 / 2.0);
    let center = move |bin: usize| (bin as f64 + 0.5 - half) / half * range;
    counts
        .iter()
        .enumerate()
        .map(move |(bin, count)| (center(bin), *count as f64))
}

/// The sum of two computed values that the layer reads, through operators that act element by element.
fn residual_sum(network: &Network, layer: &Layer) -> Option<String> {
    let is_main = layer.node.as_ref().is_some_and(|path| path.subgraphs.is_empty());
    let (input, _) = layer.input.as_ref().filter(|_| is_main)?;
    let graph = Graph::main(network.model.graph.as_ref()?);
    let mut value = input.as_str();
    // A graph has no circle, so that this ends.
    while let Some(node) = graph.maker_node(value) {
        match operator_of(node)?.channels {
            Channels::Binary => {
                let constant = |name: &&String| graph.constant(name).is_some();
                let computed: Vec<&String> = node.input.iter().filter(|name| !constant(name)).collect();
                match computed.as_slice() {
                    [_, _] => return (node.op_type() == "Add").then(|| value.to_owned()),
                    [one] => value = one,
                    _ => return None,
                }
            }
            Channels::Elementwise | Channels::Quantize | Channels::Normalize(_) => value = node.input.first()?,
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::OutAxis;

    #[test]
    fn a_few_channels_stand_out_by_the_widest_gap() {
        let mut maxima = vec![1.0_f32; 60];
        assert_eq!(outlying(&maxima), None);
        maxima[37] = 9.0;
        assert_eq!(outlying(&maxima), Some((vec![37], 9.0)));
        maxima[2] = 8.0;
        assert_eq!(outlying(&maxima), Some((vec![37, 2], 9.0)), "3 of 60 may");
        let many: Vec<f32> = (0..60).map(|at| if at < 10 { 9.0 } else { 1.0 }).collect();
        assert_eq!(outlying(&many), None, "ten are no exception");
        assert_eq!(outlying(&[9.0, 1.0]), None);
    }

    #[test]
    fn ranges_are_unequal_against_their_median() {
        let wide = [0.0, 0.3, 0.3, 0.3, 2.4];
        assert_eq!(unequal(&[0.0, 1.0, 1.0, 1.0, 3.9], &wide), None);
        assert_eq!(unequal(&[0.0, 1.0, 1.0, 1.0, 8.0], &wide), Some(8.0));
        let one_weight = [0.0, 0.3, 0.3, 0.3, 0.5];
        assert_eq!(unequal(&[0.0, 1.0, 1.0, 1.0, 8.0], &one_weight), None);
        assert_eq!(unequal(&[], &[]), None);
    }

    #[test]
    fn the_root_mean_square_of_a_row_is_that_of_its_output_channel() {
        let outer = Layout {
            groups: 1,
            outer: 2,
            channels: 2,
            inner: 1,
            out_axis: OutAxis::Outer,
            out_run: 1,
        };
        assert_eq!(out_channel_rms(&[3.0, 3.0, 1.0, 1.0], &outer), [3.0, 1.0]);
        let inner = Layout {
            groups: 1,
            outer: 1,
            channels: 2,
            inner: 2,
            out_axis: OutAxis::Inner,
            out_run: 1,
        };
        assert_eq!(out_channel_rms(&[3.0, 1.0, 3.0, 1.0], &inner), [3.0, 1.0]);
    }

    #[test]
    fn what_is_cut_off_is_summed_from_the_histogram() {
        let mut seen = ActivationStatistics::new(crate::statistics::RangeSource::Calibration);
        seen.add(&[0.0, 1.0, 1.0, 5.0]);
        let (energy, share) = beyond(&seen, 3.0);
        assert!(
            (energy - 1.0).abs() < 0.01 && (share - 0.25).abs() < 1e-9,
            "{energy} {share}"
        );
        assert!((root_mean_square(&seen) - (27.0_f64 / 4.0).sqrt()).abs() < 0.01);
    }

    #[test]
    fn sentences_name_the_channels() {
        let cause = Cause::OutlierChannel {
            channels: vec![37],
            ratio: 12.34,
        };
        assert_eq!(
            cause.to_string(),
            "Input channel 37 holds weights up to 12.3 times as large as all other input channels."
        );
        let cause = Cause::OutlierActivations {
            channels: vec![1, 2, 3, 4],
            ratio: 3.0,
        };
        assert_eq!(
            cause.to_string(),
            "Channels 1, 2, 3 and 1 more of the input are up to 3.0 times as large as all others."
        );
    }
}
