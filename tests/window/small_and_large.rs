//! Presentation mode; windows that are small, and scales that are large.

use crate::harness::{Window, builder, by_palette, click, open, open_with, session, settle, texts};
use egui::Key;
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use splitscope::quantization::{Clip, Granularity, Recipe, Rounding};

fn recipe(window: &Window) -> Recipe {
    session(window).open().unwrap().recipe().clone()
}

fn top1(window: &Window) -> f64 {
    let open = session(window).open().unwrap();
    open.evaluated().unwrap().1.evaluation.quantized.top1.unwrap()
}

fn press(window: &mut Window, key: Key) {
    window.key_press(key);
    settle(window);
}

#[test]
fn f11_presents_one_figure_whose_steps_follow_the_arrow_keys_and_gives_the_recipe_back() {
    let mut window = open("demo:fashion");
    let before = recipe(&window);
    press(&mut window, Key::F11);
    assert!(window.query_by_label("1 Plain").is_some() && window.query_by_label("Preview").is_none());
    let plain = top1(&window);
    press(&mut window, Key::ArrowRight);
    assert_eq!((recipe(&window).expand_ratio, recipe(&window).clip), (0.05, Clip::None));
    let split = top1(&window);
    assert!(split > plain, "{plain} {split}");
    let percent = format!("{:.1} %", split * 100.0);
    assert_eq!(texts(&window, &percent).len(), 1, "the accuracy stands there");
    for _ in 0..5 {
        press(&mut window, Key::ArrowRight);
    }
    let last = recipe(&window);
    assert_eq!(
        (last.clip, last.scales, last.rounding),
        (Clip::Mse, Granularity::Channel, Rounding::Squant)
    );
    press(&mut window, Key::ArrowLeft);
    assert_eq!(recipe(&window).rounding, Rounding::Nearest);
    let layer = session(&window).open().unwrap().selected();
    press(&mut window, Key::ArrowDown);
    assert_eq!(session(&window).open().unwrap().selected(), layer + 1);
    press(&mut window, Key::Escape);
    assert_eq!(recipe(&window), before);
    assert!(window.query_by_label("1 Plain").is_none() && window.query_by_label("Preview").is_some());
}

/// Whether the middle of what carries the label is in the window.
fn is_in_sight(window: &Window, label: &str, size: [f32; 2]) -> bool {
    let all = egui::Rect::from_min_size(egui::Pos2::ZERO, size.into());
    // A control and its name carry the same label.
    window
        .query_all_by_label(label)
        .any(|node| all.contains(node.rect().center()))
}

#[test]
fn a_window_of_800_by_500_shows_everything_and_comes_back() {
    let mut window = open("demo:fashion");
    let rect = |window: &Window| window.get_by_label("Sort by Accuracy lost").rect();
    let before = rect(&window);
    for size in [[800.0, 500.0], [853.0, 533.0], [960.0, 600.0]] {
        window.set_size(size.into());
        window.run_steps(4);
        for label in [
            "Sort by Accuracy lost",
            "Sort by SQNR",
            "Plot of the weights",
            "Expand ratio",
        ] {
            assert!(is_in_sight(&window, label, size), "{label} at {size:?}");
        }
        assert!(!texts(&window, "float 94").is_empty() || !texts(&window, "float 9").is_empty());
    }
    window.set_size([1280.0, 800.0].into());
    window.run_steps(4);
    assert_eq!(rect(&window), before);
}

#[test]
fn a_search_is_started_and_its_tab_is_seen_in_1280_by_800_at_150_percent() {
    let mut window = open_with(builder().with_size([853.0, 533.0]), "demo:fashion", 60);
    for (view, start) in [("Auto", "Choose settings"), ("Sweep", "Start sweep")] {
        by_palette(&mut window, &format!("show view {view}"));
        let rect = |window: &Window, name: &str| window.get_by_role_and_label(Role::Button, name).rect();
        let (tab, menu) = (rect(&window, view), rect(&window, "All ▾"));
        assert!(
            tab.left() > 256.0 && tab.right() < menu.left(),
            "{view}: {tab} beside {menu}"
        );
        window.get_by_role_and_label(Role::Button, start).scroll_to_me();
        settle(&mut window);
        let (button, below) = (rect(&window, start), rect(&window, "Preview"));
        assert!(button.bottom() < below.top(), "{start}: {button} above {below}");
    }
}

#[test]
fn choices_above_the_cards_are_not_broken_into_letters_in_a_small_window() {
    let mut window = open_with(builder().with_size([800.0, 500.0]), "demo:fashion", 60);
    by_palette(&mut window, "show view network");
    let height = |name: &str| window.get_by_role_and_label(Role::Button, name).rect().height();
    assert_eq!(height("accuracy lost"), height("position"));
    assert!(!texts(&window, "Card of ").is_empty());
}

#[test]
fn the_channels_of_an_input_are_scrolled_to_in_a_small_window() {
    let mut window = open_with(builder().with_size([800.0, 500.0]), "demo:fashion", 60);
    by_palette(&mut window, "show view Activations");
    settle(&mut window);
    let map = |window: &Window| window.get_by_role_and_label(Role::Button, "map").rect();
    let preview = window.get_by_role_and_label(Role::Button, "Preview").rect();
    assert!(
        map(&window).top() > preview.top(),
        "{} is in sight above {preview}",
        map(&window)
    );
    window.get_by_role_and_label(Role::Button, "map").scroll_to_me();
    settle(&mut window);
    assert!(
        map(&window).bottom() < preview.top(),
        "{} above {preview}",
        map(&window)
    );
}

#[test]
fn a_window_too_small_for_all_views_shows_them_one_at_a_time() {
    // 1280 by 800 at a scale of 200 %.
    let size = [640.0, 400.0];
    let mut window = open_with(builder().with_size(size), "demo:fashion", 60);
    assert!(is_in_sight(&window, "Plot of the weights", size));
    by_palette(&mut window, "show view Layers");
    assert!(is_in_sight(&window, "Sort by Accuracy lost", size));
    assert!(window.query_by_label("Plot of the weights").is_none());
    by_palette(&mut window, "show view Recipe");
    assert!(is_in_sight(&window, "Expand ratio", size));
    window.set_size([1280.0, 800.0].into());
    window.run_steps(4);
    for label in ["Sort by Accuracy lost", "Plot of the weights", "Expand ratio"] {
        assert!(is_in_sight(&window, label, [1280.0, 800.0]), "{label}");
    }
    click(&mut window, "Channels");
}
