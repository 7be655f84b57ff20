//! The rate limiter of one stream, for requests that bring nothing new.
//!
//! A token bucket keeps the limit of every minute, and a sliding window the limit of every second.
//! A request that brought something new is refunded. The limiter says when a request may be sent,
//! and never waits itself. The type to start from is [`RateLimiter`].

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::token_bucket::TokenBucket;

/// The length of the sliding window: one second and 5 %. The network may delay one request and not
/// the next, so that they arrive closer together than they were sent.
const SECOND_AND_MARGIN: Duration = Duration::from_millis(1_050);

/// A rate limiter with a token bucket for the limit of every minute, and a sliding window over the
/// last second with a limit of its own.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    /// The tokens of the current minute.
    bucket: TokenBucket,
    /// The most requests in any second.
    per_second: usize,
    /// The times of the requests in the last second, in order.
    recent: VecDeque<Instant>,
    /// The time of the request that is marked as refundable.
    refundable: Option<Instant>,
}

impl RateLimiter {
    /// Creates a limiter of at most `per_second` requests in any second, which is at least 2. The
    /// last of them is reserved for [`acquire_early`](Self::acquire_early).
    pub(crate) fn new(bucket: TokenBucket, per_second: u32) -> Self {
        Self {
            bucket,
            per_second: per_second as usize,
            recent: VecDeque::new(),
            refundable: None,
        }
    }

    /// Acquires a token for a request. Returns `Err` with the time of the next try if there is no
    /// token.
    pub(crate) fn try_acquire(&mut self, now: Instant) -> Result<(), Instant> {
        let room_at = self.room_at(now, self.per_second - 1);
        if room_at > now {
            return Err(room_at);
        }
        self.bucket.try_acquire(now)?;
        self.recent.push_back(now);
        Ok(())
    }

    /// Acquires a token on credit, so that the next request waits longer instead. If a token is
    /// owed already, or the second is full, this is [`try_acquire`](Self::try_acquire).
    pub(crate) fn acquire_early(&mut self, now: Instant) -> Result<(), Instant> {
        if self.room_at(now, self.per_second) > now || !self.bucket.has_credit(now) {
            return self.try_acquire(now);
        }
        self.bucket.acquire_early(now);
        self.recent.push_back(now);
        Ok(())
    }

    /// Returns `true` if a request could be sent now.
    pub(crate) fn can_acquire(&mut self, now: Instant) -> bool {
        self.room_at(now, self.per_second - 1) <= now && self.bucket.can_acquire(now)
    }

    /// Notes that the last request was sent no later than `now`. It may have waited in the client's
    /// limiter since it acquired its token.
    pub(crate) fn was_sent_by(&mut self, now: Instant) {
        if let Some(last) = self.recent.back_mut() {
            *last = now.max(*last);
        }
    }

    /// Refunds the last request, which brought something new.
    pub(crate) fn refund(&mut self) {
        self.bucket.refund();
        self.recent.pop_back();
    }

    /// Marks the last request as refundable: it may bring something new after others have acquired
    /// tokens.
    pub(crate) fn mark_refundable(&mut self) {
        self.bucket.mark_refundable();
        self.refundable = self.recent.back().copied();
    }

    /// Refunds the request that was marked as refundable.
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

    /// Returns the time at which the last second has fewer than `places` requests.
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
    fn refund_is_of_the_marked_request_and_not_a_later_one() {
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
        // The marked request is refunded once.
        rate_limiter.refund_marked();
        assert_eq!(
            rate_limiter.try_acquire(after(300)),
            Err(after(100) + SECOND_AND_MARGIN)
        );
    }

    #[test]
    fn request_counts_from_its_sending_when_it_waited() {
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
    fn last_request_of_a_second_is_reserved_for_credit() {
        let now = Moment::read_clocks().monotonic;
        let mut rate_limiter = rate_limiter(now);
        while rate_limiter.try_acquire(now).is_ok() {}
        assert_eq!(rate_limiter.acquire_early(now), Ok(()));
        assert!(rate_limiter.acquire_early(now).is_err());
        assert!(!rate_limiter.can_acquire(now));
        assert!(rate_limiter.can_acquire(now + SECOND_AND_MARGIN));
    }

    #[test]
    fn refund_lets_the_next_request_pass_at_once() {
        let now = Moment::read_clocks().monotonic;
        let mut rate_limiter = rate_limiter(now);
        while rate_limiter.try_acquire(now).is_ok() {}
        for _ in 0..1_000 {
            rate_limiter.refund();
            assert_eq!(rate_limiter.try_acquire(now), Ok(()));
        }
    }
}
