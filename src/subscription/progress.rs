//! How far a subscription is, apart from its batches.

use std::fmt;
use std::sync::Arc;

use super::ack_queue::Watermark;
use super::ledger::Ledger;
use crate::checkpoint::Checkpoint;

/// How far a subscription is: at its start, or where its position has moved without an event.
///
/// A program that follows with [`subscribe_from`](crate::LongPollClient::subscribe_from) stores the
/// [`checkpoint`](Self::checkpoint) and says so by [`stored`](Self::stored). With a
/// [store](crate::LongPollClient::subscribe) there is nothing to do.
pub struct Progress {
    ledger: Arc<Ledger>,
    end: Watermark,
    checkpoint: Checkpoint,
}

impl Progress {
    pub(super) fn new(ledger: Arc<Ledger>, (end, checkpoint): (Watermark, Checkpoint)) -> Self {
        Self {
            ledger,
            end,
            checkpoint,
        }
    }

    /// Returns the checkpoint to store, for [`subscribe_from`](crate::LongPollClient::subscribe_from).
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Says that the checkpoint is stored.
    ///
    /// With a [store](crate::LongPollClient::subscribe) this does nothing.
    pub fn stored(self) {
        if !self.ledger.saves() {
            self.ledger.stored_at(self.end.clone());
        }
    }
}

/// A start that is dropped unstored ends the subscription.
impl Drop for Progress {
    fn drop(&mut self) {
        self.ledger.abandon_start();
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress")
            .field("resume_at", &self.checkpoint.resume_at())
            .finish_non_exhaustive()
    }
}
