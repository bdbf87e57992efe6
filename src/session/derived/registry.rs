//! All derived results, in the order in which they are looked at: what others need comes first.

use super::Entry;
use crate::session::running::{Calibrated, EngineLoaded, FloatRun, Opened, PlainRun, QuantizedRun, Suggested};
use crate::session::weights::{Planning, Prepared, Recounted, WeightsRead};
use crate::session::{
    against, cards, choosing, comparison, continuation, curing, curves, drawing, exported, input_channels,
    layer_details, layer_view, massive, on_request, order, sweeping, tracing, trial,
};

/// One line a result.
pub(in crate::session) const REGISTRY: [Entry; 34] = [
    Entry::of::<WeightsRead>(),
    Entry::of::<Prepared>(),
    Entry::of::<Recounted>(),
    Entry::of::<layer_view::Viewed>(),
    Entry::of::<layer_details::Detailed>(),
    Entry::of::<drawing::Drawn>(),
    Entry::of::<cards::CardsMade>(),
    Entry::of::<Planning>(),
    Entry::of::<EngineLoaded>(),
    Entry::of::<Opened>(),
    Entry::of::<FloatRun>(),
    Entry::of::<Suggested>(),
    Entry::of::<Calibrated>(),
    Entry::of::<input_channels::Channelled>(),
    Entry::of::<QuantizedRun>(),
    Entry::of::<PlainRun>(),
    Entry::of::<curves::Curves>(),
    Entry::of::<comparison::Compared>(),
    Entry::of::<continuation::FloatText>(),
    Entry::of::<continuation::QuantizedText>(),
    Entry::of::<trial::PictureRead>(),
    Entry::of::<trial::PicturesRun>(),
    Entry::of::<against::Difference>(),
    Entry::of::<on_request::Sensitivity>(),
    Entry::of::<massive::Searched>(),
    Entry::of::<on_request::SplitAlone>(),
    Entry::of::<on_request::Oracle>(),
    Entry::of::<choosing::Chosen>(),
    Entry::of::<sweeping::Swept>(),
    Entry::of::<tracing::Traced>(),
    Entry::of::<curing::Cured>(),
    Entry::of::<curing::Mending>(),
    Entry::of::<exported::Checked>(),
    Entry::of::<order::Ordered>(),
];
