//! Why a layer hurts, the fixes that were tried, and where along the graph the error arises; numbers as the library has them.

use crate::harness::{Window, click, open, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use splitscope::inference::Cause;
use splitscope::quantization::{Bits, Clip, Recipe};
use splitscope::session::Action;

fn recipe(window: &Window) -> Recipe {
    session(window).open().unwrap().recipe().clone()
}

fn select(window: &mut Window, name: &str) {
    let layer = session(window)
        .open()
        .unwrap()
        .original
        .network
        .layer_index(name)
        .unwrap();
    window.state_mut().act(Action::SelectLayer(layer));
    settle(window);
}

#[test]
fn the_cause_is_named_and_the_recommended_fix_is_one_step() {
    let mut window = open("demo:fashion");
    click(&mut window, "Errors");
    select(&mut window, "layer1.0.conv1");
    let before = recipe(&window);
    let cure = session(&window).open().unwrap().cure().unwrap().unwrap().clone();
    assert!(session(&window).open().unwrap().cure_is_current());
    assert!(matches!(cure.causes[0], Cause::DeadGrid { .. }), "{:?}", cure.causes);
    assert_eq!(texts(&window, "Dead grid").len(), 1);
    assert_eq!(texts(&window, &cure.causes[0].to_string()).len(), 1);
    for tried in &cure.fixes {
        assert!(!texts(&window, &tried.text).is_empty(), "{}", tried.text);
    }
    let best = cure.best().unwrap().clone();
    click(&mut window, "Fix this layer");
    assert_eq!(recipe(&window).layers["layer1.0.conv1"], best.settings);
    let now = session(&window)
        .open()
        .unwrap()
        .cure()
        .unwrap()
        .unwrap()
        .before
        .sqnr_db
        .unwrap();
    assert!(
        (now - best.sqnr_db).abs() < 1e-6,
        "{now} {}: it does what it promised",
        best.sqnr_db
    );
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before);
}

#[test]
fn a_row_of_the_table_applies_its_own_fix() {
    let mut window = open("demo:fashion");
    click(&mut window, "Errors");
    select(&mut window, "layer2.1.conv1");
    click(&mut window, "Apply clip MSE");
    assert_eq!(recipe(&window).layers["layer2.1.conv1"].clip, Some(Clip::Mse));
}

#[test]
fn a_float_layer_has_nothing_to_fix() {
    let mut window = open("demo:fashion");
    click(&mut window, "Errors");
    select(&mut window, "conv1");
    assert_eq!(texts(&window, "stays float under the current recipe").len(), 1);
    assert!(texts(&window, "Fix this layer").is_empty());
}

#[test]
fn all_worst_layers_are_fixed_in_one_step_within_the_bytes() {
    let mut window = open("demo:fashion");
    click(&mut window, "Errors");
    let before = recipe(&window);
    click(&mut window, "Fix all within");
    let (_, mended) = session(&window).open().unwrap().mended().unwrap();
    assert!(mended.fixes.len() >= 3 && mended.recipe == recipe(&window));
    assert!(
        mended.bytes.1 as f64 <= mended.bytes.0 as f64 * 1.05 + 1.0,
        "{:?}",
        mended.bytes
    );
    assert!(mended.after.quantized.top1 > mended.before.quantized.top1);
    assert_eq!(texts(&window, "layers fixed: ").len(), 1);
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before, "one step");
}

#[test]
fn a_click_on_the_curve_along_the_graph_selects_its_layer() {
    let mut window = open("demo:fashion");
    click(&mut window, "Errors");
    click(&mut window, "Along the graph");
    let trace = session(&window).open().unwrap().trace().unwrap().1.clone();
    let worst = trace.worst_own().unwrap().layer.clone().unwrap();
    select(&mut window, "fc");
    click(&mut window, &format!("Largest own error: {worst}"));
    assert_eq!(session(&window).open().unwrap().selected_name(), worst);
    let place = trace
        .values
        .iter()
        .position(|value| value.layer.as_deref() == Some("layer3.1.conv1"))
        .unwrap();
    let plot = window.get_by_label("Plot of the error along the graph").rect();
    let share = (place as f32 + 0.7) / (trace.values.len() as f32 + 0.4);
    let at = egui::pos2(plot.left() + plot.width() * share, plot.center().y);
    window.hover_at(at);
    window.run_steps(2);
    for pressed in [true, false] {
        window.event(egui::Event::PointerButton {
            pos: at,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: egui::Modifiers::default(),
        });
        window.step();
    }
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().selected_name(), "layer3.1.conv1");
    assert_eq!(window.query_all_by_label("SQNR by position").count(), 1);
    assert_eq!(window.query_all_by_label("Plot of the error by channel").count(), 1);
}

#[test]
fn settings_are_changed_in_the_table_for_one_row_and_for_several() {
    let mut window = open("demo:fashion");
    window
        .get_by_role_and_label(Role::CheckBox, "Layer settings as columns")
        .click();
    settle(&mut window);
    click(&mut window, "Bits of layer1.0.conv2: 3");
    click(&mut window, "5");
    assert_eq!(
        recipe(&window).layers["layer1.0.conv2"].weight_bits,
        Some(Bits::Grid(5))
    );
    assert_eq!(
        texts(&window, "Bits of layer1.0.conv2: 5").len(),
        1,
        "the cell shows what holds"
    );
    // The selected row and two more.
    select(&mut window, "layer1.1.conv1");
    for name in ["layer1.1.conv2", "layer1.2.conv1"] {
        let at = window
            .get_by_label(&format!("Scales of {name}: tensor"))
            .rect()
            .right_center()
            + egui::vec2(2.0, 0.0);
        window.hover_at(at);
        window.step();
        for pressed in [true, false] {
            let click = egui::Event::PointerButton {
                pos: at,
                button: egui::PointerButton::Primary,
                pressed,
                modifiers: egui::Modifiers::COMMAND,
            };
            window.event_modifiers(click, egui::Modifiers::COMMAND);
            window.step();
        }
    }
    settle(&mut window);
    assert_eq!(texts(&window, "3 layers selected").len(), 1);
    click(&mut window, "Clip of layer1.1.conv2: none");
    click(&mut window, "MSE");
    let all = recipe(&window);
    for name in ["layer1.1.conv1", "layer1.1.conv2", "layer1.2.conv1"] {
        assert_eq!(all.layers[name].clip, Some(Clip::Mse), "{name}");
    }
    assert_eq!(texts(&window, "4 layers differ (5 bits)").len(), 0, "conv1 differs too");
    assert_eq!(texts(&window, "5 layers differ (5 bits)").len(), 1);
    click(&mut window, "Undo");
    assert!(!recipe(&window).layers.contains_key("layer1.1.conv2"), "one step");
}
