//! What is done before the splits, as the command line does it; where ranges come from; the text demo.

use super::*;
use crate::format::demo::Demo;
use crate::inference::{DataOptions, Dataset, Engine, Rten, calibrate, evaluate, run_outputs};
use crate::onnx::encode;
use crate::progress::Progress;
use crate::quantization::{Rounding, plan, prepare, rewrite};
use crate::statistics::RangeSource;

#[test]
fn equalization_and_bias_correction_give_what_the_command_line_gives() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| {
        recipe.cross_layer_equalization = true;
        recipe.bias_correction = true;
        recipe.activation_bits = Bits::Grid(6);
    });
    assert!(session.wait_until_idle(LIMIT));
    let shown = session.open().unwrap();
    assert_eq!(shown.run_state(session.limit()), RunState::Done);

    let progress = Progress::default();
    let recipe = shown.recipe();
    let original = Demo::Fashion.network().unwrap();
    let network = prepare(&original, recipe).unwrap();
    let engine = |network: &crate::network::Network| Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let calibration = Dataset::demo_calibration(Demo::Fashion);
    let learnt = calibrate(&network, &engine(&network), &calibration, 512, &progress).unwrap();
    let plan = plan(&network, recipe, Some(&learnt.activations), &progress).unwrap();
    let quantized = Rten::load(encode(&rewrite(&network, &plan).unwrap()).unwrap()).unwrap();
    let data = Dataset::demo(Demo::Fashion);
    let run = |engine: &dyn Engine| run_outputs(engine, &data, session.limit(), &progress).unwrap();
    let expected = evaluate(&run(&engine(&original)), &run(&quantized), &data);
    assert_eq!(shown.evaluated().unwrap().1.evaluation, expected);

    let plan = &shown.planned().unwrap().1.plan;
    let corrected = plan.layers.iter().filter_map(|layer| layer.quantized());
    assert!(corrected.filter(|layer| layer.bias.is_some()).count() > 15);
}

#[test]
fn without_data_the_ranges_come_from_batch_norms_and_noise() {
    let mut session = open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx"));
    edit(&mut session, false, |recipe| recipe.activation_bits = Bits::Grid(8));
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    assert!(open.data().is_none() && !open.lacks_calibration());
    assert_eq!(open.calibration_source(), CalibrationSource::DataFree);
    let sources: Vec<RangeSource> = open
        .planned()
        .unwrap()
        .1
        .plan
        .layers
        .iter()
        .filter_map(|layer| Some(layer.quantized()?.activation?.source))
        .collect();
    assert_eq!(sources.len(), open.original.layers.len());
    assert!(sources.contains(&RangeSource::BatchNorm) && sources.contains(&RangeSource::Noise));

    session.act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions::default(),
    });
    session.act(Action::CalibrateOnData(true));
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    let open = session.open().unwrap();
    let CalibrationSource::Data(_) = open.calibration_source() else {
        panic!("{:?}", open.calibration_source())
    };
    let activations = &open.calibration().unwrap().activations;
    assert!(activations.values().all(|seen| seen.source == RangeSource::Calibration));
    assert_eq!(open.run_state(session.limit()), RunState::Done);
}

#[test]
fn the_text_demo_falls_at_four_bits_and_clip_and_splits_bring_it_back() {
    let saved = Saved {
        token_limit: Some(1500),
        ..Saved::default()
    };
    let mut session = open_in(Session::new(Waker::none(), saved), "demo:shakespeare");
    let perplexity = |session: &Session| {
        let open = session.open().unwrap();
        assert_eq!(open.run_state(session.limit()), RunState::Done);
        let evaluation = &open.evaluated().unwrap().1.evaluation;
        [
            evaluation.float.perplexity.unwrap(),
            evaluation.quantized.perplexity.unwrap(),
        ]
    };
    let [float, plain] = perplexity(&session);
    assert!(float < 6.0 && plain > 1.6 * float, "{float} {plain}");
    edit(&mut session, false, |recipe| recipe.expand_ratio = 0.05);
    assert!(session.wait_until_idle(LIMIT));
    let [_, split] = perplexity(&session);
    assert!(split < 0.8 * plain, "{plain} {split}");
    edit(&mut session, false, |recipe| recipe.clip = Clip::Mse);
    assert!(session.wait_until_idle(LIMIT));
    let [_, clipped] = perplexity(&session);
    assert!(clipped < split && clipped < 1.2 * float, "{float} {split} {clipped}");
    edit(&mut session, false, |recipe| recipe.weight_bits = Bits::Grid(8));
    assert!(session.wait_until_idle(LIMIT));
    let [_, eight] = perplexity(&session);
    assert!(eight < clipped && eight < 1.02 * float, "{eight}");

    let data = session.open().unwrap().data().unwrap();
    let context = data.context(39, 40).unwrap();
    assert_eq!(context.chars().count(), 40);
    let text = std::str::from_utf8(crate::format::demo::text()).unwrap();
    assert!(text.starts_with(&context));
    assert_eq!(
        data.context(3, 40).unwrap().chars().count(),
        4,
        "a stream begins with nothing before it"
    );
    let next = text.chars().nth(40).unwrap().to_string();
    assert_eq!(data.class_name(data.label(39).unwrap()), Some(next.as_str()));
}

