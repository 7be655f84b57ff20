//! The contract between the client and an HTTP library.
//!
//! A transport moves bytes and keeps time; it knows nothing of Box. Whoever implements [`HttpTransport`] promises:
//!
//! - **A status is an answer.** 3xx, 4xx and 5xx, known ones and others, come back as `Ok`, with their headers: each as
//!   often as it was there, in order, byte for byte. Redirects are never followed.
//! - **The request goes out as given, once.** Path and query are sent byte for byte, the fragment is not; a URL that the
//!   library would write another way is [`TransportErrorKind::InvalidRequest`]. A transport adds `Host`, `Connection`,
//!   `Accept`, `Accept-Encoding`, `User-Agent`, `Content-Length` and the headers that its user chose. It adds no `Referer`,
//!   no cookies and nothing of an earlier response. A request's own headers replace the library's. Nothing that may have reached the server is sent again: not
//!   after a status, and not when a pooled connection ends.
//! - **A kept connection may die under a request.** If it ends before the response, the error is
//!   [`TransportErrorKind::Interrupted`]. The client resends a `GET` or `OPTIONS` once, at once, and sets
//!   [`TransportRequest::fresh_connection`]; it never resends a `POST`. A good transport opens a connection for such a
//!   request. If it knows whether a failed request went out on a reused connection, it says so by
//!   [`TransportError::with_connection_reused`]; if it doesn't know, it says nothing.
//! - **A body is whole or it is an error.** It ends with its `Content-Length`, its last chunk or, without either, with the
//!   connection; a good transport then insists on the end of TLS, where there is TLS. 204 and 304 have none, and HTTP/1.0 is
//!   understood. A body cut short is [`TransportErrorKind::Body`]. Where framing contradicts itself there is an error, never
//!   a wrong body. Bytes after an answer belong to no answer.
//! - **A body is no longer than it may be.** Over [`TransportRequest::max_body`] it is
//!   [`TransportErrorKind::BodyTooLarge`], counted after decompression and while it streams in, so that a hostile server
//!   can't fill the memory. A transport that asks for compression undoes it. Headers that don't end are an error as well.
//! - **No time limit of its own** on an answer: a held poll takes minutes, before its headers or after them. The client
//!   races [`send`](HttpTransport::send) against [`sleep`](HttpTransport::sleep) and drops what is late, so a silent server
//!   must not stop the timer. Hundreds of requests are held at once, and cost no CPU.
//! - **A connect timeout**, of a minute at most, belongs to the transport. So does TCP keep-alive, by which a good one
//!   notices a dead network.
//! - **Dropping the future of `send` ends the request.** No later request gets its answer. The connection is closed at
//!   once or, where the library does not allow that, when [`TransportRequest::timeout`] has passed.
//! - **Who is not trusted is told nothing.** A certificate of an unknown authority, of another name, or out of date is
//!   [`TransportErrorKind::Tls`] before a byte of the request is sent.
//! - **It works under any executor, or says where not.** Where its runtime is missing, the error is
//!   [`TransportErrorKind::Runtime`]; it never panics, nor when it is dropped. In a runtime whose one thread the caller
//!   blocks it can't help to hang.
//! - **Nothing secret is shown.** An error, its source included, prints no path or query of a URL, no name or password in
//!   it, and no header.
//!
//! `box_longpoll_testkit::conformance_tests!` has these rules as tests, for any transport.
//!
//! A transport may wrap another one, to log or to add headers of the application's own. The trait takes `http` 1.x,
//! `bytes` 1.x and `async-trait` 0.1:
//!
//! ```
#![doc = include_str!("../examples/custom_transport/tagged.rs")]
//! ```
//!
//! It keeps the rules above but for one, on purpose: it adds `x-job`. The suite is told so by `adds: ["x-job"]`, as
//! `tests/custom_transport.rs` does for this transport.

pub(crate) mod open_files;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};

