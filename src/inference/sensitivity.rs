//! Which layers a network is sensitive to: its outputs with one layer quantized at a time.

use super::incremental::{Incremental, Keep, Signature};
use super::sweep::SweepSubject;
use super::{Dataset, InferenceError, Metrics, QuantizedModel, evaluate};
use crate::progress::Progress;
use crate::quantization::{Bits, LayerPlan, Outcome, Plan, Recipe};
use serde::Serialize;

/// The network with only this layer quantized.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSensitivity {
    /// Name of the layer.
    pub name: String,
    /// Bits of its weights.
    pub weight_bits: Bits,
    /// Bits of its input.
    pub activation_bits: Bits,
    /// Channels that were split.
    pub splits: usize,
    /// Signal to noise of its weights, decibels; infinite (null in JSON) without error.
    pub weight_sqnr_db: f64,
    /// Samples (images) or tokens (text) that were run.
    pub samples: usize,
    /// Metrics of the network; empty without labels.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Fraction of samples with the same first answer as the float network; see [`super::Evaluation::agreement`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Signal to noise of the outputs against the float network, decibels; see [`super::Evaluation::sqnr_db`].
    pub sqnr_db: Option<f64>,
    /// Points of top-1 accuracy that this layer costs: 100 times what the float network has more. Negative where it gains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points_lost: Option<f64>,
    /// Perplexity that this layer adds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perplexity_added: Option<f64>,
    /// Position of the layer in the network.
    #[serde(skip)]
    pub layer: usize,
}

/// What a network loses with one layer quantized, in the unit that its data can tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AccuracyLost {
    /// Points of top-1 accuracy, where there are labels.
    Points(f64),
    /// Added perplexity, of text.
    Perplexity(f64),
    /// SQNR of the outputs, decibels: the less, the worse.
    OutputDb(f64),
}

impl LayerSensitivity {
    /// What the network loses with only this layer quantized.
    pub fn accuracy_lost(&self) -> AccuracyLost {
        match (self.points_lost, self.perplexity_added) {
            (Some(points), _) => AccuracyLost::Points(points),
            (None, Some(added)) => AccuracyLost::Perplexity(added),
            (None, None) => AccuracyLost::OutputDb(self.sqnr_db.unwrap_or(f64::INFINITY)),
        }
    }

    /// Whether the outputs stay the same though the weights do not: on these inputs nothing that the layer does reaches them, which
    /// tells nothing about it.
    pub fn is_unseen(&self) -> bool {
        self.sqnr_db == Some(f64::INFINITY) && self.weight_sqnr_db.is_finite()
    }

    /// Error of the outputs with only this layer quantized, as a ratio of root mean squares: `10^(-sqnr_db / 20)`. Layers are
    /// ranked by it: of a few dozen samples it tells far more than accuracy, which changes by whole samples.
    pub fn output_error(&self) -> f64 {
        self.sqnr_db.map_or(0.0, |db| 10_f64.powf(-db / 20.0))
    }
}

/// Carries `recipe` out on one layer at a time and runs the network on the subject's samples, labelled or not; `on_row` sees
/// each layer as it is finished and may stop the work with an error. Layers that the recipe leaves as they are have no row.
/// The float outputs and the ranges of inputs are those of the subject, and the plan is made once, with each layer rounded by the inputs
/// of the float network, which are those that it has here ([`Recipe::of_layers_apart`]).
///
/// # Errors
/// [`InferenceError`] of recipe, graph, engine, data, of `on_row`, or `Cancelled`; rows that were seen by then are good.
pub fn sensitivity(
    subject: &SweepSubject,
    recipe: &Recipe,
    progress: &Progress,
    on_row: &mut dyn FnMut(&LayerSensitivity) -> Result<(), InferenceError>,
) -> Result<Vec<LayerSensitivity>, InferenceError> {
    sensitivity_of_worst(subject, recipe, usize::MAX, progress, on_row)
}

