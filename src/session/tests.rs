//! A session driven as the window drives it, on the embedded demos.

use super::*;
use crate::quantization::{Bits, Clip};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

mod against;
mod faults;
mod freed;
mod in_sight;
mod on_request;
mod order;
mod preparation;
mod retry;
mod trying;
mod writing;

const LIMIT: Duration = Duration::from_secs(120);

/// A session that runs few samples: most tests don't look at the numbers.
fn session() -> Session {
    with_samples(60)
}

fn with_samples(sample_limit: usize) -> Session {
    let saved = Saved {
        sample_limit,
        ..Saved::default()
    };
    Session::new(Waker::none(), saved)
}

fn open(model: &str) -> Session {
    open_in(session(), model)
}

fn open_in(mut session: Session, model: &str) -> Session {
    session.act(Action::Open(PathBuf::from(model)));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(errors(&session), [""; 0]);
    session
}

fn errors(session: &Session) -> Vec<&str> {
    let errors = session
        .messages()
        .iter()
        .filter(|message| message.level == Level::Error);
    errors.map(|message| message.text.as_str()).collect()
}

fn edit(session: &mut Session, gesture: bool, change: impl FnOnce(&mut Recipe)) {
    let mut recipe = session.open().unwrap().recipe().clone();
    change(&mut recipe);
    session.act(Action::EditRecipe {
        recipe: Box::new(recipe),
        gesture,
    });
}

fn top1(session: &Session) -> f64 {
    let open = session.open().unwrap();
    assert_eq!(open.run_state(session.limit()), RunState::Done);
    open.evaluated().unwrap().1.evaluation.quantized.top1.unwrap()
}

#[test]
fn the_demo_shows_the_damage_at_three_bits_and_the_cure_at_five_percent() {
    let mut session = open_in(with_samples(1000), "demo:fashion");
    let open = session.open().unwrap();
    let float = open.evaluated().unwrap().1.evaluation.float.top1.unwrap();
    assert!((0.937..0.947).contains(&float), "float {float}");
    let damaged = top1(&session);
    assert!((0.79..0.83).contains(&damaged), "3 bits, folded: {damaged}");
    assert_eq!(
        open.plain_evaluated().unwrap().evaluation.quantized.top1,
        Some(damaged),
        "it is plain itself"
    );

    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    assert!(session.wait_until_idle(LIMIT));
    let cured = top1(&session);
    assert!((0.905..0.935).contains(&cured), "with 5 %: {cured}");
    let open = session.open().unwrap();
    assert_eq!(
        open.plain_evaluated().unwrap().evaluation.quantized.top1,
        Some(damaged),
        "plain stays beside it"
    );
    let overhead = open.planned().unwrap().1.overhead.weights;
    assert!(overhead > 1.0 && overhead < 1.15, "{overhead}");

    session.act(Action::Undo);
    assert!(session.wait_until_idle(LIMIT));
    assert!((top1(&session) - damaged).abs() < 1e-12, "undo brings the numbers back");
}

#[test]
fn the_worst_layer_is_selected_and_its_view_follows_the_recipe() {
    let mut session = open("demo:fashion");
    let open = session.open().unwrap();
    let worst = open.selected_facts().unwrap().farthest_in_sigma().unwrap();
    let most = open
        .shown()
        .layers
        .iter()
        .filter_map(LayerFacts::farthest_in_sigma)
        .fold(0.0, f64::max);
    assert!(worst > 5.0 && worst <= most);
    let (_, view) = open.view().unwrap();
    let before = view.after.as_ref().unwrap().quantized.sqnr_db;
    let elements = open.original.layers[open.selected()].readable().unwrap().count;
    assert_eq!(
        view.before.counts.iter().sum::<u64>(),
        elements,
        "every weight is in a bin of the whole range"
    );

    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.1);
    assert!(session.wait_until_idle(LIMIT));
    let (_, view) = session.open().unwrap().view().unwrap();
    let after = view.after.as_ref().unwrap();
    assert!(
        after.quantized.sqnr_db > before,
        "splitting the outliers makes the error smaller"
    );
    assert!(after.copies.iter().any(|&copies| copies > 1));
    let most = |channels: &[f32]| channels.iter().copied().fold(0.0, f32::max);
    assert!(most(&after.channels) < most(&view.channels));
}

