//! How far a run is, and how long what is left may take.

use std::time::Duration;

use box_longpoll::Status;
use box_longpoll_testkit::PollPosition;

use crate::climate::Consumer;
use crate::network::Pending;
use crate::program::LONGEST_INTERVAL;
use crate::world::Inner;

/// After the last fault and the poll that it may have silenced, the longest that a stream may be busy: an API call ends
/// after 60 s, the pauses are 60 s at most, and a long log has to be read.
const RECOVERY: Duration = Duration::from_secs(400);

/// How much longer than the signal takes a new event may take to a stream that listens.
const PROMPT: Duration = Duration::from_secs(20);

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Troubled,
    /// Nothing goes wrong any more; by then everything is to be delivered, and a poll to be held.
    Healed {
        at: Duration,
    },
    /// One more event was appended; by then it is to be durable.
    Probed {
        by: Duration,
    },
    /// The stream was told to stop.
    Stopping,
    Over,
}

impl Inner {
    /// `idle`: the program has nothing to do before something comes due.
    pub(crate) fn check_progress(&mut self, idle: bool) {
        self.check_waits();
        if self.permanent.is_some() {
            if self.healed {
                // The program is dropped with what it has under way.
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
                // An answer that was on its way may have asked to be left alone.
                let from = at.max(self.conduct.silenced_until());
                let by = from + self.climate.longest_poll() + RECOVERY;
                if idle && self.ledger.all_acknowledged() && self.is_listened_to() {
                    self.append(1, false);
                    self.resume_those_that_are_ready();
                    self.stage = Stage::Probed {
                        by: now + self.longest_news(),
                    };
                } else if now > by {
                    let missing = self.ledger.missing();
                    let why = format!(
                        "too long after the last fault {missing} events are missing, and it is {:?}",
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
                        "a new event is not durable in time; {} are missing, and it is {:?}",
                        self.ledger.missing(),
                        self.status()
                    );
                    self.check::<()>(Err(why));
                }
            }
            Stage::Troubled | Stage::Stopping | Stage::Over => {}
        }
    }

    /// Whether a poll is held that will tell of the next event, or a look for it is due.
    fn is_listened_to(&self) -> bool {
        if self.climate.enterprise {
            return matches!(self.status(), Some(Status::Waiting { .. }));
        }
        let listens = |pending: &Pending| {
            let is_poll = pending.asked.channel.is_some() && pending.met.is_none();
            pending.listens || (self.climate.never_holds() && is_poll)
        };
        self.pending.values().any(listens)
    }

    /// How long the stream may take to hear of an event that is appended now, and to make it durable.
    fn longest_news(&self) -> Duration {
        let climate = &self.climate;
        // A signal that crosses the end of its poll is lost. A server that ignores positions does not repeat it, and the
        // fetch that follows may come before the event shows.
        let may_lose_it =
            climate.poll_position == PollPosition::Ignored && climate.visible_after_ms > 0;
        let hears_after = if climate.enterprise {
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
        hears_after + handled + committed + PROMPT
    }
}
