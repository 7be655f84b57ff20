//! Why there is no whole response.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::open_files;

/// Why there is no whole answer.
///
/// The text of the error is the kind's; the cause, where the transport gave one, is its
/// [`source`](StdError::source). Neither prints a URL or a header. Where the transport knows what to change, the text says
/// that too: see [`with_detail`](Self::with_detail). If too many files are open, the text names the limit that is reached, the
/// process's or the machine's.
#[derive(Clone, Debug)]
pub struct TransportError {
    kind: TransportErrorKind,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// The part of the text that follows the kind's.
    detail: Option<Cow<'static, str>>,
    reused: Option<bool>,
}

/// What kind of failure a [`TransportError`] is, and what that means for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No connection: refused, unreachable, unknown host, connect timeout, a proxy that refuses, a limit of open files.
    /// Nothing was sent; a retry is safe, and may pass.
    Connect,
    /// The answer took longer than [`TransportRequest::timeout`](super::TransportRequest::timeout).
    Timeout,
    /// The connection ended before the answer's headers were complete, or what came was no HTTP. The server may have acted
    /// on the request.
    Interrupted,
    /// The connection ended inside the body, or the body's framing was wrong. Where the headers are lost with it, as after a
    /// reset, or show it, as two lengths do, it may be [`Interrupted`](Self::Interrupted) as well.
    Body,
    /// The body is longer than [`TransportRequest::max_body`](super::TransportRequest::max_body). The same request would give the same body.
    BodyTooLarge,
    /// The TLS handshake failed, the server speaks no TLS, its certificate is not trusted, or it requires a certificate of
    /// the client. The server did not act on the request. A connection lost during the handshake may be
    /// [`Connect`](Self::Connect) as well.
    Tls,
    /// The transport can't send such a request, ever: another scheme, a URL without a host, one that its library would
    /// write another way, or a proxy that it can't use. The client's streams stop.
    InvalidRequest,
    /// Called where the transport's runtime is not. A retry can't help: the client's streams stop.
    Runtime,
    /// Anything else. May pass.
    Other,
}

impl TransportError {
    /// An error without a cause to show.
    #[must_use]
    pub fn new(kind: TransportErrorKind) -> Self {
        Self {
            kind,
            source: None,
            detail: None,
            reused: None,
        }
    }

    /// An error with its cause, whose text must show no URL and no header.
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

    /// Adds to the text what failed and what to do about it, unless the text names a limit of open files.
    ///
    /// The text goes into statuses and logs: `detail` must show no URL, no password and no header.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail.get_or_insert(detail.into());
        self
    }

    /// Records whether the request went out on a connection that had carried another one before.
    #[must_use]
    pub fn with_connection_reused(mut self, reused: bool) -> Self {
        self.reused = Some(reused);
        self
    }

    /// Returns whether the request went out on a kept connection, or `None` if the transport can't tell.
    ///
    /// A server may close a kept connection at the moment a request goes out on it. The client therefore resends a `GET` or
    /// `OPTIONS` once after [`Interrupted`](TransportErrorKind::Interrupted), unless this is `Some(false)`.
    #[must_use]
    pub fn connection_was_reused(&self) -> Option<bool> {
        self.reused
    }

    /// Returns `true` if a `GET` or `OPTIONS` may be resent at once: its connection may have been dead before the request went out.
    pub(crate) fn may_be_resent(&self) -> bool {
        self.kind == TransportErrorKind::Interrupted && self.reused != Some(false)
    }

    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TransportErrorKind::Connect => "could not connect",
            TransportErrorKind::Timeout => "no answer in time",
            TransportErrorKind::Interrupted => "the connection ended before the answer",
            TransportErrorKind::Body => "the connection ended inside the answer's body",
            TransportErrorKind::BodyTooLarge => "the answer's body is too large",
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
