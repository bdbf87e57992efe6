//! Axes: round marks of numbers, and counts on a logarithmic scale.

use crate::report::numbers::short_count;

/// A mark of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Where it stands.
    pub value: f64,
    /// Distance to the next one.
    pub step: f64,
}

/// How counts are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// As `log10(1 + n)`: a single weight is seen beside a thousand.
    Log,
    /// As they are.
    Linear,
}

impl Scale {
    /// Height of a count.
    pub fn height(self, count: f64) -> f64 {
        match self {
            Self::Log => (1.0 + count).log10(),
            Self::Linear => count,
        }
    }

    /// The count of a height.
    pub fn count(self, height: f64) -> f64 {
        match self {
            Self::Log => 10_f64.powf(height) - 1.0,
            Self::Linear => height,
        }
    }

    /// Marks of an axis of counts between two heights: 0, 1, 10, 100… on the logarithmic one, round numbers on the other.
    pub fn marks(self, heights: (f64, f64)) -> Vec<Mark> {
        self.marks_apart(heights, 0.0)
    }

    /// The same with no two decades or round numbers nearer to each other than `least`, so that each has room for its text.
    pub fn marks_apart(self, (low, high): (f64, f64), least: f64) -> Vec<Mark> {
        let mark = |value: f64, step: f64| Mark { value, step };
        match self {
            Self::Log => {
                let every = least.ceil().clamp(1.0, 32.0);
                let decades = (0..=high.max(0.0).ceil() as i32)
                    .step_by(every as usize)
                    // 1 stands by 0, nearer than a decade.
                    .skip(usize::from(every > 1.0))
                    .map(|decade| self.height(10_f64.powi(decade)));
                std::iter::once(0.0)
                    .chain(decades)
                    .filter(|v| (low..=high).contains(v))
                    .map(|v| mark(v, every))
                    .collect()
            }
            Self::Linear => {
                let step = 10_f64.powf((high.max(1.0) / 2.5).log10().floor()).max(1.0);
                if step < least {
                    return number_marks((low, high), least);
                }
                let count = (high / step).ceil().min(100.0) as i64;
                (0..=count)
                    .map(|i| mark(i as f64 * step, step))
                    .filter(|m| (low..=high).contains(&m.value))
                    .collect()
            }
        }
    }

    /// Text of a mark.
    pub fn mark_text(self, height: f64) -> String {
        short_count(self.count(height).max(0.0).round() as u64)
    }
}

/// Marks of an axis of numbers: steps of 1, 2 or 5 in a decade, none smaller than `least`.
pub fn number_marks((low, high): (f64, f64), least: f64) -> Vec<Mark> {
    if !(least > 0.0 && (high - low) / least < 1000.0) {
        return Vec::new();
    }
    let decade = 10_f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * decade)
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(least);
    let mark = |i: i64| Mark {
        value: i as f64 * step,
        step,
    };
    ((low / step).ceil() as i64..=(high / step).floor() as i64)
        .map(mark)
        .collect()
}

/// Points that a digit of such a mark takes at most, and points between two texts at least.
const DIGIT: f64 = 7.5;
const BETWEEN: f64 = 6.0;

/// Marks of an axis to the right on which a unit is `unit` points wide: at least `apart` points from each other, or nearer where
/// fewer than two would be in sight, as long as their texts do not touch.
pub fn marks_across(ends: (f64, f64), unit: f64, apart: f64) -> Vec<Mark> {
    let wide = number_marks(ends, apart / unit);
    if wide.len() >= 2 {
        return wide;
    }
    let width = |mark: &Mark| number_text(*mark).chars().count() as f64 * DIGIT;
    let fit = |marks: &[Mark]| {
        let mut pairs = marks.windows(2);
        marks.len() >= 2 && pairs.all(|pair| (width(&pair[0]) + width(&pair[1])) / 2.0 + BETWEEN <= unit * pair[0].step)
    };
    [2.0, 4.0, 8.0]
        .into_iter()
        .map(|finer| number_marks(ends, apart / unit / finer))
        .find_map(|marks| {
            let outer = outermost(&marks);
            [marks, outer].into_iter().find(|marks| fit(marks))
        })
        .unwrap_or(wide)
}

