//! The embedded demo networks and their data (see `assets/README.md`).

use super::FormatError;
use crate::network::{Format, Network};
use crate::onnx;
use bytes::Bytes;

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

    /// What to call it in a menu.
    pub fn title(self) -> &'static str {
        match self {
            Self::Fashion => "Fashion-MNIST ResNet-20",
            Self::Shakespeare => "Shakespeare character LSTM",
        }
    }

    /// The ONNX file of its network.
    pub fn model_bytes(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Fashion => include_bytes!("../../assets/fashion_resnet.onnx"),
            Self::Shakespeare => include_bytes!("../../assets/shakespeare_lstm.onnx"),
        })
    }

    /// Its network.
    ///
    /// # Errors
    /// [`FormatError::Network`] if the embedded file were broken.
    pub fn network(self) -> Result<Network, FormatError> {
        super::network(
            self.name(),
            None,
            Format::Onnx,
            onnx::read_bytes(self.model_bytes(), None),
        )
    }

    /// The demo of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|demo| demo.name() == name)
    }
}

/// The 1000 labelled test images of Fashion-MNIST: IDX, gzip.
pub fn test_images() -> &'static [u8] {
    include_bytes!("../../assets/fashion_test_1000.images-idx3-ubyte.gz")
}

/// The labels of [`test_images`]: IDX, gzip.
pub fn test_labels() -> &'static [u8] {
    include_bytes!("../../assets/fashion_test_1000.labels-idx1-ubyte.gz")
}

/// 512 training images of Fashion-MNIST for calibration: IDX, gzip.
pub fn calibration_images() -> &'static [u8] {
    include_bytes!("../../assets/fashion_calib_512.images-idx3-ubyte.gz")
}

/// The labels of [`calibration_images`]: IDX, gzip.
pub fn calibration_labels() -> &'static [u8] {
    include_bytes!("../../assets/fashion_calib_512.labels-idx1-ubyte.gz")
}

/// The ten class names of Fashion-MNIST, a JSON list in the order of the labels.
pub fn classes_json() -> &'static [u8] {
    include_bytes!("../../assets/fashion_classes.json")
}

/// The characters of the Shakespeare network, a JSON object or list in the order of their token ids.
pub fn vocabulary_json() -> &'static [u8] {
    include_bytes!("../../assets/shakespeare_vocab.json")
}

/// Held-out text of tiny-shakespeare, which the network never saw.
pub fn text() -> &'static [u8] {
    include_bytes!("../../assets/shakespeare_test.txt")
}
