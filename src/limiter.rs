//! The way to Box's API, for a client, its siblings and all their streams: first come, first served.

mod queue;
#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use self::queue::{Admission, Released, WaitQueue};
use crate::config::Config;
use crate::transport::{HttpTransport, Sleep, TransportError};

/// A call to Box's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ApiCall {
    /// `OPTIONS /events`, for which there is a rate as well.
    List,
    /// `GET /events`
    Fetch,
}

/// Lets through so many calls at once, and so many lists of servers a second.
pub(crate) struct CallLimiter {
    queue: Mutex<WaitQueue>,
}

impl CallLimiter {
    pub(crate) fn new(config: &Config, now: Instant) -> Self {
        Self {
            queue: Mutex::new(WaitQueue::new(config, now)),
        }
    }

    /// Waits for the call's turn. Its place is free again when what this returns is dropped.
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
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the line, and wakes those whose turn that makes it.
    fn change<R>(&self, change: impl FnOnce(&mut WaitQueue) -> (R, Released)) -> R {
        let (outcome, released) = change(&mut self.queue());
        released.wake();
        outcome
    }
}

/// The place of a call, which waits in the queue first. When this is dropped, its place is free again.
pub(crate) struct Permit<'a, T: HttpTransport> {
    limiter: &'a CallLimiter,
    transport: &'a T,
    call: ApiCall,
    number: Option<u64>,
    timer: Option<(Instant, Sleep<'a>)>,
}

impl<T: HttpTransport> Permit<'_, T> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        loop {
            let now = self.transport.now().monotonic;
            let (call, number) = (self.call, &mut self.number);
            // Cloned here, where the queue is not locked.
            let waker = cx.waker().clone();
            let Admission::WaitUntil(until) = self
                .limiter
                .change(|queue| queue.ask(call, number, waker, now))
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
