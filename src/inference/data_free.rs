//! Ranges of layer inputs without any data: from batch-norm statistics and from what is stated of the network's inputs, and
//! where neither tells from seeded noise that is run through the network.

use super::calibration::{gather, input_names, sizes};
use super::free_sizes::{OF_NOISE, chosen, first_that_runs};
use super::{Engine, InferenceError, Port};
use crate::data::{DataOptions, ElementKind, FreeSizes, Random, Tensor, by_name, made_up_integers};
use crate::engine::UNOPTIMIZED;
use crate::network::Network;
use crate::onnx::build::metadata;
use crate::printable::short;
use crate::progress::Progress;
use crate::quantization::{Activations, ChannelPlace, KnownInput, batch_norm_activations};
use crate::statistics::{ChannelDistribution, RangeSource};

/// Samples of noise.
const SAMPLES: u64 = 8;

/// Statistics of every layer input of the main graph: those that batch-norms or the stated preprocessing tell
/// ([`crate::quantization::batch_norm_activations`]), else those of noise; [`ActivationStatistics::source`] says which.
/// `engine` runs `network`, and only if some input needs noise.
///
/// What is stated of the network's input stands in `options` (and in the hint of the network's own files there), else in the
/// model (ONNX metadata `Image.NominalPixelRange`). The noise has the channels' stated ends; where nothing is stated it is
/// standard normal, as inputs are that were normalized; for token ids any of the embedding's. The same noise each time.
///
/// [`ActivationStatistics::source`]: crate::statistics::ActivationStatistics::source
///
/// # Errors
/// [`InferenceError`] when the stated preprocessing does not fit the network, the network does not run on noise, or
/// `Cancelled`.
pub fn data_free_activations(
    network: &Network,
    engine: &dyn Engine,
    options: &DataOptions,
    progress: &Progress,
) -> Result<Activations, InferenceError> {
    progress.check()?;
    let inputs = known_inputs(network, engine.inputs(), options)?;
    let mut activations = batch_norm_activations(network, &inputs);
    let unknown: Vec<&str> = input_names(network)
        .into_iter()
        .filter(|name| !activations.contains_key(*name))
        .collect();
    if unknown.is_empty() {
        return Ok(activations);
    }
    let sizes = run_noise(network, engine, &inputs, &unknown, progress, |values, _| {
        gather(&mut activations, &unknown, values, network, RangeSource::Noise);
        Ok(())
    })?;
    activations.set_noise_sizes(sizes);
    Ok(activations)
}

/// Names of the layers whose input has a range that came from noise, in the order of the network.
pub fn layers_on_noise<'a>(network: &'a Network, activations: &Activations) -> Vec<&'a str> {
    let from_noise = |input: &str| {
        activations
            .get(input)
            .is_some_and(|seen| seen.source == RangeSource::Noise)
    };
    let layers = network.layers.iter().filter(|layer| layer.support.can_quantize());
    let on_noise = layers.filter(|layer| layer.input.as_ref().is_some_and(|(input, _)| from_noise(input)));
    on_noise.map(|layer| layer.name.as_str()).collect()
}

/// Names that a warning lists; of more it says how many.
const NAMED: usize = 8;

/// That the ranges of layers came from noise, with the layers' names; `None` where none did.
pub fn noise_warning(network: &Network, activations: &Activations) -> Option<String> {
    let layers = layers_on_noise(network, activations);
    let named: Vec<String> = layers
        .iter()
        .take(NAMED)
        .map(|name| format!("'{}'", short(name)))
        .collect();
    let more = match layers.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!layers.is_empty()).then(|| {
        format!(
            "the input range of {}{more} comes from random noise and can be far off",
            named.join(", ")
        )
    })
}

