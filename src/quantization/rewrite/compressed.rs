//! The plan as tensors in the layout `pack-quantized` of compressed-tensors, which transformers and vLLM read: for each linear module
//! whose weight is on a grid `MODULE.weight_packed` (int32), `MODULE.weight_scale` and `MODULE.weight_shape` in place of
//! `MODULE.weight`, and a `quantization_config` that names the modules.
//!
//! The codes of neighbouring inputs follow each other from the low end of a word, moved up by half of their range so that none is
//! negative. Zero points are packed likewise in `MODULE.weight_zero_point`, those of neighbouring outputs in a word. A weight that the layout has no place for is written as floats on its grid, with the copies of split channels added up:
//! the same function in the shapes of the original file.

use super::super::shared::{WeightPlace, weight_place};
use super::super::storage::{CodeType, Storage};
use super::super::{LayerPlan, Outcome, Plan, QuantizationError, QuantizedLayer, Scales};
use super::RECIPE_KEY;
use super::editor::initializer_of;
use super::tensors::{NamedTensors, corrected_biases, grid_values, keep};
use crate::files::Spool;
use crate::network::{Layer, LayerKind, Network, OutAxis, WEIGHTS_KEY};
use crate::onnx::build::{float_tensor, i32_tensor, i64_tensor};
use crate::onnx::{Names, TensorProto};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

/// Key of the metadata, and of `config.json`, that describes the packed modules.
pub const QUANTIZATION_CONFIG: &str = "quantization_config";

/// A network in the layout of compressed-tensors.
pub struct CompressedTensors {
    /// What the file holds.
    pub tensors: NamedTensors,
    /// The value of `quantization_config`.
    pub config: Value,
    /// Position of each layer whose weight is packed.
    pub packed: HashSet<usize>,
    /// Which quantized layers are written as floats, and why: layer and reason.
    pub floats: Vec<(String, String)>,
}

/// How the codes of a group of modules are stored: bits, weights that share a scale (a whole row where `None`), whether there are
/// zero points.
type Scheme = (u8, Option<usize>, bool);

/// The tensors of `plan` in that layout; they wait in the file of `spool` to be written, if there is one.
///
/// # Errors
/// [`QuantizationError::Rewrite`] when no weight fits it.
pub fn compressed_tensors(
    network: &Network,
    plan: &Plan,
    spool: Option<&Spool>,
) -> Result<CompressedTensors, QuantizationError> {
    let graph = network.model.graph.as_ref();
    let initializers = graph.map(|graph| graph.initializer.as_slice()).unwrap_or_default();
    let mut readers: HashMap<WeightPlace<'_>, Vec<usize>> = HashMap::new();
    for (index, layer) in network.layers.iter().enumerate() {
        readers.entry(weight_place(layer)).or_default().push(index);
    }
    let mut floats = Vec::new();
    let mut packed = HashSet::new();
    // By the initializer's position.
    let mut made: HashMap<usize, Vec<TensorProto>> = HashMap::new();
    let mut schemes: BTreeMap<Scheme, Vec<String>> = BTreeMap::new();
    for (index, (layer, planned)) in network.layers.iter().zip(&plan.layers).enumerate() {
        let quantized = match &planned.outcome {
            Outcome::Quantized(quantized) => quantized,
            Outcome::Expanded(_) | Outcome::Float(_) => continue,
        };
        let all = readers.get(&weight_place(layer)).map_or(&[][..], Vec::as_slice);
        let Some(place) = initializer_of(layer) else {
            floats.push((layer.name.clone(), NotPacked::NoTensor.to_string()));
            continue;
        };
        let fit =
            scheme(layer, quantized).and_then(|fit| match all.iter().all(|other| is_alike(plan, index, *other)) {
                true => Ok(fit),
                false => Err(NotPacked::ReadOtherwise),
            });
        match fit {
            Ok((scheme, module)) => {
                packed.insert(index);
                if all.first() == Some(&index) {
                    let mut tensors = packed_tensors(&module, layer, quantized, scheme);
                    keep(spool, &mut tensors, Some(quantized));
                    made.insert(place, tensors);
                    schemes.entry(scheme).or_default().push(module);
                }
            }
            Err(why) => {
                floats.push((layer.name.clone(), why.to_string()));
                // A layer that stays as it is keeps the tensor for all.
                let are_quantized = all
                    .iter()
                    .all(|other| plan.layers.get(*other).is_some_and(is_quantized));
                if all.first() == Some(&index) && are_quantized {
                    let values = whole_values(layer, quantized);
                    let mut tensors = vec![float_tensor(layer.weight.clone(), &layer.shape, &values)];
                    keep(spool, &mut tensors, Some(quantized));
                    made.insert(place, tensors);
                }
            }
        }
    }
    if packed.is_empty() {
        let why = floats
            .first()
            .map_or_else(String::new, |(layer, why)| format!(": layer '{layer}': {why}"));
        let reason = format!("no weight fits the layout of compressed-tensors{why}; use --layout splitscope");
        return Err(QuantizationError::Rewrite(reason));
    }
    let config = config(network, &schemes, &packed);
    let quantized = network.layers.iter().zip(&plan.layers);
    let quantized: Vec<(&Layer, &QuantizedLayer)> = quantized
        .filter_map(|(layer, plan)| Some((layer, plan.quantized()?)))
        .collect();
    let mut names: Names = initializers.iter().map(|tensor| tensor.name().to_owned()).collect();
    let (mut biases, more_biases) = corrected_biases(network, &quantized, &mut names);
    let mut tensors = Vec::new();
    for (place, tensor) in initializers.iter().enumerate() {
        match made.remove(&place) {
            Some(new) => tensors.extend(new),
            None => tensors.push(biases.remove(tensor.name()).unwrap_or_else(|| tensor.clone())),
        }
    }
    tensors.extend(more_biases);
    let metadata = metadata(network, plan, &config)?;
    Ok(CompressedTensors {
        tensors: (tensors, metadata),
        config,
        packed,
        floats,
    })
}

