//! The distribution of a layer's weights, as small as a row of the table.

use super::super::theme::{thin, tokens};
use crate::statistics::{Histogram, TensorStatistics};
use egui::{Rect, Sense, Ui, pos2, vec2};

/// Least height of a bin with a weight in it, points: a single outlier among millions is seen.
const LEAST: f32 = 2.5;

/// Draws square roots of counts; bins that lie beyond `sigma` standard deviations from the mean in the colour of outliers. The ends
/// are where the largest magnitude is, on the side where it is.
pub(super) fn outline_ui(ui: &mut Ui, outline: &Histogram, statistics: &TensorStatistics, sigma: f64) {
    let size = vec2(ui.available_width().min(80.0), ui.available_height() - 3.0);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    let colors = tokens(ui);
    let tallest = outline.counts.iter().copied().max().unwrap_or(0).max(1) as f32;
    let width = rect.width() / outline.counts.len().max(1) as f32;
    let painter = ui.painter();
    painter.line_segment([rect.left_bottom(), rect.right_bottom()], thin(colors.grid));
    let bins = outline.counts.len();
    for (bin, &count) in outline.counts.iter().enumerate() {
        let middle = outline.low + (bin as f64 + 0.5) * outline.bin_width();
        let is_end = (bin == 0 && -f64::from(statistics.min) >= outline.high)
            || (bin + 1 == bins && f64::from(statistics.max) >= outline.high);
        if count == 0 && !is_end {
            continue;
        }
        let end = if bin == 0 { outline.low } else { outline.high };
        let place = if is_end { end } else { middle };
        let is_outlier = (place - statistics.mean).abs() > sigma * statistics.std;
        let height = ((count as f32 / tallest).sqrt() * rect.height()).max(LEAST);
        let left = rect.left() + bin as f32 * width;
        let bar = Rect::from_min_max(pos2(left, rect.bottom() - height), pos2(left + width, rect.bottom()));
        let color = if is_outlier { colors.outlier } else { colors.original };
        painter.rect_filled(bar, 0.0, color);
    }
}
