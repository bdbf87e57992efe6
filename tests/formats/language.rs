//! A language model as a hub keeps it, on a text: windows, word pieces, and what an exported network takes besides.

use crate::common::judged::{PAIRS, hub, hub_with, pairs_table};
use crate::common::state_dict::{Fixture, plant};
use splitscope::data::{Port, Tensor};
use splitscope::engine::{EngineError, RunOptions, Threads};
use splitscope::format;
use splitscope::inference::{
    DataOptions, Dataset, Engine, MassiveLimits, Pipeline, Rten, Sampling, TextWriter, calibrate, continue_text,
    made_up_data, massive, metrics, run_outputs,
};
use splitscope::jobs::Waker;
use splitscope::network::{Network, NoPast, reads_on, with_past};
use splitscope::onnx::{ModelProto, encode};
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe};
use splitscope::session::{Action, ExportKind, Saved, Session};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn engine(network: &Network) -> Rten {
    Rten::load(encode(&network.runnable_model()).unwrap()).unwrap()
}

fn text(folder: &tempfile::TempDir, network: &Network, engine: &dyn Engine, window: Option<usize>) -> Dataset {
    let options = DataOptions {
        window,
        ..DataOptions::default()
    };
    let path = folder.path().join("text.txt");
    Dataset::open(path.to_str().unwrap(), &options.for_network(network), engine.inputs()).unwrap()
}

/// The tokens of the text, made by hand: `kilo` is not in the vocabulary.
fn tokens() -> Vec<i32> {
    let words = pieces("bad cab feed bead deaf face cafe egg leg hill film");
    [words, vec![0]].concat()
}

/// The tokens of words of letters a to m.
fn pieces(words: &str) -> Vec<i32> {
    let letters = words.split(' ').flat_map(|word| {
        word.bytes()
            .enumerate()
            .map(|(at, letter)| 3 + 2 * i32::from(letter - b'a') + i32::from(at > 0))
    });
    letters.collect()
}

#[test]
fn perplexity_is_that_of_windows_that_are_read_alone() {
    let (folder, network) = hub("llama");
    let engine = engine(&network);
    let window = 7;
    let data = text(&folder, &network, &engine, Some(window));
    let tokens = tokens();
    let windows = (tokens.len() - 1) / window;
    assert_eq!(data.len(), windows * window);
    assert!(data.notes()[0].starts_with("1 of "), "{:?}", data.notes());
    let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
    // The same by hand: each window through the engine by itself, every token of it a question.
    let mut nats = Vec::new();
    for start in (0..windows).map(|number| number * window) {
        let read = Tensor::from_shape([1, window], tokens[start..start + window].to_vec()).unwrap();
        let logits = engine.run(&[("input_ids", &read)], &["logits"]).unwrap().remove(0);
        assert_eq!(logits.shape(), [1, window, 41]);
        nats.extend(losses(&logits, &tokens[start + 1..]));
    }
    let expected = (nats.iter().sum::<f64>() / nats.len() as f64).exp();
    let found = metrics(&outputs, &data).perplexity.unwrap();
    assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    // What a token has read ends with itself, and begins with its window.
    assert_eq!(data.context(2, 10).as_deref(), Some("bad"));
    assert_eq!(data.context(9, 10).as_deref(), Some("##eed"));
}

/// The loss at each step of logits of 41 tokens, in nats.
fn losses(logits: &Tensor, next: &[i32]) -> Vec<f64> {
    let rows = logits.floats().unwrap().chunks(41).zip(next);
    let loss = |(row, next): (&[f32], &i32)| {
        let total: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
        total.ln() - f64::from(row[*next as usize])
    };
    rows.map(loss).collect()
}

