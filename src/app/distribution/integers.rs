//! A layer that is quantized already: how often each level of its integers is used, and what a level stands for.

use crate::app::Outbox;
use crate::app::plot::export::figure_menu;
use crate::app::plot::figure::{Dashes, Figure, Series, Shape};
use crate::app::plot::histogram::y_range;
use crate::app::plot::{Scale, Token, draw, histogram_plot, swatch};
use crate::app::text::{self, note};
use crate::app::theme::tokens;
use crate::network::IntegerGrid;
use crate::session::OpenNetwork;
use egui::Ui;

/// Height of the lines below the plot, points.
const READOUT: f32 = 46.0;
/// Levels below which each bar is drawn apart from the next.
const APART: i32 = 80;

/// State between frames.
pub(super) struct Integers {
    scale: Scale,
    /// All levels of the type, not only the range in use.
    all_levels: bool,
}

impl Default for Integers {
    fn default() -> Self {
        Self {
            scale: Scale::Log,
            all_levels: false,
        }
    }
}

impl Integers {
    /// Draws choices, histogram and readout into the `height` that is given.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, grid: &IntegerGrid, height: f32, out: &mut Outbox) {
        let top = ui.cursor().top();
        self.legend_ui(ui, grid);
        let plot_height = (height - (ui.cursor().top() - top) - READOUT).max(80.0);
        self.plot_ui(ui, open, grid, plot_height, out);
        ui.add(egui::Label::new(meaning(grid)).truncate());
        ui.add(egui::Label::new(note(used(grid))).truncate());
    }

    fn legend_ui(&mut self, ui: &mut Ui, grid: &IntegerGrid) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            ui.selectable_value(&mut self.scale, Scale::Log, "log")
                .on_hover_text("Counts on a logarithmic axis: a single one stays visible.");
            ui.selectable_value(&mut self.scale, Scale::Linear, "linear")
                .on_hover_text("Counts on a linear axis: true proportions.");
            ui.separator();
            ui.selectable_value(&mut self.all_levels, false, "levels in use")
                .on_hover_text("From the least to the greatest integer that a weight has.");
            let all = format!("all of {}", grid.element_type);
            ui.selectable_value(&mut self.all_levels, true, all).on_hover_text(
                "All integers that the type can hold: what is left empty is room that the network pays for.",
            );
            ui.separator();
            let what = "Weights at each level, as they are stored.";
            swatch(ui, tokens(ui).quantized, "levels", what);
        });
    }

    /// First and last level in sight.
    fn levels(&self, grid: &IntegerGrid) -> (i32, i32) {
        let last = grid.level(grid.counts.len().saturating_sub(1));
        match grid.reach() {
            Some((low, high)) if !self.all_levels => ((low - 1).max(grid.least), (high + 1).min(last)),
            _ => (grid.least, last),
        }
    }

    fn plot_ui(&self, ui: &mut Ui, open: &OpenNetwork, grid: &IntegerGrid, height: f32, out: &mut Outbox) {
        let (low, high) = self.levels(grid);
        let (counts, part) = bars(grid, low, high);
        let bars = Shape::steps(f64::from(low) - 0.5, part, &counts);
        let mut series = vec![Series::new(&grid.element_type, Token::Quantized, bars).opacity(0.85)];
        series.extend(grid.zero_point().map(|zero| {
            let line = Shape::Uprights(vec![f64::from(zero)]);
            let line = Series::new("zero-point", Token::Handle, line).opacity(0.5);
            line.dashes(Dashes::DashedDense)
        }));
        let most = counts.iter().copied().max().unwrap_or(0);
        let figure = Figure {
            title: format!("integers of {}", open.selected_name()),
            x: "level (integer)".to_owned(),
            y: "weights at the level".to_owned(),
            x_range: (f64::from(low) - 1.0, f64::from(high) + 1.0),
            y_range: y_range(self.scale, most as f64, 1.08),
            scale: self.scale,
            series,
        };
        let plot = histogram_plot(
            "integer histogram",
            "level (integer)",
            "weights at the level",
            height,
            self.scale,
        );
        let shown = plot.show(ui, |plot| {
            draw(plot, &figure);
            plot.pointer_coordinate().filter(|_| plot.response().hovered())
        });
        if let Some(pointer) = shown.inner {
            let level = pointer.x.round().clamp(f64::from(low), f64::from(high)) as i32;
            shown.response.clone().on_hover_text_at_pointer(level_text(grid, level));
        }
        figure_menu(ui, &shown.response, "Plot of the integers", out, || {
            // In the file a bar is a level; on the screen it leaves room between the levels.
            let counts: Vec<u64> = (low..=high).map(|level| grid.count(level)).collect();
            let mut figure = figure;
            if let Some(bars) = figure.series.first_mut() {
                bars.shape = Shape::steps(f64::from(low) - 0.5, 1.0, &counts);
            }
            figure
        });
    }
}

