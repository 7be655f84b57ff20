//! The plan of a history: how it is cut into slices.
//!
//! A slice is a range of time that is read as a query of its own. The plan cuts one slice after
//! another from the front of the history, each for about as many pages as the events seen so far
//! suggest. It reads nothing itself. The type to start from is [`Plan`].

use std::collections::VecDeque;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

/// The number of pages that a slice should have. Each slice costs about one call more than it has
/// full pages, and its pages wait in memory for those of the slices before it.
const PAGES: f64 = 36.0;

/// The last slices may be this many times shorter than others.
const SHORTEST: i32 = 6;

/// The length of the first slice: one hour. Nothing is known yet, and until its first page has
/// come, no other slice is read.
const FIRST: SignedDuration = SignedDuration::from_hours(1);

/// A slice may be this many times as long as the longest one that was read. The events of a short
/// time say little about a long one.
const GROWTH: i32 = 8;

/// The number of observations that count.
const OBSERVATIONS: usize = 8;

/// The shortest slice. Box takes times in seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Cuts a history into slices.
#[derive(Debug)]
pub(super) struct Plan {
    /// The start of the next slice, in full seconds.
    next: Timestamp,
    /// The most events on a page.
    page_limit: f64,
    /// `true` once the first slice is cut.
    has_begun: bool,
    /// The longest period whose events were counted.
    longest: SignedDuration,
    /// The latest observations, oldest first: a number of events, and the seconds in which they
    /// happened.
    seen: VecDeque<(f64, f64)>,
}

impl Plan {
    pub(super) fn new(start: Timestamp, page_limit: u32) -> Self {
        Self {
            next: start,
            page_limit: page_limit.into(),
            has_begun: false,
            longest: SignedDuration::ZERO,
            seen: VecDeque::new(),
        }
    }

    /// Makes the next slice begin at `end`, the end of a slice that is resumed in its middle.
    pub(super) fn resume_after(&mut self, end: Timestamp) {
        self.has_begun = true;
        self.next = end;
    }

