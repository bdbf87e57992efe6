//! The orthogonal matrix of a rotation, as a product of sparse ones, so that a row of n numbers is turned in about `n log n` steps.

use std::f64::consts::TAU;

/// Largest odd factor of a width: it is turned in as many steps for each number.
pub(super) const MAX_ODD_FACTOR: usize = 4096;

/// An orthogonal matrix Q of `width` rows whose numbers are all about as large: `Q = D (H x C)`, a random sign for each channel,
/// then a Hadamard matrix of the largest power of 2 that divides the width, times (Kronecker) the Hartley matrix
/// `C_jk = (cos + sin)(2 pi j k / m) / sqrt m` of what is left. Of a power of 2 it is the random Hadamard matrix of QuaRot.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Orthogonal {
    signs: Vec<f64>,
    /// `(cos + sin)(2 pi j / m) / sqrt m`, of an m that is odd.
    hartley: Vec<f64>,
    /// A reflection behind it, by its normal of length 1.
    mirror: Option<Vec<f64>>,
}

impl Orthogonal {
    /// The matrix for rows of `width` numbers. One that `keeps_mean` leaves the mean of every row as it is (`1 Q = 1`), so that
    /// it passes a norm that takes the mean off.
    pub(super) fn new(width: usize, seed: u64, keeps_mean: bool) -> Self {
        let odd = odd_factor(width);
        let angle = |j: usize| TAU * j as f64 / odd as f64;
        let hartley = (0..odd).map(|j| (angle(j).cos() + angle(j).sin()) / (odd as f64).sqrt());
        let mut state = seed;
        let signs = (0..width).map(|_| if split_mix(&mut state) >> 63 == 0 { 1.0 } else { -1.0 });
        let mut made = Self {
            signs: signs.collect(),
            hartley: hartley.collect(),
            mirror: None,
        };
        if keeps_mean {
            // The reflection takes the image of (1, …, 1) back to it.
            let even = 1.0 / (width.max(1) as f64).sqrt();
            let mut normal = vec![even; width];
            made.turn(&mut normal);
            normal.iter_mut().for_each(|x| *x -= even);
            let length = normal.iter().map(|x| x * x).sum::<f64>().sqrt();
            if length > 1e-12 {
                normal.iter_mut().for_each(|x| *x /= length);
                made.mirror = Some(normal);
            }
        }
        made
    }

    /// Numbers of a row.
    pub(super) fn width(&self) -> usize {
        self.signs.len()
    }

    /// Multiplies a row of numbers by the matrix: `row Q`.
    pub(super) fn turn(&self, row: &mut [f64]) {
        let odd = self.hartley.len().max(1);
        for (x, sign) in row.iter_mut().zip(&self.signs) {
            *x *= sign;
        }
        if odd > 1 {
            let mut turned = vec![0.0; odd];
            for part in row.chunks_exact_mut(odd) {
                for (j, sum) in turned.iter_mut().enumerate() {
                    *sum = (part.iter().enumerate())
                        .map(|(k, x)| x * self.hartley[j * k % odd])
                        .sum();
                }
                part.copy_from_slice(&turned);
            }
        }
        hadamard(row, odd);
        if let Some(normal) = &self.mirror {
            let along = 2.0 * row.iter().zip(normal).map(|(x, n)| x * n).sum::<f64>();
            for (x, n) in row.iter_mut().zip(normal) {
                *x -= along * n;
            }
        }
    }
}

/// The Hadamard matrix of `row.len() / run` rows, of length 1 each, on runs of numbers.
fn hadamard(row: &mut [f64], run: usize) {
    let (mut span, mut factor) = (run, 1.0_f64);
    while span < row.len() {
        for pair in row.chunks_exact_mut(2 * span) {
            let (low, high) = pair.split_at_mut(span);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        span *= 2;
        factor *= 0.5;
    }
    let factor = factor.sqrt();
    row.iter_mut().for_each(|x| *x *= factor);
}

/// What is left of a width without its factors of 2.
pub(super) fn odd_factor(width: usize) -> usize {
    width.max(1) >> width.max(1).trailing_zeros()
}

/// The next of a row of random numbers (Steele et al. 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(matrix: &Orthogonal) -> Vec<Vec<f64>> {
        let row = |i: usize| {
            let mut row = vec![0.0; matrix.width()];
            row[i] = 1.0;
            matrix.turn(&mut row);
            row
        };
        (0..matrix.width()).map(row).collect()
    }

    #[test]
    fn rows_are_orthogonal_and_no_number_is_large() {
        for width in [1, 2, 8, 12, 36, 41, 72, 96] {
            for keeps_mean in [false, true] {
                let rows = rows(&Orthogonal::new(width, 7, keeps_mean));
                for (i, a) in rows.iter().enumerate() {
                    for (j, b) in rows.iter().enumerate() {
                        let product: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
                        let expected = if i == j { 1.0 } else { 0.0 };
                        assert!((product - expected).abs() < 1e-12, "{width}: {product}");
                    }
                }
                let even = 1.0 / (width as f64).sqrt();
                let largest = rows.iter().flatten().fold(0.0_f64, |most, x| most.max(x.abs()));
                let bound = if keeps_mean { 4.0 } else { 1.415 };
                assert!(largest <= bound * even, "{width}: {largest}");
                if keeps_mean {
                    assert!(rows.iter().all(|row| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12));
                }
            }
        }
    }

    /// Sylvester's construction: a number is negative where the row's and the column's number share an odd number of bits.
    #[test]
    fn of_a_power_of_2_it_is_a_hadamard_matrix_with_random_signs() {
        let matrix = Orthogonal::new(16, 3, false);
        for (i, row) in rows(&matrix).iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                let sign = if (i & j).count_ones().is_multiple_of(2) {
                    1.0
                } else {
                    -1.0
                };
                assert!((x - matrix.signs[i] * sign / 4.0).abs() < 1e-15);
            }
        }
        assert!(matrix.signs.contains(&-1.0) && matrix.signs.contains(&1.0));
        assert_eq!(
            (odd_factor(576), odd_factor(1024), odd_factor(7), odd_factor(0)),
            (9, 1, 7, 1)
        );
    }
}
