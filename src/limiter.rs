//! The concurrency limit of a client and its derived clients: the calls to Box's API that may be in
//! flight at once, and the lists of servers per second.
//!
//! All their streams share one [`CallLimiter`], and calls are admitted in the order of their
//! arrival. A call whose executor stops polling it must not block the others, so a permit expires.
//! The pace of a single stream is in [`pacing`](crate::pacing). The type to start from is
//! [`CallLimiter`].

mod pacer;
mod queue;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Instant;

pub(crate) use self::pacer::Pacer;
use self::queue::{Admission, Released, WaitQueue};
use crate::config::Config;
use crate::sys::lock;
use crate::transport::{HttpTransport, Sleep, TransportError};

/// A call to Box's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiCall {
    /// `OPTIONS /events`, which has a rate limit as well.
    List,
    /// `GET /events`.
    Fetch,
    /// The same as a list, while the consumer handles a batch. Nobody may poll it for a long time,
    /// so it keeps its permit for 2 s at most.
    ListAhead,
    /// The same as a fetch, while the consumer handles a batch.
    FetchAhead,
}

impl ApiCall {
    fn is_list(self) -> bool {
        matches!(self, Self::List | Self::ListAhead)
    }

    fn is_ahead(self) -> bool {
        matches!(self, Self::ListAhead | Self::FetchAhead)
    }
}

/// A limiter that admits `max_api_calls` calls at once, and `max_server_lists_per_second` lists of
/// servers in any second.
pub(crate) struct CallLimiter {
    queue: Mutex<WaitQueue>,
}

impl CallLimiter {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            queue: Mutex::new(WaitQueue::new(config, now)),
        }
    }

    /// Waits until the call is admitted. Dropping the returned permit admits the next call.
    ///
    /// # Cancellation
    ///
    /// Dropping the future gives up the call's place in the queue.
    pub(crate) async fn acquire<'a, T: HttpTransport>(
        &'a self,
        call: ApiCall,
        transport: &'a T,
    ) -> Result<Permit<'a, T>, TransportError> {
        let mut permit = Permit {
            limiter: self,
            transport,
            call,
            number: None,
            timer: None,
        };
        poll_fn(|cx| permit.poll(cx)).await?;
        Ok(permit)
    }

    fn queue(&self) -> MutexGuard<'_, WaitQueue> {
        lock(&self.queue)
    }

    /// Changes the queue, and wakes the callers that the change admits. It wakes them without the
    /// lock, because a waker may run code that uses the limiter.
    fn change<R>(&self, change: impl FnOnce(&mut WaitQueue) -> (R, Released)) -> R {
        let (outcome, released) = change(&mut self.queue());
        released.wake();
        outcome
    }
}

/// The permission to send a call, which waits in the queue until it is admitted. A dropped permit
/// frees its place.
pub(crate) struct Permit<'a, T: HttpTransport> {
    limiter: &'a CallLimiter,
    transport: &'a T,
    call: ApiCall,
    /// The call's number in the queue, once it has one.
    number: Option<u64>,
    /// The timer of the next try, with its time.
    timer: Option<(Instant, Sleep<'a>)>,
}

impl<T: HttpTransport> Permit<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        loop {
            let now = self.transport.now().monotonic;
            let (call, number) = (self.call, &mut self.number);
            // The waker is cloned while the queue is not locked.
            let waker = cx.waker().clone();
            let Admission::WaitUntil(until) = self
                .limiter
                .change(|queue| queue.admit(call, number, waker, now))
            else {
                self.timer = None;
                return Poll::Ready(Ok(()));
            };
            if self.timer.as_ref().is_none_or(|(at, _)| until < *at) {
                let wait = until.saturating_duration_since(now);
                self.timer = Some((until, self.transport.sleep(wait)));
            }
            if let Some((_, sleep)) = &mut self.timer {
                let slept = ready!(sleep.as_mut().poll(cx));
                self.timer = None;
                slept?;
            }
        }
    }
}

impl<T: HttpTransport> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            let now = self.transport.now().monotonic;
            let call = self.call;
            self.limiter
                .change(|queue| ((), queue.leave(call, number, now)));
        }
    }
}
