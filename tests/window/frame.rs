//! The frame of the window: views that open and close, the palette, what is remembered, and selecting in every view.

use crate::harness::{Window, builder, by_palette, click, open, session, settle, texts};
use eframe::App as _;
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use splitscope::app::{App, StartOptions};
use splitscope::session::Action;
use std::fs;
use std::path::Path;

fn selected_name(window: &Window) -> String {
    let open = session(window).open().unwrap();
    open.original.network.layers[open.selected()].name.clone()
}

fn has_tab(window: &Window, title: &str) -> bool {
    window.query_by_role_and_label(Role::Button, title).is_some()
}

/// Clicks the one control whose label contains `part`.
fn click_part(window: &mut Window, part: &str) {
    window.get_by_label_contains(part).click();
    settle(window);
}

#[test]
fn the_palette_runs_commands_and_selects_layers() {
    let mut window = open("demo:fashion");
    by_palette(&mut window, "close view channels");
    assert!(!has_tab(&window, "Channels"));
    by_palette(&mut window, "show channels");
    assert!(has_tab(&window, "Channels"));
    by_palette(&mut window, "3.2 conv2");
    assert_eq!(selected_name(&window), "layer3.2.conv2");
    by_palette(&mut window, "preset paper");
    assert!(session(&window).open().unwrap().recipe().float_last_layer);
    by_palette(&mut window, "undo");
    assert!(!session(&window).open().unwrap().recipe().float_last_layer);

    window.key_press_modifiers(Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    window.run_steps(3);
    assert!(
        !texts(&window, "Export ONNX").is_empty(),
        "with nothing typed it lists the commands"
    );
    window.key_press(Key::Escape);
    window.run_steps(3);
    assert!(window.query_by_label("Search commands").is_none());
}

#[test]
fn escape_and_what_fills_the_window_put_the_settings_away() {
    let mut window = open("demo:fashion");
    let is_open = |window: &Window| window.query_by_label("Worker threads").is_some();
    for key in [Key::Escape, Key::F11] {
        by_palette(&mut window, "settings");
        assert!(is_open(&window));
        window.key_press(key);
        settle(&mut window);
        assert!(!is_open(&window), "{key:?}");
    }
}

#[test]
fn a_view_is_closed_and_opened_again() {
    let mut window = open("demo:fashion");
    click(&mut window, "Close Weights");
    assert!(!has_tab(&window, "Weights") && has_tab(&window, "Channels"));
    click(&mut window, "View ▾");
    window.get_by_role_and_label(Role::CheckBox, "Weights").click();
    settle(&mut window);
    window.key_press(Key::Escape);
    settle(&mut window);
    assert!(has_tab(&window, "Weights"));
    assert!(!texts(&window, "SQNR").is_empty(), "it is in front");

    for view in ["Layers", "Recipe", "Preview"] {
        click(&mut window, &format!("Close {view}"));
    }
    assert!(window.query_by_role_and_label(Role::Slider, "Weight bits").is_none());
    by_palette(&mut window, "reset layout");
    assert!(window.query_by_role_and_label(Role::Slider, "Weight bits").is_some());
}

/// The window as it starts with what is remembered in `folder`.
fn start(folder: &Path) -> Window {
    let options = StartOptions {
        memory: Some(folder.to_owned()),
        ..StartOptions::default()
    };
    let mut window = builder().build_eframe(|cc| {
        let mut app = App::new(cc, &options).without_native_dialogs();
        app.act(Action::SetSampleLimit(60));
        app
    });
    settle(&mut window);
    window
}

/// Closes the window: what it remembers is on the disk then.
fn close(mut window: Window) {
    window.state_mut().save(&mut Nowhere);
}

/// eframe's own storage, in which nothing of ours is kept.
struct Nowhere;

impl eframe::Storage for Nowhere {
    fn get_string(&self, _: &str) -> Option<String> {
        None
    }
    fn set_string(&mut self, _: &str, _: String) {}
    fn remove_string(&mut self, _: &str) {}
    fn flush(&mut self) {}
}

#[test]
fn the_layout_survives_a_restart_and_a_broken_one_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = start(folder.path());
    click(&mut window, "Close Weights");
    by_palette(&mut window, "show view network");
    close(window);

    let again = start(folder.path());
    assert!(!has_tab(&again, "Weights"));
    assert!(
        !texts(&again, "Card of ").is_empty(),
        "the network view is still in front"
    );

    fs::write(folder.path().join("layout.json"), "{\"version\":1,\"size\":[9").unwrap();
    let fresh = start(folder.path());
    assert!(has_tab(&fresh, "Weights"));
}

