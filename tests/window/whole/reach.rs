//! What a person reaches, with whatever hand: names for screen readers, clicks on curves, resets, the tour to its end.

use super::{selected_name, set_slider};
use crate::harness::{Window, builder, click, open, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui::{Key, Modifiers, pos2};
use egui_kittest::kittest::{By, NodeT, Queryable};
use splitscope::quantization::{Bits, Clip, Recipe};
use splitscope::session::Kind;

fn recipe(window: &Window) -> Recipe {
    session(window).open().unwrap().recipe().clone()
}

/// Everything that can be operated but has no name: role and place.
fn nameless(window: &Window) -> Vec<String> {
    let operable = [
        Role::Button,
        Role::CheckBox,
        Role::ComboBox,
        Role::Link,
        Role::RadioButton,
        Role::Slider,
        Role::SpinButton,
        Role::TextInput,
    ];
    let found = window.query_all(By::new().predicate(move |node| {
        let named = node.label().is_some_and(|label| !label.trim().is_empty());
        operable.contains(&node.role()) && !named && node.labelled_by().next().is_none()
    }));
    found
        .map(|node| format!("{:?} at {}", node.accesskit_node().role(), node.rect()))
        .collect()
}

#[test]
fn every_control_of_every_view_has_a_name_for_screen_readers() {
    let mut window = open("demo:fashion");
    let views = [
        "Channels",
        "Activations",
        "Errors",
        "Network",
        "Graph",
        "Answers",
        "Sweep",
        "Auto",
        "Weights",
    ];
    for view in views {
        click(&mut window, view);
        assert_eq!(nameless(&window), Vec::<String>::new(), "{view}");
    }
    click(&mut window, "Learn");
    for lesson in 0..6 {
        assert_eq!(nameless(&window), Vec::<String>::new(), "lesson {lesson}");
        click(&mut window, "Next lesson");
    }
    for (modifiers, key) in [
        (Modifiers::COMMAND, Key::K),
        (Modifiers::COMMAND, Key::Comma),
        (Modifiers::COMMAND, Key::O),
    ] {
        window.key_press_modifiers(modifiers, key);
        window.run_steps(3);
        assert_eq!(nameless(&window), Vec::<String>::new(), "{key:?}");
        window.key_press(Key::Escape);
        window.run_steps(3);
    }
    for menu in ["Open ▾", "Demo ▾", "Export ▾", "View ▾", "Preset ▾"] {
        click(&mut window, menu);
        assert_eq!(nameless(&window), Vec::<String>::new(), "{menu}");
        window.key_press(Key::Escape);
        settle(&mut window);
    }
}

/// Presses and lets go at a place.
fn click_at(window: &mut Window, place: egui::Pos2) {
    window.hover_at(place);
    window.step();
    window.drag_at(place);
    window.step();
    window.drop_at(place);
    window.step();
    settle(window);
}

#[test]
fn a_click_on_an_error_curve_takes_its_setting_for_the_layer() {
    let mut window = open("demo:fashion");
    click(&mut window, "Errors");
    click(&mut window, "Curves and sensitivity");
    let before = recipe(&window);
    let name = selected_name(&window);
    let bits = window.get_by_label("Plot of the error against bits").rect();
    // The axis of bits reaches from 1.6 to 8.4.
    let share = (5.0 - (f32::from(Bits::MIN) - 0.4)) / (f32::from(Bits::MAX - Bits::MIN) + 0.8);
    click_at(&mut window, pos2(bits.left() + bits.width() * share, bits.center().y));
    let layer = recipe(&window).layers[&name].clone();
    assert_eq!(layer.weight_bits, Some(Bits::Grid(5)));
    assert!(layer.clip.is_some());
    let (_, planned) = session(&window).open().unwrap().planned().unwrap();
    let planned = planned.plan.layers.iter().find(|planned| planned.name == name).unwrap();
    assert_eq!(planned.quantized().unwrap().grid.bits, 5, "the network follows");
    click(&mut window, "Undo");
    assert_eq!(recipe(&window), before, "it was one step");

    let splits = window.get_by_label("Plot of the error against splits").rect();
    click_at(
        &mut window,
        pos2(splits.right() - splits.width() * 0.04, splits.top() + 8.0),
    );
    let ratio = recipe(&window).layers[&name].expand_ratio;
    assert!(ratio.is_some_and(|ratio| ratio > 0.1), "the right end: {ratio:?}");
}

#[test]
fn a_double_click_on_a_slider_takes_back_what_was_set_there() {
    // Frames as short as real ones: two clicks in turn must be near in time.
    let mut window = open_with(builder().with_step_dt(0.02), "demo:fashion", 60);
    let before = recipe(&window);
    let name = selected_name(&window);
    set_slider(&mut window, "Weight bits", 6.0);
    set_slider(&mut window, "Layer expand ratio", 10.0);
    assert_eq!(recipe(&window).layers[&name].expand_ratio, Some(0.1));
    for slider in ["Weight bits", "Layer expand ratio"] {
        let found = window.get_by_role_and_label(Role::Slider, slider);
        found.scroll_to_me();
        window.run_steps(8);
        let rect = window.get_by_role_and_label(Role::Slider, slider).rect();
        let place = pos2(rect.left() + 60.0, rect.center().y);
        window.hover_at(place);
        window.step();
        for _ in 0..2 {
            window.drag_at(place);
            window.step();
            window.drop_at(place);
            window.step();
        }
        settle(&mut window);
    }
    assert_eq!(recipe(&window), before);
}

#[test]
fn the_picture_of_a_plot_and_the_table_of_layers_are_copied() {
    let mut window = open_with(
        builder().renderer(crate::cpu::CpuRenderer::default()),
        "demo:fashion",
        60,
    );
    window.get_by_label("Plot of the weights").click_secondary();
    window.run_steps(3);
    window.get_by_label("Copy picture").click();
    let mut copied = None;
    for _ in 0..30 {
        window.step();
        let commands = &window.output().platform_output.commands;
        copied = copied.or(commands.iter().find_map(|command| match command {
            egui::OutputCommand::CopyImage(image) => Some(image.clone()),
            _ => None,
        }));
    }
    let picture = copied.expect("the picture is on the clipboard");
    let blue = picture.pixels.iter().filter(|pixel| pixel.b() > 150 && pixel.r() < 100);
    assert!(blue.count() > 500, "the bars are in it");

    window.get_by_label("layer2.1.conv2").click_secondary();
    window.run_steps(3);
    window.get_by_label("Copy table").click();
    window.step();
    let commands = &window.output().platform_output.commands;
    let text = commands.iter().find_map(|command| match command {
        egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    let text = text.expect("the table is on the clipboard");
    assert_eq!(text.lines().count(), 23, "a title and 22 layers");
    assert!(
        text.lines()
            .any(|line| line.starts_with("layer2.1.conv2,Conv,32×32×3×3,9216,"))
    );
}

/// The present step is done; goes on to the next.
fn next(window: &mut Window, step: usize, done: bool) {
    window.get_by_label(&format!("{step} / 7"));
    assert_eq!(window.query_by_label("• done").is_some(), done, "step {step}");
    click(window, if step == 7 { "Finish" } else { "Next" });
}

#[test]
fn the_tour_is_followed_from_its_first_step_to_the_exported_file() {
    let mut window = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tour.onnx");
    click(&mut window, "Five-minute tour");
    next(&mut window, 1, false);
    set_slider(&mut window, "Expand ratio", 5.0);
    next(&mut window, 2, true);
    next(&mut window, 3, true);
    window.get_by_label_contains("Clip weights by MSE").click();
    settle(&mut window);
    next(&mut window, 4, true);
    click(&mut window, "layer2.1.conv2");
    next(&mut window, 5, true);
    click(&mut window, "Undo");
    next(&mut window, 6, true);
    assert_eq!(recipe(&window).expand_ratio, 0.05, "the split is still there");
    assert_eq!(recipe(&window).clip, Clip::None);

    click(&mut window, "Export ▾");
    window.get_by_label_contains("ONNX graph…").click();
    settle(&mut window);
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window
        .get_by_role_and_label(Role::TextInput, "Path")
        .type_text(path.to_str().unwrap());
    window.run_steps(3);
    click(&mut window, "Write");
    while session(&window).job(Kind::Export).is_some() {
        window.step();
    }
    settle(&mut window);
    assert!(!texts(&window, "Wrote ").is_empty());
    next(&mut window, 7, true);
    assert!(window.query_by_label("End tour").is_none());
    let written = splitscope::format::open(&path).unwrap();
    let nodes = &written.model.graph.as_ref().unwrap().node;
    let copies = nodes.iter().filter(|node| node.op_type() == "Gather");
    assert!(copies.count() > 10, "the split is in the file");
}

#[test]
fn a_network_without_data_runs_on_noise_from_the_preview() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx");
    let mut window = open(model);
    assert!(texts(&window, "this recipe").is_empty());
    window.get_by_role_and_label(Role::Button, "Use noise").click();
    settle(&mut window);
    let found = session(&window)
        .open()
        .unwrap()
        .evaluated()
        .unwrap()
        .1
        .evaluation
        .clone();
    assert!(found.float.top1.is_none() && found.sqnr_db.is_some());
    assert!(window.query_by_label("Use noise").is_none());
}

#[test]
fn the_settings_take_the_number_of_threads_and_the_session_remembers_it() {
    let mut window = open("demo:fashion");
    window.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
    window.run_steps(3);
    let most = splitscope::jobs::available_threads();
    let chosen = |window: &mut Window, threads: usize| {
        let control = window.get_by_role_and_label(Role::SpinButton, "Worker threads");
        control.set_value_accesskit(threads as f64);
        settle(window);
        session(window).to_saved().threads
    };
    assert_eq!(chosen(&mut window, 1), (most > 1).then_some(1));
    assert_eq!(chosen(&mut window, most), None, "all cores, however many they are");
}

#[test]
fn tabs_get_narrower_before_they_go_out_of_sight_and_then_a_menu_lists_all() {
    let mut window = open("demo:fashion");
    let width = |window: &Window| window.get_by_role_and_label(Role::Button, "Activations").rect().width();
    let roomy = width(&window);
    crate::harness::by_palette(&mut window, "show view a/b");
    assert!(
        width(&window) < roomy,
        "the view A/B has come beside them: {roomy} {}",
        width(&window)
    );
    assert!(window.query_by_label("Scroll tabs right").is_none() && window.query_by_label("All ▾").is_none());

    let mut window = open_with(crate::harness::builder().with_size([960.0, 600.0]), "demo:fashion", 60);
    window.get_by_label("Scroll tabs right");
    window.get_by_label("All ▾").click();
    window.run_steps(3);
    // A tab is on or off, an entry of a menu is neither.
    let entry = By::new().label("Learn").predicate(|node| node.toggled().is_none());
    window.get(entry).click();
    settle(&mut window);
    window.get_by_label("Close Learn");
}
