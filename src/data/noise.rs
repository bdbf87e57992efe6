//! Inputs without data: seeded noise in the shapes that a network declares. It has no labels; what a network answers on it
//! can be compared with what another answers.

use super::arrays::{Array, Elements, InputArray};
use super::{Dataset, DatasetError, Samples, fault};
use crate::data::Port;
use crate::network::Network;
use std::f64::consts::TAU;

/// Most numbers of one input: 1 GiB of floats.
const MAX_NUMBERS: usize = 1 << 28;
/// Tokens that every network with integers for input should know.
const FEW_TOKENS: u64 = 2;

impl Dataset {
    /// `samples` samples of noise for `ports`, the inputs of `network`: numbers of a standard normal distribution (what
    /// preprocessed pictures are by and large), token ids evenly over those that its embedding has. The height and width of a
    /// picture are `side` where they are free, every other free axis that no sample lies on is `steps` long. The same `seed`
    /// gives the same noise.
    ///
    /// # Errors
    /// [`DatasetError`] when an input would be too large.
    pub(crate) fn noise_of_size(
        network: &Network,
        ports: &[Port],
        samples: usize,
        (side, steps): (usize, usize),
        seed: u64,
    ) -> Result<Self, DatasetError> {
        made(network, ports, samples, (side, steps), &mut Random(seed))
    }
}

fn made(
    network: &Network,
    ports: &[Port],
    samples: usize,
    free: (usize, usize),
    random: &mut Random,
) -> Result<Dataset, DatasetError> {
    let name = "noise";
    let batch_name = ports
        .first()
        .and_then(|port| port.axis_names.first().cloned().flatten());
    let arrays = ports.iter().enumerate().map(|(at, port)| {
        let named = |axis: &Option<String>| axis.is_some() && *axis == batch_name;
        let axis = match at {
            0 => port.shape.as_ref().is_none_or(|shape| !shape.is_empty()).then_some(0),
            _ => port.axis_names.iter().position(named),
        };
        let shape = shape(port, free, samples, axis);
        let numbers = (shape
            .iter()
            .try_fold(1_usize, |product, size| product.checked_mul(*size)))
        .filter(|numbers| *numbers <= MAX_NUMBERS)
        .ok_or_else(|| fault(name, format!("{samples} samples of {} are too many", port.describe())))?;
        let elements = if port.integer {
            let tokens = tokens(network, &port.name);
            Elements::Integer((0..numbers).map(|_| random.below(tokens)).collect())
        } else {
            Elements::Float((0..numbers).map(|_| random.normal()).collect())
        };
        InputArray::new(&port.name, Array { shape, elements }, port.integer, axis, name)
    });
    Ok(Dataset {
        name: name.to_owned(),
        arrays: arrays.collect::<Result<_, _>>()?,
        samples: Samples::Arrays(samples),
        labels: None,
        classes: Vec::new(),
        notes: vec!["no data was given: seeded noise, judged against the float network's answers".to_owned()],
    })
}

/// The port's shape with `samples` on `axis`, a picture's free height and width `side`, other free axes `steps`.
fn shape(port: &Port, (side, steps): (usize, usize), samples: usize, axis: Option<usize>) -> Vec<usize> {
    let declared = port.shape.clone().unwrap_or_else(|| vec![None]);
    let picture = declared.len() == 4 && !port.integer;
    let channels_last = picture && !matches!(declared[1], Some(1 | 3)) && matches!(declared[3], Some(1 | 3));
    let sides = if channels_last { 1..3 } else { 2..4 };
    (declared.iter().enumerate())
        .map(|(at, size)| match size {
            _ if Some(at) == axis => samples,
            Some(size) => *size,
            None if picture && sides.contains(&at) => side,
            None => steps,
        })
        .collect()
}

/// Number of rows of the table that the input `port` picks from, as far as the graph shows it.
fn tokens(network: &Network, port: &str) -> u64 {
    let rows = network.model.graph.as_ref().and_then(|graph| {
        let cast =
            |node: &&crate::onnx::NodeProto| node.op_type() == "Cast" && node.input.first().is_some_and(|i| i == port);
        let alias = graph.node.iter().find(cast).and_then(|node| node.output.first());
        let picks = |node: &&crate::onnx::NodeProto| {
            let index = node.input.get(1);
            node.op_type() == "Gather" && index.is_some_and(|index| index == port || Some(index) == alias)
        };
        let gather = graph.node.iter().find(picks)?;
        let table = graph
            .initializer
            .iter()
            .find(|table| gather.input.first().is_some_and(|name| name == table.name()))?;
        // Along the first axis, as an embedding is.
        table.dims.first().and_then(|rows| u64::try_from(*rows).ok())
    });
    rows.filter(|rows| *rows > 0).unwrap_or(FEW_TOKENS)
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between 0 and 1, neither.
    fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal, by Box and Muller's method.
    fn normal(&mut self) -> f32 {
        ((-2.0 * self.uniform().ln()).sqrt() * (TAU * self.uniform()).cos()) as f32
    }

    fn below(&mut self, end: u64) -> i64 {
        i64::try_from(self.next() % end.max(1)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::demo::Demo;

    #[test]
    fn token_ids_reach_over_the_whole_embedding_and_numbers_are_normal() {
        let network = Demo::Shakespeare.network().unwrap();
        assert_eq!(tokens(&network, "tokens"), 65);
        assert_eq!(tokens(&network, "absent"), FEW_TOKENS);
        let mut random = Random(0);
        let numbers: Vec<f64> = (0..20_000).map(|_| f64::from(random.normal())).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
