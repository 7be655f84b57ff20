//! The driver: it performs the outputs of one engine with the client's transport.
//!
//! The engine decides what to do next, and knows neither sockets nor clocks. The driver sends the
//! requests, sleeps until the deadlines, feeds the results back, and publishes the status. It
//! decides nothing about the protocol. If the consumer works on its batches, the driver starts the
//! requests that are due before it delivers one, so that they are on their way meanwhile. Plain
//! streams call [`Driver::poll_next`]; a subscription calls [`Driver::poll_step`] and publishes a
//! status of its own.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use super::StreamHandle;
use super::since::SinceState;
use super::traced::traced;
use crate::api::{Api, Done, InFlight};
use crate::batch::Batch;
use crate::checkpoint::{Checkpoint, Since};
use crate::clock::Moment;
use crate::dedup::Window;
use crate::error::Error;
use crate::position::{SlicePoint, StartAt};
use crate::protocol::{Call, Input, LongPoll, Output};
use crate::status::Status;
use crate::telemetry::{BatchSpan, Health, Telemetry};
use crate::transport::{HttpTransport, Sleep};

/// The time within which a consumer requests the next batch if it does no work on its batches:
/// 1 ms. Such a consumer gets a batch before the next requests are sent, because sending takes some
/// 50 µs.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Runs one engine over a transport.
pub(crate) struct Driver<T: HttpTransport> {
    pub(crate) client: Arc<Api<T>>,
    pub(crate) engine: LongPoll,
    operations: Operations,
    /// The timer of the engine, with its time.
    timer: Option<(Instant, Sleep<'static>)>,
    /// The timer of the next clock check while an operation is in flight. It notices that the
    /// machine was suspended.
    clock_check: Option<Sleep<'static>>,
    /// The time at which the last batch was delivered.
    delivered_at: Option<Instant>,
    /// `true` if the consumer requested the next batch [at once](AT_ONCE).
    consumer_is_prompt: bool,
    /// The state of a stream that began at a time.
    since: Option<Box<SinceState<T>>>,
    /// `true` if the engine reads a slice of a history. Its requests may go unpolled for a long
    /// time.
    is_slice: bool,
    pub(crate) telemetry: Arc<Telemetry>,
    /// The span of the batch that a plain stream has delivered.
    batch_span: BatchSpan,
}

/// The operations that the engine waits for, at most one of each kind.
#[derive(Default)]
struct Operations {
    token: Option<InFlight>,
    fetch: Option<InFlight>,
    /// A list or a poll.
    listen: Option<InFlight>,
    /// The call of the latest list or poll.
    listen_call: Option<Call>,
}

impl Operations {
    fn all(&mut self) -> [&mut Option<InFlight>; 3] {
        [&mut self.token, &mut self.fetch, &mut self.listen]
    }

    /// Drops a fetch. Returns its call if there was one.
    fn drop_fetch(&mut self) -> Option<Call> {
        self.fetch.take().map(|_| Call::Fetch)
    }

