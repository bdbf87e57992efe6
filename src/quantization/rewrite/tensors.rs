//! The plan as a bag of tensors, for a safetensors export.

use super::super::shared::{WeightPlace, weight_place};
use super::super::storage::CodeType;
use super::super::widen::Merging;
use super::super::{FloatLayer, LayerPlan, Outcome, Plan, QuantizationError, QuantizedLayer, Scales};
use super::editor::initializer_of;
use super::{RECIPE_KEY, expanded_shape};
use crate::files::Spool;
use crate::network::{Layer, LayerKind, Network, OutAxis, StoredWeight, StoredWeights, WEIGHTS_KEY, index_name};
use crate::onnx::build::{float_tensor, i8_tensor, i64_tensor, raw_tensor};
use crate::onnx::schema::data_type;
use crate::onnx::{Names, TensorProto};
use crate::replacement::folder_of;
use rayon::prelude::*;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

/// Tensors by their names, and free text by keys: what a safetensors file holds.
pub type NamedTensors = (Vec<TensorProto>, Vec<(String, String)>);

/// The tensors and metadata of a safetensors export. In place of the weight `NAME` of a quantized layer there are `NAME.q` (codes,
/// packed as an ONNX export packs them), `NAME.scale` and, on an asymmetric grid, `NAME.zero_point`, described by a [`StoredWeight`] under [`WEIGHTS_KEY`]; with
/// [`Storage::Float`](super::super::Storage::Float) there is `NAME` itself, the numbers on the grid. Where channels are split,
/// `NAME.ocs_index` lists the source of each input channel (int64); a layer with float weights that is split has `NAME` and that.
/// A corrected bias has the name it had, or `NAME.corrected_bias` where there was none; every other constant of the main graph is
/// as it was. The recipe is in the metadata. A name that is taken already gets a number behind it.
/// Nothing of the activations is in it: neither their grids nor the copies of activation OCS.
///
/// # Errors
/// [`QuantizationError::Network`] when a tensor cannot be read.
pub fn quantized_tensors(network: &Network, plan: &Plan) -> Result<NamedTensors, QuantizationError> {
    spooled_tensors(network, plan, None)
}

/// Networks of so many parameters wait on the disk while they are written, a part of them at a time in memory.
const SPOOLED_PARAMETERS: u64 = 1 << 25;

/// Where a plan for `network` and its tensors wait until they are written to `path`: on the same disk if the network is large, else
/// in memory (`None`).
///
/// # Errors
/// The system's reason, such as a folder that may not be written to.
pub fn spool_beside(path: &Path, network: &Network) -> io::Result<Option<Spool>> {
    let is_large = network.parameters() >= SPOOLED_PARAMETERS;
    is_large.then(|| Spool::in_folder(folder_of(path))).transpose()
}

/// [`quantized_tensors`], which wait in the file of `spool` to be written, if there is one.
///
/// # Errors
/// As [`quantized_tensors`].
pub fn spooled_tensors(
    network: &Network,
    plan: &Plan,
    spool: Option<&Spool>,
) -> Result<NamedTensors, QuantizationError> {
    let merging = Merging::of(network, plan);
    let plan = &*merging.plan;
    let graph = network.model.graph.as_ref();
    let initializers = graph.map(|graph| graph.initializer.as_slice()).unwrap_or_default();
    let mut groups = groups(network, plan, spool)?;
    let gone = gone(network, plan);
    let quantized = network.layers.iter().zip(&plan.layers);
    let quantized: Vec<(&Layer, &QuantizedLayer)> = quantized
        .filter_map(|(layer, plan)| Some((layer, plan.quantized()?)))
        .collect();
    let kept = initializers
        .iter()
        .map(TensorProto::name)
        .filter(|name| !gone.contains(name));
    let mut names: Names = kept.map(str::to_owned).collect();
    let mut keys: Names = network.stored.0.keys().cloned().collect();
    let mut stored = StoredWeights::default();
    for group in &mut groups {
        let layer = &network.layers[group.layer];
        // A second weight made of the same tensor is called after its layer.
        let base = match group.is_first {
            true => layer.weight.clone(),
            false => format!("{}:{}", layer.name, layer.weight),
        };
        group.name(&base, &mut names, &mut keys, &mut stored);
    }

    let (mut biases, more_biases) = corrected_biases(network, &quantized, &mut names);
    let firsts = groups.iter().enumerate().filter(|(_, group)| group.is_first);
    let at: HashMap<usize, usize> = firsts
        .filter_map(|(number, group)| Some((initializer_of(&network.layers[group.layer])?, number)))
        .collect();
    let is_new = !groups.is_empty() || network.stored.0.is_empty();
    let mut tensors = Vec::new();
    for (place, tensor) in initializers.iter().enumerate() {
        if !gone.contains(tensor.name()) {
            tensors.push(biases.remove(tensor.name()).unwrap_or_else(|| tensor.clone()));
        } else if let Some(number) = at.get(&place) {
            tensors.append(&mut groups[*number].tensors);
        }
    }
    tensors.extend(groups.into_iter().flat_map(|group| group.tensors));
    tensors.extend(more_biases);
    let metadata = metadata(network, plan, (stored, is_new), &tensors)?;
    Ok((tensors, metadata))
}

