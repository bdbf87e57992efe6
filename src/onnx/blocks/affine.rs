//! Codes times a scale, with or without a minimum: the older formats (blocks of 32) and the K formats (blocks of 256, with scales
//! of their own for runs of 16 or 32).

use super::SHORT;
use half::f16;

/// The half at byte `at`.
pub(super) fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// The fifth bit of element `at`, in its place.
fn fifth(high: &[u8], at: usize) -> u8 {
    (high[at / 8] >> (at % 8) & 1) << 4
}

/// A block of 32 codes of 4 bits: the first half in the low ends of the bytes.
pub(super) fn nibbles(codes: &[u8], out: &mut [f32], value: impl Fn(u8, usize) -> f32) {
    let (low, high) = out.split_at_mut(SHORT / 2);
    for (at, code) in codes.iter().take(SHORT / 2).enumerate() {
        low[at] = value(code & 15, at);
        high[at] = value(code >> 4, at + SHORT / 2);
    }
}

pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    nibbles(&block[2..], out, |code, _| scale * (f32::from(code) - 8.0));
}

pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    nibbles(&block[4..], out, |code, _| scale * f32::from(code) + minimum);
}

pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let (scale, high) = (half(block, 0), &block[2..6]);
    nibbles(&block[6..], out, |code, at| {
        scale * (f32::from(code | fifth(high, at)) - 16.0)
    });
}

pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, minimum, high) = (half(block, 0), half(block, 2), &block[4..8]);
    nibbles(&block[8..], out, |code, at| {
        scale * f32::from(code | fifth(high, at)) + minimum
    });
}

pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (out, code) in out.iter_mut().zip(&block[2..]) {
        *out = f32::from(code.cast_signed()) * scale;
    }
}

/// Four runs of 32 codes of 2 bits in each 32 bytes.
pub(super) fn two_bits(codes: &[u8], at: usize) -> u8 {
    let (part, run, place) = (at / 128, at / 32 % 4, at % 32);
    codes[32 * part + place] >> (2 * run) & 3
}

pub(super) fn q2_k(block: &[u8], out: &mut [f32]) {
    let (scales, codes) = (&block[..16], &block[16..80]);
    let (scale, minimum) = (half(block, 80), half(block, 82));
    for (part, (out, packed)) in out.chunks_exact_mut(16).zip(scales).enumerate() {
        let (scale, minimum) = (scale * f32::from(packed & 15), minimum * f32::from(packed >> 4));
        for (at, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(two_bits(codes, 16 * part + at)) - minimum;
        }
    }
}

pub(super) fn q3_k(block: &[u8], out: &mut [f32]) {
    let (high, codes, scales, scale) = (&block[..32], &block[32..96], &block[96..108], half(block, 108));
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let low_bits = if part < 8 {
            scales[part] & 15
        } else {
            scales[part - 8] >> 4
        };
        let high_bits = scales[8 + part % 4] >> (2 * (part / 4)) & 3;
        let scale = scale * (f32::from(low_bits | high_bits << 4) - 32.0);
        for (at, out) in out.iter_mut().enumerate() {
            let at = 16 * part + at;
            // The third bit says that nothing is taken off.
            let off = if high[at % 32] >> (at / 32) & 1 == 1 { 0.0 } else { 4.0 };
            *out = scale * (f32::from(two_bits(codes, at)) - off);
        }
    }
}

/// The 6-bit scale and minimum of run `run` out of the 12 bytes that hold eight of each.
fn scale_and_minimum(packed: &[u8], run: usize) -> (f32, f32) {
    let (scale, minimum) = match run.checked_sub(4) {
        None => (packed[run] & 63, packed[4 + run] & 63),
        Some(upper) => (
            packed[8 + upper] & 15 | packed[upper] >> 2 & 0x30,
            packed[8 + upper] >> 4 | packed[4 + upper] >> 2 & 0x30,
        ),
    };
    (f32::from(scale), f32::from(minimum))
}

pub(super) fn q4_k(block: &[u8], out: &mut [f32]) {
    q45_k(block, &[], &block[16..], out);
}

pub(super) fn q5_k(block: &[u8], out: &mut [f32]) {
    q45_k(block, &block[16..48], &block[48..], out);
}

/// Q4_K and, with the fifth bits in `high`, Q5_K.
fn q45_k(block: &[u8], high: &[u8], codes: &[u8], out: &mut [f32]) {
    let (scale, minimum) = (half(block, 0), half(block, 2));
    for (run, out) in out.chunks_exact_mut(32).enumerate() {
        let (own_scale, own_minimum) = scale_and_minimum(&block[4..16], run);
        let (scale, minimum) = (scale * own_scale, minimum * own_minimum);
        for (at, out) in out.iter_mut().enumerate() {
            let code = codes[32 * (run / 2) + at] >> (4 * (run % 2)) & 15;
            let fifth = high.get(at).map_or(0, |bits| (bits >> run & 1) << 4);
            *out = scale * f32::from(code | fifth) - minimum;
        }
    }
}

pub(super) fn q6_k(block: &[u8], out: &mut [f32]) {
    let (low, high, scales, scale) = (&block[..128], &block[128..192], &block[192..208], half(block, 208));
    for (part, out) in out.chunks_exact_mut(16).enumerate() {
        let scale = scale * f32::from(scales[part].cast_signed());
        for (place, out) in out.iter_mut().enumerate() {
            let at = 16 * part + place;
            let half_block = at / 128;
            let low_bits = low[64 * half_block + at % 64] >> (4 * (at / 64 % 2)) & 15;
            let high_bits = high[32 * half_block + at % 32] >> (2 * (at / 32 % 4)) & 3;
            *out = scale * (f32::from(low_bits | high_bits << 4) - 32.0);
        }
    }
}
