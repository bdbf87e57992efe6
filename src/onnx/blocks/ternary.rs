//! Weights of -1, 0 and 1 times a scale.

use super::affine::{half, two_bits};

/// What a byte of up to five numbers is multiplied with, modulo 256, so that the number in question comes to its top.
const POWERS: [u8; 5] = [1, 3, 9, 27, 81];

/// Five numbers in each of 48 bytes, the first 32 and the other 16 by themselves, and four in each of the last four.
pub(super) fn tq1_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 52);
    let parts = [(0, 32, 5), (32, 16, 5), (48, 4, 4)];
    let places = parts.iter().flat_map(|(first, bytes, powers)| {
        POWERS[..*powers]
            .iter()
            .flat_map(move |power| (*first..first + bytes).map(move |at| (at, *power)))
    });
    for (out, (at, power)) in out.iter_mut().zip(places) {
        let code = (u16::from(block[at].wrapping_mul(power)) * 3) >> 8;
        *out = scale * (f32::from(code) - 1.0);
    }
}

pub(super) fn tq2_0(block: &[u8], out: &mut [f32]) {
    let (codes, scale) = (&block[..64], half(block, 64));
    for (at, out) in out.iter_mut().enumerate() {
        *out = scale * (f32::from(two_bits(codes, at)) - 1.0);
    }
}
