//! Grids of activations as the engine is quick with: it rounds to unsigned bytes many numbers at a time, to signed ones one by
//! one. A signed grid whose zero point is moved up by 128 has the same points in the same places.

use crate::onnx::build::scalar_u8;
use crate::onnx::schema::data_type;
use crate::onnx::{Graph, GraphProto, ModelProto, Names, NodeProto, TensorProto, tensor_bytes};
use std::collections::{HashMap, HashSet};

/// From a signed byte to the unsigned one in the same place.
const SHIFT: i16 = 128;

/// Whether a node clips its input to both ends.
fn is_clip(node: &NodeProto) -> bool {
    node.op_type() == "Clip" && node.input.iter().filter(|input| !input.is_empty()).count() == 3
}

/// Lets each `QuantizeLinear` to int8 that only `DequantizeLinear` reads, through a `Gather` and a `Concat` or not, go to uint8
/// instead, with the same numbers behind. Only behind a `Clip`, because the engine's conversion is not defined for numbers beyond
/// 32 bits. Tells whether there were any; a model with subgraphs, which may read any value, stays as it is.
pub(super) fn make_unsigned(model: &mut ModelProto) -> bool {
    let mut names = Names::of(model);
    let Some(graph) = &mut model.graph else { return false };
    if graph.node.iter().any(|node| node.subgraphs().next().is_some()) {
        return false;
    }
    let zeros = signed_scalars(graph);
    let moved = movable(graph, &zeros);
    if moved.is_empty() {
        return false;
    }
    let mut made: HashMap<String, String> = HashMap::new();
    for node in &mut graph.node {
        let value = match node.op_type() {
            "QuantizeLinear" => node.output.first(),
            "DequantizeLinear" => node.input.first(),
            _ => None,
        };
        if !value.is_some_and(|value| moved.contains(value)) {
            continue;
        }
        let Some(zero) = node.input.get_mut(2) else { continue };
        let shifted = made.entry(zero.clone()).or_insert_with(|| {
            let name = names.fresh(&format!("{zero}.unsigned"));
            let point = (i16::from(zeros[zero]) + SHIFT) as u8;
            graph.initializer.push(scalar_u8(name.clone(), point));
            name
        });
        zero.clone_from(shifted);
    }
    graph.value_info.retain(|info| !moved.contains(info.name()));
    true
}

/// The int8 constants of one element.
fn signed_scalars(graph: &GraphProto) -> HashMap<String, i8> {
    let scalar = |tensor: &TensorProto| {
        let one = tensor.dims.iter().product::<i64>() == 1;
        let bytes = (tensor.data_type() == data_type::INT8 && one).then(|| tensor_bytes(tensor).ok())??;
        Some((tensor.name().to_owned(), *bytes.first()? as i8))
    };
    graph.initializer.iter().filter_map(scalar).collect()
}

/// The quantized values that can move, with what a `Gather` makes of them.
fn movable(graph: &GraphProto, zeros: &HashMap<String, i8>) -> HashSet<String> {
    let is_signed = |node: &NodeProto| node.input.get(2).is_some_and(|zero| zeros.contains_key(zero));
    let clipped: HashSet<&str> = (graph.node.iter())
        .filter(|node| is_clip(node))
        .filter_map(|node| node.output.first().map(String::as_str))
        .collect();
    let index = Graph::main(graph);
    let moves = |node: &&NodeProto| {
        let from_clip = node.input.first().is_some_and(|input| clipped.contains(input.as_str()));
        node.op_type() == "QuantizeLinear" && node.attribute.is_empty() && is_signed(node) && from_clip
    };
    let mut moved = HashSet::new();
    for value in graph.node.iter().filter(moves).filter_map(|node| node.output.first()) {
        let mut all = vec![value.as_str()];
        if follow(&index, &is_signed, &mut all) {
            moved.extend(all.into_iter().map(str::to_owned));
        }
    }
    moved
}

/// Adds to `values`, which begins with a quantized value, what a `Gather` makes of it and what a `Concat` puts together of them;
/// tells whether nothing else but `DequantizeLinear` by a signed zero point reads any of them.
fn follow<'a>(graph: &'a Graph<'_>, is_signed: &impl Fn(&NodeProto) -> bool, values: &mut Vec<&'a str>) -> bool {
    let (mut at, mut joined) = (0, Vec::new());
    while let Some(&value) = values.get(at) {
        at += 1;
        let readers = graph.readers(value);
        if readers.len() != graph.read_count(value) {
            return false;
        }
        for node in readers.iter().filter_map(|position| graph.node(*position)) {
            let from_first = node.input.first().is_some_and(|input| input == value);
            match node.op_type() {
                "DequantizeLinear" if from_first && is_signed(node) => {}
                "Gather" if from_first => values.extend(node.output.first().map(String::as_str)),
                "Concat" => {
                    let made = node.output.first().map(String::as_str);
                    values.extend(made.filter(|made| !values.contains(made)));
                    joined.extend(node.input.iter().map(String::as_str));
                }
                _ => return false,
            }
        }
    }
    joined.iter().all(|value| values.contains(value))
}