#[test]
fn a_decoder_beside_an_encoder_is_asked_for_the_second_half_of_each_window() {
    let (folder, _) = hub("t5");
    let start = 5;
    let config = folder.path().join("config.json");
    let mut told: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
    told["decoder_start_token_id"] = start.into();
    std::fs::write(&config, told.to_string()).unwrap();
    let network = format::open(folder.path()).unwrap();
    let engine = engine(&network);
    let (window, read) = (7, 3);
    let asked = window - read;
    let data = text(&folder, &network, &engine, Some(window));
    let tokens = tokens();
    let windows = tokens.len() / window;
    assert_eq!((data.len(), data.is_text()), (windows * asked, true));
    let note = "of each window of 7 tokens the encoder reads the first 3; perplexity is that of the other 4";
    assert!(
        data.notes().iter().any(|found| found.starts_with(note)),
        "{:?}",
        data.notes()
    );
    let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
    let mut nats = Vec::new();
    for window in tokens.chunks_exact(window) {
        let (source, target) = window.split_at(read);
        let row = |tokens: &[i32]| Tensor::from_shape([1, tokens.len()], tokens.to_vec()).unwrap();
        let (source, mask) = (row(source), row(&[1; 3]));
        let given = row(&[&[start], &target[..asked - 1]].concat());
        let inputs = [
            ("input_ids", &source),
            ("attention_mask", &mask),
            ("decoder_input_ids", &given),
        ];
        let logits = engine.run(&inputs, &["logits"]).unwrap().remove(0);
        assert_eq!(logits.shape(), [1, asked, 41]);
        nats.extend(losses(&logits, target));
    }
    let expected = (nats.iter().sum::<f64>() / nats.len() as f64).exp();
    let found = metrics(&outputs, &data).perplexity.unwrap();
    println!("{found} {expected}");
    assert!((found / expected - 1.0).abs() < 1e-5, "{found} {expected}");
    // The second of the second window: what the encoder has read and the first of the second half stand before it.
    assert_eq!(data.label(asked + 1), Some(tokens[window + read + 1] as usize));
    assert_eq!(data.label(data.len()), None);
    // A prompt is what the encoder reads, between its own tokens; what is written the decoder answers, beginning as above.
    let prompt = data.tokens_of("bad egg").unwrap();
    assert_eq!(prompt, [vec![1], pieces("bad egg"), vec![2]].concat());
    let progress = Progress::default();
    let written = continue_text(&engine, &data, &prompt, 3, Sampling::Greedy, &progress, |_| ()).unwrap();
    let row = |tokens: &[i32]| Tensor::from_shape([1, tokens.len()], tokens.to_vec()).unwrap();
    let (source, mask) = (row(&prompt), row(&vec![1; prompt.len()]));
    let given = row(&[&[start], &written[..2]].concat());
    let inputs = [
        ("input_ids", &source),
        ("attention_mask", &mask),
        ("decoder_input_ids", &given),
    ];
    let logits = engine.run(&inputs, &["logits"]).unwrap().remove(0);
    for (row, token) in logits.floats().unwrap().chunks(41).zip(&written) {
        let likeliest = (0..41).max_by(|a, b| row[*a].total_cmp(&row[*b])).unwrap();
        assert_eq!(*token as usize, likeliest);
    }
    // Without data layers are ranked on windows too.
    let made_up = made_up_data(&network, &engine, &mut || Ok(()), &Progress::default()).unwrap();
    assert!(
        made_up.is_text() && made_up.preprocessing().contains("128 read by the encoder"),
        "{}",
        made_up.preprocessing()
    );
    // Of a part of a window the decoder is asked for no more than is wanted.
    let part = data.batch(asked..asked + 2).unwrap();
    let of = |name: &str| part.iter().find(|(input, _)| input == name).unwrap().1.clone();
    let second = &tokens[window..2 * window];
    assert_eq!(
        of("input_ids"),
        Tensor::from_shape([1, read], second[..read].to_vec()).unwrap()
    );
    assert_eq!(
        of("decoder_input_ids"),
        Tensor::from_shape([1, 2], vec![start, second[read]]).unwrap()
    );
}

#[test]
fn a_transformer_reads_windows_unless_told_otherwise_and_goes_on_from_a_text() {
    let (folder, network) = hub("gpt2");
    let engine = engine(&network);
    let data = text(&folder, &network, &engine, None);
    // Shorter than the usual window: one window.
    assert!(data.preprocessing().contains("1 window(s)"), "{}", data.preprocessing());
    let prompt = data.tokens_of("bad egg").unwrap();
    assert_eq!(data.text_of(&prompt), "bad egg");
    let written = continue_text(
        &engine,
        &data,
        &prompt,
        3,
        Sampling::Greedy,
        &Progress::default(),
        |_| (),
    )
    .unwrap();
    let read = Tensor::from_shape([1, prompt.len()], prompt.clone()).unwrap();
    let logits = engine.run(&[("input_ids", &read)], &["logits"]).unwrap().remove(0);
    let logits = logits.floats().unwrap();
    let last = &logits[(prompt.len() - 1) * 41..];
    let likeliest = (0..41).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
    assert_eq!(written[0] as usize, likeliest);
}

#[test]
fn an_encoder_reads_windows_between_its_own_tokens_and_has_no_perplexity() {
    let (folder, network) = hub("bert_masked");
    let engine = engine(&network);
    let data = text(&folder, &network, &engine, Some(8));
    let inner = tokens();
    assert_eq!(data.len(), inner.len() / 6);
    assert!(
        data.notes().iter().any(|note| note.contains("guesses no next word")),
        "{:?}",
        data.notes()
    );
    let batch = data.batch(1..2).unwrap();
    let of = |name: &str| {
        let (_, value) = batch.iter().find(|(input, _)| input == name).unwrap();
        value.clone()
    };
    let row = |numbers: Vec<i32>| Tensor::from_shape([1, 8], numbers).unwrap();
    assert_eq!(of("input_ids"), row([&[1], &inner[6..12], &[2]].concat()));
    assert_eq!(
        (of("attention_mask"), of("token_type_ids")),
        (row(vec![1; 8]), row(vec![0; 8]))
    );
    let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
    assert_eq!(metrics(&outputs, &data).perplexity, None);
}