/// An HTTP library, seen from the client: it sends requests, sleeps and tells the time.
///
/// The three belong together, so that a timer can't be missing, belong to another runtime, or run on another clock than
/// the one a test controls. The trait is object-safe: `Arc<dyn HttpTransport>` is itself a transport.
///
/// See the [module documentation](self) for what an implementation promises.
#[async_trait]
pub trait HttpTransport: Send + Sync + 'static {
    /// Sends the request, and reads the complete response.
    ///
    /// # Errors
    ///
    /// Only where there is no whole answer; see [`TransportErrorKind`]. A status is never an error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request, and closes its connection at once, or at the latest when
    /// [`TransportRequest::timeout`] has passed.
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError>;

    /// Sleeps for at least `duration`, by the operating system's clock and by [`now`](Self::now), while other futures of the
    /// same task go on. Any duration will do, and dropping the future ends the sleep.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Runtime`], where no runtime is there to sleep on.
    async fn sleep(&self, duration: Duration) -> Result<(), TransportError>;

    /// The time, on both clocks.
    fn now(&self) -> Moment {
        Moment::read_clocks()
    }

    /// Drives `work` to its end on the calling thread, with what [`send`](Self::send) and [`sleep`](Self::sleep) need
    /// around it.
    ///
    /// A blocking client calls this on a thread of its own, where no runtime is, and all its calls happen inside. The
    /// default suits a transport that works on any executor. One that belongs to a runtime makes that runtime here, and lets
    /// go of it without waiting for what still runs there. One that wraps another passes the call on.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Runtime`], where the runtime can't be made.
    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        futures_lite::future::block_on(work);
        Ok(())
    }
}

/// What [`HttpTransport::send`] gives.
pub(crate) type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

/// What [`HttpTransport::sleep`] gives.
pub(crate) type Sleep<'a> = Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send + 'a>>;

impl<T: HttpTransport + ?Sized> HttpTransport for Arc<T> {
    // No async functions: those would put each future into another one, on the heap as well.
    fn send<'a, 'b>(&'a self, request: TransportRequest) -> Exchange<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).send(request)
    }

    fn sleep<'a, 'b>(&'a self, duration: Duration) -> Sleep<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).sleep(duration)
    }

    fn now(&self) -> Moment {
        (**self).now()
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        (**self).block_on(work)
    }
}

/// One moment on two clocks: the monotonic one measures waits, the wall clock dates what is shown and stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The monotonic clock.
    pub monotonic: Instant,
    /// The wall clock, which may jump.
    pub wall: SystemTime,
}

impl Moment {
    /// Reads the operating system's clocks.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the default of the one trait that tells the time"
    )]
    pub fn read_clocks() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// What the wall clock will say at `instant`, unless it is set in between.
    pub(crate) fn wall_at(self, instant: Instant) -> SystemTime {
        let ahead = instant.saturating_duration_since(self.monotonic);
        self.wall.checked_add(ahead).unwrap_or(self.wall)
    }
}

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

    /// How long the client waits before it drops the future of [`send`](HttpTransport::send).
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
    /// [`Interrupted`](TransportErrorKind::Interrupted). A transport whose library can't choose may ignore it: the resent
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

/// Sends a request, and gives up when its time is over.
///
/// No async function: that would hold the request for as long as its answer is awaited.
pub(crate) fn exchange<T: HttpTransport + ?Sized>(
    transport: &T,
    request: TransportRequest,
) -> impl Future<Output = Result<Response<Bytes>, TransportError>> {
    let max_body = request.max_body();
    let mut timeout = transport.sleep(request.timeout());
    let mut answer = transport.send(request);
    poll_fn(move |cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(match answer {
                Ok(answer) if answer.body().len() > max_body => {
                    Err(TransportError::new(TransportErrorKind::BodyTooLarge))
                }
                answer => answer,
            });
        }
        timeout.as_mut().poll(cx).map(|slept| {
            Err(slept
                .err()
                .unwrap_or_else(|| TransportError::new(TransportErrorKind::Timeout)))
        })
    })
}

/// Why there is no whole answer.
///
/// The text of the error is the kind's; the cause, where the transport gave one, is its
/// [`source`](StdError::source). Neither prints a URL or a header. Where the transport knows what to change, the text says
/// that too: see [`with_detail`](Self::with_detail). If too many files are open, the text names the limit that is reached, the
/// process's or the machine's.
#[derive(Clone)]
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
    /// The answer took longer than [`TransportRequest::timeout`].
    Timeout,
    /// The connection ended before the answer's headers were complete, or what came was no HTTP. The server may have acted
    /// on the request.
    Interrupted,
    /// The connection ended inside the body, or the body's framing was wrong. Where the headers are lost with it, as after a
    /// reset, or show it, as two lengths do, it may be [`Interrupted`](Self::Interrupted) as well.
    Body,
    /// The body is longer than [`TransportRequest::max_body`]. The same request would give the same body.
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

    /// The text, with its cause where that tells what to change: what meets these stops.
    pub(crate) fn in_full(&self) -> String {
        match (self.kind, &self.detail, &self.source) {
            (
                TransportErrorKind::Runtime | TransportErrorKind::InvalidRequest,
                None,
                Some(cause),
            ) => format!("{self}: {cause}"),
            _ => self.to_string(),
        }
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

impl fmt::Debug for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportError")
            .field("kind", &self.kind)
            .field("detail", &self.detail)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn StdError + 'static))
    }
}