#[test]
fn zooming_counts_the_weights_anew() {
    let mut session = open("demo:fashion");
    let whole = session.open().unwrap().view().unwrap().1.before.clone();
    session.act(Action::ShowRange(Some((-0.01, 0.01))));
    assert!(session.wait_until_idle(LIMIT));
    let (_, view) = session.open().unwrap().view().unwrap();
    assert_eq!(view.range, (-0.01, 0.01));
    let zoomed = &view.before;
    assert!(zoomed.below > 0 && zoomed.above > 0);
    let all = |histogram: &crate::statistics::Histogram| {
        histogram.counts.iter().sum::<u64>() + histogram.below + histogram.above + histogram.nan
    };
    assert_eq!(all(zoomed), all(&whole));
}

#[test]
fn a_drag_is_one_step_of_undo_and_ends_with_the_numbers_of_its_end() {
    let mut session = open("demo:fashion");
    for percent in 1..=10 {
        edit(&mut session, true, |recipe| {
            recipe.expand_ratio = f64::from(percent) / 100.0;
        });
        session.poll();
    }
    session.act(Action::EndGesture);
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    assert!((open.recipe().expand_ratio - 0.1).abs() < 1e-12);
    assert!((open.evaluated().unwrap().1.recipe.expand_ratio - 0.1).abs() < 1e-12);
    assert!((open.planned().unwrap().0.recipe.expand_ratio - 0.1).abs() < 1e-12);
    session.act(Action::Undo);
    assert_eq!(session.open().unwrap().recipe().expand_ratio, 0.0);
    assert!(!session.open().unwrap().history().can_undo());
}

#[test]
fn quantized_activations_are_measured_first() {
    let mut session = open("demo:fashion");
    assert!(
        session.open().unwrap().calibration().is_none(),
        "nobody asked for it yet"
    );
    edit(&mut session, false, |recipe| {
        recipe.weight_bits = Bits::Grid(8);
        recipe.activation_bits = Bits::Grid(8);
        recipe.activation_clip = Clip::None;
    });
    assert!(session.open().unwrap().lacks_calibration());
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session), [""; 0]);
    let open = session.open().unwrap();
    assert!(!open.lacks_calibration());
    let selected = &open.planned().unwrap().1.plan.layers[open.selected()];
    assert!(selected.quantized().unwrap().activation.is_some());
    assert!(top1(&session) > 0.9);
}

#[test]
fn a_file_that_is_no_network_leaves_the_session_as_it_was() {
    let mut session = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken.onnx");
    std::fs::write(&path, b"no network").unwrap();
    session.act(Action::Open(path));
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session).len(), 1);
    assert!(errors(&session)[0].contains("broken.onnx"), "{:?}", errors(&session));
    assert_eq!(session.open().unwrap().demo, Some(Demo::Fashion));
    assert!(session.opening().is_none());
}

#[test]
fn a_recipe_given_before_the_network_is_open_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    std::fs::write(&path, "weight_bits = 5\nexpand_ratio = 0.02\n").unwrap();
    let mut session = session();
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    session.act(Action::LoadRecipe(path.clone()));
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(session.open().unwrap().recipe().weight_bits, Bits::Grid(5));

    std::fs::write(&path, "weight_bits = 5\nspeed = 3\n").unwrap();
    session.act(Action::LoadRecipe(path));
    assert!(session.wait_until_idle(LIMIT));
    assert!(errors(&session)[0].contains("speed"), "{:?}", errors(&session));
}

#[test]
fn what_is_exported_opens_again() {
    let mut session = open("demo:fashion");
    let folder = tempfile::tempdir().unwrap();
    for kind in ExportKind::ALL {
        if kind == ExportKind::OnnxWithPast {
            // Only a decoder has one.
            continue;
        }
        let path = folder.path().join(format!("out.{}", kind.extension()));
        session.act(Action::Export {
            kind,
            path: path.clone(),
        });
        assert!(session.wait_until_idle(LIMIT));
        assert_eq!(errors(&session), [""; 0]);
        assert!(path.metadata().unwrap().len() > 0);
    }
    session.act(Action::Open(folder.path().join("out.onnx")));
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session), [""; 0]);
    assert!(session.open().unwrap().demo.is_none());
    assert_eq!(session.saved.recent, [folder.path().join("out.onnx")]);
}

