//! SQuant and GPTQ against an independent implementation in numpy (`fixtures/rounding_reference.py`, whose output is kept beside
//! it), and clips of parts of a tensor against none.

use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use proptest::prelude::*;
use splitscope::network::{Layout, OutAxis};
use splitscope::quantization::{
    Bits, Buffers, Clip, Granularity, InputMoments, QuantizedLayer, Rounding, WeightSettings, plan_layer, plan_layer_in,
};
use std::io::Cursor;

const BITS: [u8; 4] = [2, 3, 4, 6];
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
        rounding,
        ..WeightSettings::default()
    }
}

/// A tensor of the reference with the inputs that it meets.
struct Tensor {
    layout: Layout,
    weights: Vec<f32>,
    inputs: Vec<f32>,
}

/// Hands each case over: the tensor, bits and scales, the codes of SQuant, the objectives of GPTQ and of nearest rounding.
fn for_each_case(mut check: impl FnMut(&Tensor, (u8, Granularity), &[i8], [f64; 2])) {
    let bytes = include_bytes!("../fixtures/rounding_reference.npz");
    let mut file = NpzReader::new(Cursor::new(bytes)).unwrap();
    let shapes: Array2<i64> = file.by_name("shapes").unwrap();
    let weights: Array1<f32> = file.by_name("weights").unwrap();
    let inputs: Array1<f32> = file.by_name("inputs").unwrap();
    let codes: Array1<i8> = file.by_name("codes").unwrap();
    let objectives: Array2<f64> = file.by_name("objectives").unwrap();
    let (mut weights, mut inputs, mut codes) = (weights.to_vec(), inputs.to_vec(), codes.to_vec());
    let mut objectives = objectives.rows().into_iter();
    for shape in shapes.rows() {
        let sizes: Vec<usize> = shape.iter().map(|size| usize::try_from(*size).unwrap()).collect();
        let layout = conv(sizes[0], sizes[1], sizes[2]);
        let tensor = Tensor {
            layout,
            weights: weights.drain(..layout.elements()).collect(),
            inputs: inputs.drain(..sizes[3] * sizes[1] * sizes[2]).collect(),
        };
        for bits in BITS {
            for scales in SCALES {
                let codes: Vec<i8> = codes.drain(..layout.elements()).collect();
                let objectives = objectives.next().unwrap();
                check(&tensor, (bits, scales), &codes, [objectives[0], objectives[1]]);
            }
        }
    }
    assert!(weights.is_empty() && inputs.is_empty() && codes.is_empty() && objectives.next().is_none());
}

#[test]
fn codes_of_squant_are_those_of_numpy_bit_for_bit() {
    let mut flipped = 0;
    for_each_case(|tensor, (bits, scales), codes, _| {
        let of = |rounding| plan_layer(&tensor.weights, &tensor.layout, &settings(bits, scales, rounding)).values;
        assert_eq!(
            of(Rounding::Squant),
            codes,
            "{:?}, {bits} bits, {scales}",
            tensor.layout
        );
        let nearest = of(Rounding::Nearest);
        flipped += nearest.iter().zip(codes).filter(|(a, b)| a != b).count();
    });
    assert!(flipped > 1000, "{flipped} codes are not the nearest");
}

/// The sum over output channels of `e E[x x'] e'`.
fn objective(tensor: &Tensor, planned: &QuantizedLayer) -> f64 {
    let width = tensor.layout.channels * tensor.layout.inner;
    let scales = planned.scales.on(&planned.layout);
    let rows = tensor.weights.chunks(width).zip(planned.values.chunks(width));
    let of_row = |(row, (weights, codes)): (usize, (&[f32], &[i8]))| -> f64 {
        let dequantized = |place: usize| f64::from(codes[place]) * f64::from(scales.at(row, place));
        let errors: Vec<f64> = (0..width).map(|i| f64::from(weights[i]) - dequantized(i)).collect();
        let of_input = |x: &[f32]| errors.iter().zip(x).map(|(e, x)| e * f64::from(*x)).sum::<f64>();
        tensor.inputs.chunks(width).map(|x| of_input(x).powi(2)).sum()
    };
    rows.enumerate().map(of_row).sum::<f64>() / (tensor.inputs.len() / width) as f64
}

#[test]
fn gptq_reaches_the_objective_of_numpy() {
    for_each_case(|tensor, (bits, scales), _, [expected, nearest]| {
        let mut moments = InputMoments::new(1, tensor.layout.channels * tensor.layout.inner);
        moments.add(0, &tensor.inputs);
        let of = |rounding| {
            let settings = settings(bits, scales, rounding);
            let planned = plan_layer_in(
                &Buffers::default(),
                &tensor.weights,
                &tensor.layout,
                &settings,
                Ok(&moments),
            );
            objective(tensor, &planned)
        };
        let (found, plain) = (of(Rounding::Gptq), of(Rounding::Nearest));
        let case = format!("{:?}, {bits} bits, {scales}", tensor.layout);
        assert!(
            (plain / nearest - 1.0).abs() < 1e-5,
            "{case}: nearest {plain}, numpy {nearest}"
        );
        assert!(
            (found / expected - 1.0).abs() < 1e-4,
            "{case}: {found}, numpy {expected}"
        );
        assert!(found < plain, "{case}: {found}, nearest {plain}");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Each part of a tensor that has a scale may be clipped for the least squared error, and never has more of it for that.
    #[test]
    fn a_clip_of_channels_or_blocks_has_no_more_error_than_none(
        weights in proptest::collection::vec(-1.0_f32..1.0, 3 * 8 * 9),
        bits in 2_u8..=8,
        power in 1_i32..6,
        block in any::<bool>(),
    ) {
        let weights: Vec<f32> = weights.iter().map(|w| w.powi(power)).collect();
        let layout = conv(3, 8, 9);
        let scales = if block { Granularity::Block(16) } else { Granularity::Channel };
        let error = |clip: Clip| {
            let settings = WeightSettings { clip, ..settings(bits, scales, Rounding::Nearest) };
            plan_layer(&weights, &layout, &settings).mse
        };
        let none = error(Clip::None);
        for clip in [Clip::Mse, Clip::Aciq, Clip::Octav] {
            let clipped = error(clip);
            prop_assert!(clipped <= none * (1.0 + 1e-5) + 1e-15, "{clip}: {clipped}, none {none}");
        }
    }
}
