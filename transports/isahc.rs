//! [`IsahcTransport`]: requests over isahc, which is curl, on any executor or on none.
//!
//! The transport configures each request as the [contract](crate::transport) requires, and refuses
//! requests that curl would change. It classifies curl's errors, and hides URLs and headers from
//! isahc's logs. It does not retry: the client does, and curl in the case that is listed below.

mod proxies;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_io::AsyncRead;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use isahc::config::{Configurable, RedirectPolicy, VersionNegotiation};
use isahc::error::ErrorKind;
use isahc::{AsyncBody, HttpClient, HttpClientBuilder};
use tracing::dispatcher::{self, Dispatch};
use tracing::subscriber::NoSubscriber;
use url::Url;

use super::body;
use super::certificates;
use crate::hosts::is_loopback;
use crate::transport::open_files::limit_reached;
use crate::transport::{HttpTransport, TransportError, TransportErrorKind, TransportRequest};

/// The time limit for a connection. It is long enough for a distant host and a slow TLS handshake.
/// After it, the client tries the next server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The time between two TCP keep-alive probes. A held poll is silent for ten minutes. curl probes
/// after a minute, and gives up after nine probes; isahc can change neither. So this is the
/// shortest interval that curl accepts, and a dead network is detected after 69 s.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(1);

/// The time for which an idle connection may be reused. curl interprets zero as no limit.
const UNLIMITED: Duration = Duration::ZERO;

/// The shortest timeout of a request. curl interprets zero as no limit.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// A transport over [`isahc`](https://docs.rs/isahc), which is curl, on any executor or on none.
///
/// Choose it if your application doesn't run on tokio, for instance on smol. A held poll takes
/// about 15 KB, or 40 KB with TLS, and all polls share one thread. TLS is rustls, with the
/// operating system's certificates. If the machine has none, `http` works, and `https` fails with
/// [`TransportErrorKind::Tls`] and an error that names what is missing.
///
/// Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, …) by curl's usual rules, SOCKS
/// included. They are never used for loopback: see [Behind a proxy](crate::proxy). If the proxy
/// provides no connection, isahc doesn't report why. The transport then connects to the proxy once
/// more to learn the reason, on a thread of its own, for at most 10 s. If `SSLKEYLOGFILE` is set,
/// curl writes the TLS keys to that file.
///
/// It follows no redirects, keeps no cookies, decompresses nothing, and sends no `Expect`. The
/// connect timeout is 30 s, and TCP keep-alive is on. It uses HTTP/1.1. With HTTP/2, curl would
/// keep using a dead connection that several requests share, even after one of them was given up.
///
/// # Idle connections
///
/// Idle connections have no time limit: the server decides how long they live, up to curl's limit
/// of a day after the connection was made. isahc can't limit their number per host, because its
/// limits also count the connections of held polls. So curl's own rule applies: each time that a
/// request ends, while there are more than two connections for each request in flight, curl closes
/// the one that has been idle the longest, if that is more than a second.
///
/// TCP keep-alive probes each silent connection after a minute, nine times, every second: isahc
/// can't set the first and the second of these figures. A connection that is dropped in silence is
/// noticed after 69 s. If data that was sent on it is not acknowledged, there are no probes. Then a
/// request ends with its timeout: an API call after 60 s by default, and a poll as late as its hold
/// would have ended.
///
/// # More than a thousand streams
///
/// The curl that is built with isahc waits with `select()`, which does not support a file
/// descriptor of 1,024 or more. Requests beyond that limit fail with
/// [`TransportErrorKind::Connect`]. If you build with `CFLAGS=-DHAVE_POLL` in the environment, curl
/// waits with `poll()`, which has no such limit.
///
/// # Exceptions to the contract
///
/// - The socket of a dropped request stays open until its response begins or its
///   [timeout](TransportRequest::timeout) has passed. isahc notices the drop only when data
///   arrives. The response is discarded, and the connection isn't reused. When the machine was
///   suspended or its clock was set, all streams drop their polls at once. For some minutes, they
///   then have up to twice as many sockets.
/// - If a request without a body uses an idle connection that the server has just closed, curl
///   itself sends it again. A request with a body is sent once, and its error is
///   [`TransportErrorKind::Interrupted`].
/// - curl chooses the connection, so [`fresh_connection`](TransportRequest::fresh_connection) is
///   ignored. isahc doesn't report
///   [whether a connection was reused](TransportError::connection_was_reused). Since curl sends
///   such requests again by itself, a dead idle connection rarely causes an error.
/// - The transport refuses requests that curl would change, as
///   [`TransportErrorKind::InvalidRequest`]. Such a request has a header value that is not visible
///   ASCII, or a path with dot segments, non-ASCII characters, or lowercase letters in its
///   percent-encoding.
/// - If a POST has a body but no `Content-Type`, it gets an empty one. Otherwise curl would declare
///   the body to be a form.
/// - curl accepts incomplete headers as complete. So a successful response without a body is
///   [`TransportErrorKind::Interrupted`], unless it has a `Content-Length` or its status is 204.
///   Responses of other statuses are returned as they arrived.
/// - isahc reports a response when the first byte of its body arrives. If none arrives, a response
///   that announces a body over the limit is [`TransportErrorKind::Body`].
/// - If a server closes TCP directly after its response, and does not end TLS, curl may lose the
///   response. The error is [`TransportErrorKind::Interrupted`].
/// - If any crate of the program enables isahc's feature `native-tls`, this transport doesn't
///   build, because isahc supports one TLS library at a time.
/// - Dropping the last clone blocks until curl's thread ends. If a name resolution is still
///   running, the thread ends after it.
///
/// # Logs
///
/// isahc logs its requests at the level `trace`, including the access token. So this transport
/// disables the `tracing` subscriber while it calls isahc. If any crate of the program enables the
/// feature `log` of `tracing`, that has no effect. isahc's own default features enable it. In such
/// a program, let no subscriber and no logger show `isahc` below the level `info`.
///
/// Cloning is cheap, and clones share connections.
#[derive(Clone)]
pub struct IsahcTransport {
    client: HttpClient,
    /// `true` if the client takes its proxies from the environment.
    is_default: bool,
}

