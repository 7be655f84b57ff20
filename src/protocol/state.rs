//! The phases of a call, and the decisions of the engine's parts.
//!
//! These types carry no behavior beyond [`Status`]: the engine moves from phase to phase, and its
//! parts return a [`Next`]. The type to start from is [`Phase`].

use std::time::{Instant, SystemTime};

use super::poll::Poll;
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::Error;
use crate::event::Event;
use crate::position::StartAt;
use crate::status::Status;

/// The number of failures in a row after which a quick retry does not help: refused polls, polls
/// without a connection, or failed lists.
pub(super) const FAILURES_UNTIL_DEGRADED: u32 = 3;

/// The progress of the current call.
#[derive(Debug)]
pub(super) enum Phase {
    /// The call is due at a time.
    Scheduled(Scheduled),
    /// The call needs a token.
    Authorize,
    /// The token source has been called, and its result is awaited.
    AwaitToken,
    /// The request is sent when the pace permits.
    Send {
        /// The token that is sent along, if the call needs one.
        token: Option<AccessToken>,
        /// `true` if a reused connection died under the request, so it is sent once more.
        resends: bool,
        /// The end of the wait for the pace, if it has to wait.
        paced_until: Option<SystemTime>,
    },
    /// The request is in flight.
    AwaitResponse {
        /// The request, with the state that its response needs.
        pending: Pending,
        /// `true` if the request was sent once more.
        resent: bool,
    },
    /// A page has arrived. Its events, without the repeats, are delivered next.
    Deliver(Vec<Event>, PageOutcome),
    /// The consumer has a batch and has not handled it yet.
    AwaitHandled(PageOutcome),
    /// The engine is about to end, with an error or because a query is complete.
    Stop(Option<Error>),
    /// The engine has ended, and the driver knows it.
    Stopped(Option<Error>),
    /// The engine is between two phases. No phase is left in this one.
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
    /// A poll opens now, after a list if no server is left.
    Listen,
    /// An API call failed, and its token may be the cause.
    CallFailed(Error, AccessToken),
    /// The current call failed. It is made again later, or a fetch replaces it.
    Retry(Error),
    /// The stream ends with an error.
    Stop(Error),
    /// A query is complete.
    Finish,
}

/// The reason why a drain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hint {
    /// A realtime server signaled a change.
    Changed,
    /// There may be events that no signal announced.
    Maybe,
}

/// The time at which a call is made, and the reason for the wait.
#[derive(Debug)]
pub(super) struct Scheduled {
    pub(super) at: Instant,
    /// The same time by the wall clock, for the status.
    at_wall: SystemTime,
    reason: WaitReason,
}

/// The reason why a call is not made at once.
#[derive(Clone, Debug)]
pub(super) enum WaitReason {
    /// The call comes next, or a late check is due at that time.
    InTurn,
    /// The interval between two fetches, or the wait of a query.
    Interval,
    /// The backoff after a failure.
    Failed(Error),
    /// The degraded interval: no realtime server is usable, or something on the way refuses all
    /// calls.
    Degraded(Error),
}

impl Scheduled {
    /// Schedules a call for now.
    pub(super) fn now(now: Moment) -> Self {
        Self::at(now.monotonic, WaitReason::InTurn, now)
    }

    /// Schedules a call for a time.
    pub(super) fn at(at: Instant, reason: WaitReason, now: Moment) -> Self {
        Self {
            at,
            at_wall: now.wall_at(at),
            reason,
        }
    }

    /// Ends a wait that began before the machine was suspended: the backoff after a failure, or an
    /// interval. A wait that a server requested continues.
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

/// A call that is in flight, with the token that was sent along.
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

/// The outcome of a page. The engine applies it once the consumer has handled the events.
#[derive(Debug)]
pub(super) struct PageOutcome {
    /// The position after the page.
    pub(super) to: StartAt,
    /// `true` if the page moved the position.
    pub(super) moved: bool,
    /// `true` if the page brought an event for the first time.
    pub(super) brought_new: bool,
    /// `true` if the positions of the pages lead in a circle.
    pub(super) circles: bool,
    /// The time at which the page arrived, if it proves that there was nothing more, or almost
    /// nothing.
    pub(super) caught_up_at: Option<SystemTime>,
    /// The time at which the page was sent, by Box's clock if the response has a `Date`.
    pub(super) sent_at: SystemTime,
}
