//! What the recipe does to the answers: accuracy before and after, and samples with both networks' answers.

use super::Outbox;
use super::command::Command;
use super::text::{self, note};
use super::theme::tokens;
use crate::inference::{Dataset, Metrics, Outputs, Prediction};
use crate::jobs::Running;
use crate::session::{Action, Evaluated, Kind, OpenNetwork, RunState, Session, answers};
use egui::{ColorImage, Rect, RichText, Sense, TextureHandle, TextureOptions, Ui, pos2, vec2};
use std::collections::HashMap;
use std::sync::Arc;

/// Answers shown of each network.
const TOP: usize = 3;
/// Size of a tile, points.
const TILE: egui::Vec2 = vec2(248.0, 92.0);
/// Side of a picture, points.
const PICTURE: f32 = 64.0;
/// Pictures kept as textures.
const MOST_TEXTURES: usize = 400;

/// State of the view between frames.
#[derive(Default)]
pub(super) struct PreviewPanel {
    textures: HashMap<usize, Option<TextureHandle>>,
    /// The data that the textures belong to.
    of: Option<Arc<Dataset>>,
}

impl PreviewPanel {
    /// Draws the accuracy line and the samples.
    pub(super) fn ui(&mut self, ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
        accuracy_ui(ui, session, open, out);
        match open.run_state(session.limit()) {
            RunState::CannotRun(reason) => {
                ui.label(format!("The network can't be run: {reason}."));
                ui.label(note("Its weights can still be looked at, split and exported."));
            }
            RunState::NoData => no_data_ui(ui, out),
            _ => self.samples_ui(ui, open),
        }
    }

    fn samples_ui(&mut self, ui: &mut Ui, open: &OpenNetwork) {
        let (Some(data), Some(float)) = (open.data(), open.float_outputs()) else {
            return;
        };
        if !self.of.as_ref().is_some_and(|of| Arc::ptr_eq(of, data)) {
            self.textures.clear();
            self.of = Some(Arc::clone(data));
        }
        let evaluated = open.evaluated().map(|(_, evaluated)| evaluated.as_ref());
        let order: Vec<usize> = match evaluated {
            Some(evaluated) => evaluated.preview.order.clone(),
            None => (0..float.samples.min(100)).collect(),
        };
        egui::ScrollArea::horizontal()
            .id_salt("samples")
            .auto_shrink(false)
            .show_viewport(ui, |ui, viewport| {
                // Only the tiles in sight are laid out.
                let stride = TILE.x + 8.0;
                ui.set_min_size(vec2(stride * order.len() as f32, TILE.y));
                let first = (viewport.min.x / stride).floor().max(0.0) as usize;
                let last = ((viewport.max.x / stride).ceil() as usize).min(order.len());
                let origin = ui.min_rect().min;
                for (position, &sample) in order.iter().enumerate().take(last).skip(first) {
                    let rect = Rect::from_min_size(pos2(origin.x + stride * position as f32, origin.y), TILE);
                    let mut tile = ui.new_child(egui::UiBuilder::new().max_rect(rect).id_salt(sample));
                    tile.set_clip_rect(rect.intersect(ui.clip_rect()));
                    let quantized = evaluated.map(|evaluated| evaluated.preview.quantized.as_ref());
                    self.tile_ui(&mut tile, data, sample, float, quantized);
                }
            });
    }