#[test]
fn the_view_of_a_layer_shows_the_codes_of_gptq_that_the_plan_has() {
    let mut session = open("demo:fashion");
    edit(&mut session, false, |recipe| {
        recipe.weight_bits = Bits::Grid(3);
        recipe.rounding = Rounding::Gptq;
    });
    assert!(session.wait_until_idle(LIMIT));
    let shown = session.open().unwrap();
    let planned = &shown.planned().unwrap().1.plan.layers[shown.selected()];
    let planned = planned.quantized().unwrap();
    let viewed = shown.view().unwrap().1.after.as_deref().unwrap();
    assert_eq!(
        (viewed.quantized.rounding.by, planned.rounding.by),
        (Rounding::Gptq, Rounding::Gptq)
    );
    assert!(viewed.quantized.values == planned.values);
    let nearest = Recipe {
        rounding: Rounding::Nearest,
        ..shown.recipe().clone()
    };
    let nearest = plan(&shown.shown().network, &nearest, None, &Progress::default()).unwrap();
    let nearest = nearest.layers[shown.selected()].quantized().unwrap();
    assert!(viewed.quantized.values != nearest.values);
}

#[test]
fn a_range_from_noise_is_a_warning_and_a_stated_one_is_none() {
    let mut session = open(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/fashion_resnet.onnx"));
    edit(&mut session, false, |recipe| recipe.activation_bits = Bits::Grid(8));
    assert!(session.wait_until_idle(LIMIT));
    let warned = |session: &Session| {
        let said = |message: &&Message| message.level == Level::Warning && message.text.contains("random noise");
        session
            .messages()
            .iter()
            .filter(said)
            .map(|message| message.text.clone())
            .collect::<Vec<_>>()
    };
    let said = warned(&session);
    assert!(said.len() == 1 && said[0].contains("'conv1'"), "{said:?}");
    session.act(Action::ClearMessages);
    // The preprocessing of open data tells the input's range, though nothing is measured on them.
    session.act(Action::OpenData {
        path: "demo:fashion".to_owned(),
        options: DataOptions {
            preprocess: Some("fashion".to_owned()),
            ..DataOptions::default()
        },
    });
    session.act(Action::CalibrateOn(CalibrationChoice::DataFree));
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    assert_eq!(open.calibration_source(), CalibrationSource::DataFree);
    let input = &open.calibration().unwrap().activations["input"];
    assert_eq!(input.source, RangeSource::Preprocessing);
    assert!(warned(&session).is_empty());
}

#[test]
fn inputs_are_smoothed_by_what_is_known_of_them() {
    use crate::onnx::GraphProto;
    use crate::onnx::build::{float_tensor, float_value_info, int_attribute, model_of, node};
    let weights = |count: usize, seed: f32| -> Vec<f32> { (0..count).map(|i| (i as f32 * 1.7 + seed).sin()).collect() };
    let gain: Vec<f32> = (0..16).map(|j| if j == 3 { 50.0 } else { 1.0 }).collect();
    let graph = GraphProto {
        node: vec![
            node(
                "LayerNormalization",
                "norm",
                ["x", "g"],
                ["n"],
                vec![int_attribute("axis", -1)],
            ),
            node("MatMul", "fc1", ["n", "w1"], ["h"], vec![]),
            node("Relu", "relu", ["h"], ["r"], vec![]),
            node("MatMul", "fc2", ["r", "w2"], ["y"], vec![]),
        ],
        initializer: vec![
            float_tensor("g", &[16], &gain),
            float_tensor("w1", &[16, 24], &weights(384, 0.3)),
            float_tensor("w2", &[24, 5], &weights(120, 0.7)),
        ],
        input: vec![float_value_info("x", &[1, 16])],
        output: vec![float_value_info("y", &[1, 5])],
        ..GraphProto::default()
    };
    let model = model_of(17, graph);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mlp.onnx");
    crate::onnx::write_file(&model, &path).unwrap();
    let mut session = open(path.to_str().unwrap());
    edit(&mut session, false, |recipe| {
        recipe.smooth = 0.5;
        recipe.awq = true;
        recipe.weight_bits = Bits::Grid(4);
        recipe.activation_bits = Bits::Grid(8);
    });
    assert!(session.wait_until_idle(LIMIT), "{:?}", session.running());
    let open = session.open().unwrap();
    let network = &open.analysis().unwrap().network;
    let steps = network.preparation.steps.join("; ");
    assert!(
        steps.contains("smoothed the inputs of 2 groups of layers; scaled the inputs of 2 groups"),
        "{steps}"
    );
    assert!(!open.lacks_calibration() && open.planned().is_some());
    assert_ne!(
        network.weights(0).unwrap().to_vec(),
        open.original.network.weights(0).unwrap().to_vec()
    );
}
