//! `surf` over async-h1, on any executor.

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

/// Long enough for a distant host and a slow handshake; the next server is tried after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A held poll is silent for ten minutes; probes after 30 s of silence notice a dead network within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
#[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
#[cfg(any(target_os = "linux", target_vendor = "apple", windows))]
const KEEPALIVE_PROBES: u32 = 3;

/// async-h1 takes no more than 8 KB of headers, and looks at their length after each line.
const MAX_HEAD: usize = 16 * 1024;

/// [`surf`](https://docs.rs/surf) with async-h1, its HTTP/1.1, on any executor.
///
/// Choose it where surf is already in use. surf, and the async-std that it stands on, are no longer maintained
/// (RUSTSEC-2025-0036, RUSTSEC-2026-0169, RUSTSEC-2025-0052, and RUSTSEC-2026-0174 for http-types): those who start fresh
/// take smol with `IsahcTransport`. A held stream costs some 22 KB without TLS; with OpenSSL it has a copy of the certificate
/// authorities besides, of most of a megabyte. All share a thread that waits for sockets and timers, and names are looked
/// up on a pool of threads.
///
/// `https` needs the feature `surf-native-tls`, which takes the platform's TLS library; on Linux that is OpenSSL, and
/// needs its headers. Without it `https` is [`TransportErrorKind::InvalidRequest`].
///
/// No redirects, no cookies, no decompression, no total timeout; a connect timeout of 30 s for all the addresses of a host
/// together, TLS included; TCP keep-alive.
///
/// # Exceptions to the contract
///
/// surf can't be made to do otherwise. Of this nothing is taken for an answer:
///
/// - A body that ends with its connection, with neither a length nor chunks, can't be read. Nor can an answer with a
///   status that http-types doesn't know (430, 529), in HTTP/1.0, with headers of 8 KB and more, with a header value
///   beyond ASCII, or with an interim answer (103) before it. All are [`TransportErrorKind::Interrupted`]. Chunks with
///   extensions are [`TransportErrorKind::Body`].
/// - A request with a header value beyond ASCII, or a URL that the `url` crate would write another way, is refused as
///   [`TransportErrorKind::InvalidRequest`].
///
/// An empty line for a chunk's size is taken for the body's end. An answer's header value beyond ASCII makes http-types
/// panic, which is caught: it ends the program where that is built with `panic = "abort"`.
///
/// And these are left out:
///
/// - Proxies are not used: see [Behind a proxy](crate::proxy).
/// - An answer's `Content-Type: application/octet-stream` is dropped: surf adds one where there is none.
/// - No connection is used twice. surf's own pool gives the connection of a dropped request to the next one, answer and
///   all, so each request has a connection of its own, made here. So
///   [`connection_was_reused`](TransportError::connection_was_reused) is always `Some(false)`.
///
/// # Logs
///
/// async-h1 logs each request and answer, with URL and headers, at the level `trace` of the `log` crate. That can't be
/// switched off from here: let no logger show `async_h1` at that level.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct SurfTransport {
    #[cfg(feature = "surf-native-tls")]
    roots: Vec<async_native_tls::Certificate>,
}

impl SurfTransport {
    /// A transport, which with the feature `surf-native-tls` trusts the operating system's certificate authorities.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn new() -> Result<Self, TransportError> {
        Ok(Self {
            #[cfg(feature = "surf-native-tls")]
            roots: Vec::new(),
        })
    }

    /// A transport that also trusts these certificate authorities, each a certificate in PEM.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Tls`], when one is no such certificate.
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
        // http-types panics at a header value beyond ASCII.
        let exchange = AssertUnwindSafe(self.exchange(request)).catch_unwind();
        exchange
            .await
            .unwrap_or_else(|_| Err(interrupted("surf panicked at this answer")))
            .map_err(|error| error.with_connection_reused(false))
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        Timer::after(duration).await;
        Ok(())
    }
}

