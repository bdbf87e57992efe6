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

/// Independent accumulators, so that the compiler can use vector registers.
const LANES: usize = 16;

impl Moments {
    /// Moments of a block that is short enough for f32 sums of [`LANES`] lanes to be exact to about 1e-6.
    pub(super) fn of(block: &[f32]) -> Self {
        let (sum, low, high) = sum_and_range(block);
        // A NaN anywhere shows in the sum, an infinity in the range. Fourth powers of very large or small numbers leave f32.
        let magnitude = low.abs().max(high.abs());
        if !(sum.is_finite() && (1e-8..1e8).contains(&magnitude)) {
            return Self::of_unusual(block);
        }
        let centre = (sum / block.len() as f64) as f32;
        let [s1, s2, s3, s4] = central_sums(block, centre);
        Self {
            count: block.len() as u64,
            min: low,
            max: high,
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
        if self.count == 0 {
            0.0
        } else {
            (self.m2.max(0.0) / self.count as f64).sqrt()
        }
    }

    pub(super) fn kurtosis(&self) -> f64 {
        // All elements equal: rounding leaves a trace in m2 that must not be divided by.
        let spread = f64::from(self.max) - f64::from(self.min);
        if self.count == 0 || spread <= 0.0 || self.m2 <= 0.0 {
            return 0.0;
        }
        self.m4 * self.count as f64 / (self.m2 * self.m2)
    }
}

/// Sum, least and greatest of a block. NaN makes the sum NaN.
#[multiversion(targets = "simd")]
fn sum_and_range(block: &[f32]) -> (f64, f32, f32) {
    let (mut sum, mut min, mut max) = ([0.0_f32; LANES], [f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (chunks, tail) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            let x = chunk[lane];
            sum[lane] += x;
            min[lane] = if x < min[lane] { x } else { min[lane] };
            max[lane] = if x > max[lane] { x } else { max[lane] };
        }
    }
    for (lane, x) in tail.iter().enumerate() {
        sum[lane] += x;
        min[lane] = min[lane].min(*x);
        max[lane] = max[lane].max(*x);
    }
    (
        total(sum),
        min.into_iter().fold(f32::INFINITY, f32::min),
        max.into_iter().fold(f32::NEG_INFINITY, f32::max),
    )
}

/// Sums of the first four powers of `x - centre`.
#[multiversion(targets = "simd")]
fn central_sums(block: &[f32], centre: f32) -> [f64; 4] {
    let mut sums = [[0.0_f32; LANES]; 4];
    let mut add = |lane: usize, x: f32| {
        let d = x - centre;
        let d2 = d * d;
        sums[0][lane] += d;
        sums[1][lane] += d2;
        sums[2][lane] += d2 * d;
        sums[3][lane] += d2 * d2;
    };
    let (chunks, tail) = block.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in chunk.iter().enumerate() {
            add(lane, *x);
        }
    }
    for (lane, x) in tail.iter().enumerate() {
        add(lane, *x);
    }
    sums.map(total)
}

fn total(lanes: [f32; LANES]) -> f64 {
    lanes.iter().map(|s| f64::from(*s)).sum()
}
