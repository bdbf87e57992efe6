//! Entries of codebooks: a code stands for four or eight numbers at once.
//!
//! The codebooks are constants of the format (`ggml-common.h` of ggml). They lie in `codebooks.bin`, written by
//! `tests/fixtures/gguf/make.py` from the tables of the package `gguf`: a little-endian word for each entry, 2 bits a number in
//! those of eight, 4 bits a number in those of four.

use super::affine::half;

static WORDS: &[u8] = include_bytes!("codebooks.bin");

/// Where a codebook begins, in words, and the numbers that its bits stand for.
struct Codebook {
    first: usize,
    levels: &'static [f32],
}

/// Numbers without sign of the formats of two bits.
const TWO_BITS: &[f32] = &[8.0, 25.0, 43.0, 0.0];
const IQ2_XXS: Codebook = Codebook {
    first: 0,
    levels: TWO_BITS,
};
const IQ2_XS: Codebook = Codebook {
    first: 256,
    levels: TWO_BITS,
};
const IQ2_S: Codebook = Codebook {
    first: 768,
    levels: TWO_BITS,
};
const IQ3_XXS: Codebook = Codebook {
    first: 1792,
    levels: &[
        4.0, 12.0, 20.0, 28.0, 36.0, 44.0, 52.0, 62.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ],
};
const IQ3_S: Codebook = Codebook {
    first: 2048,
    levels: &[
        1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0,
    ],
};
const IQ1: Codebook = Codebook {
    first: 2560,
    levels: &[-1.0, 0.0, 1.0, 0.0],
};

/// What the formats of one bit move all numbers of a run by.
const DELTA: f32 = 0.125;

impl Codebook {
    /// The numbers of an entry.
    fn entry(&self, index: usize) -> impl Iterator<Item = f32> {
        let word = word(WORDS, self.first + index);
        let (bits, numbers) = if self.levels.len() == 4 { (2, 8) } else { (4, 4) };
        let mask = (1 << bits) - 1;
        (0..numbers).map(move |at| self.levels[usize::from(word >> (bits * at) & mask)])
    }
}

/// The word of 16 bits with number `at`.
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]])
}

/// The word of 32 bits with number `at`.
fn long_word(bytes: &[u8], at: usize) -> u32 {
    u32::from(word(bytes, 2 * at)) | u32::from(word(bytes, 2 * at + 1)) << 16
}

/// The half byte with number `at`.
fn nibble(bytes: &[u8], at: usize) -> u8 {
    bytes[at / 2] >> (4 * (at % 2)) & 15
}

/// Signs of eight numbers in seven bits: an even number of them is negative.
fn even(signs: u8) -> u8 {
    signs | ((signs.count_ones() & 1) as u8) << 7
}

/// Eight numbers without sign, times `scale`, negative where a bit of `signs` is set.
fn eight(out: &mut [f32], scale: f32, numbers: impl Iterator<Item = f32>, signs: u8) {
    for (at, (out, number)) in out.iter_mut().zip(numbers).enumerate() {
        let sign = if signs >> at & 1 == 0 { 1.0 } else { -1.0 };
        *out = scale * number * sign;
    }
}

/// For each 32 numbers a word of four entries and one of four times seven signs and 4 bits of scale.
pub(super) fn iq2_xxs(block: &[u8], out: &mut [f32]) {
    let (scale, runs) = (half(block, 0), block[2..].chunks_exact(8));
    for (out, run) in out.chunks_exact_mut(32).zip(runs) {
        let rest = long_word(run, 1);
        let scale = scale * (0.5 + (rest >> 28) as f32) * 0.25;
        for (group, out) in out.chunks_exact_mut(8).enumerate() {
            let signs = (rest >> (7 * group) & 127) as u8;
            eight(out, scale, IQ2_XXS.entry(usize::from(run[group])), even(signs));
        }
    }
}

/// For each eight numbers a word of an entry and seven signs; 4 bits of scale for 16.
pub(super) fn iq2_xs(block: &[u8], out: &mut [f32]) {
    let (scale, codes, scales) = (half(block, 0), &block[2..66], &block[66..]);
    for (group, out) in out.chunks_exact_mut(8).enumerate() {
        let scale = scale * (0.5 + f32::from(nibble(scales, group / 2))) * 0.25;
        let code = word(codes, group);
        eight(
            out,
            scale,
            IQ2_XS.entry(usize::from(code & 511)),
            even((code >> 9) as u8),
        );
    }
}

