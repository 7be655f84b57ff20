//! One long poll: the time that it is held, and the meaning of its end.
//!
//! This module classifies the end of a poll: a held poll that a proxy cut, a refusal, or a poll
//! whose response something on the way swallowed. It decides neither the next server nor the next
//! pause: see [`Listener`](super::listen::Listener). The type to start from is [`Poll`].

use std::time::{Duration, Instant};

use http::StatusCode;

use super::{Response, Signal};
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::{Error, ErrorKind};
use crate::status::Status;
use crate::transport::TransportErrorKind;

/// A poll that was held for at least 10 s counts as good. If its connection ended, a proxy's
/// timeout probably caused that, and the next poll is likely to work.
const HELD: Duration = Duration::from_secs(10);

/// The time within which the transports of this crate connect: 30 s. A poll that is older has a
/// connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The time after which a longer poll is tried again: one day. It may no longer be swallowed by
/// then.
const SWALLOWED_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The number of polls in a row that are cut after about the same time, until polls end before it.
const CUTS_UNTIL_LEARNED: u32 = 3;

/// The time after which a longer poll is tried again after cuts: one hour. The network may be
/// another one by then.
const CUT_FOR: Duration = Duration::from_secs(60 * 60);

/// The shortest hold that is learned from swallowed polls: 60 s.
const SHORTEST_LEARNED_HOLD: Duration = Duration::from_secs(60);

/// A poll that is in flight.
#[derive(Debug)]
pub(super) struct Poll {
    /// The token that was sent along, if the settings require one.
    pub(super) token: Option<AccessToken>,
    pub(super) sent: Moment,
    /// The longest time that the poll is held.
    pub(super) hold: Duration,
    /// The reason why the poll ends after that time.
    pub(super) ends_by: PollEnd,
    /// `true` if the hold is shorter because longer polls were cut or swallowed.
    pub(super) is_limited: bool,
    /// `true` if the last connection to its host failed, and this poll has not shown yet that it
    /// has one.
    pub(super) connecting: bool,
}

/// The reason why a poll ends at the end of its hold, if there is no response by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollEnd {
    /// The server should have sent `reconnect` by then, so something may have swallowed the poll.
    Silence,
    /// The poll was shortened, because a longer one was swallowed or because of the settings.
    Limit,
    /// The poll was shortened to end just before something on the way cuts it.
    BeforeCut,
    /// The poll was a probe: the server did not respond at once to a position with events after it.
    Probe,
}

impl Poll {
    /// Returns the time since the poll was sent.
    pub(super) fn held_for(&self, now: Moment) -> Duration {
        now.monotonic.saturating_duration_since(self.sent.monotonic)
    }

    /// Returns `true` if the poll was held long enough to count as good.
    pub(super) fn was_held(&self, now: Moment) -> bool {
        self.held_for(now) >= HELD
    }

    /// Returns `true` if the poll has outlived the attempt to connect.
    pub(super) fn outlived_connecting(&self, now: Moment) -> bool {
        self.held_for(now) >= CONNECT_TIMEOUT
    }

    pub(super) fn status(&self) -> Status {
        let since = self.sent.wall;
        if self.connecting {
            return Status::Connecting { since };
        }
        let limit = self.is_limited.then_some(self.hold);
        Status::Listening { since, limit }
    }

    /// Returns `true` if the poll had a connection: a response began, or the poll outlived the
    /// attempt to connect.
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

/// The longest time that polls are held, learned from longer polls that were cut or swallowed.
#[derive(Debug, Default)]
pub(super) struct HoldLimit {
    /// The limit and its reason, with the time at which a longer poll is tried again.
    limit: Option<(Duration, PollEnd, Instant)>,
    /// The shortest time after which the last polls in a row were cut, with their number.
    cuts: Option<(Duration, u32)>,
}

impl HoldLimit {
    /// Returns the limit, unless a longer poll is to be tried.
    pub(super) fn get(&self, now: Instant) -> Option<(Duration, PollEnd)> {
        let (limit, reason, until) = self.limit?;
        (now < until).then_some((limit, reason))
    }

    /// Sets the limit to half of `hold`, because polls of that length are swallowed.
    pub(super) fn halve(&mut self, hold: Duration, now: Instant) {
        let half = hold / 2;
        if half >= SHORTEST_LEARNED_HOLD {
            self.limit = Some((half, PollEnd::Limit, now + SWALLOWED_FOR));
        }
    }

    /// Notes that a poll was cut after this time. If it happens [`CUTS_UNTIL_LEARNED`] times in a
    /// row after about the same time, polls are held for a little less. If a longer poll that is
    /// tried later is cut after that time too, the limit holds again at once.
    pub(super) fn was_cut(&mut self, held: Duration, now: Instant) {
        let (shortest, cuts) = match self.cuts {
            Some((before, cuts)) if before.abs_diff(held) <= margin(before) => {
                (before.min(held), cuts + 1)
            }
            _ => (held, 1),
        };
        self.cuts = Some((shortest, cuts));
        if cuts >= CUTS_UNTIL_LEARNED {
            let limit = shortest.saturating_sub(margin(shortest));
            self.limit = Some((limit, PollEnd::BeforeCut, now + CUT_FOR));
        }
    }

    /// Notes that a poll was held for this time and not cut.
    pub(super) fn was_not_cut(&mut self, held: Duration) {
        self.cuts
            .take_if(|(shortest, _)| held > *shortest + margin(*shortest));
    }
}

/// Returns the time by which two cuts may differ, and by which a poll ends before the expected cut:
/// 2 %, but at least a second, since a poll's connection takes time.
fn margin(held: Duration) -> Duration {
    (held / 50).max(Duration::from_secs(1))
}

/// Returns `true` if a realtime server's status shows that its URL is no longer usable, so a new
/// list is needed.
pub(super) fn refuses(status: StatusCode) -> bool {
    let timeout = status == StatusCode::REQUEST_TIMEOUT;
    status.is_redirection() || (status.is_client_error() && !timeout)
}

/// Returns `true` if something on the way ended a poll, as proxies do after a timeout. Its
/// connection ended, or the response is neither a signal nor a refusal.
pub(super) fn was_cut(signal: &Result<Signal, Error>) -> bool {
    match signal {
        Ok(signal) => matches!(signal, Signal::Other(_)),
        Err(error) => match error.status() {
            Some(status) => !refuses(status) && error.retry_after().is_none(),
            None => error.is_interrupted() || error.kind() == ErrorKind::UnexpectedResponse,
        },
    }
}
