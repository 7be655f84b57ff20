//! The span of one request in the log, at the level of debugging.

use std::sync::Arc;

use tracing::{Instrument, Span};

use crate::api::{Done, InFlight};
use crate::protocol::{Call, Input};
use crate::telemetry::Telemetry;

/// Runs a request within a span of its own, if a subscriber collects it. Otherwise the request stays
/// as it is, because that of a poll is held in memory for minutes.
pub(super) fn traced(request: InFlight, call: Call, telemetry: &Arc<Telemetry>) -> InFlight {
    let span = telemetry.request_span(call);
    if span.is_disabled() {
        return request;
    }
    Box::pin(async move {
        let done = request.instrument(span.clone()).await;
        record(&span, &done);
        done
    })
}

fn record(span: &Span, done: &Done) {
    if let Input::Response { result, .. } = &done.input {
        let status = result.as_ref().map(|response| response.status().as_u16());
        let waited = done.times.map(|times| times.waited);
        Telemetry::response_came(span, status.ok(), done.body_length(), waited);
    }
}
