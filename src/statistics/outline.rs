//! The shape of a distribution in a few bins, for a picture as small as a row of a table.

use super::Histogram;
use crate::onnx::FloatSource;

/// Bins of an outline.
const BINS: usize = 29;
/// Elements that are looked at, in pieces spread evenly over the tensor: more change nothing that can be seen.
const LOOKED_AT: usize = 1 << 16;
/// Elements of a piece.
const PIECE: usize = 1 << 10;

/// Counts of at most 65 536 elements over `[-max_abs, max_abs]`, taken in pieces from all over the tensor; of a tensor that has no
/// more, all of them. `None` where nothing but zeros was seen, or something infinite.
pub fn outline(values: &(impl FloatSource + ?Sized), max_abs: f32) -> Option<Histogram> {
    let count = values.count();
    if !(max_abs > 0.0 && max_abs.is_finite()) || count == 0 {
        return None;
    }
    let reach = f64::from(max_abs);
    let mut seen = Histogram::empty(-reach, reach, BINS);
    let mut scratch = Vec::new();
    let pieces = if count <= LOOKED_AT {
        count.div_ceil(PIECE)
    } else {
        LOOKED_AT / PIECE
    };
    for piece in 0..pieces {
        let start = if count <= LOOKED_AT {
            piece * PIECE
        } else {
            // The last piece ends where the tensor does.
            (count - PIECE) * piece / (pieces - 1)
        };
        let range = start..count.min(start + PIECE);
        seen = seen.count(values.piece(range, &mut scratch));
    }
    Some(seen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::histogram;

    #[test]
    fn of_a_small_tensor_every_element_counts() {
        let values: Vec<f32> = (0..2500).map(|at| ((at * 37) % 2500) as f32 / 1250.0 - 1.0).collect();
        let seen = outline(values.as_slice(), 1.0).unwrap();
        assert_eq!(seen, histogram(&values, -1.0, 1.0, BINS));
        assert_eq!(outline([0.0_f32; 4].as_slice(), 0.0), None);
        assert_eq!(outline([0.0_f32; 0].as_slice(), 1.0), None);
    }

    #[test]
    fn of_a_large_tensor_pieces_from_its_beginning_to_its_end_count() {
        let mut values = vec![0.5_f32; 1 << 20];
        let last = values.len() - 1;
        (values[0], values[last]) = (-1.0, 1.0);
        let seen = outline(values.as_slice(), 1.0).unwrap();
        assert_eq!(seen.total(), LOOKED_AT as u64);
        assert_eq!(
            (seen.counts[0], seen.counts[BINS - 1], seen.below + seen.above),
            (1, 1, 0)
        );
    }
}
