//! The stages of a run, and the time that each may take.
//!
//! After the last fault, everything must be delivered and the stream must listen again within a
//! bounded time. Then a new event must become durable promptly, and the stream must stop. In
//! permanent weather the run just ends. Start at [`Inner::check_progress`].

use std::time::Duration;

use box_longpoll::Status;
use box_longpoll_testkit::{Endpoint, PollPosition};

use crate::climate::Consumer;
use crate::network::Pending;
use crate::program::LONGEST_INTERVAL;
use crate::world::Inner;

/// The longest recovery after the last fault and the poll that it may have silenced. An API call
/// ends after 60 s, a pause takes at most 60 s, and the client has to read a long log.
const RECOVERY: Duration = Duration::from_secs(400);

/// The longest time from the signal of a new event to its delivery.
const PROMPT: Duration = Duration::from_secs(20);

/// The stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Faults still happen.
    Troubled,
    /// All faults have ended. Soon, everything has to be delivered, and a poll to be held.
    Healed {
        at: Duration,
    },
    /// One more event was appended, and has to be durable by this time.
    Probed {
        by: Duration,
    },
    /// The world has stopped the stream by its handle.
    Stopping,
    Over,
}

impl Inner {
    /// Moves to the next stage if the current one is complete, and checks its time limit. `idle`:
    /// the program waits for something.
    pub(crate) fn check_progress(&mut self, idle: bool) {
        self.check_waits();
        if self.permanent.is_some() {
            if self.healed {
                // The program is dropped with its requests in flight.
                self.stopping = true;
                self.stage = Stage::Over;
            }
            return;
        }
        let now = self.now;
        match self.stage {
            Stage::Troubled if self.healed => {
                self.stage = Stage::Healed { at: now };
            }
            Stage::Healed { at } => {
                // A response that was on its way may have a `Retry-After`.
                let from = at.max(self.conduct.silenced_until());
                let by = from + self.climate.longest_poll() + RECOVERY;
                if idle && self.ledger.all_acknowledged() && self.is_listened_to() {
                    self.append(1, false);
                    self.resume_those_that_are_ready();
                    self.stage = Stage::Probed {
                        by: now.max(from) + self.longest_news(),
                    };
                } else if now > by {
                    let missing = self.ledger.missing();
                    let why = format!(
                        "too long after the last fault {missing} events are missing, and the status is {:?}",
                        self.status()
                    );
                    self.check::<()>(Err(why));
                }
            }
            Stage::Probed { by } => {
                let durable = self.store.read().map(str::to_owned);
                if durable.is_some_and(|durable| self.ledger.covers_all(&durable)) {
                    self.stop_wanted = true;
                    self.stage = Stage::Stopping;
                } else if now > by {
                    let why = format!(
                        "a new event is not durable in time; {} are missing, and the status is {:?}",
                        self.ledger.missing(),
                        self.status()
                    );
                    self.check::<()>(Err(why));
                }
            }
            Stage::Troubled | Stage::Stopping | Stage::Over => {}
        }
    }

    /// Returns `true` if a held poll will signal the next event, or if the next fetch of an
    /// enterprise is scheduled. A fetch that was lost delays the next one until its timeout.
    fn is_listened_to(&self) -> bool {
        let fetch_met =
            |pending: &Pending| pending.facts.endpoint == Endpoint::Events && pending.met.is_some();
        if self.pending.values().any(fetch_met) {
            return false;
        }
        if self.climate.enterprise {
            return matches!(self.status(), Some(Status::Waiting { .. }));
        }
        let listens = |pending: &Pending| {
            let is_poll = pending.facts.channel.is_some() && pending.met.is_none();
            pending.listens || (self.climate.never_holds() && is_poll)
        };
        self.pending.values().any(listens)
    }

    /// Returns the longest time until the stream learns of an event that is appended now, and makes
    /// it durable.
    fn longest_news(&self) -> Duration {
        let climate = &self.climate;
        // A signal that crosses the end of its poll is lost. A server that ignores positions
        // doesn't repeat it, and the next fetch may come before the event is visible.
        let may_lose_it =
            climate.poll_position == PollPosition::Ignored && climate.visible_after_ms > 0;
        let learns_after = if climate.enterprise {
            LONGEST_INTERVAL
        } else if climate.drop_signals || may_lose_it {
            Duration::from_millis(climate.hold_ms).min(climate.longest_poll())
        } else {
            Duration::ZERO
        };
        let handled = Duration::from_millis(climate.handling_ms + climate.visible_after_ms);
        let committed = match climate.consumer {
            Consumer::Events => Duration::from_millis(climate.patience_ms.max(20_000)),
            Consumer::Subscription if climate.keeps > 0 => {
                Duration::from_millis(climate.patience_ms.max(20_000))
            }
            Consumer::Batches | Consumer::BlockingBatches | Consumer::Subscription => {
                Duration::ZERO
            }
        };
        let committed = committed + Duration::from_millis(climate.longest_commit_ms());
        learns_after + handled + committed + PROMPT
    }
}
