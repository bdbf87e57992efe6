//! The exact counts of the bin under the pointer, and whose weights they are.

use super::super::plot::Steps;
use super::super::{lit, text};
use crate::session::{LayerView, Members};
use egui_plot::PlotUi;

/// Shows the counts beside the pointer.
pub(super) fn hover(
    plot: &PlotUi<'_>,
    view: &LayerView,
    before: &Steps<'_>,
    after: Option<&Steps<'_>>,
    staircase: bool,
) {
    let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
        return;
    };
    let Some(bin) = before.bin(pointer.x) else { return };
    let low = before.low + before.width * bin as f64;
    let count = text::plural(before.counts[bin], "weight", "weights");
    let mut lines = format!(
        "{} to {}\nbefore: {count}",
        text::three_digits(low),
        text::three_digits(low + before.width)
    );
    match view.members.get(&bin) {
        Some(members) => lines += &channels_text(members),
        None => {
            let apart = view.stacked.iter().filter(|channel| channel.before[bin] > 0);
            for channel in apart {
                lines += &format!(
                    "\n  channel {}: {}",
                    channel.channel,
                    text::full_count(channel.before[bin])
                );
            }
        }
    }
    if let Some(after) = after {
        lines += &format!("\nafter splitting: {}", text::full_count(after.counts[bin]));
    }
    if let Some(after) = view.after.as_deref().filter(|_| staircase) {
        let grid = after.quantized.grid;
        let index = grid.index(pointer.x as f32);
        let count = after
            .staircase
            .steps()
            .find(|(q, _)| *q == index)
            .map_or(0, |(_, count)| count);
        lines += &format!(
            "\nrounded to {}: {}",
            text::three_digits(f64::from(grid.value(index))),
            text::full_count(count)
        );
    }
    plot.response().clone().on_hover_text_at_pointer(lines);
}

/// Lights the channel whose weights alone lie in the bin under the pointer, or the largest of those that are drawn apart there.
pub(super) fn light(plot: &PlotUi<'_>, layer: usize, view: &LayerView, before: &Steps<'_>, after: Option<&Steps<'_>>) {
    let Some(pointer) = plot.pointer_coordinate().filter(|_| plot.response().hovered()) else {
        return;
    };
    let Some(bin) = before.bin(pointer.x) else { return };
    let there = |counts: &Vec<u64>| counts.get(bin).is_some_and(|count| *count > 0);
    let of_stack = view.stacked.iter().find(|channel| match (after, &channel.after) {
        (Some(_), Some(after)) => there(after),
        _ => there(&channel.before),
    });
    let alone = view
        .members
        .get(&bin)
        .and_then(|members| match members.channels.as_slice() {
            [one] if !members.more => Some(*one),
            _ => None,
        });
    if let Some(channel) = of_stack.map(|channel| channel.channel).or(alone) {
        lit::light(plot.ctx(), layer, channel);
    }
}

/// `, input channels 3, 7`.
fn channels_text(members: &Members) -> String {
    let names: Vec<String> = members.channels.iter().map(usize::to_string).collect();
    let (what, more) = match (members.channels.len(), members.more) {
        (1, false) => ("channel", ""),
        (_, false) => ("channels", ""),
        (_, true) => ("channels", ", …"),
    };
    format!(", input {what} {}{more}", names.join(", "))
}
