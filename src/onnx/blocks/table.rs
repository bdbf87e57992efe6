//! 4 bits that choose one of sixteen levels.

use super::affine::{half, nibbles};

/// The levels of ggml's nonlinear formats, closer to each other around zero.
const NONLINEAR: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// Twice the numbers of E2M1, as integers (OCP Microscaling Formats 1.0, section 5.3.3); the scales are halved.
const DOUBLED_E2M1: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

fn level(levels: &[i8; 16], code: u8) -> f32 {
    f32::from(levels[usize::from(code)])
}

pub(super) fn iq4_nl(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    nibbles(&block[2..], out, |code, _| scale * level(&NONLINEAR, code));
}

/// 6 bits of scale for each run of 32: the two high ones of all eight runs in a word, the low ones in four bytes.
pub(super) fn iq4_xs(block: &[u8], out: &mut [f32]) {
    let (scale, high, low) = (half(block, 0), u16::from_le_bytes([block[2], block[3]]), &block[4..8]);
    let runs = out.chunks_exact_mut(32).zip(block[8..].chunks_exact(16));
    for (run, (out, codes)) in runs.enumerate() {
        let own = low[run / 2] >> (4 * (run % 2)) & 15 | ((high >> (2 * run) & 3) as u8) << 4;
        let scale = scale * (f32::from(own) - 32.0);
        nibbles(codes, out, |code, _| scale * level(&NONLINEAR, code));
    }
}

pub(super) fn mxfp4(block: &[u8], out: &mut [f32]) {
    let scale = half_of_e8m0(block[0]);
    nibbles(&block[1..], out, |code, _| scale * level(&DOUBLED_E2M1, code));
}

/// Four runs of 16.
pub(super) fn nvfp4(block: &[u8], out: &mut [f32]) {
    let (scales, codes) = block.split_at(4);
    let runs = out.chunks_exact_mut(16).zip(codes.chunks_exact(8));
    for ((out, codes), scale) in runs.zip(scales) {
        let scale = half_of_unsigned_e4m3(*scale);
        let (low, high) = out.split_at_mut(8);
        for ((low, high), code) in low.iter_mut().zip(high).zip(codes) {
            *low = scale * level(&DOUBLED_E2M1, code & 15);
            *high = scale * level(&DOUBLED_E2M1, code >> 4);
        }
    }
}

/// `2^(exponent - 128)`, subnormal at both ends of zero.
fn half_of_e8m0(exponent: u8) -> f32 {
    f32::from_bits(match exponent {
        0 | 1 => 0x0020_0000 << exponent,
        _ => u32::from(exponent - 1) << 23,
    })
}

/// Half of a float with 4 bits of exponent and 3 of mantissa; its sign bit says nothing, and the pattern of NaN is 0.
fn half_of_unsigned_e4m3(byte: u8) -> f32 {
    let (exponent, mantissa) = (byte >> 3 & 15, f32::from(byte & 7));
    if byte == 0x7f {
        return 0.0;
    }
    let number = match exponent {
        0 => mantissa * 2_f32.powi(-9),
        _ => (1.0 + mantissa / 8.0) * 2_f32.powi(i32::from(exponent) - 7),
    };
    number * 0.5
}