/// [`sensitivity`] of the `most` layers whose weights have the least SQNR, still in the network's order.
pub(super) fn sensitivity_of_worst(
    subject: &SweepSubject,
    recipe: &Recipe,
    most: usize,
    progress: &Progress,
    on_row: &mut dyn FnMut(&LayerSensitivity) -> Result<(), InferenceError>,
) -> Result<Vec<LayerSensitivity>, InferenceError> {
    let whole = subject.pipeline().plan(&recipe.of_layers_apart(), &progress.part())?;
    let mut quantized: Vec<usize> = (0..whole.layers.len())
        .filter(|place| whole.layers[*place].inputs().is_some())
        .collect();
    if quantized.len() > most {
        let sqnr = |place: &usize| {
            whole.layers[*place]
                .quantized()
                .map_or(f64::INFINITY, |layer| layer.sqnr_db)
        };
        quantized.sort_by(|one, other| sqnr(one).total_cmp(&sqnr(other)));
        quantized.truncate(most);
        quantized.sort_unstable();
    }
    let plan = all_float(&whole);
    let float = Signature::of(QuantizedModel::of(subject.network, &plan)?.model());
    let kept = Incremental::new(subject.data, Incremental::<&Dataset>::MOST_BYTES);
    progress.start(quantized.len() as u64, "Quantizing one layer at a time");
    let mut rows = Vec::with_capacity(quantized.len());
    for place in quantized {
        progress.check()?;
        progress.stage_is(format!("Only {}", whole.layers[place].name));
        if let Some(row) = run_alone(
            subject,
            (&plan, &float),
            (place, &whole.layers[place]),
            &kept,
            &progress.part(),
        )? {
            on_row(&row)?;
            rows.push(row);
        }
        progress.advance(1);
    }
    Ok(rows)
}

/// The same plan with no layer quantized, and no value between layers.
pub(super) fn all_float(whole: &Plan) -> Plan {
    let mut plan = whole.clone();
    plan.values.clear();
    for layer in plan.layers.iter_mut().filter(|layer| layer.inputs().is_some()) {
        layer.outcome = Outcome::Float("another layer is looked at".to_owned());
    }
    plan
}

/// The row of layer `place` planned as `planned`, all others float; `None` if it stays float itself. `float` is the plan with no
/// layer quantized and the signature of its graph.
pub(super) fn run_alone(
    subject: &SweepSubject<'_>,
    (float, signature): (&Plan, &Signature),
    (place, planned): (usize, &LayerPlan),
    kept: &Incremental<&Dataset>,
    progress: &Progress,
) -> Result<Option<LayerSensitivity>, InferenceError> {
    let Some(inputs) = planned.inputs() else {
        return Ok(None);
    };
    let quantized = planned.quantized();
    let mut plan = float.clone();
    plan.layers[place] = planned.clone();
    // All differ from the float network at one layer, and most of the way to it is known from the one before.
    let keep = Keep::BeforeChangeFrom(signature);
    let outputs = kept.run_plan(subject.network, &plan, subject.float.range(), keep, progress)?;
    let evaluation = evaluate(subject.float, &outputs, subject.data);
    Ok(Some(LayerSensitivity {
        name: planned.name.clone(),
        weight_bits: quantized.map_or(Bits::Float, |quantized| Bits::Grid(quantized.grid.bits)),
        activation_bits: inputs
            .activation
            .map_or(Bits::Float, |activation| Bits::Grid(activation.grid.bits)),
        splits: inputs.splits.len(),
        weight_sqnr_db: quantized.map_or(f64::INFINITY, |quantized| quantized.sqnr_db),
        samples: evaluation.samples,
        agreement: evaluation.agreement,
        sqnr_db: evaluation.sqnr_db,
        points_lost: less(evaluation.float.top1, evaluation.quantized.top1).map(|share| share * 100.0),
        perplexity_added: less(evaluation.quantized.perplexity, evaluation.float.perplexity),
        metrics: evaluation.quantized,
        layer: place,
    }))
}

