//! A plan carried out on the graph, with standard operators only.
//!
//! For each quantized layer: its input goes through `Clip`, `QuantizeLinear` and `DequantizeLinear` if it is on a grid, then
//! through a `Gather` that repeats the split channels. Where activations are split the `Gather` comes first, and `Mul` and
//! `Add` make the halves that then go on the grid. Its weight becomes an integer tensor behind `DequantizeLinear`; its bias
//! becomes the corrected one, if there is one. Split hidden units of a recurrent layer are repeated inside of it. Where the
//! recipe says so, the layer before makes the copies instead of a `Gather`.

mod bias;
mod compressed;
mod editor;
mod embedding;
mod gather;
mod input;
mod outputs;
mod recurrent;
mod stored;
mod tensors;
mod widen;

pub use compressed::{CompressedTensors, QUANTIZATION_CONFIG, compressed_tensors};
pub(super) use stored::needed_opset;
pub(super) use tensors::grid_values;
use tensors::keep;
pub use tensors::{NamedTensors, quantized_tensors, spool_beside, spooled_tensors};

use super::plan::{Outcome, QuantizedLayer};
use super::shared::{WeightPlace, weight_place};
use super::storage::{CodeType, Elements, Storage};
use super::widen::{LARGEST_MULTIPLE, Merging, Widening};
use super::{Expansion, Granularity, Plan, Products, QuantizationError, split_weights};
use crate::files::Spool;
use crate::network::{Layer, LayerKind, Network, OutAxis};
use crate::onnx::build::{attribute_int, float_tensor, i64_tensor, node, set_metadata};
use crate::onnx::{GraphEdit, ModelProto, OnnxError, TensorProto, UPGRADED_OPSET, encoded_bytes, upgrade};
use editor::{element_type, repeat_chain, replace_input, set_bias};
use input::{Input, SignedCodes, Site};
use std::collections::{HashMap, HashSet};
use stored::Stored;
use widen::{Rows, widen_constants, widen_float_layer};

/// Key of an exported model's metadata that holds the recipe as TOML.
pub const RECIPE_KEY: &str = "splitscope.recipe";

/// The quantized network, at operator set 13 or newer (21 for INT4 weights or scales in blocks, 25 for INT2): `Gather` for the
/// splits, integer weights behind `DequantizeLinear`, `Clip`, `QuantizeLinear` and `DequantizeLinear` on activations; the recipe in `metadata_props`.
///
/// # Errors
/// [`QuantizationError::Rewrite`] naming the node that cannot be rewritten.
pub fn rewrite(network: &Network, plan: &Plan) -> Result<ModelProto, QuantizationError> {
    on_grids(network, plan, &Elements::Codes, None)
}

/// [`rewrite`] whose new weights wait in the file of `spool` to be written, and whose codes leave memory: for networks larger than
/// it.
///
/// # Errors
/// As [`rewrite`].
pub fn rewrite_spooled(network: &Network, plan: &Plan, spool: &Spool) -> Result<ModelProto, QuantizationError> {
    on_grids(network, plan, &Elements::Codes, Some(spool))
}

/// Bytes of the file that [`rewrite`] and [`crate::onnx::write_file`] make of `plan` (both files of a network above 2 GiB), in
/// time that depends on the graph and not on the number of weights: the graph is made with tensors that only are as long.
///
/// # Errors
/// As [`rewrite`].
pub fn exported_bytes(network: &Network, plan: &Plan) -> Result<u64, QuantizationError> {
    let elements = |(layer, planned): (&Layer, &super::LayerPlan)| {
        let channels = Expansion::of(planned.inputs()?).channels;
        let most = channels.next_multiple_of(LARGEST_MULTIPLE);
        Some(expanded_shape(layer, most).iter().product::<usize>())
    };
    let longest = network.layers.iter().zip(&plan.layers).filter_map(elements).max();
    let hollow = Elements::hollow(longest.unwrap_or(0).saturating_mul(size_of::<f32>()));
    Ok(encoded_bytes(&on_grids(network, plan, &hollow, None)?))
}

