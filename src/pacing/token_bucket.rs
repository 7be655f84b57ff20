//! A token bucket, with credit and with refunds.
//!
//! One token stands for one request. Time is an argument, so a test can move it. The bucket says
//! when the next token is available, and never waits itself. The type to start from is
//! [`TokenBucket`].

use std::mem;
use std::time::{Duration, Instant};

use super::rate_limiter::SLOTS;

/// A bucket of tokens, one for each request.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenBucket {
    /// The capacity, in tokens.
    size: f64,
    /// The refill, in tokens per second.
    refill_per_second: f64,
    /// The tokens in the bucket. Below zero, they are owed.
    level: f64,
    /// The time of the last refill.
    filled_at: Instant,
    /// For each slot, the number of tokens by which the level would be higher without the slot's
    /// last request. It is less than one if the bucket has been nearly full since.
    refundable: [f64; SLOTS],
}

impl TokenBucket {
    /// Creates a full bucket of `size` tokens, refilled with `per_minute` tokens a minute.
    pub(crate) fn full(size: f64, per_minute: f64, now: Instant) -> Self {
        Self {
            size,
            refill_per_second: per_minute / 60.0,
            level: size,
            filled_at: now,
            refundable: [0.0; SLOTS],
        }
    }

    /// Takes a token. Returns `Err` with the time of the next try if there is no token.
    pub(crate) fn try_acquire(&mut self, now: Instant) -> Result<(), Instant> {
        if self.can_acquire(now) {
            self.level -= 1.0;
            Ok(())
        } else {
            Err(self.available_at(now))
        }
    }

    /// Takes all tokens, and gives none before `at`.
    pub(crate) fn empty_until(&mut self, at: Instant) {
        if at >= self.filled_at {
            self.level = self.level.min(0.0);
            self.filled_at = at;
        }
    }

    /// Returns the time of the next token, if nobody takes one before.
    pub(crate) fn available_at(&self, now: Instant) -> Instant {
        // The millisecond makes up for rounding, which would cause the same wait again.
        let missing = ((1.0 - self.level) / self.refill_per_second).max(0.0);
        now.max(self.filled_at) + Duration::from_secs_f64(missing) + Duration::from_millis(1)
    }

    /// Returns `true` if a token is available now.
    pub(crate) fn can_acquire(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 1.0
    }

    /// Returns the number of tokens that are available now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of a token is none, and a debt is none"
    )]
    pub(crate) fn available(&mut self, now: Instant) -> usize {
        self.fill(now);
        self.level as usize
    }

    /// Returns `true` if no token is owed.
    pub(crate) fn has_credit(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 0.0
    }

    /// Takes a token on credit if there is none. The next request waits longer instead.
    pub(crate) fn acquire_early(&mut self, now: Instant) {
        self.fill(now);
        self.level -= 1.0;
    }

    /// Puts the last token back.
    pub(crate) fn refund(&mut self) {
        self.raise(1.0);
    }

    /// Marks the token that was taken last as refundable in a slot. It stays refundable after
    /// others are taken.
    pub(super) fn mark_refundable(&mut self, slot: usize) {
        self.refundable[slot] = 1.0;
    }

    /// Puts the token of a slot back, as far as the bucket has room that the refill did not use.
    pub(super) fn refund_marked(&mut self, slot: usize) {
        let amount = mem::take(&mut self.refundable[slot]);
        self.raise(amount);
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.raise(elapsed.as_secs_f64() * self.refill_per_second);
    }

    fn raise(&mut self, by: f64) {
        self.level = (self.level + by).min(self.size);
        let room = self.size - self.level;
        for refundable in &mut self.refundable {
            *refundable = refundable.min(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn refund_is_lost_when_the_bucket_was_full_meanwhile() {
        let now = Moment::read_clocks().monotonic;
        let mut bucket = TokenBucket::full(3.0, 114.0, now);
        assert_eq!(bucket.try_acquire(now), Ok(()));
        bucket.mark_refundable(0);
        let later = now + Duration::from_secs(1);
        while bucket.try_acquire(later).is_ok() {}
        bucket.refund_marked(0);
        assert!(bucket.try_acquire(later).is_err());
        bucket.acquire_early(later);
        bucket.mark_refundable(0);
        bucket.refund_marked(0);
        bucket.refund();
        assert_eq!(bucket.try_acquire(later), Ok(()));
    }

    #[test]
    fn refund_lets_the_next_request_pass_at_once() {
        let now = Moment::read_clocks().monotonic;
        let mut bucket = TokenBucket::full(3.0, 114.0, now);
        while bucket.try_acquire(now).is_ok() {}
        for _ in 0..1_000 {
            bucket.refund();
            assert_eq!(bucket.try_acquire(now), Ok(()));
        }
    }
}
