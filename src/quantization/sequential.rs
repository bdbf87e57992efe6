//! Layers planned one after the other: each is rounded and corrected by the inputs that it has behind the quantized layers before
//! it, with the outputs of the float network wanted (Frantar et al. 2022, arXiv 2210.17323, section 3.3, round by the inputs of the
//! layers quantized before; Li et al. 2025, arXiv 2504.02692, aim at the float network's outputs).
//!
//! Layers that do not depend on each other are a stage ([`Stages`]). For each stage the network with all earlier stages quantized
//! runs on the calibration samples, from the values on which the stage before ended ([`Stages::kept`]): all stages together are one
//! run of either network. Who runs them is behind [`CalibrationSamples`].

use super::bias_correction::can_correct;
use super::plan::{Planning, plan_input};
use super::shared::first_readers;
use super::{
    Activations, Grid, InputMoments, LayerPlan, LayerSettings, Outcome, Plan, QuantizationError, Recipe, SplitExport,
    Storage, ValueGrids,
};
use crate::network::{Layer, Network};
use crate::onnx::{ModelProto, each_read};
use crate::progress::Progress;
use rayon::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Samples of what a network is given, to measure on what layers read behind quantized ones.
pub trait CalibrationSamples: Send + Sync {
    /// Makes ready to run `network`, prepared as the recipe says, float and quantized.
    ///
    /// # Errors
    /// [`QuantizationError::Inputs`]: why it cannot be run.
    fn begin<'a>(&'a self, network: &'a Network) -> Result<Box<dyn InputsBehind + 'a>, QuantizationError>;
}

/// The float network and the quantized one, running side by side from stage to stage.
pub trait InputsBehind {
    /// What the `wanted` inputs are in `quantized`, in which the layers of earlier stages are quantized and the others float, and in
    /// the float network. The values named `kept` are what the next stage begins with.
    ///
    /// # Errors
    /// [`QuantizationError::Inputs`]: why it cannot be run; or `Cancelled`.
    fn measure(
        &mut self,
        quantized: &ModelProto,
        wanted: &[WantedInput<'_>],
        kept: &[&str],
        progress: &Progress,
    ) -> Result<Vec<MeasuredInput>, QuantizationError>;
}

/// The input of a layer that is to be measured.
#[derive(Clone, Copy)]
pub struct WantedInput<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// The grid that the quantized layer reads its input on.
    pub grid: Option<Grid>,
    /// Whether second moments are wanted.
    pub moments: bool,
    /// Whether they count from the means of the inputs, because the layer's bias is corrected.
    pub centred: bool,
}

/// What a layer reads behind quantized layers.
#[derive(Debug, Default)]
pub struct MeasuredInput {
    /// Its second moments, with those of the float network's inputs beside them; `None` where they are not wanted or not known.
    pub moments: Option<Arc<InputMoments>>,
    /// Means of what each weight of an output meets, or else of the input channels: in the float network, in the quantized one;
    /// `None` where channels cannot be told apart.
    pub means: Option<[Vec<f64>; 2]>,
}

/// Which layers can be planned together: for each value of the main graph the most quantized layers on a way to it.
#[derive(Debug)]
pub struct Stages<'a> {
    /// Layers by stage, by their position in the network.
    layers: Vec<Vec<usize>>,
    /// Of each value that is computed from the network's inputs: its stage, and the last stage that a node reading it belongs to.
    values: Vec<(&'a str, usize, usize)>,
}

impl<'a> Stages<'a> {
    /// The stages of `network`; `changes` says of each layer whether it computes something else than the float layer. Layers that
    /// do not lie in the main graph are in the first stage.
    pub fn of(network: &'a Network, changes: &[bool]) -> Self {
        let mut stages = Self {
            layers: vec![Vec::new()],
            values: Vec::new(),
        };
        let main = |index: usize| {
            let node = network.layers[index].node.as_ref()?;
            node.subgraphs.is_empty().then_some(node.node)
        };
        let mut of_nodes: HashMap<usize, Vec<usize>> = HashMap::new();
        for index in 0..network.layers.len() {
            match main(index) {
                Some(node) => of_nodes.entry(node).or_default().push(index),
                None => stages.layers[0].push(index),
            }
        }
        let Some(graph) = &network.model.graph else {
            stages.layers[0] = (0..network.layers.len()).collect();
            return stages;
        };
        let mut known: HashMap<&str, usize> = HashMap::new();
        for input in graph.required_inputs() {
            known.insert(input, stages.values.len());
            stages.values.push((input, 0, 0));
        }
        for (position, node) in graph.node.iter().enumerate() {
            let mut reads: Vec<usize> = Vec::new();
            each_read(node, &mut |name| reads.extend(known.get(name)));
            let before = reads.iter().map(|at| stages.values[*at].1).max();
            let stage = before.unwrap_or(0);
            let own = of_nodes.get(&position).map_or(&[][..], Vec::as_slice);
            let is_changed = own.iter().any(|index| changes.get(*index) == Some(&true));
            if stages.layers.len() <= stage {
                stages.layers.resize(stage + 1, Vec::new());
            }
            stages.layers[stage].extend(own);
            // What is computed from constants alone is computed anew in each run.
            if before.is_none() {
                continue;
            }
            let behind = stage + usize::from(is_changed);
            for at in reads {
                stages.values[at].2 = stages.values[at].2.max(behind);
            }
            for output in node.output.iter().filter(|output| !output.is_empty()) {
                known.insert(output, stages.values.len());
                stages.values.push((output, behind, behind));
            }
        }
        stages
    }

