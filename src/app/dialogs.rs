//! Asking for a path: the system's dialog on a thread of its own, a field to type into, files dropped on the window.

use super::Outbox;
use super::plot::export::FigureFile;
use super::text::{elide_middle, note};
use crate::inference::{DataOptions, Dataset};
use crate::session::{Action, CalibrationChoice, ExportKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

/// What a path is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Model,
    Data,
    DataFolder,
    /// Data that tell the ranges of activations alone.
    Calibration,
    /// A picture to run by itself.
    Picture,
    Recipe,
    /// A second network.
    Compare,
    Export(ExportKind),
    /// The rows of a sweep.
    Sweep,
    /// A plot's data or picture.
    Figure(FigureFile),
}

/// Where it is not known which window has the keyboard, a dialog that ends sooner was not shown at all.
const NOT_SHOWN: Duration = Duration::from_millis(400);
/// A dialog that is not there by then may never come: the path can be typed meanwhile.
const OVERDUE: Duration = Duration::from_secs(2);
const NO_DIALOG: &str =
    "The system has shown no dialog (there may be no desktop portal and no zenity), so type the path.";
const LATE_DIALOG: &str = "The system's dialog is late: wait for it, or type the path.";

/// The system's dialog while it is open.
struct Waiting {
    purpose: Purpose,
    started: Instant,
    answer: Receiver<Option<PathBuf>>,
    suggestion: String,
    keyboard: Keyboard,
    /// The path can be typed meanwhile.
    late: bool,
}

/// Which window has had the keyboard since a dialog was asked for: the dialog takes it from ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keyboard {
    /// Ours had not got it to begin with: nothing can be told.
    Unknown,
    /// Ours all the time.
    Ours,
    /// Another window since.
    Taken,
}

impl Keyboard {
    fn now(self, ours: bool) -> Self {
        match self {
            Self::Ours if !ours => Self::Taken,
            before => before,
        }
    }

    /// Whether a dialog that ended without a path after `elapsed` was there, so that a person has cancelled it.
    fn saw_a_dialog(self, elapsed: Duration) -> bool {
        match self {
            Self::Unknown => elapsed > NOT_SHOWN,
            Self::Ours => false,
            Self::Taken => true,
        }
    }
}

/// The field to type a path into.
struct Prompt {
    purpose: Purpose,
    path: String,
    /// Why a path is typed at all.
    why: &'static str,
    /// The keyboard goes there once.
    fresh: bool,
    /// The path that was looked at last, and what is known of its place.
    place: Option<(String, String)>,
}

impl Prompt {
    /// Where a new file would be, and what would become of one that is there already. Looked up once for each path.
    fn place(&mut self) -> &str {
        if self.place.as_ref().is_none_or(|(path, _)| *path != self.path) {
            self.place = Some((self.path.clone(), place_of(self.path.trim())));
        }
        self.place.as_ref().map_or("", |(_, place)| place)
    }
}

/// What there is to say of a new file's path.
fn place_of(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
    let folder = whole.parent().unwrap_or(&whole);
    if whole.is_dir() {
        "This is a folder: add the name of a file.".to_owned()
    } else if !folder.is_dir() {
        format!("There is no folder {}.", folder.display())
    } else if whole.exists() {
        format!("Replaces the file that is in {}.", folder.display())
    } else {
        format!("In {}.", folder.display())
    }
}

/// State of all dialogs.
pub(super) struct Dialogs {
    /// Use the system's dialogs.
    pub(super) native: bool,
    waiting: Option<Waiting>,
    prompt: Option<Prompt>,
}

