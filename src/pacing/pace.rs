//! The pace: the rate limit of a user stream for requests that bring nothing new.
//!
//! This module holds the settings and translates them into token buckets. [`RateLimiter`] enforces
//! them. The limit of an enterprise stream has settings of its own. The type to start from is
//! [`Pace`].

use std::time::Instant;

use super::rate_limiter::RateLimiter;
use super::token_bucket::TokenBucket;
use crate::error::{Error, ensure};

/// The share of the permitted requests that is used, 95 %. The network may delay one request and
/// not the next, so that they arrive closer together than they were sent.
const MARGIN: f64 = 0.95;

/// The share of a minute's requests that may follow each other without a pause, as far as the limit
/// of each second allows.
const SHARE_AT_ONCE: f64 = 1.0 / 15.0;

/// The rate limit of a user stream for requests that bring nothing new, to the API and to the
/// realtime servers alike. Enterprise events have [a limit of their
/// own](crate::enterprise::AdminLogsStreaming::calls_per_minute).
///
/// A request that brings a new event does not count against [`per_second`](Self::per_second) and
/// [`per_minute`](Self::per_minute), and neither does the poll that signaled the event. So a
/// backlog is fetched at the speed of the network. Each change still costs one request: the last
/// one, which shows that there is nothing more. At the default pace, four changes in one second are
/// delivered at once. While an account changes all the time, a page arrives about four times a
/// second, with everything that has happened meanwhile: see
/// [`small_pages_per_minute`](Self::small_pages_per_minute).
///
/// If a value is too small, [`build`](crate::LongPollClientBuilder::build) returns
/// [`ErrorKind::Config`](crate::ErrorKind::Config).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pace {
    per_second: u32,
    per_minute: u32,
    small_pages_per_minute: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            per_second: 5,
            per_minute: 120,
            small_pages_per_minute: 240,
        }
    }
}

impl Pace {
    /// Sets the maximum number of requests in any second. At least 2; default: 5.
    ///
    /// The last of them is reserved for the fetch that follows a
    /// [`new_change`](crate::protocol::Signal::NewChange) signal, or a page that only moved the
    /// position.
    pub fn per_second(mut self, requests: u32) -> Self {
        self.per_second = requests;
        self
    }

    /// Sets the maximum number of requests in any minute. At least 10; default: 120.
    ///
    /// One fifteenth of them may follow each other without a pause, and the others are spread
    /// evenly.
    pub fn per_minute(mut self, requests: u32) -> Self {
        self.per_minute = requests;
        self
    }

    /// Sets the maximum number of small pages in any minute. A page is small if it has fewer events
    /// than half of the [page limit](crate::LongPollClientBuilder::page_limit). At least 15;
    /// default: 240.
    ///
    /// Without this limit, an account that changes many times a second would cause a fetch for each
    /// event, one right after the other. Box allows a user about 1,000 calls a minute, for all
    /// applications together. One fifteenth of these pages may follow each other without a pause,
    /// 16 by default. The others come at even intervals, 270 ms by default, each with everything
    /// that has happened meanwhile.
    ///
    /// So on such an account, an event is delivered up to 0.3 s later, or half of that on average.
    /// A backlog comes in full pages, at the speed of the network.
    pub fn small_pages_per_minute(mut self, pages: u32) -> Self {
        self.small_pages_per_minute = pages;
        self
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        ensure(
            self.per_second >= 2 && self.per_minute >= 10,
            "the pace must allow at least 2 requests in a second and 10 in a minute",
        )?;
        ensure(
            self.small_pages_per_minute >= 15,
            "the pace must allow at least 15 small pages in a minute",
        )
    }

    /// Returns the token bucket for pages that bring less than half of the page limit.
    pub(crate) fn small_pages(self, now: Instant) -> TokenBucket {
        let in_a_minute = f64::from(self.small_pages_per_minute);
        let at_once = in_a_minute * SHARE_AT_ONCE;
        // One page may be in flight when the minute begins.
        TokenBucket::full(at_once, in_a_minute - at_once - 1.0, now)
    }

    /// Returns the rate limiter for requests that bring nothing new.
    pub(crate) fn rate_limiter(self, now: Instant) -> RateLimiter {
        let in_a_minute = f64::from(self.per_minute) * MARGIN;
        let at_once = (in_a_minute * SHARE_AT_ONCE).max(1.0);
        let on_credit = 1.0;
        let evenly = in_a_minute - at_once - on_credit;
        RateLimiter::new(TokenBucket::full(at_once, evenly, now), self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::rate_limiter::Slot;
    use super::*;
    use crate::clock::Moment;

    /// Returns the times of requests that are sent as early as the pace permits, on credit if there
    /// is any.
    fn greedy(pace: Pace, requests: usize) -> Vec<Instant> {
        let mut now = Moment::read_clocks().monotonic;
        let mut rate_limiter = pace.rate_limiter(now);
        let mut times = Vec::new();
        while times.len() < requests {
            if let Err(at) = rate_limiter.try_acquire(Slot::Fetch, now) {
                now = at;
                continue;
            }
            times.push(now);
            if rate_limiter.acquire_early(Slot::Fetch, now).is_ok() {
                times.push(now);
            }
        }
        times
    }

    fn most_within(times: &[Instant], window: Duration) -> usize {
        let counts = (0..times.len()).map(|first| {
            let since = &times[first..];
            since.partition_point(|time| *time - times[first] <= window)
        });
        counts.max().unwrap_or_default()
    }

    #[test]
    fn pace_holds_in_every_second_and_minute_and_is_used() {
        for (per_second, per_minute) in [(5, 120), (2, 10), (2, 1_000), (10, 40), (100, 6_000)] {
            let pace = Pace::default()
                .per_second(per_second)
                .per_minute(per_minute);
            assert!(pace.check().is_ok());
            let times = greedy(pace, 3 * per_minute as usize);
            let in_a_second = most_within(&times, Duration::from_secs(1));
            assert!(in_a_second <= per_second as usize, "{pace:?}");
            let in_a_minute = most_within(&times, Duration::from_secs(60));
            let possible = per_minute.min(58 * per_second) as usize;
            assert!(in_a_minute <= possible, "{in_a_minute}: {pace:?}");
            assert!(in_a_minute * 10 >= possible * 8, "{in_a_minute}: {pace:?}");
        }
    }
}
