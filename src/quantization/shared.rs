//! Weights that several layers share: planned once, written once, counted once.

use super::{FloatLayer, LayerPlan, Outcome, Plan, PlannedInputs, QuantizedLayer};
use crate::network::{Layer, Layout, Network, Support, TensorPlace};
use std::collections::HashMap;

/// Where a weight is stored: the way down to its graph, and the place there.
pub(super) type WeightPlace<'a> = (&'a [(usize, String)], TensorPlace);

/// Where the weight of `layer` is stored.
pub(super) fn weight_place(layer: &Layer) -> WeightPlace<'_> {
    (&layer.source.subgraphs, layer.source.tensor)
}

/// For each layer, the first that reads the same stored weight in the same way; itself where no other does.
pub(super) fn first_readers(network: &Network) -> Vec<usize> {
    let mut firsts: HashMap<(WeightPlace<'_>, Layout, bool), usize> = HashMap::new();
    let layers = network.layers.iter().enumerate();
    layers
        .map(|(index, layer)| {
            let key = (weight_place(layer), layer.layout, layer.support == Support::Split);
            *firsts.entry(key).or_insert(index)
        })
        .collect()
}

/// What the stored weights of a network become, each once however many layers read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    /// Whether the layer's planned weight is one that no layer before it has already.
    pub(super) is_new: bool,
    /// Whether the stored float weight goes with this layer: no layer keeps it, and none before took its place already.
    pub(super) replaces_float: bool,
    /// Whether it is a weight of the plan: on a grid, or float and split.
    pub(super) is_written: bool,
}

/// For each layer of `network`, what of its weight is written to an exported file.
pub(super) fn written(network: &Network, plan: &Plan) -> Vec<Written> {
    let mut readers: HashMap<WeightPlace<'_>, Vec<usize>> = HashMap::new();
    for (index, layer) in network.layers.iter().enumerate().take(plan.layers.len()) {
        readers.entry(weight_place(layer)).or_default().push(index);
    }
    let of = |(index, layer): (usize, &Layer)| {
        let all = readers.get(&weight_place(layer)).map_or(&[][..], Vec::as_slice);
        let planned = |index: usize| new_weight(&plan.layers[index]);
        let before = || all.iter().take_while(|other| **other < index);
        let is_new = planned(index).is_none_or(|own| !before().filter_map(|at| planned(*at)).any(|it| alike(it, own)));
        Written {
            is_new,
            replaces_float: all.first() == Some(&index) && all.iter().all(|at| planned(*at).is_some()),
            is_written: planned(index).is_some(),
        }
    };
    network
        .layers
        .iter()
        .enumerate()
        .take(plan.layers.len())
        .map(of)
        .collect()
}

/// A weight that is written for a layer.
#[derive(Clone, Copy)]
enum NewWeight<'a> {
    Codes(&'a QuantizedLayer),
    Split(&'a FloatLayer),
}

/// The new weight of a layer; `None` where it keeps the one that it has.
fn new_weight(planned: &LayerPlan) -> Option<NewWeight<'_>> {
    match &planned.outcome {
        Outcome::Quantized(layer) => Some(NewWeight::Codes(layer)),
        Outcome::Expanded(layer) => PlannedInputs::from(layer.as_ref())
            .is_expanded()
            .then_some(NewWeight::Split(layer)),
        Outcome::Float(_) => None,
    }
}

/// Whether two layers of one stored weight have the same tensor in an exported file.
fn alike(one: NewWeight<'_>, other: NewWeight<'_>) -> bool {
    match (one, other) {
        (NewWeight::Codes(one), NewWeight::Codes(other)) => alike_codes(one, other),
        (NewWeight::Split(one), NewWeight::Split(other)) => {
            one.layout == other.layout && one.index == other.index && one.activation_splits == other.activation_splits
        }
        _ => false,
    }
}

fn alike_codes(one: &QuantizedLayer, other: &QuantizedLayer) -> bool {
    one.grid == other.grid
        && one.layout == other.layout
        && one.scales == other.scales
        && one.zero_points == other.zero_points
        && one.index == other.index
        && one.activation_splits == other.activation_splits
        && one.values == other.values
}