#[cfg(test)]
mod tests {
    use super::super::Rten;
    use super::*;
    use crate::data::{Dataset, Tensor};
    use crate::engine::Engine as _;
    use crate::format::demo::Demo;
    use crate::inference::{calibrate, run_outputs};
    use crate::onnx::build::{float_value_info, model_of, node, scalar_f32, scalar_i8};
    use crate::onnx::encode;
    use crate::progress::Progress;
    use crate::quantization::{Bits, Recipe, Storage, plan, prepare, rewrite};

    /// The Fashion demo with 4-bit weights and activations of `bits`.
    fn exported(bits: u8, unsigned: bool) -> ModelProto {
        export(&Recipe {
            weight_bits: Bits::Grid(4),
            activation_bits: Bits::Grid(bits),
            unsigned_activations: unsigned,
            // In files of newer operator sets they are unsigned already.
            storage: Storage::Int8,
            ..Recipe::default()
        })
    }

    fn export(recipe: &Recipe) -> ModelProto {
        let network = prepare(&Demo::Fashion.network().unwrap(), recipe).unwrap();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let data = Dataset::demo_calibration(Demo::Fashion);
        let seen = calibrate(&network, &engine, &data, 16, &Progress::default()).unwrap();
        let plan = plan(&network, recipe, Some(&seen.activations), &Progress::default()).unwrap();
        rewrite(&network, &plan).unwrap()
    }

    fn logits(model: &ModelProto) -> Vec<f32> {
        let engine = Rten::load_unoptimized(encode(model).unwrap()).unwrap();
        let data = Dataset::demo(Demo::Fashion);
        run_outputs(&engine, &data, 10, &Progress::default()).unwrap().logits
    }

    #[test]
    fn the_answers_stay_the_same_to_the_last_bit() {
        for bits in [8, 4] {
            let before = exported(bits, false);
            let mut after = before.clone();
            assert!(make_unsigned(&mut after));
            assert_ne!(before, after);
            assert_eq!(logits(&before), logits(&after), "{bits} bits");
            assert!(!make_unsigned(&mut after), "there is nothing left to move");
        }
    }

    #[test]
    fn copies_of_codes_move_with_their_source() {
        let split = |activation_bits, unsigned_activations| Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.1,
            activation_bits: Bits::Grid(activation_bits),
            unsigned_activations,
            storage: Storage::Int8,
            ..Recipe::default()
        };
        let before = export(&split(8, false));
        let graph = before.graph.as_ref().unwrap();
        let codes: HashSet<&str> = (graph.node.iter())
            .filter(|node| node.op_type() == "QuantizeLinear")
            .flat_map(|node| node.output.iter().map(String::as_str))
            .collect();
        let of_codes = |node: &&NodeProto| node.op_type() == "Gather" && codes.contains(node.input[0].as_str());
        assert!(
            graph.node.iter().filter(of_codes).count() > 15,
            "bytes are copied, not floats"
        );
        let mut after = before.clone();
        assert!(make_unsigned(&mut after));
        assert_eq!(logits(&before), logits(&after));
    }

    #[test]
    fn a_grid_without_a_clip_gets_one_for_the_engine() {
        let ends = |unsigned: bool, x: [f32; 4]| {
            let zero = if unsigned { scalar_u8("z", 0) } else { scalar_i8("z", 0) };
            let graph = GraphProto {
                node: vec![
                    node("QuantizeLinear", "", ["x", "s", "z"], ["q"], vec![]),
                    node("DequantizeLinear", "", ["q", "s", "z"], ["y"], vec![]),
                ],
                initializer: vec![scalar_f32("s", 0.5), zero],
                input: vec![float_value_info("x", &[4])],
                output: vec![float_value_info("y", &[4])],
                ..GraphProto::default()
            };
            let model = model_of(13, graph);
            let engine = Rten::load(encode(&model).unwrap()).unwrap();
            let x = Tensor::from_shape([4], x.to_vec()).unwrap();
            let run = engine.run(&[("x", &x)], &["y"]).unwrap();
            run[0].floats().unwrap().to_vec()
        };
        let far = [1e30, -1e30, 3.0, -3.2];
        assert_eq!(ends(true, far), [127.5, 0.0, 3.0, 0.0]);
        assert_eq!(ends(false, far), [63.5, -64.0, 3.0, -3.0]);
    }

    #[test]
    fn weights_and_grids_that_are_unsigned_already_stay() {
        let before = exported(8, true);
        let mut after = before.clone();
        make_unsigned(&mut after);
        let graph = |model: &ModelProto| model.graph.clone().unwrap();
        for (one, other) in graph(&before).node.iter().zip(&graph(&after).node) {
            let of_weight = one.name().contains("dequantize_weight");
            assert!(!of_weight || one == other, "{}", one.name());
        }
        assert_eq!(logits(&before), logits(&after));
    }

    #[test]
    fn a_value_that_somebody_else_reads_stays() {
        let mut model = exported(8, false);
        let graph = model.graph.as_mut().unwrap();
        let value = movable(graph, &signed_scalars(graph)).into_iter().next().unwrap();
        graph.output[0].name = Some(value.clone());
        assert!(!movable(graph, &signed_scalars(graph)).contains(&value));
    }
}
