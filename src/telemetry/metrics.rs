//! The metrics of streams, over the facade of the `metrics` crate.
//!
//! The program chooses the recorder. Without one, each of these calls does next to nothing. Each
//! metric has the label `stream_type`, and the label `stream` only if the program has named the
//! stream, because a label for each account can overload a metrics database.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use metrics::{
    Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};

use super::outcome::EndedRequest;
use super::state::State;
use super::statistics::WaitCause;
use crate::call::Call;
use crate::config::Config;
use crate::error::ErrorKind;
use crate::event::Event;

const EVENTS: &str = "box_longpoll_events_total";
const REPEATS: &str = "box_longpoll_repeats_total";
const REQUESTS: &str = "box_longpoll_requests_total";
const RETRIES: &str = "box_longpoll_retries_total";
const WAITING: &str = "box_longpoll_waiting_seconds_total";
const TOKEN_REFRESHES: &str = "box_longpoll_token_refreshes_total";
const REQUEST_SECONDS: &str = "box_longpoll_request_seconds";
const DELIVERY_LAG: &str = "box_longpoll_delivery_lag_seconds";
const CHECKPOINT_SECONDS: &str = "box_longpoll_checkpoint_seconds";
const COMPLETE_UNTIL: &str = "box_longpoll_complete_until_timestamp_seconds";
const UNACKNOWLEDGED: &str = "box_longpoll_unacknowledged_batches";
const STREAMS: &str = "box_longpoll_streams";

/// The labels of a stream's metrics.
pub(super) struct Metrics {
    config: Arc<Config>,
}

/// The milliseconds of waits that are not recorded yet, by cause. A counter has full seconds.
#[derive(Default)]
pub(super) struct Accounts([u16; WaitCause::ALL]);

impl Accounts {
    /// Returns the full seconds to record for a wait. The rest counts in the next call.
    pub(super) fn waited(&mut self, cause: WaitCause, passed: Duration) -> u64 {
        let rest = &mut self.0[cause as usize];
        let passed = passed + Duration::from_millis((*rest).into());
        *rest = u16::try_from(passed.subsec_millis()).unwrap_or(0);
        passed.as_secs()
    }
}

impl Metrics {
    pub(super) fn new(config: &Arc<Config>) -> Self {
        describe();
        Self {
            config: config.clone(),
        }
    }

    pub(super) fn request_ended(&self, ended: &EndedRequest, took: Option<Duration>) {
        let call = ended.call.name();
        let labels = self.labels(&[("call", call), ("outcome", ended.outcome.as_str())]);
        counter!(REQUESTS, labels).increment(1);
        // A poll is held until something happens, so its time says nothing.
        if let Some(took) = took.filter(|_| ended.call != Call::Listen) {
            histogram!(REQUEST_SECONDS, self.labels(&[("call", call)])).record(took);
        }
    }

    pub(super) fn retry(&self, kind: ErrorKind) {
        counter!(RETRIES, self.labels(&[("kind", kind_name(kind))])).increment(1);
    }

    pub(super) fn repeated(&self, events: usize) {
        counter!(REPEATS, self.labels(&[])).increment(events as u64);
    }

    pub(super) fn delivered(&self, events: &[Event], is_live: bool, now: SystemTime) {
        counter!(EVENTS, self.labels(&[])).increment(events.len() as u64);
        if is_live {
            let lag = histogram!(DELIVERY_LAG, self.labels(&[]));
            let times = events.iter().filter_map(Event::created_at);
            for created_at in times.filter_map(|time| SystemTime::try_from(time).ok()) {
                // Box's clock may be ahead.
                lag.record(now.duration_since(created_at).unwrap_or_default());
            }
        }
    }

    pub(super) fn checkpoint_saved(&self, took: Duration, is_ok: bool) {
        let labels = self.labels(&[("outcome", ok_or_error(is_ok))]);
        histogram!(CHECKPOINT_SECONDS, labels).record(took);
    }

    pub(super) fn waited(&self, cause: WaitCause, seconds: u64) {
        if seconds > 0 {
            counter!(WAITING, self.labels(&[("cause", cause.as_str())])).increment(seconds);
        }
    }

