//! The end of a refresh, for the log and the metrics.
//!
//! Their code may be the program's own: a subscriber may send each line to Box, with a token of the
//! same source. So [`Ended`] takes the facts out of the lock, and reports them without it.

use std::time::Duration;

use crate::auth::TokenError;
use crate::redact::Chain;
use crate::telemetry::{TOKEN, token_refreshed};

/// A refresh that has ended and is recorded.
#[must_use = "the log and the metrics miss the refresh until it is reported"]
pub(super) enum Ended {
    /// There is a new token.
    Refreshed,
    /// The caller's runtime failed, not the endpoint.
    RuntimeFailed,
    /// There is no new token.
    Failed {
        error: TokenError,
        /// The number of failures in a row.
        attempt: u32,
        /// The wait until the next attempt.
        wait: Duration,
    },
}

impl Ended {
    /// Tells the log and the metrics. Call this without a lock.
    pub(super) fn report(&self) {
        token_refreshed(matches!(self, Self::Refreshed));
        match self {
            Self::Refreshed => tracing::debug!(target: TOKEN, "new access token"),
            Self::RuntimeFailed => {}
            Self::Failed {
                error,
                attempt,
                wait,
            } => {
                let wait_ms = wait.as_millis();
                tracing::warn!(target: TOKEN, kind = ?error.kind(), attempt, wait_ms, error = %Chain(error), "no new access token");
            }
        }
    }
}
