//! The errors of a transport.
//!
//! [`TransportError`] says why there is no complete response. Its kind says whether the server may
//! have acted on the request, and whether a retry may help. The client does not inspect the HTTP
//! library's own error.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::open_files;

/// The reason why there is no complete response.
///
/// The error's text is the text of its kind. If the transport gave a cause, it is the
/// [`source`](StdError::source). The error and its source show no URL and no header. If the
/// transport knows what to change, the text says that too; see [`with_detail`](Self::with_detail).
/// If too many files are open, the text names the limit that was reached: the one of the process,
/// or the one of the machine.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// The part of the text that follows the kind's text.
    detail: Option<Cow<'static, str>>,
    /// `Some(true)` if the connection had carried another request before. `None`: not known.
    reused: Option<bool>,
}

/// The kind of a [`TransportError`], and its consequence for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection could be opened: refused, unreachable, an unknown host, a connect timeout, a
    /// proxy that refuses, or a limit of open files. Nothing was sent. A retry is safe, and may
    /// succeed.
    Connect,
    /// The response took longer than
    /// [`TransportRequest::timeout`](super::TransportRequest::timeout). The server may have acted
    /// on the request.
    Timeout,
    /// The connection ended before the response's headers were complete, or the response was not
    /// HTTP. The server may have acted on the request.
    Interrupted,
    /// The connection ended inside the body, the body's framing was wrong, or the body can't be
    /// decompressed. The kind may be [`Interrupted`](Self::Interrupted) instead in two cases: a
    /// reset lost the headers too, or the headers already show the wrong framing, such as two
    /// lengths.
    Body,
    /// The body is longer than [`TransportRequest::max_body`](super::TransportRequest::max_body),
    /// as it arrives or decompressed. A retry of the same request would get the same body.
    BodyTooLarge,
    /// The TLS handshake failed, the server does not speak TLS, its certificate is not trusted, or
    /// it requires a certificate of the client. The server did not act on the request. The kind may
    /// be [`Connect`](Self::Connect) instead if the connection was lost during the handshake.
    Tls,
    /// The transport can never send such a request: the URL has an unsupported scheme or no host,
    /// its library would write the URL another way, or it can't use the proxy. If the request was
    /// for Box's API, the client's streams stop. If it was for a realtime server, they try the next
    /// one.
    InvalidRequest,
    /// The transport's runtime is not running. A retry can't help: the client's streams stop.
    Runtime,
    /// Any other failure. A retry may succeed.
    Other,
}

impl TransportError {
    /// Creates an error without a cause.
    #[must_use]
    pub fn new(kind: TransportErrorKind) -> Self {
        Self {
            kind,
            source: None,
            detail: None,
            reused: None,
        }
    }

    /// Creates an error with a cause. The cause's text must show no URL and no header.
    #[must_use]
    pub fn with_source(
        kind: TransportErrorKind,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self {
            kind,
            detail: open_files::limit_reached(&*source).map(Cow::Borrowed),
            source: Some(Arc::from(source)),
            reused: None,
        }
    }

    /// Adds a detail to the text, such as the part that failed and what to do about it. A text that
    /// already names a limit of open files stays unchanged.
    ///
    /// Statuses and logs show the text, so `detail` must contain no URL, no password and no header.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail.get_or_insert(detail.into());
        self
    }

    /// Records whether the request was sent on a connection that had carried another request
    /// before.
    #[must_use]
    pub fn with_connection_reused(mut self, reused: bool) -> Self {
        self.reused = Some(reused);
        self
    }

    /// Returns `true` if the request was sent on a reused connection, or `None` if the transport
    /// does not know.
    ///
    /// A server may close a kept connection at the moment at which a request is sent on it. After
    /// [`Interrupted`](TransportErrorKind::Interrupted), the client therefore resends a `GET` or
    /// `OPTIONS` once, unless this is `Some(false)`. A poll that was held for 10 s or longer is not
    /// resent: the client fetches events and opens a new poll instead.
    #[must_use]
    pub fn connection_was_reused(&self) -> Option<bool> {
        self.reused
    }

    /// Returns `true` if a `GET` or `OPTIONS` may be resent at once, because its connection may
    /// have ended before the request was sent.
    pub(crate) fn may_be_resent(&self) -> bool {
        self.kind == TransportErrorKind::Interrupted && self.reused != Some(false)
    }

    /// Returns the kind of the failure.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::Connect => "could not connect",
            TransportErrorKind::Timeout => "no response in time",
            TransportErrorKind::Interrupted => "the connection ended before the response",
            TransportErrorKind::Body => "the response's body did not arrive intact",
            TransportErrorKind::BodyTooLarge => "the response's body is too large",
            TransportErrorKind::Tls => "TLS failed",
            TransportErrorKind::InvalidRequest => "the transport cannot send this request",
            TransportErrorKind::Runtime => "the transport's runtime is not running here",
            TransportErrorKind::Other => "the transport failed",
        })?;
        match &self.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_deref()?)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io;

    use super::*;

    /// A limit of open files takes precedence over the transport's own detail, which may be
    /// misleading then.
    #[test]
    fn text_names_a_limit_of_open_files_before_any_detail() {
        let source = io::Error::from_raw_os_error(24);
        let error = TransportError::with_source(TransportErrorKind::Connect, source);
        let text = error.with_detail("the proxy is away").to_string();
        assert!(text.starts_with("could not connect: "), "{text}");
        assert!(
            text.contains("ulimit -n") && !text.contains("proxy"),
            "{text}"
        );
    }
}
