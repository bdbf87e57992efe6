//! Which engine runs networks, how fast it is, and what another one says.

use super::*;

const EVALUATE: [&str; 9] = [
    "evaluate",
    "demo:fashion",
    "--data",
    "demo:fashion",
    "--limit",
    "30",
    "--weight-bits",
    "4",
    "--json",
];

#[test]
fn a_library_that_is_not_there_is_told_in_one_line_and_the_built_in_engine_goes_on() {
    let built_in = json(&succeeds(&EVALUATE));
    let output = splitscope(&[&EVALUATE[..], &["--engine", "onnxruntime:/nowhere/libonnxruntime.so"]].concat());
    assert_eq!(output.status.code(), Some(0));
    let said = stderr(&output);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("/nowhere/libonnxruntime.so") && said.contains("built-in engine"),
        "{said}"
    );
    let found = json(&stdout(&output));
    assert_eq!(found, built_in);
    assert_eq!(found["engine"], "rten 0.27");
    assert!(refused(&[&EVALUATE[..], &["--engine", "tract"]].concat()).contains("rten, onnxruntime"));
}

#[test]
fn latency_is_told_for_one_sample_and_for_several_with_the_threads() {
    let found = json(&succeeds(&[&EVALUATE[..], &["--latency", "--threads", "1"]].concat()));
    let latency = &found["latency"];
    assert_eq!(
        (latency["engine"].as_str(), latency["threads"].as_u64()),
        (Some("rten 0.27"), Some(1))
    );
    for network in ["float", "quantized"] {
        let batches = latency[network]["batches"].as_array().unwrap();
        assert_eq!(batches.len(), 2, "{latency}");
        assert!(
            batches[0]["batch"] == 1 && batches[1]["batch"].as_u64() > Some(1),
            "{latency}"
        );
        for batch in batches {
            let (median, p95) = (batch["median_ms"].as_f64().unwrap(), batch["p95_ms"].as_f64().unwrap());
            assert!(0.0 < median && median <= p95, "{batch}");
        }
    }
}

/// Where onnxruntime is found its outputs are those of the built-in engine; where not, that is said.
#[test]
fn the_other_engine_verifies_both_networks() {
    let output = splitscope(&[&EVALUATE[..], &["--verify"]].concat());
    if output.status.code() != Some(0) {
        let line = stderr(&output);
        assert!(
            line.starts_with("splitscope: error: --verify: no library found"),
            "{line}"
        );
        println!("skipped: {line}");
        return;
    }
    let found = json(&stdout(&output));
    for network in ["float", "quantized"] {
        let verified = &found["verified"][network];
        assert_eq!(verified["engines"][0], "rten 0.27");
        assert!(
            verified["engines"][1].as_str().unwrap().starts_with("onnxruntime"),
            "{verified}"
        );
        assert_eq!(
            (verified["samples"].as_u64(), verified["changed_predictions"].as_u64()),
            (Some(30), Some(0))
        );
        assert!(verified["relative_difference"].as_f64().unwrap() < 1e-4, "{verified}");
    }
    // The other way round: onnxruntime runs everything, and the built-in engine verifies.
    let turned = json(&succeeds(
        &[&EVALUATE[..], &["--engine", "onnxruntime", "--verify"]].concat(),
    ));
    assert_eq!(turned["engine"], found["verified"]["float"]["engines"][1]);
    assert_eq!(turned["verified"]["quantized"]["engines"][1], "rten 0.27");
    assert_eq!(turned["quantized"]["top1"], found["quantized"]["top1"]);
}
