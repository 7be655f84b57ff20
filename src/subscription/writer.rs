//! The writer that saves checkpoints while a subscription is polled.
//!
//! An acknowledgement saves its own checkpoint, see [`Ledger::acknowledge`]. This writer saves the
//! rest: positions that move without events, and acknowledgements whose write failed. It retries a
//! failing store with exponential backoff and jitter. It does not decide which checkpoint is saved;
//! the [`Ledger`] does.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use super::ledger::{Ledger, Write};
use crate::api::Api;
use crate::error::Error;
use crate::pacing::{Backoff, RetryPolicy};
use crate::transport::{HttpTransport, Sleep};

/// Drives the ledger's writes, and waits longer after each failure in a row.
pub(super) struct CheckpointWriter {
    activity: Activity,
    backoff: Backoff,
    /// The time of the next retry, if the last write failed.
    retries_at: Option<SystemTime>,
}

/// The current activity of the writer.
enum Activity {
    Idle,
    Writing(Write),
    Waiting(Sleep<'static>),
}

impl CheckpointWriter {
    pub(super) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            activity: Activity::Idle,
            backoff: Backoff::new(policy, fastrand::Rng::with_seed(seed)),
            retries_at: None,
        }
    }

    /// Returns the time of the next retry, if the last write failed.
    pub(super) fn retries_at(&self) -> Option<SystemTime> {
        self.retries_at
    }

    /// Writes everything that is due, as far as the store and the backoff permit now.
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
        loop {
            // An acknowledgement may have written meanwhile, with or without success.
            match (ledger.failure(), self.retries_at) {
                (None, Some(_)) => {
                    self.retries_at = None;
                    self.backoff.succeeded();
                    self.activity = Activity::Idle;
                }
                (Some(_), None) => self.activity = self.wait(client),
                _ => {}
            }
            match &mut self.activity {
                Activity::Idle => match ledger.due() {
                    Some(write) => self.activity = Activity::Writing(write),
                    None => return Ok(()),
                },
                Activity::Writing(write) => {
                    let Poll::Ready(outcome) = write.poll(cx) else {
                        return Ok(());
                    };
                    ledger.finish(write, &outcome);
                    self.activity = match outcome {
                        Ok(()) => Activity::Idle,
                        Err(_) => self.wait(client),
                    };
                }
                Activity::Waiting(sleep) => match sleep.as_mut().poll(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(())) => self.activity = Activity::Idle,
                    Poll::Ready(Err(error)) => {
                        self.activity = Activity::Idle;
                        return Err(Error::no_timer(error));
                    }
                },
            }
        }
    }

    fn wait<T: HttpTransport>(&mut self, client: &Arc<Api<T>>) -> Activity {
        let now = client.transport().now();
        let wait = self.backoff.after_failure(None);
        self.retries_at = Some(now.wall_at(now.monotonic + wait));
        Activity::Waiting(client.sleep(wait))
    }
}