#[test]
fn a_click_in_the_network_view_selects_the_layer_and_sorting_brings_the_worst_to_the_top() {
    let mut window = open("demo:fashion");
    click(&mut window, "Network");
    click_part(&mut window, "Card of layer2.0.conv2,");
    assert_eq!(selected_name(&window), "layer2.0.conv2");
    click(&mut window, "error");
    let shown = session(&window).open().unwrap().planned().unwrap().1.plan.clone();
    let sqnr = |name: &str| {
        let layer = shown.layers.iter().find(|layer| layer.name == name).unwrap();
        layer.quantized().unwrap().sqnr_db
    };
    let worst = shown
        .layers
        .iter()
        .filter(|layer| layer.quantized().is_some())
        .min_by(|a, b| sqnr(&a.name).total_cmp(&sqnr(&b.name)))
        .unwrap();
    let first = window
        .query_all_by_label_contains("Card of ")
        .min_by(|a, b| {
            let place = |node: &egui_kittest::Node<'_>| (node.rect().top(), node.rect().left());
            place(a).partial_cmp(&place(b)).unwrap()
        })
        .unwrap();
    let label = first.accesskit_node().label().unwrap();
    assert!(label.contains(&format!("Card of {},", worst.name)), "{label}");
}

#[test]
fn a_click_in_the_graph_selects_the_layer() {
    let mut window = open("demo:fashion");
    click(&mut window, "Graph");
    click(&mut window, "Whole graph");
    click_part(&mut window, "Node Conv layer2.1.conv2,");
    assert_eq!(selected_name(&window), "layer2.1.conv2");
    click(&mut window, "Selected layer");
    window.get_by_label_contains("Node Conv layer2.1.conv2,");
    assert!(
        window.query_by_label_contains("Node Conv conv1,").is_none(),
        "what is out of sight is not drawn"
    );
}

#[test]
fn settings_change_what_an_outlier_is_and_the_size_of_everything() {
    let mut window = open("demo:fashion");
    window.key_press_modifiers(Modifiers::COMMAND, Key::Comma);
    window.run_steps(3);
    let width = window.get_by_role_and_label(Role::Slider, "Weight bits").rect().width();
    window.get_by_label("An outlier lies beyond");
    by_palette(&mut window, "zoom in");
    assert!((window.ctx.zoom_factor() - 1.1).abs() < 1e-6);
    assert!(window.get_by_role_and_label(Role::Slider, "Weight bits").rect().width() <= width + 1.0);
    by_palette(&mut window, "normal size");
    assert!((window.ctx.zoom_factor() - 1.0).abs() < 1e-6);
}

#[test]
fn a_small_window_still_shows_every_view() {
    let mut window = crate::harness::open_with(builder().with_size([900.0, 560.0]), "demo:fashion", 60);
    for view in ["Weights", "Channels", "Activations", "Network", "Graph"] {
        by_palette(&mut window, &format!("show view {view}"));
        let recipe = window.get_by_role_and_label(Role::Slider, "Weight bits").rect();
        assert!(recipe.right() <= 900.0 && recipe.left() > 600.0, "{view}: {recipe}");
        let table = window.get_by_label("Sort by SQNR").rect();
        assert!(table.right() < 345.0, "{view}: {table}");
    }
}

