//! Networks of other people: each opens, is measured, planned, rewritten, and, where the engine runs it, splitting alone
//! leaves its outputs as they were.

use crate::common::{relative_difference, shared};
use splitscope::inference::{Dataset, Rten, run_outputs};
use splitscope::onnx::encode;
use splitscope::progress::Progress;
use splitscope::quantization::{Bits, Recipe, plan, rewrite, split_only};
use splitscope::statistics::tensor_statistics;

#[test]
#[ignore = "needs ../shared"]
fn networks_of_other_people_are_split_without_changing_what_they_compute() {
    let mut files: Vec<_> = std::fs::read_dir(shared("models"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "onnx" || e == "safetensors"));
    files.sort();
    assert!(!files.is_empty());
    let progress = Progress::default();
    let mut run = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let network = splitscope::format::open(&path).unwrap();
        for (index, layer) in network.layers.iter().enumerate() {
            if let Ok(weights) = network.weights(index) {
                let statistics = tensor_statistics(&weights, &layer.layout);
                assert_eq!(
                    statistics.count + statistics.nan + statistics.infinite,
                    weights.len() as u64,
                    "{name} {}",
                    layer.name
                );
            }
        }
        if name == "silero_vad.onnx" {
            // Two LSTMs in each branch, W and R of each computed from slices of constants.
            let recurrent = network.layers.iter().filter(|layer| layer.kind.is_recurrent());
            assert_eq!(recurrent.count(), 8);
        }
        let recipe = Recipe {
            weight_bits: Bits::Grid(6),
            expand_ratio: 0.02,
            ..Recipe::default()
        };
        let planned = plan(&network, &recipe, None, &progress).unwrap();
        let splits: usize = planned
            .layers
            .iter()
            .filter_map(|layer| layer.quantized())
            .map(|layer| layer.splits.len())
            .sum();
        if network.why_not_runnable.is_some() {
            assert!(splits > 0, "{name}");
            continue;
        }
        let quantized = encode(&rewrite(&network, &planned).unwrap()).unwrap();
        let split = encode(&split_only(&network, &planned).unwrap()).unwrap();
        let float = encode(&network.runnable_model()).unwrap();
        let Ok(engine) = Rten::load(float) else { continue };
        let Ok(data) = Dataset::noise(&network, &engine, 4, 7) else {
            println!("{name}: {splits} splits; does not run on noise");
            continue;
        };
        let outputs = |bytes| {
            run_outputs(&Rten::load(bytes).unwrap(), &data, 4, &progress)
                .unwrap()
                .logits
        };
        let original = run_outputs(&engine, &data, 4, &progress).unwrap().logits;
        let difference = relative_difference(&original, &outputs(split));
        assert!(difference <= 1e-5, "{name}: {difference}");
        assert!(outputs(quantized).iter().all(|x| x.is_finite()), "{name}");
        println!("{name}: {splits} splits, split-only difference {difference:.1e}");
        run.push(name);
    }
    for expected in [
        "cifar10_resnet20.onnx",
        "ch_ppocr_mobile_v2.0_cls_infer.onnx",
        "charrnn_shakespeare.onnx",
    ] {
        assert!(run.iter().any(|name| name == expected), "{expected} was not run");
    }
}
