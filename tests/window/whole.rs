//! The whole window, driven through its labels as a person with a screen reader would, on the embedded demos.

mod files;
mod plots;
mod reach;

use crate::harness::{Window, click, open, open_text, open_with, percent_after, session, settle, texts};
use egui::accesskit::Role;
use egui::{Key, Modifiers, pos2};
use egui_kittest::kittest::Queryable;
use splitscope::quantization::{Bits, Clip};
use splitscope::session::{Action, Kind, Level};

fn set_slider(window: &mut Window, label: &str, value: f64) {
    window
        .get_by_role_and_label(Role::Slider, label)
        .set_value_accesskit(value);
    settle(window);
}

/// Clicks what may lie below the visible part of its panel.
fn scroll_and_click(window: &mut Window, label: &str) {
    window.get_by_label(label).scroll_to_me();
    window.run_steps(8);
    click(window, label);
}

fn selected_name(window: &Window) -> String {
    let open = session(window).open().unwrap();
    open.original.network.layers[open.selected()].name.clone()
}

#[test]
fn the_five_minute_path_two_sliders_and_the_accuracy_falls_and_comes_back() {
    let mut window = open_with(crate::harness::builder(), "demo:fashion", 200);
    let float = percent_after(&window, "float ");
    let damaged = percent_after(&window, "this recipe ");
    assert!(float > 0.9, "{float}");
    assert!((0.7..0.9).contains(&damaged), "{damaged}");

    set_slider(&mut window, "Expand ratio", 5.0);
    let cured = percent_after(&window, "this recipe ");
    assert!(cured > damaged + 0.05, "{damaged} {cured}");
    assert!(
        !session(&window)
            .open()
            .unwrap()
            .recipe()
            .layers
            .contains_key(&selected_name(&window)),
        "the layer's own slider has only followed"
    );
    assert!((percent_after(&window, "(plain 3 bits ") - damaged).abs() < 1e-9);
    assert!(texts(&window, "Overhead ")[0].contains('%'));

    set_slider(&mut window, "Weight bits", 8.0);
    assert!(percent_after(&window, "this recipe ") > 0.9);
    set_slider(&mut window, "Weight bits", 9.0);
    assert_eq!(session(&window).open().unwrap().recipe().weight_bits, Bits::Float);

    for _ in 0..3 {
        click(&mut window, "Undo");
    }
    assert!((percent_after(&window, "this recipe ") - damaged).abs() < 1e-9);
}

#[test]
fn the_table_selects_sorts_filters_and_walks() {
    let mut window = open("demo:fashion");
    click(&mut window, "layer2.1.conv2");
    assert_eq!(selected_name(&window), "layer2.1.conv2");
    window.key_press(Key::ArrowDown);
    settle(&mut window);
    assert_eq!(selected_name(&window), "layer2.2.conv1");
    window.key_press_modifiers(Modifiers::COMMAND, Key::ArrowUp);
    settle(&mut window);
    assert_eq!(selected_name(&window), "layer2.1.conv2");

    click(&mut window, "Sort by SQNR");
    window.key_press(Key::ArrowUp);
    settle(&mut window);
    let plan = session(&window).open().unwrap().planned().unwrap().1.plan.clone();
    let sqnr = |name: &str| {
        plan.layers
            .iter()
            .find(|layer| layer.name == name)
            .unwrap()
            .quantized()
            .unwrap()
            .sqnr_db
    };
    assert!(
        sqnr(&selected_name(&window)) <= sqnr("layer2.1.conv2"),
        "the row above is worse"
    );

    window.get_by_role_and_label(Role::TextInput, "Filter layers").focus();
    window.run_steps(2);
    window
        .get_by_role_and_label(Role::TextInput, "Filter layers")
        .type_text("gemm");
    settle(&mut window);
    assert!(window.query_by_label("layer3.0.conv1").is_none());
    click(&mut window, "fc");
    assert_eq!(selected_name(&window), "fc");
}

