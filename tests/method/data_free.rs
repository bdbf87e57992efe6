//! Quantization without any data: ranges from batch-norm statistics and noise, cross-layer equalization, bias correction
//! (Nagel et al. 2019, arXiv 1906.04721).

mod networks;

use crate::common::graph::{self, run};
use crate::common::{evaluate_recipe, open};
use networks::{CHANNELS, Noise, behind_a_norm, kernel, separable};
use splitscope::format::demo::Demo;
use splitscope::inference::{DataOptions, Dataset, Rten, data_free_activations, evaluate, run_outputs};
use splitscope::network::Network;
use splitscope::onnx::build::{float_attribute, float_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Activations, Bits, Granularity, Preset, Recipe, plan, prepare, quantized_tensors, rewrite,
};
use splitscope::statistics::{ActivationStatistics, RangeSource};

/// The exported model of a recipe, without any data.
fn exported(network: &Network, recipe: &Recipe) -> ModelProto {
    let progress = Progress::default();
    let prepared = prepare(network, recipe).unwrap();
    let engine = Rten::load(encode(&prepared.model).unwrap()).unwrap();
    let activations = recipe
        .needs_activations()
        .then(|| data_free_activations(&prepared, &engine, &DataOptions::default(), &progress).unwrap());
    rewrite(
        &prepared,
        &plan(&prepared, recipe, activations.as_ref(), &progress).unwrap(),
    )
    .unwrap()
}

/// Mean squared error of the exported network's outputs over their mean square.
fn noise_to_signal(network: &Network, recipe: &Recipe) -> f64 {
    let shape = [1, 4, 8, 8];
    let input = Noise(77).uniform(4 * 64);
    let (float, quantized) = (
        run(&network.model, &shape, &input),
        run(&exported(network, recipe), &shape, &input),
    );
    let square = |x: f32| f64::from(x).powi(2);
    let noise: f64 = float.iter().zip(&quantized).map(|(a, b)| square(a - b)).sum();
    noise / float.iter().map(|x| square(*x)).sum::<f64>()
}

#[test]
fn equalization_undoes_uneven_channels_of_a_depthwise_network() {
    let factors: Vec<f32> = (0..CHANNELS)
        .map(|c| 10.0_f32.powf(1.5 * Noise(c as u64 * 97).uniform(3)[2]))
        .collect();
    let (even, uneven) = (separable(&[1.0; CHANNELS]), separable(&factors));
    for bits in [8, 6] {
        let recipe = Recipe {
            weight_bits: Bits::Grid(bits),
            fold_batch_norm: true,
            ..Recipe::default()
        };
        let equalized = Recipe {
            cross_layer_equalization: true,
            ..recipe.clone()
        };
        let (plain, better) = (noise_to_signal(&uneven, &recipe), noise_to_signal(&uneven, &equalized));
        let ideal = noise_to_signal(&even, &equalized);
        println!("{bits} bits: plain {plain:.2e}, equalized {better:.2e}, even and equalized {ideal:.2e}");
        assert!(better < 0.1 * plain, "{bits} bits: {plain} became {better}");
        assert!(
            (better / ideal - 1.0).abs() < 0.2,
            "{bits} bits: {better}, even channels {ideal}"
        );
    }
}

#[test]
fn equalization_and_ranges_without_data_go_together() {
    let factors: Vec<f32> = (0..CHANNELS)
        .map(|c| 10.0_f32.powf(1.5 * Noise(c as u64 * 97).uniform(3)[2]))
        .collect();
    let network = separable(&factors);
    let recipe = Recipe {
        cross_layer_equalization: true,
        activation_bits: Bits::Grid(8),
        ..Recipe::preset(Preset::Deploy)
    };
    let with = noise_to_signal(&network, &recipe);
    let without = noise_to_signal(
        &network,
        &Recipe {
            cross_layer_equalization: false,
            ..recipe
        },
    );
    println!("8-bit activations: {without:.2e} became {with:.2e}");
    assert!(with < 0.1 * without && with < 1e-2, "{without} became {with}");
}

