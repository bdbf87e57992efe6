//! The window of settings: what an outlier is, dark or light, the size of everything, threads.

use super::Outbox;
use super::widgets::choice_row;
use crate::jobs::available_threads;
use crate::session::{Action, Session};
use egui::{Context, Key, Popup, ThemePreference, Ui};

/// Sizes of everything that can be chosen.
const ZOOM: std::ops::RangeInclusive<f32> = 0.5..=3.0;

/// Draws the window if it is open. Escape closes it, or the menu that is open in it.
pub(super) fn settings_window(ctx: &Context, session: &Session, open: &mut bool, out: &mut Outbox) {
    if *open && !Popup::is_any_open(ctx) && ctx.input(|input| input.key_pressed(Key::Escape)) {
        *open = false;
    }
    egui::Window::new("Settings")
        .open(open)
        .collapsible(false)
        .resizable(false)
        .default_pos(ctx.content_rect().center() - egui::vec2(170.0, 140.0))
        .default_width(340.0)
        .show(ctx, |ui| {
            sigma_ui(ui, session, out);
            theme_ui(ui);
            zoom_ui(ui);
            threads_ui(ui, session, out);
        });
}

fn threads_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let most = available_threads();
    let mut threads = session.saved.threads.unwrap_or(most);
    let help = "Each task (the selected layer, the plan of all layers, the preview, a sweep…) works on at most that many \
                threads, the engine that runs the network too. Fewer leave processor cores to other programs. What is under \
                way ends on the threads it has.";
    let shown = move |threads: f64, _: std::ops::RangeInclusive<usize>| match threads.round() as usize {
        threads if threads == most => "all cores".to_owned(),
        threads => format!("{threads} of {most} cores"),
    };
    let typed = move |text: &str| match text.split_whitespace().next()? {
        "all" => Some(most as f64),
        number => number.parse().ok(),
    };
    let response = choice_row(ui, "Worker threads", help, |ui| {
        let drag = egui::DragValue::new(&mut threads).range(1..=most).speed(0.05);
        ui.add(drag.custom_formatter(shown).custom_parser(typed))
    });
    if response.changed() {
        out.actions.push(Action::SetThreads(Some(threads)));
    }
}

fn sigma_ui(ui: &mut Ui, session: &Session, out: &mut Outbox) {
    let mut sigma = session.saved.sigma;
    let help = "A weight further from the mean of its layer than this many standard deviations counts as an outlier.";
    let response = choice_row(ui, "An outlier lies beyond", help, |ui| {
        let drag = egui::DragValue::new(&mut sigma).range(1.0..=20.0).speed(0.05);
        ui.add(drag.max_decimals(1).suffix(" σ"))
    });
    if response.changed() {
        out.actions.push(Action::SetSigma(sigma));
    }
}

fn theme_ui(ui: &mut Ui) {
    let mut preference = ui.ctx().options(|options| options.theme_preference);
    let before = preference;
    let names = [
        (ThemePreference::Dark, "dark"),
        (ThemePreference::Light, "light"),
        (ThemePreference::System, "as the system"),
    ];
    let shown = names
        .iter()
        .find(|(of, _)| *of == preference)
        .map_or("", |(_, name)| name);
    choice_row(
        ui,
        "Colours",
        "All colours stay apart for colour-blind eyes, on both grounds.",
        |ui| {
            let combo = egui::ComboBox::from_id_salt("theme").selected_text(shown);
            combo
                .show_ui(ui, |ui| {
                    for (of, name) in names {
                        ui.selectable_value(&mut preference, of, name);
                    }
                })
                .response
        },
    );
    if preference != before {
        ui.ctx().set_theme(preference);
    }
}

fn zoom_ui(ui: &mut Ui) {
    let mut zoom = ui.ctx().zoom_factor() * 100.0;
    let response = choice_row(
        ui,
        "Size of everything",
        "Larger for a projector, smaller for more at once.",
        |ui| {
            let range = ZOOM.start() * 100.0..=ZOOM.end() * 100.0;
            ui.add(
                egui::DragValue::new(&mut zoom)
                    .range(range)
                    .speed(1.0)
                    .max_decimals(0)
                    .suffix(" %"),
            )
        },
    );
    if response.changed() {
        ui.ctx().set_zoom_factor(zoom / 100.0);
    }
}
