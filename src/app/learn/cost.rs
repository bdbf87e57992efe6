//! Lesson: each split costs a channel and gains less than the one before.

use super::super::theme::{ink, tokens};
use super::super::{Outbox, text};
use super::scene::{FIGURE, Scene, sentences};
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Figure, Series, Shape};
use crate::app::plot::{Scale, number_marks, number_text};
use crate::session::Action;
use egui::{Slider, Ui};
use egui_plot::{Line, Plot, PlotPoints, Points, VLine};

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
    let colors = tokens(ui);
    let levels = &scene.view.levels;
    let shown_levels = levels.iter().enumerate();
    let points: Vec<[f64; 2]> = shown_levels
        .map(|(splits, level)| [percent(splits), f64::from(*level)])
        .take_while(|[x, _]| *x <= MOST * 1.5)
        .collect();
    let shown = Plot::new("lesson cost")
        .height(FIGURE)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_drag(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .include_y(0.0)
        .include_x(MOST)
        .x_axis_label("channels added, %")
        .y_axis_label("largest |w| left")
        .y_axis_min_width(52.0)
        .x_grid_spacer(|input| number_marks(&input, 80.0))
        .x_axis_formatter(|mark, _| number_text(&mark))
        .y_grid_spacer(|input| number_marks(&input, 40.0))
        .y_axis_formatter(|mark, _| number_text(&mark))
        .label_formatter(|_| None)
        .show(ui, |plot| {
            plot.line(
                Line::new("largest |w|", PlotPoints::from(points.clone()))
                    .color(colors.split)
                    .width(2.0),
            );
            // Nothing lies between two numbers of splits: each is a dot as long as they can be told apart.
            if points.len() <= MOST_DOTS {
                let dots = Points::new("splits", points.clone()).color(colors.split);
                plot.points(dots.radius(4.0).allow_hover(false));
            }
            plot.vline(VLine::new("expand ratio", ratio).color(colors.handle).width(1.5));
        });
    let most = points.iter().fold((MOST, f64::MIN_POSITIVE), |most, [x, y]| {
        (most.0.max(*x), most.1.max(*y))
    });
    figure_menu(ui, &shown.response, "Plot of the lesson", out, || Figure {
        title: format!("largest weight against splits of {}", scene.open.selected_name()),
        x: "channels added, %".to_owned(),
        y: "largest |w| left".to_owned(),
        x_range: (0.0, most.0),
        y_range: (0.0, most.1 * 1.05),
        scale: Scale::Linear,
        series: vec![Series {
            name: "largest |w|".to_owned(),
            color: ink(colors.split),
            shape: Shape::Line(points),
        }],
    });
}