/// The metadata of the file as it was, with the weights in `stored` beside those that were on a grid before, and with the recipe,
/// unless nothing of the file is new and another recipe made what is in it.
fn metadata(
    network: &Network,
    plan: &Plan,
    (stored, is_new): (StoredWeights, bool),
    tensors: &[TensorProto],
) -> Result<Vec<(String, String)>, QuantizationError> {
    let before = network.model.metadata_props.iter();
    let before = before.map(|entry| (entry.key().to_owned(), entry.value().to_owned()));
    let replaced = |key: &str| key == WEIGHTS_KEY || (key == RECIPE_KEY && is_new);
    let mut metadata: Vec<(String, String)> = before.filter(|(key, _)| !replaced(key)).collect();
    if is_new {
        let recipe = plan.recipe.to_toml().map_err(QuantizationError::Recipe)?;
        metadata.push((RECIPE_KEY.to_owned(), recipe));
    }
    let written: HashSet<&str> = tensors.iter().map(TensorProto::name).collect();
    let mut all = stored.0;
    for (name, weight) in &network.stored.0 {
        if written.contains(weight.codes.as_str()) {
            all.entry(name.clone()).or_insert_with(|| weight.clone());
        }
    }
    if !all.is_empty() {
        let text = serde_json::to_string(&all).map_err(|error| QuantizationError::Rewrite(error.to_string()))?;
        metadata.push((WEIGHTS_KEY.to_owned(), text));
    }
    Ok(metadata)
}

/// What a tensor of a group is called until it has its name.
const VALUES: &str = "";
const CODES: &str = "q";
const SCALE: &str = "scale";
const ZERO_POINT: &str = "zero_point";
const INDEX: &str = "ocs_index";

/// The new tensors of a layer, called by what they are until they are named.
struct Group {
    /// Position of the layer.
    layer: usize,
    /// Whether no layer before has another weight made of the same stored tensor.
    is_first: bool,
    tensors: Vec<TensorProto>,
    /// How the codes are stored, if there are any.
    stored: Option<StoredWeight>,
}

/// The new weights, each once however many layers read it.
fn groups(network: &Network, plan: &Plan, spool: Option<&Spool>) -> Result<Vec<Group>, QuantizationError> {
    let made: Vec<Group> = (0..network.layers.len().min(plan.layers.len()))
        .into_par_iter()
        .filter_map(|index| {
            let layer = &network.layers[index];
            let made = match &plan.layers[index].outcome {
                Outcome::Quantized(quantized) => Ok(layer_tensors(network, plan, layer, quantized)),
                Outcome::Expanded(float) if is_split(&plan.layers[index]) => network
                    .weights(index)
                    .map(|weights| (split_tensors(network, layer, float, &weights), None)),
                Outcome::Expanded(_) | Outcome::Float(_) => return None,
            };
            let group = |(mut tensors, stored): (Vec<TensorProto>, _)| {
                keep(spool, &mut tensors, plan.layers[index].quantized());
                Group {
                    layer: index,
                    is_first: true,
                    tensors,
                    stored,
                }
            };
            Some(made.map(group).map_err(QuantizationError::from))
        })
        .collect::<Result<_, _>>()?;
    let mut kept: Vec<Group> = Vec::new();
    let mut of_place: HashMap<WeightPlace<'_>, Vec<usize>> = HashMap::new();
    for mut group in made {
        let before = of_place.entry(weight_place(&network.layers[group.layer])).or_default();
        let is_alike = |other: &usize| kept[*other].tensors == group.tensors && kept[*other].stored == group.stored;
        if before.iter().any(is_alike) {
            continue;
        }
        group.is_first = before.is_empty();
        before.push(kept.len());
        kept.push(group);
    }
    Ok(kept)
}

/// Moves `tensors`, made of the codes of `quantized`, to the file of `spool`, and the codes out of memory.
pub(super) fn keep(spool: Option<&Spool>, tensors: &mut [TensorProto], quantized: Option<&QuantizedLayer>) {
    let Some(spool) = spool else { return };
    for raw in tensors.iter_mut().filter_map(|tensor| tensor.raw_data.as_mut()) {
        *raw = spool.keep(std::mem::take(raw));
    }
    if let Some(quantized) = quantized {
        quantized.values.release();
    }
}

