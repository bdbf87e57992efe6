//! Weights on grids with zero points, against an independent implementation in numpy (`fixtures/zero_points_reference.py`, whose
//! output is kept beside it), and what exported files compute with them.

use crate::common::graph::{floats, model, network, run, value};
use crate::common::relative_difference;
use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use proptest::prelude::*;
use splitscope::network::{Layout, OutAxis};
use splitscope::onnx::build::{float_tensor, int_attribute, ints_attribute, node};
use splitscope::onnx::schema::data_type;
use splitscope::progress::Progress;
use splitscope::quantization::{
    Bits, Buffers, Clip, Copies, Granularity, InputMoments, QuantizedLayer, Recipe, Rounding, SplitExport, Storage,
    WeightSettings, overhead, plan, plan_layer, plan_layer_in, rewrite,
};
use std::io::Cursor;

const BITS: [u8; 4] = [2, 3, 4, 8];
const SCALES: [Granularity; 3] = [Granularity::Tensor, Granularity::Channel, Granularity::Block(16)];

fn conv(outer: usize, channels: usize, inner: usize) -> Layout {
    Layout {
        groups: 1,
        outer,
        channels,
        inner,
        out_axis: OutAxis::Outer,
        out_run: 1,
    }
}

fn settings(bits: u8, scales: Granularity, rounding: Rounding) -> WeightSettings {
    WeightSettings {
        bits: Bits::Grid(bits),
        scales,
        zero_points: true,
        rounding,
        ..WeightSettings::default()
    }
}

#[test]
fn scales_zero_points_and_codes_are_those_of_numpy_bit_for_bit() {
    let bytes = include_bytes!("../fixtures/zero_points_reference.npz");
    let mut file = NpzReader::new(Cursor::new(bytes)).unwrap();
    let shapes: Array2<i64> = file.by_name("shapes").unwrap();
    let mut floats = |name: &str| {
        file.by_name::<ndarray::OwnedRepr<f32>, ndarray::Ix1>(name)
            .unwrap()
            .to_vec()
    };
    let (mut weights, mut scales) = (floats("weights"), floats("scales"));
    let mut codes = |name: &str| -> Vec<i8> {
        let codes: Array1<i8> = file.by_name(name).unwrap();
        codes.to_vec()
    };
    let (mut zeros, mut nearest, mut squant) = (codes("zero_points"), codes("nearest"), codes("squant"));
    let mut middles = 0;
    for shape in shapes.rows() {
        let sizes: Vec<usize> = shape.iter().map(|size| usize::try_from(*size).unwrap()).collect();
        let layout = conv(sizes[0], sizes[1], sizes[2]);
        let tensor: Vec<f32> = weights.drain(..layout.elements()).collect();
        for bits in BITS {
            for granularity in SCALES {
                let case = format!("{layout:?}, {bits} bits, {granularity}");
                let planned = plan_layer(&tensor, &layout, &settings(bits, granularity, Rounding::Nearest));
                let count = planned.scales.values().len();
                let expected: Vec<f32> = scales.drain(..count).collect();
                assert_eq!(planned.scales.values(), expected, "{case}");
                let expected: Vec<i8> = zeros.drain(..count).collect();
                assert_eq!(planned.zero_points, expected, "{case}");
                middles += expected.iter().filter(|zero| **zero == 0).count();
                let expected: Vec<i8> = nearest.drain(..layout.elements()).collect();
                assert_eq!(planned.values, expected, "{case}");
                let rounded = plan_layer(&tensor, &layout, &settings(bits, granularity, Rounding::Squant));
                let expected: Vec<i8> = squant.drain(..layout.elements()).collect();
                assert_eq!(rounded.values, expected, "SQuant, {case}");
            }
        }
    }
    assert!(weights.is_empty() && scales.is_empty() && nearest.is_empty() && squant.is_empty() && zeros.is_empty());
    assert!(middles > 0, "some symmetric grids were better");
}

/// The error of the outputs on `inputs`, from its definition.
fn objective(weights: &[f32], inputs: &[f32], planned: &QuantizedLayer) -> f64 {
    let width = planned.layout.channels * planned.layout.inner;
    let placed = planned.placed();
    let of_row = |(row, (weights, codes)): (usize, (&[f32], &[i8]))| -> f64 {
        let errors: Vec<f64> = (weights.iter().zip(codes).enumerate())
            .map(|(at, (w, code))| f64::from(*w) - f64::from(placed.both_at(row, at).value(*code)))
            .collect();
        let of_input = |x: &[f32]| errors.iter().zip(x).map(|(e, x)| e * f64::from(*x)).sum::<f64>();
        inputs.chunks(width).map(|x| of_input(x).powi(2)).sum()
    };
    weights
        .chunks(width)
        .zip(planned.values.chunks(width))
        .enumerate()
        .map(of_row)
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Without splits; each scale takes the better grid by the squared error that nearest rounding has on it.
    #[test]
    fn zero_points_never_make_the_error_of_the_weights_larger_and_gptq_none_of_the_outputs(
        seed in 0.0_f32..100.0, shift in -0.6_f32..0.6, bits in 2_u8..=8, scale in 0_usize..3, clip in 0_usize..7,
    ) {
        let layout = conv(4, 12, 3);
        let number = |i: usize| ((i as f32 + seed) * 0.618_034).fract() - 0.5;
        let weights: Vec<f32> = (0..layout.elements()).map(|i| number(i).powi(3) * 8.0 + shift).collect();
        let inputs: Vec<f32> = (0..60 * 36).map(|i| number(i * 7 + 3) + 0.3 * number(i / 36) + 0.2).collect();
        let with = |zero_points: bool, rounding: Rounding| WeightSettings {
            zero_points,
            clip: Clip::CHOICES[clip],
            ..settings(bits, SCALES[scale], rounding)
        };
        let [symmetric, nearest] = [false, true].map(|zeros| plan_layer(&weights, &layout, &with(zeros, Rounding::Nearest)));
        prop_assert!(nearest.mse <= symmetric.mse * 1.000_01, "{} {}", nearest.mse, symmetric.mse);
        let mut moments = InputMoments::new(1, 36);
        moments.add(0, &inputs);
        let gptq = plan_layer_in(&Buffers::default(), &weights, &layout, &with(true, Rounding::Gptq), Ok(&moments));
        let [gptq, nearest] = [gptq, nearest].map(|planned| objective(&weights, &inputs, &planned));
        prop_assert!(gptq <= nearest * 1.000_1, "{gptq} {nearest}");
    }
}

