//! Samples with the likeliest answers of both networks side by side: pictures, or text with the characters before.

use super::super::Outbox;
use super::super::text::{self, note};
use super::super::theme::{faded, tokens};
use crate::inference::{Dataset, Outputs, Prediction};
use crate::session::{Action, OpenNetwork, answers, row};
use egui::text::{LayoutJob, TextFormat};
use egui::{Align2, Color32, ColorImage, FontId, Rect, RichText, Sense, TextureHandle, TextureOptions, Ui, pos2, vec2};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

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

/// Pictures of a data set's samples as textures.
#[derive(Default)]
struct Textures {
    textures: HashMap<usize, Option<TextureHandle>>,
    /// The data that they belong to, which they do not keep in memory.
    of: Weak<Dataset>,
}

impl Textures {
    fn get(&mut self, ctx: &egui::Context, data: &Arc<Dataset>, sample: usize) -> Option<TextureHandle> {
        let same = self.of.as_ptr() == Arc::as_ptr(data);
        if !same || self.textures.len() > MOST_TEXTURES {
            self.textures.clear();
            self.of = Arc::downgrade(data);
        }
        let load = || {
            let (width, height, rgb) = data.thumbnail(sample)?;
            let image = (rgb.len() == width * height * 3).then(|| ColorImage::from_rgb([width, height], &rgb))?;
            Some(ctx.load_texture(format!("sample {sample}"), image, TextureOptions::NEAREST))
        };
        self.textures.entry(sample).or_insert_with(load).clone()
    }
}

/// State between frames.
#[derive(Default)]
pub(in crate::app) struct Samples {
    textures: Textures,
    /// Of the pictures that were dropped in.
    dropped: HashMap<PathBuf, Textures>,
}

/// Answers of one network to one sample.
struct Answers {
    answers: Vec<Prediction>,
    color: Color32,
    /// Which network, for a person.
    of: &'static str,
}

/// A sample with what both networks say of it.
struct Tile<'a> {
    data: &'a Arc<Dataset>,
    sample: usize,
    float: &'a Outputs,
    quantized: Option<&'a Outputs>,
    /// The file, of a picture that was dropped in.
    dropped: Option<&'a Path>,
}

impl Samples {
    /// A row of samples that scrolls sideways: pictures that were dropped in, then those whose answer changed.
    pub(super) fn ui(&mut self, ui: &mut Ui, open: &OpenNetwork, out: &mut Outbox) {
        let trials = open.trials().all();
        self.dropped
            .retain(|path, _| trials.iter().any(|trial| trial.path == *path));
        let main = open.data().zip(open.float_outputs());
        let evaluated = open.evaluated().map(|(_, evaluated)| evaluated.as_ref());
        let all: Vec<usize>;
        let order = match (main, evaluated) {
            (None, _) => &[],
            (Some(_), Some(evaluated)) => evaluated.preview.order.as_slice(),
            (Some((_, float)), None) => {
                all = (0..float.samples.min(UNSORTED)).collect();
                &all
            }
        };
        let quantized = evaluated.map(|evaluated| evaluated.preview.quantized.as_ref());
        let tried = open.trial_answers();
        let tile = |position: usize| match trials.get(position) {
            Some(trial) => Some(Tile {
                data: &trial.data,
                sample: 0,
                float: &trial.float,
                quantized: tried.and_then(|tried| tried.get(position)).map(AsRef::as_ref),
                dropped: Some(&trial.path),
            }),
            None => main
                .zip(order.get(position - trials.len()))
                .map(|((data, float), sample)| Tile {
                    data,
                    sample: *sample,
                    float,
                    quantized,
                    dropped: None,
                }),
        };
        // The wheel moves the only way that there is.
        ui.style_mut().always_scroll_the_only_direction = true;
        let count = trials.len() + order.len();
        egui::ScrollArea::both()
            .id_salt("samples")
            .auto_shrink(false)
            .show_viewport(ui, |ui, viewport| {
                // Only the tiles in sight are laid out.
                let stride = TILE.x + GAP;
                let rows = ((viewport.height() + GAP) / (TILE.y + GAP)).floor().max(1.0) as usize;
                let columns = count.div_ceil(rows);
                ui.set_min_size(vec2(stride * columns as f32 - GAP, (TILE.y + GAP) * rows as f32 - GAP));
                let first = (viewport.min.x / stride).floor().max(0.0) as usize;
                let last = ((viewport.max.x / stride).ceil() as usize).min(columns);
                for position in first * rows..(last * rows).min(count) {
                    let (column, row) = (position / rows, position % rows);
                    if let Some(tile) = tile(position) {
                        self.placed_ui(ui, position, column, row, &tile, out);
                    }
                }
            });
    }

