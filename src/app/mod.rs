//! The window: draws a session and sends it actions. One file a panel, colours in `theme`, commands in `command`.

mod activation;
mod channels;
mod command;
mod dialogs;
mod distribution;
mod launch;
mod layer_table;
mod plot;
mod preview;
mod recipe;
mod status;
mod text;
mod theme;
mod top_bar;

pub use launch::run;

use crate::format::demo::Demo;
use crate::inference::DataOptions;
use crate::jobs::Waker;
use crate::quantization::{LayerRecipe, Recipe};
use crate::session::{Action, ExportKind, Level, OpenNetwork, Saved, Session};
use command::Command;
use dialogs::{Dialogs, Purpose};
use egui::{Align, Layout, Panel, Response, ThemePreference, Ui};
use std::path::PathBuf;
use std::time::Duration;

/// What the window starts with.
#[derive(Debug, Clone, Default)]
pub struct StartOptions {
    /// A model file or `demo:…`; the Fashion demo without one.
    pub model: Option<String>,
    /// A recipe file to apply.
    pub recipe: Option<PathBuf>,
    /// Data to run the network on, instead of the demo's own.
    pub data: Option<String>,
}

/// Where the session's memory is kept by eframe.
const SAVED_KEY: &str = "session";
/// While something runs, the times shown are renewed that often.
const TICK: Duration = Duration::from_millis(500);

/// Width that recipe and plots need beside the table of layers, points.
const NEEDED_BESIDE_TABLE: f32 = 660.0;

/// What the panels ask for in one frame.
#[derive(Default)]
struct Outbox {
    actions: Vec<Action>,
    commands: Vec<Command>,
}

impl Outbox {
    /// Changes the exceptions of the selected layer; those that say nothing are dropped.
    fn edit_layer(&mut self, open: &OpenNetwork, gesture: bool, edit: impl FnOnce(&mut LayerRecipe)) {
        let Some(layer) = open.original.network.layers.get(open.selected()) else {
            return;
        };
        let mut recipe: Recipe = open.recipe().clone();
        let exceptions = recipe.layers.entry(layer.name.clone()).or_default();
        edit(exceptions);
        if *exceptions == LayerRecipe::default() {
            recipe.layers.remove(&layer.name);
        }
        self.actions.push(Action::EditRecipe {
            recipe: Box::new(recipe),
            gesture,
        });
    }
}

/// Which values the centre shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Centre {
    Weights,
    Activations,
}

/// The application.
pub struct App {
    session: Session,
    centre: Centre,
    table: layer_table::LayerTable,
    distribution: distribution::DistributionPanel,
    channels: channels::ChannelsPanel,
    preview: preview::PreviewPanel,
    dialogs: Dialogs,
    messages_open: bool,
}

impl App {
    /// The application as `options` say, with what was remembered from the last time.
    pub fn new(cc: &eframe::CreationContext<'_>, options: &StartOptions) -> Self {
        theme::install(&cc.egui_ctx);
        let saved: Saved = cc
            .storage
            .and_then(|storage| eframe::get_value(storage, SAVED_KEY))
            .unwrap_or_default();
        let ctx = cc.egui_ctx.clone();
        let mut session = Session::new(Waker::new(move || ctx.request_repaint()), saved);
        let model = options.model.as_deref().unwrap_or("demo:fashion");
        session.act(Action::Open(PathBuf::from(model)));
        if let Some(path) = &options.data {
            session.act(Action::OpenData {
                path: path.clone(),
                options: DataOptions::default(),
            });
        }
        if let Some(path) = &options.recipe {
            session.act(Action::LoadRecipe(path.clone()));
        }
        Self {
            session,
            centre: Centre::Weights,
            table: layer_table::LayerTable::default(),
            distribution: distribution::DistributionPanel::default(),
            channels: channels::ChannelsPanel::default(),
            preview: preview::PreviewPanel::default(),
            dialogs: Dialogs::new(true),
            messages_open: false,
        }
    }

    /// The same without the system's file dialogs: paths are typed.
    pub fn without_native_dialogs(mut self) -> Self {
        self.dialogs.native = false;
        self
    }

    /// Carries out an action as if a panel had asked for it.
    pub fn act(&mut self, action: Action) {
        self.session.act(action);
    }

