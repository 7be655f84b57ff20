//! The states of the engine, as the diagram in its documentation draws them.

use std::time::{Instant, SystemTime};

use super::Page;
use crate::auth::AccessToken;
use crate::error::Error;
use crate::position::StartAt;
use crate::transport::Moment;

/// Which of the three requests is next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Fetch,
    List,
    Listen,
}

/// Fetching until a page brings nothing new.
#[derive(Debug, Default)]
pub(super) struct Drain {
    pub(super) found_events: bool,
    /// Whether a page that only moved the position was already followed at once.
    pub(super) followed_at_once: bool,
    /// Whether the next request is not made to wait for the pace.
    pub(super) on_credit: bool,
    pub(super) late_checks: &'static [u64],
    pub(super) then: Option<Pause>,
}

/// A wait between a failed poll and the next, which ends with another drain: nobody listened meanwhile.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) until: Instant,
    pub(super) because: Because,
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
    Stop(Error),
    Stopped(Error),
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
    Failed(Error),
    NoServer(Error),
}

/// What turning a page means.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) to: StartAt,
    pub(super) moved: bool,
    pub(super) brought_new: bool,
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