    /// Those of the open data's samples that are named, in rows that scroll down.
    pub(in crate::app) fn grid_ui(&mut self, ui: &mut Ui, open: &OpenNetwork, samples: &[usize], out: &mut Outbox) {
        let (Some((data, float)), Some((_, evaluated))) = (open.data().zip(open.float_outputs()), open.evaluated())
        else {
            return;
        };
        let columns = ((ui.available_width() + GAP) / (TILE.x + GAP)).floor().max(1.0) as usize;
        let rows = samples.len().div_ceil(columns);
        egui::ScrollArea::vertical()
            .id_salt("changed samples")
            .auto_shrink(false)
            .show_viewport(ui, |ui, viewport| {
                let stride = TILE.y + GAP;
                ui.set_min_size(vec2(TILE.x, stride * rows as f32 - GAP));
                let first = (viewport.min.y / stride).floor().max(0.0) as usize;
                let last = ((viewport.max.y / stride).ceil() as usize).min(rows);
                let shown = samples.iter().copied().enumerate().take(last * columns);
                for (position, sample) in shown.skip(first * columns) {
                    let tile = Tile {
                        data,
                        sample,
                        float,
                        quantized: Some(&evaluated.preview.quantized),
                        dropped: None,
                    };
                    self.placed_ui(ui, position, position % columns, position / columns, &tile, out);
                }
            });
    }

    /// A tile at its place in a grid.
    fn placed_ui(
        &mut self,
        ui: &mut Ui,
        position: usize,
        column: usize,
        row: usize,
        tile: &Tile<'_>,
        out: &mut Outbox,
    ) {
        let place = vec2((TILE.x + GAP) * column as f32, (TILE.y + GAP) * row as f32);
        let rect = Rect::from_min_size(ui.min_rect().min + place, TILE);
        let salt = (tile.dropped, tile.sample, position);
        let mut own = ui.new_child(egui::UiBuilder::new().max_rect(rect).id_salt(salt));
        own.set_clip_rect(rect.intersect(ui.clip_rect()));
        self.tile_ui(&mut own, tile, out);
    }

    fn tile_ui(&mut self, ui: &mut Ui, tile: &Tile<'_>, out: &mut Outbox) {
        let colors = tokens(ui);
        let (data, sample) = (tile.data, tile.sample);
        let before = Answers {
            answers: answers(tile.float, sample, TOP),
            color: colors.original,
            of: "float network",
        };
        let after = Answers {
            answers: tile
                .quantized
                .map(|outputs| answers(outputs, sample, TOP))
                .unwrap_or_default(),
            color: colors.quantized,
            of: "this recipe",
        };
        let first = |of: &Answers| of.answers.first().map(|answer| answer.class);
        let changed = first(&after).is_some() && first(&before) != first(&after);
        let numbers = (!tile.float.classification).then_some([Some(tile.float), tile.quantized]);
        ui.spacing_mut().item_spacing = vec2(6.0, 1.0);
        ui.spacing_mut().interact_size.y = 13.0;
        let textures = match tile.dropped {
            Some(path) => self.dropped.entry(path.to_path_buf()).or_default(),
            None => &mut self.textures,
        };
        ui.horizontal_top(|ui| {
            if let Some(texture) = textures.get(ui.ctx(), data, sample) {
                let image = egui::Image::new(&texture)
                    .fit_to_exact_size(vec2(PICTURE, PICTURE))
                    .alt_text(format!("Sample {sample}"));
                ui.add(image)
                    .on_hover_text(format!("Sample {sample}. {}", data.preprocessing()));
            }
            ui.vertical(|ui| {
                match (tile.dropped, data.context(sample, CONTEXT)) {
                    (Some(path), _) => dropped_title_ui(ui, path, changed, out),
                    (None, Some(context)) => context_ui(ui, data, sample, &context, changed),
                    (None, None) => title_ui(ui, data, sample, changed),
                }
                ui.horizontal_top(|ui| {
                    let width = (ui.available_width() - 6.0) / 2.0;
                    for (place, network) in [&before, &after].into_iter().enumerate() {
                        ui.vertical(|ui| match numbers {
                            Some(outputs) => numbers_ui(ui, outputs[place], sample, network, width),
                            None => bars_ui(ui, data, sample, network, width),
                        });
                    }
                });
            });
        });
    }
}

