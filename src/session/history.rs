//! Undo and redo: one step a gesture.

/// States in the order they came to be, and where we stand among them.
#[derive(Debug, Clone)]
pub struct History<S> {
    states: Vec<S>,
    position: usize,
    /// The present state belongs to a gesture that has not ended: the next edit of it replaces the state.
    in_gesture: bool,
}

/// Steps kept; more than anybody goes back, and small.
const DEPTH: usize = 200;

impl<S: Clone + PartialEq> History<S> {
    /// A history that begins with `state`.
    pub fn new(state: S) -> Self {
        Self {
            states: vec![state],
            position: 0,
            in_gesture: false,
        }
    }

    /// The present state.
    pub fn present(&self) -> &S {
        &self.states[self.position]
    }

    /// Takes a new state; with `gesture` all edits until [`History::end_gesture`] are one step.
    pub fn edit(&mut self, state: S, gesture: bool) {
        if state != *self.present() {
            if gesture && self.in_gesture {
                self.states[self.position] = state;
            } else {
                self.states.truncate(self.position + 1);
                self.states.push(state);
                if self.states.len() > DEPTH {
                    self.states.remove(0);
                }
                self.position = self.states.len() - 1;
                self.in_gesture = gesture;
            }
        }
        if !gesture {
            self.in_gesture = false;
        }
    }

    /// The hand has left the control: the next edit is a new step.
    pub fn end_gesture(&mut self) {
        self.in_gesture = false;
    }

    /// Whether there is a step back.
    pub fn can_undo(&self) -> bool {
        self.position > 0
    }

    /// Whether there is a step forward.
    pub fn can_redo(&self) -> bool {
        self.position + 1 < self.states.len()
    }

    /// One step back, if there is one.
    pub fn undo(&mut self) {
        self.in_gesture = false;
        self.position = self.position.saturating_sub(1);
    }

    /// One step forward, if there is one.
    pub fn redo(&mut self) {
        self.in_gesture = false;
        self.position = (self.position + 1).min(self.states.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_drag_is_one_step() {
        let mut history = History::new(0);
        for value in 1..=50 {
            history.edit(value, true);
        }
        history.end_gesture();
        history.edit(90, true);
        history.edit(91, true);
        history.end_gesture();
        history.undo();
        assert_eq!(*history.present(), 50);
        history.undo();
        assert_eq!(*history.present(), 0);
        assert!(!history.can_undo());
        history.redo();
        history.redo();
        assert_eq!(*history.present(), 91);
        assert!(!history.can_redo());
    }

    #[test]
    fn single_edits_are_single_steps_and_an_edit_after_undo_forgets_the_future() {
        let mut history = History::new('a');
        history.edit('b', false);
        history.edit('b', false);
        history.edit('c', false);
        history.undo();
        assert_eq!(*history.present(), 'b', "an edit that changes nothing is no step");
        history.edit('d', false);
        assert!(!history.can_redo());
        history.undo();
        assert_eq!(*history.present(), 'b');
    }

    #[test]
    fn the_oldest_steps_are_forgotten() {
        let mut history = History::new(0);
        for value in 1..1000 {
            history.edit(value, false);
        }
        while history.can_undo() {
            history.undo();
        }
        assert_eq!(*history.present(), 1000 - DEPTH);
    }
}
