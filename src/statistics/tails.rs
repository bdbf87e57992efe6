//! How far each channel of an activation reaches, in memory that does not grow with the samples: what activation OCS
//! chooses its channels by (Zhao et al. 2019, section 3.4).

use super::ChannelDistribution;

/// Bins of |x| in each octave, 9 to 12 % wide.
const IN_AN_OCTAVE: i32 = 8;

/// Bins of a channel: eight octaves below the end of the range; the first holds everything smaller, zeros too.
pub(super) const TAIL_BINS: usize = 64;

/// Bits of an f32 below those that tell octave and bin: the lower 20 of the mantissa.
const SHIFT: u32 = 20;

/// Least end of the bins, `2^-119`: of a smaller one, zeros would not be in the first bin.
const LEAST_END: f32 = f32::from_bits(64 << SHIFT);

/// Share of the layer's |x| that lies above the threshold beyond which elements are counted as outliers: the 99th
/// percentile (`docs/method.md`, "Splitting activations").
const OUTLIERS: f64 = 0.01;

/// Elements that stand for a channel's distribution.
const EXPECTED: f64 = (1_u64 << 22) as f64;

/// One channel: its ends, and counts of |x| in bins that grow with |x|.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tail {
    /// Least element.
    pub(super) min: f32,
    /// Greatest element.
    pub(super) max: f32,
    counts: [u64; TAIL_BINS],
}

/// All channels of an activation, with the same bins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ChannelTails {
    /// Upper end of the bins, a power of two.
    end: f32,
    channels: Vec<Tail>,
}

/// The bin of a finite element of this magnitude.
pub(super) fn tail_bin(magnitude: f32, end: f32) -> usize {
    let place = |x: f32| (x.to_bits() >> SHIFT) as i32;
    let bin = place(magnitude) - place(end.max(LEAST_END)) + TAIL_BINS as i32;
    bin.clamp(0, TAIL_BINS as i32 - 1) as usize
}

impl Tail {
    pub(super) const EMPTY: Self = Self {
        min: f32::INFINITY,
        max: f32::NEG_INFINITY,
        counts: [0; TAIL_BINS],
    };

    /// Takes in a finite element; the bins end at `end`.
    pub(super) fn add(&mut self, value: f32, end: f32) {
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.counts[tail_bin(value.abs(), end)] += 1;
    }

    /// A channel known without data; `below` is the share of a Gaussian's elements below so many deviations.
    fn of_distribution(channel: &ChannelDistribution, end: f32, below: &impl Fn(f64) -> f64) -> Self {
        let narrow = |x: f64| (x as f32).clamp(f32::MIN, f32::MAX);
        let share_below = |x: f64| match x {
            x if x < channel.low() => 0.0,
            x if x > channel.high() => 1.0,
            x => channel.share_below(x, below),
        };
        let end_place = end.max(LEAST_END).to_bits() >> SHIFT;
        let mut tail = Self {
            min: narrow(channel.low()),
            max: narrow(channel.high()),
            counts: [0; TAIL_BINS],
        };
        let mut inside = 0.0;
        for (bin, count) in tail.counts.iter_mut().enumerate() {
            let edge = f64::from(f32::from_bits((end_place + bin as u32 + 1 - TAIL_BINS as u32) << SHIFT));
            let next = if bin + 1 == TAIL_BINS {
                1.0
            } else {
                share_below(edge) - share_below(-edge)
            };
            *count = ((next - inside).max(0.0) * EXPECTED).round() as u64;
            inside = next;
        }
        tail
    }

    fn reach(&self) -> f32 {
        self.min.abs().max(self.max.abs())
    }
}

impl ChannelTails {
    /// Nothing seen of this many channels.
    pub(super) fn new(channels: usize) -> Self {
        Self {
            end: LEAST_END,
            channels: vec![Tail::EMPTY; channels],
        }
    }

    /// Channels known without data, each as frequent as the others, whose bins end at `end`.
    pub(super) fn of_distributions(channels: &[ChannelDistribution], end: f32, below: impl Fn(f64) -> f64) -> Self {
        let tail = |channel| Tail::of_distribution(channel, end, &below);
        Self {
            end: end.max(LEAST_END),
            channels: channels.iter().map(tail).collect(),
        }
    }

