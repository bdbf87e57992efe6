//! Central moments of a block, and their merging (Pébay, *Formulas for robust, one-pass parallel computation of
//! covariances and arbitrary-order statistical moments*, Sandia report SAND2008-6212, 2008).

use multiversion::multiversion;

/// Count, range and central moment sums `m_p = sum (x - mean)^p`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moments {
    pub(super) count: u64,
    pub(super) nan: u64,
    pub(super) infinite: u64,
    pub(super) min: f32,
    pub(super) max: f32,
    pub(super) mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            nan: 0,
            infinite: 0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
            mean: 0.0,
            m2: 0.0,
            m3: 0.0,
            m4: 0.0,
        }
    }
}

/// Independent accumulators: enough for two vector registers each, so that no addition waits for the one before.
const LANES: usize = 16;

impl Moments {
    /// Moments of a block that is short enough for f32 sums of [`LANES`] lanes to be exact to about 1e-6; `guess` is where
    /// its mean may be. On the way, `places` (as many as elements, or none) are raised to |x| place by place.
    pub(super) fn of(block: &[f32], guess: f32, places: &mut [f32]) -> Self {
        let sums = if places.is_empty() {
            power_sums(block, guess)
        } else {
            power_sums_and_maxima(block, guess, places)
        };
        // NaN and infinities anywhere show in the sum. Fourth powers of very large or small numbers leave f32.
        let magnitude = sums.low.abs().max(sums.high.abs());
        if magnitude == 0.0 && sums.powers[0].is_finite() {
            return Self {
                count: block.len() as u64,
                min: 0.0,
                max: 0.0,
                ..Self::default()
            };
        }
        if !(sums.powers[0].is_finite() && (1e-8..1e8).contains(&magnitude)) {
            return Self::of_unusual(block);
        }
        let [first, second, ..] = sums.powers;
        let n = block.len() as f64;
        let (distance, square) = (first / n, second / n);
        // Far from the mean, differences of large sums would be left.
        let is_near = distance * distance <= 0.5 * square;
        let (centre, powers) = if is_near {
            (guess, sums.powers)
        } else {
            let centre = (f64::from(guess) + distance) as f32;
            (centre, power_sums(block, centre).powers)
        };
        let [s1, s2, s3, s4] = powers;
        Self {
            count: block.len() as u64,
            min: sums.low,
            max: sums.high,
            mean: f64::from(centre),
            ..Self::default()
        }
        .shifted(s1, s2, s3, s4)
    }

    /// The slow way, in f64, for a block with elements that are not finite or of unusual size.
    fn of_unusual(block: &[f32]) -> Self {
        let mut moments = Self {
            nan: block.iter().filter(|x| x.is_nan()).count() as u64,
            infinite: block.iter().filter(|x| x.is_infinite()).count() as u64,
            ..Self::default()
        };
        moments.count = block.len() as u64 - moments.nan - moments.infinite;
        if moments.count == 0 {
            return moments;
        }
        let finite = || block.iter().copied().filter(|x| x.is_finite());
        moments.min = finite().fold(f32::INFINITY, f32::min);
        moments.max = finite().fold(f32::NEG_INFINITY, f32::max);
        moments.mean = finite().map(f64::from).sum::<f64>() / moments.count as f64;
        let power = |p: i32| finite().map(|x| (f64::from(x) - moments.mean).powi(p)).sum::<f64>();
        let (s1, s2, s3, s4) = (power(1), power(2), power(3), power(4));
        moments.shifted(s1, s2, s3, s4)
    }

    /// Central sums from sums `s_p = sum (x - c)^p` about a point c that is near the mean; `mean` holds c.
    fn shifted(mut self, s1: f64, s2: f64, s3: f64, s4: f64) -> Self {
        let n = self.count as f64;
        let d = s1 / n;
        self.mean += d;
        self.m2 = s2 - n * d * d;
        self.m3 = s3 - 3.0 * d * s2 + 2.0 * n * d.powi(3);
        self.m4 = s4 - 4.0 * d * s3 + 6.0 * d * d * s2 - 3.0 * n * d.powi(4);
        self
    }