/// The first and the last of marks, as far from each other as they are.
fn outermost(marks: &[Mark]) -> Vec<Mark> {
    let (Some(first), Some(last)) = (marks.first(), marks.last()) else {
        return Vec::new();
    };
    let step = last.value - first.value;
    [first, last].map(|mark| Mark { step, ..*mark }).to_vec()
}

/// Text of such a mark, with a true minus. Steps of a hundred thousand and more, or of less than a millionth, with a power of ten:
/// so many zeros are not read.
pub fn number_text(mark: Mark) -> String {
    let decade = |number: f64| number.log10().floor();
    let powers = mark.step >= 1e5 || mark.step < 1e-6;
    if powers && mark.value.abs() < mark.step * 1e-6 {
        return "0".to_owned();
    }
    let digits = if powers {
        decade(mark.value.abs()) - decade(mark.step)
    } else {
        -decade(mark.step)
    };
    let written = |digits: usize| {
        if powers {
            format!("{:.digits$e}", mark.value)
        } else {
            format!("{:.digits$}", mark.value)
        }
    };
    // A mark that is no multiple of its step has more digits than the step.
    let exact = |text: &String| {
        text.parse()
            .is_ok_and(|number: f64| (number - mark.value).abs() <= mark.step * 1e-6)
    };
    let digits = digits.clamp(0.0, 12.0) as usize;
    let text = (digits..=12).map(written).find(exact);
    text.unwrap_or_else(|| written(digits)).replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_weight_is_visible_beside_a_thousand_on_the_logarithmic_axis() {
        assert!(Scale::Log.height(1.0) / Scale::Log.height(1000.0) > 0.05);
        assert_eq!(Scale::Log.mark_text(Scale::Log.height(1000.0)), "1.00 k");
        assert_eq!(Scale::Log.height(0.0), 0.0);
    }

    #[test]
    fn a_low_axis_of_counts_has_fewer_numbers_and_never_none() {
        let texts = |scale: Scale, top: f64, least: f64| -> Vec<String> {
            let marks = scale.marks_apart((0.0, scale.height(top)), least);
            assert!(marks.iter().all(|mark| mark.step >= least));
            marks.into_iter().map(|mark| scale.mark_text(mark.value)).collect()
        };
        assert_eq!(texts(Scale::Log, 2e4, 0.9), ["0", "1", "10", "100", "1.00 k", "10.0 k"]);
        assert_eq!(texts(Scale::Log, 2e4, 1.4), ["0", "100", "10.0 k"]);
        assert_eq!(texts(Scale::Linear, 450.0, 0.0), ["0", "100", "200", "300", "400"]);
        assert_eq!(texts(Scale::Linear, 450.0, 150.0), ["0", "200", "400"]);
    }

    #[test]
    fn numbers_of_an_axis_are_round() {
        let marks = number_marks((-1.2, 1.2), 0.3);
        let texts: Vec<String> = marks.into_iter().map(number_text).collect();
        assert_eq!(texts, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert!(number_marks((0.0, 1.0), 0.0).is_empty());
        let large: Vec<String> = number_marks((-1.1e6, 1.1e6), 3e5)
            .into_iter()
            .map(number_text)
            .collect();
        assert_eq!(large, ["−1.0e6", "−5e5", "0", "5e5", "1.0e6"]);
        let small: Vec<String> = number_marks((0.0, 4.1e-7), 2e-7).into_iter().map(number_text).collect();
        assert_eq!(small, ["0", "2e−7", "4e−7"]);
    }

    #[test]
    fn a_narrow_axis_has_two_numbers_where_they_fit() {
        let texts = |reach: f64, width: f64| -> Vec<String> {
            let marks = marks_across((-reach, reach), width / (2.0 * reach), 80.0);
            marks.into_iter().map(number_text).collect()
        };
        assert_eq!(texts(1.2, 600.0), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(0.9, 200.0), ["−0.5", "0.0", "0.5"]);
        assert_eq!(texts(0.0009, 180.0), ["−0.0005", "0.0005"]);
        assert_eq!(texts(9e6, 160.0), ["−5e6", "0", "5e6"]);
        assert_eq!(texts(1.7e6, 130.0), ["−1e6", "0", "1e6"]);
        assert_eq!(texts(0.9, 40.0), ["0"], "two have no room");
        assert!(marks_across((0.0, 1.0), f64::INFINITY, 80.0).is_empty());
    }
}
