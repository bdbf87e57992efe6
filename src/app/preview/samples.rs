//! Samples with the likeliest answers of both networks side by side: pictures, or text with the characters before.

use super::super::text::{self, note};
use super::super::theme::{faded, tokens};
use crate::inference::{Dataset, Outputs, Prediction};
use crate::session::{OpenNetwork, answers};
use egui::text::{LayoutJob, TextFormat};
use egui::{Align2, Color32, ColorImage, FontId, Rect, RichText, Sense, TextureHandle, TextureOptions, Ui, pos2, vec2};
use std::collections::HashMap;
use std::sync::Arc;

/// Answers shown of each network.
const TOP: usize = 3;
/// Size of a tile, points.
const TILE: egui::Vec2 = vec2(312.0, 64.0);
/// Points between tiles.
const GAP: f32 = 12.0;
/// Side of a picture, points.
const PICTURE: f32 = 62.0;
/// Height of an answer, points.
const BAR: f32 = 15.0;
/// Characters of text shown before the one that is guessed.
const CONTEXT: usize = 40;
/// Pictures kept as textures.
const MOST_TEXTURES: usize = 400;
/// Samples shown before there is an evaluation that sorts them.
const UNSORTED: usize = 100;

/// State between frames.
#[derive(Default)]
pub(super) struct Samples {
    textures: HashMap<usize, Option<TextureHandle>>,
    /// The data that the textures belong to.
    of: Option<Arc<Dataset>>,
}

/// Answers of one network to one sample.
struct Answers {
    answers: Vec<Prediction>,
    color: Color32,
    /// Which network, for a person.
    of: &'static str,
}

impl Samples {
    /// A row of samples that scrolls sideways.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        let (Some(data), Some(float)) = (open.data(), open.float_outputs()) else {
            return;
        };
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, data)) {
            self.textures.clear();
            self.of = Some(Arc::clone(data));
        }
        let evaluated = open.evaluated().map(|(_, evaluated)| evaluated.as_ref());
        let all: Vec<usize>;
        let order = match evaluated {
            Some(evaluated) => evaluated.preview.order.as_slice(),
            None => {
                all = (0..float.samples.min(UNSORTED)).collect();
                &all
            }
        };
        let quantized = evaluated.map(|evaluated| evaluated.preview.quantized.as_ref());
        // The wheel moves the only way that there is.
        ui.style_mut().always_scroll_the_only_direction = true;
        egui::ScrollArea::both()
            .id_salt("samples")
            .auto_shrink(false)
            .show_viewport(ui, |ui, viewport| {
                // Only the tiles in sight are laid out.
                let stride = TILE.x + GAP;
                let rows = ((viewport.height() + GAP) / (TILE.y + GAP)).floor().max(1.0) as usize;
                let columns = order.len().div_ceil(rows);
                ui.set_min_size(vec2(stride * columns as f32 - GAP, (TILE.y + GAP) * rows as f32 - GAP));
                let first = (viewport.min.x / stride).floor().max(0.0) as usize;
                let last = ((viewport.max.x / stride).ceil() as usize).min(columns);
                let origin = ui.min_rect().min;
                for (position, &sample) in order.iter().enumerate().take(last * rows).skip(first * rows) {
                    let (column, row) = (position / rows, position % rows);
                    let place = vec2(stride * column as f32, (TILE.y + GAP) * row as f32);
                    let rect = Rect::from_min_size(origin + place, TILE);
                    let mut tile = ui.new_child(egui::UiBuilder::new().max_rect(rect).id_salt(sample));
                    tile.set_clip_rect(rect.intersect(ui.clip_rect()));
                    self.tile_ui(&mut tile, data, sample, float, quantized);
                }
            });
    }

    fn tile_ui(&mut self, ui: &mut Ui, data: &Dataset, sample: usize, float: &Outputs, quantized: Option<&Outputs>) {
        let colors = tokens(ui);
        let before = Answers {
            answers: answers(float, sample, TOP),
            color: colors.original,
            of: "float network",
        };
        let after = Answers {
            answers: quantized
                .map(|outputs| answers(outputs, sample, TOP))
                .unwrap_or_default(),
            color: colors.quantized,
            of: "this recipe",
        };
        let first = |of: &Answers| of.answers.first().map(|answer| answer.class);
        let changed = first(&after).is_some() && first(&before) != first(&after);
        ui.spacing_mut().item_spacing = vec2(6.0, 1.0);
        ui.spacing_mut().interact_size.y = 13.0;
        ui.horizontal_top(|ui| {
            if let Some(texture) = self.texture(ui.ctx(), data, sample) {
                let image = egui::Image::new(&texture)
                    .fit_to_exact_size(vec2(PICTURE, PICTURE))
                    .alt_text(format!("Sample {sample}"));
                ui.add(image)
                    .on_hover_text(format!("Sample {sample}. {}", data.preprocessing()));
            }
            ui.vertical(|ui| {
                match data.context(sample, CONTEXT) {
                    Some(context) => context_ui(ui, data, sample, &context, changed),
                    None => title_ui(ui, data, sample, changed),
                }
                ui.horizontal_top(|ui| {
                    let width = (ui.available_width() - 6.0) / 2.0;
                    for network in [&before, &after] {
                        ui.vertical(|ui| bars_ui(ui, data, sample, network, width));
                    }
                });
            });
        });
    }

    fn texture(&mut self, ctx: &egui::Context, data: &Dataset, sample: usize) -> Option<TextureHandle> {
        if self.textures.len() > MOST_TEXTURES {
            self.textures.clear();
        }
        let load = || {
            let (width, height, rgb) = data.thumbnail(sample)?;
            let image = (rgb.len() == width * height * 3).then(|| ColorImage::from_rgb([width, height], &rgb))?;
            Some(ctx.load_texture(format!("sample {sample}"), image, TextureOptions::NEAREST))
        };
        self.textures.entry(sample).or_insert_with(load).clone()
    }
}

