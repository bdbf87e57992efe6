//! Why a state dict is no known architecture.

use crate::printable::short;
use std::fmt;

/// Below this share of common names, calling a family the nearest one would mislead.
const RESEMBLANCE: f32 = 0.3;

/// The family that came nearest to a state dict, and the first tensor that did not fit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Misfit {
    /// What the nearest architecture is called, as far as it could be told.
    pub family: String,
    /// Names that the file and the architecture have in common, of all names of both; 0 to 1.
    pub share: f32,
    /// The tensor (without the prefix that all names of the file share), or empty when the file holds none.
    pub tensor: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Fault {
    /// The architecture has no such tensor.
    #[default]
    LeftOver,
    /// The file has no such tensor; the shape that was expected, with `None` for any size.
    Missing(Vec<Option<usize>>),
    /// The shape that was expected and that of the file.
    Shape(Vec<Option<usize>>, Vec<usize>),
    /// The architecture goes by other names in a package whose files are not read: that package, and who writes names that are.
    OtherNames(&'static str, &'static str),
    /// Anything else, as a sentence about the tensor.
    Other(String),
}

impl fmt::Display for Misfit {
    /// One sentence without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Fault::OtherNames(package, read) = &self.fault {
            let tensor = short(&self.tensor);
            return write!(
                f,
                "the nearest architecture is {}, in the names of {package} ('{tensor}'), which are not read (those of {read} are)",
                short(&self.family)
            );
        }
        if self.share < RESEMBLANCE {
            return write!(f, "its names are those of no architecture that Splitscope knows");
        }
        // Never 100 %: something does not fit.
        let percent = (self.share * 100.0).floor().min(99.0);
        let tensor = short(&self.tensor);
        write!(
            f,
            "the nearest architecture is {} ({percent} % of the names), but ",
            short(&self.family)
        )?;
        match &self.fault {
            Fault::LeftOver | Fault::OtherNames(..) => write!(f, "'{tensor}' is no part of it"),
            Fault::Missing(expected) => write!(f, "'{tensor}' {} is missing", shape(expected)),
            Fault::Shape(expected, found) => {
                write!(
                    f,
                    "'{tensor}' should have the shape {} and has {found:?}",
                    shape(expected)
                )
            }
            Fault::Other(reason) => write!(f, "'{tensor}' {reason}"),
        }
    }
}

fn shape(sizes: &[Option<usize>]) -> String {
    let sizes: Vec<String> = sizes
        .iter()
        .map(|size| size.map_or_else(|| "any".to_owned(), |size| size.to_string()))
        .collect();
    format!("[{}]", sizes.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_names_family_tensor_and_both_shapes() {
        let misfit = |share, fault| Misfit {
            family: "ResNet-18".into(),
            share,
            tensor: "fc.weight".into(),
            fault,
        };
        let shapes = Fault::Shape(vec![None, Some(512)], vec![10, 64]);
        assert_eq!(
            misfit(0.999, shapes).to_string(),
            "the nearest architecture is ResNet-18 (99 % of the names), but 'fc.weight' should have the shape [any, 512] and \
             has [10, 64]"
        );
        assert!(
            misfit(0.5, Fault::LeftOver)
                .to_string()
                .ends_with("'fc.weight' is no part of it")
        );
        let missing = misfit(0.5, Fault::Missing(vec![Some(7)]));
        assert!(missing.to_string().ends_with("'fc.weight' [7] is missing"));
        assert!(!misfit(0.1, Fault::LeftOver).to_string().contains("ResNet"));
        assert!(!Misfit::default().to_string().contains("''"));
    }
}