impl IsahcTransport {
    /// Creates a transport with a client of its own.
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Other`] if isahc can't start its thread.
    pub fn new() -> Result<Self, TransportError> {
        let client = Self::client_builder()
            .build()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Other, error))?;
        Ok(Self {
            client,
            is_default: true,
        })
    }

    /// Creates a transport over a client of yours.
    ///
    /// Build the client from [`client_builder`](Self::client_builder), or keep its settings. Each
    /// request overrides the client's settings for redirects, decompression, timeouts, and the
    /// proxy for loopback. A client with a `low_speed_timeout` or a cookie jar breaks the
    /// [contract](crate::transport).
    ///
    /// If a proxy fails, the error is less precise, because the transport can't know the proxy of
    /// your client.
    #[must_use]
    pub fn with_client(client: HttpClient) -> Self {
        Self {
            client,
            is_default: false,
        }
    }

    /// Returns an isahc builder with the settings that the [contract](crate::transport) requires.
    /// Add your own to it: extra roots, a proxy, or fixed addresses.
    pub fn client_builder() -> HttpClientBuilder {
        HttpClient::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .connection_cache_ttl(UNLIMITED)
            .tcp_keepalive(KEEPALIVE_INTERVAL)
    }
}

#[async_trait]
impl HttpTransport for IsahcTransport {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let max_body = request.max_body();
        let timeout = request.timeout().max(MIN_TIMEOUT);
        let request = request.into_request();
        let is_head = *request.method() == Method::HEAD;
        let url = request.uri().clone();
        let request = prepare(request, timeout)?;
        let sent = without_tracing(async { self.client.send_async(request).await }).await;
        let received = match sent {
            Ok(received) => received,
            Err(error) => return Err(self.failure_before_headers(error, &url).await),
        };
        let (received, body) = received.into_parts();
        // curl compares the body with its announced length.
        let body = body::read(body, None, max_body).await?;
        let mut response = Response::new(body);
        *response.status_mut() = received.status;
        *response.version_mut() = received.version;
        *response.headers_mut() = received.headers;
        if !is_head && may_be_truncated(&response) {
            return Err(TransportError::with_source(
                TransportErrorKind::Interrupted,
                "the response has neither a body nor a length: its headers may be incomplete",
            ));
        }
        Ok(response)
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        async_io::Timer::after(duration).await;
        Ok(())
    }
}

/// Converts a request into isahc's types, and configures it as the contract requires.
fn prepare(
    request: Request<Bytes>,
    timeout: Duration,
) -> Result<Request<AsyncBody>, TransportError> {
    let refused = |why: &'static str| {
        Err(TransportError::with_source(
            TransportErrorKind::InvalidRequest,
            why,
        ))
    };
    let (parts, body) = request.into_parts();
    let Ok(url) = Url::parse(&parts.uri.to_string()) else {
        return refused("no URL");
    };
    if !["http", "https"].contains(&url.scheme()) {
        return refused("neither http nor https");
    }
    if curl_would_change(parts.uri.path()) {
        return refused("curl would change the path");
    }
    if parts.headers.values().any(|value| value.to_str().is_err()) {
        return refused("isahc sends header values of visible ASCII only");
    }
    let mut builder = Request::builder()
        .method(parts.method)
        .uri(parts.uri)
        .timeout(timeout)
        .redirect_policy(RedirectPolicy::None)
        .automatic_decompression(false)
        .expect_continue(false)
        .version_negotiation(VersionNegotiation::http11());
    if is_loopback(&url) {
        builder = builder.proxy(None);
    }
    let body = match body.len() {
        0 => AsyncBody::empty(),
        length => AsyncBody::from_reader_sized(Once(body), length as u64),
    };
    let mut request = builder
        .body(body)
        .map_err(|error| TransportError::with_source(TransportErrorKind::InvalidRequest, error))?;
    *request.headers_mut() = parts.headers;
    if request.method() == Method::POST && !request.body().is_empty() {
        // Without this header, curl would declare the body to be a form.
        let empty = HeaderValue::from_static("");
        request.headers_mut().entry(CONTENT_TYPE).or_insert(empty);
    }
    Ok(request)
}

/// A body that can't be rewound, so that curl can't send it twice.
struct Once(Bytes);

impl AsyncRead for Once {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        chunk: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let length = chunk.len().min(self.0.len());
        chunk[..length].copy_from_slice(&self.0.split_to(length));
        Poll::Ready(Ok(length))
    }
}

/// Returns `true` if a successful response has neither a body nor a header that says so. Its
/// headers may have been cut off.
fn may_be_truncated(response: &Response<Bytes>) -> bool {
    response.body().is_empty()
        && response.status().is_success()
        && response.status() != StatusCode::NO_CONTENT
        && !response.headers().contains_key(CONTENT_LENGTH)
}

/// Returns `true` if curl would change the path. It resolves dot segments, encodes non-ASCII
/// characters, and converts percent-encoding to uppercase.
fn curl_would_change(path: &str) -> bool {
    let escapes = path.split('%').skip(1);
    !path.is_ascii()
        || path.split('/').any(is_dot_segment)
        || escapes
            .flat_map(|escape| escape.bytes().take(2))
            .any(|digit| digit.is_ascii_lowercase())
}

/// Returns `true` if the segment is `.` or `..`, written out or percent-encoded.
fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// Polls isahc's future without the `tracing` subscriber, which would get URLs and headers.
///
/// The silent subscriber has to be registered with `tracing`. Otherwise, a call site that all other
/// subscribers are interested in would not check the current one.
async fn without_tracing<T>(work: impl Future<Output = T>) -> T {
    static SILENT: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        // If no subscriber was ever set, setting one would end the fallback of `tracing` to `log`,
        // for the entire program.
        if dispatcher::has_been_set() {
            dispatcher::with_default(&SILENT, || work.as_mut().poll(cx))
        } else {
            work.as_mut().poll(cx)
        }
    })
    .await
}

impl IsahcTransport {
    /// Classifies an error that came before the response's headers, or before the first byte of its
    /// body.
    async fn failure_before_headers(&self, error: isahc::Error, url: &Uri) -> TransportError {
        let kind = kind_before_headers(&error);
        let Some(cause) = curl_error(&error) else {
            return TransportError::with_source(kind, error);
        };
        if kind == TransportErrorKind::Connect
            && let Some(why) = open_file_limit()
        {
            return TransportError::with_source(kind, why);
        }
        if kind == TransportErrorKind::Connect || cause.is_ssl_connect_error() {
            let probed = if self.may_have_a_proxy(url) {
                proxies::probe(url).await
            } else {
                None
            };
            return match probed.or_else(|| proxies::failure_of(cause).map(Ok)) {
                Some(Ok(failure)) => failure.error(error),
                Some(Err(unusable)) => unusable,
                None => TransportError::with_source(kind, error),
            };
        }
        let detail = if cause.is_ssl_cacert_badfile() {
            Some(certificates::why_none())
        } else if cause.is_peer_failed_verification() {
            Some(certificates::UNKNOWN_AUTHORITY.into())
        } else if cause.is_recv_error() && url.scheme_str() == Some("https") {
            Some(certificates::MAY_BE_REJECTED.into())
        } else {
            None
        };
        let failure = TransportError::with_source(kind, error);
        match detail {
            Some(detail) => failure.with_detail(detail),
            None => failure,
        }
    }

    /// Returns `true` if the environment has a proxy for this host, unless `NO_PROXY` names the
    /// host.
    fn may_have_a_proxy(&self, url: &Uri) -> bool {
        let is_direct = Url::parse(&url.to_string()).is_ok_and(|url| is_loopback(&url));
        self.is_default && !is_direct && proxies::are_named(url)
    }
}

/// Returns curl's error, if isahc's has one.
fn curl_error(error: &isahc::Error) -> Option<&curl::Error> {
    error.source().and_then(<dyn StdError>::downcast_ref)
}

/// Classifies an error that came before the response's headers, without regard to proxies.
fn kind_before_headers(error: &isahc::Error) -> TransportErrorKind {
    let curl_says = |is: fn(&curl::Error) -> bool| curl_error(error).is_some_and(is);
    match error.kind() {
        ErrorKind::InvalidRequest => TransportErrorKind::InvalidRequest,
        ErrorKind::BadClientCertificate
        | ErrorKind::BadServerCertificate
        | ErrorKind::InvalidTlsConfiguration
        | ErrorKind::TlsEngine => TransportErrorKind::Tls,
        _ if curl_says(curl::Error::is_ssl_connect_error) => TransportErrorKind::Tls,
        // curl knows the address of the server as soon as it is connected.
        _ if error.remote_addr().is_none() => TransportErrorKind::Connect,
        ErrorKind::Timeout => TransportErrorKind::Timeout,
        _ if curl_says(curl::Error::is_partial_file) => TransportErrorKind::Body,
        _ => TransportErrorKind::Interrupted,
    }
}

/// Returns the error of opening a socket if the limit of open files is reached. curl reports that
/// as a failed connection.
fn open_file_limit() -> Option<io::Error> {
    let error = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err()?;
    limit_reached(&error).is_some().then_some(error)
}

impl fmt::Debug for IsahcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsahcTransport").finish_non_exhaustive()
    }
}
