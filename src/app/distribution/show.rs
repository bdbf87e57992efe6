//! What a histogram shows besides its bars: one compact menu.

use super::super::learn::glossary::Term;
use super::super::plot::{Scale, scale_ui};
use egui::PopupCloseBehavior;
use egui::Ui;
use egui::containers::menu::{MenuButton, MenuConfig};

/// The switches of the menu.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::app) struct Show {
    pub(in crate::app) scale: Scale,
    /// The weights as they are.
    pub(in crate::app) before: bool,
    /// The largest channels in colours of their own.
    pub(in crate::app) channels: bool,
    /// Spikes at the values of the grid.
    pub(in crate::app) staircase: bool,
    /// The curves that ACIQ fits.
    pub(in crate::app) fits: bool,
    /// Where each way to clip would clip.
    pub(in crate::app) clips: bool,
    /// The outermost values are marked and labelled.
    pub(in crate::app) outliers: bool,
}

impl Default for Show {
    fn default() -> Self {
        Self {
            scale: Scale::Log,
            before: true,
            channels: true,
            staircase: false,
            fits: false,
            clips: true,
            outliers: true,
        }
    }
}

impl Show {
    /// The menu. `of_weights`: with what only weights have.
    pub(in crate::app) fn menu_ui(&mut self, ui: &mut Ui, of_weights: bool) {
        let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
        let (response, _) = MenuButton::new("Show ▾").config(config).ui(ui, |ui| {
            let row = |ui: &mut Ui, on: &mut bool, name: &str, why: &str| {
                ui.checkbox(on, name).on_hover_text(why);
            };
            if of_weights {
                row(
                    ui,
                    &mut self.before,
                    "Before splitting",
                    "The weights as they are in the file, behind those after splitting.",
                );
            }
            row(
                ui,
                &mut self.channels,
                "Largest channels in colour",
                Term::Outlier.text(),
            );
            if of_weights {
                row(
                    ui,
                    &mut self.staircase,
                    "Staircase after rounding",
                    Term::Staircase.text(),
                );
            }
            row(
                ui,
                &mut self.outliers,
                "Outlier labels",
                "A mark on the largest values beyond the bounds, with their channel and distance.",
            );
            row(ui, &mut self.clips, "Clip methods", Term::ClipMarks.text());
            row(ui, &mut self.fits, "Fitted curves (ACIQ)", Term::Fits.text());
            ui.separator();
            ui.horizontal(|ui| {
                ui.label("Counts");
                scale_ui(ui, &mut self.scale);
            });
        });
        response.on_hover_text("Choose what the histogram shows.");
    }
}
