//! Numbers and names for a person: three significant digits, units, names that elide in the middle.

use crate::inference::{Metrics, Score};
use crate::network::Layer;
use crate::quantization::{Bits, SplitKind};
use egui::{Response, RichText, Ui};
use std::time::Duration;

pub(super) use crate::report::numbers::{
    added, clip, decibels, elide_middle, full_count, on_or_off, percent, plural, scales, shape, short_count,
    short_number, three_digits,
};

/// Bits as `3 bits` or `float`.
pub(super) fn bits(bits: Bits) -> String {
    match bits {
        Bits::Grid(bits) => format!("{bits} bits"),
        Bits::Float => "float".to_owned(),
    }
}

/// What a network is judged by where labels or a text tell: `94.2 %`, `perplexity 4.71`, `Pearson 0.8123`.
pub(super) fn score(metrics: &Metrics) -> Option<String> {
    let value = score_value(metrics)?;
    Some(match Score::of_metrics(metrics) {
        Score::Top1 => value,
        score => format!("{} {value}", score.name()),
    })
}

/// The same without its name.
pub(super) fn score_value(metrics: &Metrics) -> Option<String> {
    let score = Score::of_metrics(metrics);
    let value = score.of(metrics)?;
    Some(match score {
        Score::Top1 => percent(value),
        Score::Perplexity => three_digits(value),
        score => score.show(value),
    })
}

/// What a layer is that is on no grid of ours: one that could be is float, another (its weights are integers already, or of a
/// kind that is only shown) stays what it is.
pub(super) fn not_planned(layer: &Layer) -> &'static str {
    if layer.support.can_quantize() { "float" } else { "as is" }
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

/// The name of a layer in few characters: the parts before the last one shrink to their first letter and their number, from
/// the front, until it `fits`; then those without a number are left out; what is still too long is cut in the middle.
/// `features.denseblock2.conv1` becomes `f.denseblock2.conv1`, then `f.d2.conv1`, then `d2.conv1`: names that differ stay
/// different as long as can be.
pub(super) fn abbreviated(name: &str, fits: impl Fn(&str) -> bool) -> String {
    if fits(name) {
        return name.to_owned();
    }
    let mut parts: Vec<String> = name.split_inclusive(SEPARATORS).map(str::to_owned).collect();
    let mut last = parts.len().saturating_sub(1);
    for place in 0..last {
        parts[place] = initial(&parts[place]);
        let shorter = parts.concat();
        if fits(&shorter) {
            return shorter;
        }
    }
    let is_word = |part: &String| !part.contains(|c: char| c.is_ascii_digit());
    while let Some(word) = parts[..last].iter().position(is_word) {
        parts.remove(word);
        last -= 1;
        let shorter = parts.concat();
        if fits(&shorter) {
            return shorter;
        }
    }
    cut(&parts.concat(), fits)
}

/// A text without as much of its middle as is too long.
fn cut(text: &str, fits: impl Fn(&str) -> bool) -> String {
    let (mut low, mut high) = (1, text.chars().count());
    while low < high {
        let middle = (low + high).div_ceil(2);
        if fits(&elide_middle(text, middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    elide_middle(text, low)
}

/// The name of a layer in at most so many characters.
pub(super) fn short_name(name: &str, most: usize) -> String {
    abbreviated(name, |text| text.chars().count() <= most)
}

/// What parts of a name are joined by.
const SEPARATORS: [char; 2] = ['.', '/'];

/// The first letter of a part and the number at its end, with what joins it to the next one.
fn initial(part: &str) -> String {
    let (word, joint) = part.split_at(part.trim_end_matches(SEPARATORS).len());
    let number = word.trim_start_matches(|c: char| !c.is_ascii_digit());
    let number = if number.chars().all(|c| c.is_ascii_digit()) {
        number
    } else {
        ""
    };
    match word.chars().next() {
        Some(first) if !first.is_ascii_digit() => format!("{first}{number}{joint}"),
        _ => part.to_owned(),
    }
}

/// The name of a layer that is abbreviated to fit into what is left of the row; all of it in a tooltip and for screen readers.
pub(super) fn elided_label(ui: &mut Ui, name: &str, width: f32) -> Response {
    elided_after(ui, "", name, width)
}

/// The same after a mark that is never shortened.
pub(super) fn elided_after(ui: &mut Ui, mark: &str, name: &str, width: f32) -> Response {
    shortened_label(ui, mark, name, width, |name, fits| abbreviated(name, fits))
}

/// The name of a file in the same way: of that the beginning and the end are kept.
pub(super) fn elided_file_label(ui: &mut Ui, name: &str, width: f32) -> Response {
    shortened_label(ui, "", name, width, |name, fits| cut(name, fits))
}

fn shortened_label(
    ui: &mut Ui,
    mark: &str,
    name: &str,
    width: f32,
    shorten: impl Fn(&str, &dyn Fn(&str) -> bool) -> String,
) -> Response {
    let style = ui.style().override_text_style.clone().unwrap_or(egui::TextStyle::Body);
    let font = style.resolve(ui.style());
    let painter = ui.painter();
    let fits = |text: &str| {
        let galley = painter.layout_no_wrap(format!("{mark}{text}"), font.clone(), egui::Color32::PLACEHOLDER);
        galley.size().x <= width
    };
    let shown = if fits(name) {
        name.to_owned()
    } else {
        shorten(name, &fits)
    };
    let label = egui::Label::new(format!("{mark}{shown}")).selectable(false).extend();
    let response = ui.add(label);
    if shown == name {
        return response;
    }
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
        assert_eq!(abbreviated(name, in_length(12)), "d2.d6.conv1");
        assert_eq!(abbreviated(name, in_length(6)), "d2…nv1");
        assert_eq!(abbreviated("layer2.0.downsample.0", in_length(18)), "l2.0.downsample.0");
        assert_eq!(abbreviated("model/block_1a/conv", in_length(14)), "m/b/conv");
        assert_eq!(abbreviated("ä€ö", in_length(2)), "…ö");
        let deep = |part: &str| format!("encoder.stages.3.blocks.12.attention.output.{part}dense");
        assert_eq!(abbreviated(&deep(""), in_length(14)), "3.12.a.o.dense");
        assert_eq!(abbreviated(&deep("projection."), in_length(14)), "3.12.o.p.dense");
    }

    #[test]
    fn the_name_of_a_file_keeps_its_beginning() {
        let fits = |text: &str| text.chars().count() <= 16;
        assert_eq!(cut("deep_encoder_of_many_stages.onnx", fits), "deep_en…ges.onnx");
    }
}
