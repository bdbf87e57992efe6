//! The rest of the method in the window: activation splits, exported copies, what is measured on request.

use crate::harness::{Window, click, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use splitscope::quantization::{Bits, Recipe, SplitExport, SplitKind};
use splitscope::session::Action;

fn open() -> Window {
    open_with(crate::harness::builder(), "demo:fashion", 50)
}

fn recipe(window: &Window) -> Recipe {
    session(window).open().unwrap().recipe().clone()
}

fn edit(window: &mut Window, change: impl FnOnce(&mut Recipe)) {
    let mut recipe = recipe(window);
    change(&mut recipe);
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
    settle(window);
}

fn choose(window: &mut Window, choice: &str, value: &str) {
    let found = window.get_by_role_and_label(Role::ComboBox, choice);
    found.scroll_to_me();
    window.run_steps(8);
    window.get_by_role_and_label(Role::ComboBox, choice).click();
    window.run_steps(3);
    click(window, value);
}

#[test]
fn the_activation_ratio_and_split_change_the_recipe_and_split_inputs() {
    let mut window = open();
    assert!(
        window
            .query_by_role_and_label(Role::Slider, "Activation ratio")
            .is_none()
    );
    edit(&mut window, |recipe| recipe.activation_bits = Bits::Grid(4));
    window
        .get_by_role_and_label(Role::Slider, "Activation ratio")
        .set_value_accesskit(5.0);
    settle(&mut window);
    assert_eq!(recipe(&window).activation_expand_ratio, 0.05);
    let split = |window: &Window| {
        let (_, planned) = session(window).open().unwrap().planned().unwrap();
        let layers = planned.plan.layers.iter().filter_map(|layer| layer.quantized());
        layers.map(|layer| layer.activation_splits.len()).sum::<usize>()
    };
    assert!(split(&window) > 0);

    choose(&mut window, "Activation split", "halves (naive)");
    assert_eq!(recipe(&window).activation_split, SplitKind::Naive);
    assert_eq!(recipe(&window).split, SplitKind::Qa);
    assert_eq!(
        texts(&window, "Range of its input from: "),
        ["Range of its input from: calibration"]
    );
}

#[test]
fn widen_is_chosen_for_the_export() {
    let mut window = open();
    choose(&mut window, "Copies", "widen");
    assert_eq!(recipe(&window).split_export, SplitExport::Widen);
    choose(&mut window, "Copies", "gather");
    assert_eq!(recipe(&window).split_export, SplitExport::Gather);
}

#[test]
fn the_split_is_checked_on_request_and_the_number_is_the_sessions() {
    let mut window = open();
    click(&mut window, "Check the split");
    window.get_by_label("The recipe splits nothing.");

    edit(&mut window, |recipe| recipe.expand_ratio = 0.05);
    click(&mut window, "Check the split");
    let text = "splitting alone changes the outputs by at most ";
    let shown = texts(&window, text);
    let number: f64 = shown[0][text.len()..].replace('−', "-").parse().unwrap();
    let found = session(&window).open().unwrap().split_only(50).unwrap().unwrap();
    assert!((number / found.max_abs_difference - 1.0).abs() < 0.01, "{shown:?}");
    assert!(number > 0.0 && number < 1e-3, "rounding alone: {number}");

    edit(&mut window, |recipe| recipe.expand_ratio = 0.1);
    window.get_by_label("Check the split");
}

#[test]
fn the_oracle_bound_needs_split_activations_and_is_shown_once_measured() {
    let mut window = open();
    click(&mut window, "Oracle bound");
    assert!(session(&window).open().unwrap().oracle(50).is_none(), "it is disabled");
    edit(&mut window, |recipe| {
        recipe.activation_bits = Bits::Grid(4);
        recipe.activation_expand_ratio = 0.05;
    });
    click(&mut window, "Oracle bound");
    let top1 = session(&window)
        .open()
        .unwrap()
        .oracle(50)
        .unwrap()
        .metrics
        .top1
        .unwrap();
    window.get_by_label(&format!("oracle bound {:.1} %", top1 * 100.0));
}

#[test]
fn the_accuracy_tells_its_interval() {
    let mut window = open();
    let evaluated = session(&window)
        .open()
        .unwrap()
        .evaluated()
        .unwrap()
        .1
        .evaluation
        .clone();
    let [low, high] = evaluated.quantized.top1_interval.unwrap();
    window.get_by_label_contains("this recipe ").hover();
    window.run_steps(60);
    window.get_by_label_contains(&format!("({:.1} to {:.1})", low * 100.0, high * 100.0));
}

#[test]
fn what_can_have_no_effect_is_greyed_out_until_there_is_a_grid() {
    let mut window = open();
    let is_off = |window: &Window, role: Role, name: &str| {
        let node = window.get_by_role_and_label(role, name);
        node.accesskit_node().is_disabled()
    };
    let of_weights = [
        (Role::ComboBox, "Clip"),
        (Role::ComboBox, "Scales"),
        (Role::ComboBox, "Rounding"),
        (Role::ComboBox, "Storage"),
        (Role::ComboBox, "Matrix products"),
        (Role::CheckBox, "Scale by activations"),
        (Role::CheckBox, "Correct biases"),
    ];
    let of_inputs = [
        (Role::CheckBox, "Unsigned activations"),
        (Role::CheckBox, "Quantize outputs"),
    ];
    for (role, name) in of_weights {
        assert!(!is_off(&window, role, name), "{name}");
    }
    for (role, name) in of_inputs {
        assert!(is_off(&window, role, name), "{name}");
    }
    edit(&mut window, |recipe| {
        recipe.weight_bits = Bits::Float;
        recipe.activation_bits = Bits::Grid(8);
    });
    for (role, name) in of_weights {
        assert!(is_off(&window, role, name), "{name}");
    }
    assert!(!is_off(&window, Role::CheckBox, "Unsigned activations"));
    assert!(is_off(&window, Role::CheckBox, "Quantize outputs"), "it needs both");
    assert!(
        !is_off(&window, Role::Slider, "Expand ratio"),
        "a float network can be split"
    );
}

#[test]
fn smoothing_and_scaling_by_activations_are_prepared_and_change_the_network_that_is_shown() {
    let mut window = open_with(crate::harness::builder(), "demo:shakespeare", 50);
    let smooth = || Role::SpinButton;
    window
        .get_by_role_and_label(smooth(), "Smooth inputs")
        .set_value_accesskit(0.5);
    settle(&mut window);
    assert_eq!(recipe(&window).smooth, 0.5);
    click(&mut window, "Scale by activations");
    assert!(recipe(&window).awq);
    let open = session(&window).open().unwrap();
    assert!(open.planned().is_some(), "{:?}", open.plan_failure());
}

#[test]
fn zero_points_are_a_switch_and_the_grid_reaches_from_the_least_weight_to_the_largest() {
    let mut window = open();
    assert!(!texts(&window, "values reach to ±").is_empty());
    let switch = window.get_by_role_and_label(Role::CheckBox, "Weight zero points");
    switch.scroll_to_me();
    window.run_steps(8);
    window
        .get_by_role_and_label(Role::CheckBox, "Weight zero points")
        .click();
    settle(&mut window);
    assert!(recipe(&window).weight_zero_points);
    let ends = {
        let open = session(&window).open().unwrap();
        let (_, planned) = open.planned().unwrap();
        let grid = planned.plan.layers[open.selected()].quantized().unwrap().grid;
        assert!(grid.zero_point.is_some());
        [grid.low(), grid.high()].map(|index| format!("{:.3}", grid.value(index)).replace('-', "−"))
    };
    assert_eq!(
        texts(&window, &format!("reach from {} to {}", ends[0], ends[1])).len(),
        1
    );
}