/// Counts in equal bins from `low` to `high`, and the width of a bin in levels.
fn bars(grid: &IntegerGrid, low: i32, high: i32) -> (Vec<u64>, f64) {
    let counts = (low..=high).map(|level| grid.count(level));
    if high - low > APART {
        return (counts.collect(), 1.0);
    }
    // The bar takes eight tenths, in the middle of its level.
    let bins = counts.flat_map(|count| (0..10).map(move |part| if (1..9).contains(&part) { count } else { 0 }));
    (bins.collect(), 0.1)
}

/// What a level stands for, and where that is said.
fn meaning(grid: &IntegerGrid) -> String {
    let Some(scale) = &grid.scale else {
        return format!("{}: the file has no constant scale for them", grid.element_type);
    };
    let name = text::elide_middle(&scale.name, 36);
    let zero = match (grid.zero_point(), scale.zero_points.is_empty()) {
        (Some(zero), false) => format!("zero-point {zero}"),
        (Some(_), true) => "no zero-point (0)".to_owned(),
        (None, _) => format!("{} zero-points", scale.zero_points.len()),
    };
    match scale.values.as_slice() {
        [step] => format!(
            "{}: weight = (level − zero-point) × {} ('{name}'), {zero}",
            grid.element_type,
            text::three_digits(f64::from(*step))
        ),
        all => {
            let low = all.iter().copied().fold(f32::INFINITY, f32::min);
            let high = all.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            format!(
                "{}: {} scales from {} to {} {} ('{name}'), {zero}",
                grid.element_type,
                all.len(),
                text::three_digits(f64::from(low)),
                text::three_digits(f64::from(high)),
                match scale.block {
                    Some(block) => format!("in blocks of {block} along axis {}", scale.axis),
                    None => format!("along axis {}", scale.axis),
                }
            )
        }
    }
}

/// How much of the type's room is used.
fn used(grid: &IntegerGrid) -> String {
    let Some((low, high)) = grid.reach() else {
        return "No weights.".to_owned();
    };
    let levels = grid.counts.len() as u64;
    let number = |level: i32| level.to_string().replace('-', "−");
    let mut text = format!(
        "{} of {} levels used, {} to {}",
        text::full_count(grid.used() as u64),
        text::full_count(levels),
        number(low),
        number(high)
    );
    if let Some(bits) = grid.bits_in_use() {
        text += &format!(": {bits} bits would hold them");
    }
    if grid.rounded_when_run {
        text += " · the file holds floats, rounded by QuantizeLinear when the network runs";
    }
    text
}

/// A level's weights, and the number that it stands for.
fn level_text(grid: &IntegerGrid, level: i32) -> String {
    let count = text::plural(grid.count(level), "weight", "weights");
    let total: u64 = grid.counts.iter().sum();
    let share = text::percent(grid.count(level) as f64 / total.max(1) as f64);
    let shown = level.to_string().replace('-', "−");
    let mut lines = format!("level {shown}: {count} ({share})");
    if let (Some(scale), Some(zero)) = (&grid.scale, grid.zero_point())
        && let [step] = scale.values[..]
    {
        let value = f64::from(step) * f64::from(level - zero);
        lines += &format!("\nstands for {}", text::three_digits(value));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Scale as Steps;

    fn grid() -> IntegerGrid {
        let mut counts = vec![0; 256];
        for (level, count) in [(-3, 5), (0, 90), (2, 5)] {
            counts[(level + 128) as usize] = count;
        }
        IntegerGrid {
            element_type: "int8".to_owned(),
            least: -128,
            counts,
            scale: Some(Steps {
                name: "conv1.weight.scale".to_owned(),
                values: vec![0.25],
                zero_points: vec![0],
                axis: 1,
                block: None,
            }),
            rounded_when_run: false,
        }
    }

    #[test]
    fn the_readout_names_scale_zero_point_and_levels() {
        assert_eq!(
            meaning(&grid()),
            "int8: weight = (level − zero-point) × 0.250 ('conv1.weight.scale'), zero-point 0"
        );
        assert_eq!(used(&grid()), "3 of 256 levels used, −3 to 2: 3 bits would hold them");
        assert_eq!(
            level_text(&grid(), -3),
            "level −3: 5 weights (5.0 %)\nstands for −0.750"
        );
    }

    #[test]
    fn bars_lie_in_the_middle_of_their_levels_and_hold_their_counts() {
        let (counts, part) = bars(&grid(), -4, 3);
        assert_eq!((counts.len(), part), (80, 0.1));
        let at = |x: f64| counts[((x + 4.5) / part) as usize];
        assert_eq!([-3.0, -2.55, -1.0, 0.3, 0.45].map(at), [5, 0, 0, 90, 0]);
        let (counts, part) = bars(&grid(), -128, 127);
        assert_eq!((counts.iter().sum::<u64>(), counts.len(), part), (100, 256, 1.0));
    }
}