#[cfg(test)]
mod tests {
    use super::super::{Bits, LayerRecipe, Recipe, plan, quantized_tensors, rewrite, weight_bytes};
    use super::*;
    use crate::network::Format;
    use crate::onnx::build::{float_tensor, float_value_info, model_of, node};
    use crate::onnx::{GraphProto, NodeProto, TensorProto};
    use crate::progress::Progress;

    const LAYERS: usize = 4;

    /// Matrix products one after the other, all by the same weight.
    fn network() -> Network {
        let value = |at: usize| format!("v{at}");
        let layer = |at: usize| {
            let name = format!("layer{at}");
            node("MatMul", name, [value(at), "w".to_owned()], [value(at + 1)], vec![])
        };
        let weight: Vec<f32> = (0..64 * 64)
            .map(|i| ((i as f32 * 0.618_034).fract() - 0.5).powi(3))
            .collect();
        let graph = GraphProto {
            node: (0..LAYERS).map(layer).collect(),
            initializer: vec![float_tensor("w", &[64, 64], &weight)],
            input: vec![float_value_info("v0", &[1, 64])],
            output: vec![float_value_info(&value(LAYERS), &[1, 64])],
            ..GraphProto::default()
        };
        let model = model_of(17, graph);
        Network::new("shared", None, Format::Onnx, model).unwrap()
    }

    fn exported(recipe: &Recipe) -> (Network, Plan, GraphProto) {
        let network = network();
        let plan = plan(&network, recipe, None, &Progress::default()).unwrap();
        let graph = rewrite(&network, &plan).unwrap().graph.unwrap();
        (network, plan, graph)
    }

    fn count(graph: &GraphProto, op: &str) -> usize {
        graph
            .node
            .iter()
            .filter(|node: &&NodeProto| node.op_type() == op)
            .count()
    }

    fn matrices(tensors: &[TensorProto]) -> Vec<&str> {
        let large = tensors
            .iter()
            .filter(|tensor| tensor.dims.iter().product::<i64>() >= 64 * 64);
        large.map(TensorProto::name).collect()
    }

    #[test]
    fn a_weight_of_several_layers_is_written_once() {
        let recipe = Recipe {
            expand_ratio: 0.1,
            ..Recipe::default()
        };
        let (network, plan, graph) = exported(&recipe);
        assert_eq!(count(&graph, "DequantizeLinear"), 1);
        assert_eq!(count(&graph, "MatMul"), LAYERS);
        assert_eq!(matrices(&graph.initializer), ["w.q"]);
        // 71 of 64 channels at a byte, a scale and its zero point; the float matrix is gone.
        assert_eq!(weight_bytes(&network, &plan), 71 * 64 + 5);

        let (tensors, _) = quantized_tensors(&network, &plan).unwrap();
        assert_eq!(matrices(&tensors), ["w.q"]);
    }

    #[test]
    fn layers_that_ask_for_something_else_have_their_own() {
        let exception = |recipe: LayerRecipe| Recipe {
            layers: [("layer2".to_owned(), recipe)].into(),
            ..Recipe::default()
        };
        let (network, plan, graph) = exported(&exception(LayerRecipe {
            weight_bits: Some(Bits::Grid(4)),
            ..LayerRecipe::default()
        }));
        assert_eq!(matrices(&graph.initializer), ["w.q", "w.q_2"]);
        // Codes of 4 bits need no zero point.
        assert_eq!(weight_bytes(&network, &plan), 64 * 64 + 5 + 64 * 64 / 2 + 4);

        let (network, plan, graph) = exported(&exception(LayerRecipe {
            float: Some(true),
            ..LayerRecipe::default()
        }));
        assert_eq!(matrices(&graph.initializer), ["w", "w.q"]);
        assert_eq!(weight_bytes(&network, &plan), 5 * 64 * 64 + 5, "float and on a grid");
    }
}
