//! The first thing on the page: what the networks answer, and what the recipe costs.

use super::gather::{Accuracy, Report};
use super::html::escaped;
use super::numbers::{added, decibels, full_count, percent, plural, short_count};
use crate::inference::{Evaluation, Metrics, Score};
use std::fmt::Write as _;

/// Width and height of a row's interval, in its own units.
const CHART: (f64, f64) = (260.0, 24.0);

/// One network of the comparison.
struct Row<'a> {
    name: String,
    color: &'static str,
    metrics: &'a Metrics,
    evaluation: Option<&'a Evaluation>,
}

impl Report {
    pub(super) fn headline_html(&self) -> String {
        let answers = match &self.accuracy {
            Some(accuracy) => accuracy_html(accuracy, &self.bits),
            None => "<p>The networks were not run: no data were given, so accuracy is not known. The numbers below are of the weights \
                     alone.</p>\n"
                .to_owned(),
        };
        format!(
            "<section>\n{answers}{}{}</section>\n",
            self.cost_html(),
            self.notes_html()
        )
    }

    /// What the exported file needs of who runs it.
    fn notes_html(&self) -> String {
        let mut notes = String::new();
        for note in self.overhead.notes() {
            // Writing into a string cannot fail.
            let _ = writeln!(notes, "<li>{}</li>", escaped(&sentence(note)));
        }
        if notes.is_empty() {
            return notes;
        }
        format!("<h3>What the exported file needs</h3>\n<ul>\n{notes}</ul>\n")
    }

    fn cost_html(&self) -> String {
        let cost = &self.overhead;
        let unknown = || "unknown".to_owned();
        let share = cost.bytes.quantized as f64 / cost.bytes.float.max(1) as f64;
        let quantized = self.layers.iter().filter(|layer| layer.outcome.is_ok()).count();
        let splits: usize = self
            .layers
            .iter()
            .filter_map(|layer| Some(layer.outcome.as_ref().ok()?.splits.len()))
            .sum();
        let mut cards = String::new();
        let mut card = |name: &str, value: String, note: String| {
            // Writing into a string cannot fail.
            let _ = writeln!(
                cards,
                "<div class=\"card\"><span class=\"quiet\">{name}</span><strong>{}</strong><span class=\"quiet\">{}</span></div>",
                escaped(&value),
                escaped(&note)
            );
        };
        card(
            "Weights",
            added(cost.weights),
            format!("{} split", plural(splits as u64, "channel", "channels")),
        );
        card(
            "Activations",
            cost.activations.map_or_else(unknown, added),
            "elements between layers".to_owned(),
        );
        card(
            "Operations",
            cost.macs.map_or_else(unknown, added),
            "multiply-accumulates".to_owned(),
        );
        card(
            "File size",
            percent(share),
            format!(
                "{}B of {}B",
                short_count(cost.bytes.quantized),
                short_count(cost.bytes.float)
            ),
        );
        let latency = self.accuracy.as_ref().and_then(|of| of.recipe.latency.as_ref());
        let of_one = latency.and_then(|of| Some((of, of.float.batches.first()?, of.quantized.batches.first()?)));
        if let Some((of, float, quantized)) = of_one {
            card(
                "Latency",
                format!("{:.2} ms", quantized.median_ms),
                format!(
                    "float {:.2} ms; batch of {}, {}, {}",
                    float.median_ms,
                    quantized.batch,
                    of.engine,
                    plural(of.threads as u64, "thread", "threads")
                ),
            );
        }
        card(
            "Layers quantized",
            format!("{quantized} of {}", self.layers.len()),
            if quantized < self.layers.len() {
                "the others stay float".to_owned()
            } else {
                "none stays float".to_owned()
            },
        );
        format!("<div class=\"cards\">\n{cards}</div>\n")
    }
}

/// `note` with a capital and a full stop.
fn sentence(note: &str) -> String {
    let mut letters = note.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if note.ends_with('.') { "" } else { "." };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}

