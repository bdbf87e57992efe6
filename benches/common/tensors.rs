//! Weights that benchmarks run on: seeded, shaped like real layers, with a few outliers as real ones have.

use splitscope::network::{Layout, OutAxis};

/// Seeded noise (xorshift): the same numbers in every run.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    /// 0 to 1.
    pub(crate) fn uniform(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// `count` weights, near enough to Gaussian, of He's deviation for `fan_in` inputs; one in a thousand ten times as large.
    pub(crate) fn weights(&mut self, count: usize, fan_in: usize) -> Vec<f32> {
        let deviation = (2.0 / fan_in.max(1) as f32).sqrt();
        let mut weight = || {
            let sum: f32 = (0..6).map(|_| self.uniform()).sum();
            let outlier = if self.uniform() < 0.001 { 10.0 } else { 1.0 };
            (sum - 3.0) * std::f32::consts::SQRT_2 * deviation * outlier
        };
        (0..count).map(|_| weight()).collect()
    }
}

/// The tensors of a network, each with the layout that its layer reads it in.
pub(crate) type Tensors = Vec<(Layout, Vec<f32>)>;

/// The 54 layers of ResNet-50: 53 convolutions and, if `classifier`, the last matrix: 23.5 M or 25.5 M weights.
pub(crate) fn resnet50(classifier: bool) -> Tensors {
    let mut layouts = Vec::new();
    let mut conv = |outer: usize, channels: usize, inner: usize| {
        layouts.push(Layout {
            groups: 1,
            outer,
            channels,
            inner,
            out_axis: OutAxis::Outer,
            out_run: 1,
        });
    };
    conv(64, 3, 49);
    let mut channels = 64;
    for (width, blocks) in [(64, 3), (128, 4), (256, 6), (512, 3)] {
        for block in 0..blocks {
            conv(width, channels, 1);
            conv(width, width, 9);
            conv(4 * width, width, 1);
            if block == 0 {
                conv(4 * width, channels, 1);
            }
            channels = 4 * width;
        }
    }
    if classifier {
        conv(1000, 2048, 1);
    }
    let mut random = Random::new(1);
    let filled = layouts.into_iter().map(|layout| {
        let weights = random.weights(layout.elements(), layout.channels * layout.inner);
        (layout, weights)
    });
    filled.collect()
}

/// Weights of all tensors.
pub(crate) fn elements(tensors: &Tensors) -> usize {
    tensors.iter().map(|(_, values)| values.len()).sum()
}
