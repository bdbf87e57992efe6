//! What can be done from menus and by shortcut: one enum gives text, tooltip and keys; one place carries it out.

use super::view::View;
use crate::format::demo::Demo;
use crate::network::reads_on;
use crate::quantization::Preset;
use crate::session::{ExportKind, OpenNetwork};
use egui::{Key, KeyboardShortcut, Modifiers};

/// Something that a menu entry, a button or a shortcut asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Command {
    Open,
    TypePath,
    OpenData,
    OpenDataFolder,
    TypeDataPath,
    OpenCalibration,
    LoadRecipe,
    Demo(Demo),
    Export(ExportKind),
    CompareWith,
    SaveSweep,
    Undo,
    Redo,
    TakeSnapshot,
    CompareSnapshot(u64),
    TryPicture,
    ToggleTheme,
    FocusFilter,
    ShowExceptions,
    NextLayer,
    PreviousLayer,
    ResetView,
    ShowMessages,
    Present,
    Retry,
    Preset(Preset),
    ShowView(View),
    CloseView(View),
    ResetLayout,
    ZoomIn,
    ZoomOut,
    ZoomReset,
    Palette,
    Settings,
    Tour,
    Quit,
}

impl Command {
    /// All that have a shortcut; the longer shortcuts first, so that Ctrl+Shift+Z isn't taken for Ctrl+Z.
    pub(super) const WITH_SHORTCUT: [Self; 22] = [
        Self::Redo,
        Self::OpenData,
        Self::TypePath,
        Self::Open,
        Self::LoadRecipe,
        Self::Export(ExportKind::Onnx),
        Self::Export(ExportKind::Recipe),
        Self::Undo,
        Self::TakeSnapshot,
        Self::ToggleTheme,
        Self::FocusFilter,
        Self::ResetView,
        Self::ShowMessages,
        Self::Present,
        Self::NextLayer,
        Self::PreviousLayer,
        Self::ZoomIn,
        Self::ZoomOut,
        Self::ZoomReset,
        Self::Palette,
        Self::Settings,
        Self::Quit,
    ];

