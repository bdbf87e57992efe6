//! Settings of layers changed in the table: of one row, of all selected rows, of all rows that are listed.

use super::super::Outbox;
use super::super::text;
use super::cells::Field;
use crate::quantization::{Bits, Clip, Granularity, LayerRecipe, Recipe, Rounding};
use crate::session::{Action, OpenNetwork};
use egui::{Button, RichText, Role, Ui, WidgetInfo};
use std::collections::BTreeSet;

/// The layers that a change of the row of `layer` is for.
pub(super) fn targets(layer: usize, marked: &BTreeSet<usize>) -> Vec<usize> {
    if marked.contains(&layer) {
        marked.iter().copied().collect()
    } else {
        vec![layer]
    }
}

/// A setting as it holds for the layer, to be changed by a click; `false` where the cell is something else. One of its own is
/// strong.
pub(super) fn cell_ui(
    ui: &mut Ui,
    field: Field,
    open: &OpenNetwork,
    targets: &[usize],
    index: usize,
    out: &mut Outbox,
) -> bool {
    let layer = &open.original.network.layers[index];
    let is_setting = matches!(field, Field::Bits | Field::Scales | Field::Clip | Field::Rounding);
    if !is_setting || !layer.support.can_quantize() {
        return false;
    }
    let holds = open.effective(index).weights;
    let own = open.recipe().layers.get(&layer.name);
    if holds.bits == Bits::Float && field != Field::Bits {
        return true;
    }
    match field {
        Field::Bits => {
            let is_own = own.is_some_and(|own| own.weight_bits.is_some() || own.float.is_some());
            let show = |bits: &Bits| bits.to_string();
            let choices: Vec<Bits> = (Bits::MIN..=Bits::MAX).map(Bits::Grid).chain([Bits::Float]).collect();
            let menu = Menu::new("Bits", &layer.name, &choices, holds.bits, is_own);
            menu.ui(ui, show, |choice| edit(open, targets, out, |own| set_bits(own, choice)));
        }
        Field::Scales => {
            let is_own = own.is_some_and(|own| own.scales.is_some());
            let menu = Menu::new("Scales", &layer.name, &Granularity::CHOICES, holds.scales, is_own);
            menu.ui(ui, Granularity::to_string, |choice| {
                edit(open, targets, out, |own| own.scales = choice);
            });
        }
        Field::Clip => {
            let is_own = own.is_some_and(|own| own.clip.is_some());
            let menu = Menu::new("Clip", &layer.name, &Clip::CHOICES, holds.clip, is_own);
            menu.ui(
                ui,
                |clip| text::clip(*clip),
                |choice| {
                    edit(open, targets, out, |own| own.clip = choice);
                },
            );
        }
        _ => {
            let is_own = own.is_some_and(|own| own.rounding.is_some());
            let menu = Menu::new("Rounding", &layer.name, &Rounding::CHOICES, holds.rounding, is_own);
            menu.ui(
                ui,
                |rounding| rounding.label().to_owned(),
                |choice| {
                    edit(open, targets, out, |own| own.rounding = choice);
                },
            );
        }
    }
    true
}

/// A cell that opens its choices.
struct Menu<'a, T> {
    setting: &'static str,
    layer: &'a str,
    choices: &'a [T],
    holds: T,
    is_own: bool,
}

impl<'a, T: Copy + PartialEq> Menu<'a, T> {
    fn new(setting: &'static str, layer: &'a str, choices: &'a [T], holds: T, is_own: bool) -> Self {
        Self {
            setting,
            layer,
            choices,
            holds,
            is_own,
        }
    }

    /// Draws it; `choose` takes a choice, `None` for that of the whole network.
    fn ui(self, ui: &mut Ui, show: impl Fn(&T) -> String, mut choose: impl FnMut(Option<T>)) {
        let shown = show(&self.holds);
        let mut text = RichText::new(&shown).small();
        if self.is_own {
            text = text.strong();
        }
        ui.spacing_mut().button_padding.x = 2.0;
        let button = Button::new(text).frame_when_inactive(false).truncate();
        let response = egui::containers::menu::MenuButton::from_button(button).ui(ui, |ui| {
            for choice in self.choices {
                let button = Button::selectable(*choice == self.holds && self.is_own, show(choice));
                if ui.add(button).clicked() {
                    choose(Some(*choice));
                    ui.close();
                }
            }
            ui.separator();
            if ui.button("as the whole network").clicked() {
                choose(None);
                ui.close();
            }
        });
        let label = format!("{} of {}: {shown}", self.setting, self.layer);
        response
            .0
            .widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
    }
}

/// Bits for the layers under the pointer, or for all that are listed: right-click.
pub(super) fn bits_menu(ui: &mut Ui, open: &OpenNetwork, targets: &[usize], order: &[usize], out: &mut Outbox) {
    let listed = format!("Weight bits of all {} listed", order.len());
    let these = if targets.len() > 1 {
        format!("Weight bits of {} selected", targets.len())
    } else {
        "Weight bits".to_owned()
    };
    for (name, layers) in [(these.as_str(), targets), (&listed, order)] {
        ui.menu_button(name, |ui| {
            let choices = (Bits::MIN..=Bits::MAX).map(Bits::Grid).chain([Bits::Float]);
            for bits in choices.map(Some).chain([None]) {
                let name = bits.map_or_else(|| "as the whole network".to_owned(), text::bits);
                if ui.button(name).clicked() {
                    edit(open, layers, out, |own| set_bits(own, bits));
                    ui.close();
                }
            }
        });
    }
}

fn set_bits(own: &mut LayerRecipe, bits: Option<Bits>) {
    own.float = match bits {
        Some(Bits::Float) => Some(true),
        // A layer that the whole network's settings keep float would take no bits.
        Some(Bits::Grid(_)) => own.float.map(|_| false),
        None => None,
    };
    own.weight_bits = bits.filter(|bits| *bits != Bits::Float);
}

/// One step: the change for each of the layers that can be quantized; exceptions that say nothing are dropped.
fn edit(open: &OpenNetwork, layers: &[usize], out: &mut Outbox, change: impl Fn(&mut LayerRecipe)) {
    let mut recipe: Recipe = open.recipe().clone();
    let all = &open.original.network.layers;
    for layer in layers.iter().filter_map(|index| all.get(*index)) {
        if !layer.support.can_quantize() {
            continue;
        }
        let own = recipe.layers.entry(layer.name.clone()).or_default();
        change(own);
        if *own == LayerRecipe::default() {
            recipe.layers.remove(&layer.name);
        }
    }
    out.actions.push(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
}
