//! Copies of split channels made by the layer before instead of a `Gather` (Net2Net): the same function, another graph.

mod chain;

use crate::common::graph::{self, network, value};
use crate::common::{open, relative_difference, shared};
use chain::{Chain, SHAPE, random_network};
use proptest::prelude::*;
use splitscope::format::demo::Demo;
use splitscope::inference::{DataOptions, Dataset, Rten, data_free_activations, run_outputs, value_shapes};
use splitscope::network::{Network, fold_batch_norm};
use splitscope::onnx::build::{attribute_int, int_attribute, ints_attribute};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Copies, Granularity, Overhead, Plan, Recipe, SplitExport, Storage, overhead, plan, rewrite, split_only,
};

fn run(model: &ModelProto) -> Vec<f32> {
    let x = (0..SHAPE.iter().product::<usize>()).map(|i| (i as f32 * 0.7).sin() * 2.0);
    graph::run(model, &SHAPE, &x.collect::<Vec<f32>>())
}

fn planned(network: &Network, recipe: &Recipe) -> Plan {
    let progress = Progress::default();
    let activations = recipe.needs_activations().then(|| {
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        data_free_activations(network, &engine, &DataOptions::default(), &progress).unwrap()
    });
    plan(network, recipe, activations.as_ref(), &progress).unwrap()
}

fn cost(network: &Network, plan: &Plan) -> Overhead {
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    overhead(network, plan, Some(&value_shapes(network, &engine, None).unwrap()))
}

fn gathers(model: &ModelProto) -> usize {
    let nodes = &model.graph.as_ref().unwrap().node;
    nodes.iter().filter(|node| node.op_type() == "Gather").count()
}

