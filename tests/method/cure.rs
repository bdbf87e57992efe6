//! Faults planted in real networks: each must be named right and mended by the fix that is proposed.

use crate::common::formula;
use crate::common::graph::{floats, model, network};
use splitscope::format::demo::Demo;
use splitscope::inference::sweep::SweepSubject;
use splitscope::inference::{
    Calibration, Cause, Cure, DataOptions, Dataset, Examination, NetworkEnd, Rten, calibrate, measure_inputs, mend,
    run_outputs, sensitivity,
};
use splitscope::network::{Layout, Network, OutAxis, fold_batch_norm};
use splitscope::onnx::build::{float_tensor, int_attribute, node};
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Clip, Granularity, LayerRecipe, Recipe, Rounding};
use std::sync::Arc;

/// A network with data, and what its layers do without any fault.
struct Patient {
    network: Network,
    data: Dataset,
    samples: usize,
}

impl Patient {
    fn examined<T>(&self, network: &Network, recipe: &Recipe, look: impl FnOnce(&Examination<'_>) -> T) -> T {
        let progress = Progress::default();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let float = run_outputs(&engine, &self.data, self.samples, &progress).unwrap();
        let known: Option<Calibration> = (recipe.needs_activations())
            .then(|| calibrate(network, &engine, &self.data, self.samples, &progress).unwrap());
        let subject = SweepSubject {
            network,
            activations: known.as_ref().map(|known| &known.activations),
            shapes: None,
            data: &self.data,
            float: &float,
        };
        look(&Examination::new(&subject, recipe, &progress).unwrap())
    }

    fn cure(&self, network: &Network, recipe: &Recipe, layer: usize) -> Cure {
        self.examined(network, recipe, |examination| {
            examination.cure(layer, &Progress::default()).unwrap().unwrap()
        })
    }

    /// Output SQNR with only that layer quantized.
    fn healthy_db(&self, recipe: &Recipe, layer: usize) -> f64 {
        let rows = self.examined(&self.network, recipe, |examination| {
            examination.layers(&Progress::default()).unwrap()
        });
        rows.iter().find(|row| row.layer == layer).unwrap().sqnr_db.unwrap()
    }

    fn layer(&self, name: &str) -> usize {
        self.network.layer_index(name).unwrap()
    }
}

/// The network with other weights in one layer.
fn planted(network: &Network, layer: usize, change: impl FnOnce(&mut [f32], &Layout)) -> Network {
    let mut planted = network.clone();
    let mut weights = network.weights(layer).unwrap().to_vec();
    let layer = &network.layers[layer];
    change(&mut weights, &layer.layout);
    let graph = Arc::make_mut(&mut planted.model).graph.as_mut().unwrap();
    let tensor = graph
        .initializer
        .iter_mut()
        .find(|tensor| tensor.name() == layer.weight);
    *tensor.unwrap() = float_tensor(layer.weight.as_str(), &layer.shape, &weights);
    planted
}

/// Input and output channel of an element.
fn channels(layout: &Layout, at: usize) -> (usize, usize) {
    let (inner, row) = (at % layout.inner, at / layout.inner);
    let (channel, outer) = (row % layout.channels, row / layout.channels);
    let group = outer / layout.outer;
    let output = if layout.out_axis == OutAxis::Outer {
        outer
    } else {
        inner
    };
    (group * layout.channels + channel, output)
}

fn outlier_channel(weights: &mut [f32], layout: &Layout) {
    let chosen = layout.in_channels() / 3;
    for (at, weight) in weights.iter_mut().enumerate() {
        if channels(layout, at).0 == chosen {
            *weight *= 12.0;
        }
    }
}

/// Every third output channel is much wider than the others.
fn unequal_channels(weights: &mut [f32], layout: &Layout) {
    for (at, weight) in weights.iter_mut().enumerate() {
        if channels(layout, at).1.is_multiple_of(3) {
            *weight *= 8.0;
        }
    }
}

/// Ten weights are far out, each in other channels.
fn dead_grid(weights: &mut [f32], _: &Layout) {
    let largest = weights.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    let step = weights.len() / 10 + 1;
    for weight in weights.iter_mut().skip(7).step_by(step) {
        *weight = 6.0 * largest * weight.signum();
    }
}

/// Large weights are larger, small ones smaller, in every output channel: none stands out.
fn wide_tail(weights: &mut [f32], layout: &Layout) {
    let mut squares = vec![0.0_f32; layout.out_channels()];
    for (at, weight) in weights.iter().enumerate() {
        squares[channels(layout, at).1] += weight * weight;
    }
    let count = weights.len() as f32 / squares.len() as f32;
    for (at, weight) in weights.iter_mut().enumerate() {
        let rms = (squares[channels(layout, at).1] / count).sqrt().max(1e-12);
        *weight = rms * (weight.abs() / rms).powf(1.9).copysign(*weight);
    }
}

fn fashion() -> Patient {
    let network = fold_batch_norm(&Demo::Fashion.network().unwrap()).unwrap();
    Patient {
        network,
        data: Dataset::demo(Demo::Fashion),
        samples: 32,
    }
}

fn shakespeare() -> Patient {
    Patient {
        network: Demo::Shakespeare.network().unwrap(),
        data: Dataset::demo(Demo::Shakespeare),
        samples: 256,
    }
}

/// Convolution, depthwise convolution, convolution, matrix; on seeded noise.
fn mobile() -> Patient {
    let tensor = |name: &str, shape: &[usize]| float_tensor(name, shape, &formula::values(name, shape, 1.0));
    let convolution = |name: &str, input: &str, output: &str, groups: i64| {
        let mut made = node(
            "Conv",
            name,
            [input.to_owned(), format!("{name}.weight")],
            [output.to_owned()],
            vec![int_attribute("group", groups)],
        );
        made.name = Some(name.to_owned());
        made
    };
    let relu = |input: &str, output: &str| node("Relu", output, [input], [output], vec![]);
    let nodes = vec![
        convolution("stem", "x", "a", 1),
        relu("a", "b"),
        convolution("depthwise", "b", "c", 24),
        relu("c", "d"),
        convolution("point", "d", "e", 1),
        node("GlobalAveragePool", "pool", ["e"], ["f"], vec![]),
        node("Flatten", "flatten", ["f"], ["g"], vec![]),
        node(
            "Gemm",
            "head",
            ["g", "head.weight"],
            ["y"],
            vec![int_attribute("transB", 1)],
        ),
    ];
    let constants = vec![
        tensor("stem.weight", &[24, 3, 3, 3]),
        tensor("depthwise.weight", &[24, 1, 3, 3]),
        tensor("point.weight", &[32, 24, 1, 1]),
        tensor("head.weight", &[10, 32]),
    ];
    let inputs = vec![floats("x", &[0, 3, 12, 12])];
    let network = network(model(13, (nodes, constants), inputs, vec![floats("y", &[0, 10])]));
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    Patient {
        data: Dataset::noise(&network, &engine, 32, 1).unwrap(),
        network,
        samples: 32,
    }
}

fn bits(weights: u8, activations: Bits) -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(weights),
        activation_bits: activations,
        ..Recipe::default()
    }
}

