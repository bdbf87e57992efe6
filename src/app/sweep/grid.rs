//! The values that a sweep tries: four rows of switches.

use crate::app::text;
use crate::inference::sweep::SweepGrid;
use crate::quantization::{Bits, Clip};
use egui::{Button, Role, Ui, WidgetInfo, vec2};

/// Ratios that can be chosen.
const RATIOS: [f64; 6] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2];
/// Width of the names before the switches, points.
const NAME: f32 = 96.0;

/// The values of one axis, and which of them are tried.
struct Axis<T> {
    values: Vec<(T, bool)>,
}

impl<T: Copy + PartialEq> Axis<T> {
    fn new(values: impl IntoIterator<Item = T>, chosen: &[T]) -> Self {
        let values = values.into_iter().map(|value| (value, chosen.contains(&value)));
        Self {
            values: values.collect(),
        }
    }

    fn chosen(&self) -> Vec<T> {
        let on = self.values.iter().filter(|(_, on)| *on);
        on.map(|(value, _)| *value).collect()
    }

    /// Settings along this axis: without a choice the recipe's own value.
    fn count(&self) -> usize {
        self.values.iter().filter(|(_, on)| *on).count().max(1)
    }

    fn ui(&mut self, ui: &mut Ui, name: &str, help: &str, show: impl Fn(T) -> String) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = vec2(3.0, 3.0);
            let height = ui.spacing().interact_size.y;
            ui.allocate_ui(vec2(NAME, height), |ui| {
                ui.set_min_width(NAME);
                ui.label(name).on_hover_text(help);
            });
            for (value, on) in &mut self.values {
                let shown = show(*value);
                let response = ui.add(Button::selectable(*on, &shown)).on_hover_text(help);
                if response.clicked() {
                    *on = !*on;
                }
                let label = format!("{name} {shown}");
                response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, *on, &label));
            }
            if self.values.iter().all(|(_, on)| !on) {
                ui.label(text::note("as in the recipe"));
            }
        });
    }
}

/// All four axes.
pub(super) struct Axes {
    weight_bits: Axis<Bits>,
    expand_ratios: Axis<f64>,
    clips: Axis<Clip>,
    activation_bits: Axis<Bits>,
}

impl Default for Axes {
    /// A grid in which clipping, splitting and both can be compared at the bits where they matter.
    fn default() -> Self {
        let bits = || (Bits::MIN..=Bits::MAX).rev().map(Bits::Grid);
        Self {
            weight_bits: Axis::new(bits(), &[5, 4, 3].map(Bits::Grid)),
            expand_ratios: Axis::new(RATIOS, &[0.0, 0.02, 0.05]),
            clips: Axis::new(Clip::CHOICES, &[Clip::None, Clip::Mse]),
            activation_bits: Axis::new(std::iter::once(Bits::Float).chain(bits()), &[]),
        }
    }
}

impl Axes {
    /// Draws the switches.
    pub(super) fn ui(&mut self, ui: &mut Ui) {
        let bits = |bits: Bits| bits.to_string();
        let what = "Bits of the weights to try.";
        self.weight_bits.ui(ui, "Weight bits", what, bits);
        let what = "How many input channels may be added, as a share of those there are.";
        self.expand_ratios
            .ui(ui, "Expand ratio", what, |ratio| ratio.to_string());
        let what = "Where the grid of the weights ends.";
        self.clips.ui(ui, "Clip", what, text::clip);
        let what = "Bits of the numbers that flow between layers. Their ranges are measured when a grid is among them.";
        self.activation_bits.ui(ui, "Activation bits", what, bits);
    }

    /// What is chosen.
    pub(super) fn grid(&self) -> SweepGrid {
        SweepGrid {
            weight_bits: self.weight_bits.chosen(),
            expand_ratios: self.expand_ratios.chosen(),
            clips: self.clips.chosen(),
            activation_bits: self.activation_bits.chosen(),
        }
    }

    /// Settings in it.
    pub(super) fn count(&self) -> usize {
        self.weight_bits.count() * self.expand_ratios.count() * self.clips.count() * self.activation_bits.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantization::Recipe;

    #[test]
    fn the_number_of_settings_is_that_of_the_grid() {
        let mut axes = Axes::default();
        let of_grid = |axes: &Axes| axes.grid().recipes(&Recipe::default()).len();
        assert_eq!((axes.count(), of_grid(&axes)), (18, 18));
        axes.activation_bits.values[1].1 = true;
        axes.clips.values.iter_mut().for_each(|(_, on)| *on = true);
        assert_eq!(axes.count(), 9 * Clip::CHOICES.len());
        assert_eq!(axes.count(), of_grid(&axes));
        axes.clips.values.iter_mut().for_each(|(_, on)| *on = false);
        assert_eq!((axes.count(), of_grid(&axes)), (9, 9));
    }
}