impl Purpose {
    fn title(self) -> &'static str {
        match self {
            Self::Model => "Open a model",
            Self::Data => "Open data",
            Self::DataFolder => "Open a folder of images",
            Self::Calibration => "Open a calibration set",
            Self::Picture => "Try a picture",
            Self::Recipe => "Open a recipe",
            Self::Export(ExportKind::Onnx) => "Export as ONNX",
            Self::Export(ExportKind::OnnxWithPast) => "Export as ONNX with past",
            Self::Export(ExportKind::Safetensors) => "Export as safetensors",
            Self::Export(ExportKind::Recipe) => "Save the recipe",
            Self::Export(ExportKind::Report) => "Export a report",
            Self::Compare => "Compare with another network",
            Self::Sweep => "Save the sweep",
            Self::Figure(FigureFile::Csv) => "Save the plot's data",
            Self::Figure(FigureFile::Svg) => "Save the plot's drawing",
            Self::Figure(FigureFile::Png) => "Save the plot's picture",
        }
    }

    /// Whether a file is to be written there.
    fn is_new_file(self) -> bool {
        matches!(self, Self::Export(_) | Self::Sweep | Self::Figure(_))
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Model | Self::Compare => "path of an .onnx or .safetensors file, or demo:fashion",
            Self::Data | Self::Calibration => "path of a file or folder, or demo:fashion",
            Self::DataFolder => "path of a folder, one sub-folder a class",
            Self::Picture => "path of a .png, .jpg or .webp file",
            Self::Recipe => "path of a .toml file",
            Self::Export(_) | Self::Sweep | Self::Figure(_) => "path of the new file",
        }
    }

    /// Hands on the path that a person gave.
    fn send(self, path: PathBuf, out: &mut Outbox) {
        let action = match self {
            Self::Model => Action::Open(path),
            Self::Data | Self::DataFolder => Action::OpenData {
                path: path.to_string_lossy().into_owned(),
                options: DataOptions::default(),
            },
            Self::Calibration => Action::CalibrateOn(CalibrationChoice::Set(path.to_string_lossy().into_owned())),
            Self::Picture => Action::TryPicture(path),
            Self::Recipe => Action::LoadRecipe(path),
            Self::Compare => Action::CompareWith(Some(path)),
            Self::Export(kind) => Action::Export { kind, path },
            Self::Sweep => Action::SaveSweep(path),
            Self::Figure(_) => {
                out.figure_path = Some(path);
                return;
            }
        };
        out.actions.push(action);
    }
}

/// What a dropped file is for, by its name, else by what it holds.
pub(super) fn purpose_of(path: &Path) -> Purpose {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("onnx" | "safetensors" | "gguf") => Purpose::Model,
        Some("toml") => Purpose::Recipe,
        _ if Dataset::is_picture(path) => Purpose::Picture,
        _ if crate::format::is_hub_folder(path) || crate::format::holds_weights(path) => Purpose::Model,
        _ => Purpose::Data,
    }
}

impl Dialogs {
    pub(super) fn new(native: bool) -> Self {
        Self {
            native,
            waiting: None,
            prompt: None,
        }
    }

    /// Asks for a path; `suggestion` names the new file of an export.
    pub(super) fn ask(&mut self, ctx: &egui::Context, purpose: Purpose, suggestion: &str) {
        if !self.native {
            self.type_path(purpose, suggestion, "");
            return;
        }
        let keyboard = if ctx.input(|input| input.focused) {
            Keyboard::Ours
        } else {
            Keyboard::Unknown
        };
        ctx.request_repaint_after(OVERDUE);
        let (sender, answer) = channel();
        let (ctx, name) = (ctx.clone(), suggestion.to_owned());
        let spawned = std::thread::Builder::new()
            .name("file dialog".to_owned())
            .spawn(move || {
                // The window may be gone by now; then nobody wants the answer.
                let _ = sender.send(native_dialog(purpose, &name));
                ctx.request_repaint();
            });
        match spawned {
            Ok(_) => {
                self.waiting = Some(Waiting {
                    purpose,
                    started: Instant::now(),
                    answer,
                    suggestion: suggestion.to_owned(),
                    keyboard,
                    late: false,
                });
            }
            Err(_) => self.type_path(purpose, suggestion, NO_DIALOG),
        }
    }

    /// Shows the field to type a path into, and why.
    pub(super) fn type_path(&mut self, purpose: Purpose, suggestion: &str, why: &'static str) {
        self.prompt = Some(Prompt {
            purpose,
            path: suggestion.to_owned(),
            why,
            fresh: true,
            place: None,
        });
    }

    /// Takes the answers of open dialogs and draws the field.
    pub(super) fn ui(&mut self, ctx: &egui::Context, out: &mut Outbox) {
        if let Some(mut waiting) = self.waiting.take() {
            waiting.keyboard = waiting.keyboard.now(ctx.input(|input| input.focused));
            self.take_answer(waiting, out);
        }
        self.prompt_ui(ctx, out);
    }