    fn tile_ui(&mut self, ui: &mut Ui, data: &Dataset, sample: usize, float: &Outputs, quantized: Option<&Outputs>) {
        let before = answers(float, sample, TOP);
        let after = quantized
            .map(|outputs| answers(outputs, sample, TOP))
            .unwrap_or_default();
        let changed = before
            .first()
            .zip(after.first())
            .is_some_and(|(before, after)| before.class != after.class);
        let colors = tokens(ui);
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing = vec2(6.0, 1.0);
            ui.spacing_mut().interact_size.y = 13.0;
            if let Some(texture) = self.texture(ui.ctx(), data, sample) {
                let name = format!("Sample {sample}");
                let image = egui::Image::new(&texture)
                    .fit_to_exact_size(vec2(PICTURE, PICTURE))
                    .alt_text(name);
                ui.add(image).on_hover_text(data.preprocessing());
            }
            ui.vertical(|ui| {
                let label = data.label(sample).map(|class| class_name(data, class));
                let title = label.unwrap_or_else(|| format!("sample {sample}"));
                let mark = if changed {
                    RichText::new(format!("{title} · changed"))
                        .small()
                        .color(colors.outlier)
                } else {
                    note(title)
                };
                ui.label(mark)
                    .on_hover_text("What the sample is; 'changed' when the recipe changes the first answer.");
                bars_ui(ui, data, sample, &before, colors.original);
                ui.add_space(3.0);
                bars_ui(ui, data, sample, &after, colors.quantized);
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

/// The likeliest answers of one network as bars with names; a tick on the right one.
fn bars_ui(ui: &mut Ui, data: &Dataset, sample: usize, answers: &[Prediction], color: egui::Color32) {
    for answer in answers.iter().take(2) {
        let name = class_name(data, answer.class);
        let right = data.label(sample) == Some(answer.class);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            let (rect, _) = ui.allocate_exact_size(vec2(48.0, 11.0), Sense::hover());
            ui.painter().rect_filled(rect, 1.0, super::theme::faded(color, 0.2));
            let filled = Rect::from_min_size(
                rect.min,
                vec2(rect.width() * answer.probability.clamp(0.0, 1.0), rect.height()),
            );
            ui.painter().rect_filled(filled, 1.0, color);
            let shown = format!("{} {:.2}", text::elide_middle(&name, 14), answer.probability);
            ui.label(RichText::new(shown).small()).on_hover_text(name);
            if right {
                tick_ui(ui);
            }
        });
    }
}

/// A tick, drawn: the built-in fonts have none.
fn tick_ui(ui: &mut Ui) {
    let (rect, response) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
    let at = |x: f32, y: f32| rect.min + vec2(x, y);
    let stroke = egui::Stroke::new(1.5, ui.visuals().text_color());
    ui.painter()
        .line(vec![at(1.0, 5.5), at(4.0, 8.5), at(9.0, 1.5)], stroke);
    response.on_hover_text("The right answer.");
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

/// `float 94.2 % → this recipe 80.8 % ± 1.2 (plain 3 bits 80.8 %)`, with progress while it runs.
fn accuracy_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    let state = open.run_state(session.limit());
    ui.horizontal(|ui| {
        ui.heading("Preview");
        if let Some((_, evaluated)) = open.evaluated() {
            numbers_ui(ui, open, evaluated, state == RunState::Done);
        }
        match &state {
            RunState::Waiting => waiting_ui(ui, session, out),
            RunState::Failed(reason) => {
                ui.colored_label(tokens(ui).error, text::elide_middle(reason, 70))
                    .on_hover_text(reason);
                if ui
                    .button(Command::Retry.text())
                    .on_hover_text(Command::Retry.tooltip())
                    .clicked()
                {
                    out.commands.push(Command::Retry);
                }
            }
            RunState::CannotRun(_) | RunState::NoData | RunState::Done => {}
        }
        if let Some(data) = open.data() {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                data_ui(ui, session, data, out);
            });
        }
    });
}

