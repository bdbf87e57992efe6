//! The window without a window: the application's own frames, laid out and tessellated, nothing painted.

use cpu_time::ThreadTime;
use egui::accesskit::{Node, NodeId, Role};
use egui::{Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, pos2, vec2};
use splitscope::app::{App, StartOptions};
use splitscope::session::{Action, Kind};
use std::path::Path;
use std::time::{Duration, Instant};

/// Longest wait for the application to come to rest.
const LIMIT: Duration = Duration::from_secs(300);
/// How long layers are ranked before the application counts as at rest.
const RANKING: Duration = Duration::from_secs(15);
/// Time between two frames, as the application sees it.
const FRAME: f64 = 1.0 / 60.0;

/// What one frame took on the thread of the window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    /// From its begin to its triangles, with whatever else the machine did meanwhile.
    pub(crate) wall: Duration,
    /// Its own work: time that the thread ran.
    pub(crate) own: Duration,
}

/// An application and what drives it.
pub(crate) struct Headless {
    ctx: egui::Context,
    app: App,
    frame: eframe::Frame,
    size: egui::Vec2,
    time: f64,
    pointer: Pos2,
    events: Vec<Event>,
    nodes: Vec<(NodeId, Node)>,
    cursor: egui::CursorIcon,
}

impl Headless {
    /// The window of 1280x800 points with the model at `path`, once all its jobs are done.
    pub(crate) fn open(path: &Path) -> Self {
        let ctx = egui::Context::default();
        let options = StartOptions {
            model: Some(path.display().to_string()),
            ..StartOptions::default()
        };
        let app = App::new(&eframe::CreationContext::_new_kittest(ctx.clone()), &options).without_native_dialogs();
        let mut window = Self {
            ctx,
            app,
            frame: eframe::Frame::_new_kittest(),
            size: vec2(1280.0, 800.0),
            time: 0.0,
            pointer: pos2(640.0, 400.0),
            events: Vec::new(),
            nodes: Vec::new(),
            cursor: egui::CursorIcon::Default,
        };
        window.settle();
        window
    }

    /// Draws one frame.
    pub(crate) fn step(&mut self) -> Frame {
        self.time += FRAME;
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, self.size)),
            time: Some(self.time),
            events: std::mem::take(&mut self.events),
            focused: true,
            ..RawInput::default()
        };
        let (started, own) = (Instant::now(), ThreadTime::now());
        let output = self.ctx.run_ui(input, |ui| {
            use eframe::App as _;
            let ctx = ui.ctx().clone();
            self.app.logic(&ctx, &mut self.frame);
            self.app.ui(ui, &mut self.frame);
        });
        let triangles = self.ctx.tessellate(output.shapes, output.pixels_per_point);
        let frame = Frame {
            wall: started.elapsed(),
            own: own.elapsed(),
        };
        std::hint::black_box(triangles);
        self.cursor = output.platform_output.cursor_icon;
        if let Some(update) = output.platform_output.accesskit_update {
            self.nodes = update.nodes;
        }
        frame
    }

    /// Draws frames until nothing is under way; of a network so deep that ranking its layers takes longer than [`RANKING`], until
    /// nothing but that is.
    pub(crate) fn settle(&mut self) {
        let started = Instant::now();
        for _ in 0..4 {
            self.step();
        }
        while !self.app.is_idle() {
            let running = self.app.session().running();
            let is_ranked_on = running.iter().all(|job| job.kind == Kind::LayerOrder);
            if is_ranked_on && started.elapsed() > RANKING {
                break;
            }
            assert!(
                started.elapsed() < LIMIT,
                "the application does not come to rest: {running:?}"
            );
            std::thread::sleep(Duration::from_millis(4));
            self.step();
        }
        for _ in 0..30 {
            self.step();
        }
    }

    /// What is drawn, with names and places.
    fn look(&mut self) {
        self.ctx.enable_accesskit();
        self.step();
        self.step();
        self.ctx.disable_accesskit();
    }

    /// Where the control of that role and name is.
    pub(crate) fn find(&mut self, role: Role, name: &str) -> Option<Rect> {
        self.look();
        let text = |node: &Node| node.label() == Some(name) || node.value() == Some(name);
        let names: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|(_, node)| text(node))
            .map(|(id, _)| *id)
            .collect();
        let named = |node: &Node| text(node) || node.labelled_by().iter().any(|id| names.contains(id));
        let (_, node) = self.nodes.iter().find(|(_, node)| node.role() == role && named(node))?;
        let bounds = node.bounds()?;
        let (min, max) = ([bounds.x0, bounds.y0], [bounds.x1, bounds.y1]);
        let point = |[x, y]: [f64; 2]| pos2(x as f32, y as f32);
        Some(Rect::from_min_max(point(min), point(max)))
    }

    /// The control of that role and name, which must be there.
    pub(crate) fn expect(&mut self, role: Role, name: &str) -> Rect {
        let found = self.find(role, name);
        found.unwrap_or_else(|| panic!("there is no {role:?} called '{name}'"))
    }

    /// Brings a view to the front, also one whose tab is out of sight, as somebody does who types.
    pub(crate) fn show(&mut self, view: &str) {
        self.key(Key::K, Modifiers::COMMAND);
        self.events.push(Event::Text(format!("show view {view}")));
        self.step();
        self.key(Key::Enter, Modifiers::NONE);
        self.settle();
    }

    /// A key is pressed and let go.
    fn key(&mut self, key: Key, modifiers: Modifiers) {
        for pressed in [true, false] {
            self.events.push(Event::Key {
                key,
                physical_key: None,
                pressed,
                repeat: false,
                modifiers,
            });
            self.step();
        }
        self.step();
    }

    /// Carries out an action, with all that it starts.
    pub(crate) fn act(&mut self, action: Action) {
        self.app.act(action);
        self.settle();
    }

    pub(crate) fn move_to(&mut self, place: Pos2) {
        self.pointer = place;
        self.events.push(Event::PointerMoved(place));
    }

    pub(crate) fn press(&mut self, pressed: bool) {
        self.events.push(Event::PointerButton {
            pos: self.pointer,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        });
    }

    /// Turns the wheel by so many points.
    pub(crate) fn scroll(&mut self, points: f32) {
        self.events.push(Event::MouseWheel {
            unit: egui::MouseWheelUnit::Point,
            delta: vec2(0.0, points),
            phase: egui::TouchPhase::Move,
            source: egui::MouseWheelSource::Wheel,
            modifiers: Modifiers::NONE,
        });
    }

    /// `count` frames, each after a move of the pointer on a pressed button between `from` and `to`, back and forth.
    pub(crate) fn drag(&mut self, from: Pos2, to: Pos2, count: usize) -> Vec<Frame> {
        self.move_to(from);
        self.step();
        self.press(true);
        self.step();
        let mut frames = Vec::with_capacity(count);
        for number in 0..count {
            let phase = (number as f32 * 0.11).sin().abs();
            self.move_to(from + (to - from) * phase);
            frames.push(self.step());
            // The rest of a frame at 60 Hz, which belongs to the jobs.
            let left = Duration::from_secs_f64(FRAME).saturating_sub(frames[number].wall);
            std::thread::sleep(left);
        }
        self.press(false);
        self.step();
        frames
    }

    /// What the pointer looks like.
    pub(crate) fn cursor(&self) -> egui::CursorIcon {
        self.cursor
    }

    /// The application.
    pub(crate) fn app(&self) -> &App {
        &self.app
    }
}