/// Whether a planned layer has a weight with split channels.
fn is_split(planned: &LayerPlan) -> bool {
    planned.inputs().is_some_and(|inputs| !inputs.splits.is_empty())
}

/// Names of the constants that go: weights that no layer keeps, and what said where their channels came from.
fn gone<'a>(network: &'a Network, plan: &Plan) -> HashSet<&'a str> {
    let constants = network.model.graph.as_ref().map_or(&[][..], |graph| &graph.initializer);
    let is_written = |index: usize| match plan.layers.get(index).map(|planned| (&planned.outcome, planned)) {
        Some((Outcome::Quantized(_), _)) => true,
        Some((Outcome::Expanded(_), planned)) => is_split(planned),
        Some((Outcome::Float(_), _)) | None => false,
    };
    let kept: HashSet<usize> = (network.layers.iter().enumerate())
        .filter(|(index, _)| !is_written(*index))
        .filter_map(|(_, layer)| initializer_of(layer))
        .collect();
    let mut gone = HashSet::new();
    let mut indices = HashSet::new();
    for (_, layer) in network
        .layers
        .iter()
        .enumerate()
        .filter(|(index, _)| is_written(*index))
    {
        let place = initializer_of(layer).filter(|place| !kept.contains(place));
        if let Some(tensor) = place.and_then(|place| constants.get(place)) {
            gone.insert(tensor.name());
            if listed_before(network, layer).is_some() {
                indices.insert(index_name(tensor.name()));
            }
        }
    }
    gone.extend(
        constants
            .iter()
            .map(TensorProto::name)
            .filter(|name| indices.contains(*name)),
    );
    gone
}

/// The source of each input channel of `layer` as the file has it, where its channels were split before.
fn listed_before(network: &Network, layer: &Layer) -> Option<Vec<usize>> {
    let listed = network
        .listed_sources(layer)
        .filter(|_| layer.kind == LayerKind::Tensor)?;
    (listed.len() == layer.layout.in_channels()).then_some(listed)
}

/// The tensor of the source of each input channel: those of `index` were split now, and maybe their sources before. Nothing where
/// each channel is there once.
fn index_tensor(network: &Network, layer: &Layer, index: &[usize], is_split: bool) -> Option<TensorProto> {
    let before = listed_before(network, layer);
    if before.is_none() && !is_split {
        return None;
    }
    let source = |channel: &usize| match &before {
        Some(before) => before.get(*channel).copied().unwrap_or(*channel) as i64,
        None => *channel as i64,
    };
    let sources: Vec<i64> = index.iter().map(source).collect();
    Some(i64_tensor(INDEX, &[sources.len()], &sources))
}

impl Group {
    /// Calls the tensors after the weight `base`, by names that are not in use, and puts how they are stored into `stored`.
    fn name(&mut self, base: &str, names: &mut Names, keys: &mut Names, stored: &mut StoredWeights) {
        for tensor in &mut self.tensors {
            let role = tensor.name.take().unwrap_or_default();
            let name = match role.as_str() {
                VALUES => names.fresh(base),
                INDEX => names.fresh(&index_name(base)),
                role => names.fresh(&format!("{base}.{role}")),
            };
            if let Some(weight) = &mut self.stored {
                match role.as_str() {
                    CODES => weight.codes.clone_from(&name),
                    SCALE => weight.scale.clone_from(&name),
                    ZERO_POINT => weight.zero_point = Some(name.clone()),
                    INDEX => weight.index = Some(name.clone()),
                    _ => {}
                }
            }
            tensor.name = Some(name);
        }
        if let Some(weight) = &self.stored {
            stored.0.insert(keys.fresh(base), weight.clone());
        }
    }
}

/// Corrected biases: those that take the place of an initializer, by its name, and the others.
pub(super) fn corrected_biases(
    network: &Network,
    quantized: &[(&Layer, &QuantizedLayer)],
    names: &mut Names,
) -> (HashMap<String, TensorProto>, Vec<TensorProto>) {
    let (mut replaced, mut more) = (HashMap::new(), Vec::new());
    let constants = network.model.graph.iter().flat_map(|graph| &graph.initializer);
    let constants: HashSet<&str> = constants.map(TensorProto::name).collect();
    for (layer, quantized) in quantized {
        let Some(bias) = &quantized.bias else { continue };
        let old = network.node(layer).and_then(|node| node.input.get(2));
        let old = old.filter(|name| constants.contains(name.as_str()) && !replaced.contains_key(*name));
        if let Some(name) = old {
            replaced.insert(name.clone(), float_tensor(name.clone(), &[bias.len()], bias));
        } else {
            let name = names.fresh(&format!("{}.corrected_bias", layer.weight));
            more.push(float_tensor(name, &[bias.len()], bias));
        }
    }
    (replaced, more)
}

