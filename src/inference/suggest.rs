//! Pictures read otherwise than in the network's training: noticed by an accuracy at chance, mended by trying.

use super::evaluate::{rank, wilson_interval};
use super::{DataOptions, Dataset, Engine, InferenceError, Metrics, top_k};
use crate::data::{PreprocessPreset, Tensor, by_name};
use crate::progress::Progress;
use serde::Serialize;

/// Samples that each way of reading is tried on at most, evenly spread over the data.
const TRIED: usize = 40;

/// A way of reading the pictures that was tried.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// The name of the preprocessing.
    pub preprocess: String,
    /// Whether blue comes first.
    pub blue_first: bool,
    /// Fraction of the tried samples whose first answer was the label.
    pub top1: f64,
    /// Samples tried.
    pub samples: usize,
    /// How to open the data that way.
    #[serde(skip)]
    pub options: DataOptions,
}

impl Suggestion {
    /// What to call it: `imagenet`, or `imagenet, BGR`.
    pub fn title(&self) -> String {
        let order = if self.blue_first { ", BGR" } else { "" };
        format!("{}{order}", self.preprocess)
    }
}

/// A float network that does no better than guessing, and what would help.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtChance {
    /// The accuracy of guessing: one over the number of classes.
    pub chance: f64,
    /// Ways of reading the pictures that do better, best first.
    pub suggestions: Vec<Suggestion>,
}

/// The accuracy of guessing among `classes` classes, if the float network's is no better: if the 95 % interval of its top-1
/// reaches down to it. `None` for data without labels.
pub fn chance_level(metrics: &Metrics, classes: usize) -> Option<f64> {
    let [low, _] = metrics.top1_interval?;
    let chance = 1.0 / classes.max(1) as f64;
    (classes > 1 && low <= chance).then_some(chance)
}

/// Tries every preset, then blue first with the best of them, on a few labelled samples of `data`, and gives those that are
/// better than guessing, best first. The same data give the same answer. `options` are what the data were opened with;
/// their mean, deviation and interpolation give way to the preset's.
///
/// # Errors
/// [`InferenceError`] when the network does not run on any of them, or `Cancelled`.
pub fn suggest_preprocess(
    engine: &dyn Engine,
    data: &Dataset,
    options: &DataOptions,
    progress: &Progress,
) -> Result<Vec<Suggestion>, InferenceError> {
    let names = PreprocessPreset::ALL.iter().map(|preset| preset.name);
    let names: Vec<&str> = names.chain(options.hint.is_some().then_some("network")).collect();
    progress.start(names.len() as u64 + 1, "trying ways to read the pictures");
    let as_named = |name: &str, blue_first: bool| DataOptions {
        preprocess: Some(name.to_owned()),
        mean: None,
        std: None,
        interpolation: None,
        blue_first,
        ..options.clone()
    };
    let mut tried: Vec<Trial> = Vec::new();
    for name in names {
        progress.check()?;
        tried.extend(try_options(engine, data, as_named(name, false), progress)?);
        progress.advance(1);
    }
    let best = tried.iter().max_by(|a, b| a.score.total_cmp(&b.score));
    if let Some(best) = best.map(|best| best.suggestion.preprocess.clone()) {
        tried.extend(try_options(engine, data, as_named(&best, true), progress)?);
    }
    tried.retain(|trial| {
        wilson_interval(trial.suggestion.top1, trial.suggestion.samples)[0] > 1.0 / trial.classes as f64
    });
    // Ways that answer alike (their numbers are the same) are offered once: the first.
    tried.sort_by(|a, b| b.score.total_cmp(&a.score));
    tried.dedup_by(|later, earlier| later.score == earlier.score);
    Ok(tried.into_iter().map(|trial| trial.suggestion).collect())
}

struct Trial {
    suggestion: Suggestion,
    classes: usize,
    /// Right answers, and behind the point the mean probability of the right class.
    score: f64,
}

