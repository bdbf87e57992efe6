//! What belongs to a model comes back with it: recipe, undo, snapshots, the order of its layers.

use super::derived::Slot;
use super::history::History;
use super::open::OpenNetwork;
use super::order::{OrderKey, Ordered};
use super::snapshots::Snapshots;
use crate::inference::LayerSensitivity;
use crate::network::Network;
use crate::quantization::Recipe;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::SystemTime;

/// Models remembered.
const MAX_MODELS: usize = 8;

/// Which model it is: another file at the same place is another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Identity {
    /// A demo or other network without a file.
    Name(String),
    File {
        path: PathBuf,
        bytes: u64,
        modified: Option<SystemTime>,
    },
}

impl Identity {
    /// `None` for a file that is gone.
    fn of(network: &Network) -> Option<Self> {
        let Some(path) = &network.path else {
            return Some(Self::Name(network.name.clone()));
        };
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self::File {
            path: path.clone(),
            bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

struct Model {
    history: History<Recipe>,
    snapshots: Snapshots,
    selected: usize,
    order: Slot<OrderKey, Vec<LayerSensitivity>>,
}

/// The models that were open before.
#[derive(Default)]
pub(super) struct Remembered(VecDeque<(Identity, Model)>);

impl Remembered {
    /// Keeps what belongs to a model that is closed.
    pub(super) fn keep(&mut self, open: &mut OpenNetwork) {
        let Some(identity) = open.identity.take() else { return };
        let empty = History::new(Recipe::default());
        let mut order = std::mem::take(open.slots.of_mut::<Ordered>());
        order.abandon();
        let model = Model {
            history: std::mem::replace(&mut open.history, empty),
            snapshots: std::mem::take(&mut open.snapshots),
            selected: open.selected,
            order,
        };
        self.0.push_front((identity, model));
        self.0.truncate(MAX_MODELS);
    }

    /// Gives it back to the model once that is open again.
    pub(super) fn give_back(&mut self, open: &mut OpenNetwork) {
        open.identity = Identity::of(&open.original.network);
        let Some(identity) = &open.identity else { return };
        let Some(place) = self.0.iter().position(|(of, _)| of == identity) else {
            return;
        };
        if let Some((_, model)) = self.0.remove(place) {
            open.history = model.history;
            open.snapshots = model.snapshots.of_other_data();
            open.select(model.selected);
            *open.slots.of_mut::<Ordered>() = model.order;
        }
    }
}