/// Root mean square, over the output channels along `axis` 1, of how far the mean output moves.
fn mean_shift(network: &Network, recipe: &Recipe, shape: &[usize], outputs: usize) -> f64 {
    let input = Noise(11).normal(shape.iter().product());
    let (float, quantized) = (
        run(&network.model, shape, &input),
        run(&exported(network, recipe), shape, &input),
    );
    let pixels = float.len() / shape[0] / outputs;
    let mut shift = vec![0.0_f64; outputs];
    for (place, (a, b)) in float.iter().zip(&quantized).enumerate() {
        shift[place / pixels % outputs] += f64::from(b - a);
    }
    let count = (shape[0] * pixels) as f64;
    (shift.iter().map(|sum| (sum / count).powi(2)).sum::<f64>() / outputs as f64).sqrt()
}

#[test]
fn bias_correction_takes_back_the_shift_of_the_mean_outputs() {
    let weight = |dims: &[usize]| float_tensor("w", dims, &Noise(9).uniform(dims.iter().product()));
    let bias = |dims: &[usize]| float_tensor("b", dims, &Noise(8).uniform(dims.iter().product()));
    let gemm = vec![float_attribute("alpha", 0.5), float_attribute("beta", -2.0)];
    let turned = vec![int_attribute("transB", 1)];
    let one = |op: &str, inputs: &[&str], attributes| vec![node(op, "layer", inputs.to_vec(), ["y"], attributes)];
    let pictures: (&[i64], &[usize]) = (&[1, 8, 64, 64], &[1, 8, 64, 64]);
    let rows: (&[i64], &[usize]) = (&[4096, 8], &[4096, 8]);
    let cases = [
        (
            "depthwise",
            one("Conv", &["r", "w"], kernel(8, 0)),
            vec![weight(&[8, 1, 3, 3])],
            pictures,
            8,
        ),
        (
            "conv",
            one("Conv", &["r", "w", "b"], kernel(1, 0)),
            vec![weight(&[6, 8, 3, 3]), bias(&[6])],
            pictures,
            6,
        ),
        (
            "grouped",
            one("Conv", &["r", "w", "b"], kernel(2, 0)),
            vec![weight(&[6, 4, 1, 1]), bias(&[6])],
            pictures,
            6,
        ),
        (
            "gemm",
            one("Gemm", &["r", "w", "b"], gemm),
            vec![weight(&[8, 5]), bias(&[1, 5])],
            rows,
            5,
        ),
        (
            "gemm without its bias",
            one("Gemm", &["r", "w", "b"], vec![float_attribute("beta", 0.0)]),
            vec![weight(&[8, 5]), bias(&[1, 5])],
            rows,
            5,
        ),
        (
            "transposed",
            one(
                "ConvTranspose",
                &["r", "w", "b"],
                vec![
                    ints_attribute("strides", [2, 2]),
                    ints_attribute("kernel_shape", [4, 4]),
                ],
            ),
            vec![weight(&[8, 6, 4, 4]), bias(&[6])],
            pictures,
            6,
        ),
        (
            "gemm transB",
            one("Gemm", &["r", "w"], turned),
            vec![weight(&[5, 8])],
            rows,
            5,
        ),
        // A row of pixels each: a matrix product over the last axis of a picture turned.
        (
            "matmul",
            one("MatMul", &["f", "w"], vec![]),
            vec![weight(&[8, 5])],
            rows,
            5,
        ),
    ];
    for (name, mut nodes, weights, (dims, shape), outputs) in cases {
        if name == "matmul" {
            nodes.insert(0, node("Flatten", "", ["r"], ["f"], vec![]));
        }
        let network = behind_a_norm(nodes, weights, dims, 8);
        for (scales, expand_ratio) in [(Granularity::Tensor, 0.0), (Granularity::Channel, 0.25)] {
            let recipe = Recipe {
                weight_bits: Bits::Grid(3),
                scales,
                expand_ratio,
                ..Recipe::default()
            };
            let corrected = Recipe {
                bias_correction: true,
                ..recipe.clone()
            };
            let before = mean_shift(&network, &recipe, shape, outputs);
            let after = mean_shift(&network, &corrected, shape, outputs);
            println!("{name}: {before:.2e} became {after:.2e}");
            assert!(before > 1e-3 && after < 0.1 * before, "{name}: {before} became {after}");
        }
    }
}