#[test]
fn another_network_takes_everything_with_it() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.2);
    session.act(Action::Open(PathBuf::from("demo:shakespeare")));
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session), [""; 0]);
    let open = session.open().unwrap();
    assert_eq!(open.demo, Some(Demo::Shakespeare));
    assert_eq!(open.recipe(), &start_recipe(Some(Demo::Shakespeare)));
    let metrics = &open.evaluated().unwrap().1.evaluation;
    let perplexity = metrics.float.perplexity.unwrap();
    assert!((4.0..5.2).contains(&perplexity), "{perplexity}");
}

#[test]
fn a_cancelled_evaluation_says_so_and_can_be_tried_again() {
    let mut session = session();
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    let started = Instant::now();
    let job = loop {
        session.poll();
        if let Some(job) = session.job(Kind::Evaluate) {
            break job;
        }
        assert!(
            started.elapsed() < LIMIT && !session.is_idle(),
            "no evaluation: {:?}",
            session.messages()
        );
        std::thread::sleep(Duration::from_millis(1));
    };
    session.act(Action::Cancel(job.id));
    assert!(session.wait_until_idle(LIMIT));
    let limit = session.limit();
    assert_eq!(session.open().unwrap().run_state(limit), RunState::Cancelled);
    session.act(Action::Retry);
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(session.open().unwrap().run_state(limit), RunState::Done);
}

#[test]
fn the_owner_is_woken_for_every_result() {
    let woken = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&woken);
    let waker = Waker::new(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let mut session = Session::new(waker, Saved::default());
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    let mut seen = 0;
    let started = Instant::now();
    // Polls only when woken, as the window does: nothing may get stuck.
    while !session.is_idle() {
        let now = woken.load(Ordering::Relaxed);
        if now > seen {
            seen = now;
            session.poll();
        }
        assert!(started.elapsed() < LIMIT, "stuck: {:?}", session.running());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(session.open().unwrap().evaluated().is_some());
}

#[test]
fn what_is_no_number_is_not_taken_and_keeps_no_job_busy_for_ever() {
    let mut session = open("demo:fashion");
    let before = session.open().unwrap().recipe().clone();
    edit(&mut session, false, |recipe| recipe.expand_ratio = f64::NAN);
    edit(&mut session, true, |recipe| {
        recipe.layers.entry("fc".to_owned()).or_default().clip = Some(Clip::Manual(f32::NAN));
    });
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(*session.open().unwrap().recipe(), before);
    assert!(session.messages().last().unwrap().text.contains("NaN"));
    session.act(Action::ShowRange(Some((f64::NAN, 1.0))));
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(session.open().unwrap().view_key().range, None);
}

#[test]
fn sigma_is_kept_in_range_and_counts_anew() {
    let mut session = open("demo:fashion");
    let count = |session: &Session| {
        session
            .open()
            .unwrap()
            .shown()
            .layers
            .iter()
            .map(|facts| facts.outliers)
            .sum::<u64>()
    };
    let before = count(&session);
    session.act(Action::SetSigma(2.0));
    assert!(session.wait_until_idle(LIMIT));
    assert!(count(&session) > before);
    session.act(Action::SetSigma(f64::NAN));
    assert!((session.saved.sigma - 4.0).abs() < 1e-12);
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(count(&session), before);
}

#[test]
fn pictures_that_the_network_only_guesses_about_come_with_a_way_to_read_them() {
    let mut session = session();
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    session.act(Action::SetSampleLimit(100));
    let wrong = crate::inference::DataOptions {
        preprocess: Some("unit".to_owned()),
        mean: Some(vec![50.0]),
        std: Some(vec![0.001]),
        ..crate::inference::DataOptions::default()
    };
    let path = "demo:fashion".to_owned();
    session.act(Action::OpenData { path, options: wrong });
    assert!(session.wait_until_idle(LIMIT));
    assert_eq!(errors(&session), [""; 0]);
    let at_chance = session.open().unwrap().at_chance().unwrap();
    assert_eq!(at_chance.chance, 0.1);
    let best = at_chance.suggestions[0].clone();
    assert_eq!(best.preprocess, "fashion");
    let path = "demo:fashion".to_owned();
    session.act(Action::OpenData {
        path,
        options: best.options,
    });
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    assert!(open.at_chance().is_none());
    assert!(open.evaluated().unwrap().1.evaluation.float.top1.unwrap() > 0.85);
}
