//! A text that a language model writes itself: what layers are ranked on without data. Tokens drawn evenly are no text, and what
//! flows through the network on them is nothing like what flows on one.

use super::layer_order::ORDER_TOKENS;
use super::{Dataset, Engine, InferenceError, run_outputs};
use crate::data::{DECODER_TOKENS, Random};
use crate::network::Network;
use crate::progress::Progress;
use std::ops::Range;

/// Tokens of a stream, each of which begins with any token; and so many rounds make all of it follow from its beginning. The longer,
/// the less its beginning weighs, of which a network remembers nothing.
const STREAMS: Range<usize> = 24..256;
/// Shorter streams, for networks with room for fewer positions.
const SHORTER: [usize; 3] = [16, 8, 4];
/// Parameters times tokens of a stream: a large network writes short ones, or it would write for minutes.
const MAX_WORK: u64 = 1 << 28;

/// A text of [`ORDER_TOKENS`] tokens, the same for the same `seed`; `None` for a network that does not guess the next token.
///
/// It begins with tokens drawn evenly, in streams of one length out of [`STREAMS`]. In each round the network runs once, and the
/// token behind each position is drawn from its answer there: one run a round instead of one a token. A network of encoder and decoder
/// reads windows of tokens drawn evenly.
///
/// # Errors
/// [`InferenceError`] of the engine, that of `between`, which is asked before each run, or `Cancelled`.
pub(super) fn own_text(
    network: &Network,
    engine: &dyn Engine,
    seed: u64,
    between: &mut dyn FnMut() -> Result<(), InferenceError>,
    progress: &Progress,
) -> Result<Option<Dataset>, InferenceError> {
    let vocabulary = |port: &&crate::data::Port| port.is_integer().then(|| Dataset::vocabulary_of(network, &port.name));
    let ports = engine.inputs();
    let Some(vocabulary) = ports.iter().find_map(|port| vocabulary(&port).flatten()) else {
        return Ok(None);
    };
    let mut random = Random(seed);
    let Ok(most) = i32::try_from(vocabulary) else {
        return Ok(None);
    };
    let even = (0..=ORDER_TOKENS).map(|_| i32::try_from(random.below(vocabulary)).unwrap_or(0));
    let mut tokens: Vec<i32> = even.collect();
    // The whole vocabulary is asked for, whatever was drawn.
    tokens[0] = most - 1;
    // The same for a position in every round: what follows from tokens that stay stays too.
    let shares: Vec<f64> = (0..ORDER_TOKENS).map(|_| random.uniform()).collect();
    let text = |tokens: &[i32], stream: usize| {
        Dataset::of_tokens("text of the network's own", tokens.to_vec(), stream, network, ports).ok()
    };
    let affordable = usize::try_from(MAX_WORK / network.parameters().max(1)).unwrap_or(STREAMS.end);
    // The longest for which the network has room.
    let runs = |stream: &usize| {
        text(&tokens, *stream).is_some_and(|data| run_outputs(engine, &data, *stream, &Progress::default()).is_ok())
    };
    let lengths = [affordable.clamp(STREAMS.start, STREAMS.end), STREAMS.start];
    let Some(stream) = lengths.into_iter().chain(SHORTER).find(runs) else {
        return Ok(None);
    };
    // What a decoder beside an encoder writes does not continue what the encoder reads: the tokens stay as they were drawn.
    let rounds = if ports.iter().any(|port| port.name == DECODER_TOKENS) {
        0
    } else {
        stream
    };
    for _ in 0..rounds {
        progress.check()?;
        between()?;
        let Some(data) = text(&tokens, stream) else {
            return Ok(None);
        };
        let answers = run_outputs(engine, &data, data.len(), &Progress::default())?;
        if answers.classes as u64 != vocabulary || answers.logits.len() < answers.samples * answers.classes {
            return Ok(None);
        }
        let answers = answers.logits.chunks_exact(answers.classes);
        for (at, (logits, share)) in answers.zip(&shares).enumerate() {
            // A stream keeps its beginning, or none would ever settle.
            if (at + 1) % stream != 0 {
                tokens[at + 1] = draw(logits, *share);
            }
        }
    }
    Ok(text(&tokens, stream))
}

