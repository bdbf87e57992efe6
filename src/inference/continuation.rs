//! What a language model writes when it goes on from a text.
//!
//! A network of encoder and decoder answers a text instead: its encoder reads the prompt, and the decoder writes. Of the others, a
//! network with inputs and outputs for keys and values reads each token once ([`TextWriter`] gives such ones to decoders that
//! are known); others read the whole text again for each token.

use super::evaluate::{is_distribution, largest};
use super::{Dataset, Engine, InferenceError};
use crate::data::{ElementKind, Tensor, by_name};
use crate::engine;
use crate::network::with_past;
use crate::onnx::ModelProto;
use crate::progress::Progress;
use std::sync::Arc;

/// Tokens that are read at most for each one that is written, where the network has no past to read on from: the cost grows
/// with the square of the length.
const MAX_READ: usize = 256;
/// Tokens whose keys and values are kept at most; then the later half is read again from its beginning.
const MAX_PAST: usize = 2048;
/// Tokens that are read at once: the answers to all of them are held, each as wide as the vocabulary.
const READ_AT_ONCE: usize = 256;

/// How the next token is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The likeliest.
    Greedy,
    /// Drawn from the network's distribution, by the Gumbel-max trick: the largest of `logit / temperature + noise`, with
    /// noise that depends on seed, step and token alone. Two networks that draw with the same seed so choose the same token
    /// unless their distributions really differ.
    Seeded {
        /// Above 1 bolder, below 1 more careful; greater than 0.
        temperature: f64,
        /// Which noise.
        seed: u64,
    },
}

/// A network that goes on from texts.
pub struct TextWriter {
    engine: Arc<dyn Engine>,
    longest: Option<usize>,
}

impl TextWriter {
    /// `model` in the engine that was chosen, with inputs and outputs for keys and values if it is a decoder that is known;
    /// else as it is, in `loaded` where that is given.
    ///
    /// # Errors
    /// [`InferenceError::Engine`] with the engine's reason.
    pub fn of(model: ModelProto, loaded: Option<Arc<dyn Engine>>) -> Result<Self, InferenceError> {
        let (engine, longest) = match with_past(&model) {
            Ok(decoder) => (engine::load_model(decoder.model)?, decoder.longest),
            Err(reason) => {
                log::info!("no inputs for keys and values are added: {reason}");
                (loaded.map_or_else(|| engine::load_model(model), Ok)?, None)
            }
        };
        Ok(Self { engine, longest })
    }

    /// Whether it reads each token once.
    pub fn keeps_past(&self) -> bool {
        PastPorts::of(&*self.engine).is_some()
    }

    /// As [`continue_text`].
    ///
    /// # Errors
    /// As [`continue_text`].
    pub fn continue_text(
        &self,
        data: &Dataset,
        prompt: &[i32],
        count: usize,
        sampling: Sampling,
        progress: &Progress,
        written: impl FnMut(i32),
    ) -> Result<Vec<i32>, InferenceError> {
        let reader = Reader::of(&*self.engine, data, self.longest)?;
        go_on(reader, prompt, count, sampling, progress, written)
    }
}

/// Goes on from `prompt` by `count` tokens; `written` gets each as it is chosen. `data` is a text for the network: it tells
/// how tokens are fed.
///
/// # Errors
/// [`InferenceError`]: an empty prompt, a network that takes more than tokens or does not answer each token, the engine's
/// own faults, and `Cancelled`.
pub fn continue_text(
    engine: &dyn Engine,
    data: &Dataset,
    prompt: &[i32],
    count: usize,
    sampling: Sampling,
    progress: &Progress,
    written: impl FnMut(i32),
) -> Result<Vec<i32>, InferenceError> {
    go_on(
        Reader::of(engine, data, None)?,
        prompt,
        count,
        sampling,
        progress,
        written,
    )
}

