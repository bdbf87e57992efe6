//! The one place that carries out commands.

use super::command::Command;
use super::dialogs::Purpose;
use super::layout::Layout;
use super::view::View;
use super::{App, Outbox};
use crate::session::{Action, ExportKind, OpenNetwork};
use egui::ThemePreference;
use std::path::PathBuf;

impl App {
    /// Carries out a command.
    pub(super) fn run_command(&mut self, ctx: &egui::Context, command: Command) {
        match command {
            Command::Open => self.dialogs.ask(ctx, Purpose::Model, ""),
            Command::TypePath => self.dialogs.type_path(Purpose::Model, "", ""),
            Command::OpenData => self.dialogs.ask(ctx, Purpose::Data, ""),
            Command::OpenDataFolder => self.dialogs.ask(ctx, Purpose::DataFolder, ""),
            Command::TypeDataPath => self.dialogs.type_path(Purpose::Data, "", ""),
            Command::OpenCalibration => self.dialogs.ask(ctx, Purpose::Calibration, ""),
            Command::LoadRecipe => self.dialogs.ask(ctx, Purpose::Recipe, ""),
            Command::Demo(demo) => self.session.act(Action::Open(PathBuf::from(demo.name()))),
            Command::Export(kind) => {
                let name = self.export_name(kind);
                self.dialogs.ask(ctx, Purpose::Export(kind), &name);
            }
            Command::CompareWith => {
                self.layout.show(View::Compare);
                self.dialogs.ask(ctx, Purpose::Compare, "");
            }
            Command::SaveSweep => {
                let name = format!("{}-sweep.csv", self.session.open().map(stem).unwrap_or_default());
                self.dialogs.ask(ctx, Purpose::Sweep, &name);
            }
            Command::Undo => self.session.act(Action::Undo),
            Command::Redo => self.session.act(Action::Redo),
            Command::TakeSnapshot => self.session.act(Action::TakeSnapshot(String::new())),
            Command::CompareSnapshot(id) => {
                self.views.ab.compare(id);
                self.layout.show(View::Ab);
            }
            Command::TryPicture => self.dialogs.ask(ctx, Purpose::Picture, ""),
            Command::ToggleTheme => {
                let dark = ctx.theme() == egui::Theme::Dark;
                ctx.set_theme(if dark {
                    ThemePreference::Light
                } else {
                    ThemePreference::Dark
                });
            }
            Command::FocusFilter => self.views.table.focus_filter(),
            Command::ShowExceptions => self.views.table.show_exceptions(),
            Command::NextLayer | Command::PreviousLayer => {
                let mut out = Outbox::default();
                if let Some(open) = self.session.open() {
                    let step = if command == Command::NextLayer { 1 } else { -1 };
                    self.views.table.walk(open, step, &mut out);
                }
                out.actions.into_iter().for_each(|action| self.session.act(action));
            }
            Command::ResetView => self.session.act(Action::ShowRange(None)),
            Command::ShowMessages => self.messages_open = !self.messages_open,
            Command::Present => {
                self.close_windows();
                let mut out = Outbox::default();
                self.presentation.toggle(ctx, self.session.open(), &mut out);
                out.actions.into_iter().for_each(|action| self.session.act(action));
            }
            Command::Tour => {
                self.close_windows();
                self.tour.start();
            }
            Command::Retry => self.session.act(Action::Retry),
            Command::Preset(preset) => self.session.act(Action::ApplyPreset(preset)),
            Command::ShowView(view) => self.layout.show(view),
            Command::CloseView(view) => self.layout.close(view),
            Command::ResetLayout => self.layout = Layout::default(),
            Command::ZoomIn => egui::gui_zoom::zoom_in(ctx),
            Command::ZoomOut => egui::gui_zoom::zoom_out(ctx),
            Command::Palette => self.palette.toggle(),
            Command::Settings => self.settings_open = !self.settings_open,
            Command::ZoomReset => ctx.set_zoom_factor(1.0),
            Command::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
        }
    }

    /// Puts the small windows away: they would hide what is shown.
    fn close_windows(&mut self) {
        self.settings_open = false;
        self.messages_open = false;
    }

    /// A name for a new file: the network's, and its bits.
    fn export_name(&self, kind: ExportKind) -> String {
        let Some(open) = self.session.open() else {
            return String::new();
        };
        let stem = stem(open);
        let bits = open
            .recipe()
            .weight_bits
            .grid()
            .map_or_else(|| "float".to_owned(), |bits| format!("{bits}bit"));
        format!("{stem}-{bits}.{}", kind.extension())
    }
}

/// The network's name as that of a file, without its end.
fn stem(open: &OpenNetwork) -> String {
    let name = open.original.network.name.replace([':', '/', '\\'], "-");
    let stem = name.strip_suffix(".onnx").or(name.strip_suffix(".safetensors"));
    stem.unwrap_or(&name).to_owned()
}
