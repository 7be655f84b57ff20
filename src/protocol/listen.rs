//! Listing the realtime servers with `OPTIONS /events`, and holding a poll at one of them.
//!
//! Any end of a poll becomes a [`Hint`], and events are fetched: a signal is a hint, and
//! `GET /events` is the truth. This module decides what follows that drain: a late check, a pause,
//! or the next poll. It lists the servers when none is left to poll. It fetches no events itself.
//! The type to start from is [`Listener`].

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::late::LateChecks;
use super::poll::{HoldLimit, Poll, PollEnd, refuses, was_cut};
use super::rotation::Rotation;
use super::state::{FAILURES_UNTIL_DEGRADED, Hint, Next, Scheduled, WaitReason};
use super::{Call, Response, ServerList, Signal, read_signal};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::pacing::Backoff;
use crate::position::StartAt;
use crate::transport::{TransportErrorKind, TransportRequest};

/// The listed servers, and the state learned from the ends of their polls.
#[derive(Debug)]
pub(super) struct Listener {
    config: Arc<Config>,
    /// `true` if the servers are listed for the stream type. Box may reject that parameter.
    lists_by_type: bool,
    /// The waits after failed lists.
    list_backoff: Backoff,
    /// The servers to poll, in turn.
    rotation: Rotation,
    pub(super) late: LateChecks,
    /// The consequences of the last poll's end.
    after: AfterPoll,
    /// The waits after failed polls.
    backoff: Backoff,
    /// The number of polls in a row that were refused, or had no connection.
    unusable: u32,
    hold_limit: HoldLimit,
}

/// The consequences of the last poll's end. They take effect once a drain has shown if there were
/// new events.
#[derive(Debug, Default)]
struct AfterPoll {
    /// The time that the poll was held, if the client ended it early and it may have been dead by
    /// then.
    limit: Option<Duration>,
    /// `true` if the poll ended without a signal of new events.
    quiet: bool,
    /// `true` if the poll shows that the server honors positions, unless the drain finds new
    /// events.
    probe: bool,
    /// The wait after a failed poll. Another drain follows the wait, since no poll was open
    /// meanwhile.
    pause: Option<(Instant, WaitReason)>,
}

impl Listener {
    pub(super) fn new(config: &Arc<Config>, rng: &mut fastrand::Rng, now: Instant) -> Self {
        Self {
            config: config.clone(),
            lists_by_type: true,
            list_backoff: Backoff::new(config.retry, rng.fork()),
            rotation: Rotation::empty(rng.fork(), now),
            late: LateChecks::default(),
            after: AfterPoll::default(),
            backoff: Backoff::new(config.retry, rng.fork()),
            unusable: 0,
            hold_limit: HoldLimit::default(),
        }
    }

    /// Returns `true` if a listed server can be polled.
    pub(super) fn has_server(&mut self, now: Moment) -> bool {
        self.rotation.pick(now.monotonic).is_some()
    }

    /// Returns the request that lists the servers.
    pub(super) fn list(&self, token: &AccessToken) -> TransportRequest {
        self.config.list_request(token, self.lists_by_type)
    }

    /// Returns `true` if Box may have rejected the stream type, so the servers are listed again
    /// without it.
    pub(super) fn drops_type(&mut self, error: &Error) -> bool {
        error.is_bad_request() && mem::take(&mut self.lists_by_type)
    }

    /// Schedules another list after a failed one. Events are fetched first, unless this is the
    /// first failure and the wait is short.
    pub(super) fn list_later(&mut self, error: Error, now: Moment) -> Next {
        let requested = error.retry_after().unwrap_or_default();
        let wait = self.list_backoff.after_failure(error.retry_after());
        let failures = self.list_backoff.in_a_row();
        if failures == 1 && requested.is_zero() && !error.is_timeout() {
            let at = now.monotonic + wait;
            return Next::Again(Scheduled::at(at, WaitReason::Failed(error), now));
        }
        let (wait, reason) = if failures < FAILURES_UNTIL_DEGRADED {
            (wait, WaitReason::Failed(error))
        } else {
            let wait = self.list_backoff.while_degraded().max(requested);
            (wait, WaitReason::Degraded(error))
        };
        Next::Drain(
            Hint::Maybe,
            Scheduled::at(now.monotonic + wait, reason, now),
        )
    }

