//! Short messages that come and go in a corner; the list of messages keeps them.

use super::text;
use super::theme::tokens_of;
use crate::session::{Level, Message, Session};
use egui::Context;
use egui_notify::{Anchor, Toast, ToastLevel, Toasts};
use std::time::Duration;

/// Characters of a line, and lines at most: these messages don't wrap by themselves.
const LINE: usize = 64;
const MOST_LINES: usize = 3;
/// Shown at the same time at most.
const MOST: usize = 4;

/// The messages in the corner.
pub(super) struct Corner {
    toasts: Toasts,
    /// The newest message that was seen.
    seen: Option<Message>,
}

impl Default for Corner {
    fn default() -> Self {
        let toasts = Toasts::default()
            .with_anchor(Anchor::BottomRight)
            .with_margin(egui::vec2(12.0, 36.0))
            .with_padding(egui::vec2(12.0, 8.0));
        Self { toasts, seen: None }
    }
}

impl Corner {
    /// Shows what the session has said since the last call; `quiet` for what a person sees anyway.
    pub(super) fn ui(&mut self, ctx: &Context, session: &Session, quiet: impl Fn(&Message) -> bool) {
        for message in fresh(session.messages(), self.seen.as_ref()) {
            if !quiet(message) {
                self.toasts.add(toast(ctx, message));
            }
        }
        self.seen = session.messages().last().cloned();
        if self.toasts.len() > MOST {
            self.toasts.dismiss_oldest_toast();
        }
        self.toasts.show(ctx);
    }
}

/// The messages after `seen`; all of them if it is gone.
fn fresh<'a>(messages: &'a [Message], seen: Option<&Message>) -> &'a [Message] {
    let known = seen.and_then(|seen| messages.iter().rposition(|message| message == seen));
    &messages[known.map_or(0, |place| place + 1)..]
}

fn toast(ctx: &Context, message: &Message) -> Toast {
    let colors = tokens_of(ctx.theme() == egui::Theme::Dark);
    let (mark, color, seconds) = match message.level {
        Level::Info => ("i", colors.quantized, 3),
        Level::Warning => ("!", colors.warning, 6),
        Level::Error => ("!", colors.error, 8),
    };
    let mut toast = Toast::custom(wrapped(&message.text), ToastLevel::Custom(mark.to_owned(), color));
    toast
        .duration(Some(Duration::from_secs(seconds)))
        .show_progress_bar(false)
        .closable(false);
    toast
}

/// At most three lines; the rest is in the list of messages.
fn wrapped(message: &str) -> String {
    let mut lines = vec![String::new()];
    for word in message.split_whitespace() {
        let word = text::elide_middle(word, LINE);
        let length = lines.last().map_or(0, |line| line.chars().count());
        if length > 0 && length + 1 + word.chars().count() > LINE {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
    }
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        if let Some(line) = lines.last_mut() {
            line.push_str(" …");
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Event;

    fn message(text: &str) -> Message {
        Message::new(Level::Info, Event::Note, text)
    }

    #[test]
    fn each_message_comes_once_even_when_old_ones_fall_out_of_the_list() {
        let all: Vec<Message> = ["a", "b", "c"].map(message).into();
        assert_eq!(fresh(&all, None).len(), 3);
        assert_eq!(fresh(&all, Some(&all[1])), &all[2..]);
        assert_eq!(fresh(&all, Some(&all[2])), []);
        assert_eq!(fresh(&[], Some(&all[2])), []);
    }

    #[test]
    fn a_long_message_is_cut_into_three_lines_that_fit() {
        let long = "word ".repeat(100);
        let lines: Vec<String> = wrapped(&long).lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), MOST_LINES);
        assert!(lines.iter().all(|line| line.chars().count() <= LINE + 2), "{lines:?}");
        assert!(wrapped(&"x".repeat(500)).chars().count() <= LINE);
        assert_eq!(wrapped("short"), "short");
    }
}
