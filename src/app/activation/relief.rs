//! The map of channels and positions as a relief: what is large stands out, as in the pictures of LLM.int8 (Dettmers et al.
//! 2022) and SmoothQuant (Xiao et al. 2023). Drag to turn it.

use super::super::theme::tokens;
use super::super::{lit, text};
use crate::inference::{InputChannels, PositionMap};
use egui::epaint::Vertex;
use egui::{
    Align2, Color32, Mesh, Painter, Pos2, Rect, Response, Role, Sense, Shape, TextStyle, Ui, Vec2, WidgetInfo, vec2,
};

/// Columns drawn at most in each direction: of more, neighbours are one column as high as the highest of them.
const MOST: usize = 72;
/// How it is seen at first, degrees: turned about the upright, and from how far above.
const VIEW: (f32, f32) = (35.0, 32.0);
/// Share of the width that a column takes of its place.
const FILLED: f32 = 0.92;
/// Height of the highest column beside the width of the floor.
const HEIGHT: f32 = 0.9;
/// Brightness of the sides beside the top.
const SIDES: [f32; 2] = [0.72, 0.52];

/// How it is seen, and what was made of which map.
pub(super) struct Relief {
    turned: f32,
    above: f32,
}

impl Default for Relief {
    fn default() -> Self {
        Self {
            turned: VIEW.0,
            above: VIEW.1,
        }
    }
}

/// The columns: channels to one side, positions to the other.
struct Columns {
    channels: usize,
    positions: usize,
    /// `[channels, positions]`.
    heights: Vec<f32>,
    /// Channels that are one column, and cells of the map.
    together: (usize, usize),
    most: f32,
}

impl Columns {
    fn of(map: &PositionMap, channels: &[usize]) -> Self {
        let together = (channels.len().div_ceil(MOST).max(1), map.cells.div_ceil(MOST).max(1));
        let (across, along) = (channels.len().div_ceil(together.0), map.cells.div_ceil(together.1));
        let mut heights = vec![0.0_f32; across * along];
        for (x, &channel) in channels.iter().enumerate() {
            for (cell, &value) in map.channel(channel).iter().enumerate() {
                let height = &mut heights[x / together.0 * along + cell / together.1];
                *height = height.max(value);
            }
        }
        Self {
            channels: across,
            positions: along,
            most: heights.iter().copied().fold(0.0, f32::max),
            heights,
            together,
        }
    }

    fn height(&self, channel: usize, position: usize) -> f32 {
        self.heights[channel * self.positions + position]
    }
}

/// From the room of the relief, whose floor reaches from -½ to ½ both ways and whose heights end at 1, to the screen.
struct Camera {
    center: Pos2,
    /// Points of a unit to the side and of one upwards: the relief fills its frame, whatever the frame's shape.
    scale: Vec2,
    sin: f32,
    cos: f32,
    /// Sine and cosine of how far above it is seen from.
    tilt: (f32, f32),
}

impl Camera {
    fn new(rect: Rect, turned: f32, above: f32) -> Self {
        let (turned, above) = (turned.to_radians(), above.to_radians());
        // The floor's diagonal, whichever way it is turned.
        let across = std::f32::consts::SQRT_2;
        let scale = vec2(
            rect.width() / across,
            rect.height() / (across * above.sin() + HEIGHT * above.cos()),
        );
        Self {
            center: rect.center() + vec2(0.0, HEIGHT * above.cos() * scale.y / 2.0),
            scale,
            sin: turned.sin(),
            cos: turned.cos(),
            tilt: (above.sin(), above.cos()),
        }
    }

    fn on_screen(&self, u: f32, v: f32, height: f32) -> Pos2 {
        let across = u * self.cos - v * self.sin;
        self.center + vec2(across, self.depth(u, v) * self.tilt.0 - height * HEIGHT * self.tilt.1) * self.scale
    }

    /// The greater, the nearer.
    fn depth(&self, u: f32, v: f32) -> f32 {
        u * self.sin + v * self.cos
    }
}

