//! The tab of a view: its title, and a cross on the one in front. Where the tabs of a group do not fit beside each other, all of
//! them get narrower.

use egui::style::ScrollAnimation;
use egui::{
    Color32, CursorIcon, FontId, Id, Rect, Response, Role, Sense, Stroke, TextStyle, TextWrapMode, Ui, WidgetInfo,
    WidgetText,
};
use egui::{pos2, vec2};
use egui_tiles::TabState;

/// How the tabs of a group are drawn, roomiest first: the type, and the points left and right of the title.
const WAYS: [(TextStyle, f32); 4] = [
    (TextStyle::Button, 9.0),
    (TextStyle::Button, 5.0),
    (TextStyle::Small, 5.0),
    (TextStyle::Small, 3.0),
];
/// Side of the cross that closes the view, with the room around it, points.
const CROSS: f32 = 16.0;

/// What the hand did on a tab.
pub(super) struct Tab {
    pub(super) response: Response,
    pub(super) closed: bool,
}

/// How the tabs of one group are drawn.
#[derive(Debug, Clone)]
pub(super) struct Way {
    font: FontId,
    margin: f32,
    /// Whether all of them are in sight.
    pub(super) fits: bool,
}

impl Way {
    /// The roomiest way in which tabs of these titles fit into `room` points, else the narrowest.
    pub(super) fn that_fits(ui: &Ui, titles: &[&str], room: f32) -> Self {
        let way = |(style, margin): &(TextStyle, f32)| {
            let font = style.resolve(ui.style());
            let width = |title: &&str| {
                let galley = ui
                    .painter()
                    .layout_no_wrap((*title).to_owned(), font.clone(), Color32::WHITE);
                galley.size().x + 2.0 * margin
            };
            let all: f32 = titles.iter().map(width).sum::<f32>() + CROSS;
            Self {
                font: font.clone(),
                margin: *margin,
                fits: all <= room,
            }
        };
        let mut ways = WAYS.iter().map(way);
        let narrowest = way(&WAYS[WAYS.len() - 1]);
        ways.find(|way| way.fits).unwrap_or(narrowest)
    }
}

/// Draws a tab; `id` is what a drag of it is known by.
pub(super) fn tab_ui(ui: &mut Ui, id: Id, title: WidgetText, state: &TabState, way: &Way, closable: bool) -> Tab {
    let (font, margin) = (way.font.clone(), way.margin);
    let galley = title.into_galley(ui, Some(TextWrapMode::Extend), f32::INFINITY, font);
    let crossed = closable && state.active;
    let width = galley.size().x + 2.0 * margin + if crossed { CROSS } else { 0.0 };
    let (_, rect) = ui.allocate_space(vec2(width, ui.available_height()));
    keep_in_sight(ui, id, rect, state.active);
    let response = ui
        .interact(rect, id, Sense::click_and_drag())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.widget_info(|| WidgetInfo::selected(Role::Button, ui.is_enabled(), state.active, galley.text()));
    if !state.is_being_dragged {
        let visuals = ui.visuals();
        let color = if state.active {
            visuals.strong_text_color()
        } else if response.hovered() {
            visuals.text_color()
        } else {
            visuals.weak_text_color()
        };
        if state.active {
            ui.painter().rect_filled(rect, 0.0, visuals.panel_fill);
            let line = Rect::from_min_max(rect.min, pos2(rect.max.x, rect.min.y + 2.0));
            ui.painter().rect_filled(line, 0.0, visuals.selection.stroke.color);
        }
        let place = pos2(rect.min.x + margin, rect.center().y - galley.size().y / 2.0);
        ui.painter()
            .galley_with_override_text_color(place, galley.clone(), color);
    }
    let cross = crossed
        && cross_ui(
            ui,
            rect.max.x - (margin + 2.0).max(CROSS / 2.0),
            rect.center().y,
            galley.text(),
        );
    let closed = cross || closable && response.clicked_by(egui::PointerButton::Middle);
    Tab { response, closed }
}

/// Scrolls to the tab that comes to the front, and to the one in front when the row gets wider or narrower; then it stays where the
/// hand scrolls it.
fn keep_in_sight(ui: &Ui, id: Id, rect: Rect, is_in_front: bool) {
    let id = id.with("in sight");
    let row = is_in_front.then(|| ui.clip_rect().width());
    let before: Option<f32> = ui.data_mut(|data| data.get_temp(id));
    if before == row {
        return;
    }
    match row {
        Some(row) => {
            ui.data_mut(|data| data.insert_temp(id, row));
            ui.scroll_to_rect_animation(rect, None, ScrollAnimation::none());
        }
        None => ui.data_mut(|data| data.remove::<f32>(id)),
    }
}

/// The cross at the right end of a tab, around that point; tells a click.
fn cross_ui(ui: &mut Ui, x: f32, y: f32, title: &str) -> bool {
    let rect = Rect::from_center_size(pos2(x, y), vec2(CROSS, CROSS));
    let response = ui.interact(rect, ui.auto_id_with("close"), Sense::click());
    let label = format!("Close {title}");
    response.widget_info(|| WidgetInfo::labeled(Role::Button, ui.is_enabled(), &label));
    let visuals = ui.style().interact(&response);
    let color = if response.hovered() {
        visuals.fg_stroke.color
    } else {
        ui.visuals().weak_text_color()
    };
    let stroke = Stroke::new(1.2, color);
    let mark = rect.shrink(4.5);
    ui.painter()
        .line_segment([mark.left_top(), mark.right_bottom()], stroke);
    ui.painter()
        .line_segment([mark.right_top(), mark.left_bottom()], stroke);
    response
        .on_hover_cursor(CursorIcon::Default)
        .on_hover_text(format!("{label}. The menu View opens it again."))
        .clicked()
}