fn accuracy_html(accuracy: &Accuracy, bits: &str) -> String {
    let evaluation = &accuracy.recipe;
    let mut rows = vec![Row {
        name: "Float".to_owned(),
        color: "original",
        metrics: &evaluation.float,
        evaluation: None,
    }];
    rows.extend(accuracy.plain.as_ref().map(|plain| Row {
        name: format!("Plain {bits}"),
        color: "axis",
        metrics: &plain.quantized,
        evaluation: Some(plain),
    }));
    rows.push(Row {
        name: "This recipe".to_owned(),
        color: "quantized",
        metrics: &evaluation.quantized,
        evaluation: Some(evaluation),
    });
    let (title, show): (&str, fn(&Metrics) -> Option<String>) = if evaluation.float.perplexity.is_some() {
        ("Perplexity", |metrics| {
            metrics.perplexity.map(|perplexity| Score::Perplexity.show(perplexity))
        })
    } else if evaluation.float.top1.is_some() {
        ("Top-1", |metrics| metrics.top1.map(percent))
    } else if evaluation.float.mean_iou.is_some() {
        ("Mean IoU", |metrics| {
            metrics.mean_iou.map(|iou| Score::MeanIou.show(iou))
        })
    } else if evaluation.float.mean_ap.is_some() {
        ("mAP", |metrics| metrics.mean_ap.map(|map| Score::MeanAp.show(map)))
    } else if evaluation.float.pearson.is_some() {
        ("Pearson", |metrics| metrics.pearson.map(|r| Score::Pearson.show(r)))
    } else {
        ("", |_| None)
    };
    let intervals = rows.iter().filter_map(|row| row.metrics.top1_interval);
    let (low, high) = intervals.fold((1.0_f64, 0.0_f64), |(low, high), [from, to]| {
        (low.min(from), high.max(to))
    });
    let range = (low < high).then_some((low, high));
    let mut text = "<table class=\"headline\"><thead><tr><th></th>".to_owned();
    if !title.is_empty() {
        let _ = write!(text, "<th>{title}</th>");
    }
    if range.is_some() {
        text.push_str("<th>95 % interval</th><th class=\"wide\"></th>");
    }
    text.push_str("<th>Same answer as float</th><th>Output SQNR</th></tr></thead><tbody>\n");
    for row in &rows {
        let _ = write!(
            text,
            "<tr><th scope=\"row\"><i style=\"background:var(--{})\"></i>{}</th>",
            row.color,
            escaped(&row.name)
        );
        if !title.is_empty() {
            let _ = write!(text, "<td class=\"big\">{}</td>", show(row.metrics).unwrap_or_default());
        }
        if let (Some(range), Some(interval)) = (range, row.metrics.top1_interval) {
            let [from, to] = interval;
            let chart = interval_svg(row.metrics.top1.unwrap_or(from), interval, range, row.color);
            let _ = write!(
                text,
                "<td>{:.1} to {:.1} %</td><td class=\"wide\">{chart}</td>",
                from * 100.0,
                to * 100.0
            );
        }
        let _ = match row.evaluation {
            Some(evaluation) => writeln!(
                text,
                "<td>{}</td><td>{}</td></tr>",
                evaluation.agreement.map_or_else(|| "–".to_owned(), percent),
                evaluation.sqnr_db.map_or_else(|| "unknown".to_owned(), decibels)
            ),
            None => writeln!(
                text,
                "<td>{}</td><td>∞ dB</td></tr>",
                evaluation.agreement.map_or("–", |_| "100 %")
            ),
        };
    }
    let unit = if accuracy.is_text { "tokens" } else { "samples" };
    let _ = writeln!(
        text,
        "</tbody></table>\n<p class=\"quiet\">{} {unit} of {}. Plain: the same bits without splitting and clipping.</p>",
        full_count(evaluation.samples as u64),
        escaped(&accuracy.data)
    );
    text
}

/// A dot with the interval around it, all rows on one scale.
fn interval_svg(value: f64, [from, to]: [f64; 2], (low, high): (f64, f64), color: &str) -> String {
    let (width, height) = CHART;
    let x = |share: f64| 6.0 + (share - low) / (high - low) * (width - 12.0);
    let middle = height / 2.0;
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\"><path d=\"M0 {middle}H{width}\" stroke=\"var(--rule)\"/><path \
         d=\"M{:.1} {middle}H{:.1}M{:.1} {}v8M{:.1} {}v8\" stroke=\"var(--{color})\" stroke-width=\"2\"/><circle cx=\"{:.1}\" \
         cy=\"{middle}\" r=\"4.5\" fill=\"var(--{color})\"/></svg>",
        x(from),
        x(to),
        x(from),
        middle - 4.0,
        x(to),
        middle - 4.0,
        x(value),
    )
}
