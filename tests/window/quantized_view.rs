//! An exported network opened again: the levels of its integers, and its recipe for the network that it was made of.

use crate::harness::{builder, click, open_with, session, settle, texts};
use egui_kittest::kittest::Queryable;
use splitscope::session::{Action, ExportKind};
use std::path::PathBuf;

#[test]
fn an_export_shows_its_levels_and_offers_its_recipe() {
    let mut window = open_with(builder(), "demo:fashion", 20);
    let made = session(&window).open().unwrap().recipe().clone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("three.onnx");
    window.state_mut().act(Action::Export {
        kind: ExportKind::Onnx,
        path: path.clone(),
    });
    settle(&mut window);
    window.state_mut().act(Action::Open(path));
    settle(&mut window);
    let layer = session(&window)
        .open()
        .unwrap()
        .original
        .network
        .layer_index("layer1.0.conv1")
        .unwrap();
    window.state_mut().act(Action::SelectLayer(layer));
    settle(&mut window);

    let integers = session(&window)
        .open()
        .unwrap()
        .details()
        .unwrap()
        .1
        .integers
        .clone()
        .unwrap();
    let (low, high) = integers.reach().unwrap();
    let used = format!(
        "{} of 16 levels used, {low} to {high}: 3 bits would hold them",
        integers.used()
    );
    let used = used.replace('-', "−");
    window.get_by_label(&used);
    assert_eq!(texts(&window, "int4: weight = (level − zero-point) × ").len(), 1);
    click(&mut window, "all of int4");
    click(&mut window, "levels in use");

    window.get_by_label("Quantized by Splitscope");
    assert!(!texts(&window, "3 bits").is_empty());
    click(&mut window, "Use on the next network");
    window.state_mut().act(Action::Open(PathBuf::from("demo:fashion")));
    settle(&mut window);
    assert_eq!(*session(&window).open().unwrap().recipe(), made);
    assert!(texts(&window, "Quantized by Splitscope").is_empty());
}
