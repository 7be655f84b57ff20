//! A request, as the client passes it to a transport.
//!
//! [`TransportRequest`] has the HTTP request and the limits of its response. Transports read the
//! limits; only the client sets them.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue, Request};

/// A request, and the limits of its response.
#[derive(Clone)]
#[must_use]
pub struct TransportRequest {
    /// Boxed, because a future reserves room for its arguments, and a poll's future lives for
    /// minutes.
    request: Box<Request<Bytes>>,
    timeout: Duration,
    max_body: usize,
    fresh_connection: bool,
}

impl TransportRequest {
    /// Creates a request whose response may take up to `timeout` and has a body of at most
    /// `max_body` bytes.
    pub fn new(request: Request<Bytes>, timeout: Duration, max_body: usize) -> Self {
        Self {
            request: Box::new(request),
            timeout,
            max_body,
            fresh_connection: false,
        }
    }

    /// Tells the transport to open a new connection for this request, if its library can. Default:
    /// the transport may reuse a connection.
    pub fn with_fresh_connection(mut self) -> Self {
        self.fresh_connection = true;
        self
    }

    /// Requests a response that is compressed with gzip. [`exchange`](super::exchange) decompresses
    /// it.
    pub(crate) fn accepting_gzip(mut self) -> Self {
        let gzip = HeaderValue::from_static("gzip");
        self.headers_mut().insert(ACCEPT_ENCODING, gzip);
        self
    }

    /// Returns the HTTP request.
    #[must_use]
    pub fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    /// Returns the request's headers, so that a transport can change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    /// Takes the HTTP request out, to send it.
    #[must_use]
    pub fn into_request(self) -> Request<Bytes> {
        *self.request
    }

    /// Returns the time after which the client drops the future of
    /// [`send`](super::HttpTransport::send).
    ///
    /// Most transports ignore this. It is for libraries that keep the socket of a dropped request
    /// open: they close it after this time.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the length of the longest body to accept, in bytes.
    ///
    /// If the transport hands on a compressed body, these are the bytes that it receives. The
    /// client then applies the same limit to the decompressed body.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Returns `true` if the request should be sent on a new connection, because a kept connection
    /// has just ended before the response.
    ///
    /// The client sets this when it resends a `GET` or `OPTIONS` after
    /// [`Interrupted`](super::TransportErrorKind::Interrupted). If the library can't choose, the
    /// transport may ignore this. The resent request then fails only if the library picks another
    /// dead connection.
    #[must_use]
    pub fn fresh_connection(&self) -> bool {
        self.fresh_connection
    }
}

/// Shows the method, the host and the limits. It hides the headers and the URL's path and query,
/// because they may be secrets.
impl fmt::Debug for TransportRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportRequest")
            .field("method", self.request.method())
            .field("host", &self.request.uri().host())
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .field("fresh_connection", &self.fresh_connection)
            .finish_non_exhaustive()
    }
}
