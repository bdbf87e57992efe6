//! A report of what a recipe does to a network, to hand on: one page of HTML with nothing outside of it, and the numbers of its
//! layers as Model Explorer reads them.
//!
//! [`Report::gather`] computes what there is to tell, [`Report::page`] writes it down. The same inputs give the same page, byte
//! for byte. What drawings need that the window needs too, [`figure`], [`numbers`] and [`palette`], is here.
//!
//! # Example
//!
//! ```
//! use splitscope::format::demo::Demo;
//! use splitscope::progress::Progress;
//! use splitscope::quantization::{self, Recipe};
//! use splitscope::report::{Report, Subject};
//!
//! let (network, recipe, progress) = (Demo::Fashion.network()?, Recipe::default(), Progress::default());
//! let plan = quantization::plan(&network, &recipe, None, &progress)?;
//! let overhead = quantization::overhead(&network, &plan, None);
//! let subject = Subject {
//!     original: &network,
//!     network: &network,
//!     plan: &plan,
//!     overhead: &overhead,
//!     accuracy: None,
//!     ranges: None,
//!     sweep: &[],
//!     sigma: 4.0,
//! };
//! let page = Report::gather(&subject, &progress)?.page();
//! assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("<script"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod details;
pub mod figure;
mod gather;
mod headline;
pub mod html;
mod layers;
mod model_explorer;
pub mod numbers;
mod page;
pub mod palette;
mod provenance;
mod sweep;

#[cfg(test)]
mod tests;

pub use gather::{Accuracy, Detail, LayerReport, Report, Subject};
pub use model_explorer::Metric;
pub use provenance::Provenance;