impl SurfTransport {
    async fn exchange(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let max_body = request.max_body();
        let request = request.into_request();
        let url = same_url(request.uri())?;
        let head = *request.method() == Method::HEAD;
        let request = convert(request, url.clone())?;
        let connecting = Box::pin(self.connect(&url));
        let connection = match select(connecting, Timer::after(CONNECT_TIMEOUT)).await {
            Either::Left((connection, _)) => connection?,
            Either::Right(_) => return Err(TransportError::new(TransportErrorKind::Connect)),
        };
        let answer = client(connection)?.send(request).await;
        let answer = answer.map_err(|error| failure(TransportErrorKind::Interrupted, error))?;
        read(answer.into(), head, max_body).await
    }

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
            head: Some(Head::default()),
        })
    }

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
            let of_the_network = causes.any(|cause| {
                let cause = cause.downcast_ref::<io::Error>();
                cause.is_some_and(|error| error.raw_os_error().is_some())
            });
            let kind = if of_the_network {
                TransportErrorKind::Connect
            } else {
                TransportErrorKind::Tls
            };
            TransportError::with_source(kind, error)
        })
    }
}

/// A system that lacks an option serves all the same.
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
}

/// surf's client for one request. It has no other connection, so that no request gets another's answer.
fn client(connection: Connection) -> Result<Client, TransportError> {
    let client = OneRequest(Mutex::new(Some(connection)));
    Client::try_from(surf::Config::new().set_http_client(client))
        .map_err(|error| TransportError::with_source(TransportErrorKind::Other, error))
}

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

trait Stream: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Stream for S {}

/// A connection that ends with an error where the headers of an answer have no end.
struct Connection {
    stream: Box<dyn Stream>,
    /// What was read of the answer's headers. `None` after them.
    head: Option<Head>,
}

#[derive(Default)]
struct Head {
    length: usize,
    /// The last bytes of it. What ends it for async-h1 ends it here, and nothing else.
    end: [u8; 4],
}

impl Connection {
    fn count(&mut self, bytes: &[u8]) -> io::Result<()> {
        for byte in bytes {
            let Some(head) = &mut self.head else {
                break;
            };
            head.length += 1;
            head.end.rotate_left(1);
            head.end[3] = *byte;
            if head.end == *b"\r\n\r\n" || head.end.ends_with(b"\n\n") {
                self.head = None;
            }
        }
        match &self.head {
            Some(head) if head.length > MAX_HEAD => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer's headers are too long",
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

/// The URL, if surf sends it as it is.
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

/// The request in surf's types.
fn convert(request: Request<Bytes>, url: Url) -> Result<Outgoing, TransportError> {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str().parse();
    let mut request = Outgoing::new(method.map_err(|_| invalid("an unknown method"))?, url);
    request.set_body(&*body);
    // The body brought one along.
    request.remove_header(headers::CONTENT_TYPE);
    for (name, value) in &parts.headers {
        let value = headers::HeaderValue::from_bytes(value.as_bytes().to_vec())
            .map_err(|_| invalid("surf sends header values of ASCII only"))?;
        request.append_header(name.as_str(), value);
    }
    Ok(request)
}

async fn read(
    mut given: Incoming,
    head: bool,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    let mut answer = Response::new(());
    *answer.status_mut() =
        StatusCode::from_u16(given.status().into()).map_err(|_| interrupted("no status"))?;
    for (name, values) in &given {
        for value in values {
            if made_up(name.as_str(), value.as_str()) {
                continue;
            }
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(name.as_str()),
                HeaderValue::try_from(value.as_str()),
            ) {
                answer.headers_mut().append(name, value);
            }
        }
    }
    if answer.status().is_informational() {
        return Err(interrupted("surf takes an interim answer for the last"));
    }
    if head || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&answer.status()) {
        return Ok(answer.map(|()| Bytes::new()));
    }
    let chunked = given
        .header(headers::TRANSFER_ENCODING)
        .is_some_and(|encodings| encodings.last().as_str() == "chunked");
    let mut lengths = answer.headers().get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.any(|other| Some(other) != length) {
        return Err(TransportError::with_source(
            TransportErrorKind::Body,
            "the answer has two lengths",
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
            "the answer's body ends with its connection, and surf doesn't read such",
        ));
    }
    let body = body::read(AskedTwice(given.take_body()), length, max_body).await?;
    Ok(answer.map(|()| body))
}

/// Whether surf may have added the header: a `Date`, with a line end that no server can send, or the type that means no
/// more than none.
fn made_up(name: &str, value: &str) -> bool {
    name == "date" && value.ends_with('\n')
        || name == "content-type" && value == "application/octet-stream"
}

/// async-h1 forgets to wait for the second half of a chunked body's end. Asked once more, it does.
struct AskedTwice(Body);

impl AsyncRead for AskedTwice {
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

/// surf's error, which has no URL, and of which the text is enough: shown whole it may bring a backtrace.
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
