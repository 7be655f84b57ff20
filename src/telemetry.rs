//! The telemetry of a stream: its numbers, its log and its metrics.
//!
//! A driver, a subscription and their handles share one [`Telemetry`]. They call it where something
//! happens, and it counts, logs within the stream's span, and records the metric (feature
//! `metrics`). It also has the [`StatusWatch`], because a status that changes is logged. It decides
//! nothing, and knows neither streams nor the engine. The page
//! [`monitoring`](crate::monitoring) documents all names. Start at [`Telemetry`].

#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "telemetry/no_metrics.rs"]
mod metrics;
mod outcome;
mod record;
mod span;
mod state;
mod statistics;
#[cfg(all(test, feature = "metrics"))]
mod tests;

use std::error::Error as StdError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tracing::Span;
use tracing::span::EnteredSpan;

use self::metrics::Metrics;
pub(crate) use self::metrics::token_refreshed;
pub(crate) use self::outcome::{EndedRequest, Outcome};
pub(crate) use self::record::Health;
use self::record::{Change, Record};
pub(crate) use self::span::BatchSpan;
use self::span::StreamSpan;
pub use self::statistics::{Requests, Statistics, Wait, WaitCause};
use crate::call::Call;
use crate::clock::Moment;
use crate::config::Config;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::position::StartAt;
use crate::redact::Chain;
use crate::status::{Status, StatusWatch};
use crate::sys::lock;

/// The target of a stream's span and of its life.
pub(crate) const STREAM: &str = "box_longpoll::stream";

/// The target of requests.
const REQUEST: &str = "box_longpoll::request";

/// The target of batches.
const BATCH: &str = "box_longpoll::batch";

/// The target of saved checkpoints.
pub(crate) const CHECKPOINT: &str = "box_longpoll::checkpoint";

/// The target of access tokens and their refreshes.
pub(crate) const TOKEN: &str = "box_longpoll::token";

/// The numbers, the log and the metrics of one stream, and its status.
pub(crate) struct Telemetry {
    pub(crate) watch: StatusWatch,
    span: StreamSpan,
    metrics: Metrics,
    record: Mutex<Record>,
}

impl Telemetry {
    /// Creates the telemetry of a stream. The account is any name that the caller has for it.
    pub(crate) fn new(
        config: &Arc<Config>,
        account: Option<&str>,
        status: Status,
        resume_at: StartAt,
    ) -> Self {
        Self {
            watch: StatusWatch::new(status, resume_at),
            span: StreamSpan::new(config, account),
            metrics: Metrics::new(config),
            record: Mutex::default(),
        }
    }

    /// Enters the stream's span, for one poll.
    pub(crate) fn enter(&self) -> Option<EnteredSpan> {
        self.span.enter()
    }

    /// Notes that the stream starts. Only the first call counts.
    pub(crate) fn started(&self) {
        if lock(&self.record).start() {
            let resume_at = self.watch.resume_at();
            self.span
                .within(|| tracing::info!(target: STREAM, %resume_at, "started"));
        }
    }

    /// Returns the span of a request that is about to be sent.
    pub(crate) fn request_span(&self, call: Call) -> Span {
        let span = self.span.request(call);
        if !span.is_disabled() {
            // The subscriber's code runs without the lock.
            let attempt = lock(&self.record).attempt();
            span.record("attempt", attempt);
        }
        span
    }

    /// Records a response in the span of its request. A status of `None` means that there is no
    /// response.
    pub(crate) fn response_came(
        span: &Span,
        status: Option<u16>,
        bytes: usize,
        waited: Option<Duration>,
    ) {
        span.record("status", status);
        span.record("bytes", bytes);
        span.record("wait_ms", waited.map(millis));
    }

    /// Takes the end of a request. `took` is the time from sending it to the end of its response.
    /// `bytes` is the length of the response's body.
    pub(crate) fn request_ended(
        &self,
        ended: &EndedRequest,
        took: Option<Duration>,
        bytes: usize,
        now: Moment,
    ) {
        lock(&self.record).request_ended(ended, bytes, now.wall);
        self.metrics.request_ended(ended, took);
        let (call, outcome) = (ended.call.name(), ended.outcome.as_str());
        let took_ms = took.map(millis);
        self.span.within(
            || tracing::debug!(target: REQUEST, call, outcome, bytes, took_ms, "request ended"),
        );
        self.repeated(ended.repeats);
    }

    /// Notes that a request was dropped before it ended.
    pub(crate) fn request_cancelled(&self, call: Call, now: Moment) {
        let ended = EndedRequest::failed(call, Outcome::Cancelled);
        self.request_ended(&ended, None, 0, now);
    }

