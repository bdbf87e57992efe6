//! What a flag may be: each function reads one kind of value or says what is needed.

use crate::files;
use crate::inference::sweep::OutlierMove;
use crate::quantization::{Bits, ValueError};
use clap::builder::{OsStringValueParser, TypedValueParser};
use std::path::PathBuf;

/// A model or data: `demo:fashion`, or a path as text ([`files::path_text`]).
pub(super) fn path_text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|path| files::path_text(&path))
}

pub(super) fn at_least_one(text: &str) -> Result<usize, ValueError> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(ValueError::Needed("a whole number from 1 on is needed")),
    }
}

/// A switch of which several values are listed.
pub(super) fn on_or_off(text: &str) -> Result<bool, ValueError> {
    match text.trim() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(ValueError::Needed("on or off is needed")),
    }
}

pub(super) fn outlier_move(text: &str) -> Result<OutlierMove, ValueError> {
    let found = OutlierMove::ALL.into_iter().find(|outliers| outliers.name() == text);
    found.ok_or(ValueError::Needed("rotate, smooth or awq is needed"))
}

pub(super) fn positive(text: &str) -> Result<f64, ValueError> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err(ValueError::Needed("a number above 0 is needed")),
    }
}

pub(super) fn positive_f32(text: &str) -> Result<f32, ValueError> {
    match finite(text)? {
        number if number > 0.0 => Ok(number),
        _ => Err(ValueError::Needed("a number above 0 is needed")),
    }
}

pub(super) fn finite(text: &str) -> Result<f32, ValueError> {
    match text.trim().parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(ValueError::Needed("a number is needed")),
    }
}

pub(super) fn ratio(text: &str) -> Result<f64, ValueError> {
    match text.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&number) => Ok(number),
        _ => Err(ValueError::Needed("a share from 0 to 1 is needed")),
    }
}

pub(super) fn named_axis(text: &str) -> Result<(String, usize), ValueError> {
    let parsed = text
        .rsplit_once('=')
        .and_then(|(name, axis)| Some((name, axis.parse().ok()?)));
    match parsed {
        Some((name, axis)) if !name.is_empty() => Ok((name.to_owned(), axis)),
        _ => Err(ValueError::Needed("a channel axis is NAME=AXIS, such as conv.weight=0")),
    }
}

pub(super) fn named_file(text: &str) -> Result<(String, PathBuf), ValueError> {
    match text.split_once('=') {
        Some((name, file)) if !name.is_empty() && !file.is_empty() => Ok((name.to_owned(), file.into())),
        _ => Err(ValueError::Needed("an input is NAME=FILE.npy")),
    }
}

/// A share from 0 to 1, also in per cent.
pub(super) fn share(text: &str) -> Result<f64, ValueError> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().map(|percent| percent / 100.0),
        None => text.parse(),
    };
    match share {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(ValueError::Needed("a share from 0 to 1, or from 0% to 100%, is needed")),
    }
}

/// What may be lost: a share, where a bare 1 could as well be meant as one per cent.
pub(super) fn drop_share(text: &str) -> Result<f64, ValueError> {
    match share(text)? {
        everything if everything >= 1.0 && !text.ends_with('%') => {
            Err(ValueError::Needed("1 is the whole; write 1% for one per cent, or 100%"))
        }
        share => Ok(share),
    }
}

/// Bytes, also in kB, MB and GB (powers of 1000) or KiB, MiB and GiB.
pub(super) fn bytes(text: &str) -> Result<u64, ValueError> {
    const UNITS: [(&str, u64); 6] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
    ];
    let unit = UNITS
        .iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, *size)));
    let (number, size) = unit.unwrap_or((text, 1));
    match number.trim().parse::<f64>() {
        Ok(number) if number > 0.0 && number * size as f64 <= u64::MAX as f64 => Ok((number * size as f64) as u64),
        _ => Err(ValueError::Needed(
            "a number of bytes is needed, such as 500000, 500kB or 1.5MiB",
        )),
    }
}

pub(super) fn grid_bits(text: &str) -> Result<u8, ValueError> {
    match text.trim().parse::<u8>() {
        Ok(bits) if (Bits::MIN..=Bits::MAX).contains(&bits) => Ok(bits),
        _ => Err(ValueError::Needed("bits of a layer are 2 to 8")),
    }
}
