//! The plan of a history: how it is cut into slices.
//!
//! A slice is a range of time that is read as a query of its own. The plan cuts one slice after
//! another from the front of the history, each for about as many pages as the pages seen so far
//! suggest. A slice that turns out to be far too long is cut again. The plan reads nothing itself. The
//! type to start from is [`Plan`].

#[cfg(test)]
mod tests;

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
