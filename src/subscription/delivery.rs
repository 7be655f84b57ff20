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
use crate::telemetry::BatchSpan;

/// An item of a subscription. A program has to handle each variant, so a new variant would be a
/// breaking change.
///
/// `D` is the type of the batch: [`Delivery`], or the blocking client's type of the same name.
#[derive(Debug)]
#[must_use = "a batch must be acknowledged"]
pub enum Update<D = Delivery> {
    /// The subscription has started. This item is delivered once, before all others. With a store,
    /// a restart from then on loses no event after the start.
    ///
    /// With [`subscribe_from`](crate::LongPollClient::subscribe_from), your program must store the
    /// start itself: store the [checkpoint](Progress::checkpoint) and call
    /// [`stored`](Progress::stored). The stream requests events only after that call. Dropping the
    /// item before that ends the subscription with
    /// [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged).
    Started(Progress),
    /// Events that were not acknowledged before. Handle them, and [acknowledge](Delivery::ack) the
    /// batch.
    Batch(D),
    /// The position has moved although no event has arrived, or an hour has passed without an
    /// event. This item is delivered only with
    /// [`subscribe_from`](crate::LongPollClient::subscribe_from), at most once an hour.
    ///
    /// Store the [checkpoint](Progress::checkpoint) and call [`stored`](Progress::stored), so that
    /// a restart does not begin at a position that Box has forgotten. Dropping the item is
    /// harmless: it is delivered again.
    Moved(Progress),
    /// The program was away for longer than Box keeps events, so some may be missing before the
    /// next batch. Compare your data with Box's current state. For an enterprise's events, an
    /// [audit](crate::LongPollClient::audit) finds those that your records lack. The stream
    /// continues by itself.
    PossibleGap(PossibleGap),
}

/// A period without a fetch that was longer than the time for which Box is sure to keep events.
///
/// A gap is reported in these cases:
///
/// - The subscription resumes from a checkpoint that is older than that time. The report comes
///   before the first batch.
/// - A running program could not reach Box for that long. The next such period is reported again.
/// - A subscription took longer than 14 days to read the [history](crate::StartAt::Since) of an
///   enterprise. Events that Box added late meanwhile may be missing.
///
/// Each restart repeats the report, until the subscription has caught up, and all batches up to
/// then are acknowledged and saved.
///
/// A subscription has caught up once a page is not full, or once the newest event of a full page
/// was recorded at most an hour before the response's `Date`. So a stream that is never idle
/// catches up as well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PossibleGap {
    /// The last time at which nothing was missing, as far as is known: see
    /// [`Checkpoint::last_success`](crate::checkpoint::Checkpoint::last_success).
    pub since: SystemTime,
    /// The time for which Box is sure to keep these events: 14 days, or 365 days for an
    /// enterprise's past events.
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
    /// The span in the log that ends with the batch.
    _span: BatchSpan,
}

impl Delivery {
    pub(super) fn new(batch: Batch, ledger: Arc<Ledger>, number: u64, span: BatchSpan) -> Self {
        Self {
            batch,
            ledger,
            number,
            acknowledged: false,
            _span: span,
        }
    }

    /// Returns the checkpoint from which a restart resumes after this batch. It carries the ids of
    /// the latest events, so that repeats are skipped.
    ///
    /// Store it in the transaction that stores the events' effects, and call
    /// [`stored`](Self::stored) after the commit. Each event with an id then has its effect exactly
    /// once, even if the program is killed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if a batch before this one is not
    /// stored yet, or if the subscription has a store, which saves its checkpoints.
    pub fn checkpoint(&self) -> Result<Checkpoint, Error> {
        self.ledger.checkpoint_after(self.number)
    }

    /// Records that the program has stored the [checkpoint](Self::checkpoint). This call writes
    /// nothing.
    ///
    /// If a batch before this one is not stored, the subscription ends with
    /// [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged). If the subscription has a
    /// store, this call acknowledges the batch. The acknowledgement is saved with the next one, or
    /// while the subscription is polled.
    pub fn stored(mut self) {
        self.acknowledged = true;
        self.ledger.record(self.number);
    }

    /// Acknowledges the batch: its events are handled and are not delivered again.
    ///
    /// Returns when the acknowledgement is durable. If a batch before this one is not acknowledged
    /// yet, the call returns at once, and the acknowledgement becomes durable together with that
    /// batch. Acknowledgements that arrive while the store writes share the next write.
    ///
    /// # Errors
    ///
    /// - [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) if the store fails. The
    ///   acknowledgement is kept: it is saved with the next one, or while the subscription is
    ///   polled. It is lost only if the program ends before that.
    /// - [`ErrorKind::Unacknowledged`](crate::ErrorKind::Unacknowledged) if a batch before this one
    ///   was dropped.
    /// - [`ErrorKind::Checkpoint`](crate::ErrorKind::Checkpoint) always, if the subscription was
    ///   made by [`subscribe_from`](crate::LongPollClient::subscribe_from). This ends the
    ///   subscription: store the [checkpoint](Self::checkpoint) instead.
    ///
    /// # Cancellation
    ///
    /// If you drop the future before it was first polled, the batch is dropped without an
    /// acknowledgement. If you drop it later, the acknowledgement is kept, and is saved as after an
    /// error.
    pub async fn ack(mut self) -> Result<(), Error> {
        self.ledger.ensure_it_saves()?;
        self.acknowledged = true;
        self.ledger.acknowledge(self.number).await
    }
}

/// Gives access to the [`Batch`]: its events, and the position to resume from after them.
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