impl Relief {
    /// Draws it into the `height` that is given.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        found: &InputChannels,
        map: &PositionMap,
        channels: &[usize],
        layer: usize,
        height: f32,
    ) -> Response {
        let size = vec2(ui.available_width(), height);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        response.widget_info(|| WidgetInfo::labeled(Role::GraphicsObject, true, "Relief of the input channels"));
        if response.double_clicked() {
            *self = Self::default();
        }
        let moved = response.drag_delta();
        self.turned = (self.turned - moved.x * 0.4).rem_euclid(360.0);
        self.above = (self.above + moved.y * 0.3).clamp(8.0, 80.0);
        let columns = Columns::of(map, channels);
        if columns.channels == 0 || columns.positions == 0 {
            return response;
        }
        let camera = Camera::new(rect.shrink2(vec2(72.0, 16.0)), self.turned, self.above);
        let painter = ui.painter_at(rect);
        let order = order(&columns, &camera);
        let under = response.hover_pos().filter(|_| !response.dragged());
        let under = under.and_then(|pointer| {
            let is_under = |place: &&(usize, usize)| contains(&top(&columns, &camera, **place), pointer);
            order.iter().rev().find(is_under).copied()
        });
        floor_ui(ui, &painter, &camera, found, channels.len());
        let lit = lit::channel(ui.ctx(), layer);
        let lit = lit.and_then(|lit| channels.iter().position(|channel| *channel == lit));
        painter.add(Shape::mesh(mesh(
            ui,
            &columns,
            &camera,
            found,
            &order,
            lit.map(|lit| lit / columns.together.0),
        )));
        heights_ui(ui, &painter, &camera, columns.most);
        let Some((across, along)) = under else {
            return response.on_hover_text("Drag to turn it; a double click turns it back.");
        };
        let Some(&channel) = channels.get(across * columns.together.0) else {
            return response;
        };
        lit::light(ui.ctx(), layer, channel);
        let more = columns.together.0.min(channels.len() - across * columns.together.0);
        let what = if more > 1 {
            format!("input channels, {more} from {channel} on")
        } else {
            format!("input channel {channel}")
        };
        let position = along * columns.together.1 * found.positions / map.cells.max(1);
        let value = text::three_digits(f64::from(columns.height(across, along)));
        response.on_hover_text_at_pointer(format!("{what}\nposition {position}: max |x| {value}"))
    }
}

/// The columns from the furthest to the nearest.
fn order(columns: &Columns, camera: &Camera) -> Vec<(usize, usize)> {
    let all = (0..columns.channels).flat_map(|channel| (0..columns.positions).map(move |position| (channel, position)));
    let mut order: Vec<(usize, usize)> = all.collect();
    let depth = |place: &(usize, usize)| {
        let [u, _, v, _] = sides(columns, *place);
        camera.depth(u, v)
    };
    order.sort_by(|a, b| depth(a).total_cmp(&depth(b)));
    order
}

/// Where a column stands on the floor: from and to, both ways.
fn sides(columns: &Columns, (channel, position): (usize, usize)) -> [f32; 4] {
    let side = |place: usize, count: usize| {
        let wide = 1.0 / count as f32;
        let from = place as f32 * wide - 0.5;
        (from, from + wide * FILLED)
    };
    let ((u, to_u), (v, to_v)) = (side(channel, columns.channels), side(position, columns.positions));
    [u, to_u, v, to_v]
}

/// The corners of a column's upper end on the screen.
fn top(columns: &Columns, camera: &Camera, place: (usize, usize)) -> [Pos2; 4] {
    let [u, to_u, v, to_v] = sides(columns, place);
    let height = columns.height(place.0, place.1) / columns.most.max(f32::MIN_POSITIVE);
    [(u, v), (to_u, v), (to_u, to_v), (u, to_v)].map(|(u, v)| camera.on_screen(u, v, height))
}

/// Whether a point lies in a quadrangle that bulges nowhere inwards.
fn contains(corners: &[Pos2; 4], point: Pos2) -> bool {
    let turns = (0..4).map(|corner| {
        let (from, to) = (corners[corner], corners[(corner + 1) % 4]);
        (to.x - from.x) * (point.y - from.y) - (to.y - from.y) * (point.x - from.x)
    });
    let turns: Vec<f32> = turns.collect();
    turns.iter().all(|turn| *turn >= 0.0) || turns.iter().all(|turn| *turn <= 0.0)
}

/// All columns: the upper end and the two sides that are seen of each, what lies beyond the bounds in the colour of outliers.
fn mesh(
    ui: &Ui,
    columns: &Columns,
    camera: &Camera,
    found: &InputChannels,
    order: &[(usize, usize)],
    lit: Option<usize>,
) -> Mesh {
    let (colors, ground) = (tokens(ui), ui.visuals().panel_fill);
    let mut mesh = Mesh::default();
    for place in order {
        let value = columns.height(place.0, place.1);
        let far = found.is_outlier(f64::from(value)) || found.is_outlier(-f64::from(value));
        let color = match lit {
            Some(channel) if channel == place.0 => colors.handle,
            _ if far => colors.outlier,
            _ => colors.original,
        };
        // As on the map; a low column has the colour of the ground, but not quite.
        let share = (value / columns.most.max(f32::MIN_POSITIVE)).max(0.0).sqrt();
        let color = ground.lerp_to_gamma(color, 0.2 + 0.8 * share);
        let [u, to_u, v, to_v] = sides(columns, *place);
        let upper = top(columns, camera, *place);
        let foot = [(u, v), (to_u, v), (to_u, to_v), (u, to_v)].map(|(u, v)| camera.on_screen(u, v, 0.0));
        // Of the sides across and along, those towards the eye.
        let across = if camera.sin >= 0.0 { (1, 2) } else { (3, 0) };
        let along = if camera.cos >= 0.0 { (2, 3) } else { (0, 1) };
        for ((from, to), shade) in [across, along].into_iter().zip(SIDES) {
            let side = Color32::BLACK.lerp_to_gamma(color, shade);
            quad(&mut mesh, [upper[from], upper[to], foot[to], foot[from]], side);
        }
        quad(&mut mesh, upper, color);
    }
    mesh
}

