//! How surprised two networks are by each token of a text.

use super::{Dataset, Outputs};
use rayon::prelude::*;

/// The loss of two networks at each token that they were asked for, in the order of the text.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLosses {
    /// `-ln p(token)` of the float network, nats.
    pub float: Vec<f32>,
    /// The same of the quantized network.
    pub quantized: Vec<f32>,
}

/// The losses on a text; `None` for other data.
pub fn token_losses(float: &Outputs, quantized: &Outputs, data: &Dataset) -> Option<TokenLosses> {
    if !data.is_text() || !float.classification {
        return None;
    }
    let samples = float.samples.min(quantized.samples);
    let of = |outputs: &Outputs| -> Option<Vec<f32>> {
        let loss = |row: usize| {
            let token = data.label(outputs.first + row)?;
            Some(outputs.nats(row, token) as f32)
        };
        (0..samples).into_par_iter().map(loss).collect()
    };
    Some(TokenLosses {
        float: of(float)?,
        quantized: of(quantized)?,
    })
}

impl TokenLosses {
    /// How much more the quantized network is surprised by a token than the float one, nats; negative where it knew better.
    pub fn difference(&self, sample: usize) -> Option<f32> {
        Some(self.quantized.get(sample)? - self.float.get(sample)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    #[test]
    fn the_losses_are_of_the_tokens_that_come_and_add_up_to_the_metrics() {
        let data = Dataset::demo(Demo::Shakespeare);
        let classes = 65;
        let outputs = |sharp: f32| Outputs {
            samples: 40,
            classes,
            logits: (0..40 * classes)
                .map(|i| sharp * ((i * 37 % 101) as f32 / 50.0))
                .collect(),
            classification: true,
            ..Outputs::default()
        };
        let (float, quantized) = (outputs(1.0), outputs(2.0));
        let losses = token_losses(&float, &quantized, &data).unwrap();
        for (outputs, losses) in [(&float, &losses.float), (&quantized, &losses.quantized)] {
            let row = outputs.row(7);
            let total: f32 = row.iter().map(|x| x.exp()).sum();
            let direct = -(row[data.label(7).unwrap()].exp() / total).ln();
            assert!((losses[7] - direct).abs() < 1e-4);
            let mean = losses.iter().map(|loss| f64::from(*loss)).sum::<f64>() / 40.0;
            let metrics = crate::inference::metrics(outputs, &data);
            assert!((mean - metrics.nats_per_token.unwrap()).abs() < 1e-5);
        }
        assert!(losses.difference(40).is_none());
        assert!(token_losses(&float, &quantized, &Dataset::demo(Demo::Fashion)).is_none());
    }
}
