//! Pictures of the window, drawn on the CPU: each view at least once, empty, under way, done and failed; dark and light; small
//! and large. `UPDATE_SNAPSHOTS=1 cargo test --test window snapshots` writes them anew.

use crate::harness::{Window, click, open_text_in, open_with, session, settle};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Theme};
use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, HarnessBuilder};
use splitscope::app::App;
use splitscope::inference::DataOptions;
use splitscope::quantization::{Bits, Clip, Recipe};
use splitscope::session::{Action, Kind};

/// Samples that are run: enough for numbers that mean something.
const SAMPLES: usize = 200;

fn sized(width: f32, height: f32) -> HarnessBuilder<App> {
    Harness::builder()
        .with_size([width, height])
        .renderer(crate::cpu::CpuRenderer::default())
}

/// A window as small as a laptop's, with the demo.
fn demo(theme: Theme) -> Window {
    open_with(sized(960.0, 600.0).with_theme(theme), "demo:fashion", SAMPLES)
}

fn edit(window: &mut Window, change: impl FnOnce(&mut Recipe)) {
    let mut recipe = session(window).open().unwrap().recipe().clone();
    change(&mut recipe);
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
    settle(window);
}

/// Another processor may round a curve's edge to another shade; a picture that shows something else differs in thousands.
fn compare(window: &mut Window, name: &str) {
    window.remove_cursor();
    // Long enough for short messages to go away.
    window.run_steps(40);
    crate::cpu::compare(window, "tests/snapshots", name, 400);
}

/// Brings a view to the front, also one whose tab is out of sight.
fn show(window: &mut Window, view: &str) {
    press(window, Modifiers::COMMAND, Key::K);
    window
        .get_by_role_and_label(Role::TextInput, "Search commands")
        .type_text(&format!("show view {view}"));
    press(window, Modifiers::NONE, Key::Enter);
    settle(window);
}

fn press(window: &mut Window, modifiers: Modifiers, key: Key) {
    window.key_press_modifiers(modifiers, key);
    window.run_steps(3);
}

#[test]
fn the_demo_plain_split_and_with_everything_that_a_histogram_shows() {
    let mut window = demo(Theme::Light);
    edit(&mut window, |recipe| recipe.expand_ratio = 0.05);
    compare(&mut window, "demo_split_light");
    click(&mut window, "Show ▾");
    for name in ["Staircase after rounding", "Fitted curves (ACIQ)"] {
        click(&mut window, name);
    }
    compare(&mut window, "show_menu_light");
}

#[test]
fn a_click_with_the_right_button_and_a_question_mark() {
    let mut window = demo(Theme::Dark);
    window.get_by_label("Plot of the weights").click_secondary();
    settle(&mut window);
    compare(&mut window, "plot_menu_dark");
    press(&mut window, Modifiers::NONE, Key::Escape);
    click(&mut window, "What is Expand ratio?");
    compare(&mut window, "question_dark");
}

#[test]
fn activations_with_a_grid() {
    let mut window = demo(Theme::Dark);
    edit(&mut window, |recipe| recipe.activation_bits = Bits::Grid(4));
    show(&mut window, "Activations");
    compare(&mut window, "activations_dark");
}

#[test]
fn channels_as_bars_and_as_a_map() {
    let mut window = demo(Theme::Light);
    edit(&mut window, |recipe| recipe.expand_ratio = 0.1);
    show(&mut window, "Channels");
    click(&mut window, "by size");
    compare(&mut window, "channels_light");
    click(&mut window, "all weights");
    compare(&mut window, "channels_map_light");
}

#[test]
fn errors_with_every_layers_part_in_them() {
    let mut window = open_with(sized(1280.0, 800.0).with_theme(Theme::Light), "demo:fashion", 30);
    show(&mut window, "Errors");
    click(&mut window, "Curves and sensitivity");
    click(&mut window, "Measure layer sensitivity");
    compare(&mut window, "errors_light");
}

#[test]
fn the_network_and_its_graph() {
    let mut window = open_with(sized(1280.0, 800.0).with_theme(Theme::Dark), "demo:fashion", SAMPLES);
    show(&mut window, "Network");
    compare(&mut window, "network_dark");
    show(&mut window, "Graph");
    compare(&mut window, "graph_dark");
}

#[test]
fn a_sweep_before_it_starts_and_after() {
    let mut window = open_with(sized(960.0, 600.0).with_theme(Theme::Dark), "demo:fashion", 50);
    show(&mut window, "Sweep");
    compare(&mut window, "sweep_empty_dark");
    for off in ["Weight bits 5", "Weight bits 4", "Expand ratio 0.02"] {
        window.get_by_role_and_label(Role::CheckBox, off).click();
        settle(&mut window);
    }
    click(&mut window, "Start sweep");
    compare(&mut window, "sweep_done_dark");
}

