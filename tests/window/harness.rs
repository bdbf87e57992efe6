//! The window without a window: opened, driven and waited for.

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};
use egui_kittest::{Harness, HarnessBuilder};
use splitscope::app::{App, StartOptions};
use splitscope::jobs::JobId;
use splitscope::session::{Action, Session};
use std::time::{Duration, Instant};

pub(crate) type Window = Harness<'static, App>;

/// Longer than any job takes, beside whatever else the machine does: what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// Between two frames while a job runs.
const SHORTEST: Duration = Duration::from_millis(3);
const LONGEST: Duration = Duration::from_millis(100);

pub(crate) fn builder() -> HarnessBuilder<App> {
    Harness::builder()
        .with_size([1280.0, 800.0])
        .with_theme(egui::Theme::Dark)
}

/// The window with that model and few samples, once all its jobs are done.
pub(crate) fn open(model: &str) -> Window {
    open_with(builder(), model, 60)
}

/// The text demo, with few tokens.
pub(crate) fn open_text(tokens: usize) -> Window {
    open_text_in(builder(), tokens)
}

pub(crate) fn open_text_in(builder: HarnessBuilder<App>, tokens: usize) -> Window {
    let options = StartOptions {
        model: Some("demo:shakespeare".to_owned()),
        ..StartOptions::default()
    };
    let mut window = builder.build_eframe(|cc| App::new(cc, &options).without_native_dialogs());
    wait_while(&mut window, |window| {
        session(window).open().and_then(|open| open.data()).is_none()
    });
    window.state_mut().act(Action::SetSampleLimit(tokens));
    settle(&mut window);
    window
}

pub(crate) fn open_with(builder: HarnessBuilder<App>, model: &str, samples: usize) -> Window {
    let options = StartOptions {
        model: Some(model.to_owned()),
        ..StartOptions::default()
    };
    let mut window = builder.build_eframe(|cc| {
        let mut app = App::new(cc, &options).without_native_dialogs();
        app.act(Action::SetSampleLimit(samples));
        app
    });
    settle(&mut window);
    window
}

/// Draws frames until no job is under way and nothing moves.
pub(crate) fn settle(window: &mut Window) {
    window.run_steps(2);
    wait_while(window, |window| !window.state().is_idle());
    window.run_steps(4);
}

/// Draws frames as long as `going_on` holds. A frame takes a processor as a job does, so that the longer the same jobs run the
/// rarer it is drawn: of two processors two windows would take half from the jobs that they wait for.
pub(crate) fn wait_while(window: &mut Window, going_on: impl Fn(&Window) -> bool) {
    let started = Instant::now();
    let (mut seen, mut since) = (Vec::new(), started);
    while going_on(window) {
        assert!(started.elapsed() < LIMIT, "stuck: {:?}", session(window).running());
        let running: Vec<JobId> = session(window).running().iter().map(|job| job.id).collect();
        if running != seen {
            (seen, since) = (running, Instant::now());
        }
        std::thread::sleep((since.elapsed() / 8).clamp(SHORTEST, LONGEST));
        window.step();
    }
}

pub(crate) fn session(window: &Window) -> &Session {
    window.state().session()
}

/// Clicks what carries that label.
pub(crate) fn click(window: &mut Window, label: &str) {
    window.get_by_label(label).click();
    settle(window);
}

/// The texts of all labels that contain `part`.
pub(crate) fn texts(window: &Window, part: &str) -> Vec<String> {
    let text = |node: egui_kittest::Node<'_>| {
        let node = node.accesskit_node();
        node.value().or_else(|| node.label()).unwrap_or_default()
    };
    window.query_all_by_label_contains(part).map(text).collect()
}

/// The first number in percent after `part`, as a fraction.
pub(crate) fn percent_after(window: &Window, part: &str) -> f64 {
    let found = texts(window, part);
    let text = found.first().unwrap_or_else(|| panic!("no label contains '{part}'"));
    let rest = &text[text.find(part).unwrap_or(0) + part.len()..];
    let number: String = rest
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    number
        .parse::<f64>()
        .unwrap_or_else(|_| panic!("no number in '{text}'"))
        / 100.0
}

/// A file as the window system hands it over.
pub(crate) fn dropped(path: &std::path::Path) -> std::sync::Arc<dyn egui::DroppedFile + Send + Sync> {
    #[derive(Debug)]
    struct File(std::path::PathBuf);
    impl egui::DroppedFile for File {
        fn path(&self) -> &std::path::Path {
            &self.0
        }
        fn bytes(&self) -> Result<Vec<u8>, String> {
            std::fs::read(&self.0).map_err(|error| error.to_string())
        }
    }
    std::sync::Arc::new(File(path.to_owned()))
}

/// Opens the palette, types and takes the first row.
pub(crate) fn by_palette(window: &mut Window, query: &str) {
    window.key_press_modifiers(Modifiers::COMMAND, Key::K);
    window.run_steps(3);
    window
        .get_by_role_and_label(Role::TextInput, "Search commands")
        .type_text(query);
    window.run_steps(3);
    window.key_press(Key::Enter);
    settle(window);
}
