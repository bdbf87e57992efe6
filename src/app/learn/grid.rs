//! Lesson: k bits are a ruler with few ticks.

use super::super::{Outbox, text};
use super::scene::{Scene, sentences};
use crate::quantization::{Bits, Grid};
use egui::{Slider, Ui};

#[derive(Default)]
pub(super) struct GridLesson {
    bits: Option<u8>,
}

impl GridLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let mut bits = self.bits.unwrap_or(scene.bits);
        let grid = Grid::symmetric(bits, scene.max_abs);
        scene.histogram(
            ui,
            "lesson grid",
            grid,
            |_| false,
            out,
            |x| {
                let to = text::three_digits(f64::from(grid.round(x as f32)));
                Some(format!("a weight of {} becomes {to}", text::three_digits(x)))
            },
        );
        ui.horizontal(|ui| {
            let label = ui.label("Bits");
            let slider = Slider::new(&mut bits, Bits::MIN..=Bits::MAX);
            if ui.add(slider).labelled_by(label.id).changed() {
                self.bits = Some(bits);
            }
        });
        let values = grid.high() - grid.low() + 1;
        let middle = scene.share(|x| (-1..=1).contains(&grid.index(x)));
        sentences(
            ui,
            [
                format!(
                    "{bits} bits can tell {values} values apart: the ticks, a step of {} from each other, out to the largest \
                     weight, {}.",
                    text::three_digits(f64::from(grid.step)),
                    text::three_digits(f64::from(scene.max_abs))
                ),
                "Every weight moves to the nearest tick, by half a step at most: point at the histogram to see where a \
                 weight goes."
                    .to_owned(),
                format!(
                    "{} of the weights share the middle 3 ticks, so the network can hardly tell them apart any more.",
                    text::percent(middle)
                ),
            ],
        );
        scene.try_it(ui, &format!("Try {bits} bits on this layer"), out, |layer| {
            layer.weight_bits = Some(Bits::Grid(bits));
        });
    }
}
