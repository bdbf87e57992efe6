//! How far the elements of a batch reach.

/// Ends of a batch.
#[derive(Clone, Copy, Default)]
pub(super) struct Extent {
    pub(super) count: u64,
    pub(super) not_finite: u64,
    pub(super) min: f32,
    pub(super) max: f32,
}

impl Extent {
    pub(super) fn of(values: &[f32]) -> Self {
        let (mut min, mut max, mut count) = (f32::INFINITY, f32::NEG_INFINITY, 0);
        for &value in values.iter().filter(|value| value.is_finite()) {
            min = min.min(value);
            max = max.max(value);
            count += 1;
        }
        let not_finite = values.len() as u64 - count;
        if count == 0 {
            (min, max) = (0.0, 0.0);
        }
        Self {
            count,
            not_finite,
            min,
            max,
        }
    }

    pub(super) fn join(self, other: Self) -> Self {
        let not_finite = self.not_finite + other.not_finite;
        match (self.count, other.count) {
            (_, 0) => Self { not_finite, ..self },
            (0, _) => Self { not_finite, ..other },
            _ => Self {
                count: self.count + other.count,
                not_finite,
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        }
    }
}
