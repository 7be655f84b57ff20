//! The items of a subscription: [`Update`], and the [`Delivery`] in it.
//!
//! A delivery is a batch with the duty to acknowledge it. It reports to the [`Ledger`] what the
//! program does with it: acknowledge, store or drop. It does not save anything itself. Start at
//! [`Delivery::ack`].

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

/// An item of a subscription. A program has to handle each variant, so a new variant would be a
/// breaking change.
///
/// `D` is the batch: [`Delivery`], or that of the blocking client.
#[derive(Debug)]
#[must_use = "a batch must be acknowledged"]
pub enum Update<D = Delivery> {
    /// The subscription begins. This item is delivered once, before all others, when a restart
    /// would begin at the same position.
    ///
    /// With [`subscribe_from`](crate::LongPollClient::subscribe_from), your program ensures that:
    /// store the [checkpoint](Progress::checkpoint) and call [`stored`](Progress::stored). The
    /// stream polls Box only after that call. Dropping the item before that ends the subscription
    /// with [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged).
    Started(Progress),
    /// Events that were not acknowledged before. Handle them, and [acknowledge](Delivery::ack) the
    /// batch.
    Batch(D),
    /// The position has moved without an event, or an hour has passed without one. This item is
    /// delivered only with [`subscribe_from`](crate::LongPollClient::subscribe_from), at most once
    /// an hour.
    ///
    /// Store the [checkpoint](Progress::checkpoint) and call [`stored`](Progress::stored), so that
    /// a restart does not begin at a position that Box has forgotten. Dropping the item is
    /// harmless: it is delivered again.
    Moved(Progress),
    /// The program was away for longer than Box keeps events, so some may be missing before the
    /// next batch. Compare your data with Box's current state. The stream continues.
    PossibleGap(PossibleGap),
}

/// A time without a fetch that was longer than Box is sure to keep events.
///
/// It is reported before any batch after a start from an old checkpoint, and if a running program
/// could not reach Box for that long. After a restart it is reported again until the subscription
/// has caught up, and that is acknowledged and saved. It is also reported again if pages have
/// arrived since, and then none for as long.
///
/// A subscription has caught up with a page that is not full, or whose newest event was recorded
/// within an hour of the response's `Date`. So a stream that is never idle catches up as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PossibleGap {
    /// The last time at which nothing was missing, as far as is known: see
    /// [`Checkpoint::last_success`](crate::checkpoint::Checkpoint::last_success).
    pub since: SystemTime,
    /// The time for which Box is sure to keep these events: 14 days.
    ///
    /// For a user's events, Box's documentation names 21 days, 31 days for `sync`, and elsewhere
    /// two weeks to two months. The shortest of these counts.
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
            "events may be missing: no page has arrived for longer than the {days} days that Box \
             is sure to keep them"
        )
    }
}

/// A batch that you must acknowledge. It is never empty.
///
/// Dropping it without an acknowledgement ends the subscription, because nothing after it could
/// ever become durable.
#[must_use = "dropping a batch without an acknowledgement ends the subscription"]
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

    /// Returns the checkpoint from which a restart resumes behind this batch, with the window of
    /// repeats.
    ///
    /// Store it in the transaction that stores the events' effects, and call
    /// [`stored`](Self::stored) after the commit. Each event with an id then has its effect exactly
    /// once, whenever the program is killed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a batch before this one is not
    /// stored yet, or if the subscription has a store, which saves its checkpoints.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.ledger.checkpoint_after(self.number)
    }

    /// Records that the program has stored the [checkpoint](Self::checkpoint). Nothing else is
    /// written.
    ///
    /// If a batch before this one is not stored, the subscription ends with
    /// [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged). If the subscription has a
    /// store, this acknowledges the batch, and the store saves that with the next acknowledgement
    /// or while the subscription is polled.
    pub fn stored(mut self) {
        self.acknowledged = true;
        self.ledger.record(self.number);
    }

    /// Acknowledges the batch: its events are handled and are not delivered again.
    ///
    /// Returns when the acknowledgement is durable. If a batch before this one is not acknowledged
    /// yet, it returns at once, and becomes durable with that batch. Acknowledgements that arrive
    /// while the store writes share the next write.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if the store fails. The
    ///   acknowledgement is kept: it is saved with the next one, or while the subscription is
    ///   polled. It is lost only if the program ends before that.
    /// - [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged) if a batch before it was
    ///   dropped.
    /// - [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) always, if the subscription was
    ///   made by [`subscribe_from`](crate::LongPollClient::subscribe_from). This ends the
    ///   subscription: store the [checkpoint](Self::checkpoint) instead.
    ///
    /// # Cancellation
    ///
    /// If the future was never polled, dropping it drops the batch without an acknowledgement. Once
    /// it was polled, the acknowledgement is kept, and is saved as after an error.
    pub async fn ack(mut self) -> Result<(), Error> {
        self.ledger.ensure_it_saves()?;
        self.acknowledged = true;
        self.ledger.acknowledge(self.number).await
    }
}

/// Gives access to the events, and to the position to resume from after them.
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
