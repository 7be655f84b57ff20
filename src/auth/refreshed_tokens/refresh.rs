//! A refresh in flight, and the callers that wait for it.
//!
//! The callers drive the refresh. An exchange of a refresh token must not be cut short. If all
//! callers are dropped before it ends, [`Waiter`] therefore moves it to a thread of its own.

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
use crate::telemetry::TOKEN;

/// A refresh that is in flight, or has ended and is not recorded yet.
pub(super) struct Refresh {
    pub(super) call: Call<Issued>,
    /// The number of [`Waiter`]s.
    waiting: AtomicUsize,
    /// `true` if a thread of its own drives the refresh.
    has_a_thread: AtomicBool,
}

impl Refresh {
    pub(super) fn new(call: Call<Issued>) -> Self {
        Self {
            call,
            waiting: AtomicUsize::new(0),
            has_a_thread: AtomicBool::new(false),
        }
    }
}

/// A caller that waits for a refresh. If the last one is dropped before the refresh ends, it moves
/// the refresh to a thread of its own.
pub(super) struct Waiter {
    refresh: Arc<Refresh>,
    endpoint: Endpoint,
}

impl Waiter {
    pub(super) fn of(refresh: &Arc<Refresh>, endpoint: &Endpoint) -> Self {
        refresh.waiting.fetch_add(1, Ordering::Relaxed);
        Self {
            refresh: refresh.clone(),
            endpoint: endpoint.clone(),
        }
    }

    /// Returns the outcome of the refresh, or `None` if it does not end in time.
    pub(super) async fn wait(&self, longest: Duration) -> Option<Result<Issued, TokenError>> {
        let timeout = self.endpoint.transport.sleep(longest);
        match future::select(self.refresh.call.clone(), timeout).await {
            Either::Left((outcome, _)) => Some(outcome),
            Either::Right(_) => None,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let last = self.refresh.waiting.fetch_sub(1, Ordering::AcqRel) == 1;
        if last
            && self.refresh.call.outcome().is_none()
            && !self.refresh.has_a_thread.swap(true, Ordering::AcqRel)
        {
            let (call, transport) = (self.refresh.call.clone(), self.endpoint.transport.clone());
            let work = move || {
                let driven = transport.block_on(Box::pin(async move {
                    let _ = call.await;
                }));
                if let Err(error) = driven {
                    tracing::warn!(target: TOKEN, error = %Chain(&error), "no thread drives the token refresh: it waits for the next caller");
                }
            };
            let name = "box-longpoll-token".to_owned();
            if let Err(error) = thread::Builder::new().name(name).spawn(work) {
                tracing::warn!(target: TOKEN, error = %Chain(&error), "no thread drives the token refresh: it waits for the next caller");
            }
        }
    }
}
