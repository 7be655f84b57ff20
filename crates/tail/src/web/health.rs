//! The health checks: is the program alive, and is it ready?
//!
//! Their responses have fixed words alone, because anybody may read them.

use std::time::Duration;

use box_longpoll::Status;
use box_longpoll::monitoring::Statistics;
use jiff::Timestamp;
use serde::Serialize;

use super::board::Output;
use super::routes::Site;
use super::state::State;

/// The time without a pulse after which the main loop counts as stuck. Nothing in it blocks its
/// thread for longer than a busy machine takes.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// The time without a success after which a stream counts as stuck, if it neither waits nor
/// retries. A poll lasts about 10 minutes, and the longest one ends after 20.
const LONGEST_REQUEST: Duration = Duration::from_secs(25 * 60);

/// The response of `/live`.
#[derive(Serialize)]
pub(super) struct Live {
    pub(super) live: bool,
    reason: &'static str,
}

impl Live {
    /// Returns whether the program does something. If it does not, a restart may help.
    pub(super) fn of(site: &Site) -> Self {
        let status = site.handle.status();
        let statistics = site.handle.statistics();
        let board = site.board.update(&status, &statistics);
        let (live, reason) = if site.pulse.silence() > LONGEST_SILENCE {
            (false, "the main loop is stuck")
        } else if let Output::Idle = board.output
            && is_stuck(&status, &statistics, site.started)
        {
            (false, "no request has ended for 25 minutes")
        } else {
            (true, "the main loop runs")
        };
        Self { live, reason }
    }
}

/// Returns `true` if the stream should have had a success, or should have noticed a failure.
fn is_stuck(status: &Status, statistics: &Statistics, started: Timestamp) -> bool {
    let waits = matches!(status, Status::Waiting { .. } | Status::Stopped { .. });
    let last = statistics.last_success_at;
    let last = last.and_then(|time| Timestamp::try_from(time).ok());
    let silence = Timestamp::now().duration_since(last.unwrap_or(started));
    !waits && statistics.wait.is_none() && silence.unsigned_abs() > LONGEST_REQUEST
}

/// The response of `/ready`.
#[derive(Serialize)]
pub(super) struct Ready {
    pub(super) ready: bool,
    state: State,
    since: String,
    reason: &'static str,
}

impl Ready {
    /// Returns whether the program follows the account. A restart does not help if it does not.
    pub(super) fn of(site: &Site) -> Self {
        let statistics = site.handle.statistics();
        let board = site.board.update(&site.handle.status(), &statistics);
        let ready = match board.state {
            State::Live | State::History => true,
            State::CatchingUp | State::AwaitingAcks => statistics.caught_up_at.is_some(),
            _ => false,
        };
        Self {
            ready,
            state: board.state,
            since: format!("{:.0}", board.since),
            reason: board.state.sentence(),
        }
    }
}
