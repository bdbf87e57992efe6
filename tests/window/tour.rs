//! The tour: offered to whoever has never started the program, and each step waits for the act.

use crate::harness::{builder, click, open, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use splitscope::app::{App, StartOptions};
use splitscope::quantization::{Clip, LayerRecipe};
use splitscope::session::Action;

const OFFER: &str = "Start the tour";

#[test]
fn the_tour_is_offered_at_the_first_start_only() {
    let folder = tempfile::tempdir().unwrap();
    let options = StartOptions {
        model: Some("demo:fashion".to_owned()),
        memory: Some(folder.path().to_owned()),
        ..StartOptions::default()
    };
    let start = || {
        let mut window = builder().build_eframe(|cc| {
            let mut app = App::new(cc, &options).without_native_dialogs();
            app.act(Action::SetSampleLimit(20));
            app
        });
        settle(&mut window);
        window
    };
    let mut first = start();
    assert_eq!(texts(&first, OFFER).len(), 1);
    click(&mut first, "Not now");
    assert!(texts(&first, OFFER).is_empty());
    eframe::App::save(first.state_mut(), &mut NoStorage);
    drop(first);
    assert!(texts(&start(), OFFER).is_empty());
}

/// The window's memory is in files of its own.
struct NoStorage;

impl eframe::Storage for NoStorage {
    fn get_string(&self, _: &str) -> Option<String> {
        None
    }
    fn set_string(&mut self, _: &str, _: String) {}
    fn remove_string(&mut self, _: &str) {}
    fn flush(&mut self) {}
}

#[test]
fn each_step_waits_for_the_act() {
    let mut window = open("demo:fashion");
    window.get_all_by_label("Five-minute tour").next().unwrap().click();
    settle(&mut window);
    let step = |window: &crate::harness::Window| texts(window, " / 7").concat();
    let done = |window: &crate::harness::Window| texts(window, "• done").len() == 1;
    assert_eq!(step(&window), "1 / 7");
    click(&mut window, "Next");
    assert!(step(&window) == "2 / 7" && !done(&window));
    window
        .get_by_role_and_label(Role::Slider, "Expand ratio")
        .set_value_accesskit(5.0);
    settle(&mut window);
    assert!(done(&window));
    click(&mut window, "Next");
    assert!(step(&window) == "3 / 7" && done(&window), "it was evaluated");
    click(&mut window, "Next");
    assert!(!done(&window));
    let mut recipe = session(&window).open().unwrap().recipe().clone();
    let own = LayerRecipe {
        clip: Some(Clip::Mse),
        ..LayerRecipe::default()
    };
    recipe.layers.insert("layer1.0.conv1".to_owned(), own);
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture: false,
    });
    settle(&mut window);
    assert!(done(&window));
    click(&mut window, "Next");
    assert!(!done(&window));
    window.state_mut().act(Action::SelectLayer(5));
    settle(&mut window);
    assert!(done(&window));
    click(&mut window, "Next");
    assert!(!done(&window));
    click(&mut window, "Undo");
    assert!(done(&window));
    click(&mut window, "Next");
    assert!(step(&window) == "7 / 7" && !done(&window));
    click(&mut window, "End tour");
    assert!(step(&window).is_empty());
}