    fn take_answer(&mut self, mut waiting: Waiting, out: &mut Outbox) {
        let purpose = waiting.purpose;
        let elapsed = waiting.started.elapsed();
        match waiting.answer.try_recv() {
            Ok(Some(path)) => {
                self.prompt = None;
                purpose.send(path, out);
            }
            // What is being typed meanwhile stays.
            Ok(None) | Err(TryRecvError::Disconnected) if waiting.late => {}
            Ok(None) if waiting.keyboard.saw_a_dialog(elapsed) => {}
            Ok(None) | Err(TryRecvError::Disconnected) => self.type_path(purpose, &waiting.suggestion, NO_DIALOG),
            Err(TryRecvError::Empty) => {
                if !waiting.late && waiting.keyboard == Keyboard::Ours && elapsed >= OVERDUE {
                    waiting.late = true;
                    self.type_path(purpose, &waiting.suggestion, LATE_DIALOG);
                }
                self.waiting = Some(waiting);
            }
        }
    }

    fn prompt_ui(&mut self, ctx: &egui::Context, out: &mut Outbox) {
        let Some(prompt) = &mut self.prompt else { return };
        let mut open = true;
        let mut answer = None;
        let window = egui::Window::new(prompt.purpose.title())
            .open(&mut open)
            .collapsible(false)
            .resizable(false);
        window
            .anchor(egui::Align2::CENTER_CENTER, [0.0, -60.0])
            .show(ctx, |ui| {
                if !prompt.why.is_empty() {
                    ui.label(note(prompt.why));
                }
                let label = ui.label("Path");
                let field = egui::TextEdit::singleline(&mut prompt.path)
                    .hint_text(prompt.purpose.hint())
                    .desired_width(460.0);
                let response = ui.add(field).labelled_by(label.id);
                if std::mem::take(&mut prompt.fresh) {
                    response.request_focus();
                }
                if prompt.purpose.is_new_file() {
                    let place = prompt.place();
                    ui.label(note(elide_middle(place, 80))).on_hover_text(place);
                }
                let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                ui.horizontal(|ui| {
                    let path = prompt.path.trim();
                    let text = if prompt.purpose.is_new_file() { "Write" } else { "Open" };
                    let clicked = ui.add_enabled(!path.is_empty(), egui::Button::new(text)).clicked();
                    if (clicked || entered) && !path.is_empty() {
                        answer = Some(Some(PathBuf::from(path)));
                    }
                    if ui.button("Cancel").clicked() || ui.input(|input| input.key_pressed(egui::Key::Escape)) {
                        answer = Some(None);
                    }
                });
            });
        match answer {
            Some(Some(path)) => {
                prompt.purpose.send(path, out);
                self.prompt = None;
            }
            Some(None) => self.prompt = None,
            None if !open => self.prompt = None,
            None => {}
        }
    }
}

/// Blocks until the person has answered.
fn native_dialog(purpose: Purpose, suggestion: &str) -> Option<PathBuf> {
    let dialog = rfd::FileDialog::new().set_title(purpose.title());
    match purpose {
        Purpose::Model | Purpose::Compare => dialog
            .add_filter("models", &["onnx", "safetensors", "gguf"])
            .pick_file(),
        Purpose::Data | Purpose::Calibration => dialog.pick_file(),
        Purpose::DataFolder => dialog.pick_folder(),
        Purpose::Picture => dialog
            .add_filter("pictures", &["png", "jpg", "jpeg", "webp"])
            .pick_file(),
        Purpose::Recipe => dialog.add_filter("recipes", &["toml"]).pick_file(),
        Purpose::Export(kind) => dialog
            .add_filter(kind.extension(), &[kind.extension()])
            .set_file_name(suggestion)
            .save_file(),
        Purpose::Sweep => dialog.add_filter("csv", &["csv"]).set_file_name(suggestion).save_file(),
        Purpose::Figure(kind) => dialog
            .add_filter(kind.extension(), &[kind.extension()])
            .set_file_name(suggestion)
            .save_file(),
    }
}

/// Takes files that were dropped on the window; says while they hover what would happen.
pub(super) fn dropped_files(ctx: &egui::Context, out: &mut Outbox) {
    let (hovering, dropped) = ctx.input(|input| (!input.raw.hovered_files.is_empty(), input.raw.dropped_files.clone()));
    for path in dropped.into_iter().map(|file| file.path().to_owned()) {
        purpose_of(&path).send(path, out);
    }
    if hovering {
        let area = egui::Area::new(egui::Id::unique("drop")).order(egui::Order::Tooltip);
        area.anchor(egui::Align2::CENTER_CENTER, [0.0, 0.0]).show(ctx, |ui| {
            egui::Frame::popup(ui.style()).show(ui, |ui| {
                ui.heading("Drop a model, data or a recipe to open it, or a picture to run it")
            });
        });
    }
}

#[cfg(test)]
mod tests;