/// An encoder that was trained to guess hidden words is judged by that: each token hidden by itself, the others on both sides.
#[test]
fn pseudo_perplexity_is_that_of_each_token_hidden_by_itself() {
    let (folder, network) = hub("bert_masked");
    let (mask, vocabulary) = (29, 30);
    let path = folder.path().join("tokenizer.json");
    let tokenizer = std::fs::read_to_string(&path).unwrap();
    let with_mask = tokenizer.replace(r#""[SEP]":2"#, r#""[SEP]":2,"[MASK]":29"#);
    let changed = with_mask.matches("[MASK]").count();
    std::fs::write(&path, with_mask).unwrap();
    assert!(changed >= 1, "{tokenizer}");
    let engine = engine(&network);
    let data = text(&folder, &network, &engine, Some(8));
    let inner = tokens();
    let windows = inner.len() / 6;
    assert_eq!((data.len(), data.is_text()), (windows * 6, true));
    assert!(
        data.notes().iter().any(|note| note.contains("pseudo-perplexity")),
        "{:?}",
        data.notes()
    );
    let outputs = run_outputs(&engine, &data, 14, &Progress::default()).unwrap();
    let mut nats = Vec::new();
    for sample in 0..14 {
        let window = sample / 6;
        let mut read = [&[1], &inner[window * 6..][..6], &[2]].concat();
        let hidden = std::mem::replace(&mut read[1 + sample % 6], mask);
        let row = |numbers: Vec<i32>| Tensor::from_shape([1, 8], numbers).unwrap();
        let (read, ones, zeros) = (row(read), row(vec![1; 8]), row(vec![0; 8]));
        let inputs = [
            ("input_ids", &read),
            ("attention_mask", &ones),
            ("token_type_ids", &zeros),
        ];
        let logits = engine.run(&inputs, &["logits"]).unwrap().remove(0);
        let row = &logits.floats().unwrap()[(1 + sample % 6) * vocabulary..][..vocabulary];
        let total: f64 = row.iter().map(|logit| f64::from(*logit).exp()).sum();
        nats.push(total.ln() - f64::from(row[hidden as usize]));
        assert_eq!(data.label(sample), Some(hidden as usize));
    }
    let expected = (nats.iter().sum::<f64>() / 14.0).exp();
    let found = metrics(&outputs, &data);
    let perplexity = found.perplexity.unwrap();
    assert!((perplexity / expected - 1.0).abs() < 1e-5, "{perplexity} {expected}");
    // Fourteen tokens are no ten blocks of fifty.
    assert_eq!((found.perplexity_interval, found.top1), (None, None));
}

/// Pairs of sentences as SICK has them: sentences of different lengths, run at once, answer as they do alone.
#[test]
fn sentence_encoders_are_judged_by_how_alike_they_find_pairs() {
    let (folder, network) = hub("bert_model");
    let engine = engine(&network);
    let pairs = PAIRS;
    let table = pairs_table();
    let path = folder.path().join("sick.tsv");
    let open = |table: &str| {
        std::fs::write(&path, table).unwrap();
        let options = DataOptions::default().for_network(&network);
        Dataset::open(path.to_str().unwrap(), &options, engine.inputs())
    };
    let data = open(&table).unwrap();
    assert_eq!((data.len(), data.is_text()), (12, false));
    let outputs = run_outputs(&engine, &data, usize::MAX, &Progress::default()).unwrap();
    let alone = |sentence: &str| -> Vec<f64> {
        let read = [&[1], pieces(sentence).as_slice(), &[2]].concat();
        let length = read.len();
        let row = |numbers: Vec<i32>| Tensor::from_shape([1, length], numbers).unwrap();
        let (read, ones, zeros) = (row(read), row(vec![1; length]), row(vec![0; length]));
        let inputs = [
            ("input_ids", &read),
            ("attention_mask", &ones),
            ("token_type_ids", &zeros),
        ];
        let states = engine.run(&inputs, &["last_hidden_state"]).unwrap().remove(0);
        let states = states.floats().unwrap();
        let mean = |at: usize| states.iter().skip(at).step_by(32).map(|x| f64::from(*x)).sum::<f64>() / length as f64;
        (0..32).map(mean).collect()
    };
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosines: Vec<f64> = (pairs.iter())
        .map(|(a, b, _)| (alone(a), alone(b)))
        .map(|(a, b)| product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt())
        .collect();
    let centred = |x: Vec<f64>| {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        x.into_iter().map(|x| x - mean).collect::<Vec<f64>>()
    };
    let (a, b) = (centred(cosines), centred(pairs.map(|pair| pair.2).to_vec()));
    let expected = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
    let found = metrics(&outputs, &data);
    let pearson = found.pearson.unwrap();
    assert!((pearson - expected).abs() < 1e-4, "{pearson} {expected}");
    assert_eq!(found.pairs, Some(6));
    let [low, high] = found.pearson_interval.unwrap();
    assert!(low < pearson && pearson < high && found.spearman.is_some());
    // What is measured between layers is of the sentences' own tokens: none is filled up there.
    let seen = calibrate(&network, &engine, &data, usize::MAX, &Progress::default()).unwrap();
    let own: usize = pairs
        .iter()
        .map(|(a, b, _)| pieces(a).len() + pieces(b).len() + 4)
        .sum();
    let layer = network
        .layers
        .iter()
        .find(|layer| layer.name.ends_with("query"))
        .unwrap();
    let statistics = &seen.activations[&layer.input.as_ref().unwrap().0];
    assert_eq!(statistics.count, own as u64 * 32);
    // What is wrong is named with its line.
    let refused = |table: &str| open(table).unwrap_err().to_string();
    let text = refused("sentence1\tsentence2\tscore\nbad\tcab\t3\nbad\tcab\tmany\n");
    assert!(text.contains("line 3: the score 'many' is no number"), "{text}");
    let text = refused("sentence1\tsentence2\tscore\nbad\t\t3\n");
    assert!(text.contains("line 2: a sentence is missing"), "{text}");
    let text = refused("sentence1\tsentence2\tscore\n");
    assert!(text.contains("no pairs"), "{text}");
}

/// A language model as exporters write it for reading on: it takes a mask, positions, and keys of what came before.
fn with_a_past() -> Network {
    use crate::common::graph::{floats, model, network, typed};
    use splitscope::onnx::build::{float_tensor, i64_tensor, int_attribute, ints_attribute, node};
    use splitscope::onnx::schema::data_type;
    let table: Vec<f32> = (0..41 * 41).map(|at| (at * 37 % 101) as f32 / 25.0).collect();
    let square: Vec<f32> = (0..41 * 41).map(|at| (at * 53 % 89) as f32 / 90.0 - 0.5).collect();
    let to_float = || vec![int_attribute("to", i64::from(data_type::FLOAT))];
    let past = "past_key_values.0.key";
    let nodes = vec![
        node("Gather", "embed", ["table", "input_ids"], ["words"], vec![]),
        node("Unsqueeze", "u1", ["words", "axis1"], ["keys"], vec![]),
        node(
            "Concat",
            "past",
            [past, "keys"],
            ["all"],
            vec![int_attribute("axis", 2)],
        ),
        node("Squeeze", "u2", ["all", "axis1"], ["read"], vec![]),
        node("Cast", "m", ["attention_mask"], ["mask"], to_float()),
        node("Unsqueeze", "u3", ["mask", "axis2"], ["by_step"], vec![]),
        node("Mul", "masked", ["read", "by_step"], ["seen"], vec![]),
        node("MatMul", "head", ["seen", "square"], ["logits"], vec![]),
        node(
            "Transpose",
            "t",
            ["all"],
            ["present.0.key"],
            vec![ints_attribute("perm", [0, 1, 2, 3])],
        ),
    ];
    let constants = vec![
        float_tensor("table", &[41, 41], &table),
        float_tensor("square", &[41, 41], &square),
        i64_tensor("axis1", &[1], &[1]),
        i64_tensor("axis2", &[1], &[2]),
    ];
    let tokens = |name: &str| typed(name, data_type::INT64, &[0, 0]);
    let inputs = vec![
        tokens("input_ids"),
        tokens("attention_mask"),
        floats(past, &[0, 1, 0, 41]),
    ];
    let outputs = vec![floats("logits", &[0, 0, 41]), floats("present.0.key", &[0, 1, 0, 41])];
    network(model(17, (nodes, constants), inputs, outputs))
}

#[test]
fn a_network_that_could_read_on_from_a_past_reads_without_one() {
    let (folder, _) = hub("gpt2");
    let network = with_a_past();
    let engine = engine(&network);
    let options = DataOptions {
        window: Some(7),
        vocabulary: Some(folder.path().join("tokenizer.json")),
        ..DataOptions::default()
    };
    let path = folder.path().join("text.txt");
    let data = Dataset::open(path.to_str().unwrap(), &options, engine.inputs()).unwrap();
    assert!(
        data.notes().iter().any(|note| note.contains("without a past")),
        "{:?}",
        data.notes()
    );
    let outputs = run_outputs(&engine, &data, 14, &Progress::default()).unwrap();
    let read = Tensor::from_shape([1, 1], vec![tokens()[8]]).unwrap();
    let ones = Tensor::from_shape([1, 1], vec![1_i32]).unwrap();
    let past = Tensor::from_shape([1, 1, 0, 41], Vec::<f32>::new()).unwrap();
    let inputs = [
        ("input_ids", &read),
        ("attention_mask", &ones),
        ("past_key_values.0.key", &past),
    ];
    let one = engine.run(&inputs, &["logits"]).unwrap().remove(0);
    let (one, found) = (one.floats().unwrap(), outputs.row(8));
    assert!(
        one.iter().zip(found).all(|(a, b)| (a - b).abs() < 1e-4),
        "{one:?} {found:?}"
    );
}

#[test]
fn smoothing_moves_outliers_into_the_weights_and_changes_nothing() {
    use crate::common::relative_difference;
    use splitscope::inference::calibrate;
    use splitscope::network::smooth;
    let progress = Progress::default();
    // RMSNorm, with a 1 added to its gain, behind norms on both sides, LayerNormalization with matrices lying the other way.
    for (name, groups) in [
        ("llama", 4),
        ("gemma", 4),
        ("gemma2_window", 4),
        ("phi3", 4),
        ("gpt2", 4),
        ("opt", 4),
    ] {
        let (folder, network) = hub(name);
        let float = engine(&network);
        let data = text(&folder, &network, &float, Some(7));
        let seen = calibrate(&network, &float, &data, usize::MAX, &progress)
            .unwrap()
            .activations;
        let largest = |value: &str| -> Option<Vec<f32>> {
            let channels = seen.get(value)?.channel_outliers()?;
            Some(channels.into_iter().map(|(_, largest)| largest).collect())
        };
        let smoothed = smooth(&network, largest, 0.5).unwrap();
        // Attention and matrices of two blocks; an untied head reads its norm too, a tied one is the embedding. Where a gate
        // multiplies what a matrix gives, or a ReLU follows it, the matrix behind is smoothed through the one before (a GELU
        // bars the way, and so does the cut of what phi3 computes at once).
        let head = usize::from(["llama", "phi3"].contains(&name));
        let behind = if ["phi3", "gpt2"].contains(&name) { 0 } else { 2 };
        let expected = groups + head + behind;
        assert_eq!(smoothed.groups.len(), expected, "{name}: {:?}", smoothed.skipped);
        let engine = engine(&smoothed.network);
        let outputs = |engine: &Rten| run_outputs(engine, &data, usize::MAX, &progress).unwrap().logits;
        let difference = relative_difference(&outputs(&float), &outputs(&engine));
        println!("{name}: {difference:.1e}");
        // These networks magnify rounding: in float32 they are off by up to 1e-5 from float64, as the fixtures' script sees to.
        assert!(difference < 2e-5, "{name}: {difference}");
        let after = calibrate(&smoothed.network, &engine, &data, usize::MAX, &progress)
            .unwrap()
            .activations;
        let spread = |seen: &splitscope::quantization::Activations| -> f32 {
            let ratio = |layer: &splitscope::network::Layer| {
                let channels = seen.get(&layer.input.as_ref()?.0)?.channel_outliers()?;
                let largest = channels.iter().map(|(_, x)| *x).fold(0.0, f32::max);
                let mean = channels.iter().map(|(_, x)| *x).sum::<f32>() / channels.len() as f32;
                Some(largest / mean)
            };
            let read = |name: &&splitscope::network::Layer| {
                smoothed.groups.iter().any(|(_, layers)| layers.contains(&name.name))
            };
            network.layers.iter().filter(read).filter_map(ratio).sum()
        };
        assert!(
            spread(&after) < spread(&seen),
            "{name}: {} {}",
            spread(&after),
            spread(&seen)
        );
    }
}

/// Rotation on small networks of every kind that transformers writes: the function stays, or the reason is told.
#[test]
fn rotation_leaves_the_function_of_decoders_and_is_refused_elsewhere() {
    use crate::common::relative_difference;
    use splitscope::network::rotate;
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let read = |name: &str| Fixture::read(&fixtures.join(format!("{name}.json.gz")));
    // RMSNorm, with tied heads, biases, packed projections, norms of heads, gains that lie 1 lower; LayerNormalization with
    // matrices lying either way, positions from a table, two norms of the same sum.
    for name in [
        "llama",
        "llama3",
        "llama_biased",
        "llama_tied",
        "mistral_window",
        "qwen2",
        "qwen3",
        "phi3",
        "granite",
        "smollm3",
        "gemma",
        "gpt2",
        "gpt_neox",
        "gpt_neox_in_turn",
        "opt",
    ] {
        let fixture = read(name);
        let network = fixture.open(&fixture.tensors());
        let rotation = rotate(&network).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(rotation.streams.len(), 1, "{name}");
        assert!(rotation.skipped.is_empty(), "{name}: {:?}", rotation.skipped);
        let blocks = network
            .layers
            .iter()
            .filter(|layer| layer.name.ends_with("o_proj"))
            .count();
        let stream = &rotation.streams[0];
        assert!(
            stream.writers.len() >= 2 * blocks.max(2),
            "{name}: {:?}",
            stream.writers
        );
        // The stream's own numbers changed, the outputs did not.
        let (before, after) = (fixture.run(&network), fixture.run(&rotation.network));
        let difference = relative_difference(&before, &after);
        println!("{name}: {difference:.1e}");
        // These networks magnify rounding: in float32 they are off by up to 1e-5 from float64, as the fixtures' script sees to.
        assert!(difference > 0.0 && difference < 2e-5, "{name}: {difference}");
    }
    for (name, reason) in [
        ("gemma2_window", "post_attention_layernorm"),
        ("gemma3_window", "post_attention_layernorm"),
        ("bloom", "LayerNormalization"),
        ("bert_model", "reads it too"),
        ("vit_tiny_patch16_224", "cannot be rotated"),
        ("resnet14t", "no residual stream"),
    ] {
        let fixture = read(name);
        let network = fixture.open(&fixture.tensors());
        let refused = rotate(&network).err().map(|error| error.to_string());
        println!("{name}: {refused:?}");
        assert!(refused.is_some_and(|why| why.contains(reason)), "{name}");
    }
}

/// A recipe's `smooth` and `awq`, as the command line carries them out: the function stays, and both are told among the steps.
#[test]
fn recipes_smooth_and_scale_inputs_by_what_was_measured() {
    use crate::common::relative_difference;
    use splitscope::inference::{InferenceError, measure_inputs};
    use splitscope::quantization::{Bits, Granularity, Recipe, prepare, prepare_with};
    let progress = Progress::default();
    for name in ["llama", "opt"] {
        let (folder, network) = hub(name);
        let float = engine(&network);
        let data = std::sync::Arc::new(text(&folder, &network, &float, Some(7)));
        let outputs = |network: &Network| {
            run_outputs(&engine(network), &data, usize::MAX, &progress)
                .unwrap()
                .logits
        };
        let learn = |network: &Network, moments: bool| -> Result<_, anyhow::Error> {
            let engine = engine(network);
            let wanted = (usize::MAX, moments);
            let known = measure_inputs(
                network,
                &engine,
                Some(&data),
                &DataOptions::default(),
                wanted,
                &progress,
            )
            .map_err(|error: InferenceError| anyhow::anyhow!(error))?;
            Ok(known.activations)
        };
        let before = outputs(&network);
        for (smooth, awq) in [(0.5, false), (0.0, true), (0.5, true)] {
            let recipe = Recipe {
                weight_bits: Bits::Grid(4),
                scales: Granularity::Channel,
                smooth,
                awq,
                ..Recipe::default()
            };
            let prepared = prepare_with(&network, &recipe, learn).unwrap();
            let steps = prepared.preparation.steps.join("; ");
            assert_eq!(steps.contains("smoothed the inputs of"), smooth > 0.0, "{steps}");
            assert_eq!(steps.contains("scaled the inputs of"), awq, "{steps}");
            assert!(!steps.contains("of 0 groups"), "{steps}");
            let difference = relative_difference(&before, &outputs(&prepared));
            assert!(difference < 2e-5, "{name} {smooth} {awq}: {difference}");
            assert!(prepare(&network, &recipe).is_err(), "nothing is known without data");
        }
    }
}

/// The decoders among the fixtures, as they are and with weights of 4 bits.
fn decoders() -> Vec<(String, Fixture, [ModelProto; 2])> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let fixture = Fixture::read(&path);
        let tokens = fixture.integers.iter().map(|(name, ..)| name.as_str());
        if !(tokens.eq(["input_ids"]) && fixture.outputs[0].0 == "logits") {
            continue;
        }
        let network = fixture.open(&fixture.tensors());
        let recipe = Recipe {
            weight_bits: Bits::Grid(4),
            ..Recipe::default()
        };
        let quantized = Pipeline::new(&network, None)
            .quantize(&recipe, &Progress::default())
            .unwrap();
        found.push((name, fixture, [network.runnable_model(), quantized.into_model()]));
    }
    found
}

