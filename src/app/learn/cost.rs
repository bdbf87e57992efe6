//! Lesson: each split costs a channel and gains less than the one before.

use super::super::{Outbox, text};
use super::scene::{FIGURE, Scene, sentences};
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Dashes, Figure, Series, Shape};
use crate::app::plot::{Scale, Token, draw, number_plot};
use crate::session::Action;
use egui::{Slider, Ui};

/// Percent of added channels at the end of the slider.
const MOST: f64 = 20.0;
/// Numbers of splits that get a dot each.
const MOST_DOTS: usize = 60;

pub(super) struct CostLesson {
    percent: f64,
}

impl Default for CostLesson {
    fn default() -> Self {
        Self { percent: 5.0 }
    }
}

impl CostLesson {
    pub(super) fn ui(&mut self, ui: &mut Ui, scene: &Scene<'_>, out: &mut Outbox) {
        let levels = &scene.view.levels;
        let Some(layer) = scene.open.original.network.layers.get(scene.open.selected()) else {
            return;
        };
        if levels.is_empty() {
            ui.label("This layer cannot be split. Select another one to see what splits cost.");
            return;
        }
        let channels = layer.layout.channels.max(1);
        let percent = |splits: usize| splits as f64 / channels as f64 * 100.0;
        plot_ui(ui, scene, percent, self.percent, out);
        ui.horizontal(|ui| {
            let label = ui.label("Expand ratio");
            let slider = Slider::new(&mut self.percent, 0.0..=MOST).suffix(" %").step_by(0.5);
            ui.add(slider).labelled_by(label.id);
        });
        let ratio = (self.percent * 100.0).round() / 1e4;
        let splits = crate::quantization::split_count(&layer.layout, ratio);
        let left = levels.get(splits).or(levels.last()).copied().unwrap_or(0.0);
        let whole = levels.first().copied().unwrap_or(0.0);
        let now = scene.open.planned().map(|(_, planned)| planned.overhead.weights);
        sentences(
            ui,
            [
                format!(
                    "{splits} of {channels} channels split leave a largest weight of {} instead of {}: a step {:.2} times as \
                     large.",
                    text::three_digits(f64::from(left)),
                    text::three_digits(f64::from(whole)),
                    f64::from(left) / f64::from(whole).max(1e-30)
                ),
                format!(
                    "They add {} of this layer's weights; the network under the present recipe has {} parameters.",
                    text::added(1.0 + percent(splits) / 100.0),
                    now.map_or_else(|| "?".to_owned(), text::added)
                ),
                "The first splits take the few largest weights and gain most; later ones meet many channels of the same \
                 size, and the curve runs flat."
                    .to_owned(),
            ],
        );
        ui.horizontal_wrapped(|ui| {
            scene.try_it(ui, "Try it on this layer", out, |layer| {
                layer.expand_ratio = Some(ratio);
            });
            let whole = ui.button("Try it on the whole network");
            if whole
                .on_hover_text("Sets the expand ratio of all layers; Undo takes it back.")
                .clicked()
            {
                let mut recipe = scene.open.recipe().clone();
                recipe.expand_ratio = ratio;
                out.actions.push(Action::EditRecipe {
                    recipe: Box::new(recipe),
                    gesture: false,
                });
            }
        });
    }
}

fn plot_ui(ui: &mut Ui, scene: &Scene<'_>, percent: impl Fn(usize) -> f64, ratio: f64, out: &mut Outbox) {
    let levels = &scene.view.levels;
    let shown_levels = levels.iter().enumerate();
    let points: Vec<[f64; 2]> = shown_levels
        .map(|(splits, level)| [percent(splits), f64::from(*level)])
        .take_while(|[x, _]| *x <= MOST * 1.5)
        .collect();
    let most = points.iter().fold((MOST, f64::MIN_POSITIVE), |most, [x, y]| {
        (most.0.max(*x), most.1.max(*y))
    });
    // Nothing lies between two numbers of splits: each is a dot as long as they can be told apart.
    let dots = if points.len() <= MOST_DOTS {
        points.clone()
    } else {
        Vec::new()
    };
    let figure = Figure {
        title: format!("largest weight against splits of {}", scene.open.selected_name()),
        x: "channels added, %".to_owned(),
        y: "largest |w| left".to_owned(),
        x_range: (most.0 * -0.05, most.0 * 1.05),
        y_range: (most.1 * -0.05, most.1 * 1.05),
        scale: Scale::Linear,
        series: vec![
            Series::new("largest |w|", Token::Split, Shape::Line(points))
                .width(2.0)
                .dashes(Dashes::Solid),
            Series::new("splits", Token::Split, Shape::Points(dots)).width(4.0),
            Series::new("expand ratio", Token::Handle, Shape::Uprights(vec![ratio])).width(1.5),
        ],
    };
    let shown = number_plot("lesson cost", &figure, (FIGURE, 52.0), 40.0).show(ui, |plot| draw(plot, &figure));
    figure_menu(ui, &shown.response, "Plot of the lesson", out, || figure);
}
