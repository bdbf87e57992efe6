//! Exact counts over any range.

/// Counts of elements in equal bins over `[low, high]`; the last bin holds `high` too.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Lower end of the first bin.
    pub low: f64,
    /// Upper end of the last bin.
    pub high: f64,
    /// Elements in each bin.
    pub counts: Vec<u64>,
    /// Elements below `low`.
    pub below: u64,
    /// Elements above `high`.
    pub above: u64,
    /// Elements that are NaN.
    pub nan: u64,
}

impl Histogram {
    /// Width of a bin.
    pub fn bin_width(&self) -> f64 {
        (self.high - self.low) / self.counts.len() as f64
    }
}

/// Counts `values` in `bins` bins over `[low, high]`, in parallel. All counts together are `values.len()`.
pub fn histogram(_values: &[f32], _low: f64, _high: f64, _bins: usize) -> Histogram {
    todo!()
}

/// Number of elements with `|x - mean| > threshold`.
pub fn outlier_count(_values: &[f32], _mean: f64, _threshold: f64) -> u64 {
    todo!()
}
