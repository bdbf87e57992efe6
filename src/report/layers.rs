//! The table of layers.

use super::figure::{Ink, mini_histogram};
use super::gather::{LayerReport, Report};
use super::html::escaped;
use super::numbers::{decibels, full_count, shape, short_number, three_digits};
use super::palette::SQNR_RANGE_DB;
use super::palette::Token;
use std::fmt::Write as _;

impl Report {
    pub(super) fn layers_html(&self) -> String {
        let mut text = format!(
            "<section><h2>Layers</h2>\n<p class=\"quiet\">Weights <i class=\"key\" style=\"background:var(--original)\"></i>before and \
             <i class=\"key\" style=\"background:var(--quantized)\"></i>after splitting, heights logarithmic. Outliers lie beyond {} \
             σ.</p>\n<div class=\"scroll\"><table class=\"layers\"><thead><tr><th>Layer</th><th>Operator</th><th>Shape</th>\
             <th>Weights</th><th>Farthest, σ</th><th>Outliers</th><th>Bits</th><th>Splits</th><th>Threshold</th><th>Input bits</th>\
             <th class=\"wide\">SQNR</th></tr></thead><tbody>\n",
            short_number(self.sigma)
        );
        for layer in &self.layers {
            text.push_str(&row(layer));
        }
        text + "</tbody></table></div></section>\n"
    }
}

fn row(layer: &LayerReport) -> String {
    let mut text = format!(
        "<tr><th scope=\"row\">{}</th><td class=\"left\">{}</td><td>{}</td>",
        escaped(&layer.name),
        escaped(&layer.op),
        shape(&layer.shape)
    );
    let inks = [Ink::Token(Token::Original), Ink::Token(Token::Quantized)];
    let drawing = match &layer.counts {
        [Some(before), after] => mini_histogram(before, after.as_deref(), inks),
        _ => String::new(),
    };
    let statistics = layer.statistics.as_ref();
    // Writing into a string cannot fail.
    let _ = match statistics {
        Ok(_) => write!(
            text,
            "<td class=\"mini\">{drawing}</td><td>{}</td><td>{}</td>",
            layer.farthest_in_sigma().map(three_digits).unwrap_or_default(),
            full_count(layer.outliers)
        ),
        Err(why) => write!(text, "<td colspan=\"3\" class=\"left quiet\">{}</td>", escaped(why)),
    };
    let _ = match &layer.outcome {
        Err(why) => writeln!(
            text,
            "<td>float</td><td colspan=\"4\" class=\"left quiet\">{}</td></tr>",
            escaped(why)
        ),
        Ok(quantized) => writeln!(
            text,
            "<td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}</tr>",
            quantized.grid.bits,
            quantized.splits.len(),
            three_digits(quantized.threshold.into()),
            quantized
                .activation
                .map_or_else(|| "float".to_owned(), |activation| activation.grid.bits.to_string()),
            sqnr_cell(quantized.sqnr_db)
        ),
    };
    text
}

/// The number with a bar as long as it is good.
fn sqnr_cell(sqnr_db: f64) -> String {
    let (bad, good) = SQNR_RANGE_DB;
    let share = ((sqnr_db - bad) / (good - bad)).clamp(0.02, 1.0) * 100.0;
    format!(
        "<td class=\"wide sqnr\"><span class=\"bar\" style=\"width:{share:.0}%\"></span><span>{}</span></td>",
        decibels(sqnr_db)
    )
}
