//! What went wrong, and what it means.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::redact::Chain;
use crate::transport::{TransportError, TransportErrorKind};

/// Why a call failed, a stream stopped, or a stream is retrying.
///
/// Match on [`kind`](Error::kind). The text is one sentence, without that of the cause: [`display_chain`](Error::display_chain)
/// has all of them on one line. A server's words in it are escaped and shortened. It never contains a token or a realtime
/// channel. Cloning is cheap.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    detail: String,
    status: Option<StatusCode>,
    code: Option<String>,
    request_id: Option<String>,
    parameter: Option<&'static str>,
    /// `true` if a response in Box's own form says so.
    from_box: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What kind of failure an [`Error`] is.
///
/// Each says whether a stream stops with it. The calls ([`fetch`](crate::LongPollClient::fetch) and its like) never
/// retry by themselves and return any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A setting, a token or a position that can't be used. Comes from builders and parsers, never from a stream; correct
    /// the value.
    Config,
    /// The HTTP library gave no answer; the [`source`](StdError::source) is a
    /// [`TransportError`](crate::transport::TransportError). Streams retry.
    Transport,
    /// The transport was called where its runtime is not running, or can't send such a request at all. Streams stop:
    /// run them where the transport works.
    Runtime,
    /// The token source has no token for now. Streams retry.
    Token,
    /// Box rejects the token and there is no newer one, or the token source failed for good. Streams stop: get a new token
    /// and start at the stream's [`resume_at`](crate::EventStream::resume_at).
    ///
    /// A 401 that is not Box's, such as a captive portal's, is [`Status`](Self::Status), and streams retry it.
    Unauthorized,
    /// Box responded 403: the account or application may not read these events. Streams stop: grant the right.
    Forbidden,
    /// Box responded 400 and rejects the position, most likely because it is too old. Streams stop: decide where to start
    /// over, and expect a gap.
    PositionRejected,
    /// Box responded 400 and rejects something else than the position; [`Error::parameter`] names it if Box does. Streams
    /// stop, and their position is as good as before: correct the setting and resume there.
    ParameterRejected,
    /// A complete page of one event could not be read for an hour and in ten tries. Streams stop, at the position before it.
    PageUndecodable,
    /// The position of a [query](crate::enterprise::AdminLogs) keeps moving and brings no event: for an hour, or in circles. The query
    /// stops at a position that the text names: resume there later, or take what came for all.
    QueryUnfinished,
    /// The response was 429, or 503 with `Retry-After`: see [`Error::retry_after`]. Streams wait that long.
    RateLimited,
    /// Box, or something between here and Box, responded with another status. An error that is not in Box's own form is
    /// taken for one of something on the way, whatever its status. Streams retry.
    Status,
    /// The answer has a good status and is not what Box's documentation says. Streams retry.
    UnexpectedAnswer,
    /// The realtime server's URL is not one that the client's [policy](crate::config::RealtimeHosts) lets it ask. Streams fetch at
    /// an interval, and list the servers anew.
    RealtimeRefused,
    /// A checkpoint can't be loaded, can't be saved, or is one of something else; the [`source`](StdError::source) is a
    /// [`CheckpointError`](crate::checkpoint::CheckpointError) where the store failed. [`subscribe`](crate::LongPollClient::subscribe) has started nothing then;
    /// an acknowledgement is kept, and saved with the next one or while the subscription is polled. Subscriptions retry to save; one
    /// that can't be loaded ends them. A batch whose predecessor is not stored has no checkpoint yet.
    Checkpoint,
    /// A batch of a subscription was dropped without an acknowledgement. With
    /// [`subscribe_from`](crate::LongPollClient::subscribe_from): the start or a batch was dropped unstored, or a batch was
    /// stored before its predecessor. Subscriptions stop: subscribe again, and it is delivered again.
    Unacknowledged,
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

    pub(crate) fn said_by_box(self, from_box: bool) -> Self {
        self.change(|inner| inner.from_box = from_box)
    }

    fn transport_kind(&self) -> Option<TransportErrorKind> {
        let source = self.source()?.downcast_ref::<TransportError>();
        source.map(TransportError::kind)
    }

    /// Returns `true` if a request took too long.
    pub(crate) fn is_timeout(&self) -> bool {
        self.transport_kind() == Some(TransportErrorKind::Timeout)
    }

    /// Returns `true` if there was no connection.
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

    /// Returns `true` if Box itself said so. Other responses came from something on the way.
    pub(crate) fn is_from_box(&self) -> bool {
        self.0.from_box
    }

    /// Returns `true` if Box itself rejects something of the request.
    pub(crate) fn is_a_bad_request(&self) -> bool {
        self.is_from_box() && self.status() == Some(StatusCode::BAD_REQUEST)
    }

    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        self.change(|inner| inner.retry_after = retry_after)
    }

    pub(crate) fn no_timer(error: TransportError) -> Self {
        Self::new(ErrorKind::Runtime, "the transport's timers fail").with_source(error)
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    pub(crate) fn with_hint(self, hint: &str) -> Self {
        self.change(|inner| inner.detail += &format!(", {hint}"))
    }

    pub(crate) fn of_kind(self, kind: ErrorKind) -> Self {
        self.change(|inner| inner.kind = kind)
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the error and its causes on one line, for logs and for people.
    ///
    /// The text of an error does not contain that of its [`source`](StdError::source). Each cause follows after a colon, with
    /// control characters escaped, and is cut to 600 characters.
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

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The HTTP status of the answer, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }

    /// Box's error code, such as `rate_limit_exceeded`.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// Box's name for the request, for its support.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The parameter of the request that Box rejects, such as `created_after`, if its error names one.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        self.0.parameter
    }

    /// How long Box asks to wait, at most an hour.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// Whether they say the same, whatever caused them.
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

/// Returns an [`ErrorKind::Config`] that states the rule, unless it holds.
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

    #[test]
    fn timers_that_fail_say_why() {
        let error = TransportError::with_source(TransportErrorKind::Runtime, "no timers here");
        let error = Error::no_timer(error);
        assert_eq!(error.kind(), ErrorKind::Runtime);
        let chain = error.display_chain().to_string();
        assert!(chain.ends_with(": no timers here"), "{chain}");
        assert!(!error.to_string().contains("no timers here"), "{error}");
    }
}
