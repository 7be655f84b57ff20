//! The limit of events on a page, which adapts to pages that fail.
//!
//! If a page cannot be read, is too large or does not arrive in time, it is fetched again with half
//! as many events, down to one. Full pages that arrive intact let the limit grow back. This module
//! also decides when a single unreadable event stops the stream. The type to start from is
//! [`PageLimit`].

use std::time::{Duration, Instant};

/// The number of good pages before a larger limit is tried. The events around one that made a page
/// too large are likely to be large too.
const GOOD_UNTIL_DOUBLED: u32 = 8;

/// The maximum number of good pages before a larger limit is tried, if larger pages have failed
/// repeatedly. If the network never lets them through, each failed try costs the API timeout.
const MOST_GOOD_UNTIL_DOUBLED: u32 = 512;

/// The time after which a limit that was too large for the network is tried again without a
/// backlog: one day. A failed try may cost a few API timeouts, and delays the events that wait for
/// it.
const SLOW_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A page of one event counts as unreadable after this much time and this many tries. A proxy that
/// garbles pages is likely to recover within an hour.
const UNREADABLE_FOR: Duration = Duration::from_secs(3_600);
const UNREADABLE_TRIES: u32 = 10;

/// The limit of events on a page, and the state that it is learned from.
#[derive(Debug)]
pub(super) struct PageLimit {
    /// The limit in the settings, which is also the largest one.
    configured: u32,
    /// The limit of the next page.
    current: u32,
    /// Full pages of the current limit that arrived intact, since it last changed.
    good: u32,
    /// The number of them that is needed before a larger limit is tried. It doubles with each
    /// failed try.
    needed: u32,
    /// `true` if the current limit was reached by growing.
    grown: bool,
    /// The number of pages in a row that failed.
    failed: u32,
    /// The time of the last page that was late or cut off.
    slow_at: Option<Instant>,
    /// The first failure to read one event alone, and the number of tries since.
    unreadable: Option<(Instant, u32)>,
}

impl PageLimit {
    pub(super) fn new(configured: u32) -> Self {
        Self {
            configured,
            current: configured,
            good: 0,
            needed: GOOD_UNTIL_DOUBLED,
            grown: false,
            failed: 0,
            slow_at: None,
            unreadable: None,
        }
    }

    pub(super) fn current(&self) -> u32 {
        self.current
    }

    /// Returns `true` if a page with this many events counts as a part of a backlog. It has at
    /// least half of the configured limit, or reaches the current limit.
    pub(super) fn is_large(&self, events: usize) -> bool {
        self.is_full(events) || events * 2 >= self.configured as usize
    }

    /// Returns `true` if a page with this many events may have more events after it.
    pub(super) fn is_full(&self, events: usize) -> bool {
        events >= self.current as usize
    }

    /// Notes that a page with this many events arrived intact. The limit grows only on full pages,
    /// because without a backlog larger pages are of no use.
    pub(super) fn page_came(&mut self, events: usize) {
        self.failed = 0;
        self.unreadable = None;
        self.good += u32::from(self.is_full(events));
        if self.good >= self.needed && self.current < self.configured {
            self.current = (self.current * 2).min(self.configured);
            self.good = 0;
            self.grown = true;
        }
    }

    /// Notes that a page failed. The first failure at the configured limit is retried with the same
    /// limit, because such a failure often passes.
    pub(super) fn page_failed(&mut self) {
        self.failed += 1;
        if self.failed >= 2 || self.current < self.configured {
            self.halve();
        }
    }

    /// Notes that a page was late or cut off.
    pub(super) fn page_was_slow(&mut self, now: Instant) {
        self.page_failed();
        if self.current < self.configured {
            self.slow_at = Some(now);
        }
    }

    /// Notes that a complete page cannot be read. Returns `true` if its only event is unreadable.
    pub(super) fn is_unreadable(&mut self, now: Instant) -> bool {
        if self.current > 1 {
            return false;
        }
        let (since, tries) = self.unreadable.get_or_insert((now, 0));
        *tries += 1;
        *tries >= UNREADABLE_TRIES && now.saturating_duration_since(*since) >= UNREADABLE_FOR
    }

