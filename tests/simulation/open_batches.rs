//! The batches of one life of the program: which are acknowledged, and how many of them are
//! durable.
//!
//! It checks that an acknowledgement returns only after the store has confirmed it, and never after
//! an earlier batch was dropped. It knows batches, not events; `ledger` knows the events. Start at
//! [`OpenBatches::take`] and [`OpenBatches::check_ack`].

use std::collections::VecDeque;

use crate::ledger::Rank;
use crate::window::Window;

/// The delivered batches, in order. They are numbered from 1.
#[derive(Default)]
pub(crate) struct OpenBatches {
    /// The number of delivered batches.
    delivered: u64,
    /// The first batch that is not acknowledged, and all batches after it.
    open: VecDeque<Open>,
    /// The ids of the events before the first batch that is not acknowledged.
    window: Window,
    /// The number of batches that the store has confirmed.
    durable: u64,
    /// The first batch that was dropped without an acknowledgement.
    dropped: Option<u64>,
    /// The number of batches that the consumer still has.
    kept: usize,
    /// `true` if the consumer waits for the next batch.
    pub(crate) waits: bool,
}

/// A batch that is not acknowledged, or that follows such a batch.
struct Open {
    ranks: Vec<Rank>,
    acknowledged: bool,
}

impl OpenBatches {
    /// Returns the batches of a new program, which remembers these events.
    pub(crate) fn remembering(window: Window) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// Adds a delivered batch, and returns its number.
    pub(crate) fn take(&mut self, ranks: Vec<Rank>) -> u64 {
        self.delivered += 1;
        self.open.push_back(Open {
            ranks,
            acknowledged: false,
        });
        self.delivered
    }

    /// Marks a batch as acknowledged, and returns its events.
    pub(crate) fn acknowledge(&mut self, number: u64) -> Vec<Rank> {
        let mut acknowledged = Vec::new();
        if let Some(open) = usize::try_from(number - self.acknowledged() - 1)
            .ok()
            .and_then(|index| self.open.get_mut(index))
        {
            open.acknowledged = true;
            acknowledged.clone_from(&open.ranks);
        }
        while self.open.front().is_some_and(|open| open.acknowledged)
            && let Some(open) = self.open.pop_front()
        {
            for rank in open.ranks.iter().filter(|rank| rank.has_id) {
                self.window.insert(rank.number);
            }
        }
        acknowledged
    }

    /// Returns the number of batches before the first one that is not acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.delivered - self.open.len() as u64
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// Notes that the store has confirmed the first `batches` batches.
    pub(crate) fn are_durable(&mut self, batches: u64) {
        self.durable = batches;
    }

    /// Returns the number of delivered batches that the store has not confirmed.
    pub(crate) fn not_durable(&self) -> usize {
        usize::try_from(self.delivered - self.durable).unwrap_or(usize::MAX)
    }

    /// Notes that a batch was dropped without an acknowledgement.
    pub(crate) fn drop_one(&mut self, number: u64) {
        self.dropped = Some(self.dropped.map_or(number, |first| first.min(number)));
    }

    /// Checks the result of an acknowledgement. `refused`: the store has refused a write.
    pub(crate) fn check_ack(
        &self,
        number: u64,
        error: Option<box_longpoll::ErrorKind>,
        refused: bool,
    ) -> Result<(), String> {
        let before_it = self.dropped.is_some_and(|dropped| dropped < number);
        match error {
            None if before_it => Err("a batch after a dropped one was acknowledged".into()),
            None if self.acknowledged() >= number && self.durable < number => {
                Err("an acknowledgement returned before it was durable".into())
            }
            None => Ok(()),
            Some(box_longpoll::ErrorKind::Unacknowledged) if before_it => Ok(()),
            Some(box_longpoll::ErrorKind::Checkpoint) if refused => Ok(()),
            Some(kind) => Err(format!("an acknowledgement failed with {kind:?}")),
        }
    }

    /// Notes that the consumer keeps a batch.
    pub(crate) fn keep(&mut self) {
        self.kept += 1;
    }

    /// Notes that the consumer no longer has a batch.
    pub(crate) fn let_go(&mut self) {
        self.kept -= 1;
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept
    }
}
