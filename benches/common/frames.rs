//! What frames take while a hand is on a control: each view in front in turn.

use super::clock::{milliseconds, percentile};
use super::headless::{Frame, Headless};
use super::networks;
use egui::accesskit::Role;
use egui::{pos2, vec2};
use splitscope::onnx::write_file;
use splitscope::session::{Action, ExportKind};

/// The views that share the middle of the window.
pub(crate) const VIEWS: [&str; 12] = [
    "Weights",
    "Channels",
    "Activations",
    "Errors",
    "Network",
    "Graph",
    "Answers",
    "Sweep",
    "A/B",
    "Auto",
    "Compare",
    "Learn",
];

/// Frames of one drag.
pub(crate) const FRAMES: usize = 300;

/// A row of the report.
pub(crate) struct Figure {
    pub(crate) what: String,
    frames: Vec<Frame>,
}

impl Figure {
    /// The own work of a frame that `share` of the frames stay below.
    pub(crate) fn own(&self, share: f64) -> std::time::Duration {
        let own: Vec<_> = self.frames.iter().map(|frame| frame.own).collect();
        percentile(&own, share)
    }

    /// The same of the time from begin to end.
    pub(crate) fn wall(&self, share: f64) -> std::time::Duration {
        let wall: Vec<_> = self.frames.iter().map(|frame| frame.wall).collect();
        percentile(&wall, share)
    }

    #[allow(dead_code, reason = "one of the benches has a table of its own")]
    /// Median, 99th percentile and largest of the own work; 99th percentile with all that ran beside it.
    pub(crate) fn describe(&self) -> String {
        let [median, high, most] = [0.5, 0.99, 1.0].map(|share| milliseconds(self.own(share)));
        format!(
            "median {median}, 99 % below {high}, all below {most}; with the jobs beside it 99 % below {}",
            milliseconds(self.wall(0.99))
        )
    }
}

/// Opens a DenseNet-121, then a network of 10 000 layers, each with a snapshot and with its own export to compare it with.
pub(crate) fn each_network(mut run: impl FnMut(&str, &mut Headless)) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, model) in [
        ("DenseNet-121", networks::densenet121()),
        ("10 000 layers", networks::chain(10_000)),
    ] {
        let [path, export] = ["network.onnx", "export.onnx"].map(|file| folder.path().join(file));
        write_file(&model, &path)?;
        drop(model);
        let mut window = Headless::open(&path);
        window.act(Action::TakeSnapshot(String::new()));
        window.act(Action::Export {
            kind: ExportKind::Onnx,
            path: export.clone(),
        });
        window.act(Action::CompareWith(Some(export)));
        run(name, &mut window);
        let open = window.app().session().open();
        anyhow::ensure!(
            open.is_some_and(|open| open.against().is_some()),
            "both networks stayed open"
        );
    }
    Ok(())
}

/// Every view with a hand on it.
pub(crate) fn every_view(window: &mut Headless, mut found: impl FnMut(&Figure)) {
    found(&scroll(window, "table of layers", 150.0, 400.0));
    if let Some(figure) = drag_the_threshold(window) {
        found(&figure);
    }
    for view in VIEWS {
        found(&drag_the_ratio(window, view));
        if matches!(view, "Network" | "Graph" | "Compare") {
            found(&scroll(window, view, 650.0, 400.0));
        }
    }
}

/// The slider *Expand ratio* is dragged with `view` in front.
pub(crate) fn drag_the_ratio(window: &mut Headless, view: &str) -> Figure {
    window.show(view);
    let slider = window.expect(Role::Slider, "Expand ratio");
    let (from, to) = (
        slider.left_center() + vec2(10.0, 0.0),
        slider.left_center() + vec2(60.0, 0.0),
    );
    let frames = window.drag(from, to, FRAMES);
    window.settle();
    Figure {
        what: format!("{view}, ratio dragged"),
        frames,
    }
}

/// The threshold is dragged in the histogram.
fn drag_the_threshold(window: &mut Headless) -> Option<Figure> {
    window.show("Weights");
    let y = 300.0;
    let line = (560..985).rev().map(|x| pos2(x as f32, y)).find(|place| {
        window.move_to(*place);
        window.step();
        window.step();
        window.cursor() == egui::CursorIcon::ResizeHorizontal
    })?;
    let line = line - vec2(5.0, 0.0);
    let frames = window.drag(line, line - vec2(90.0, 0.0), FRAMES);
    window.settle();
    Some(Figure {
        what: "Weights, clip line dragged".to_owned(),
        frames,
    })
}

/// The wheel turns over what lies at a place of the window.
fn scroll(window: &mut Headless, what: &str, x: f32, y: f32) -> Figure {
    window.move_to(pos2(x, y));
    window.step();
    let frames = (0..FRAMES).map(|number| {
        // Down most of the time, so that new rows come into sight.
        window.scroll(if number % 50 < 45 { -120.0 } else { 200.0 });
        window.step()
    });
    Figure {
        what: format!("{what}, scrolled"),
        frames: frames.collect(),
    }
}