    /// Takes in a batch: what was seen of each channel with bins that end at `end`, no nearer than before.
    pub(super) fn add(&mut self, batch: Vec<Tail>, end: f32) {
        self.grow(end);
        for (mine, more) in self.channels.iter_mut().zip(batch) {
            mine.min = mine.min.min(more.min);
            mine.max = mine.max.max(more.max);
            for (mine, more) in mine.counts.iter_mut().zip(more.counts) {
                *mine += more;
            }
        }
    }

    /// Least and greatest element of each channel: 0 of one without any.
    pub(super) fn ends(&self) -> impl Iterator<Item = (f32, f32)> {
        let ends = |tail: &Tail| {
            if tail.min <= tail.max {
                (tail.min, tail.max)
            } else {
                (0.0, 0.0)
            }
        };
        self.channels.iter().map(ends)
    }

    fn grow(&mut self, end: f32) {
        let end = end.max(self.end);
        let by = ((end.to_bits() >> SHIFT) - (self.end.to_bits() >> SHIFT)) as usize;
        debug_assert!(by.is_multiple_of(IN_AN_OCTAVE as usize));
        self.end = end;
        if by == 0 {
            return;
        }
        for tail in &mut self.channels {
            let old = std::mem::replace(&mut tail.counts, [0; TAIL_BINS]);
            for (bin, count) in old.into_iter().enumerate() {
                tail.counts[bin.saturating_sub(by)] += count;
            }
        }
    }

    /// Number of channels.
    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }

    /// How many elements of each channel lie above the 99th percentile of all |x|, and the channel's largest |x|. Inside the
    /// bin of the percentile, the elements of every channel are taken to be spread alike.
    pub(super) fn outliers(&self) -> Vec<(f64, f32)> {
        let in_bin = |bin: usize| self.channels.iter().map(|tail| tail.counts[bin]).sum::<u64>() as f64;
        let all: f64 = (0..TAIL_BINS).map(in_bin).sum();
        let mut wanted = all * OUTLIERS;
        let mut bin = TAIL_BINS - 1;
        while bin > 0 && in_bin(bin) < wanted {
            wanted -= in_bin(bin);
            bin -= 1;
        }
        let part = if wanted > 0.0 { wanted / in_bin(bin) } else { 0.0 };
        let above = |tail: &Tail| tail.counts[bin + 1..].iter().sum::<u64>() as f64 + part * tail.counts[bin] as f64;
        self.channels.iter().map(|tail| (above(tail), tail.reach())).collect()
    }

    /// For each bin, the share of its elements that are of the channels that `chosen` says.
    pub(super) fn shares(&self, chosen: &[bool]) -> [f64; TAIL_BINS] {
        let mut shares = [0.0; TAIL_BINS];
        for (bin, share) in shares.iter_mut().enumerate() {
            let (mut of_chosen, mut all) = (0_u64, 0_u64);
            for (tail, chosen) in self.channels.iter().zip(chosen) {
                all += tail.counts[bin];
                of_chosen += if *chosen { tail.counts[bin] } else { 0 };
            }
            *share = of_chosen as f64 / all.max(1) as f64;
        }
        shares
    }

    /// Upper end of the bins.
    pub(super) fn end(&self) -> f32 {
        self.end
    }

    /// Least and greatest element when those channels that `chosen` says are halved; `(0, 0)` if nothing was seen.
    pub(super) fn ends_after_halving(&self, chosen: &[bool]) -> (f32, f32) {
        let seen = self
            .channels
            .iter()
            .zip(chosen)
            .filter(|(tail, _)| tail.min <= tail.max);
        let ends = seen.map(|(tail, chosen)| {
            let factor = if *chosen { 0.5 } else { 1.0 };
            (tail.min * factor, tail.max * factor)
        });
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0.0, 0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_eighths_of_octaves_and_zero_is_in_the_first() {
        for end in [LEAST_END, 1.0, 4.0, 2.0_f32.powi(127)] {
            assert_eq!(tail_bin(0.0, end), 0);
            assert_eq!(tail_bin(end * 0.5, end), TAIL_BINS - 8);
            assert_eq!(tail_bin(end * 0.999, end), TAIL_BINS - 1);
            assert_eq!(tail_bin(end * 0.25 * 1.126, end), TAIL_BINS - 15);
        }
        assert_eq!(tail_bin(f32::MAX, 2.0_f32.powi(127)), TAIL_BINS - 1);
    }
}
