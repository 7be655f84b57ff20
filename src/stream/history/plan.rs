//! The plan of a history: how it is cut into slices.
//!
//! A slice is a range of time that is read as a query of its own. The plan cuts one slice after
//! another from the front of the history, each for about as many pages as the pages seen so far
//! suggest. It reads nothing itself. The type to start from is [`Plan`].

use std::collections::VecDeque;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use super::WINDOW;

/// The number of pages that a slice should have at most. Each slice costs about one call more than
/// it has full pages, and its pages wait in memory for those of the slices before it.
const PAGES: f64 = 36.0;

/// The bytes that a slice should have at most, as a part of its share of the window. If slices end
/// one after another, half of each waits on average, so some room is left for wrong estimates.
const SHARE: f64 = 1.5;

/// The part of what is left that the last slices share. The rest makes up for wrong estimates: one
/// slice that takes longer than the others would be read alone at the end.
const LAST: f64 = 0.8;

/// The last slices may be so many times shorter than others.
const SHORTEST: i32 = 6;

/// The length of the first slice: one hour. Nothing is known yet, and until its first page has come,
/// no other slice is read.
const FIRST: SignedDuration = SignedDuration::from_hours(1);

/// A slice may be this many times as long as all that was read. The events of a short time say
/// little about a long one.
const GROWTH: i32 = 8;

/// The number of pages that count.
const OBSERVATIONS: usize = 64;

/// The shortest slice. Box takes times in seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Cuts a history into slices.
#[derive(Debug)]
pub(super) struct Plan {
    /// The start of the next slice, in full seconds.
    next: Timestamp,
    /// The most events on a page.
    page_limit: f64,
    /// The most slices that are read side by side.
    parallel: f64,
    /// `true` once the first slice is cut.
    has_begun: bool,
    /// The time that is read.
    read: SignedDuration,
    /// The earliest time that is known to have events.
    events_begin: Option<Timestamp>,
    /// The latest pages, oldest first.
    pages: VecDeque<Page>,
}

/// A page that was read.
#[derive(Debug)]
struct Page {
    events: f64,
    /// Its size, as it came.
    bytes: f64,
    /// The time from the end of the page before it to its last event.
    seconds: f64,
}

/// What the slices that are being read have still to read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unread {
    /// The time that the last slice has to read.
    pub(super) last: SignedDuration,
    /// The time that all of them have to read.
    pub(super) all: SignedDuration,
}

impl Plan {
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn new(start: Timestamp, page_limit: u32, parallel: usize) -> Self {
        Self {
            next: start,
            page_limit: page_limit.into(),
            parallel: parallel as f64,
            has_begun: false,
            read: SignedDuration::ZERO,
            events_begin: None,
            pages: VecDeque::new(),
        }
    }

    /// Leaves out the rest of the slice up to `end`, which is read already.
    pub(super) fn resume_after(&mut self, end: Timestamp) {
        self.has_begun = true;
        self.next = end;
    }

    /// Cuts the next slice, which ends at `end` at the latest. Returns `None` if nothing is left
    /// before `end`, or if nothing is known about the first slice yet.
    ///
    /// Each slice should be read some time after the one before it. If they were read at the same
    /// time, all their pages would wait for the first slice at once. The last slices share what is
    /// left, so that all of them are read until shortly before the end.
    pub(super) fn cut(&mut self, end: Timestamp, unread: Unread) -> Option<Range<Timestamp>> {
        let start = self.next;
        let left = end.duration_since(start);
        let knows_nothing = self.read.is_zero();
        let is_waiting = knows_nothing && self.has_begun;
        if left < SECOND || is_waiting {
            return None;
        }
        let length = if knows_nothing {
            FIRST
        } else {
            let usual = self.length();
            let in_turn = unread.last + usual.div_f64(self.parallel);
            let part = (left + unread.all).mul_f64(LAST / self.parallel);
            usual.min(in_turn).min(part.max(usual / SHORTEST))
        };
        let length = SignedDuration::from_secs(length.min(left).as_secs()).max(SECOND);
        self.has_begun = true;
        self.next = start + length;
        Some(start..self.next)
    }

