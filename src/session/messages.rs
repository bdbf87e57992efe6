//! What the session has to say: done, doubtful, failed.

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

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// How serious.
    pub level: Level,
    /// One line: what, where, what to do.
    pub text: String,
    /// Everything that helps a report, for the clipboard.
    pub details: String,
}

/// Messages kept.
const DEPTH: usize = 100;

/// The newest messages, oldest first.
#[derive(Debug, Default)]
pub struct Messages(Vec<Message>);

impl Messages {
    /// Adds a message; the same text twice in a row is kept once.
    pub fn push(&mut self, level: Level, text: impl Into<String>, details: impl Into<String>) {
        let message = Message {
            level,
            text: text.into(),
            details: details.into(),
        };
        if self.0.last() != Some(&message) {
            self.0.push(message);
        }
        if self.0.len() > DEPTH {
            self.0.remove(0);
        }
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