#[test]
fn lessons_and_the_tour() {
    let mut window = demo(Theme::Light);
    show(&mut window, "Learn");
    for lesson in [
        "grid",
        "outlier",
        "clipping",
        "splitting",
        "duplicating",
        "cost",
        "scales",
        "rounding",
    ] {
        // Two of them are among the README's pictures, or differ from others by a slider alone.
        if !["outlier", "duplicating"].contains(&lesson) {
            compare(&mut window, &format!("lesson_{lesson}_light"));
        }
        if lesson != "rounding" {
            click(&mut window, "Next lesson");
        }
    }
    window.get_all_by_label("Five-minute tour").next().unwrap().click();
    settle(&mut window);
    compare(&mut window, "tour_light");
}

#[test]
fn the_palette_the_settings_the_messages_and_a_path_to_type() {
    let mut window = demo(Theme::Light);
    press(&mut window, Modifiers::COMMAND, Key::K);
    window
        .get_by_role_and_label(Role::TextInput, "Search commands")
        .type_text("lay 2");
    compare(&mut window, "palette_light");
    press(&mut window, Modifiers::NONE, Key::Escape);
    press(&mut window, Modifiers::COMMAND, Key::Comma);
    compare(&mut window, "settings_light");
    press(&mut window, Modifiers::COMMAND, Key::Comma);
    window.state_mut().act(Action::Open("no-such-file.onnx".into()));
    settle(&mut window);
    press(&mut window, Modifiers::COMMAND, Key::M);
    compare(&mut window, "messages_light");
    press(&mut window, Modifiers::COMMAND, Key::M);
    press(&mut window, Modifiers::COMMAND, Key::E);
    let place = window.get_by_label_contains("In ").rect().expand(4.0);
    window.mask(egui::Rect::from_min_max(
        place.min,
        egui::pos2(place.min.x + 460.0, place.max.y),
    ));
    compare(&mut window, "export_light");
}

#[test]
fn a_model_that_cannot_be_opened() {
    let window = sized(960.0, 600.0).with_theme(Theme::Light);
    let mut window = open_with(window, "no-such-file.onnx", SAMPLES);
    compare(&mut window, "nothing_open_light");
}

#[test]
fn weights_without_a_graph() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/shakespeare_lstm.safetensors");
    let folder = tempfile::tempdir().unwrap();
    // Under names that no known architecture has.
    let bytes = std::fs::read(model).unwrap();
    let path = folder.path().join("weights.safetensors");
    std::fs::write(&path, renamed(&bytes)).unwrap();
    let window = sized(960.0, 600.0).with_theme(Theme::Dark);
    let mut window = open_with(window, path.to_str().unwrap(), SAMPLES);
    compare(&mut window, "weights_only_dark");
    show(&mut window, "Graph");
    compare(&mut window, "graph_none_dark");
}

/// The same file with each `weight` called `kernel`, which is as long.
fn renamed(bytes: &[u8]) -> Vec<u8> {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap();
    let mut renamed = bytes.to_vec();
    renamed[8..8 + length].copy_from_slice(header.replace("weight", "kernel").as_bytes());
    renamed
}

#[test]
fn a_model_without_data() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx");
    let mut window = open_with(sized(960.0, 600.0).with_theme(Theme::Light), model, SAMPLES);
    // What single layers cost without data differs by some tenths of a decibel from one processor to the next.
    window
        .get_by_role_and_label(Role::CheckBox, "Layer settings as columns")
        .click();
    settle(&mut window);
    compare(&mut window, "no_data_light");
    show(&mut window, "Sweep");
    compare(&mut window, "sweep_without_data_light");
}

#[test]
fn text_with_clipped_weights() {
    let mut window = open_text_in(sized(960.0, 600.0).with_theme(Theme::Light), 200);
    edit(&mut window, |recipe| {
        recipe.clip = Clip::Mse;
        recipe.expand_ratio = 0.05;
    });
    compare(&mut window, "text_clipped_light");
}

#[test]
fn a_large_window() {
    let mut window = open_with(sized(1920.0, 1080.0).with_theme(Theme::Dark), "demo:fashion", SAMPLES);
    edit(&mut window, |recipe| recipe.expand_ratio = 0.05);
    compare(&mut window, "large_dark");
}

/// A named pipe that nobody writes into is never waited for: it is refused by its name.
#[cfg(unix)]
#[test]
fn data_that_are_a_pipe_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("test-images-idx3-ubyte");
    let made = std::process::Command::new("mkfifo").arg(&data).status().unwrap();
    assert!(made.success());
    let mut window = demo(Theme::Dark);
    window.state_mut().act(Action::OpenData {
        path: data.to_str().unwrap().to_owned(),
        options: DataOptions::default(),
    });
    crate::harness::settle(&mut window);
    assert!(session(&window).job(Kind::LoadData).is_none());
    let messages = session(&window).messages();
    assert!(
        messages
            .iter()
            .any(|message| message.text.contains("test-images-idx3-ubyte")),
        "it is named"
    );
}
