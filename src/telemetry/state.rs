//! The few states of a stream that its metrics count.
//!
//! A [`Status`] changes several times for each event. A [`State`] changes when an operator would
//! want to know: a stream that fetches a signaled event is still listening, and one that tries
//! again after a failure is still retrying.

use super::statistics::WaitCause;
use crate::error::ErrorKind;
use crate::status::Status;

/// The state of a stream, as the label `state` of the metrics has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// The stream was not polled yet. It is not counted.
    #[default]
    Created,
    Starting,
    History,
    Listening,
    Waiting,
    Retrying,
    Degraded,
    AwaitingAcks,
    NotSaving,
    /// The stream has ended. It is not counted.
    Stopped,
}

impl State {
    /// Returns the state that follows. `in_trouble` is `true` from a failure until the stream works
    /// again.
    pub(super) fn next(self, status: &Status, in_trouble: bool) -> Self {
        match status {
            Status::Stopped { .. } => Self::Stopped,
            Status::Retrying { .. } => Self::Retrying,
            Status::Degraded { .. } => Self::Degraded,
            Status::AwaitingAcks { .. } => Self::AwaitingAcks,
            Status::NotSaving { .. } => Self::NotSaving,
            _ if in_trouble && self == Self::Degraded => Self::Degraded,
            _ if in_trouble => Self::Retrying,
            Status::ReadingHistory(_) => Self::History,
            Status::Listening { .. } | Status::Delivering => Self::Listening,
            Status::Waiting { .. } => Self::Waiting,
            Status::Authorizing
            | Status::LoadingCheckpoint
            | Status::Fetching
            | Status::Listing
            | Status::Connecting { .. } => match self {
                Self::Created | Self::Starting => Self::Starting,
                Self::Waiting => Self::Waiting,
                _ => Self::Listening,
            },
        }
    }

    /// Returns the name, or `None` if a stream in this state is not counted.
    #[cfg_attr(
        not(feature = "metrics"),
        expect(dead_code, reason = "only metrics name the states")
    )]
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Created | Self::Stopped => return None,
            Self::Starting => "starting",
            Self::History => "history",
            Self::Listening => "listening",
            Self::Waiting => "waiting",
            Self::Retrying => "retrying",
            Self::Degraded => "degraded",
            Self::AwaitingAcks => "awaiting_acks",
            Self::NotSaving => "not_saving",
        })
    }
}

/// Returns the cause of a wait. `None` if the stream does not wait, or waits for events.
pub(super) fn wait_cause(status: &Status, is_paced: bool) -> Option<WaitCause> {
    match status {
        Status::Authorizing => Some(WaitCause::Token),
        Status::Waiting { .. } if is_paced => Some(WaitCause::Pace),
        Status::Retrying { because, .. } => Some(match because.kind() {
            ErrorKind::RateLimited => WaitCause::RateLimit,
            ErrorKind::Token => WaitCause::Token,
            _ => WaitCause::Retry,
        }),
        Status::Degraded { .. } => Some(WaitCause::Degraded),
        Status::AwaitingAcks { .. } => Some(WaitCause::Acknowledgement),
        _ => None,
    }
}
