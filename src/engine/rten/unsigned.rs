//! Grids of activations as the engine is quick with: it rounds to unsigned bytes many numbers at a time, to signed ones one by
//! one. A signed grid whose zero point is moved up by 128 has the same points in the same places.

use crate::onnx::build::scalar_u8;
use crate::onnx::schema::data_type;
use crate::onnx::{GraphProto, ModelProto, Names, NodeProto, TensorProto, tensor_bytes};
use std::collections::{HashMap, HashSet};

/// From a signed byte to the unsigned one in the same place.
const SHIFT: i16 = 128;

/// Lets each `QuantizeLinear` to int8 that only `DequantizeLinear` reads go to uint8 instead, with the same numbers behind.
/// Only behind a `Clip`, because the engine's conversion is not defined for numbers beyond 32 bits. Tells whether there were
/// any; a model with subgraphs, which may read any value, stays as it is.
pub(super) fn make_unsigned(model: &mut ModelProto) -> bool {
    let mut names = Names::of(model);
    let Some(graph) = &mut model.graph else { return false };
    let bodies = |node: &NodeProto| node.attribute.iter().any(|a| a.g.is_some() || !a.graphs.is_empty());
    if graph.node.iter().any(bodies) {
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

/// The quantized values that can move.
fn movable(graph: &GraphProto, zeros: &HashMap<String, i8>) -> HashSet<String> {
    let is_signed = |node: &NodeProto| node.input.get(2).is_some_and(|zero| zeros.contains_key(zero));
    let clipped: HashSet<&str> = (graph.node.iter())
        .filter(|node| node.op_type() == "Clip" && node.input.iter().filter(|input| !input.is_empty()).count() == 3)
        .filter_map(|node| node.output.first().map(String::as_str))
        .collect();
    let mut moved: HashSet<String> = (graph.node.iter())
        .filter(|node| node.op_type() == "QuantizeLinear" && node.attribute.is_empty() && is_signed(node))
        .filter(|node| node.input.first().is_some_and(|input| clipped.contains(input.as_str())))
        .filter_map(|node| node.output.first().cloned())
        .collect();
    for node in &graph.node {
        let reads_alone = node.op_type() == "DequantizeLinear" && is_signed(node);
        for (slot, input) in node.input.iter().enumerate() {
            if slot != 0 || !reads_alone {
                moved.remove(input);
            }
        }
    }
    for output in &graph.output {
        moved.remove(output.name());
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::super::Rten;
    use super::*;
    use crate::data::Dataset;
    use crate::format::demo::Demo;
    use crate::inference::{calibrate, run_outputs};
    use crate::onnx::encode;
    use crate::progress::Progress;
    use crate::quantization::{Bits, Recipe, plan, prepare, rewrite};

    /// The Fashion demo with 4-bit weights and activations of `bits`.
    fn exported(bits: u8, unsigned: bool) -> ModelProto {
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            activation_bits: Bits::Grid(bits),
            unsigned_activations: unsigned,
            ..Recipe::default()
        };
        let network = prepare(&Demo::Fashion.network().unwrap(), &recipe).unwrap();
        let engine = Rten::load(encode(&network.runnable_model()).unwrap()).unwrap();
        let data = Dataset::demo_calibration(Demo::Fashion);
        let seen = calibrate(&network, &engine, &data, 16, &Progress::default()).unwrap();
        let plan = plan(&network, &recipe, Some(&seen.activations), &Progress::default()).unwrap();
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