fn numbers_ui(ui: &mut Ui, open: &OpenNetwork, evaluated: &Evaluated, current: bool) {
    let colors = tokens(ui);
    let evaluation = &evaluated.evaluation;
    let weak = |text: RichText| if current { text } else { text.weak() };
    let float = metric(&evaluation.float, evaluation.samples);
    let quantized = metric(&evaluation.quantized, evaluation.samples);
    let (what, explanation) = if evaluation.float.perplexity.is_some() {
        (
            "perplexity ",
            "Perplexity: between how many characters the network hesitates, on average. Less is better.",
        )
    } else if evaluation.float.top1.is_some() {
        (
            "",
            "Share of samples whose first answer is right. ± is one standard error for this number of samples.",
        )
    } else {
        (
            "",
            "The data have no labels: agreement is the share of samples with the same first answer as the float network.",
        )
    };
    match (float, quantized) {
        (Some(float), Some(quantized)) => {
            ui.label(weak(
                RichText::new(format!("float {what}{}", float.value))
                    .color(colors.original)
                    .strong(),
            ));
            ui.label("→");
            let shown = format!("this recipe {}{}", quantized.value, quantized.spread);
            ui.label(weak(RichText::new(shown).color(colors.quantized).strong()))
                .on_hover_text(explanation);
            if let Some(plain) = open
                .plain_evaluated()
                .and_then(|plain| metric(&plain.evaluation.quantized, plain.evaluation.samples))
            {
                let shown = format!("(plain {} {})", text::bits(open.recipe().weight_bits), plain.value);
                ui.label(shown)
                    .on_hover_text("The same bits without splitting or clipping: the thing to beat.");
            }
        }
        _ => {
            ui.label(weak(
                RichText::new(format!("agreement {}", text::percent(evaluation.agreement))).strong(),
            ))
            .on_hover_text(explanation);
        }
    }
    let changed = text::plural(evaluated.preview.changed as u64, "answer changed", "answers changed");
    let sqnr = evaluation.sqnr_db.map_or_else(|| "∞ dB".to_owned(), text::decibels);
    let more = format!("agreement {} · output SQNR {sqnr}", text::percent(evaluation.agreement));
    ui.label(note(format!(
        "{changed} of {}",
        text::full_count(evaluation.samples as u64)
    )))
    .on_hover_text(more);
}

/// One number for a network: accuracy or perplexity.
struct Metric {
    value: String,
    /// ` ± 1.2`, empty where it is not known.
    spread: String,
}

fn metric(metrics: &Metrics, samples: usize) -> Option<Metric> {
    if let Some(top1) = metrics.top1 {
        let error = (top1 * (1.0 - top1) / samples.max(1) as f64).sqrt() * 100.0;
        return Some(Metric {
            value: text::percent(top1),
            spread: format!(" ± {error:.1}"),
        });
    }
    metrics.perplexity.map(|perplexity| Metric {
        value: format!("{perplexity:.2}"),
        spread: String::new(),
    })
}

/// What is under way before the numbers come, with its progress and a way to stop it.
fn waiting_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let order = [
        Kind::Evaluate,
        Kind::FloatOutputs,
        Kind::Calibrate,
        Kind::LoadData,
        Kind::Engine,
        Kind::Plan,
        Kind::Prepare,
    ];
    let running = session.running();
    let job = order
        .iter()
        .find_map(|kind| running.iter().find(|job| job.kind == *kind));
    match job {
        Some(job) => job_ui(ui, job, out),
        None => {
            ui.label(note("waiting…"));
        }
    }
}

/// A job's title, bar, time left and cancel button.
pub(super) fn job_ui(ui: &mut Ui, job: &Running<Kind>, out: &mut Outbox) {
    let left = job
        .left
        .map(|left| format!(", {} left", text::duration(left)))
        .unwrap_or_default();
    ui.label(note(format!("{}{left}", job.title))).on_hover_text(&job.stage);
    if let Some(fraction) = job.fraction {
        ui.add(
            egui::ProgressBar::new(fraction)
                .desired_width(90.0)
                .desired_height(10.0),
        );
    }
    let cancel = ui.small_button("Cancel").on_hover_text(format!("Stop: {}", job.title));
    if cancel.clicked() {
        out.actions.push(Action::Cancel(job.id));
    }
}

fn data_ui(ui: &mut Ui, session: &Session, data: &Dataset, out: &mut Outbox) {
    let mut limit = session.limit().min(data.len());
    let drag = egui::DragValue::new(&mut limit).range(1..=data.len()).speed(10.0);
    let response = ui
        .add(drag)
        .on_hover_text("How many samples are run at most. More take longer and make the numbers surer.");
    let name = ui.label(note("first"));
    if response.labelled_by(name.id).changed() {
        out.actions.push(Action::SetSampleLimit(limit));
    }
    ui.label(note(text::elide_middle(data.name(), 32)))
        .on_hover_text(format!("{}\n{}", data.name(), data.preprocessing()));
}

fn no_data_ui(ui: &mut Ui, out: &mut Outbox) {
    ui.label("No data yet. Open images or arrays to see what the recipe does to the network's answers.");
    ui.horizontal(|ui| {
        for command in [Command::OpenData, Command::OpenDataFolder] {
            if ui.button(command.text()).on_hover_text(command.tooltip()).clicked() {
                out.commands.push(command);
            }
        }
    });
}