    /// Adds the elements behind `other`.
    pub(super) fn merge(&mut self, other: &Self) {
        self.nan += other.nan;
        self.infinite += other.infinite;
        if other.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let n = a + b;
        let d = other.mean - self.mean;
        let dn = d / n;
        let m4 = self.m4
            + other.m4
            + d * dn * dn * dn * a * b * (a * a - a * b + b * b)
            + 6.0 * dn * dn * (a * a * other.m2 + b * b * self.m2)
            + 4.0 * dn * (a * other.m3 - b * self.m3);
        let m3 = self.m3 + other.m3 + d * dn * dn * a * b * (a - b) + 3.0 * dn * (a * other.m2 - b * self.m2);
        self.m2 += other.m2 + d * dn * a * b;
        self.m3 = m3;
        self.m4 = m4;
        self.mean += dn * b;
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    pub(super) fn std(&self) -> f64 {
        if self.is_constant() {
            0.0
        } else {
            (self.m2.max(0.0) / self.count as f64).sqrt()
        }
    }

    /// No elements, or all equal: rounding leaves a trace in m2 that tells nothing.
    fn is_constant(&self) -> bool {
        self.count == 0 || self.min >= self.max
    }

    pub(super) fn kurtosis(&self) -> f64 {
        if self.is_constant() || self.m2 <= 0.0 {
            return 0.0;
        }
        self.m4 * self.count as f64 / (self.m2 * self.m2)
    }
}

/// What one pass over a block tells.
struct Sums {
    /// Sums of the first four powers of `x - centre`. NaN anywhere makes them NaN.
    powers: [f64; 4],
    low: f32,
    high: f32,
}

#[multiversion(targets = "simd")]
fn power_sums(block: &[f32], centre: f32) -> Sums {
    let mut lanes = Lanes::new();
    let (chunks, tail) = block.as_chunks::<LANES>();
    for chunk in chunks {
        lanes.add(chunk, centre);
    }
    lanes.add_tail(tail, centre);
    lanes.total()
}

#[multiversion(targets = "simd")]
fn power_sums_and_maxima(block: &[f32], centre: f32, places: &mut [f32]) -> Sums {
    let mut lanes = Lanes::new();
    let (chunks, tail) = block.as_chunks::<LANES>();
    let (place_chunks, place_tail) = places.as_chunks_mut::<LANES>();
    for (chunk, places) in chunks.iter().zip(place_chunks) {
        lanes.add(chunk, centre);
        raise(places, chunk);
    }
    raise(place_tail, tail);
    lanes.add_tail(tail, centre);
    lanes.total()
}

/// Raises `places` to |x| place by place.
#[multiversion(targets = "simd")]
pub(super) fn raise_all(places: &mut [f32], values: &[f32]) {
    raise(places, values);
}

#[inline(always)]
fn raise(places: &mut [f32], values: &[f32]) {
    for (place, x) in places.iter_mut().zip(values) {
        *place = larger_magnitude(*place, *x);
    }
}

/// The larger of a magnitude and |x|; NaN is larger than all. Without their sign, floats are in the order of their bits, and the
/// maximum of integers is one instruction: a comparison of floats would become a masked store here, which takes a dozen cycles
/// on an AVX2 machine of AMD.
#[inline(always)]
pub(super) fn larger_magnitude(magnitude: f32, x: f32) -> f32 {
    f32::from_bits(magnitude.to_bits().max(x.abs().to_bits()))
}

struct Lanes {
    powers: [[f32; LANES]; 4],
    low: [f32; LANES],
    high: [f32; LANES],
}

impl Lanes {
    #[inline(always)]
    fn new() -> Self {
        Self {
            powers: [[0.0; LANES]; 4],
            low: [f32::INFINITY; LANES],
            high: [f32::NEG_INFINITY; LANES],
        }
    }

    #[inline(always)]
    fn add_to_lane(&mut self, lane: usize, x: f32, centre: f32) {
        let d = x - centre;
        let d2 = d * d;
        self.powers[0][lane] += d;
        self.powers[1][lane] += d2;
        self.powers[2][lane] += d2 * d;
        self.powers[3][lane] += d2 * d2;
        self.low[lane] = if x < self.low[lane] { x } else { self.low[lane] };
        self.high[lane] = if x > self.high[lane] { x } else { self.high[lane] };
    }

    #[inline(always)]
    fn add(&mut self, chunk: &[f32; LANES], centre: f32) {
        for (lane, x) in chunk.iter().enumerate() {
            self.add_to_lane(lane, *x, centre);
        }
    }

    #[inline(always)]
    fn add_tail(&mut self, tail: &[f32], centre: f32) {
        for (lane, x) in tail.iter().enumerate() {
            self.add_to_lane(lane, *x, centre);
        }
    }

    #[inline(always)]
    fn total(&self) -> Sums {
        let mut powers = [0.0; 4];
        for (total, lanes) in powers.iter_mut().zip(&self.powers) {
            *total = folded(lanes.map(f64::from), |a, b| a + b);
        }
        Sums {
            powers,
            low: folded(self.low, |a, b| if b < a { b } else { a }),
            high: folded(self.high, |a, b| if b > a { b } else { a }),
        }
    }
}

/// All lanes in one, by halves: not each waiting for the one before.
#[inline(always)]
fn folded<T: Copy>(mut lanes: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane], lanes[lane + half]);
        }
        half /= 2;
    }
    lanes[0]
}