#[test]
fn the_threshold_is_dragged_in_the_histogram_and_a_double_click_resets_it() {
    let mut window = open("demo:fashion");
    let before = session(&window)
        .open()
        .unwrap()
        .view()
        .unwrap()
        .1
        .after
        .clone()
        .unwrap()
        .quantized
        .threshold;
    let y = 300.0;
    let mut line = None;
    for x in 560..985 {
        window.hover_at(pos2(x as f32, y));
        window.step();
        if window.output().platform_output.cursor_icon == egui::CursorIcon::ResizeHorizontal {
            // The last hit is the right edge of the right line.
            line = Some(x as f32 - 5.0);
        }
    }
    let x = line.expect("the line can be found by the cursor that it gives");
    window.hover_at(pos2(x, y));
    window.step();
    window.drag_at(pos2(x, y));
    window.step();
    for step in 1..=8 {
        window.hover_at(pos2(x - 8.0 * step as f32, y));
        window.step();
    }
    window.drop_at(pos2(x - 64.0, y));
    settle(&mut window);
    let name = selected_name(&window);
    let recipe = session(&window).open().unwrap().recipe().clone();
    let Some(Clip::Manual(threshold)) = recipe.layers[&name].clip else {
        panic!("{:?}", recipe.layers)
    };
    assert!(threshold < before * 0.95, "{threshold} against {before}");
    assert!(texts(&window, "clipping")[0].contains("SQNR"));
    click(&mut window, "Undo");
    assert!(
        !session(&window).open().unwrap().recipe().layers.contains_key(&name),
        "the drag was one step"
    );

    click(&mut window, "Show ▾");
    click(&mut window, "linear");
    click(&mut window, "log");
}

#[test]
fn channels_tell_the_splits_and_can_be_sorted() {
    let mut window = open("demo:fashion");
    window.get_by_label_contains("split (0 copies added)");
    set_slider(&mut window, "Expand ratio", 10.0);
    window.get_by_label_contains("split (2 copies added)");
    click(&mut window, "by size");
    click(&mut window, "by index");
}

#[test]
fn activations_are_measured_when_they_are_looked_at() {
    let mut window = open("demo:fashion");
    assert!(session(&window).open().unwrap().calibration().is_none());
    click(&mut window, "Activations");
    settle(&mut window);
    window.get_by_label_contains("From 512 samples");
}

#[test]
fn an_exception_for_a_layer_is_shown_and_reset() {
    let mut window = open("demo:fashion");
    let name = selected_name(&window);
    let layers = session(&window).open().unwrap().recipe().layers.clone();
    // 3.5 % is no exact number, and 1.3 % no step of the slider: neither may count as a hand on the control.
    for ratio in [0.035, 0.013] {
        let mut recipe = session(&window).open().unwrap().recipe().clone();
        recipe.expand_ratio = ratio;
        window.state_mut().act(Action::EditRecipe {
            recipe: Box::new(recipe),
            gesture: false,
        });
        settle(&mut window);
        let recipe = session(&window).open().unwrap().recipe();
        assert_eq!((recipe.expand_ratio, &recipe.layers), (ratio, &layers));
    }
    set_slider(&mut window, "Layer weight bits", 6.0);
    assert_eq!(
        session(&window).open().unwrap().recipe().layers[&name].weight_bits,
        Some(Bits::Grid(6))
    );
    scroll_and_click(&mut window, "Reset Layer weight bits");
    assert!(!session(&window).open().unwrap().recipe().layers.contains_key(&name));
    scroll_and_click(&mut window, "Keep this layer float");
    window.get_by_label_contains("stays float");
    scroll_and_click(&mut window, "Reset Keep this layer float");
    assert!(!session(&window).open().unwrap().recipe().layers.contains_key(&name));
}

#[test]
fn every_choice_of_a_recipe_is_on_the_panel() {
    let mut window = open("demo:fashion");
    let switches = [
        "Fold batch-norm",
        "Equalize layers",
        "Correct biases",
        "Unsigned activations",
        "Keep first layer float",
        "Keep last layer float",
    ];
    let before = session(&window).open().unwrap().recipe().clone();
    // Unsigned grids are for inputs that are on one.
    set_slider(&mut window, "Activation bits", 8.0);
    for name in switches {
        scroll_and_click(&mut window, name);
    }
    let recipe = session(&window).open().unwrap().recipe().clone();
    assert!(recipe.cross_layer_equalization && recipe.bias_correction);
    assert!(recipe.unsigned_activations && recipe.float_first_layer && recipe.float_last_layer);
    assert_ne!(recipe.fold_batch_norm, before.fold_batch_norm);
    window.get_by_role_and_label(Role::ComboBox, "Ranges from");

    window.get_by_role_and_label(Role::ComboBox, "Clip").scroll_to_me();
    window.run_steps(8);
    window.get_by_role_and_label(Role::ComboBox, "Clip").click();
    window.run_steps(3);
    click(&mut window, "percentile");
    let clip = |window: &Window| session(window).open().unwrap().recipe().clip;
    assert_eq!(clip(&window), Clip::Percentile(Clip::DEFAULT_PERCENTILE));
    window.get_by_label("Clip percentile");
    let layer = window.get_by_label("Layer clip percentile").rect();
    let bits = window.get_by_role_and_label(Role::Slider, "Weight bits").rect();
    assert!(
        layer.right() < 1280.0 && bits.left() > 990.0,
        "the panel stays as wide as it was: {layer} {bits}"
    );
    set_slider(&mut window, "Activation bits", 6.0);
    window.get_by_role_and_label(Role::ComboBox, "Activation clip");
    window.get_by_role_and_label(Role::ComboBox, "Layer activation clip");
    for _ in 0..switches.len() + 3 {
        click(&mut window, "Undo");
    }
    assert_eq!(*session(&window).open().unwrap().recipe(), before);
}