/// `W @ x`: the output channels are rows, and so is the bias.
#[test]
fn bias_correction_of_a_product_from_the_left_takes_back_the_shift_of_its_rows() {
    let (inputs, outputs, columns) = (8, 5, 4096);
    let weight = float_tensor("w", &[outputs, inputs], &Noise(9).uniform(outputs * inputs));
    let product = node("MatMul", "layer", ["w", "x"], ["y"], vec![]);
    let x = graph::floats("x", &[inputs as i64, columns as i64]);
    let network = graph::network(graph::model(
        13,
        (vec![product], vec![weight]),
        vec![x],
        vec![graph::value("y")],
    ));
    let shape = [inputs, columns];
    let x: Vec<f32> = Noise(2).uniform(inputs * columns).iter().map(|x| x + 0.7).collect();
    let mut seen = ActivationStatistics::new(RangeSource::Calibration);
    seen.add_channels(&x, &shape, -2);
    let activations = Activations::from([("x".to_owned(), seen)]);
    let shift = |bias_correction: bool| {
        let recipe = Recipe {
            weight_bits: Bits::Grid(3),
            bias_correction,
            ..Recipe::default()
        };
        let plan = plan(&network, &recipe, Some(&activations), &Progress::default()).unwrap();
        let quantized = run(&rewrite(&network, &plan).unwrap(), &shape, &x);
        let float = run(&network.model, &shape, &x);
        let row = |values: &[f32]| values.iter().map(|x| f64::from(*x)).sum::<f64>() / columns as f64;
        let rows = float.chunks(columns).zip(quantized.chunks(columns));
        rows.map(|(a, b)| (row(b) - row(a)).abs()).fold(0.0, f64::max)
    };
    let (before, after) = (shift(false), shift(true));
    assert!(before > 1e-2 && after < 1e-4, "{before} became {after}");
}

/// What noise becomes behind a layer is nothing to correct by; what comes in from outside is as the network declares it.
#[test]
fn biases_behind_layers_of_which_noise_alone_tells_stay_as_they_are() {
    let conv = |from: &str, to: &str| node("Conv", to, [from, "w"], [to], kernel(1, 0));
    let nodes = vec![conv("x", "a"), node("Relu", "", ["a"], ["r"], vec![]), conv("r", "y")];
    let weight = float_tensor("w", &[4, 4, 1, 1], &Noise(9).uniform(16));
    let x = graph::floats("x", &[1, 4, 8, 8]);
    let network = graph::network(graph::model(
        13,
        (nodes, vec![weight]),
        vec![x],
        vec![graph::value("y")],
    ));
    let recipe = Recipe {
        bias_correction: true,
        ..Recipe::default()
    };
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let activations = data_free_activations(&network, &engine, &DataOptions::default(), &Progress::default()).unwrap();
    let plan = plan(&network, &recipe, Some(&activations), &Progress::default()).unwrap();
    let [first, second] = [0, 1].map(|layer| plan.layers[layer].quantized().unwrap());
    assert!(first.bias.is_some() && first.bias_note.is_none());
    assert!(second.bias.is_none() && second.bias_note.as_ref().unwrap().contains("noise"));
}

#[test]
fn corrected_biases_are_among_the_tensors_of_an_export() {
    let conv = vec![node("Conv", "layer", ["r", "w", "b"], ["y"], kernel(1, 0))];
    let weights = vec![
        float_tensor("w", &[2, 8, 1, 1], &Noise(9).uniform(16)),
        float_tensor("b", &[2], &[0.5, -0.5]),
    ];
    let network = behind_a_norm(conv, weights, &[1, 8, 4, 4], 8);
    let recipe = Recipe {
        weight_bits: Bits::Grid(3),
        bias_correction: true,
        ..Recipe::default()
    };
    let progress = Progress::default();
    assert!(plan(&network, &recipe, None, &progress).is_err(), "means are needed");
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let activations = data_free_activations(&network, &engine, &DataOptions::default(), &progress).unwrap();
    let plan = plan(&network, &recipe, Some(&activations), &progress).unwrap();
    let corrected = plan.layers[0].quantized().unwrap().bias.clone().unwrap();
    assert!((corrected[0] - 0.5).abs() > 1e-3);
    let (tensors, _) = quantized_tensors(&network, &plan).unwrap();
    let biases: Vec<_> = tensors.iter().filter(|tensor| tensor.name() == "b").collect();
    assert_eq!(biases.len(), 1);
    assert_eq!(*splitscope::onnx::float_values(biases[0]).unwrap(), corrected[..]);
}

