//! Made-up inputs that look to a network like those that it was trained on: changed until every batch-norm sees the mean and the
//! variance that it remembers (Cai et al., *ZeroQ: A Novel Zero Shot Quantization Framework*, CVPR 2020, section 3.1).

use super::{Dataset, Engine, InferenceError, Rten};
use crate::data::{ElementKind, Tensor};
use crate::engine::UNOPTIMIZED;
use crate::network::{MomentGradient, Network, Shapes, moment_gradient, shapes};
use crate::onnx;
use crate::progress::Progress;
use rayon::prelude::*;

/// Steps of gradient descent.
const STEPS: usize = 60;
/// Samples at most: few that come near rank layers better than many that do not.
const MAX_SAMPLES: usize = 24;
/// How far a number goes in the first step, of the deviation of the inputs; it falls to nothing in a straight line.
const FIRST_STEP: f32 = 0.1;
/// Decay of the means of the gradient and of its square (Kingma, Ba, *Adam*, ICLR 2015).
const DECAY: [f32; 2] = [0.9, 0.99];
/// Elements of all values of the network, of one sample times the samples: what is worth an estimate.
const MAX_ELEMENTS: usize = 1 << 28;
/// The same of the samples that run at once.
const MAX_ELEMENTS_AT_ONCE: usize = 1 << 27;
/// Samples at least: of fewer, the statistics of a batch tell nothing.
const MIN_SAMPLES: usize = 8;
/// Mean and deviation that inputs have: numbers around 1, or pixels from 0 to 255. Those that batch-norms know better are taken.
const USUAL: [[f32; 2]; 2] = [[0.0, 1.0], [115.0, 64.0]];

/// What they are.
const MADE_UP_NOTE: &str = "no data was given: inputs were made up that batch-norms take for those of the training, judged against the \
    float network's answers";

/// `data`, made up for `network` whose inputs are `ports`' of `engine`, changed so. As it is where the network has no batch-norms,
/// or more than one input, or the gradient cannot be computed.
///
/// # Errors
/// `Cancelled`, or that of `between`, which is asked before each step.
pub(super) fn distilled(
    network: &Network,
    engine: &dyn Engine,
    mut data: Dataset,
    between: &mut dyn FnMut() -> Result<(), InferenceError>,
    progress: &Progress,
) -> Result<Dataset, InferenceError> {
    let [port] = engine.inputs() else { return Ok(data) };
    let Some((shape, numbers)) = data.float_array().filter(|_| port.kind == ElementKind::Float) else {
        return Ok(data);
    };
    let (mut shape, mut numbers) = (shape.to_vec(), numbers.to_vec());
    let elements = elements_of_one(network, &port.name, &shape);
    let samples = (MAX_ELEMENTS / elements).clamp(MIN_SAMPLES, MAX_SAMPLES).min(shape[0]);
    let at_once = (MAX_ELEMENTS_AT_ONCE / elements).max(MIN_SAMPLES).min(samples);
    let of_one = numbers.len() / shape[0].max(1);
    // Whole batches only: the graph is made for their size.
    let samples = samples / at_once * at_once;
    shape[0] = at_once;
    numbers.truncate(samples * of_one);
    let Some(descent) = Descent::new(network, &port.name, &shape) else {
        return Ok(data);
    };
    progress.start((STEPS * (samples / at_once)) as u64, "Making inputs up");
    for batch in numbers.chunks_exact_mut(at_once * of_one) {
        if !descent.run(batch, between, progress)? {
            return Ok(data);
        }
    }
    data.set_float_array(samples, numbers, "made-up inputs", MADE_UP_NOTE.to_owned());
    Ok(data)
}

/// Elements of all values of the network for one sample, at least 1.
fn elements_of_one(network: &Network, input: &str, shape: &[usize]) -> usize {
    let mut one = shape.to_vec();
    one[0] = 1;
    let known = (network.model.graph.as_ref()).map(|graph| shapes(graph, &Shapes::from([(input.to_owned(), one)])));
    let computed = network
        .model
        .graph
        .iter()
        .flat_map(|graph| &graph.node)
        .flat_map(|node| &node.output);
    let elements = computed.filter_map(|value| known.as_ref()?.get(value));
    let elements = elements.map(|shape| shape.iter().product::<usize>());
    elements.fold(0_usize, usize::saturating_add).max(1)
}

/// Batches of one shape on their way down.
struct Descent {
    gradient: MomentGradient,
    engine: Rten,
    input: String,
    shape: Vec<usize>,
}

impl Descent {
    fn new(network: &Network, input: &str, shape: &[usize]) -> Option<Self> {
        let gradient = moment_gradient(network, input, shape).ok()??;
        let engine = Rten::load(onnx::encode(&gradient.model).ok()?).ok()?;
        Some(Self {
            gradient,
            engine,
            input: input.to_owned(),
            shape: shape.to_vec(),
        })
    }

