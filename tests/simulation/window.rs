//! The latest events by rank: as many as the client promises to remember.
//!
//! A repeat of one of these is an error, and a repeat of an older one is not. The window says
//! nothing about order; `ledger` checks that. Start at [`Window::insert`].

use std::collections::{HashSet, VecDeque};

/// The smallest number of events that a client's window holds: five full pages of 500.
const WINDOW: usize = 2_500;

/// The ranks of the latest events with ids. The oldest rank leaves first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Window {
    in_order: VecDeque<usize>,
    known: HashSet<usize>,
}

impl Window {
    /// Adds a rank. Returns `true` if it was not in the window.
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