/// A decoder that reads on from keys and values answers as one that reads the whole text, in every architecture.
#[test]
fn keys_and_values_of_earlier_tokens_change_no_answer() {
    let decoders = decoders();
    assert!(decoders.len() >= 20, "{}", decoders.len());
    for (name, fixture, models) in decoders {
        for model in models {
            let (_, shape, numbers) = &fixture.integers[0];
            let (steps, tokens) = (shape[1], &numbers[..shape[1]]);
            let row = |tokens: &[i32]| Tensor::from_shape([1, tokens.len()], tokens.to_vec()).unwrap();
            let whole = Rten::load(encode(&model).unwrap()).unwrap();
            let expected = whole
                .run(&[("input_ids", &row(tokens))], &["logits"])
                .unwrap()
                .remove(0);
            let decoder = with_past(&model).unwrap();
            let reader = Rten::load(encode(&decoder.model).unwrap()).unwrap();
            let ports: Vec<&Port> = reader.inputs()[1..].iter().collect();
            assert!(ports.len() >= 2 && ports.len().is_multiple_of(2), "{name}");
            let mut kept: Vec<Tensor> = (ports.iter())
                .map(|port| {
                    let sizes = port.shape.as_ref().unwrap();
                    let sizes = [1, sizes[1].unwrap(), 0, sizes[3].unwrap()];
                    Tensor::from_shape(sizes, Vec::<f32>::new()).unwrap()
                })
                .collect();
            let mut found = Vec::new();
            let mut read = 0;
            // Three tokens, two, then one at a time.
            for piece in [3, 2].into_iter().chain(std::iter::repeat(1)) {
                if read >= steps {
                    break;
                }
                let piece = row(&tokens[read..(read + piece).min(steps)]);
                read += piece.len();
                let mut inputs = vec![("input_ids", &piece)];
                inputs.extend(ports.iter().map(|port| port.name.as_str()).zip(&kept));
                let presents: Vec<String> = ports
                    .iter()
                    .map(|port| port.name.replace("past_key_values", "present"))
                    .collect();
                let wanted: Vec<&str> = std::iter::once("logits")
                    .chain(presents.iter().map(String::as_str))
                    .collect();
                let mut outputs = reader.run(&inputs, &wanted).unwrap();
                kept = outputs.split_off(1);
                assert_eq!(kept[0].shape()[2], read, "{name}");
                found.extend(outputs[0].floats().unwrap().to_vec());
            }
            let difference = crate::common::relative_difference(expected.floats().unwrap(), &found);
            println!("{name}: {difference:.1e}");
            assert!(difference <= 1e-5, "{name}: {difference}");
        }
    }
}

