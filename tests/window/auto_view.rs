//! The view of chosen settings, driven through its labels: a search runs, one click takes its recipe, undo brings the old one
//! back.

use crate::harness::{Window, builder, click, open_with, session, settle, texts};
use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use splitscope::inference::auto::Origin;
use splitscope::session::{Action, Kind};

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
