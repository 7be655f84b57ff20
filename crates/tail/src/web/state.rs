//! [`State`]: the state of a run in one word, for the page and the health checks.
//!
//! A [`Status`] changes several times for each event. A state changes when an operator wants to
//! know.

use std::time::SystemTime;

use box_longpoll::Status;
use box_longpoll::monitoring::Statistics;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::board::Output;

/// The time without being caught up after which the stream counts as behind. While it fetches
/// events that have just happened, it is not.
const BEHIND_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// No request has succeeded yet.
    Starting,
    /// The stream reads past events.
    History,
    /// The stream fetches events that happened some time ago.
    CatchingUp,
    /// Events are shown as they happen.
    Live,
    /// A request failed, and is tried again.
    Retrying,
    /// The stream can't listen, and fetches at an interval.
    Degraded,
    /// The stream waits until a batch is acknowledged.
    AwaitingAcks,
    /// The checkpoint can't be saved.
    NotSaving,
    /// The sink failed.
    OutputFailing,
    /// The stream has ended.
    Stopped,
}

impl State {
    /// Returns the state that follows.
    pub(super) fn next(self, status: &Status, statistics: &Statistics, output: &Output) -> Self {
        let current = match self {
            Self::OutputFailing => Self::Starting,
            state => state,
        };
        match (status, output) {
            (Status::Stopped { .. }, _) => Self::Stopped,
            (_, Output::Failing(_)) => Self::OutputFailing,
            (status, _) => current.of_stream(status, statistics),
        }
    }

    fn of_stream(self, status: &Status, statistics: &Statistics) -> Self {
        match status {
            Status::Stopped { .. } => Self::Stopped,
            Status::Retrying { .. } => Self::Retrying,
            Status::Degraded { .. } => Self::Degraded,
            Status::AwaitingAcks { .. } => Self::AwaitingAcks,
            Status::NotSaving { .. } => Self::NotSaving,
            // The next attempt runs.
            _ if statistics.failures > statistics.recoveries => match self {
                Self::Degraded => Self::Degraded,
                _ => Self::Retrying,
            },
            Status::ReadingHistory(_) => Self::History,
            Status::Listening { .. } | Status::Waiting { .. } => live(statistics),
            // Requests of a moment.
            _ if self == Self::History => Self::History,
            _ => live(statistics),
        }
    }

    /// Returns the sentence that explains the state.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Starting => "no request has succeeded yet",
            Self::History => "past events are read",
            Self::CatchingUp => "events that happened earlier are fetched",
            Self::Live => "events are followed as they happen",
            Self::Retrying => "a request failed and is tried again",
            Self::Degraded => "listening fails, so events are fetched at an interval",
            Self::AwaitingAcks => "the stream waits until a batch is acknowledged",
            Self::NotSaving => "the checkpoint cannot be saved",
            Self::OutputFailing => "the output fails",
            Self::Stopped => "the stream has ended",
        }
    }
}

/// Returns the state of a stream without a failure.
fn live(statistics: &Statistics) -> State {
    let is_recent = |time: SystemTime| {
        Timestamp::try_from(time)
            .is_ok_and(|time| Timestamp::now().duration_since(time) < BEHIND_AFTER)
    };
    match (statistics.connected_since, statistics.caught_up_at) {
        (None, _) => State::Starting,
        (Some(_), Some(time)) if statistics.is_caught_up || is_recent(time) => State::Live,
        (Some(_), _) => State::CatchingUp,
    }
}