/// An engine that counts the tokens that it reads.
struct Counting(Rten, AtomicUsize);

impl Engine for Counting {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn inputs(&self) -> &[Port] {
        self.0.inputs()
    }
    fn outputs(&self) -> &[Port] {
        self.0.outputs()
    }
    fn compute(
        &self,
        inputs: &[(&str, &Tensor)],
        wanted: &[&str],
        options: RunOptions<'_>,
    ) -> Result<Vec<Tensor>, EngineError> {
        let (_, tokens) = inputs.iter().find(|(name, _)| *name == "input_ids").unwrap();
        self.1.fetch_add(tokens.len(), Ordering::Relaxed);
        self.0.compute(inputs, wanted, options)
    }
    fn has_value(&self, name: &str) -> bool {
        self.0.has_value(name)
    }
    fn compute_between(
        &self,
        threads: &Threads,
        given: &[(&str, &Tensor)],
        wanted: &[&str],
    ) -> Result<Option<Vec<Tensor>>, EngineError> {
        self.0.compute_between(threads, given, wanted)
    }
}

#[test]
fn a_text_is_continued_by_reading_each_token_once() {
    for name in ["gpt2", "llama", "mistral_window"] {
        let (folder, network) = hub(name);
        let engine = engine(&network);
        let data = text(&folder, &network, &engine, None);
        let prompt = data.tokens_of("bad egg").unwrap();
        let go_on = |engine: &dyn Engine| {
            let progress = Progress::default();
            continue_text(engine, &data, &prompt, 9, Sampling::Greedy, &progress, |_| ()).unwrap()
        };
        let expected = go_on(&engine);
        let model = with_past(&network.runnable_model()).unwrap().model;
        let counting = Counting(Rten::load(encode(&model).unwrap()).unwrap(), AtomicUsize::new(0));
        assert_eq!(go_on(&counting), expected, "{name}");
        // The last token that was written is read by nobody.
        assert_eq!(counting.1.into_inner(), prompt.len() + 9 - 1, "{name}");
        let writer = TextWriter::of(network.runnable_model(), None).unwrap();
        assert!(writer.keeps_past());
        let written = writer.continue_text(&data, &prompt, 9, Sampling::Greedy, &Progress::default(), |_| ());
        assert_eq!(written.unwrap(), expected, "{name}");
    }
}

