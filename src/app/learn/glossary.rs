//! The one table of terms: each explained in two sentences, for hover texts and for the `?` beside a word.

use egui::{Popup, Response, Sense, Ui, WidgetInfo, vec2};

/// A term that a person may not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::app) enum Term {
    Weight,
    Layer,
    Channel,
    Grid,
    Bits,
    Step,
    Rounding,
    Outlier,
    Sigma,
    Split,
    ExpandRatio,
    QaSplit,
    Clip,
    Threshold,
    Mse,
    Sqnr,
    Overhead,
    Activation,
    Calibration,
    Staircase,
    Fits,
    ClipMarks,
    SplitLevel,
    HeatMap,
    Plain,
    Agreement,
    Sensitivity,
    Massive,
    TopOne,
    Perplexity,
    BatchNorm,
    Mac,
}

impl Term {
    /// All terms, in the order of the list.
    pub(in crate::app) const ALL: [Self; 32] = [
        Self::Weight,
        Self::Layer,
        Self::Channel,
        Self::Grid,
        Self::Bits,
        Self::Step,
        Self::Rounding,
        Self::Outlier,
        Self::Sigma,
        Self::Split,
        Self::ExpandRatio,
        Self::QaSplit,
        Self::Clip,
        Self::Threshold,
        Self::Mse,
        Self::Sqnr,
        Self::Overhead,
        Self::Activation,
        Self::Calibration,
        Self::Staircase,
        Self::Fits,
        Self::ClipMarks,
        Self::SplitLevel,
        Self::HeatMap,
        Self::Plain,
        Self::Agreement,
        Self::Sensitivity,
        Self::Massive,
        Self::TopOne,
        Self::Perplexity,
        Self::BatchNorm,
        Self::Mac,
    ];

    /// What it is called.
    pub(in crate::app) fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Layer => "layer",
            Self::Channel => "input channel",
            Self::Grid => "grid",
            Self::Bits => "bits",
            Self::Step => "step",
            Self::Rounding => "rounding error",
            Self::Outlier => "outlier",
            Self::Sigma => "σ (sigma)",
            Self::Split => "channel splitting (OCS)",
            Self::ExpandRatio => "expand ratio",
            Self::QaSplit => "quantization-aware split",
            Self::Clip => "clipping",
            Self::Threshold => "threshold",
            Self::Mse => "MSE",
            Self::Sqnr => "SQNR",
            Self::Overhead => "overhead",
            Self::Activation => "activation",
            Self::Calibration => "calibration",
            Self::Staircase => "staircase",
            Self::Fits => "fitted curves",
            Self::ClipMarks => "clip methods",
            Self::SplitLevel => "split line",
            Self::HeatMap => "heat map",
            Self::Plain => "plain",
            Self::Agreement => "agreement",
            Self::Sensitivity => "sensitivity",
            Self::Massive => "massive activation",
            Self::TopOne => "top-1",
            Self::Perplexity => "perplexity",
            Self::BatchNorm => "batch-norm",
            Self::Mac => "MAC",
        }
    }

    /// What it means, in two sentences.
    pub(in crate::app) fn text(self) -> &'static str {
        match self {
            Self::Weight => {
                "A number that the network learnt. A layer multiplies its inputs by such numbers and adds the products up."
            }
            Self::Layer => "One step of the network with weights of its own. Each layer here gets a grid of its own.",
            Self::Channel => {
                "All weights of a layer that multiply the same input. Splitting duplicates whole input channels, so that \
                 the network computes what it did before."
            }
            Self::Grid => {
                "The only values that a quantized weight can have: multiples of one step, from −threshold to +threshold. \
                 Every weight moves to the nearest of them."
            }
            Self::Bits => {
                "How many bits a number is stored in. k bits give 2^k − 1 values, so each bit less makes the grid about \
                 twice as coarse."
            }
            Self::Step => {
                "The distance between neighbouring values of the grid. Rounding moves a weight by half a step at most."
            }
            Self::Rounding => {
                "How far weights move to the nearest value of the grid. It grows with the square of the step."
            }
            Self::Outlier => {
                "A weight much further from the mean than most others. The largest one decides how far the grid must reach, \
                 and so how coarse it is for all the rest."
            }
            Self::Sigma => {
                "The standard deviation of the layer's weights: how wide most of them lie. An outlier is what lies more \
                 than a chosen number of σ from the mean."
            }
            Self::Split => {
                "An input channel is duplicated and each copy carries half of its weights. The sum stays, but the largest \
                 weight is half as large, so the grid can be finer for every weight of the layer."
            }
            Self::ExpandRatio => {
                "How many input channels may be added, as a share of those there are. More splits make a finer grid and a \
                 larger network."
            }
            Self::QaSplit => {
                "The two halves are moved by a quarter of a step in opposite directions before they are rounded. Together \
                 they then round to exactly what the whole weight rounds to, so splitting adds no rounding error."
            }
            Self::Clip => {
                "The grid ends before the largest weight, and what lies beyond is cut down to its end. A few large errors \
                 are traded for a finer grid under all other weights."
            }
            Self::Threshold => "Where the grid ends on either side. Drag the line in the histogram to move it.",
            Self::Mse => {
                "Mean squared error: how far the weights that the network sees are from the original ones. Rounding makes \
                 one part of it and clipping the other."
            }
            Self::Sqnr => {
                "Signal to quantization noise: how strong the weights are against their error, in decibels. 6 dB more is \
                 about as good as one bit more."
            }
            Self::Overhead => {
                "What splitting adds to the network: parameters, inputs of layers, multiplications. It is the price of the \
                 finer grid."
            }
            Self::Activation => {
                "A number that flows into a layer when the network runs. It can be put on a grid as the weights are."
            }
            Self::Calibration => {
                "Running some samples to see which values flow into the layers. Without data, the ranges come from \
                 batch-norm statistics or from noise."
            }
            Self::Staircase => {
                "How many weights land on each value of the grid after rounding. Few tall steps mean that different \
                 weights have become the same."
            }
            Self::Fits => {
                "A Gaussian (dashed) and a Laplacian (dotted) with the same spread as the weights. ACIQ clips where the \
                 better one of them says that it is best."
            }
            Self::ClipMarks => {
                "Where each way to choose the threshold would put it. Click one to take it for this layer."
            }
            Self::SplitLevel => {
                "Channels with a weight above this line are split at the present expand ratio. Drag it to split more or \
                 fewer."
            }
            Self::HeatMap => {
                "One column a channel, values upwards, darker where more weights lie. An outlier channel is a column that \
                 reaches further than its neighbours."
            }
            Self::Plain => "The same number of bits without splitting or clipping. It is the result to beat.",
            Self::Agreement => {
                "How often the quantized network gives the same answer as the float network. It needs no labels."
            }
            Self::Sensitivity => {
                "What one layer alone does to the network's outputs when only it is quantized. Bits and splits are best spent on the \
                 layers that are sensitive."
            }
            Self::Massive => {
                "A number among the network's values that is far beyond all others, mostly in one channel and at the first token of a \
                 text; a single weight, called a super weight, may make it. Language models hang on such numbers."
            }
            Self::TopOne => {
                "The share of samples for which the network's first answer is right. The ± beside it is one standard error: other \
                 samples would give a slightly other number."
            }
            Self::Perplexity => {
                "Between how many characters, words or tokens the network hesitates, on average, when it guesses the next one. Less is better, and 1 \
                 would be perfect."
            }
            Self::BatchNorm => {
                "A step after a layer that scales and shifts each of its channels. Folding multiplies it into the layer's weights, so \
                 that the same function needs one step less."
            }
            Self::Mac => {
                "Multiply-accumulate: one product added to a sum, the unit of a network's work. A copy of a channel adds as many as the \
                 channel has."
            }
        }
    }
}

