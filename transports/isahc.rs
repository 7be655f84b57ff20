//! `isahc` on any executor.

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

/// Long enough for a distant host and a slow handshake; the next server is tried after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A held poll is silent for ten minutes; curl starts to probe after a minute, and Linux gives up after nine probes. So a
/// dead network is noticed within two minutes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// curl takes zero for no limit at all.
const MIN_TIMEOUT: Duration = Duration::from_millis(1);

/// [`isahc`](https://docs.rs/isahc), that is curl, on any executor or on none.
///
/// Choose it where the application doesn't run on tokio, for instance on smol. A held poll costs some 15 KB (40 KB with
/// TLS); all of them share one thread. TLS is rustls, with the operating system's certificates. On a machine without
/// any, `http` works and `https` fails with [`TransportErrorKind::Tls`] and a source that says what is missing.
///
/// Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, …) as usual with curl, SOCKS included, but never for
/// loopback: see [Behind a proxy](crate::proxy). isahc doesn't tell why the environment's proxy gives no connection, so curl
/// then connects to it once more, on a thread of its own, for at most 10 s. If `SSLKEYLOGFILE` is set, curl writes the keys of
/// TLS to that file.
///
/// No redirects, no cookies, no decompression, no `Expect`; a connect timeout of 30 s; TCP keep-alive. HTTP/1.1: curl keeps a
/// connection that others share, though the request that found it dead is given up.
///
/// # More than a thousand streams
///
/// The curl that is built with isahc waits by `select()`, which can't see a descriptor numbered 1,024 or more. From
/// there on requests fail with [`TransportErrorKind::Connect`]. Build with `CFLAGS=-DHAVE_POLL` in the environment, and
/// curl waits by `poll()`, which sees them all.
///
/// # Exceptions to the contract
///
/// - A dropped request's socket stays open until its answer begins or its [timeout](TransportRequest::timeout) has
///   passed: isahc looks for the drop only when something arrives. The answer goes nowhere, and the connection isn't
///   used again. So when all streams give up their polls at once, because the machine slept or its clock was set, they have
///   twice as many sockets for some minutes.
/// - A request without a body that meets a kept connection which the server has just closed is sent again, by curl
///   itself. One with a body is sent once: [`TransportErrorKind::Interrupted`].
/// - curl chooses the connection: [`fresh_connection`](TransportRequest::fresh_connection) is ignored, and isahc doesn't tell
///   [whether a connection was reused](TransportError::connection_was_reused). Since curl resends by itself, a dead kept
///   connection hardly ever shows.
/// - A header value with other than visible ASCII, and a path with dot segments, with characters beyond ASCII or with small
///   letters in its percent-encoding, which curl would change, are refused as [`TransportErrorKind::InvalidRequest`].
/// - A POST with a body but no `Content-Type` gets an empty one: curl would else call it a form.
/// - curl takes headers that are cut short for whole ones. An empty answer of success is therefore
///   [`TransportErrorKind::Interrupted`], unless it has a `Content-Length` or is a 204. An answer of another status is
///   taken as it came.
/// - isahc tells of an answer when the first byte of its body is there: where none comes, an answer announced as too
///   large is [`TransportErrorKind::Body`].
/// - Where a server ends TCP right behind its answer, and does not end TLS, curl may lose the answer:
///   [`TransportErrorKind::Interrupted`].
/// - It doesn't build where some crate of the program switches on isahc's `native-tls`: isahc has one TLS library at a time.
/// - Dropping the last clone waits for curl's thread, and so for a name that is being looked up.
///
/// # Logs
///
/// isahc traces its requests, the access token included. While it is called the `tracing` subscriber is therefore set aside.
/// That is of no use where some crate of the program switches on the feature `log` of `tracing`, as isahc's own default
/// features do: let no subscriber and no logger show `isahc` below `info` then.
///
/// Cloning is cheap, and clones share connections.
#[derive(Clone)]
pub struct IsahcTransport {
    client: HttpClient,
    /// `true` if the client's proxies are the environment's.
    is_default: bool,
}

impl IsahcTransport {
    /// A transport of its own.
    ///
    /// # Errors
    ///
    /// When isahc can't start its thread.
    pub fn new() -> Result<Self, TransportError> {
        let client = Self::client_builder()
            .build()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Other, error))?;
        Ok(Self {
            client,
            is_default: true,
        })
    }

    /// A transport over a client of yours.
    ///
    /// Make it from [`client_builder`](Self::client_builder), or keep what that sets. Redirects, decompression, timeouts
    /// and the proxy for loopback are set for each request, whatever the client says; a `low_speed_timeout` or a cookie
    /// jar of the client's breaks the [contract](crate::transport).
    ///
    /// How a proxy fails is not told in full, since the transport can't know which proxy the client has.
    #[must_use]
    pub fn with_client(client: HttpClient) -> Self {
        Self {
            client,
            is_default: false,
        }
    }

    /// An isahc builder with what the [contract](crate::transport) wants, to add to: extra roots, a proxy, fixed addresses.
    pub fn client_builder() -> HttpClientBuilder {
        HttpClient::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(KEEPALIVE_INTERVAL)
    }
}

