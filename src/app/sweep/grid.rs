//! The values that a sweep tries: seven rows of switches.

use crate::app::switches::Switches;
use crate::app::text;
use crate::inference::sweep::SweepGrid;
use crate::quantization::{Bits, Clip, Granularity, Rounding};
use egui::Ui;

/// Ratios that can be chosen.
const RATIOS: [f64; 6] = [0.0, 0.01, 0.02, 0.05, 0.1, 0.2];
/// What a row without a choice means.
const NONE: &str = "as in the recipe";

/// All axes.
pub(super) struct Axes {
    weight_bits: Switches<Bits>,
    expand_ratios: Switches<f64>,
    clips: Switches<Clip>,
    activation_bits: Switches<Bits>,
    scales: Switches<Granularity>,
    roundings: Switches<Rounding>,
    zero_points: Switches<bool>,
}

impl Default for Axes {
    /// A grid in which clipping, splitting and both can be compared at the bits where they matter.
    fn default() -> Self {
        let bits = || (Bits::MIN..=Bits::MAX).rev().map(Bits::Grid);
        Self {
            weight_bits: Switches::new(bits(), &[5, 4, 3].map(Bits::Grid)),
            expand_ratios: Switches::new(RATIOS, &[0.0, 0.02, 0.05]),
            clips: Switches::new(Clip::CHOICES, &[Clip::None, Clip::Mse]),
            activation_bits: Switches::new(std::iter::once(Bits::Float).chain(bits()), &[]),
            scales: Switches::new(Granularity::CHOICES, &[]),
            roundings: Switches::new(Rounding::CHOICES, &[]),
            zero_points: Switches::new([false, true], &[]),
        }
    }
}

impl Axes {
    /// Draws the switches.
    pub(super) fn ui(&mut self, ui: &mut Ui) {
        let bits = |bits: Bits| bits.to_string();
        let what = "Bits of the weights to try.";
        self.weight_bits.ui(ui, "Weight bits", what, NONE, bits);
        let what = "How many input channels may be added, as a share of those there are.";
        self.expand_ratios
            .ui(ui, "Expand ratio", what, NONE, |ratio| ratio.to_string());
        let what = "Where the grid of the weights ends.";
        self.clips.ui(ui, "Clip", what, NONE, text::clip);
        let what = "Bits of the numbers that flow between layers. Their ranges are measured when a grid is among them.";
        self.activation_bits.ui(ui, "Activation bits", what, NONE, bits);
        let what = "What has a scale of its own: the tensor, each output channel, or each block of so many weights.";
        self.scales.ui(ui, "Scales", what, NONE, text::scales);
        let what = "Which grid point a weight between two of them goes to. GPTQ measures the layers' inputs first.";
        self.roundings
            .ui(ui, "Rounding", what, NONE, |rounding| rounding.label().to_owned());
        let what = "Whether each scale has a zero point, so that its grid covers the weights from the smallest to the largest.";
        self.zero_points
            .ui(ui, "Zero points", what, NONE, |on| text::on_or_off(on).to_owned());
    }

    /// What is chosen.
    pub(super) fn grid(&self) -> SweepGrid {
        SweepGrid {
            weight_bits: self.weight_bits.chosen(),
            expand_ratios: self.expand_ratios.chosen(),
            clips: self.clips.chosen(),
            activation_bits: self.activation_bits.chosen(),
            scales: self.scales.chosen(),
            roundings: self.roundings.chosen(),
            zero_points: self.zero_points.chosen(),
        }
    }

    /// Settings in it; an axis without a choice has the recipe's own value.
    pub(super) fn count(&self) -> usize {
        let grid = self.grid();
        let axes = [
            grid.weight_bits.len(),
            grid.expand_ratios.len(),
            grid.clips.len(),
            grid.activation_bits.len(),
            grid.scales.len(),
            grid.roundings.len(),
            grid.zero_points.len(),
        ];
        axes.into_iter().map(|values| values.max(1)).product()
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
        axes.activation_bits.set(|bits| *bits == Bits::Grid(8), true);
        axes.clips.set(|_| true, true);
        assert_eq!(axes.count(), 9 * Clip::CHOICES.len());
        assert_eq!(axes.count(), of_grid(&axes));
        axes.clips.set(|_| true, false);
        assert_eq!((axes.count(), of_grid(&axes)), (9, 9));
        axes.scales.set(|scales| *scales != Granularity::Tensor, true);
        axes.roundings.set(|_| true, true);
        assert_eq!((axes.count(), of_grid(&axes)), (9 * 5 * 3, 9 * 5 * 3));
        axes.zero_points.set(|_| true, true);
        assert_eq!((axes.count(), of_grid(&axes)), (9 * 5 * 3 * 2, 9 * 5 * 3 * 2));
    }
}
