//! Opening the window, and saying in one line why it could not be opened.

use super::{App, StartOptions};
use crate::session::{WINDOW_MEMORY, check_window_memory};

/// Debian's names of the libraries that the window loads while it runs.
const LIBRARIES: [(&str, &str); 8] = [
    ("libX11-xcb", "libx11-xcb1"),
    ("libX11", "libx11-6"),
    ("libXcursor", "libxcursor1"),
    ("libXi", "libxi6"),
    ("libxkbcommon-x11", "libxkbcommon-x11-0"),
    ("libxkbcommon", "libxkbcommon0"),
    ("libwayland", "libwayland-client0"),
    ("libGL", "libgl1"),
];
const ALL_PACKAGES: &str = "libx11-6 libx11-xcb1 libxcursor1 libxi6 libxkbcommon-x11-0 libgl1";
const SUBCOMMANDS: &str = "no subcommand needs a window: see splitscope --help";

/// Opens the window and stays until it is closed.
///
/// # Errors
/// One line: no display, a missing system library, or no OpenGL; with what to do.
pub fn run(options: StartOptions) -> anyhow::Result<()> {
    if cfg!(all(unix, not(target_os = "macos"))) && !has_display(|name| std::env::var(name).ok()) {
        anyhow::bail!("no display to open a window on (DISPLAY and WAYLAND_DISPLAY are not set); {SUBCOMMANDS}");
    }
    let native = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_app_id("splitscope")
            .with_icon(icon())
            .with_title("Splitscope")
            .with_inner_size([1280.0, 800.0])
            .with_min_inner_size([900.0, 560.0]),
        ..eframe::NativeOptions::default()
    };
    if let Some(folder) = super::user_memory() {
        check_window_memory(&folder.join(WINDOW_MEMORY));
    }
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eframe::run_native(
            "splitscope",
            native,
            Box::new(move |cc| Ok(Box::new(App::new(cc, &options)))),
        )
    }));
    match started {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(anyhow::anyhow!(explain(&format!("{error}")))),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
                .unwrap_or_default();
            Err(anyhow::anyhow!(explain(&text)))
        }
    }
}

/// The application's icon; an empty one, so the system's own, if the picture were damaged.
fn icon() -> egui::IconData {
    match image::load_from_memory(include_bytes!("../../assets/icon.png")) {
        Ok(picture) => {
            let picture = picture.into_rgba8();
            egui::IconData {
                width: picture.width(),
                height: picture.height(),
                rgba: picture.into_raw(),
            }
        }
        Err(error) => {
            log::error!("the icon: {error}");
            egui::IconData::default()
        }
    }
}

/// Whether the environment names a display.
fn has_display(variable: impl Fn(&str) -> Option<String>) -> bool {
    ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"]
        .iter()
        .any(|name| variable(name).is_some_and(|value| !value.is_empty()))
}

/// One line for a person from an error of the window system.
fn explain(error: &str) -> String {
    let error = error.split_whitespace().collect::<Vec<_>>().join(" ");
    let library = LIBRARIES.iter().find(|(library, _)| error.contains(library));
    if let Some((library, package)) = library {
        return format!(
            "the system library {library} is missing: install {package} (on Debian: apt install {ALL_PACKAGES}); {SUBCOMMANDS}"
        );
    }
    let lower = error.to_lowercase();
    if lower.contains("open connection") || lower.contains("opendisplay") {
        return format!(
            "the display that DISPLAY or WAYLAND_DISPLAY names does not answer: start it or name another; {SUBCOMMANDS}"
        );
    }
    if lower.contains("glutin") || lower.contains("opengl") || lower.contains("egl") || lower.contains("glx") {
        return format!(
            "no usable OpenGL ({error}): install libgl1 and a driver for it (on Debian: apt install libgl1); {SUBCOMMANDS}"
        );
    }
    format!("the window could not be opened: {error}; {SUBCOMMANDS}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_icon_is_square_and_not_empty() {
        let icon = icon();
        assert_eq!((icon.width, icon.height), (256, 256));
        assert!(icon.rgba.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn a_display_is_known_by_its_variable() {
        assert!(has_display(|name| (name == "DISPLAY").then(|| ":0".to_owned())));
        assert!(!has_display(|name| (name == "DISPLAY").then(String::new)));
        assert!(!has_display(|_| None));
    }

    #[test]
    fn a_missing_library_is_named_with_its_package_in_one_line() {
        let text = explain("Library libxkbcommon-x11.so could not be\nloaded.");
        assert!(text.contains("install libxkbcommon-x11-0"), "{text}");
        assert!(text.contains("no subcommand needs a window"));
        assert!(!text.contains('\n'));
        assert!(explain("NoGlutinConfigs").contains("libgl1"));
    }

    #[test]
    fn a_display_that_does_not_answer_is_said_without_the_window_systems_words() {
        let text = explain("EventLoopError: os error at linux/mod.rs:788: Failed to open connection to X server");
        assert!(text.starts_with("the display that DISPLAY"), "{text}");
        assert!(!text.contains("mod.rs"));
    }
}
