//! What is known of the inputs of all layers, once samples were run: made when the ranges are new, and not in every frame.

use crate::inference::Calibration;
use crate::session::OpenNetwork;
use crate::statistics::ChannelSpread;
use std::sync::Arc;

/// The input of one layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::app) struct InputFacts {
    /// The largest |x|.
    pub(in crate::app) max_abs: f32,
    /// How its channels differ; `None` where they were not told apart.
    pub(in crate::app) spread: Option<ChannelSpread>,
}

/// The inputs by position of the layer.
#[derive(Default)]
pub(in crate::app) struct Inputs {
    of: Option<(Arc<Calibration>, f64)>,
    facts: Arc<Vec<Option<InputFacts>>>,
}

impl Inputs {
    /// The inputs under the present ranges, with outliers beyond `sigma` standard deviations; empty while nothing was run.
    pub(in crate::app) fn update(&mut self, open: &OpenNetwork, sigma: f64) -> &Arc<Vec<Option<InputFacts>>> {
        let Some(calibration) = open.calibration() else {
            *self = Self::default();
            return &self.facts;
        };
        let is_same = |(of, at): &(Arc<Calibration>, f64)| Arc::ptr_eq(of, calibration) && *at == sigma;
        if !self.of.as_ref().is_some_and(is_same) {
            let layers = open.original.network.layers.iter();
            let facts = layers.map(|layer| {
                let seen = calibration.activations.get(&layer.input.as_ref()?.0)?;
                Some(InputFacts {
                    max_abs: seen.max_abs(),
                    spread: seen.channel_spread(sigma),
                })
            });
            self.facts = Arc::new(facts.collect());
            self.of = Some((Arc::clone(calibration), sigma));
        }
        &self.facts
    }
}
