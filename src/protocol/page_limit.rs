//! The limit of events on a page.
//!
//! A page that cannot be read, is too large or does not come in time is fetched again with half as many events, down to
//! one; full pages that come well let the size grow back. The type to start from is [`PageLimit`].

use std::time::{Duration, Instant};

/// So many pages that can be read come before a larger one is tried: what made one too large is likely to be in its
/// neighbors too.
const GOOD_UNTIL_DOUBLED: u32 = 8;

/// The most of these, if larger pages have failed again and again. On a link on which they never come, a failed try
/// costs the API timeout.
const MOST_GOOD_UNTIL_DOUBLED: u32 = 512;

/// A size that was too large for the network is tried again after so long, though there is no backlog that wants it: it may
/// cost a few API timeouts, and an event that waits for them.
const SLOW_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// A page of one event is given up as unreadable after this long and so many tries. A proxy that garbles pages passes by
/// then.
const UNREADABLE_FOR: Duration = Duration::from_secs(3_600);
const UNREADABLE_TRIES: u32 = 10;

/// The size of pages, and what it was learned from.
#[derive(Debug)]
pub(super) struct PageLimit {
    configured: u32,
    current: u32,
    /// Full pages of the current size that came well, in a row.
    good: u32,
    /// So many of them are needed before a larger size is tried.
    needed: u32,
    /// `true` if the current size was reached by growing.
    grown: bool,
    /// Pages that could not be read, in a row.
    failed: u32,
    /// When a page did not come in time, or not to its end.
    slow_at: Option<Instant>,
    /// Since when one event alone cannot be read, and how often that was tried.
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

    /// Returns `true` if a page with so many events is taken for a part of a backlog: it is half full, or full though its
    /// size was made smaller.
    pub(super) fn is_large(&self, events: usize) -> bool {
        self.is_full(events) || events * 2 >= self.configured as usize
    }

    /// Returns `true` if a page with so many events may have more of them behind it.
    pub(super) fn is_full(&self, events: usize) -> bool {
        events >= self.current as usize
    }

    /// A page came well, with so many events. Without a backlog there is no use for larger ones.
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

    /// A page cannot be read. The first time one of the configured size is fetched again as it was: such a failure often
    /// passes.
    pub(super) fn page_failed(&mut self) {
        self.failed += 1;
        if self.failed >= 2 || self.current < self.configured {
            self.halve();
        }
    }

    /// A page did not come in time, or not to its end.
    pub(super) fn page_was_slow(&mut self, now: Instant) {
        self.page_failed();
        if self.current < self.configured {
            self.slow_at = Some(now);
        }
    }

    /// Notes that a complete page cannot be read. Returns `true` if its one event is to be given up.
    pub(super) fn is_unreadable(&mut self, now: Instant) -> bool {
        if self.current > 1 {
            return false;
        }
        let (since, tries) = self.unreadable.get_or_insert((now, 0));
        *tries += 1;
        *tries >= UNREADABLE_TRIES && now.saturating_duration_since(*since) >= UNREADABLE_FOR
    }

    /// The backlog is over. The next one begins with full pages, unless the network is too slow for them.
    pub(super) fn backlog_ends(&mut self, now: Instant) {
        let is_slow = self
            .slow_at
            .is_some_and(|at| now.saturating_duration_since(at) < SLOW_FOR);
        if !is_slow {
            *self = Self::new(self.configured);
        }
    }

    /// Halves the size: a page is larger than any that is taken, or fewer events may come better.
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
    fn a_size_that_failed_again_is_tried_less_and_less_often() {
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
    fn pages_that_are_not_full_let_nothing_grow() {
        let mut limit = PageLimit::new(500);
        limit.halve();
        for _ in 0..1_000 {
            limit.page_came(249);
        }
        assert_eq!(limit.current(), 250);
    }

    #[test]
    fn a_slow_network_is_remembered_for_a_day() {
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
    fn sizes_that_fail_one_after_the_other_do_not_slow_the_growth() {
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
    fn good_pages_of_the_configured_size_do_not_slow_the_growth() {
        let mut limit = PageLimit::new(500);
        for _ in 0..100 {
            limit.page_came(500);
        }
        limit.halve();
        assert_eq!(pages_until_doubled(&mut limit), 8);
    }

    #[test]
    fn smaller_size_is_halved_when_one_page_fails() {
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
    fn one_event_is_given_up_after_an_hour_and_ten_tries() {
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
