//! The slots of all derived results of the open network, found by the type of the result.

use super::{Derived, Slot};
use crate::session::OpenNetwork;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A piece of a result, as it is put in its place.
type Delivery = Box<dyn FnOnce(&mut OpenNetwork) + Send>;

/// One [`Slot`] for each derived result, and what their jobs send before they end.
pub(in crate::session) struct Slots {
    by_type: HashMap<TypeId, Box<dyn Any + Send>>,
    sender: Sender<Delivery>,
    arriving: Receiver<Delivery>,
}

impl Default for Slots {
    fn default() -> Self {
        let (sender, arriving) = channel();
        Self {
            by_type: HashMap::new(),
            sender,
            arriving,
        }
    }
}

impl Slots {
    /// The slot of `D`.
    pub(in crate::session) fn of<D: Derived>(&self) -> &Slot<D::Key, D::Value> {
        let slot = self.by_type.get(&TypeId::of::<D>());
        slot.and_then(|slot| slot.downcast_ref())
            .unwrap_or(const { &Slot::EMPTY })
    }

    /// The same, to be changed.
    pub(in crate::session) fn of_mut<D: Derived>(&mut self) -> &mut Slot<D::Key, D::Value> {
        let slot = self
            .by_type
            .entry(TypeId::of::<D>())
            .or_insert_with(|| Box::new(Slot::<D::Key, D::Value>::default()));
        match slot.downcast_mut() {
            Some(slot) => slot,
            None => unreachable!("a slot is stored under the type of its result"),
        }
    }

    /// The pieces that have arrived since the last call.
    pub(in crate::session) fn arrived(&self) -> Vec<Delivery> {
        self.arriving.try_iter().collect()
    }
}

/// Hands over pieces of a result before it is complete; those of a job that was replaced are dropped.
pub(in crate::session) struct Pieces<P> {
    sender: Sender<Delivery>,
    run: u64,
    is_current: fn(&OpenNetwork, u64) -> bool,
    take: fn(&mut OpenNetwork, P),
}

impl<P: Send + 'static> Pieces<P> {
    /// For the job of `D` that is about to begin; `take` puts a piece in its place.
    pub(in crate::session) fn of<D: Derived>(open: &OpenNetwork, take: fn(&mut OpenNetwork, P)) -> Self {
        Self {
            sender: open.slots.sender.clone(),
            run: open.slots.of::<D>().runs() + 1,
            is_current: |open, run| open.slots.of::<D>().runs() == run,
            take,
        }
    }

    /// Sends one. Whoever does not want it any more has cancelled the job, which ends by that.
    pub(in crate::session) fn send(&self, piece: P) {
        let (run, is_current, take) = (self.run, self.is_current, self.take);
        let _ = self.sender.send(Box::new(move |open| {
            if is_current(open, run) {
                take(open, piece);
            }
        }));
    }
}

/// For a result that comes row by row: each is put behind the others.
pub(in crate::session) fn rows<D, T>(open: &OpenNetwork) -> Pieces<T>
where
    D: Derived<Value = Vec<T>>,
    T: Send + 'static,
{
    Pieces::of::<D>(open, |open, row| open.slots.of_mut::<D>().grow(row))
}
