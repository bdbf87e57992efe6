//! `splitscope quantize`: a network to a file, and a report of what became of each layer.

use super::UsageError;
use super::arguments::QuantizeArguments;
use super::output::{Table, check_place, lines, three_digits, to_json, write_whole};
use super::pipeline::{self, Planned};
use crate::files::{self, Spool};
use crate::format::safetensors;
use crate::inference::{QuantizedModel, known_shapes};
use crate::network::Network;
use crate::printable::short;
use crate::progress::Progress;
use crate::quantization::{
    ActivationPlan, Bits, CodeType, Copies, CopyCosts, Granularity, LayerOverhead, LayerPlan, Outcome, Overhead,
    QUANTIZATION_CONFIG, QuantizedLayer, Recipe, Rounding, Storage, compressed_tensors, overhead, spool_beside,
    spooled_tensors,
};
use crate::replacement::folder_of;
use crate::statistics::RangeSource;
use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::Path;

/// What `--report` writes. Field names are a contract: add, never rename.
#[derive(Serialize)]
struct Report<'a> {
    recipe: &'a Recipe,
    /// What was done to the network before its layers were split.
    steps: &'a [String],
    layers: Vec<LayerReport<'a>>,
    overhead: &'a Overhead,
    /// Inputs that leave sizes free, as noise was run through the network where there was no data.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    noise_inputs: Vec<NoiseInput<'a>>,
}

/// The shape of the noise for an input.
#[derive(Serialize)]
struct NoiseInput<'a> {
    name: &'a str,
    shape: &'a [usize],
}

#[derive(Serialize)]
struct LayerReport<'a> {
    name: &'a str,
    /// What the layer's weights cost, before and after.
    parameters: Growth,
    bytes: Growth,
    /// The element type that the weights are stored in, if they are on a grid.
    #[serde(skip_serializing_if = "Option::is_none")]
    stored: Option<CodeType>,
    /// Multiply-accumulates of one sample, if shapes are known.
    macs: Option<Growth>,
    /// Where the copies of split channels come from.
    copies: Option<&'a Copies>,
    weight_bits: Bits,
    step: Option<f32>,
    /// With one scale an output channel, the step of each; `step` is then the largest.
    #[serde(skip_serializing_if = "<[f32]>::is_empty")]
    channel_steps: &'a [f32],
    threshold: Option<f32>,
    splits: &'a [usize],
    mse: Option<f64>,
    sqnr_db: Option<f64>,
    activation: Option<ActivationReport<'a>>,
    /// Whether the bias takes back how far rounding moves the mean outputs.
    bias_corrected: bool,
    /// What has a scale of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    scales: Option<Granularity>,
    /// Whether each scale has a zero point.
    weight_zero_points: bool,
    /// How the weights were rounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounding: Option<Rounding>,
    /// Where something was done in another way than asked for: why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why_float: Option<&'a str>,
}

/// A count before and after.
#[derive(Serialize)]
struct Growth {
    float: u64,
    quantized: u64,
}

impl From<(u64, u64)> for Growth {
    fn from((float, quantized): (u64, u64)) -> Self {
        Self { float, quantized }
    }
}

#[derive(Serialize)]
struct ActivationReport<'a> {
    bits: u8,
    step: f32,
    threshold: f32,
    source: RangeSource,
    unsigned: bool,
    /// The code of 0 among those from 0 to 2^bits - 1, where the grid has a zero point.
    #[serde(skip_serializing_if = "Option::is_none")]
    zero_point: Option<i32>,
    /// Input channels whose activation is split.
    splits: &'a [usize],
}

impl<'a> ActivationReport<'a> {
    fn new(plan: &ActivationPlan, splits: &'a [usize]) -> Self {
        Self {
            splits,
            bits: plan.grid.bits,
            step: plan.grid.step,
            threshold: plan.threshold,
            source: plan.source,
            unsigned: plan.grid.unsigned,
            zero_point: plan.grid.zero_point.map(|zero| i32::from(zero) - plan.grid.low()),
        }
    }
}