    /// Distance and gradient at `batch`; `None` if the engine fails or they are no numbers.
    fn at(&self, batch: &[f32]) -> Option<(f32, Vec<f32>)> {
        let x = Tensor::from_shape(&self.shape, batch.to_vec()).ok()?;
        let wanted = [self.gradient.distance.as_str(), self.gradient.gradient.as_str()];
        let values = self.engine.run_with(&[(&self.input, &x)], &wanted, UNOPTIMIZED).ok()?;
        let [distance, gradient] = values.as_slice() else {
            return None;
        };
        let (distance, gradient) = (*distance.floats()?.first()?, gradient.floats()?.to_vec());
        let sound = distance.is_finite() && gradient.len() == batch.len() && gradient.iter().all(|x| x.is_finite());
        sound.then_some((distance, gradient))
    }

    /// Changes `batch`; says whether it could. It is nearer at the end than at the beginning.
    fn run(
        &self,
        batch: &mut [f32],
        between: &mut dyn FnMut() -> Result<(), InferenceError>,
        progress: &Progress,
    ) -> Result<bool, InferenceError> {
        let mut nearest: Option<(f32, [f32; 2])> = None;
        for [mean, deviation] in USUAL {
            progress.check()?;
            let moved: Vec<f32> = batch.iter().map(|x| mean + deviation * x).collect();
            if let Some((distance, _)) = self.at(&moved)
                && nearest.is_none_or(|(least, _)| distance < least)
            {
                nearest = Some((distance, [mean, deviation]));
            }
        }
        let Some((_, [mean, deviation])) = nearest else {
            return Ok(false);
        };
        let mut x: Vec<f32> = batch.iter().map(|x| mean + deviation * x).collect();
        let mut means = vec![[0.0_f32; 2]; batch.len()];
        for step in 0..STEPS {
            progress.check()?;
            between()?;
            let Some((_, gradient)) = self.at(&x) else {
                return Ok(false);
            };
            let length = deviation * FIRST_STEP * (1.0 - step as f32 / STEPS as f32);
            let seen = DECAY.map(|decay| 1.0 - decay.powi(step as i32 + 1));
            (x.par_iter_mut().zip(&mut means).zip(&gradient)).for_each(|((x, means), gradient)| {
                means[0] = DECAY[0] * means[0] + (1.0 - DECAY[0]) * gradient;
                means[1] = DECAY[1] * means[1] + (1.0 - DECAY[1]) * gradient * gradient;
                let size = (means[1] / seen[1]).sqrt();
                if size > 0.0 {
                    *x -= length * (means[0] / seen[0]) / size;
                }
            });
            progress.advance(1);
        }
        batch.copy_from_slice(&x);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    #[test]
    fn distilled_inputs_are_nearer_to_what_batch_norms_remember() {
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        let made_up = || Dataset::made_up(&network, &engine, 16, 1).unwrap();
        let mut steps = 0;
        let mut count = || {
            steps += 1;
            Ok(())
        };
        let changed = distilled(&network, &engine, made_up(), &mut count, &Progress::default()).unwrap();
        assert_eq!(steps, STEPS);
        let descent = Descent::new(&network, "input", &[16, 1, 28, 28]).unwrap();
        let distance = |data: &Dataset| descent.at(data.float_array().unwrap().1).unwrap().0;
        let (before, after) = (distance(&made_up()), distance(&changed));
        assert!(after < 0.1 * before, "{before} {after}");
    }

    #[test]
    fn pixels_from_0_to_255_are_found_by_what_batch_norms_remember() {
        use crate::onnx::build::float_tensor;
        let mut network = Demo::Fashion.network().unwrap();
        let mut model = network.model.as_ref().clone();
        let graph = model.graph.as_mut().unwrap();
        // The first layer takes pixels as they are in the file, and divides them itself.
        let weight = graph
            .initializer
            .iter_mut()
            .find(|tensor| tensor.name() == "conv1.weight")
            .unwrap();
        let (dims, values) = (weight.dims.clone(), onnx::float_values(weight).unwrap().to_vec());
        let dims: Vec<usize> = dims.iter().map(|size| *size as usize).collect();
        let smaller: Vec<f32> = values.iter().map(|x| x / 90.0).collect();
        *weight = float_tensor("conv1.weight", &dims, &smaller);
        network.model = std::sync::Arc::new(model);
        let engine = Rten::load(onnx::encode(&network.model).unwrap()).unwrap();
        let made_up = Dataset::made_up(&network, &engine, 8, 1).unwrap();
        let data = distilled(&network, &engine, made_up, &mut || Ok(()), &Progress::default()).unwrap();
        let numbers = data.float_array().unwrap().1;
        let squares = numbers.iter().map(|x| f64::from(x * x)).sum::<f64>() / numbers.len() as f64;
        assert!(squares.sqrt() > 40.0, "{squares}");
    }
}