/// What a sample is.
fn title_ui(ui: &mut Ui, data: &Dataset, sample: usize, changed: bool) {
    let label = data.label(sample).map(|class| class_name(data, class));
    let title = label.unwrap_or_else(|| format!("sample {sample}"));
    let shown = if changed {
        RichText::new(format!("{title} · changed"))
            .small()
            .color(tokens(ui).outlier)
    } else {
        note(title)
    };
    ui.label(shown)
        .on_hover_text("What the sample is; 'changed' when the recipe changes the first answer.");
}

/// The text that the network has read, and the character that comes next.
fn context_ui(ui: &mut Ui, data: &Dataset, sample: usize, context: &str, changed: bool) {
    let font = FontId::monospace(10.5);
    let colors = tokens(ui);
    let visible = |text: &str| text.replace('\n', "↵");
    let next = data
        .label(sample)
        .map_or_else(|| "?".to_owned(), |class| class_name(data, class));
    let mut job = LayoutJob::default();
    job.wrap.max_rows = 1;
    let format = |color| TextFormat::simple(font.clone(), color);
    job.append(&visible(context), 0.0, format(ui.visuals().weak_text_color()));
    let color = if changed {
        colors.outlier
    } else {
        ui.visuals().text_color()
    };
    job.append(&format!("▸{next}"), 0.0, format(color));
    let changed = if changed {
        ", and the recipe changes the first answer"
    } else {
        ""
    };
    let what = format!("…{context}\n\nThe text so far; the character after ▸ comes next{changed}.");
    ui.add(egui::Label::new(job).selectable(false)).on_hover_text(what);
}

/// The likeliest answers of one network as bars with names; a tick on the right one.
fn bars_ui(ui: &mut Ui, data: &Dataset, sample: usize, network: &Answers, width: f32) {
    let font = egui::TextStyle::Small.resolve(ui.style());
    for answer in network.answers.iter().take(TOP) {
        let name = class_name(data, answer.class);
        let right = data.label(sample) == Some(answer.class);
        let (rect, response) = ui.allocate_exact_size(vec2(width, BAR), Sense::hover());
        let share = answer.probability.clamp(0.0, 1.0);
        let painter = ui.painter();
        painter.rect_filled(rect, 2.0, faded(network.color, 0.14));
        let filled = Rect::from_min_size(rect.min, vec2(rect.width() * share, rect.height()));
        painter.rect_filled(filled, 2.0, faded(network.color, 0.55));
        let color = ui.visuals().strong_text_color();
        let number = format!("{:.0} %", answer.probability * 100.0);
        painter.text(
            pos2(rect.max.x - 4.0, rect.center().y),
            Align2::RIGHT_CENTER,
            &number,
            font.clone(),
            color,
        );
        let mut left = rect.min.x + 4.0;
        if right {
            tick(painter, pos2(left, rect.center().y - 5.0), color);
            left += 13.0;
        }
        let shown = text::elide_middle(&name, 14);
        painter.text(
            pos2(left, rect.center().y),
            Align2::LEFT_CENTER,
            shown,
            font.clone(),
            color,
        );
        let mark = if right { ", right" } else { "" };
        let says = format!("{}: {name} {number}{mark}", network.of);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &says));
        response.on_hover_text(says);
    }
}

/// A tick, drawn: the built-in fonts have none.
fn tick(painter: &egui::Painter, at: egui::Pos2, color: Color32) {
    let points = [(1.0, 5.5), (4.0, 8.5), (9.0, 1.5)].map(|(x, y)| at + vec2(x, y));
    painter.line(points.to_vec(), egui::Stroke::new(1.5, color));
}

/// The name of a class, or its number.
fn class_name(data: &Dataset, class: usize) -> String {
    match data.class_name(class) {
        Some("\n") => "↵".to_owned(),
        Some(" ") => "space".to_owned(),
        Some(name) => name.to_owned(),
        None => format!("class {class}"),
    }
}