impl<'a> LayerReport<'a> {
    fn new(plan: &'a LayerPlan, cost: &'a LayerOverhead, notes: Vec<String>) -> Self {
        // What a layer that stays as it is has.
        let plain = Self {
            name: &plan.name,
            parameters: cost.weights.into(),
            bytes: cost.bytes.into(),
            stored: cost.stored,
            macs: cost.macs.map(Growth::from),
            copies: cost.copies.as_ref(),
            weight_bits: Bits::Float,
            step: None,
            channel_steps: &[],
            threshold: None,
            splits: plan.inputs().map_or(&[][..], |inputs| inputs.splits),
            mse: None,
            sqnr_db: None,
            activation: (plan.inputs()).and_then(|inputs| {
                let activation = inputs.activation?;
                Some(ActivationReport::new(activation, inputs.activation_splits))
            }),
            bias_corrected: false,
            scales: None,
            weight_zero_points: false,
            rounding: None,
            notes,
            why_float: None,
        };
        match &plan.outcome {
            Outcome::Float(why) => Self {
                why_float: Some(why),
                ..plain
            },
            Outcome::Expanded(_) => plain,
            Outcome::Quantized(layer) => Self {
                weight_bits: Bits::Grid(layer.grid.bits),
                step: Some(layer.grid.step),
                channel_steps: layer.scales.of_channels(),
                threshold: Some(layer.threshold),
                mse: Some(layer.mse),
                sqnr_db: Some(layer.sqnr_db),
                bias_corrected: layer.bias.is_some(),
                scales: Some(layer.scales.granularity()),
                weight_zero_points: !layer.zero_points.is_empty(),
                rounding: Some(layer.rounding.by),
                ..plain
            },
        }
    }
}

/// Of a layer whose input nobody tells the range of.
const NOISE_NOTE: &str = "warning: the range of its input comes from random noise and can be far off";

/// What was done to each layer in another way than asked for, and why; what can be far off.
fn notes(planned: &Planned) -> Vec<Vec<String>> {
    let layers = planned.network.layers.iter().zip(&planned.plan.layers);
    layers
        .enumerate()
        .map(|(index, (layer, plan))| {
            let range = noise_note(plan.inputs().and_then(|inputs| inputs.activation));
            let Some(quantized) = plan.quantized() else {
                return range.into_iter().collect();
            };
            let asked = planned.plan.recipe.settings(&planned.network, index);
            let shortfalls = asked.weights.shortfalls(layer).into_iter();
            shortfalls.chain(quantized.notes()).chain(range).collect()
        })
        .collect()
}

fn noise_note(activation: Option<&ActivationPlan>) -> Option<String> {
    let from_noise = activation.is_some_and(|activation| activation.source == RangeSource::Noise);
    from_noise.then(|| NOISE_NOTE.to_owned())
}

/// What the extension of the output asks for.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Onnx,
    Safetensors,
    /// Safetensors too, in the layout of that name.
    CompressedTensors,
}

/// Carries the subcommand out and returns what to print.
pub(super) fn run(arguments: &QuantizeArguments, progress: &Progress) -> anyhow::Result<String> {
    let target = target(&arguments.output, &arguments.layout)?;
    check_output(&arguments.output, &arguments.model)?;
    if let Some(report) = &arguments.report {
        check_output(report, &arguments.model)?;
        if same_file(report, &arguments.output) {
            return Err(UsageError(format!("{}: report and output are the same file", report.display())).into());
        }
    }
    if arguments.with_past && target != Target::Onnx {
        return Err(UsageError("--with-past: a file of weights has no inputs; name an OUT.onnx".to_owned()).into());
    }
    let asked = pipeline::ask(&arguments.model, &arguments.recipe_flags, &arguments.calibration)?;
    let spool =
        spool_beside(&arguments.output, &asked.original).with_context(|| arguments.output.display().to_string())?;
    let learning = (&arguments.calibration, &arguments.data_flags);
    let planned = pipeline::plan_asked(asked, &arguments.model, learning, spool.as_ref(), progress)?;
    let mut cost = cost(&planned);
    let remarks = write(&planned, target, arguments, (&mut cost, spool.as_ref()), progress)?;
    if target == Target::Onnx && arguments.with_past {
        cost.bytes.quantized = std::fs::metadata(&arguments.output)?.len();
    }
    if target != Target::Onnx {
        // Another file than the one that is counted: it says itself how large it is, and no runtime of graphs reads it.
        cost.bytes.quantized = std::fs::metadata(&arguments.output)?.len();
        cost.needs.clear();
        cost.runtime_note = None;
    }
    let notes = notes(&planned);
    if let Some(path) = &arguments.report {
        let report = Report {
            recipe: &planned.plan.recipe,
            steps: &planned.network.preparation.steps,
            layers: (planned.plan.layers.iter().zip(&cost.layers).zip(&notes))
                .map(|((plan, cost), notes)| LayerReport::new(plan, cost, notes.clone()))
                .collect(),
            overhead: &cost,
            noise_inputs: (planned.activations.iter())
                .flat_map(crate::quantization::Activations::noise_sizes)
                .map(|(name, shape)| NoiseInput { name, shape })
                .collect(),
        };
        write_whole(path, to_json(&report)?.as_bytes())?;
    }
    Ok(table(&planned, &cost, &notes, &arguments.output) + &lines(remarks))
}

