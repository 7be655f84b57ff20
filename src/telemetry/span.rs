//! The span of a stream in the log.
//!
//! It says whose stream writes a line. Its level is that of errors, so that it is present whatever
//! level a program logs. It takes no memory worth mentioning if nobody collects it.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Span;
use tracing::span::EnteredSpan;

use super::STREAM;
use crate::config::Config;

/// The span of one stream. `None` if no subscriber collects it.
pub(super) struct StreamSpan(Option<Box<Span>>);

impl StreamSpan {
    /// Creates the span of a stream. Its name is the one that the program has set, or else the user
    /// that the client acts as, or else the account, or else a number.
    pub(super) fn new(config: &Config, account: Option<&str>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);

        let number;
        let as_user = config.as_user.as_ref();
        let as_user = as_user.map(|user| String::from_utf8_lossy(user.as_bytes()));
        let name = config.stream_name.as_deref();
        let stream = match name.or(as_user.as_deref()).or(account) {
            Some(name) => name,
            None => {
                number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
                &number
            }
        };
        let stream_type = config.stream_kind.name();
        let span =
            tracing::error_span!(target: STREAM, parent: None, "stream", stream, stream_type);
        Self((!span.is_disabled()).then(|| Box::new(span)))
    }

    pub(super) fn enter(&self) -> Option<EnteredSpan> {
        self.0.as_ref().map(|span| Span::clone(span).entered())
    }

    /// Does work within the span. It may be entered already.
    pub(super) fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        let _entered = self.0.as_ref().map(|span| span.enter());
        work()
    }
}
