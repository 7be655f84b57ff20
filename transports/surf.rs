//! [`SurfTransport`]: requests over surf with async-h1, on any executor.
//!
//! The transport opens a separate connection for each request, because surf's own pool can pass the
//! response of a dropped request to the next one. It also detects the cases in which surf, async-h1
//! and http-types lose a part of a response, or panic. It does not retry: the client does.

#[cfg(feature = "surf-native-tls")]
use std::error::Error as StdError;
use std::fmt;
use std::io;
#[cfg(feature = "surf-native-tls")]
use std::iter;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use smol::Timer;
use smol::net::TcpStream;
use socket2::{SockRef, TcpKeepalive};
use surf::http::url::Host;
use surf::http::{Body, Request as Outgoing, Response as Incoming, headers};
use surf::{Client, HttpClient, Url};

use super::body;
use crate::transport::{HttpTransport, TransportError, TransportErrorKind, TransportRequest};

/// The time limit for a connection, with all addresses of the host and TLS. It is long enough for a
/// distant host and a slow TLS handshake. After it, the client tries the next server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The silence after which TCP probes the server. A held poll is silent for ten minutes. With three
/// probes 10 s apart, a dead network is detected within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The time between two probes.
#[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The number of probes without a reply that end the connection.
#[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
const KEEPALIVE_PROBES: u32 = 3;

/// The time after which sent data without an acknowledgment ends its connection. It equals the time
/// of the keep-alive probes: 30 s and three times 10 s.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// The maximum length of a response's headers, in bytes. async-h1 accepts up to 8 KB, but checks
/// the length only at the end of each line. This limit stops a line that has no end.
const MAX_HEADERS: usize = 16 * 1024;

/// A transport over [`surf`](https://docs.rs/surf) with async-h1, which is HTTP/1.1, on any
/// executor.
///
/// Choose it if your application already uses surf. surf and async-std, on which it depends, are no
/// longer maintained (RUSTSEC-2025-0036, RUSTSEC-2026-0169, RUSTSEC-2025-0052, and
/// RUSTSEC-2026-0174 for http-types). For a new application, choose smol with `IsahcTransport`.
///
/// A held stream takes about 22 KB without TLS. With OpenSSL, it also has a copy of the certificate
/// authorities, of almost a megabyte. All streams share a thread that waits for sockets and timers.
/// Names are resolved on a pool of threads.
///
/// `https` needs the feature `surf-native-tls`, which uses the platform's TLS library. On Linux
/// that is OpenSSL, so the build needs OpenSSL's headers. Without the feature, an `https` request
/// is [`TransportErrorKind::InvalidRequest`].
///
/// It follows no redirects, keeps no cookies, decompresses nothing, and has no total timeout. The
/// connect timeout is 30 s for all addresses of a host together, TLS included. A connection that is
/// dropped in silence is noticed within 60 s: see [Suspended machines and dead
/// networks](crate::reliability#suspended-machines-and-dead-networks).
///
/// # Exceptions to the contract
///
/// These exceptions are limits of surf. None of the following is mistaken for a valid response:
///
/// - A response is [`TransportErrorKind::Interrupted`] in these cases:
///   - Its body has neither a length nor chunks, so that it ends with its connection.
///   - http-types doesn't know its status (430, 529).
///   - It is HTTP/1.0.
///   - Its headers have 8 KB or more.
///   - One of its header values is not ASCII.
///   - An interim response (103) precedes it.
/// - A response with chunk extensions is [`TransportErrorKind::Body`].
/// - A request is refused as [`TransportErrorKind::InvalidRequest`] if a header value is not ASCII,
///   or if the `url` crate would write its URL in another way.
///
/// If the line with a chunk's size is empty, async-h1 ends the body there, so the body may be
/// incomplete. If a response has a header value that is not ASCII, http-types panics. The transport
/// catches the panic, but a program that is built with `panic = "abort"` ends.
///
/// The transport does not support these features:
///
/// - It uses no proxies: see [Behind a proxy](crate::proxy).
/// - It drops a response's `Content-Type: application/octet-stream`, because surf adds that header
///   to responses without one.
/// - It uses no connection twice. surf's own pool passes the connection of a dropped request on,
///   and the next request gets its response. So the transport opens a connection for each request,
///   and [`connection_was_reused`](TransportError::connection_was_reused) is always `Some(false)`.
///
/// # Logs
///
/// async-h1 logs each request and response, with URL and headers, at the level `trace` of the `log`
/// crate. The transport can't disable that, so let no logger show `async_h1` at that level.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct SurfTransport {
    #[cfg(feature = "surf-native-tls")]
    roots: Vec<async_native_tls::Certificate>,
}

impl SurfTransport {
    /// Creates a transport. With the feature `surf-native-tls`, it trusts the operating system's
    /// certificate authorities.
    ///
    /// # Errors
    ///
    /// This version never returns an error.
    pub fn new() -> Result<Self, TransportError> {
        Ok(Self {
            #[cfg(feature = "surf-native-tls")]
            roots: Vec::new(),
        })
    }

