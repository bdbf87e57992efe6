//! How long a run of the chosen network may take: whether that is asked for, and the number.

use crate::inference::auto::LatencyTarget;
use egui::{Button, DragValue, Role, Ui, WidgetInfo};

/// State of the row between frames.
pub(super) struct LatencyRow {
    on: bool,
    /// Whether the target is a share of the float network's time.
    relative: bool,
    ms: f64,
    ratio: f64,
}

impl Default for LatencyRow {
    fn default() -> Self {
        Self {
            on: false,
            relative: true,
            ms: 10.0,
            ratio: 1.0,
        }
    }
}

impl LatencyRow {
    /// What is asked for.
    pub(super) fn target(&self) -> Option<LatencyTarget> {
        self.on.then_some(if self.relative {
            LatencyTarget::Ratio(self.ratio)
        } else {
            LatencyTarget::Ms(self.ms)
        })
    }

    /// Draws the switch, and the number where it is on.
    pub(super) fn ui(&mut self, ui: &mut Ui) {
        let help = "Choose nothing whose run on one sample takes longer, as the median. Settings are timed in onnxruntime where it is \
                    found, else in the engine that runs the networks.";
        ui.horizontal_wrapped(|ui| {
            let label = ui.checkbox(&mut self.on, "Latency at most").on_hover_text(help);
            if !self.on {
                return;
            }
            let value = if self.relative {
                DragValue::new(&mut self.ratio).range(0.01..=100.0).speed(0.01)
            } else {
                DragValue::new(&mut self.ms).range(0.001..=1e6).speed(0.1)
            };
            ui.add(value).labelled_by(label.id).on_hover_text(help);
            for (relative, name, label) in [
                (true, "× float", "Latency as a share of float"),
                (false, "ms", "Latency in milliseconds"),
            ] {
                let on = self.relative == relative;
                let response = ui.add(Button::selectable(on, name)).on_hover_text(label);
                response.widget_info(|| WidgetInfo::selected(Role::RadioButton, true, on, label));
                if response.clicked() {
                    self.relative = relative;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_given_where_it_is_asked_for_in_the_unit_that_is_chosen() {
        let mut row = LatencyRow::default();
        assert_eq!(row.target(), None);
        row.on = true;
        assert_eq!(row.target(), Some(LatencyTarget::Ratio(1.0)));
        row.relative = false;
        assert_eq!(row.target(), Some(LatencyTarget::Ms(10.0)));
    }
}
