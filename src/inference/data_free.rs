//! Ranges of layer inputs without any data: from batch-norm statistics, and where none are known from seeded noise that is
//! run through the network.

use super::calibration::{PICTURE_SIDES, gather, input_names, sizes};
use super::{Engine, InferenceError, Port};
use crate::data::{ElementKind, Tensor, by_name};
use crate::engine::UNOPTIMIZED;
use crate::network::Network;
use crate::onnx::build::metadata;
use crate::progress::Progress;
use crate::quantization::{Activations, batch_norm_activations};
use crate::statistics::RangeSource;

/// Samples of noise.
const SAMPLES: u64 = 8;

/// Steps of a sequence of noise, where the network leaves the number free.
const STEPS: usize = 32;

/// Steps of a sequence are tried one by one when a network does not take [`STEPS`].
const ONE_STEP: usize = 1;

/// Statistics of every layer input of the main graph: batch-norm's where they are known
/// ([`crate::quantization::batch_norm_activations`]), else those of noise; [`ActivationStatistics::source`] says which.
/// `engine` runs `network`, and only if some input needs noise.
///
/// The noise is what the model declares of its pictures (ONNX metadata `Image.NominalPixelRange`), uniform over that range,
/// else standard normal, as inputs are that were normalized; for token ids any of the embedding's. The same noise each time.
///
/// [`ActivationStatistics::source`]: crate::statistics::ActivationStatistics::source
///
/// # Errors
/// [`InferenceError`] when the network does not run on noise, or `Cancelled`.
pub fn data_free_activations(
    network: &Network,
    engine: &dyn Engine,
    progress: &Progress,
) -> Result<Activations, InferenceError> {
    progress.check()?;
    let mut activations = batch_norm_activations(network);
    let unknown: Vec<&str> = input_names(network)
        .into_iter()
        .filter(|name| !activations.contains_key(*name))
        .collect();
    if unknown.is_empty() {
        return Ok(activations);
    }
    run_noise(network, engine, &unknown, progress, |values, _| {
        gather(&mut activations, &unknown, values, network, RangeSource::Noise);
        Ok(())
    })?;
    Ok(activations)
}

