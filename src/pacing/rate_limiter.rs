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

/// A request that may bring something new, and is refunded then. At most one of each is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A list of the realtime servers, which is never refunded.
    List,
    /// A poll.
    Listen,
    /// A page.
    Fetch,
}

/// The number of slots.
pub(super) const SLOTS: usize = 3;

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
    /// The time of the last request of each slot, until it is refunded.
    last: [Option<Instant>; SLOTS],
}

impl RateLimiter {
    /// Creates a limiter of at most `per_second` requests in any second, which is at least 2. The
    /// last of them is reserved for [`acquire_early`](Self::acquire_early).
    pub(crate) fn new(bucket: TokenBucket, per_second: u32) -> Self {
        Self {
            bucket,
            per_second: per_second as usize,
            recent: VecDeque::new(),
            last: [None; SLOTS],
        }
    }

    /// Takes the tokens with which the limiter begins. Requests before it have used them.
    pub(crate) fn without_burst(mut self, now: Instant) -> Self {
        self.bucket.empty_until(now);
        self
    }

    /// Acquires a token for a request. Returns `Err` with the time of the next try if there is no
    /// token.
    pub(crate) fn try_acquire(&mut self, slot: Slot, now: Instant) -> Result<(), Instant> {
        let room_at = self.room_at(now, self.per_second - 1);
        if room_at > now {
            return Err(room_at);
        }
        self.bucket.try_acquire(now)?;
        self.acquired(slot, now);
        Ok(())
    }

    /// Acquires a token on credit, so that the next request waits longer instead. If a token is
    /// owed already, or the second is full, this is [`try_acquire`](Self::try_acquire).
    pub(crate) fn acquire_early(&mut self, slot: Slot, now: Instant) -> Result<(), Instant> {
        if self.room_at(now, self.per_second) > now || !self.bucket.has_credit(now) {
            return self.try_acquire(slot, now);
        }
        self.bucket.acquire_early(now);
        self.acquired(slot, now);
        Ok(())
    }

    fn acquired(&mut self, slot: Slot, now: Instant) {
        self.bucket.mark_refundable(slot as usize);
        self.last[slot as usize] = Some(now);
        self.recent.push_back(now);
    }

    /// Notes that the last request of a slot was sent no later than `now`. It may have waited in
    /// the client's limiter since it acquired its token.
    pub(crate) fn was_sent_by(&mut self, slot: Slot, now: Instant) {
        if self.last[slot as usize].is_some() {
            self.take_recent(slot);
            self.recent.push_back(now);
            self.last[slot as usize] = Some(now);
        }
    }

    /// Refunds the last request of a slot, which brought something new. It is refunded once.
    pub(crate) fn refund(&mut self, slot: Slot) {
        self.bucket.refund_marked(slot as usize);
        self.take_recent(slot);
    }

    /// Removes the last request of a slot from the last second, if it is there.
    fn take_recent(&mut self, slot: Slot) {
        let place = self.last[slot as usize].take().and_then(|sent_at| {
            let mut recent = self.recent.iter();
            recent.position(|time| *time == sent_at)
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
    fn refund_is_of_the_slot_and_not_of_a_later_request() {
        let start = Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut rate_limiter = rate_limiter(start);
        let mut acquire = |slot, millis| rate_limiter.try_acquire(slot, after(millis));
        assert_eq!(acquire(Slot::Listen, 0), Ok(()));
        assert_eq!(acquire(Slot::Fetch, 100), Ok(()));
        assert_eq!(acquire(Slot::Fetch, 200), Ok(()));
        assert_eq!(acquire(Slot::Fetch, 300), Err(start + SECOND_AND_MARGIN));
        rate_limiter.refund(Slot::Listen);
        let first_over = Err(after(100) + SECOND_AND_MARGIN);
        assert_eq!(rate_limiter.try_acquire(Slot::Fetch, after(300)), Ok(()));
        assert_eq!(
            rate_limiter.try_acquire(Slot::Fetch, after(300)),
            first_over
        );
        // The poll is refunded once.
        rate_limiter.refund(Slot::Listen);
        assert_eq!(
            rate_limiter.try_acquire(Slot::Fetch, after(300)),
            first_over
        );
    }

    #[test]
    fn request_counts_from_its_sending_when_it_waited() {
        let start = Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut rate_limiter = rate_limiter(start);
        for number in 0..3 {
            assert_eq!(
                rate_limiter.try_acquire(Slot::Fetch, after(2_000 * number)),
                Ok(())
            );
            rate_limiter.was_sent_by(Slot::Fetch, after(2_000 * number + 1_900));
        }
        assert_eq!(rate_limiter.try_acquire(Slot::Fetch, after(5_900)), Ok(()));
        assert_eq!(rate_limiter.try_acquire(Slot::Fetch, after(6_000)), Ok(()));
        let first_over = after(5_900) + SECOND_AND_MARGIN;
        assert_eq!(
            rate_limiter.try_acquire(Slot::Fetch, after(6_100)),
            Err(first_over)
        );
    }

    #[test]
    fn request_that_waited_counts_when_another_was_sent_meanwhile() {
        let start = Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut rate_limiter = rate_limiter(start);
        assert_eq!(rate_limiter.try_acquire(Slot::Fetch, start), Ok(()));
        assert_eq!(rate_limiter.try_acquire(Slot::Listen, after(1_900)), Ok(()));
        rate_limiter.was_sent_by(Slot::Fetch, after(2_000));
        assert_eq!(rate_limiter.try_acquire(Slot::List, after(2_100)), Ok(()));
        let first_over = after(1_900) + SECOND_AND_MARGIN;
        assert_eq!(
            rate_limiter.try_acquire(Slot::List, after(2_200)),
            Err(first_over)
        );
    }

    #[test]
    fn last_request_of_a_second_is_reserved_for_credit() {
        let now = Moment::read_clocks().monotonic;
        let mut rate_limiter = rate_limiter(now);
        while rate_limiter.try_acquire(Slot::Fetch, now).is_ok() {}
        assert_eq!(rate_limiter.acquire_early(Slot::Fetch, now), Ok(()));
        assert!(rate_limiter.acquire_early(Slot::Fetch, now).is_err());
        assert!(rate_limiter.try_acquire(Slot::Fetch, now).is_err());
        let later = now + SECOND_AND_MARGIN;
        assert_eq!(rate_limiter.try_acquire(Slot::Fetch, later), Ok(()));
    }

    #[test]
    fn refund_lets_the_next_request_pass_at_once() {
        let now = Moment::read_clocks().monotonic;
        let mut rate_limiter = rate_limiter(now);
        while rate_limiter.try_acquire(Slot::Fetch, now).is_ok() {}
        for _ in 0..1_000 {
            rate_limiter.refund(Slot::Fetch);
            assert_eq!(rate_limiter.try_acquire(Slot::Fetch, now), Ok(()));
        }
    }
}