    /// Drops a list or a poll. Returns its call if there was one.
    fn drop_listen(&mut self) -> Option<Call> {
        self.listen.take().and(self.listen_call)
    }
}

/// The end of all that the consumer has handled.
pub(crate) struct Reached {
    /// The position from which the stream resumes.
    pub(crate) resume_at: StartAt,
    /// The position within a slice of the history.
    pub(crate) slice: Option<SlicePoint>,
    /// The time at which the stream had last caught up. `None` if it has not since its start.
    pub(crate) caught_up_at: Option<SystemTime>,
    /// The time up to which every event is handled. `None` if none is proven since the start.
    pub(crate) complete_until: Option<SystemTime>,
    /// The state of a stream that began at a time.
    pub(crate) since: Option<Since>,
}

/// The outcome of one round of outputs and results.
pub(crate) enum Step {
    /// The engine has taken a result.
    Moved,
    /// A batch is ready for the consumer.
    Deliver(Batch),
    /// The stream ends with this error.
    Stop(Error),
    /// The stream is complete. It ends once its [`Telemetry`] is stopped.
    Ended,
}

impl<T: HttpTransport> Driver<T> {
    /// Creates the driver of a stream. The `seed` decides its jitter and the key of its hashes, and
    /// the account is any name for the log.
    pub(crate) fn new(
        client: Arc<Api<T>>,
        account: Option<&str>,
        start: StartAt,
        seed: u64,
    ) -> Self {
        let now = client.transport().now();
        let since = match start {
            StartAt::Since(from) => SinceState::new(from, &client, seed),
            _ => None,
        };
        let live = if since.is_some() {
            StartAt::Oldest
        } else {
            start
        };
        let engine = LongPoll::new(client.config.clone(), live, seed, now);
        let subject = client.tokens.subject().map(|subject| subject.to_string());
        let telemetry = Arc::new(Telemetry::new(
            &client.config,
            account.or(subject.as_deref()),
            engine.status(),
            engine.resume_at().clone(),
        ));
        let mut driver = Self::of_engine(client, engine, telemetry);
        if since.is_some() {
            driver.since = since.map(Box::new);
            let moved = driver.telemetry.watch.move_to(&driver.resume_at());
            moved.wake();
            driver.limit_calls();
        }
        driver
    }

    /// Creates the driver of a slice of a history. The telemetry is that of its stream.
    pub(super) fn of_slice(
        client: Arc<Api<T>>,
        start: StartAt,
        seed: u64,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let now = client.transport().now();
        let engine = LongPoll::new(client.config.clone(), start, seed, now);
        let mut driver = Self::of_engine(client, engine, telemetry);
        driver.is_slice = true;
        driver
    }

    fn of_engine(client: Arc<Api<T>>, engine: LongPoll, telemetry: Arc<Telemetry>) -> Self {
        Self {
            client,
            engine,
            operations: Operations::default(),
            timer: None,
            clock_check: None,
            delivered_at: None,
            consumer_is_prompt: false,
            since: None,
            is_slice: false,
            telemetry,
            batch_span: BatchSpan::default(),
        }
    }

    pub(crate) fn handle(&self) -> StreamHandle {
        StreamHandle::new(self.telemetry.clone())
    }

    /// Continues from a checkpoint.
    pub(crate) fn resume(&mut self, checkpoint: &Checkpoint) {
        let seed = self.engine.window().seed();
        let window = checkpoint.window(self.client.config.dedupe_window);
        let start = match checkpoint.resume_at() {
            StartAt::Since(_) => StartAt::Oldest,
            start => start,
        };
        self.engine
            .resume_from(start, window, checkpoint.last_success());
        self.since = SinceState::resumed(checkpoint, &self.client, seed).map(Box::new);
        self.limit_calls();
    }

    /// Limits the calls of the engine. A stream that begins at a time may catch up faster.
    fn limit_calls(&mut self) {
        let now = self.client.transport().now().monotonic;
        let config = &self.client.config;
        let catching_up = self.since.as_ref().and_then(|since| since.limiter());
        let usual = || config.stream_kind.rate_limiter(config.pace, now);
        self.engine.limit_calls(catching_up.unwrap_or_else(usual));
    }

    /// Returns the position to resume from: the end of all that is handled.
    pub(crate) fn resume_at(&self) -> StartAt {
        match (&self.since, self.engine.resume_at()) {
            (Some(since), StartAt::Oldest) => since.resume_at(),
            (_, resume_at) => resume_at.clone(),
        }
    }

    /// Returns the time up to which all events are handled, or `None` if it is not known.
    pub(crate) fn caught_up_at(&self) -> Option<SystemTime> {
        match &self.since {
            Some(since) => Some(since.covered(&self.engine)),
            None => self.engine.caught_up_at(),
        }
    }

    /// Returns the time up to which every event is handled, if that is known.
    pub(crate) fn complete_until(&self) -> Option<SystemTime> {
        match &self.since {
            Some(since) => since.complete_until(&self.engine, self.client.config.event_delay),
            None => self.engine.complete_until(),
        }
    }

