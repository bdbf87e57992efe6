//! The tab of a view: its title, and a cross on the one in front.

use egui::{CursorIcon, Id, Rect, Response, Role, Sense, Stroke, TextStyle, TextWrapMode, Ui, WidgetInfo, WidgetText};
use egui::{pos2, vec2};
use egui_tiles::TabState;

/// Points left and right of the title.
const MARGIN: f32 = 9.0;
/// Side of the cross that closes the view, with the room around it, points.
const CROSS: f32 = 16.0;

/// What the hand did on a tab.
pub(super) struct Tab {
    pub(super) response: Response,
    pub(super) closed: bool,
}

/// Draws a tab; `id` is what a drag of it is known by.
pub(super) fn tab_ui(ui: &mut Ui, id: Id, title: WidgetText, state: &TabState, closable: bool) -> Tab {
    let font = TextStyle::Button.resolve(ui.style());
    let galley = title.into_galley(ui, Some(TextWrapMode::Extend), f32::INFINITY, font);
    let crossed = closable && state.active;
    let width = galley.size().x + 2.0 * MARGIN + if crossed { CROSS } else { 0.0 };
    let (_, rect) = ui.allocate_space(vec2(width, ui.available_height()));
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
        let place = pos2(rect.min.x + MARGIN, rect.center().y - galley.size().y / 2.0);
        ui.painter()
            .galley_with_override_text_color(place, galley.clone(), color);
    }
    let cross = crossed && cross_ui(ui, rect, galley.text());
    let closed = cross || closable && response.clicked_by(egui::PointerButton::Middle);
    Tab { response, closed }
}

/// The cross at the right end of a tab; tells a click.
fn cross_ui(ui: &mut Ui, tab: Rect, title: &str) -> bool {
    let rect = Rect::from_center_size(pos2(tab.max.x - MARGIN - 2.0, tab.center().y), vec2(CROSS, CROSS));
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