/// Runs the network on noise and hands on the `wanted` values of each run, with the share of all runs that it is.
pub(super) fn run_noise(
    network: &Network,
    engine: &dyn Engine,
    wanted: &[&str],
    progress: &Progress,
    mut seen: impl FnMut(Vec<Tensor>, f64) -> Result<(), InferenceError>,
) -> Result<(), InferenceError> {
    if wanted.is_empty() {
        return Ok(());
    }
    progress.start(SAMPLES, "Running noise");
    let mut noise = Noise::new();
    // The first that runs decides how large free axes are.
    let mut tried = PICTURE_SIDES
        .into_iter()
        .flat_map(|side| [STEPS, ONE_STEP].map(|steps| (side, steps)))
        .peekable();
    let mut samples = 0;
    while let Some(&(side, steps)) = tried.peek() {
        progress.check()?;
        let run = noise
            .inputs(network, engine.inputs(), side, steps)
            .and_then(|inputs| Ok(engine.run_with(&by_name(&inputs), wanted, UNOPTIMIZED)?));
        match run {
            Ok(values) => {
                seen(values, 1.0 / SAMPLES as f64)?;
                samples += 1;
                progress.advance(1);
                if samples == SAMPLES {
                    break;
                }
            }
            // What runs once runs again; before that, other sizes may.
            Err(error) => {
                tried.next();
                if samples > 0 || tried.peek().is_none() {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

/// A generator of seeded noise (SplitMix64; Steele, Lea, Flood 2014).
struct Noise {
    state: u64,
}

impl Noise {
    fn new() -> Self {
        Self { state: 20_190_527 }
    }

    fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uniform between 0 and 1, neither of them.
    fn uniform(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box, Muller 1958).
    fn normal(&mut self) -> f32 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        (radius * (std::f64::consts::TAU * self.uniform()).cos()) as f32
    }

    /// One sample for each input.
    fn inputs(
        &mut self,
        network: &Network,
        ports: &[Port],
        side: usize,
        steps: usize,
    ) -> Result<Vec<(String, Tensor)>, InferenceError> {
        fn wrong(error: impl std::fmt::Display) -> InferenceError {
            InferenceError::Data(error.to_string())
        }
        let pixels = metadata(&network.model, "Image.NominalPixelRange").and_then(pixel_range);
        ports
            .iter()
            .map(|port| {
                let (shape, elements) = sizes(port, side, steps)?;
                let value = if port.is_integer() {
                    let ids = token_ids(network, &port.name);
                    let id = |noise: &mut Self| (noise.uniform() * f64::from(ids)) as i32;
                    Tensor::from_shape(&shape, (0..elements).map(|_| id(self)).collect::<Vec<i32>>()).map_err(wrong)?
                } else if port.kind == ElementKind::Byte {
                    let byte = |noise: &mut Self| (noise.uniform() * 256.0) as u8;
                    Tensor::from_shape(&shape, (0..elements).map(|_| byte(self)).collect::<Vec<u8>>()).map_err(wrong)?
                } else {
                    let picture = shape.len() == 4;
                    let number = |noise: &mut Self| match pixels.filter(|_| picture) {
                        Some((low, high)) => low + (high - low) * noise.uniform() as f32,
                        None => noise.normal(),
                    };
                    Tensor::from_shape(&shape, (0..elements).map(|_| number(self)).collect::<Vec<f32>>())
                        .map_err(wrong)?
                };
                Ok((port.name.clone(), value))
            })
            .collect()
    }
}

/// The range of pixels by the name that ONNX has for it (ONNX metadata of image models).
fn pixel_range(name: &str) -> Option<(f32, f32)> {
    match name {
        "NominalRange_0_255" => Some((0.0, 255.0)),
        "NominalRange_16_235" => Some((16.0, 235.0)),
        "Normalized_0_1" => Some((0.0, 1.0)),
        "Normalized_1_1" => Some((-1.0, 1.0)),
        _ => None,
    }
}

/// Token ids that may be handed to an input: the rows of the constant that a `Gather` looks them up in, else 1.
fn token_ids(network: &Network, port: &str) -> i32 {
    let Some(graph) = &network.model.graph else {
        return 1;
    };
    let readers = graph.node.iter().filter(|node| node.op_type() == "Gather");
    let tables = readers.filter(|node| node.input.get(1).is_some_and(|ids| ids == port));
    let rows = tables.filter_map(|node| {
        let table = graph
            .initializer
            .iter()
            .find(|tensor| Some(tensor.name()) == node.input.first().map(String::as_str))?;
        i32::try_from(*table.dims.first()?).ok()
    });
    rows.min().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::onnx::build::set_metadata;
    use std::sync::Arc;

    fn of(demo: Demo) -> Activations {
        let network = demo.network().unwrap();
        let engine = Rten::load(demo.model_bytes().to_vec()).unwrap();
        data_free_activations(&network, &engine, &Progress::default()).unwrap()
    }

    #[test]
    fn batch_norms_come_first_and_noise_fills_the_gaps() {
        let activations = of(Demo::Fashion);
        let network = Demo::Fashion.network().unwrap();
        let inputs = input_names(&network);
        let sources = |source| {
            inputs
                .iter()
                .filter(|name| activations[**name].source == source)
                .count()
        };
        assert_eq!((sources(RangeSource::BatchNorm), sources(RangeSource::Noise)), (19, 1));
        let first = &activations["input"];
        assert_eq!((first.source, first.count), (RangeSource::Noise, SAMPLES * 784));
        // The largest of 6272 standard normal numbers.
        assert!((3.0..6.0).contains(&first.max_abs()), "{first:?}");
        let mean = first.channel_means().unwrap();
        assert!(mean.len() == 1 && mean[0].abs() < 0.05, "{mean:?}");
        assert!(activations == of(Demo::Fashion), "the same noise each time");
    }

    #[test]
    fn a_network_without_batch_norms_hears_noise_everywhere() {
        let network = Demo::Shakespeare.network().unwrap();
        let activations = of(Demo::Shakespeare);
        for layer in &network.layers {
            let Some((input, _)) = &layer.input else { continue };
            assert_eq!(activations[input].source, RangeSource::Noise, "{}", layer.name);
            assert!(activations[input].max_abs() > 0.0, "{}", layer.name);
        }
        assert_eq!(token_ids(&network, "tokens"), 65);
    }

    #[test]
    fn a_declared_range_of_pixels_is_filled_with_noise() {
        let mut network = Demo::Fashion.network().unwrap();
        let mut model = network.model.as_ref().clone();
        set_metadata(&mut model, "Image.NominalPixelRange", "NominalRange_0_255");
        network.model = Arc::new(model);
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let activations = data_free_activations(&network, &engine, &Progress::default()).unwrap();
        let first = &activations["input"];
        assert!(
            first.min >= 0.0 && first.min < 1.0 && first.max > 254.0 && first.max <= 255.0,
            "{first:?}"
        );
    }
}
