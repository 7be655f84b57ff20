//! The lanes of the engine, the phases of a call, and the decisions of the engine's parts.
//!
//! These types carry no behavior beyond [`Status`]: the engine moves a lane from phase to phase,
//! and its parts return a [`Next`]. The type to start from is [`Lane`].

use std::time::{Instant, SystemTime};

use super::Call;
use super::poll::Poll;
use crate::auth::AccessToken;
use crate::clock::Moment;
use crate::error::Error;
use crate::position::StartAt;
use crate::status::Status;
use crate::transport::ReceivedBody;

/// The number of failures in a row after which a quick retry does not help: refused polls, polls
/// without a connection, or failed lists.
pub(super) const FAILURES_UNTIL_DEGRADED: u32 = 3;

/// One of the engine's two loops: its current call, and the phase of that call.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) call: Call,
    pub(super) phase: Phase,
}

/// The progress of a lane's call.
#[derive(Debug)]
pub(super) enum Phase {
    /// No call is due. Fetching waits for a hint, and listening waits until events were fetched.
    Idle,
    /// The call is due at a time.
    Scheduled(Scheduled),
    /// The call needs a token.
    Authorize {
        /// `true` if the request is sent once more. Its token was rejected meanwhile.
        resends: bool,
    },
    /// The token source has been called, and its result is awaited.
    AwaitToken {
        /// `true` if the request is sent once more.
        resends: bool,
    },
    /// The request is sent when the pace permits.
    Send {
        /// The token that is sent along, if the call needs one.
        token: Option<AccessToken>,
        /// `true` if a reused connection died under the request, so it is sent once more.
        resends: bool,
        /// The end of the wait for the pace, if it has to wait.
        paced: Option<Scheduled>,
    },
    /// The request is in flight.
    AwaitResponse {
        /// The request, with the state that its response needs.
        pending: Pending,
        /// `true` if the request was sent once more.
        resent: bool,
    },
}

/// The end of the engine.
#[derive(Debug)]
pub(super) struct End {
    /// The error. `None` if a query is complete.
    pub(super) because: Option<Error>,
    /// `true` once the driver knows of the end.
    pub(super) is_known: bool,
}

impl Lane {
    pub(super) fn new(call: Call, phase: Phase) -> Self {
        Self { call, phase }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Returns `true` if the lane awaits the response to a call.
    pub(super) fn awaits(&self, call: Call) -> bool {
        self.call == call && matches!(self.phase, Phase::AwaitResponse { .. })
    }

    /// Returns when the lane goes on by itself.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Scheduled(scheduled)
            | Phase::Send {
                paced: Some(scheduled),
                ..
            } => Some(scheduled.at),
            _ => None,
        }
    }

    /// Returns `true` if the lane has begun a call, and no longer waits for its scheduled time.
    pub(super) fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Scheduled(_))
    }

    /// Returns `true` if no call is due, and none has failed.
    pub(super) fn is_at_rest(&self, now: Moment) -> bool {
        match &self.phase {
            Phase::Idle => true,
            Phase::Scheduled(scheduled) => scheduled.at > now.monotonic && !scheduled.has_failed(),
            _ => false,
        }
    }

    /// Returns `true` if the lane waits because of a failure.
    pub(super) fn has_failed(&self) -> bool {
        matches!(&self.phase, Phase::Scheduled(scheduled) if scheduled.has_failed())
    }

    /// Returns `true` if the lane waits for the pace.
    pub(super) fn is_paced(&self) -> bool {
        matches!(&self.phase, Phase::Send { paced: Some(_), .. })
    }

    pub(super) fn status(&self) -> Status {
        match &self.phase {
            Phase::Scheduled(scheduled)
            | Phase::Send {
                paced: Some(scheduled),
                ..
            } => scheduled.status(),
            Phase::Authorize { .. } | Phase::AwaitToken { .. } | Phase::Send { .. } => {
                Status::Authorizing
            }
            Phase::AwaitResponse {
                pending: Pending::Listen(poll),
                ..
            } => poll.status(),
            Phase::AwaitResponse {
                pending: Pending::List(_),
                ..
            } => Status::Listing,
            Phase::Idle | Phase::AwaitResponse { .. } => Status::Fetching,
        }
    }
}