const LIMIT: Duration = Duration::from_secs(120);

/// A session that has opened a hub's folder and its text.
fn session_on(folder: &tempfile::TempDir) -> Session {
    let mut session = Session::new(Waker::none(), Saved::default());
    session.act(Action::Open(folder.path().to_owned()));
    assert!(session.wait_until_idle(LIMIT));
    session.act(Action::OpenData {
        path: folder.path().join("text.txt").to_str().unwrap().to_owned(),
        options: DataOptions::default(),
    });
    assert!(session.wait_until_idle(LIMIT));
    session
}

/// What the window finds is what the command line finds: a planted super weight, and how the text is judged without it.
#[test]
fn a_session_finds_a_planted_super_weight() {
    let (folder, network) = hub_with("llama", |tensors| {
        plant(tensors, "model.layers.0.mlp.down_proj.weight", (7, 11), 1e8);
    });
    let mut session = session_on(&folder);
    assert!(session.open().unwrap().massive().is_none());
    session.act(Action::FindMassive);
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    let found = open.massive().unwrap_or_else(|| panic!("{:?}", open.massive_failure()));
    assert!(open.massive_is_current(session.limit()));

    let engine = engine(&network);
    let data = text(&folder, &network, &engine, None);
    let whole = run_outputs(&engine, &data, session.limit(), &Progress::default()).unwrap();
    let limits = MassiveLimits::default();
    let expected = massive(&network, &engine, (&data, &whole), limits, 4, &Progress::default()).unwrap();
    assert_eq!(found.found, expected);
    assert_eq!(found.float.perplexity, metrics(&whole, &data).perplexity);
    let weight = &expected.super_weights[0];
    assert_eq!((weight.output_channel, weight.input_channel), (7, 11));
    assert!(weight.without.is_some(), "{:?}", weight.not_run);
}

