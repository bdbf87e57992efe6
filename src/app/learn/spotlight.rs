//! What the tour points at: the rest of the window is dimmed until the hand has come, and a ghost shows the way it goes.
//!
//! A view tells where a thing is with [`spot`]; nothing is kept while no tour asks for it.

use crate::app::theme::tokens_of;
use egui::{Color32, Context, Id, LayerId, Order, Popup, Rect, Stroke, StrokeKind, pos2, vec2};

/// A thing to point at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Spot {
    /// The distribution of the selected layer's weights.
    Weights,
    /// Where each way to clip would cut.
    Clips,
    /// The ratio of the whole network.
    ExpandRatio,
    /// What the network answers.
    Preview,
    /// The table of layers.
    Layers,
    Undo,
    Export,
}

/// How dark the rest is, and how far the ring stands off, points.
const DIM: u8 = 110;
const ROOM: f32 = 4.0;

#[derive(Debug, Clone, Copy)]
struct Wanted {
    spot: Spot,
    /// Where it was drawn, and in which frame.
    place: Option<(Rect, u64)>,
    /// Where the tour's own words are: never dimmed.
    words: Rect,
}

fn id() -> Id {
    Id::unique("spotlight of the tour")
}

/// Asks for the place of `spot` from now on, which is told about at `words`; of none at the end of a tour.
pub(super) fn want(ctx: &Context, spot: Option<Spot>, words: Rect) {
    ctx.data_mut(|data| {
        let known = data.get_temp::<Option<Wanted>>(id()).flatten();
        let known = known.filter(|wanted| Some(wanted.spot) == spot);
        let place = known.and_then(|wanted| wanted.place);
        let wanted = spot.map(|spot| Wanted { spot, place, words });
        data.insert_temp(id(), wanted);
    });
}

/// Tells that `spot` is at `place` in this frame.
pub(in crate::app) fn spot(ctx: &Context, spot: Spot, place: Rect) {
    let frame = ctx.cumulative_frame_nr();
    ctx.data_mut(|data| {
        let wanted = data.get_temp::<Option<Wanted>>(id()).flatten();
        if let Some(wanted) = wanted.filter(|wanted| wanted.spot == spot) {
            let place = Some((place, frame));
            data.insert_temp(id(), Some(Wanted { place, ..wanted }));
        }
    });
}

/// Where the wanted thing was drawn in this frame.
fn place(ctx: &Context) -> Option<(Wanted, Rect)> {
    let wanted = ctx.data(|data| data.get_temp::<Option<Wanted>>(id()))??;
    let (place, frame) = wanted.place?;
    (frame == ctx.cumulative_frame_nr()).then_some((wanted, place))
}

/// At the end of a frame: the ring around what is pointed at; with the rest dimmed as long as the pointer is elsewhere.
pub(in crate::app) fn spotlight(ctx: &Context) {
    let Some((wanted, place)) = place(ctx) else { return };
    let whole = ctx.content_rect();
    let lit = place.expand(ROOM).intersect(whole);
    let painter = ctx.layer_painter(LayerId::new(Order::Foreground, id()));
    let ring = tokens_of(ctx.global_style().visuals.dark_mode).handle;
    let is_there = ctx.pointer_latest_pos().is_some_and(|pointer| lit.contains(pointer)) || Popup::is_any_open(ctx);
    if !is_there {
        let dim = Color32::from_black_alpha(DIM);
        let above = whole.with_max_y(wanted.words.min.y);
        for region in [above, whole.with_min_y(wanted.words.max.y)] {
            let painter = painter.with_clip_rect(region);
            for side in around(whole, lit) {
                painter.rect_filled(side, 0.0, dim);
            }
        }
        if wanted.spot == Spot::ExpandRatio {
            ghost(&painter, lit, ring);
        }
    }
    painter.rect_stroke(lit, 4.0, Stroke::new(2.0, ring), StrokeKind::Outside);
}

/// The four sides that a window has around what is lit.
fn around(whole: Rect, lit: Rect) -> [Rect; 4] {
    [
        Rect::from_min_max(whole.min, pos2(whole.max.x, lit.min.y)),
        Rect::from_min_max(pos2(whole.min.x, lit.max.y), whole.max),
        Rect::from_min_max(pos2(whole.min.x, lit.min.y), pos2(lit.min.x, lit.max.y)),
        Rect::from_min_max(pos2(lit.max.x, lit.min.y), pos2(whole.max.x, lit.max.y)),
    ]
}

/// The drag that is meant: an arrow along the slider, from a hand that grips to where it lets go.
fn ghost(painter: &egui::Painter, lit: Rect, color: Color32) {
    let y = lit.max.y - ROOM - 10.0;
    let (from, to) = (pos2(lit.min.x + 14.0, y), pos2(lit.min.x + lit.width() * 0.3, y));
    painter.circle_filled(from, 5.0, color);
    painter.line_segment([from, to], Stroke::new(2.0, color));
    let head = vec![to + vec2(8.0, 0.0), to + vec2(0.0, -5.0), to + vec2(0.0, 5.0)];
    painter.add(egui::Shape::convex_polygon(head, color, Stroke::NONE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_found_and_only_while_it_is_drawn() {
        let ctx = Context::default();
        let rect = Rect::from_min_size(pos2(3.0, 4.0), vec2(10.0, 20.0));
        let frame = |wanted: Option<Spot>, drawn: &[Spot]| {
            let mut seen = None;
            let _ = ctx.run_ui(egui::RawInput::default(), |_| {
                want(&ctx, wanted, Rect::ZERO);
                drawn.iter().for_each(|drawn| spot(&ctx, *drawn, rect));
                seen = place(&ctx).map(|(wanted, place)| (wanted.spot, place));
            });
            seen
        };
        assert_eq!(frame(None, &[Spot::Undo]), None);
        assert_eq!(
            frame(Some(Spot::Undo), &[Spot::Export, Spot::Undo]),
            Some((Spot::Undo, rect))
        );
        assert_eq!(frame(Some(Spot::Undo), &[]), None, "the view was closed");
        assert_eq!(frame(Some(Spot::Export), &[Spot::Undo]), None);
    }

    #[test]
    fn what_is_dimmed_and_what_is_lit_are_the_whole_window() {
        let whole = Rect::from_min_size(pos2(0.0, 0.0), vec2(100.0, 60.0));
        let lit = Rect::from_min_size(pos2(20.0, 10.0), vec2(30.0, 20.0));
        let area: f32 = around(whole, lit).iter().map(Rect::area).sum();
        assert_eq!(area + lit.area(), whole.area());
    }
}
