//! The view of chosen settings, driven through its labels: a search runs, one click takes its recipe, undo brings the old one
//! back.

use crate::common::formula::batch_norms;
use crate::harness::{Window, builder, click, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use splitscope::inference::auto::{AutoLayer, AutoResult, Origin};
use splitscope::onnx::write_file;
use splitscope::quantization::{Bits, Recipe};
use splitscope::session::{Action, Kind};
use std::path::Path;

fn toggle(window: &mut Window, label: &str) {
    window.get_by_role_and_label(Role::CheckBox, label).click();
    settle(window);
}

/// The view in front, with few bits and clips to choose from.
fn few_choices() -> Window {
    let mut window = open_with(builder(), "demo:fashion", 30);
    click(&mut window, "Auto");
    for off in [
        "Layer bits 8",
        "Layer bits 7",
        "Layer bits 6",
        "Layer bits 5",
        "Layer bits 2",
        "Layer clip MSE",
        "Layer clip ACIQ",
        "Layer clip KL",
        "Layer scales channel",
        "Layer rounding SQuant",
        "Layer rounding GPTQ",
    ] {
        toggle(&mut window, off);
    }
    window
}

#[test]
fn one_click_takes_what_was_chosen_and_undo_brings_the_old_recipe_back() {
    let mut window = few_choices();
    let before = session(&window).open().unwrap().recipe().clone();
    click(&mut window, "Choose settings");
    let result = {
        let open = session(&window).open().unwrap();
        assert_eq!(*open.recipe(), before, "nothing changes before it is taken");
        std::sync::Arc::clone(open.auto().latest().expect("a result").1)
    };
    let is_uniform = result.auto.recipe == result.uniform.recipe;
    assert_eq!(result.origin == Origin::Uniform, is_uniform, "it says what was taken");
    assert!(result.uniform_tried > 1 && result.layers.len() > 15);
    assert!(result.auto.bytes <= result.budget_bytes);
    assert_eq!(result.auto.judged_on.samples, 30);
    assert!(texts(&window, "Chosen for ").len() > 3);

    click(&mut window, "Take this recipe");
    let open = session(&window).open().unwrap();
    assert_eq!(*open.recipe(), result.auto.recipe);
    // The preview runs the same samples: its answers are those that were judged.
    let evaluated = open.evaluated().unwrap().1;
    assert_eq!(evaluated.evaluation.sqnr_db, result.auto.judged_on.sqnr_db);
    click(&mut window, "Undo");
    assert_eq!(*session(&window).open().unwrap().recipe(), before);
}

/// What a search on a small network finds, with some switches of it turned.
fn found(folder: &Path, switches: &[&str]) -> (Window, std::sync::Arc<AutoResult>) {
    let path = folder.join("small.onnx");
    write_file(&batch_norms(), &path).unwrap();
    let mut window = open_with(builder(), path.to_str().unwrap(), 16);
    window.state_mut().act(Action::UseNoise);
    window.state_mut().act(Action::EditRecipe {
        recipe: Box::new(Recipe {
            weight_bits: Bits::Grid(3),
            ..Recipe::default()
        }),
        gesture: false,
    });
    settle(&mut window);
    click(&mut window, "Auto");
    for switch in [
        "Layer clip MSE",
        "Layer clip ACIQ",
        "Layer clip KL",
        "Layer rounding GPTQ",
    ] {
        toggle(&mut window, switch);
    }
    for bits in [2, 4, 5, 6, 7, 8] {
        toggle(&mut window, &format!("Layer bits {bits}"));
    }
    for switch in switches {
        toggle(&mut window, switch);
    }
    click(&mut window, "Choose settings");
    let auto = session(&window).open().unwrap().auto();
    let result = std::sync::Arc::clone(auto.latest().expect("a result").1);
    (window, result)
}

#[test]
fn zero_points_and_folding_are_chosen_where_they_are_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_, alone) = found(folder.path(), &["Layer zero points on"]);
    let switches = ["Layer zero points on", "Try folding batch-norms"];
    let (mut window, result) = found(folder.path(), &switches);
    let of = &session(&window).open().unwrap().auto().latest().unwrap().0.options;
    assert_eq!((&of.zero_points[..], of.try_folding), (&[true][..], true));
    let as_asked = |layer: &AutoLayer| layer.zero_points && layer.weight_bits == Bits::Grid(3);
    assert_eq!(result.layers.len(), 4);
    assert!(result.layers.iter().all(as_asked), "{:?}", result.layers);
    assert!(!texts(&window, "Zero points").is_empty(), "a column tells them");
    // The network is searched as it is and folded.
    assert!(result.runs > alone.runs, "{} {}", result.runs, alone.runs);
    let folded = result.auto.recipe.fold_batch_norm;
    assert!(folded || result.auto.recipe == alone.auto.recipe);
    assert!(result.auto.chosen_on.sqnr_db >= alone.auto.chosen_on.sqnr_db);

    click(&mut window, "Take this recipe");
    assert_eq!(*session(&window).open().unwrap().recipe(), result.auto.recipe);
    let switch = window.get_by_role_and_label(Role::CheckBox, "Try folding batch-norms");
    assert_eq!(switch.accesskit_node().is_disabled(), folded, "nothing is left to try");
}

#[test]
fn a_search_is_cancelled_and_says_so() {
    let mut window = few_choices();
    window.get_by_label("Choose settings").click();
    let mut job = None;
    for _ in 0..2000 {
        window.step();
        job = session(&window).job(Kind::Auto);
        if job.is_some() {
            break;
        }
    }
    window.state_mut().act(Action::Cancel(job.expect("a job").id));
    settle(&mut window);
    let auto = session(&window).open().unwrap().auto();
    assert!(auto.latest().is_none() && auto.last_failure() == Some(&splitscope::jobs::JobError::Cancelled));
    assert!(!texts(&window, "cancelled").is_empty());
}