    /// Takes a new list. While no server can be polled, events are fetched at the degraded
    /// interval.
    pub(super) fn servers_listed(&mut self, list: ServerList, now: Moment) -> Next {
        self.list_backoff.succeeded();
        self.rotation.replace(list.servers, now.monotonic);
        if self.has_server(now) {
            return Next::Listen;
        }
        let error = list.refused.unwrap_or_else(|| {
            Error::new(
                ErrorKind::UnexpectedResponse,
                "Box lists no realtime server that can be polled now",
            )
        });
        let mut at = now.monotonic + self.backoff.while_degraded();
        if let Some(released) = self.rotation.released_at() {
            at = at.min(released);
        }
        Next::Drain(
            Hint::Maybe,
            Scheduled::at(at, WaitReason::Degraded(error), now),
        )
    }

    /// Opens the next poll. Returns `None` if its server is no longer usable.
    ///
    /// The poll is held for the shortest of these times: the server's own timeout, the configured
    /// longest hold, the learned limit, and the time until the next late check or the end of a
    /// probe.
    pub(super) fn poll(
        &mut self,
        from: &StartAt,
        token: Option<AccessToken>,
        now: Moment,
    ) -> Option<(TransportRequest, Poll)> {
        let probe = self.late.take_probe();
        let server = self.rotation.pick(now.monotonic)?.clone();
        let longest = match self.config.hold(&server) {
            hold if hold < server.retry_timeout() => (hold, PollEnd::Limit),
            hold => (hold, PollEnd::Silence),
        };
        let limit = self.hold_limit.get(now.monotonic);
        let limit = limit.map(|limit| (limit, PollEnd::Limit));
        let early = match &probe {
            Some(_) => Some((LateChecks::PROBE, PollEnd::Probe)),
            None => self
                .late
                .next_after(now.monotonic)
                .map(|at| (at - now.monotonic, PollEnd::LateCheck)),
        };
        let earlier = [limit, early].into_iter().flatten();
        let (hold, ends_by) = earlier.fold(
            longest,
            |best, next| if next.0 < best.0 { next } else { best },
        );
        let from = probe.as_ref().unwrap_or(from);
        let request = self
            .config
            .poll_request(&server, from, token.as_ref(), hold);
        self.rotation.count_poll();
        let poll = Poll {
            token,
            sent: now,
            hold,
            ends_by,
            connecting: self.rotation.is_unreached(server.host()),
        };
        Some((request, poll))
    }

    /// Returns `true` if a poll may be sent once more, after a reused connection died under it. A
    /// poll that was held is not sent again, because something else cut it. If its server is no
    /// longer usable, the poll is not sent again either, because its URL may be used up.
    pub(super) fn may_resend(&mut self, poll: &Poll, now: Moment) -> bool {
        !poll.was_held(now) && self.has_server(now)
    }

    /// Takes the end of a poll. A drain follows.
    pub(super) fn poll_ended(&mut self, result: Response, poll: &Poll, now: Moment) -> Next {
        self.after = AfterPoll::default();
        if poll.had_connection(&result, now) {
            self.rotation.reached();
        }
        let ran_out = matches!(&result, Err(error) if error.kind() == TransportErrorKind::Timeout);
        let mut hint = Hint::Maybe;
        match read_signal(result) {
            Ok(Signal::NewChange) => {
                self.poll_was_good();
                self.late.signaled(now.monotonic);
                self.after.probe =
                    poll.ends_by == PollEnd::Probe && poll.held_for(now) < LateChecks::AT_ONCE;
                hint = Hint::Changed;
            }
            Ok(Signal::Reconnect | Signal::MaxRetries) => {
                self.poll_was_good();
                self.rotation.discard();
                self.after.quiet = true;
            }
            Err(error) if error.kind() == ErrorKind::Runtime => return Next::Stop(error),
            Err(_) if ran_out => self.poll_ran_out(poll, now),
            signal if poll.was_held(now) && was_cut(&signal) => self.poll_was_good(),
            Ok(Signal::Other(_)) => {
                let error = Error::new(
                    ErrorKind::UnexpectedResponse,
                    "the realtime server sent an unknown signal",
                );
                self.after.pause = Some(self.pause_after(error, now));
            }
            Err(error) => self.after.pause = Some(self.pause_after(error, now)),
        }
        Next::Drain(hint, Scheduled::now(now))
    }

