//! What every lesson shows: the selected layer, its histogram, three sentences, a button.

use super::super::Outbox;
use super::super::plot::export::figure_menu;
use super::super::plot::figure::Figure;
use super::super::plot::histogram::{Histogram, y_range};
use super::super::plot::{Scale, Token, draw, histogram_plot};
use super::sample::Sample;
use crate::quantization::{Grid, LayerRecipe};
use crate::session::{LayerView, OpenNetwork, whole_range};
use egui::{Label, Response, Ui};

/// Height of a lesson's figure, points.
pub(super) const FIGURE: f32 = 190.0;

/// The layer that a lesson is about.
pub(super) struct Scene<'a> {
    pub(super) open: &'a OpenNetwork,
    pub(super) view: &'a LayerView,
    pub(super) sample: &'a Sample,
    /// Bits of its weights; 3 for a float layer.
    pub(super) bits: u8,
    /// Its largest |w|.
    pub(super) max_abs: f32,
}

impl<'a> Scene<'a> {
    pub(super) fn new(open: &'a OpenNetwork, view: &'a LayerView, sample: &'a Sample) -> Self {
        let statistics = open.selected_facts().and_then(|facts| facts.readable());
        Self {
            open,
            view,
            sample,
            bits: open.settings(open.selected()).weights.bits.grid().unwrap_or(3),
            max_abs: statistics
                .map_or(1.0, |statistics| statistics.max_abs)
                .max(f32::MIN_POSITIVE),
        }
    }

    /// The layer's grid as its settings make it, or one that reaches to its largest weight.
    pub(super) fn grid(&self) -> Grid {
        let after = self.view.after.as_deref();
        after.map_or_else(
            || Grid::symmetric(self.bits, self.max_abs),
            |after| after.quantized.grid,
        )
    }

    /// The largest |w| of each output channel, in their order.
    pub(super) fn channel_reach(&self) -> Vec<f32> {
        let statistics = self.open.selected_facts().and_then(|facts| facts.readable());
        statistics.map_or_else(Vec::new, |statistics| statistics.out_channel_max_abs.clone())
    }

    /// Share of the weights that satisfy `of`.
    pub(super) fn share(&self, of: impl Fn(f32) -> bool) -> f64 {
        let found = self.sample.values.iter().filter(|x| of(**x)).count();
        found as f64 / self.sample.values.len().max(1) as f64
    }

    /// The histogram of the layer as it is under a `grid`, those weights marked as outliers that satisfy `is_outlier`; `told`
    /// says what the pointer is on.
    pub(super) fn histogram(
        &self,
        ui: &mut Ui,
        id: &str,
        grid: Grid,
        is_outlier: impl Fn(f64) -> bool,
        out: &mut Outbox,
        told: impl FnOnce(f64) -> Option<String>,
    ) {
        let (low, high) = self.view.range;
        let counts: Vec<f64> = self.view.before.counts.iter().map(|count| *count as f64).collect();
        let mut drawn = Histogram::new(low, (high - low) / counts.len().max(1) as f64);
        drawn.bars("weights", Token::Original, 0.85, &counts, |x| !is_outlier(x));
        drawn.bars("outliers", Token::Outlier, 1.0, &counts, &is_outlier);
        drawn.grid(grid);
        let most = counts.iter().copied().fold(0.0, f64::max);
        let figure = Figure {
            title: format!("weights of {}", self.open.selected_name()),
            x: "weight".to_owned(),
            y: "weights in a bin".to_owned(),
            x_range: whole_range(self.max_abs),
            y_range: y_range(Scale::Log, most, 1.15),
            scale: Scale::Log,
            series: drawn.series,
        };
        let plot = histogram_plot(id, "weight", "weights in a bin", FIGURE, Scale::Log);
        let shown = plot.show(ui, |plot| {
            draw(plot, &figure);
            let pointer = plot.pointer_coordinate().filter(|_| plot.response().hovered());
            if let Some(told) = pointer.and_then(|pointer| told(pointer.x)) {
                plot.response().clone().on_hover_text_at_pointer(told);
            }
        });
        figure_menu(ui, &shown.response, "Plot of the lesson", out, || figure);
    }

    /// A button that does it to the selected layer.
    pub(super) fn try_it(
        &self,
        ui: &mut Ui,
        name: &str,
        out: &mut Outbox,
        edit: impl FnOnce(&mut LayerRecipe),
    ) -> Response {
        let layer = self.open.original.network.layers.get(self.open.selected());
        let can = layer.is_some_and(|layer| layer.support.can_quantize());
        let response = ui.add_enabled(can, egui::Button::new(name));
        if response.clicked() {
            self.open_edit(out, edit);
        }
        response
            .on_hover_text(format!(
                "Sets it for {} alone; Undo takes it back.",
                self.open.selected_name()
            ))
            .on_disabled_hover_text("This layer can only be looked at. Select another one.")
    }

    fn open_edit(&self, out: &mut Outbox, edit: impl FnOnce(&mut LayerRecipe)) {
        out.edit_layer(self.open, false, |layer| {
            edit(layer);
            // It would show nothing on a layer that is kept float.
            if self.open.settings(self.open.selected()).weights.bits.grid().is_none() {
                layer.float = Some(false);
            }
        });
    }
}

/// The three sentences of a lesson.
pub(super) fn sentences(ui: &mut Ui, sentences: [String; 3]) {
    for sentence in sentences {
        ui.add(Label::new(sentence).wrap());
    }
    ui.add_space(4.0);
}
