//! A token bucket.

use std::mem;
use std::time::{Duration, Instant};

/// A bucket of tokens, one for a request.
#[derive(Debug, PartialEq)]
pub(crate) struct TokenBucket {
    size: f64,
    refill_per_second: f64,
    level: f64,
    filled_at: Instant,
    /// How much higher the level would be without the request that may be given back: less than one once the bucket has
    /// been as good as full.
    refundable: f64,
}

impl TokenBucket {
    pub(crate) fn full(size: f64, per_minute: f64, now: Instant) -> Self {
        Self {
            size,
            refill_per_second: per_minute / 60.0,
            level: size,
            filled_at: now,
            refundable: 0.0,
        }
    }

    /// Pays for a request, or says when it can be paid.
    pub(crate) fn try_acquire(&mut self, now: Instant) -> Result<(), Instant> {
        if self.can_acquire(now) {
            self.level -= 1.0;
            Ok(())
        } else {
            Err(self.available_at(now))
        }
    }

    /// When the next request can be paid for, if nothing is paid before.
    pub(crate) fn available_at(&self, now: Instant) -> Instant {
        // The millisecond keeps rounding from asking for the same wait again.
        let missing = ((1.0 - self.level) / self.refill_per_second).max(0.0);
        now + Duration::from_secs_f64(missing) + Duration::from_millis(1)
    }

    /// Whether a request could be paid for now.
    pub(crate) fn can_acquire(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 1.0
    }

    /// How many requests could be paid for now.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a part of one is none, and a debt is none"
    )]
    pub(crate) fn available(&mut self, now: Instant) -> usize {
        self.fill(now);
        self.level as usize
    }

    /// Whether nothing is owed.
    pub(crate) fn has_credit(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 0.0
    }

    /// Pays for a request that is not made to wait: the next one waits for it.
    pub(crate) fn acquire_early(&mut self, now: Instant) {
        self.fill(now);
        self.level -= 1.0;
    }

    /// Gives back what was paid for the last request.
    pub(crate) fn refund(&mut self) {
        self.raise(1.0);
    }

    /// The last request may be given back when others have been paid for.
    pub(crate) fn mark_refundable(&mut self) {
        self.refundable = 1.0;
    }

    /// Gives back what was paid for the request that was kept returnable.
    pub(crate) fn refund_marked(&mut self) {
        let amount = mem::take(&mut self.refundable);
        self.raise(amount);
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.raise(elapsed.as_secs_f64() * self.refill_per_second);
    }

    fn raise(&mut self, by: f64) {
        self.level = (self.level + by).min(self.size);
        self.refundable = self.refundable.min(self.size - self.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn what_the_bucket_has_filled_up_again_is_not_given_back_as_well() {
        let now = Moment::read_clocks().monotonic;
        let mut bucket = TokenBucket::full(3.0, 114.0, now);
        assert_eq!(bucket.try_acquire(now), Ok(()));
        bucket.mark_refundable();
        let later = now + Duration::from_secs(1);
        while bucket.try_acquire(later).is_ok() {}
        bucket.refund_marked();
        assert!(bucket.try_acquire(later).is_err());
        bucket.acquire_early(later);
        bucket.mark_refundable();
        bucket.refund_marked();
        bucket.refund();
        assert_eq!(bucket.try_acquire(later), Ok(()));
    }

    #[test]
    fn a_refund_lets_the_next_request_go_at_once() {
        let now = Moment::read_clocks().monotonic;
        let mut bucket = TokenBucket::full(3.0, 114.0, now);
        while bucket.try_acquire(now).is_ok() {}
        for _ in 0..1_000 {
            bucket.refund();
            assert_eq!(bucket.try_acquire(now), Ok(()));
        }
    }
}
