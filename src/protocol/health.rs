//! The health of the engine, for logs, statistics and metrics.
//!
//! This module extends [`LongPoll`] with the questions that its driver has at the end of a poll: the
//! failures that are retried, and whether the engine works again. It changes nothing but its own
//! notes. Start from [`LongPoll::works_since`].

use std::time::{Instant, SystemTime};

use super::LongPoll;
use super::state::{Pending, Phase, Scheduled};
use crate::clock::Moment;
use crate::status::Status;

impl LongPoll {
    /// Returns the status of a retry that was scheduled since the last call. A failure that is retried
    /// is returned even if it never was the status of the engine. It may be returned twice.
    pub(crate) fn take_retry(&mut self, now: Moment) -> Option<Status> {
        if let Some((until, reason)) = self.listener.take_new_pause() {
            return Some(Scheduled::at(until, reason, now).status());
        }
        let call = self.retry.take()?;
        let lane = self.lane(call);
        lane.has_failed().then(|| lane.status())
    }

    /// Returns the time since which nothing has failed, as far as is known: now, or the time at
    /// which the first good poll after a failure was sent. `None` if a call has failed and did not
    /// succeed since.
    pub(crate) fn works_since(&self, now: Moment) -> Option<Instant> {
        let poll = match &self.listening.phase {
            Phase::AwaitResponse {
                pending: Pending::Listen(poll),
                ..
            } => Some(poll),
            _ => None,
        };
        let calls_work = self.authorizer.works() && self.fetcher.works();
        calls_work
            .then(|| self.listener.works_since(poll, now))
            .flatten()
    }

    /// Returns `true` if a request waits for the pace.
    pub(crate) fn is_paced(&self) -> bool {
        self.fetching.is_paced() || (self.fetching.is_idle() && self.listening.is_paced())
    }

    /// Returns the time at which Box last had nothing after the position, if that was so when the
    /// last page arrived, and the consumer has handled all before.
    pub(crate) fn is_caught_up_at(&self) -> Option<SystemTime> {
        let caught_up_at = self.fetcher.caught_up_at?;
        (self.fetcher.page_came_at == Some(caught_up_at)).then_some(caught_up_at)
    }
}