fn on_grids(
    network: &Network,
    plan: &Plan,
    elements: &Elements,
    spool: Option<&Spool>,
) -> Result<ModelProto, QuantizationError> {
    let storage = plan.recipe.storage;
    let to = (elements, spool);
    let mut model = carry_out(network, plan, to, true, |layer, quantized, expansion| {
        let shape = expanded_shape(layer, expansion.channels);
        let layout = &quantized.layout;
        Ok(match storage {
            Storage::Float => Weight::Float(elements.floats(&shape, || {
                let values = tensors::grid_values(quantized);
                expansion.columns(&values, layout, |_, _| 0.0).into_owned()
            })),
            Storage::Auto | Storage::Int8 | Storage::Uint8 => {
                let placed = quantized.placed();
                let zero = |row, place| placed.both_at(row, place).zero_point.unwrap_or(0);
                Weight::Grid(elements.codes(&shape, || expansion.columns(&quantized.values, layout, zero)))
            }
        })
    })?;
    let recipe = plan.recipe.to_toml().map_err(QuantizationError::Recipe)?;
    set_metadata(&mut model, RECIPE_KEY, &recipe);
    Ok(model)
}

/// The plan's splits alone, in float and without a grid: computes what the original network computes.
///
/// # Errors
/// [`QuantizationError::Rewrite`] naming the node that cannot be rewritten.
pub fn split_only(network: &Network, plan: &Plan) -> Result<ModelProto, QuantizationError> {
    carry_out(
        network,
        plan,
        (&Elements::Codes, None),
        false,
        |layer, quantized, expansion| {
            let values = expanded_weights(network, layer, plan, quantized)?;
            let values = expansion.columns(&values, &quantized.layout, |_, _| 0.0);
            let shape = expanded_shape(layer, expansion.channels);
            Ok(Weight::Float(float_tensor("", &shape, &values)))
        },
    )
}

/// A layer's new weight; the tensor has no name yet.
enum Weight {
    Grid(TensorProto),
    Float(TensorProto),
}

/// A new weight as it is written.
#[derive(PartialEq)]
enum NewWeight {
    Grid(Box<Stored>),
    /// With the ending of its name.
    Float(Box<TensorProto>, &'static str),
}

/// The new weights of each stored one, with the value that a layer reads: layers that share a weight and ask the same of it
/// go on sharing it.
#[derive(Default)]
struct SharedWeights<'a>(HashMap<WeightPlace<'a>, Vec<MadeWeight<'a>>>);

/// A new weight, what was planned for it, and its value in the graph.
struct MadeWeight<'a> {
    weight: NewWeight,
    content: Content<'a>,
    value: String,
}

impl<'a> SharedWeights<'a> {
    /// The value of `weight`, added to the graph before node `before` unless it is there already.
    fn value(
        &mut self,
        editor: &mut GraphEdit,
        before: usize,
        (layer, content): (&'a Layer, Content<'a>),
        weight: NewWeight,
    ) -> String {
        let made = self.0.entry(weight_place(layer)).or_default();
        if let Some(made) = made
            .iter()
            .find(|made| made.weight == weight && made.content == content)
        {
            return made.value.clone();
        }
        let value = match &weight {
            NewWeight::Grid(stored) => stored.dequantize(editor, before, layer),
            NewWeight::Float(tensor, suffix) => {
                editor.add_initializer(&format!("{}.{suffix}", layer.weight), TensorProto::clone(tensor))
            }
        };
        made.push(MadeWeight {
            weight,
            content,
            value: value.clone(),
        });
        value
    }
}