/// Width of an explanation, points.
const WIDTH: f32 = 300.0;

/// A small `?` that opens the explanation of a term in place.
pub(in crate::app) fn help_ui(ui: &mut Ui, term: Term) -> Response {
    explain_ui(ui, term.name(), term.text())
}

/// The same for the words of a legend: one `?` that explains all of them.
pub(in crate::app) fn words_help_ui(ui: &mut Ui, of: &str, terms: &[Term]) -> Response {
    let response = question_ui(ui, &format!("What do the words of {of} mean?"));
    Popup::from_toggle_button_response(&response).show(|ui| {
        ui.set_max_width(WIDTH);
        for term in terms {
            ui.strong(term.name());
            ui.label(term.text());
        }
    });
    response.on_hover_text("What do these words mean?")
}

/// A small `?` that opens `text` in place: what `name` means or does.
pub(in crate::app) fn explain_ui(ui: &mut Ui, name: &str, text: &str) -> Response {
    let response = question_ui(ui, &format!("What is {name}?"));
    Popup::from_toggle_button_response(&response).show(|ui| {
        ui.set_max_width(WIDTH);
        ui.strong(name);
        ui.label(text);
    });
    response.on_hover_text(text)
}

fn question_ui(ui: &mut Ui, label: &str) -> Response {
    let size = vec2(14.0, 14.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, label));
    let visuals = ui.style().interact(&response);
    let strong = response.hovered() || response.has_focus();
    let ink = if strong {
        visuals.fg_stroke.color
    } else {
        ui.visuals().weak_text_color().gamma_multiply(0.7)
    };
    ui.painter()
        .circle_stroke(rect.center(), 6.0, egui::Stroke::new(1.0, ink));
    let font = egui::TextStyle::Small.resolve(ui.style());
    ui.painter()
        .text(rect.center(), egui::Align2::CENTER_CENTER, "?", font, ink);
    response.on_hover_cursor(egui::CursorIcon::Help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_is_explained_in_two_sentences_under_its_own_name() {
        for (i, term) in Term::ALL.into_iter().enumerate() {
            let sentences = term.text().matches(". ").count() + usize::from(term.text().ends_with('.'));
            assert_eq!(sentences, 2, "{}: {}", term.name(), term.text());
            assert!(Term::ALL[..i].iter().all(|other| other.name() != term.name()));
        }
    }
}
