//! Numbers for a person: three significant digits, units, a true minus.

use crate::quantization::{Clip, Granularity};

/// Three significant digits: `0.0123`, `12.3`, `1230`, `1.23e-5`.
pub fn three_digits(x: f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    if !x.is_finite() {
        return if x.is_nan() {
            "NaN".to_owned()
        } else if x > 0.0 {
            "∞".to_owned()
        } else {
            "−∞".to_owned()
        };
    }
    let magnitude = x.abs().log10().floor();
    let text = if (-3.0..5.0).contains(&magnitude) {
        let decimals = (2.0 - magnitude).max(0.0) as usize;
        format!("{x:.decimals$}")
    } else {
        format!("{x:.2e}")
    };
    text.replace('-', "−")
}

/// A count as `987`, `12.3 k`, `4.56 M`.
pub fn short_count(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        1000..1_000_000 => format!("{} k", three_digits(count as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} M", three_digits(count as f64 / 1e6)),
        _ => format!("{} G", three_digits(count as f64 / 1e9)),
    }
}

/// A count in full, its digits in groups of three: `12 345`.
pub fn full_count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// A share as `94.2 %`.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// What is added, as `+1.9 %`, from a ratio to the original.
pub fn added(ratio: f64) -> String {
    format!("+{:.1} %", (ratio - 1.0) * 100.0)
}

/// Decibels.
pub fn decibels(db: f64) -> String {
    if db.is_finite() {
        format!("{db:.1} dB")
    } else {
        "∞ dB".to_owned()
    }
}

/// Sizes as `16×3×3`.
pub fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// A way to clip.
pub fn clip(clip: Clip) -> String {
    match clip {
        Clip::Manual(threshold) => format!("at {}", three_digits(f64::from(threshold))),
        other => other.label().to_owned(),
    }
}

/// What has a scale of its own, short: `tensor`, `channel`, `block 32`.
pub fn scales(scales: Granularity) -> String {
    match scales {
        Granularity::Block(size) => format!("block {size}"),
        Granularity::Tensor | Granularity::Channel => scales.to_string(),
    }
}

/// A switch as the flags that list several of its values name them.
pub fn on_or_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

/// `1 layer`, `2 layers`.
pub fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", full_count(count), if count == 1 { one } else { many })
}

/// A number that a person has set, without needless zeros: `4`, `2.5`.
pub fn short_number(x: f64) -> String {
    format!("{}", (x * 100.0).round() / 100.0)
}

/// `name` with its middle left out so that at most `keep` characters remain.
pub fn elide_middle(name: &str, keep: usize) -> String {
    let length = name.chars().count();
    if length <= keep {
        return name.to_owned();
    }
    let kept = keep.saturating_sub(1);
    // The end of a layer's name tells more than its beginning.
    let head = kept / 2;
    let tail = kept - head;
    let start: String = name.chars().take(head).collect();
    let end: String = name.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}
