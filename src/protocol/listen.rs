//! Listing the realtime servers, and holding a poll at one of them.
//!
//! Whatever ends a poll, a drain follows: a signal is a hint, and `GET /events` is the truth. This module decides what comes
//! after that drain: the next poll, a pause, or a new list. It fetches nothing itself. Start with
//! [`LongPoll::resume_listening`] and [`LongPoll::take_signal`].

use std::mem;
use std::time::{Duration, Instant};

use http::StatusCode;

use super::drain::{Drain, Pause};
use super::late::LateChecks;
use super::response::{read_servers, read_signal};
use super::rotation::Rotation;
use super::state::{Because, Due, Phase, Poll, PollEnd};
use super::{Call, LongPoll, RealtimeServer, Response, Signal};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::pacing::Backoff;
use crate::position::StartAt;
use crate::transport::{TransportErrorKind, TransportRequest};

/// After so many polls in a row that were refused or found no connection, or so many lists that failed, a quick retry is no
/// help.
const FAILURES_UNTIL_DEGRADED: u32 = 3;

/// No library is given longer to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// After so long it is tried once more whether long polls are swallowed.
const SWALLOWED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// So many hosts without a connection are remembered.
const UNREACHED: usize = 16;

/// The shortest hold that is learned from polls that were swallowed.
const SHORTEST_LEARNED_HOLD: Duration = Duration::from_secs(60);

/// The listed servers, and how their polls have ended so far.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) rotation: Rotation,
    pub(super) late: LateChecks,
    backoff: Backoff,
    list_backoff: Backoff,
    /// Polls in a row that were refused, or found no connection.
    unusable: u32,
    /// Longer polls were swallowed, and when the last of them was.
    pub(super) hold_limit: Option<(Duration, Instant)>,
    /// Hosts whose last connection failed.
    unreached: Vec<String>,
    /// `true` if the servers are listed for the stream type. Box may reject that parameter.
    pub(super) lists_by_type: bool,
}

impl Listener {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            rotation: Rotation::empty(now),
            late: LateChecks::default(),
            backoff: Backoff::default(),
            list_backoff: Backoff::default(),
            unusable: 0,
            hold_limit: None,
            unreached: Vec::new(),
            lists_by_type: true,
        }
    }

    /// How the next poll is held.
    fn poll(&self, server: &RealtimeServer, config: &Config, probes: bool, now: Moment) -> Poll {
        let hold = config.hold(server);
        let is_shortened = hold < server.retry_timeout();
        let longest = if is_shortened {
            (hold, PollEnd::Limit)
        } else {
            (hold, PollEnd::Silence)
        };
        let limit = self
            .hold_limit
            .filter(|(_, since)| now.monotonic.saturating_duration_since(*since) < SWALLOWED_FOR)
            .map(|(limit, _)| (limit, PollEnd::Limit));
        let probe = probes.then_some((LateChecks::PROBE, PollEnd::Probe));
        let late = self.late.next_after(now.monotonic).filter(|_| !probes);
        let late = late.map(|at| (at - now.monotonic, PollEnd::LateCheck));
        let shorter = [limit, probe, late].into_iter().flatten();
        let (hold, ends_by) = shorter.fold(longest, |shortest, other| {
            if other.0 < shortest.0 {
                other
            } else {
                shortest
            }
        });
        Poll {
            token: None,
            sent: now,
            hold,
            ends_by,
            connecting: self.unreached.iter().any(|host| host == server.host()),
        }
    }

    /// A poll that has outlived the attempt to connect has a connection.
    pub(super) fn is_connected_by_now(&mut self, poll: &mut Poll, now: Moment) {
        if poll.connecting && poll.held_for(now) >= CONNECT_TIMEOUT {
            poll.connecting = false;
            self.reached();
        }
    }

    /// The current server's host has a connection.
    fn reached(&mut self) {
        if let Some(host) = self.rotation.current_host() {
            self.unreached.retain(|unreached| unreached != host);
        }
    }

    fn not_reached(&mut self) {
        if let Some(host) = self.rotation.current_host()
            && !self.unreached.iter().any(|unreached| unreached == host)
        {
            let host = host.to_owned();
            self.unreached.truncate(UNREACHED - 1);
            self.unreached.insert(0, host);
        }
    }

    /// A poll showed that its server is of use.
    fn poll_was_good(&mut self) {
        self.unusable = 0;
        self.backoff.succeeded();
    }

    /// Polls of this length are swallowed: the next ones are half as long.
    fn halve_hold(&mut self, hold: Duration, now: Instant) {
        let half = hold / 2;
        if half >= SHORTEST_LEARNED_HOLD {
            self.hold_limit = Some((half, now));
        }
    }
}

