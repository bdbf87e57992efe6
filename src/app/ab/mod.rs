//! Two settings side by side: kept under a name, or the present ones. What they gave and cost, in what their recipes differ,
//! and what they make of each layer.

mod difference;
mod histograms;
mod layers;
mod numbers;

use super::Outbox;
use super::command::Command;
use super::text::{self, note};
use crate::session::{Action, OpenNetwork, Session, Side, Snapshot};
use egui::{ComboBox, Key, Role, ScrollArea, TextEdit, Ui, WidgetInfo};
use layers::Order;

/// Width from which numbers and layers stand side by side, points.
const SIDE_BY_SIDE: f32 = 900.0;
/// Heights of the histograms and of the table of layers where they stand below each other, points.
const HISTOGRAMS: f32 = 190.0;
const LAYERS: f32 = 260.0;
/// Characters of a snapshot's name in a choice.
const NAME: usize = 24;

/// State of the view between frames.
pub(super) struct AbPanel {
    /// The two sides, as they were chosen.
    sides: [Side; 2],
    order: Order,
    /// A name under edit: whose, and what stands in the field.
    naming: Option<(u64, String)>,
    /// The newest snapshot that was seen: a newer one becomes side A.
    newest: Option<u64>,
    /// A snapshot that was chosen outside of the view.
    asked: Option<u64>,
    /// What was compared in this frame.
    drawn: Option<[Side; 2]>,
}

impl Default for AbPanel {
    fn default() -> Self {
        Self {
            sides: [Side::Present; 2],
            order: Order::default(),
            naming: None,
            newest: None,
            asked: None,
            drawn: None,
        }
    }
}

impl AbPanel {
    /// Draws the view into all that is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        self.follow(open);
        if open.snapshots().all().is_empty() {
            nothing_ui(ui, out);
            return;
        }
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.columns_const(|[left, right]| {
                self.side_ui(left, open, 0, out);
                self.side_ui(right, open, 1, out);
            });
            ui.separator();
            let limit = session.limit();
            let [Some(a), Some(b)] = self.sides.map(|side| open.side(side, limit)) else {
                return;
            };
            let sides = [a, b];
            self.drawn = Some(self.sides);
            let height = ui.available_height();
            if ui.available_width() >= SIDE_BY_SIDE {
                ui.columns_const(|[left, right]| {
                    results_ui(left, &sides, open);
                    histograms::histograms_ui(right, open, self.sides, (height * 0.42).max(HISTOGRAMS), out);
                    let left_over = right.available_height().max(LAYERS);
                    layers::layers_ui(right, open, &sides, &mut self.order, left_over - 60.0, out);
                });
            } else {
                results_ui(ui, &sides, open);
                ui.separator();
                histograms::histograms_ui(ui, open, self.sides, HISTOGRAMS, out);
                ui.separator();
                layers::layers_ui(ui, open, &sides, &mut self.order, LAYERS, out);
            }
        });
    }

    /// At the end of a frame: what was compared in it.
    pub(super) fn drawn(&mut self) -> Option<[Side; 2]> {
        self.drawn.take()
    }

    /// Compares this snapshot with the present settings.
    pub(super) fn compare(&mut self, id: u64) {
        self.asked = Some(id);
    }

    /// A new snapshot is compared with the present settings; one that is gone gives its place to them.
    fn follow(&mut self, open: &OpenNetwork) {
        let newest = open.snapshots().all().last().map(|snapshot| snapshot.id);
        if newest != self.newest {
            let fresh = newest.filter(|id| self.newest.is_none_or(|known| *id > known));
            self.asked = self.asked.or(fresh);
            self.newest = newest;
        }
        if let Some(id) = self.asked.take() {
            self.sides = [Side::Snapshot(id), Side::Present];
        }
        for side in &mut self.sides {
            if open.recipe_of(*side).is_none() {
                *side = Side::Present;
            }
        }
    }

    /// The choice of a side and what can be done with it.
    fn side_ui(&mut self, ui: &mut Ui, open: &OpenNetwork, place: usize, out: &mut Outbox) {
        let letter = ["A", "B"][place];
        ui.horizontal_wrapped(|ui| {
            ui.strong(letter);
            let combo = ComboBox::from_id_salt(("ab side", place))
                .selected_text(name_of(open, self.sides[place]))
                .width(120.0);
            let shown = combo.show_ui(ui, |ui| {
                for side in all_sides(open) {
                    ui.selectable_value(&mut self.sides[place], side, name_of(open, side));
                }
            });
            let response = shown.response;
            response.widget_info(|| {
                WidgetInfo::labeled(
                    Role::ComboBox,
                    true,
                    format!("Side {letter}: {}", name_of(open, self.sides[place])),
                )
            });
            response.on_hover_text("Which settings: the present ones, or some that were kept.");
        });
        ui.horizontal_wrapped(|ui| match self.sides[place] {
            Side::Present => {
                let command = Command::TakeSnapshot;
                let button = ui
                    .button("Keep these")
                    .on_hover_text(command.tooltip_with_keys(ui.ctx()));
                button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Keep side {letter}")));
                if button.clicked() {
                    out.commands.push(command);
                }
            }
            Side::Snapshot(id) => {
                if let Some(snapshot) = open.snapshots().get(id) {
                    self.name_ui(ui, snapshot, letter, out);
                    snapshot_buttons_ui(ui, snapshot, letter, out);
                }
            }
        });
    }

    /// The field of a snapshot's name: taken when the hand leaves it.
    fn name_ui(&mut self, ui: &mut Ui, snapshot: &Snapshot, letter: &str, out: &mut Outbox) {
        let mut name = match &self.naming {
            Some((id, name)) if *id == snapshot.id => name.clone(),
            _ => snapshot.name.clone(),
        };
        let field = ui.add(TextEdit::singleline(&mut name).desired_width(110.0));
        field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, format!("Name of side {letter}")));
        let (done, given_up) = (field.lost_focus(), ui.input(|input| input.key_pressed(Key::Escape)));
        if field.changed() {
            self.naming = Some((snapshot.id, name.clone()));
        }
        if done
            && let Some((id, _)) = self.naming.take_if(|(id, _)| *id == snapshot.id)
            && !given_up
        {
            out.actions.push(Action::RenameSnapshot { id, name });
        }
        field.on_hover_text("What you call these settings.");
    }
}