fn go_on(
    mut reader: Reader<'_>,
    prompt: &[i32],
    count: usize,
    sampling: Sampling,
    progress: &Progress,
    mut written: impl FnMut(i32),
) -> Result<Vec<i32>, InferenceError> {
    let fault = |reason: &str| InferenceError::Data(reason.to_owned());
    if prompt.is_empty() {
        return Err(fault("there is nothing to go on from: write a few characters"));
    }
    progress.start(count as u64, "Writing on");
    let mut text = prompt.to_vec();
    for step in 0..count {
        progress.check()?;
        let logits = reader.answer(&text, prompt.len(), progress)?;
        let token = choose(&logits, sampling, step)
            .and_then(|token| i32::try_from(token).ok())
            .ok_or_else(|| fault("the network's answer is no number"))?;
        text.push(token);
        written(token);
        progress.advance(1);
    }
    Ok(text.split_off(prompt.len()))
}

/// Inputs for keys and values of earlier tokens, and the outputs that hold them for the next.
struct PastPorts {
    inputs: Vec<String>,
    outputs: Vec<String>,
    empty: Vec<Tensor>,
}

impl PastPorts {
    /// Those of a network that has an output for each such input.
    fn of(engine: &dyn Engine) -> Option<Self> {
        let mut ports = Self {
            inputs: Vec::new(),
            outputs: Vec::new(),
            empty: Vec::new(),
        };
        for input in engine.inputs() {
            let Some(part) = input.name.strip_prefix("past_key_values.") else {
                continue;
            };
            let names = ["present", "present_key_values"].map(|prefix| format!("{prefix}.{part}"));
            let output = (engine.outputs().iter()).find(|port| names.contains(&port.name))?;
            let shape = input.shape.as_ref().filter(|shape| shape.len() == 4)?;
            // One stream; what else is free is the length of the past.
            let sizes = shape.iter().enumerate();
            let sizes: Vec<usize> = sizes
                .map(|(axis, size)| size.unwrap_or(usize::from(axis == 0)))
                .collect();
            if input.kind != ElementKind::Float || !sizes.contains(&0) {
                return None;
            }
            ports.empty.push(Tensor::from_shape(&sizes, Vec::<f32>::new()).ok()?);
            ports.inputs.push(input.name.clone());
            ports.outputs.push(output.name.clone());
        }
        (!ports.inputs.is_empty()).then_some(ports)
    }
}

/// A network that reads a text, and what it has kept of it.
struct Reader<'a> {
    engine: &'a dyn Engine,
    data: &'a Dataset,
    output: String,
    shape: Shape,
    past: Option<Past>,
}

/// Keys and values of the tokens `start..end` of the text.
struct Past {
    ports: PastPorts,
    longest: usize,
    kept: Vec<Tensor>,
    start: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    fn of(engine: &'a dyn Engine, data: &'a Dataset, longest: Option<usize>) -> Result<Self, InferenceError> {
        let shape = Shape::of(engine, data)?;
        let ports = PastPorts::of(engine).filter(|_| shape.steps.is_none() && shape.batch_first);
        Ok(Self {
            engine,
            data,
            output: super::answering(engine, data)?.name.clone(),
            shape,
            past: ports.map(|ports| Past {
                kept: ports.empty.clone(),
                ports,
                longest: longest.unwrap_or(MAX_PAST).clamp(1, MAX_PAST),
                start: 0,
                end: 0,
            }),
        })
    }

    /// The logits after the last token of `text`, which is the text of the last call and more. Its first `prompt` tokens are what an
    /// encoder reads, if the network has one.
    fn answer(&mut self, text: &[i32], prompt: usize, progress: &Progress) -> Result<Vec<f32>, InferenceError> {
        if self.data.has_source() {
            let (read, answer) = text.split_at(prompt);
            let inputs = sequence(self.data.answer_to(read, answer))?;
            let mut outputs = self.engine.run(&by_name(&inputs), &[self.output.as_str()])?;
            let given = answer.len() + 1;
            return self.shape.row(outputs.pop().as_ref(), given, given - 1, &self.output);
        }
        let Some(past) = &mut self.past else {
            let read = &text[text.len().saturating_sub(self.shape.steps.unwrap_or(MAX_READ))..];
            return self.shape.answer(self.engine, self.data, read, &self.output);
        };
        if text.len() - past.start > past.longest {
            past.start = text.len() - past.longest.div_ceil(2);
            past.end = past.start;
            past.kept.clone_from(&past.ports.empty);
        }
        let mut logits = Vec::new();
        for tokens in text[past.end..].chunks(READ_AT_ONCE) {
            progress.check()?;
            let inputs = self.data.sequence(past.end - past.start, tokens, 1);
            let mut inputs = sequence(inputs)?;
            inputs.retain(|(name, _)| !past.ports.inputs.contains(name));
            let mut given = by_name(&inputs);
            given.extend(past.ports.inputs.iter().map(String::as_str).zip(&past.kept));
            let mut wanted = vec![self.output.as_str()];
            wanted.extend(past.ports.outputs.iter().map(String::as_str));
            let mut outputs = self.engine.run(&given, &wanted)?;
            let kept = outputs.split_off(1);
            logits = self
                .shape
                .row(outputs.pop().as_ref(), tokens.len(), tokens.len() - 1, &self.output)?;
            past.kept = kept;
            past.end += tokens.len();
        }
        Ok(logits)
    }
}

