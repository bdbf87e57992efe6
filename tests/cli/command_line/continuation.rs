//! What `continue` writes, and `quantize --with-past`.

use super::*;
use crate::common::state_dict::Fixture;
use splitscope::format;
use splitscope::inference::{Dataset, Rten, Sampling, continue_text};
use splitscope::progress::Progress;

#[test]
fn a_demo_goes_on_as_the_library_does_and_both_texts_are_compared() {
    let words = ["continue", "demo:shakespeare", "--prompt", "ROMEO:", "--tokens", "30"];
    let demo = format::demo::Demo::Shakespeare;
    let (engine, data) = (Rten::load(demo.model_bytes().to_vec()).unwrap(), Dataset::demo(demo));
    let prompt = data.tokens_of("ROMEO:").unwrap();
    let written = continue_text(
        &engine,
        &data,
        &prompt,
        30,
        Sampling::Greedy,
        &Progress::default(),
        |_| (),
    );
    let expected = data.text_of(&written.unwrap());
    let text = succeeds(&[&words[..], &["--weight-bits", "8"]].concat());
    assert!(
        text.starts_with(&format!("float: ROMEO:{expected}\nquantized: ROMEO:")),
        "{text}"
    );
    let json = |more: &[&str]| -> Value {
        serde_json::from_str(&succeeds(&[&words[..], &["--json"], more].concat())).unwrap()
    };
    let coarse = json(&["--weight-bits", "2"]);
    assert_eq!(coarse["float"]["text"], expected);
    let tokens = |network: &str| coarse[network]["tokens"].as_array().unwrap().clone();
    let (float, quantized) = (tokens("float"), tokens("quantized"));
    assert_eq!((float.len(), quantized.len()), (30, 30));
    let same = coarse["same_tokens"].as_u64().unwrap() as usize;
    assert!(same < 30 && float[..same] == quantized[..same] && float[same] != quantized[same]);
    // An LSTM has no keys and values.
    assert_eq!(coarse["float"]["keeps_past"], false);
    // Drawn with a seed it is another text, and the same again.
    let drawn = |seed: &str| json(&["--weight-bits", "8", "--temperature", "1", "--seed", seed])["float"].clone();
    assert_eq!(drawn("1"), drawn("1"));
    assert_ne!(drawn("1"), drawn("2"));
    assert!(refused(&["continue", "demo:shakespeare", "--prompt", "a", "--seed", "1"]).contains("temperature"));
    let empty = refused(&["continue", "demo:shakespeare", "--prompt", "", "--weight-bits", "8"]);
    assert!(empty.contains("nothing to go on from"), "{empty}");
}

#[test]
fn decoders_keep_a_past_and_are_exported_with_one_when_asked() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let fixture = Fixture::read(&fixtures.join("llama.json.gz"));
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (model, vocabulary) = (file("model.safetensors"), file("vocab.json"));
    format::safetensors::write(Path::new(&model), &fixture.tensors(), &[]).unwrap();
    std::fs::write(file("config.json"), fixture.config.as_ref().unwrap().to_string()).unwrap();
    let letters: serde_json::Map<String, Value> =
        ('a'..='z').zip(0..).map(|(c, id)| (c.to_string(), id.into())).collect();
    std::fs::write(&vocabulary, Value::Object(letters).to_string()).unwrap();
    let words = [
        "continue",
        &model,
        "--prompt",
        "abc",
        "--tokens",
        "5",
        "--vocab",
        &vocabulary,
        "--json",
    ];
    let told: Value = serde_json::from_str(&succeeds(&[&words[..], &["--weight-bits", "8"]].concat())).unwrap();
    assert_eq!(
        (&told["float"]["keeps_past"], &told["quantized"]["keeps_past"]),
        (&true.into(), &true.into())
    );
    assert_eq!(told["prompt_tokens"], 3);
    let ports = |path: &str| {
        let network = format::open(Path::new(path)).unwrap();
        let graph = network.model.graph.as_ref().unwrap();
        let names = |infos: &[splitscope::onnx::ValueInfoProto]| -> Vec<String> {
            infos.iter().map(|info| info.name().to_owned()).collect()
        };
        (names(&graph.input), names(&graph.output))
    };
    let (plain, with_past) = (file("plain.onnx"), file("past.onnx"));
    succeeds(&["quantize", &model, "-o", &plain, "--weight-bits", "4"]);
    let said = succeeds(&[
        "quantize",
        &model,
        "-o",
        &with_past,
        "--weight-bits",
        "4",
        "--with-past",
    ]);
    let bytes = std::fs::metadata(&with_past).unwrap().len();
    assert!(said.contains(&format!("{bytes} quantized")), "{bytes}: {said}");
    assert_eq!(ports(&plain).0, ["input_ids"]);
    let (inputs, outputs) = ports(&with_past);
    assert_eq!((inputs.len(), outputs.len()), (1 + 4, 1 + 4));
    assert_eq!(
        (inputs[1].as_str(), outputs[4].as_str()),
        ("past_key_values.0.key", "present.1.value")
    );
    // The export goes on by itself as the network that it came from, its weights being what they are there.
    let words = [&["continue", &with_past], &words[2..]].concat();
    let again: Value = serde_json::from_str(&succeeds(&[&words[..], &["--weight-bits", "float"]].concat())).unwrap();
    assert_eq!(again["float"]["keeps_past"], true);
    let refusal = refused(&["quantize", &model, "-o", &file("a.safetensors"), "--with-past"]);
    assert!(refusal.contains("no inputs"), "{refusal}");
    let refusal = fails(&[
        "quantize",
        "demo:fashion",
        "-o",
        &file("a.onnx"),
        "--weight-bits",
        "4",
        "--with-past",
    ]);
    assert!(refusal.contains("known decoder"), "{refusal}");
}
