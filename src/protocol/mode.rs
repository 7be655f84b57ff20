//! What follows a drain.

use std::time::Duration;

use crate::feed::Feed;

/// So many pages in a row that only move the position are followed at once. Where Box's position moves with every call,
/// though nothing happens, a stream must come to rest all the same.
const EMPTY_PAGES_FOLLOWED: u32 = 100;

/// By how much a wait may be shorter, so that many streams don't look at the same moment.
const JITTER: f64 = 0.2;

/// How more is heard of.
#[derive(Debug)]
pub(super) enum Mode {
    /// A realtime server tells of it.
    Listening,
    /// It is looked for.
    Looking(Interval),
    /// There is no more.
    Querying,
}

impl Mode {
    pub(super) fn of(feed: &Feed) -> Self {
        match feed {
            Feed::User(_) => Mode::Listening,
            Feed::Streaming(streaming) => Mode::Looking(Interval::between(
                streaming.shortest_interval,
                streaming.longest_interval,
            )),
            Feed::History(_) => Mode::Querying,
        }
    }

    /// Whether a request that brings something new is free.
    pub(super) fn refunds(&self) -> bool {
        matches!(self, Mode::Listening)
    }
}

/// The waits between looks.
#[derive(Debug)]
pub(super) struct Interval {
    shortest: Duration,
    longest: Duration,
    next: Duration,
    /// Pages in a row that only moved the position.
    empty_pages: u32,
}

impl Interval {
    fn between(shortest: Duration, longest: Duration) -> Self {
        Self {
            shortest,
            longest,
            next: shortest,
            empty_pages: 0,
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

    /// A page had something new, or left the position where it was.
    pub(super) fn empty_pages_end(&mut self) {
        self.empty_pages = 0;
    }

    /// A page only moved the position. Whether it is followed at once.
    pub(super) fn follows_empty_page(&mut self) -> bool {
        self.empty_pages = (self.empty_pages + 1).min(EMPTY_PAGES_FOLLOWED + 1);
        self.empty_pages <= EMPTY_PAGES_FOLLOWED
    }
}
