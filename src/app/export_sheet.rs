//! What an export wrote: its size, what is in it, whether it predicts what the preview shows; and what to do with it.

use super::Outbox;
use super::text::{self, note};
use super::theme::tokens;
use super::widgets::{job_ui, stopped_ui};
use crate::session::{Action, ExportKind, Exported, Kind, OpenNetwork, Session};
use egui::{Align2, Context, Label, RichText, Ui, Window};
use std::path::{Path, PathBuf};

/// Width of the sheet, points.
const WIDTH: f32 = 420.0;

/// Draws the sheet while there is a file to tell of.
pub(super) fn export_sheet(ctx: &Context, session: &Session, out: &mut Outbox) {
    let Some(open) = session.open() else { return };
    let Some(exported) = open.exported() else { return };
    let mut stays = true;
    let window = Window::new("Exported")
        .open(&mut stays)
        .collapsible(false)
        .resizable(false);
    window.anchor(Align2::RIGHT_BOTTOM, [-12.0, -40.0]).show(ctx, |ui| {
        ui.set_width(WIDTH);
        let path = exported.path.display().to_string();
        ui.add(Label::new(text::elide_middle(&path, 60))).on_hover_text(&path);
        if let Some(bytes) = exported.bytes {
            ui.label(RichText::new(size_text(bytes, exported.original_bytes)).strong());
        }
        ui.add(Label::new(note(contents(exported))).wrap());
        for need in &exported.needs {
            ui.add(Label::new(note(need)).wrap());
        }
        if exported.kind.is_graph() {
            check_ui(ui, session, open, out);
        }
        ui.horizontal_wrapped(|ui| {
            if ui
                .button("Open folder")
                .on_hover_text("Show the file's folder in the system's file manager.")
                .clicked()
            {
                open_folder(&exported.path, out);
            }
            let compares = exported.kind.is_graph() || exported.kind == ExportKind::Safetensors;
            if compares
                && ui
                    .button("Compare")
                    .on_hover_text("See layer by layer how far the file is from the original.")
                    .clicked()
            {
                out.actions.push(Action::CompareWith(Some(exported.path.clone())));
                out.commands
                    .push(super::command::Command::ShowView(super::view::View::Compare));
            }
            if ui.button("Copy path").clicked() {
                ui.ctx().copy_text(path.clone());
            }
        });
    });
    if !stays {
        out.actions.push(Action::DismissExport);
    }
}

/// `143 kB, 13 % of the original`.
fn size_text(bytes: u64, original: Option<u64>) -> String {
    let size = format!("{}B", text::short_count(bytes));
    let size = if bytes < 1000 { format!("{bytes} B") } else { size };
    match original.filter(|original| *original > 0) {
        Some(original) => {
            let share = bytes as f64 / original as f64;
            format!("{size}, {} of the original file", text::percent(share))
        }
        None => size,
    }
}

/// What is in the file, in a sentence.
fn contents(exported: &Exported) -> String {
    match exported.kind {
        ExportKind::Recipe => "The settings, as TOML; the command line reads them with --recipe.".to_owned(),
        ExportKind::Report => "A page with accuracy, layers, plots and settings.".to_owned(),
        ExportKind::Onnx | ExportKind::OnnxWithPast | ExportKind::Safetensors => {
            let what = match exported.kind {
                ExportKind::Onnx => "The quantized graph, with standard operators only",
                ExportKind::OnnxWithPast => {
                    "The quantized graph, with standard operators only, and with inputs and outputs for keys and values of earlier tokens (past_key_values, present)"
                }
                _ => "Integers, scales and splits of each layer",
            };
            match &exported.summary {
                Some(summary) => {
                    let quantized = summary.layers.iter().flatten().count() as u64;
                    let layers = text::plural(quantized, "layer", "layers");
                    format!(
                        "{what}: {layers} quantized, {}.",
                        text::bits(exported.recipe.weight_bits)
                    )
                }
                None => format!("{what}."),
            }
        }
    }
}

/// Whether the file predicts what the preview shows.
fn check_ui(ui: &mut Ui, session: &Session, open: &OpenNetwork, out: &mut Outbox) {
    if let Some(job) = session.job(Kind::CheckExport) {
        ui.horizontal(|ui| job_ui(ui, &job, out));
        return;
    }
    if let Some(error) = open.export_check_failure() {
        ui.label(note("Not verified:"));
        stopped_ui(ui, error);
        return;
    }
    let Some(check) = open.export_check() else {
        ui.label(note("Not verified: the preview has no predictions of this recipe."));
        return;
    };
    let samples = text::plural(check.samples as u64, "sample", "samples");
    if check.max_abs_difference == 0.0 {
        ui.label(format!("Verified equal to the preview on {samples}."));
    } else {
        let changed = check.changed_predictions.unwrap_or(0) as u64;
        let told = format!(
            "Differs from the preview on {samples}: outputs by up to {}, {} changed.",
            text::three_digits(check.max_abs_difference),
            text::plural(changed, "prediction", "predictions")
        );
        let color = if changed == 0 {
            ui.visuals().text_color()
        } else {
            tokens(ui).error
        };
        ui.add(Label::new(RichText::new(told).color(color)).wrap());
    }
}

/// Shows the folder in the system's file manager, on a process of its own.
fn open_folder(path: &Path, out: &mut Outbox) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let program = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(target_os = "windows") {
        "explorer"
    } else {
        "xdg-open"
    };
    if let Err(error) = std::process::Command::new(program).arg(&folder).spawn() {
        let text = format!("{}: cannot be shown by {program}: {error}", folder.display());
        out.actions.push(Action::Note(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_beside_the_original() {
        assert_eq!(size_text(512, None), "512 B");
        assert_eq!(
            size_text(143_000, Some(1_100_000)),
            "143 kB, 13.0 % of the original file"
        );
    }
}
