//! The warning about a long wait for acknowledgements.
//!
//! A program that keeps its batches and waits for the next one stands still without an error. The
//! [status](crate::Status::AwaitingAcks) shows it, and this warning shows it to those who only read
//! the log. It is logged once for each wait. It ends nothing. Start at [`LongWait::poll`].

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use super::ledger::Ledger;
use crate::api::Api;
use crate::error::Error;
use crate::telemetry::STREAM;
use crate::transport::{HttpTransport, Sleep};

/// The wait after which the warning is logged. A program usually handles a batch in seconds. If it
/// takes longer for all of them at once, it is stuck, or slower than Box.
const WARN_AFTER: Duration = Duration::from_secs(60);

/// One wait for acknowledgements, from the first poll that had to wait to the first that need not.
#[derive(Default)]
pub(super) enum LongWait {
    /// The stream does not wait, or was not polled since.
    #[default]
    None,
    /// The stream waits, and the timer of the warning runs.
    Waiting {
        since: Instant,
        timer: Sleep<'static>,
    },
    /// The warning is logged.
    Warned,
}

impl LongWait {
    /// Logs the warning once the wait is long. Until then, the task is woken for it.
    ///
    /// # Errors
    ///
    /// An error of the transport's timer.
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
                timer: client.sleep(WARN_AFTER),
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
            tracing::warn!(target: STREAM, key, batches, ?waited, "no batch is delivered until {until}");
        }
        Ok(())
    }
}
