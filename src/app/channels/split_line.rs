//! The level above which channels are split, as a line to drag: it sets the layer's expand ratio.

use super::super::theme::faded;
use super::super::{Outbox, text};
use crate::session::{Action, LayerView, OpenNetwork};
use egui::{Align2, Color32, RichText};
use egui_plot::{HLine, LineStyle, PlotPoint, PlotUi, Text};

/// Points around the line in which it is grabbed.
const NEAR: f32 = 6.0;

/// A hand on the line, from one frame to the next.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LineGrip {
    pub(super) hot: bool,
    dragging: bool,
}

/// Draws the line at the present number of splits; a drag changes the ratio, a double click takes the network's again.
pub(super) fn split_line(
    plot: &mut PlotUi<'_>,
    open: &OpenNetwork,
    view: &LayerView,
    grip: &mut LineGrip,
    highest: f64,
    color: Color32,
    out: &mut Outbox,
) {
    let index = open.selected();
    let Some(layer) = open.original.network.layers.get(index) else {
        return;
    };
    let ratio = open.settings(index).weights.expand_ratio;
    let splits = crate::quantization::split_count(&layer.layout, ratio);
    let level = level_of(&view.levels, splits);
    let response = plot.response().clone();
    let pointer = response.hover_pos();
    let y = plot.screen_from_plot(PlotPoint::new(0.0, level)).y;
    let near = pointer.is_some_and(|pointer| (pointer.y - y).abs() < NEAR);
    let (pressed, down, moved) = response.ctx.input(|input| {
        let pointer = &input.pointer;
        (
            pointer.primary_pressed(),
            pointer.primary_down(),
            pointer.delta().y != 0.0,
        )
    });
    let was_dragging = grip.dragging;
    grip.dragging = (grip.dragging || near && pressed) && down;
    grip.hot = near || grip.dragging;

    let line = HLine::new("split line", level)
        .color(color)
        .width(if grip.hot { 2.5 } else { 1.5 })
        .style(LineStyle::dashed_dense());
    plot.hline(line.allow_hover(false));
    let bounds = plot.plot_bounds();
    let at = PlotPoint::new(bounds.max()[0], level);
    let name = format!("split above {} ", text::three_digits(level));
    // Over the bars that it may lie on.
    let ground = plot.ctx().global_style().visuals.extreme_bg_color;
    let label = RichText::new(name).small().background_color(faded(ground, 0.75));
    let above = level < highest * 0.9;
    let anchor = if above { Align2::RIGHT_BOTTOM } else { Align2::RIGHT_TOP };
    plot.text(
        Text::new("split line", at, label)
            .color(faded(color, 1.0))
            .anchor(anchor)
            .allow_hover(false),
    );

    if grip.dragging
        && moved
        && let Some(pointer) = plot.pointer_coordinate()
    {
        let wanted = splits_for(&view.levels, pointer.y);
        if wanted != splits {
            let ratio = ratio_of(wanted, layer.layout.channels);
            out.edit_layer(open, true, |layer| layer.expand_ratio = Some(ratio));
        }
    }
    if was_dragging && !down {
        out.actions.push(Action::EndGesture);
    }
    if near && response.double_clicked() {
        out.edit_layer(open, false, |layer| layer.expand_ratio = None);
    }
}

/// Where the line lies: between the last weight that was halved and the next one.
fn level_of(levels: &[f32], splits: usize) -> f64 {
    let at = |i: usize| levels.get(i).or(levels.last()).copied().map_or(0.0, f64::from);
    if splits == 0 {
        at(0) * 1.04
    } else {
        (at(splits - 1) + at(splits)) / 2.0
    }
}

/// The fewest splits that leave nothing above `level`.
fn splits_for(levels: &[f32], level: f64) -> usize {
    levels
        .iter()
        .position(|left| f64::from(*left) <= level)
        .unwrap_or(levels.len().saturating_sub(1))
}

/// The expand ratio that asks for that many splits of so many channels, with as few digits as tell it apart.
fn ratio_of(splits: usize, channels: usize) -> f64 {
    let exact = splits as f64 / channels.max(1) as f64;
    let short = (exact * 1e4).floor() / 1e4;
    // Down, not up: the number of splits is rounded up.
    if short * channels as f64 > splits as f64 - 1.0 + 1e-6 || splits == 0 {
        short
    } else {
        exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Layout, OutAxis};
    use crate::quantization::split_count;

    #[test]
    fn the_line_lies_below_the_channels_that_are_split_and_leads_back_to_their_number() {
        let levels = [8.0_f32, 6.0, 4.0, 3.0];
        assert_eq!(
            [0, 1, 2, 3].map(|splits| level_of(&levels, splits)),
            [8.32, 7.0, 5.0, 3.5]
        );
        for splits in 0..3 {
            assert_eq!(splits_for(&levels, level_of(&levels, splits)), splits);
        }
        assert_eq!(splits_for(&levels, 0.1), 3, "as far as the levels go");
    }

    #[test]
    fn a_ratio_asks_for_the_splits_that_it_was_made_for() {
        for channels in [3, 16, 64, 97, 512, 2048, 50_000] {
            let layout = Layout {
                groups: 1,
                outer: 1,
                channels,
                inner: 1,
                out_axis: OutAxis::Outer,
                out_run: 1,
            };
            for splits in [0, 1, 2, 3, channels / 7, channels / 2, channels] {
                let splits = splits.min(channels);
                assert_eq!(
                    split_count(&layout, ratio_of(splits, channels)),
                    splits,
                    "{channels} channels"
                );
            }
        }
    }
}