    /// Takes the end of a poll that ran out without a response.
    fn poll_ran_out(&mut self, poll: &Poll, now: Moment) {
        if poll.was_held(now) {
            self.poll_was_good();
        }
        match poll.ends_by {
            PollEnd::Silence => {
                self.rotation.give_up_current();
                self.hold_limit.halve(poll.hold, now.monotonic);
            }
            PollEnd::Limit => self.after.limit = Some(poll.hold),
            PollEnd::LateCheck => {}
            PollEnd::Probe => self.late.probe_failed(),
        }
        self.after.quiet = poll.ends_by != PollEnd::Probe;
    }

    /// Returns the pause after a failed poll, and selects the server for the next poll.
    fn pause_after(&mut self, error: Error, now: Moment) -> (Instant, WaitReason) {
        if let Some(wait) = error.retry_after() {
            self.rotation.block_current(now.monotonic + wait);
        }
        let refused = error.status().is_some_and(refuses);
        if error.is_unreachable() {
            self.rotation.not_reached();
        }
        self.unusable = if refused || error.is_unreachable() {
            self.unusable + 1
        } else {
            0
        };
        match error.status() {
            _ if refused => self.rotation.discard(),
            None if error.kind() == ErrorKind::UnexpectedResponse => {}
            _ => self.rotation.give_up_current(),
        }
        if self.unusable < FAILURES_UNTIL_DEGRADED {
            let wait = self.backoff.after_failure(None);
            return (now.monotonic + wait, WaitReason::Failed(error));
        }
        let error = match error.status() {
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => error
                .with_hint("repeatedly; it may require the access token, see RealtimeToken::Send"),
            _ => error,
        };
        let until = now.monotonic + self.backoff.while_degraded();
        (until, WaitReason::Degraded(error))
    }

    /// Learns from the drain after a poll. Returns when to fetch again before the next poll, if a
    /// late check is due.
    pub(super) fn drained(&mut self, found_events: bool, now: Moment) -> Option<Instant> {
        let now = now.monotonic;
        if let Some(swallowed) = self.after.limit.take()
            && found_events
        {
            self.hold_limit.halve(swallowed, now);
            self.rotation.give_up_current();
        }
        if mem::take(&mut self.after.quiet) && found_events {
            self.late.signal_was_missed();
        }
        if mem::take(&mut self.after.probe) && !found_events {
            self.late.probe_succeeded();
        }
        self.late.before_next_poll(now)
    }

    /// Decides what follows a drain: a pause, or the next poll.
    pub(super) fn resume(&mut self, now: Moment) -> Next {
        match self.after.pause.take() {
            Some((until, reason)) if until > now.monotonic => {
                Next::Drain(Hint::Maybe, Scheduled::at(until, reason, now))
            }
            _ => Next::Listen,
        }
    }

    /// Notes that a poll has a connection, once it has outlived the attempt to connect.
    pub(super) fn check_connection(&mut self, poll: &mut Poll, now: Moment) {
        if poll.connecting && poll.outlived_connecting(now) {
            poll.connecting = false;
            self.rotation.reached();
        }
    }

    /// Resets the learned limits after the machine was suspended, since it may be in another
    /// network by now. `dropped` is the call that was in flight.
    pub(super) fn machine_was_suspended(&mut self, dropped: Option<Call>) {
        self.hold_limit = HoldLimit::default();
        if dropped.is_some() {
            self.after = AfterPoll::default();
        }
        if dropped == Some(Call::Listen) {
            self.rotation.discard();
        }
    }

    /// Notes that a poll showed its server to be usable.
    fn poll_was_good(&mut self) {
        self.unusable = 0;
        self.backoff.succeeded();
    }
}