    pub(super) fn changed(&self, before: State, after: State) {
        if let Some(before) = before.name() {
            gauge!(STREAMS, self.labels(&[("state", before)])).decrement(1);
        }
        if let Some(after) = after.name() {
            gauge!(STREAMS, self.labels(&[("state", after)])).increment(1);
        }
    }

    pub(super) fn unacknowledged(&self, before: u32, after: u32) {
        if before != after {
            let change = f64::from(after) - f64::from(before);
            gauge!(UNACKNOWLEDGED, self.labels(&[])).increment(change);
        }
    }

    pub(super) fn complete_until(&self, time: SystemTime) {
        let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);
        gauge!(COMPLETE_UNTIL, self.labels(&[])).set(since_1970.unwrap_or_default());
    }

    fn labels(&self, more: &[(&'static str, &'static str)]) -> Vec<Label> {
        let mut labels = Vec::with_capacity(more.len() + 2);
        labels.push(Label::from_static_parts(
            "stream_type",
            self.config.stream_kind.name(),
        ));
        if let Some(stream) = &self.config.stream_name {
            labels.push(Label::new("stream", stream.clone()));
        }
        labels.extend(
            more.iter()
                .map(|(name, value)| Label::from_static_parts(name, value)),
        );
        labels
    }
}

/// Counts a refresh of an access token. It belongs to no stream, because several may share a token.
pub(crate) fn token_refreshed(is_ok: bool) {
    counter!(TOKEN_REFRESHES, "outcome" => ok_or_error(is_ok)).increment(1);
}

fn ok_or_error(is_ok: bool) -> &'static str {
    if is_ok { "ok" } else { "error" }
}

fn kind_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Config => "config",
        ErrorKind::Transport => "transport",
        ErrorKind::Runtime => "runtime",
        ErrorKind::Token => "token",
        ErrorKind::Unauthorized => "unauthorized",
        ErrorKind::Forbidden => "forbidden",
        ErrorKind::PositionRejected => "position_rejected",
        ErrorKind::ParameterRejected => "parameter_rejected",
        ErrorKind::PageUndecodable => "page_undecodable",
        ErrorKind::QueryUnfinished => "query_unfinished",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Status => "status",
        ErrorKind::UnexpectedResponse => "unexpected_response",
        ErrorKind::RealtimeRefused => "realtime_refused",
        ErrorKind::Checkpoint => "checkpoint",
        ErrorKind::Unacknowledged => "unacknowledged",
        ErrorKind::Stopped => "stopped",
        ErrorKind::Lookup => "lookup",
    }
}

/// Describes the metrics to the recorder. A recorder that is installed later knows the descriptions
/// from the next stream on.
fn describe() {
    let count = Unit::Count;
    describe_counter!(EVENTS, count, "Events that were delivered.");
    describe_counter!(
        REPEATS,
        count,
        "Events that Box sent again, and that were removed."
    );
    describe_counter!(REQUESTS, count, "Requests by call and outcome.");
    describe_counter!(RETRIES, count, "Failures that were retried, by kind.");
    describe_counter!(
        WAITING,
        Unit::Seconds,
        "Time that streams have waited, by cause."
    );
    describe_counter!(
        TOKEN_REFRESHES,
        count,
        "Refreshes of access tokens by outcome."
    );
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "Time from sending a call to Box's API to the end of its response."
    );
    describe_histogram!(
        DELIVERY_LAG,
        Unit::Seconds,
        "Time from the creation of a live event to its delivery."
    );
    describe_histogram!(
        CHECKPOINT_SECONDS,
        Unit::Seconds,
        "Time that the store took to save a checkpoint, by outcome."
    );
    describe_gauge!(
        COMPLETE_UNTIL,
        Unit::Seconds,
        "Time up to which every event is handled, in seconds since 1970."
    );
    describe_gauge!(
        UNACKNOWLEDGED,
        count,
        "Batches that are delivered and not durable."
    );
    describe_gauge!(STREAMS, count, "Streams by state.");
}
