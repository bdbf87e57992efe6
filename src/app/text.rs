//! Numbers and names for a person: three significant digits, units, names that elide in the middle.

use crate::quantization::{Bits, Clip, SplitKind};
use egui::{Response, RichText, Ui};
use std::time::Duration;

/// Three significant digits: `0.0123`, `12.3`, `1230`, `1.23e-5`.
pub(super) fn three_digits(x: f64) -> String {
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

/// A number that a person has set, without needless zeros: `4`, `2.5`.
pub(super) fn short_number(x: f64) -> String {
    format!("{}", (x * 100.0).round() / 100.0)
}

/// A count as `987`, `12.3 k`, `4.56 M`.
pub(super) fn short_count(count: u64) -> String {
    match count {
        0..1000 => count.to_string(),
        1000..1_000_000 => format!("{} k", three_digits(count as f64 / 1e3)),
        1_000_000..1_000_000_000 => format!("{} M", three_digits(count as f64 / 1e6)),
        _ => format!("{} G", three_digits(count as f64 / 1e9)),
    }
}

/// A count in full, its digits in groups of three: `12 345`.
pub(super) fn full_count(count: u64) -> String {
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

/// `1 layer`, `2 layers`.
pub(super) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", full_count(count), if count == 1 { one } else { many })
}

/// A share as `94.2 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// What is added, as `+1.9 %`, from a ratio to the original.
pub(super) fn added(ratio: f64) -> String {
    format!("+{:.1} %", (ratio - 1.0) * 100.0)
}

/// Decibels.
pub(super) fn decibels(db: f64) -> String {
    if db.is_finite() {
        format!("{db:.1} dB")
    } else {
        "∞ dB".to_owned()
    }
}

/// Sizes as `16×3×3`.
pub(super) fn shape(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

/// Bits as `3 bits` or `float`.
pub(super) fn bits(bits: Bits) -> String {
    match bits {
        Bits::Grid(bits) => format!("{bits} bits"),
        Bits::Float => "float".to_owned(),
    }
}

/// A way to clip.
pub(super) fn clip(clip: Clip) -> String {
    match clip {
        Clip::Manual(threshold) => format!("at {}", three_digits(f64::from(threshold))),
        other => other.label().to_owned(),
    }
}

/// A way to split.
pub(super) fn split(split: SplitKind) -> &'static str {
    match split {
        SplitKind::Qa => "quantization-aware",
        SplitKind::Naive => "halves (naive)",
    }
}

/// A duration as `12 s`, `3 min 20 s`.
pub(super) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f32().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// `name` with its middle left out so that at most `keep` characters remain.
pub(super) fn elide_middle(name: &str, keep: usize) -> String {
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

/// The name of a layer in few characters: the parts before the last one shrink to their first letter and their number, from
/// the front, until it `fits`; what is still too long is cut in the middle. `features.denseblock2.conv1` becomes
/// `f.denseblock2.conv1`, then `f.d2.conv1`: names that differ stay different.
pub(super) fn abbreviated(name: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(name) {
        return name.to_owned();
    }
    let separators: Vec<&str> = name.matches(SEPARATORS).collect();
    let mut parts: Vec<String> = name.split(SEPARATORS).map(str::to_owned).collect();
    let joined = |parts: &[String]| {
        let mut text = String::new();
        for (i, part) in parts.iter().enumerate() {
            text.push_str(part);
            text.push_str(separators.get(i).copied().unwrap_or_default());
        }
        text
    };
    let last = parts.len().saturating_sub(1);
    for place in 0..last {
        parts[place] = initial(&parts[place]);
        let shorter = joined(&parts);
        if fits(&shorter) {
            return shorter;
        }
    }
    let shortest = joined(&parts);
    let (mut low, mut high) = (1, shortest.chars().count());
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(&elide_middle(&shortest, middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    elide_middle(&shortest, low)
}

/// What parts of a name are joined by.
const SEPARATORS: [char; 2] = ['.', '/'];

/// The first letter of a part and the number at its end.
fn initial(part: &str) -> String {
    let number = part.trim_start_matches(|c: char| !c.is_ascii_digit());
    let number = if number.chars().all(|c| c.is_ascii_digit()) {
        number
    } else {
        ""
    };
    match part.chars().next() {
        Some(first) if !first.is_ascii_digit() => format!("{first}{number}"),
        _ => part.to_owned(),
    }
}

/// A label that is abbreviated to fit into what is left of the row; all of it in a tooltip and for screen readers.
pub(super) fn elided_label(ui: &mut Ui, name: &str, width: f32) -> Response {
    let style = ui.style().override_text_style.clone().unwrap_or(egui::TextStyle::Body);
    let font = style.resolve(ui.style());
    let fits = |text: &str| {
        ui.painter()
            .layout_no_wrap(text.to_owned(), font.clone(), egui::Color32::PLACEHOLDER)
            .size()
            .x
            <= width
    };
    if fits(name) {
        return ui.add(egui::Label::new(name).selectable(false).extend());
    }
    let response = ui.add(egui::Label::new(abbreviated(name, fits)).selectable(false).extend());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, name));
    response.on_hover_text(name)
}

/// Small, weaker text.
pub(super) fn note(text: impl Into<String>) -> RichText {
    RichText::new(text).small().weak()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        assert_eq!(
            [0.0123, 12.34, 1234.0, 0.0, 1.0].map(three_digits),
            ["0.0123", "12.3", "1234", "0", "1.00"]
        );
        assert_eq!(three_digits(1.234e-5), "1.23e−5");
        assert_eq!([999, 12_345, 4_560_000].map(short_count), ["999", "12.3 k", "4.56 M"]);
        assert_eq!(full_count(1_234_567), "1\u{202f}234\u{202f}567");
    }

    #[test]
    fn a_long_name_keeps_its_beginning_and_its_end() {
        assert_eq!(elide_middle("layer1.0.conv1", 20), "layer1.0.conv1");
        assert_eq!(elide_middle("features.denseblock1.conv2", 11), "featu…conv2");
        assert_eq!(elide_middle("ä€ö", 2), "…ö");
    }

    #[test]
    fn the_name_of_a_layer_keeps_what_tells_it_from_others() {
        let in_length = |length: usize| move |text: &str| text.chars().count() <= length;
        let name = "features.denseblock2.denselayer6.conv1";
        assert_eq!(abbreviated(name, in_length(40)), name);
        assert_eq!(abbreviated(name, in_length(32)), "f.denseblock2.denselayer6.conv1");
        assert_eq!(abbreviated(name, in_length(22)), "f.d2.denselayer6.conv1");
        assert_eq!(abbreviated(name, in_length(20)), "f.d2.d6.conv1");
        assert_eq!(abbreviated(name, in_length(6)), "f.…nv1");
        assert_eq!(abbreviated("layer2.0.downsample.0", in_length(18)), "l2.0.downsample.0");
        assert_eq!(abbreviated("model/block_1a/conv", in_length(14)), "m/b/conv");
        assert_eq!(abbreviated("ä€ö", in_length(2)), "…ö");
    }
}
