//! The error of the client, and its kinds.
//!
//! [`Error`] is opaque: its [`ErrorKind`] says whether a stream stops or retries, and its accessors
//! have Box's own words. Transports, token sources and checkpoint stores have errors of their own,
//! which become its source. The text of an error never contains a secret.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::event::IpRangeError;
use crate::redact::Chain;
use crate::transport::{TransportError, TransportErrorKind};

/// The reason why a call failed, a stream stopped, or a stream is retrying.
///
/// Match on [`kind`](Error::kind). The text is one sentence and does not repeat the text of the
/// cause. [`display_chain`](Error::display_chain) shows the error and all its causes on one line.
/// If the text quotes a server, the quotation is escaped and shortened. The text never contains a
/// token or a realtime channel. Cloning is cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    /// The text of the error.
    detail: String,
    status: Option<StatusCode>,
    code: Option<String>,
    request_id: Option<String>,
    parameter: Option<&'static str>,
    /// `true` if the response has the form of Box's own errors.
    from_box: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kind of an [`Error`], and what follows from it.
///
/// Each variant says whether streams stop or retry. Single calls, such as
/// [`fetch`](crate::LongPollClient::fetch), return the errors that streams would retry. Their
/// documentation lists the few cases in which they send a request twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, a token, a position or a key can't be used. Builders and parsers return this
    /// error. Streams return it only in these cases: a [query](crate::enterprise::AdminLogsQuery)
    /// starts at [`StartAt::Now`](crate::StartAt::Now), a stream starts at a
    /// [time](crate::StartAt::Since) for which Box has no history, or the key of a subscription is
    /// empty. Correct the value.
    Config,
    /// No complete response arrived. The [`source`](StdError::source) is a
    /// [`TransportError`](crate::transport::TransportError). Streams retry.
    Transport,
    /// The transport's runtime is not running, or the transport can't send such a request at all,
    /// or the thread of a [blocking client](crate::HttpTransport::block_on) can't be started.
    /// Streams stop: run them on the transport's runtime.
    Runtime,
    /// The token source has no token for now. The [`source`](StdError::source) is a
    /// [`TokenError`](crate::auth::TokenError). Streams retry.
    Token,
    /// Box rejects the token and there is no newer one, or the token source failed permanently.
    /// Streams stop: get a new token, and start at the stream's
    /// [`resume_at`](crate::EventStream::resume_at).
    ///
    /// A 401 response that is not Box's, such as a captive portal's, is [`Status`](Self::Status),
    /// and streams retry after it.
    Unauthorized,
    /// Box responded 403: the account or the application may not read these events. Streams stop:
    /// give it the permission in Box, and start again.
    Forbidden,
    /// Box responded 400 and rejects the position, most likely because it is too old. A 400 that
    /// names no parameter counts as this, if a position was sent. Streams stop: choose a new start,
    /// and expect a gap.
    PositionRejected,
    /// Box responded 400 and rejects something other than the position. [`Error::parameter`] names
    /// it if Box does. Streams stop, and their position stays valid: correct the setting, and
    /// resume there.
    ParameterRejected,
    /// A page can't be decoded, or is larger than 16 MiB. Streams retry with fewer events per page.
    /// They stop once a page with a single event has failed at least ten times, for at least an
    /// hour. The position stays before that event.
    PageUndecodable,
    /// The position of a [query](crate::enterprise::AdminLogs) has moved for an hour without a new
    /// event, or has moved in a circle. The query stops. Resume at the stream's
    /// [`resume_at`](crate::EventStream::resume_at) later, or treat the events so far as complete.
    QueryUnfinished,
    /// The API's response was 429, or 503 with `Retry-After`. Streams retry, and wait at least for
    /// the time that [`Error::retry_after`] returns.
    RateLimited,
    /// The response has any other status that means failure. It may come from Box, or from
    /// something on the way to Box, such as a proxy. A 400, 401 or 403 without the form of Box's
    /// own errors is of this kind too, and so is every failure status of a realtime server. Streams
    /// retry.
    Status,
    /// The response has a successful status, but not the content that Box documents. Streams retry.
    UnexpectedResponse,
    /// The client's [policy](crate::config::RealtimeHosts) does not allow the URL of the realtime
    /// server. If no other server is usable, streams fetch at the [degraded
    /// interval](crate::config::RetryPolicy::degraded_interval), and list the servers again.
    RealtimeRefused,
    /// A checkpoint can't be loaded or saved, or belongs to something else. If the store failed,
    /// the [`source`](StdError::source) is a
    /// [`CheckpointError`](crate::checkpoint::CheckpointError).
    ///
    /// If a checkpoint can't be loaded, or belongs to something else, the subscription ends before
    /// it requests any event: correct the cause, and subscribe again. If a save fails, the
    /// subscription retries it. The acknowledgement is kept, and is saved with the next one or
    /// while the subscription is polled. [`Delivery::checkpoint`](crate::Delivery::checkpoint) also
    /// returns this error, if a batch before it is not stored yet.
    Checkpoint,
    /// A batch of a subscription was dropped without an acknowledgement. With
    /// [`subscribe_from`](crate::LongPollClient::subscribe_from), the start or a batch was dropped
    /// without being stored, or a batch was stored before its predecessor. Subscriptions stop:
    /// subscribe again, and the batch is delivered again.
    Unacknowledged,
    /// A stream has ended without an error while
    /// [`wait_until_complete`](crate::StreamHandle::wait_until_complete) waited for it: a handle
    /// stopped it, it was dropped, or it was a query that ended before the awaited time. Streams
    /// never return this error. Start the stream again, and wait again.
    Stopped,
    /// The closure that looks up ids for an
    /// [audit](crate::enterprise::Audit::missing_from_store) has failed. The
    /// [`source`](StdError::source) is its error. The audit stops: correct the cause, and audit
    /// again.
    Lookup,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            detail: detail.into(),
            status: None,
            code: None,
            request_id: None,
            parameter: None,
            from_box: false,
            retry_after: None,
            source: None,
        }))
    }

    /// Returns an error of [`ErrorKind::Config`] that states the rule.
    pub(crate) fn config(rule: impl Into<String>) -> Self {
        Self::new(ErrorKind::Config, rule)
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_code(self, code: Option<String>, request_id: Option<String>) -> Self {
        self.change(|inner| {
            inner.code = code;
            inner.request_id = request_id;
        })
    }

    pub(crate) fn with_parameter(self, parameter: Option<&'static str>) -> Self {
        self.change(|inner| inner.parameter = parameter)
    }

    /// Records whether the response has the form of Box's own errors.
    pub(crate) fn sent_by_box(self, from_box: bool) -> Self {
        self.change(|inner| inner.from_box = from_box)
    }

    pub(crate) fn transport_kind(&self) -> Option<TransportErrorKind> {
        let source = self.source()?.downcast_ref::<TransportError>();
        source.map(TransportError::kind)
    }

    /// Returns `true` if a request took too long.
    pub(crate) fn is_timeout(&self) -> bool {
        self.transport_kind() == Some(TransportErrorKind::Timeout)
    }

    /// Returns `true` if no connection could be opened.
    pub(crate) fn is_unreachable(&self) -> bool {
        let kind = self.transport_kind();
        matches!(
            kind,
            Some(TransportErrorKind::Connect | TransportErrorKind::Tls)
        )
    }

    /// Returns `true` if a connection ended before its response did.
    pub(crate) fn is_interrupted(&self) -> bool {
        let kind = self.transport_kind();
        matches!(
            kind,
            Some(TransportErrorKind::Interrupted | TransportErrorKind::Body)
        )
    }

    /// Returns `true` if the response came from Box itself, and not from something on the way.
    pub(crate) fn is_from_box(&self) -> bool {
        self.0.from_box
    }

    /// Returns `true` if Box itself responded 400.
    pub(crate) fn is_bad_request(&self) -> bool {
        self.is_from_box() && self.status() == Some(StatusCode::BAD_REQUEST)
    }

    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        self.change(|inner| inner.retry_after = retry_after)
    }

    /// Returns the error of a transport that can't sleep.
    pub(crate) fn no_timer(error: TransportError) -> Self {
        Self::new(ErrorKind::Runtime, "the transport's timers fail").with_source(error)
    }

    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.change(|inner| inner.source = Some(source.into().into()))
    }

    /// Appends a hint to the text, after a comma.
    pub(crate) fn with_hint(self, hint: &str) -> Self {
        self.change(|inner| inner.detail += &format!(", {hint}"))
    }

    /// Replaces the kind.
    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        self.change(|inner| inner.kind = kind)
    }

    /// Returns `true` if this is a clone of the other error.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the error and its causes on one line, for logs and for people.
    ///
    /// The text of an error does not contain the text of its [`source`](StdError::source). This
    /// line shows each cause after a colon. Control characters in a cause are escaped, and a longer
    /// cause is cut to 600 characters.
    ///
    /// ```
    /// # fn show(error: box_longpoll::Error) {
    /// // no response from Box: could not connect: Connection refused (os error 111)
    /// eprintln!("{}", error.display_chain());
    /// # }
    /// ```
    #[must_use]
    pub fn display_chain(&self) -> impl fmt::Display + '_ {
        Chain(self)
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns the HTTP status of the response, if there was a response.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Returns Box's error code, such as `rate_limit_exceeded`, if the response has one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Returns Box's id of the request, if the response has one. Box's support needs it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Returns the parameter of the request that Box rejects, such as `created_after`, if Box's
    /// error names one.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        self.0.parameter
    }

    /// Returns the wait that the response's `Retry-After` header requests. A wait of more than 1 h
    /// is shortened to 1 h.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// Compares kind, status and text, but not the cause.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        (a.kind, a.status, &a.detail) == (b.kind, b.status, &b.detail)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.detail)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        let mut shown = f.debug_struct("Error");
        shown
            .field("kind", &inner.kind)
            .field("detail", &inner.detail);
        if let Some(status) = inner.status {
            shown.field("status", &status.as_u16());
        }
        if let Some(source) = &inner.source {
            shown.field("source", source);
        }
        shown.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.0.source.as_deref()?)
    }
}

/// Becomes an error of [`ErrorKind::Config`].
impl From<IpRangeError> for Error {
    fn from(error: IpRangeError) -> Self {
        Self::config(error.to_string())
    }
}

/// Returns an error of [`ErrorKind::Config`] that states the rule, unless the rule holds.
pub(crate) fn ensure(holds: bool, rule: &str) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::config(rule))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The cause of a failed timer is in the chain, and not in the error's own text.
    #[test]
    fn error_chain_names_the_cause_when_a_timer_fails() {
        let error = TransportError::with_source(TransportErrorKind::Runtime, "no timers here");
        let error = Error::no_timer(error);
        assert_eq!(error.kind(), ErrorKind::Runtime);
        let chain = error.display_chain().to_string();
        assert!(chain.ends_with(": no timers here"), "{chain}");
        assert!(!error.to_string().contains("no timers here"), "{error}");
    }
}