    /// Returns the usual length of a slice.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn length(&self) -> SignedDuration {
        let longest = self.read.saturating_mul(GROWTH).max(FIRST);
        let sum = |part: fn(&Page) -> f64| self.pages.iter().map(part).sum::<f64>();
        let pages = PAGES * self.page_limit / sum(|page| page.events);
        let bytes = SHARE * WINDOW as f64 / self.parallel / sum(|page| page.bytes);
        let seconds = sum(|page| page.seconds) * pages.min(bytes);
        let wanted = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
        wanted.clamp(SECOND, longest)
    }

    /// Notes a page with events, and the time that it covers.
    pub(super) fn saw(&mut self, events: usize, bytes: usize, period: Range<Timestamp>) {
        let begin = self.events_begin.get_or_insert(period.end);
        *begin = period.end.min(*begin);
        self.note(events, bytes, &period);
    }

    /// Notes a period without events. Before the first events it does not count for the lengths: if
    /// events begin after a long time without any, slices for the average would be too long.
    pub(super) fn saw_nothing(&mut self, period: Range<Timestamp>) {
        if self.events_begin.is_some_and(|begin| period.end > begin) {
            self.note(0, 0, &period);
        } else {
            self.read = self.read.saturating_add(length_of(&period));
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn note(&mut self, events: usize, bytes: usize, period: &Range<Timestamp>) {
        let period = length_of(period);
        if self.pages.len() == OBSERVATIONS {
            self.pages.pop_front();
        }
        self.pages.push_back(Page {
            events: events as f64,
            bytes: bytes as f64,
            seconds: period.as_secs_f64(),
        });
        self.read = self.read.saturating_add(period);
    }
}

/// Returns the length of a period, which counts as a second at least.
fn length_of(period: &Range<Timestamp>) -> SignedDuration {
    period.end.duration_since(period.start).max(SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600;

    /// The bytes of a page that Box compresses.
    const COMPRESSED: usize = 100_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn hours(hours: i64) -> SignedDuration {
        SignedDuration::from_hours(hours)
    }

    fn plan(parallel: usize) -> Plan {
        Plan::new(at(0), 500, parallel)
    }

    /// Returns a plan that knows a history with a full page in each period of `hours`.
    fn experienced(parallel: usize, hours: i64) -> Plan {
        let mut plan = plan(parallel);
        for _ in 0..OBSERVATIONS {
            plan.saw(500, COMPRESSED, at(0)..at(hours * HOUR));
        }
        plan
    }

    /// Returns the length of the next slice if all slices before it are read.
    fn next_length(plan: &mut Plan) -> SignedDuration {
        let slice = plan.cut(at(1_000_000 * HOUR), Unread::default()).unwrap();
        slice.end.duration_since(slice.start)
    }

    /// Cuts slices side by side, of which nothing is read yet, up to `end`. Returns their lengths.
    fn side_by_side(plan: &mut Plan, end: Timestamp, slices: usize) -> Vec<SignedDuration> {
        let mut lengths = Vec::new();
        let mut unread = Unread::default();
        while lengths.len() < slices
            && let Some(slice) = plan.cut(end, unread)
        {
            let length = slice.end.duration_since(slice.start);
            unread.last = length;
            unread.all += length;
            lengths.push(length);
        }
        lengths
    }

    #[test]
    fn slices_are_contiguous_and_end_with_the_history() {
        let mut plan = plan(1);
        let end = at(1_000 * HOUR);
        let cut = |plan: &mut Plan| plan.cut(end, Unread::default());
        assert_eq!(cut(&mut plan), Some(at(0)..at(HOUR)));
        assert_eq!(cut(&mut plan), None, "nothing is known yet");
        plan.saw(114, COMPRESSED, at(0)..at(HOUR));
        let mut reached = at(HOUR);
        while let Some(slice) = cut(&mut plan) {
            assert_eq!(slice.start, reached);
            assert!(slice.end > slice.start);
            reached = slice.end;
            plan.saw(114, COMPRESSED, at(0)..at(HOUR));
        }
        assert_eq!(reached, end);
    }

    #[test]
    fn length_follows_the_events() {
        let mut plan = experienced(1, 1);
        assert_eq!(next_length(&mut plan), hours(36));
        for _ in 0..OBSERVATIONS {
            plan.saw(250, COMPRESSED, at(0)..at(HOUR));
        }
        assert_eq!(next_length(&mut plan), hours(72), "only the latest count");
    }

    #[test]
    fn length_grows_eightfold_at_most() {
        let mut plan = plan(1);
        plan.saw_nothing(at(0)..at(HOUR));
        assert_eq!(next_length(&mut plan), hours(8));
        assert_eq!(next_length(&mut plan), hours(8));
        plan.saw_nothing(at(0)..at(8 * HOUR));
        assert_eq!(next_length(&mut plan), hours(72));
        plan.saw(1, COMPRESSED, at(0)..at(HOUR));
        assert_eq!(next_length(&mut plan), hours(80));
    }

    #[test]
    fn time_before_the_first_events_makes_no_slice_longer() {
        let mut plan = plan(1);
        plan.saw_nothing(at(0)..at(10_000 * HOUR));
        plan.saw(500, COMPRESSED, at(10_000 * HOUR)..at(10_001 * HOUR));
        plan.saw_nothing(at(0)..at(10_000 * HOUR));
        assert_eq!(next_length(&mut plan), hours(36));
    }

    #[test]
    fn time_after_the_first_events_makes_slices_longer() {
        let mut plan = plan(1);
        plan.saw(1, COMPRESSED, at(0)..at(0));
        assert_eq!(next_length(&mut plan), hours(1));
        plan.saw_nothing(at(0)..at(1_000 * HOUR));
        assert_eq!(next_length(&mut plan), hours(8_000));
    }

    #[test]
    fn slices_of_large_pages_are_shorter_so_that_they_fit() {
        let mut plan = plan(10);
        let page = 500_000;
        for _ in 0..OBSERVATIONS {
            plan.saw(500, page, at(0)..at(HOUR));
        }
        let lengths = side_by_side(&mut plan, at(1_000_000 * HOUR), 10);
        let longest = usize::try_from(lengths[9].as_hours()).unwrap();
        assert!((5..=8).contains(&longest), "{longest}");
        // Half of each of the others waits when one is read.
        assert!(10 * longest * page / 2 < WINDOW);
    }

    #[test]
    fn slices_that_begin_together_end_one_after_another() {
        let mut plan = experienced(10, 10);
        let lengths = side_by_side(&mut plan, at(1_000_000 * HOUR), 12);
        for (place, length) in (1..=10).zip(&lengths) {
            assert_eq!(*length, hours(36 * place));
        }
        assert_eq!(lengths[9..], [hours(360); 3]);
    }

    #[test]
    fn slice_after_one_that_is_nearly_read_is_short() {
        let mut plan = experienced(10, 10);
        let unread = Unread {
            last: hours(4),
            all: hours(1_000),
        };
        let end = at(1_000_000 * HOUR);
        assert_eq!(plan.cut(end, unread), Some(at(0)..at(40 * HOUR)));
    }

    #[test]
    fn last_slices_share_what_is_left() {
        let mut plan = experienced(10, 10);
        let end = at(1_000 * HOUR);
        let unread = |all| Unread {
            last: hours(200),
            all: hours(all),
        };
        // What is being read counts too: otherwise too many slices would be cut.
        assert_eq!(plan.cut(end, unread(1_500)), Some(at(0)..at(200 * HOUR)));
        let mut lengths = Vec::new();
        while let Some(slice) = plan.cut(end, unread(0)) {
            lengths.push(slice.end.duration_since(slice.start));
        }
        assert_eq!(lengths[0], hours(64));
        assert!(lengths.is_sorted_by(|before, after| before >= after));
        let shortest = hours(360) / SHORTEST;
        let (_, others) = lengths.split_last().unwrap();
        assert!(others.iter().all(|length| *length >= shortest));
    }

    #[test]
    fn slice_is_at_least_a_second_long_whatever_was_seen() {
        let mut plan = plan(1);
        plan.saw(usize::MAX, usize::MAX, at(0)..at(0));
        let mut cut = |end| plan.cut(at(end), Unread::default());
        assert_eq!(cut(10), Some(at(0)..at(1)));
        assert_eq!(cut(1), None);
        assert_eq!(cut(-5), None);
    }
}