fn is_quantized(planned: &LayerPlan) -> bool {
    planned.quantized().is_some()
}

/// Whether two readers of one weight have the same codes of it.
fn is_alike(plan: &Plan, one: usize, other: usize) -> bool {
    if one == other {
        return true;
    }
    let quantized = |index: usize| plan.layers.get(index).and_then(LayerPlan::quantized);
    match (quantized(one), quantized(other)) {
        (Some(a), Some(b)) => {
            a.values == b.values && a.scales == b.scales && a.zero_points == b.zero_points && a.index == b.index
        }
        _ => false,
    }
}

/// Why a quantized layer stays float in the layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NotPacked {
    #[error("its weight is no tensor of the file")]
    NoTensor,
    #[error("another layer reads its weight in another way")]
    ReadOtherwise,
    #[error("the layout is for the matrices of linear layers")]
    NotLinear,
    #[error("its matrix has the inputs before the outputs")]
    InputsFirst,
    #[error("its weight is not called MODULE.weight")]
    Name,
    #[error("it is a table of embeddings by its name")]
    Embeddings,
    #[error("its channels are split, and the copies are added up")]
    Split,
    #[error("its {inputs} inputs are no multiple of the block of {block}")]
    Block { inputs: usize, block: usize },
}

/// How the weight of `layer` is packed, and its module.
///
/// # Errors
/// Why the layout has no place for it.
fn scheme(layer: &Layer, quantized: &QuantizedLayer) -> Result<(Scheme, String), NotPacked> {
    let is_linear = matches!(layer.kind, LayerKind::Gemm | LayerKind::MatMul | LayerKind::Tensor);
    let layout = &layer.layout;
    let is_rows = layout.out_axis == OutAxis::Outer && layout.groups == 1 && layout.inner == 1;
    if !is_linear || layer.shape.len() != 2 {
        return Err(NotPacked::NotLinear);
    }
    if !is_rows || layer.shape.first() != Some(&layout.outer) {
        return Err(NotPacked::InputsFirst);
    }
    let module = layer.weight.strip_suffix(".weight").ok_or(NotPacked::Name)?;
    // A file without a graph does not tell tables from matrices.
    if layer.kind == LayerKind::Tensor
        && (module.contains("embed") || module.ends_with("wte") || module.ends_with("wpe"))
    {
        return Err(NotPacked::Embeddings);
    }
    if !quantized.splits.is_empty() {
        return Err(NotPacked::Split);
    }
    let bits = CodeType::holding(Storage::Auto, quantized.grid.bits).bits();
    let block = match &quantized.scales {
        Scales::Tensor(_) | Scales::Channel(_) => None,
        Scales::Block { size, .. } if layout.channels.is_multiple_of(*size) => Some(*size),
        Scales::Block { size, .. } => {
            let (inputs, block) = (layout.channels, *size);
            return Err(NotPacked::Block { inputs, block });
        }
    };
    Ok(((bits, block, !quantized.zero_points.is_empty()), module.to_owned()))
}

