//! What a network takes and gives: names, sizes and kinds of its inputs and outputs.

/// An input or output of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Sizes; `None` where the size is free.
    pub shape: Option<Vec<Option<usize>>>,
    /// Names of the free axes, as the file gives them; `None` for a fixed or unnamed one. As long as `shape`.
    pub axis_names: Vec<Option<String>>,
    /// What its elements are.
    pub kind: ElementKind,
}

/// What the elements of an input are, as far as it matters to whoever feeds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ElementKind {
    /// Floats of any width.
    #[default]
    Float,
    /// Integers of 32 or 64 bits (token ids), or truth values.
    Integer,
    /// Unsigned bytes (pixels).
    Byte,
    /// Signed bytes.
    SignedByte,
}

impl Port {
    /// Whether it takes integers, such as token ids.
    pub fn is_integer(&self) -> bool {
        self.kind == ElementKind::Integer
    }

    /// Whether the axis is named as one of samples that are run at once.
    pub(super) fn names_batch(&self, axis: usize) -> bool {
        let name = self.axis_name(axis);
        name.starts_with("batch") || ["b", "n"].contains(&name.as_str())
    }

    /// Whether the axis is named as one of steps in time.
    pub(super) fn names_time(&self, axis: usize) -> bool {
        let name = self.axis_name(axis);
        name.starts_with("seq") || name.starts_with("time") || ["t", "l"].contains(&name.as_str())
    }

    fn axis_name(&self, axis: usize) -> String {
        let name = self.axis_names.get(axis).cloned().flatten();
        name.unwrap_or_default().to_lowercase()
    }

    /// Whether its names say that steps in time come first and samples second: `[seq, batch, features]`.
    pub(super) fn is_time_major(&self) -> bool {
        let several = self.shape.as_ref().is_some_and(|shape| shape.len() > 1);
        several && !self.names_batch(0) && (self.names_batch(1) || self.names_time(0))
    }

    /// The axis that samples are on.
    pub(crate) fn sample_axis(&self) -> usize {
        usize::from(self.is_time_major())
    }

    /// Name and shape for a person: `input [batch, 3, 32, 32]`.
    pub fn describe(&self) -> String {
        let Some(shape) = &self.shape else {
            return self.name.clone();
        };
        let name = |axis: usize| self.axis_names.get(axis).cloned().flatten();
        let axes: Vec<String> = (shape.iter().enumerate())
            .map(|(axis, size)| match size {
                Some(size) => size.to_string(),
                None => name(axis).unwrap_or_else(|| "?".to_owned()),
            })
            .collect();
        format!("{} [{}]", self.name, axes.join(", "))
    }
}