impl Phase {
    pub(super) fn send(token: Option<AccessToken>, resends: bool) -> Self {
        Self::Send {
            token,
            resends,
            paced: None,
        }
    }
}

/// The decision of a part of the engine. The engine carries it out.
#[derive(Debug)]
pub(super) enum Next {
    /// The call is made at this time.
    Again(Scheduled),
    /// A drain begins at this time: events are fetched until a page brings nothing new.
    Drain(Scheduled),
    /// A drain is over. The listener decides what follows.
    Drained,
    /// A poll opens now, after a list if no server is left.
    Listen,
    /// A poll has ended, and the next one opens now. Events are fetched beside it.
    ListenAgain,
    /// A poll has ended. Events are fetched, and the next poll opens after that.
    FetchFirst(Hint),
    /// A poll has signaled an event that a page had already brought. The next poll opens when the
    /// drain is over.
    KnownAlready,
    /// Listening pauses, as the listener has noted. Events are fetched at the end of the pause.
    Pause,
    /// The token source has failed, and is not called again before this time.
    NoToken(Error, Instant),
    /// An API call failed, and its token may be the cause.
    CallFailed(Error, AccessToken),
    /// The call failed. It is made again later, or a fetch replaces it.
    Retry(Error),
    /// The stream ends with an error.
    Stop(Error),
    /// A query is complete.
    Finish,
}

/// The reason why a drain begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hint {
    /// There may be events that no signal announced.
    Maybe,
    /// A realtime server signaled a change.
    Changed,
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
    /// The call comes next, or a check is due at that time.
    InTurn,
    /// The interval between two fetches, or the wait of a query.
    Interval,
    /// The backoff after a failure.
    Failed(Error),
    /// The degraded interval: no realtime server is usable, or something on the way refuses all
    /// calls.
    Degraded(Error),
}

impl WaitReason {
    /// Returns `true` if the wait ends when the machine was suspended.
    pub(super) fn ends_by_suspend(&self) -> bool {
        match self {
            Self::InTurn => false,
            Self::Interval => true,
            Self::Failed(error) | Self::Degraded(error) => error.retry_after().is_none(),
        }
    }
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

    /// Returns `true` if the wait follows a failure.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.reason, WaitReason::Failed(_) | WaitReason::Degraded(_))
    }

    /// Ends a wait that began before the machine was suspended: the backoff after a failure, or an
    /// interval. A wait that a server requested continues.
    pub(super) fn machine_was_suspended(&mut self, now: Moment) {
        if self.reason.ends_by_suspend() {
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

/// The outcome of a page.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each of them is independent of the others"
)]
pub(super) struct PageOutcome {
    /// The position after the page.
    pub(super) to: StartAt,
    /// `true` if the page moved the position.
    pub(super) moved: bool,
    /// `true` if the page brought an event for the first time.
    pub(super) brought_new: bool,
    /// `true` if more events may follow, because the page has as many events as requested.
    pub(super) is_full: bool,
    /// `true` if the positions of the pages lead in a circle.
    pub(super) circles: bool,
    /// The time at which the page arrived, if it proves that there was nothing more, or almost
    /// nothing.
    pub(super) caught_up_at: Option<SystemTime>,
    /// The time at which the page was sent, by Box's clock if the response has a `Date`.
    pub(super) sent_at: SystemTime,
    /// The latest time at which the page may have been requested, by the same clock. All events
    /// that Box showed by then, and that fit on the page, are on it.
    pub(super) requested_at: SystemTime,
    /// The latest [`created_at`](crate::Event::created_at) of the page's new events.
    pub(super) newest: Option<SystemTime>,
    /// The number of events that were removed as repeats.
    pub(super) repeats: usize,
    /// The page as it came over the network, if the stream is a slice of a history.
    pub(super) body: Option<ReceivedBody>,
}
