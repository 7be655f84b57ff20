//! What a stream may still ask for in vain.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::token_bucket::TokenBucket;

/// A second, and some more: the network may push requests together.
const SECOND_AND_MARGIN: Duration = Duration::from_millis(1_050);

/// A token bucket that keeps to a limit for every minute, and the last second's payments, which have a limit of their own.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    bucket: TokenBucket,
    per_second: usize,
    /// When the requests of the last second were paid for, in order.
    recent: VecDeque<Instant>,
    /// When the request was paid for that may be given back.
    refundable: Option<Instant>,
}

impl RateLimiter {
    /// At most `per_second` requests in any second, which is two at least: the last of them goes on credit alone.
    pub(crate) fn new(bucket: TokenBucket, per_second: u32) -> Self {
        Self {
            bucket,
            per_second: per_second as usize,
            recent: VecDeque::new(),
            refundable: None,
        }
    }

    /// Pays for a request, or says when it can be paid.
    pub(crate) fn try_acquire(&mut self, now: Instant) -> Result<(), Instant> {
        let room_at = self.room_at(now, self.per_second - 1);
        if room_at > now {
            return Err(room_at);
        }
        self.bucket.try_acquire(now)?;
        self.recent.push_back(now);
        Ok(())
    }

    /// Pays for a request with what the next one waits for then, unless something is owed or the second has too many.
    pub(crate) fn acquire_early(&mut self, now: Instant) -> Result<(), Instant> {
        if self.room_at(now, self.per_second) > now || !self.bucket.has_credit(now) {
            return self.try_acquire(now);
        }
        self.bucket.acquire_early(now);
        self.recent.push_back(now);
        Ok(())
    }

    /// Whether a request could be paid for now.
    pub(crate) fn can_acquire(&mut self, now: Instant) -> bool {
        self.room_at(now, self.per_second - 1) <= now && self.bucket.can_acquire(now)
    }

    /// The last request may have waited for its turn since it was paid for. By now it has been sent.
    pub(crate) fn was_sent_by(&mut self, now: Instant) {
        if let Some(last) = self.recent.back_mut() {
            *last = now.max(*last);
        }
    }

    /// Gives back what was paid for the last request, which brought something new.
    pub(crate) fn refund(&mut self) {
        self.bucket.refund();
        self.recent.pop_back();
    }

    /// The last request may turn out to have been worth its while when others have been paid for.
    pub(crate) fn mark_refundable(&mut self) {
        self.bucket.mark_refundable();
        self.refundable = self.recent.back().copied();
    }

    /// Gives back what was paid for the request that was kept returnable.
    pub(crate) fn refund_marked(&mut self) {
        self.bucket.refund_marked();
        let place = self.refundable.take().and_then(|paid_at| {
            let mut recent = self.recent.iter();
            recent.position(|time| *time == paid_at)
        });
        if let Some(place) = place {
            self.recent.remove(place);
        }
    }

    /// When the last second has fewer requests than that.
    fn room_at(&mut self, now: Instant, places: usize) -> Instant {
        let is_over = |paid_at: &Instant| *paid_at + SECOND_AND_MARGIN <= now;
        while self.recent.front().is_some_and(is_over) {
            self.recent.pop_front();
        }
        let first_too_many = self.recent.len().checked_sub(places);
        first_too_many.map_or(now, |first| self.recent[first] + SECOND_AND_MARGIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    fn rate_limiter(now: Instant) -> RateLimiter {
        RateLimiter::new(TokenBucket::full(1_000.0, 1_000.0, now), 4)
    }

    #[test]
    fn what_is_given_back_is_the_kept_one_and_not_a_later_one() {
        let start = Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut rate_limiter = rate_limiter(start);
        assert_eq!(rate_limiter.try_acquire(start), Ok(()));
        rate_limiter.mark_refundable();
        assert_eq!(rate_limiter.try_acquire(after(100)), Ok(()));
        assert_eq!(rate_limiter.try_acquire(after(200)), Ok(()));
        assert_eq!(
            rate_limiter.try_acquire(after(300)),
            Err(start + SECOND_AND_MARGIN)
        );
        rate_limiter.refund_marked();
        assert_eq!(rate_limiter.try_acquire(after(300)), Ok(()));
        assert_eq!(
            rate_limiter.try_acquire(after(300)),
            Err(after(100) + SECOND_AND_MARGIN)
        );
        // It is given back once.
        rate_limiter.refund_marked();
        assert_eq!(
            rate_limiter.try_acquire(after(300)),
            Err(after(100) + SECOND_AND_MARGIN)
        );
    }

    #[test]
    fn a_request_that_waited_for_its_turn_counts_from_when_it_was_sent() {
        let start = Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut rate_limiter = rate_limiter(start);
        for number in 0..3 {
            assert_eq!(rate_limiter.try_acquire(after(2_000 * number)), Ok(()));
            rate_limiter.was_sent_by(after(2_000 * number + 1_900));
        }
        assert_eq!(rate_limiter.try_acquire(after(5_900)), Ok(()));
        assert_eq!(rate_limiter.try_acquire(after(6_000)), Ok(()));
        let first_over = after(5_900) + SECOND_AND_MARGIN;
        assert_eq!(rate_limiter.try_acquire(after(6_100)), Err(first_over));
    }

    #[test]
    fn the_last_request_of_a_second_is_kept_for_credit() {
        let now = Moment::read_clocks().monotonic;
        let mut rate_limiter = rate_limiter(now);
        while rate_limiter.try_acquire(now).is_ok() {}
        assert_eq!(rate_limiter.acquire_early(now), Ok(()));
        assert!(rate_limiter.acquire_early(now).is_err());
        assert!(!rate_limiter.can_acquire(now));
        assert!(rate_limiter.can_acquire(now + SECOND_AND_MARGIN));
    }

    #[test]
    fn a_refund_lets_the_next_request_go_at_once() {
        let now = Moment::read_clocks().monotonic;
        let mut rate_limiter = rate_limiter(now);
        while rate_limiter.try_acquire(now).is_ok() {}
        for _ in 0..1_000 {
            rate_limiter.refund();
            assert_eq!(rate_limiter.try_acquire(now), Ok(()));
        }
    }
}
