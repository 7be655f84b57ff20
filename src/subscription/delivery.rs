//! What a subscription gives.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Progress;
use super::ledger::Ledger;
use crate::batch::Batch;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::event::Event;

/// An item of a subscription. Whoever follows one has to deal with each, so a new one would be a breaking change.
///
/// `D` is the batch: [`Delivery`], or that of the blocking client.
#[derive(Debug)]
#[must_use = "a batch wants an acknowledgement"]
pub enum Update<D = Delivery> {
    /// The subscription begins. It comes once, before anything else, when a restart would begin here as well.
    ///
    /// With [`subscribe_from`](crate::LongPollClient::subscribe_from) the program makes it so: it stores the
    /// [checkpoint](Progress::checkpoint), and the stream polls Box only after [`stored`](Progress::stored). Dropping it before
    /// that ends the subscription with [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged).
    Started(Progress),
    /// Events that were not acknowledged before. Handle them, and [acknowledge](Delivery::ack) the batch.
    Batch(D),
    /// Only with [`subscribe_from`](crate::LongPollClient::subscribe_from), and at most once an hour: the position has moved
    /// without an event, or an hour has passed without one. Store the [checkpoint](Progress::checkpoint) and call [`stored`](Progress::stored), so that a
    /// restart does not begin at a position that Box has forgotten. Dropping it is harmless: it comes again.
    Moved(Progress),
    /// The program was away for longer than Box keeps events: some may be missing before the next batch. Compare what you
    /// have with what Box has now; the stream goes on.
    PossibleGap(PossibleGap),
}

/// For longer than Box is sure to keep events nobody asked for them.
///
/// It comes before any batch after a start from an old checkpoint, and if a running program was kept from Box for so
/// long. It comes again after a restart until the subscription has caught up, and that is acknowledged and saved; and again
/// if pages have come since and then none for as long.
///
/// A subscription has caught up with a page that is not full, or whose newest event was recorded within an hour of the
/// response's `Date`. So a stream that is never quiet catches up as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PossibleGap {
    /// When nothing was missing, as far as is known: see
    /// [`Checkpoint::last_success`](crate::checkpoint::Checkpoint::last_success).
    pub since: SystemTime,
    /// How long Box is sure to keep these events: 14 days.
    ///
    /// For a user's events its pages name 21 days, 31 for `sync`, and elsewhere two weeks to two months.
    ///
    /// See <https://developer.box.com/guides/events/user-events/> and
    /// <https://developer.box.com/guides/events/enterprise-events/for-enterprise/>.
    pub retention: Duration,
}

impl fmt::Display for PossibleGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.retention.as_secs() / (24 * 60 * 60);
        write!(
            f,
            "events may be missing: no page has come for longer than the {days} days that Box is sure to keep them"
        )
    }
}

/// A batch that wants to be acknowledged. Never empty.
///
/// Dropping it without an acknowledgement ends the subscription: what comes after it could never be made durable.
#[must_use = "to drop a batch without an acknowledgement ends the subscription"]
pub struct Delivery {
    batch: Batch,
    ledger: Arc<Ledger>,
    number: u64,
    acknowledged: bool,
}

impl Delivery {
    pub(super) fn new(batch: Batch, ledger: Arc<Ledger>, number: u64) -> Self {
        Self {
            batch,
            ledger,
            number,
            acknowledged: false,
        }
    }

    /// Returns the checkpoint of a restart behind this batch, with the window of repeats.
    ///
    /// Store it in the transaction that stores the events' effects, and call [`stored`](Self::stored) after the commit:
    /// then each event with an id has its effect exactly once, whenever the program is killed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a batch before this one is not stored yet, or if the
    /// subscription has a store, which saves its checkpoints.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.ledger.checkpoint_after(self.number)
    }

    /// Says that the program has stored the [checkpoint](Self::checkpoint). Nothing else is written.
    ///
    /// If a batch before this one is not stored, the subscription ends with
    /// [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged). A subscription with a store takes it as an
    /// acknowledgement, which it saves with the next one or while it is polled.
    pub fn stored(mut self) {
        self.acknowledged = true;
        self.ledger.record(self.number);
    }

    /// Says that the events are handled: they won't come again.
    ///
    /// Returns when that is durable. Where a batch before this one is not acknowledged yet it returns at once, and becomes
    /// durable with that one. Acknowledgements that come while the store writes share the next write.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) where the store fails. The acknowledgement is kept: it is
    /// saved with the next one, or while the subscription is polled, and comes to nothing only if the program ends before.
    /// [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged) where a batch before it was dropped. With
    /// [`subscribe_from`](crate::LongPollClient::subscribe_from) it is always an error, which ends the subscription: there
    /// the program stores the [checkpoint](Self::checkpoint).
    ///
    /// # Cancellation
    ///
    /// A future that was never polled acknowledges nothing, and dropping it drops the batch. Once it was polled the
    /// acknowledgement is kept, and saved as after an error.
    pub async fn ack(mut self) -> Result<(), Error> {
        self.ledger.ensure_it_saves()?;
        self.acknowledged = true;
        self.ledger.acknowledge(self.number).await
    }
}

/// The events, and where to resume after them.
impl Deref for Delivery {
    type Target = Batch;

    fn deref(&self) -> &Batch {
        &self.batch
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.acknowledged {
            self.ledger.abandon(self.number);
        }
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
        f.debug_struct("Delivery")
            .field("batch", &self.batch)
            .finish_non_exhaustive()
    }
}
