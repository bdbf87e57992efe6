//! The plan as a bag of tensors, for a safetensors export.

use super::super::widen::Merging;
use super::super::{FloatLayer, LayerPlan, Outcome, Plan, QuantizationError, QuantizedLayer, Scales};
use super::editor::initializer_of;
use super::{RECIPE_KEY, expanded_shape};
use crate::network::{Layer, Network};
use crate::onnx::TensorProto;
use crate::onnx::build::{float_tensor, i8_tensor, i64_tensor, scalar_f32};
use rayon::prelude::*;
use std::collections::HashMap;

/// Tensors by their names, and free text by keys: what a safetensors file holds.
pub type NamedTensors = (Vec<TensorProto>, Vec<(String, String)>);

/// The tensors and metadata of a safetensors export. For each quantized layer with weight tensor `NAME`: `NAME`
/// (dequantized, expanded), `NAME.q` (int8), `NAME.scale`, `NAME.ocs_index` (int64: the source channel of each input
/// channel); of one with float weights that is split `NAME` and `NAME.ocs_index`; a corrected
/// bias under the name it had, or `NAME.corrected_bias` where there was none; every other constant of the main graph as it was. The recipe is in the metadata.
/// Nothing of the activations is in it: neither their grids nor the copies of activation OCS.
///
/// # Errors
/// [`QuantizationError::Network`] when a tensor cannot be read.
pub fn quantized_tensors(network: &Network, plan: &Plan) -> Result<NamedTensors, QuantizationError> {
    let merging = Merging::of(network, plan);
    let plan = &*merging.plan;
    let graph = network.model.graph.as_ref();
    let initializers = graph.map(|graph| graph.initializer.as_slice()).unwrap_or_default();
    let quantized: Vec<(&Layer, &QuantizedLayer)> = network
        .layers
        .iter()
        .zip(&plan.layers)
        .filter_map(|(layer, plan)| Some((layer, plan.quantized()?)))
        .collect();
    // Layers with weights of their own, on a grid or float and split.
    let written: Vec<(usize, &LayerPlan)> = (plan.layers.iter().enumerate())
        .filter(|(_, planned)| {
            planned.quantized().is_some() || planned.inputs().is_some_and(|it| !it.splits.is_empty())
        })
        .collect();
    let mut groups: Vec<(Option<usize>, Vec<TensorProto>)> = written
        .par_iter()
        .map(|(index, planned)| {
            let layer = &network.layers[*index];
            let tensors = match &planned.outcome {
                Outcome::Quantized(quantized) => layer_tensors(layer, quantized),
                Outcome::Expanded(float) => split_tensors(layer, float, &network.weights(*index)?),
                Outcome::Float(_) => Vec::new(),
            };
            Ok((initializer_of(layer), tensors))
        })
        .collect::<Result<_, QuantizationError>>()?;

    // Two layers may read one tensor: the first takes its name; later ones, if they are others, are called after the layer.
    let mut at: HashMap<usize, usize> = HashMap::new();
    for number in 0..groups.len() {
        let first = groups[number].0.map(|place| *at.entry(place).or_insert(number));
        let Some(first) = first.filter(|first| *first != number) else {
            continue;
        };
        let (before, rest) = groups.split_at_mut(number);
        let layer = &network.layers[written[number].0];
        let (place, tensors) = &mut rest[0];
        *place = None;
        if before[first].1 == *tensors {
            tensors.clear();
        } else {
            for tensor in tensors.iter_mut() {
                let ending = tensor
                    .name()
                    .strip_prefix(layer.weight.as_str())
                    .unwrap_or_default()
                    .to_owned();
                tensor.name = Some(format!("{}:{}{ending}", layer.name, layer.weight));
            }
        }
    }
    let (mut biases, more_biases) = corrected_biases(network, &quantized);
    let mut tensors = Vec::new();
    for (index, tensor) in initializers.iter().enumerate() {
        match at.get(&index) {
            Some(number) => tensors.append(&mut groups[*number].1),
            None => tensors.push(biases.remove(tensor.name()).unwrap_or_else(|| tensor.clone())),
        }
    }
    tensors.extend(groups.into_iter().flat_map(|(_, tensors)| tensors));
    tensors.extend(more_biases);

    let mut metadata: Vec<(String, String)> = network
        .model
        .metadata_props
        .iter()
        .map(|entry| (entry.key().to_owned(), entry.value().to_owned()))
        .filter(|(key, _)| key != RECIPE_KEY)
        .collect();
    metadata.push((
        RECIPE_KEY.to_owned(),
        plan.recipe.to_toml().map_err(QuantizationError::Recipe)?,
    ));
    Ok((tensors, metadata))
}

/// Corrected biases: those that take the place of an initializer, by its name, and the others.
fn corrected_biases(
    network: &Network,
    quantized: &[(&Layer, &QuantizedLayer)],
) -> (HashMap<String, TensorProto>, Vec<TensorProto>) {
    let (mut replaced, mut more) = (HashMap::new(), Vec::new());
    for (layer, quantized) in quantized {
        let Some(bias) = &quantized.bias else { continue };
        let old = network.node(layer).and_then(|node| node.input.get(2));
        let old = old.filter(|name| !name.is_empty() && !replaced.contains_key(*name));
        let name = old
            .cloned()
            .unwrap_or_else(|| format!("{}.corrected_bias", layer.weight));
        let tensor = float_tensor(name.clone(), &[bias.len()], bias);
        if old.is_some() {
            replaced.insert(name, tensor);
        } else {
            more.push(tensor);
        }
    }
    (replaced, more)
}

/// The expanded weights as the numbers on the grid, as `DequantizeLinear` makes them of the codes.
pub(in crate::quantization) fn grid_values(quantized: &QuantizedLayer) -> Vec<f32> {
    let scales = quantized.scales.on(&quantized.layout);
    let row = (quantized.layout.channels * quantized.layout.inner).max(1);
    let value = |(i, q): (usize, &i8)| f32::from(*q) * scales.at(i / row, i % row);
    quantized.values.iter().enumerate().map(value).collect()
}

/// The tensors of a layer whose weights stay float and are split.
fn split_tensors(layer: &Layer, float: &FloatLayer, weights: &[f32]) -> Vec<TensorProto> {
    let name = &layer.weight;
    let index: Vec<i64> = float.index.iter().map(|i| *i as i64).collect();
    vec![
        float_tensor(
            name.clone(),
            &expanded_shape(layer, float.layout.channels),
            &float.weights(weights, &layer.layout),
        ),
        i64_tensor(format!("{name}.ocs_index"), &[index.len()], &index),
    ]
}

fn layer_tensors(layer: &Layer, quantized: &QuantizedLayer) -> Vec<TensorProto> {
    let shape = expanded_shape(layer, quantized.layout.channels);
    let scales = quantized.scales.values();
    let scale = match (scales, &quantized.scales) {
        ([scale], Scales::Tensor(_)) => scalar_f32("", *scale),
        (scales, _) => float_tensor("", &[scales.len()], scales),
    };
    let values = grid_values(quantized);
    let index: Vec<i64> = quantized.index.iter().map(|i| *i as i64).collect();
    let name = &layer.weight;
    vec![
        float_tensor(name.clone(), &shape, &values),
        i8_tensor(format!("{name}.q"), &shape, &quantized.values),
        TensorProto {
            name: Some(format!("{name}.scale")),
            ..scale
        },
        i64_tensor(format!("{name}.ocs_index"), &[index.len()], &index),
    ]
}
