//! Explanations: a table of terms, short lessons on the open network's own weights, and a tour.
//!
//! A lesson is a file: an interactive figure, three sentences with this layer's numbers, and a button that does to the layer
//! what the figure shows. A new one is a variant of [`Lesson`] and a line in each of its matches.

mod clipping;
mod cost;
mod duplicating;
pub(super) mod glossary;
mod grid;
mod outlier;
mod rounding;
mod sample;
mod scales;
mod scene;
mod splitting;
pub(super) mod spotlight;
pub(super) mod tour;

use super::Outbox;
use super::command::Command;
use super::text;
use crate::session::OpenNetwork;
use egui::{ScrollArea, Ui};
use glossary::Term;
use sample::Sample;
use scene::Scene;

/// Width of the sliders of lessons, points: they are moved in front of people.
const SLIDER: f32 = 260.0;

/// The lessons, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Lesson {
    #[default]
    Grid,
    Outlier,
    Clipping,
    Splitting,
    Duplicating,
    Cost,
    Scales,
    Rounding,
}

impl Lesson {
    const ALL: [Self; 8] = [
        Self::Grid,
        Self::Outlier,
        Self::Clipping,
        Self::Splitting,
        Self::Duplicating,
        Self::Cost,
        Self::Scales,
        Self::Rounding,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Grid => "What a grid is",
            Self::Outlier => "What an outlier costs",
            Self::Clipping => "What clipping trades",
            Self::Splitting => "Splitting one weight",
            Self::Duplicating => "Duplicating a channel",
            Self::Cost => "What it costs",
            Self::Scales => "One scale or many",
            Self::Rounding => "Which integer a weight gets",
        }
    }
}

/// State of the view between frames.
#[derive(Default)]
pub(super) struct LearnPanel {
    lesson: Lesson,
    grid: grid::GridLesson,
    outlier: outlier::OutlierLesson,
    clipping: clipping::ClippingLesson,
    splitting: splitting::SplittingLesson,
    duplicating: duplicating::DuplicatingLesson,
    cost: cost::CostLesson,
    scales: scales::ScalesLesson,
    rounding: rounding::RoundingLesson,
    sample: Sample,
}

impl LearnPanel {
    /// Draws the view into all that is left of `ui`.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
        self.navigation_ui(ui, out);
        ui.separator();
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.heading(self.lesson.title());
            let Some((_, view)) = open.view() else {
                ui.label("Select a layer with weights: the lesson is about them.");
                return;
            };
            self.sample.refresh(open);
            ui.spacing_mut().slider_width = SLIDER.min(ui.available_width() * 0.4);
            let scene = Scene::new(open, view, &self.sample);
            match self.lesson {
                Lesson::Grid => self.grid.ui(ui, &scene, out),
                Lesson::Outlier => self.outlier.ui(ui, &scene, out),
                Lesson::Clipping => self.clipping.ui(ui, &scene, out),
                Lesson::Splitting => self.splitting.ui(ui, &scene, out),
                Lesson::Duplicating => self.duplicating.ui(ui, &scene, out),
                Lesson::Cost => self.cost.ui(ui, &scene, out),
                Lesson::Scales => self.scales.ui(ui, &scene, out),
                Lesson::Rounding => self.rounding.ui(ui, &scene, out),
            }
            ui.add_space(8.0);
            words_ui(ui);
        });
    }

    fn navigation_ui(&mut self, ui: &mut Ui, out: &mut Outbox) {
        let place = Lesson::ALL
            .iter()
            .position(|lesson| *lesson == self.lesson)
            .unwrap_or(0);
        ui.horizontal_wrapped(|ui| {
            let before = place.checked_sub(1).map(|i| Lesson::ALL[i]);
            let after = Lesson::ALL.get(place + 1).copied();
            for (name, to) in [("Previous lesson", before), ("Next lesson", after)] {
                let response = ui.add_enabled(to.is_some(), egui::Button::new(name));
                let response = response.on_hover_text(to.map_or("", Lesson::title));
                if let Some(to) = to.filter(|_| response.clicked()) {
                    self.lesson = to;
                }
            }
            let name = ui.label(format!("Lesson {} of {}", place + 1, Lesson::ALL.len()));
            egui::ComboBox::from_id_salt("lessons")
                .selected_text(self.lesson.title())
                .width(170.0)
                .show_ui(ui, |ui| {
                    for lesson in Lesson::ALL {
                        ui.selectable_value(&mut self.lesson, lesson, lesson.title());
                    }
                })
                .response
                .labelled_by(name.id);
            let tour = Command::Tour;
            if ui.button(tour.text()).on_hover_text(tour.tooltip()).clicked() {
                out.commands.push(tour);
            }
        });
    }
}

/// All terms with their explanations.
fn words_ui(ui: &mut Ui) {
    ui.collapsing("Words", |ui| {
        for term in Term::ALL {
            ui.strong(term.name());
            ui.add(egui::Label::new(text::note(term.text())).wrap());
        }
    });
}
