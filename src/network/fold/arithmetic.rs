//! The numbers of folding, in f64.

/// Where the output channels are in a row-major weight.
#[derive(Debug, Clone, Copy)]
pub(super) enum Channels {
    /// Conv, and Gemm with `transB`: `[O, …]`, each `length` long.
    Rows { count: usize, length: usize },
    /// Gemm: `[I, O]`.
    Columns { count: usize },
    /// ConvTranspose: `[groups * inputs, outputs, kernel]`, sizes of one group.
    Transposed {
        groups: usize,
        inputs: usize,
        outputs: usize,
        kernel: usize,
    },
}

impl Channels {
    /// Output channels of the layer.
    pub(super) fn count(self) -> usize {
        match self {
            Self::Rows { count, .. } | Self::Columns { count } => count,
            Self::Transposed { groups, outputs, .. } => groups.saturating_mul(outputs),
        }
    }

    /// Output channel of element `index`.
    fn of(self, index: usize) -> usize {
        match self {
            Self::Rows { length, .. } => index / length,
            Self::Columns { count } => index % count,
            Self::Transposed {
                inputs,
                outputs,
                kernel,
                ..
            } => {
                let input = index / (outputs * kernel);
                input / inputs * outputs + index / kernel % outputs
            }
        }
    }
}

/// A batch-norm as the scale and shift of each channel.
pub(super) struct Normalization {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Normalization {
    /// `scale = gain / sqrt(variance + epsilon)`, `shift = offset - mean * scale` (Ioffe, Szegedy 2015, algorithm 2);
    /// `None` if any is not finite.
    pub(super) fn new(gain: &[f32], offset: &[f32], mean: &[f32], variance: &[f32], epsilon: f32) -> Option<Self> {
        let scale: Vec<f64> = gain
            .iter()
            .zip(variance)
            .map(|(&gain, &variance)| f64::from(gain) / (f64::from(variance) + f64::from(epsilon)).sqrt())
            .collect();
        let shift: Vec<f64> = offset
            .iter()
            .zip(mean)
            .zip(&scale)
            .map(|((&offset, &mean), scale)| f64::from(offset) - f64::from(mean) * scale)
            .collect();
        let finite = scale.iter().chain(&shift).all(|value| value.is_finite());
        finite.then_some(Self { scale, shift })
    }

    /// The folded weight; `None` if a finite element would not fit an f32.
    pub(super) fn weight(&self, weight: &[f32], channels: Channels) -> Option<Vec<f32>> {
        weight
            .iter()
            .enumerate()
            .map(|(index, &old)| {
                let new = (f64::from(old) * self.scale.get(channels.of(index))?) as f32;
                (new.is_finite() || !old.is_finite()).then_some(new)
            })
            .collect()
    }

    /// The folded bias; `None` if a finite element would not fit an f32.
    pub(super) fn bias(&self, bias: &[f64]) -> Option<Vec<f32>> {
        bias.iter()
            .zip(self.scale.iter().zip(&self.shift))
            .map(|(&old, (scale, shift))| {
                let new = (old * scale + shift) as f32;
                (new.is_finite() || !old.is_finite()).then_some(new)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_belong_to_the_output_channel_of_their_operator() {
        let of = |channels: Channels, count: usize| (0..count).map(|index| channels.of(index)).collect::<Vec<_>>();
        assert_eq!(of(Channels::Rows { count: 2, length: 3 }, 6), [0, 0, 0, 1, 1, 1]);
        assert_eq!(of(Channels::Columns { count: 3 }, 6), [0, 1, 2, 0, 1, 2]);
        // Two groups of two inputs and two outputs: the second group's outputs are channels 2 and 3.
        let transposed = Channels::Transposed {
            groups: 2,
            inputs: 2,
            outputs: 2,
            kernel: 1,
        };
        assert_eq!(of(transposed, 8), [0, 1, 0, 1, 2, 3, 2, 3]);
        assert_eq!(transposed.count(), 4);
    }

    #[test]
    fn a_variance_below_minus_epsilon_is_not_folded() {
        assert!(Normalization::new(&[1.0], &[0.0], &[0.0], &[-1.0], 1e-5).is_none());
        assert!(Normalization::new(&[1.0], &[0.0], &[0.0], &[0.0], 0.0).is_none());
    }

    #[test]
    fn a_weight_that_would_overflow_is_not_folded() {
        let normalization = Normalization::new(&[1e30], &[0.0], &[0.0], &[1.0], 0.0).unwrap();
        let channels = Channels::Columns { count: 1 };
        assert!(normalization.weight(&[1e30], channels).is_none());
        assert!(normalization.weight(&[1e-3], channels).is_some());
    }
}
