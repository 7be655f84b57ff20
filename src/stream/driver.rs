//! The driver: it performs the outputs of one engine with the client's transport.
//!
//! The engine decides what to do next, and knows neither sockets nor clocks. The driver sends the
//! requests, sleeps until the deadlines, feeds the results back, and publishes the status. It has
//! at most one operation in flight and decides nothing about the protocol. Plain streams call
//! [`Driver::poll_next`]; a subscription calls [`Driver::poll_step`] and publishes a status of its
//! own.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::StreamHandle;
use crate::api::{Api, InFlight};
use crate::batch::Batch;
use crate::error::Error;
use crate::protocol::{Input, LongPoll, Output};
use crate::status::StatusWatch;
use crate::transport::{HttpTransport, Sleep};

/// Runs one engine over a transport.
pub(crate) struct Driver<T: HttpTransport> {
    pub(crate) client: Arc<Api<T>>,
    pub(crate) engine: LongPoll,
    in_flight: Option<InFlight>,
    /// The timer of the next clock check while an operation is in flight. It notices that the
    /// machine was suspended.
    clock_check: Option<Sleep<'static>>,
    pub(crate) watch: Arc<StatusWatch>,
}

/// The outcome of one output of the engine.
pub(crate) enum Step {
    /// An operation was started. It sends nothing until the next step polls it.
    Begun,
    /// A batch is ready for the consumer.
    Deliver(Batch),
    /// The stream ends with this error.
    Stop(Error),
    /// The engine awaits an input that is still to come, or the stream has ended.
    Idle,
}

impl<T: HttpTransport> Driver<T> {
    pub(crate) fn new(client: Arc<Api<T>>, engine: LongPoll) -> Self {
        let watch = Arc::new(StatusWatch::new(
            engine.status(),
            engine.resume_at().clone(),
        ));
        Self {
            client,
            engine,
            in_flight: None,
            clock_check: None,
            watch,
        }
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        StreamHandle::new(self.watch.clone())
    }

    /// Tells the engine that the delivered batch is handled, unless an operation is in flight.
    pub(crate) fn confirm_handled(&mut self) {
        if self.in_flight.is_none() {
            self.engine
                .handle_input(Input::BatchHandled, self.client.transport().now());
        }
    }

    /// Returns `true` if the stream has ended, and drops its operation in flight.
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> bool {
        let stopped = self.watch.poll_stopped(cx);
        if stopped {
            self.cancel_in_flight();
        }
        stopped
    }

    /// Ends the stream with an error.
    pub(crate) fn stop(&mut self, error: &Error) {
        self.cancel_in_flight();
        self.watch.stop(Some(error.clone()));
    }

    fn cancel_in_flight(&mut self) {
        self.in_flight = None;
        self.clock_check = None;
    }

    /// Polls the operation in flight, and starts the one that the engine needs next.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(in_flight) = &mut self.in_flight {
            let input = match in_flight.as_mut().poll(cx) {
                Poll::Ready(input) => {
                    self.in_flight = None;
                    input
                }
                Poll::Pending => Some(ready!(self.poll_clock_check(cx))),
            };
            if let Some(input) = input {
                self.engine
                    .handle_input(input, self.client.transport().now());
            }
        }
        let now = self.client.transport().now();
        let output = self.engine.poll_output(now);
        self.client.share_findings(&mut self.engine);
        let begun: InFlight = match output {
            Output::GetToken { rejected } => {
                let tokens = self.client.tokens.clone();
                Box::pin(async move { Some(Input::Token(tokens.token(rejected.as_ref()).await)) })
            }
            Output::Send { call, request } => self.client.send(call, request),
            Output::WaitUntil(until) => {
                let client = self.client.clone();
                let wait = until.saturating_duration_since(now.monotonic);
                Box::pin(async move {
                    let slept = client.transport().sleep(wait).await;
                    slept.err().map(Input::WaitFailed)
                })
            }
            Output::Deliver(batch) => {
                self.cancel_in_flight();
                return Poll::Ready(Step::Deliver(batch));
            }
            Output::Stop(error) => return Poll::Ready(Step::Stop(error)),
            Output::Finish => {
                // The next poll sees the stop, as if a handle had stopped the stream.
                self.cancel_in_flight();
                self.watch.stop(None);
                return Poll::Ready(Step::Idle);
            }
            Output::Idle if self.in_flight.is_some() => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Output::Idle => return Poll::Ready(Step::Idle),
        };
        self.in_flight = Some(begun);
        Poll::Ready(Step::Begun)
    }

    /// Waits until the next clock check is due, and returns it as the engine's input.
    fn poll_clock_check(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let clock_check = self.clock_check.get_or_insert_with(|| {
            let now = self.client.transport().now().monotonic;
            self.client.sleep(self.client.until_clock_check(now))
        });
        let slept = ready!(clock_check.as_mut().poll(cx));
        self.clock_check = None;
        Poll::Ready(slept.map_or_else(Input::WaitFailed, |()| Input::CheckClocks))
    }

    /// Returns the next batch of a plain stream, where requesting a batch marks the one before as
    /// handled.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch, Error>>> {
        self.confirm_handled();
        if self.poll_stopped(cx) {
            self.publish();
            return Poll::Ready(None);
        }
        let step = loop {
            match self.poll_step(cx) {
                Poll::Ready(Step::Begun) => {}
                step => break step,
            }
        };
        self.publish();
        match ready!(step) {
            Step::Deliver(batch) => Poll::Ready(Some(Ok(batch))),
            Step::Stop(error) => {
                self.stop(&error);
                Poll::Ready(Some(Err(error)))
            }
            Step::Begun | Step::Idle => Poll::Pending,
        }
    }

    /// Publishes the position and the status to the handles.
    fn publish(&self) {
        self.watch.move_to(self.engine.resume_at()).wake();
        self.watch.show(self.engine.status());
    }
}

impl<T: HttpTransport> Drop for Driver<T> {
    fn drop(&mut self) {
        self.watch.stop(None);
    }
}