fn widened(recipe: &Recipe) -> Recipe {
    Recipe {
        split_export: SplitExport::Widen,
        ..recipe.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_wider_layer_before_computes_what_the_gather_repeats(
        seed in any::<u64>(),
        bits in 3_u8..=8,
        ratio in 0.05_f64..0.6,
        per_channel in any::<bool>(),
        bias_correction in any::<bool>(),
        activations in any::<bool>(),
    ) {
        let network = random_network(seed);
        let recipe = Recipe {
            weight_bits: Bits::Grid(bits),
            expand_ratio: ratio,
            scales: if per_channel { Granularity::Channel } else { Granularity::Tensor },
            bias_correction,
            activation_expand_ratio: if activations { ratio } else { 0.0 },
            activation_bits: if activations { Bits::Grid(8) } else { Bits::Float },
            ..Recipe::default()
        };
        let gather = planned(&network, &recipe);
        let widen = planned(&network, &widened(&recipe));
        let float = run(&network.runnable_model());
        let split = split_only(&network, &widen).unwrap();
        prop_assert!(relative_difference(&float, &run(&split)) <= 1e-5);
        let (gather, widen) = (rewrite(&network, &gather).unwrap(), rewrite(&network, &widen).unwrap());
        // The first layer reads the input of the network, all others a chain.
        prop_assert_eq!((gathers(&widen), gathers(&split)), (1, 1));
        prop_assert!(gathers(&gather) >= 5);
        let difference = relative_difference(&run(&gather), &run(&widen));
        prop_assert!(difference <= 1e-5, "{}", difference);
    }
}

/// Two convolutions with a batch-norm, ReLU and pool between; `tail` comes behind the pool.
fn two_layers(tail: impl FnOnce(&mut Chain)) -> Network {
    let mut chain = Chain::new(3, SHAPE[1]);
    chain.conv(8, 3, 1);
    chain.norm();
    chain.push("Relu", &[], vec![]);
    let pool = vec![
        ints_attribute("kernel_shape", [2; 2]),
        ints_attribute("strides", [2, 2]),
    ];
    chain.push("MaxPool", &[], pool);
    tail(&mut chain);
    chain.conv(5, 1, 1);
    chain.network()
}

/// A folded batch-norm leaves its output's name to the convolution, which the network as it was opened knows no shape of as a layer's
/// output.
#[test]
fn a_prepared_network_costs_the_same_by_the_shapes_that_it_had_before() {
    let original = Demo::Fashion.network().unwrap();
    let engine = Rten::load(encode(&original.runnable_model()).unwrap()).unwrap();
    let before = value_shapes(&original, &engine, None).unwrap();
    let folded = fold_batch_norm(&original).unwrap();
    let recipe = Recipe {
        fold_batch_norm: true,
        ..widened(&quarter())
    };
    let plan = planned(&folded, &recipe);
    let (known, own) = (overhead(&folded, &plan, Some(&before)), cost(&folded, &plan));
    assert!(own.layers.iter().all(|layer| layer.macs.is_some()));
    assert!(own.copies.widened > 0 && own.copies.widened_macs.is_some());
    assert_eq!(known, own);
}

fn quarter() -> Recipe {
    Recipe {
        weight_bits: Bits::Grid(5),
        expand_ratio: 0.25,
        ..Recipe::default()
    }
}

#[test]
fn overhead_says_what_each_way_of_making_copies_costs() {
    let network = two_layers(|_| {});
    let gather = cost(&network, &planned(&network, &quarter()));
    let widen = cost(&network, &planned(&network, &widened(&quarter())));
    // Two copies of the second layer's 8 inputs; pictures of 144 pixels before the pool and 36 behind; 3 + 1 channels in.
    let pictures = SHAPE[0] as u64;
    assert_eq!(
        gather.layers[1].copies,
        Some(Copies::Gather {
            elements: Some(pictures * 10 * 36),
            why: None
        })
    );
    assert_eq!(
        widen.layers[1].copies,
        Some(Copies::Widen {
            producer: network.layers[0].name.clone(),
            macs: Some(pictures * 2 * 4 * 9 * 144),
            elements: Some(pictures * 2 * (144 + 144 + 36)),
        })
    );
    assert!(matches!(&widen.layers[0].copies, Some(Copies::Gather { why: Some(why), .. }) if why.contains("input")));
    assert_eq!((gather.copies.gathers, gather.copies.widened), (2, 0));
    assert_eq!((widen.copies.gathers, widen.copies.widened), (1, 1));
    assert_eq!(widen.copies.gathered_elements, Some(pictures * 4 * 144));
    // The producer's own weights: 8 rows of 3 * 9 became 10 of 4 * 9.
    assert_eq!(gather.layers[0].weights, (216, 288));
    assert_eq!(widen.layers[0].weights, (216, 360));
    assert_eq!(widen.layers[0].macs, Some((pictures * 144 * 216, pictures * 144 * 360)));
    assert_eq!(widen.layers[1].macs, gather.layers[1].macs);
    // What the exported file holds is what was counted.
    let counted = |plan: &Plan| {
        let model = split_only(&network, plan).unwrap();
        let graph = model.graph.unwrap();
        let floats = graph.initializer.iter().filter(|t| t.data_type() == data_type::FLOAT);
        floats.map(|t| t.dims.iter().product::<i64>()).sum::<i64>() as f64 / network.parameters() as f64
    };
    let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
    assert!(close(gather.weights, counted(&planned(&network, &quarter()))));
    assert!(close(widen.weights, counted(&planned(&network, &widened(&quarter())))));
}

#[test]
fn what_others_read_too_or_what_mixes_channels_keeps_its_gather() {
    let why = |network: &Network| {
        let plan = planned(network, &widened(&quarter()));
        assert_eq!(gathers(&rewrite(network, &plan).unwrap()), 2);
        match cost(network, &plan).layers.last().unwrap().copies.clone() {
            Some(Copies::Gather { why: Some(why), .. }) => why,
            other => panic!("{other:?}"),
        }
    };
    assert!(
        why(&two_layers(|chain| chain.push(
            "Softmax",
            &[],
            vec![int_attribute("axis", 1)]
        )))
        .contains("Softmax")
    );
    let squared = two_layers(|chain| {
        let value = chain.value.clone();
        chain.push("Mul", &[value], vec![]);
    });
    assert!(why(&squared).contains("Mul"));
    let model = two_layers(|_| {}).model;
    let mut model = (*model).clone();
    let graph = model.graph.as_mut().unwrap();
    graph.output.push(value("v1"));
    let shown = network(model);
    assert!(why(&shown).contains("'v1' is read by others too"));
    let grouped = {
        let mut chain = Chain::new(3, SHAPE[1]);
        chain.conv(8, 1, 1);
        chain.conv(8, 3, 2);
        chain.conv(5, 1, 1);
        chain.network()
    };
    let plan = planned(&grouped, &widened(&quarter()));
    let copies = cost(&grouped, &plan).layers[2].copies.clone();
    assert!(matches!(copies, Some(Copies::Gather { why: Some(why), .. }) if why.contains("groups")));
}

#[test]
fn a_depthwise_convolution_between_gets_a_group_for_each_copy() {
    let network = two_layers(|chain| chain.conv(8, 3, 8));
    let plan = planned(&network, &widened(&quarter()));
    let model = rewrite(&network, &plan).unwrap();
    let nodes = &model.graph.as_ref().unwrap().node;
    let groups: Vec<Option<i64>> = nodes
        .iter()
        .filter(|node| node.op_type() == "Conv")
        .map(|node| attribute_int(node, "group"))
        .collect();
    assert_eq!(groups, [Some(1), Some(10), Some(1)]);
    let widen = cost(&network, &plan);
    assert_eq!(widen.layers[1].weights, (72, 90));
    let pictures = SHAPE[0] as u64;
    assert_eq!(
        widen.layers[1].activations,
        Some((pictures * 8 * 36, pictures * 10 * 36))
    );
    let macs = pictures * 2 * (4 * 9 * 144 + 9 * 36);
    assert!(matches!(widen.layers[2].copies, Some(Copies::Widen { macs: Some(counted), .. }) if counted == macs));
}

/// The second convolution of each of the nine residual blocks reads what the first made, and nobody else does.
#[test]
fn the_demo_keeps_its_function_and_half_of_its_gathers_go() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    let progress = Progress::default();
    let outputs = |model: &ModelProto| {
        let engine = Rten::load(encode(model).unwrap()).unwrap();
        run_outputs(&engine, &data, 100, &progress).unwrap().logits
    };
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        expand_ratio: 0.1,
        ..Recipe::default()
    };
    let (gather, widen) = (planned(&network, &recipe), planned(&network, &widened(&recipe)));
    let float = outputs(&network.runnable_model());
    let difference = relative_difference(&float, &outputs(&split_only(&network, &widen).unwrap()));
    assert!(difference <= 1e-5, "{difference}");
    let (before, after) = (rewrite(&network, &gather).unwrap(), rewrite(&network, &widen).unwrap());
    assert_eq!(gathers(&before) - gathers(&after), 9);
    let difference = relative_difference(&outputs(&before), &outputs(&after));
    assert!(difference <= 1e-5, "{difference}");
    assert_eq!(cost(&network, &widen).copies.widened, 9);
}

