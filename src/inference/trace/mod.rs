//! Where the error of a quantized network arises: every value of the graph, float against quantized, on the same samples.
//!
//! *Cumulative*: both networks run as they are, so that a value has the errors of all that comes before it. *Own*: the nodes that
//! compute the value run in the quantized network on the float network's values, so that only what was done to them counts: the
//! weights of a layer, and the grid that the value itself is put on. Values are compared as the nodes after them read them,
//! behind their grid if they have one. SQNR is `10 log10(sum float^2 / sum (float - x)^2)`, decibels.

mod matching;
mod own;

use super::{Dataset, Engine, InferenceError};
use crate::data::{Tensor, by_name};
use crate::engine::{self, EngineChoice, EngineError, Threads, UNOPTIMIZED};
use crate::network::Network;
use crate::onnx::{Graph, GraphProto, ModelProto};
use crate::progress::Progress;
use matching::{MatchedValue, matched_values};
use own::{Made, OwnGraph, ask_for};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// Samples that run at once: the values of the whole graph are held at the same time, twice.
const BATCH: usize = 8;

/// Values that nodes make by themselves, in one run.
const PART: usize = 256;

/// One value of the graph, float against quantized.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TracedValue {
    /// Its name in the float graph.
    pub name: String,
    /// Operator that computes it; `None` for an input of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    /// Name of the layer whose output it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// Its shape for one batch of samples.
    pub shape: Vec<usize>,
    /// SQNR as both networks run, decibels; infinite without error (null in JSON). Of a value on a grid the same as
    /// `xmodel_err` of `onnxruntime.quantization.qdq_loss_debug`.
    pub sqnr_db: f64,
    /// SQNR of what the quantized nodes make of the float network's values, decibels; infinite without error (null in JSON).
    /// `None` where they cannot be run by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_sqnr_db: Option<f64>,
    /// Of a value on a grid: SQNR of that alone, before against after it in the quantized network, decibels. The same as
    /// `qdq_err` there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid_sqnr_db: Option<f64>,
    /// Axis of the channels.
    pub channel_axis: usize,
    /// `sqnr_db` of each channel.
    pub channel_sqnr_db: Vec<f64>,
    /// Rows and columns of `position_sqnr_db`: the last axis besides samples and channels, and the axes before it as one.
    /// Neighbours are taken together where there are more than [`MAX_POSITIONS`].
    pub positions: [usize; 2],
    /// `sqnr_db` of each position (pixel, token), row by row; empty where there is only one.
    pub position_sqnr_db: Vec<f64>,
}

/// Rows, and columns, of positions that are told apart.
pub const MAX_POSITIONS: usize = 16;

/// The values that both networks have, in the order of the float graph.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// What ran both networks.
    pub engine: String,
    /// Samples that were run.
    pub samples: usize,
    /// The values.
    pub values: Vec<TracedValue>,
    /// Values of the float graph without a counterpart, such as those that a tool has fused away.
    pub unmatched: Vec<String>,
}

impl Trace {
    /// The value whose error is most its own: where to look first. `None` if nothing has an error of its own.
    pub fn worst_own(&self) -> Option<&TracedValue> {
        let own = |value: &&TracedValue| value.own_sqnr_db.filter(|db| db.is_finite()).is_some();
        let order = |value: &&TracedValue| value.own_sqnr_db.unwrap_or(f64::INFINITY);
        let with_own = self.values.iter().filter(own);
        with_own.min_by(|one, other| order(one).total_cmp(&order(other)))
    }

    /// Leaves only the values of `float` that `output` is computed from, itself included.
    pub fn keep_leading_to(&mut self, float: &ModelProto, output: &str) {
        let Some(graph) = &float.graph else { return };
        let leading = Graph::main(graph).leading_to(output);
        self.values.retain(|value| leading.contains(value.name.as_str()));
        self.unmatched.retain(|name| leading.contains(name.as_str()));
    }
}

/// Runs the first `samples` of `data` through both networks, in the engine that was chosen, and compares every value that both have.
/// `float` tells the layers.
///
/// # Errors
/// [`InferenceError`] of either network, of the data, or `Cancelled`.
pub fn trace(
    float: &Network,
    quantized: &ModelProto,
    data: &Dataset,
    samples: usize,
    progress: &Progress,
) -> Result<Trace, InferenceError> {
    trace_in(&engine::chosen(), float, quantized, data, samples, progress)
}

