//! Carrying out what the engine says.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::StreamHandle;
use crate::api::{Api, InFlight};
use crate::batch::Batch;
use crate::error::Error;
use crate::protocol::{Input, LongPoll, Output};
use crate::status::StatusWatch;
use crate::transport::{HttpTransport, Sleep};

/// Carries out what the engine says.
pub(crate) struct Driver<T: HttpTransport> {
    pub(crate) client: Arc<Api<T>>,
    pub(crate) engine: LongPoll,
    in_flight: Option<InFlight>,
    /// The next check of the clocks while something is in flight.
    tick: Option<Sleep<'static>>,
    pub(crate) watch: Arc<StatusWatch>,
}

/// What came of one of the engine's outputs.
pub(crate) enum Step {
    /// Something was begun. It is polled by the next step, and sends nothing before.
    Begun,
    Deliver(Batch),
    Stop(Error),
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
            tick: None,
            watch,
        }
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        StreamHandle::new(self.watch.clone())
    }

    /// Asks for more, which says that what was delivered is handled.
    pub(crate) fn go_on(&mut self) {
        if self.in_flight.is_none() {
            self.engine
                .handle_input(Input::BatchHandled, self.client.transport().now());
        }
    }

    /// Whether the stream has ended. A request that is under way ends with it.
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> bool {
        let stopped = self.watch.poll_stopped(cx);
        if stopped {
            self.let_go();
        }
        stopped
    }

    /// Ends the stream with an error.
    pub(crate) fn stop(&mut self, error: &Error) {
        self.let_go();
        self.watch.stop(Some(error.clone()));
    }

    fn let_go(&mut self) {
        self.in_flight = None;
        self.tick = None;
    }

    /// Waits for what is under way, and begins what the engine says then.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(in_flight) = &mut self.in_flight {
            let input = match in_flight.as_mut().poll(cx) {
                Poll::Ready(input) => {
                    self.in_flight = None;
                    input
                }
                Poll::Pending => Some(ready!(self.poll_tick(cx))),
            };
            if let Some(input) = input {
                self.engine
                    .handle_input(input, self.client.transport().now());
            }
        }
        let now = self.client.transport().now();
        let output = self.engine.poll_output(now);
        self.client.share_what_is_known(&mut self.engine);
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
                self.let_go();
                return Poll::Ready(Step::Deliver(batch));
            }
            Output::Stop(error) => return Poll::Ready(Step::Stop(error)),
            Output::Finish => {
                // Whoever polls hears of it, as of a handle's stop.
                self.let_go();
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

    /// Has the engine check the clocks when it is time to.
    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        let tick = self.tick.get_or_insert_with(|| {
            let now = self.client.transport().now().monotonic;
            self.client.sleep(self.client.until_tick(now))
        });
        let slept = ready!(tick.as_mut().poll(cx));
        self.tick = None;
        Poll::Ready(slept.map_or_else(Input::WaitFailed, |()| Input::CheckClocks))
    }

    /// Goes on to the next batch, where each counts as handled when the next is asked for.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch, Error>>> {
        self.go_on();
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
