//! Listing the realtime servers with `OPTIONS /events`, and holding a poll at one of them.
//!
//! Any end of a poll becomes a [`Hint`], and events are fetched: a signal is a hint, and
//! `GET /events` is the truth. This module decides when the next poll opens: at once, beside that
//! fetch, or after a late check or a pause. It lists the servers when none is left to poll. It
//! fetches no events itself. The type to start from is [`Listener`].

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::late::{LateChecks, Positions};
use super::poll::{HoldLimit, Poll, PollEnd, refuses, was_cut};
use super::rotation::Rotation;
use super::state::{FAILURES_UNTIL_DEGRADED, Hint, Next, Scheduled, WaitReason};
use super::{Response, ServerList, Signal, read_signal};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::pacing::Backoff;
use crate::position::StartAt;
use crate::telemetry::Outcome;
use crate::transport::TransportRequest;

/// The listed servers, and the state learned from the ends of their polls.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is independent of the others"
)]
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
    /// The pause before the next poll, after a failure. Events are fetched when it ends, since no
    /// poll is open meanwhile.
    pause: Option<(Instant, WaitReason)>,
    /// `true` if the pause has begun since the driver has last taken note.
    pause_is_new: bool,
    /// `true` if the next poll goes to another server.
    skips_server: bool,
    /// `true` if a poll was opened beside the drain that is in progress. On an account that changes
    /// all the time, each page has events, and a poll for each page would double the requests.
    polled_beside: bool,
    /// `true` if a page with new events has arrived since the last poll was sent.
    found_since_poll: bool,
    /// The waits after failed polls.
    backoff: Backoff,
    /// The number of polls in a row that were refused, or had no connection.
    unusable: u32,
    /// `true` if the last list had no server that can be polled.
    has_no_server: bool,
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
            pause: None,
            pause_is_new: false,
            skips_server: false,
            polled_beside: false,
            found_since_poll: false,
            backoff: Backoff::new(config.retry, rng.fork()),
            unusable: 0,
            has_no_server: false,
            hold_limit: HoldLimit::default(),
        }
    }

    /// Returns `true` if a listed server can be polled.
    pub(super) fn has_server(&mut self, now: Moment) -> bool {
        if mem::take(&mut self.skips_server) {
            self.rotation.give_up_current();
        }
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
        let (until, reason) = if failures < FAILURES_UNTIL_DEGRADED {
            (now.monotonic + wait, WaitReason::Failed(error))
        } else {
            let wait = self.list_backoff.while_degraded().max(requested);
            (now.monotonic + wait, WaitReason::Degraded(error))
        };
        self.pause_until(until, reason);
        Next::Pause
    }

    /// Takes a new list. While no server can be polled, events are fetched at the degraded
    /// interval.
    pub(super) fn servers_listed(&mut self, list: ServerList, now: Moment) -> Next {
        self.list_backoff.succeeded();
        self.rotation.replace(list.servers, now.monotonic);
        self.skips_server = false;
        self.has_no_server = !self.has_server(now);
        if !self.has_no_server {
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
        self.pause_until(at, WaitReason::Degraded(error));
        Next::Pause
    }

    /// Returns the time since which listening works: now, or the time at which the poll in flight was
    /// sent. `None` if it has failed, and no good poll has followed yet.
    pub(super) fn works_since(&self, poll: Option<&Poll>, now: Moment) -> Option<Instant> {
        if self.has_no_server || self.list_backoff.in_a_row() > 0 {
            return None;
        }
        if self.backoff.in_a_row() == 0 {
            return Some(now.monotonic);
        }
        let held = poll.filter(|poll| poll.was_held(now));
        held.map(|poll| poll.sent.monotonic)
    }

    /// Opens the next poll. Returns `None` if its server is no longer usable.
    ///
    /// The poll is held for the shortest of these times: the server's own timeout, the configured
    /// longest hold, the learned limit, and the time of a probe.
    pub(super) fn poll(
        &mut self,
        from: &StartAt,
        token: Option<AccessToken>,
        now: Moment,
    ) -> Option<(TransportRequest, Poll)> {
        let server = self.rotation.pick(now.monotonic)?.clone();
        let probe = self.late.take_probe();
        let longest = match self.config.hold(&server) {
            hold if hold < server.retry_timeout() => (hold, PollEnd::Limit),
            hold => (hold, PollEnd::Silence),
        };
        let limit = self.hold_limit.get(now.monotonic);
        let probe_ends = probe.as_ref().map(|_| (LateChecks::PROBE, PollEnd::Probe));
        let earlier = [limit, probe_ends].into_iter().flatten();
        let (hold, ends_by) = earlier.fold(
            longest,
            |best, next| if next.0 < best.0 { next } else { best },
        );
        let from = probe.as_ref().unwrap_or(from);
        let request = self
            .config
            .poll_request(&server, from, token.as_ref(), hold);
        self.rotation.count_poll();
        self.found_since_poll = false;
        let poll = Poll {
            token,
            sent: now,
            hold,
            ends_by,
            is_limited: limit.is_some_and(|(limit, _)| limit == hold),
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

    /// Takes the end of a poll, and decides when the next one opens. Returns the outcome of the poll
    /// too. `was_polled` is `false` if the
    /// poll may have ended long ago, while the consumer worked. Its time teaches nothing then.
    pub(super) fn poll_ended(
        &mut self,
        result: Response,
        poll: &Poll,
        was_polled: bool,
        now: Moment,
    ) -> (Next, Outcome) {
        self.after = AfterPoll::default();
        if poll.had_connection(&result, now) {
            self.rotation.reached();
        }
        let signal = read_signal(result);
        let outcome = match &signal {
            Ok(Signal::Other(_)) => Outcome::Unexpected,
            Ok(_) => Outcome::Ok,
            Err(error) => Outcome::of(error),
        };
        (self.after_poll(signal, poll, was_polled, now), outcome)
    }

    fn after_poll(
        &mut self,
        signal: Result<Signal, Error>,
        poll: &Poll,
        was_polled: bool,
        now: Moment,
    ) -> Next {
        match signal {
            Ok(Signal::NewChange) => {
                self.poll_was_good();
                self.hold_limit.was_not_cut(poll.held_for(now));
                return self.signaled(poll, was_polled, now);
            }
            Ok(Signal::Reconnect | Signal::MaxRetries) => {
                self.poll_was_good();
                self.hold_limit.was_not_cut(poll.held_for(now));
                self.rotation.discard();
                self.after.quiet = true;
            }
            Err(error) if error.kind() == ErrorKind::Runtime => return Next::Stop(error),
            Err(error) if error.is_timeout() => self.poll_ran_out(poll, was_polled, now),
            signal if poll.was_held(now) && was_cut(&signal) => {
                self.poll_was_good();
                if was_polled {
                    self.hold_limit.was_cut(poll.held_for(now), now.monotonic);
                }
            }
            Ok(Signal::Other(_)) => {
                let error = Error::new(
                    ErrorKind::UnexpectedResponse,
                    "the realtime server sent an unknown signal",
                );
                return self.poll_failed(error, now);
            }
            Err(error) => return self.poll_failed(error, now),
        }
        Next::ListenAgain
    }

    /// Takes a signal of new events. They may be known already: a server that honors positions
    /// responds at once to a poll if a page has brought events after its position meanwhile.
    fn signaled(&mut self, poll: &Poll, was_polled: bool, now: Moment) -> Next {
        let is_probe = poll.ends_by == PollEnd::Probe;
        if is_probe && !was_polled {
            self.late.probe_again();
        }
        if self.found_since_poll && !is_probe && self.late.positions == Positions::Honored {
            return Next::KnownAlready;
        }
        self.late.signaled(now.monotonic);
        self.after.probe = is_probe && was_polled && poll.held_for(now) < LateChecks::AT_ONCE;
        Next::FetchFirst(Hint::Changed)
    }

    fn poll_failed(&mut self, error: Error, now: Moment) -> Next {
        let (until, reason) = self.pause_after(error, now);
        self.pause_until(until, reason);
        Next::FetchFirst(Hint::Maybe)
    }

    /// Takes the end of a poll that ran out without a response.
    fn poll_ran_out(&mut self, poll: &Poll, was_polled: bool, now: Moment) {
        if poll.was_held(now) {
            self.poll_was_good();
        }
        if poll.ends_by == PollEnd::Silence {
            self.rotation.give_up_current();
        }
        if !was_polled {
            return;
        }
        match poll.ends_by {
            PollEnd::Silence => self.hold_limit.halve(poll.hold, now.monotonic),
            PollEnd::Limit => self.after.limit = Some(poll.hold),
            PollEnd::BeforeCut => {}
            PollEnd::Probe => self.late.probe_failed(),
        }
        self.after.quiet = matches!(poll.ends_by, PollEnd::Silence | PollEnd::Limit);
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

    /// Learns from the drain after a poll.
    pub(super) fn drained(&mut self, found_events: bool, now: Moment) {
        self.polled_beside = false;
        if let Some(swallowed) = self.after.limit.take()
            && found_events
        {
            self.hold_limit.halve(swallowed, now.monotonic);
            self.skips_server = true;
        }
        if mem::take(&mut self.after.quiet) && found_events {
            self.late.signal_was_missed();
        }
        if mem::take(&mut self.after.probe) && !found_events {
            self.late.probe_succeeded();
        }
    }

    /// Notes that a page with new events was read from a position.
    pub(super) fn page_read(&mut self, from: &StartAt) {
        self.found_since_poll = true;
        self.late.page_read(from);
    }

    /// Returns `true` if a poll may open while events are still being fetched. In each drain, one
    /// may.
    pub(super) fn may_poll_beside(&self) -> bool {
        self.pause.is_none() && !self.polled_beside
    }

    /// Notes that a poll opens while events are still being fetched.
    pub(super) fn polls_beside(&mut self) {
        self.polled_beside = true;
    }

    /// Returns the time of a late check that comes before the next poll.
    pub(super) fn checks_before_poll(&self, now: Moment) -> Option<Instant> {
        self.late.before_next_poll(now.monotonic)
    }

    /// Returns the pause before the next poll, unless it is over.
    pub(super) fn pause(&mut self, now: Moment) -> Option<(Instant, WaitReason)> {
        self.pause.take_if(|(until, _)| *until <= now.monotonic);
        self.pause.clone()
    }

    pub(super) fn pause_until(&mut self, until: Instant, reason: WaitReason) {
        self.pause = Some((until, reason));
        self.pause_is_new = true;
    }

    /// Returns the pause that has begun since the last call, even if it is over before it delays a
    /// poll.
    pub(super) fn take_new_pause(&mut self) -> Option<(Instant, WaitReason)> {
        if mem::take(&mut self.pause_is_new) {
            return self.pause.clone();
        }
        None
    }

    /// Notes that a poll has a connection, once it has outlived the attempt to connect.
    pub(super) fn check_connection(&mut self, poll: &mut Poll, now: Moment) {
        if poll.connecting && poll.outlived_connecting(now) {
            poll.connecting = false;
            self.rotation.reached();
        }
    }

    /// Resets the learned limits after the machine was suspended, since it may be in another
    /// network by now. A pause ends, unless a server requested it.
    pub(super) fn machine_was_suspended(&mut self, dropped_poll: bool) {
        self.hold_limit = HoldLimit::default();
        self.after = AfterPoll::default();
        self.pause.take_if(|(_, reason)| reason.ends_by_suspend());
        if dropped_poll {
            self.rotation.discard();
        }
    }

    /// Notes that a poll showed its server to be usable.
    fn poll_was_good(&mut self) {
        self.unusable = 0;
        self.backoff.succeeded();
    }
}
