//! [`Attempts`]: the failed attempts to write one event, and the pause before the next one.

use std::time::Duration;

/// The shortest pause, in milliseconds.
const SHORTEST: u64 = 500;

/// The longest pause, in milliseconds, unless the receiver demands a longer one. A receiver that
/// works again gets events after a minute at the latest.
const LONGEST: u64 = 60_000;

/// The number of refusals after which an event goes to the dead letters. A receiver may refuse an
/// event by mistake, for instance while a new version of it starts.
const REFUSALS: u32 = 3;

/// The failed attempts to write one event.
#[derive(Default)]
pub(super) struct Attempts {
    /// The pause before the last attempt, in milliseconds.
    pause: u64,
    refusals: u32,
}

impl Attempts {
    /// Counts a refusal. Returns `true` if the event has been refused often enough to give up.
    pub(super) fn is_last_refusal(&mut self) -> bool {
        self.refusals += 1;
        self.refusals >= REFUSALS
    }

    /// Returns the next pause: up to three times the last one, but at least as long as the receiver
    /// demands.
    ///
    /// This is a backoff with decorrelated jitter: programs that failed at the same moment do not
    /// try again at the same moment.
    pub(super) fn next_pause(&mut self, demanded: Option<Duration>) -> Duration {
        let ceiling = (3 * self.pause).clamp(3 * SHORTEST, LONGEST);
        self.pause = fastrand::u64(SHORTEST..=ceiling);
        Duration::from_millis(self.pause).max(demanded.unwrap_or_default())
    }
}