/// What was planted and what came of it.
#[derive(Default)]
struct Ledger {
    faults: usize,
    wrong_names: Vec<String>,
    not_mended: Vec<String>,
}

impl Ledger {
    /// A fault is mended if the layer is within half a bit (3 dB) of what it is without the fault.
    fn enter(&mut self, fault: &str, cure: &Cure, healthy_db: f64, is_right: impl Fn(&Cause) -> bool) {
        self.faults += 1;
        let name = format!("{fault} in {}", cure.before.name);
        if !is_right(&cure.causes[0]) {
            self.wrong_names.push(format!("{name}: {}", cure.causes[0]));
        }
        let after = cure.best().map_or(cure.before.sqnr_db.unwrap(), |best| best.sqnr_db);
        if after < healthy_db - 3.0 {
            let fix = cure.best().map_or("nothing", |best| best.text.as_str());
            self.not_mended
                .push(format!("{name}: {fix} gives {after:.1} dB of {healthy_db:.1}"));
        }
    }

    /// Plants the faults whose names are given, all four without any.
    fn of_weights(&mut self, patient: &Patient, layers: &[&str], recipe: &Recipe, only: &[&str]) {
        type Plant = fn(&mut [f32], &Layout);
        type Right = fn(&Cause) -> bool;
        let faults: [(&str, Plant, Right); 4] = [
            (
                "outlier channel",
                outlier_channel,
                |cause| matches!(cause, Cause::OutlierChannel { channels, .. } if channels.len() == 1),
            ),
            ("unequal channels", unequal_channels, |cause| {
                matches!(cause, Cause::UnequalChannels { .. })
            }),
            (
                "dead grid",
                dead_grid,
                |cause| matches!(cause, Cause::DeadGrid { share, .. } if *share > 0.99),
            ),
            ("wide tail", wide_tail, |cause| {
                matches!(cause, Cause::WideTail { .. } | Cause::DeadGrid { .. })
            }),
        ];
        for name in layers {
            let layer = patient.layer(name);
            let healthy = patient.healthy_db(recipe, layer);
            let wanted = |fault: &&str| only.is_empty() || only.contains(fault);
            for (fault, plant, is_right) in faults.iter().filter(|(fault, ..)| wanted(fault)) {
                let sick = planted(&patient.network, layer, *plant);
                let cure = patient.cure(&sick, recipe, layer);
                self.enter(fault, &cure, healthy, is_right);
            }
        }
    }
}