/// The inputs that a text gave.
fn sequence(
    inputs: Option<Result<Vec<(String, Tensor)>, crate::data::DatasetError>>,
) -> Result<Vec<(String, Tensor)>, InferenceError> {
    inputs
        .ok_or_else(|| InferenceError::Data("no text".to_owned()))?
        .map_err(|error| InferenceError::Data(error.to_string()))
}

/// Sizes that the network's input fixes.
struct Shape {
    steps: Option<usize>,
    streams: usize,
    batch_first: bool,
}

impl Shape {
    fn of(engine: &dyn Engine, data: &Dataset) -> Result<Self, InferenceError> {
        let layout = data
            .text_layout()
            .ok_or_else(|| InferenceError::Data(format!("{} is no text, so nothing can be continued", data.name())))?;
        let axis = |axis: usize| -> Option<usize> { *engine.inputs().first()?.shape.as_ref()?.get(axis)? };
        let axes = engine
            .inputs()
            .first()
            .and_then(|port| port.shape.as_ref())
            .map_or(2, Vec::len);
        let (time, batch) = match (axes, layout.batch_first) {
            (1, _) => (0, None),
            (_, true) => (1, Some(0)),
            (_, false) => (0, Some(1)),
        };
        Ok(Self {
            steps: axis(time).filter(|steps| *steps > 0),
            streams: batch.and_then(axis).unwrap_or(1).max(1),
            batch_first: layout.batch_first,
        })
    }

    /// The logits after the last of the tokens `read`. A network of a fixed length gets what is missing at the end, behind
    /// the answer that is taken.
    fn answer(
        &self,
        engine: &dyn Engine,
        data: &Dataset,
        read: &[i32],
        output: &str,
    ) -> Result<Vec<f32>, InferenceError> {
        let mut tokens = read.to_vec();
        tokens.resize(self.steps.unwrap_or(read.len()), 0);
        let inputs = sequence(data.sequence(0, &tokens, self.streams))?;
        let mut outputs = engine.run(&by_name(&inputs), &[output])?;
        self.row(outputs.pop().as_ref(), tokens.len(), read.len() - 1, output)
    }

    /// The row of token `last` of an answer to `tokens` tokens.
    fn row(
        &self,
        answer: Option<&Tensor>,
        tokens: usize,
        last: usize,
        output: &str,
    ) -> Result<Vec<f32>, InferenceError> {
        let Some((answer, logits)) = answer.and_then(|answer| Some((answer, answer.floats()?))) else {
            return Err(InferenceError::Data(format!(
                "the output '{output}' is no float tensor"
            )));
        };
        let classes = answer.shape().last().copied().unwrap_or(0);
        if classes == 0 || answer.len() != classes * tokens * self.streams {
            return Err(InferenceError::Data(format!(
                "the output '{output}' has the shape {:?} for {tokens} tokens: the network does not answer each",
                answer.shape(),
            )));
        }
        let row = if self.batch_first { last } else { last * self.streams };
        Ok(logits[row * classes..][..classes].to_vec())
    }
}

/// The next token.
fn choose(logits: &[f32], sampling: Sampling, step: usize) -> Option<usize> {
    let Sampling::Seeded { temperature, seed } = sampling else {
        return largest(logits);
    };
    let probabilities = is_distribution(logits);
    let noisy = logits.iter().enumerate().map(|(token, logit)| {
        let logit = if probabilities { logit.ln() } else { *logit };
        f64::from(logit) / temperature.max(1e-6) + gumbel(seed, step, token)
    });
    (noisy.enumerate().filter(|(_, score)| !score.is_nan()))
        .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))
        .map(|(token, _)| token)
}