fn target(output: &Path, layout: &str) -> Result<Target, UsageError> {
    let is_compressed = layout == "compressed-tensors";
    match output.extension().and_then(|extension| extension.to_str()) {
        Some("onnx") if is_compressed => Err(UsageError(format!(
            "--layout {layout}: is a layout of .safetensors files, and the output is an .onnx file"
        ))),
        Some("onnx") => Ok(Target::Onnx),
        Some("safetensors") if is_compressed => Ok(Target::CompressedTensors),
        Some("safetensors") => Ok(Target::Safetensors),
        _ => Err(UsageError(format!(
            "--output {}: its name must end in .onnx or .safetensors",
            output.display()
        ))),
    }
}

/// Checks before any work that `path` can be written and is not the model itself.
fn check_output(path: &Path, model: &str) -> anyhow::Result<()> {
    check_place(path)?;
    if same_file(path, &files::real_path(Path::new(model))) {
        bail!("{}: is the model itself; write to another file", path.display());
    }
    Ok(())
}

/// Whether both names lead to one file, or would if it were there.
fn same_file(left: &Path, right: &Path) -> bool {
    let place = |path: &Path| {
        path.canonicalize()
            .ok()
            .or_else(|| Some(folder_of(path).canonicalize().ok()?.join(path.file_name()?)))
    };
    place(left).is_some_and(|left| place(right) == Some(left))
}

/// Writes the file; what is to be said of it.
fn write(
    planned: &Planned,
    target: Target,
    arguments: &QuantizeArguments,
    (cost, spool): (&mut Overhead, Option<&Spool>),
    progress: &Progress,
) -> anyhow::Result<Vec<String>> {
    let output = &arguments.output;
    match target {
        Target::CompressedTensors => return write_compressed(planned, output, (cost, spool), progress),
        Target::Onnx => {
            refuse_weights_only(&planned.network)?;
            let (network, plan) = (&planned.network, &planned.plan);
            let quantized = match spool {
                Some(spool) => QuantizedModel::of_spooled(network, plan, spool),
                None => QuantizedModel::of(network, plan),
            };
            let mut quantized = quantized.with_context(|| network.name.clone())?;
            if arguments.with_past {
                quantized = quantized.with_past().context("--with-past")?;
            }
            progress.check()?;
            quantized.write(output)?;
        }
        Target::Safetensors => {
            let (tensors, metadata) = spooled_tensors(&planned.network, &planned.plan, spool)?;
            progress.check()?;
            safetensors::write(output, &tensors, &metadata)?;
        }
    }
    Ok(Vec::new())
}

