//! The hand on the plots: marks that are clicked, lines that are dragged, and the animation that ends.

use super::window::{Window, click, open, session, settle, texts};
use super::{selected_name, set_slider};
use egui::accesskit::Role;
use egui::{CursorIcon, pos2};
use egui_kittest::kittest::Queryable;
use splitscope::quantization::Clip;
use std::time::Duration;

fn recipe(window: &Window) -> splitscope::quantization::Recipe {
    session(window).open().unwrap().recipe().clone()
}

#[test]
fn a_click_on_a_mark_takes_that_way_to_clip_for_this_layer_and_can_be_undone() {
    let mut window = open("demo:fashion");
    let before = recipe(&window);
    let name = selected_name(&window);
    for clip in Clip::CHOICES {
        let found = texts(&window, "Clip weights by ");
        let label = clip.label();
        assert!(
            found.iter().any(|text| text.contains(label)),
            "no mark for {clip}: {found:?}"
        );
    }
    window.get_by_label_contains("Clip weights by MSE").click();
    settle(&mut window);
    assert_eq!(recipe(&window).layers[&name].clip, Some(Clip::Mse));
    let open = session(&window).open().unwrap();
    let (_, details) = open.details().unwrap();
    let mark = details.clips.iter().find(|mark| mark.clip == Clip::Mse).unwrap();
    let threshold = open.view().unwrap().1.after.as_deref().unwrap().quantized.threshold;
    assert_eq!(mark.threshold, threshold, "it clips where the mark was");
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before);
}

#[test]
fn the_split_line_is_dragged_and_the_ratio_changes_in_one_step() {
    let mut window = open("demo:fashion");
    let before = recipe(&window);
    let name = selected_name(&window);
    let x = 800.0;
    let mut line = None;
    for y in 480..610 {
        window.hover_at(pos2(x, y as f32));
        window.step();
        if window.output().platform_output.cursor_icon == CursorIcon::ResizeVertical {
            line = Some(y as f32);
            break;
        }
    }
    let y = line.expect("the line can be found by the cursor that it gives") + 4.0;
    window.hover_at(pos2(x, y));
    window.step();
    window.drag_at(pos2(x, y));
    window.step();
    for step in 1..=10 {
        window.hover_at(pos2(x, y + 5.0 * step as f32));
        window.step();
    }
    window.drop_at(pos2(x, y + 50.0));
    settle(&mut window);
    let ratio = recipe(&window).layers[&name]
        .expand_ratio
        .expect("an exception for this layer");
    let open = session(&window).open().unwrap();
    let view = open.view().unwrap().1;
    let after = view.after.as_deref().unwrap();
    let channels = view.channels.len();
    assert_eq!(after.quantized.splits.len(), (ratio * channels as f64).ceil() as usize);
    assert!(after.copies.iter().any(|copies| *copies > 1));
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before, "the drag was one step");
}

#[test]
fn the_histogram_of_a_split_layer_moves_once_and_then_rests() {
    let mut window = open("demo:fashion");
    set_slider(&mut window, "Expand ratio", 10.0);
    window.run_steps(20);
    window.step();
    let delays = window
        .output()
        .viewport_output
        .values()
        .map(|viewport| viewport.repaint_delay);
    assert!(
        delays.min().unwrap() > Duration::from_secs(5),
        "an idle window asks for no frame"
    );
}

#[test]
fn what_a_histogram_shows_is_chosen_in_its_menu() {
    let mut window = open("demo:fashion");
    click(&mut window, "Show ▾");
    for name in [
        "Staircase after rounding",
        "Fitted curves (ACIQ)",
        "Clip methods",
        "Before splitting",
    ] {
        click(&mut window, name);
    }
    click(&mut window, "linear");
    assert!(texts(&window, "Clip weights by ").is_empty(), "the marks are off");
    click(&mut window, "Clip methods");
    assert!(!texts(&window, "Clip weights by ").is_empty());
}

#[test]
fn channels_are_shown_as_a_map_of_inputs_and_of_outputs() {
    let mut window = open("demo:fashion");
    set_slider(&mut window, "Expand ratio", 10.0);
    click(&mut window, "Channels");
    for name in [
        "all weights",
        "output channels",
        "input channels",
        "by size",
        "before",
        "after",
    ] {
        let buttons = window.query_all_by_role_and_label(Role::Button, name);
        let last = buttons.last().unwrap_or_else(|| panic!("no button '{name}'"));
        last.click();
        settle(&mut window);
    }
}

#[test]
fn a_question_mark_opens_the_explanation_in_place() {
    let mut window = open("demo:fashion");
    window.get_by_label("What do the words of the histogram mean?").click();
    settle(&mut window);
    assert!(!texts(&window, "Every weight moves to the nearest of them.").is_empty());
}

#[test]
fn every_lesson_has_its_figure_and_does_what_its_button_says() {
    let mut window = open("demo:fashion");
    let name = selected_name(&window);
    let before = recipe(&window);
    click(&mut window, "Learn");
    window
        .get_by_role_and_label(Role::Slider, "Bits")
        .set_value_accesskit(5.0);
    settle(&mut window);
    click(&mut window, "Try 5 bits on this layer");
    assert_eq!(
        recipe(&window).layers[&name].weight_bits,
        Some(splitscope::quantization::Bits::Grid(5))
    );
    click(&mut window, "Undo");
    for button in [
        "Split the largest channels of this layer",
        "Clip this layer here",
        "Equal halves on this layer",
        "Split one channel of this layer",
        "Try it on this layer",
    ] {
        click(&mut window, "Next lesson");
        click(&mut window, button);
        assert_ne!(recipe(&window), before, "{button}");
        assert!(recipe(&window).layers.contains_key(&name), "{button}");
        click(&mut window, "Undo");
        assert_eq!(recipe(&window), before, "{button} is one step");
    }
}

#[test]
fn splitting_one_channel_in_a_lesson_splits_one() {
    let mut window = open("demo:fashion");
    click(&mut window, "Learn");
    for _ in 0..4 {
        click(&mut window, "Next lesson");
    }
    click(&mut window, "Split one channel of this layer");
    let open = session(&window).open().unwrap();
    let after = open.view().unwrap().1.after.as_deref().unwrap();
    assert_eq!(after.quantized.splits.len(), 1);
}