/// The window's export of a decoder with a past: the file takes keys and values, and with none it answers as the preview.
#[test]
fn a_session_exports_a_decoder_with_its_past() {
    let (folder, network) = hub("llama");
    assert!(reads_on(&network.model));
    let mut session = session_on(&folder);
    let path = folder.path().join("with_past.onnx");
    session.act(Action::Export {
        kind: ExportKind::OnnxWithPast,
        path: path.clone(),
    });
    assert!(session.wait_until_idle(LIMIT));
    let open = session.open().unwrap();
    let check = open.export_check();
    let check = check.unwrap_or_else(|| panic!("{:?}", open.export_check_failure()));
    assert!(check.samples > 0);
    assert_eq!(check.changed_predictions, Some(0));
    assert!(check.max_abs_difference < 1e-5, "{}", check.max_abs_difference);
    let written = format::open(&path).unwrap();
    let inputs = Rten::load(encode(&written.model).unwrap()).unwrap().inputs().to_vec();
    let layers = inputs.iter().filter(|port| port.name.ends_with(".key")).count();
    assert!(layers > 0 && inputs.len() == 1 + 2 * layers, "{inputs:?}");
}

/// A table of positions ends: the later half of the text is then read again from its beginning.
#[test]
fn a_text_goes_on_behind_the_end_of_the_table_of_positions() {
    let (folder, network) = hub("gpt2");
    let engine = engine(&network);
    let data = text(&folder, &network, &engine, None);
    let prompt = data.tokens_of("bad egg").unwrap();
    let model = network.runnable_model();
    let longest = with_past(&model).unwrap().longest.unwrap();
    let table = fixture_rows("gpt2", "transformer.wpe.weight");
    assert_eq!(longest, table);
    let writer = TextWriter::of(model, None).unwrap();
    let count = longest + 4 - prompt.len();
    let written = writer
        .continue_text(&data, &prompt, count, Sampling::Greedy, &Progress::default(), |_| ())
        .unwrap();
    // The first token behind the table's end, by hand: the network reads the later half alone.
    let all = [prompt, written].concat();
    let read = all[longest + 1 - longest.div_ceil(2)..=longest].to_vec();
    let steps = read.len();
    let read = Tensor::from_shape([1, steps], read).unwrap();
    let logits = engine.run(&[("input_ids", &read)], &["logits"]).unwrap().remove(0);
    let last = &logits.floats().unwrap()[(steps - 1) * 41..];
    let likeliest = (0..41).max_by(|a, b| last[*a].total_cmp(&last[*b])).unwrap();
    assert_eq!(all[longest + 1] as usize, likeliest);
    // Positions of OPT are counted from 2 on.
    let opt = hub("opt").1.runnable_model();
    let rows = fixture_rows("opt", "model.decoder.embed_positions.weight");
    assert_eq!(with_past(&opt).unwrap().longest, Some(rows - 2));
    assert_eq!(with_past(&hub("llama").1.runnable_model()).unwrap().longest, None);
}

