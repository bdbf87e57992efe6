//! What a hand does: clicks on controls and beside them, drags, turns the wheel, types.

use super::random::Random;
use crate::harness::Window;
use egui::accesskit::Action;
use egui::{Event, Key, Modifiers, PointerButton, Pos2, Rect, Vec2, pos2, vec2};
use egui_kittest::kittest::{NodeT, Queryable, by};

/// Something that a hand does.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Click(Pos2, PointerButton, String),
    DoubleClick(Pos2),
    Drag(Vec<Pos2>),
    Wheel(Pos2, Vec2, Modifiers),
    Press(Key, Modifiers),
    Type(String),
    Resize(Vec2),
    Leave,
}

impl std::fmt::Display for Deed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Click(place, button, what) => write!(f, "clicks {button:?} at {place:?} on '{what}'"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl Deed {
    /// The events of each frame that it takes.
    pub(crate) fn events(&self) -> Vec<Vec<Event>> {
        let button = |pos: Pos2, button: PointerButton, pressed: bool| Event::PointerButton {
            pos,
            button,
            pressed,
            modifiers: Modifiers::NONE,
        };
        let main = PointerButton::Primary;
        match self {
            Self::Click(place, with, _) => vec![
                vec![Event::PointerMoved(*place)],
                vec![button(*place, *with, true)],
                vec![button(*place, *with, false)],
            ],
            Self::DoubleClick(place) => vec![
                vec![Event::PointerMoved(*place), button(*place, main, true)],
                vec![button(*place, main, false), button(*place, main, true)],
                vec![button(*place, main, false)],
            ],
            Self::Drag(way) => {
                let (first, last) = (way[0], way[way.len() - 1]);
                let begin = vec![Event::PointerMoved(first)];
                let moves = way.iter().map(|place| vec![Event::PointerMoved(*place)]);
                let mut frames = vec![begin, vec![button(first, main, true)]];
                frames.extend(moves);
                frames.push(vec![button(last, main, false)]);
                frames
            }
            Self::Wheel(place, delta, modifiers) => vec![vec![
                Event::PointerMoved(*place),
                Event::MouseWheel {
                    unit: egui::MouseWheelUnit::Point,
                    delta: *delta,
                    phase: egui::TouchPhase::Move,
                    source: egui::MouseWheelSource::Wheel,
                    modifiers: *modifiers,
                },
            ]],
            Self::Press(key, modifiers) => [true, false]
                .into_iter()
                .map(|pressed| {
                    vec![Event::Key {
                        key: *key,
                        physical_key: None,
                        pressed,
                        repeat: false,
                        modifiers: *modifiers,
                    }]
                })
                .collect(),
            Self::Type(text) => vec![vec![Event::Text(text.clone())]],
            Self::Leave => vec![vec![Event::PointerGone]],
            Self::Resize(_) => vec![vec![]],
        }
    }
}

/// Something to do in the window as it is.
pub(crate) fn choose(random: &mut Random, window: &Window) -> Deed {
    match random.below(20) {
        0..9 => click(random, window),
        9 => Deed::DoubleClick(anywhere(random, window)),
        10..13 => drag(random, window),
        13 | 14 => {
            let modifiers = random.of(&[Modifiers::NONE, Modifiers::NONE, Modifiers::COMMAND, Modifiers::SHIFT]);
            let delta = vec2(
                random.below(9) as f32 * 10.0 - 40.0,
                random.below(41) as f32 * 20.0 - 400.0,
            );
            Deed::Wheel(anywhere(random, window), delta, modifiers)
        }
        15 | 16 => press(random),
        17 => {
            let texts = [
                "3",
                "0.05",
                "-1",
                "1e9",
                "nan",
                "conv",
                "fc",
                "αβ",
                "  ",
                "x",
                "99999999999999999999",
                "mse",
                ".",
            ];
            Deed::Type(random.of(&texts).to_owned())
        }
        18 => Deed::Leave,
        _ => {
            let wide = random.of(&[1280.0, 900.0, 1920.0, 640.0]);
            let high = random.of(&[800.0, 560.0, 1080.0, 320.0]);
            Deed::Resize(vec2(wide, high))
        }
    }
}

fn click(random: &mut Random, window: &Window) -> Deed {
    let with = match random.below(12) {
        0 => PointerButton::Secondary,
        1 => PointerButton::Middle,
        _ => PointerButton::Primary,
    };
    let screen = window.ctx.content_rect();
    let controls: Vec<(Rect, String)> = window
        .query_all(by().predicate(|node| node.data().supports_action(Action::Click) && node.bounding_box().is_some()))
        .map(|node| {
            let inner = node.accesskit_node();
            (node.rect(), inner.label().or_else(|| inner.value()).unwrap_or_default())
        })
        .filter(|(rect, _)| screen.contains(rect.center()))
        .collect();
    if controls.is_empty() || random.below(8) == 0 {
        return Deed::Click(anywhere(random, window), with, String::new());
    }
    let (rect, name) = random.of(&controls);
    Deed::Click(rect.center(), with, name)
}

fn anywhere(random: &mut Random, window: &Window) -> Pos2 {
    let screen = window.ctx.content_rect();
    pos2(
        screen.left() + screen.width() * random.share() as f32,
        screen.top() + screen.height() * random.share() as f32,
    )
}

fn drag(random: &mut Random, window: &Window) -> Deed {
    let from = match click(random, window) {
        Deed::Click(place, ..) => place,
        _ => anywhere(random, window),
    };
    let to = if random.below(3) == 0 {
        anywhere(random, window)
    } else {
        from + vec2(random.below(201) as f32 - 100.0, random.below(41) as f32 - 20.0)
    };
    let moves = 2 + random.below(6);
    Deed::Drag(
        (0..=moves)
            .map(|at| from + (to - from) * (at as f32 / moves as f32))
            .collect(),
    )
}

fn press(random: &mut Random) -> Deed {
    const KEYS: [Key; 36] = [
        Key::Enter,
        Key::Escape,
        Key::Escape,
        Key::Tab,
        Key::Space,
        Key::Backspace,
        Key::Delete,
        Key::ArrowUp,
        Key::ArrowDown,
        Key::ArrowLeft,
        Key::ArrowRight,
        Key::Home,
        Key::End,
        Key::PageUp,
        Key::PageDown,
        Key::A,
        Key::B,
        Key::C,
        Key::D,
        Key::E,
        Key::F,
        Key::K,
        Key::M,
        Key::O,
        Key::P,
        Key::R,
        Key::S,
        Key::T,
        Key::V,
        Key::X,
        Key::Z,
        Key::Plus,
        Key::Minus,
        Key::Num0,
        Key::Comma,
        Key::F1,
    ];
    let modifiers = random.of(&[
        Modifiers::NONE,
        Modifiers::COMMAND,
        Modifiers::COMMAND | Modifiers::SHIFT,
        Modifiers::SHIFT,
        Modifiers::ALT,
    ]);
    Deed::Press(random.of(&KEYS), modifiers)
}

/// Draws nothing, and refuses pictures: a window whose pictures fail must go on as well.
pub(crate) struct NoRenderer;

impl egui_kittest::TestRenderer for NoRenderer {
    fn handle_delta(&mut self, delta: &mut egui::TexturesDelta) {
        delta.clear();
    }

    fn render(&mut self, _: &egui::Context, _: &egui::FullOutput) -> Result<image::RgbaImage, String> {
        Err("nothing is drawn".to_owned())
    }
}
