//! What follows a drain.

use std::time::{Duration, Instant, SystemTime};

use crate::config::StreamKind;
use crate::position::StreamPosition;

/// So many pages in a row that only move the position are followed at once. Where Box's position moves with every call,
/// though nothing happens, a stream must come to rest all the same.
const EMPTY_PAGES_FOLLOWED: u32 = 100;

/// By how much a wait may be shorter, so that many streams don't look at the same moment.
const JITTER: f64 = 0.2;

/// A query whose position only moves is given up after this long.
const QUERY_GIVEN_UP_AFTER: Duration = Duration::from_secs(3_600);

/// The waits of a query whose position only moves: the first, which doubles, and the longest.
const FIRST_QUERY_WAIT: Duration = Duration::from_secs(1);
const LONGEST_QUERY_WAIT: Duration = Duration::from_secs(60);

/// How more is heard of.
#[derive(Debug)]
pub(super) enum Mode {
    /// A realtime server tells of it.
    Listening(EmptyPages),
    /// It is looked for.
    Looking(Interval),
    /// There is no more.
    Querying(Query),
}

impl Mode {
    pub(super) fn of(stream_kind: &StreamKind) -> Self {
        match stream_kind {
            StreamKind::User(_) => Mode::Listening(EmptyPages::default()),
            StreamKind::Streaming(streaming) => Mode::Looking(Interval::between(
                streaming.shortest_interval,
                streaming.longest_interval,
            )),
            StreamKind::History(history) => Mode::Querying(Query::until(history.range.end())),
        }
    }

    /// Whether a request that brings something new is free.
    pub(super) fn refunds(&self) -> bool {
        matches!(self, Mode::Listening(_))
    }
}

/// Counts the pages in a row that only moved the position.
#[derive(Debug, Default)]
pub(super) struct EmptyPages(u32);

impl EmptyPages {
    /// A page had something new, or left the position where it was. A position that has moved by itself does so after the
    /// next event as well: only one that stands still shows that it is over.
    pub(super) fn end(&mut self, moved: bool) {
        if !moved || self.0 <= EMPTY_PAGES_FOLLOWED {
            self.reset();
        }
    }

    pub(super) fn reset(&mut self) {
        self.0 = 0;
    }

    /// A page only moved the position. Whether it is followed at once.
    pub(super) fn follow(&mut self) -> bool {
        self.0 = (self.0 + 1).min(EMPTY_PAGES_FOLLOWED + 1);
        self.0 <= EMPTY_PAGES_FOLLOWED
    }
}

/// The waits between looks.
#[derive(Debug)]
pub(super) struct Interval {
    shortest: Duration,
    longest: Duration,
    next: Duration,
    pub(super) empty_pages: EmptyPages,
}

impl Interval {
    fn between(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            next: shortest,
            empty_pages: EmptyPages::default(),
        }
    }

    /// How long to wait after a look.
    pub(super) fn after_look(&mut self, found: bool, rng: &mut fastrand::Rng) -> Duration {
        if found {
            self.next = self.shortest;
        }
        let wait = self.next.mul_f64(1.0 - JITTER * rng.f64());
        self.next = (self.next * 2).min(self.longest);
        wait.max(self.shortest)
    }
}

/// A query's way to its end.
///
/// Most end on a page that leaves the position where it was. Box's positions for an enterprise hold a time, though, and may
/// move by themselves. Then the query ends once that time has passed the last moment that it asks for.
#[derive(Debug)]
pub(super) struct Query {
    /// The last moment that is asked for. `None`: the present.
    end: Option<SystemTime>,
    empty_pages: EmptyPages,
    /// Since when pages have only moved the position.
    quiet_since: Option<Instant>,
    wait: Duration,
}

/// What follows a page of a query that only moved the position.
pub(super) enum QueryStep {
    /// The next page is asked for, after so long.
    GoOn(Duration),
    /// All that was asked for has come.
    Finish,
    GiveUp,
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
    pub(super) fn quiet_ends(&mut self) {
        *self = Self::until(self.end);
    }

    /// A page only moved the position, to `position`. It was sent at `sent_at`, by Box's clock.
    pub(super) fn after_empty_page(
        &mut self,
        position: Option<&StreamPosition>,
        sent_at: SystemTime,
        now: Instant,
    ) -> QueryStep {
        let end = self.end.map_or(sent_at, |end| end.min(sent_at));
        if position
            .and_then(StreamPosition::time)
            .is_some_and(|time| time > end)
        {
            return QueryStep::Finish;
        }
        let since = *self.quiet_since.get_or_insert(now);
        if self.empty_pages.follow() {
            return QueryStep::GoOn(Duration::ZERO);
        }
        if now.saturating_duration_since(since) >= QUERY_GIVEN_UP_AFTER {
            return QueryStep::GiveUp;
        }
        let wait = self.wait;
        self.wait = (wait * 2).min(LONGEST_QUERY_WAIT);
        QueryStep::GoOn(wait)
    }
}