    /// Cuts the next slice, which ends at `end` at the latest. It is read beside `others`, and at
    /// most `parallel` slices are read side by side. Returns `None` if nothing is left before
    /// `end`, or while nothing is known about the events of the first slice.
    ///
    /// Slices that begin together have different lengths. If they ended together, all their pages
    /// would wait for the first slice at once. The last slices become shorter, so that many of them
    /// are read in parallel until shortly before the end.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn cut(
        &mut self,
        end: Timestamp,
        others: usize,
        parallel: usize,
    ) -> Option<Range<Timestamp>> {
        let start = self.next;
        let left = end.duration_since(start);
        let is_waiting = self.knows_nothing() && self.has_begun;
        if left < SECOND || is_waiting {
            return None;
        }
        let length = if self.knows_nothing() {
            FIRST
        } else {
            let parallel = parallel as f64;
            let usual = self.length().mul_f64((others + 1) as f64 / parallel);
            usual.min(left.div_f64(parallel).max(usual / SHORTEST))
        };
        let length = SignedDuration::from_secs(length.min(left).as_secs()).max(SECOND);
        self.has_begun = true;
        self.next = start + length;
        Some(start..self.next)
    }

    /// Returns the usual length of a slice.
    fn length(&self) -> SignedDuration {
        let longest = self.longest.saturating_mul(GROWTH).max(FIRST);
        let (events, seconds) = self
            .seen
            .iter()
            .fold((0.0, 0.0), |sum, seen| (sum.0 + seen.0, sum.1 + seen.1));
        let seconds = PAGES * self.page_limit * seconds / events;
        let wanted = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
        wanted.clamp(SECOND, longest)
    }

    /// Notes how many events were found in a period.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn saw(&mut self, events: usize, period: SignedDuration) {
        self.note(events as f64, period.max(SECOND));
    }

    /// Assumes that a period has the events of a slice.
    pub(super) fn assume(&mut self, period: SignedDuration) {
        self.note(PAGES * self.page_limit, period.max(SECOND));
    }

    fn note(&mut self, events: f64, period: SignedDuration) {
        if self.seen.len() == OBSERVATIONS {
            self.seen.pop_front();
        }
        self.longest = self.longest.max(period);
        self.seen.push_back((events, period.as_secs_f64()));
    }

    /// Returns `true` until something is known about the history.
    pub(super) fn knows_nothing(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    #[test]
    fn slices_are_contiguous_and_end_with_the_history() {
        let mut plan = Plan::new(at(0), 500);
        let end = at(1_000 * HOUR);
        assert_eq!(plan.cut(end, 0, 1), Some(at(0)..at(HOUR)));
        assert_eq!(plan.cut(end, 0, 1), None, "nothing is known yet");
        plan.saw(114, hours(1));
        let mut reached = at(HOUR);
        while let Some(slice) = plan.cut(end, 0, 1) {
            assert_eq!(slice.start, reached);
            assert!(slice.end > slice.start);
            reached = slice.end;
            plan.saw(114, hours(1));
        }
        assert_eq!(reached, end);
    }

    #[test]
    fn length_follows_the_events_and_grows_eightfold_at_most() {
        let mut plan = Plan::new(at(0), 500);
        let end = at(1_000_000 * HOUR);
        let mut length = |events, period| {
            plan.saw(events, period);
            let slice = plan.cut(end, 0, 1).unwrap();
            slice.end.duration_since(slice.start)
        };
        assert_eq!(length(0, hours(1)), hours(8));
        assert_eq!(length(0, hours(1)), hours(8));
        assert_eq!(length(3_000, hours(8)), hours(60));
        let mut plan = Plan::new(at(0), 500);
        plan.saw(500, SignedDuration::from_secs(10));
        let slice = plan.cut(end, 0, 1).unwrap();
        assert_eq!(slice, at(0)..at(360));
        plan.saw(1_800, SignedDuration::from_secs(36));
        let slice = plan.cut(end, 4, 10).unwrap();
        assert_eq!(slice, at(360)..at(540));
    }

    #[test]
    fn slices_side_by_side_grow_only_once_one_of_them_is_read() {
        let mut plan = Plan::new(at(0), 500);
        let end = at(1_000_000 * HOUR);
        let mut length = |seen| {
            if let Some(period) = seen {
                plan.saw(0, period);
            }
            let slice = plan.cut(end, 0, 1).unwrap();
            slice.end.duration_since(slice.start)
        };
        assert_eq!(length(None), hours(1));
        assert_eq!(length(Some(hours(1))), hours(8));
        assert_eq!(length(None), hours(8));
        assert_eq!(length(None), hours(8));
        assert_eq!(length(Some(hours(8))), hours(64));
        assert_eq!(length(None), hours(64));
    }

    #[test]
    fn last_slices_are_a_part_of_the_rest() {
        let mut plan = Plan::new(at(0), 500);
        plan.saw(18_000, hours(100));
        let mut lengths = Vec::new();
        while let Some(slice) = plan.cut(at(1_000 * HOUR), 9, 10) {
            lengths.push(slice.end.duration_since(slice.start));
        }
        assert_eq!(lengths[0], hours(100));
        assert_eq!(lengths[1], hours(90));
        assert!(lengths.is_sorted_by(|before, after| before >= after));
        let shortest = hours(100) / SHORTEST;
        assert!(lengths.iter().filter(|length| **length == shortest).count() >= 8);
    }

    #[test]
    fn slice_is_at_least_a_second_long_whatever_was_seen() {
        let mut plan = Plan::new(at(0), 500);
        plan.saw(usize::MAX, SignedDuration::ZERO);
        assert_eq!(plan.cut(at(10), 0, 1), Some(at(0)..at(1)));
        assert_eq!(plan.cut(at(1), 0, 1), None);
        assert_eq!(plan.cut(at(-5), 0, 1), None);
    }
}
