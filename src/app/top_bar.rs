//! The first line: what is open, and the menus.

use super::Outbox;
use super::ab;
use super::command::Command;
use super::layout::Layout as ViewLayout;
use super::learn::spotlight::{Spot, spot};
use super::text;
use super::view::View;
use crate::format::demo::Demo;
use crate::session::{Action, ExportKind, Session};
use egui::{Align, Layout, Rect, Ui};

/// The bar.
pub(super) fn top_bar_ui(ui: &mut Ui, session: &Session, layout: &ViewLayout, out: &mut Outbox) {
    ui.horizontal(|ui| {
        ui.menu_button("Open ▾", |ui| open_menu(ui, session, out))
            .response
            .on_hover_text("Models, data, recipes.");
        ui.menu_button("Demo ▾", |ui| {
            for demo in Demo::ALL {
                entry(ui, Command::Demo(demo), true, out);
            }
        })
        .response
        .on_hover_text("Small networks with their data, inside the program.");
        let something = session.open().is_some();
        ui.add_enabled_ui(something, |ui| {
            let menu = ui.menu_button("Export ▾", |ui| {
                for kind in ExportKind::ALL {
                    let command = Command::Export(kind);
                    entry(ui, command, command.is_possible(session.open()), out);
                }
            });
            spot(ui.ctx(), Spot::Export, menu.response.rect);
            menu.response
                .on_hover_text("Write the network as the recipe makes it.")
                .on_disabled_hover_text("Open a model first.");
        });
        ui.menu_button("View ▾", |ui| view_menu(ui, layout, out))
            .response
            .on_hover_text("Open and close views; size of everything.");
        ui.separator();
        let history = session.open().map(crate::session::OpenNetwork::history);
        let steps = [
            (
                Command::Undo,
                "Undo",
                history.is_some_and(crate::session::History::can_undo),
            ),
            (
                Command::Redo,
                "Redo",
                history.is_some_and(crate::session::History::can_redo),
            ),
        ];
        for (command, symbol, enabled) in steps {
            let place = symbol_button(ui, command, symbol, enabled, out);
            if command == Command::Undo {
                spot(ui.ctx(), Spot::Undo, place);
            }
        }
        ui.separator();
        ab::top_bar_ui(ui, session.open(), out);
        ui.separator();
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let symbol = if ui.visuals().dark_mode { "Light" } else { "Dark" };
            symbol_button(ui, Command::ToggleTheme, symbol, true, out);
            let keys = Command::Palette.shortcut().map(|keys| ui.ctx().format_shortcut(&keys));
            symbol_button(ui, Command::Tour, "Tour", session.open().is_some(), out);
            // In a narrow window the keys are in the tooltip only.
            let keys = keys.filter(|_| ui.available_width() > 180.0);
            let keys = format!("Commands  {}", keys.unwrap_or_default());
            symbol_button(ui, Command::Palette, keys.trim_end(), true, out);
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| title_ui(ui, session));
        });
    });
}

fn title_ui(ui: &mut Ui, session: &Session) {
    let Some(open) = session.open() else {
        let text = session.opening().map_or_else(
            || "Nothing open".to_owned(),
            |path| format!("Opening {}…", path.display()),
        );
        ui.label(text);
        return;
    };
    let network = &open.original.network;
    let layers = text::plural(network.layers.len() as u64, "layer", "layers");
    let facts = format!(
        "· {} parameters · {layers}",
        text::short_count(open.original.parameters)
    );
    let (room, with_facts) = match ui.available_width() {
        // A name in so little room would tell nothing.
        ..40.0 => return,
        width @ 40.0..260.0 => (width - 6.0, false),
        width => (width - 190.0, true),
    };
    let response = text::elided_file_label(ui, &network.name, room);
    if let Some(path) = &network.path {
        response.on_hover_text(path.display().to_string());
    }
    if with_facts {
        ui.label(facts);
    }
}

fn open_menu(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let something = session.open().is_some();
    entry(ui, Command::Open, true, out);
    entry(ui, Command::TypePath, true, out);
    if !session.saved.recent.is_empty() {
        ui.menu_button("Recent", |ui| {
            for path in &session.saved.recent {
                let shown = text::elide_middle(&path.display().to_string(), 60);
                if ui.button(shown).on_hover_text(path.display().to_string()).clicked() {
                    out.actions.push(Action::Open(path.clone()));
                    ui.close();
                }
            }
            ui.separator();
            if ui.button("Forget these").clicked() {
                out.actions.push(Action::ClearRecent);
                ui.close();
            }
        });
    }
    ui.separator();
    entry(ui, Command::OpenData, something, out);
    entry(ui, Command::OpenDataFolder, something, out);
    entry(ui, Command::TypeDataPath, something, out);
    entry(ui, Command::TryPicture, something, out);
    ui.separator();
    entry(ui, Command::LoadRecipe, something, out);
    entry(ui, Command::CompareWith, something, out);
    ui.separator();
    entry(ui, Command::Quit, true, out);
}

/// All views with a mark on those that are open, and how large things are.
fn view_menu(ui: &mut Ui, layout: &ViewLayout, out: &mut Outbox) {
    for view in View::ALL {
        let mut open = layout.is_open(view);
        if ui
            .checkbox(&mut open, view.title())
            .on_hover_text(view.tooltip())
            .changed()
        {
            out.commands.push(if open {
                Command::ShowView(view)
            } else {
                Command::CloseView(view)
            });
        }
    }
    entry(ui, Command::ResetLayout, true, out);
    ui.separator();
    for command in [Command::ZoomIn, Command::ZoomOut, Command::ZoomReset, Command::Present] {
        entry(ui, command, true, out);
    }
    ui.separator();
    for command in [Command::Palette, Command::ShowMessages, Command::Settings] {
        entry(ui, command, true, out);
    }
}

fn entry(ui: &mut Ui, command: Command, enabled: bool, out: &mut Outbox) {
    if command.menu_entry(ui, enabled) {
        out.commands.push(command);
    }
}

/// A button with a symbol, and its place; its name for screen readers is the command's.
fn symbol_button(ui: &mut Ui, command: Command, symbol: &str, enabled: bool, out: &mut Outbox) -> Rect {
    let response = ui.add_enabled(enabled, egui::Button::new(symbol));
    let place = response.rect;
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, command.text()));
    if response.on_hover_text(command.tooltip_with_keys(ui.ctx())).clicked() {
        out.commands.push(command);
    }
    place
}
