//! The search itself: measure, allocate, measure what was chosen, allocate again; then try the whole.

mod uniform;

use super::cost::{Cost, Stored};
use super::greedy::{Price, allocate};
use super::lattice::{lattice, ratio_of};
use super::noise::{Bench, LayerNoise};
use super::runs::RunLog;
use super::settings::{AutoLayer, AutoResult, AutoSetting, Origin, float_metrics, isolated};
use super::target::{Stopwatch, Timer, by_the_clock};
use super::{AutoOptions, AutoSubject, Goal, InferenceError};
use crate::inference::Dataset;
use crate::inference::incremental::{Incremental, Signature};
use crate::inference::sweep::Shard;
use crate::progress::Progress;
use crate::quantization::{Activations, Bits, Clip, Recipe, WeightSettings};

/// Times that what was chosen is measured and chosen again.
const ROUNDS: usize = 4;
/// Budgets that are tried for an accuracy.
const PROBES: usize = 12;
/// Budgets nearer to each other than that share are as good as equal.
const NEAR: f64 = 1.005;
/// Why an accuracy cannot be the goal where the outputs are no classes.
const NO_CLASSES: &str = "the outputs are numbers, not classes: no answer is right or wrong; give a budget instead";

/// Chooses the settings of each layer that `recipe` quantizes. What it says of single layers is chosen anew, but which
/// ones stay float. The same input gives the same result.
///
/// # Errors
/// [`InferenceError::OutOfReach`] when budget or accuracy cannot be kept, [`InferenceError`] of recipe, graph, engine, data, or
/// `Cancelled`.
pub fn auto(
    subject: &AutoSubject<'_>,
    recipe: &Recipe,
    options: &AutoOptions,
    progress: &Progress,
) -> Result<AutoResult, InferenceError> {
    auto_going_on(subject, recipe, options, &mut RunLog::default(), progress)
}

/// [`auto`] that makes no run again which `log` knows, and adds to it those that it makes.
///
/// # Errors
/// As [`auto`].
pub fn auto_going_on(
    subject: &AutoSubject<'_>,
    recipe: &Recipe,
    options: &AutoOptions,
    log: &mut RunLog,
    progress: &Progress,
) -> Result<AutoResult, InferenceError> {
    auto_timed(subject, recipe, options, log, by_the_clock, progress)
}

