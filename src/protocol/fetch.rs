//! Fetching with `GET /events` until a page brings nothing new.
//!
//! This module owns the position. It removes repeats, applies the client's filter, adapts the page
//! limit, and decides after each page if another one is fetched. It may read one page ahead of the
//! consumer, but it moves the resume point only once the consumer has handled a page. It sends
//! nothing itself. The type to start from is [`Fetcher`].

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::complete::complete_until;
use super::mode::{AfterPage, CAUGHT_UP_WITHIN, Mode};
use super::page::{PageError, PageFault};
use super::page_limit::PageLimit;
use super::response::{PageResponse, read_page};
use super::state::{Hint, Next, PageOutcome, Scheduled, WaitReason};
use super::{Page, Response};
use crate::auth::AccessToken;
use crate::batch::Batch;
use crate::clock::Moment;
use crate::config::Config;
use crate::dedup::Window;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::pacing::{Backoff, TokenBucket};
use crate::position::StartAt;
use crate::redact::quote;
use crate::telemetry::Outcome;
use crate::transport::{ReceivedBody, TransportRequest};

/// The maximum number of a page's last events whose time is read. Reading a time costs parsing the
/// event.
const EVENTS_DATED: usize = 16;

/// The number of positions of a drain that are remembered, to notice that pages lead in a circle.
const POSITIONS_REMEMBERED: usize = 64;

/// The position of the stream, and the state for fetching its pages.
#[derive(Debug)]
pub(super) struct Fetcher {
    config: Arc<Config>,
    /// The end of all that the consumer has handled, where a stream resumes.
    pub(super) handled: StartAt,
    /// The start of the next page, which is the end of all that was fetched.
    pub(super) from: StartAt,
    /// The pages with events that were fetched and not delivered yet, in order.
    fetched: VecDeque<(Vec<Event>, PageEnd)>,
    /// The end of the page that the consumer has and has not handled yet.
    pub(super) delivered: Option<PageEnd>,
    /// A hint that has come while a fetch was in flight.
    pub(super) hint: Option<Hint>,
    /// The time of the last request.
    sent_at: Instant,
    /// The drain that is in progress, or the last one.
    pub(super) drain: Drain,
    /// The decision after each page.
    pub(super) mode: Mode,
    /// The ids of the latest events, to remove repeats.
    pub(super) window: Window,
    /// The limit of the next page.
    limit: PageLimit,
    /// The rate limit of small pages of a user stream. Each page counts until it turns out to be
    /// large. All calls of an enterprise stream count in the engine's own rate limiter instead.
    pub(super) small_pages: TokenBucket,
    /// The waits after failed fetches.
    backoff: Backoff,
    /// The start of the stream.
    began: SystemTime,
    /// The time at which the last page arrived.
    pub(super) page_came_at: Option<SystemTime>,
    /// The time at which Box last had nothing, or almost nothing, after the position.
    pub(super) caught_up_at: Option<SystemTime>,
    /// The time up to which the consumer has handled every event.
    pub(super) complete_until: Option<SystemTime>,
}

/// The state after a page, which applies once the consumer has handled it.
#[derive(Debug)]
pub(super) struct PageEnd {
    to: StartAt,
    caught_up_at: Option<SystemTime>,
    complete_until: Option<SystemTime>,
    /// The page as it came over the network, if the stream is a slice of a history.
    body: Option<ReceivedBody>,
}

impl PageEnd {
    /// Moves this end to that of a later page without events.
    fn extend(&mut self, later: PageEnd) {
        self.to = later.to;
        self.caught_up_at = later.caught_up_at.or(self.caught_up_at);
        self.complete_until = later.complete_until.max(self.complete_until);
    }
}