/// [`trace`] in the engine `choice`.
///
/// # Errors
/// As [`trace`].
pub fn trace_in(
    choice: &EngineChoice,
    float: &Network,
    quantized: &ModelProto,
    data: &Dataset,
    samples: usize,
    progress: &Progress,
) -> Result<Trace, InferenceError> {
    let mut float_model = float.runnable_model();
    let no_graph = || InferenceError::Data("the network has no graph".to_owned());
    let graph = float.model.graph.as_ref().ok_or_else(no_graph)?;
    let quantized_graph = quantized.graph.as_ref().ok_or_else(no_graph)?;
    let matched = matched_values(graph, quantized_graph);
    ask_for(&mut float_model, computed(&matched).map(|value| value.float.as_str()));
    let float_engine = choice.load_unoptimized(float_model)?;
    let mut both: Option<Both> = None;
    let mut sums = Sums::new(graph, &matched);
    let samples = samples.min(data.len());
    progress.start(samples as u64, "Comparing values");
    for batch in super::outputs::batches(&float_engine, data, 0..samples, BATCH)? {
        progress.check()?;
        let inputs = data
            .filled_batch(batch.run.clone())
            .map_err(|error| InferenceError::Data(error.to_string()))?;
        let inputs = by_name(&inputs);
        let names: Vec<&str> = matched.iter().map(|value| value.float.as_str()).collect();
        let values = float_engine.run_with(&inputs, &names, UNOPTIMIZED)?;
        let inputs = inputs_of_quantized(inputs, &matched);
        let both = match &mut both {
            Some(both) => both,
            none => none.insert(Both::of(choice, quantized, &matched, &inputs, &values)?),
        };
        progress.check()?;
        sums.add(&values, &both.run(&inputs, &values, &matched)?);
        progress.advance(batch.wanted.len() as u64);
    }
    Ok(sums.trace(float, samples, float_engine.name()))
}

/// The values that nodes compute.
fn computed(matched: &[MatchedValue]) -> impl Iterator<Item = &MatchedValue> {
    matched.iter().filter(|value| value.node.is_some())
}

/// The values of the quantized network that are compared: before their grids, then those after them.
fn compared(matched: &[MatchedValue]) -> impl Iterator<Item = &str> {
    let before = matched.iter().map(|value| value.quantized.as_str());
    before.chain(matched.iter().filter_map(|value| value.after_grid.as_deref()))
}

/// The inputs by the names that the quantized network has for them.
fn inputs_of_quantized<'a>(
    mut inputs: Vec<(&'a str, &'a Tensor)>,
    matched: &'a [MatchedValue],
) -> Vec<(&'a str, &'a Tensor)> {
    for (name, _) in &mut inputs {
        let mut of_inputs = matched.iter().take_while(|value| value.node.is_none());
        if let Some(value) = of_inputs.find(|value| value.float == *name) {
            *name = &value.quantized;
        }
    }
    inputs
}

/// The quantized network as it runs, and its nodes on the float network's values, in one graph.
struct Both {
    engine: Arc<dyn Engine>,
    own: OwnGraph,
}

/// The values of a batch in the quantized network, for each matched value.
struct OfQuantized {
    /// As it runs.
    before: Vec<Tensor>,
    /// The same behind its grid, where it has one.
    after: Vec<Option<Tensor>>,
    /// What its nodes make of the float network's values, where they can be run by themselves.
    own: Vec<Option<Tensor>>,
}

impl Both {
    /// `float` are the matched values of the first batch, whose inputs the quantized network gets as `inputs`.
    fn of(
        choice: &EngineChoice,
        quantized: &ModelProto,
        matched: &[MatchedValue],
        inputs: &[(&str, &Tensor)],
        float: &[Tensor],
    ) -> Result<Self, InferenceError> {
        // Which values have the same shape in both tells a run; the network alone is dropped behind it.
        let mut alone = quantized.clone();
        let names: Vec<&str> = matched.iter().map(|value| value.quantized.as_str()).collect();
        ask_for(&mut alone, computed(matched).map(|value| value.quantized.as_str()));
        let values = choice.load_unoptimized(alone)?.run_with(inputs, &names, UNOPTIMIZED)?;
        let rank = |(one, other): (&Tensor, &Tensor)| {
            let alike = one.shape() == other.shape() && one.floats().is_some() && other.floats().is_some();
            alike.then_some(one.shape().len())
        };
        let ranks: Vec<Option<usize>> = float.iter().zip(&values).map(rank).collect();
        let mut own = OwnGraph::of(quantized, matched, &ranks);
        let mut model = std::mem::take(&mut own.model);
        let computed = computed(matched).flat_map(|value| [Some(&value.quantized), value.after_grid.as_ref()]);
        let after_inputs = matched.iter().filter(|value| value.node.is_none());
        let wanted = computed
            .chain(after_inputs.map(|value| value.after_grid.as_ref()))
            .chain(own.made.iter().map(|made| made.as_ref().map(|made| &made.name)));
        ask_for(&mut model, wanted.flatten().map(String::as_str));
        Ok(Self {
            engine: choice.load_unoptimized(model)?,
            own,
        })
    }

