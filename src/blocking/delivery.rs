//! A batch of a blocking subscription.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::batch::Batch;
use crate::blocking::worker::Worker;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::event::Event;
use crate::subscription::{self, Update};

/// A batch that wants to be acknowledged. Never empty.
///
/// Dropping it without an acknowledgement ends the subscription: what comes after it could never be made durable.
#[must_use = "to drop a batch without an acknowledgement ends the subscription"]
pub struct Delivery {
    delivery: subscription::Delivery,
    worker: Arc<Worker>,
}

impl Delivery {
    pub(super) fn of(update: Update, worker: &Arc<Worker>) -> Update<Self> {
        match update {
            Update::Batch(delivery) => Update::Batch(Self {
                delivery,
                worker: worker.clone(),
            }),
            Update::Started(start) => Update::Started(start),
            Update::Moved(progress) => Update::Moved(progress),
            Update::PossibleGap(gap) => Update::PossibleGap(gap),
        }
    }

    /// Returns the checkpoint of a restart behind this batch; see [`crate::Delivery::checkpoint`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a batch before this one is not stored yet, or if the
    /// subscription has a store.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.delivery.checkpoint()
    }

    /// Says that the program has stored the [checkpoint](Self::checkpoint); see [`crate::Delivery::stored`].
    pub fn stored(self) {
        self.delivery.stored();
    }

    /// Says that the events are handled: they won't come again. Blocks until that is durable, or, where a batch before this
    /// one is not acknowledged yet, until it is recorded; see [`crate::Delivery::ack`].
    ///
    /// # Errors
    ///
    /// As there, and [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) where the client's thread can't be started: the batch
    /// counts as dropped then.
    pub fn ack(self) -> Result<(), Error> {
        let Self { delivery, worker } = self;
        worker.run(delivery.ack())?
    }
}

/// The events, and where to resume after them.
impl Deref for Delivery {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.delivery
    }
}

impl<'a> IntoIterator for &'a Delivery {
    type Item = &'a Event;
    type IntoIter = std::slice::Iter<'a, Event>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.delivery.fmt(f)
    }
}