/// The expanded weights as the numbers on the grid, as `DequantizeLinear` makes them of the codes.
pub(in crate::quantization) fn grid_values(quantized: &QuantizedLayer) -> Vec<f32> {
    let scales = quantized.placed();
    let row = (quantized.layout.channels * quantized.layout.inner).max(1);
    let value = |(i, q): (usize, &i8)| scales.both_at(i / row, i % row).value(*q);
    quantized.values.iter().enumerate().map(value).collect()
}

/// The tensors of a layer whose weights stay float and are split.
fn split_tensors(network: &Network, layer: &Layer, float: &FloatLayer, weights: &[f32]) -> Vec<TensorProto> {
    let shape = expanded_shape(layer, float.layout.channels);
    let values = float_tensor(VALUES, &shape, &float.weights(weights, &layer.layout));
    std::iter::once(values)
        .chain(index_tensor(network, layer, &float.index, true))
        .collect()
}

/// The tensors of a layer on a grid, and how its codes are stored.
fn layer_tensors(
    network: &Network,
    plan: &Plan,
    layer: &Layer,
    quantized: &QuantizedLayer,
) -> (Vec<TensorProto>, Option<StoredWeight>) {
    let shape = expanded_shape(layer, quantized.layout.channels);
    let index = index_tensor(network, layer, &quantized.index, !quantized.splits.is_empty());
    let code_type = CodeType::of(plan.recipe.storage, layer, quantized);
    if code_type == CodeType::Float {
        let values = float_tensor(VALUES, &shape, &grid_values(quantized));
        return (std::iter::once(values).chain(index).collect(), None);
    }
    let placed = Placed::of(quantized, &shape);
    let scales = quantized.scales.values();
    let stored = StoredWeight {
        codes: String::new(),
        scale: String::new(),
        zero_point: None,
        index: None,
        bits: quantized.grid.bits,
        channel_axis: layer.channel_axis(),
        view: placed.view,
        axis: placed.axis,
        block_size: placed.block_size,
        shape: shape.clone(),
        ..StoredWeight::default()
    };
    let tensors = [
        code_type.packed(raw_tensor(
            CODES,
            data_type::INT8,
            &shape,
            quantized.values.bytes().clone(),
        )),
        float_tensor(SCALE, &placed.scale_shape, scales),
    ];
    let zero_points = match quantized.zero_points.is_empty() && code_type.is_unsigned() {
        true => vec![0; scales.len()],
        false => quantized.zero_points.clone(),
    };
    let zero =
        (!zero_points.is_empty()).then(|| code_type.packed(i8_tensor(ZERO_POINT, &placed.scale_shape, &zero_points)));
    (tensors.into_iter().chain(zero).chain(index).collect(), Some(stored))
}

/// Where scales lie on a weight: along an axis of a view of it.
struct Placed {
    view: Vec<usize>,
    axis: Option<usize>,
    block_size: Option<usize>,
    scale_shape: Vec<usize>,
}

impl Placed {
    /// The scales of `quantized`, whose codes have the shape `shape`.
    fn of(quantized: &QuantizedLayer, shape: &[usize]) -> Self {
        let layout = &quantized.layout;
        let (rows, inner) = (layout.groups * layout.outer, layout.inner.max(1));
        let width = layout.channels * inner;
        let count = quantized.scales.values().len();
        let along = |view: Vec<usize>, axis: usize| Self {
            view,
            axis: Some(axis),
            block_size: None,
            scale_shape: vec![count],
        };
        match (&quantized.scales, layout.out_axis) {
            (Scales::Tensor(_), _) => Self {
                view: shape.to_vec(),
                axis: None,
                block_size: None,
                scale_shape: Vec::new(),
            },
            (Scales::Channel(_), OutAxis::Outer) if shape.first() == Some(&rows) => along(shape.to_vec(), 0),
            (Scales::Channel(_), OutAxis::Outer) => along(vec![rows, width], 0),
            (Scales::Channel(_), OutAxis::Inner) if shape.get(1) == Some(&count) => along(shape.to_vec(), 1),
            (Scales::Channel(_), OutAxis::Inner) => along(vec![rows * layout.channels, count, inner / count.max(1)], 1),
            (Scales::Block { size, .. }, OutAxis::Outer) => Self {
                view: vec![rows, width],
                axis: Some(1),
                block_size: Some(*size),
                scale_shape: vec![rows, count / rows.max(1)],
            },
            (Scales::Block { size, .. }, OutAxis::Inner) => Self {
                view: vec![rows, layout.channels, inner],
                axis: Some(1),
                block_size: Some(*size),
                scale_shape: vec![rows, count / (rows * inner).max(1), inner],
            },
        }
    }
}