/// The name of a picture that was dropped in, and the cross that forgets it.
fn dropped_title_ui(ui: &mut Ui, path: &Path, changed: bool, out: &mut Outbox) {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    ui.horizontal(|ui| {
        let change = if changed { " · changed" } else { "" };
        let shown = RichText::new(format!("{}{change}", text::elide_middle(&name, 26))).small();
        let shown = if changed {
            shown.color(tokens(ui).changed)
        } else {
            shown
        };
        ui.label(shown).on_hover_text(path.display().to_string());
        let response = ui.add(egui::Button::new(RichText::new("×").small()).small().frame(false));
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Forget {name}")));
        if response.on_hover_text("Forget this picture.").clicked() {
            out.actions.push(Action::ForgetPicture(path.to_path_buf()));
        }
    });
}

/// What a sample is.
fn title_ui(ui: &mut Ui, data: &Dataset, sample: usize, changed: bool) {
    let label = data.label(sample).map(|class| class_name(data, class));
    let title = label.unwrap_or_else(|| format!("sample {sample}"));
    let shown = if changed {
        RichText::new(format!("{title} · changed"))
            .small()
            .color(tokens(ui).changed)
    } else {
        note(title)
    };
    ui.label(shown)
        .on_hover_text("What the sample is; 'changed' when the recipe changes the first answer.");
}

/// The text that the network has read, and the token that comes next.
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
        colors.changed
    } else {
        ui.visuals().text_color()
    };
    job.append(&format!("▸{next}"), 0.0, format(color));
    let changed = if changed {
        ", and the recipe changes the first answer"
    } else {
        ""
    };
    let unit = data.text_unit().name();
    let what = format!("…{context}\n\nThe text so far; the {unit} after ▸ comes next{changed}.");
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

/// The first outputs of one network as they are, where they stand for no classes.
fn numbers_ui(ui: &mut Ui, outputs: Option<&Outputs>, sample: usize, network: &Answers, width: f32) {
    let numbers = outputs.map_or(&[][..], |outputs| row(outputs, sample));
    let font = egui::TextStyle::Small.resolve(ui.style());
    for (place, value) in numbers.iter().enumerate().take(TOP) {
        let (rect, response) = ui.allocate_exact_size(vec2(width, BAR), Sense::hover());
        let painter = ui.painter();
        painter.rect_filled(rect, 2.0, faded(network.color, 0.3));
        let color = ui.visuals().strong_text_color();
        let name = if numbers.len() == 1 {
            "output".to_owned()
        } else {
            format!("output {place}")
        };
        let number = text::three_digits(f64::from(*value));
        let inside = rect.shrink2(vec2(4.0, 0.0));
        painter.text(inside.left_center(), Align2::LEFT_CENTER, &name, font.clone(), color);
        painter.text(
            inside.right_center(),
            Align2::RIGHT_CENTER,
            &number,
            font.clone(),
            color,
        );
        let all = text::plural(numbers.len() as u64, "output", "outputs");
        let says = format!("{}: {name} {number}, of {all}", network.of);
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
pub(in crate::app) fn class_name(data: &Dataset, class: usize) -> String {
    match data.class_name(class) {
        Some("\n") => "↵".to_owned(),
        Some(" ") => "space".to_owned(),
        Some(name) => name.to_owned(),
        None => format!("class {class}"),
    }
}
