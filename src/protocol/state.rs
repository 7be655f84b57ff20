//! The states of the engine, as the diagram in its documentation draws them.

use std::time::{Duration, Instant, SystemTime};

use super::Page;
use super::drain::Turn;
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::Error;

/// How far the current call is.
#[derive(Debug)]
pub(super) enum Phase {
    Due(Due),
    Authorize,
    AwaitToken,
    Send {
        token: Option<AccessToken>,
        /// Until when the pace makes it wait.
        paced_until: Option<SystemTime>,
    },
    AwaitAnswer(Asked),
    Arrived(Arrived),
    AwaitHandled(Turn),
    /// With an error, or because there is no more.
    Stop(Option<Error>),
    Stopped(Option<Error>),
    /// Only while one phase gives way to the next.
    Changing,
}

impl Phase {
    pub(super) fn send(token: Option<AccessToken>) -> Self {
        Self::Send {
            token,
            paced_until: None,
        }
    }
}

/// What an answer is awaited to, with the token that went along to Box's API.
#[derive(Debug)]
pub(super) enum Asked {
    Page(AccessToken),
    Servers(AccessToken),
    Signal(Poll),
}

impl Asked {
    pub(super) fn into_token(self) -> Option<AccessToken> {
        match self {
            Asked::Page(token) | Asked::Servers(token) => Some(token),
            Asked::Signal(poll) => poll.token,
        }
    }
}

/// A poll that is held.
#[derive(Debug)]
pub(super) struct Poll {
    /// The token that went along, where the settings want one.
    pub(super) token: Option<AccessToken>,
    pub(super) sent: Moment,
    /// How long it is held at most.
    pub(super) hold: Duration,
    pub(super) ends_by: PollEnd,
    /// `true` if its host could not be reached the last time, and has not shown yet that it can be now.
    pub(super) connecting: bool,
}

/// A poll that was held for so long was a good one: whatever ended its connection, a proxy's timeout as a rule, the next one
/// is as good.
const HELD: Duration = Duration::from_secs(10);

impl Poll {
    pub(super) fn held_for(&self, now: Moment) -> Duration {
        now.monotonic.saturating_duration_since(self.sent.monotonic)
    }

    pub(super) fn was_held(&self, now: Moment) -> bool {
        self.held_for(now) >= HELD
    }
}

/// What it means if nothing comes in the time of a poll.
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

/// A page that has come, and what it proves.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) page: Page,
    /// When it came, if there was nothing more behind it, or next to nothing.
    pub(super) caught_up_at: Option<SystemTime>,
    /// When it was sent, by Box's clock if the response says so.
    pub(super) sent_at: SystemTime,
}

#[derive(Debug)]
pub(super) struct Due {
    pub(super) at: Instant,
    pub(super) at_wall: SystemTime,
    pub(super) because: Because,
}

/// Why a request is not sent at once.
#[derive(Clone, Debug)]
pub(super) enum Because {
    /// It is its turn, or a late check makes it wait.
    ItsTurn,
    /// It looks for events at an interval.
    NextLook,
    Failed(Error),
    /// No realtime server can be used, or something on the way refuses all calls.
    Degraded(Error),
}

impl Due {
    pub(super) fn now(now: Moment) -> Self {
        Self::at(now.monotonic, Because::ItsTurn, now)
    }

    pub(super) fn at(at: Instant, because: Because, now: Moment) -> Self {
        Self {
            at,
            at_wall: now.wall_at(at),
            because,
        }
    }
}
