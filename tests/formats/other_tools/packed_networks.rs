//! Hub folders of quantized checkpoints run: the answers are those of a network with the numbers that the codes stand for.

use crate::common::judged::hub_with;
use splitscope::data::Tensor;
use splitscope::inference::{Engine, Rten};
use splitscope::network::{Network, Support, Unsupported};
use splitscope::onnx::build::{float_tensor, i8_tensor, i32_tensor, raw_tensor};
use splitscope::onnx::schema::data_type;
use splitscope::onnx::{TensorProto, encode, float_values};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite};

/// Inputs that share a scale.
const GROUP: usize = 16;

/// A matrix of codes `[outputs, inputs]`.
struct Codes {
    module: String,
    outputs: usize,
    inputs: usize,
    codes: Vec<i32>,
}

impl Codes {
    /// Codes that fill `least..=most`, as the weight's own numbers fall.
    fn of(tensor: &TensorProto, (least, most): (i32, i32)) -> Self {
        let values = float_values(tensor).unwrap();
        let largest = values.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        let code = |x: &f32| least + ((x / largest + 1.0) / 2.0 * (most - least) as f32).round() as i32;
        Self {
            module: tensor.name().strip_suffix(".weight").unwrap().to_owned(),
            outputs: tensor.dims[0] as usize,
            inputs: tensor.dims[1] as usize,
            codes: values.iter().map(code).collect(),
        }
    }

    fn name(&self, part: &str) -> String {
        format!("{}.{part}", self.module)
    }

    /// The weight that they stand for, where `grid` tells scale and zero point of an output and an input.
    fn weight(&self, grid: impl Fn(usize, usize) -> (f32, i32)) -> TensorProto {
        let value = |at: usize| {
            let (scale, zero) = grid(at / self.inputs, at % self.inputs);
            (self.codes[at] - zero) as f32 * scale
        };
        let values: Vec<f32> = (0..self.codes.len()).map(value).collect();
        float_tensor(self.name("weight"), &[self.outputs, self.inputs], &values)
    }

    fn bytes(&self) -> TensorProto {
        let codes: Vec<i8> = self.codes.iter().map(|code| *code as i8).collect();
        i8_tensor(self.name("weight"), &[self.outputs, self.inputs], &codes)
    }
}

/// A scale that differs from row to row and from group to group, and keeps weights small.
fn scale(output: usize, group: usize) -> f32 {
    0.02 / (1.0 + (output % 5) as f32 + 2.0 * (group % 3) as f32)
}

/// Codes of 4 bits, eight in a word, the first lowest.
fn words(codes: &[i32]) -> Vec<i32> {
    let word = |codes: &[i32]| codes.iter().rev().fold(0_u32, |word, code| word << 4 | *code as u32) as i32;
    codes.chunks(8).map(word).collect()
}

/// What a layout stores of a matrix, and the matrix that it stands for.
type Layout = fn(&TensorProto) -> (Vec<TensorProto>, TensorProto);

fn rows_of_bytes(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    let codes = Codes::of(tensor, (-127, 127));
    let scales: Vec<f32> = (0..codes.outputs).map(|o| scale(o, 0)).collect();
    let scales = float_tensor(codes.name("weight_scale"), &[codes.outputs, 1], &scales);
    (vec![codes.bytes(), scales], codes.weight(|o, _| (scale(o, 0), 0)))
}

fn rows_with_zero_points(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    let codes = Codes::of(tensor, (-128, 127));
    let zero = |o: usize| (o % 40) as i32 - 20;
    let scales: Vec<f32> = (0..codes.outputs).map(|o| scale(o, 0)).collect();
    let zeros: Vec<i8> = (0..codes.outputs).map(|o| zero(o) as i8).collect();
    let beside = [
        float_tensor(codes.name("weight_scale"), &[codes.outputs, 1], &scales),
        i8_tensor(codes.name("weight_zero_point"), &[codes.outputs, 1], &zeros),
    ];
    let weight = codes.weight(|o, _| (scale(o, 0), zero(o)));
    ([vec![codes.bytes()], beside.to_vec()].concat(), weight)
}

fn bitsandbytes(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    let codes = Codes::of(tensor, (-127, 127));
    let largest: Vec<f32> = (0..codes.outputs).map(|o| scale(o, 0) * 127.0).collect();
    let largest = float_tensor(codes.name("SCB"), &[codes.outputs], &largest);
    (vec![codes.bytes(), largest], codes.weight(|o, _| (scale(o, 0), 0)))
}