    /// Layers by stage, by their position in the network.
    pub fn layers(&self) -> &[Vec<usize>] {
        &self.layers
    }

    /// Values that are known when the layers of `stage` are to be planned, and that later stages are computed from.
    pub fn kept(&self, stage: usize) -> Vec<&'a str> {
        let is_kept = |(_, made, read): &&(&str, usize, usize)| *made <= stage && *read > stage;
        self.values.iter().filter(is_kept).map(|(name, _, _)| *name).collect()
    }
}

/// The plans of all layers, stage by stage.
pub(super) fn plan_in_sequence(
    planning: &Planning<'_>,
    recipe: &Recipe,
    samples: &dyn CalibrationSamples,
    known: Option<&Plan>,
    progress: &Progress,
) -> Result<Vec<LayerPlan>, QuantizationError> {
    let network = planning.network;
    let settings: Vec<LayerSettings> = (0..network.layers.len())
        .map(|index| recipe.effective(network, index))
        .collect();
    let on_grid =
        |settings: &LayerSettings| settings.weights.bits.grid().is_some() || settings.input.bits.grid().is_some();
    let changes: Vec<bool> = (network.layers.iter().zip(&settings))
        .map(|(layer, settings)| layer.support.can_quantize() && on_grid(settings))
        .collect();
    let stages = Stages::of(network, &changes);
    let firsts = first_readers(network);
    let mut plan = Plan {
        recipe: measured_as(recipe),
        layers: (network.layers.iter().zip(&settings))
            .map(|(layer, settings)| LayerPlan {
                name: layer.name.clone(),
                settings: *settings,
                outcome: Outcome::Float("not planned yet".to_owned()),
            })
            .collect(),
        values: ValueGrids::new(),
    };
    let wants = |stage: usize, index: usize| {
        changes[index] && wants_measuring(planning, (stage, index), &settings[index], recipe)
    };
    let last = (0..stages.layers().len())
        .rev()
        .find(|stage| stages.layers()[*stage].iter().any(|index| wants(*stage, *index)));
    let mut running = None;
    for (stage, layers) in stages.layers().iter().enumerate() {
        let wanted: Vec<usize> = layers.iter().copied().filter(|index| wants(stage, *index)).collect();
        let mut measured: Vec<Option<MeasuredInput>> = layers.iter().map(|_| None).collect();
        if last.is_some_and(|last| stage <= last) && (!wanted.is_empty() || running.is_some()) {
            let running = match &mut running {
                Some(running) => running,
                none => none.insert(samples.begin(network)?),
            };
            let asked: Vec<WantedInput> = (wanted.iter())
                .map(|index| WantedInput {
                    layer: &network.layers[*index],
                    grid: input_grid(planning, &network.layers[*index], &settings[*index]),
                    moments: settings[*index].weights.rounding.needs_moments(),
                    centred: is_corrected(planning, &network.layers[*index], recipe),
                })
                .collect();
            let model = super::rewrite(network, &plan)?;
            let seen = running.measure(&model, &asked, &stages.kept(stage), progress)?;
            // What is wanted comes in the order of the layers.
            let mut seen = wanted.iter().zip(seen).peekable();
            for (layer, measured) in layers.iter().zip(&mut measured) {
                *measured = seen.next_if(|(index, _)| *index == layer).map(|(_, seen)| seen);
            }
        }
        let planned = |(index, measured): (&usize, &Option<MeasuredInput>)| -> Result<LayerPlan, QuantizationError> {
            progress.check()?;
            let layer = &network.layers[*index];
            let settings = settings[*index];
            let known = known.and_then(|known| known.layers.get(*index)?.with_weights_of(&settings));
            // Layers that share a weight take over what the first of them made of it.
            let known = known.or_else(|| plan.layers.get(firsts[*index])?.with_weights_of(&settings));
            let outcome = planning.outcome(layer, &settings, network.weights(*index), known, measured.as_ref());
            progress.advance(1);
            Ok(LayerPlan {
                name: layer.name.clone(),
                settings,
                outcome,
            })
        };
        let new: Vec<LayerPlan> = layers
            .par_iter()
            .zip(&measured)
            .map(planned)
            .collect::<Result<_, _>>()?;
        for (index, new) in layers.iter().zip(new) {
            plan.layers[*index] = new;
        }
    }
    Ok(plan.layers)
}

