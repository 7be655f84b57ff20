//! Saving from the subscription's side: what no acknowledgement waits for, and what a failing store owes.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use super::ledger::{Ledger, Write};
use crate::api::Api;
use crate::error::Error;
use crate::pacing::{Backoff, RetryPolicy};
use crate::transport::{HttpTransport, Sleep};

/// Drives what the ledger has to write, and waits longer and longer where that fails.
pub(super) struct CheckpointWriter {
    doing: Doing,
    backoff: Backoff,
    /// When it tries again, after a write that failed.
    retries_at: Option<SystemTime>,
}

enum Doing {
    Nothing,
    Writing(Write),
    Waiting(Sleep<'static>),
}

impl CheckpointWriter {
    pub(super) fn new(policy: RetryPolicy, seed: u64) -> Self {
        Self {
            doing: Doing::Nothing,
            backoff: Backoff::new(policy, fastrand::Rng::with_seed(seed)),
            retries_at: None,
        }
    }

    /// Returns when it tries again, if the last write failed.
    pub(super) fn retries_at(&self) -> Option<SystemTime> {
        self.retries_at
    }

    /// Goes on as far as it can be gone.
    ///
    /// # Errors
    ///
    /// Where it can't be waited.
    pub(super) fn poll<T: HttpTransport>(
        &mut self,
        ledger: &Ledger,
        client: &Arc<Api<T>>,
        cx: &mut Context<'_>,
    ) -> Result<(), Error> {
        loop {
            // An acknowledgement may have tried, too.
            match (ledger.failure(), self.retries_at) {
                (None, Some(_)) => {
                    self.retries_at = None;
                    self.backoff.succeeded();
                    self.doing = Doing::Nothing;
                }
                (Some(_), None) => self.doing = self.wait(client),
                _ => {}
            }
            match &mut self.doing {
                Doing::Nothing => match ledger.due() {
                    Some(write) => self.doing = Doing::Writing(write),
                    None => return Ok(()),
                },
                Doing::Writing(write) => {
                    let Poll::Ready(outcome) = write.poll(cx) else {
                        return Ok(());
                    };
                    ledger.finish(write, &outcome);
                    self.doing = match outcome {
                        Ok(()) => Doing::Nothing,
                        Err(_) => self.wait(client),
                    };
                }
                Doing::Waiting(sleep) => match sleep.as_mut().poll(cx) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Ok(())) => self.doing = Doing::Nothing,
                    Poll::Ready(Err(error)) => {
                        self.doing = Doing::Nothing;
                        return Err(Error::no_timer(error));
                    }
                },
            }
        }
    }

    fn wait<T: HttpTransport>(&mut self, client: &Arc<Api<T>>) -> Doing {
        let now = client.transport().now();
        let wait = self.backoff.after_failure(None);
        self.retries_at = Some(now.wall_at(now.monotonic + wait));
        Doing::Waiting(client.sleep(wait))
    }
}
