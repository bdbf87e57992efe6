//! The graph view: the network from its input down to its output, boxes coloured by error.
//!
//! Drag to move, scroll to go along, scroll with Ctrl to zoom. Only what is in sight is drawn.

mod boxes;
mod colors;

use super::Outbox;
use super::learn::glossary::{Term, help_ui};
use super::network::layers_figure;
use super::plot::export::menu;
use super::plot::{cost_scale_ui, sqnr_scale_ui};
use super::text::{self, note};
use super::theme::{thin, tokens};
use super::widgets::failure_ui;
use crate::session::{Action, Drawing, OpenNetwork, Watched};
use boxes::{Frame, STEP, box_rect};
use colors::{Coloring, Colors};
use egui::{Color32, Painter, Pos2, Rect, Role, Sense, Shape, TextWrapMode, Ui, Vec2, WidgetInfo, pos2, vec2};
use std::sync::{Arc, Weak};

/// Zoom below which arrow heads are too small to be seen.
const LEAST_ARROW: f32 = 0.4;
/// Empty ground around the graph, in its own points.
const MARGIN: f32 = 16.0;

const ZOOM: std::ops::RangeInclusive<f32> = 0.04..=2.0;

/// State of the view between frames.
pub(super) struct GraphPanel {
    /// It was drawn in this frame.
    drawn: bool,
    /// What was drawn last, which the view does not keep in memory.
    drawing: Weak<Drawing>,
    /// The point of the graph in the middle of the view.
    middle: Pos2,
    zoom: f32,
    /// The layer that was brought into sight last.
    followed: Option<usize>,
    /// All of the graph is to be shown.
    fit: bool,
    coloring: Coloring,
    /// It was drawn in this frame with colours that need every value compared.
    compares: bool,
}

impl Default for GraphPanel {
    fn default() -> Self {
        Self {
            drawn: false,
            drawing: Weak::new(),
            middle: Pos2::ZERO,
            zoom: 1.0,
            followed: None,
            fit: false,
            coloring: Coloring::default(),
            compares: false,
        }
    }
}

impl GraphPanel {
    /// Draws the view.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
        self.drawn = true;
        let Some(drawing) = open.drawing() else {
            match open.drawing_failure() {
                Some(error) => failure_ui(ui, "The graph cannot be drawn", error),
                None => {
                    ui.centered_and_justified(|ui| ui.label("Drawing the graph…"));
                }
            }
            return;
        };
        if self.drawing.as_ptr() != Arc::as_ptr(drawing) {
            self.drawing = Arc::downgrade(drawing);
            self.followed = None;
        }
        if drawing.nodes.is_empty() {
            ui.centered_and_justified(|ui| {
                ui.label("This file holds weights only: there is no graph to draw. Open the network's ONNX export to see one.");
            });
            return;
        }
        let mut to_selected = false;
        let colors = Colors::new(self.coloring, open, tokens(ui));
        ui.horizontal_wrapped(|ui| {
            // What does not fit goes on the next line as a whole.
            ui.style_mut().wrap_mode = Some(TextWrapMode::Extend);
            self.fit |= ui
                .button("Whole graph")
                .on_hover_text("Zoom out until all of it is in sight.")
                .clicked();
            let selected = ui.button("Selected layer");
            to_selected = selected
                .on_hover_text("Go to the selected layer, at normal size.")
                .clicked();
            let layers = drawing.node_of.len() as u64;
            let nodes = drawing.nodes.iter().filter(|node| !node.is_end).count();
            let count = text::plural(nodes as u64, "node", "nodes");
            ui.label(note(format!("{count}, {} with weights", text::full_count(layers))))
                .on_hover_text(
                    "The colour of a box is its error; small boxes have no weights. Drag to move, scroll to go along, scroll with Ctrl to zoom.",
                );
            self.coloring.ui(ui);
            if colors.are_costs() {
                cost_scale_ui(ui);
            } else {
                sqnr_scale_ui(ui);
                help_ui(ui, Term::Sqnr);
            }
        });
        let (rect, response) = ui.allocate_exact_size(ui.available_size(), Sense::click_and_drag());
        let bounds = bounds(drawing);
        if std::mem::take(&mut self.fit) {
            let scale = rect.size() / (bounds.size() + vec2(40.0, 40.0));
            self.zoom = scale.x.min(scale.y).clamp(*ZOOM.start(), 1.0);
            self.middle = bounds.center();
        }
        if to_selected {
            self.zoom = 1.0;
        }
        if to_selected || self.followed != Some(open.selected()) {
            self.follow(drawing, open.selected(), rect, to_selected);
        }
        self.hand(ui, &response, rect, bounds);
        let frame = Frame {
            rect,
            middle: self.middle,
            zoom: self.zoom,
        };
        let painter = ui.painter_at(rect);
        edges(ui, &painter, drawing, &frame);
        response.widget_info(|| WidgetInfo::labeled(Role::GraphicsObject, true, "Graph of the network"));
        menu(&response, rect, out, || layers_figure(open, None));
        self.compares = self.coloring == Coloring::Own;
        if let Some(layer) = boxes::boxes_ui(ui, &painter, drawing, &frame, open, &colors, out) {
            self.followed = Some(layer);
            out.actions.push(Action::SelectLayer(layer));
        }
    }

    /// At the end of a frame: what was in sight.
    pub(super) fn watch(&mut self, watched: &mut Watched) {
        watched.graph = std::mem::take(&mut self.drawn);
        watched.trace |= std::mem::take(&mut self.compares);
    }

    /// Brings the node of a layer into sight; leaves the view alone if it is, unless it `must` be in the middle.
    fn follow(&mut self, drawing: &Drawing, layer: usize, rect: Rect, must: bool) {
        let first = self.followed.is_none();
        self.followed = Some(layer);
        let Some(&node) = drawing.node_of.get(&layer) else {
            return;
        };
        let place = box_rect(drawing, node);
        let frame = Frame {
            rect,
            middle: self.middle,
            zoom: self.zoom,
        };
        if first || must || !rect.shrink(8.0).contains_rect(frame.on_screen(place)) {
            self.middle = place.center();
        }
    }

    /// What the hand does: drags, scrolls, zooms. The graph can't be lost from sight.
    fn hand(&mut self, ui: &Ui, response: &egui::Response, rect: Rect, bounds: Rect) {
        let mut moved = -response.drag_delta();
        if let Some(pointer) = response.hover_pos().or_else(|| {
            ui.ctx()
                .pointer_hover_pos()
                .filter(|pos| rect.contains(*pos) && response.contains_pointer())
        }) {
            let (scroll, zoom) = ui.input(|input| (input.smooth_scroll_delta(), input.zoom_delta()));
            moved -= scroll;
            if (zoom - 1.0).abs() > f32::EPSILON {
                let zoomed = (self.zoom * zoom).clamp(*ZOOM.start(), *ZOOM.end());
                let from_middle = pointer - rect.center();
                // What is under the pointer stays there.
                self.middle += from_middle / self.zoom - from_middle / zoomed;
                self.zoom = zoomed;
            }
        }
        if moved != Vec2::ZERO {
            self.middle += moved / self.zoom;
        }
        self.middle = held(self.middle, rect.size() / self.zoom, bounds);
    }
}

