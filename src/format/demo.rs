//! The embedded demo networks and their data (see `assets/README.md`).

/// An embedded demo: a network, labelled test data, calibration data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Demo {
    /// ResNet-20 on Fashion-MNIST.
    Fashion,
    /// Two-layer character LSTM on tiny-shakespeare.
    Shakespeare,
}

impl Demo {
    /// All demos, in the order of the menu.
    pub const ALL: [Self; 2] = [Self::Fashion, Self::Shakespeare];

    /// The name that stands for it wherever a model or data path is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fashion => "demo:fashion",
            Self::Shakespeare => "demo:shakespeare",
        }
    }

    /// The demo of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|demo| demo.name() == name)
    }
}
