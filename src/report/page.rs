//! The page around the sections: its head, its look, how to read it.

use super::gather::Report;
use super::html::escaped;
use super::numbers::short_number;
use super::palette::{DARK, LIGHT};

/// Everything but colours.
const STYLE: &str = "
*{box-sizing:border-box}
html{color-scheme:light dark}
body{margin:0;background:var(--ground);color:var(--text);font:15px/1.5 system-ui,sans-serif;font-variant-numeric:tabular-nums}
main{max-width:1180px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:26px;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:19px;margin:40px 0 10px}
h3{font-size:15px;margin:0;overflow-wrap:anywhere}
.quiet{color:var(--quiet)}
svg{display:block;width:100%;height:auto}
table{border-collapse:collapse}
th,td{padding:5px 10px;text-align:right;vertical-align:middle;border-bottom:1px solid var(--rule)}
th{font-weight:600}
th[scope=row],th:first-child,td.left{text-align:left}
thead th{vertical-align:bottom;font-size:13px;color:var(--quiet)}
i{display:inline-block;width:11px;height:11px;margin-right:8px;border-radius:2px}
i.key{width:9px;height:9px;margin-right:4px}
.headline{width:100%;margin:20px 0 6px}
.headline .big{font-size:22px;font-weight:600;white-space:nowrap}
.headline svg{width:240px}
.cards{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0 0}
.card{flex:1 1 150px;display:flex;flex-direction:column;padding:10px 14px;background:var(--panel);border-radius:8px;font-size:13px}
.card strong{font-size:20px}
.scroll{overflow-x:auto}
.layers{width:100%;font-size:13px}
.layers td,.layers th{white-space:nowrap}
.layers th[scope=row]{white-space:normal;min-width:min(150px,30vw);max-width:320px;overflow-wrap:break-word}
.layers td.left.quiet{white-space:normal}
td.mini{padding:2px 10px}
svg.mini{width:120px;height:23px}
.sqnr{min-width:120px;position:relative}
.sqnr .bar{position:absolute;left:6px;bottom:3px;height:3px;background:var(--quantized);max-width:calc(100% - 12px)}
figure{margin:20px 0 0;padding:14px 16px 6px;background:var(--panel);border-radius:8px;break-inside:avoid}
figcaption{margin-bottom:8px;font-size:13px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:12px;margin-top:10px}
pre{background:var(--panel);padding:12px 14px;border-radius:8px;overflow-x:auto;font-size:13px}
.facts td{text-align:left;overflow-wrap:anywhere}
.facts th{font-weight:400;color:var(--quiet);white-space:nowrap;vertical-align:top}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 16px}
dt{font-weight:600}dd{margin:0}
@media(max-width:640px){main{padding:16px 12px 40px}.headline .wide{display:none}th,td{padding:5px 6px}dl{grid-template-columns:1fr;gap:2px}dd{margin-bottom:8px}figure{padding:10px 8px 4px}figure>svg{min-width:760px}.pair svg{min-width:400px}figure{overflow-x:auto}}
@media print{body{font-size:11px}main{max-width:none;padding:0}figure,.card,pre{background:none;border:1px solid var(--rule)}.scroll{overflow:visible}.layers{font-size:9px}th,td{padding:2px 4px}thead{display:table-header-group}tr{break-inside:avoid}h2{break-after:avoid}}
";

impl Report {
    /// The page: HTML with its style and drawings inside, no scripts, and nothing that a browser would fetch.
    pub fn page(&self) -> String {
        let name = escaped(&self.name);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
             style-src 'unsafe-inline'\">\n<meta name=\"generator\" content=\"Splitscope {version}\">\n<title>{name} at {bits}</title>\n\
             <style>\n:root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}{STYLE}</style>\n</head>\n\
             <body>\n<main>\n<header><h1>{name} at {bits}</h1><span class=\"quiet\">What quantization does to this network</span></header>\n\
             {headline}{layers}{details}{sweep}{provenance}{reading}</main>\n</body>\n</html>\n",
            version = self.provenance.version,
            bits = escaped(&self.bits),
            light = LIGHT.css(),
            dark = DARK.css(),
            headline = self.headline_html(),
            layers = self.layers_html(),
            details = self.details_html(),
            sweep = self.sweep_html(),
            provenance = self.provenance_html(),
            reading = reading_html(self.sigma),
        )
    }
}

/// The words of the page, each in a sentence or two.
fn reading_html(sigma: f64) -> String {
    let words = [
        (
            "Grid, bits",
            "Quantized weights take one of 2 to 256 equally distant values. A layer's largest weight decides how far apart they are: \
             that distance is the step."
                .to_owned(),
        ),
        (
            "Outlier",
            format!(
                "A weight more than {} standard deviations (σ) from the mean of its layer. A single one can stretch the grid until all \
                 other weights share a few of its values.",
                short_number(sigma)
            ),
        ),
        (
            "Split",
            "The input channel of an outlier is duplicated and its weights are shared out between the copies. The layer computes what it \
             computed, its largest weight is smaller, and so is the step."
                .to_owned(),
        ),
        (
            "Threshold",
            "Weights beyond it are clipped to it: a smaller step for the many, an error for the few.".to_owned(),
        ),
        (
            "SQNR",
            "Strength of the weights (or outputs) over strength of their error, in decibels. More is better: 6 dB are worth about one \
             bit. Copies of a channel are added up before the error is taken."
                .to_owned(),
        ),
        ("Plain", "The same bits without splitting and clipping: the thing to beat.".to_owned()),
        (
            "Interval",
            "Where the accuracy on other samples of the same kind would lie, 95 times in 100 (Wilson 1927). Networks whose intervals \
             overlap widely are not told apart by this many samples."
                .to_owned(),
        ),
    ];
    let words: String = words
        .iter()
        .map(|(word, meaning)| format!("<dt>{word}</dt><dd>{meaning}</dd>\n"))
        .collect();
    format!(
        "<section><h2>How to read this</h2>\n<dl>\n{words}</dl>\n<p class=\"quiet\">Method: Zhao, Hu, Dotzel, De Sa, Zhang, <cite>Improving \
         Neural Network Quantization without Retraining using Outlier Channel Splitting</cite>, ICML 2019, arXiv:1901.09504.</p></section>\n"
    )
}
