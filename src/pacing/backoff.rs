//! Backoff: the wait after a failure.
//!
//! The waits grow by exponential backoff with decorrelated jitter, and respect `Retry-After`. The
//! caller decides which failures are retried. The types to start from are [`RetryPolicy`] and
//! [`Backoff`].

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::error::{Error, ensure};

/// The longest `Retry-After` that is respected: one hour. A longer one is probably a mistake, and
/// could silence a stream for a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// The waits of a stream after failures.
///
/// The first failure after a success is retried after 10 % to 50 % of [`first`](Self::first), since
/// most failures pass quickly. From the second failure in a row on, the waits have decorrelated
/// jitter, so that streams that failed together do not retry together. Each wait is random, from
/// `first` to three times the one before, and at most [`longest`](Self::longest).
///
/// A success halves the wait from which the next series of failures continues.
///
/// If a value is out of its range, [`build`](crate::LongPollClientBuilder::build) returns
/// [`ErrorKind::Config`](crate::ErrorKind::Config).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) degraded_interval: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
            degraded_interval: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// Sets the shortest wait from the second failure in a row on. Longer than zero, and at most
    /// [`longest`](Self::longest); default: 0.5 s. With the default, the first failure is retried
    /// after 50 to 250 ms.
    pub fn first(mut self, wait: Duration) -> Self {
        self.first = wait;
        self
    }

    /// Sets the longest wait. From [`first`](Self::first) to one hour; default: 60 s. If the server
    /// requests a longer wait by `Retry-After`, the stream respects it, up to one hour.
    pub fn longest(mut self, wait: Duration) -> Self {
        self.longest = wait;
        self
    }

    /// Sets the interval at which events are fetched while no realtime server is usable. Each
    /// interval is random, up to twice as long. Longer than zero, at most one hour; default: 30 s,
    /// so 30 to 60 s.
    pub fn degraded_interval(mut self, interval: Duration) -> Self {
        self.degraded_interval = interval;
        self
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        let in_order = !self.first.is_zero() && self.first <= self.longest;
        ensure(
            in_order && self.longest <= MAX_RETRY_AFTER,
            "the waits between failures must be longer than zero and at most an hour, the first no longer than the longest",
        )?;
        ensure(
            !self.degraded_interval.is_zero() && self.degraded_interval <= MAX_RETRY_AFTER,
            "the degraded interval must be longer than zero and at most an hour",
        )
    }
}

/// The waits of one endpoint, with its source of randomness.
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: RetryPolicy,
    rng: fastrand::Rng,
    /// The number of failures since the last success.
    in_a_row: u32,
    /// The previous wait, from which the next one grows.
    previous: Duration,
}

impl Backoff {
    pub(crate) fn new(policy: RetryPolicy, rng: fastrand::Rng) -> Self {
        Self {
            policy,
            rng,
            in_a_row: 0,
            previous: Duration::ZERO,
        }
    }

    /// Returns the wait after a failure, which is at least as long as the server requested.
    pub(crate) fn after_failure(&mut self, retry_after: Option<Duration>) -> Duration {
        let at_least = retry_after.unwrap_or_default();
        let RetryPolicy { first, longest, .. } = self.policy;
        let chance = self.rng.f64();
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.in_a_row == 1 {
            return first.mul_f64(0.1 + 0.4 * chance).max(at_least);
        }
        let bound = (self.previous.max(first) * 3).min(longest);
        self.previous = first + bound.saturating_sub(first).mul_f64(chance);
        self.previous.max(at_least)
    }

    /// Returns the wait while no realtime server is usable.
    pub(crate) fn while_degraded(&mut self) -> Duration {
        self.policy.degraded_interval.mul_f64(1.0 + self.rng.f64())
    }

    /// Notes a success, which halves the wait from which the next failures continue.
    pub(crate) fn succeeded(&mut self) {
        self.in_a_row = 0;
        self.previous /= 2;
    }

    /// Returns the number of failures since the last success.
    pub(crate) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }
}

/// Returns the wait that a response's `Retry-After` requests, capped at one hour.
///
/// A date is compared with the response's own `Date`, so that only the server's clock counts.
/// Returns `None` if the header is missing or malformed.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        until.duration_since(date(headers)?).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

/// Returns the time at which a server sent a response, by its own clock.
pub(crate) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(RetryPolicy::default(), fastrand::Rng::with_seed(1))
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[track_caller]
    fn assert_retry_after(pairs: &[(&'static str, &str)], seconds: Option<u64>) {
        assert_eq!(
            retry_after(&headers(pairs)),
            seconds.map(Duration::from_secs)
        );
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_capped_at_an_hour() {
        assert_retry_after(&[("Retry-After", "7")], Some(7));
        assert_retry_after(&[("retry-after", " 0 ")], Some(0));
        assert_retry_after(&[("retry-after", "86400")], Some(3_600));
        assert_retry_after(&[("retry-after", "99999999999999999999999")], Some(3_600));
        for nonsense in ["", "-5", "1.5", "soon", "7 s"] {
            assert_retry_after(&[("retry-after", nonsense)], None);
        }
    }

    #[test]
    fn retry_after_date_is_compared_with_the_response_date() {
        let date = ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT");
        assert_retry_after(&[date, ("date", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(30));
        assert_retry_after(&[date, ("date", "Wed, 21 Oct 2015 09:00:00 GMT")], Some(0));
        assert_retry_after(&[date], None);
    }

    #[test]
    fn waits_grow_with_each_failure_up_to_the_longest() {
        let mut backoff = backoff();
        let policy = backoff.policy;
        let first = backoff.after_failure(None);
        assert!(policy.first / 10 <= first && first <= policy.first / 2);
        let mut waits = Vec::new();
        for _ in 0..100 {
            let wait = backoff.after_failure(None);
            assert!(policy.first <= wait && wait <= policy.longest);
            waits.push(wait);
        }
        assert!(waits[0] <= policy.first * 3);
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(30)));
    }

    #[test]
    fn success_halves_the_waits() {
        let mut backoff = backoff();
        backoff.in_a_row = 20;
        backoff.previous = backoff.policy.longest;
        for most in [30, 15] {
            backoff.succeeded();
            let wait = backoff.after_failure(None);
            assert!(wait <= backoff.policy.first / 2);
            assert_eq!(backoff.previous, Duration::from_secs(most));
        }
    }

    #[test]
    fn wait_is_at_least_what_the_server_requested() {
        let mut backoff = backoff();
        let requested = Duration::from_secs(30);
        for _ in 0..2 {
            assert_eq!(backoff.after_failure(Some(requested)), requested);
        }
    }
}
