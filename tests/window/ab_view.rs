//! Two settings side by side, driven through its labels: keep, name, compare, take up again, delete.

use crate::harness::{Window, builder, by_palette, click, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use splitscope::session::{Side, Snapshot};

fn open() -> Window {
    // Tall enough for the list of layers, which draws what is in sight.
    open_with(builder().with_size([1280.0, 1400.0]), "demo:fashion", 60)
}

fn snapshots(window: &Window) -> Vec<Snapshot> {
    session(window).open().unwrap().snapshots().all().to_vec()
}

fn set_ratio(window: &mut Window, percent: f64) {
    window
        .get_by_role_and_label(Role::Slider, "Expand ratio")
        .set_value_accesskit(percent);
    settle(window);
}

#[test]
fn settings_are_kept_compared_and_taken_up_again() {
    let mut window = open();
    by_palette(&mut window, "show view a/b");
    assert_eq!(texts(&window, "Nothing to compare yet").len(), 1);
    let before = session(&window).open().unwrap().recipe().clone();

    window.key_press_modifiers(Modifiers::COMMAND, Key::B);
    settle(&mut window);
    assert_eq!(snapshots(&window)[0].name, "A");
    window.get_by_label("Side A: A");
    window.get_by_label("Side B: now");
    window.get_by_label("Both have the same recipe.");

    set_ratio(&mut window, 5.0);
    // The numbers are the session's, and the recipes differ in one choice.
    let limit = session(&window).limit();
    let open_now = session(&window).open().unwrap();
    let [a, b] = [Side::Snapshot(0), Side::Present].map(|side| open_now.side(side, limit).unwrap());
    let top1 = |side: &Snapshot| side.evaluation.as_ref().unwrap().quantized.top1.unwrap() * 100.0;
    let gained = format!("{:+.1} points", top1(&b) - top1(&a)).replace('-', "−");
    assert!(top1(&b) > top1(&a));
    assert!(!texts(&window, &gained).is_empty(), "{gained}");
    window.get_by_label("expand ratio");
    window.get_by_label("5 %");
    assert!(
        window.query_by_label("weight bits").is_none(),
        "that is the same in both"
    );
    let sides = [Side::Snapshot(0), Side::Present];
    assert!(
        session(&window).open().unwrap().comparison(sides).is_some(),
        "the selected layer is compared while the view is in sight"
    );
    let rows = texts(&window, ": A ");
    assert!(rows.iter().any(|row| row.starts_with("layer1.0.conv1: A ")), "{rows:?}");

    click(&mut window, "Take up side A");
    assert_eq!(*session(&window).open().unwrap().recipe(), before);
    click(&mut window, "Undo");
    assert_eq!(
        session(&window).open().unwrap().recipe().expand_ratio,
        0.05,
        "taking up is one step"
    );
}

#[test]
fn a_snapshot_is_named_and_deleted() {
    let mut window = open();
    by_palette(&mut window, "show view a/b");
    window.key_press_modifiers(Modifiers::COMMAND, Key::B);
    settle(&mut window);
    window.get_by_role_and_label(Role::TextInput, "Name of side A").focus();
    window.run_steps(2);
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window
        .get_by_role_and_label(Role::TextInput, "Name of side A")
        .type_text("three bits, plain");
    window.run_steps(2);
    window.key_press(Key::Enter);
    settle(&mut window);
    assert_eq!(snapshots(&window)[0].name, "three bits, plain");
    // Its button in the top bar.
    window.get_by_label("Compare three bits, plain with now");
    click(&mut window, "Delete side A");
    assert!(snapshots(&window).is_empty());
    assert_eq!(texts(&window, "Nothing to compare yet").len(), 1);
}

#[test]
fn the_top_bar_keeps_settings_and_opens_the_comparison() {
    let mut window = open();
    click(&mut window, "Keep these settings");
    set_ratio(&mut window, 2.0);
    click(&mut window, "Keep these settings");
    assert_eq!(snapshots(&window).len(), 2);
    click(&mut window, "Compare A with now");
    window.get_by_label("Side A: A");
    click(&mut window, "Compare B with now");
    window.get_by_label("Side A: B");
}

#[test]
fn a_click_on_a_layer_of_the_comparison_selects_it() {
    let mut window = open();
    click(&mut window, "Keep these settings");
    set_ratio(&mut window, 5.0);
    by_palette(&mut window, "show view a/b");
    click(&mut window, "by difference");
    let selected = |window: &Window| session(window).open().unwrap().selected_name().to_owned();
    let before = selected(&window);
    let rows = texts(&window, ": A ");
    let row = rows
        .iter()
        .find(|row| !row.starts_with(&format!("{before}: ")))
        .unwrap()
        .clone();
    window.get_by_label(&row).scroll_to_me();
    window.run_steps(8);
    window.get_by_label(&row).click();
    settle(&mut window);
    assert!(
        row.starts_with(&format!("{}: ", selected(&window))),
        "{row} {}",
        selected(&window)
    );
}
