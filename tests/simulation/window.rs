//! The latest events by rank, as many as the client promises to remember.

use std::collections::{HashSet, VecDeque};

/// The least that a client's window holds.
const WINDOW: usize = 2_500;

/// Ranks of events with ids, oldest out first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    in_order: VecDeque<usize>,
    known: HashSet<usize>,
}

impl Window {
    /// Whether it is new, as far as the window reaches.
    pub(crate) fn insert(&mut self, rank: usize) -> bool {
        if !self.known.insert(rank) {
            return false;
        }
        self.in_order.push_back(rank);
        if self.in_order.len() > WINDOW
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