fn carry_out(
    network: &Network,
    plan: &Plan,
    (elements, spool): (&Elements, Option<&Spool>),
    on_grids: bool,
    weight_of: impl Fn(&Layer, &QuantizedLayer, &Expansion) -> Result<Weight, QuantizationError>,
) -> Result<ModelProto, QuantizationError> {
    if let Some(why) = &network.why_not_runnable {
        return Err(QuantizationError::Rewrite(why.clone()));
    }
    let mut editor = editor::edit(&network.model)?;
    let merging = Merging::of(network, plan);
    let plan = &*merging.plan;
    let widening = Widening::of(network, plan);
    let opset = if on_grids {
        stored::needed_opset(network, plan)
    } else {
        UPGRADED_OPSET
    };
    let final_opset = editor.opset().map_or(opset, |present| present.max(opset));
    if on_grids {
        outputs::quantize_values(&mut editor, network, plan, final_opset)?;
    }
    let mut own_biases = HashSet::new();
    let mut weights = SharedWeights::default();
    for (number, (layer, planned)) in network.layers.iter().zip(&plan.layers).enumerate() {
        let rows = Rows::of(network, plan, &widening, number);
        let Some(inputs) = planned.inputs() else {
            // A cell widens its float matrices itself, with all else that belongs to it.
            if let Some(rows @ Rows::Way { .. }) = &rows {
                widen_float_layer(&mut editor, network, number, rows)?;
            }
            continue;
        };
        let expansion = widening.expansion(network, plan, number, inputs);
        let weight = match &planned.outcome {
            Outcome::Quantized(quantized) => Some(weight_of(layer, quantized, &expansion)?),
            Outcome::Expanded(float) if inputs.is_expanded() || rows.is_some() => {
                let weights = network.weights(number)?;
                let shape = expanded_shape(layer, expansion.channels);
                Some(Weight::Float(elements.floats(&shape, || {
                    let values = float.weights(&weights, &layer.layout);
                    expansion.columns(&values, &float.layout, |_, _| 0.0).into_owned()
                })))
            }
            Outcome::Expanded(_) | Outcome::Float(_) => None,
        };
        let input = Input {
            grid: inputs.activation.copied().filter(|_| on_grids),
            split: planned.settings.input.split,
            expansion: &expansion,
            is_gathered: inputs.is_expanded() && widening.way(number).is_none(),
            signed: SignedCodes::of(plan, final_opset),
            is_clipped: !plan.recipe.quantize_outputs,
        };
        let new = New {
            quantized: planned.quantized(),
            code_type: (planned.quantized()).map_or(CodeType::Float, |quantized| {
                CodeType::of(plan.recipe.storage, layer, quantized)
            }),
            weight,
            elements,
            spool,
            on_grids,
            keeps_float: plan.recipe.products == Products::Exact,
            rows: rows.as_ref(),
        };
        let content = match planned.quantized() {
            Some(quantized) => Content::Codes(&quantized.values),
            None => Content::Copies(inputs.index),
        };
        rewrite_layer(&mut editor, network, (layer, content), new, &input, &mut weights)?;
        if let (Some(Rows::Cell(cell)), Layer::RECURRENT_WEIGHT) = (&rows, layer.weight_input) {
            cell.widen(&mut editor, network, plan, layer)?;
        }
        let quantized = planned.quantized();
        let bias = quantized.and_then(|quantized| quantized.bias.as_ref());
        if let (Some(bias), Some(path), true) = (bias, &layer.node, on_grids) {
            // An Add with a constant takes the correction, and is made wider like every constant on its way.
            if !bias::add_to_constant(&mut editor, network, layer, bias) {
                let wide = rows.as_ref().map(|rows| rows.vector(bias));
                set_bias(&mut editor, path.node, layer, wide.as_ref().unwrap_or(bias))?;
            }
            own_biases.insert(number);
        }
        if let (Some(quantized), true) = (quantized, on_grids) {
            bias::round_to_sums(&mut editor, layer, quantized, plan.recipe.storage, rows.as_ref());
        }
        if let (Some(quantized), true, true) = (quantized, on_grids && plan.recipe.quantize_outputs, rows.is_none()) {
            bias::store_as_integers(&mut editor, layer, quantized, plan.recipe.storage)?;
        }
    }
    for way in widening.ways() {
        widen_constants(&mut editor, network, way, |layer| own_biases.contains(&layer))?;
    }
    // New nodes are in the form of the newer operator set already; the upgrade leaves them as they are.
    let mut model = editor.finish();
    // Before IR version 4 every initializer must be listed as an input too; the new ones are not.
    model.ir_version = model.ir_version.map(|version| version.max(4));
    network.leave_out_unread(&mut model);
    upgrade(&mut model, opset).map_err(|error| cannot_upgrade(network, &error, opset, plan.recipe.storage))?;
    Ok(model)
}

