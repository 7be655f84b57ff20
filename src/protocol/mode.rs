//! How a stream goes on after a drain.

use std::time::{Duration, Instant, SystemTime};

use super::state::PageOutcome;
use crate::config::StreamKind;
use crate::position::StreamPosition;

/// A full page is the end of the backlog if its newest event is no older than this: Box shows events late, and its stream is
/// not in the order of time.
pub(super) const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3_600);

/// So many pages in a row that only move the position are followed at once. If Box's position moves with every call,
/// though nothing happens, a stream must come to rest all the same.
const EMPTY_PAGES_FOLLOWED: u32 = 100;

/// By how much a wait may be shorter, so that many streams don't fetch at the same moment.
const JITTER: f64 = 0.2;

/// A query whose position only moves is given up after this long.
const QUERY_GIVEN_UP_AFTER: Duration = Duration::from_secs(3_600);

/// The waits of a query whose position only moves: the first, which doubles, and the longest.
const FIRST_QUERY_WAIT: Duration = Duration::from_secs(1);
const LONGEST_QUERY_WAIT: Duration = Duration::from_secs(60);

/// How a stream finds later events, once a drain is over.
#[derive(Debug)]
pub(super) enum Mode {
    /// A realtime server signals them.
    LongPoll(EmptyPages),
    /// They are fetched at an interval.
    Interval(Interval),
    /// There are none: a query ends.
    Query(Query),
}

/// The decision after a page.
pub(super) enum AfterPage {
    /// Another page.
    Fetch,
    /// Another page, after so long.
    FetchIn(Duration),
    /// Later events: the drain is over.
    EndDrain,
    /// Nothing: a query is complete.
    Finish,
    /// Nothing: a query comes to no end, because its position does this.
    GiveUp(&'static str),
}

impl Mode {
    pub(super) fn of(stream_kind: &StreamKind, rng: &mut fastrand::Rng) -> Self {
        match stream_kind {
            StreamKind::User(_) => Mode::LongPoll(EmptyPages::default()),
            StreamKind::Streaming(streaming) => Mode::Interval(Interval::between(
                streaming.shortest_interval,
                streaming.longest_interval,
                rng.fork(),
            )),
            StreamKind::History(history) => Mode::Query(Query::until(history.range.end())),
        }
    }

    pub(super) fn is_long_poll(&self) -> bool {
        matches!(self, Mode::LongPoll(_))
    }

    /// Decides what follows a page. `only_moved`: it brought nothing but another position.
    pub(super) fn after_page(
        &mut self,
        page: &PageOutcome,
        only_moved: bool,
        now: Instant,
    ) -> AfterPage {
        let goes_on = match self {
            Mode::Query(_) if page.circles => return AfterPage::GiveUp("goes in circles"),
            _ if page.circles => false,
            Mode::Interval(interval) if only_moved => {
                // The filter may have removed a long stretch.
                let time = page.to.position().and_then(StreamPosition::time);
                let lies_back = time.is_some_and(|time| time + CAUGHT_UP_WITHIN < page.sent_at);
                interval.empty_pages.follow() || lies_back
            }
            Mode::Interval(interval) => {
                interval.empty_pages.reset();
                page.brought_new
            }
            Mode::LongPoll(empty_pages) if only_moved => empty_pages.follow(),
            Mode::LongPoll(empty_pages) => {
                empty_pages.end(page.moved);
                page.brought_new
            }
            Mode::Query(query) if only_moved => {
                return query.after_empty_page(page, now);
            }
            Mode::Query(query) => {
                query.quiet_ends();
                page.brought_new
            }
        };
        match self {
            _ if goes_on => AfterPage::Fetch,
            Mode::Query(_) => AfterPage::Finish,
            Mode::LongPoll(_) | Mode::Interval(_) => AfterPage::EndDrain,
        }
    }
}

/// Counts the pages in a row that only moved the position.
#[derive(Debug, Default)]
pub(super) struct EmptyPages(u32);

impl EmptyPages {
    /// A page had something new, or left the position where it was. A position that has moved by itself does so after the
    /// next event as well: only one that stands still shows that it is over.
    fn end(&mut self, moved: bool) {
        if !moved || self.0 <= EMPTY_PAGES_FOLLOWED {
            self.reset();
        }
    }

    fn reset(&mut self) {
        self.0 = 0;
    }

    /// A page only moved the position. Returns `true` if another page follows at once.
    fn follow(&mut self) -> bool {
        self.0 = (self.0 + 1).min(EMPTY_PAGES_FOLLOWED + 1);
        self.0 <= EMPTY_PAGES_FOLLOWED
    }
}

/// The waits between drains.
#[derive(Debug)]
pub(super) struct Interval {
    rng: fastrand::Rng,
    shortest: Duration,
    longest: Duration,
    next: Duration,
    empty_pages: EmptyPages,
}

impl Interval {
    fn between(shortest: Duration, longest: Duration, rng: fastrand::Rng) -> Self {
        Self {
            rng,
            shortest,
            longest,
            next: shortest,
            empty_pages: EmptyPages::default(),
        }
    }

    /// Returns how long to wait after a drain.
    pub(super) fn after_drain(&mut self, found: bool) -> Duration {
        if found {
            self.next = self.shortest;
        }
        let wait = self.next.mul_f64(1.0 - JITTER * self.rng.f64());
        self.next = (self.next * 2).min(self.longest);
        wait.max(self.shortest)
    }
}

/// A query's way to its end.
///
/// Most end on a page that leaves the position where it was. Box's positions for an enterprise hold a time, though, and may
/// move by themselves. Then the query ends once that time has passed the last moment of the query.
#[derive(Debug)]
pub(super) struct Query {
    /// The last moment of the query. `None`: the present.
    end: Option<SystemTime>,
    empty_pages: EmptyPages,
    /// Since when pages have only moved the position.
    quiet_since: Option<Instant>,
    wait: Duration,
}

impl Query {
    fn until(end: Option<SystemTime>) -> Self {
        Self {
            end,
            empty_pages: EmptyPages::default(),
            quiet_since: None,
            wait: FIRST_QUERY_WAIT,
        }
    }

    /// A page had something new, or left the position where it was.
    fn quiet_ends(&mut self) {
        *self = Self::until(self.end);
    }

    /// A page only moved the position.
    fn after_empty_page(&mut self, page: &PageOutcome, now: Instant) -> AfterPage {
        let end = self.end.map_or(page.sent_at, |end| end.min(page.sent_at));
        let time = page.to.position().and_then(StreamPosition::time);
        if time.is_some_and(|time| time > end) {
            return AfterPage::Finish;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if self.empty_pages.follow() {
            return AfterPage::Fetch;
        }
        if now.saturating_duration_since(since) >= QUERY_GIVEN_UP_AFTER {
            return AfterPage::GiveUp("has moved for an hour without an event");
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_QUERY_WAIT);
        AfterPage::FetchIn(wait)
    }
}
