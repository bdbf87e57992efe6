//! The range and histogram of an activation, from a stream of batches, in memory that does not grow.

/// Where an activation's range comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeSource {
    /// Samples that were run through the float network.
    Calibration,
    /// Batch-norm statistics.
    BatchNorm,
    /// Seeded noise.
    Noise,
}

/// What a stream of batches told of one value: range, histogram of |x| that grows its range, sizes of one sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationStatistics {
    /// Where the numbers come from.
    pub source: RangeSource,
    /// Finite elements seen.
    pub count: u64,
    /// Elements that were NaN or infinite.
    pub not_finite: u64,
    /// Least element.
    pub min: f32,
    /// Greatest element.
    pub max: f32,
    /// Upper end of the histogram, 0 before the first element that is not 0.
    range: f32,
    /// Counts of elements in equal bins over `[-range, range]`.
    counts: Vec<u64>,
}

impl ActivationStatistics {
    /// Nothing seen yet.
    pub fn new(_source: RangeSource) -> Self {
        todo!()
    }

    /// Takes in a batch.
    pub fn add(&mut self, _values: &[f32]) {
        todo!()
    }

    /// Greatest |element| seen.
    pub fn max_abs(&self) -> f32 {
        self.max.abs().max(self.min.abs())
    }

    /// The bins: `(range, counts over [-range, range])`.
    pub fn bins(&self) -> (f32, &[u64]) {
        (self.range, &self.counts)
    }
}