/// Right-clicks the plot of weights, takes that entry of its menu, and types a path where one is asked for.
fn from_plot_menu(window: &mut Window, entry: &str, path: Option<&std::path::Path>) {
    window.get_by_label("Plot of the weights").click_secondary();
    window.run_steps(3);
    window.get_by_label(entry).click();
    window.run_steps(3);
    if let Some(path) = path {
        window.key_press_modifiers(Modifiers::COMMAND, Key::A);
        window
            .get_by_role_and_label(Role::TextInput, "Path")
            .type_text(path.to_str().unwrap());
        window.run_steps(2);
        window.get_by_label("Write").click();
        settle(window);
    }
}

#[test]
fn a_plot_is_copied_and_saved_as_numbers_drawing_and_picture() {
    let rendered = builder().renderer(crate::cpu::CpuRenderer::default());
    let mut window = crate::harness::open_with(rendered, "demo:fashion", 60);
    let weights = {
        let open = session(&window).open().unwrap();
        open.original.network.layers[open.selected()].parameters()
    };
    window.get_by_label("Plot of the weights").click_secondary();
    window.run_steps(3);
    window.get_by_label("Copy data").click();
    window.step();
    let copied = window
        .output()
        .platform_output
        .commands
        .iter()
        .find_map(|command| match command {
            egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        });
    let csv = copied.unwrap();
    // As drawn: the largest channels and the outliers stand apart from the rest.
    let before = csv
        .lines()
        .filter(|line| line.split(',').next().is_some_and(|name| name.ends_with("before")));
    let counted: u64 = before
        .map(|line| line.rsplit(',').next().unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(counted, weights, "every weight is in a bin");
    window.run_steps(3);

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    from_plot_menu(&mut window, "Save data (CSV)…", Some(&at("plot.csv")));
    assert_eq!(std::fs::read_to_string(at("plot.csv")).unwrap(), csv);
    from_plot_menu(&mut window, "Save drawing (SVG)…", Some(&at("plot.svg")));
    assert!(
        std::fs::read_to_string(at("plot.svg"))
            .unwrap()
            .contains("weights in a bin")
    );
    from_plot_menu(&mut window, "Save picture (PNG)…", Some(&at("plot.png")));
    let picture = image::open(at("plot.png")).unwrap().into_rgb8();
    let plot = window.get_by_label("Plot of the weights").rect();
    assert!(
        f64::from(picture.width()) >= f64::from(plot.width()),
        "{} {plot}",
        picture.width()
    );
    let blue = |pixel: &&image::Rgb<u8>| pixel.0[2] > 150 && pixel.0[0] < 100;
    assert!(picture.pixels().filter(blue).count() > 500, "the bars are in it");
    assert!(session(&window).messages().last().unwrap().text.starts_with("Wrote "));

    from_plot_menu(&mut window, "Save data (CSV)…", Some(&at("missing/plot.csv")));
    let last = session(&window).messages().last().unwrap().clone();
    assert_eq!(last.level, splitscope::session::Level::Error);
    assert!(last.text.contains("missing"), "{}", last.text);
}

#[test]
fn what_was_open_is_offered_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = start(folder.path());
    assert!(window.query_by_label_contains("Continue with").is_none());
    by_palette(&mut window, "preset paper");
    by_palette(&mut window, "layer 3.2 conv2");
    close(window);

    let mut again = start(folder.path());
    assert!(!session(&again).open().unwrap().recipe().float_last_layer);
    click(&mut again, "Continue with demo:fashion");
    assert!(session(&again).open().unwrap().recipe().float_last_layer);
    assert_eq!(selected_name(&again), "layer3.2.conv2");
    assert!(again.query_by_label_contains("Continue with").is_none());
}

#[test]
fn a_picture_that_the_window_system_does_not_give_is_told_and_not_waited_for() {
    // This window draws nothing, so there is nothing to take a picture of.
    let mut window = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plot.png");
    from_plot_menu(&mut window, "Save picture (PNG)…", Some(&path));
    let last = session(&window).messages().last().unwrap().text.clone();
    assert!(last.contains("no picture") && last.contains("plot.png"), "{last}");
    assert!(!path.exists());
}