impl LongPoll {
    /// What follows a drain: a late check, a pause, a list or a poll.
    pub(super) fn resume_listening(&mut self, now: Moment) {
        let drain = &mut self.drain;
        let listener = &mut self.listener;
        if let Some(swallowed) = drain.after_limit.take()
            && drain.found_events
        {
            listener.halve_hold(swallowed, now.monotonic);
            listener.rotation.give_up_current();
        }
        if mem::take(&mut drain.after_quiet_poll) && drain.found_events {
            listener.late.signal_was_missed();
        }
        if mem::take(&mut drain.after_probe) && !drain.found_events {
            listener.late.probe_succeeded();
        }
        if let Some(at) = listener.late.before_next_poll(now.monotonic) {
            return self.enter(Phase::Due(Due::at(at, Because::ItsTurn, now)));
        }
        // A poll would have to wait for the pace, and so would the fetch after it: one of the two does as well, and sooner.
        if drain.found_events && !self.rate_limiter.can_acquire(now.monotonic) {
            drain.restart();
            return self.enter(Phase::Due(Due::now(now)));
        }
        self.limit.backlog_ends(now.monotonic);
        if let Some(pause) = drain.then.take()
            && pause.until > now.monotonic
        {
            return self.fetch(Drain::default(), Due::at(pause.until, pause.because, now));
        }
        self.call = match listener.rotation.pick(now.monotonic) {
            Some(_) => Call::Listen,
            None => Call::List,
        };
        self.enter(Phase::Due(Due::now(now)));
    }

    /// The request of the next poll. `None` if its server has gone meanwhile.
    pub(super) fn poll_request(
        &mut self,
        token: Option<AccessToken>,
        now: Moment,
    ) -> Option<(TransportRequest, Poll)> {
        let probe: Option<StartAt> = self.listener.late.take_probe();
        let server = self.listener.rotation.pick(now.monotonic)?.clone();
        let probes = probe.is_some();
        let poll = self.listener.poll(&server, &self.config, probes, now);
        let from = probe.as_ref().unwrap_or(&self.from);
        let hold = poll.hold;
        let request = self
            .config
            .poll_request(&server, from, token.as_ref(), hold);
        self.listener.rotation.count_poll();
        Some((request, Poll { token, ..poll }))
    }

    pub(super) fn take_servers(&mut self, result: Response, token: AccessToken, now: Moment) {
        let list = match read_servers(result, &token, &self.config.realtime_hosts) {
            Ok(list) => list,
            Err(error) => return self.list_failed(error, token, now),
        };
        self.token_was_good();
        self.listener.list_backoff.succeeded();
        let rotation = &mut self.listener.rotation;
        rotation.replace(list.servers, &mut self.rng, now.monotonic);
        if rotation.pick(now.monotonic).is_some() {
            self.call = Call::Listen;
            return self.enter(Phase::Due(Due::now(now)));
        }
        let because = list.refused.unwrap_or_else(|| {
            Error::new(
                ErrorKind::UnexpectedAnswer,
                "Box lists no realtime server that can be asked now",
            )
        });
        let mut at = now.monotonic + self.config.retry.degraded_wait(&mut self.rng);
        if let Some(released) = self.listener.rotation.released_at() {
            at = at.min(released);
        }
        self.fetch(
            Drain::default(),
            Due::at(at, Because::Degraded(because), now),
        );
    }

    fn list_failed(&mut self, error: Error, token: AccessToken, now: Moment) {
        if error.is_a_bad_request() && mem::take(&mut self.listener.lists_by_type) {
            return self.enter(Phase::Due(Due::now(now)));
        }
        self.api_failed(error, token, now);
    }

    /// Lists again later. Events are fetched in any case, unless the first retry comes at once.
    pub(super) fn retry_list(&mut self, error: Error, now: Moment) {
        let listener = &mut self.listener;
        let asked = error.retry_after().unwrap_or_default();
        let policy = &self.config.retry;
        let wait = listener
            .list_backoff
            .after_failure(policy, asked, &mut self.rng);
        let failures = listener.list_backoff.in_a_row();
        if failures == 1 && asked.is_zero() && !error.is_timeout() {
            let at = now.monotonic + wait;
            return self.enter(Phase::Due(Due::at(at, Because::Failed(error), now)));
        }
        let (wait, because) = if failures < FAILURES_UNTIL_DEGRADED {
            (wait, Because::Failed(error))
        } else {
            let wait = policy.degraded_wait(&mut self.rng).max(asked);
            (wait, Because::Degraded(error))
        };
        let due = Due::at(now.monotonic + wait, because, now);
        self.fetch(Drain::default(), due);
    }