    /// Creates a transport that also trusts these certificate authorities, each a certificate in
    /// PEM.
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Tls`] if one of them is not a certificate in PEM.
    #[cfg(feature = "surf-native-tls")]
    pub fn with_root_certificates<'a>(
        certificates: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, TransportError> {
        let certificates = certificates.into_iter();
        let roots = certificates.map(async_native_tls::Certificate::from_pem);
        let roots = roots
            .collect::<Result<_, _>>()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Tls, error))?;
        Ok(Self { roots })
    }
}

#[async_trait]
impl HttpTransport for SurfTransport {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        // http-types panics if a header value is not ASCII.
        let exchange = AssertUnwindSafe(self.exchange(request)).catch_unwind();
        exchange
            .await
            .unwrap_or_else(|_| Err(interrupted("surf panicked while it read the response")))
            .map_err(|error| error.with_connection_reused(false))
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        Timer::after(duration).await;
        Ok(())
    }
}

impl SurfTransport {
    /// Sends a request on a new connection, and reads the response.
    async fn exchange(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let max_body = request.max_body();
        let request = request.into_request();
        let url = same_url(request.uri())?;
        let is_head = *request.method() == Method::HEAD;
        let request = convert(request, url.clone())?;
        let connecting = Box::pin(self.connect(&url));
        let connection = match select(connecting, Timer::after(CONNECT_TIMEOUT)).await {
            Either::Left((connection, _)) => connection?,
            Either::Right(_) => return Err(TransportError::new(TransportErrorKind::Connect)),
        };
        let response = client(connection)?.send(request).await;
        let response = response.map_err(|error| failure(TransportErrorKind::Interrupted, error))?;
        read(response.into(), is_head, max_body).await
    }

    /// Opens a connection to the host of the URL.
    async fn connect(&self, url: &Url) -> Result<Connection, TransportError> {
        let port = url.port_or_known_default().unwrap_or_default();
        let connected = match url.host() {
            Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
            Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
            Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
            None => return Err(invalid("no host")),
        };
        let failed = |error| TransportError::with_source(TransportErrorKind::Connect, error);
        let socket = connected.map_err(failed)?;
        prepare(&socket);
        let stream: Box<dyn Stream> = match url.scheme() {
            #[cfg(feature = "surf-native-tls")]
            "https" => Box::new(self.encrypted(url, socket).await?),
            _ => Box::new(socket),
        };
        Ok(Connection {
            stream,
            headers: Some(HeaderProgress::default()),
        })
    }

    /// Establishes TLS on a connection.
    #[cfg(feature = "surf-native-tls")]
    async fn encrypted(
        &self,
        url: &Url,
        socket: TcpStream,
    ) -> Result<async_native_tls::TlsStream<TcpStream>, TransportError> {
        let connector = async_native_tls::TlsConnector::new();
        let roots = self.roots.iter().cloned();
        let connector = roots.fold(
            connector,
            async_native_tls::TlsConnector::add_root_certificate,
        );
        let encrypted = connector.connect(url.clone(), socket).await;
        encrypted.map_err(|error| {
            let mut causes =
                iter::successors(Some(&error as &dyn StdError), |&error| error.source());
            let is_network_error = causes.any(|cause| {
                let cause = cause.downcast_ref::<io::Error>();
                cause.is_some_and(|error| error.raw_os_error().is_some())
            });
            let kind = if is_network_error {
                TransportErrorKind::Connect
            } else {
                TransportErrorKind::Tls
            };
            TransportError::with_source(kind, error)
        })
    }
}

/// Sets the options of a socket. Errors are ignored, because a connection works without the
/// options.
fn prepare(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    let _ = SockRef::from(socket).set_tcp_keepalive(&keepalive);
    #[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
    let _ = SockRef::from(socket).set_tcp_keepalive(
        &keepalive
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    );
    #[cfg(target_os = "linux")]
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(USER_TIMEOUT));
}

/// Creates a surf client for one request. It has only this connection, so no request can get the
/// response of another one.
fn client(connection: Connection) -> Result<Client, TransportError> {
    let client = OneRequest(Mutex::new(Some(connection)));
    Client::try_from(surf::Config::new().set_http_client(client))
        .map_err(|error| TransportError::with_source(TransportErrorKind::Other, error))
}

/// An HTTP client for surf that sends one request on one connection.
#[derive(Debug)]
struct OneRequest(Mutex<Option<Connection>>);

#[async_trait]
impl HttpClient for OneRequest {
    async fn send(&self, request: Outgoing) -> surf::Result<Incoming> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let connection = connection.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
        async_h1::connect(connection, request).await
    }
}

/// A TCP or TLS connection.
trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection that fails if the headers of a response exceed [`MAX_HEADERS`].
struct Connection {
    stream: Box<dyn Stream>,
    /// The part of the response's headers that was read so far. `None` after the end of the
    /// headers.
    headers: Option<HeaderProgress>,
}

/// The length and the end of headers that are being read.
#[derive(Default)]
struct HeaderProgress {
    /// The number of bytes.
    length: usize,
    /// The last four bytes. They end the headers in the same cases as in async-h1.
    end: [u8; 4],
}

impl Connection {
    /// Counts the bytes that belong to the headers.
    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            let Some(headers) = &mut self.headers else {
                break;
            };
            headers.length += 1;
            headers.end.rotate_left(1);
            headers.end[3] = *byte;
            if headers.end == *b"\r\n\r\n" || headers.end.ends_with(b"\n\n") {
                self.headers = None;
            }
        }
        match &self.headers {
            Some(headers) if headers.length > MAX_HEADERS => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the response's headers are too long",
            )),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        chunk: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = ready!(Pin::new(&mut self.stream).poll_read(cx, chunk))?;
        self.count(&chunk[..length])?;
        Poll::Ready(Ok(length))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// Returns the URL in surf's type, or an error if surf would change it.
fn same_url(uri: &Uri) -> Result<Url, TransportError> {
    let url = Url::parse(&uri.to_string()).map_err(|error| invalid(error.to_string()))?;
    match url.scheme() {
        "http" => {}
        "https" if cfg!(feature = "surf-native-tls") => {}
        "https" => return Err(invalid("https needs the feature surf-native-tls")),
        _ => return Err(invalid("neither http nor https")),
    }
    if url.path() != uri.path() || url.query() != uri.query() {
        return Err(invalid("surf would change the URL"));
    }
    Ok(url)
}

/// Converts a request into surf's types.
fn convert(request: Request<Bytes>, url: Url) -> Result<Outgoing, TransportError> {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str().parse();
    let mut request = Outgoing::new(method.map_err(|_| invalid("an unknown method"))?, url);
    request.set_body(&*body);
    // `set_body` has added this header.
    request.remove_header(headers::CONTENT_TYPE);
    for (name, value) in &parts.headers {
        let value = headers::HeaderValue::from_bytes(value.as_bytes().to_vec())
            .map_err(|_| invalid("surf sends header values of ASCII only"))?;
        request.append_header(name.as_str(), value);
    }
    Ok(request)
}

/// Converts a response, and reads its body, up to `max_body` bytes.
async fn read(
    mut incoming: Incoming,
    is_head: bool,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    let mut response = Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(incoming.status().into()).map_err(|_| interrupted("no status"))?;
    for (name, values) in &incoming {
        for value in values {
            if is_added_by_surf(name.as_str(), value.as_str()) {
                continue;
            }
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) {
                response.headers_mut().append(name, value);
            }
        }
    }
    if response.status().is_informational() {
        return Err(interrupted(
            "surf took an interim response for the final one",
        ));
    }
    if is_head || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&response.status()) {
        return Ok(response.map(|()| Bytes::new()));
    }
    let chunked = incoming
        .header(headers::TRANSFER_ENCODING)
        .is_some_and(|encodings| encodings.last().as_str() == "chunked");
    let mut lengths = response.headers().get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.any(|other| Some(other) != length) {
        return Err(TransportError::with_source(
            TransportErrorKind::Body,
            "the response has two lengths",
        ));
    }
    let length = length.and_then(|length| {
        let digits = length.to_str().ok()?;
        digits
            .bytes()
            .all(|digit| digit.is_ascii_digit())
            .then(|| digits.parse().ok())?
    });
    if length.is_none() && !chunked {
        return Err(interrupted(
            "the response's body ends with its connection, which surf does not support",
        ));
    }
    let body = body::read(PolledTwice(incoming.take_body()), length, max_body).await?;
    Ok(response.map(|()| body))
}

/// Returns `true` if surf may have added the header. The `Date` that surf adds has a line end that
/// no server can send. Its `Content-Type` means the same as none.
fn is_added_by_surf(name: &str, value: &str) -> bool {
    name == "date" && value.ends_with('\n')
        || name == "content-type" && value == "application/octet-stream"
}

/// A body that is polled twice if it is pending. At the end of a chunked body, async-h1 registers
/// for the rest of the end marker only in a second poll.
struct PolledTwice(Body);

impl AsyncRead for PolledTwice {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        chunk: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.0).poll_read(cx, chunk) {
            Poll::Pending => Pin::new(&mut self.0).poll_read(cx, chunk),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

/// Creates an error from surf's. Only its text is kept, which has no URL. Its `Debug` output may
/// contain a backtrace.
fn failure(kind: TransportErrorKind, error: surf::Error) -> TransportError {
    match error.downcast::<io::Error>() {
        Ok(error) => TransportError::with_source(kind, error),
        Err(error) => TransportError::with_source(kind, error.to_string()),
    }
}

fn invalid(why: impl Into<String>) -> TransportError {
    TransportError::with_source(TransportErrorKind::InvalidRequest, why.into())
}

fn interrupted(why: &'static str) -> TransportError {
    TransportError::with_source(TransportErrorKind::Interrupted, why)
}

impl fmt::Debug for SurfTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SurfTransport").finish_non_exhaustive()
    }
}
