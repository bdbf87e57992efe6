//! Where the error comes from: why the selected layer hurts and what mends it, its error against splits and bits, each layer's
//! share in the outputs' error, and where along the graph it arises.

mod cause;
mod curves;
mod massive;
mod sensitivity;
mod trace;

pub(super) use cause::{cost_text, lost_text, one_digit};

use super::Outbox;
use super::text::note;
use super::widgets::{failure_ui, waiting_ui};
use crate::network::Support;
use crate::quantization::Granularity;
use crate::session::{Kind, OpenNetwork, Session, Watched};
use egui::{Label, ScrollArea, Ui};

/// Parts of the view, of which one is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Section {
    #[default]
    Cause,
    Curves,
    Trace,
    Massive,
}

impl Section {
    const ALL: [Self; 4] = [Self::Cause, Self::Curves, Self::Trace, Self::Massive];

    fn title(self) -> &'static str {
        match self {
            Self::Cause => "Cause and fixes",
            Self::Curves => "Curves and sensitivity",
            Self::Trace => "Along the graph",
            Self::Massive => "Massive values",
        }
    }

    fn tooltip(self) -> &'static str {
        match self {
            Self::Cause => "Why this layer costs accuracy, and what each fix wins and costs.",
            Self::Curves => {
                "This layer's error against splits and bits, and how sensitive the network is to each layer."
            }
            Self::Trace => "Every value of the graph, float against quantized: where the error arises.",
            Self::Massive => {
                "Single activations and weights that the network hangs on, and how it answers without each."
            }
        }
    }
}

/// State of the view between frames.
#[derive(Default)]
pub(super) struct ErrorsPanel {
    section: Section,
    cause: cause::CauseSection,
    trace: trace::TraceSection,
    /// What was drawn in this frame.
    drawn: Option<Section>,
}

impl ErrorsPanel {
    /// Draws the chosen section into what is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        ui.horizontal_wrapped(|ui| {
            for section in Section::ALL {
                let button = egui::Button::selectable(self.section == section, section.title());
                if ui.add(button).on_hover_text(section.tooltip()).clicked() {
                    self.section = section;
                }
            }
        });
        ui.separator();
        self.drawn = Some(self.section);
        let left = ui.available_height().min(height);
        if self.section == Section::Trace {
            self.trace.ui(ui, session, open, left, out);
            return;
        }
        // Fixes and massive values are tables, which may be wider than a narrow window.
        let scrolls = [self.section != Section::Curves, true];
        ScrollArea::new(scrolls)
            .auto_shrink(false)
            .show(ui, |ui| match self.section {
                Section::Cause | Section::Trace => self.cause.ui(ui, session, open, left * 0.4, out),
                Section::Curves => {
                    curves_ui(ui, session, open, (left * 0.5).clamp(150.0, 380.0), out);
                    ui.separator();
                    sensitivity::sensitivity_ui(ui, session, open, out);
                }
                Section::Massive => massive::massive_ui(ui, session, open, out),
            });
    }

    /// At the end of a frame: tells what was drawn, which is computed only while somebody sees it.
    pub(super) fn watch(&mut self, watched: &mut Watched) {
        let drawn = self.drawn.take();
        watched.error_curves = drawn == Some(Section::Curves);
        watched.cure = drawn == Some(Section::Cause);
        watched.trace |= drawn == Some(Section::Trace);
    }
}

fn curves_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
    match (open.error_curves(), open.error_curves_failure()) {
        (_, Some(reason)) => {
            failure_ui(ui, "The error curves cannot be computed", reason);
        }
        (Some((_, found)), None) if found.by_bits.is_empty() => {
            ui.label("No error curves: a weight of this layer is NaN or infinite.");
        }
        (Some((key, found)), None) => curves::curves_ui(ui, open, key, found, height, out),
        (None, None) => {
            let layer = open.original.network.layers.get(open.selected());
            match layer.map(|layer| &layer.support) {
                None => {
                    ui.label("This network has no layer with weights.");
                }
                Some(Support::View(reason)) => {
                    let what = format!("This layer can only be looked at, so it has no error: {reason}.");
                    ui.add(Label::new(what).wrap());
                }
                Some(_) => {
                    let what = "Computing the error curves…";
                    waiting_ui(ui, session, &[Kind::ErrorCurves], what, height, out);
                }
            }
        }
    }
    if open.effective(open.selected()).weights.scales != Granularity::Tensor {
        let text =
            "The curves are for one scale a tensor: the recipe's scales for each channel are left out of account.";
        ui.add(Label::new(note(text)).wrap());
    }
}