/// The rounded halves of a channel are added up to one: no copy is left, and the network computes the same.
#[test]
fn merged_copies_compute_what_the_gathered_ones_do() {
    let network = open("demo:fashion");
    let data = Dataset::demo(Demo::Fashion);
    let outputs = |model: &ModelProto| {
        let engine = Rten::load(encode(model).unwrap()).unwrap();
        run_outputs(&engine, &data, 100, &Progress::default()).unwrap().logits
    };
    for scales in [Granularity::Tensor, Granularity::Channel] {
        let with = |weight_bits: u8, split_export: SplitExport| Recipe {
            weight_bits: Bits::Grid(weight_bits),
            expand_ratio: 0.1,
            scales,
            split_export,
            ..Recipe::default()
        };
        let export = |recipe: &Recipe| rewrite(&network, &planned(&network, recipe)).unwrap();
        let (gather, merge) = (
            export(&with(4, SplitExport::Gather)),
            export(&with(4, SplitExport::Merge)),
        );
        assert_eq!(gathers(&merge), 0);
        let difference = relative_difference(&outputs(&gather), &outputs(&merge));
        assert!(difference <= 1e-5, "{difference}");
        let unsplit = Recipe {
            expand_ratio: 0.0,
            ..with(4, SplitExport::Gather)
        };
        assert_ne!(outputs(&merge), outputs(&export(&unsplit)), "the splits still show");

        let costs = cost(&network, &planned(&network, &with(4, SplitExport::Merge)));
        assert_eq!((costs.weights, costs.macs), (1.0, Some(1.0)), "no weight is added");
        assert!(
            (5..=7).contains(&costs.copies.merged_bits),
            "{}",
            costs.copies.merged_bits
        );
        assert!(costs.copies.merged > 15 && costs.copies.gathers == 0);
    }
}