/// Why the graph cannot be upgraded, and what would do without.
fn cannot_upgrade(network: &Network, error: &OnnxError, opset: i64, storage: Storage) -> QuantizationError {
    let reaches_int8 = || upgrade(&mut network.model.as_ref().clone(), UPGRADED_OPSET).is_ok();
    let hint = if opset > UPGRADED_OPSET && storage == Storage::Auto && reaches_int8() {
        "; weights stored as int8 (storage = \"int8\") with a scale for each channel need no newer operator set"
    } else {
        ""
    };
    QuantizationError::Rewrite(format!("{error}{hint}"))
}

/// The new weight of a layer, and how it is written.
struct New<'a> {
    /// The layer on its grid; `None` for one whose weights stay float.
    quantized: Option<&'a QuantizedLayer>,
    /// The tensor; `None` where the layer goes on reading the one that it has.
    weight: Option<Weight>,
    code_type: CodeType,
    elements: &'a Elements,
    /// Where the tensor waits to be written; in memory without.
    spool: Option<&'a Spool>,
    /// Whether the weight and the input are put on grids.
    on_grids: bool,
    /// Whether all products of float inputs are kept from being fused.
    keeps_float: bool,
    /// Output channels that come more than once.
    rows: Option<&'a Rows<'a>>,
}

/// What a new weight holds: the tensors of different weights are alike where they are hollow.
#[derive(Clone, Copy, PartialEq)]
enum Content<'a> {
    /// Codes on a grid.
    Codes(&'a [i8]),
    /// Halves: the channel that each channel copies.
    Copies(&'a [usize]),
}

fn rewrite_layer<'a>(
    editor: &mut GraphEdit,
    network: &Network,
    (layer, content): (&'a Layer, Content<'a>),
    new: New<'_>,
    input: &Input<'_>,
    weights: &mut SharedWeights<'a>,
) -> Result<(), QuantizationError> {
    let cannot = |why: &str| QuantizationError::Rewrite(format!("layer '{}': {why}", layer.name));
    let path = layer.node.as_ref().ok_or_else(|| cannot("it has no node"))?;
    if !path.subgraphs.is_empty() {
        return Err(cannot("it is inside a subgraph"));
    }
    let element_type = element_type(editor, network, layer)?;

    let is_kept = must_be_kept_apart(layer, &new, input.grid.is_some());
    if let Some(weight) = new.weight {
        let is_float = matches!(weight, Weight::Float(_));
        let new_weight = match (weight, new.quantized) {
            (Weight::Grid(codes), Some(quantized)) if layer.kind == LayerKind::Embedding => {
                let is_packed = new.code_type.is_packed();
                let mut table = if is_packed { new.elements.nibbles(&codes) } else { codes };
                keep(new.spool, std::slice::from_mut(&mut table), new.quantized);
                return embedding::rewrite_embedding(
                    editor,
                    layer,
                    (table, is_packed),
                    &quantized.scales,
                    element_type,
                );
            }
            (Weight::Float(mut table), quantized) if layer.kind == LayerKind::Embedding => {
                if new.on_grids {
                    keep(new.spool, std::slice::from_mut(&mut table), quantized);
                    embedding::replace_table(editor, layer, table, element_type)?;
                }
                return Ok(());
            }
            (Weight::Grid(codes), Some(quantized)) => {
                let mut stored = Stored::of(layer, quantized, codes, new.rows, new.code_type, new.elements)?;
                keep(new.spool, stored.codes(), Some(quantized));
                NewWeight::Grid(Box::new(stored))
            }
            (Weight::Float(mut tensor) | Weight::Grid(mut tensor), quantized) => {
                if let Some(rows) = new.rows {
                    tensor = rows.weight(&tensor)?;
                }
                keep(new.spool, std::slice::from_mut(&mut tensor), quantized);
                let is_rounded = new.on_grids && quantized.is_some();
                NewWeight::Float(Box::new(tensor), if is_rounded { "quantized" } else { "split" })
            }
        };
        let mut new_weight = weights.value(editor, path.node, (layer, content), new_weight);
        if is_kept && !is_float {
            // Before a Transpose: behind it, onnxruntime takes both out and fuses all the same.
            new_weight = keep_apart(editor, path.node, layer, new_weight);
        }
        let new_weight = repeat_chain(editor, path.node, layer, new_weight, element_type)?;
        replace_input(editor, path.node, layer.weight_input, new_weight)?;
    }

    let Some((value, axis)) = &layer.input else {
        return Ok(());
    };
    let mut site = Site {
        editor,
        before: path.node,
        layer,
        axis: *axis,
        element_type,
    };
    let value = input.rewrite(&mut site, value.clone());
    let side = 1 - layer.weight_input.min(1);
    replace_input(editor, path.node, side, value)
}

