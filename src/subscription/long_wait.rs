//! The warning that a stream has waited for acknowledgements for long.
//!
//! A program that keeps its batches and waits for the next one stands still without an error. The status says so; the log
//! says it to those who don't look there.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use crate::api::Api;
use crate::error::Error;
use crate::transport::{HttpTransport, Sleep};

/// Batches are handled in seconds; a program that takes longer for all of them at once is stuck, or slower than Box.
const LONG: Duration = Duration::from_secs(60);

/// One wait for acknowledgements, from the first poll that had to wait to the first that need not.
#[derive(Default)]
pub(super) enum LongWait {
    /// The stream does not wait, or was not polled since.
    #[default]
    None,
    Waiting {
        since: Instant,
        timer: Sleep<'static>,
    },
    Warned,
}

impl LongWait {
    /// Logs a warning when the wait has become a long one, and has the task woken for that.
    ///
    /// # Errors
    ///
    /// The transport's timers fail.
    pub(super) fn poll<T: HttpTransport>(
        &mut self,
        ledger: &Ledger,
        client: &Arc<Api<T>>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        if let Self::None = self {
            let since = client.transport().now().monotonic;
            *self = Self::Waiting {
                since,
                timer: client.sleep(LONG),
            };
        }
        if let Self::Waiting { since, timer } = self
            && let Poll::Ready(slept) = timer.as_mut().poll(cx)
        {
            let waited = client
                .transport()
                .now()
                .monotonic
                .saturating_duration_since(*since);
            *self = Self::Warned;
            slept.map_err(Error::no_timer)?;
            let (key, batches) = (ledger.account(), ledger.not_durable());
            let until = match batches {
                0 => "the start is stored",
                _ => "one of these is acknowledged and saved",
            };
            tracing::warn!(key, batches, ?waited, "no batch is delivered until {until}");
        }
        Ok(())
    }
}
