//! Fetching until a page brings nothing new.

use std::mem;
use std::time::{Duration, Instant};

use super::answer::{PageError, read_page};
use super::mode::Mode;
use super::state::{Because, Due, Phase, Step};
use super::{Answer, LongPoll, Page};
use crate::auth::AccessToken;
use crate::batch::Batch;
use crate::error::{Error, ErrorKind};
use crate::position::StartAt;
use crate::transport::Moment;

/// Where pages had to be made smaller, so many that can be read come before a larger one is tried: what made one too large
/// is likely to be in its neighbours too.
const DECODED_UNTIL_DOUBLED: u32 = 8;

/// When to look again after a `new_change` that brought nothing, in seconds since the look before.
const LATE_CHECKS: &[u64] = &[1, 2, 4];

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
    late_checks: &'static [u64],
    /// Whether a poll told of a change that was not seen yet.
    signalled: bool,
    /// Whether what a poll told of has come.
    signal_came: bool,
    pub(super) then: Option<Pause>,
}

impl Drain {
    /// The drain after `new_change`.
    pub(super) fn after_a_signal() -> Self {
        Self {
            on_credit: true,
            late_checks: LATE_CHECKS,
            signalled: true,
            ..Self::default()
        }
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
    /// It has events, and no position to go on from: how much lies behind them, it doesn't tell.
    pub(super) may_hide_more: bool,
}

impl LongPoll {
    /// Starts a drain, when its first page is due.
    pub(super) fn fetch(&mut self, drain: Drain, due: Due) {
        self.step = Step::Fetch;
        self.drain = drain;
        self.enter(Phase::Due(due));
    }

    pub(super) fn take_page(&mut self, answer: Answer, token: AccessToken, now: Moment) {
        match read_page(answer, &token) {
            Ok(page) if self.from == StartAt::Now && page.next_position.is_none() => {
                self.retry(
                    Error::new(
                        ErrorKind::UnexpectedAnswer,
                        "Box gave no position for `now`",
                    ),
                    now,
                );
            }
            Ok(page) => {
                self.page_token = self.drain.signal_came.then_some(token);
                self.renewed = None;
                self.undecodable = 0;
                self.decoded += 1;
                if self.decoded >= DECODED_UNTIL_DOUBLED {
                    self.limit = (self.limit * 2).min(self.config.page_limit);
                    self.decoded = 0;
                }
                self.enter(Phase::Arrived(page));
            }
            Err(PageError::Call(error)) => self.api_failed(error, token, now),
            Err(PageError::TooLarge(error)) => {
                let at = self.after_api_backoff(&error, now);
                self.halve_page(error, at, now);
            }
            Err(PageError::Undecodable(error)) => {
                self.undecodable += 1;
                let at = self.after_api_backoff(&error, now);
                if self.undecodable < 2 && self.limit == self.config.page_limit {
                    self.enter(Phase::Due(Due::at(at, Because::Failed(error), now)));
                } else {
                    self.halve_page(error, at, now);
                }
            }
        }
    }

    /// Asks for fewer events, so that the one at fault comes alone in the end.
    fn halve_page(&mut self, error: Error, at: Instant, now: Moment) {
        if self.limit == 1 {
            return self.stop(error);
        }
        self.limit /= 2;
        self.decoded = 0;
        self.enter(Phase::Due(Due::at(at, Because::Failed(error), now)));
    }

    /// Takes the repeats out of a page. What is left is handed out; a page without any is turned at once.
    pub(super) fn sift(&mut self, page: Page, now: Moment) -> Option<Batch> {
        let moved = page
            .next_position
            .as_ref()
            .is_some_and(|next| self.from.position() != Some(next));
        let may_hide_more = page.next_position.is_none() && !page.events.is_empty();
        let mut brought_new = false;
        let mut events = page.events;
        self.window.hold_at_least(events.len());
        events.retain(|event| {
            let Some(id) = event.id() else {
                brought_new |= moved;
                return true;
            };
            let first_seen = self.window.insert(id);
            brought_new |= first_seen;
            first_seen
        });
        let turn = Turn {
            to: page
                .next_position
                .map_or_else(|| self.from.clone(), StartAt::At),
            moved,
            brought_new,
            may_hide_more,
        };
        if brought_new && self.mode.refunds() {
            self.allowance.refund();
            if mem::take(&mut self.drain.signalled) {
                self.drain.signal_came = true;
                self.allowance.give_back();
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

    pub(super) fn turn_page(&mut self, turn: Turn, now: Moment) {
        let anchored = self.from == StartAt::Now;
        self.from = turn.to;
        if turn.brought_new {
            self.drain.found_events = true;
            self.drain.followed_at_once = false;
        }
        let only_moved = turn.moved && !turn.brought_new && !anchored;
        let goes_on = match &mut self.mode {
            Mode::Looking(interval) if only_moved => interval.follows_empty_page(),
            Mode::Looking(interval) => {
                interval.empty_pages_end();
                turn.brought_new
            }
            Mode::Listening if only_moved => {
                self.drain.on_credit = !self.drain.followed_at_once;
                self.drain.followed_at_once = true;
                true
            }
            Mode::Listening | Mode::Querying => turn.brought_new || only_moved,
        };
        if goes_on {
            self.enter(Phase::Due(Due::now(now)));
        } else {
            if !turn.may_hide_more {
                self.caught_up_at = Some(now.wall);
            }
            self.end_drain(now);
        }
    }

    /// A page brought nothing new: wait for the next look, or go on as the mode says.
    fn end_drain(&mut self, now: Moment) {
        match &mut self.mode {
            Mode::Listening => self.resume_listening(now),
            Mode::Looking(interval) => {
                let wait = interval.after_look(self.drain.found_events, &mut self.rng);
                self.limit = self.config.page_limit;
                let at = now.monotonic + wait;
                self.fetch(Drain::default(), Due::at(at, Because::NextLook, now));
            }
            Mode::Querying => self.enter(Phase::Stop(None)),
        }
    }

    /// Looks again later, pauses, lists or listens.
    fn resume_listening(&mut self, now: Moment) {
        let drain = &mut self.drain;
        if let [seconds, later @ ..] = drain.late_checks
            && !drain.found_events
        {
            drain.late_checks = later;
            let at = now.monotonic + Duration::from_secs(*seconds);
            return self.enter(Phase::Due(Due::at(at, Because::ItsTurn, now)));
        }
        // A poll would have to wait for the pace, and so would the fetch after it: one of the two does as well, and sooner.
        if drain.found_events && !self.allowance.can_pay(now.monotonic) {
            *drain = Drain {
                then: drain.then.take(),
                ..Drain::default()
            };
            return self.enter(Phase::Due(Due::now(now)));
        }
        self.limit = self.config.page_limit;
        if let Some(pause) = drain.then.take()
            && pause.until > now.monotonic
        {
            return self.fetch(Drain::default(), Due::at(pause.until, pause.because, now));
        }
        self.step = match self.rotation.pick(now.monotonic) {
            Some(_) => Step::Listen,
            None => Step::List,
        };
        self.enter(Phase::Due(Due::now(now)));
    }
}