/// The token at `share` of the probability that `logits` give.
fn draw(logits: &[f32], share: f64) -> i32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: &f32| f64::from(logit - most).exp();
    let all: f64 = logits.iter().map(weight).filter(|weight| weight.is_finite()).sum();
    let mut left = share * all;
    for (token, logit) in logits.iter().enumerate() {
        let weight = weight(logit);
        if weight.is_finite() {
            left -= weight;
        }
        if left <= 0.0 {
            return i32::try_from(token).unwrap_or(0);
        }
    }
    i32::try_from(logits.len().saturating_sub(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;

    #[test]
    fn a_token_is_drawn_as_often_as_it_is_likely() {
        let logits = [0.0, f32::NEG_INFINITY, 3.0_f32.ln(), f32::NAN];
        let drawn: Vec<i32> = [0.0, 0.2, 0.26, 0.9, 1.0].map(|share| draw(&logits, share)).to_vec();
        assert_eq!(drawn, [0, 0, 2, 2, 2]);
    }

    #[test]
    fn the_text_of_a_network_surprises_it_less_than_tokens_drawn_evenly() {
        let network = Demo::Shakespeare.network().unwrap();
        let engine = Rten::load(Demo::Shakespeare.model_bytes().to_vec()).unwrap();
        let own = own_text(&network, &engine, 1, &mut || Ok(()), &Progress::default())
            .unwrap()
            .unwrap();
        assert!(own.is_text() && own.len() >= ORDER_TOKENS / 2);
        let even = (0..=ORDER_TOKENS as i32).map(|at| at * 31 % 65).collect();
        let even = Dataset::of_tokens("even", even, STREAMS.end, &network, engine.inputs()).unwrap();
        let loss = |data: &Dataset| {
            let answers = run_outputs(&engine, data, data.len(), &Progress::default()).unwrap();
            let rows = answers.logits.chunks_exact(answers.classes).enumerate();
            let nats = rows.map(|(at, row)| {
                let most = row.iter().copied().fold(f32::MIN, f32::max);
                let all: f64 = row.iter().map(|logit| f64::from(logit - most).exp()).sum();
                all.ln() - f64::from(row[data.label(at).unwrap()] - most)
            });
            nats.sum::<f64>() / answers.samples as f64
        };
        let (own, even) = (loss(&own), loss(&even));
        assert!(own < 2.5 && even > 2.0 * own, "{own} {even}");
    }

    /// 11 tokens, a table of 20 positions: longer texts do not run.
    fn short_network() -> Network {
        use crate::onnx::GraphProto;
        use crate::onnx::build::{Axis, float_tensor, i64_tensor, model_of, node, value_info};
        use crate::onnx::schema::data_type;
        let table = |name: &str, rows: usize| {
            let values: Vec<f32> = (0..rows * 11).map(|at| (at * 7 % 13) as f32).collect();
            float_tensor(name, &[rows, 11], &values)
        };
        let axes = [Axis::Free("N"), Axis::Free("L")];
        let graph = GraphProto {
            node: vec![
                node("Gather", "table", ["words", "x"], ["e"], vec![]),
                node("Shape", "shape", ["x"], ["sizes"], vec![]),
                node("Gather", "size", ["sizes", "one"], ["length"], vec![]),
                node("Slice", "slice", ["positions", "zero", "length", "zero"], ["p"], vec![]),
                node("Add", "add", ["e", "p"], ["h"], vec![]),
                node("MatMul", "product", ["h", "weight"], ["y"], vec![]),
            ],
            initializer: vec![
                table("words", 11),
                table("positions", 20),
                table("weight", 11),
                i64_tensor("zero", &[1], &[0]),
                i64_tensor("one", &[1], &[1]),
            ],
            input: vec![value_info("x", data_type::INT64, &axes)],
            output: vec![value_info(
                "y",
                data_type::FLOAT,
                &[Axis::Free("N"), Axis::Free("L"), Axis::Size(11)],
            )],
            ..GraphProto::default()
        };
        Network::new("short", None, crate::network::Format::Onnx, model_of(17, graph)).unwrap()
    }

    #[test]
    fn a_network_with_room_for_few_positions_writes_short_streams() {
        let network = short_network();
        let bytes = crate::onnx::encode(&network.runnable_model()).unwrap();
        let engine = Rten::load(bytes).unwrap();
        let longer = Dataset::of_tokens("24", vec![1; 97], STREAMS.start, &network, engine.inputs()).unwrap();
        assert!(run_outputs(&engine, &longer, longer.len(), &Progress::default()).is_err());
        let own = own_text(&network, &engine, 1, &mut || Ok(()), &Progress::default())
            .unwrap()
            .unwrap();
        let answers = run_outputs(&engine, &own, own.len(), &Progress::default()).unwrap();
        assert_eq!(answers.classes, 11);
        assert!(answers.samples > ORDER_TOKENS / 2, "{}", answers.samples);
    }

    #[test]
    fn a_network_of_pictures_writes_none() {
        let network = Demo::Fashion.network().unwrap();
        let engine = Rten::load(Demo::Fashion.model_bytes().to_vec()).unwrap();
        assert!(
            own_text(&network, &engine, 1, &mut || Ok(()), &Progress::default())
                .unwrap()
                .is_none()
        );
    }
}
