//! What the session has to say: done, doubtful, failed.

use super::work::Kind;
use std::path::PathBuf;
use std::time::SystemTime;

/// How serious a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Something was done.
    Info,
    /// Something is not as it should be; the rest goes on.
    Warning,
    /// Something asked for was not done.
    Error,
}

/// What a message is about, for whoever acts on it: the words of a message are only to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A network was opened.
    Opened,
    /// A file was written.
    Wrote(PathBuf),
    /// A job of that kind was stopped by a person.
    Cancelled(Kind),
    /// A job of that kind has failed.
    Failed(Kind),
    /// Something that no program has to know.
    Note,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub event: Event,
    /// How serious.
    pub level: Level,
    /// When it was said.
    pub time: SystemTime,
    /// One line: what, where, what to do.
    pub text: String,
    /// Everything that helps a report, for the clipboard.
    pub detail: String,
}

impl Message {
    /// A message of now whose detail is its text.
    pub fn new(level: Level, event: Event, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            event,
            level,
            time: SystemTime::now(),
            detail: text.clone(),
            text,
        }
    }

    /// The same with more for a report.
    #[must_use]
    pub fn with_detail(self, detail: String) -> Self {
        Self { detail, ..self }
    }

    /// Whether both say the same, at whatever time.
    fn repeats(&self, other: &Self) -> bool {
        let Self {
            event,
            level,
            time: _,
            text,
            detail,
        } = self;
        (event, level, text, detail) == (&other.event, &other.level, &other.text, &other.detail)
    }
}

/// Messages kept.
const MAX_MESSAGES: usize = 100;

/// The newest messages, oldest first.
#[derive(Debug, Default)]
pub struct Messages(Vec<Message>);

impl Messages {
    /// Adds a message; the same twice in a row is kept once.
    pub fn push(&mut self, message: Message) {
        if !self.0.last().is_some_and(|last| last.repeats(&message)) {
            self.0.push(message);
        }
        if self.0.len() > MAX_MESSAGES {
            self.0.remove(0);
        }
    }

    /// Something was done.
    pub fn note(&mut self, text: impl Into<String>) {
        self.push(Message::new(Level::Info, Event::Note, text));
    }

    /// Something is not as it should be.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.push(Message::new(Level::Warning, Event::Note, text));
    }

    /// Something asked for was not done, outside of any job.
    pub fn refuse(&mut self, text: impl Into<String>) {
        self.push(Message::new(Level::Error, Event::Note, text));
    }

    /// All of them, oldest first.
    pub fn all(&self) -> &[Message] {
        &self.0
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_twice_in_a_row_is_kept_once_and_the_oldest_go() {
        let mut messages = Messages::default();
        messages.note("a");
        messages.note("a");
        messages.warn("a");
        assert_eq!(messages.all().len(), 2, "a warning is not a note");
        for number in 0..MAX_MESSAGES {
            messages.note(number.to_string());
        }
        assert_eq!(messages.all().len(), MAX_MESSAGES);
        assert_eq!(messages.all()[0].text, "0");
    }
}
