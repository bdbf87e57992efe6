//! Numbers and names for a person: three significant digits, units, names that elide in the middle.

use crate::quantization::{Bits, SplitKind};
use egui::{Response, RichText, Ui};
use std::time::Duration;

pub(super) use crate::report::numbers::{
    added, clip, decibels, full_count, percent, plural, shape, short_count, short_number, three_digits,
};

/// Bits as `3 bits` or `float`.
pub(super) fn bits(bits: Bits) -> String {
    match bits {
        Bits::Grid(bits) => format!("{bits} bits"),
        Bits::Float => "float".to_owned(),
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

/// A label that elides in the middle to fit into what is left of the row; all of it in a tooltip and for screen readers.
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
    let (mut low, mut high) = (1, name.chars().count());
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(&elide_middle(name, middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let response = ui.add(egui::Label::new(elide_middle(name, low)).selectable(false).extend());
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
}