/// Noise of the standard Gumbel distribution, the same for the same arguments (splitmix64 as a hash).
fn gumbel(seed: u64, step: usize, token: usize) -> f64 {
    let mut z = seed;
    for part in [step as u64, token as u64] {
        z = z.wrapping_add(part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
    }
    // Within 0..1, neither end.
    let uniform = ((z >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
    -(-uniform.ln()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Rten;
    use crate::format::demo::Demo;
    use crate::inference::run_outputs;

    fn demo() -> (Rten, Dataset) {
        let engine = Rten::load(Demo::Shakespeare.model_bytes().to_vec()).unwrap();
        (engine, Dataset::demo(Demo::Shakespeare))
    }

    fn written(sampling: Sampling, prompt: &str, count: usize) -> String {
        let (engine, data) = demo();
        let prompt = data.tokens_of(prompt).unwrap();
        let tokens = continue_text(&engine, &data, &prompt, count, sampling, &Progress::default(), |_| ()).unwrap();
        tokens.iter().filter_map(|token| data.token_text(*token)).collect()
    }

    #[test]
    fn the_greedy_continuation_takes_the_first_answer_to_the_text_so_far() {
        let (engine, data) = demo();
        // The text of the data itself: what the network answers there is known without this module.
        let outputs = run_outputs(&engine, &data, 30, &Progress::default()).unwrap();
        let prompt = data.tokens_of(&data.context(29, 30).unwrap()).unwrap();
        assert_eq!(prompt.len(), 30);
        let mut seen = Vec::new();
        let tokens = continue_text(
            &engine,
            &data,
            &prompt,
            3,
            Sampling::Greedy,
            &Progress::default(),
            |token| {
                seen.push(token);
            },
        );
        assert_eq!(tokens.unwrap(), seen);
        assert_eq!(seen[0] as usize, largest(outputs.row(29)).unwrap());
    }

    #[test]
    fn the_same_seed_writes_the_same_and_another_seed_something_else() {
        let draw = |seed| {
            let sampling = Sampling::Seeded { temperature: 1.0, seed };
            written(sampling, "ROMEO:\n", 40)
        };
        let first = draw(1);
        assert_eq!(first, draw(1));
        assert_ne!(first, draw(2));
        assert_eq!(first.chars().count(), 40);
        // Without heat the noise says nothing.
        let cold = Sampling::Seeded {
            temperature: 1e-6,
            seed: 3,
        };
        assert_eq!(written(cold, "ROMEO:\n", 12), written(Sampling::Greedy, "ROMEO:\n", 12));
    }

    #[test]
    fn tokens_are_drawn_as_often_as_their_probabilities_say() {
        let probabilities = [0.5_f32, 0.3, 0.2];
        let logits = probabilities.map(|p| p.ln() + 3.0);
        for row in [&probabilities[..], &logits[..]] {
            let mut counts = [0_u32; 3];
            for step in 0..20_000 {
                let sampling = Sampling::Seeded {
                    temperature: 1.0,
                    seed: 9,
                };
                counts[choose(row, sampling, step).unwrap()] += 1;
            }
            for (count, p) in counts.iter().zip(probabilities) {
                let share = f64::from(*count) / 20_000.0;
                // Four standard errors.
                assert!((share - f64::from(p)).abs() < 0.0142, "{counts:?}");
            }
        }
    }

    #[test]
    fn an_empty_prompt_and_other_data_are_refused_and_a_cancelled_job_ends() {
        let (engine, data) = demo();
        let run = |prompt: &[i32], data: &Dataset, progress: &Progress| {
            continue_text(&engine, data, prompt, 5, Sampling::Greedy, progress, |_| ())
        };
        let progress = Progress::default();
        assert!(
            run(&[], &data, &progress)
                .unwrap_err()
                .to_string()
                .contains("nothing to go on from")
        );
        let fashion = Dataset::demo(Demo::Fashion);
        assert!(
            run(&[1], &fashion, &progress)
                .unwrap_err()
                .to_string()
                .contains("is no text")
        );
        progress.cancel();
        assert!(matches!(run(&[1], &data, &progress), Err(InferenceError::Cancelled(_))));
    }
}
