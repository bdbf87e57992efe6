//! A report of what a recipe does to a network, to hand on: one page of HTML with nothing outside of it, and the numbers of its
//! layers as Model Explorer reads them.
//!
//! [`Report::gather`] computes what there is to tell, [`Report::page`] writes it down. The same inputs give the same page, byte
//! for byte. What drawings need that the window needs too, [`figure`], [`numbers`] and [`palette`], is here.

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