fn packed_tensors(module: &str, layer: &Layer, quantized: &QuantizedLayer, (bits, ..): Scheme) -> Vec<TensorProto> {
    let (rows, columns) = (layer.layout.outer, layer.layout.channels);
    let (per_word, middle) = (32 / usize::from(bits), 1_i32 << (bits - 1));
    let word = |codes: &[i8]| {
        let fields = codes.iter().enumerate().map(|(at, code)| {
            let field = (i32::from(*code) + middle) as u32 & ((1 << bits) - 1);
            field << (at * usize::from(bits))
        });
        fields.fold(0, |word, field| word | field) as i32
    };
    let words: Vec<i32> = quantized
        .values
        .chunks(columns.max(1))
        .flat_map(|row| row.chunks(per_word).map(word))
        .collect();
    let scales = match &quantized.scales {
        // The layout has no scale for a whole matrix that everybody reads.
        Scales::Tensor(scale) => vec![*scale; rows],
        scales => scales.values().to_vec(),
    };
    let groups = scales.len() / rows.max(1);
    let zero_points = match (&quantized.scales, quantized.zero_points.as_slice()) {
        (Scales::Tensor(_), [zero]) => vec![*zero; rows],
        (_, zeros) => zeros.to_vec(),
    };
    let zero_point = (!zero_points.is_empty()).then(|| {
        let column = |group: usize, outputs: Range<usize>| -> Vec<i8> {
            outputs.map(|output| zero_points[output * groups + group]).collect()
        };
        let outputs = |word: usize| word * per_word..((word + 1) * per_word).min(rows);
        let height = rows.div_ceil(per_word);
        let words: Vec<i32> = (0..height)
            .flat_map(|at| (0..groups).map(move |group| (at, group)))
            .map(|(at, group)| word(&column(group, outputs(at))))
            .collect();
        i32_tensor(format!("{module}.weight_zero_point"), &[height, groups], &words)
    });
    let tensors = [
        i32_tensor(
            format!("{module}.weight_packed"),
            &[rows, columns.div_ceil(per_word)],
            &words,
        ),
        float_tensor(format!("{module}.weight_scale"), &[rows, groups], &scales),
        i64_tensor(format!("{module}.weight_shape"), &[2], &[rows as i64, columns as i64]),
    ];
    tensors.into_iter().chain(zero_point).collect()
}

/// The weights as the network sees them, in the shape of the original: the copies of a channel added up.
fn whole_values(layer: &Layer, quantized: &QuantizedLayer) -> Vec<f32> {
    let values = grid_values(quantized);
    if quantized.splits.is_empty() {
        return values;
    }
    let (before, after) = (&layer.layout, &quantized.layout);
    let inner = before.inner;
    let mut whole = vec![0.0; before.elements()];
    let rows = whole.chunks_mut((before.channels * inner).max(1));
    for (row, (sums, copies)) in rows.zip(values.chunks((after.channels * inner).max(1))).enumerate() {
        let group = row / before.outer.max(1);
        for (copy, values) in copies.chunks(inner.max(1)).enumerate() {
            let source = quantized.index[group * after.channels + copy] - group * before.channels;
            let sums = sums[source * inner..].iter_mut();
            sums.zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
    whole
}

/// The value of `quantization_config`: a group of modules for each scheme, and the linear modules that stay float.
fn config(network: &Network, schemes: &BTreeMap<Scheme, Vec<String>>, packed: &HashSet<usize>) -> Value {
    let groups = schemes.iter().enumerate().map(|(number, ((bits, block, has_zeros), modules))| {
        let strategy = if block.is_some() { "group" } else { "channel" };
        let weights = json!({
            "num_bits": bits, "type": "int", "symmetric": !has_zeros, "strategy": strategy, "group_size": block, "dynamic": false,
        });
        // One scheme is named by the class, as usual; of several, each lists its modules.
        let targets = if schemes.len() == 1 { vec!["Linear".to_owned()] } else { modules.clone() };
        let group = json!({
            "targets": targets, "weights": weights, "input_activations": null, "output_activations": null,
        });
        (format!("group_{number}"), group)
    });
    let groups: serde_json::Map<String, Value> = groups.collect();
    let layers = network.layers.iter().enumerate();
    let ignored: Vec<&str> = layers
        .filter(|(index, layer)| {
            !packed.contains(index) && layer.shape.len() == 2 && layer.kind != LayerKind::Embedding
        })
        .filter_map(|(_, layer)| layer.weight.strip_suffix(".weight"))
        .collect();
    json!({
        "quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
        "config_groups": groups, "ignore": ignored, "kv_cache_scheme": null,
    })
}

fn metadata(network: &Network, plan: &Plan, config: &Value) -> Result<Vec<(String, String)>, QuantizationError> {
    let before = network.model.metadata_props.iter();
    let before = before.map(|entry| (entry.key().to_owned(), entry.value().to_owned()));
    let replaced = [RECIPE_KEY, WEIGHTS_KEY, QUANTIZATION_CONFIG];
    let mut metadata: Vec<(String, String)> = before.filter(|(key, _)| !replaced.contains(&key.as_str())).collect();
    metadata.push((
        RECIPE_KEY.to_owned(),
        plan.recipe.to_toml().map_err(QuantizationError::Recipe)?,
    ));
    metadata.push((QUANTIZATION_CONFIG.to_owned(), config.to_string()));
    let stored = &network.stored.0;
    if !stored.is_empty() {
        let text = serde_json::to_string(stored).map_err(|error| QuantizationError::Rewrite(error.to_string()))?;
        metadata.push((WEIGHTS_KEY.to_owned(), text));
    }
    Ok(metadata)
}