impl Fetcher {
    pub(super) fn new(
        config: &Arc<Config>,
        start: StartAt,
        rng: &mut fastrand::Rng,
        now: Moment,
    ) -> Self {
        Self {
            config: config.clone(),
            handled: start.clone(),
            from: start,
            fetched: VecDeque::new(),
            delivered: None,
            hint: None,
            sent_at: now.monotonic,
            drain: Drain::default(),
            mode: Mode::new(config, rng.fork()),
            window: Window::new(config.dedupe_window, rng),
            limit: PageLimit::new(config.page_limit),
            small_pages: config.pace.small_pages(now.monotonic),
            backoff: Backoff::new(config.retry, rng.fork()),
            began: now.wall,
            page_came_at: None,
            caught_up_at: None,
            complete_until: None,
        }
    }

    pub(super) fn resume_from(&mut self, from: StartAt, caught_up_at: SystemTime) {
        self.handled = from.clone();
        self.from = from;
        self.caught_up_at = Some(caught_up_at);
        // If the stream has not caught up yet, this is the time of its start.
        self.began = self.began.min(caught_up_at);
    }

    /// Checks that this kind of stream can begin at its start.
    pub(super) fn check_start(&self) -> Result<(), &'static str> {
        match self.from {
            StartAt::Now if self.mode.is_query() => {
                Err("a query of past events cannot start at now: start at the oldest event")
            }
            StartAt::Since(_) if self.mode.is_long_poll() => Err(
                "a stream of a user's events cannot start at a time, because Box has no history of \
                 them: start at the oldest event",
            ),
            StartAt::Since(_) => Err(
                "this engine reads no history: start at the oldest event, or use a client's stream",
            ),
            _ => Ok(()),
        }
    }

    /// Returns `true` if one more page may be fetched: at most as many pages are unhandled as may
    /// be read ahead, and the consumer may have one of those.
    pub(super) fn has_room(&self) -> bool {
        let unhandled = self.fetched.len() + usize::from(self.delivered.is_some());
        unhandled <= self.config.read_ahead
    }

    /// Returns `true` if the consumer has handled all events that were fetched.
    pub(super) fn all_is_handled(&self) -> bool {
        self.fetched.is_empty() && self.delivered.is_none()
    }

    /// Returns `true` unless a fetch has failed, and none has succeeded since.
    pub(super) fn works(&self) -> bool {
        self.backoff.in_a_row() == 0
    }

    /// Returns the window of ids without those of the pages that were not delivered.
    pub(super) fn window_of_delivered(&self) -> Window {
        let undelivered = self.fetched.iter().flat_map(|(events, _)| events);
        let undelivered: HashSet<u128> = undelivered
            .filter_map(Event::id)
            .map(|id| self.window.hash(id))
            .collect();
        self.window.without(&undelivered)
    }

    /// Returns the next batch, if there is one and the consumer has handled the one before.
    pub(super) fn next_batch(&mut self) -> Option<Batch> {
        if self.delivered.is_some() {
            return None;
        }
        let (events, mut end) = self.fetched.pop_front()?;
        let batch = Batch::new(events, end.to.clone()).with_page(end.body.take());
        self.delivered = Some(end);
        Some(batch)
    }

    /// Moves the resume point past the batch that the consumer has handled.
    pub(super) fn batch_handled(&mut self) {
        if let Some(end) = self.delivered.take() {
            self.move_past(end);
        }
    }

    fn move_past(&mut self, end: PageEnd) {
        self.handled = end.to;
        self.caught_up_at = end.caught_up_at.or(self.caught_up_at);
        self.complete_until = end.complete_until.max(self.complete_until);
    }

    /// Returns when the next fetch is due by the setting `max_staleness`.
    pub(super) fn stale_at(&self) -> Option<Instant> {
        self.config.max_staleness.map(|most| self.sent_at + most)
    }

    /// Returns this time, or an earlier one by the setting `max_staleness`.
    pub(super) fn no_staler_than(&self, at: Instant) -> Instant {
        self.stale_at().map_or(at, |stale_at| at.min(stale_at))
    }

    /// Returns the request for the next page.
    pub(super) fn request(&mut self, token: &AccessToken, now: Moment) -> TransportRequest {
        self.sent_at = now.monotonic;
        let times = self.began..now.wall;
        self.config
            .page_request(&self.from, self.limit.current(), token, times)
    }

    /// Takes the response to a fetch.
    pub(super) fn page_came(
        &mut self,
        result: Response,
        token: AccessToken,
        now: Moment,
    ) -> Result<(Vec<Event>, PageOutcome), (Outcome, Next)> {
        let response = read_page(result, &token, &self.from).map_err(|failed| {
            let outcome = Outcome::of(&failed.error);
            (outcome, self.page_failed(failed, token, now))
        })?;
        if self.from == StartAt::Now && response.page.next_position.is_none() {
            let error = Error::new(
                ErrorKind::UnexpectedResponse,
                "Box gave no position for `now`",
            );
            return Err((Outcome::of(&error), Next::Retry(error)));
        }
        self.backoff.succeeded();
        self.page_came_at = Some(now.wall);
        let events = response.page.events.len();
        if self.limit.is_large(events) {
            self.small_pages.refund();
        }
        let caught_up = self.ends_backlog(&response);
        let is_full = self.limit.is_full(events);
        self.limit.page_came(events);
        Ok(self.drop_unwanted(response, is_full, caught_up, now))
    }

    /// Adapts the page limit to a failure. A single event that stays unreadable stops the stream.
    fn page_failed(&mut self, failed: PageError, token: AccessToken, now: Moment) -> Next {
        let PageError { error, fault } = failed;
        let now = now.monotonic;
        if error.kind() == ErrorKind::PageUndecodable && self.limit.is_unreadable(now) {
            return Next::Stop(error);
        }
        match fault {
            PageFault::Call => {}
            PageFault::Slow => self.limit.page_was_slow(now),
            PageFault::TooLarge => self.limit.halve(),
            PageFault::Undecodable => self.limit.page_failed(),
        }
        Next::CallFailed(error, token)
    }

    /// Returns `true` if a page proves that there was nothing more, or nothing but the latest
    /// events.
    fn ends_backlog(&self, response: &PageResponse) -> bool {
        let page = &response.page;
        if page.next_position.is_none() && !page.events.is_empty() {
            // The page does not show if more events follow.
            return false;
        }
        // By definition nothing follows `now`.
        if self.from == StartAt::Now || !self.limit.is_full(page.events.len()) {
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

    /// Removes the repeats from a page, and the events that do not match the filter. The ids of the
    /// latter are remembered too. So a page without an event that matches is like any other page
    /// with new events, for the position as well as for the drain.
    fn drop_unwanted(
        &mut self,
        response: PageResponse,
        is_full: bool,
        caught_up: bool,
        now: Moment,
    ) -> (Vec<Event>, PageOutcome) {
        let Page {
            mut events,
            next_position,
        } = response.page;
        let moved = next_position
            .as_ref()
            .is_some_and(|next| self.from.position() != Some(next));
        let mut new_ids = false;
        let mut without_id = false;
        self.window.hold_at_least(events.len());
        let received = events.len();
        events.retain(|event| {
            let Some(id) = event.id() else {
                without_id = true;
                return true;
            };
            let first_seen = self.window.insert(id);
            new_ids |= first_seen;
            first_seen
        });
        let repeats = received - events.len();
        let newest = events.iter().filter_map(Event::created_at).max();
        events.retain(|event| self.config.wants(event));
        let circles = moved
            && !new_ids
            && next_position.as_ref().is_some_and(|position| {
                let hash = self.window.hash(position.as_str());
                self.drain.was_visited(hash)
            });
        let sent_at = response.date.unwrap_or(now.wall);
        let passed = now.monotonic.saturating_duration_since(self.sent_at);
        let outcome = PageOutcome {
            to: next_position.map_or_else(|| self.from.clone(), StartAt::At),
            moved,
            brought_new: new_ids || (without_id && moved && !circles),
            is_full,
            circles,
            caught_up_at: caught_up.then_some(now.wall),
            sent_at,
            requested_at: sent_at.checked_sub(passed).unwrap_or(sent_at),
            newest: newest.and_then(|newest| SystemTime::try_from(newest).ok()),
            repeats,
            body: self.mode.is_slice().then_some(response.body),
        };
        (events, outcome)
    }

    /// Keeps a page for the consumer, and decides if another page follows. A page without events
    /// moves the resume point together with the page before it.
    pub(super) fn keep_page(
        &mut self,
        events: Vec<Event>,
        outcome: PageOutcome,
        now: Moment,
    ) -> Next {
        let resolved_now = self.from == StartAt::Now;
        if outcome.brought_new {
            self.drain.found_events = true;
            self.drain.followed_at_once = false;
        }
        let only_moved = outcome.moved && !outcome.brought_new && !resolved_now;
        if only_moved && !outcome.circles && self.mode.is_long_poll() {
            self.drain.on_credit = !self.drain.followed_at_once;
            self.drain.followed_at_once = true;
        }
        let after = self.mode.after_page(&outcome, only_moved, now.monotonic);
        self.from = outcome.to.clone();
        let end = PageEnd {
            complete_until: complete_until(&self.config, self.began, &outcome, &after),
            to: outcome.to,
            caught_up_at: outcome.caught_up_at,
            body: outcome.body,
        };
        let last = self.fetched.back_mut().map(|(_, end)| end);
        match last.or(self.delivered.as_mut()) {
            _ if !events.is_empty() => self.fetched.push_back((events, end)),
            Some(last) => last.extend(end),
            None => self.move_past(end),
        }
        match after {
            AfterPage::Fetch => Next::Again(Scheduled::now(now)),
            AfterPage::FetchIn(wait) => {
                let at = now.monotonic + wait;
                Next::Again(Scheduled::at(at, WaitReason::Interval, now))
            }
            AfterPage::EndDrain => self.end_drain(now),
            AfterPage::Finish => Next::Finish,
            AfterPage::GiveUp(why) => Next::Stop(self.unfinished(why)),
        }
    }

    /// Ends a drain: an enterprise stream waits for its interval, and a user stream for a signal.
    fn end_drain(&mut self, now: Moment) -> Next {
        let Some(wait) = self.mode.interval(self.drain.found_events) else {
            return Next::Drained;
        };
        let at = now.monotonic + wait;
        self.backlog_ends(now);
        Next::Drain(Scheduled::at(at, WaitReason::Interval, now))
    }

    /// Returns the error of a query that does not finish.
    fn unfinished(&self, why: &str) -> Error {
        let at = quote(&self.from.to_string());
        Error::new(
            ErrorKind::QueryUnfinished,
            format!("the query does not finish: its position {why}; it is now {at}"),
        )
    }

    /// Notes that no page follows at once.
    pub(super) fn backlog_ends(&mut self, now: Moment) {
        self.limit.backlog_ends(now.monotonic);
    }

    /// Returns the time of the next fetch after a failed API call.
    pub(super) fn retry_at(&mut self, error: &Error, now: Moment) -> Instant {
        now.monotonic + self.backoff.after_failure(error.retry_after())
    }
}

/// The progress of a drain.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is independent of the others"
)]
pub(super) struct Drain {
    /// `true` if a page brought new events.
    pub(super) found_events: bool,
    /// `true` if a page that only moved the position was already followed at once.
    followed_at_once: bool,
    /// `true` if the next request does not wait for the pace.
    pub(super) on_credit: bool,
    /// `true` if a poll signaled a change and no new event has followed yet.
    pub(super) signaled: bool,
    /// The positions that pages without a new id led to, as hashes, oldest first. There are at most
    /// [`POSITIONS_REMEMBERED`].
    visited: VecDeque<u128>,
}

impl Drain {
    /// Starts a drain. After a signal, its first fetch does not wait for the pace.
    pub(super) fn start(hint: Hint) -> Self {
        let signaled = hint == Hint::Changed;
        Self {
            on_credit: signaled,
            signaled,
            ..Self::default()
        }
    }

    /// Returns `true` if a page without a new id has led to the position with this hash before.
    /// Remembers the position.
    fn was_visited(&mut self, hash: u128) -> bool {
        if self.visited.contains(&hash) {
            return true;
        }
        if self.visited.len() == POSITIONS_REMEMBERED {
            self.visited.pop_front();
        }
        self.visited.push_back(hash);
        false
    }
}