#[test]
fn nine_of_ten_planted_faults_are_named_right_and_mended() {
    let mut ledger = Ledger::default();
    let four = bits(4, Bits::Float);
    let images = fashion();
    ledger.of_weights(
        &images,
        &["layer1.1.conv2", "layer2.1.conv1", "layer3.0.conv2"],
        &four,
        &[],
    );
    // Its output channels are unequal by themselves.
    ledger.of_weights(
        &shakespeare(),
        &["rnn.l1/W"],
        &four,
        &["outlier channel", "unequal channels"],
    );
    ledger.of_weights(&mobile(), &["point"], &four, &[]);

    // A clip that is much too tight, and an input that is cut off: faults of the recipe.
    for name in ["layer1.0.conv2", "layer2.2.conv1"] {
        let layer = images.layer(name);
        let deviation = {
            let weights = images.network.weights(layer).unwrap();
            (weights.iter().map(|weight| weight * weight).sum::<f32>() / weights.len() as f32).sqrt()
        };
        let mut recipe = four.clone();
        let own = LayerRecipe {
            clip: Some(Clip::Manual(deviation)),
            ..LayerRecipe::default()
        };
        recipe.layers.insert(name.to_owned(), own);
        let cure = images.cure(&images.network, &recipe, layer);
        ledger.enter("tight clip", &cure, images.healthy_db(&four, layer), |cause| {
            matches!(cause, Cause::ClippedWeights { .. })
        });
        let eight = bits(8, Bits::Grid(8));
        let mut recipe = eight.clone();
        let own = LayerRecipe {
            activation_clip: Some(Clip::Percentile(90.0)),
            ..LayerRecipe::default()
        };
        recipe.layers.insert(name.to_owned(), own);
        let cure = images.cure(&images.network, &recipe, layer);
        ledger.enter("saturated input", &cure, images.healthy_db(&eight, layer), |cause| {
            matches!(cause, Cause::SaturatedActivations { .. })
        });
    }
    // Inputs that are sums on a grid that is too coarse for both branches.
    for name in ["layer1.1.conv1", "layer2.1.conv1", "layer3.1.conv1"] {
        let layer = images.layer(name);
        let eight = bits(8, Bits::Grid(8));
        let mut recipe = eight.clone();
        let own = LayerRecipe {
            activation_bits: Some(Bits::Grid(3)),
            ..LayerRecipe::default()
        };
        recipe.layers.insert(name.to_owned(), own);
        let cure = images.cure(&images.network, &recipe, layer);
        ledger.enter("residual sum", &cure, images.healthy_db(&eight, layer), |cause| {
            matches!(cause, Cause::ResidualSum { .. })
        });
    }
    // The ends of the network.
    for (name, end) in [("conv1", NetworkEnd::First), ("fc", NetworkEnd::Last)] {
        let layer = images.layer(name);
        let healthy = images.healthy_db(&four, layer);
        for plant in [unequal_channels, wide_tail] {
            let sick = planted(&images.network, layer, plant);
            let cure = images.cure(&sick, &four, layer);
            ledger.enter(
                "wide end",
                &cure,
                healthy,
                |cause| matches!(cause, Cause::WideEnd { end: found, .. } if *found == end),
            );
        }
    }
    // A depthwise layer, whose channels cannot be split.
    let mobile = mobile();
    let layer = mobile.layer("depthwise");
    let sick = planted(&mobile.network, layer, unequal_channels);
    let cure = mobile.cure(&sick, &four, layer);
    assert!(cure.fixes.iter().all(|tried| !tried.text.starts_with("split")));
    ledger.enter("depthwise", &cure, mobile.healthy_db(&four, layer), |cause| {
        matches!(cause, Cause::UnequalChannels { depthwise: true, .. })
    });

    let most = ledger.faults / 10;
    println!(
        "{} faults, wrong names {:?}, not mended {:?}",
        ledger.faults, ledger.wrong_names, ledger.not_mended
    );
    assert!(ledger.faults >= 25);
    assert!(ledger.wrong_names.len() <= most, "{:#?}", ledger.wrong_names);
    assert!(ledger.not_mended.len() <= most, "{:#?}", ledger.not_mended);
}

