//! The spans of a stream, its requests and its batches in the log.
//!
//! The span of a stream says whose line it is. Its level is that of errors, so that it is present
//! whatever level a program logs. The other two are for debugging. A span that nobody collects takes
//! a pointer's memory.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Span;
use tracing::field::Empty;
use tracing::span::EnteredSpan;

use super::{BATCH, REQUEST, STREAM};
use crate::call::Call;
use crate::config::Config;

/// The span of a batch, from its delivery until it is handled. `None` if no subscriber collects it.
#[derive(Default)]
pub(crate) struct BatchSpan(
    #[expect(dead_code, reason = "it ends when it is dropped")] Option<Box<Span>>,
);

/// The span of one stream. `None` if no subscriber collects it.
pub(super) struct StreamSpan(Option<Box<Span>>);

impl StreamSpan {
    /// Creates the span of a stream. Its name is the one that the program has set, or else the user
    /// that the client acts as, or else the account, or else a number.
    pub(super) fn new(config: &Config, account: Option<&str>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);

        let number: String;
        let as_user = config.as_user.as_ref();
        let as_user = as_user.map(|user| String::from_utf8_lossy(user.as_bytes()));
        let name = config.stream_name.as_deref();
        let stream = if let Some(name) = name.or(as_user.as_deref()).or(account) {
            name
        } else {
            number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
            &number
        };
        let stream_type = config.stream_kind.name();
        let span =
            tracing::error_span!(target: STREAM, parent: None, "stream", stream, stream_type);
        Self((!span.is_disabled()).then(|| Box::new(span)))
    }

    pub(super) fn enter(&self) -> Option<EnteredSpan> {
        self.0.as_ref().map(|span| Span::clone(span).entered())
    }

    /// Returns the span of a request.
    pub(super) fn request(&self, call: Call) -> Span {
        self.within(|| {
            tracing::debug_span!(
                target: REQUEST,
                "request",
                call = call.name(),
                attempt = Empty,
                status = Empty,
                bytes = Empty,
                wait_ms = Empty
            )
        })
    }

    /// Returns the span of a batch, and logs its delivery.
    pub(super) fn batch(&self, events: usize, is_live: bool) -> BatchSpan {
        self.within(|| {
            let span = tracing::debug_span!(target: BATCH, "batch", events, is_live);
            if span.is_disabled() {
                return BatchSpan(None);
            }
            tracing::debug!(target: BATCH, parent: &span, "delivered");
            BatchSpan(Some(Box::new(span)))
        })
    }

    /// Does work within the span. It may be entered already.
    pub(super) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.0.as_ref().map(|span| span.enter());
        work()
    }
}
