//! The pictures of the README and `docs/tour.md`, drawn on the CPU: the tests fail when one no longer shows what the window shows.
//! `UPDATE_SNAPSHOTS=1 cargo test --test window pictures` draws them anew into `docs/pictures`.

use crate::harness::{Window, click, open_with, session, settle};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Theme};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;
use splitscope::session::Action;

/// The demo with all of its images.
fn demo(theme: Theme) -> Window {
    let builder = Harness::builder()
        .with_size([1024.0, 700.0])
        .with_theme(theme)
        .renderer(crate::cpu::CpuRenderer::default());
    open_with(builder, "demo:fashion", 1000)
}

fn set_ratio(window: &mut Window, percent: f64) {
    window
        .get_by_role_and_label(Role::Slider, "Expand ratio")
        .set_value_accesskit(percent);
    settle(window);
}

/// Brings a view to the front, also one whose tab is out of sight.
fn show(window: &mut Window, view: &str) {
    window.key_press_modifiers(Modifiers::COMMAND, Key::K);
    window.run_steps(3);
    window
        .get_by_role_and_label(Role::TextInput, "Search commands")
        .type_text(&format!("show view {view}"));
    window.run_steps(3);
    window.key_press(Key::Enter);
    settle(window);
}

/// Another processor may round a curve's edge or an accuracy's last digit otherwise; more is another picture.
fn compare(window: &mut Window, name: &str) {
    window.remove_cursor();
    // Long enough for short messages to go away.
    window.run_steps(40);
    crate::cpu::compare(window, "docs/pictures", name, 1500);
}

#[test]
fn three_bits_alone_and_with_the_outliers_split() {
    let mut window = demo(Theme::Dark);
    compare(&mut window, "plain");
    set_ratio(&mut window, 5.0);
    compare(&mut window, "split");
}

#[test]
fn every_channel_with_its_copies() {
    let mut window = demo(Theme::Light);
    set_ratio(&mut window, 10.0);
    show(&mut window, "Channels");
    compare(&mut window, "channels");
}

#[test]
fn a_sweep_of_bits_ratios_and_clips() {
    let mut window = demo(Theme::Light);
    window.state_mut().act(Action::SetSampleLimit(200));
    settle(&mut window);
    show(&mut window, "Sweep");
    window.get_by_role_and_label(Role::CheckBox, "Weight bits 5").click();
    settle(&mut window);
    click(&mut window, "Start sweep");
    assert!(session(&window).open().unwrap().sweep().rows().len() >= 12);
    compare(&mut window, "sweep");
}

#[test]
fn a_lesson_on_the_layers_own_weights() {
    let mut window = demo(Theme::Dark);
    show(&mut window, "Learn");
    for _ in 0..4 {
        click(&mut window, "Next lesson");
    }
    compare(&mut window, "lesson");
}
