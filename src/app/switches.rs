//! A row of switches: which of some values are chosen.

use super::text;
use egui::{Button, Role, Ui, WidgetInfo, vec2};

/// Width of the name before the switches, points.
const NAME: f32 = 96.0;

/// Values, and which of them are chosen.
pub(super) struct Switches<T> {
    values: Vec<(T, bool)>,
}

impl<T: Copy + PartialEq> Switches<T> {
    /// `values` in their order, of which `chosen` are on.
    pub(super) fn new(values: impl IntoIterator<Item = T>, chosen: &[T]) -> Self {
        let values = values.into_iter().map(|value| (value, chosen.contains(&value)));
        Self {
            values: values.collect(),
        }
    }

    /// The values that are on.
    pub(super) fn chosen(&self) -> Vec<T> {
        let on = self.values.iter().filter(|(_, on)| *on);
        on.map(|(value, _)| *value).collect()
    }

    /// Turns a value on or off, as a click does.
    #[cfg(test)]
    pub(super) fn set(&mut self, of: impl Fn(&T) -> bool, on: bool) {
        let values = self.values.iter_mut().filter(|(value, _)| of(value));
        values.for_each(|(_, now)| *now = on);
    }

    /// Draws the switches behind their name; `none` says what it means that no value is on.
    pub(super) fn ui(&mut self, ui: &mut Ui, name: &str, help: &str, none: &str, show: impl Fn(T) -> String) {
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
                ui.label(text::note(none));
            }
        });
    }
}
