//! Fetching until a page brings nothing new.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant, SystemTime};

use super::mode::{Mode, QueryStep};
use super::response::{PageError, PageResponse, read_page};
use super::state::{Arrived, Because, Due, Phase};
use super::{Call, LongPoll, Response};
use crate::auth::AccessToken;
use crate::batch::Batch;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::position::{StartAt, StreamPosition};
use crate::redact::quote;

/// So many positions of a drain are remembered, to notice that pages lead in a circle.
const POSITIONS_REMEMBERED: usize = 64;

/// A full page is the end of the backlog if its newest event is no older than this: Box shows events late, and its stream is
/// not in the order of time.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(3_600);

/// So many of a page's last events are asked for their time, which takes reading each.
const EVENTS_DATED: usize = 16;

/// How far the fetching is.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them holds or not, whatever the others do"
)]
pub(super) struct Drain {
    pub(super) found_events: bool,
    /// Whether a page that only moved the position was already followed at once.
    pub(super) followed_at_once: bool,
    /// Whether the next request is not made to wait for the pace.
    pub(super) on_credit: bool,
    /// Whether a poll told of a change that was not seen yet.
    signalled: bool,
    pub(super) then: Option<Pause>,
    /// How long the poll before it was held, where it was ended early and may have been dead by then.
    pub(super) after_limit: Option<Duration>,
    /// `true` if the poll before it ended without a word of new events.
    pub(super) after_quiet_poll: bool,
    /// `true` if the poll before it showed that the server honors positions, unless there are new events.
    pub(super) after_probe: bool,
    /// Where pages without a new id led, as hashes, oldest first.
    visited: VecDeque<u128>,
}

impl Drain {
    /// The drain after `new_change`.
    pub(super) fn after_a_signal() -> Self {
        Self {
            on_credit: true,
            signalled: true,
            ..Self::default()
        }
    }

    /// Looks once more. What follows stays the same.
    pub(super) fn restart(&mut self) {
        *self = Self {
            then: self.then.take(),
            ..Self::default()
        };
    }
}

/// A wait between a failed poll and the next, which ends with another drain: nobody listened meanwhile.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) until: Instant,
    pub(super) because: Because,
}

/// What turning a page means.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) to: StartAt,
    pub(super) moved: bool,
    pub(super) brought_new: bool,
    /// The pages lead in a circle.
    pub(super) circles: bool,
    /// When the page came, if it proves that there was nothing more, or next to nothing.
    pub(super) caught_up_at: Option<SystemTime>,
    /// When it was sent, by Box's clock if the response says so.
    pub(super) sent_at: SystemTime,
}

impl LongPoll {
    /// Starts a drain, when its first page is due.
    pub(super) fn fetch(&mut self, drain: Drain, due: Due) {
        self.resends = false;
        self.call = Call::Fetch;
        self.drain = drain;
        self.enter(Phase::Due(due));
    }

    pub(super) fn take_page(&mut self, result: Response, token: AccessToken, now: Moment) {
        match read_page(result, &token, &self.from) {
            Ok(PageResponse { page, .. })
                if self.from == StartAt::Now && page.next_position.is_none() =>
            {
                self.retry(
                    Error::new(
                        ErrorKind::UnexpectedAnswer,
                        "Box gave no position for `now`",
                    ),
                    now,
                );
            }
            Ok(response) => {
                self.token_was_good();
                self.api_backoff.succeeded();
                self.page_came_at = Some(now.wall);
                if self.limit.is_large(response.page.events.len()) {
                    self.small_pages.refund();
                }
                let caught_up = self.is_the_end_of_a_backlog(&response);
                self.limit.page_came(response.page.events.len());
                self.enter(Phase::Arrived(Arrived {
                    page: response.page,
                    caught_up_at: caught_up.then_some(now.wall),
                    sent_at: response.date.unwrap_or(now.wall),
                }));
            }
            Err(PageError::Call(error)) => self.api_failed(error, token, now),
            Err(PageError::Slow(error)) => {
                self.limit.page_was_slow(now.monotonic);
                self.api_failed(error, token, now);
            }
            Err(error @ (PageError::TooLarge(_) | PageError::Undecodable(_))) => {
                let too_large = matches!(error, PageError::TooLarge(_));
                let error = Error::from(error);
                if self.limit.is_unreadable(now.monotonic) {
                    return self.stop(error);
                }
                if too_large {
                    self.limit.page_too_large();
                } else {
                    self.limit.page_failed();
                }
                self.retry(error, now);
            }
        }
    }

    /// Returns `true` if a page proves that there was nothing more, or nothing but what has just happened.
    fn is_the_end_of_a_backlog(&self, response: &PageResponse) -> bool {
        let page = &response.page;
        if page.next_position.is_none() && !page.events.is_empty() {
            // How much lies behind its events, it doesn't tell.
            return false;
        }
        if !self.limit.is_full(page.events.len()) {
            return true;
        }
        let Some(date) = response.date else {
            return false;
        };
        let last = page.events.iter().rev().take(EVENTS_DATED);
        let newest = last.filter_map(Event::recorded_at).max();
        newest
            .and_then(|newest| SystemTime::try_from(newest).ok())
            .is_some_and(|newest| newest + CAUGHT_UP_WITHIN >= date)
    }

