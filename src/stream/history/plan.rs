//! The plan of a history: how it is cut into slices.
//!
//! A slice is a range of time that is read as a query of its own. The plan cuts one slice after
//! another from the front of the history, each for about as many pages as the pages seen so far
//! suggest. A slice that turns out to be far too long is cut again. The plan reads nothing itself. The
//! type to start from is [`Plan`].

use std::collections::VecDeque;
use std::iter::Sum;
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

/// The last slices may be this many times shorter than others.
const SHORTEST: i32 = 6;

/// The last slices may be this many times shorter than the history. It matters while events are rare:
/// the usual slice is then as long as the history, but events may become frequent in it.
const SHORTEST_PART: i32 = 32;

/// The length of the first slice: one hour. Nothing is known yet, and until its first page has
/// come, no other slice is read.
const FIRST: SignedDuration = SignedDuration::from_hours(1);

/// A slice may be this many times as long as all that was read. The events of a short time say
/// little about a long one.
const GROWTH: i32 = 8;

/// The number of pages that count.
const OBSERVATIONS: usize = 64;

/// The number of pages that show if a slice is too long. A short burst of events has fewer.
const LATEST: usize = 8;

/// A slice is too long if the rest of it has so many pages: it would be read alone at the end.
const TOO_MANY: f64 = 200.0;

/// A slice is too long if the rest of it has so many times its share of the window: those after it
/// would soon wait for it.
const TOO_LARGE: f64 = 2.0;

/// The pages that may be dropped to cut slices again, beside one for each ten that are read. Without
/// this limit, a history of many bursts would take more calls than it saves.
const DROPPED: usize = 100;

/// The shortest slice. Box takes times in seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Cuts a history into slices.
#[derive(Debug)]
pub(super) struct Plan {
    /// The start of the next slice, in full seconds.
    next: Timestamp,
    /// The most events on a page.
    page_limit: f64,
    /// The most slices that are read in parallel.
    parallel: f64,
    /// `true` once the first slice is cut.
    has_begun: bool,
    /// The time that is read.
    read: SignedDuration,
    /// The earliest time that is known to have events.
    events_begin: Option<Timestamp>,
    /// The latest pages, oldest first.
    pages: VecDeque<PageSize>,
    /// The number of pages that are read.
    pages_read: usize,
    /// The number of pages that were dropped, because a slice was cut again.
    pages_dropped: usize,
}

/// The size of a page that was read, or of several pages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PageSize {
    events: f64,
    /// Its size, as it came.
    bytes: f64,
    /// The time from the end of the page before it to its last event.
    seconds: f64,
}

/// The time that the slices in progress have still to read.
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
            pages_read: 0,
            pages_dropped: 0,
        }
    }

    /// Makes the next slice begin at `end`, the end of a slice that is resumed in its middle.
    pub(super) fn resume_after(&mut self, end: Timestamp) {
        self.has_begun = true;
        self.next = end;
    }

    /// Cuts the next slice, which ends at `end` at the latest. Returns `None` if nothing is left
    /// before `end`, or while nothing is known about the events of the first slice.
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
            let rest = left + unread.all;
            let part = rest.mul_f64(LAST / self.parallel);
            let shortest = (usual / SHORTEST).min(self.read.saturating_add(rest) / SHORTEST_PART);
            usual.min(in_turn).min(part.max(shortest))
        };
        let length = SignedDuration::from_secs(length.min(left).as_secs()).max(SECOND);
        self.has_begun = true;
        self.next = start + length;
        Some(start..self.next)
    }

    /// Cuts a slice again if it is too long, so that it ends earlier. Nothing of it was handed out. It
    /// is read from its beginning, and so is all after it: `waiting` pages are dropped.
    ///
    /// `rest` is the part of the slice that is not read, and `pages` are those that were read, newest
    /// first.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn cut_again<'a>(
        &mut self,
        rest: Range<Timestamp>,
        pages: impl ExactSizeIterator<Item = &'a PageSize>,
        waiting: usize,
    ) -> Option<Timestamp> {
        if pages.len() < LATEST || self.pages_dropped > DROPPED + self.pages_read / 10 {
            return None;
        }
        let latest: PageSize = pages.take(LATEST).sum();
        let times = rest.end.duration_since(rest.start).as_secs_f64() / latest.seconds;
        let is_too_long =
            times * LATEST as f64 > TOO_MANY || times * latest.bytes > TOO_LARGE * self.share();
        let length = SignedDuration::try_from_secs_f64(self.seconds(latest)).ok()?;
        let end = rest.start.checked_add(length.max(SECOND)).ok()?;
        let end = Timestamp::from_second(end.as_second()).ok()?;
        if !is_too_long || end >= rest.end {
            return None;
        }
        self.pages_dropped += waiting;
        self.next = end;
        Some(end)
    }

    /// Returns the usual length of a slice.
    fn length(&self) -> SignedDuration {
        let longest = self.read.saturating_mul(GROWTH).max(FIRST);
        let seconds = self.seconds(self.pages.iter().sum());
        let wanted = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
        wanted.clamp(SECOND, longest)
    }

    /// Returns the seconds that a slice of such pages should cover.
    fn seconds(&self, pages: PageSize) -> f64 {
        let by_events = PAGES * self.page_limit / pages.events;
        let by_bytes = self.share() / pages.bytes;
        pages.seconds * by_events.min(by_bytes)
    }

    /// Returns the bytes that a slice should have at most.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn share(&self) -> f64 {
        SHARE * WINDOW as f64 / self.parallel
    }

    /// Notes a page with events, and the time that it covers.
    pub(super) fn saw(
        &mut self,
        events: usize,
        bytes: usize,
        period: Range<Timestamp>,
    ) -> PageSize {
        let begin = self.events_begin.get_or_insert(period.end);
        *begin = period.end.min(*begin);
        self.pages_read += 1;
        self.note(events, bytes, &period)
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
    fn note(&mut self, events: usize, bytes: usize, period: &Range<Timestamp>) -> PageSize {
        let period = length_of(period);
        let size = PageSize {
            events: events as f64,
            bytes: bytes as f64,
            seconds: period.as_secs_f64(),
        };
        if self.pages.len() == OBSERVATIONS {
            self.pages.pop_front();
        }
        self.pages.push_back(size);
        self.read = self.read.saturating_add(period);
        size
    }
}