/// What is stated of the inputs of `network`.
fn known_inputs(network: &Network, ports: &[Port], options: &DataOptions) -> Result<Vec<KnownInput>, InferenceError> {
    let options = options.clone().for_network(network);
    if let Some(stated) = (options.stated_input(ports)).map_err(|error| InferenceError::Data(error.to_string()))? {
        return Ok(vec![stated]);
    }
    let declared = metadata(&network.model, "Image.NominalPixelRange").and_then(pixel_range);
    let Some((low, high)) = declared else {
        return Ok(Vec::new());
    };
    let is_picture = |port: &&Port| port.shape.as_ref().is_some_and(|shape| shape.len() == 4) && !port.is_integer();
    let of_port = |port: &Port| {
        let sizes = port.shape.as_deref()?;
        let is_last = !matches!(sizes[1], Some(1 | 3)) && matches!(sizes[3], Some(1 | 3));
        let (place, channels) = if is_last {
            (ChannelPlace::Last, sizes[3])
        } else {
            (ChannelPlace::Second, sizes[1])
        };
        Some(KnownInput {
            name: port.name.clone(),
            channels: vec![[low, high]; channels?],
            place,
        })
    };
    Ok(ports.iter().filter(is_picture).filter_map(of_port).collect())
}

/// Runs the network on noise, inside the ends that `known` tells of its inputs, and hands on the `wanted` values of each run,
/// with the share of all runs that it is. Gives the shapes of the inputs that leave sizes free.
pub(super) fn run_noise(
    network: &Network,
    engine: &dyn Engine,
    known: &[KnownInput],
    wanted: &[&str],
    progress: &Progress,
    mut seen: impl FnMut(Vec<Tensor>, f64) -> Result<(), InferenceError>,
) -> Result<Vec<(String, Vec<usize>)>, InferenceError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    progress.start(SAMPLES, "Running noise");
    let mut noise = Noise::new();
    let mut run = |free: FreeSizes| {
        progress.check()?;
        let inputs = noise.inputs(network, engine.inputs(), known, free)?;
        Ok(engine.run_with(&by_name(&inputs), wanted, UNOPTIMIZED)?)
    };
    // The first that runs decides how large free axes are.
    let (mut values, free) = first_that_runs(engine.inputs(), &OF_NOISE, &mut run)?;
    for sample in 1..=SAMPLES {
        seen(values, 1.0 / SAMPLES as f64)?;
        progress.advance(1);
        if sample == SAMPLES {
            break;
        }
        values = run(free)?;
    }
    Ok(chosen(engine.inputs(), free))
}

/// Seeded noise.
struct Noise {
    random: Random,
}

impl Noise {
    fn new() -> Self {
        Self {
            random: Random(20_190_527),
        }
    }

    /// Numbers of the shape `[n, ...]` with the channels that are stated, each by itself.
    fn pictures(&mut self, stated: &KnownInput, shape: &[usize]) -> Vec<f32> {
        let channels: Vec<ChannelDistribution> = (0..stated.channels.len())
            .filter_map(|channel| stated.distribution(channel))
            .collect();
        let elements: usize = shape.iter().product();
        // Elements from one channel to the next.
        let run = match (stated.place, shape) {
            (ChannelPlace::Last, _) => 1,
            (ChannelPlace::Second, [_, _, plane @ ..]) => plane.iter().product(),
            _ => elements / (shape.first().unwrap_or(&1) * channels.len()).max(1),
        };
        let mut number = |at: usize| match channels.get(at / run.max(1) % channels.len().max(1)) {
            Some(channel) => {
                let (mean, deviation) = channel.moments();
                let drawn = mean + deviation * f64::from(self.random.normal());
                drawn.clamp(channel.low(), channel.high()) as f32
            }
            None => self.random.normal(),
        };
        (0..elements).map(&mut number).collect()
    }

