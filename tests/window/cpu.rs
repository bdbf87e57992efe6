//! Draws the window's shapes on the CPU, for snapshots on machines without a graphics card: the same picture on every run.
//! Blends premultiplied colours in gamma space, as egui's shaders do.

use egui::epaint::{ImageData, Primitive, Vertex};
use egui::{Color32, ColorImage, TextureFilter, TextureId, TexturesDelta};
use egui_kittest::{Harness, SnapshotOptions};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use std::collections::HashMap;
use std::path::Path;

/// Compares the window with the picture `name` in `folder`; with `UPDATE_SNAPSHOTS` it becomes that picture, in as few bytes as
/// PNG can.
pub(crate) fn compare<S>(window: &mut Harness<'_, S>, folder: &str, name: &str, differing_pixels: usize) {
    let options = SnapshotOptions::new()
        .threshold(1.0)
        .max_failed_pixels(differing_pixels)
        .output_path(folder);
    window.snapshot_options(name, &options);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        let path = Path::new(folder).join(format!("{name}.png"));
        let picture = image::open(&path).unwrap().into_rgb8();
        let mut bytes = Vec::new();
        // Flat areas and repeated letters: no filter makes them smaller.
        let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Best, FilterType::NoFilter);
        picture.write_with_encoder(encoder).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
}

/// The renderer and its textures; `true` for those that are magnified without smoothing.
#[derive(Default)]
pub(crate) struct CpuRenderer {
    textures: HashMap<TextureId, (ColorImage, bool)>,
}

/// Pixels that may be drawn: left, top, right, bottom.
type Clip = [i32; 4];

struct Target {
    pixels: Vec<[f32; 4]>,
    width: usize,
    pixels_per_point: f32,
}

impl egui_kittest::TestRenderer for CpuRenderer {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        for (id, images) in delta.set.drain() {
            for part in images {
                let ImageData::Color(image) = &part.image;
                if let Some([left, top]) = part.pos {
                    let (texture, _) = self
                        .textures
                        .get_mut(&id)
                        .expect("a patch of a texture that was never set");
                    let (width, stride) = (image.size[0], texture.size[0]);
                    for y in 0..image.size[1] {
                        let row = &image.pixels[y * width..][..width];
                        texture.pixels[(top + y) * stride + left..][..width].copy_from_slice(row);
                    }
                } else {
                    let nearest = part.options.magnification == TextureFilter::Nearest;
                    self.textures.insert(id, ((**image).clone(), nearest));
                }
            }
        }
        for id in delta.free.drain() {
            self.textures.remove(&id);
        }
    }

    fn render(&mut self, ctx: &egui::Context, output: &egui::FullOutput) -> Result<image::RgbaImage, String> {
        let pixels_per_point = ctx.pixels_per_point();
        let size = ctx.content_rect().size() * pixels_per_point;
        let (width, height) = (size.x.round() as usize, size.y.round() as usize);
        let mut target = Target {
            pixels: vec![[0.0; 4]; width * height],
            width,
            pixels_per_point,
        };
        for primitive in ctx.tessellate(output.shapes.clone(), pixels_per_point) {
            // Paint callbacks are not drawn: the window has none.
            let Primitive::Mesh(mesh) = &primitive.primitive else {
                continue;
            };
            let (texture, nearest) = self
                .textures
                .get(&mesh.texture_id)
                .ok_or("a mesh with an unknown texture")?;
            let low = |x: f32| ((x * pixels_per_point).round().max(0.0)) as i32;
            let high = |x: f32, most: usize| ((x * pixels_per_point).round().min(most as f32)) as i32;
            let rect = primitive.clip_rect;
            let clip = [
                low(rect.min.x),
                low(rect.min.y),
                high(rect.max.x, width),
                high(rect.max.y, height),
            ];
            for corners in mesh.indices.chunks_exact(3) {
                let corners = [corners[0], corners[1], corners[2]].map(|i| &mesh.vertices[i as usize]);
                target.triangle(clip, texture, *nearest, corners);
            }
        }
        let bytes = target
            .pixels
            .iter()
            .flatten()
            .map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8)
            .collect();
        image::RgbaImage::from_raw(width as u32, height as u32, bytes).ok_or_else(|| "size".to_owned())
    }
}

