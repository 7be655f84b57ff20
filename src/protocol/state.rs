//! The states of the engine, as the diagram in its documentation draws them.

use std::time::{Instant, SystemTime};

use super::Page;
use super::drain::Turn;
use crate::auth::AccessToken;
use crate::error::Error;
use crate::transport::Moment;

/// Which of the three requests is next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Fetch,
    List,
    Listen,
}

/// How far the request of the current step is.
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
    Arrived(Page),
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
    Signal { since: SystemTime },
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
    NoServer(Error),
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