    /// Notes that an operation failed and will be retried, as the status says. A failure that was
    /// noted before is ignored.
    pub(crate) fn retries(&self, status: &Status, now: Moment) {
        let (because, until, what) = match status {
            Status::Retrying { because, until } => (because, until, "retrying"),
            Status::Degraded { because, until } => (because, until, "fetching at an interval"),
            _ => return,
        };
        let Some(attempt) = lock(&self.record).retry(because, now) else {
            return;
        };
        self.metrics.retry(because.kind());
        let kind = because.kind();
        let wait_ms = millis(until.duration_since(now.wall).unwrap_or_default());
        let error = Chain(because);
        self.span
            .within(|| tracing::warn!(target: STREAM, ?kind, attempt, wait_ms, %error, "{what}"));
    }

    /// Notes that events were removed because they had been delivered before.
    pub(crate) fn repeated(&self, events: usize) {
        if events > 0 {
            lock(&self.record).repeated(events);
            self.metrics.repeated(events);
        }
    }

    /// Notes that a batch is delivered. `is_live` is `false` for past events. The span that this
    /// returns lasts until the batch is handled.
    pub(crate) fn delivered(&self, events: &[Event], is_live: bool, now: Moment) -> BatchSpan {
        lock(&self.record).delivered(events, now.wall);
        self.metrics.delivered(events, is_live, now.wall);
        self.span.batch(events.len(), is_live)
    }

    /// Notes the number of batches that are delivered and not durable. The number is determined
    /// under the lock, so that an older one never follows a newer one.
    pub(crate) fn unacknowledged(&self, batches: impl FnOnce() -> usize) {
        let mut record = lock(&self.record);
        let after = u32::try_from(batches()).unwrap_or(u32::MAX);
        let before = record.set_unacknowledged(after);
        drop(record);
        self.metrics.unacknowledged(before, after);
    }

    /// Notes that a store has saved a checkpoint, or has failed to.
    pub(crate) fn checkpoint_saved(&self, took: Duration, is_ok: bool) {
        self.metrics.checkpoint_saved(took, is_ok);
        let took_ms = millis(took);
        self.span
            .within(|| tracing::debug!(target: CHECKPOINT, took_ms, is_ok, "checkpoint"));
    }

    /// Notes that a write of a checkpoint failed and will be retried.
    pub(crate) fn not_saved(&self, error: &(dyn StdError + 'static)) {
        lock(&self.record).not_saved();
        self.metrics.retry(ErrorKind::Checkpoint);
        let (kind, error) = (ErrorKind::Checkpoint, Chain(error));
        self.span
            .within(|| tracing::warn!(target: CHECKPOINT, ?kind, %error, "checkpoint not saved"));
    }

    /// Publishes the time up to which the stream is complete, unless it has been complete up to a
    /// later one.
    pub(crate) fn completed(&self, until: Option<SystemTime>) {
        let mut recorded = self.watch.complete_until();
        self.watch.completed(until).wake();
        // Another thread may publish a later time and record it, before this one records its own. So
        // a thread ends only when the time that it recorded last is the newest.
        while let Some(time) = self.watch.complete_until()
            && Some(time) > recorded
        {
            self.metrics.complete_until(time);
            recorded = Some(time);
        }
    }

    /// Publishes the status at the end of a poll, and logs the transitions of the stream's life.
    pub(crate) fn show(&self, status: Status, health: &Health) {
        if let Status::Stopped { because } = &status {
            let because = because.clone();
            if self.watch.show(status) {
                self.stopped(because.as_ref(), Some(health.now));
            }
            return;
        }
        let mut record = lock(&self.record);
        let change = (!record.is_stopped()).then(|| record.show(&status, health));
        drop(record);
        self.watch.show(status);
        if let Some(change) = change {
            self.changed(&change);
        }
    }

    fn changed(&self, change: &Change) {
        if change.before != change.after {
            self.metrics.changed(change.before, change.after);
        }
        if let Some((cause, time)) = change.waited {
            self.metrics.waited(cause, time);
        }
        if let Some((lasted, attempts)) = change.recovered {
            let after_ms = millis(lasted);
            self.span
                .within(|| tracing::info!(target: STREAM, after_ms, attempts, "recovered"));
        }
        if change.listens {
            self.span
                .within(|| tracing::info!(target: STREAM, "listening"));
        }
    }

    /// Ends the stream, unless it has ended. A handle knows no time. The rest of the current wait is
    /// then not recorded.
    pub(crate) fn stop(&self, because: Option<&Error>, now: Option<Moment>) {
        if self.watch.stop(because.cloned()) {
            self.stopped(because, now);
        }
    }

    fn stopped(&self, because: Option<&Error>, now: Option<Moment>) {
        let mut record = lock(&self.record);
        let (change, has_started) = record.stop(now);
        drop(record);
        self.changed(&change);
        if !has_started {
            return;
        }
        let resume_at = self.watch.resume_at();
        self.span.within(|| {
            if let Some(because) = because {
                let (kind, error) = (because.kind(), Chain(because));
                tracing::info!(target: STREAM, ?kind, %error, %resume_at, "stopped");
            } else {
                tracing::info!(target: STREAM, %resume_at, "stopped");
            }
        });
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let (status, complete_until) = (self.watch.status(), self.watch.complete_until());
        lock(&self.record).statistics(&status, complete_until)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