    /// Whatever ended the poll, what follows is a drain; this decides what follows that.
    pub(super) fn take_signal(&mut self, result: Response, poll: &Poll, now: Moment) {
        let mut drain = Drain::default();
        let listener = &mut self.listener;
        if had_connection(&result, poll, now) {
            listener.reached();
        }
        let ran_out = matches!(&result, Err(error) if error.kind() == TransportErrorKind::Timeout);
        match read_signal(result) {
            Ok(Signal::NewChange) => {
                listener.poll_was_good();
                listener.late.signalled(now.monotonic);
                drain = Drain::after_a_signal();
                drain.after_probe =
                    poll.ends_by == PollEnd::Probe && poll.held_for(now) < LateChecks::AT_ONCE;
            }
            Ok(Signal::Reconnect | Signal::MaxRetries) => {
                listener.poll_was_good();
                listener.rotation.discard();
                drain.after_quiet_poll = true;
            }
            Err(error) if error.kind() == ErrorKind::Runtime => return self.stop(error),
            Err(_) if ran_out => self.poll_ran_out(poll, &mut drain, now),
            signal if poll.was_held(now) && was_cut(&signal) => listener.poll_was_good(),
            Ok(Signal::Other(_)) => {
                let error = Error::new(
                    ErrorKind::UnexpectedAnswer,
                    "the realtime server sent an unknown signal",
                );
                drain.then = Some(self.pause_after(error, now));
            }
            Err(error) => drain.then = Some(self.pause_after(error, now)),
        }
        self.fetch(drain, Due::now(now));
    }

    fn poll_ran_out(&mut self, poll: &Poll, drain: &mut Drain, now: Moment) {
        let listener = &mut self.listener;
        if poll.was_held(now) {
            listener.poll_was_good();
        }
        match poll.ends_by {
            PollEnd::Silence => {
                listener.rotation.give_up_current();
                listener.halve_hold(poll.hold, now.monotonic);
            }
            PollEnd::Limit => drain.after_limit = Some(poll.hold),
            PollEnd::LateCheck => {}
            PollEnd::Probe => listener.late.probe_failed(),
        }
        drain.after_quiet_poll = poll.ends_by != PollEnd::Probe;
    }

    /// The pause after a poll that failed, and the server for the one after it.
    fn pause_after(&mut self, error: Error, now: Moment) -> Pause {
        let listener = &mut self.listener;
        if let Some(wait) = error.retry_after() {
            listener.rotation.block_current(now.monotonic + wait);
        }
        let refused = error.status().is_some_and(refuses);
        if error.is_unreachable() {
            listener.not_reached();
        }
        listener.unusable = if refused || error.is_unreachable() {
            listener.unusable + 1
        } else {
            0
        };
        match error.status() {
            _ if refused => listener.rotation.discard(),
            None if error.kind() == ErrorKind::UnexpectedAnswer => {}
            _ => listener.rotation.give_up_current(),
        }
        if listener.unusable >= FAILURES_UNTIL_DEGRADED {
            let error = match error.status() {
                Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => error.with_hint(
                    "again and again; it may want the access token, see RealtimeToken::Send",
                ),
                _ => error,
            };
            let wait = self.config.retry.degraded_wait(&mut self.rng);
            return Pause {
                until: now.monotonic + wait,
                because: Because::Degraded(error),
            };
        }
        let wait =
            listener
                .backoff
                .after_failure(&self.config.retry, Duration::ZERO, &mut self.rng);
        Pause {
            until: now.monotonic + wait,
            because: Because::Failed(error),
        }
    }
}

/// Returns `true` if a realtime server's status says that its URL is of no use: a new list is wanted.
fn refuses(status: StatusCode) -> bool {
    let timeout = status == StatusCode::REQUEST_TIMEOUT;
    status.is_redirection() || (status.is_client_error() && !timeout)
}

/// Returns `true` if a poll had a connection: something came back, or it outlived the attempt to connect.
fn had_connection(result: &Response, poll: &Poll, now: Moment) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => match error.kind() {
            TransportErrorKind::Connect | TransportErrorKind::Tls => false,
            TransportErrorKind::Interrupted | TransportErrorKind::Body => true,
            _ => poll.held_for(now) >= CONNECT_TIMEOUT,
        },
    }
}

/// Returns `true` if something on the way ended a poll, as proxies do after a time: its connection ended, or a response
/// came that is no signal and no refusal.
fn was_cut(signal: &Result<Signal, Error>) -> bool {
    match signal {
        Ok(signal) => matches!(signal, Signal::Other(_)),
        Err(error) => match error.status() {
            Some(status) => !refuses(status) && error.retry_after().is_none(),
            None => error.is_interrupted() || error.kind() == ErrorKind::UnexpectedAnswer,
        },
    }
}
