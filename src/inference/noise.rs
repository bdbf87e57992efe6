//! Noise that a network runs on, in the sizes that it leaves free.

use super::free_sizes::{OF_NOISE, chosen, first_that_runs, noise_sizes_note};
use super::{Dataset, DatasetError, Engine, InferenceError, run_outputs};
use crate::data::FreeSizes;
use crate::network::Network;

impl Dataset {
    /// Samples of noise where nothing else is said.
    pub const NOISE_SAMPLES: usize = 64;
    /// Seed of the noise where nothing else is said: the same in every run, so that runs can be compared and resumed.
    pub const NOISE_SEED: u64 = 1;

    /// `samples` samples of noise that `network` runs on: numbers of a standard normal distribution (what preprocessed
    /// pictures are by and large), token ids evenly over those that its embedding has. The same `seed` gives the same noise.
    ///
    /// # Errors
    /// [`InferenceError`] with the engine's reason when the network does not run on it: then it needs data.
    pub fn noise(network: &Network, engine: &dyn Engine, samples: usize, seed: u64) -> Result<Self, InferenceError> {
        fitting(engine, samples, |samples, free| {
            Self::noise_of_size(network, engine.inputs(), samples, free, seed)
        })
    }

    /// `samples` inputs that are made up to be like what networks are trained on: pictures and signals whose power falls with the
    /// frequency as that of natural ones does (Field, *Relations between the statistics of natural images*, 1987), in
    /// colours that go together, mean 0 and variance 1 over a sample; token ids as [`Dataset::noise`] has them.
    ///
    /// # Errors
    /// As [`Dataset::noise`].
    pub fn made_up(network: &Network, engine: &dyn Engine, samples: usize, seed: u64) -> Result<Self, InferenceError> {
        fitting(engine, samples, |samples, free| {
            Self::made_up_of_size(network, engine.inputs(), samples, free, seed)
        })
    }
}

/// `samples` samples of the first sizes that the network in `engine` runs on, which are noted with them.
fn fitting(
    engine: &dyn Engine,
    samples: usize,
    make: impl Fn(usize, FreeSizes) -> Result<Dataset, DatasetError>,
) -> Result<Dataset, InferenceError> {
    let wrong = |error: DatasetError| InferenceError::Data(error.to_string());
    // One sample is enough to try a size on.
    let ((), free) = first_that_runs(engine.inputs(), &OF_NOISE, |free| {
        let one = make(1, free).map_err(wrong)?;
        run_outputs(engine, &one, 1, &Default::default()).map(|_| ())
    })
    .map_err(|error| InferenceError::Data(format!("the network does not run on noise, give data: {error}")))?;
    let note = noise_sizes_note(&chosen(engine.inputs(), free));
    Ok(make(samples, free).map_err(wrong)?.with_notes(note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;

    #[test]
    fn both_demos_run_on_noise_and_the_seed_decides_it() {
        // 65 characters behind each of 32.
        for (demo, classes) in [(Demo::Fashion, 10), (Demo::Shakespeare, 32 * 65)] {
            let network = demo.network().unwrap();
            let engine = Rten::load(demo.model_bytes().to_vec()).unwrap();
            let answers = |seed| {
                let data = Dataset::noise(&network, &engine, 30, seed).unwrap();
                assert_eq!((data.len(), data.label(0), data.is_text()), (30, None, false));
                run_outputs(&engine, &data, 30, &Default::default()).unwrap()
            };
            let first = answers(1);
            assert_eq!((first.samples, first.classes), (30, classes), "{}", demo.name());
            assert_eq!(first.logits, answers(1).logits);
            assert_ne!(first.logits, answers(2).logits);
        }
    }
}
