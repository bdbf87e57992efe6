//! Pictures of the window, drawn on the CPU. `UPDATE_SNAPSHOTS=1 cargo test --test snapshots` writes them anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/window.rs"]
mod window;

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use egui_kittest::{Harness, HarnessBuilder, SnapshotOptions};
use splitscope::app::App;
use splitscope::quantization::Clip;
use splitscope::session::Action;
use window::{Window, click, open_text_in, open_with, settle};

fn sized(width: f32, height: f32) -> HarnessBuilder<App> {
    Harness::builder()
        .with_size([width, height])
        .renderer(cpu::CpuRenderer::default())
}

/// Another processor may round a curve's edge to another shade; a picture that shows something else differs in thousands.
fn compare(window: &mut Window, name: &str) {
    window.remove_cursor();
    // Long enough for short messages to go away.
    window.run_steps(40);
    let options = SnapshotOptions::new().threshold(1.0).max_failed_pixels(400_usize);
    window.snapshot_options(name, &options);
}

#[test]
fn the_demo_split_light() {
    let mut window = open_with(sized(960.0, 600.0).with_theme(egui::Theme::Light), "demo:fashion", 200);
    window
        .get_by_role_and_label(Role::Slider, "Expand ratio")
        .set_value_accesskit(5.0);
    settle(&mut window);
    compare(&mut window, "demo_split_light");
}

#[test]
fn activations_with_a_grid() {
    let mut window = open_with(sized(960.0, 600.0).with_theme(egui::Theme::Dark), "demo:fashion", 200);
    window
        .get_by_role_and_label(Role::Slider, "Activation bits")
        .set_value_accesskit(4.0);
    settle(&mut window);
    click(&mut window, "Activations");
    compare(&mut window, "activations_dark");
}

#[test]
fn the_network_view_dark() {
    let mut window = open_with(sized(1280.0, 800.0).with_theme(egui::Theme::Dark), "demo:fashion", 200);
    click(&mut window, "Network");
    compare(&mut window, "network_dark");
}

#[test]
fn the_graph_view_light() {
    let mut window = open_with(sized(1280.0, 800.0).with_theme(egui::Theme::Light), "demo:fashion", 200);
    click(&mut window, "Graph");
    compare(&mut window, "graph_light");
}

#[test]
fn the_palette_with_a_few_letters() {
    let mut window = open_with(sized(960.0, 600.0).with_theme(egui::Theme::Light), "demo:fashion", 200);
    window.key_press_modifiers(egui::Modifiers::COMMAND, egui::Key::K);
    window.run_steps(3);
    window
        .get_by_role_and_label(Role::TextInput, "Search commands")
        .type_text("lay 2");
    compare(&mut window, "palette_light");
}

#[test]
fn a_model_that_cannot_be_opened() {
    let mut window = open_with(
        sized(960.0, 600.0).with_theme(egui::Theme::Light),
        "no-such-file.onnx",
        200,
    );
    compare(&mut window, "nothing_open_light");
}

#[test]
fn weights_without_a_graph() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.safetensors");
    let mut window = open_with(sized(960.0, 600.0).with_theme(egui::Theme::Dark), model, 200);
    compare(&mut window, "weights_only_dark");
}

#[test]
fn text_with_clipped_weights() {
    let mut window = open_text_in(sized(960.0, 600.0).with_theme(egui::Theme::Light), 200);
    let mut recipe = window.state().session().open().unwrap().recipe().clone();
    recipe.clip = Clip::Mse;
    recipe.expand_ratio = 0.05;
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
    settle(&mut window);
    compare(&mut window, "text_clipped_light");
}
