//! The phases of a call, and what the engine's parts decide.

use std::time::{Instant, SystemTime};

use super::poll::Poll;
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;

/// After this many polls in a row that were refused or found no connection, or lists that failed, a quick retry does not
/// help.
pub(super) const FAILURES_UNTIL_DEGRADED: u32 = 3;

/// How far the current call is.
#[derive(Debug)]
pub(super) enum Phase {
    /// The call is made at a time.
    Scheduled(Scheduled),
    /// The call needs a token.
    Authorize,
    /// The token source is at work.
    AwaitToken,
    /// The request goes out when the pace permits.
    Send {
        token: Option<AccessToken>,
        /// `true` if a kept connection died under the request, so it is sent once more.
        resends: bool,
        /// Until when the pace makes it wait.
        paced_until: Option<SystemTime>,
    },
    /// The request is in flight.
    AwaitResponse {
        pending: Pending,
        /// `true` if the request was sent once more.
        resent: bool,
    },
    /// A page has come, and its events are handed out next, without the repeats.
    Deliver(Vec<Event>, PageOutcome),
    /// The consumer has a batch.
    AwaitHandled(PageOutcome),
    /// The engine is about to end: with an error, or because a query is complete.
    Stop(Option<Error>),
    /// The engine has said that it has ended.
    Stopped(Option<Error>),
    /// One phase gives way to the next.
    Transition,
}

impl Phase {
    pub(super) fn send(token: Option<AccessToken>) -> Self {
        Self::Send {
            token,
            resends: false,
            paced_until: None,
        }
    }

    pub(super) fn status(&self) -> Status {
        match self {
            Phase::Scheduled(scheduled) => scheduled.status(),
            Phase::Send {
                paced_until: Some(until),
                ..
            } => Status::Waiting { until: *until },
            Phase::Authorize | Phase::AwaitToken | Phase::Send { .. } => Status::Authorizing,
            Phase::AwaitResponse { pending, .. } => match pending {
                Pending::Fetch(_) => Status::Fetching,
                Pending::List(_) => Status::Listing,
                Pending::Listen(poll) => {
                    let since = poll.sent.wall;
                    if poll.connecting {
                        Status::Connecting { since }
                    } else {
                        Status::Listening { since }
                    }
                }
            },
            Phase::Deliver(..) | Phase::AwaitHandled(_) | Phase::Transition => Status::Delivering,
            Phase::Stop(because) | Phase::Stopped(because) => Status::Stopped {
                because: because.clone(),
            },
        }
    }
}

/// The decision of a part of the engine. The engine carries it out.
#[derive(Debug)]
pub(super) enum Next {
    /// The current call is made again.
    Again(Scheduled),
    /// A drain begins: events are fetched until a page brings nothing new.
    Drain(Hint, Scheduled),
    /// A drain is over. The listener decides what follows.
    Drained,
    /// A poll opens now, after a list if there is no server left.
    Listen,
    /// An API call failed, and its token may be to blame.
    CallFailed(Error, AccessToken),
    /// The current call failed, and is made again later if nothing else comes first.
    Retry(Error),
    /// The stream ends with an error.
    Stop(Error),
    /// A query is complete.
    Finish,
}

/// Why a drain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A realtime server signaled a change.
    Changed,
    /// There may be events that no signal announced.
    Maybe,
}

/// When a call is made, and why then.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) at: Instant,
    at_wall: SystemTime,
    reason: WaitReason,
}

/// Why a call is not made at once.
#[derive(Clone, Debug)]
pub(super) enum WaitReason {
    /// The call comes next, or a late check is due at that time.
    InTurn,
    /// Events are fetched at an interval.
    Interval,
    /// The call is made again after a failure.
    Failed(Error),
    /// No realtime server can be used, or something on the way refuses all calls.
    Degraded(Error),
}

impl Scheduled {
    pub(super) fn now(now: Moment) -> Self {
        Self::at(now.monotonic, WaitReason::InTurn, now)
    }

    pub(super) fn at(at: Instant, reason: WaitReason, now: Moment) -> Self {
        Self {
            at,
            at_wall: now.wall_at(at),
            reason,
        }
    }

    /// Ends a wait for a network or an interval from before the machine was suspended. A wait that a server requested goes
    /// on.
    pub(super) fn machine_was_suspended(&mut self, now: Moment) {
        let ends = match &self.reason {
            WaitReason::InTurn => false,
            WaitReason::Interval => true,
            WaitReason::Failed(error) | WaitReason::Degraded(error) => {
                error.retry_after().is_none()
            }
        };
        if ends {
            self.at = now.monotonic;
        }
        self.at_wall = now.wall_at(self.at);
    }

    pub(super) fn status(&self) -> Status {
        let until = self.at_wall;
        match self.reason.clone() {
            WaitReason::InTurn | WaitReason::Interval => Status::Waiting { until },
            WaitReason::Failed(because) => Status::Retrying { because, until },
            WaitReason::Degraded(because) => Status::Degraded { because, until },
        }
    }
}

/// A call that is in flight, with the token that went along.
#[derive(Debug)]
pub(super) enum Pending {
    Fetch(AccessToken),
    List(AccessToken),
    Listen(Poll),
}

impl Pending {
    pub(super) fn into_token(self) -> Option<AccessToken> {
        match self {
            Pending::Fetch(token) | Pending::List(token) => Some(token),
            Pending::Listen(poll) => poll.token,
        }
    }
}

/// The meaning of a page, once the consumer has handled its events.
#[derive(Debug)]
pub(super) struct PageOutcome {
    /// The position after the page.
    pub(super) to: StartAt,
    pub(super) moved: bool,
    pub(super) brought_new: bool,
    /// The pages lead in a circle.
    pub(super) circles: bool,
    /// When the page came, if it proves that there was nothing more, or next to nothing.
    pub(super) caught_up_at: Option<SystemTime>,
    /// When it was sent, by Box's clock if the response says so.
    pub(super) sent_at: SystemTime,
}
