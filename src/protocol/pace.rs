//! How often a stream may ask in vain.

use std::mem;
use std::time::{Duration, Instant};

use crate::config::require;
use crate::error::Error;

/// How often a stream of a user's events may ask for something and get nothing new: a token bucket over all its requests,
/// to the API and to the realtime servers alike. An enterprise's events have [a limit of their
/// own](crate::AdminLogsStreaming::calls_per_minute).
///
/// Requests that bring an event for the first time are free, so catching up runs at wire speed; so is the poll that told
/// of it. What remains is one request in vain a change, the one that shows that there is no more. While an account changes
/// all the time, events therefore come in batches about twice a second; raise the pace to have them sooner.
///
/// The default allows at most 5 requests in a second and 120 in a minute: a bucket of 3, refilled 114 times a minute, plus
/// one on credit that may follow at once: after `new_change`, or where a page moved the position but had nothing new. The
/// 5 % below the round numbers are for requests that the network pushes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Pace {
    burst: u32,
    per_minute: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            burst: 3,
            per_minute: 114,
        }
    }
}

impl Pace {
    /// The size of the bucket: how many requests may follow each other at once. At least 1; default: 3.
    pub fn burst(mut self, requests: u32) -> Self {
        self.burst = requests;
        self
    }

    /// How many requests a minute may follow for ever. At least 1; default: 114.
    pub fn per_minute(mut self, requests: u32) -> Self {
        self.per_minute = requests;
        self
    }

    pub(crate) fn check(self) -> Result<(), Error> {
        require(
            self.burst >= 1 && self.per_minute >= 1,
            "the pace must allow at least one request",
        )
    }
}

/// A token bucket: that of one stream, or of the lists of servers that a client asks for.
#[derive(Debug)]
pub(crate) struct Bucket {
    size: f64,
    per_second: f64,
    level: f64,
    filled_at: Instant,
    /// How much higher the level would be without the request that may be given back: less than one once the bucket has
    /// been as good as full.
    returnable: f64,
}

impl Bucket {
    pub(crate) fn full(pace: Pace, now: Instant) -> Self {
        Self {
            size: f64::from(pace.burst),
            per_second: f64::from(pace.per_minute) / 60.0,
            level: f64::from(pace.burst),
            filled_at: now,
            returnable: 0.0,
        }
    }

    /// Pays for a request, or says when it can be paid.
    pub(crate) fn pay(&mut self, now: Instant) -> Result<(), Instant> {
        if self.can_pay(now) {
            self.level -= 1.0;
            Ok(())
        } else {
            Err(self.payable_at(now))
        }
    }

    /// When the next request can be paid for, if nothing is paid before.
    pub(crate) fn payable_at(&self, now: Instant) -> Instant {
        // The millisecond keeps rounding from asking for the same wait again.
        let missing = ((1.0 - self.level) / self.per_second).max(0.0);
        now + Duration::from_secs_f64(missing) + Duration::from_millis(1)
    }

    /// Whether a request could be paid for now.
    pub(crate) fn can_pay(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 1.0
    }

    /// How many requests could be paid for now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of one is none, and a debt is none"
    )]
    pub(crate) fn affords(&mut self, now: Instant) -> usize {
        self.fill(now);
        self.level as usize
    }

    /// Whether one request may go on credit.
    pub(crate) fn has_credit(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 0.0
    }

    /// Pays for a request that is not made to wait: the next one waits for it.
    pub(crate) fn pay_on_credit(&mut self, now: Instant) {
        self.fill(now);
        self.level -= 1.0;
    }

    /// Gives back what was paid for the last request, which brought something new.
    pub(crate) fn refund(&mut self) {
        self.raise(1.0);
    }

    /// The last request may turn out to have been worth its while when others have been paid for.
    pub(crate) fn keep_returnable(&mut self) {
        self.returnable = 1.0;
    }

    /// Gives back what was paid for the request that was kept returnable.
    pub(crate) fn give_back(&mut self) {
        let amount = mem::take(&mut self.returnable);
        self.raise(amount);
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.raise(elapsed.as_secs_f64() * self.per_second);
    }

    fn raise(&mut self, by: f64) {
        self.level = (self.level + by).min(self.size);
        self.returnable = self.returnable.min(self.size - self.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When requests go out that are made as early as the bucket permits, on credit where there is some.
    fn greedy(requests: usize) -> Vec<Instant> {
        let mut now = crate::Moment::read_clocks().monotonic;
        let mut bucket = Bucket::full(Pace::default(), now);
        let mut times = Vec::new();
        while times.len() < requests {
            match bucket.pay(now) {
                Ok(()) => times.push(now),
                Err(at) => {
                    now = at;
                    continue;
                }
            }
            if bucket.has_credit(now) {
                bucket.pay_on_credit(now);
                times.push(now);
            }
        }
        times
    }

    #[track_caller]
    fn assert_at_most(times: &[Instant], most: usize, window: Duration) {
        for (first, start) in times.iter().enumerate() {
            let within = times[first..]
                .iter()
                .take_while(|time| **time - *start <= window)
                .count();
            assert!(within <= most, "{within} requests in {window:?}");
        }
    }

    #[test]
    fn the_default_pace_holds_in_every_second_and_every_minute() {
        let times = greedy(1_000);
        assert_at_most(&times, 5, Duration::from_secs(1));
        assert_at_most(&times, 120, Duration::from_secs(60));
    }

    #[test]
    fn what_the_bucket_has_filled_up_again_is_not_given_back_as_well() {
        let now = crate::Moment::read_clocks().monotonic;
        let mut bucket = Bucket::full(Pace::default(), now);
        assert_eq!(bucket.pay(now), Ok(()));
        bucket.keep_returnable();
        let later = now + Duration::from_secs(1);
        while bucket.pay(later).is_ok() {}
        bucket.give_back();
        assert!(bucket.pay(later).is_err());
        bucket.pay_on_credit(later);
        bucket.keep_returnable();
        bucket.give_back();
        bucket.refund();
        assert_eq!(bucket.pay(later), Ok(()));
    }

    #[test]
    fn a_refund_lets_the_next_request_go_at_once() {
        let now = crate::Moment::read_clocks().monotonic;
        let mut bucket = Bucket::full(Pace::default(), now);
        while bucket.pay(now).is_ok() {}
        for _ in 0..1_000 {
            bucket.refund();
            assert_eq!(bucket.pay(now), Ok(()));
        }
    }
}