/// [`auto_going_on`] with what settings are timed by, where a latency is asked for.
pub(super) fn auto_timed(
    subject: &AutoSubject<'_>,
    recipe: &Recipe,
    options: &AutoOptions,
    log: &mut RunLog,
    timer: Timer,
    progress: &Progress,
) -> Result<AutoResult, InferenceError> {
    let options = &possible(options, recipe, subject)?;
    let mut search = Search::new(subject, recipe, options, progress)?;
    search.watch = (options.latency)
        .map(|target| Stopwatch::new(subject, target, timer, progress))
        .transpose()?;
    let anchors = search.anchors();
    search.measure(&anchors, "One layer quantized at a time", log, progress)?;
    let (budget, least_accuracy, mut candidates) = match options.goal {
        Goal::Budget(budget) => {
            let budget = budget.bytes(search.cost.plain());
            (budget, 0.0, search.within(budget, log, progress)?)
        }
        Goal::Accuracy(accuracy) => {
            let found = search.reaching_in_time(accuracy, log, progress)?;
            let bytes = found.iter().map(|setting| setting.bytes).max().unwrap_or(0);
            let found = found.into_iter().map(|setting| (Origin::Layers, setting));
            (bytes, accuracy, found.collect())
        }
    };
    let mut uniforms = search.uniform(budget, log, progress)?;
    search.time(&mut uniforms.best_first, progress)?;
    let is_accurate = |setting: &AutoSetting| setting.chosen_on.accuracy().unwrap_or(0.0) >= least_accuracy;
    let is_good = |setting: &AutoSetting| is_accurate(setting) && search.keeps_to_time(setting);
    progress.start(4, "Judging on other samples");
    let (good, others): (Vec<_>, Vec<_>) = uniforms.best_first.into_iter().partition(is_good);
    let reaches = !good.is_empty();
    let quick = candidates.iter().any(|(_, setting)| is_good(setting)) || reaches;
    if let Some(watch) = search.watch.as_ref().filter(|_| !quick) {
        let tried = candidates.iter().map(|(_, setting)| setting).chain(&others);
        return Err(watch.too_slow(tried.filter(|setting| is_accurate(setting))));
    }
    let uniform = search.best_uniform(if reaches { good } else { others }, log, progress)?;
    let uniform = uniform.ok_or_else(|| out_of_reach("no uniform setting could be tried"))?;
    progress.advance(1);
    for (_, setting) in &mut candidates {
        setting.judge(subject, log, progress)?;
        progress.advance(1);
    }
    if reaches {
        candidates.push((Origin::Uniform, uniform.clone()));
    }
    // Of equal ones the first: choices by layers before the uniform setting.
    let good = candidates.iter().filter(|(_, setting)| is_good(setting));
    let best = good.min_by(|a, b| a.1.compare(&b.1));
    let (origin, chosen) = best.unwrap_or(&candidates[0]).clone();
    let mut plain = search.plain(log, progress)?;
    plain.judge(subject, log, progress)?;
    search.time(std::slice::from_mut(&mut plain), progress)?;
    progress.advance(1);
    Ok(AutoResult {
        layers: search.layers_of(&chosen.recipe),
        auto: chosen,
        origin,
        uniform,
        uniform_tried: uniforms.tried,
        plain,
        float: float_metrics(subject),
        budget_bytes: budget,
        target_accuracy: match options.goal {
            Goal::Accuracy(accuracy) => Some(accuracy),
            Goal::Budget(_) => None,
        },
        latency: search.watch.as_ref().map(|watch| watch.limit().clone()),
        runs: search.runs,
    })
}

/// The part of a search that belongs to one of several machines: of the runs that depend on no other (each layer alone, the
/// uniform settings) those of `shard`. They go to `log`; a search that goes on with the logs of all machines makes the others.
/// Tells how many runs there are to share out, and how many belong to `shard`.
///
/// # Errors
/// As [`auto`].
pub fn auto_part(
    subject: &AutoSubject<'_>,
    recipe: &Recipe,
    options: &AutoOptions,
    shard: Shard,
    log: &mut RunLog,
    progress: &Progress,
) -> Result<(usize, usize), InferenceError> {
    let options = &possible(options, recipe, subject)?;
    let mut search = Search::new(subject, recipe, options, progress)?;
    let anchors = search.anchors();
    let uniforms = match options.goal {
        Goal::Budget(budget) => search.uniform_settings(budget.bytes(search.cost.plain())),
        // Which are within the bytes that an accuracy takes is not known yet.
        Goal::Accuracy(_) => Vec::new(),
    };
    let all = anchors.len() + uniforms.len();
    let mut own: Vec<usize> = shard.of((0..all).collect());
    let own_uniforms = own.split_off(own.partition_point(|at| *at < anchors.len()));
    let count = own.len() + own_uniforms.len();
    let own: Vec<(usize, usize)> = own.into_iter().map(|at| anchors[at]).collect();
    search.measure(&own, "One layer quantized at a time", log, progress)?;
    let of = |at: usize| uniforms.get(at - anchors.len()).cloned();
    search.screen(own_uniforms.into_iter().filter_map(of).collect(), log, progress)?;
    Ok((all, count))
}

/// Whether the samples can tell that the goal is reached: asked before the inputs of layers are measured.
///
/// # Errors
/// [`InferenceError::OutOfReach`] where an accuracy is the goal and the outputs are no classes.
pub fn check_goal(subject: &AutoSubject<'_>, goal: Goal) -> Result<(), InferenceError> {
    match goal {
        Goal::Accuracy(_) if !subject.choose.float.classification => Err(out_of_reach(NO_CLASSES)),
        Goal::Accuracy(_) | Goal::Budget(_) => Ok(()),
    }
}

