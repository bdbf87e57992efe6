use super::*;
use crate::engine::Rten;
use crate::format::demo::Demo;
use crate::network::Format;
use crate::onnx;
use crate::quantization::{Bits, LayerRecipe, Recipe, plan, rewrite};
use std::path::Path;

fn traced(recipe: &Recipe) -> Trace {
    let (network, data) = (Demo::Fashion.network().unwrap(), Dataset::demo(Demo::Fashion));
    let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
    trace(
        &network,
        &rewrite(&network, &plan).unwrap(),
        &data,
        12,
        &Progress::default(),
    )
    .unwrap()
}

fn only(layer: &str, bits: u8) -> Recipe {
    let mut recipe = Recipe {
        weight_bits: Bits::Float,
        ..Recipe::default()
    };
    let own = LayerRecipe {
        weight_bits: Some(Bits::Grid(bits)),
        ..LayerRecipe::default()
    };
    recipe.layers.insert(layer.to_owned(), own);
    recipe
}

#[test]
fn one_quantized_layer_is_the_only_one_with_an_error_of_its_own_and_all_behind_it_inherit_it() {
    let layer = "layer2.0.conv1";
    let trace = traced(&only(layer, 3));
    assert_eq!((trace.samples, trace.unmatched.len()), (12, 0));
    let at = trace
        .values
        .iter()
        .position(|value| value.layer.as_deref() == Some(layer))
        .unwrap();
    let worst = trace.worst_own().unwrap();
    assert_eq!(worst.layer.as_deref(), Some(layer));
    let own = worst.own_sqnr_db.unwrap();
    assert!(
        (own - worst.sqnr_db).abs() < 1e-9,
        "nothing before it has an error: {own}"
    );
    assert!((5.0..30.0).contains(&worst.sqnr_db), "{}", worst.sqnr_db);
    assert!(trace.values[..at].iter().all(|value| value.sqnr_db == f64::INFINITY));
    for value in &trace.values {
        let own = value.own_sqnr_db.unwrap_or(f64::INFINITY);
        // Float nodes on float values: the same to the rounding of floats.
        assert!(
            value.layer.as_deref() == Some(layer) || own > 100.0,
            "{} {own}",
            value.name
        );
    }
    let last = trace.values.last().unwrap();
    assert!(last.sqnr_db.is_finite() && last.channel_sqnr_db.len() == 10);
    let channels = &worst.channel_sqnr_db;
    assert!(channels.len() == 32 && worst.channel_axis == 1, "{:?}", worst.shape);
    assert_eq!((worst.positions, worst.position_sqnr_db.len()), ([14, 14], 196));
    let most = channels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let least = channels.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(
        least < worst.sqnr_db && worst.sqnr_db < most,
        "the whole lies between its channels"
    );
}

#[test]
fn positions_are_rows_and_columns_of_a_map_and_tokens_of_a_sequence() {
    let (cells, grid) = position_cells(&[8, 3, 2, 4], 1);
    assert_eq!((cells.len(), grid), (8, [2, 4]));
    assert_eq!(cells, [0, 1, 2, 3, 4, 5, 6, 7]);
    let (cells, grid) = position_cells(&[2, 32, 5], 2);
    assert_eq!((cells.len(), grid), (32, [1, 16]), "32 tokens, two in a cell");
    assert_eq!((cells[0], cells[1], cells[2], cells[31]), (0, 0, 1, 15));
    assert_eq!(position_cells(&[2, 10], 1), (vec![0], [1, 1]));
}

/// The noise of all positions together is that of all channels together.
#[test]
fn channels_and_positions_are_two_ways_to_cut_the_same_error() {
    let mut sum = Sum::default();
    let float: Vec<f32> = (0..2 * 3 * 4).map(|x| x as f32).collect();
    let mut other = float.clone();
    // Sample 1, channel 2, position 1.
    other[12 + 2 * 4 + 1] += 2.0;
    let tensor = |values: &[f32]| Tensor::from_shape([2, 3, 2, 2], values.to_vec()).unwrap();
    sum.add(&tensor(&float), &tensor(&other), None, Some(1));
    let total = |of: &[Energy]| of.iter().fold(Energy::default(), |all, one| all.plus(*one));
    let (channels, positions) = (total(&sum.channels), total(&sum.positions));
    assert_eq!((channels.signal, channels.noise), (positions.signal, positions.noise));
    assert_eq!((sum.channels[2].noise, sum.positions[1].noise), (4.0, 4.0));
    assert_eq!((sum.channels[0].noise, sum.positions[0].noise), (0.0, 0.0));
}

