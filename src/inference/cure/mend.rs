//! Mends a whole network: of the fixes that were tried on its worst layers, those that win most for their bytes.

use super::{Cure, Fix, bytes, output_db, power, signed};
use crate::inference::sweep::SweepSubject;
use crate::inference::{Evaluation, InferenceError, LayerSensitivity, evaluate, run_plan, worst_first};
use crate::progress::Progress;
use crate::quantization::{self, LayerRecipe, Recipe};
use serde::Serialize;

/// Share of the noise in the outputs that the worst layers make together.
const MOST_OF_THE_NOISE: f64 = 0.8;

/// Positions (in `rows`) of the layers that together make most of the noise in the outputs, the worst first; at most `most`.
pub fn worst_layers(rows: &[LayerSensitivity], most: usize) -> Vec<usize> {
    let noise = |row: &LayerSensitivity| row.output_error().powi(2);
    let all: f64 = rows.iter().map(noise).filter(|noise| noise.is_finite()).sum();
    let mut seen = 0.0;
    let mut worst = Vec::new();
    for place in worst_first(rows) {
        if worst.len() >= most || seen >= MOST_OF_THE_NOISE * all {
            break;
        }
        seen += noise(&rows[place]);
        worst.push(place);
    }
    worst
}

/// A fix that was chosen for a layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChosenFix {
    /// The layer.
    pub name: String,
    /// What is changed.
    pub fixes: Vec<Fix>,
    /// The same for a person.
    pub text: String,
    /// Bytes that it costs.
    pub bytes_added: i64,
}

/// A network with its worst layers fixed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mended {
    /// The recipe with the fixes as exceptions of single layers.
    pub recipe: Recipe,
    /// The fixes, in the order in which they were chosen.
    pub fixes: Vec<ChosenFix>,
    /// Bytes of the quantized network before and after.
    pub bytes: (u64, u64),
    /// The whole network under the recipe as it was.
    pub before: Evaluation,
    /// The same with the fixes.
    pub after: Evaluation,
}

/// Takes fixes from `cures` as long as they fit into `within` more bytes, each time the one that takes away most noise for its
/// bytes, and runs the whole network before and after. A layer takes one fix.
///
/// # Errors
/// [`InferenceError`] of recipe, graph, engine or data, or `Cancelled`.
pub fn mend(
    subject: &SweepSubject<'_>,
    recipe: &Recipe,
    cures: &[Cure],
    within: u64,
    progress: &Progress,
) -> Result<Mended, InferenceError> {
    let chosen = choose(cures, signed(within));
    let mut mended = recipe.clone();
    let mut fixes = Vec::new();
    for (cure, tried) in chosen
        .iter()
        .map(|(cure, fix)| (&cures[*cure], &cures[*cure].fixes[*fix]))
    {
        set(&mut mended, &cure.before.name, tried.settings.clone());
        fixes.push(ChosenFix {
            name: cure.before.name.clone(),
            fixes: tried.fixes.clone(),
            text: tried.text.clone(),
            bytes_added: tried.bytes_added,
        });
    }
    progress.start(2, "Running the mended network");
    let run = |recipe: &Recipe| -> Result<(u64, Evaluation), InferenceError> {
        let plan = quantization::plan(subject.network, recipe, subject.activations, &progress.part())?;
        let range = subject.float.range();
        let outputs = run_plan(subject.network, &plan, subject.data, range, &progress.part())?;
        progress.advance(1);
        Ok((bytes(subject, &plan), evaluate(subject.float, &outputs, subject.data)))
    };
    let (one, other) = (run(recipe)?, run(&mended)?);
    Ok(Mended {
        recipe: mended,
        fixes,
        bytes: (one.0, other.0),
        before: one.1,
        after: other.1,
    })
}

fn set(recipe: &mut Recipe, layer: &str, settings: LayerRecipe) {
    recipe.layers.insert(layer.to_owned(), settings);
}

/// Positions of the cures and of their fixes.
fn choose(cures: &[Cure], within: i64) -> Vec<(usize, usize)> {
    // A fix is taken in steps: from none to a cheap one, from that to a better one.
    let mut taken: Vec<Option<usize>> = vec![None; cures.len()];
    let mut order: Vec<usize> = Vec::new();
    let mut spent = 0_i64;
    let now = |cure: &Cure, taken: Option<usize>| match taken.and_then(|fix| cure.fixes.get(fix)) {
        Some(tried) => (tried.noise(), tried.bytes_added),
        None => (power(output_db(&cure.before)), 0),
    };
    loop {
        let mut best: Option<(f64, usize, usize, i64)> = None;
        for (place, cure) in cures.iter().enumerate() {
            let (noise, cost) = now(cure, taken[place]);
            for (fix, tried) in cure.fixes.iter().enumerate() {
                let (won, more) = (noise - tried.noise(), tried.bytes_added - cost);
                // A layer is kept float only where nothing else helps. NaN wins nothing.
                if tried.leaves_float() && cure.recommended != Some(fix)
                    || won.is_nan()
                    || won <= MIN_SHARE * noise
                    || spent + more > within
                {
                    continue;
                }
                let worth = won / more.max(1) as f64;
                if best.is_none_or(|(most, ..)| worth > most) {
                    best = Some((worth, place, fix, more));
                }
            }
        }
        let Some((_, place, fix, more)) = best else { break };
        if taken[place].is_none() {
            order.push(place);
        }
        taken[place] = Some(fix);
        spent += more;
    }
    order
        .into_iter()
        .filter_map(|place| Some((place, taken[place]?)))
        .collect()
}

/// A step that takes away less of a layer's noise is not worth its bytes: 1 dB.
const MIN_SHARE: f64 = 0.2;