pub(super) fn out_of_reach(reason: &str) -> InferenceError {
    InferenceError::OutOfReach(reason.to_owned())
}

/// The options with the recipe's own scales and rounding where they say nothing, and without what asks for more than is known.
fn possible(options: &AutoOptions, recipe: &Recipe, subject: &AutoSubject<'_>) -> Result<AutoOptions, InferenceError> {
    let mut options = options.clone();
    if options.scales.is_empty() {
        options.scales.push(recipe.scales);
    }
    if options.roundings.is_empty() {
        options.roundings.push(recipe.rounding);
    }
    if options.zero_points.is_empty() {
        options.zero_points.push(recipe.weight_zero_points);
    }
    let has_moments = subject.activations.is_some_and(Activations::has_moments);
    if options.roundings.iter().any(|rounding| !rounding.needs_moments()) && !has_moments {
        options.roundings.retain(|rounding| !rounding.needs_moments());
    }
    options.scales.sort_unstable();
    options.scales.dedup();
    options.roundings.sort_unstable();
    options.roundings.dedup();
    options.zero_points.sort_unstable();
    options.zero_points.dedup();
    if options.bits.is_empty() || options.clips.is_empty() {
        return Err(out_of_reach("there are no bits or no ways to clip to choose from"));
    }
    Ok(options)
}

/// Which choices of a layer may be taken.
#[derive(Clone, Copy, Default)]
struct Allowed {
    /// Those with these bits alone.
    bits: Option<u8>,
    /// Those without splits alone: splits cost time.
    unsplit: bool,
}

struct Search<'a> {
    subject: &'a AutoSubject<'a>,
    options: &'a AutoOptions,
    /// The recipe without what is chosen, and its bits.
    base: Recipe,
    base_bits: u8,
    cost: Cost<'a>,
    noises: Vec<LayerNoise>,
    /// Values between the layers of the float network.
    kept: Incremental<&'a Dataset>,
    float: Signature,
    runs: usize,
    /// Whether the recipe plans layer by layer: that runs the network for each setting, so that it is tried for the best alone.
    sequential: bool,
    /// What times settings, where a latency is asked for.
    watch: Option<Stopwatch>,
}

impl<'a> Search<'a> {
    fn new(
        subject: &'a AutoSubject<'a>,
        recipe: &Recipe,
        options: &'a AutoOptions,
        progress: &Progress,
    ) -> Result<Self, InferenceError> {
        let base = Recipe {
            expand_ratio: 0.0,
            clip: Clip::None,
            sequential: false,
            ..recipe.uniform()
        };
        let base_bits = base.weight_bits.grid();
        let base_bits =
            base_bits.ok_or_else(|| out_of_reach("weights are float in the recipe: choose their bits, 2 to 8"))?;
        check_goal(subject, options.goal)?;
        let network = subject.network;
        let pipeline = subject.pipeline();
        let plain = pipeline.plan(&base, &progress.part())?;
        let quantized: Vec<usize> = (0..plain.layers.len())
            .filter(|layer| plain.layers[*layer].quantized().is_some())
            .collect();
        if quantized.is_empty() {
            return Err(out_of_reach(
                "the recipe leaves every layer float: there is nothing to choose",
            ));
        }
        let cost = Cost::new(network, &plain);
        let nothing = pipeline.quantize(&isolated(network, &base), &progress.part())?;
        let choices = lattice(
            network,
            &base,
            &quantized,
            options,
            (&cost, subject.activations),
            progress,
        )?;
        Ok(Self {
            subject,
            options,
            base,
            base_bits,
            cost,
            noises: choices.into_iter().map(LayerNoise::new).collect(),
            kept: Incremental::new(subject.choose.data, Incremental::<&Dataset>::MOST_BYTES),
            float: Signature::of(nothing.model()),
            runs: 0,
            sequential: recipe.sequential,
            watch: None,
        })
    }

    /// The choices from which the gains of each layer follow.
    fn anchors(&self) -> Vec<(usize, usize)> {
        let bits = self.base_bits;
        let wanted = self.noises.iter().enumerate();
        let wanted = wanted.flat_map(|(at, noise)| noise.anchors(bits).into_iter().map(move |choice| (at, choice)));
        wanted.collect()
    }

