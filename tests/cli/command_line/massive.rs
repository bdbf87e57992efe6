//! `massive` on a decoder with a planted super weight, and the loss at each token.

use super::*;
use crate::common::state_dict::{Fixture, plant};
use splitscope::format;

/// A Llama of two blocks whose first block hangs on one weight, its vocabulary (letters) and a text.
fn planted(folder: &Path) -> [String; 3] {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/architecture/hubs");
    let fixture = Fixture::read(&fixtures.join("llama.json.gz"));
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let mut tensors = fixture.tensors();
    plant(&mut tensors, "model.layers.0.mlp.down_proj.weight", (7, 11), 1e6);
    let [model, vocabulary, text] = ["model.safetensors", "vocab.json", "text.txt"].map(file);
    format::safetensors::write(Path::new(&model), &tensors, &[]).unwrap();
    std::fs::write(file("config.json"), fixture.config.as_ref().unwrap().to_string()).unwrap();
    let letters: serde_json::Map<String, Value> =
        ('a'..='z').zip(0..).map(|(c, id)| (c.to_string(), id.into())).collect();
    std::fs::write(&vocabulary, Value::Object(letters).to_string()).unwrap();
    std::fs::write(&text, "thequickbrownfoxjumpsoverthelazydog").unwrap();
    [model, vocabulary, text]
}

#[test]
fn a_planted_super_weight_is_found_in_a_decoder() {
    let folder = tempfile::tempdir().unwrap();
    let [model, vocabulary, text] = planted(folder.path());
    let words = [
        "massive",
        &model,
        "--data",
        &text,
        "--vocab",
        &vocabulary,
        "--window",
        "16",
        "--ratio",
        "100",
    ];
    let found: Value = serde_json::from_str(&succeeds(&[&words[..], &["--json"]].concat())).unwrap();
    let weight = &found["super_weights"][0];
    assert_eq!(found["super_weights_found"], 1, "{found:#}");
    assert!(
        weight["layer"].as_str().unwrap().ends_with("layers.0.mlp.down_proj"),
        "{weight}"
    );
    assert_eq!(
        (&weight["output_channel"], &weight["input_channel"]),
        (&7.into(), &11.into())
    );
    assert!(
        weight["token"].as_str().is_some_and(|token| token.len() == 1),
        "{weight}"
    );
    let activation = &found["activations"][0];
    assert_eq!(activation["channel"], 7);
    assert!(
        activation["values"].as_u64().unwrap() >= 3,
        "it stays in the stream: {activation}"
    );
    // The text is judged again without each, and by nothing else than `evaluate` would.
    let perplexity = |of: &Value| of["perplexity"].as_f64().unwrap();
    let (whole, without) = (perplexity(&found["float"]), perplexity(&weight["without"]));
    let other = perplexity(&weight["without_largest_other"]);
    assert!(
        (without / whole - 1.0).abs() > 100.0 * (other / whole - 1.0).abs(),
        "{whole} {without} {other}"
    );
    assert_ne!(perplexity(&activation["without"]), whole);

    let shown = succeeds(&words);
    assert!(
        shown.contains("super weights: 1\n") && shown.contains("7, 11"),
        "{shown}"
    );
    assert!(shown.contains("perplexity without the largest other"), "{shown}");
    let none = succeeds(&[&words[..8], &["--magnitude", "1e30"]].concat());
    assert!(
        none.contains("massive activations: 0\n") && none.contains("super weights: 0\n"),
        "{none}"
    );
    assert!(refused(&["massive", &model, "--ratio", "0"]).contains("above 0"));
}

#[test]
fn the_loss_at_each_token_is_written_and_adds_up() {
    let folder = tempfile::tempdir().unwrap();
    let losses = folder.path().join("losses.csv");
    let words = [
        "evaluate",
        "demo:shakespeare",
        "--data",
        "demo:shakespeare",
        "--limit",
        "200",
        "--weight-bits",
        "3",
    ];
    let more = ["--token-losses", text(&losses), "--json"];
    let evaluation: Value = serde_json::from_str(&succeeds(&[&words[..], &more].concat())).unwrap();
    let written = std::fs::read_to_string(&losses).unwrap();
    let mut lines = written.lines();
    assert_eq!(lines.next(), Some("token,text,float_nats,quantized_nats,difference"));
    let rows: Vec<&str> = lines.collect();
    assert_eq!(rows.len(), 200);
    let column = |back: usize| -> Vec<f64> {
        let cell = |row: &&str| row.rsplit(',').nth(back).unwrap().parse().unwrap();
        rows.iter().map(cell).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    for (back, network) in [(2, "float"), (1, "quantized")] {
        let expected = evaluation[network]["nats_per_token"].as_f64().unwrap();
        assert!((mean(&column(back)) - expected).abs() < 1e-5, "{network}");
    }
    let pictures = [
        "evaluate",
        "demo:fashion",
        "--data",
        "demo:fashion",
        "--limit",
        "10",
        "--token-losses",
        text(&losses),
    ];
    assert!(refused(&pictures).contains("no text"));
}