/// Whether onnxruntime would make one operator of `layer` and its weights that computes something else than the file says. As of
/// 1.32:
/// - With float inputs, `MatMulNBits` rounds them to 8 bits, which is asked for by [`Products::Fast`]. Of codes of 2 bits it computes
///   something else altogether.
/// - With inputs on a grid, `MatMulIntegerToFloat` is made of a `MatMul` with bytes whose scales are in blocks. It takes the scales
///   of a block of inputs for those of a matrix of a stack: the numbers are wrong, or the run fails.
fn must_be_kept_apart(layer: &Layer, new: &New<'_>, on_grid: bool) -> bool {
    let is_product = matches!(layer.kind, LayerKind::Gemm | LayerKind::MatMul);
    let in_blocks = |quantized: &QuantizedLayer| matches!(quantized.scales.granularity(), Granularity::Block(_));
    match on_grid {
        false => is_product && (new.keeps_float || new.code_type.bits() == 2),
        true => layer.kind == LayerKind::MatMul && new.code_type.bits() == 8 && new.quantized.is_some_and(in_blocks),
    }
}

/// Passes a dequantized matrix through a `Reshape` to its own shape, so that onnxruntime does not make one operator of
/// `DequantizeLinear` and the product: see [`must_be_kept_apart`].
fn keep_apart(editor: &mut GraphEdit, before: usize, layer: &Layer, weight: String) -> String {
    // 0 stands for the size that is there.
    let shape = editor.shared("same shape".to_owned(), |editor| {
        editor.add_initializer("splitscope.same_shape", i64_tensor("", &[2], &[0, 0]))
    });
    editor.shared(format!("keep float {weight}"), |editor| {
        let to = editor.fresh(&format!("{weight}.float"));
        let name = editor.fresh(&format!("{}/keep_float", layer.name));
        editor.insert(before, node("Reshape", name, [weight, shape], [to.clone()], vec![]));
        to
    })
}

/// Shape of the expanded weight tensor, as stored.
fn expanded_shape(layer: &Layer, channels: usize) -> Vec<usize> {
    let mut shape = layer.shape.clone();
    if let Some(size) = shape.get_mut(layer.channel_axis()) {
        // On the first axis the channels of all groups follow one another.
        *size = match layer.layout.out_axis {
            OutAxis::Inner => layer.layout.groups * channels,
            OutAxis::Outer => channels,
        };
    }
    shape
}

/// The split weights of a planned layer in float, before the grid.
fn expanded_weights(
    network: &Network,
    layer: &Layer,
    plan: &Plan,
    quantized: &QuantizedLayer,
) -> Result<Vec<f32>, QuantizationError> {
    let index = network.layer_index(&layer.name).unwrap_or_default();
    let values = network.weights(index)?;
    Ok(split_weights(&values, &layer.layout, &plan.layers[index].settings.weights, quantized).values)
}

/// The element type that a `Cast` node makes.
fn cast_target(node: &crate::onnx::NodeProto) -> Option<i32> {
    attribute_int(node, "to").and_then(|to| i32::try_from(to).ok())
}