#[test]
fn the_demo_without_data_is_nearly_as_good_as_calibrated() {
    let network = open("demo:fashion");
    let recipe = Recipe::preset(Preset::Deploy);
    let calibrated = evaluate_recipe(&network, &recipe, Demo::Fashion, 1000)
        .quantized
        .top1
        .unwrap();
    let data = Dataset::demo(Demo::Fashion);
    let progress = Progress::default();
    let outputs =
        |model: &ModelProto| run_outputs(&Rten::load(encode(model).unwrap()).unwrap(), &data, 1000, &progress).unwrap();
    let float = outputs(&network.model);
    for (cross_layer_equalization, bias_correction) in [(false, false), (true, true)] {
        let recipe = Recipe {
            cross_layer_equalization,
            bias_correction,
            ..recipe.clone()
        };
        let data_free = evaluate(&float, &outputs(&exported(&network, &recipe)), &data);
        let data_free = data_free.quantized.top1.unwrap();
        println!("equalized and corrected {bias_correction}: data-free {data_free}, calibrated {calibrated}");
        assert!(
            (data_free - calibrated).abs() <= 0.02,
            "{data_free}, calibrated {calibrated}"
        );
    }
}

/// The demo as a network of raw pixels: its first layer is a convolution that standardizes them.
fn of_raw_pixels() -> Network {
    let network = open("demo:fashion");
    let mut model = network.model.as_ref().clone();
    let graph = model.graph.as_mut().unwrap();
    // (x / 255 - 0.2860) / 0.3530, as the demo's pictures are made ready.
    graph
        .initializer
        .push(float_tensor("scale", &[1, 1, 1, 1], &[1.0 / (255.0 * 0.3530)]));
    graph.initializer.push(float_tensor("shift", &[1], &[-0.2860 / 0.3530]));
    for reader in &mut graph.node {
        for input in reader.input.iter_mut().filter(|input| *input == "input") {
            "standardized".clone_into(input);
        }
    }
    let standardize = node(
        "Conv",
        "standardize",
        ["input", "scale", "shift"],
        ["standardized"],
        kernel(1, 0),
    );
    graph.node.insert(0, standardize);
    Network::new("raw", None, network.format, model).unwrap()
}

/// With the range of noise the first grid would end at 4 of 255, and the network at chance.
#[test]
fn raw_pixels_without_data_are_quantized_over_their_stated_range() {
    let network = of_raw_pixels();
    let options = DataOptions {
        preprocess: Some("raw".to_owned()),
        ..DataOptions::default()
    };
    let progress = Progress::default();
    let float = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let data = Dataset::open("demo:fashion", &options, splitscope::inference::Engine::inputs(&float)).unwrap();
    let before = run_outputs(&float, &data, 400, &progress).unwrap();
    let recipe = Recipe::preset(Preset::Deploy);
    let prepared = prepare(&network, &recipe).unwrap();
    let engine = Rten::load(encode(&prepared.runnable_model()).unwrap()).unwrap();
    let top1 = |options: &DataOptions| {
        let activations = data_free_activations(&prepared, &engine, options, &progress).unwrap();
        let plan = plan(&prepared, &recipe, Some(&activations), &progress).unwrap();
        let quantized = Rten::load(encode(&rewrite(&prepared, &plan).unwrap()).unwrap()).unwrap();
        let after = run_outputs(&quantized, &data, 400, &progress).unwrap();
        let evaluation = evaluate(&before, &after, &data);
        (evaluation.float.top1.unwrap(), evaluation.quantized.top1.unwrap())
    };
    let (float, stated) = top1(&options);
    assert!(float > 0.92, "{float}: the network reads raw pixels");
    assert!(stated >= float - 0.015, "{stated} of {float}");
    let (_, unstated) = top1(&DataOptions::default());
    assert!(unstated < 0.5, "{unstated}: nothing is known where nothing is stated");
}