fn fixture_rows(name: &str, tensor: &str) -> usize {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let fixture = Fixture::read(&fixtures.join(format!("{name}.json.gz")));
    fixture.tensors.iter().find(|(name, _)| name == tensor).unwrap().1[0]
}

#[test]
fn what_is_no_known_decoder_gets_no_past_and_says_why() {
    let encoder = hub("bert_masked").1;
    assert!(!reads_on(&encoder.model));
    let why = with_past(&encoder.runnable_model()).unwrap_err();
    assert_eq!(why, NoPast::NotADecoder);
}

/// A decoder that optimum exported (`fixtures/optimum/make.py`) writes what transformers writes, reading each token once; without a
/// past it answers the same.
#[test]
fn an_export_of_optimum_goes_on_from_its_past_as_transformers_does() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/optimum");
    let mut onnx = Vec::new();
    let packed = std::fs::File::open(fixtures.join("llama_with_past.onnx.gz")).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(packed), &mut onnx).unwrap();
    let told = std::fs::read(fixtures.join("llama_with_past.json")).unwrap();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let numbers = |key: &str| -> Vec<i32> { serde_json::from_value(told[key].clone()).unwrap() };
    let expected: Vec<f32> = serde_json::from_value(told["logits"].clone()).unwrap();
    let (folder, _) = hub("llama");
    let path = folder.path().join("exported.onnx");
    std::fs::write(&path, onnx).unwrap();
    let network = format::open(&path).unwrap();
    assert_eq!(network.why_not_runnable, None);
    // Each projection and the head; the table of words is too small to be one.
    assert_eq!(network.layers.len(), 2 * 7 + 1);
    let counting = Counting(
        Rten::load(encode(&network.runnable_model()).unwrap()).unwrap(),
        AtomicUsize::new(0),
    );
    let data = text(&folder, &network, &counting, None);
    assert!(
        data.notes().iter().any(|note| note.contains("without a past")),
        "{:?}",
        data.notes()
    );
    let prompt = numbers("prompt");
    let outputs = {
        let read = Tensor::from_shape([1, prompt.len()], prompt.clone()).unwrap();
        let ones = Tensor::from_shape([1, prompt.len()], vec![1_i32; prompt.len()]).unwrap();
        let positions: Vec<i32> = (0..5).collect();
        let positions = Tensor::from_shape([1, prompt.len()], positions).unwrap();
        let nothing = Tensor::from_shape([1, 2, 0, 4], Vec::<f32>::new()).unwrap();
        let inputs: Vec<(&str, &Tensor)> = (counting.inputs().iter())
            .map(|port| match port.name.as_str() {
                "input_ids" => ("input_ids", &read),
                "attention_mask" => ("attention_mask", &ones),
                "position_ids" => ("position_ids", &positions),
                name => (name, &nothing),
            })
            .collect();
        counting.0.run(&inputs, &["logits"]).unwrap()
    };
    let last = &outputs[0].floats().unwrap()[(prompt.len() - 1) * 41..];
    let difference = crate::common::relative_difference(&expected, last);
    assert!(difference < 1e-5, "{difference}");
    let written = continue_text(
        &counting,
        &data,
        &prompt,
        12,
        Sampling::Greedy,
        &Progress::default(),
        |_| (),
    );
    assert_eq!(written.unwrap(), numbers("written"));
    assert_eq!(counting.1.into_inner(), prompt.len() + 12 - 1);
}