fn snapshot_buttons_ui(ui: &mut Ui, snapshot: &Snapshot, letter: &str, out: &mut Outbox) {
    let button = |ui: &mut Ui, name: &str, help: &str| {
        let response = ui.button(name).on_hover_text(help);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{name} side {letter}")));
        response.clicked()
    };
    if button(
        ui,
        "Take up",
        "Make these the present settings again. Undo takes it back.",
    ) {
        out.actions.push(Action::RestoreSnapshot(snapshot.id));
    }
    if button(ui, "Delete", "Forget these settings and what they gave.") {
        out.actions.push(Action::RemoveSnapshot(snapshot.id));
    }
}

fn results_ui(ui: &mut Ui, sides: &[Snapshot; 2], open: &OpenNetwork) {
    numbers::numbers_ui(ui, sides, open.recipe());
    ui.add_space(4.0);
    ui.strong("Recipes");
    numbers::differences_ui(ui, sides);
}

fn all_sides(open: &OpenNetwork) -> impl Iterator<Item = Side> {
    let kept = open
        .snapshots()
        .all()
        .iter()
        .map(|snapshot| Side::Snapshot(snapshot.id));
    std::iter::once(Side::Present).chain(kept)
}

fn name_of(open: &OpenNetwork, side: Side) -> String {
    match side {
        Side::Present => "now".to_owned(),
        Side::Snapshot(id) => {
            let name = open.snapshots().get(id).map_or("", |snapshot| snapshot.name.as_str());
            text::elide_middle(name, NAME)
        }
    }
}

/// What to do when nothing was kept yet.
fn nothing_ui(ui: &mut Ui, out: &mut Outbox) {
    let what = "Nothing to compare yet. Keep the present settings with what they gave, change something, and see both side by \
                side here.";
    ui.add(egui::Label::new(what).wrap());
    let command = Command::TakeSnapshot;
    if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
        out.commands.push(command);
    }
    let keys = command.shortcut().map(|keys| ui.ctx().format_shortcut(&keys));
    if let Some(keys) = keys {
        ui.label(note(format!("{keys} keeps them from everywhere.")));
    }
}

/// The newest snapshots as buttons of the top bar, each compared with the present settings, and one that takes another.
pub(super) fn top_bar_ui(ui: &mut Ui, open: Option<&OpenNetwork>, out: &mut Outbox) {
    /// Snapshots that have a button of their own.
    const SHOWN: usize = 3;
    /// Characters of a name.
    const SHORT: usize = 8;
    if let Some(open) = open {
        let all = open.snapshots().all();
        for snapshot in &all[all.len().saturating_sub(SHOWN)..] {
            let response = ui.button(text::elide_middle(&snapshot.name, SHORT));
            let label = format!("Compare {} with now", snapshot.name);
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &label));
            if response.on_hover_text(format!("{label}.")).clicked() {
                out.commands.push(Command::CompareSnapshot(snapshot.id));
            }
        }
    }
    let command = Command::TakeSnapshot;
    let response = ui.add_enabled(open.is_some(), egui::Button::new("+"));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, open.is_some(), command.text()));
    if response.on_hover_text(command.tooltip_with_keys(ui.ctx())).clicked() {
        out.commands.push(command);
    }
}