fn less(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(one? - other?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;
    use crate::inference::{Rten, run_outputs};
    use crate::onnx;
    use crate::quantization::{self, LayerRecipe, rewrite};

    /// Runs `recipe` layer by layer on `samples` of `data`.
    fn rows(demo: Demo, data: &Dataset, samples: usize, recipe: &Recipe) -> Vec<LayerSensitivity> {
        let network = demo.network().unwrap();
        let engine = Rten::load(demo.model_bytes().to_vec()).unwrap();
        let float = run_outputs(&engine, data, samples, &Progress::default()).unwrap();
        let subject = SweepSubject {
            network: &network,
            activations: None,
            shapes: None,
            data,
            float: &float,
        };
        let (mut seen, progress) = (Vec::new(), Progress::default());
        let rows = sensitivity(&subject, recipe, &progress, &mut |row| {
            seen.push(row.clone());
            Ok(())
        });
        let rows = rows.unwrap();
        assert_eq!(seen, rows);
        assert_eq!(progress.steps(), (rows.len() as u64, rows.len() as u64));
        rows
    }

    fn four_bits_but(float: &str) -> Recipe {
        let mut recipe = Recipe {
            weight_bits: Bits::Grid(4),
            expand_ratio: 0.02,
            ..Recipe::default()
        };
        let own = LayerRecipe {
            float: Some(true),
            ..LayerRecipe::default()
        };
        recipe.layers.insert(float.to_owned(), own);
        recipe
    }

    /// A row is what the recipe gives when every other layer is left float by name.
    #[test]
    fn a_row_is_the_network_with_all_other_layers_float() {
        let data = Dataset::demo(Demo::Fashion);
        let recipe = four_bits_but("conv1");
        let rows = rows(Demo::Fashion, &data, 20, &recipe);
        assert_eq!(rows.len(), 21, "all layers but conv1");
        assert!(
            rows.iter()
                .all(|row| row.metrics.top1.is_some() && row.sqnr_db.is_some_and(|db| db > 0.0))
        );
        let network = Demo::Fashion.network().unwrap();
        let mut alone = recipe.clone();
        for layer in network.layers.iter().filter(|layer| layer.name != rows[3].name) {
            alone.layers.entry(layer.name.clone()).or_default().float = Some(true);
        }
        let plan = quantization::plan(&network, &alone, None, &Progress::default()).unwrap();
        let run = |model: &crate::onnx::ModelProto| {
            let engine = Rten::load(onnx::encode(model).unwrap()).unwrap();
            run_outputs(&engine, &data, 20, &Progress::default()).unwrap()
        };
        let (float, quantized) = (run(&network.runnable_model()), run(&rewrite(&network, &plan).unwrap()));
        let evaluation = evaluate(&float, &quantized, &data);
        assert_eq!(rows[3].sqnr_db, evaluation.sqnr_db);
        let top1 = |metrics: &Metrics| metrics.top1.unwrap();
        let lost = 100.0 * (top1(&evaluation.float) - top1(&evaluation.quantized));
        assert_eq!(rows[3].accuracy_lost(), AccuracyLost::Points(lost));
        assert_eq!(network.layers[rows[3].layer].name, rows[3].name);
        assert_eq!(rows[3].metrics, evaluation.quantized);
    }

    #[test]
    fn text_is_judged_by_perplexity_and_noise_by_the_outputs_alone() {
        let recipe = Recipe {
            weight_bits: Bits::Grid(3),
            ..Recipe::default()
        };
        let text = rows(Demo::Shakespeare, &Dataset::demo(Demo::Shakespeare), 64, &recipe);
        assert!(text.len() >= 5 && text.iter().all(|row| row.metrics.perplexity.is_some()));
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let noise = Dataset::noise(&network, &engine, 4, 1).unwrap();
        let rows = rows(Demo::Fashion, &noise, 4, &recipe);
        assert!(
            rows.iter()
                .all(|row| row.metrics == Metrics::default() && row.sqnr_db.is_some())
        );
    }

    #[test]
    fn a_cancelled_run_ends_and_keeps_no_rows() {
        let (network, data) = (Demo::Fashion.network().unwrap(), Dataset::demo(Demo::Fashion));
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let float = run_outputs(&engine, &data, 2, &Progress::default()).unwrap();
        let subject = SweepSubject {
            network: &network,
            activations: None,
            shapes: None,
            data: &data,
            float: &float,
        };
        let (mut seen, progress) = (0, Progress::default());
        let outcome = sensitivity(&subject, &Recipe::default(), &progress, &mut |_| {
            seen += 1;
            progress.cancel();
            Ok(())
        });
        assert!(matches!(outcome, Err(InferenceError::Cancelled(_))));
        assert_eq!(seen, 1);
    }
}
