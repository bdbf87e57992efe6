//! Which samples a setting is chosen on and which it is judged by: never the same.

use super::{AutoSubject, InferenceError, Judged};
use crate::inference::{Dataset, Engine, Outputs, run_samples};
use crate::network::Network;
use crate::progress::Progress;
use crate::quantization::Activations;
use std::ops::Range;
use std::sync::Arc;

/// Samples of noise for either purpose.
const NOISE_SAMPLES: usize = Dataset::NOISE_SAMPLES;
/// Seeds of the noise to choose on and the noise to judge by.
const NOISE_SEEDS: [u64; 2] = [Dataset::NOISE_SEED, Dataset::NOISE_SEED + 1];

/// Two sets of samples without a sample in common, and what the float network answers on them.
pub struct AutoSamples {
    choose: (Arc<Dataset>, Outputs),
    judge: (Arc<Dataset>, Outputs),
}

impl AutoSamples {
    /// Images to choose on, where nothing else is said.
    pub const CHOOSE_IMAGES: usize = 256;
    /// Tokens to choose on, where nothing else is said.
    pub const CHOOSE_TOKENS: usize = 8192;

    /// Chooses on the first samples of `other`, or, without such data, on the first half of `data`; judges by the rest of
    /// `data`. At most `limits` samples are taken to choose on and to judge by. `engine` runs the float network.
    ///
    /// # Errors
    /// [`InferenceError`] of data or engine, or `Cancelled`.
    pub fn of(
        engine: &dyn Engine,
        data: &Arc<Dataset>,
        other: Option<Arc<Dataset>>,
        limits: (Option<usize>, usize),
        progress: &Progress,
    ) -> Result<Self, InferenceError> {
        let usual = if data.is_text() {
            Self::CHOOSE_TOKENS
        } else {
            Self::CHOOSE_IMAGES
        };
        let (most_to_choose, limit) = (limits.0.unwrap_or(usual), limits.1);
        let (choose, judge) = match other {
            Some(other) => (
                (Arc::clone(&other), 0..other.len().min(most_to_choose)),
                0..data.len().min(limit),
            ),
            None => {
                let (first, second) = halves(data, limit)?;
                ((Arc::clone(data), first.start..first.end.min(most_to_choose)), second)
            }
        };
        Self::run(engine, choose, (Arc::clone(data), judge), progress)
    }

    /// Noise of two seeds: for a network without data. `output` is judged, if one was chosen.
    ///
    /// # Errors
    /// As [`AutoSamples::of`].
    pub fn noise(
        network: &Network,
        engine: &dyn Engine,
        limits: (Option<usize>, usize),
        output: Option<&String>,
        progress: &Progress,
    ) -> Result<Self, InferenceError> {
        let [choose, judge] = NOISE_SEEDS;
        let samples = |most: usize, seed: u64| {
            let samples = most.min(NOISE_SAMPLES);
            let noise = Dataset::noise(network, engine, samples, seed)?.judged_by(output.cloned());
            Ok::<_, InferenceError>((Arc::new(noise), 0..samples))
        };
        let choose = samples(limits.0.unwrap_or(NOISE_SAMPLES), choose)?;
        Self::run(engine, choose, samples(limits.1, judge)?, progress)
    }

    fn run(
        engine: &dyn Engine,
        choose: (Arc<Dataset>, Range<usize>),
        judge: (Arc<Dataset>, Range<usize>),
        progress: &Progress,
    ) -> Result<Self, InferenceError> {
        let run = |(data, range): (Arc<Dataset>, Range<usize>)| {
            let outputs = run_samples(engine, &data, range, progress)?;
            Ok::<_, InferenceError>((data, outputs))
        };
        Ok(Self {
            choose: run(choose)?,
            judge: run(judge)?,
        })
    }

    /// The samples as a subject for [`super::auto`]; `network` is prepared as the recipe says.
    pub fn subject<'a>(&'a self, network: &'a Network, activations: Option<&'a Activations>) -> AutoSubject<'a> {
        let judged = |(data, float): &'a (Arc<Dataset>, Outputs)| Judged { data, float };
        AutoSubject {
            network,
            activations,
            choose: judged(&self.choose),
            judge: judged(&self.judge),
        }
    }
}

/// The first `limit` samples in two halves; of text, whole streams where there are several.
fn halves(data: &Dataset, limit: usize) -> Result<(Range<usize>, Range<usize>), InferenceError> {
    let samples = data.len().min(limit);
    let stream = data.text_layout().map(|layout| layout.length);
    let middle = match stream {
        Some(length) if length > 0 && samples >= 2 * length => samples / length / 2 * length,
        _ => samples / 2,
    };
    if middle == 0 {
        let reason = format!("{}: too few samples to choose on some and judge by others", data.name());
        return Err(InferenceError::Data(reason));
    }
    Ok((0..middle, middle..samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;

    #[test]
    fn without_other_data_the_halves_share_no_sample() {
        let data = Dataset::demo(Demo::Fashion);
        assert_eq!(halves(&data, 101).unwrap(), (0..50, 50..101));
        assert!(halves(&data, 1).is_err());
        let text = Dataset::demo(Demo::Shakespeare);
        let length = text.text_layout().unwrap().length;
        let (first, second) = halves(&text, usize::MAX).unwrap();
        assert_eq!(
            (first.end, second.start, second.end),
            (16 * length, 16 * length, text.len())
        );
        assert_eq!(halves(&text, 100).unwrap(), (0..50, 50..100));
    }

    #[test]
    fn what_is_chosen_on_and_judged_by_are_the_samples_told() {
        let data = Arc::new(Dataset::demo(Demo::Fashion));
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let progress = Progress::default();
        let all = crate::inference::run_outputs(&engine, &data, 40, &progress).unwrap();
        let samples = AutoSamples::of(&engine, &data, None, (Some(7), 40), &progress).unwrap();
        assert_eq!((samples.choose.1.range(), samples.judge.1.range()), (0..7, 20..40));
        assert_eq!(samples.judge.1.logits, all.logits[20 * all.classes..]);
        let other = Arc::new(Dataset::demo_calibration(Demo::Fashion));
        let samples = AutoSamples::of(&engine, &data, Some(other), (Some(7), 40), &progress).unwrap();
        assert_eq!((samples.choose.1.range(), samples.judge.1.range()), (0..7, 0..40));
        assert_ne!(samples.choose.1.logits, all.logits[..7 * all.classes]);
    }

    /// Less text than one stream: the half that it is judged by begins in the middle of what the network reads.
    #[test]
    fn a_short_text_is_judged_by_what_the_network_answers_behind_its_first_half() {
        let data = Arc::new(Dataset::demo(Demo::Shakespeare));
        let engine = Rten::load(Demo::Shakespeare.model_bytes().to_vec()).unwrap();
        let progress = Progress::default();
        let all = crate::inference::run_outputs(&engine, &data, 40, &progress).unwrap();
        let samples = AutoSamples::of(&engine, &data, None, (None, 40), &progress).unwrap();
        assert_eq!((samples.choose.1.range(), samples.judge.1.range()), (0..20, 20..40));
        for row in 0..20 {
            let label = data.label(20 + row).unwrap();
            assert_eq!(samples.judge.1.first_answer(row), all.first_answer(20 + row));
            let (judged, whole) = (samples.judge.1.nats(row, label), all.nats(20 + row, label));
            assert!((judged - whole).abs() <= 1e-6, "{row}: {judged} {whole}");
        }
    }
}
