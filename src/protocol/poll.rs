//! One long poll: how long it is held, and what its end says of its server.

use std::time::{Duration, Instant};

use http::StatusCode;

use super::{Response, Signal};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::transport::TransportErrorKind;

/// A poll that was held for so long was a good one: whatever ended its connection, a proxy's timeout as a rule, the next one
/// is as good.
const HELD: Duration = Duration::from_secs(10);

/// No library is given longer to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// After so long a long poll is tried once more, in case it is no longer swallowed.
const SWALLOWED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest hold that is learned from polls that were swallowed.
const SHORTEST_LEARNED_HOLD: Duration = Duration::from_secs(60);

/// A poll that is held.
#[derive(Debug)]
pub(super) struct Poll {
    /// The token that went along, if the settings want one.
    pub(super) token: Option<AccessToken>,
    pub(super) sent: Moment,
    /// How long it is held at most.
    pub(super) hold: Duration,
    pub(super) ends_by: PollEnd,
    /// `true` if its host could not be reached the last time, and has not shown yet that it can be now.
    pub(super) connecting: bool,
}

/// The meaning of a poll's end if nothing came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollEnd {
    /// The server was to say `reconnect` by then: something may have swallowed it.
    Silence,
    /// The poll was kept shorter, since a longer one was swallowed or the settings say so.
    Limit,
    /// A late check is due.
    LateCheck,
    /// The server did not respond at once to a position with events behind it.
    Probe,
}

impl Poll {
    pub(super) fn held_for(&self, now: Moment) -> Duration {
        now.monotonic.saturating_duration_since(self.sent.monotonic)
    }

    pub(super) fn was_held(&self, now: Moment) -> bool {
        self.held_for(now) >= HELD
    }

    /// Returns `true` if the poll has outlived the attempt to connect.
    pub(super) fn outlived_connecting(&self, now: Moment) -> bool {
        self.held_for(now) >= CONNECT_TIMEOUT
    }

    /// Returns `true` if the poll had a connection: something came back, or it outlived the attempt to connect.
    pub(super) fn had_connection(&self, result: &Response, now: Moment) -> bool {
        match result {
            Ok(_) => true,
            Err(error) => match error.kind() {
                TransportErrorKind::Connect | TransportErrorKind::Tls => false,
                TransportErrorKind::Interrupted | TransportErrorKind::Body => true,
                _ => self.outlived_connecting(now),
            },
        }
    }
}

/// How long polls are held at most, since longer ones were swallowed.
#[derive(Debug, Default)]
pub(super) struct HoldLimit(Option<(Duration, Instant)>);

impl HoldLimit {
    pub(super) fn get(&self, now: Instant) -> Option<Duration> {
        let (limit, since) = self.0?;
        (now.saturating_duration_since(since) < SWALLOWED_FOR).then_some(limit)
    }

    /// Polls of this length are swallowed: the next ones are half as long.
    pub(super) fn halve(&mut self, hold: Duration, now: Instant) {
        let half = hold / 2;
        if half >= SHORTEST_LEARNED_HOLD {
            self.0 = Some((half, now));
        }
    }
}

/// Returns `true` if a realtime server's status says that its URL is of no use: a new list is needed.
pub(super) fn refuses(status: StatusCode) -> bool {
    let timeout = status == StatusCode::REQUEST_TIMEOUT;
    status.is_redirection() || (status.is_client_error() && !timeout)
}

/// Returns `true` if something on the way ended a poll, as proxies do after a time: its connection ended, or a response
/// came that is neither a signal nor a refusal.
pub(super) fn was_cut(signal: &Result<Signal, Error>) -> bool {
    match signal {
        Ok(signal) => matches!(signal, Signal::Other(_)),
        Err(error) => match error.status() {
            Some(status) => !refuses(status) && error.retry_after().is_none(),
            None => error.is_interrupted() || error.kind() == ErrorKind::UnexpectedAnswer,
        },
    }
}