#[async_trait]
impl HttpTransport for IsahcTransport {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let max_body = request.max_body();
        let timeout = request.timeout().max(MIN_TIMEOUT);
        let request = request.into_request();
        let head = *request.method() == Method::HEAD;
        let url = request.uri().clone();
        let request = prepare(request, timeout)?;
        let given = match unseen(async { self.client.send_async(request).await }).await {
            Ok(given) => given,
            Err(error) => return Err(self.failure_before_headers(error, &url).await),
        };
        let (given, body) = given.into_parts();
        // curl holds the body against its length.
        let body = body::read(body, None, max_body).await?;
        let mut answer = Response::new(body);
        *answer.status_mut() = given.status;
        *answer.version_mut() = given.version;
        *answer.headers_mut() = given.headers;
        if !head && may_be_cut(&answer) {
            return Err(TransportError::with_source(
                TransportErrorKind::Interrupted,
                "an empty answer that doesn't say it is: to curl, headers cut short are one",
            ));
        }
        Ok(answer)
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        async_io::Timer::after(duration).await;
        Ok(())
    }
}

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
    if would_change(parts.uri.path()) {
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
        // Without one, curl would call the body a form.
        let unnamed = HeaderValue::from_static("");
        request.headers_mut().entry(CONTENT_TYPE).or_insert(unnamed);
    }
    Ok(request)
}

/// A body that can't be rewound, so that curl can't send it a second time.
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

/// Whether the answer is a success without the body that it should have.
fn may_be_cut(answer: &Response<Bytes>) -> bool {
    answer.body().is_empty()
        && answer.status().is_success()
        && answer.status() != StatusCode::NO_CONTENT
        && !answer.headers().contains_key(CONTENT_LENGTH)
}

/// Whether curl would write the path another way: it resolves dot segments, encodes what is beyond ASCII, and capitalises
/// percent-encoding.
fn would_change(path: &str) -> bool {
    let escapes = path.split('%').skip(1);
    !path.is_ascii()
        || path.split('/').any(is_dots)
        || escapes
            .flat_map(|escape| escape.bytes().take(2))
            .any(|digit| digit.is_ascii_lowercase())
}

/// Whether the segment means this directory or the one above, written out or percent-encoded.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

/// Runs isahc's part of the work without the subscriber, which would be shown URLs and headers.
///
/// The silent one is registered: else a callsite that everybody wants wouldn't ask whether the current one does.
async fn unseen<T>(work: impl Future<Output = T>) -> T {
    static SILENT: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));
    let mut work = pin!(work);
    std::future::poll_fn(|cx| {
        // Setting one where none was would end `tracing`'s own fallback to `log`, for the whole program.
        if dispatcher::has_been_set() {
            dispatcher::with_default(&SILENT, || work.as_mut().poll(cx))
        } else {
            work.as_mut().poll(cx)
        }
    })
    .await
}

impl IsahcTransport {
    /// Classifies an error that came before the response's headers, or before the first byte of its body.
    async fn failure_before_headers(&self, error: isahc::Error, url: &Uri) -> TransportError {
        let kind = kind_before_headers(&error);
        let Some(cause) = curl_error(&error) else {
            return TransportError::with_source(kind, error);
        };
        if kind == TransportErrorKind::Connect
            && let Some(why) = no_socket_to_be_had()
        {
            return TransportError::with_source(kind, why);
        }
        if kind == TransportErrorKind::Connect || cause.is_ssl_connect_error() {
            let told = if self.may_have_a_proxy(url) {
                proxies::ask(url).await
            } else {
                None
            };
            return match told.or_else(|| proxies::known(cause).map(Ok)) {
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

    /// Returns `true` if the environment has a proxy for this host, unless `NO_PROXY` names the host.
    fn may_have_a_proxy(&self, url: &Uri) -> bool {
        let is_direct = Url::parse(&url.to_string()).is_ok_and(|url| is_loopback(&url));
        self.is_default && !is_direct && proxies::are_named(url)
    }
}

fn curl_error(error: &isahc::Error) -> Option<&curl::Error> {
    error.source().and_then(<dyn StdError>::downcast_ref)
}

fn kind_before_headers(error: &isahc::Error) -> TransportErrorKind {
    let curl_says = |is: fn(&curl::Error) -> bool| curl_error(error).is_some_and(is);
    match error.kind() {
        ErrorKind::InvalidRequest => TransportErrorKind::InvalidRequest,
        ErrorKind::BadClientCertificate
        | ErrorKind::BadServerCertificate
        | ErrorKind::InvalidTlsConfiguration
        | ErrorKind::TlsEngine => TransportErrorKind::Tls,
        _ if curl_says(curl::Error::is_ssl_connect_error) => TransportErrorKind::Tls,
        // curl knows the server's address once it is connected.
        _ if error.remote_addr().is_none() => TransportErrorKind::Connect,
        ErrorKind::Timeout => TransportErrorKind::Timeout,
        _ if curl_says(curl::Error::is_partial_file) => TransportErrorKind::Body,
        _ => TransportErrorKind::Interrupted,
    }
}

/// Whether a limit of open files is reached, which curl calls a connection that failed.
fn no_socket_to_be_had() -> Option<io::Error> {
    let error = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).err()?;
    limit_reached(&error).is_some().then_some(error)
}

impl fmt::Debug for IsahcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IsahcTransport").finish_non_exhaustive()
    }
}
