//! The command palette: type a few letters of a command, a view or a layer, and press Enter.

mod fuzzy;

use super::Outbox;
use super::command::Command;
use super::text::{self, note};
use crate::session::{Action, OpenNetwork, Session};
use egui::{Align, Align2, Context, Key, Layout, Modifiers, Order, Role, ScrollArea, Sense, Ui, WidgetInfo, vec2};

/// Rows shown; more are counted.
const MOST_ROWS: usize = 60;
/// Width of the palette and height of a row, points.
const WIDTH: f32 = 560.0;
const ROW: f32 = 24.0;

/// State of the palette while it is open.
#[derive(Default)]
pub(super) struct Palette {
    open: bool,
    query: String,
    /// The row that Enter takes.
    row: usize,
    /// The keyboard goes to the field once.
    fresh: bool,
}

/// What a row of the palette does.
#[derive(Debug, Clone, PartialEq)]
enum Choice {
    Run(Command),
    /// Selects a layer, by position.
    Layer(usize),
    /// Opens a recent file, by position.
    Recent(usize),
}

impl Palette {
    /// Opens it, or closes it if it is open.
    pub(super) fn toggle(&mut self) {
        *self = Self {
            open: !self.open,
            fresh: true,
            ..Self::default()
        };
    }

    /// Draws it over everything else and takes what was chosen.
    pub(super) fn ui(&mut self, ctx: &Context, session: &Session, out: &mut Outbox) {
        if !self.open {
            return;
        }
        // The keys belong to the list even while the field has the keyboard.
        let (up, down, enter, escape) = ctx.input_mut(|input| {
            let mut pressed = |key| input.consume_key(Modifiers::NONE, key);
            (
                pressed(Key::ArrowUp),
                pressed(Key::ArrowDown),
                pressed(Key::Enter),
                pressed(Key::Escape),
            )
        });
        let found = self.found(session);
        let last = found.len().saturating_sub(1);
        if down {
            self.row = (self.row + 1).min(last);
        }
        if up {
            self.row = self.row.saturating_sub(1);
        }
        self.row = self.row.min(last);
        let mut chosen = enter.then(|| found.get(self.row).cloned()).flatten();
        let area = egui::Area::new(egui::Id::unique("palette")).order(Order::Foreground);
        let shown = area.anchor(Align2::CENTER_TOP, vec2(0.0, 56.0)).show(ctx, |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.set_width(WIDTH.min(ctx.content_rect().width() - 40.0));
                self.field_ui(ui);
                ui.separator();
                if let Some(clicked) = self.rows_ui(ui, session, &found, up || down) {
                    chosen = Some(clicked);
                }
            });
        });
        let outside = ctx.input(|input| input.pointer.any_pressed())
            && ctx
                .pointer_latest_pos()
                .is_some_and(|pos| !shown.response.rect.contains(pos));
        if let Some(choice) = &chosen {
            send(choice, session, out);
        }
        if chosen.is_some() || escape || outside {
            self.open = false;
        }
    }

    fn field_ui(&mut self, ui: &mut Ui) {
        let field = egui::TextEdit::singleline(&mut self.query)
            .hint_text("a command, a view, a layer…")
            .frame(egui::Frame::NONE)
            .desired_width(f32::INFINITY);
        let response = ui.add(field);
        response.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Search commands"));
        if response.changed() {
            self.row = 0;
        }
        if std::mem::take(&mut self.fresh) {
            response.request_focus();
        }
    }

    fn rows_ui(&self, ui: &mut Ui, session: &Session, found: &[Choice], moved: bool) -> Option<Choice> {
        if found.is_empty() {
            ui.label(format!("Nothing is called '{}'.", self.query));
            return None;
        }
        let mut clicked = None;
        let most = (ui.ctx().content_rect().height() - 180.0).clamp(120.0, 420.0);
        ScrollArea::vertical().max_height(most).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for (row, choice) in found.iter().take(MOST_ROWS).enumerate() {
                let response = row_ui(ui, session, choice, row == self.row);
                if moved && row == self.row {
                    response.scroll_to_me(None);
                }
                if response.clicked() {
                    clicked = Some(choice.clone());
                }
            }
            if found.len() > MOST_ROWS {
                let more = text::plural((found.len() - MOST_ROWS) as u64, "more", "more");
                ui.label(note(format!("{more}: type on to find them")));
            }
        });
        clicked
    }

    /// What the query finds, best first; everything but layers, as long as it is empty.
    fn found(&self, session: &Session) -> Vec<Choice> {
        let query = self.query.trim();
        let commands = Command::all()
            .into_iter()
            .filter(|command| command.is_possible(session.open()))
            .map(Choice::Run);
        let recent = (0..session.saved.recent.len()).map(Choice::Recent);
        if query.is_empty() {
            return commands.chain(recent).collect();
        }
        let layers = session.open().map_or(0, |open| open.original.network.layers.len());
        let all = commands.chain(recent).chain((0..layers).map(Choice::Layer));
        let mut scored: Vec<(i32, Choice)> = all
            .filter_map(|choice| Some((fuzzy::score(query, &name(&choice, session))?, choice)))
            .collect();
        // A stable sort: equals stay in the order of the menus and of the network.
        scored.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        scored.into_iter().map(|(_, choice)| choice).collect()
    }
}

