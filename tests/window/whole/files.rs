//! Files that are opened, dropped and written.

use crate::harness::{click, dropped, open, session, settle, texts};
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::Queryable;
use splitscope::quantization::Bits;
use splitscope::session::Level;

#[test]
fn a_path_is_typed_a_fault_is_told_and_can_be_copied() {
    let mut window = open("demo:fashion");
    window.key_press_modifiers(Modifiers::COMMAND, Key::O);
    window.run_steps(3);
    window
        .get_by_role_and_label(Role::TextInput, "Path")
        .type_text("/no/such/network.onnx");
    window.run_steps(2);
    click(&mut window, "Open");
    let last = session(&window).messages().last().unwrap().clone();
    assert_eq!(last.level, Level::Error);
    assert!(last.text.contains("network.onnx"));
    assert!(!texts(&window, "network.onnx").is_empty());
    window.get_by_label("Copy").click();
    window.step();
    let copied = window.output().platform_output.commands.iter().any(|command| {
        matches!(command, egui::OutputCommand::CopyText(text) if text.contains("network.onnx") && text.contains("weight_bits"))
    });
    assert!(copied, "the message with its details is on the clipboard");
    assert!(session(&window).open().is_some(), "what was open stays open");
    window.key_press_modifiers(Modifiers::COMMAND, Key::M);
    window.run_steps(3);
    click(&mut window, "Clear");
    assert!(session(&window).messages().is_empty());
}

#[test]
fn an_export_is_written_where_the_person_says() {
    let mut window = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("three.onnx");
    window.key_press_modifiers(Modifiers::COMMAND, Key::E);
    window.run_steps(3);
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window
        .get_by_role_and_label(Role::TextInput, "Path")
        .type_text(path.to_str().unwrap());
    window.run_steps(2);
    click(&mut window, "Write");
    assert!(
        session(&window).messages().last().unwrap().text.starts_with("Wrote "),
        "{:?}",
        session(&window).messages()
    );
    assert!(splitscope::format::open(&path).is_ok());
    // The sheet tells what came of it and what it takes to run it.
    for told in [
        "Verified equal to the preview",
        "The runtime must have operator set 21.",
        "the inputs of layers are float, so onnxruntime dequantizes",
    ] {
        assert_eq!(texts(&window, told).len(), 1, "{told}");
    }
}

#[test]
fn the_menu_opens_the_other_demo() {
    let mut window = open("demo:fashion");
    click(&mut window, "Demo ▾");
    window.get_by_label_contains("Shakespeare").click();
    settle(&mut window);
    assert_eq!(
        session(&window).open().unwrap().original.network.name,
        "demo:shakespeare"
    );
    let shown = texts(&window, "float perplexity ");
    assert!(shown[0].starts_with("float perplexity 4."), "{shown:?}");
}

#[test]
fn a_dropped_file_is_opened() {
    let mut window = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    std::fs::write(&path, "weight_bits = 5\n").unwrap();
    window.input_mut().dropped_files.push(dropped(&path));
    settle(&mut window);
    assert_eq!(session(&window).open().unwrap().recipe().weight_bits, Bits::Grid(5));
}