    /// Returns the time since which Box may have dropped events before they were fetched, and the
    /// time for which it keeps them.
    pub(crate) fn gap(&self, was_reported: bool) -> Option<(SystemTime, Duration)> {
        let now = self.client.transport().now().wall;
        if let (Some(since), StartAt::Oldest) = (&self.since, self.engine.resume_at()) {
            return since.gap(now);
        }
        let caught_up_at = self.caught_up_at()?;
        // A stream that began at a time reads the history after the report.
        let goes_on = was_reported && self.since.is_none();
        let page_came_at = self.engine.page_came_at().filter(|_| goes_on);
        let since = page_came_at.map_or(caught_up_at, |came_at| came_at.max(caught_up_at));
        let retention = self.client.config.stream_kind.retention();
        let away = now.duration_since(since).ok()?;
        (away > retention).then_some((since, retention))
    }

    /// Returns the end of all that is handled.
    pub(crate) fn reached(&self) -> Reached {
        Reached {
            resume_at: self.resume_at(),
            slice: self.since.as_ref().and_then(|since| since.slice()),
            caught_up_at: self.caught_up_at(),
            complete_until: self.complete_until(),
            since: self.since.as_ref().map(|since| since.mark()),
        }
    }

    pub(crate) fn window(&self) -> &Window {
        self.engine.window()
    }

    /// Returns the current activity.
    pub(crate) fn status(&self) -> Status {
        let status = self.since.as_ref().and_then(|since| {
            let now = self.client.transport().now();
            since.status(now)
        });
        status.unwrap_or_else(|| self.engine.status())
    }

    /// Tells the engine that the delivered batch is handled, if there is one.
    pub(crate) fn confirm_handled(&mut self) {
        if let Some(since) = &mut self.since {
            since.page_handled();
        }
        if self.engine.awaits_handling() {
            let now = self.client.transport().now().monotonic;
            let delivered_at = self.delivered_at.take();
            self.consumer_is_prompt = delivered_at.is_some_and(|at| now < at + AT_ONCE);
            self.pass(Input::BatchHandled);
        }
    }

    /// Returns `true` if the stream has ended, and drops its operations in flight.
    pub(crate) fn poll_stopped(&mut self, cx: &mut Context<'_>) -> bool {
        let stopped = self.telemetry.watch.poll_stopped(cx);
        if stopped {
            self.cancel();
        }
        stopped
    }

    /// Ends the stream with an error.
    pub(crate) fn stop(&mut self, error: &Error) {
        self.cancel();
        self.end(Some(error));
    }

    /// Ends the stream. The next poll sees the stop, as if a handle had stopped the stream.
    pub(crate) fn end(&self, because: Option<&Error>) {
        let now = self.client.transport().now();
        self.telemetry.stop(because, Some(now));
    }

    /// Drops the operations in flight, and the history.
    pub(super) fn cancel(&mut self) {
        self.drop_operations();
        if let Some(since) = &mut self.since {
            since.cancel();
        }
    }

    /// Drops a request, and counts it.
    fn drop_request(&mut self, drop: impl FnOnce(&mut Operations) -> Option<Call>) {
        if let Some(call) = drop(&mut self.operations) {
            let now = self.client.transport().now();
            self.telemetry.request_cancelled(call, now);
        }
    }

    fn drop_operations(&mut self) {
        self.drop_request(Operations::drop_fetch);
        self.drop_request(Operations::drop_listen);
        self.operations.token = None;
        self.timer = None;
        self.clock_check = None;
    }

    /// Returns the next step: of the history, or of the engine once the stream has reached the live
    /// events.
    pub(crate) fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let step = match ready!(self.poll_history(cx)) {
            Some(step) => step,
            None => match ready!(self.poll_engine(cx)) {
                Step::Deliver(batch) => self.deliver_live(batch),
                step => step,
            },
        };
        if let Step::Ended = step {
            self.cancel();
        }
        Poll::Ready(step)
    }

    /// Delivers a batch of the engine, without the events that the history had too.
    fn deliver_live(&mut self, batch: Batch) -> Step {
        let Some(since) = &mut self.since else {
            return Step::Deliver(batch);
        };
        let batch = since.filter_live(batch, &self.engine, &self.telemetry);
        if batch.is_empty() {
            self.pass(Input::BatchHandled);
            return Step::Moved;
        }
        Step::Deliver(batch)
    }