fn eight_bit_floats(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    let codes = Codes::of(tensor, (0, 0x70));
    // Sign, four bits of exponent with the bias 7, three bits of mantissa; the code is its own number here.
    let number = |code: i32| {
        let (exponent, mantissa) = (code >> 3, (code & 7) as f32 / 8.0);
        match exponent {
            0 => mantissa * 2.0_f32.powi(-6),
            exponent => (1.0 + mantissa) * 2.0_f32.powi(exponent - 7),
        }
    };
    let weight: Vec<f32> = codes.codes.iter().map(|code| number(*code) * 1e-3).collect();
    let bytes: Vec<u8> = codes.codes.iter().map(|code| *code as u8).collect();
    let shape = [codes.outputs, codes.inputs];
    let stored = vec![
        raw_tensor(codes.name("weight"), data_type::FLOAT8E4M3FN, &shape, bytes),
        float_tensor(codes.name("weight_scale"), &[1], &[1e-3]),
    ];
    (stored, float_tensor(codes.name("weight"), &shape, &weight))
}

fn compressed(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    let codes = Codes::of(tensor, (0, 15));
    let groups = codes.inputs / GROUP;
    let scales: Vec<f32> = (0..codes.outputs * groups)
        .map(|at| scale(at / groups, at % groups))
        .collect();
    let stored = vec![
        i32_tensor(
            codes.name("weight_packed"),
            &[codes.outputs, codes.inputs / 8],
            &words(&codes.codes),
        ),
        float_tensor(codes.name("weight_scale"), &[codes.outputs, groups], &scales),
        i32_tensor(
            codes.name("weight_shape"),
            &[2],
            &[codes.outputs as i32, codes.inputs as i32],
        ),
    ];
    (stored, codes.weight(|o, i| (scale(o, i / GROUP), 8)))
}

/// `qzeros` and `scales` of groups whose zero points are `zero`, stored less `less`.
fn groups(codes: &Codes, zero: fn(usize, usize) -> i32, less: i32, order: [usize; 8]) -> [TensorProto; 2] {
    let groups = codes.inputs / GROUP;
    let rows = |g: usize| (0..codes.outputs).map(move |o| (o, g));
    let zeros: Vec<i32> = (0..groups).flat_map(rows).map(|(o, g)| zero(o, g) - less).collect();
    let scales: Vec<f32> = (0..groups).flat_map(rows).map(|(o, g)| scale(o, g)).collect();
    [
        i32_tensor(
            codes.name("qzeros"),
            &[groups, codes.outputs / 8],
            &words(&ordered(&zeros, order)),
        ),
        float_tensor(codes.name("scales"), &[groups, codes.outputs], &scales),
    ]
}

/// Of each eight codes the one at `order[k]` comes as number k.
fn ordered(codes: &[i32], order: [usize; 8]) -> Vec<i32> {
    codes
        .chunks(8)
        .flat_map(|eight| order.map(|place| eight[place]))
        .collect()
}

