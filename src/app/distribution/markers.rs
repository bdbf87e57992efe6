//! Where each way to choose the clip threshold would put it: a label each above the plot, to be clicked.

use super::super::text;
use super::super::theme::{faded, thin, tokens};
use crate::quantization::Clip;
use crate::session::ClipMark;
use egui::{Align2, Color32, CursorIcon, Rect, Sense, TextStyle, Ui, WidgetInfo, pos2, vec2};
use egui_plot::{PlotPoint, PlotTransform};

/// Rows of labels at most.
const ROWS: usize = 4;
/// Height of a row, points.
const ROW: f32 = 15.0;
/// Points left and right of a label's text.
const MARGIN: f32 = 3.0;

/// Height of the plot that the labels take, points.
pub(in crate::app) const MARKERS_HEIGHT: f32 = ROW * ROWS as f32 + 4.0;

/// A mark and its label in the plot.
pub(in crate::app) struct Marker<'a> {
    mark: &'a ClipMark,
    /// Where its threshold is, points.
    x: f32,
    /// The label.
    pub(in crate::app) place: Rect,
}

/// Where the marks in sight have their labels.
pub(in crate::app) fn markers<'a>(ui: &Ui, transform: &PlotTransform, marks: &'a [ClipMark]) -> Vec<Marker<'a>> {
    let frame = *transform.frame();
    let font = TextStyle::Small.resolve(ui.style());
    let mut places: Vec<(f32, &ClipMark)> = marks
        .iter()
        .map(|mark| {
            let at = PlotPoint::new(f64::from(mark.threshold), 0.0);
            (transform.position_from_point(&at).x, mark)
        })
        .filter(|(x, _)| frame.x_range().contains(*x))
        .collect();
    places.sort_by(|a, b| a.0.total_cmp(&b.0));
    let widths: Vec<f32> = places
        .iter()
        .map(|(_, mark)| {
            let layout = ui
                .painter()
                .layout_no_wrap(label(mark.clip), font.clone(), Color32::PLACEHOLDER);
            layout.size().x + 2.0 * MARGIN
        })
        .collect();
    let xs: Vec<f32> = places.iter().map(|(x, _)| *x).collect();
    let arranged = arranged(&xs, &widths, frame.min.x, frame.max.x);
    let placed = places.into_iter().zip(widths).zip(arranged);
    placed
        .map(|(((x, mark), width), (left, row))| {
            let corner = pos2(left, frame.min.y + 2.0 + row as f32 * ROW);
            let place = Rect::from_min_size(corner, vec2(width, ROW - 1.0));
            Marker { mark, x, place }
        })
        .collect()
}

/// Draws the marks over a plot with that `frame`; `what` says what is clipped. Tells which was clicked.
pub(in crate::app) fn markers_ui(
    ui: &mut Ui,
    frame: Rect,
    markers: &[Marker<'_>],
    present: Clip,
    what: &str,
) -> Option<Clip> {
    let colors = tokens(ui);
    let font = TextStyle::Small.resolve(ui.style());
    let mut clicked = None;
    for Marker { mark, x, place: rect } in markers {
        let rect = *rect;
        let response = ui.interact(
            rect,
            ui.scope_id().with(("clip mark", what, label(mark.clip))),
            Sense::click(),
        );
        let value = text::three_digits(f64::from(mark.threshold));
        let name = format!("Clip {what} by {}: {value}", text::clip(mark.clip));
        response.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, &name));
        let is_present = std::mem::discriminant(&mark.clip) == std::mem::discriminant(&present);
        let hovered = response.hovered();
        let color = if is_present || hovered {
            ui.visuals().strong_text_color()
        } else {
            ui.visuals().text_color()
        };
        let painter = ui.painter().with_clip_rect(frame);
        let line = [pos2(*x, rect.max.y), pos2(*x, frame.max.y)];
        let strength = if hovered { 0.9 } else { 0.22 };
        painter.line_segment(line, thin(faded(colors.handle, strength)));
        painter.rect_filled(rect, 3.0, faded(ui.visuals().panel_fill, 0.85));
        if is_present {
            painter.rect_filled(rect, 3.0, faded(ui.visuals().selection.bg_fill, 0.8));
        } else if hovered {
            painter.rect_stroke(rect, 3.0, thin(color), egui::StrokeKind::Inside);
        }
        painter.text(
            rect.center(),
            Align2::CENTER_CENTER,
            label(mark.clip),
            font.clone(),
            color,
        );
        let help = format!(
            "{} would clip {what} at {value}. Click to take it for this layer.",
            text::clip(mark.clip)
        );
        let response = response.on_hover_cursor(CursorIcon::PointingHand).on_hover_text(help);
        if response.clicked() && !is_present {
            clicked = Some(mark.clip);
        }
    }
    clicked
}

/// A short name.
fn label(clip: Clip) -> String {
    match clip {
        Clip::Percentile(percent) => format!("{percent} %"),
        other => text::clip(other),
    }
}

/// Left end and row of each label: in the first row in which it doesn't lie on the one before it. `xs` ascend.
fn arranged(xs: &[f32], widths: &[f32], low: f32, high: f32) -> Vec<(f32, usize)> {
    let mut ends = [f32::NEG_INFINITY; ROWS];
    let place = |(x, width): (&f32, &f32)| {
        let left = (x - width / 2.0).min(high - width).max(low);
        let free = ends.iter().position(|end| *end + 1.0 <= left);
        let row = free.unwrap_or_else(|| (0..ROWS).min_by(|a, b| ends[*a].total_cmp(&ends[*b])).unwrap_or(0));
        // With no row free it moves to the right of the shortest.
        let left = left.max(ends[row] + 1.0).min(high - width);
        ends[row] = left + width;
        (left, row)
    };
    xs.iter().zip(widths).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_near_thresholds_lie_in_rows_of_their_own() {
        let found = arranged(&[100.0, 104.0, 108.0, 200.0], &[30.0; 4], 0.0, 300.0);
        assert_eq!(found, [(85.0, 0), (89.0, 1), (93.0, 2), (185.0, 0)]);
    }

    #[test]
    fn no_label_leaves_the_plot() {
        let found = arranged(&[2.0, 299.0], &[40.0; 2], 0.0, 300.0);
        assert_eq!(found, [(0.0, 0), (260.0, 0)]);
    }
}
