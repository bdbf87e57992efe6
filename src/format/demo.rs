//! The embedded demo networks and their data (see `assets/README.md`).

use super::FormatError;
use crate::network::{Format, Network, NetworkError};
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
        onnx::read_bytes(self.model_bytes(), None)
            .map_err(NetworkError::from)
            .and_then(|model| Network::new(self.name(), None, Format::Onnx, model))
            .map_err(|source| FormatError::Network {
                file: self.name().to_owned(),
                source,
            })
    }

    /// Whether its calibration data are others than those that it is judged by.
    pub fn has_other_calibration_data(self) -> bool {
        matches!(self, Self::Fashion)
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

/// The characters of the Shakespeare network, JSON `{"chars": [...]}` in the order of their token ids.
pub fn vocabulary_json() -> &'static [u8] {
    include_bytes!("../../assets/shakespeare_vocab.json")
}

/// Held-out text of tiny-shakespeare, which the network never saw.
pub fn text() -> &'static [u8] {
    include_bytes!("../../assets/shakespeare_test.txt")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read;

    fn unpacked(gzip: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(gzip).read_to_end(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn demos_are_found_by_their_names() {
        for demo in Demo::ALL {
            assert_eq!(Demo::from_name(demo.name()), Some(demo));
        }
        assert_eq!(Demo::from_name("demo:"), None);
    }

    #[test]
    fn the_networks_are_onnx_models_with_nodes() {
        for demo in Demo::ALL {
            let model = onnx::read_bytes(demo.model_bytes(), None).unwrap();
            assert!(!model.graph.unwrap().node.is_empty());
        }
    }

    #[test]
    fn each_image_has_a_label_that_has_a_name() {
        let names: Vec<String> = serde_json::from_slice(classes_json()).unwrap();
        assert_eq!(names.len(), 10);
        for (images, labels, count) in [
            (test_images(), test_labels(), 1000),
            (calibration_images(), calibration_labels(), 512),
        ] {
            assert_eq!(unpacked(images).len(), 16 + count * 28 * 28);
            let labels = unpacked(labels);
            assert_eq!(labels.len(), 8 + count);
            assert!(labels[8..].iter().all(|&label| usize::from(label) < names.len()));
        }
    }

    #[test]
    fn the_vocabulary_spells_the_whole_text() {
        let vocabulary: serde_json::Value = serde_json::from_slice(vocabulary_json()).unwrap();
        let known: Vec<&str> = vocabulary["chars"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|c| c.as_str())
            .collect();
        assert_eq!(known.len(), 65);
        let text = std::str::from_utf8(text()).unwrap();
        assert!(text.chars().all(|c| known.contains(&&*c.to_string())));
    }
}