const IN_ORDER: [usize; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

fn gptq_with(tensor: &TensorProto, group_of: fn(usize, usize) -> usize) -> (Vec<TensorProto>, TensorProto) {
    let codes = Codes::of(tensor, (0, 15));
    // 16 does not fit into four bits, 15 stands for it.
    let zero = |o: usize, g: usize| 1 + ((3 * o + g) % 16) as i32;
    let (outputs, inputs) = (codes.outputs, codes.inputs);
    let mut words_of_inputs = vec![0_u32; inputs / 8 * outputs];
    for (at, code) in codes.codes.iter().enumerate() {
        let (o, i) = (at / inputs, at % inputs);
        words_of_inputs[i / 8 * outputs + o] |= (*code as u32) << (i % 8 * 4);
    }
    let words: Vec<i32> = words_of_inputs.into_iter().map(|word| word as i32).collect();
    let places: Vec<i32> = (0..inputs).map(|i| group_of(i, inputs / GROUP) as i32).collect();
    let mut stored = vec![
        i32_tensor(codes.name("qweight"), &[inputs / 8, outputs], &words),
        i32_tensor(codes.name("g_idx"), &[inputs], &places),
    ];
    stored.extend(groups(&codes, zero, 1, IN_ORDER));
    let weight = codes.weight(|o, i| {
        let group = group_of(i, inputs / GROUP);
        (scale(o, group), zero(o, group))
    });
    (stored, weight)
}

fn gptq(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    gptq_with(tensor, |input, _| input / GROUP)
}

fn gptq_in_order_of_activations(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    gptq_with(tensor, |input, groups| 7 * input % groups)
}

fn awq(tensor: &TensorProto) -> (Vec<TensorProto>, TensorProto) {
    let order = [0, 2, 4, 6, 1, 3, 5, 7];
    let codes = Codes::of(tensor, (0, 15));
    let zero = |o: usize, g: usize| ((3 * o + g) % 16) as i32;
    let (outputs, inputs) = (codes.outputs, codes.inputs);
    let turned: Vec<i32> = (0..inputs)
        .flat_map(|i| (0..outputs).map(move |o| (o, i)))
        .map(|(o, i)| codes.codes[o * inputs + i])
        .collect();
    let mut stored = vec![i32_tensor(
        codes.name("qweight"),
        &[inputs, outputs / 8],
        &words(&ordered(&turned, order)),
    )];
    stored.extend(groups(&codes, zero, 0, order));
    (stored, codes.weight(|o, i| (scale(o, i / GROUP), zero(o, i / GROUP))))
}

fn logits(network: &Network) -> Vec<f32> {
    assert_eq!(network.why_not_runnable, None);
    let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
    let tokens = Tensor::from_shape([1, 9], (0..9).map(|at| at * 5 % 41).collect::<Vec<i32>>()).unwrap();
    let answer = engine.run(&[("input_ids", &tokens)], &["logits"]).unwrap().remove(0);
    answer.floats().unwrap().to_vec()
}

#[test]
fn packed_checkpoints_run_on_the_numbers_that_their_codes_stand_for() {
    let is_packed = |tensor: &TensorProto| tensor.name().ends_with("_proj.weight");
    for (name, layout) in [
        ("int8", rows_of_bytes as Layout),
        ("int8 with zero points", rows_with_zero_points),
        ("bitsandbytes", bitsandbytes),
        ("fp8", eight_bit_floats),
        ("compressed-tensors", compressed),
        ("GPTQ", gptq),
        ("GPTQ in the order of activations", gptq_in_order_of_activations),
        ("AWQ", awq),
    ] {
        let with = |stored: bool| {
            hub_with("llama", |tensors| {
                let all = std::mem::take(tensors);
                for tensor in all {
                    if !is_packed(&tensor) {
                        tensors.push(tensor);
                        continue;
                    }
                    let (parts, weight) = layout(&tensor);
                    tensors.extend(if stored { parts } else { vec![weight] });
                }
            })
        };
        let ((_folder, packed), (_other, float)) = (with(true), with(false));
        assert!(
            packed.notes[0].starts_with("14 weights are packed"),
            "{name}: {:?}",
            packed.notes
        );
        assert_eq!(packed.architecture, float.architecture);
        let (ours, right) = (logits(&packed), logits(&float));
        let largest = right.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        for (a, b) in ours.iter().zip(&right) {
            assert!((a - b).abs() <= 1e-5 * largest, "{name}: {a} {b}");
        }
        // Called as in the float file, on a grid already, and with the numbers of the float file.
        for (index, layer) in packed.layers.iter().enumerate() {
            let Support::View(reason) = &layer.support else {
                continue;
            };
            assert!(matches!(reason, Unsupported::Quantized(_)), "{name}: {reason}");
            let at = float.layer_index(&layer.name).unwrap();
            let (ours, right) = (packed.real_weights(index).unwrap(), float.real_weights(at).unwrap());
            let far = |(a, b): (&f32, &f32)| (a - b).abs() > 1e-6 * b.abs().max(1e-4);
            assert!(!ours.iter().zip(right.iter()).any(far), "{name}: {}", layer.name);
        }
        let looked_at = packed.layers.iter().filter(|layer| !layer.support.can_quantize());
        assert_eq!(looked_at.count(), 14, "{name}");
        // What is exported is the same network, the other layers on a grid.
        let recipe = Recipe {
            weight_bits: Bits::Grid(6),
            activation_bits: Bits::Float,
            ..Recipe::default()
        };
        let planned = plan(&packed, &recipe, None, &Progress::default()).unwrap();
        let exported = rewrite(&packed, &planned).unwrap();
        assert!(Rten::load(encode(&exported).unwrap()).is_ok(), "{name}");
    }
}
