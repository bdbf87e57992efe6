//! Windows that move over a picture, and what they cover of it at the edge.

use super::misfit::Fault;
use super::net::{Net, as_i64};

/// A window that moves over a picture and pools what is in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    /// Whether a window that reaches over the edge counts (torch's `ceil_mode`).
    pub(super) ceil: bool,
}

impl Window {
    pub(super) const fn new(kernel: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel,
            stride,
            padding,
            ceil: false,
        }
    }

    pub(super) const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }
}

/// One axis of a picture under a moving window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Side {
    pub(super) before: usize,
    pub(super) behind: usize,
    /// Size of the result; 0 if the window does not fit.
    pub(super) size: usize,
}

impl Side {
    /// A window that reaches over the edge gets the padding that it needs, which is the same for every engine; one that
    /// would begin beyond the edge does not count, as in torch.
    pub(super) fn of_window(window: Window, size: usize) -> Self {
        let Window {
            kernel,
            stride,
            padding,
            ceil,
        } = window;
        let Some(room) = (size + 2 * padding).checked_sub(kernel) else {
            return Self {
                before: padding,
                behind: padding,
                size: 0,
            };
        };
        let mut result = room / stride + 1;
        if ceil && !room.is_multiple_of(stride) && result * stride < size + padding {
            result += 1;
        }
        let reach = (result - 1) * stride + kernel;
        Self {
            before: padding,
            behind: padding.max(reach.saturating_sub(size + padding)),
            size: result,
        }
    }
}

pub(super) fn pads(sides: &[Side; 2]) -> [i64; 4] {
    [sides[0].before, sides[1].before, sides[0].behind, sides[1].behind].map(as_i64)
}

impl Net<'_> {
    /// The sizes behind a window; `name` is blamed if the picture is too small.
    pub(super) fn sizes(&mut self, name: &str, input: [usize; 2], sides: [Side; 2]) -> [usize; 2] {
        if sides.iter().any(|side| side.size == 0) {
            let reason = format!("is wider than its input of {} x {} pixels", input[0], input[1]);
            self.fail(name, Fault::Other(reason));
        }
        sides.map(|side| side.size.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_at_the_edge_count_as_in_torch() {
        let side = |window: Window, size| {
            let side = Side::of_window(window, size);
            (side.before, side.behind, side.size)
        };
        // torch.nn.MaxPool2d(3, 2): 112 -> 55; with padding 1: 56; with ceil_mode: 56 and one pixel more.
        assert_eq!(side(Window::new(3, 2, 0), 112), (0, 0, 55));
        assert_eq!(side(Window::new(3, 2, 1), 112), (1, 1, 56));
        assert_eq!(side(Window::new(3, 2, 0).ceil(), 112), (0, 1, 56));
        assert_eq!(side(Window::new(3, 2, 0).ceil(), 55), (0, 0, 27));
        // torch.nn.MaxPool2d(1, 2, ceil_mode=True) on 2: the second window would begin beyond the edge.
        assert_eq!(side(Window::new(1, 2, 0).ceil(), 2), (0, 0, 1));
        assert_eq!(side(Window::new(7, 1, 0), 6), (0, 0, 0));
    }
}