    /// Ends a backlog. The next one begins with full pages, unless the network is too slow for
    /// them.
    pub(super) fn backlog_ends(&mut self, now: Instant) {
        let is_slow = self
            .slow_at
            .is_some_and(|at| now.saturating_duration_since(at) < SLOW_FOR);
        if !is_slow {
            *self = Self::new(self.configured);
        }
    }

    /// Halves the limit, because a page is larger than the client accepts, or because a smaller
    /// page may succeed.
    pub(super) fn halve(&mut self) {
        if self.grown {
            self.needed = (self.needed * 2).min(MOST_GOOD_UNTIL_DOUBLED);
        }
        self.grown = false;
        self.current = (self.current / 2).max(1);
        self.good = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[track_caller]
    fn pages_until_doubled(limit: &mut PageLimit) -> u32 {
        let before = limit.current();
        (1..10_000)
            .find(|_| {
                limit.page_came(before as usize);
                limit.current() > before
            })
            .expect("it grows")
    }

    #[test]
    fn limit_that_fails_repeatedly_is_retried_less_often() {
        let mut limit = PageLimit::new(500);
        limit.halve();
        for needed in [8, 16, 32, 64, 128, 256, 512, 512] {
            assert_eq!(pages_until_doubled(&mut limit), needed);
            assert_eq!(limit.current(), 500);
            limit.halve();
            assert_eq!(limit.current(), 250);
        }
        limit.backlog_ends(Moment::read_clocks().monotonic);
        limit.halve();
        assert_eq!(pages_until_doubled(&mut limit), 8);
    }

    #[test]
    fn limit_does_not_grow_when_pages_are_not_full() {
        let mut limit = PageLimit::new(500);
        limit.halve();
        for _ in 0..1_000 {
            limit.page_came(249);
        }
        assert_eq!(limit.current(), 250);
    }

    #[test]
    fn limit_of_slow_network_is_kept_for_a_day() {
        let start = Moment::read_clocks().monotonic;
        let mut limit = PageLimit::new(500);
        limit.page_was_slow(start);
        limit.backlog_ends(start);
        assert_eq!(limit.current(), 500);
        for _ in 0..2 {
            limit.page_was_slow(start);
        }
        limit.backlog_ends(start + Duration::from_secs(86_399));
        assert_eq!(limit.current(), 250);
        limit.backlog_ends(start + Duration::from_secs(86_400));
        assert_eq!(limit.current(), 500);
    }

    #[test]
    fn halvings_in_a_row_do_not_slow_the_growth() {
        let mut limit = PageLimit::new(500);
        for _ in 0..4 {
            limit.halve();
        }
        for size in [62, 124, 248, 496, 500] {
            assert_eq!(pages_until_doubled(&mut limit), 8);
            assert_eq!(limit.current(), size);
        }
    }

    #[test]
    fn full_pages_do_not_slow_the_growth_after_a_halving() {
        let mut limit = PageLimit::new(500);
        for _ in 0..100 {
            limit.page_came(500);
        }
        limit.halve();
        assert_eq!(pages_until_doubled(&mut limit), 8);
    }

    #[test]
    fn reduced_limit_is_halved_when_one_page_fails() {
        let mut limit = PageLimit::new(500);
        limit.page_failed();
        assert_eq!(limit.current(), 500);
        limit.page_failed();
        assert_eq!(limit.current(), 250);
        limit.page_came(250);
        limit.page_failed();
        assert_eq!(limit.current(), 125);
    }

    #[test]
    fn event_is_unreadable_after_an_hour_and_ten_tries() {
        let start = Moment::read_clocks().monotonic;
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut limit = PageLimit::new(1);
        for _ in 0..100 {
            assert!(!limit.is_unreadable(after(3_599)));
        }
        let mut limit = PageLimit::new(1);
        assert!(!limit.is_unreadable(start));
        for _ in 0..8 {
            assert!(!limit.is_unreadable(after(3_600)));
        }
        assert!(limit.is_unreadable(after(3_600)));
        limit.page_came(1);
        assert!(!limit.is_unreadable(after(7_200)));
    }
}