    fn measure(
        &mut self,
        wanted: &[(usize, usize)],
        stage: &str,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<(), InferenceError> {
        progress.start(wanted.len() as u64, stage);
        let bench = Bench {
            network: self.subject.network,
            pipeline: self.subject.pipeline(),
            base: &self.base,
            judged: self.subject.choose,
            kept: &self.kept,
            float: &self.float,
        };
        for &(at, choice) in wanted {
            progress.check()?;
            self.noises[at].measure(&bench, choice, log, progress)?;
            self.runs += 1;
            progress.advance(1);
        }
        Ok(())
    }

    /// Times those settings that were not timed yet, where a latency is asked for.
    fn time(&self, settings: &mut [AutoSetting], progress: &Progress) -> Result<(), InferenceError> {
        let Some(watch) = &self.watch else {
            return Ok(());
        };
        progress.start(settings.len() as u64, "Timing settings");
        for setting in settings {
            watch.time(self.subject, setting, progress)?;
            progress.advance(1);
        }
        Ok(())
    }

    /// Whether a setting keeps to the latency that is asked for, if one is.
    fn keeps_to_time(&self, setting: &AutoSetting) -> bool {
        self.watch.as_ref().is_none_or(|watch| watch.allows(setting))
    }

    /// The choices that are allowed with the least noise within `budget`; `None` where nothing fits.
    fn allocate(&self, budget: u64, of_those: Allowed) -> Option<Vec<usize>> {
        let price = |noise: &LayerNoise, choice: usize| {
            let of = &noise.choices()[choice];
            let allowed = of_those.bits.is_none_or(|bits| of.bits == bits) && !(of_those.unsplit && of.splits > 0);
            Price {
                bytes: of.bytes,
                noise: if allowed { noise.noise_of(choice) } else { f64::INFINITY },
            }
        };
        let prices = |noise: &LayerNoise| (0..noise.choices().len()).map(|choice| price(noise, choice)).collect();
        let prices: Vec<Vec<Price>> = self.noises.iter().map(prices).collect();
        // Splits inside recurrent cells and widened layers make other layers larger too, by their bits: the sum may be over the
        // budget then, by little.
        let mut target = budget;
        for _ in 0..ROUNDS {
            let taken = allocate(&prices, target)?;
            let over = self.bytes(&taken).saturating_sub(budget);
            if over == 0 {
                return Some(taken);
            }
            target = target.checked_sub(over)?;
        }
        None
    }

    fn bytes(&self, taken: &[usize]) -> u64 {
        let chosen: Vec<(usize, Stored)> = (self.noises.iter().zip(taken))
            .map(|(noise, at)| (noise.layer(), noise.choices()[*at].stored()))
            .collect();
        self.cost.total(&chosen)
    }

    /// [`Search::allocate`] where the chosen ones are measured and it is chosen again, until nothing is left to measure.
    fn refined(
        &mut self,
        budget: u64,
        of_those: Allowed,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Option<Vec<usize>>, InferenceError> {
        for _ in 0..ROUNDS {
            let Some(taken) = self.allocate(budget, of_those) else {
                return Ok(None);
            };
            let unknown =
                (taken.iter().enumerate()).filter(|(at, choice)| self.noises[*at].measured(**choice).is_none());
            let unknown: Vec<(usize, usize)> = unknown.map(|(at, choice)| (at, *choice)).collect();
            if unknown.is_empty() {
                return Ok(Some(taken));
            }
            self.measure(&unknown, "Measuring what was chosen", log, progress)?;
        }
        Ok(self.allocate(budget, of_those))
    }

    /// Runs the whole network with the choices taken; with and without bias correction if that is to be tried.
    fn try_out(
        &mut self,
        taken: &[usize],
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<AutoSetting, InferenceError> {
        let mut recipe = self.base.clone();
        for (noise, at) in self.noises.iter().zip(taken) {
            let layer = &self.subject.network.layers[noise.layer()];
            let chosen = noise.choices()[*at].exception(layer.layout.channels);
            let own = recipe.layers.entry(layer.name.clone()).or_default();
            (own.weight_bits, own.expand_ratio, own.clip) = (chosen.weight_bits, chosen.expand_ratio, chosen.clip);
            // What all layers have anyway is not said of each.
            own.scales = chosen.scales.filter(|scales| *scales != self.base.scales);
            own.rounding = chosen.rounding.filter(|rounding| *rounding != self.base.rounding);
            own.weight_zero_points = (chosen.weight_zero_points).filter(|has| *has != self.base.weight_zero_points);
        }
        let bytes = self.bytes(taken);
        self.runs += 1;
        let mut best = AutoSetting::new(recipe, bytes);
        best.try_out(self.subject, log, progress)?;
        let corrected = self.options.try_bias_correction && !self.base.bias_correction;
        if corrected && self.subject.activations.is_some() {
            let recipe = Recipe {
                bias_correction: true,
                ..best.recipe.clone()
            };
            self.runs += 1;
            let mut other = AutoSetting::new(recipe, bytes);
            other.try_out(self.subject, log, progress)?;
            if other.chosen_on.noise() < best.chosen_on.noise() {
                best = other;
            }
        }
        if let Some(other) = self.in_sequence(&best, log, progress)?
            && other.chosen_on.noise() < best.chosen_on.noise()
        {
            best = other;
        }
        Ok(best)
    }

    /// A setting planned layer by layer, tried out; `None` where the recipe does not ask for that or it changes nothing.
    fn in_sequence(
        &mut self,
        setting: &AutoSetting,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Option<AutoSetting>, InferenceError> {
        let recipe = Recipe {
            sequential: self.sequential,
            ..setting.recipe.clone()
        };
        if !recipe.plans_in_sequence() {
            return Ok(None);
        }
        self.runs += 1;
        let mut other = AutoSetting::new(recipe, setting.bytes);
        other.try_out(self.subject, log, progress)?;
        Ok(Some(other))
    }

    /// The best choices by layers within `budget`: with bits chosen, and with those of the recipe; without splits too where those
    /// with them take too long.
    fn within(
        &mut self,
        budget: u64,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Vec<(Origin, AutoSetting)>, InferenceError> {
        let mut found = Vec::new();
        let same_bits = (Origin::LayersAtSameBits, Some(self.base_bits));
        let ways = if self.options.bits == [self.base_bits] {
            vec![same_bits]
        } else {
            vec![(Origin::Layers, None), same_bits]
        };
        for (origin, bits) in ways {
            for unsplit in [false, true] {
                let Some(taken) = self.refined(budget, Allowed { bits, unsplit }, log, progress)? else {
                    break;
                };
                progress.start(1, "Trying the whole");
                let mut tried = self.try_out(&taken, log, progress)?;
                self.time(std::slice::from_mut(&mut tried), progress)?;
                let in_time = self.keeps_to_time(&tried);
                found.push((origin, tried));
                if in_time {
                    break;
                }
            }
        }
        if found.is_empty() {
            let least: u64 = self.least().iter().sum();
            let reason = format!("{budget} bytes are too few: the quantized weights take at least {least}");
            return Err(InferenceError::OutOfReach(reason));
        }
        Ok(found)
    }

    /// The smallest choice of each layer, bytes.
    fn least(&self) -> Vec<u64> {
        let least = |noise: &LayerNoise| noise.choices().iter().map(|choice| choice.bytes).min().unwrap_or(0);
        self.noises.iter().map(least).collect()
    }

    /// The choices by layers with the fewest bytes that reach an accuracy, timed; where they take too long those without splits
    /// too, if they reach it.
    fn reaching_in_time(
        &mut self,
        accuracy: f64,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<Vec<AutoSetting>, InferenceError> {
        let mut found = vec![self.reaching(accuracy, false, log, progress)?];
        self.time(&mut found, progress)?;
        if !found.iter().all(|setting| self.keeps_to_time(setting)) {
            match self.reaching(accuracy, true, log, progress) {
                Ok(unsplit) => found.push(unsplit),
                Err(InferenceError::OutOfReach(_)) => {}
                Err(error) => return Err(error),
            }
            self.time(&mut found, progress)?;
        }
        Ok(found)
    }

    /// The choices by layers with the fewest bytes that reach an accuracy on the samples to choose on.
    fn reaching(
        &mut self,
        accuracy: f64,
        unsplit: bool,
        log: &mut RunLog,
        progress: &Progress,
    ) -> Result<AutoSetting, InferenceError> {
        let most = |noise: &LayerNoise| noise.choices().iter().map(|choice| choice.bytes).max().unwrap_or(0);
        let mut high: u64 = self.noises.iter().map(most).sum();
        let mut low: u64 = self.least().iter().sum();
        let mut best: Option<AutoSetting> = None;
        let mut highest = 0.0_f64;
        let mut budget = high;
        for probe in 0..PROBES {
            let Some(taken) = self.refined(budget, Allowed { bits: None, unsplit }, log, progress)? else {
                break;
            };
            progress.start(PROBES as u64, format!("Trying {budget} bytes"));
            progress.advance(probe as u64);
            let tried = self.try_out(&taken, log, progress)?;
            let Some(reached) = tried.chosen_on.accuracy() else {
                return Err(InferenceError::OutOfReach(NO_CLASSES.to_owned()));
            };
            highest = highest.max(reached);
            if reached >= accuracy {
                high = tried.bytes.min(budget);
                best = Some(tried);
            } else if best.is_none() {
                break;
            } else {
                low = budget;
            }
            if high as f64 <= low as f64 * NEAR {
                break;
            }
            budget = (low as f64 * high as f64).sqrt() as u64;
        }
        best.ok_or_else(|| {
            InferenceError::OutOfReach(format!(
                "no choice reaches {:.2} % on the samples to choose on: the most is {:.2} %",
                accuracy * 100.0,
                highest * 100.0
            ))
        })
    }

    /// The recipe without splits and clips.
    fn plain(&mut self, log: &mut RunLog, progress: &Progress) -> Result<AutoSetting, InferenceError> {
        self.runs += 1;
        let mut plain = AutoSetting::new(self.base.clone(), self.cost.plain());
        plain.try_out(self.subject, log, progress)?;
        Ok(plain)
    }

    /// What `recipe` says of the layers.
    fn layers_of(&self, recipe: &Recipe) -> Vec<AutoLayer> {
        let network = self.subject.network;
        let of = |noise: &LayerNoise| {
            let (index, layer) = (noise.layer(), &network.layers[noise.layer()]);
            let settings = recipe.effective(network, index);
            let bits = settings.weights.bits.grid().unwrap_or(Bits::MAX);
            let splits = self.uniform_splits(index, settings.weights.expand_ratio);
            let same = |choice: usize| {
                let of = &noise.choices()[choice];
                let like = (of.bits, of.splits, of.clip) == (bits, splits, settings.weights.clip);
                let WeightSettings {
                    scales,
                    rounding,
                    zero_points,
                    ..
                } = settings.weights;
                like && (of.scales, of.rounding, of.zero_points) == (scales, rounding, zero_points)
            };
            let stored = Stored {
                bits,
                splits,
                scales: settings.weights.scales,
                zero_points: settings.weights.zero_points,
            };
            AutoLayer {
                name: layer.name.clone(),
                weight_bits: settings.weights.bits,
                expand_ratio: ratio_of(splits, layer.layout.channels),
                splits,
                clip: settings.weights.clip,
                scales: settings.weights.scales,
                rounding: settings.weights.rounding,
                zero_points: settings.weights.zero_points,
                bytes: self.cost.with_one(index, stored),
                plain_bytes: self.cost.plain_of(index),
                output_noise: (0..noise.choices().len())
                    .find(|at| same(*at))
                    .map(|at| noise.noise_of(at)),
            }
        };
        self.noises.iter().map(of).collect()
    }
}
