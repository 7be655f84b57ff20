//! [`Overview`]: everything that the page shows, except the events.

use std::time::SystemTime;

use box_longpoll::Status;
use jiff::Timestamp;
use serde::Serialize;

use super::board::{Output, RATE_STEP};
use super::routes::Site;
use super::state::State;
use crate::report::with_causes;

/// The numbers of the page, as JSON. Times are in milliseconds since 1970.
#[derive(Serialize)]
pub(super) struct Overview<'a> {
    version: &'static str,
    account: &'a str,
    /// The start of the program, which tells apart its runs.
    started: i64,
    state: State,
    since: i64,
    /// The reason for the state, and the time of the next attempt, if something fails.
    cause: Option<String>,
    next_attempt_at: Option<i64>,
    /// The progress of a history.
    history: Option<History>,
    is_caught_up: bool,
    newest_event_at: Option<i64>,
    complete_until: Option<i64>,
    events: u64,
    repeats: u64,
    requests: u64,
    retries: u64,
    rate_limited: u64,
    unacknowledged: usize,
    sink_errors: u64,
    rate: Rate,
}

#[derive(Serialize)]
struct History {
    share: f64,
    remaining_seconds: Option<u64>,
}

/// The numbers of events in the steps of the last 10 minutes, the current step last.
#[derive(Serialize)]
struct Rate {
    step_seconds: u64,
    /// The number of the current step. Because of it, the numbers change at each step, and the page
    /// can see that its connection works.
    step: u64,
    counts: Vec<u64>,
}

impl<'a> Overview<'a> {
    pub(super) fn of(site: &'a Site) -> Self {
        let status = site.handle.status();
        let statistics = site.handle.statistics();
        let board = site.board.update(&status, &statistics);
        let (cause, next_attempt_at) = match (&board.output, &status) {
            (Output::Failing(reason), _) => (Some(reason.clone()), None),
            (
                _,
                Status::Retrying { because, until, .. }
                | Status::Degraded { because, until, .. }
                | Status::NotSaving { because, until, .. },
            ) => (Some(with_causes(because)), millis(*until)),
            (
                _,
                Status::Stopped {
                    because: Some(because),
                    ..
                },
            ) => (Some(with_causes(because)), None),
            (_, Status::AwaitingAcks { .. }) => (Some(status.to_string()), None),
            _ => (None, None),
        };
        let history = match &status {
            Status::ReadingHistory(progress) => Some(History {
                share: progress.share(),
                remaining_seconds: progress.remaining.map(|time| time.as_secs()),
            }),
            _ => None,
        };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            account: &site.account,
            started: site.started.as_millisecond(),
            state: board.state,
            since: board.since.as_millisecond(),
            cause,
            next_attempt_at,
            history,
            is_caught_up: statistics.is_caught_up,
            newest_event_at: statistics.newest_event_at.and_then(millis),
            complete_until: statistics.complete_until.and_then(millis),
            events: board.written,
            repeats: statistics.repeats,
            requests: statistics.requests(),
            retries: statistics.retries,
            rate_limited: statistics.rate_limited(),
            unacknowledged: statistics.unacknowledged,
            sink_errors: board.sink_errors,
            rate: Rate {
                step_seconds: RATE_STEP,
                step: board.step,
                counts: board.rate,
            },
        }
    }
}

fn millis(time: SystemTime) -> Option<i64> {
    Some(Timestamp::try_from(time).ok()?.as_millisecond())
}