    /// Takes the repeats out of a page. What is left is handed out; a page without any is turned at once.
    pub(super) fn sift(&mut self, arrived: Arrived, now: Moment) -> Option<Batch> {
        let Arrived {
            page,
            caught_up_at,
            sent_at,
        } = arrived;
        let moved = page
            .next_position
            .as_ref()
            .is_some_and(|next| self.from.position() != Some(next));
        let mut new_ids = false;
        let mut without_id = false;
        let mut events = page.events;
        self.window.hold_at_least(events.len());
        events.retain(|event| {
            let Some(id) = event.id() else {
                without_id = true;
                return true;
            };
            let first_seen = self.window.insert(id);
            new_ids |= first_seen;
            first_seen
        });
        let circles = moved && !new_ids && self.was_visited(page.next_position.as_ref());
        let brought_new = new_ids || (without_id && moved && !circles);
        let turn = Turn {
            to: page
                .next_position
                .map_or_else(|| self.from.clone(), StartAt::At),
            moved,
            brought_new,
            circles,
            caught_up_at,
            sent_at,
        };
        if brought_new && self.mode.refunds() {
            self.rate_limiter.refund();
            if mem::take(&mut self.drain.signalled) {
                self.rate_limiter.refund_marked();
            }
        }
        if events.is_empty() {
            self.turn_page(turn, now);
            return None;
        }
        let batch = Batch::new(events, turn.to.clone());
        self.enter(Phase::AwaitHandled(turn));
        Some(batch)
    }

    /// Returns `true` if this drain was led to that position before by a page without a new id.
    fn was_visited(&mut self, position: Option<&StreamPosition>) -> bool {
        let Some(position) = position else {
            return false;
        };
        let hash = self.window.hash(position.as_str());
        let visited = &mut self.drain.visited;
        if visited.contains(&hash) {
            return true;
        }
        if visited.len() == POSITIONS_REMEMBERED {
            visited.pop_front();
        }
        visited.push_back(hash);
        false
    }

    pub(super) fn turn_page(&mut self, turn: Turn, now: Moment) {
        let anchored = self.from == StartAt::Now;
        self.caught_up_at = turn.caught_up_at.or(self.caught_up_at);
        let from = mem::replace(&mut self.from, turn.to);
        if turn.brought_new {
            self.drain.found_events = true;
            self.drain.followed_at_once = false;
            self.listener.late.page_read(&from);
        }
        let only_moved = turn.moved && !turn.brought_new && !anchored;
        let goes_on = match &mut self.mode {
            Mode::Querying(_) if turn.circles => {
                return self.stop(self.unfinished("goes in circles"));
            }
            _ if turn.circles => false,
            Mode::Looking(interval) if only_moved => {
                // What was filtered out may be a long stretch.
                let time = self.from.position().and_then(StreamPosition::time);
                let lies_back = time.is_some_and(|time| time + CAUGHT_UP_WITHIN < turn.sent_at);
                interval.empty_pages.follow() || lies_back
            }
            Mode::Looking(interval) => {
                interval.empty_pages.reset();
                turn.brought_new
            }
            Mode::Listening(empty_pages) if only_moved => {
                self.drain.on_credit = !self.drain.followed_at_once;
                self.drain.followed_at_once = true;
                empty_pages.follow()
            }
            Mode::Listening(empty_pages) => {
                empty_pages.end(turn.moved);
                turn.brought_new
            }
            Mode::Querying(query) if only_moved => {
                return match query.after_empty_page(
                    self.from.position(),
                    turn.sent_at,
                    now.monotonic,
                ) {
                    QueryStep::GoOn(wait) => {
                        let at = now.monotonic + wait;
                        self.enter(Phase::Due(Due::at(at, Because::NextLook, now)));
                    }
                    QueryStep::Finish => self.enter(Phase::Stop(None)),
                    QueryStep::GiveUp => {
                        self.stop(self.unfinished("has moved for an hour without an event"));
                    }
                };
            }
            Mode::Querying(query) => {
                query.quiet_ends();
                turn.brought_new
            }
        };
        if goes_on {
            self.enter(Phase::Due(Due::now(now)));
        } else {
            self.end_drain(now);
        }
    }

    fn unfinished(&self, why: &str) -> Error {
        let at = quote(&self.from.to_string());
        Error::new(
            ErrorKind::QueryUnfinished,
            format!("the query comes to no end: its position {why}; it is at {at}"),
        )
    }

    /// A page brought nothing new: wait for the next look, or go on as the mode says.
    fn end_drain(&mut self, now: Moment) {
        match &mut self.mode {
            Mode::Listening(_) => self.resume_listening(now),
            Mode::Looking(interval) => {
                let wait = interval.after_look(self.drain.found_events, &mut self.rng);
                self.limit.backlog_ends(now.monotonic);
                let at = now.monotonic + wait;
                self.fetch(Drain::default(), Due::at(at, Because::NextLook, now));
            }
            Mode::Querying(_) => self.enter(Phase::Stop(None)),
        }
    }
}