    /// Reads the history, if the stream has one and has not read it yet.
    fn poll_history(&mut self, cx: &mut Context<'_>) -> Poll<Option<Step>> {
        let Some(since) = &mut self.since else {
            return Poll::Ready(None);
        };
        let now = self.client.transport().now();
        since.check_ids(&mut self.engine, &self.client.config, now);
        match since.begin_history(&self.client, &self.engine, &self.telemetry, now) {
            Err(error) => return Poll::Ready(Some(Step::Stop(error))),
            Ok(true) => {
                self.engine = since.live_engine(&self.engine, &self.client.config, now);
                self.drop_operations();
            }
            Ok(false) => {}
        }
        let Some(since) = &mut self.since else {
            return Poll::Ready(None);
        };
        let (config, telemetry) = (&self.client.config, &self.telemetry);
        since.poll(&mut self.engine, config, telemetry, now.wall, cx)
    }

    /// Polls the operations in flight, and passes the first result to the engine. If there is none,
    /// it carries out the outputs of the engine. The requests that are due come before a batch.
    ///
    /// Results come before outputs, because a response to one lane may prevent a request of the
    /// other.
    fn poll_engine(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Poll::Ready(done) = self.poll_operations(cx) {
                if let Some(done) = done {
                    self.take_result(done);
                }
                return Poll::Ready(Step::Moved);
            }
            let now = self.client.transport().now();
            if self.consumer_is_prompt
                && let Some(batch) = self.engine.next_batch()
            {
                self.delivered_at = Some(now.monotonic);
                return Poll::Ready(Step::Deliver(batch));
            }
            let output = self.engine.poll_output(now);
            self.drop_unawaited();
            self.note_retry(now);
            match output {
                Output::GetToken { rejected } => {
                    let tokens = self.client.tokens.clone();
                    self.operations.token = Some(Box::pin(async move {
                        Done::from(Input::Token(tokens.token(rejected.as_ref()).await))
                    }));
                    continue;
                }
                Output::Send { call, request } => {
                    let is_ahead = self.is_slice || self.engine.is_ahead();
                    let request = self.client.send(call, is_ahead, request);
                    let begun = Some(traced(request, call, &self.telemetry));
                    match call {
                        Call::Fetch => self.operations.fetch = begun,
                        Call::List | Call::Listen => {
                            self.operations.listen = begun;
                            self.operations.listen_call = Some(call);
                        }
                    }
                    continue;
                }
                Output::Deliver(batch) => {
                    self.delivered_at = Some(now.monotonic);
                    return Poll::Ready(Step::Deliver(batch));
                }
                Output::Stop(error) => return Poll::Ready(Step::Stop(error)),
                Output::Finish => return Poll::Ready(Step::Ended),
                Output::WaitUntil(at) if self.set_timer(at, now) => continue,
                Output::WaitUntil(_) => {}
                Output::Idle => self.timer = None,
            }
            self.client.share_findings(&mut self.engine);
            return Poll::Pending;
        }
    }

    fn pass(&mut self, input: Input) {
        self.take_result(Done::from(input));
    }

    /// Passes the result of an operation to the engine, and counts a request that has ended.
    fn take_result(&mut self, done: Done) {
        let now = self.client.transport().now();
        let bytes = done.body_length();
        if let Some(mut ended) = self.engine.take_input(done.input, now) {
            if self.is_slice {
                // Its pages are read again, and their repeats are counted then.
                ended.repeats = 0;
            }
            let took = done.times.map(|times| times.took);
            self.telemetry.request_ended(&ended, took, bytes, now);
        }
        self.drop_unawaited();
        self.note_retry(now);
    }

    fn note_retry(&mut self, now: Moment) {
        while let Some(status) = self.engine.take_retry(now) {
            self.telemetry.retries(&status, now);
        }
    }

    /// Drops the requests that the engine no longer waits for.
    fn drop_unawaited(&mut self) {
        if !self.engine.awaits(Call::Fetch) {
            self.drop_request(Operations::drop_fetch);
        }
        if !self.engine.awaits(Call::List) && !self.engine.awaits(Call::Listen) {
            self.drop_request(Operations::drop_listen);
        }
    }

    /// Sets the timer of the engine. Returns `true` if it is a new one, which has to be polled.
    fn set_timer(&mut self, at: Instant, now: Moment) -> bool {
        let is_new = self.timer.as_ref().is_none_or(|(until, _)| *until != at);
        if is_new {
            let wait = at.saturating_duration_since(now.monotonic);
            self.timer = Some((at, self.client.sleep(wait)));
        }
        is_new
    }

    /// Polls the operations in flight and the timers. Returns the first result. A timer that has
    /// passed gives no input.
    fn poll_operations(&mut self, cx: &mut Context<'_>) -> Poll<Option<Done>> {
        let mut in_flight = false;
        for operation in self.operations.all() {
            if let Some(pending) = operation {
                if let Poll::Ready(done) = pending.as_mut().poll(cx) {
                    *operation = None;
                    return Poll::Ready(Some(done));
                }
                in_flight = true;
            }
        }
        if let Some((_, timer)) = &mut self.timer {
            if let Poll::Ready(slept) = timer.as_mut().poll(cx) {
                self.timer = None;
                let failed = slept.err().map(Input::WaitFailed);
                return Poll::Ready(failed.map(Done::from));
            }
            in_flight = true;
        }
        if in_flight {
            let input = self.poll_clock_check(cx);
            return input.map(|input| Some(Done::from(input)));
        }
        Poll::Pending
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

    /// Returns the next batch of a plain stream. Requesting a batch marks the one before as
    /// handled.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Batch, Error>>> {
        let _span = self.telemetry.enter();
        self.telemetry.started();
        self.confirm_handled();
        self.batch_span = BatchSpan::default();
        if self.poll_stopped(cx) {
            self.publish();
            return Poll::Ready(None);
        }
        let step = loop {
            match self.poll_step(cx) {
                // A stop may follow, which ends the waits of the handles. They must learn of this
                // progress before that.
                Poll::Ready(Step::Moved) => self.publish_progress(),
                Poll::Ready(Step::Ended) => {
                    self.end(None);
                    break Poll::Pending;
                }
                step => break step,
            }
        };
        self.publish();
        match ready!(step) {
            Step::Deliver(batch) => {
                self.batch_span = self.note_delivery(&batch);
                Poll::Ready(Some(Ok(batch)))
            }
            Step::Stop(error) => {
                self.stop(&error);
                Poll::Ready(Some(Err(error)))
            }
            Step::Moved | Step::Ended => Poll::Pending,
        }
    }

    /// Publishes the position and the status to the handles.
    fn publish(&self) {
        self.publish_progress();
        self.telemetry.show(self.status(), &self.health());
    }

    /// Returns the health of the stream.
    pub(crate) fn health(&self) -> Health {
        let now = self.client.transport().now();
        let history = self.since.as_deref().and_then(SinceState::reading);
        let works = self.engine.works_since(now);
        Health {
            now,
            works_since: match history {
                Some(history) => history.works_since(now),
                None => works,
            },
            is_paced: history.is_none() && self.engine.is_paced(),
            caught_up_at: self.engine.is_caught_up_at().filter(|_| history.is_none()),
        }
    }

    /// Notes that the consumer gets a batch. Returns the span that lasts until it is handled.
    pub(crate) fn note_delivery(&self, batch: &Batch) -> BatchSpan {
        let is_live = self
            .since
            .as_deref()
            .and_then(SinceState::reading)
            .is_none();
        let now = self.client.transport().now();
        self.telemetry.delivered(batch, is_live, now)
    }

    /// Publishes the position, and the time up to which the stream is complete.
    fn publish_progress(&self) {
        let moved = self.telemetry.watch.move_to(&self.resume_at());
        moved.wake();
        self.telemetry.completed(self.complete_until());
    }
}

impl<T: HttpTransport> Drop for Driver<T> {
    fn drop(&mut self) {
        self.drop_operations();
        if !self.is_slice {
            self.end(None);
        }
    }
}
