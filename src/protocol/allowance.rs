//! What a stream may still ask for in vain.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::bucket::Bucket;

/// A second, and some more: the network may push requests together.
const SECOND_AND_MARGIN: Duration = Duration::from_millis(1_050);

/// A token bucket that keeps to a limit for every minute, and the last second's payments, which have a limit of their own.
#[derive(Debug)]
pub(crate) struct Allowance {
    bucket: Bucket,
    per_second: usize,
    /// When the requests of the last second were paid for, in order.
    recent: VecDeque<Instant>,
    /// When the request was paid for that may be given back.
    returnable: Option<Instant>,
}

impl Allowance {
    /// At most `per_second` requests in any second, which is two at least: the last of them goes on credit alone.
    pub(crate) fn new(bucket: Bucket, per_second: u32) -> Self {
        Self {
            bucket,
            per_second: per_second as usize,
            recent: VecDeque::new(),
            returnable: None,
        }
    }

    /// Pays for a request, or says when it can be paid.
    pub(super) fn pay(&mut self, now: Instant) -> Result<(), Instant> {
        let room_at = self.room_at(now, self.per_second - 1);
        if room_at > now {
            return Err(room_at);
        }
        self.bucket.pay(now)?;
        self.recent.push_back(now);
        Ok(())
    }

    /// Pays for a request with what the next one waits for then, unless something is owed or the second has too many.
    pub(super) fn pay_on_credit(&mut self, now: Instant) -> Result<(), Instant> {
        if self.room_at(now, self.per_second) > now || !self.bucket.has_credit(now) {
            return self.pay(now);
        }
        self.bucket.pay_on_credit(now);
        self.recent.push_back(now);
        Ok(())
    }

    /// Whether a request could be paid for now.
    pub(super) fn can_pay(&mut self, now: Instant) -> bool {
        self.room_at(now, self.per_second - 1) <= now && self.bucket.can_pay(now)
    }

    /// The last request may have waited for its turn since it was paid for. By now it has been sent.
    pub(super) fn was_sent_by(&mut self, now: Instant) {
        if let Some(last) = self.recent.back_mut() {
            *last = now.max(*last);
        }
    }

    /// Gives back what was paid for the last request, which brought something new.
    pub(super) fn refund(&mut self) {
        self.bucket.refund();
        self.recent.pop_back();
    }

    /// The last request may turn out to have been worth its while when others have been paid for.
    pub(super) fn keep_returnable(&mut self) {
        self.bucket.keep_returnable();
        self.returnable = self.recent.back().copied();
    }

    /// Gives back what was paid for the request that was kept returnable.
    pub(super) fn give_back(&mut self) {
        self.bucket.give_back();
        let place = self.returnable.take().and_then(|paid_at| {
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

    fn allowance(now: Instant) -> Allowance {
        Allowance::new(Bucket::full(1_000.0, 1_000.0, now), 4)
    }

    #[test]
    fn what_is_given_back_is_the_kept_one_and_not_a_later_one() {
        let start = crate::Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut allowance = allowance(start);
        assert_eq!(allowance.pay(start), Ok(()));
        allowance.keep_returnable();
        assert_eq!(allowance.pay(after(100)), Ok(()));
        assert_eq!(allowance.pay(after(200)), Ok(()));
        assert_eq!(allowance.pay(after(300)), Err(start + SECOND_AND_MARGIN));
        allowance.give_back();
        assert_eq!(allowance.pay(after(300)), Ok(()));
        assert_eq!(
            allowance.pay(after(300)),
            Err(after(100) + SECOND_AND_MARGIN)
        );
        // It is given back once.
        allowance.give_back();
        assert_eq!(
            allowance.pay(after(300)),
            Err(after(100) + SECOND_AND_MARGIN)
        );
    }

    #[test]
    fn a_request_that_waited_for_its_turn_counts_from_when_it_was_sent() {
        let start = crate::Moment::read_clocks().monotonic;
        let after = |millis| start + Duration::from_millis(millis);
        let mut allowance = allowance(start);
        for number in 0..3 {
            assert_eq!(allowance.pay(after(2_000 * number)), Ok(()));
            allowance.was_sent_by(after(2_000 * number + 1_900));
        }
        assert_eq!(allowance.pay(after(5_900)), Ok(()));
        assert_eq!(allowance.pay(after(6_000)), Ok(()));
        let first_over = after(5_900) + SECOND_AND_MARGIN;
        assert_eq!(allowance.pay(after(6_100)), Err(first_over));
    }

    #[test]
    fn the_last_request_of_a_second_is_kept_for_credit() {
        let now = crate::Moment::read_clocks().monotonic;
        let mut allowance = allowance(now);
        while allowance.pay(now).is_ok() {}
        assert_eq!(allowance.pay_on_credit(now), Ok(()));
        assert!(allowance.pay_on_credit(now).is_err());
        assert!(!allowance.can_pay(now));
        assert!(allowance.can_pay(now + SECOND_AND_MARGIN));
    }

    #[test]
    fn a_refund_lets_the_next_request_go_at_once() {
        let now = crate::Moment::read_clocks().monotonic;
        let mut allowance = allowance(now);
        while allowance.pay(now).is_ok() {}
        for _ in 0..1_000 {
            allowance.refund();
            assert_eq!(allowance.pay(now), Ok(()));
        }
    }
}
