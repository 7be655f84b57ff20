//! The decision after each page: fetch another one, end the drain, or end the query.
//!
//! User streams, enterprise streams and queries differ in the way in which they find later events.
//! This module knows that difference, and bounds streams whose position moves without events. It
//! fetches nothing itself. The type to start from is [`Mode`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::state::PageOutcome;
use crate::config::{Config, StreamKind};
use crate::position::StreamPosition;

/// A full page ends the backlog if its newest event is no older than this: one hour. Box shows
/// events late, and its stream is not ordered by time.
pub(super) const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3_600);

/// The number of pages in a row that only move the position and are followed at once. Box's
/// position may move with every call although nothing happens. Even then, a stream must stop
/// fetching at some point.
const EMPTY_PAGES_FOLLOWED: u32 = 100;

/// The share by which a wait may be shorter, so that many streams do not fetch at the same moment.
const JITTER: f64 = 0.2;

/// The time after which a query stops with an error, if its position only moves: one hour.
const QUERY_GIVEN_UP_AFTER: Duration = Duration::from_secs(3_600);

/// The waits of a query whose position only moves. The first is 1 s, each doubles the one before,
/// and the longest is 60 s.
const FIRST_QUERY_WAIT: Duration = Duration::from_secs(1);
const LONGEST_QUERY_WAIT: Duration = Duration::from_secs(60);

/// The decision after a page.
pub(super) enum AfterPage {
    /// The next page is fetched at once.
    Fetch,
    /// The next page is fetched after this time.
    FetchIn(Duration),
    /// The drain is over, and the stream waits for later events.
    EndDrain,
    /// A query is complete.
    Finish,
    /// A query stops with an error. The text says how its position behaves.
    GiveUp(&'static str),
}

/// The way in which a stream finds later events, once a drain is over. A realtime server signals
/// them, or they are fetched at an interval, or there are none and a query ends.
///
/// Most queries end on a page that leaves the position unchanged. But Box's positions for an
/// enterprise contain a time, and may move by themselves. Then the query ends once that time has
/// passed the last moment of the query.
#[derive(Debug)]
pub(super) struct Mode {
    config: Arc<Config>,
    rng: fastrand::Rng,
    /// The number of pages in a row that only moved the position.
    empty_pages: u32,
    /// The time since which a query's pages have only moved the position.
    quiet_since: Option<Instant>,
    /// The next wait, of an interval or of a query whose position only moves.
    wait: Duration,
}

impl Mode {
    pub(super) fn new(config: &Arc<Config>, rng: fastrand::Rng) -> Self {
        Self {
            config: config.clone(),
            rng,
            empty_pages: 0,
            quiet_since: None,
            wait: Duration::ZERO,
        }
    }

    /// Returns `true` if realtime servers signal later events.
    pub(super) fn is_long_poll(&self) -> bool {
        matches!(self.config.stream_kind, StreamKind::User(_))
    }

    /// Returns `true` if the stream is a query, which ends.
    pub(super) fn is_query(&self) -> bool {
        matches!(self.config.stream_kind, StreamKind::History(_))
    }

    /// Returns `true` if the stream is a slice of a history.
    pub(super) fn is_slice(&self) -> bool {
        matches!(&self.config.stream_kind, StreamKind::History(query) if query.is_slice)
    }

    /// Decides what follows a page. `only_moved` is `true` if it brought nothing but another
    /// position.
    pub(super) fn after_page(
        &mut self,
        page: &PageOutcome,
        only_moved: bool,
        now: Instant,
    ) -> AfterPage {
        let time = page.to.position().and_then(StreamPosition::time);
        let goes_on = match &self.config.stream_kind {
            StreamKind::History(_) if page.circles => return AfterPage::GiveUp("goes in circles"),
            _ if page.circles => false,
            StreamKind::History(query) if only_moved => {
                let end = query.range.end();
                let end = end.map_or(page.sent_at, |end| end.min(page.sent_at));
                if time.is_some_and(|time| time > end) {
                    return AfterPage::Finish;
                }
                return self.after_empty_page(now);
            }
            StreamKind::Streaming(_) if only_moved => {
                // The filter may have removed all events of a long period.
                let lies_back = time.is_some_and(|time| time + CAUGHT_UP_WITHIN < page.sent_at);
                self.follows() || lies_back
            }
            StreamKind::User(_) if only_moved => self.follows(),
            StreamKind::User(_) if page.moved && self.empty_pages > EMPTY_PAGES_FOLLOWED => {
                // A position that has moved by itself will do so after the next event too. Only a
                // position that stands still shows that this is over.
                page.brought_new
            }
            _ => {
                self.empty_pages = 0;
                if self.quiet_since.take().is_some() {
                    // The waits of a query begin with the shortest again.
                    self.wait = Duration::ZERO;
                }
                page.brought_new
            }
        };
        if goes_on {
            AfterPage::Fetch
        } else if self.is_query() {
            AfterPage::Finish
        } else {
            AfterPage::EndDrain
        }
    }

    /// Counts a page that only moved the position. Returns `true` if another page follows at once.
    fn follows(&mut self) -> bool {
        self.empty_pages = (self.empty_pages + 1).min(EMPTY_PAGES_FOLLOWED + 1);
        self.empty_pages <= EMPTY_PAGES_FOLLOWED
    }

    /// Decides what follows a page of a query that only moved the position.
    fn after_empty_page(&mut self, now: Instant) -> AfterPage {
        let since = *self.quiet_since.get_or_insert(now);
        if self.follows() {
            return AfterPage::Fetch;
        }
        if now.saturating_duration_since(since) >= QUERY_GIVEN_UP_AFTER {
            return AfterPage::GiveUp("has moved for an hour without an event");
        }
        let wait = self.wait.max(FIRST_QUERY_WAIT);
        self.wait = (wait * 2).min(LONGEST_QUERY_WAIT);
        AfterPage::FetchIn(wait)
    }

    /// Returns the wait after a drain, by exponential backoff with jitter. Returns `None` if later
    /// events are signaled.
    pub(super) fn interval(&mut self, found: bool) -> Option<Duration> {
        let StreamKind::Streaming(streaming) = &self.config.stream_kind else {
            return None;
        };
        let shortest = streaming.shortest_interval;
        let next = if found {
            shortest
        } else {
            self.wait.max(shortest)
        };
        self.wait = (next * 2).min(streaming.longest_interval);
        Some(next.mul_f64(1.0 - JITTER * self.rng.f64()).max(shortest))
    }
}