    /// Every command, in the order of the menus.
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::Open,
            Self::TypePath,
            Self::OpenData,
            Self::OpenDataFolder,
            Self::TypeDataPath,
            Self::OpenCalibration,
            Self::LoadRecipe,
        ];
        all.extend(Demo::ALL.map(Self::Demo));
        all.extend(ExportKind::ALL.map(Self::Export));
        all.extend([
            Self::TryPicture,
            Self::CompareWith,
            Self::SaveSweep,
            Self::Undo,
            Self::Redo,
            Self::TakeSnapshot,
        ]);
        all.extend(Preset::ALL.map(Self::Preset));
        all.extend(View::ALL.map(Self::ShowView));
        all.extend(View::ALL.map(Self::CloseView));
        all.extend([
            Self::ResetLayout,
            Self::ZoomIn,
            Self::ZoomOut,
            Self::ZoomReset,
            Self::ToggleTheme,
            Self::FocusFilter,
            Self::ShowExceptions,
            Self::NextLayer,
            Self::PreviousLayer,
            Self::ResetView,
            Self::ShowMessages,
            Self::Present,
            Self::Settings,
            Self::Retry,
            Self::Tour,
            Self::Quit,
        ]);
        all
    }

    /// Whether it can do something to what is open.
    pub(super) fn is_possible(self, open: Option<&OpenNetwork>) -> bool {
        match self {
            Self::Export(ExportKind::OnnxWithPast) => open.is_some_and(|open| reads_on(&open.original.network.model)),
            _ => open.is_some() || !self.needs_a_network(),
        }
    }

    /// Whether there must be a network for it.
    fn needs_a_network(self) -> bool {
        !matches!(
            self,
            Self::Open
                | Self::TypePath
                | Self::Demo(_)
                | Self::ToggleTheme
                | Self::ResetLayout
                | Self::ZoomIn
                | Self::ZoomOut
                | Self::ZoomReset
                | Self::ShowMessages
                | Self::Settings
                | Self::Palette
                | Self::Quit
        )
    }

    /// Its text where no menu around it says what it is about.
    pub(super) fn full_text(self) -> String {
        let before = match self {
            Self::Demo(_) => "Demo ",
            Self::Export(_) => "Export ",
            Self::SaveSweep => "Sweep: ",
            Self::Preset(_) => "Preset ",
            Self::ShowView(_) => "Show view ",
            Self::CloseView(_) => "Close view ",
            _ => "",
        };
        format!("{before}{}", self.text())
    }

    /// Text of a menu entry or a button; `…` where more is asked before anything happens.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Open => "Open model…",
            Self::TypePath => "Open by path…",
            Self::OpenData => "Open data file…",
            Self::OpenDataFolder => "Open image folder…",
            Self::TypeDataPath => "Open data by path…",
            Self::OpenCalibration => "Calibration set…",
            Self::LoadRecipe => "Open recipe…",
            Self::Demo(Demo::Fashion) => "Fashion ResNet (images)",
            Self::Demo(Demo::Shakespeare) => "Shakespeare LSTM (text)",
            Self::Export(ExportKind::Onnx) => "ONNX graph…",
            Self::Export(ExportKind::OnnxWithPast) => "ONNX graph with past…",
            Self::Export(ExportKind::Safetensors) => "Safetensors…",
            Self::Export(ExportKind::Recipe) => "Recipe…",
            Self::Export(ExportKind::Report) => "Report…",
            Self::CompareWith => "Compare with…",
            Self::SaveSweep => "Save CSV…",
            Self::Undo => "Undo",
            Self::Redo => "Redo",
            Self::TakeSnapshot => "Keep these settings",
            Self::CompareSnapshot(_) => "Compare with now",
            Self::TryPicture => "Try a picture…",
            Self::ToggleTheme => "Dark or light",
            Self::FocusFilter => "Filter layers",
            Self::ShowExceptions => "Layers with own settings",
            Self::NextLayer => "Next layer",
            Self::PreviousLayer => "Previous layer",
            Self::ResetView => "Show all weights",
            Self::ShowMessages => "Messages",
            Self::Present => "Present",
            Self::Retry => "Try again",
            Self::Tour => "Five-minute tour",
            Self::Preset(Preset::Deploy) => "Deploy",
            Self::Preset(Preset::Int8) => "8-bit integers",
            Self::Preset(Preset::Int4) => "4-bit blocks",
            Self::Preset(Preset::Paper) => "Paper",
            Self::ShowView(view) | Self::CloseView(view) => view.title(),
            Self::ResetLayout => "Reset layout",
            Self::ZoomIn => "Zoom in",
            Self::ZoomOut => "Zoom out",
            Self::ZoomReset => "Normal size",
            Self::Palette => "Commands…",
            Self::Settings => "Settings…",
            Self::Quit => "Quit",
        }
    }

    /// What it does, in a sentence.
    pub(super) fn tooltip(self) -> &'static str {
        match self {
            Self::Open => "Open an ONNX or safetensors file. Files can also be dropped on the window.",
            Self::TypePath => "Open a model whose path you type or paste.",
            Self::OpenData => "Open labelled images or arrays (IDX, CIFAR, npy, npz) to run the network on.",
            Self::OpenDataFolder => "Open a folder of images, one sub-folder a class, to run the network on.",
            Self::TypeDataPath => "Open data whose path you type or paste.",
            Self::OpenCalibration => {
                "Take the ranges of activations from samples that nothing is judged by: a file or a folder, read like the open data."
            }
            Self::LoadRecipe => "Apply the settings of a recipe file (TOML).",
            Self::Demo(Demo::Fashion) => {
                "A small image classifier with 1000 test images: its outliers cost 13 points at 3 bits."
            }
            Self::Demo(Demo::Shakespeare) => "A small text model with held-out text.",
            Self::Export(ExportKind::Onnx) => {
                "Write the quantized network as an ONNX file: exactly what the preview runs."
            }
            Self::Export(ExportKind::OnnxWithPast) => {
                "Write the quantized decoder with inputs and outputs for keys and values of earlier tokens, so that a runtime reads each token once. Only for decoders that were opened as weights."
            }
            Self::Export(ExportKind::Safetensors) => {
                "Write integers, scales and the list of split channels of each layer."
            }
            Self::Export(ExportKind::Recipe) => "Write the settings as a TOML file that the command line reads too.",
            Self::Export(ExportKind::Report) => {
                "Write a page that shows what the recipe does to the network: accuracy, layers, plots, settings."
            }
            Self::CompareWith => "Open a second network and see, layer by layer, how far apart the weights are.",
            Self::SaveSweep => "Write the rows of the newest sweep as a CSV file, each with its whole recipe.",
            Self::Undo => "Take the last change of the recipe back.",
            Self::Redo => "Make the change again.",
            Self::TakeSnapshot => {
                "Keep the present settings with what they gave, to compare others with them in the view A/B."
            }
            Self::CompareSnapshot(_) => "Show these settings beside the present ones.",
            Self::TryPicture => {
                "Run one picture by itself and see both networks' answers. Pictures can also be dropped on the window."
            }
            Self::ToggleTheme => "Switch between dark and light.",
            Self::FocusFilter => "Type a part of a layer's name or operator.",
            Self::ShowExceptions => "List only the layers whose settings differ from the whole network's.",
            Self::NextLayer => "Select the next layer of the list.",
            Self::PreviousLayer => "Select the layer before.",
            Self::ResetView => "Zoom out to all weights of the layer.",
            Self::ShowMessages => "List what was done and what went wrong.",
            Self::Present => {
                "One figure in large type with the accuracy; the arrow keys step through split, clip, scales and rounding."
            }
            Self::Retry => "Try again what failed or was cancelled.",
            Self::Tour => "From a damaged network to an exported one, step by step.",
            Self::Preset(Preset::Deploy) => {
                "For shipping: batch-norm folded, scales per channel, SQuant rounding (GPTQ where there are calibration data), \
                 biases corrected, 8-bit activations, between layers too. Weight bits and ratio stay."
            }
            Self::Preset(Preset::Int8) => {
                "As Deploy with weights of 8 bits, which onnxruntime computes in integers throughout. The ratio stays."
            }
            Self::Preset(Preset::Int4) => {
                "Small weights for onnxruntime: batch-norm folded, 4 bits in blocks of 32, SQuant rounding, activations float. \
                 The ratio stays."
            }
            Self::Preset(Preset::Paper) => {
                "As in the paper: first layer and classifier stay float, batch-norm is not folded, 8-bit activations. \
                 Bits and ratio stay."
            }
            Self::ShowView(view) => view.tooltip(),
            Self::CloseView(_) => "Close the view. The menu View opens it again where it was.",
            Self::ResetLayout => "Open the views and put them where they were at first.",
            Self::ZoomIn => "Make everything larger.",
            Self::ZoomOut => "Make everything smaller.",
            Self::ZoomReset => "Give everything its normal size.",
            Self::Palette => "Find any command, view or layer by a few letters of its name.",
            Self::Settings => "What counts as an outlier, dark or light, the size of everything.",
            Self::Quit => "Leave the program.",
        }
    }

    /// The keys, if it has any.
    pub(super) fn shortcut(self) -> Option<KeyboardShortcut> {
        let command = |key| Some(KeyboardShortcut::new(Modifiers::COMMAND, key));
        let shift = |key| Some(KeyboardShortcut::new(Modifiers::COMMAND | Modifiers::SHIFT, key));
        match self {
            Self::Open => command(Key::O),
            Self::TypePath => shift(Key::O),
            Self::OpenData => command(Key::D),
            Self::LoadRecipe => command(Key::R),
            Self::Export(ExportKind::Onnx) => command(Key::E),
            Self::Export(ExportKind::Recipe) => command(Key::S),
            Self::Undo => command(Key::Z),
            Self::Redo => shift(Key::Z),
            Self::TakeSnapshot => command(Key::B),
            Self::ToggleTheme => command(Key::T),
            Self::FocusFilter => command(Key::F),
            Self::ResetView => command(Key::Home),
            Self::ZoomIn => command(Key::Plus),
            Self::ZoomOut => command(Key::Minus),
            Self::ZoomReset => command(Key::Num0),
            Self::Palette => command(Key::K),
            Self::Settings => command(Key::Comma),
            Self::ShowMessages => command(Key::M),
            Self::Present => Some(KeyboardShortcut::new(Modifiers::NONE, Key::F11)),
            Self::NextLayer => command(Key::ArrowDown),
            Self::PreviousLayer => command(Key::ArrowUp),
            Self::Quit => command(Key::Q),
            Self::ShowView(view) => view.digit().and_then(command),
            Self::TypeDataPath
            | Self::OpenCalibration
            | Self::OpenDataFolder
            | Self::Demo(_)
            | Self::Export(ExportKind::OnnxWithPast | ExportKind::Safetensors | ExportKind::Report)
            | Self::CompareWith
            | Self::SaveSweep
            | Self::ShowExceptions
            | Self::CompareSnapshot(_)
            | Self::TryPicture
            | Self::Retry
            | Self::Tour
            | Self::Preset(_)
            | Self::CloseView(_)
            | Self::ResetLayout => None,
        }
    }

    /// A button with text, keys and tooltip, for a menu.
    pub(super) fn menu_entry(self, ui: &mut egui::Ui, enabled: bool) -> bool {
        let keys = self
            .shortcut()
            .map(|keys| ui.ctx().format_shortcut(&keys))
            .unwrap_or_default();
        let button = egui::Button::new(self.text()).shortcut_text(keys);
        let response = ui.add_enabled(enabled, button).on_hover_text(self.tooltip());
        let clicked = response.on_disabled_hover_text(self.tooltip()).clicked();
        if clicked {
            ui.close();
        }
        clicked
    }

    /// The tooltip with the keys.
    pub(super) fn tooltip_with_keys(self, ctx: &egui::Context) -> String {
        let keys = self.shortcut().map(|keys| format!(" ({})", ctx.format_shortcut(&keys)));
        format!("{}{}", self.tooltip(), keys.unwrap_or_default())
    }

    /// The commands whose keys were pressed.
    pub(super) fn pressed(ctx: &egui::Context) -> Vec<Self> {
        ctx.input_mut(|input| {
            let mut pressed = |keys: KeyboardShortcut| input.consume_shortcut(&keys);
            // What other programs have taught the fingers.
            let palette = pressed(KeyboardShortcut::new(Modifiers::COMMAND | Modifiers::SHIFT, Key::P));
            let views = View::ALL.map(Self::ShowView);
            let commands = Self::WITH_SHORTCUT.into_iter().chain(views);
            commands
                .filter(|command| command.shortcut().is_some_and(&mut pressed))
                .chain(palette.then_some(Self::Palette))
                .collect()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_palette_lists_each_command_once() {
        let all = Command::all();
        let mut seen = std::collections::HashSet::new();
        let twice: Vec<&Command> = all.iter().filter(|command| !seen.insert(**command)).collect();
        assert!(twice.is_empty(), "{twice:?}");
        // Two rows that read the same could not be told apart.
        let mut names = std::collections::HashSet::new();
        let same: Vec<String> = all
            .iter()
            .map(|command| command.full_text())
            .filter(|name| !names.insert(name.clone()))
            .collect();
        assert!(same.is_empty(), "{same:?}");
    }

    #[test]
    fn no_two_commands_share_a_shortcut() {
        let views = View::ALL.map(Command::ShowView).into_iter();
        let views = views.filter(|command| command.shortcut().is_some());
        let commands: Vec<Command> = Command::WITH_SHORTCUT.into_iter().chain(views).collect();
        for (i, command) in commands.iter().enumerate() {
            assert!(command.shortcut().is_some());
            let same = |other: &Command| other.shortcut() == command.shortcut();
            assert!(!commands[..i].iter().any(same), "{command:?}");
        }
    }
}