fn quad(mesh: &mut Mesh, corners: [Pos2; 4], color: Color32) {
    let first = u32::try_from(mesh.vertices.len()).unwrap_or(u32::MAX);
    let vertex = |pos| Vertex {
        pos,
        uv: egui::epaint::WHITE_UV,
        color,
    };
    mesh.vertices.extend(corners.map(vertex));
    mesh.add_triangle(first, first + 1, first + 2);
    mesh.add_triangle(first, first + 2, first + 3);
}

/// The edges of the floor and what runs along them.
fn floor_ui(ui: &Ui, painter: &Painter, camera: &Camera, found: &InputChannels, channels: usize) {
    let line = super::super::theme::thin(tokens(ui).grid);
    let corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)];
    let at = |(u, v): (f32, f32)| camera.on_screen(u, v, 0.0);
    for corner in 0..4 {
        painter.line_segment([at(corners[corner]), at(corners[(corner + 1) % 4])], line);
    }
    // Along the edges towards the eye, outside of them: what is written on the left ends there, on the right it begins there.
    let v = if camera.cos >= 0.0 { 0.5 } else { -0.5 };
    let u = if camera.sin >= 0.0 { 0.5 } else { -0.5 };
    let edges = [
        (
            [(-0.5, v), (0.0, v), (0.5, v)],
            "input channel",
            channels.saturating_sub(1),
        ),
        (
            [(u, -0.5), (u, 0.0), (u, 0.5)],
            "position",
            found.positions.saturating_sub(1),
        ),
    ];
    let font = TextStyle::Small.resolve(ui.style());
    let ink = ui.visuals().text_color();
    for ([start, middle, end], name, last) in edges {
        let is_left = at(middle).x < camera.center.x;
        let (align, aside) = if is_left {
            (Align2::RIGHT_TOP, vec2(-8.0, 0.0))
        } else {
            (Align2::LEFT_TOP, vec2(8.0, 0.0))
        };
        for (place, what) in [
            (start, "0".to_owned()),
            (middle, name.to_owned()),
            (end, last.to_string()),
        ] {
            painter.text(at(place) + aside, align, what, font.clone(), ink);
        }
    }
}

/// The upright at the corner furthest to the left: 0 and the largest |x|.
fn heights_ui(ui: &Ui, painter: &Painter, camera: &Camera, most: f32) {
    let corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)];
    let x = |(u, v): &(f32, f32)| camera.on_screen(*u, *v, 0.0).x;
    let Some((u, v)) = corners.into_iter().min_by(|a, b| x(a).total_cmp(&x(b))) else {
        return;
    };
    let (foot, head) = (camera.on_screen(u, v, 0.0), camera.on_screen(u, v, 1.0));
    painter.line_segment([foot, head], super::super::theme::thin(ui.visuals().weak_text_color()));
    let font = TextStyle::Small.resolve(ui.style());
    let ink = ui.visuals().text_color();
    let label = format!("max |x| {}", text::three_digits(f64::from(most)));
    // Above the line, so that nothing hides it.
    painter.text(head - vec2(0.0, 2.0), Align2::CENTER_BOTTOM, label, font, ink);
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui::pos2;

    #[test]
    fn no_outlier_is_lost_where_columns_are_drawn_together() {
        let (channels, cells) = (200, 150);
        let mut values = vec![0.5; channels * cells];
        values[137 * cells + 149] = 369.0;
        let map = PositionMap { cells, values };
        let order: Vec<usize> = (0..channels).collect();
        let columns = Columns::of(&map, &order);
        assert!(columns.channels <= MOST && columns.positions <= MOST);
        assert_eq!(columns.most, 369.0);
        let place = (137 / columns.together.0, 149 / columns.together.1);
        assert_eq!(columns.height(place.0, place.1), 369.0);
        assert_eq!(columns.heights.iter().filter(|height| **height > 1.0).count(), 1);
    }

    #[test]
    fn nearer_columns_are_drawn_later_and_all_stay_in_the_frame() {
        let map = PositionMap {
            cells: 4,
            values: vec![1.0; 12],
        };
        let columns = Columns::of(&map, &[0, 1, 2]);
        let frame = Rect::from_min_size(pos2(10.0, 20.0), vec2(400.0, 200.0));
        for turned in [0.0, 35.0, 130.0, 250.0] {
            let camera = Camera::new(frame, turned, 32.0);
            let order = order(&columns, &camera);
            assert_eq!(order.len(), 12);
            let depths: Vec<f32> = order
                .iter()
                .map(|place| {
                    let [u, _, v, _] = sides(&columns, *place);
                    camera.depth(u, v)
                })
                .collect();
            assert!(depths.is_sorted(), "{turned}");
            for place in order {
                let corners = top(&columns, &camera, place);
                assert!(
                    corners.iter().all(|corner| frame.contains(*corner)),
                    "{turned} {corners:?}"
                );
                let middle = corners[0] + (corners[2] - corners[0]) / 2.0;
                assert!(contains(&corners, middle) && !contains(&corners, frame.min));
            }
        }
    }
}
