//! Where the error comes from: the selected layer's against splits and bits, and each layer's share in the outputs' error.

mod curves;
mod sensitivity;

use super::Outbox;
use super::text::note;
use super::widgets::{failure_ui, waiting_ui};
use crate::network::Support;
use crate::quantization::Granularity;
use crate::session::{Kind, OpenNetwork, Session};
use egui::{Label, ScrollArea, Ui};

/// State of the view between frames.
#[derive(Default)]
pub(super) struct ErrorsPanel {
    /// It was drawn in this frame.
    drawn: bool,
}

impl ErrorsPanel {
    /// Draws curves and sensitivity into what is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, height: f32, out: &mut Outbox) {
        self.drawn = true;
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            curves_ui(ui, session, open, (height * 0.5).clamp(150.0, 380.0), out);
            ui.separator();
            sensitivity::sensitivity_ui(ui, session, open, out);
        });
    }

    /// At the end of a frame: whether it was drawn. The curves are computed only while somebody sees them.
    pub(super) fn drawn(&mut self) -> bool {
        std::mem::take(&mut self.drawn)
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