fn color(color: Color32) -> [f32; 4] {
    color.to_array().map(|v| f32::from(v) / 255.0)
}

fn sample(texture: &ColorImage, nearest: bool, u: f32, v: f32) -> [f32; 4] {
    let [width, height] = texture.size;
    let at = |x: i32, y: i32| {
        let (x, y) = (
            x.clamp(0, width as i32 - 1) as usize,
            y.clamp(0, height as i32 - 1) as usize,
        );
        color(texture.pixels[y * width + x])
    };
    if nearest {
        return at((u * width as f32).floor() as i32, (v * height as f32).floor() as i32);
    }
    let (x, y) = (u * width as f32 - 0.5, v * height as f32 - 0.5);
    let (x0, y0) = (x.floor(), y.floor());
    let (fx, fy) = (x - x0, y - y0);
    let (x0, y0) = (x0 as i32, y0 as i32);
    let (a, b, c, d) = (at(x0, y0), at(x0 + 1, y0), at(x0, y0 + 1), at(x0 + 1, y0 + 1));
    std::array::from_fn(|i| (a[i] * (1.0 - fx) + b[i] * fx) * (1.0 - fy) + (c[i] * (1.0 - fx) + d[i] * fx) * fy)
}

type Point = (f64, f64);

/// Twice the area of the triangle; positive when `p` is on the inner side of the edge.
fn edge(a: Point, b: Point, p: Point) -> f64 {
    (b.0 - a.0) * (p.1 - a.1) - (b.1 - a.1) * (p.0 - a.0)
}

impl Target {
    fn triangle(&mut self, clip: Clip, texture: &ColorImage, nearest: bool, mut corners: [&Vertex; 3]) {
        let scale = self.pixels_per_point;
        let place = |v: &Vertex| (f64::from(v.pos.x * scale), f64::from(v.pos.y * scale));
        let mut area = edge(place(corners[0]), place(corners[1]), place(corners[2]));
        if area == 0.0 {
            return;
        }
        if area < 0.0 {
            corners.swap(1, 2);
            area = -area;
        }
        let p = corners.map(place);
        let least = |of: fn(&Point) -> f64| p.iter().map(of).fold(f64::INFINITY, f64::min).floor() as i32;
        let most = |of: fn(&Point) -> f64| p.iter().map(of).fold(f64::NEG_INFINITY, f64::max).ceil() as i32;
        let (left, right) = (least(|p| p.0).max(clip[0]), most(|p| p.0).min(clip[2]));
        let (top, bottom) = (least(|p| p.1).max(clip[1]), most(|p| p.1).min(clip[3]));
        // The top-left rule: a pixel on a shared edge is drawn once.
        let top_left = |a: Point, b: Point| (a.1 == b.1 && b.0 > a.0) || b.1 < a.1;
        let rule = [top_left(p[1], p[2]), top_left(p[2], p[0]), top_left(p[0], p[1])];
        let colors = corners.map(|v| color(v.color));
        let uv = corners.map(|v| v.uv);
        let flat = (uv[0] == uv[1] && uv[1] == uv[2]).then(|| sample(texture, nearest, uv[0].x, uv[0].y));
        for y in top..bottom {
            for x in left..right {
                let centre = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                let edges = [
                    edge(p[1], p[2], centre),
                    edge(p[2], p[0], centre),
                    edge(p[0], p[1], centre),
                ];
                if (0..3).any(|i| edges[i] < 0.0 || (edges[i] == 0.0 && !rule[i])) {
                    continue;
                }
                let share: [f32; 3] = std::array::from_fn(|i| (edges[i] / area) as f32);
                let mix = |of: [f32; 3]| share[0] * of[0] + share[1] * of[1] + share[2] * of[2];
                let texel =
                    flat.unwrap_or_else(|| sample(texture, nearest, mix(uv.map(|uv| uv.x)), mix(uv.map(|uv| uv.y))));
                let pixel = &mut self.pixels[y as usize * self.width + x as usize];
                let source: [f32; 4] = std::array::from_fn(|i| mix(colors.map(|color| color[i])) * texel[i]);
                for i in 0..4 {
                    pixel[i] = source[i] + pixel[i] * (1.0 - source[3]);
                }
            }
        }
    }
}