/// `None` where the options do not fit the pictures: three means for grey ones.
fn try_options(
    engine: &dyn Engine,
    data: &Dataset,
    options: DataOptions,
    progress: &Progress,
) -> Result<Option<Trial>, InferenceError> {
    let Some(Ok(data)) = data.read_otherwise(&options, engine.inputs()) else {
        return Ok(None);
    };
    let output = super::answering(engine, &data)?.name.clone();
    let fixed = engine.inputs().first().and_then(|port| *port.shape.as_ref()?.first()?);
    let rows = fixed.unwrap_or(1).max(1);
    let count = data.len().min(TRIED);
    if rows > data.len() || count == 0 {
        return Ok(None);
    }
    let (mut right, mut probability, mut classes) = (0, 0.0, 0);
    for number in 0..count {
        progress.check()?;
        let sample = number * data.len() / count;
        let Some(label) = data.label(sample) else {
            return Ok(None);
        };
        let first = sample.min(data.len() - rows);
        let inputs = data
            .batch(first..first + rows)
            .map_err(|error| InferenceError::Data(error.to_string()))?;
        let answer = engine.run(&by_name(&inputs), &[&output])?.pop();
        let Some(values) = answer.as_ref().and_then(Tensor::floats) else {
            return Ok(None);
        };
        classes = values.len() / rows;
        let row = values
            .get((sample - first) * classes..)
            .and_then(|rest| rest.get(..classes))
            .unwrap_or_default();
        right += usize::from(rank(row, label) == 0);
        let answers = top_k(row, classes);
        probability += answers
            .iter()
            .find(|answer| answer.class == label)
            .map_or(0.0, |answer| answer.probability);
    }
    let suggestion = Suggestion {
        preprocess: options.preprocess.clone().unwrap_or_default(),
        blue_first: options.blue_first,
        top1: right as f64 / count as f64,
        samples: count,
        options,
    };
    let score = right as f64 + f64::from(probability) / (count + 1) as f64;
    Ok(Some(Trial {
        suggestion,
        classes: classes.max(1),
        score,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::inference::{metrics, run_outputs};

    fn interval(low: f64, high: f64) -> Metrics {
        Metrics {
            top1: Some((low + high) / 2.0),
            top1_interval: Some([low, high]),
            ..Metrics::default()
        }
    }

    #[test]
    fn an_interval_that_reaches_down_to_guessing_is_at_chance() {
        assert_eq!(chance_level(&interval(0.08, 0.15), 10), Some(0.1));
        assert_eq!(chance_level(&interval(0.0, 0.05), 10), Some(0.1), "worse than guessing");
        assert_eq!(chance_level(&interval(0.11, 0.15), 10), None);
        assert_eq!(
            chance_level(&Metrics::default(), 10),
            None,
            "without labels nothing is known"
        );
        assert_eq!(chance_level(&interval(0.0, 1.0), 1), None);
    }

    #[test]
    fn the_demo_read_wrongly_is_mended_by_its_own_preset() {
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        // So far off that all pictures look alike.
        let options = DataOptions {
            preprocess: Some("unit".to_owned()),
            mean: Some(vec![50.0]),
            std: Some(vec![0.001]),
            ..DataOptions::default()
        };
        let data = Dataset::open("demo:fashion", &options, engine.inputs()).unwrap();
        let progress = Progress::default();
        let outputs = run_outputs(&engine, &data, 200, &progress).unwrap();
        assert_eq!(chance_level(&metrics(&outputs, &data), outputs.classes), Some(0.1));
        let suggestions = suggest_preprocess(&engine, &data, &options, &progress).unwrap();
        assert_eq!(suggestions[0].preprocess, "fashion");
        assert!(suggestions[0].top1 >= 0.9, "{suggestions:?}");
        assert_eq!(
            suggest_preprocess(&engine, &data, &options, &progress).unwrap(),
            suggestions
        );
        // What is suggested opens as it was tried.
        let again = Dataset::open("demo:fashion", &suggestions[0].options, engine.inputs()).unwrap();
        let outputs = run_outputs(&engine, &again, 200, &progress).unwrap();
        assert!(metrics(&outputs, &again).top1.unwrap() > 0.9);
    }
}