#[test]
fn two_bits_more_lower_the_error_by_twelve_decibels_or_so() {
    let own = |bits| {
        traced(&only("layer2.0.conv1", bits))
            .worst_own()
            .unwrap()
            .own_sqnr_db
            .unwrap()
    };
    let (six, eight) = (own(6), own(8));
    // 20 log10(127 / 31) = 12.2 on average over roundings; these are one draw each.
    assert!((9.0..15.5).contains(&(eight - six)), "{six} {eight}");
}

/// Fixture and numbers: `tests/fixtures/trace/make.py`, onnxruntime 1.32.
#[test]
fn errors_of_a_pair_are_those_of_onnxruntimes_qdq_loss_debug() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trace");
    let expected = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
    let model = |name: &str| crate::onnx::read_file(&folder.join(name)).unwrap();
    let float = Network::new("float", None, Format::Onnx, model("float.onnx")).unwrap();
    let engine = Rten::load(onnx::encode(&float.runnable_model()).unwrap()).unwrap();
    let samples = folder.join("samples.npy");
    let data = Dataset::open(samples.to_str().unwrap(), &Default::default(), engine.inputs()).unwrap();
    let trace = trace(&float, &model("qdq.onnx"), &data, 20, &Progress::default()).unwrap();
    let expected = expected.as_object().unwrap();
    assert!(expected.len() == 8 && trace.values.len() == 8, "{:?}", trace.values);
    assert_eq!(trace.unmatched, ["sum"], "the Relu behind it went into the grid");
    for (name, errors) in expected {
        let value = trace.values.iter().find(|value| value.name == *name).unwrap();
        let near = |ours: f64, theirs: f64| {
            // They put a machine epsilon where there is no error.
            assert!(
                (theirs > 300.0 && ours == f64::INFINITY) || (ours - theirs).abs() < 0.02,
                "{name}: {ours} {theirs}"
            );
        };
        near(value.sqnr_db, errors["xmodel_err"].as_f64().unwrap());
        near(value.grid_sqnr_db.unwrap(), errors["qdq_err"].as_f64().unwrap());
    }
    // conv2 by itself: its weights and the grid of its output, not that of what it reads.
    let conv2 = trace.values.iter().find(|value| value.name == "c2").unwrap();
    assert!(conv2.own_sqnr_db.unwrap() > conv2.sqnr_db && conv2.own_sqnr_db < conv2.grid_sqnr_db);
}

/// Where onnxruntime is found: the numbers are those of the built-in engine, of splits, grids and wider layers too.
#[test]
fn any_engine_traces_a_network() {
    let other = EngineChoice::Rten.other();
    if let Err(why) = other.available() {
        println!("skipped: {why}");
        return;
    }
    let (network, data) = (Demo::Fashion.network().unwrap(), Dataset::demo(Demo::Fashion));
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    let progress = Progress::default();
    let quantized = rewrite(&network, &plan(&network, &recipe, None, &progress).unwrap()).unwrap();
    let of = |choice: &EngineChoice| trace_in(choice, &network, &quantized, &data, 12, &progress).unwrap();
    let (ours, theirs) = (of(&EngineChoice::Rten), of(&other));
    assert!(ours.engine.starts_with("rten") && theirs.engine.starts_with("onnxruntime"));
    assert_eq!(
        (ours.values.len(), &ours.unmatched),
        (theirs.values.len(), &theirs.unmatched)
    );
    let near = |one: f64, other: f64| (one - other).abs() < 0.05 || (one > 90.0 && other > 90.0);
    for (one, other) in ours.values.iter().zip(&theirs.values) {
        assert!(near(one.sqnr_db, other.sqnr_db), "{one:?} {other:?}");
        let (own, others) = (one.own_sqnr_db, other.own_sqnr_db);
        assert_eq!(own.is_some(), others.is_some(), "{}", one.name);
        assert!(
            own.zip(others).is_none_or(|(one, other)| near(one, other)),
            "{one:?} {other:?}"
        );
    }
}

/// The parts of the graph that compute one value each hold each node once, however long the network is.
#[test]
fn the_graph_of_own_errors_grows_with_the_network() {
    let network = Demo::Fashion.network().unwrap();
    let quantized = rewrite(
        &network,
        &plan(&network, &only("layer2.0.conv1", 3), None, &Progress::default()).unwrap(),
    )
    .unwrap();
    let (float, graph) = (network.model.graph.as_ref().unwrap(), quantized.graph.as_ref().unwrap());
    let matched = matched_values(float, graph);
    let own = OwnGraph::of(&quantized, &matched, &vec![Some(4); matched.len()]);
    let nodes = own.model.graph.as_ref().unwrap().node.len();
    assert!(nodes <= 2 * graph.node.len(), "{nodes} nodes of {}", graph.node.len());
    assert_eq!(
        own.made.iter().flatten().count(),
        matched.len() - 1,
        "all but the input"
    );
}
