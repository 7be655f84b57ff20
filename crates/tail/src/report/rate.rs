//! [`Rate`]: the number of events per second, over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// The time over which events are counted.
const PERIOD: Duration = Duration::from_secs(10);

/// The shortest time over which a rate is computed, so that the first page shows no huge rate.
const SHORTEST: Duration = Duration::from_secs(1);

/// The rate of events over the last 10 seconds.
pub(super) struct Rate {
    since: Instant,
    /// The numbers of events in the period, with their times.
    pages: VecDeque<(Instant, u32)>,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            pages: VecDeque::new(),
        }
    }

    /// Counts events.
    pub(super) fn add(&mut self, events: usize, now: Instant) {
        self.forget(now);
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.pages.push_back((now, events));
    }

    /// Returns the events per second.
    pub(super) fn per_second(&mut self, now: Instant) -> f64 {
        self.forget(now);
        let events = self.pages.iter().map(|(_, events)| f64::from(*events));
        let period = (now - self.since).clamp(SHORTEST, PERIOD);
        // The sum of nothing would be a negative zero.
        events.fold(0.0, |sum, events| sum + events) / period.as_secs_f64()
    }

    fn forget(&mut self, now: Instant) {
        while self
            .pages
            .front()
            .is_some_and(|(time, _)| now - *time > PERIOD)
        {
            self.pages.pop_front();
        }
    }
}
