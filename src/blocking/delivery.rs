//! The batch of a blocking subscription.
//!
//! [`Delivery`] wraps that of the async client, so that [`ack`](Delivery::ack) can block until the
//! acknowledgement is durable. Everything else is passed on.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::batch::Batch;
use crate::blocking::worker::Worker;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::event::Event;
use crate::subscription::{self, Update};

/// A batch that you must acknowledge. It is never empty.
///
/// Dropping it without an acknowledgement ends the subscription, because nothing after it could
/// ever become durable.
#[must_use = "dropping a batch without an acknowledgement ends the subscription"]
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

    /// Returns the checkpoint from which a restart resumes after this batch; see
    /// [`crate::Delivery::checkpoint`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a batch before this one is not
    /// stored yet, or if the subscription has a store.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.delivery.checkpoint()
    }

    /// Records that the program has stored the [checkpoint](Self::checkpoint); see
    /// [`crate::Delivery::stored`].
    pub fn stored(self) {
        self.delivery.stored();
    }

    /// Acknowledges the batch: its events are handled and are not delivered again.
    ///
    /// Blocks until the acknowledgement is durable. If a batch before this one is not acknowledged
    /// yet, the call returns without waiting for that batch; see [`crate::Delivery::ack`].
    ///
    /// # Errors
    ///
    /// The errors of [`crate::Delivery::ack`], and
    /// [`ErrorKind::Runtime`](crate::ErrorKind::Runtime) if the client's thread can't be started.
    /// In the latter case, the batch counts as dropped, and the subscription ends.
    pub fn ack(self) -> Result<(), Error> {
        let Self { delivery, worker } = self;
        worker.run(delivery.ack())?
    }
}

/// Gives access to the [`Batch`]: its events, and the position to resume from after them.
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
