//! A renewal that is under way, and those who wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use futures_util::future::{self, Either};

use super::Issued;
use crate::auth::TokenError;
use crate::auth::endpoint::Endpoint;
use crate::auth::in_flight::Call;
use crate::redact::Chain;

/// A call that is under way, or has ended and is not taken note of yet.
pub(super) struct Renewal {
    pub(super) call: Call<Issued>,
    waiting: AtomicUsize,
    /// Whether a thread of its own drives it.
    has_a_thread: AtomicBool,
}

impl Renewal {
    pub(super) fn new(call: Call<Issued>) -> Self {
        Self {
            call,
            waiting: AtomicUsize::new(0),
            has_a_thread: AtomicBool::new(false),
        }
    }
}

/// One who waits for a renewal. The last of them who leaves before its end sees to it that it goes on.
pub(super) struct Waiter {
    renewal: Arc<Renewal>,
    endpoint: Endpoint,
}

impl Waiter {
    pub(super) fn of(renewal: &Arc<Renewal>, endpoint: &Endpoint) -> Self {
        renewal.waiting.fetch_add(1, Ordering::Relaxed);
        Self {
            renewal: renewal.clone(),
            endpoint: endpoint.clone(),
        }
    }

    /// What came of the renewal, if it is over in time.
    pub(super) async fn wait(&self, longest: Duration) -> Option<Result<Issued, TokenError>> {
        let time = self.endpoint.transport.sleep(longest);
        match future::select(self.renewal.call.clone(), time).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(_) => None,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let last = self.renewal.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        if last
            && self.renewal.call.outcome().is_none()
            && !self.renewal.has_a_thread.swap(true, Ordering::AcqRel)
        {
            let (call, transport) = (self.renewal.call.clone(), self.endpoint.transport.clone());
            let work = move || {
                let driven = transport.block_on(Box::pin(async move {
                    let _ = call.await;
                }));
                if let Err(error) = driven {
                    tracing::warn!(error = %Chain(&error), "a renewal waits until somebody needs a token");
                }
            };
            let name = "box-longpoll-token".to_owned();
            if let Err(error) = thread::Builder::new().name(name).spawn(work) {
                tracing::warn!(error = %Chain(&error), "a renewal waits until somebody needs a token");
            }
        }
    }
}