#[test]
fn pictures_are_read_again_with_another_preset() {
    let mut window = open("demo:fashion");
    let right = percent_after(&window, "float ");
    click(&mut window, "Data");
    window.get_by_label_contains("0.286");
    click(&mut window, "raw");
    assert_eq!(
        session(&window)
            .messages()
            .iter()
            .filter(|m| m.level == Level::Error)
            .count(),
        0
    );
    assert!(
        session(&window)
            .open()
            .unwrap()
            .data()
            .unwrap()
            .preprocessing()
            .starts_with("raw")
    );
    assert!(
        percent_after(&window, "float ") < right,
        "the network was trained on other numbers"
    );
}

#[test]
fn text_is_shown_with_what_comes_before() {
    let mut window = open_text(200);
    let shown = texts(&window, "▸");
    assert!(!shown.is_empty());
    for text in shown {
        let (before, next) = text.split_once('▸').unwrap();
        assert_eq!(before.chars().count(), 40, "{text:?}");
        assert!(next.chars().count() == 1 || next == "space", "{text:?}");
    }
    assert!(!texts(&window, "this recipe: ").is_empty());
    set_slider(&mut window, "Expand ratio", 5.0);
    assert!(texts(&window, "float perplexity ")[0].contains('.'));
}

#[test]
fn the_preview_shows_samples_with_the_changed_ones_first() {
    let window = open("demo:fashion");
    assert!(!texts(&window, "· changed").is_empty());
    window.get_by_label_contains("answers changed of");
}

#[test]
fn layers_that_differ_are_counted_listed_and_made_to_follow_again() {
    let mut window = open("demo:fashion");
    let before = session(&window).open().unwrap().recipe().clone();
    let mut recipe = before.clone();
    for (name, bits) in [("layer1.0.conv1", 2), ("layer2.0.conv1", 5), ("fc", 4)] {
        recipe.layers.entry(name.to_owned()).or_default().weight_bits = Some(Bits::Grid(bits));
    }
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(recipe.clone()),
        gesture: false,
    });
    settle(&mut window);
    let count = recipe.layers.len();
    window.get_by_label(&format!("{count} layers differ (2 to 5 bits)"));
    assert!(window.query_by_label("layer3.0.conv1").is_some());
    click(&mut window, "show");
    assert!(window.query_by_label("layer3.0.conv1").is_none() && window.query_by_label("fc").is_some());
    click(&mut window, "all layers");
    assert!(window.query_by_label("layer3.0.conv1").is_some());

    // Several rows at once: what is listed.
    click(&mut window, "show");
    window.get_by_label("fc").click_secondary();
    window.run_steps(3);
    window
        .get_by_label(&format!("Weight bits of all {count} listed"))
        .click();
    window.run_steps(3);
    click(&mut window, "6 bits");
    let layers = session(&window).open().unwrap().recipe().layers.clone();
    assert_eq!(layers.len(), count);
    assert!(
        layers.values().all(|layer| layer.weight_bits == Some(Bits::Grid(6))),
        "{layers:?}"
    );
    click(&mut window, "Undo");
    assert_eq!(session(&window).open().unwrap().recipe(), &recipe, "one step");

    click(&mut window, "clear");
    assert!(session(&window).open().unwrap().recipe().layers.is_empty());
    click(&mut window, "Undo");
    assert_eq!(session(&window).open().unwrap().recipe(), &recipe);
}

#[test]
fn dark_becomes_light() {
    let mut window = open("demo:fashion");
    assert_eq!(window.ctx.theme(), egui::Theme::Dark);
    click(&mut window, "Dark or light");
    assert_eq!(window.ctx.theme(), egui::Theme::Light);
}

#[test]
fn nothing_moves_when_nothing_is_done() {
    let mut window = open("demo:fashion");
    window.run_steps(30);
    window.step();
    let delay = window
        .output()
        .viewport_output
        .values()
        .map(|viewport| viewport.repaint_delay)
        .min()
        .unwrap();
    assert!(
        delay > std::time::Duration::from_secs(5),
        "an idle window asks for no frame: {delay:?}"
    );
    assert!(session(&window).job(Kind::Evaluate).is_none());
}