/// Writes the layout of compressed-tensors, and `config.json` beside it.
fn write_compressed(
    planned: &Planned,
    output: &Path,
    (cost, spool): (&mut Overhead, Option<&Spool>),
    progress: &Progress,
) -> anyhow::Result<Vec<String>> {
    let storage = planned.plan.recipe.storage;
    if storage != Storage::Auto {
        bail!("--layout compressed-tensors stores integers of 2, 4 or 8 bits: leave out storage = \"{storage}\"");
    }
    let export = compressed_tensors(&planned.network, &planned.plan, spool)?;
    progress.check()?;
    let (tensors, metadata) = &export.tensors;
    safetensors::write(output, tensors, metadata)?;
    for (index, layer) in cost.layers.iter_mut().enumerate() {
        if layer.stored.is_some() && !export.packed.contains(&index) {
            layer.stored = Some(CodeType::Float);
        }
    }
    let mut remarks: Vec<String> = (export.floats.iter())
        .map(|(layer, why)| format!("{}: written as floats: {why}", short(layer)))
        .collect();
    let place = output.with_file_name("config.json");
    if place.exists() {
        remarks.push(format!(
            "{} is there already and was left as it is: its \"{QUANTIZATION_CONFIG}\" must be that of the file's metadata",
            place.display()
        ));
    } else {
        let beside = planned
            .network
            .path
            .as_ref()
            .map(|model| model.with_file_name("config.json"));
        let text = beside
            .filter(|path| path.is_file())
            .map(|path| files::read_text(&path))
            .transpose()?;
        let root = text.map(|text| serde_json::from_str(&text)).transpose();
        let mut root: Value = root
            .context("config.json beside the model")?
            .unwrap_or_else(|| json!({}));
        if let Some(entries) = root.as_object_mut() {
            entries.insert(QUANTIZATION_CONFIG.to_owned(), export.config);
        }
        write_whole(&place, to_json(&root)?.as_bytes())?;
        remarks.push(format!("wrote {}", place.display()));
    }
    Ok(remarks)
}

fn refuse_weights_only(network: &Network) -> anyhow::Result<()> {
    if network.why_not_runnable.is_some() {
        bail!(
            "{}: holds weights only, and an .onnx file needs a graph; write a .safetensors file instead",
            network.name
        );
    }
    Ok(())
}

/// The cost of the plan. Activations and operations stay unknown when the network does not run.
fn cost(planned: &Planned) -> Overhead {
    let shapes = known_shapes(&planned.network, None);
    overhead(&planned.network, &planned.plan, shapes.as_ref())
}

/// What GPTQ was told of the layers' inputs, if any layer was rounded so.
fn gptq_inputs(planned: &Planned) -> Option<String> {
    let layers = planned.plan.layers.iter().filter_map(LayerPlan::quantized);
    let count = layers.filter(|layer| layer.rounding.by == Rounding::Gptq).count();
    (count > 0).then(|| {
        let known = match (planned.with_data, planned.plan.recipe.sequential) {
            (true, true) => "its inputs behind the quantized layers before it, measured on calibration data",
            (true, false) => "the float network's inputs, measured on calibration data",
            (false, _) => "the float network's inputs, estimated from batch-norm statistics and noise",
        };
        format!("GPTQ: {count} layers, each rounded on {known}")
    })
}

fn table(planned: &Planned, cost: &Overhead, notes: &[Vec<String>], output: &Path) -> String {
    let mut rows = Table::new(&["layer", "bits", "splits", "threshold", "step", "SQNR dB", "input bits"]);
    let mut reasons = lines(planned.suggestion) + &lines(&planned.network.preparation.steps);
    for (layer, notes) in planned.plan.layers.iter().zip(notes) {
        rows.row(match &layer.outcome {
            Outcome::Quantized(quantized) => {
                reasons.push_str(&lines(
                    notes.iter().map(|note| format!("{}: {note}", short(&layer.name))),
                ));
                quantized_cells(&layer.name, quantized)
            }
            Outcome::Expanded(float) => {
                reasons.push_str(&lines(
                    notes.iter().map(|note| format!("{}: {note}", short(&layer.name))),
                ));
                let splits = float.splits.len().to_string();
                let unknown = three_digits(None);
                let cells = [
                    unknown.clone(),
                    unknown.clone(),
                    unknown,
                    activation_bits(float.activation.as_ref()),
                ];
                [vec![layer.name.clone(), "float".to_owned(), splits], cells.to_vec()].concat()
            }
            Outcome::Float(why) => {
                reasons.push_str(&lines([format!("{}: {why}", short(&layer.name))]));
                vec![layer.name.clone(), "float".to_owned()]
            }
        });
    }
    reasons.push_str(&lines(gptq_inputs(planned)));
    let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "unknown".to_owned(), |ratio| format!("x{ratio:.3}"));
    format!(
        "{}{reasons}{}\noverhead: weights {}, activations {}, operations {}\n{}{}{} bytes in float, {} quantized\nwrote \
         {}\n",
        rows.text(),
        warning(planned),
        ratio(Some(cost.weights)),
        ratio(cost.activations),
        ratio(cost.macs),
        copies_text(&cost.copies),
        stored_text(cost),
        cost.bytes.float,
        cost.bytes.quantized,
        output.display()
    )
}