    /// Runs a batch whose matched values are `float`.
    fn run(
        &self,
        inputs: &[(&str, &Tensor)],
        float: &[Tensor],
        matched: &[MatchedValue],
    ) -> Result<OfQuantized, InferenceError> {
        let mut values = match self.run_in_parts(inputs, float, matched)? {
            Some(values) => values,
            None => self.run_whole(inputs, float, matched)?,
        }
        .into_iter();
        let before = values.by_ref().take(matched.len()).collect();
        let after = matched.iter().map(|value| {
            let has_grid = value.after_grid.is_some();
            if has_grid { values.next() } else { None }
        });
        let after: Vec<Option<Tensor>> = after.collect();
        let own = (self.own.made.iter()).map(|made| if made.is_some() { values.next() } else { None });
        let own = own.collect();
        Ok(OfQuantized { before, after, own })
    }

    /// All values in one run: those of [`compared`], then those that nodes make by themselves.
    fn run_whole(
        &self,
        inputs: &[(&str, &Tensor)],
        float: &[Tensor],
        matched: &[MatchedValue],
    ) -> Result<Vec<Tensor>, EngineError> {
        let given = self.own.given.iter().map(|(name, of)| (name.as_str(), &float[*of]));
        let all: Vec<(&str, &Tensor)> = inputs.iter().copied().chain(given).collect();
        let names: Vec<&str> = compared(matched)
            .chain(self.made().map(|made| made.name.as_str()))
            .collect();
        self.engine.run_with(&all, &names, UNOPTIMIZED)
    }

    /// The same values, [`PART`] of those that nodes make by themselves at a time: the time that the built-in engine plans a run
    /// for grows with the square of how many values it is given and asked for. `None` where the engine runs its graph only as a whole.
    fn run_in_parts(
        &self,
        inputs: &[(&str, &Tensor)],
        float: &[Tensor],
        matched: &[MatchedValue],
    ) -> Result<Option<Vec<Tensor>>, EngineError> {
        let threads = Threads::current();
        let mut wanted = HashSet::new();
        let names =
            compared(matched).filter(|name| wanted.insert(*name) && !inputs.iter().any(|(input, _)| input == name));
        let names: Vec<&str> = names.collect();
        let Some(computed) = self.engine.compute_between(&threads, inputs, &names)? else {
            return Ok(None);
        };
        let computed: HashMap<&str, Tensor> = names.into_iter().zip(computed).collect();
        let known = |name: &str| {
            computed
                .get(name)
                .or_else(|| Some(inputs.iter().find(|(input, _)| *input == name)?.1))
        };
        let Some(mut values) = compared(matched)
            .map(|name| known(name).cloned())
            .collect::<Option<Vec<Tensor>>>()
        else {
            return Ok(None);
        };
        let made: Vec<&Made> = self.made().collect();
        for part in made.chunks(PART) {
            let from: BTreeSet<usize> = part.iter().flat_map(|made| &made.from).copied().collect();
            let given = from.iter().map(|at| &self.own.given[*at]);
            let given = given.map(|(name, of)| (name.as_str(), &float[*of]));
            let given: Vec<(&str, &Tensor)> = inputs.iter().copied().chain(given).collect();
            let names: Vec<&str> = part.iter().map(|made| made.name.as_str()).collect();
            let Some(computed) = self.engine.compute_between(&threads, &given, &names)? else {
                return Ok(None);
            };
            values.extend(computed);
        }
        Ok(Some(values))
    }

    fn made(&self) -> impl Iterator<Item = &Made> {
        self.own.made.iter().flatten()
    }
}