/// Eight bits cannot hold the sum of two halves of eight bits: such a layer keeps its copies, and says why.
#[test]
fn what_eight_bits_do_not_hold_is_not_merged() {
    let network = two_layers(|_| {});
    let with = |split_export| Recipe {
        weight_bits: Bits::Grid(8),
        split_export,
        ..quarter()
    };
    let merge = cost(&network, &planned(&network, &with(SplitExport::Merge)));
    assert!(matches!(&merge.layers[1].copies, Some(Copies::Gather { why: Some(why), .. }) if why.contains("8 bits")));
    let auto = cost(&network, &planned(&network, &with(SplitExport::Auto)));
    assert!(
        matches!(&auto.layers[1].copies, Some(Copies::Widen { .. })),
        "the next cheapest"
    );
}

/// `auto` has a copy computed where that is less work than moving the picture, and says what it would be where it is more.
#[test]
fn the_cheapest_of_a_wider_layer_and_a_gather_is_taken() {
    let mut chain = Chain::new(3, SHAPE[1]);
    for (outputs, size) in [(64, 3), (64, 3), (64, 1), (64, 1)] {
        chain.conv(outputs, size, 1);
        chain.push("Relu", &[], vec![]);
    }
    chain.push(
        "MaxPool",
        &[],
        vec![
            ints_attribute("kernel_shape", [3; 2]),
            ints_attribute("strides", [3, 3]),
        ],
    );
    chain.conv(5, 1, 1);
    let network = chain.network();
    let recipe = Recipe {
        // Without a grid nothing is merged.
        weight_bits: Bits::Float,
        expand_ratio: 0.05,
        split_export: SplitExport::Auto,
        ..Recipe::default()
    };
    let costs = cost(&network, &planned(&network, &recipe)).layers;
    let gathered = |layer: usize, macs: &str| match &costs[layer].copies {
        Some(Copies::Gather { why: Some(why), .. }) => why.ends_with(macs),
        _ => false,
    };
    // 4 copies of 64 channels: 4 times what one channel of the layer before takes, for each of 68 elements of a position.
    let macs = |each: usize| {
        format!(
            "would compute {} multiply-accumulates for each element that is copied",
            (4 * each).div_ceil(68)
        )
    };
    assert!(
        matches!(&costs[1].copies, Some(Copies::Widen { .. })),
        "3 * 9 is less than 24 * 68 / 4"
    );
    assert!(gathered(2, &macs(64 * 9)), "{:?}", costs[2].copies);
    assert!(
        matches!(&costs[3].copies, Some(Copies::Widen { .. })),
        "64 of a product"
    );
    assert!(
        gathered(4, &macs(64 * 9)),
        "nine positions of 64 become one: {:?}",
        costs[4].copies
    );
}

/// Where integer kernels are meant, split layers get channels without weights up to a width that these take at once, and compute
/// what merged ones do, which have none; also where the code of 0 is not 0.
#[test]
fn channels_without_weights_change_nothing() {
    let mut chain = Chain::new(3, SHAPE[1]);
    for (outputs, size, groups) in [(42, 3, 1), (42, 3, 42), (10, 1, 1), (5, 1, 1)] {
        chain.conv(outputs, size, groups);
        chain.push("Relu", &[], vec![]);
    }
    let network = chain.network();
    for weight_zero_points in [false, true] {
        let with = |split_export| Recipe {
            weight_bits: Bits::Grid(5),
            activation_bits: Bits::Grid(8),
            quantize_outputs: true,
            expand_ratio: 0.1,
            scales: Granularity::Channel,
            weight_zero_points,
            split_export,
            ..Recipe::default()
        };
        let of = |split_export| {
            let plan = planned(&network, &with(split_export));
            let model = rewrite(&network, &plan).unwrap();
            let file = encode(&model).unwrap().len() as f64;
            let cost = cost(&network, &plan);
            assert!(
                (cost.bytes.quantized as f64 / file - 1.0).abs() < 1e-3,
                "{} {file}",
                cost.bytes.quantized
            );
            (run(&model), cost)
        };
        let (gather, gather_cost) = of(SplitExport::Gather);
        let (widen, widen_cost) = of(SplitExport::Widen);
        let (merge, merge_cost) = of(SplitExport::Merge);
        for split in [&gather, &widen] {
            // But for the order of sums.
            let difference = relative_difference(&merge, split);
            assert!(difference <= 1e-6, "{difference}");
        }
        // Inputs of the dense layers: 3 + 1, 42 + 5, 10 + 1; 47 become 48 either way.
        let added = |cost: &Overhead| cost.layers.iter().map(|layer| layer.filled).collect::<Vec<u64>>();
        assert_eq!(added(&gather_cost), [0, 0, 1, 1]);
        assert_eq!((added(&widen_cost), widen_cost.copies.filled), (vec![0, 0, 1, 1], 2));
        assert_eq!(added(&merge_cost), [0; 4]);
        assert_eq!(widen_cost.layers[1].weights, (42 * 9, 48 * 9));
        assert!(
            widen_cost
                .needs
                .iter()
                .any(|need| need.starts_with("2 channels without weights"))
        );
    }
}