/// For each eight numbers eight bits of an entry, two more elsewhere, and eight signs; 4 bits of scale for 16.
pub(super) fn iq2_s(block: &[u8], out: &mut [f32]) {
    let (scale, low, signs, high, scales) = (
        half(block, 0),
        &block[2..34],
        &block[34..66],
        &block[66..74],
        &block[74..],
    );
    for (group, out) in out.chunks_exact_mut(8).enumerate() {
        let scale = scale * (0.5 + f32::from(nibble(scales, group / 2))) * 0.25;
        let upper = usize::from(high[group / 4] >> (2 * (group % 4)) & 3);
        eight(
            out,
            scale,
            IQ2_S.entry(usize::from(low[group]) | upper << 8),
            signs[group],
        );
    }
}

/// For each eight numbers two entries; for 32 a word of four times seven signs and 4 bits of scale.
pub(super) fn iq3_xxs(block: &[u8], out: &mut [f32]) {
    let (scale, codes, rest) = (half(block, 0), &block[2..66], &block[66..]);
    for (group, out) in out.chunks_exact_mut(8).enumerate() {
        let rest = long_word(rest, group / 4);
        let scale = scale * (0.5 + (rest >> 28) as f32) * 0.5;
        let signs = (rest >> (7 * (group % 4)) & 127) as u8;
        let numbers = codes[2 * group..][..2]
            .iter()
            .flat_map(|code| IQ3_XXS.entry(usize::from(*code)));
        eight(out, scale, numbers, even(signs));
    }
}

/// For each eight numbers two entries of nine bits, the ninth elsewhere, and eight signs; 4 bits of scale for 32.
pub(super) fn iq3_s(block: &[u8], out: &mut [f32]) {
    let (scale, low, high, signs, scales) = (
        half(block, 0),
        &block[2..66],
        &block[66..74],
        &block[74..106],
        &block[106..],
    );
    for (group, out) in out.chunks_exact_mut(8).enumerate() {
        let scale = scale * f32::from(1 + 2 * nibble(scales, group / 4));
        let numbers = (2 * group..2 * group + 2).flat_map(|at| {
            let ninth = usize::from(high[at / 8] >> (at % 8) & 1);
            IQ3_S.entry(usize::from(low[at]) | ninth << 8)
        });
        eight(out, scale, numbers, signs[group]);
    }
}

/// Eight numbers of -1, 0, 1, all moved by [`DELTA`] up or, where `down`, down, times `scale`.
fn moved(out: &mut [f32], scale: f32, entry: usize, down: bool) {
    let delta = if down { -DELTA } else { DELTA };
    for (out, number) in out.iter_mut().zip(IQ1.entry(entry)) {
        *out = scale * (number + delta);
    }
}

/// For each eight numbers eight bits of an entry; for 32 a word of three more for each four, 3 bits of scale, and which way they move.
pub(super) fn iq1_s(block: &[u8], out: &mut [f32]) {
    let (scale, low, high) = (half(block, 0), &block[2..34], &block[34..]);
    for (group, out) in out.chunks_exact_mut(8).enumerate() {
        let high = word(high, group / 4);
        let scale = scale * f32::from(2 * (high >> 12 & 7) + 1);
        let upper = usize::from(high >> (3 * (group % 4)) & 7);
        moved(out, scale, usize::from(low[group]) | upper << 8, high >> 15 == 1);
    }
}

/// For each eight numbers eight bits of an entry, three more and which way they move in a half byte; 3 bits of scale for 16, four
/// of them in a word whose upper bits are a quarter of the scale of all.
pub(super) fn iq1_m(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..32], &block[32..48], &block[48..]);
    let bits = (0..4).fold(0, |bits, at| bits | (word(scales, at) >> 12) << (4 * at));
    let scale = half::f16::from_bits(bits).to_f32();
    for (group, out) in out.chunks_exact_mut(8).enumerate() {
        let run = group / 2;
        let scale = scale * f32::from(2 * (word(scales, run / 4) >> (3 * (run % 4)) & 7) + 1);
        let rest = nibble(high, group);
        moved(
            out,
            scale,
            usize::from(low[group]) | usize::from(rest & 7) << 8,
            rest & 8 != 0,
        );
    }
}