impl<'a> Sum<&'a PageSize> for PageSize {
    fn sum<I: Iterator<Item = &'a PageSize>>(pages: I) -> Self {
        pages.fold(Self::default(), |sum, page| Self {
            events: sum.events + page.events,
            bytes: sum.bytes + page.bytes,
            seconds: sum.seconds + page.seconds,
        })
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
        plan.saw(1, COMPRESSED / 500, at(0)..at(0));
        assert_eq!(next_length(&mut plan), hours(1));
        plan.saw_nothing(at(0)..at(1_000 * HOUR));
        let eight = SignedDuration::from_secs(8);
        assert_eq!(next_length(&mut plan), hours(8_000) + eight);
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
        plan.read = hours(100_000);
        let end = at(1_000 * HOUR);
        let unread = |all| Unread {
            last: hours(200),
            all: hours(all),
        };
        // The slices in progress count too: otherwise too many slices would be cut.
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

    /// Cuts a slice again that has an hour for each page, and `hours` left to read.
    fn cut_again(plan: &mut Plan, pages: usize, hours: i64, waiting: usize) -> Option<Timestamp> {
        let page = plan.saw(500, COMPRESSED, at(0)..at(HOUR));
        let pages = vec![page; pages];
        plan.cut_again(at(0)..at(hours * HOUR), pages.iter(), waiting)
    }

    #[test]
    fn slice_is_cut_again_if_its_rest_does_not_fit() {
        let mut plan = experienced(10, 100);
        assert_eq!(cut_again(&mut plan, LATEST - 1, 1_000, 0), None);
        assert_eq!(cut_again(&mut plan, LATEST, 70, 0), None);
        assert_eq!(cut_again(&mut plan, 20, 1_000, 0), Some(at(36 * HOUR)));
        let next = plan.cut(at(1_000_000 * HOUR), Unread::default()).unwrap();
        assert_eq!(next.start, at(36 * HOUR));
        // Three slices may be longer than ten, but none so long that it is read alone.
        let mut plan = experienced(3, 100);
        assert_eq!(cut_again(&mut plan, LATEST, 190, 0), None);
        assert_eq!(cut_again(&mut plan, LATEST, 210, 0), Some(at(36 * HOUR)));
    }

    #[test]
    fn only_a_part_of_the_pages_is_dropped() {
        let mut plan = experienced(10, 100);
        assert!(cut_again(&mut plan, LATEST, 1_000, DROPPED + 10).is_some());
        assert_eq!(cut_again(&mut plan, LATEST, 1_000, 1), None);
        for _ in 0..100 {
            plan.saw(500, COMPRESSED, at(0)..at(HOUR));
        }
        assert!(cut_again(&mut plan, LATEST, 1_000, 1).is_some());
    }

    #[test]
    fn slice_that_is_cut_again_keeps_a_second() {
        let mut plan = plan(10);
        let page = plan.saw(500, WINDOW, at(0)..at(0));
        let mut again = |end| plan.cut_again(at(0)..at(end), [page; LATEST].iter(), 0);
        assert_eq!(again(1_000), Some(at(1)));
        assert_eq!(again(1), None);
    }

    /// A slice of a simulated history.
    struct Reading {
        range: Range<Timestamp>,
        pages: Vec<PageSize>,
        is_read: bool,
    }

    impl Reading {
        fn rest(&self) -> Range<Timestamp> {
            let seconds: f64 = self.pages.iter().map(|page| page.seconds).sum();
            let read = SignedDuration::from_secs_f64(seconds);
            self.range.end.min(self.range.start + read)..self.range.end
        }