    /// What is open.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn run_command(&mut self, ctx: &egui::Context, command: Command) {
        match command {
            Command::Open => self.dialogs.ask(ctx, Purpose::Model, ""),
            Command::TypePath => self.dialogs.type_path(Purpose::Model, ""),
            Command::OpenData => self.dialogs.ask(ctx, Purpose::Data, ""),
            Command::OpenDataFolder => self.dialogs.ask(ctx, Purpose::DataFolder, ""),
            Command::TypeDataPath => self.dialogs.type_path(Purpose::Data, ""),
            Command::LoadRecipe => self.dialogs.ask(ctx, Purpose::Recipe, ""),
            Command::Demo(demo) => self.session.act(Action::Open(PathBuf::from(demo.name()))),
            Command::Export(kind) => {
                let name = self.export_name(kind);
                self.dialogs.ask(ctx, Purpose::Export(kind), &name);
            }
            Command::Undo => self.session.act(Action::Undo),
            Command::Redo => self.session.act(Action::Redo),
            Command::ToggleTheme => {
                let dark = ctx.theme() == egui::Theme::Dark;
                ctx.set_theme(if dark {
                    ThemePreference::Light
                } else {
                    ThemePreference::Dark
                });
            }
            Command::FocusFilter => self.table.focus_filter(),
            Command::NextLayer | Command::PreviousLayer => {
                let mut out = Outbox::default();
                if let Some(open) = self.session.open() {
                    let step = if command == Command::NextLayer { 1 } else { -1 };
                    self.table.walk(open, step, &mut out);
                }
                out.actions.into_iter().for_each(|action| self.session.act(action));
            }
            Command::ResetView => self.session.act(Action::ShowRange(None)),
            Command::ShowMessages => self.messages_open = !self.messages_open,
            Command::Retry => self.session.act(Action::Retry),
            Command::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
        }
    }

    /// A name for a new file: the network's, and its bits.
    fn export_name(&self, kind: ExportKind) -> String {
        let Some(open) = self.session.open() else {
            return String::new();
        };
        let name = open.original.network.name.replace([':', '/', '\\'], "-");
        let stem = name
            .strip_suffix(".onnx")
            .or(name.strip_suffix(".safetensors"))
            .unwrap_or(&name);
        let bits = open
            .recipe()
            .weight_bits
            .grid()
            .map_or_else(|| "float".to_owned(), |bits| format!("{bits}bit"));
        format!("{stem}-{bits}.{}", kind.extension())
    }

    fn panels_ui(&mut self, ui: &mut Ui, out: &mut Outbox) {
        Panel::top("top bar").show(ui, |ui| {
            ui.add_space(3.0);
            top_bar::top_bar_ui(ui, &self.session, out);
            ui.add_space(1.0);
        });
        Panel::bottom("status").show(ui, |ui| status::status_ui(ui, &self.session, out));
        let Some(open) = self.session.open() else {
            egui::CentralPanel::default().show(ui, |ui| welcome_ui(ui, &self.session, out));
            return;
        };
        let sigma = self.session.saved.sigma;
        Panel::bottom("preview")
            .resizable(true)
            .default_size(106.0)
            .size_range(60.0..=320.0)
            .show(ui, |ui| {
                self.preview.ui(ui, &self.session, open, out);
            });
        // In a narrow window the table yields, not the plots.
        let most = (ui.ctx().content_rect().width() - NEEDED_BESIDE_TABLE).clamp(220.0, 900.0);
        Panel::left("layers")
            .resizable(true)
            .default_size(496.0)
            .size_range(220.0..=most)
            .show(ui, |ui| {
                self.table.ui(ui, open, sigma, out);
            });
        Panel::right("recipe")
            .resizable(true)
            .default_size(272.0)
            .size_range(256.0..=420.0)
            .show(ui, |ui| {
                egui::ScrollArea::vertical()
                    .auto_shrink(false)
                    .show(ui, |ui| recipe::recipe_ui(ui, open, out));
            });
        egui::CentralPanel::default().show(ui, |ui| {
            centre_title_ui(ui, open, sigma, &mut self.centre);
            let rest = ui.available_height();
            match self.centre {
                Centre::Weights => {
                    self.distribution.ui(ui, open, sigma, rest * 0.64, out);
                    ui.separator();
                    let left = ui.available_height();
                    self.channels.ui(ui, open, left);
                }
                Centre::Activations => {
                    activation::activation_ui(ui, open, &mut self.distribution.scale, rest, out);
                }
            }
        });
    }
}

