//! The boxes of the graph: where they lie on the screen, how they look, what a click on one selects.

use super::colors::Colors;
use crate::app::Outbox;
use crate::app::network::layers_figure;
use crate::app::plot::export::menu;
use crate::app::text;
use crate::app::theme::{faded, readable_on, thin, tokens};
use crate::session::{Drawing, DrawnNode, OpenNetwork};
use egui::{
    Align2, Color32, FontId, Painter, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo, pos2, vec2,
};

/// From one column or row to the next, in the graph's own points.
pub(super) const STEP: Vec2 = vec2(190.0, 50.0);
/// Size of a box with weights, and of one without.
const LAYER: Vec2 = vec2(168.0, 34.0);
const SMALL: Vec2 = vec2(96.0, 18.0);
/// Names are not drawn any smaller, points on the screen.
const LEAST_TEXT: f32 = 5.5;

/// Which part of the graph is in sight.
pub(super) struct Frame {
    pub(super) rect: Rect,
    /// The point of the graph in the middle.
    pub(super) middle: Pos2,
    pub(super) zoom: f32,
}

impl Frame {
    /// A point of the graph on the screen.
    pub(super) fn point(&self, point: Pos2) -> Pos2 {
        self.rect.center() + (point - self.middle) * self.zoom
    }

    /// A rectangle of the graph on the screen.
    pub(super) fn on_screen(&self, rect: Rect) -> Rect {
        Rect::from_min_max(self.point(rect.min), self.point(rect.max))
    }

    /// The first and the last row in sight, with one more on each side.
    pub(super) fn rows(&self) -> (f32, f32) {
        let half = self.rect.height() / 2.0 / self.zoom;
        let row = |y: f32| y / STEP.y;
        (row(self.middle.y - half) - 1.0, row(self.middle.y + half) + 1.0)
    }
}

/// The box of a node, in the graph's own points.
pub(super) fn box_rect(drawing: &Drawing, node: usize) -> Rect {
    let placement = &drawing.placement;
    let centre = pos2(placement.column[node] * STEP.x, placement.row[node] as f32 * STEP.y);
    let size = if drawing.nodes[node].layers.is_empty() {
        SMALL
    } else {
        LAYER
    };
    Rect::from_center_size(centre, size)
}

/// Draws the boxes in sight; returns the layer whose box was clicked. A box of several layers goes on to the next of them.
pub(super) fn boxes_ui(
    ui: &Ui,
    painter: &Painter,
    drawing: &Drawing,
    frame: &Frame,
    open: &OpenNetwork,
    shown: &Colors<'_>,
    out: &mut Outbox,
) -> Option<usize> {
    let (first, last) = frame.rows();
    let mut clicked = None;
    let rows = drawing.placement.rows.iter().enumerate();
    for (_, row) in rows.filter(|(row, _)| (first..=last).contains(&(*row as f32))) {
        for &node in row {
            let rect = frame.on_screen(box_rect(drawing, node));
            if !rect.intersects(frame.rect) {
                continue;
            }
            let found = &drawing.nodes[node];
            let response = ui.interact(
                rect.intersect(frame.rect),
                ui.scope_id().with(("node", node)),
                Sense::click(),
            );
            let label = label(found, open, shown);
            let selected = found.layers.contains(&open.selected());
            response.widget_info(|| WidgetInfo::selected(Role::Button, !found.layers.is_empty(), selected, &label));
            draw(ui, painter, rect, (found, open, shown), frame.zoom, response.hovered());
            if response.clicked() && !found.layers.is_empty() {
                let present = found.layers.iter().position(|layer| *layer == open.selected());
                let next = present.map_or(0, |place| (place + 1) % found.layers.len());
                clicked = Some(found.layers[next]);
            }
            menu(&response, frame.rect, out, || layers_figure(open, None));
            response.on_hover_text(label);
        }
    }
    clicked
}

fn label(node: &DrawnNode, open: &OpenNetwork, shown: &Colors<'_>) -> String {
    let Some(&layer) = node.layers.first() else {
        return format!("Node {} {}", node.op, node.name);
    };
    let what = shown.text_of(node, layer);
    format!("Node {} {}, {what}", node.op, open.original.network.layers[layer].name)
}

fn draw(
    ui: &Ui,
    painter: &Painter,
    rect: Rect,
    (node, open, shown): (&DrawnNode, &OpenNetwork, &Colors<'_>),
    zoom: f32,
    hovered: bool,
) {
    let colors = tokens(ui);
    let visuals = ui.visuals();
    let selected = node.layers.contains(&open.selected());
    let stroke = if selected {
        Stroke::new(2.5, visuals.selection.stroke.color)
    } else if hovered && !node.layers.is_empty() {
        Stroke::new(1.5, visuals.text_color())
    } else {
        thin(colors.grid)
    };
    let error = shown.of(node);
    let fill = match &error {
        Some(error) => error.color,
        None if node.layers.is_empty() => visuals.faint_bg_color,
        None => faded(colors.original, 0.35),
    };
    painter.rect(rect, 4.0 * zoom, fill, stroke, StrokeKind::Inside);
    let size = 12.0 * zoom;
    if size < LEAST_TEXT {
        return;
    }
    let ink = if error.is_some() {
        readable_on(fill)
    } else {
        visuals.text_color()
    };
    let font = FontId::proportional(size);
    let Some(&layer) = node.layers.first() else {
        let small = FontId::proportional(size * 0.85);
        write(
            painter,
            rect.center(),
            &node.op,
            &small,
            visuals.weak_text_color(),
            rect.width(),
        );
        return;
    };
    let what = shown.text_of(node, layer);
    let layer = &open.original.network.layers[layer];
    let (upper, lower) = rect.split_top_bottom_at_fraction(0.52);
    write(
        painter,
        upper.center() + vec2(0.0, zoom),
        &layer.name,
        &font,
        ink,
        rect.width() - 8.0 * zoom,
    );
    let small = FontId::proportional(size * 0.85);
    write(
        painter,
        lower.center() - vec2(0.0, zoom),
        &format!("{} · {what}", node.op),
        &small,
        ink,
        rect.width(),
    );
}

/// Text around a point, abbreviated where it is wider than `room`.
fn write(painter: &Painter, centre: Pos2, words: &str, font: &FontId, color: Color32, room: f32) {
    let layout = |words: String| painter.layout_no_wrap(words, font.clone(), color);
    let galley = layout(text::abbreviated(words, |words| {
        layout(words.to_owned()).size().x <= room
    }));
    let rect = Align2::CENTER_CENTER.anchor_size(centre, galley.size());
    painter.galley(rect.min, galley, color);
}