    /// One sample for each input.
    fn inputs(
        &mut self,
        network: &Network,
        ports: &[Port],
        known: &[KnownInput],
        free: FreeSizes,
    ) -> Result<Vec<(String, Tensor)>, InferenceError> {
        fn wrong(error: impl std::fmt::Display) -> InferenceError {
            InferenceError::Data(error.to_string())
        }
        let shapes = sizes(ports, free)?;
        let all: Vec<&[usize]> = shapes.iter().map(Vec::as_slice).collect();
        ports
            .iter()
            .zip(&shapes)
            .enumerate()
            .map(|(at, (port, shape))| {
                let elements = shape.iter().product();
                let value = if port.is_integer() {
                    let (least, most) = made_up_integers(network, ports, &all, at).into_inner();
                    let of = (most - least + 1) as f64;
                    let drawn = |noise: &mut Self| (least as f64 + (noise.random.uniform() * of).floor()) as i32;
                    Tensor::from_shape(shape, (0..elements).map(|_| drawn(self)).collect::<Vec<i32>>())
                        .map_err(wrong)?
                } else if port.kind == ElementKind::Byte {
                    let byte = |noise: &mut Self| (noise.random.uniform() * 256.0) as u8;
                    Tensor::from_shape(shape, (0..elements).map(|_| byte(self)).collect::<Vec<u8>>()).map_err(wrong)?
                } else {
                    let stated = known.iter().find(|input| input.name == port.name);
                    let numbers = match stated {
                        Some(stated) => self.pictures(stated, shape),
                        None => (0..elements).map(|_| self.random.normal()).collect(),
                    };
                    Tensor::from_shape(shape, numbers).map_err(wrong)?
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
        data_free_activations(&network, &engine, &DataOptions::default(), &Progress::default()).unwrap()
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
    }

    #[test]
    fn a_declared_range_of_pixels_is_that_of_the_input() {
        let mut network = Demo::Fashion.network().unwrap();
        let mut model = network.model.as_ref().clone();
        set_metadata(&mut model, "Image.NominalPixelRange", "NominalRange_0_255");
        network.model = Arc::new(model);
        let first = &of_options(&network, &DataOptions::default())["input"];
        let ends = (first.min, first.max, first.source);
        assert_eq!(ends, (0.0, 255.0, RangeSource::Preprocessing));
    }

    fn of_options(network: &Network, options: &DataOptions) -> Activations {
        let engine = Rten::load(crate::onnx::encode(&network.model).unwrap()).unwrap();
        data_free_activations(network, &engine, options, &Progress::default()).unwrap()
    }

    #[test]
    fn the_stated_preprocessing_is_the_range_of_the_input_and_no_noise_is_left() {
        let network = Demo::Fashion.network().unwrap();
        assert_eq!(
            layers_on_noise(&network, &of_options(&network, &DataOptions::default())),
            ["conv1"]
        );
        let named = |name: &str| DataOptions {
            preprocess: Some(name.to_owned()),
            ..DataOptions::default()
        };
        let activations = of_options(&network, &named("raw"));
        let first = &activations["input"];
        assert_eq!(
            (first.min, first.max, first.source),
            (0.0, 255.0, RangeSource::Preprocessing)
        );
        assert_eq!(layers_on_noise(&network, &activations), [""; 0]);
        // (0 - 0.2860) / 0.3530 and (1 - 0.2860) / 0.3530: what calibration on real pictures sees too.
        let first = &of_options(&network, &named("fashion"))["input"];
        assert!((first.min + 0.810_198).abs() < 1e-4 && (first.max - 2.022_663).abs() < 1e-4);
        let wrong = named("imagenet");
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let refused = data_free_activations(&network, &engine, &wrong, &Progress::default());
        assert!(refused.unwrap_err().to_string().contains("3 channels"));
    }

    #[test]
    fn noise_lies_inside_the_stated_ends_of_each_channel() {
        let stated = KnownInput {
            name: "x".to_owned(),
            channels: vec![[0.0, 255.0], [-2.0, -1.0]],
            place: ChannelPlace::Second,
        };
        let flat = KnownInput {
            place: ChannelPlace::Flat,
            ..stated.clone()
        };
        let last = KnownInput {
            place: ChannelPlace::Last,
            ..stated.clone()
        };
        let inside = |x: f32, channel: usize| match channel {
            0 => (0.0..=255.0).contains(&x),
            _ => (-2.0..=-1.0).contains(&x),
        };
        for (at, x) in Noise::new().pictures(&stated, &[2, 2, 9, 9]).into_iter().enumerate() {
            assert!(inside(x, at / 81 % 2), "{at} {x}");
        }
        for (at, x) in Noise::new().pictures(&flat, &[2, 162]).into_iter().enumerate() {
            assert!(inside(x, at / 81 % 2), "{at} {x}");
        }
        let numbers = Noise::new().pictures(&last, &[1, 9, 9, 2]);
        assert!(numbers.iter().enumerate().all(|(at, x)| inside(*x, at % 2)));
        assert!(numbers.iter().any(|x| *x > 100.0));
    }
}