/// The selected layer, and which of its values are shown.
fn centre_title_ui(ui: &mut Ui, open: &OpenNetwork, sigma: f64, centre: &mut Centre) {
    let Some(layer) = open.original.network.layers.get(open.selected()) else {
        return;
    };
    ui.horizontal(|ui| {
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            ui.selectable_value(centre, Centre::Activations, "Activations")
                .on_hover_text("The numbers that flow into the layer when it runs.");
            ui.selectable_value(centre, Centre::Weights, "Weights")
                .on_hover_text("The numbers that the layer has learnt.");
            ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
                let width = ui.available_width();
                ui.scope(|ui| {
                    ui.style_mut().override_text_style = Some(egui::TextStyle::Heading);
                    text::elided_label(ui, &layer.name, width);
                });
            });
        });
    });
    let mut facts = format!("{} {}", layer.op, text::shape(&layer.shape));
    if let Some(known) = open.selected_facts().filter(|known| known.readable().is_some()) {
        let outliers = text::plural(known.outliers, "outlier", "outliers");
        facts += &format!(
            " · largest weight {:.1} σ · {outliers} beyond {} σ",
            known.max_in_sigma().unwrap_or(0.0),
            text::short_number(sigma)
        );
    }
    ui.add(egui::Label::new(text::note(facts)).truncate())
        .on_hover_text("σ is the standard deviation of the layer's weights: how wide most of them lie.");
}

/// What to do when nothing is open.
fn welcome_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    ui.vertical_centered(|ui| {
        ui.add_space(ui.available_height() * 0.3);
        if let Some(path) = session.opening() {
            ui.heading(format!("Opening {}…", path.display()));
            return;
        }
        ui.heading("Nothing is open");
        let messages = session.messages().iter();
        if let Some(fault) = messages.rev().find(|message| message.level == Level::Error) {
            ui.colored_label(theme::tokens(ui).error, &fault.text);
            ui.add_space(8.0);
        }
        ui.label("Open a trained network (ONNX or safetensors) to see its outliers, or drop a file here.");
        ui.add_space(8.0);
        let demos = Demo::ALL.map(Command::Demo);
        for command in std::iter::once(Command::Open).chain(demos) {
            if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
                out.commands.push(command);
            }
        }
    });
}

/// A control with its name above it; the name is what screen readers call the control.
fn label_row(ui: &mut Ui, name: &str, help: &str, control: impl FnOnce(&mut Ui) -> Response) -> Response {
    ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        // The slider takes what its number leaves.
        ui.spacing_mut().slider_width = (ui.available_width() - 66.0).max(60.0);
        let label = ui.label(name).on_hover_text(help);
        control(ui).labelled_by(label.id).on_hover_text(help)
    })
    .inner
}

/// A choice with its name before it.
fn choice_row(ui: &mut Ui, name: &str, help: &str, control: impl FnOnce(&mut Ui) -> Response) -> Response {
    ui.horizontal(|ui| {
        let label = ui.label(name).on_hover_text(help);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            control(ui).labelled_by(label.id).on_hover_text(help)
        })
        .inner
    })
    .inner
}

impl eframe::App for App {
    fn logic(&mut self, ctx: &egui::Context, _frame: &mut eframe::Frame) {
        self.session.poll();
        if !self.session.is_idle() {
            ctx.request_repaint_after(TICK);
        }
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        let mut out = Outbox {
            commands: Command::pressed(&ctx),
            ..Outbox::default()
        };
        self.panels_ui(ui, &mut out);
        status::messages_window(&ctx, &self.session, &mut self.messages_open, &mut out);
        self.dialogs.ui(&ctx, &mut out);
        dialogs::dropped_files(&ctx, &mut out);
        let asked = !out.actions.is_empty();
        for action in out.actions {
            self.session.act(action);
        }
        for command in out.commands {
            self.run_command(&ctx, command);
        }
        if asked {
            // What was asked for in this frame shows in the next.
            ctx.request_repaint();
        }
    }

    fn save(&mut self, storage: &mut dyn eframe::Storage) {
        eframe::set_value(storage, SAVED_KEY, &self.session.saved);
    }
}