/// Two convolutions of groups and strides, and a matrix with its inputs first; weights to one side.
fn small() -> splitscope::network::Network {
    let numbers = |count: usize, shift: f32| -> Vec<f32> {
        (0..count)
            .map(|i| (i as f32 * 0.618_034).fract() - 0.5 + shift)
            .collect()
    };
    let nodes = vec![
        node(
            "Conv",
            "one",
            ["x", "a", "b"],
            ["h"],
            vec![ints_attribute("pads", [1, 1, 1, 1])],
        ),
        node("Relu", "relu", ["h"], ["r"], vec![]),
        node("Conv", "two", ["r", "c"], ["i"], vec![int_attribute("group", 2)]),
        node("Flatten", "flat", ["i"], ["f"], vec![]),
        node("MatMul", "three", ["f", "d"], ["y"], vec![]),
    ];
    let constants = vec![
        float_tensor("a", &[8, 4, 3, 3], &numbers(288, 0.3)),
        float_tensor("b", &[8], &numbers(8, 0.0)),
        float_tensor("c", &[6, 4, 3, 3], &numbers(216, -0.2)),
        float_tensor("d", &[6 * 9, 10], &numbers(540, 0.4)),
    ];
    network(model(
        17,
        (nodes, constants),
        vec![floats("x", &[1, 4, 5, 5])],
        vec![value("y")],
    ))
}

#[test]
fn an_exported_file_computes_what_its_numbers_compute_in_every_form() {
    let network = small();
    let x: Vec<f32> = (0..100).map(|i| (i as f32 * 0.37).sin()).collect();
    let mut merged = 0;
    for bits in [2, 3, 4, 8] {
        for scales in SCALES {
            for (expand_ratio, split_export) in [
                (0.0, SplitExport::Gather),
                (0.2, SplitExport::Gather),
                (0.2, SplitExport::Widen),
                (0.2, SplitExport::Merge),
            ] {
                let recipe = |storage| Recipe {
                    weight_bits: Bits::Grid(bits),
                    scales,
                    weight_zero_points: true,
                    rounding: Rounding::Squant,
                    expand_ratio,
                    split_export,
                    storage,
                    ..Recipe::default()
                };
                let case = format!("{bits} bits, {scales}, {split_export}");
                let planned = |storage| plan(&network, &recipe(storage), None, &Progress::default()).unwrap();
                let plan = planned(Storage::Auto);
                let exported = rewrite(&network, &plan).unwrap();
                let graph = exported.graph.as_ref().unwrap();
                let codes = graph.initializer.iter().find(|tensor| tensor.name() == "a.q").unwrap();
                let of_bits = [data_type::UINT2, data_type::UINT4, data_type::UINT4, data_type::UINT8];
                if split_export != SplitExport::Merge {
                    assert_eq!(
                        codes.data_type(),
                        of_bits[[2, 3, 4, 8].iter().position(|b| *b == bits).unwrap()]
                    );
                }
                let zero = graph
                    .initializer
                    .iter()
                    .find(|tensor| tensor.name() == "a.zero_point")
                    .unwrap();
                assert_eq!(zero.data_type(), codes.data_type(), "{case}");
                let [auto, int8, uint8, float] = Storage::CHOICES
                    .map(|storage| run(&rewrite(&network, &planned(storage)).unwrap(), &[1, 4, 5, 5], &x));
                assert!(relative_difference(&auto, &float) < 1e-5, "{case}");
                assert!(relative_difference(&int8, &float) < 1e-5, "{case}");
                assert_eq!(uint8, int8, "{case}");
                // Merged or not, the copies add up to the same numbers.
                let gathered = Recipe {
                    split_export: SplitExport::Gather,
                    ..recipe(Storage::Float)
                };
                let gathered = splitscope::quantization::plan(&network, &gathered, None, &Progress::default()).unwrap();
                let gathered = run(&rewrite(&network, &gathered).unwrap(), &[1, 4, 5, 5], &x);
                assert!(relative_difference(&auto, &gathered) < 1e-5, "{case}");
                let layers = overhead(&network, &plan, None).layers;
                merged += layers
                    .iter()
                    .filter(|layer| matches!(layer.copies, Some(Copies::Merge { .. })))
                    .count();
            }
        }
    }
    assert!(merged > 0, "some copies were merged");
}
