//! The progress of a subscription apart from its batches.
//!
//! [`Update::Started`](super::Update::Started) and [`Update::Moved`](super::Update::Moved) carry a
//! [`Progress`]. With [`subscribe_from`](crate::LongPollClient::subscribe_from), the program stores
//! its checkpoint; with a store, the item is only a notice.

use std::fmt;
use std::sync::Arc;

use super::ack_queue::Watermark;
use super::ledger::Ledger;
use crate::checkpoint::Checkpoint;

/// The progress of a subscription at its start, or after its position has moved without an event.
///
/// If your program follows with [`subscribe_from`](crate::LongPollClient::subscribe_from), store
/// the [`checkpoint`](Self::checkpoint) and call [`stored`](Self::stored). With a
/// [store](crate::LongPollClient::subscribe), you can ignore it.
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

    /// Returns the checkpoint to store, for
    /// [`subscribe_from`](crate::LongPollClient::subscribe_from).
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Records that the program has stored the checkpoint.
    ///
    /// After [`Update::Started`](crate::Update::Started), the subscription requests events only
    /// once this is called. With a [store](crate::LongPollClient::subscribe), the call does
    /// nothing.
    pub fn stored(self) {
        if !self.ledger.saves() {
            self.ledger.stored_at(self.end.clone());
        }
    }
}

/// Ends the subscription if its start is dropped before it is stored.
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