/// A row of the table of fixes is what the network does with that recipe.
#[test]
fn a_fix_is_worth_what_the_network_gains_by_it() {
    let images = fashion();
    let recipe = bits(3, Bits::Float);
    let layer = images.layer("layer1.0.conv1");
    let cure = images.cure(&images.network, &recipe, layer);
    assert!(cure.fixes.len() >= 6);
    assert!(cure.fixes.is_sorted_by_key(|tried| tried.bytes_added));
    for tried in &cure.fixes {
        let mut fixed = recipe.clone();
        fixed.layers.insert(cure.before.name.clone(), tried.settings.clone());
        if tried.sqnr_db.is_finite() {
            let db = images.healthy_db(&fixed, layer);
            assert!(
                (db - tried.sqnr_db).abs() < 1e-6,
                "{}: {db} {}",
                tried.text,
                tried.sqnr_db
            );
        }
        let bytes = |recipe: &Recipe| {
            images.examined(&images.network, recipe, |examined| {
                i64::try_from(examined.bytes()).unwrap()
            })
        };
        assert_eq!(tried.bytes_added, bytes(&fixed) - bytes(&recipe), "{}", tried.text);
    }
    let best = cure.best().unwrap();
    assert!(best.gain_db > 6.0 && !best.leaves_float());
}

#[test]
fn a_mended_network_keeps_to_its_bytes_and_answers_better() {
    let images = fashion();
    let recipe = bits(3, Bits::Float);
    let cures: Vec<Cure> = ["conv1", "layer1.0.conv1", "layer3.1.conv1"]
        .iter()
        .map(|name| images.cure(&images.network, &recipe, images.layer(name)))
        .collect();
    let progress = Progress::default();
    let engine = Rten::load(encode(&images.network.runnable_model()).unwrap()).unwrap();
    let float = run_outputs(&engine, &images.data, 100, &progress).unwrap();
    let subject = SweepSubject {
        network: &images.network,
        activations: None,
        shapes: None,
        data: &images.data,
        float: &float,
    };
    let mut gains = Vec::new();
    for within in [0, 1000] {
        let mended = mend(&subject, &recipe, &cures, within, &progress).unwrap();
        assert!(mended.bytes.1 <= mended.bytes.0 + within, "{:?}", mended.bytes);
        assert_eq!(mended.recipe.layers.len(), mended.fixes.len());
        gains.push(mended.after.sqnr_db.unwrap() - mended.before.sqnr_db.unwrap());
    }
    // Scales of their own cost bytes: without any to spend there is little to win.
    assert!(gains[0] > -0.1 && gains[1] > 1.0, "{gains:?}");
}

/// Alone, a layer has the inputs of the float network: rounded behind quantized layers, it would make good errors that are not there.
#[test]
fn layers_are_looked_at_as_they_are_rounded_by_themselves() {
    let patient = fashion();
    let recipe = |sequential| Recipe {
        weight_bits: Bits::Grid(3),
        scales: Granularity::Channel,
        rounding: Rounding::Gptq,
        sequential,
        ..Recipe::default()
    };
    let network = &patient.network;
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let progress = Progress::default();
    let calibration = Arc::new(Dataset::demo_calibration(Demo::Fashion));
    let stated = DataOptions::default();
    let known = measure_inputs(network, &engine, Some(&calibration), &stated, (64, true), &progress).unwrap();
    let float = run_outputs(&engine, &patient.data, 40, &progress).unwrap();
    let subject = SweepSubject {
        network,
        activations: Some(&known.activations),
        shapes: None,
        data: &patient.data,
        float: &float,
    };
    let rows = [true, false].map(|sequential| {
        let recipe = recipe(sequential);
        let examined = Examination::new(&subject, &recipe, &progress)
            .unwrap()
            .layers(&progress)
            .unwrap();
        assert_eq!(
            sensitivity(&subject, &recipe, &progress, &mut |_| Ok(())).unwrap(),
            examined
        );
        examined
    });
    assert!(rows[0].len() > 15 && rows[0] == rows[1]);
}
