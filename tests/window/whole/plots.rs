//! The hand on the plots: marks that are clicked, lines that are dragged, and the animation that ends.

use super::{selected_name, set_slider};
use crate::harness::{Window, click, open, session, settle, texts};
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
        "A scale for each channel of this layer",
        "Round this layer by SQuant",
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

/// What a plot's menu puts on the clipboard as its numbers.
fn copied_data(window: &mut Window, plot: &str) -> String {
    window.get_by_label(plot).click_secondary();
    window.run_steps(3);
    window.get_by_label("Copy data").click();
    for _ in 0..4 {
        window.step();
        for command in &window.output().platform_output.commands {
            if let egui::OutputCommand::CopyText(text) = command {
                return text.clone();
            }
        }
    }
    panic!("nothing was copied of {plot}");
}

/// The rows of a series: x (or the lower end of a bin) and y.
fn rows(csv: &str, series: &str) -> Vec<[f64; 2]> {
    let number = |field: &str| field.parse().unwrap_or(f64::NAN);
    let of_series = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0] == series).then(|| [number(fields[1]), number(fields[3])])
    };
    csv.lines().skip(1).filter_map(of_series).collect()
}

fn places(csv: &str, series: &str) -> Vec<f64> {
    rows(csv, series).into_iter().map(|[x, _]| x).collect()
}

#[test]
fn the_data_of_the_weights_hold_all_that_the_plot_shows() {
    let mut window = open("demo:fashion");
    set_slider(&mut window, "Expand ratio", 5.0);
    click(&mut window, "Show ▾");
    for name in ["Staircase after rounding", "Fitted curves (ACIQ)"] {
        click(&mut window, name);
    }
    window.key_press(egui::Key::Escape);
    settle(&mut window);
    let csv = copied_data(&mut window, "Plot of the weights");
    let open = session(&window).open().unwrap();
    let (_, view) = open.view().unwrap();
    let after = view.after.as_deref().unwrap();
    let statistics = open.selected_facts().unwrap().readable().unwrap();
    let sigma = session(&window).saved.sigma;

    // The staircase: every weight of the split layer stands on one step.
    let stairs = rows(&csv, "after rounding");
    let steps: Vec<[f64; 2]> = after
        .staircase
        .steps()
        .map(|(q, count)| [f64::from(after.quantized.grid.value(q)), count as f64])
        .collect();
    assert_eq!(stairs, steps);
    assert_eq!(
        stairs.iter().map(|[_, n]| *n).sum::<f64>() as usize,
        after.quantized.values.len()
    );
    // The fits are densities: over the range they hold nearly all weights.
    for fit in ["Gaussian fit", "Laplacian fit"] {
        let curve = rows(&csv, fit);
        let bin = (view.range.1 - view.range.0) / view.before.counts.len() as f64;
        let area: f64 = curve
            .windows(2)
            .map(|w| (w[1][0] - w[0][0]) * (w[0][1] + w[1][1]) / 2.0 / bin)
            .sum();
        let share = area / after.split.len() as f64;
        assert!((0.9..1.1).contains(&share), "{fit}: {share}");
    }
    // Where outliers begin, the grid, the clip threshold, the ways to clip.
    let at = |side: f64| statistics.mean + side * sigma * statistics.std;
    assert_eq!(places(&csv, &format!("±{sigma} σ")), [at(-1.0), at(1.0)]);
    assert_eq!(places(&csv, "grid").len(), 7, "3 bits");
    let threshold = f64::from(after.quantized.threshold);
    assert_eq!(places(&csv, "clip threshold"), [-threshold, threshold]);
    assert!(csv.contains("\nclip MSE,"), "{csv}");
    // What is stacked adds up to the histogram.
    let channels: Vec<String> = view.stacked.iter().map(|c| format!("channel {}", c.channel)).collect();
    let total: f64 = std::iter::once("after splitting")
        .chain(channels.iter().map(String::as_str))
        .flat_map(|series| rows(&csv, series))
        .map(|[_, n]| n)
        .sum();
    let clipped: f64 = rows(&csv, "clipped").into_iter().map(|[_, n]| n).sum();
    assert!(total <= after.split.len() as f64 && total + clipped >= after.split.len() as f64);
}

#[test]
fn the_data_of_the_inputs_hold_grid_and_clip_line() {
    let mut window = open("demo:fashion");
    let mut wanted = recipe(&window);
    wanted.activation_bits = splitscope::quantization::Bits::Grid(4);
    wanted.activation_clip = Clip::Mse;
    window.state_mut().act(splitscope::session::Action::EditRecipe {
        recipe: Box::new(wanted),
        gesture: false,
    });
    settle(&mut window);
    click(&mut window, "Activations");
    let csv = copied_data(&mut window, "Plot of the inputs");
    let open = session(&window).open().unwrap();
    let (_, planned) = open.planned().unwrap();
    let plan = planned.plan.layers[open.selected()].quantized().unwrap();
    let plan = plan.activation.expect("the input is on a grid");
    let threshold = f64::from(plan.threshold);
    let sides: &[f64] = if plan.grid.unsigned { &[1.0] } else { &[-1.0, 1.0] };
    let lines: Vec<f64> = sides.iter().map(|side| side * threshold).collect();
    assert_eq!(places(&csv, "clip threshold"), lines);
    assert_eq!(
        places(&csv, "grid").len() as i32,
        plan.grid.high() - plan.grid.low() + 1
    );
}

#[test]
fn the_channels_of_an_input_are_those_of_its_statistics_as_bars_and_as_a_map() {
    let mut window = open("demo:fashion");
    click(&mut window, "Activations");
    settle(&mut window);
    let csv = copied_data(&mut window, "Plot of the input channels");
    let mut bars = rows(&csv, "channels");
    bars.extend(rows(&csv, "outlier channels"));
    bars.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let reach = {
        let open = session(&window).open().unwrap();
        let layer = &open.original.network.layers[open.selected()];
        let (name, _) = layer.input.as_ref().unwrap();
        let seen = &open.calibration().unwrap().activations[name];
        seen.channel_outliers().unwrap()
    };
    let wanted: Vec<[f64; 2]> = reach
        .iter()
        .enumerate()
        .map(|(channel, (_, reach))| [channel as f64, f64::from(*reach)])
        .collect();
    assert_eq!(bars, wanted);

    click(&mut window, "map");
    let csv = copied_data(&mut window, "Map of the input channels");
    for (channel, (_, reach)) in reach.iter().enumerate() {
        let cells = rows(&csv, &format!("channel {channel}"));
        assert_eq!(cells.iter().map(|[_, x]| *x).fold(0.0, f64::max), f64::from(*reach));
    }
    // The histogram marks the largest channels and tells them apart.
    let csv = copied_data(&mut window, "Plot of the inputs");
    let open = session(&window).open().unwrap();
    let found = open.input_channels().unwrap();
    for stacked in &found.stacked {
        let apart = rows(&csv, &format!("channel {}", stacked.channel));
        let count: f64 = apart.iter().map(|[_, n]| n).sum();
        assert_eq!(count as u64, stacked.counts.iter().sum::<u64>());
    }
    let sigma = session(&window).saved.sigma;
    assert_eq!(places(&csv, &format!("±{sigma} σ")).len(), 2);
}