/// What a person must know when the file has no quantized weights; nothing otherwise.
fn warning(planned: &Planned) -> String {
    let layers = &planned.plan.layers;
    if layers.iter().any(|layer| layer.inputs().is_some()) {
        return String::new();
    }
    let why = if layers.is_empty() {
        "no weights were found in this network"
    } else {
        "the reasons stand above"
    };
    format!("warning: nothing was quantized ({why}): the file has the weights that the network had\n")
}

/// As what the weights are stored; nothing if none is quantized.
fn stored_text(cost: &Overhead) -> String {
    let count = |code_type: CodeType| (cost.layers.iter().filter(|layer| layer.stored == Some(code_type))).count();
    let types = CodeType::ALL.map(|kind| (kind, count(kind)));
    let used = types.iter().filter(|(_, count)| *count > 0);
    let texts: Vec<String> = used
        .map(|(kind, count)| {
            format!(
                "{count} {} as {}",
                if *count == 1 { "layer" } else { "layers" },
                kind.name()
            )
        })
        .collect();
    if texts.is_empty() {
        return String::new();
    }
    let note = (cost.runtime_note.as_ref()).map_or_else(String::new, |note| format!("note: {note}\n"));
    format!("stored: {}\n{}{note}", texts.join(", "), lines(&cost.needs))
}

/// How copies are made and what that costs; nothing if there are none.
fn copies_text(costs: &CopyCosts) -> String {
    let number = |number: Option<u64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    let mut text = String::new();
    if costs.gathers > 0 {
        text.push_str(&format!(
            "copies: {} layers by Gather, which writes {} elements a sample\n",
            costs.gathers,
            number(costs.gathered_elements)
        ));
    }
    if costs.widened > 0 {
        text.push_str(&format!(
            "copies: {} layers by a wider layer before, {} multiply-accumulates and {} elements of other nodes a sample more\n",
            costs.widened,
            number(costs.widened_macs),
            number(costs.widened_elements)
        ));
    }
    if costs.merged > 0 {
        text.push_str(&format!(
            "copies: {} layers with the copies added up to one channel, weights of {} bits at most\n",
            costs.merged, costs.merged_bits
        ));
    }
    text
}

fn quantized_cells(name: &str, layer: &QuantizedLayer) -> Vec<String> {
    vec![
        name.to_owned(),
        layer.grid.bits.to_string(),
        layer.splits.len().to_string(),
        three_digits(Some(layer.threshold.into())),
        three_digits(Some(layer.grid.step.into())),
        three_digits(Some(layer.sqnr_db)),
        activation_bits(layer.activation.as_ref()),
    ]
}

fn activation_bits(activation: Option<&ActivationPlan>) -> String {
    activation.map_or_else(|| "float".to_owned(), |activation| activation.grid.bits.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_kinds_of_file_can_be_written() {
        let target = |path: &Path| super::target(path, "splitscope");
        assert!(target(Path::new("a.onnx")).is_ok_and(|target| target == Target::Onnx));
        assert!(target(Path::new("a.safetensors")).is_ok_and(|target| target == Target::Safetensors));
        for wrong in ["a", "a.pt", ".onnx"] {
            assert!(target(Path::new(wrong)).is_err(), "{wrong}");
        }
        let compressed = |path: &str| super::target(Path::new(path), "compressed-tensors");
        assert!(compressed("a.safetensors").is_ok_and(|target| target == Target::CompressedTensors));
        assert!(compressed("a.onnx").is_err());
    }

    #[test]
    fn the_model_is_never_written_over_however_it_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("m.onnx");
        std::fs::write(&model, "x").unwrap();
        let model = model.to_str().unwrap();
        let detour = folder.path().join(".").join("m.onnx");
        assert!(
            check_output(&detour, model)
                .unwrap_err()
                .to_string()
                .contains("the model itself")
        );
        assert!(check_output(&folder.path().join("absent/o.onnx"), model).is_err());
        assert!(check_output(folder.path(), model).is_err());
        assert!(check_output(&folder.path().join("o.onnx"), model).is_ok());
    }
}
