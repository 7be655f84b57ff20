//! A token bucket.

use std::mem;
use std::time::{Duration, Instant};

/// A bucket of tokens, one for a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Bucket {
    size: f64,
    refill_per_second: f64,
    level: f64,
    filled_at: Instant,
    /// How much higher the level would be without the request that may be given back: less than one once the bucket has
    /// been as good as full.
    returnable: f64,
}

impl Bucket {
    pub(crate) fn full(size: f64, per_minute: f64, now: Instant) -> Self {
        Self {
            size,
            refill_per_second: per_minute / 60.0,
            level: size,
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
        let missing = ((1.0 - self.level) / self.refill_per_second).max(0.0);
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

    /// Whether nothing is owed.
    pub(super) fn has_credit(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.level >= 0.0
    }

    /// Pays for a request that is not made to wait: the next one waits for it.
    pub(crate) fn pay_on_credit(&mut self, now: Instant) {
        self.fill(now);
        self.level -= 1.0;
    }

    /// Gives back what was paid for the last request.
    pub(super) fn refund(&mut self) {
        self.raise(1.0);
    }

    /// The last request may be given back when others have been paid for.
    pub(super) fn keep_returnable(&mut self) {
        self.returnable = 1.0;
    }

    /// Gives back what was paid for the request that was kept returnable.
    pub(super) fn give_back(&mut self) {
        let amount = mem::take(&mut self.returnable);
        self.raise(amount);
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.filled_at = self.filled_at.max(now);
        self.raise(elapsed.as_secs_f64() * self.refill_per_second);
    }

    fn raise(&mut self, by: f64) {
        self.level = (self.level + by).min(self.size);
        self.returnable = self.returnable.min(self.size - self.level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_bucket_has_filled_up_again_is_not_given_back_as_well() {
        let now = crate::Moment::read_clocks().monotonic;
        let mut bucket = Bucket::full(3.0, 114.0, now);
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
        let mut bucket = Bucket::full(3.0, 114.0, now);
        while bucket.pay(now).is_ok() {}
        for _ in 0..1_000 {
            bucket.refund();
            assert_eq!(bucket.pay(now), Ok(()));
        }
    }
}
