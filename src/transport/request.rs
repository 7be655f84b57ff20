//! A request as the client hands it to a transport.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};

/// A request, and the limits of its answer.
#[derive(Clone)]
#[must_use]
pub struct TransportRequest {
    /// On the heap, since a future keeps room for what it was given, and a poll's is held for minutes.
    request: Box<Request<Bytes>>,
    timeout: Duration,
    max_body: usize,
    fresh_connection: bool,
}

impl TransportRequest {
    /// A request whose answer is awaited for `timeout` and has a body of at most `max_body` bytes.
    pub fn new(request: Request<Bytes>, timeout: Duration, max_body: usize) -> Self {
        Self {
            request: Box::new(request),
            timeout,
            max_body,
            fresh_connection: false,
        }
    }

    /// Asks the transport to open a connection for this request instead of reusing one.
    pub fn with_fresh_connection(mut self) -> Self {
        self.fresh_connection = true;
        self
    }

    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request<Bytes> {
        &self.request
    }

    /// The request's headers, to add to them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.request.headers_mut()
    }

    /// The request, to be sent.
    #[must_use]
    pub fn into_request(self) -> Request<Bytes> {
        *self.request
    }

    /// How long the client waits before it drops the future of [`send`](super::HttpTransport::send).
    ///
    /// Only for libraries that keep a dropped request's socket open: they close it when this has passed. The others
    /// ignore it.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The longest body to accept, in bytes, after decompression.
    #[must_use]
    pub fn max_body(&self) -> usize {
        self.max_body
    }

    /// Returns `true` if the request should go out on a connection of its own, because a kept connection has just died
    /// under it.
    ///
    /// The client sets this when it resends a `GET` or `OPTIONS` after
    /// [`Interrupted`](super::TransportErrorKind::Interrupted). A transport whose library can't choose may ignore it: the resent
    /// request then fails only if another dead connection is picked.
    #[must_use]
    pub fn fresh_connection(&self) -> bool {
        self.fresh_connection
    }
}

/// Shows the method and the host. The path and query of a realtime URL, and the headers, are secrets.
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
