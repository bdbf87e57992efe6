//! The rows of a sweep: a table, the best first, and the front of score against cost.

use super::figure::{Figure, Scale, Series, Shape};
use super::gather::Report;
use super::numbers::{added, clip, full_count, percent};
use super::palette::Token;
use crate::inference::Score;
use crate::inference::sweep::{SizeMeasure, SweepRow, pareto_front};
use std::fmt::Write as _;

/// Rows of the table at most; the drawing has all.
const SHOWN: usize = 60;
/// Width and height of the drawing, in its own units.
const SIZE: (f64, f64) = (1040.0, 320.0);

impl Report {
    pub(super) fn sweep_html(&self) -> String {
        let rows = &self.sweep;
        if rows.is_empty() {
            return String::new();
        }
        let score = Score::of_rows(rows);
        let size = SizeMeasure::of_rows(rows);
        let front = pareto_front(rows, score, |row| size.value(row));
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let value = |place: &usize| score.value(&rows[*place]).unwrap_or(f64::NAN);
        order.sort_by(|a, b| {
            let (a, b) = (value(a), value(b));
            match (score.better(a, b), score.better(b, a)) {
                (true, _) => std::cmp::Ordering::Less,
                (_, true) => std::cmp::Ordering::Greater,
                _ => a.is_nan().cmp(&b.is_nan()),
            }
        });
        let mut text = format!(
            "<section><h2>Sweep</h2>\n{}<div class=\"scroll\"><table class=\"layers\"><thead><tr><th>Weight bits</th><th>Ratio</th>\
             <th>Clip</th><th>Activation bits</th><th>Scales</th><th>Rounding</th><th>{}</th><th>95 % interval</th><th>Weights</th>\
             <th>Size</th><th>File, kB</th><th>ms a sample</th><th>Pareto front</th></tr></thead><tbody>\n",
            figure(rows, (score, size), &front).inline_svg("sweep", SIZE),
            score.label()
        );
        for place in order.iter().take(SHOWN) {
            let row = &rows[*place];
            // Writing into a string cannot fail.
            let _ = writeln!(
                text,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><b>{}</b></td><td>{}</td><td>{}</td><td>{}</td>\
                 <td>{}</td><td>{}</td><td>{}</td></tr>",
                row.recipe.weight_bits,
                row.recipe.expand_ratio,
                clip(row.recipe.clip),
                row.recipe.activation_bits,
                row.recipe.scales,
                row.recipe.rounding,
                score.value(row).map_or_else(String::new, |value| score.show(value)),
                score.interval(row).map_or_else(String::new, |[low, high]| {
                    format!("{} to {}", score.show(low), score.show(high))
                }),
                added(row.overhead.weights),
                percent(row.overhead.size),
                (row.overhead.file_bytes).map_or_else(String::new, |bytes| full_count(bytes.div_ceil(1000))),
                (row.latency.as_ref()).map_or_else(String::new, |latency| format!("{:.3}", latency.time.median_ms)),
                if front.contains(place) { "●" } else { "" }
            );
        }
        let more = if rows.len() > SHOWN {
            format!("<p class=\"quiet\">The best {SHOWN} of {} rows.</p>", rows.len())
        } else {
            String::new()
        };
        text + "</tbody></table></div>" + &more + "</section>\n"
    }
}

fn figure(rows: &[SweepRow], (score, size): (Score, SizeMeasure), front: &[usize]) -> Figure {
    let height = |value: f64| score.on_axis(value);
    let point = |row: &SweepRow| Some([size.on_axis(row), height(score.value(row)?)]);
    let interval = |row: &SweepRow| Some((size.on_axis(row), score.interval(row)?.map(height)));
    let all: Vec<[f64; 2]> = rows.iter().filter_map(point).filter(|[_, y]| y.is_finite()).collect();
    let mut best: Vec<[f64; 2]> = front.iter().filter_map(|place| point(&rows[*place])).collect();
    best.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let nothing = [f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::NEG_INFINITY];
    let [left, right, low, high] = all.iter().fold(nothing, |[left, right, low, high], [x, y]| {
        [left.min(*x), right.max(*x), low.min(*y), high.max(*y)]
    });
    let (left, right) = if left <= right { (left, right) } else { (0.0, 1.0) };
    let side = ((right - left) * 0.04).max(right.abs() * 0.01).max(1e-3);
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let room = ((high - low) * 0.08).max(0.5);
    Figure {
        title: "Score of each setting against its size".to_owned(),
        x: size.axis().to_owned(),
        y: score.label().to_owned(),
        x_range: (left - side, right + side),
        y_range: (low - room, high + room),
        scale: Scale::Linear,
        series: vec![
            Series::new(
                "95 % interval",
                Token::Original,
                Shape::Intervals(rows.iter().filter_map(interval).collect()),
            )
            .opacity(0.4),
            Series::new("settings", Token::Original, Shape::Points(all)),
            Series::new("Pareto front", Token::Quantized, Shape::Line(best)),
        ],
    }
}
