//! Lesson: one weight on a number line becomes two that round to the same sum.

use super::super::Outbox;
use super::super::theme::{Tokens, thin, tokens};
use super::scene::{Scene, sentences};
use crate::network::{Layout, OutAxis};
use crate::quantization::{Grid, SplitKind, split_channels};
use egui::{Align2, Color32, Painter, Rect, Sense, Slider, Stroke, TextStyle, Ui, pos2, vec2};

/// Indices shown on either side of 0.
const SHOWN: i32 = 5;
/// Height of one number line, points.
const LINE: f32 = 62.0;

pub(super) struct SplittingLesson {
    /// The weight, in steps.
    weight: f32,
}

impl Default for SplittingLesson {
    fn default() -> Self {
        Self { weight: 3.3 }
    }
}

/// One weight and what a split makes of it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Halves {
    values: [f32; 2],
    rounded: [i32; 2],
}

impl Halves {
    /// Splits `weight` on `grid`.
    fn of(weight: f32, kind: SplitKind, grid: Grid) -> Self {
        let one = Layout {
            groups: 1,
            outer: 1,
            channels: 1,
            inner: 1,
            out_axis: OutAxis::Outer,
            out_run: 1,
        };
        let split = split_channels(&[weight], &one, 1, kind, grid.step);
        let values = [split.values[0], split.values[1]];
        Self {
            values,
            rounded: values.map(|half| grid.index(half)),
        }
    }

    fn sum(self) -> i32 {
        self.rounded[0] + self.rounded[1]
    }
}

impl SplittingLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        // As fine as the layer's grid, and wide enough that nothing is clipped here.
        let grid = Grid {
            bits: 8,
            ..scene.grid()
        };
        let weight = self.weight * grid.step;
        let whole = grid.index(weight);
        let naive = Halves::of(weight, SplitKind::Naive, grid);
        let aware = Halves::of(weight, SplitKind::Qa, grid);
        let colors = tokens(ui);
        let lines = [
            ("whole", vec![(self.weight, whole)], colors.original),
            ("halves", marks(naive, grid), colors.split),
            ("quantization-aware", marks(aware, grid), colors.quantized),
        ];
        for (name, marks, color) in lines {
            line_ui(ui, name, &marks, color, colors);
        }
        ui.horizontal(|ui| {
            let label = ui.label("Weight");
            let slider = Slider::new(&mut self.weight, -4.5..=4.5)
                .suffix(" steps")
                .max_decimals(2);
            ui.add(slider).labelled_by(label.id);
        });
        let verdict = if naive.sum() == whole {
            "as the whole does"
        } else {
            "which is not what the whole does"
        };
        sentences(
            ui,
            [
                format!(
                    "A weight of {:.2} steps rounds to {whole}; a split gives two copies of the channel a half each, so that no \
                     weight has to reach further than half as far.",
                    self.weight
                ),
                format!(
                    "Equal halves of {:.2} steps round to {} + {} = {}, {verdict}: rounding twice can err twice.",
                    self.weight / 2.0,
                    naive.rounded[0],
                    naive.rounded[1],
                    naive.sum()
                ),
                format!(
                    "Moved apart by a quarter of a step each, they round to {} + {} = {}: always what the whole rounds to, so \
                     the split adds no error.",
                    aware.rounded[0],
                    aware.rounded[1],
                    aware.sum()
                ),
            ],
        );
        ui.horizontal_wrapped(|ui| {
            scene.try_it(ui, "Quantization-aware on this layer", out, |layer| {
                layer.split = Some(SplitKind::Qa);
            });
            scene.try_it(ui, "Equal halves on this layer", out, |layer| {
                layer.split = Some(SplitKind::Naive);
            });
        });
    }
}

/// Places in steps, and what they round to.
fn marks(halves: Halves, grid: Grid) -> Vec<(f32, i32)> {
    halves
        .values
        .iter()
        .map(|value| value / grid.step)
        .zip(halves.rounded)
        .collect()
}

/// A number line in steps with marks and arrows to the ticks that they round to.
fn line_ui(ui: &mut Ui, name: &str, marks: &[(f32, i32)], color: Color32, colors: &Tokens) {
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), LINE), Sense::hover());
    let said: Vec<String> = marks.iter().map(|(place, to)| format!("{place:.2} to {to}")).collect();
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, format!("{name}: {}", said.join(", "))));
    let painter = ui.painter();
    let font = TextStyle::Small.resolve(ui.style());
    let text = ui.visuals().text_color();
    painter.text(rect.left_top(), Align2::LEFT_TOP, name, font.clone(), text);
    let axis = Rect::from_min_max(
        pos2(rect.min.x + 16.0, rect.min.y),
        pos2(rect.max.x - 16.0, rect.max.y - 18.0),
    );
    let x = |steps: f32| axis.center().x + steps * axis.width() / (2.0 * SHOWN as f32);
    painter.line_segment([axis.left_bottom(), axis.right_bottom()], thin(colors.grid));
    for tick in -SHOWN..=SHOWN {
        let foot = pos2(x(tick as f32), axis.max.y);
        painter.line_segment([foot, foot - vec2(0.0, 7.0)], thin(colors.grid));
        painter.text(
            foot + vec2(0.0, 3.0),
            Align2::CENTER_TOP,
            tick.to_string().replace('-', "−"),
            font.clone(),
            text,
        );
    }
    for (i, (place, to)) in marks.iter().enumerate() {
        let from = pos2(x(*place), axis.max.y - 18.0 - 9.0 * i as f32);
        arrow(painter, from, pos2(x(*to as f32), axis.max.y - 3.0), color);
        painter.circle_filled(from, 4.0, color);
    }
}

fn arrow(painter: &Painter, from: egui::Pos2, to: egui::Pos2, color: Color32) {
    painter.line_segment([from, to], Stroke::new(1.5, color));
    painter.circle_filled(to, 2.5, color);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_aware_halves_add_up_to_the_whole_and_equal_ones_need_not() {
        let grid = Grid {
            bits: 8,
            step: 0.25,
            unsigned: false,
            zero_point: None,
        };
        let mut differs = false;
        for i in -450..=450 {
            let weight = i as f32 / 100.0 * grid.step;
            assert_eq!(
                Halves::of(weight, SplitKind::Qa, grid).sum(),
                grid.index(weight),
                "{weight}"
            );
            differs |= Halves::of(weight, SplitKind::Naive, grid).sum() != grid.index(weight);
        }
        assert!(differs);
        // 3.3 steps: 1.65 and 1.65 round to 2 and 2; 1.4 and 1.9 to 1 and 2.
        let naive = Halves::of(3.3 * grid.step, SplitKind::Naive, grid);
        assert_eq!((naive.rounded, naive.sum()), ([2, 2], 4));
        let aware = Halves::of(3.3 * grid.step, SplitKind::Qa, grid);
        assert_eq!(aware.rounded, [1, 2]);
    }
}
