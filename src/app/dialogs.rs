//! Asking for a path: the system's dialog on a thread of its own, a field to type into, files dropped on the window.

use super::Outbox;
use super::plot::export::FigureFile;
use crate::inference::{DataOptions, Dataset};
use crate::session::{Action, ExportKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What a path is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Model,
    Data,
    DataFolder,
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

/// A dialog that ends sooner was not shown at all: there is no portal and no zenity.
const NOT_SHOWN: Duration = Duration::from_millis(400);

/// The system's dialog while it is open.
struct Waiting {
    purpose: Purpose,
    started: Instant,
    answer: Receiver<Option<PathBuf>>,
    suggestion: String,
}

/// The field to type a path into.
struct Prompt {
    purpose: Purpose,
    path: String,
    /// The keyboard goes there once.
    fresh: bool,
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
            Self::Picture => "Try a picture",
            Self::Recipe => "Open a recipe",
            Self::Export(ExportKind::Onnx) => "Export as ONNX",
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

    fn hint(self) -> &'static str {
        match self {
            Self::Model | Self::Compare => "path of an .onnx or .safetensors file, or demo:fashion",
            Self::Data => "path of a file or folder, or demo:fashion",
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

/// What a dropped file is for, by its name.
pub(super) fn purpose_of(path: &Path) -> Purpose {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase());
    match extension.as_deref() {
        Some("onnx" | "safetensors") => Purpose::Model,
        Some("toml") => Purpose::Recipe,
        _ if Dataset::is_picture(path) => Purpose::Picture,
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
            self.type_path(purpose, suggestion);
            return;
        }
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
                });
            }
            Err(_) => self.type_path(purpose, suggestion),
        }
    }

    /// Shows the field to type a path into.
    pub(super) fn type_path(&mut self, purpose: Purpose, suggestion: &str) {
        self.prompt = Some(Prompt {
            purpose,
            path: suggestion.to_owned(),
            fresh: true,
        });
    }

    /// Takes the answers of open dialogs and draws the field.
    pub(super) fn ui(&mut self, ctx: &egui::Context, out: &mut Outbox) {
        if let Some(waiting) = &self.waiting
            && let Ok(answer) = waiting.answer.try_recv()
        {
            let (purpose, suggestion) = (waiting.purpose, waiting.suggestion.clone());
            let shown = waiting.started.elapsed() > NOT_SHOWN;
            self.waiting = None;
            match answer {
                Some(path) => purpose.send(path, out),
                None if !shown => self.type_path(purpose, &suggestion),
                None => {}
            }
        }
        self.prompt_ui(ctx, out);
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
                let label = ui.label("Path");
                let field = egui::TextEdit::singleline(&mut prompt.path)
                    .hint_text(prompt.purpose.hint())
                    .desired_width(460.0);
                let response = ui.add(field).labelled_by(label.id);
                if std::mem::take(&mut prompt.fresh) {
                    response.request_focus();
                }
                let entered = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
                ui.horizontal(|ui| {
                    let path = prompt.path.trim();
                    let text = if matches!(prompt.purpose, Purpose::Export(_) | Purpose::Sweep | Purpose::Figure(_)) {
                        "Write"
                    } else {
                        "Open"
                    };
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
        Purpose::Model | Purpose::Compare => dialog.add_filter("models", &["onnx", "safetensors"]).pick_file(),
        Purpose::Data => dialog.pick_file(),
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
mod tests {
    use super::*;

    #[test]
    fn a_dropped_file_is_known_by_its_name() {
        let of = |name: &str| purpose_of(Path::new(name));
        assert_eq!(of("net.ONNX"), Purpose::Model);
        assert_eq!(of("net.safetensors"), Purpose::Model);
        assert_eq!(of("a/recipe.toml"), Purpose::Recipe);
        assert_eq!(of("boot.PNG"), Purpose::Picture);
        assert_eq!(of("images"), Purpose::Data);
        assert_eq!(of("t10k-images-idx3-ubyte.gz"), Purpose::Data);
    }
}
