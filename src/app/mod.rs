//! The window: draws a session and sends it actions. One file a view; the views are listed in `view`, their places in `layout`, colours in `theme`, commands in `command`.
//!
//! # Example
//!
//! ```no_run
//! use splitscope::app::{StartOptions, run};
//!
//! // Opens the window; returns when it is closed.
//! run(StartOptions {
//!     model: Some("demo:shakespeare".to_owned()),
//!     ..StartOptions::default()
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ab;
mod activation;
mod answers;
mod auto;
mod channels;
mod command;
mod compare;
mod dialogs;
mod distribution;
mod errors;
mod execute;
mod export_sheet;
mod graph;
mod inputs;
mod launch;
mod layer_table;
mod layer_title;
mod layout;
mod learn;
mod lit;
mod look_only;
mod network;
mod palette;
mod plot;
mod present;
mod preview;
mod recipe;
mod resume;
mod settings;
mod status;
mod sweep;
mod switches;
mod text;
mod theme;
mod toasts;
mod top_bar;
mod view;
mod views;
mod welcome;
mod widgets;
mod wording;

pub use launch::run;

use crate::inference::DataOptions;
use crate::jobs::Waker;
use crate::quantization::{LayerRecipe, Recipe};
use crate::session::{Action, Event, Last, Memory, Message, OpenNetwork, Saved, Session};
use command::Command;
use dialogs::Dialogs;
use egui::{CentralPanel, Panel, Ui};
use layout::{Layout, SavedLayout};
use plot::export::{Exporter, FigureRequest};
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
    /// Threads of each job, as if chosen in the settings.
    pub threads: Option<usize>,
    /// Folder in which session and layout are remembered from one start to the next; nothing is remembered without one.
    pub memory: Option<PathBuf>,
}

/// The folder in which this user's programs remember things, if the system has one.
pub fn user_memory() -> Option<PathBuf> {
    eframe::storage_dir("splitscope")
}

/// While something runs, the times shown are renewed that often.
const TICK: Duration = Duration::from_millis(500);

/// What the panels ask for in one frame.
#[derive(Default)]
struct Outbox {
    actions: Vec<Action>,
    commands: Vec<Command>,
    /// What is asked of plots.
    figures: Vec<FigureRequest>,
    /// Where the plot that was asked for is to be saved.
    figure_path: Option<PathBuf>,
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

/// The application.
pub struct App {
    session: Session,
    memory: Option<Memory<Saved>>,
    layout_memory: Option<Memory<SavedLayout>>,
    layout: Layout,
    views: views::Views,
    tour: learn::tour::Tour,
    dialogs: Dialogs,
    palette: palette::Palette,
    corner: toasts::Corner,
    exporter: Exporter,
    presentation: present::Presentation,
    /// What was open the last time, until that is taken or refused.
    offer: Option<Last>,
    messages_open: bool,
    settings_open: bool,
}

impl App {
    /// The application as `options` say, with what was remembered from the last time.
    pub fn new(cc: &eframe::CreationContext<'_>, options: &StartOptions) -> Self {
        theme::install(&cc.egui_ctx);
        // The window's own place and size are eframe's to remember; whatever matters is in files that are never half written.
        let folder = options.memory.as_ref();
        let memory = folder.map(|folder| Memory::of_session(folder.join("session.json")));
        let layout_memory = folder.map(|folder| Memory::at(folder.join("layout.json"), |_, layout| layout));
        let known = memory.as_ref().map(Memory::load);
        let is_first_start = known == Some(None);
        let saved = known.flatten().unwrap_or_default();
        let layout = layout_memory.as_ref().and_then(Memory::load);
        let layout = layout.and_then(Layout::from_saved);
        let ctx = cc.egui_ctx.clone();
        let offer = saved.last.clone().filter(|_| options.model.is_none());
        let mut session = Session::new(Waker::new(move || ctx.request_repaint()), saved);
        if options.threads.is_some() {
            session.act(Action::SetThreads(options.threads));
        }
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
            memory,
            layout_memory,
            layout: layout.unwrap_or_default(),
            views: views::Views::default(),
            tour: learn::tour::Tour::offered(is_first_start),
            dialogs: Dialogs::new(true),
            palette: palette::Palette::default(),
            corner: toasts::Corner::default(),
            exporter: Exporter::default(),
            presentation: present::Presentation::default(),
            offer,
            messages_open: false,
            settings_open: false,
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

    /// Whether nothing is under way, and no picture of the window is being taken.
    pub fn is_idle(&self) -> bool {
        self.session.is_idle() && self.exporter.is_idle()
    }

    /// What is open.
    pub fn session(&self) -> &Session {
        &self.session
    }

    fn panels_ui(&mut self, ui: &mut Ui, out: &mut Outbox) {
        if let Some(open) = self.session.open().filter(|_| self.presentation.is_under_way()) {
            let leave = CentralPanel::default().show(ui, |ui| self.presentation.ui(ui, &self.session, open, out));
            if leave.inner {
                out.commands.push(Command::Present);
            }
            return;
        }
        Panel::top("top bar").show(ui, |ui| {
            ui.add_space(3.0);
            top_bar::top_bar_ui(ui, &self.session, &self.layout, out);
            ui.add_space(1.0);
        });
        resume::resume_ui(ui, &self.session, &mut self.offer, out);
        if self.session.open().is_some() {
            self.tour.offer_ui(ui, out);
        }
        Panel::bottom("status").show(ui, |ui| status::status_ui(ui, &self.session, out));
        let Some(open) = self.session.open() else {
            CentralPanel::default().show(ui, |ui| welcome::welcome_ui(ui, &self.session, out));
            return;
        };
        if self.tour.is_under_way() {
            Panel::top("tour").show(ui, |ui| self.tour.ui(ui, &self.session, open, out));
        }
        CentralPanel::no_frame().show(ui, |ui| {
            self.layout.ui(ui, &mut self.views, &self.session, open, out);
        });
    }
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
        self.views.watch(&mut out);
        learn::spotlight::spotlight(&ctx);
        lit::settle(&ctx);
        status::messages_window(&ctx, &self.session, &mut self.messages_open, &mut out);
        settings::settings_window(&ctx, &self.session, &mut self.settings_open, &mut out);
        export_sheet::export_sheet(&ctx, &self.session, &mut out);
        self.dialogs.ui(&ctx, &mut out);
        self.palette.ui(&ctx, &self.session, &mut out);
        // That a network was opened shows everywhere.
        let quiet = |message: &Message| message.event == Event::Opened;
        self.corner.ui(&ctx, &self.session, quiet);
        dialogs::dropped_files(&ctx, &mut out);
        let asked = !out.actions.is_empty();
        for action in out.actions {
            self.session.act(action);
        }
        for command in out.commands {
            self.run_command(&ctx, command);
        }
        for request in out.figures {
            self.exporter.begin(&ctx, request, &mut self.dialogs);
        }
        if let Some(path) = out.figure_path {
            self.exporter.take_path(&ctx, path, &mut self.session);
        }
        self.exporter.advance(&ctx, &mut self.session);
        if asked {
            // What was asked for in this frame shows in the next.
            ctx.request_repaint();
        }
    }

    fn save(&mut self, _storage: &mut dyn eframe::Storage) {
        if let Some(memory) = &mut self.memory {
            memory.save(&self.session.to_saved());
        }
        if let Some(memory) = &mut self.layout_memory {
            memory.save(&self.layout.to_saved());
        }
    }
}