/// The recipe that the network is measured with: the same numbers, in a graph that every engine runs and in which each value of the
/// float network has its name and its channels.
fn measured_as(recipe: &Recipe) -> Recipe {
    Recipe {
        storage: Storage::Float,
        split_export: SplitExport::Gather,
        quantize_outputs: false,
        ..recipe.clone()
    }
}

/// Whether a quantized layer asks for what its input is behind quantized layers. The first layers read what they read in the float
/// network, unless their own grid rounds it; that is known already.
fn wants_measuring(
    planning: &Planning<'_>,
    (stage, index): (usize, usize),
    settings: &LayerSettings,
    recipe: &Recipe,
) -> bool {
    let layer = &planning.network.layers[index];
    let moments = settings.weights.rounding.needs_moments() && InputMoments::why_not(layer).is_none();
    let asks = settings.weights.bits.grid().is_some() && (moments || recipe.bias_correction);
    let is_known = stage == 0 && settings.input.bits.grid().is_none();
    let knows = || {
        planning
            .activations
            .is_some_and(|all| all.moments_of(&layer.name).is_ok())
    };
    let is_known = is_known && (!moments || (knows() && !is_corrected(planning, layer, recipe)));
    let main = layer.node.as_ref().is_some_and(|node| node.subgraphs.is_empty());
    asks && !is_known && main && layer.input.is_some()
}

/// Whether the bias of a layer takes back what the mean of its outputs moves by.
fn is_corrected(planning: &Planning<'_>, layer: &Layer, recipe: &Recipe) -> bool {
    recipe.bias_correction && can_correct(planning.network, layer).is_ok()
}

/// The grid that a layer reads its input on. Inputs of which channels are halved go on it in another form: they are measured as
/// they are.
fn input_grid(planning: &Planning<'_>, layer: &Layer, settings: &LayerSettings) -> Option<Grid> {
    let activations: &Activations = planning.activations.filter(|_| settings.input.expand_ratio == 0.0)?;
    let plan = plan_input(layer, &settings.input, activations).ok()??;
    Some(plan.grid)
}

impl WantedInput<'_> {
    /// The values that they are, each once.
    pub fn values<'a>(wanted: &'a [WantedInput<'_>]) -> BTreeSet<&'a str> {
        let inputs = wanted.iter().filter_map(|wanted| wanted.layer.input.as_ref());
        inputs.map(|(name, _)| name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    /// By hand for the first block of the demo: its convolutions one behind the other, the sum behind both.
    #[test]
    fn stages_are_the_quantized_layers_on_the_longest_way() {
        let network = Demo::Fashion.network().unwrap();
        let all = vec![true; network.layers.len()];
        let stages = Stages::of(&network, &all);
        let name = |index: &usize| network.layers[*index].name.as_str();
        let of = |stage: usize| stages.layers()[stage].iter().map(name).collect::<Vec<_>>();
        assert_eq!(
            (of(0), of(1), of(2)),
            (vec!["conv1"], vec!["layer1.0.conv1"], vec!["layer1.0.conv2"])
        );
        let read = |index: usize| network.layers[index].input.as_ref().unwrap().0.as_str();
        assert_eq!(stages.kept(0), [read(0)]);
        assert_eq!(stages.kept(1), [read(1)], "the block and the sum read the same");
        let mut expected = vec![read(1), read(2)];
        let mut kept = stages.kept(2);
        expected.sort_unstable();
        kept.sort_unstable();
        assert_eq!(kept, expected);
        // Every layer once, each behind those that it reads from.
        let mut seen: Vec<usize> = stages.layers().concat();
        seen.sort_unstable();
        assert_eq!(seen, (0..network.layers.len()).collect::<Vec<_>>());
        // A shortcut's convolution waits for nobody of its block.
        let shortcut = network
            .layers
            .iter()
            .position(|layer| layer.shape.get(2..) == Some(&[1, 1]))
            .unwrap();
        let stage_of = |index: usize| stages.layers().iter().position(|layers| layers.contains(&index));
        let twin = network
            .layers
            .iter()
            .position(|layer| layer.input == network.layers[shortcut].input)
            .unwrap();
        assert!(shortcut != twin && stage_of(shortcut) == stage_of(twin));
        assert!(stages.kept(stages.layers().len()).is_empty());
    }

    #[test]
    fn float_layers_are_no_stage_of_their_own() {
        let network = Demo::Fashion.network().unwrap();
        let stages = Stages::of(&network, &vec![false; network.layers.len()]);
        assert_eq!(stages.layers().len(), 1);
    }
}
