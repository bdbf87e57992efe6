//! The view of two networks, driven through its labels.

use crate::harness::{Window, builder, click, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use splitscope::session::{Action, ExportKind};

/// Asks for the file at `path` through the button of that name and the field for a path.
fn compare_with(window: &mut Window, path: &str) {
    window.get_by_label("Compare with…").click();
    settle(window);
    window.get_by_role_and_label(Role::TextInput, "Path").type_text(path);
    settle(window);
    window.get_by_label("Open").click();
    settle(window);
}

fn show_view(window: &mut Window) {
    click(window, "View ▾");
    window.get_by_role_and_label(Role::CheckBox, "Compare").click();
    settle(window);
}

#[test]
fn an_export_is_compared_layer_by_layer_and_a_click_selects_the_layer() {
    let mut window = open_with(builder(), "demo:fashion", 50);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.onnx");
    window.state_mut().act(Action::Export {
        kind: ExportKind::Onnx,
        path: path.clone(),
    });
    settle(&mut window);
    assert!(texts(&window, "No second network").is_empty(), "not in sight at first");
    show_view(&mut window);
    assert_eq!(texts(&window, "No second network").len(), 1);
    compare_with(&mut window, path.to_str().unwrap());
    assert_eq!(texts(&window, "21 layers differ, 1 equal").len(), 1);
    let open = session(&window).open().unwrap();
    let difference = &open.against().unwrap().difference;
    let worst = difference.worst_first()[0];
    let (layer, name) = (worst.sides[0].layer, worst.sides[0].name.clone());
    let shown = texts(&window, &format!("Difference of {name}, "));
    let sqnr_db = worst.weights.as_ref().unwrap().sqnr_db;
    assert!(shown[0].contains(&format!("{sqnr_db:.1} dB")), "{shown:?}");
    window.get_by_label_contains(&format!("Difference of {name}, ")).click();
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().selected(), layer);
    assert_eq!(window.query_all_by_label("Plot of the compared weights").count(), 1);
    click(&mut window, "Close");
    assert_eq!(texts(&window, "No second network").len(), 1);
}

#[test]
fn a_file_that_cannot_be_compared_is_named_with_what_to_do() {
    let mut window = open_with(builder(), "demo:fashion", 50);
    show_view(&mut window);
    compare_with(&mut window, "/absent/other.onnx");
    assert_eq!(texts(&window, "Not compared: ").len(), 1);
    assert!(!texts(&window, "Try again").is_empty());
}
