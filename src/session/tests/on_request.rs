//! What is computed only when it is in sight or asked for.

mod kept;

use super::*;
use crate::inference::sweep::{SweepCsv, SweepGrid, SweepSubject, sweep};
use crate::inference::{Dataset, Outputs, Rten, calibrate, run_oracle, run_outputs, split_only_difference};
use crate::network::Network;
use crate::quantization::{ErrorCurves, UserPresets, error_curves, plan, prepare};

/// The Fashion demo as a program without a session has it.
struct Library {
    original: Network,
    prepared: Network,
    float: Outputs,
    data: Dataset,
}

impl Library {
    fn new(recipe: &Recipe) -> Self {
        let original = Demo::Fashion.network().unwrap();
        let data = Dataset::demo(Demo::Fashion);
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        Self {
            prepared: prepare(&original, recipe).unwrap(),
            float: run_outputs(&engine, &data, 60, &progress()).unwrap(),
            original,
            data,
        }
    }

    fn engine(&self) -> Rten {
        Rten::load(crate::onnx::encode(&self.prepared.runnable_model()).unwrap()).unwrap()
    }

    fn subject(&self) -> SweepSubject<'_> {
        SweepSubject {
            network: &self.prepared,
            activations: None,
            shapes: None,
            data: &self.data,
            float: &self.float,
        }
    }
}

fn progress() -> crate::progress::Progress {
    crate::progress::Progress::default()
}

fn recipe(session: &Session) -> Recipe {
    session.open().unwrap().recipe().clone()
}

fn wait(session: &mut Session) {
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(errors(session), [""; 0]);
}

fn wait_for(session: &mut Session, what: impl Fn(&Session) -> bool) {
    let started = Instant::now();
    while !what(session) {
        assert!(
            started.elapsed() < LIMIT && !session.is_idle(),
            "{:?}",
            session.messages()
        );
        session.poll();
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn error_curves_are_those_of_the_library_and_only_made_while_they_are_in_sight() {
    let mut session = open("demo:fashion");
    assert!(session.open().unwrap().error_curves().is_none(), "nobody looks");
    session.act(Action::Watch(Watched {
        error_curves: true,
        ..Watched::default()
    }));
    wait(&mut session);
    let open = session.open().unwrap();
    let (key, curves) = open.error_curves().unwrap();
    let layer = &open.shown().network.layers[open.selected()];
    let weights = open.shown().network.weights(open.selected()).unwrap();
    let expected = error_curves(
        &weights,
        &layer.layout,
        &open.settings(open.selected()).weights,
        ErrorCurves::MAX_RATIO,
        &progress(),
    );
    assert_eq!((key.layer, curves), (open.selected(), &expected.unwrap()));
    assert!(curves.by_splits[0].1.len() > 2 && curves.by_bits[0].1.len() == 7);

    let before = curves.clone();
    edit(&mut session, false, |recipe| recipe.clip = Clip::Mse);
    assert!(
        !session.running().iter().any(|job| job.kind == Kind::ErrorCurves),
        "all clips are there"
    );
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(5));
    wait(&mut session);
    assert_ne!(session.open().unwrap().error_curves().unwrap().1, &before);
    let shown = session.open().unwrap().error_curves().unwrap().1.by_splits[0].1[0].bits;
    assert_eq!(shown, 5);

    session.act(Action::Watch(Watched::default()));
    session.act(Action::SelectLayer(0));
    wait(&mut session);
    assert!(session.open().unwrap().error_curves().is_none(), "out of sight again");
}

#[test]
fn sensitivity_is_that_of_the_library_and_comes_back_with_undo() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    wait(&mut session);
    assert!(session.open().unwrap().sensitivity().rows().is_empty());
    session.act(Action::MeasureSensitivity);
    wait_for(&mut session, |session| {
        session.open().unwrap().sensitivity().rows().len() > 1
    });
    assert!(
        session.open().unwrap().sensitivity().is_running(),
        "rows come one by one"
    );
    wait(&mut session);
    let open = session.open().unwrap();
    let library = Library::new(open.recipe());
    let expected = crate::inference::sensitivity(&library.subject(), open.recipe(), &progress(), &mut |_| Ok(()));
    let rows = open.sensitivity().rows().to_vec();
    assert_eq!(rows, expected.unwrap());
    assert!(open.sensitivity().is_complete() && open.sensitivity_is_current(60));

    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(8));
    wait(&mut session);
    let open = session.open().unwrap();
    assert!(
        !open.sensitivity_is_current(60) && open.sensitivity().rows() == rows,
        "older, but shown"
    );
    session.act(Action::Undo);
    wait(&mut session);
    assert!(session.open().unwrap().sensitivity_is_current(60));
}