/// Float convolutions of 96 channels and more get them too, where numbers on a grid are stored as floats; narrower ones do not.
#[test]
fn float_convolutions_get_channels_in_sixteens() {
    let mut chain = Chain::new(5, SHAPE[1]);
    for (outputs, groups) in [(96, 1), (96, 96), (64, 1), (5, 1)] {
        chain.conv(outputs, 1, groups);
        chain.push("Relu", &[], vec![]);
    }
    let network = chain.network();
    let of = |split_export| {
        let recipe = Recipe {
            weight_bits: Bits::Grid(5),
            expand_ratio: 0.05,
            storage: Storage::Float,
            split_export,
            ..Recipe::default()
        };
        let plan = planned(&network, &recipe);
        let cost = cost(&network, &plan);
        let filled: Vec<u64> = cost.layers.iter().map(|layer| layer.filled).collect();
        (run(&rewrite(&network, &plan).unwrap()), filled, cost.layers[1].weights)
    };
    let (merge, none, _) = of(SplitExport::Merge);
    assert_eq!(none, [0; 4]);
    // 96 + 5 become 112, 64 + 4 stay.
    for (way, depthwise) in [(SplitExport::Gather, 96), (SplitExport::Widen, 112)] {
        let (outputs, filled, weights) = of(way);
        assert_eq!((filled, weights), (vec![0, 0, 11, 0], (96, depthwise)));
        let difference = relative_difference(&merge, &outputs);
        assert!(difference <= 1e-6, "{difference}");
    }
}

#[test]
#[ignore = "needs ../shared/models"]
fn networks_of_other_people_keep_their_function_with_wider_layers() {
    let progress = Progress::default();
    let mut all = 0;
    for file in [
        "cifar10_resnet20.onnx",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "charrnn_shakespeare.onnx",
    ] {
        let network = splitscope::format::open(&shared("models").join(file)).unwrap();
        for fold_batch_norm in [false, true] {
            let recipe = Recipe {
                weight_bits: Bits::Grid(6),
                expand_ratio: 0.1,
                fold_batch_norm,
                ..Recipe::default()
            };
            let network = splitscope::quantization::prepare(&network, &recipe).unwrap();
            let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
            let data = Dataset::noise(&network, &engine, 4, 7).unwrap();
            let outputs = |model: &ModelProto| {
                let engine = Rten::load(encode(model).unwrap()).unwrap();
                run_outputs(&engine, &data, 4, &progress).unwrap().logits
            };
            let (gather, widen) = (planned(&network, &recipe), planned(&network, &widened(&recipe)));
            let float = run_outputs(&engine, &data, 4, &progress).unwrap().logits;
            let split = relative_difference(&float, &outputs(&split_only(&network, &widen).unwrap()));
            let (before, after) = (rewrite(&network, &gather).unwrap(), rewrite(&network, &widen).unwrap());
            let quantized = relative_difference(&outputs(&before), &outputs(&after));
            let gone = gathers(&before) - gathers(&after);
            println!(
                "{file}, folded {fold_batch_norm}: {gone} gathers gone, split only {split:.1e}, quantized {quantized:.1e}"
            );
            assert!(split <= 1e-5 && quantized <= 1e-5, "{file}: {split} {quantized}");
            all += gone;
        }
    }
    assert!(all > 18, "{all}");
}
