//! What is known of a network's values before it is quantized.

use super::data_free::KnownInput;
use super::rounding::{InputMoments, NoMoments};
use super::sequential::CalibrationSamples;
use super::weight::NO_INPUTS;
use crate::statistics::ActivationStatistics;
use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Statistics of layer inputs, by the value's name; where rounding asks for them, the second moments of the inputs of layers too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Activations {
    of_values: HashMap<String, ActivationStatistics>,
    moments: HashMap<String, Result<Arc<InputMoments>, NoMoments>>,
    inputs: Vec<KnownInput>,
    noise_sizes: Vec<(String, Vec<usize>)>,
    samples: Samples,
}

/// The samples that the rest was learnt from, if they are at hand.
#[derive(Clone, Default)]
struct Samples(Option<Arc<dyn CalibrationSamples>>);

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "samples" } else { "no samples" })
    }
}

/// The same samples, not samples of the same numbers.
impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }
}

impl Activations {
    /// Nothing known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the inputs of a layer have in common, by the layer's name; the reason where that is not known.
    pub fn moments_of(&self, layer: &str) -> Result<&InputMoments, NoMoments> {
        match self.moments.get(layer) {
            Some(Ok(moments)) => Ok(moments),
            Some(Err(why)) => Err(*why),
            None => NO_INPUTS,
        }
    }

    /// What is stated of the network's inputs, where ranges were learnt without data.
    pub fn inputs(&self) -> &[KnownInput] {
        &self.inputs
    }

    /// Sets what is stated of the network's inputs.
    pub fn set_inputs(&mut self, inputs: Vec<KnownInput>) {
        self.inputs = inputs;
    }

    /// Name and shape of each input of the network that leaves sizes free, as noise was run through it.
    pub fn noise_sizes(&self) -> &[(String, Vec<usize>)] {
        &self.noise_sizes
    }

    /// Sets the shapes of noise.
    pub fn set_noise_sizes(&mut self, sizes: Vec<(String, Vec<usize>)>) {
        self.noise_sizes = sizes;
    }

    /// The samples to measure the inputs behind quantized layers on, if there are any.
    pub fn samples(&self) -> Option<&dyn CalibrationSamples> {
        self.samples.0.as_deref()
    }

    /// Sets the samples that ranges and moments were measured on.
    pub fn set_samples(&mut self, samples: Arc<dyn CalibrationSamples>) {
        self.samples = Samples(Some(samples));
    }

    /// Whether second moments of any layer are known.
    pub fn has_moments(&self) -> bool {
        !self.moments.is_empty()
    }

    /// Sets the second moments of the inputs of a layer, or why they are not known.
    pub fn set_moments(&mut self, layer: &str, moments: Result<Arc<InputMoments>, NoMoments>) {
        self.moments.insert(layer.to_owned(), moments);
    }
}

/// By the value's name.
impl Deref for Activations {
    type Target = HashMap<String, ActivationStatistics>;
    fn deref(&self) -> &Self::Target {
        &self.of_values
    }
}

impl DerefMut for Activations {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.of_values
    }
}

impl FromIterator<(String, ActivationStatistics)> for Activations {
    fn from_iter<I: IntoIterator<Item = (String, ActivationStatistics)>>(values: I) -> Self {
        Self {
            of_values: values.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl<const N: usize> From<[(String, ActivationStatistics); N]> for Activations {
    fn from(values: [(String, ActivationStatistics); N]) -> Self {
        values.into_iter().collect()
    }
}
