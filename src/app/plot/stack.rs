//! A histogram in layers: the largest channels lie on top of all the others, each in its colour.

/// Counts of bins, taken apart: they add up to the histogram.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::app) struct Stack {
    /// All values but those of `channels`.
    pub(in crate::app) rest: Vec<f64>,
    /// The largest channels, largest first.
    pub(in crate::app) channels: Vec<Vec<f64>>,
}

impl Stack {
    /// `counts` of all values, those of `channels` taken apart.
    pub(in crate::app) fn of(counts: &[u64], channels: Vec<Vec<f64>>) -> Self {
        let rest = counts.iter().enumerate().map(|(bin, count)| {
            let apart: f64 = channels.iter().filter_map(|channel| channel.get(bin)).sum();
            (*count as f64 - apart).max(0.0)
        });
        Self {
            rest: rest.collect(),
            channels,
        }
    }

    /// Counts of all layers together.
    pub(in crate::app) fn total(&self, bin: usize) -> f64 {
        self.rest[bin] + self.channels.iter().map(|channel| channel[bin]).sum::<f64>()
    }

    /// The tallest bin.
    pub(in crate::app) fn highest(&self) -> f64 {
        (0..self.rest.len()).map(|bin| self.total(bin)).fold(0.0, f64::max)
    }

    /// Each channel's bins with what is below them: the largest on top.
    pub(super) fn layers(&self) -> impl Iterator<Item = (usize, Vec<f64>, Vec<f64>)> + '_ {
        let ranks = self.channels.iter().enumerate().rev();
        ranks.scan(self.rest.clone(), |below, (rank, channel)| {
            let above: Vec<f64> = below.iter().zip(channel).map(|(a, b)| a + b).collect();
            Some((rank, std::mem::replace(below, above.clone()), above))
        })
    }
}
