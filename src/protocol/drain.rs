//! A drain: fetching until a page brings nothing new.

use std::collections::VecDeque;

use super::state::Hint;

/// So many positions of a drain are remembered, to notice that pages lead in a circle.
const POSITIONS_REMEMBERED: usize = 64;

/// How far a drain is.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them holds or not, whatever the others do"
)]
pub(super) struct Drain {
    pub(super) found_events: bool,
    /// `true` if a page that only moved the position was already followed at once.
    pub(super) followed_at_once: bool,
    /// `true` if the next request does not wait for the pace.
    pub(super) on_credit: bool,
    /// `true` if a poll signaled a change that was not seen yet.
    pub(super) signaled: bool,
    /// The positions that pages without a new id led to, as hashes, oldest first.
    visited: VecDeque<u128>,
}

impl Drain {
    pub(super) fn start(hint: Hint) -> Self {
        let signaled = hint == Hint::Changed;
        Self {
            on_credit: signaled,
            signaled,
            ..Self::default()
        }
    }

    /// Returns `true` if a page without a new id led to the position with this hash before.
    pub(super) fn was_visited(&mut self, hash: u128) -> bool {
        if self.visited.contains(&hash) {
            return true;
        }
        if self.visited.len() == POSITIONS_REMEMBERED {
            self.visited.pop_front();
        }
        self.visited.push_back(hash);
        false
    }
}