#[test]
fn of_two_requests_for_sensitivity_the_newer_wins() {
    let mut session = open("demo:fashion");
    session.act(Action::MeasureSensitivity);
    wait_for(&mut session, |session| {
        !session.open().unwrap().sensitivity().rows().is_empty()
    });
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(8));
    session.act(Action::MeasureSensitivity);
    wait(&mut session);
    let open = session.open().unwrap();
    assert!(open.sensitivity_is_current(60) && open.sensitivity().rows().len() == 21);
    assert!(
        open.sensitivity()
            .rows()
            .iter()
            .all(|row| row.weight_bits == Bits::Grid(8))
    );
}

fn grid() -> SweepGrid {
    SweepGrid {
        weight_bits: vec![Bits::Grid(4), Bits::Grid(3)],
        expand_ratios: vec![0.0, 0.05],
        clips: vec![Clip::None, Clip::Mse],
        activation_bits: Vec::new(),
        ..SweepGrid::default()
    }
}

#[test]
fn a_sweep_is_cancelled_goes_on_where_it_was_and_is_that_of_the_library() {
    let mut session = open("demo:fashion");
    let before = recipe(&session);
    session.act(Action::StartSweep(grid()));
    wait_for(&mut session, |session| {
        session.open().unwrap().sweep().rows().len() >= 2
    });
    let job = session.job(Kind::Sweep).unwrap();
    session.act(Action::Cancel(job.id));
    assert!(session.wait_until_idle(LIMIT));
    let sweep_of = |session: &Session| session.open().unwrap().sweep().rows().to_vec();
    let first = sweep_of(&session);
    assert!((2..8).contains(&first.len()), "{} rows", first.len());
    assert_eq!(session.open().unwrap().sweep_failure(), Some(&JobError::Cancelled));

    // A recipe that has changed since does not matter to rows that are there.
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(6));
    session.act(Action::StartSweep(grid()));
    wait(&mut session);
    let rows = sweep_of(&session);
    assert_eq!(rows[..2], first[..2]);
    let recipes = grid().recipes(&before);
    let library = Library::new(&before);
    let expected = sweep(&library.subject(), &recipes, &[], &progress(), &mut |_| Ok(())).unwrap();
    assert_eq!(rows.len(), 8);
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(
            (&row.recipe, &row.metrics, row.sqnr_db),
            (&expected.recipe, &expected.metrics, expected.sqnr_db)
        );
        assert_eq!(row.overhead.weights, expected.overhead.weights);
        assert!(row.overhead.macs.is_some(), "shapes are known here");
    }

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweep.csv");
    session.act(Action::SaveSweep(path.clone()));
    wait(&mut session);
    let setting = session.open().unwrap().sweep().setting().unwrap().clone();
    assert_eq!(SweepCsv::resume(&path, setting).unwrap().1, rows);

    session.act(Action::EditRecipe {
        recipe: Box::new(rows[3].recipe.clone()),
        gesture: false,
    });
    wait(&mut session);
    assert_eq!(recipe(&session), rows[3].recipe);
    session.act(Action::Undo);
    assert_eq!(recipe(&session).weight_bits, Bits::Grid(6));
}

#[test]
fn a_sweep_over_activation_bits_measures_the_ranges_it_needs() {
    let mut session = open("demo:fashion");
    session.act(Action::StartSweep(SweepGrid {
        activation_bits: vec![Bits::Float, Bits::Grid(4)],
        ..SweepGrid::default()
    }));
    wait(&mut session);
    let open = session.open().unwrap();
    let rows = open.sweep().rows();
    assert_eq!(rows.len(), 2);
    let library = Library::new(open.recipe());
    let calibration = Dataset::demo_calibration(Demo::Fashion);
    let learnt = calibrate(&library.prepared, &library.engine(), &calibration, 512, &progress()).unwrap();
    let subject = SweepSubject {
        activations: Some(&learnt.activations),
        ..library.subject()
    };
    let expected = sweep(&subject, open.sweep().recipes(), &[], &progress(), &mut |_| Ok(())).unwrap();
    assert_eq!(rows[1].sqnr_db, expected[1].sqnr_db);
    assert!(rows[1].sqnr_db < rows[0].sqnr_db);

    // Ranges from elsewhere are another sweep.
    session.act(Action::CalibrateOnData(true));
    session.act(Action::StartSweep(SweepGrid {
        activation_bits: vec![Bits::Grid(4)],
        ..SweepGrid::default()
    }));
    wait(&mut session);
    let sweep = session.open().unwrap().sweep();
    assert_eq!(sweep.of().unwrap().source, CalibrationSource::Data(1));
    assert_ne!(sweep.rows()[0].sqnr_db, expected[1].sqnr_db);
}