/// What a choice is called.
fn name(choice: &Choice, session: &Session) -> String {
    match choice {
        Choice::Run(command) => command.full_text(),
        Choice::Layer(index) => {
            let layer = session.open().and_then(|open| open.original.network.layers.get(*index));
            format!("Layer {}", layer.map_or("", |layer| layer.name.as_str()))
        }
        Choice::Recent(index) => {
            let path = session.saved.recent.get(*index);
            format!(
                "Open recent {}",
                path.map(|path| path.display().to_string()).unwrap_or_default()
            )
        }
    }
}

/// One row: what it does, and its keys or what is known of the layer.
fn row_ui(ui: &mut Ui, session: &Session, choice: &Choice, marked: bool) -> egui::Response {
    let name = name(choice, session);
    let (rect, response) = ui.allocate_exact_size(vec2(ui.available_width(), ROW), Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, marked, &name));
    let visuals = ui.visuals();
    if marked {
        ui.painter().rect_filled(rect, 4.0, visuals.selection.bg_fill);
    } else if response.hovered() {
        ui.painter()
            .rect_filled(rect, 4.0, visuals.widgets.hovered.weak_bg_fill);
    }
    let inside = egui::UiBuilder::new()
        .max_rect(rect.shrink2(vec2(8.0, 0.0)))
        .layout(Layout::right_to_left(Align::Center));
    ui.scope_builder(inside, |ui| {
        ui.label(note(right_text(ui.ctx(), session, choice)));
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            let label = egui::Label::new(text::elide_middle(&name, 70)).selectable(false);
            ui.add(label.truncate());
        });
    });
    match choice {
        Choice::Run(command) => response.on_hover_text(command.tooltip()),
        Choice::Layer(_) | Choice::Recent(_) => response.on_hover_text(name),
    }
}

fn right_text(ctx: &Context, session: &Session, choice: &Choice) -> String {
    match choice {
        Choice::Run(command) => command
            .shortcut()
            .map(|keys| ctx.format_shortcut(&keys))
            .unwrap_or_default(),
        Choice::Layer(index) => session.open().map(|open| layer_text(open, *index)).unwrap_or_default(),
        Choice::Recent(_) => String::new(),
    }
}

/// The error of a layer, or that it has none.
fn layer_text(open: &OpenNetwork, index: usize) -> String {
    let plan = open.planned().and_then(|(_, planned)| planned.plan.layers.get(index));
    match plan.map(crate::quantization::LayerPlan::quantized) {
        Some(Some(quantized)) => text::decibels(quantized.sqnr_db),
        Some(None) => text::not_planned(&open.original.network.layers[index]).to_owned(),
        None => String::new(),
    }
}

fn send(choice: &Choice, session: &Session, out: &mut Outbox) {
    match choice {
        Choice::Run(command) => out.commands.push(*command),
        Choice::Layer(index) => out.actions.push(Action::SelectLayer(*index)),
        Choice::Recent(index) => {
            let path = session.saved.recent.get(*index).cloned();
            out.actions.extend(path.map(Action::Open));
        }
    }
}
