//! Noticing that the machine has slept.

use super::LongPoll;
use super::drain::Drain;
use super::state::{Asked, Because, Due, Phase};
use crate::clock::Moment;

impl LongPoll {
    /// Drops what a sleep has cut off: a poll gives way to a fetch and a new list of servers, a call is made again, and the
    /// pause after a failure or between two looks ends.
    pub(super) fn tick(&mut self, since: Moment, now: Moment) {
        if let Phase::AwaitAnswer(Asked::Signal(poll)) = &mut self.phase {
            self.listener.is_connected_by_now(poll, now);
        }
        if !now.was_suspended_since(since) {
            return;
        }
        // The machine may be in another network by now.
        self.listener.hold_limit = None;
        match &mut self.phase {
            Phase::AwaitAnswer(asked) => {
                if let Asked::Signal(_) = asked {
                    self.listener.rotation.discard();
                }
                self.fetch(Drain::default(), Due::now(now));
            }
            Phase::Due(due) => {
                if due.because.may_have_passed() {
                    due.at = now.monotonic;
                }
                due.at_wall = now.wall_at(due.at);
            }
            _ => {}
        }
    }
}

impl Because {
    /// Whether it was of before the sleep: its network, or its interval. A server that asked to be left alone is.
    fn may_have_passed(&self) -> bool {
        match self {
            Self::ItsTurn => false,
            Self::NextLook => true,
            Self::Failed(error) | Self::Degraded(error) => error.retry_after().is_none(),
        }
    }
}
