//! The order of layers, made in the background; what it is made on; what comes back with a model.

use super::*;
use crate::inference::{
    AccuracyLost, DataOptions, Dataset, LayerSensitivity, ORDER_SAMPLES, OrderBasis, Rten, order_on_data,
};
use crate::quantization::prepare;

fn wait(session: &mut Session) {
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    assert_eq!(errors(session), [""; 0]);
}

#[test]
fn layers_are_ranked_by_themselves_as_the_library_ranks_them() {
    let session = open("demo:fashion");
    let open = session.open().unwrap();
    let order = open.layer_order();
    assert!(order.is_current && order.basis == Some(OrderBasis::Data));
    assert!(order.costs[0].is_none(), "conv1 stays float");
    let network = prepare(&Demo::Fashion.network().unwrap(), open.recipe()).unwrap();
    let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
    let (data, progress) = (Dataset::demo(Demo::Fashion), crate::progress::Progress::default());
    let settings = (open.recipe(), None);
    let expected = order_on_data(&network, &engine, &data, settings, &progress, &mut |_| Ok(())).unwrap();
    let known: Vec<&LayerSensitivity> = order.costs.iter().flatten().copied().collect();
    assert_eq!(known, expected.iter().collect::<Vec<_>>());
    assert_eq!(known[0].samples, ORDER_SAMPLES, "however few are evaluated");
    let worst = order.worst_first()[0];
    assert_eq!(order.share_of_worst(worst), Some(1.0));
    assert!(matches!(
        order.costs[worst].unwrap().accuracy_lost(),
        AccuracyLost::Points(_)
    ));
    let largest = open.selected_facts().unwrap().farthest_in_sigma();
    assert!(
        largest.is_some() && worst != open.selected(),
        "the farthest weight is another layer's"
    );
}

#[test]
fn the_order_follows_the_recipe_and_undo_brings_it_back_without_a_job() {
    let mut session = open("demo:fashion");
    let error = |session: &Session| session.open().unwrap().layer_order().max_error;
    let before = error(&session);
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(8));
    assert!(!session.open().unwrap().layer_order().is_current);
    wait(&mut session);
    assert!(session.open().unwrap().layer_order().is_current);
    assert!(error(&session) < before / 4.0, "{} {before}", error(&session));
    session.act(Action::Undo);
    assert!(session.open().unwrap().layer_order().is_current && session.job(Kind::LayerOrder).is_none());
    assert!((error(&session) - before).abs() < 1e-12);
}

#[test]
fn without_data_it_is_an_estimate() {
    let mut session = open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx"));
    let order = session.open().unwrap().layer_order();
    assert!(order.is_current && order.basis == Some(OrderBasis::Estimate));
    let cost = order.costs[order.worst_first()[0]].unwrap();
    assert!(matches!(cost.accuracy_lost(), AccuracyLost::OutputDb(db) if db.is_finite()));
    session.act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions::default(),
    });
    wait(&mut session);
    assert_eq!(session.open().unwrap().layer_order().basis, Some(OrderBasis::Data));
}

#[test]
fn open_data_tell_the_ranges_at_once_and_a_set_of_its_own_can_be_chosen() {
    let mut session = open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx"));
    session.act(Action::ShowActivations);
    wait(&mut session);
    let source = |session: &Session| session.open().unwrap().calibration_source();
    assert_eq!(source(&session), CalibrationSource::DataFree);
    session.act(Action::UseNoise);
    wait(&mut session);
    assert_eq!(
        source(&session),
        CalibrationSource::DataFree,
        "noise tells less than batch-norms"
    );
    session.act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions::default(),
    });
    wait(&mut session);
    assert!(matches!(source(&session), CalibrationSource::Data(_)));
    let name = |session: &Session| session.open().unwrap().calibration().unwrap().data_name.clone();
    assert_eq!(name(&session), "demo:fashion");
    let assets = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/assets/fashion_calib_512.images-idx3-ubyte.gz"
    );
    session.act(Action::CalibrateOn(CalibrationChoice::Set(assets.to_owned())));
    wait(&mut session);
    assert!(matches!(source(&session), CalibrationSource::Set(_)));
    assert!(name(&session).contains("fashion_calib_512"), "{}", name(&session));
    assert_eq!(session.open().unwrap().calibration().unwrap().samples, 512);
    session.act(Action::CalibrateOn(CalibrationChoice::DataFree));
    wait(&mut session);
    assert_eq!(
        (source(&session), name(&session).as_str()),
        (CalibrationSource::DataFree, "no data")
    );
}

#[test]
fn recipe_undo_snapshots_and_order_come_back_with_their_model() {
    let mut session = open("demo:fashion");
    session.act(Action::TakeSnapshot("first".to_owned()));
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    session.act(Action::SelectLayer(4));
    wait(&mut session);
    let recipe = session.open().unwrap().recipe().clone();
    session.act(Action::Open(PathBuf::from("demo:shakespeare")));
    wait(&mut session);
    assert!(session.open().unwrap().snapshots().all().is_empty());
    assert_eq!(*session.open().unwrap().recipe(), start_recipe(Some(Demo::Shakespeare)));
    session.act(Action::Open(PathBuf::from("demo:fashion")));
    wait(&mut session);
    let open = session.open().unwrap();
    assert_eq!((open.recipe(), open.selected()), (&recipe, 4));
    assert_eq!(open.snapshots().all()[0].name, "first");
    assert!(open.layer_order().is_current);
    session.act(Action::Undo);
    assert_eq!(session.open().unwrap().recipe().expand_ratio, 0.0);
    assert!(
        session.open().unwrap().layer_order().is_current,
        "what was known of that recipe, too"
    );
}

#[test]
fn every_value_is_traced_while_that_is_in_sight() {
    let mut session = open("demo:fashion");
    assert!(session.open().unwrap().trace().is_none());
    session.act(Action::Watch(Watched {
        trace: true,
        ..Watched::default()
    }));
    wait(&mut session);
    let open = session.open().unwrap();
    let (_, trace) = open.trace().unwrap();
    assert!(open.trace_is_current() && trace.samples == TRACE_SAMPLES && trace.unmatched.is_empty());
    let of_layers = trace.values.iter().filter(|value| value.layer.is_some()).count();
    assert_eq!(of_layers, open.original.layers.len());
    assert!(
        trace.values.last().unwrap().sqnr_db < 30.0,
        "3 bits show in the outputs"
    );
}