/// The point nearest to `middle` around which a view of `size` shows no more empty ground than it must.
fn held(middle: Pos2, size: Vec2, bounds: Rect) -> Pos2 {
    let held = |middle: f32, size: f32, low: f32, high: f32| {
        if high - low <= size {
            (low + high) / 2.0
        } else {
            middle.clamp(low + size / 2.0, high - size / 2.0)
        }
    };
    let bounds = bounds.expand(MARGIN);
    pos2(
        held(middle.x, size.x, bounds.min.x, bounds.max.x),
        held(middle.y, size.y, bounds.min.y, bounds.max.y),
    )
}

/// All boxes, in the graph's own points.
fn bounds(drawing: &Drawing) -> Rect {
    let columns = drawing.placement.column.iter().copied();
    let (left, right) = columns.fold((0.0_f32, 0.0_f32), |(low, high), column| {
        (low.min(column), high.max(column))
    });
    let rows = drawing.placement.rows.len().saturating_sub(1) as f32;
    Rect::from_min_max(pos2(left * STEP.x, 0.0), pos2(right * STEP.x, rows * STEP.y)).expand2(STEP / 2.0)
}

/// The end of a line: which way the values flow.
fn arrow_head(painter: &Painter, points: &[Pos2], zoom: f32, color: Color32) {
    let (Some(&end), Some(&before)) = (points.last(), points.get(points.len().wrapping_sub(2))) else {
        return;
    };
    if zoom < LEAST_ARROW {
        return;
    }
    let along = (end - before).normalized() * 7.0 * zoom;
    let across = along.rot90() * 0.45;
    let corners = vec![end, end - along + across, end - along - across];
    painter.add(Shape::convex_polygon(corners, color, egui::Stroke::NONE));
}

/// The lines between the boxes in sight.
fn edges(ui: &Ui, painter: &Painter, drawing: &Drawing, frame: &Frame) {
    let color = tokens(ui).grid;
    let placement = &drawing.placement;
    let (first, last) = frame.rows();
    for (&(from, to), lane) in drawing.edges.iter().zip(&placement.lanes) {
        let (top, bottom) = (placement.row[from] as f32, placement.row[to] as f32);
        if bottom < first || top > last {
            continue;
        }
        let start = box_rect(drawing, from).center_bottom();
        let end = box_rect(drawing, to).center_top();
        let mut points = vec![start];
        if let Some(lane) = lane {
            let x = lane * STEP.x;
            points.push(pos2(x, (top + 0.75) * STEP.y));
            points.push(pos2(x, (bottom - 0.75) * STEP.y));
        }
        points.push(end);
        let points: Vec<Pos2> = points.into_iter().map(|point| frame.point(point)).collect();
        arrow_head(painter, &points, frame.zoom, color);
        painter.line(points, thin(color));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_graph_stands_in_the_middle_and_a_large_one_ends_at_the_edge() {
        let bounds = Rect::from_min_max(pos2(-100.0, 0.0), pos2(100.0, 2000.0));
        let view = vec2(400.0, 500.0);
        assert_eq!(held(pos2(90.0, -50.0), view, bounds), pos2(0.0, 250.0 - MARGIN));
        assert_eq!(held(pos2(0.0, 1000.0), view, bounds), pos2(0.0, 1000.0));
        assert_eq!(held(pos2(0.0, 9000.0), view, bounds), pos2(0.0, 1750.0 + MARGIN));
    }
}
