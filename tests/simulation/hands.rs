//! The batches of one life of the program: which are acknowledged, and how many of them are durable.

use std::collections::VecDeque;

use crate::ledger::Rank;
use crate::window::Window;

/// What was delivered, in order. Batches are numbered from 1.
#[derive(Default)]
pub(crate) struct Hands {
    delivered: u64,
    /// The first that is not acknowledged, and all after it.
    open: VecDeque<Open>,
    /// The ids of what is acknowledged without a hole.
    window: Window,
    /// So many batches are durable, as the store says.
    durable: u64,
    /// The first that was dropped without an acknowledgement.
    dropped: Option<u64>,
    /// How many the consumer still has.
    kept: usize,
    /// Whether it waits for more.
    pub(crate) asks: bool,
}

struct Open {
    ranks: Vec<Rank>,
    acknowledged: bool,
}

impl Hands {
    /// Those of a program that remembers so much.
    pub(crate) fn remembering(window: Window) -> Self {
        Self {
            window,
            ..Self::default()
        }
    }

    /// Gives the batch's number.
    pub(crate) fn take(&mut self, ranks: Vec<Rank>) -> u64 {
        self.delivered += 1;
        self.open.push_back(Open {
            ranks,
            acknowledged: false,
        });
        self.delivered
    }

    /// Gives the batch's events.
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

    /// How many batches are acknowledged without a hole.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.delivered - self.open.len() as u64
    }

    pub(crate) fn window(&self) -> &Window {
        &self.window
    }

    /// The store says that so many are durable.
    pub(crate) fn are_durable(&mut self, batches: u64) {
        self.durable = batches;
    }

    pub(crate) fn not_durable(&self) -> usize {
        usize::try_from(self.delivered - self.durable).unwrap_or(usize::MAX)
    }

    pub(crate) fn drop_one(&mut self, number: u64) {
        self.dropped = Some(self.dropped.map_or(number, |first| first.min(number)));
    }

    /// An acknowledgement has come to its end. `refused`: the store has refused a write.
    pub(crate) fn check_ack(
        &self,
        number: u64,
        error: Option<box_longpoll::ErrorKind>,
        refused: bool,
    ) -> Result<(), String> {
        let before_it = self.dropped.is_some_and(|dropped| dropped < number);
        match error {
            None if before_it => Err("what comes after a dropped batch was acknowledged".into()),
            None if self.acknowledged() >= number && self.durable < number => {
                Err("an acknowledgement returned before it was durable".into())
            }
            None => Ok(()),
            Some(box_longpoll::ErrorKind::Unacknowledged) if before_it => Ok(()),
            Some(box_longpoll::ErrorKind::Checkpoint) if refused => Ok(()),
            Some(kind) => Err(format!("an acknowledgement failed with {kind:?}")),
        }
    }

    /// The consumer keeps a batch.
    pub(crate) fn keep(&mut self) {
        self.kept += 1;
    }

    /// The consumer has let go of a batch.
    pub(crate) fn let_go(&mut self) {
        self.kept -= 1;
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept
    }
}