#[test]
fn a_sweep_that_cannot_be_is_refused_in_words() {
    let mut session = open("demo:fashion");
    session.act(Action::StartSweep(SweepGrid {
        expand_ratios: vec![0.5, 1.5],
        ..SweepGrid::default()
    }));
    assert!(
        session.messages().last().unwrap().text.contains("1.5"),
        "{:?}",
        session.messages()
    );
    assert!(!session.open().unwrap().sweep_is_under_way());
    let many: Vec<f64> = (0..=MOST_SETTINGS).map(|i| i as f64 / 1e4).collect();
    session.act(Action::StartSweep(SweepGrid {
        expand_ratios: many,
        ..SweepGrid::default()
    }));
    assert!(session.messages().last().unwrap().text.contains("too long"));
}

#[test]
fn the_split_alone_and_the_oracle_are_those_of_the_library() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| {
        recipe.expand_ratio = 0.1;
        recipe.activation_bits = Bits::Grid(4);
        recipe.activation_expand_ratio = 0.1;
    });
    wait(&mut session);
    let open = session.open().unwrap();
    assert!(open.split_only(60).is_none() && open.oracle(60).is_none());
    session.act(Action::CheckSplit);
    session.act(Action::MeasureOracle);
    assert!(session.open().unwrap().split_only_request().is_under_way());
    wait(&mut session);
    let open = session.open().unwrap();
    let library = Library::new(open.recipe());
    let calibration = Dataset::demo_calibration(Demo::Fashion);
    let learnt = calibrate(&library.prepared, &library.engine(), &calibration, 512, &progress()).unwrap();
    let plan = plan(&library.prepared, open.recipe(), Some(&learnt.activations), &progress()).unwrap();
    let expected = split_only_difference(&library.prepared, &plan, &library.data, &library.float, &progress());
    let expected = expected.unwrap().unwrap();
    assert_eq!(open.split_only(60).unwrap(), Some(expected));
    assert!(expected.relative_difference < 1e-5);
    let outputs = run_oracle(
        &library.prepared,
        &library.engine(),
        &plan,
        &library.data,
        60,
        &progress(),
    )
    .unwrap();
    let expected = crate::inference::evaluate(&library.float, &outputs, &library.data);
    assert_eq!(open.oracle(60), Some(&expected.into()));

    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.0);
    wait(&mut session);
    assert!(session.open().unwrap().split_only(60).is_none());
    session.act(Action::Undo);
    wait(&mut session);
    assert!(session.open().unwrap().split_only(60).is_some(), "undo brings it back");
    assert_eq!(library.original.layers.len(), 22);
}

#[test]
fn ranges_from_elsewhere_are_another_evaluation() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| {
        recipe.activation_bits = Bits::Grid(3);
        recipe.activation_clip = Clip::None;
    });
    wait(&mut session);
    let sqnr = |session: &Session| session.open().unwrap().evaluated().unwrap().1.evaluation.sqnr_db;
    let on_calibration_data = sqnr(&session);
    session.act(Action::CalibrateOnData(true));
    wait(&mut session);
    assert_eq!(session.open().unwrap().run_state(60), RunState::Done);
    assert_ne!(sqnr(&session), on_calibration_data);
}

#[test]
fn without_data_nothing_is_measured_and_noise_helps() {
    let mut session = open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx"));
    assert_eq!(session.open().unwrap().run_state(60), RunState::NoData);
    session.act(Action::MeasureSensitivity);
    assert!(session.messages().last().unwrap().text.contains("noise"));
    session.act(Action::UseNoise);
    wait(&mut session);
    session.act(Action::StartSweep(SweepGrid {
        weight_bits: vec![Bits::Grid(4), Bits::Grid(8)],
        ..SweepGrid::default()
    }));
    wait(&mut session);
    let rows = session.open().unwrap().sweep().rows();
    assert!(rows[0].metrics.top1.is_none() && rows[0].sqnr_db < rows[1].sqnr_db);
}
