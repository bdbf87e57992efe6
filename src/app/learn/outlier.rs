//! Lesson: one far weight makes the grid coarse for all others.

use super::super::{Outbox, text};
use super::scene::{Scene, sentences};
use crate::quantization::Grid;
use egui::{Slider, Ui};

/// Share of input channels that the button adds.
const RATIO: f64 = 0.05;

pub(super) struct OutlierLesson {
    /// Reach of the grid, in percent of the largest weight.
    reach: f32,
}

impl Default for OutlierLesson {
    fn default() -> Self {
        Self { reach: 50.0 }
    }
}

impl OutlierLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let reach = scene.max_abs * self.reach / 100.0;
        let grid = Grid::symmetric(scene.bits, reach);
        scene.histogram(
            ui,
            "lesson outlier",
            grid,
            |x| x.abs() > f64::from(scene.max_abs) / 2.0,
            out,
            |_| None,
        );
        ui.horizontal(|ui| {
            let label = ui.label("The grid reaches to");
            let slider = Slider::new(&mut self.reach, 10.0..=100.0).suffix(" % of the largest weight");
            ui.add(slider.max_decimals(0)).labelled_by(label.id);
        });
        let facts = scene.open.selected_facts();
        let sigmas = facts
            .and_then(crate::session::LayerFacts::farthest_in_sigma)
            .unwrap_or(0.0);
        let far = scene.share(|x| x.abs() > scene.max_abs / 2.0);
        let middle = |reach: f32| {
            let grid = Grid::symmetric(scene.bits, reach);
            scene.share(|x| (-1..=1).contains(&grid.index(x)))
        };
        sentences(
            ui,
            [
                format!(
                    "The farthest weight lies {sigmas:.1} σ from the middle, and only {:.3} % of all weights lie further out than half of it.",
                    far * 100.0
                ),
                format!(
                    "Yet a grid of {} bits that reaches it has a step of {}, and {} of the weights share its middle 3 values.",
                    scene.bits,
                    text::three_digits(f64::from(Grid::symmetric(scene.bits, scene.max_abs).step)),
                    text::percent(middle(scene.max_abs))
                ),
                format!(
                    "Were the grid to reach to {} only, its step would be {} and the middle would hold {}: that is what a few \
                     weights cost all the others.",
                    text::three_digits(f64::from(reach)),
                    text::three_digits(f64::from(grid.step)),
                    text::percent(middle(reach))
                ),
            ],
        );
        scene.try_it(ui, "Split the largest channels of this layer", out, |layer| {
            layer.expand_ratio = Some(RATIO);
        });
    }
}
