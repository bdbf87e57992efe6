//! Undo takes back a whole drag, whatever was dragged: every slider of the recipe, every line of a plot.

use crate::harness::{Window, builder, click, open_with, session, settle};
use egui::accesskit::Role;
use egui::{CursorIcon, Pos2, pos2};
use egui_kittest::kittest::Queryable;
use splitscope::quantization::{Bits, Clip, Recipe};
use splitscope::session::Action;

/// The demo with every control of the recipe on its panel.
fn open() -> Window {
    // High enough that no control must be scrolled to.
    let mut window = open_with(builder().with_size([1400.0, 2800.0]), "demo:fashion", 20);
    let mut recipe = recipe(&window);
    recipe.activation_bits = Bits::Grid(4);
    recipe.activation_expand_ratio = 0.05;
    recipe.expand_ratio = 0.05;
    recipe.clip = Clip::Percentile(99.0);
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
    settle(&mut window);
    window
}

fn recipe(window: &Window) -> Recipe {
    session(window).open().unwrap().recipe().clone()
}

/// Drags from one place to another; tells through how many recipes it went on the way.
fn drag(window: &mut Window, from: Pos2, to: Pos2) -> usize {
    let mut seen = vec![recipe(window)];
    let mut look = |window: &Window| {
        let now = recipe(window);
        if !seen.contains(&now) {
            seen.push(now);
        }
    };
    window.hover_at(from);
    window.step();
    window.drag_at(from);
    window.step();
    look(window);
    for step in 1..=8 {
        window.hover_at(from + (to - from) * (step as f32 / 9.0));
        window.step();
        look(window);
    }
    // The hand lets go at a place that it was not seen at before.
    window.drop_at(to);
    window.step();
    window.step();
    look(window);
    settle(window);
    seen.len() - 1
}

#[test]
fn a_drag_of_any_slider_of_the_recipe_is_one_step() {
    let mut window = open();
    let before = recipe(&window);
    let names = [
        "Weight bits",
        "Expand ratio",
        "Activation bits",
        "Activation ratio",
        "Layer weight bits",
        "Layer expand ratio",
        "Layer activation bits",
        "Layer activation ratio",
    ];
    for name in names {
        let rect = window.get_by_role_and_label(Role::Slider, name).rect();
        // The number stands at the right end of the slider.
        let at = |share: f32| pos2(rect.left() + 8.0 + (rect.width() - 90.0) * share, rect.center().y);
        let passed = drag(&mut window, at(0.02), at(0.98));
        assert!(passed >= 3, "{name} passed through {passed} recipes");
        assert_ne!(recipe(&window), before, "{name} ends where it did not begin");
        click(&mut window, "Undo");
        assert_eq!(recipe(&window), before, "{name}: one step back");
        click(&mut window, "Redo");
        assert_ne!(recipe(&window), before, "{name}: and one forward");
        click(&mut window, "Undo");
    }
}

#[test]
fn two_drags_are_two_steps() {
    let mut window = open();
    let before = recipe(&window);
    let rect = window.get_by_role_and_label(Role::Slider, "Expand ratio").rect();
    let at = |share: f32| pos2(rect.left() + 8.0 + (rect.width() - 90.0) * share, rect.center().y);
    drag(&mut window, at(0.2), at(0.5));
    let between = recipe(&window);
    drag(&mut window, at(0.5), at(0.9));
    assert_ne!(recipe(&window), between);
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), between);
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before);
}

#[test]
fn the_threshold_of_the_inputs_is_dragged_in_one_step() {
    let mut window = open();
    click(&mut window, "Activations");
    let before = recipe(&window);
    let y = 500.0;
    let mut line = None;
    for x in (400..1090).rev() {
        window.hover_at(pos2(x as f32, y));
        window.step();
        if window.output().platform_output.cursor_icon == CursorIcon::ResizeHorizontal {
            line = Some(x as f32 - 4.0);
            break;
        }
    }
    let x = line.expect("the line can be found by the cursor that it gives");
    let passed = drag(&mut window, pos2(x, y), pos2(x - 90.0, y));
    assert!(passed >= 3, "passed through {passed} recipes");
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before);
}
