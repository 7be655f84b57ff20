//! How long to wait after a failure.

use std::time::{Duration, Instant};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::config::require;
use crate::error::Error;

/// The longest that a server's `Retry-After` is obeyed: more is a mistake, and would silence a stream for a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// How long a stream waits between failures: decorrelated jitter, so that streams that failed together don't come back
/// together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RetryPolicy {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
    pub(crate) healthy_after: Duration,
    pub(crate) degraded_interval: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
            healthy_after: Duration::from_secs(120),
            degraded_interval: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// The shortest wait, and the base of the first. Longer than nothing; default: 0.5 s.
    pub fn first(mut self, wait: Duration) -> Self {
        self.first = wait;
        self
    }

    /// The longest wait, unless the server asks for more. From the shortest to an hour; default: 60 s.
    pub fn longest(mut self, wait: Duration) -> Self {
        self.longest = wait;
        self
    }

    /// After this long without a failure the waits start from the first again. Longer than nothing; default: 120 s.
    pub fn healthy_after(mut self, health: Duration) -> Self {
        self.healthy_after = health;
        self
    }

    /// Where no realtime server can be used, events are fetched at this interval, or up to twice as long. At most an hour;
    /// default: 30 s, so 30 to 60 s.
    pub fn degraded_interval(mut self, interval: Duration) -> Self {
        self.degraded_interval = interval;
        self
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        let in_order = !self.first.is_zero() && self.first <= self.longest;
        require(
            in_order && self.longest <= MAX_RETRY_AFTER && !self.healthy_after.is_zero(),
            "the waits between failures must be longer than zero and at most an hour, the first no longer than the longest",
        )?;
        require(
            !self.degraded_interval.is_zero() && self.degraded_interval <= MAX_RETRY_AFTER,
            "the degraded interval must be longer than zero and at most an hour",
        )
    }

    /// The jittered wait where no realtime server can be used.
    pub(crate) fn degraded_wait(&self, rng: &mut fastrand::Rng) -> Duration {
        self.degraded_interval.mul_f64(1.0 + rng.f64())
    }
}

/// The waits of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    previous: Option<Duration>,
    waited_until: Option<Instant>,
}

impl Backoff {
    /// The wait after a failure at `now`: at least `at_least`, which is what the server asked for.
    pub(crate) fn after_failure(
        &mut self,
        policy: &RetryPolicy,
        at_least: Duration,
        rng: &mut fastrand::Rng,
        now: Instant,
    ) -> Duration {
        if self
            .waited_until
            .is_some_and(|end| now.saturating_duration_since(end) >= policy.healthy_after)
        {
            self.previous = None;
        }
        let bound = (self.previous.unwrap_or(policy.first) * 3).min(policy.longest);
        let jittered = policy.first + bound.saturating_sub(policy.first).mul_f64(rng.f64());
        self.previous = Some(jittered);
        let wait = jittered.max(at_least);
        self.waited_until = now.checked_add(wait);
        wait
    }
}

/// What an answer's `Retry-After` asks for, capped at an hour.
///
/// Its date is measured against the answer's own `Date`, so that no clock but the server's counts. `None` where there is
/// none, or nonsense.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        let sent = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?.trim()).ok()?;
        until.duration_since(sent).unwrap_or_default()
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_retry_after_date_is_measured_against_the_answers_own_date() {
        let date = ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT");
        assert_retry_after(&[date, ("date", "Wed, 21 Oct 2015 07:28:00 GMT")], Some(30));
        assert_retry_after(&[date, ("date", "Wed, 21 Oct 2015 09:00:00 GMT")], Some(0));
        assert_retry_after(&[date], None);
    }

    #[test]
    fn waits_grow_with_jitter_up_to_the_longest_and_start_anew_after_health() {
        let policy = RetryPolicy::default();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::default();
        let mut now = crate::Moment::read_clocks().monotonic;
        let mut waits = Vec::new();
        for _ in 0..100 {
            let wait = backoff.after_failure(&policy, Duration::ZERO, &mut rng, now);
            assert!(policy.first <= wait && wait <= policy.longest);
            waits.push(wait);
            now += wait;
        }
        assert!(waits[0] <= policy.first * 3);
        assert!(waits.iter().any(|wait| *wait > Duration::from_secs(30)));
        now += policy.healthy_after;
        let wait = backoff.after_failure(&policy, Duration::ZERO, &mut rng, now);
        assert!(wait <= policy.first * 3);
    }

    #[test]
    fn the_servers_wish_is_the_least_wait() {
        let mut backoff = Backoff::default();
        let now = crate::Moment::read_clocks().monotonic;
        let asked = Duration::from_secs(30);
        let mut rng = fastrand::Rng::with_seed(1);
        let wait = backoff.after_failure(&RetryPolicy::default(), asked, &mut rng, now);
        assert_eq!(wait, asked);
    }
}
