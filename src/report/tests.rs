//! What a page must hold whatever the file holds.

use super::*;
use crate::format::demo::Demo;
use crate::inference::{Evaluation, Metrics};
use crate::network::{Format, Network};
use crate::progress::Progress;
use crate::quantization::{Bits, Recipe, overhead, plan};

fn report(network: &Network, recipe: &Recipe, accuracy: Option<&Accuracy>) -> Report {
    let progress = Progress::default();
    let plan = plan(network, recipe, None, &progress).unwrap();
    let overhead = overhead(network, &plan, None);
    let subject = Subject {
        original: network,
        network,
        plan: &plan,
        overhead: &overhead,
        accuracy,
        ranges: None,
        sweep: &[],
        sigma: 4.0,
    };
    Report::gather(&subject, &progress).unwrap()
}

/// The Fashion demo with other names and some other weights.
fn altered(change: impl Fn(&mut crate::onnx::GraphProto)) -> Network {
    let mut model = (*Demo::Fashion.network().unwrap().model).clone();
    change(model.graph.as_mut().unwrap());
    Network::new("<b>network</b>", None, Format::Onnx, model).unwrap()
}

#[test]
fn names_of_a_model_are_never_markup() {
    let network = altered(|graph| {
        for node in &mut graph.node {
            node.name = Some(format!("<script>alert('{}')</script>\" onload=\"", node.name()));
        }
    });
    let recipe = Recipe {
        weight_bits: Bits::Grid(3),
        ..Recipe::default()
    };
    let page = report(&network, &recipe, None).page();
    assert!(page.contains("&lt;script&gt;alert(&#39;") && page.contains("&lt;b&gt;network"));
    assert!(!page.contains("<script") && !page.contains("<b>network") && !page.contains("\" onload=\""));
}

#[test]
fn layers_that_cannot_be_quantized_or_hold_no_numbers_are_told() {
    let network = altered(|graph| {
        let weight = graph
            .initializer
            .iter_mut()
            .find(|tensor| tensor.dims.len() == 4)
            .unwrap();
        let bytes = weight.raw_data.as_ref().unwrap();
        let mut bytes = bytes.to_vec();
        bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
        weight.raw_data = Some(bytes.into());
    });
    let found = report(&network, &Recipe::default(), None);
    assert!(found.layers[0].outcome.as_ref().is_err_and(|why| why.contains("NaN")));
    let page = found.page();
    assert!(
        page.contains("1 weights are NaN or infinite"),
        "the reason stands in the table"
    );
    let drawings = page
        .split("<svg")
        .skip(1)
        .map(|svg| svg.split("</svg>").next().unwrap());
    assert!(
        drawings
            .into_iter()
            .all(|svg| !svg.contains("NaN") && !svg.contains("inf"))
    );
}

#[test]
fn a_text_is_told_by_perplexity_and_without_labels_answers_are_compared() {
    let evaluation = |perplexity: Option<f64>| Evaluation {
        samples: 64,
        float: Metrics {
            perplexity,
            ..Metrics::default()
        },
        quantized: Metrics {
            perplexity: perplexity.map(|perplexity| perplexity + 1.0),
            ..Metrics::default()
        },
        agreement: Some(0.75),
        agreement_interval: Some([0.63, 0.84]),
        sqnr_db: Some(f64::INFINITY),
        sqnr_db_interval: None,
        split_only: None,
        oracle: None,
        at_chance: None,
        engine: None,
        latency: None,
        verified: None,
        notes: Vec::new(),
        labels_unused: None,
    };
    let network = Demo::Shakespeare.network().unwrap();
    let mut accuracy = Accuracy {
        data: "text".to_owned(),
        is_text: true,
        recipe: evaluation(Some(4.5)),
        plain: None,
    };
    let page = report(&network, &Recipe::default(), Some(&accuracy)).page();
    assert!(page.contains("<th>Perplexity</th>") && page.contains("5.500") && page.contains("64 tokens"));
    accuracy.recipe = evaluation(None);
    let page = report(&network, &Recipe::default(), Some(&accuracy)).page();
    assert!(page.contains("75.0 %") && !page.contains("Perplexity") && !page.contains("95 % interval"));
}

#[test]
fn the_worst_layers_are_shown_worst_first() {
    let network = Demo::Fashion.network().unwrap();
    let recipe = Recipe {
        weight_bits: Bits::Grid(3),
        ..Recipe::default()
    };
    let found = report(&network, &recipe, None);
    let shown: Vec<f64> = found
        .worst
        .iter()
        .map(|detail| found.layers[detail.layer].sqnr_db().unwrap())
        .collect();
    let least = found
        .layers
        .iter()
        .filter_map(LayerReport::sqnr_db)
        .fold(f64::INFINITY, f64::min);
    assert!(shown.is_sorted() && shown.len() == 6 && shown[0] == least);
    for detail in &found.worst {
        let elements: usize = found.layers[detail.layer].shape.iter().product();
        assert_eq!(detail.before.total(), elements as u64);
        assert_eq!(detail.before.below + detail.before.above, 0);
    }
}

#[test]
fn both_layers_of_a_recurrent_node_count_at_that_node() {
    let network = Demo::Shakespeare.network().unwrap();
    let found = report(&network, &Recipe::default(), None);
    let text = found.model_explorer(Metric::Outliers).unwrap().unwrap();
    let data: serde_json::Value = serde_json::from_str(&text).unwrap();
    let results = data.as_object().unwrap().values().next().unwrap()["results"]
        .as_object()
        .unwrap();
    let total: f64 = results.values().map(|result| result["value"].as_f64().unwrap()).sum();
    assert_eq!(
        total,
        found.layers.iter().map(|layer| layer.outliers as f64).sum::<f64>()
    );
    assert!(results.len() < found.layers.len());
}

#[test]
fn what_the_exported_file_needs_is_told_in_the_words_of_the_command_line() {
    let recipe = Recipe {
        weight_bits: Bits::Grid(4),
        activation_bits: Bits::Float,
        expand_ratio: 0.05,
        ..Recipe::default()
    };
    let network = Demo::Fashion.network().unwrap();
    let report = report(&network, &recipe, None);
    let page = report.page();
    assert!(page.contains("<li>The runtime must have operator set 21.</li>"));
    let note = report.overhead.runtime_note.as_deref().unwrap();
    let (_, rest) = note.split_at(1);
    assert!(page.contains(&super::html::escaped(rest)), "{note}");
    assert!(
        report.overhead.needs.iter().all(|need| page.contains(need)),
        "{:?}",
        report.overhead.needs
    );
}