        fn unread(&self) -> SignedDuration {
            let rest = self.rest();
            if self.is_read {
                return SignedDuration::ZERO;
            }
            rest.end.duration_since(rest.start)
        }
    }

    /// Reads a simulated history of full pages, of which each covers the time up to one of `ends`.
    /// Ten slices are read side by side, at a rate of eight calls in the time that a call takes.
    /// Returns the time that it takes, in calls one after another.
    fn time_of(ends: &[i64]) -> usize {
        const RATE: usize = 8;
        let mut plan = plan(10);
        let end = at(*ends.last().unwrap());
        let mut slices: VecDeque<Reading> = VecDeque::new();
        for time in 0.. {
            while slices.front().is_some_and(|first| first.is_read) {
                slices.pop_front();
            }
            let waiting = slices.iter().skip(1).map(|slice| slice.pages.len());
            let mut room = (WINDOW / COMPRESSED).saturating_sub(waiting.sum());
            let mut calls = 0;
            let mut place = 0;
            while calls < RATE && (room > 0 || place == 0) {
                if place == slices.len() {
                    let reading = slices.iter().filter(|slice| !slice.is_read).count();
                    let unread = Unread {
                        last: slices.back().map(Reading::unread).unwrap_or_default(),
                        all: slices.iter().map(Reading::unread).sum(),
                    };
                    let range = (reading < 10).then(|| plan.cut(end, unread)).flatten();
                    let Some(range) = range else { break };
                    slices.push_back(Reading {
                        range,
                        pages: Vec::new(),
                        is_read: false,
                    });
                }
                let slice = &mut slices[place];
                calls += usize::from(!slice.is_read);
                let rest = slice.rest();
                let next = ends.partition_point(|end| at(*end) <= rest.start);
                match ends.get(next).filter(|end| at(**end) <= rest.end) {
                    _ if slice.is_read => {}
                    Some(end) => {
                        let page = plan.saw(500, COMPRESSED, rest.start..at(*end));
                        slice.pages.push(page);
                        room = room.saturating_sub(usize::from(place > 0));
                    }
                    None => {
                        plan.saw_nothing(rest);
                        slice.is_read = true;
                    }
                }
                let slice = &slices[place];
                let pages = slices.range(place..).map(|slice| slice.pages.len()).sum();
                let sizes = slice.pages.iter().rev();
                if place > 0
                    && let Some(end) = plan.cut_again(slice.rest(), sizes, pages)
                {
                    let start = slice.range.start;
                    slices.truncate(place);
                    slices.push_back(Reading {
                        range: start..end,
                        pages: Vec::new(),
                        is_read: false,
                    });
                }
                place += 1;
            }
            if slices.is_empty() && plan.cut(end, Unread::default()).is_none() {
                return time;
            }
        }
        unreachable!("a history ends");
    }

    /// Returns the ends of 2,000 pages in a year, with as many events as `density` says of each part
    /// of the year.
    fn pages_of(density: impl Fn(f64) -> f64) -> Vec<i64> {
        let hours = 365 * 24;
        let of_hour = |hour: i32| density(f64::from(hour) / f64::from(hours));
        let total: f64 = (0..hours).map(of_hour).sum();
        let mut ends = Vec::new();
        let mut pages = 0.0;
        for hour in 0..hours {
            let more = of_hour(hour) / total * 2_000.0;
            let mut wanted = f64::from(u32::try_from(ends.len()).unwrap() + 1);
            while wanted <= pages + more {
                let part = (wanted - pages) / more * 3_600.0;
                let second = SignedDuration::from_secs_f64(part).as_secs();
                ends.push(i64::from(hour) * HOUR + second);
                wanted += 1.0;
            }
            pages += more;
        }
        ends
    }

    #[test]
    fn time_grows_little_if_the_density_of_events_changes() {
        let even = time_of(&pages_of(|_| 1.0));
        assert!(even < 2_000 / 8 * 11 / 10, "{even}");
        let limit = even * 5 / 4;
        let jump = time_of(&pages_of(|part| if part < 0.5 { 1.0 } else { 20.0 }));
        assert!(jump < limit, "{jump}");
        let fall = time_of(&pages_of(|part| if part < 0.5 { 20.0 } else { 1.0 }));
        assert!(fall < limit, "{fall}");
        let growth = time_of(&pages_of(|part| 1.0 + 9.0 * part));
        assert!(growth < limit, "{growth}");
        let begin = time_of(&pages_of(|part| if part < 0.5 { 0.0 } else { 1.0 }));
        assert!(begin < limit, "{begin}");
    }

    #[test]
    fn slice_without_a_known_density_is_a_part_of_the_history() {
        let mut plan = plan(10);
        plan.saw_nothing(at(0)..at(600 * HOUR));
        let rest = Unread {
            last: hours(200),
            all: hours(200),
        };
        let slice = plan.cut(at(800 * HOUR), rest).unwrap();
        // Ten slices share 80 % of the 1,000 h that are left to read.
        assert_eq!(slice, at(0)..at(80 * HOUR));
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