/// What is summed over batches for each matched value.
struct Sums<'a> {
    graph: &'a GraphProto,
    matched: &'a [MatchedValue],
    axes: Vec<Option<usize>>,
    of: Vec<Sum>,
}

#[derive(Default)]
struct Sum {
    shape: Vec<usize>,
    axis: usize,
    /// Energy of signal and error by channel, as both run.
    channels: Vec<Energy>,
    /// The same by position.
    positions: Vec<Energy>,
    grid_of_positions: [usize; 2],
    own: Option<Energy>,
    /// The own error cannot be had.
    no_own: bool,
    grid: Option<Energy>,
}

/// Sums of squares.
#[derive(Debug, Clone, Copy, Default)]
struct Energy {
    signal: f64,
    noise: f64,
}

impl Energy {
    fn add(&mut self, signal: f32, other: f32) {
        let (signal, difference) = (f64::from(signal), f64::from(signal) - f64::from(other));
        self.signal += signal * signal;
        self.noise += difference * difference;
    }

    fn plus(self, other: Self) -> Self {
        Self {
            signal: self.signal + other.signal,
            noise: self.noise + other.noise,
        }
    }

    fn sqnr_db(self) -> f64 {
        if self.noise == 0.0 {
            f64::INFINITY
        } else {
            10.0 * (self.signal / self.noise).log10()
        }
    }

    fn of(one: &[f32], other: &[f32], sum: Option<Self>) -> Self {
        let mut energy = sum.unwrap_or_default();
        one.iter().zip(other).for_each(|(one, other)| energy.add(*one, *other));
        energy
    }
}

impl<'a> Sums<'a> {
    fn new(graph: &'a GraphProto, matched: &'a [MatchedValue]) -> Self {
        Self {
            axes: channel_axes(graph, matched),
            of: matched.iter().map(|_| Sum::default()).collect(),
            graph,
            matched,
        }
    }

    /// Adds a batch.
    fn add(&mut self, float: &[Tensor], quantized: &OfQuantized) {
        for (place, of) in self.of.iter_mut().enumerate() {
            let (float, before) = (&float[place], &quantized.before[place]);
            of.add(float, before, quantized.after[place].as_ref(), self.axes[place]);
            let Some(own) = &quantized.own[place] else {
                continue;
            };
            let own = Some(own).filter(|own| own.shape() == float.shape());
            match (float.floats(), own.and_then(Tensor::floats)) {
                (Some(float), Some(own)) => of.own = Some(Energy::of(float, own, of.own)),
                _ => of.no_own = true,
            }
        }
    }

    fn trace(self, network: &Network, samples: usize, engine: &str) -> Trace {
        let layers = layers_by_output(network);
        let of_node = |value: &MatchedValue| value.node.and_then(|position| self.graph.node.get(position));
        let values = self
            .matched
            .iter()
            .zip(&self.of)
            .filter(|(_, sum)| !sum.channels.is_empty());
        let values = values.map(|(value, sum)| TracedValue {
            name: value.float.clone(),
            operator: of_node(value).map(|node| node.op_type().to_owned()),
            layer: layers.get(value.float.as_str()).map(|name| (*name).to_owned()),
            shape: sum.shape.clone(),
            sqnr_db: sum
                .channels
                .iter()
                .fold(Energy::default(), |all, of| all.plus(*of))
                .sqnr_db(),
            own_sqnr_db: sum.own.filter(|_| !sum.no_own).map(Energy::sqnr_db),
            grid_sqnr_db: sum.grid.map(Energy::sqnr_db),
            channel_axis: sum.axis,
            channel_sqnr_db: sum.channels.iter().map(|channel| channel.sqnr_db()).collect(),
            positions: sum.grid_of_positions,
            position_sqnr_db: if sum.positions.len() > 1 {
                sum.positions.iter().map(|position| position.sqnr_db()).collect()
            } else {
                Vec::new()
            },
        });
        let values: Vec<TracedValue> = values.collect();
        let outputs = self.graph.node.iter().flat_map(|node| &node.output);
        let matched: HashSet<&str> = self.matched.iter().map(|value| value.float.as_str()).collect();
        let unmatched = outputs
            .filter(|name| !name.is_empty())
            .filter(|name| !matched.contains(name.as_str()))
            .cloned()
            .collect();
        Trace {
            engine: engine.to_owned(),
            samples,
            values,
            unmatched,
        }
    }
}

impl Sum {
    /// Adds a value of a batch: as the float network has it, as the quantized one has it, and after its grid.
    fn add(&mut self, float: &Tensor, quantized: &Tensor, after: Option<&Tensor>, axis: Option<usize>) {
        let shape = float.shape();
        // Integers have no error to speak of; a value with split channels has another shape.
        let (Some(float), Some(before)) = (float.floats(), quantized.floats()) else {
            return;
        };
        if shape != quantized.shape() {
            return;
        }
        let axis = axis
            .filter(|axis| *axis < shape.len())
            .unwrap_or(shape.len().saturating_sub(1));
        let channels = shape.get(axis).copied().unwrap_or(1);
        let inner: usize = shape.iter().skip(axis + 1).product();
        if self.channels.len() != channels {
            self.channels = vec![Energy::default(); channels];
        }
        (self.shape, self.axis) = (shape.to_vec(), axis);
        let after = after
            .and_then(Tensor::floats)
            .filter(|after| after.len() == float.len());
        let (cells, grid) = position_cells(shape, axis);
        if self.grid_of_positions != grid {
            (self.grid_of_positions, self.positions) = (grid, vec![Energy::default(); grid[0] * grid[1]]);
        }
        let (inner, channels) = (inner.max(1), channels.max(1));
        // Of one sample: what lies before the channels' axis, and behind it.
        let outer = (cells.len() / inner).max(1);
        for (place, (one, other)) in float.iter().zip(after.unwrap_or(before)).enumerate() {
            let (behind, row) = (place % inner, place / inner);
            self.channels[row % channels].add(*one, *other);
            let position = row / channels % outer * inner + behind;
            if let Some(of) = cells.get(position).and_then(|cell| self.positions.get_mut(*cell)) {
                of.add(*one, *other);
            }
        }
        if let Some(after) = after {
            self.grid = Some(Energy::of(before, after, self.grid));
        }
    }
}

/// The cell of each position of a sample (row-major over all axes but the first and that of the channels), and how many rows and
/// columns of cells there are.
fn position_cells(shape: &[usize], channel_axis: usize) -> (Vec<usize>, [usize; 2]) {
    let axes = shape
        .iter()
        .enumerate()
        .filter(|(axis, _)| *axis != 0 && *axis != channel_axis);
    let sizes: Vec<usize> = axes.map(|(_, size)| *size).collect();
    let columns = sizes.last().copied().unwrap_or(1);
    let rows: usize = sizes.iter().rev().skip(1).product();
    let grid = [rows.min(MAX_POSITIONS), columns.min(MAX_POSITIONS)];
    let cell = |position: usize| {
        let (row, column) = (position / columns, position % columns);
        row * grid[0] / rows * grid[1] + column * grid[1] / columns
    };
    ((0..rows * columns).map(cell).collect(), grid)
}

/// Axis of the channels of each value: 1 behind convolutions and what works on their maps, else the last (`None`).
fn channel_axes(graph: &GraphProto, matched: &[MatchedValue]) -> Vec<Option<usize>> {
    let mut of_name: HashMap<&str, Option<usize>> = HashMap::new();
    for node in &graph.node {
        let inherited = || {
            node.input
                .iter()
                .find_map(|input| of_name.get(input.as_str()).copied().flatten())
        };
        let axis = match node.op_type() {
            "Conv" | "ConvTranspose" | "BatchNormalization" | "InstanceNormalization" => Some(1),
            "MatMul" | "Gemm" | "Reshape" | "Transpose" | "Flatten" | "LSTM" | "GRU" | "RNN" | "Gather" => None,
            _ => inherited(),
        };
        node.output.iter().for_each(|output| {
            of_name.insert(output, axis);
        });
    }
    let axis = |value: &MatchedValue| of_name.get(value.float.as_str()).copied();
    matched.iter().map(|value| axis(value).unwrap_or(Some(1))).collect()
}

/// Names of layers by the first output of their nodes; of a node with two layers (LSTM) the first.
fn layers_by_output(network: &Network) -> HashMap<&str, &str> {
    let mut layers = HashMap::new();
    let Some(graph) = &network.model.graph else {
        return layers;
    };
    for layer in &network.layers {
        let node = layer.node.as_ref().filter(|path| path.subgraphs.is_empty());
        let output = node.and_then(|path| graph.node.get(path.node)?.output.first());
        if let Some(output) = output {
            layers.entry(output.as_str()).or_insert(layer.name.as_str());
        }
    }
    layers
}

#[cfg(test)]
mod tests;
