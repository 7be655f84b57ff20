//! [`ReqwestTransport`]: requests over reqwest, on tokio.
//!
//! The transport configures a client as the [contract](crate::transport) requires, and classifies
//! reqwest's errors. It also covers cases in which reqwest panics, bypasses a proxy, or changes a
//! URL. It does not retry: the client does.

mod proxies;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future;
use futures_util::{FutureExt, TryFutureExt};
use http::uri::PathAndQuery;
use http::{Response, Uri};
use reqwest::{Client, ClientBuilder, Url};
use tokio::task::JoinHandle;

use self::proxies::{IgnoredVariables, Verdict};
use super::certificates;
use super::proxy::{ProxyFailure, unusable};
use crate::hosts::is_loopback;
use crate::transport::{
    Exchange, HttpTransport, Sleep, TransportError, TransportErrorKind, TransportRequest,
};

/// The time limit for a connection. It is long enough for a distant host and a slow TLS handshake.
/// After it, the client tries the next server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The silence after which TCP probes the server. A held poll is silent for ten minutes. With three
/// probes 10 s apart, a dead network is detected within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The number of probes without a reply that end the connection.
const KEEPALIVE_PROBES: u32 = 3;

/// The greatest number of idle connections to a host. There is one host for the API calls and a few
/// for the polls. Without a limit, thousands of polls that end at once would leave as many idle
/// connections.
const MAX_IDLE_PER_HOST: usize = 32;

/// The time after which sent data without an acknowledgment ends its connection. It equals the time
/// of the keep-alive probes: 30 s and three times 10 s.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// The default transport: [`reqwest`](https://docs.rs/reqwest) on tokio.
///
/// Choose it if your application runs on tokio. It requires a tokio runtime with time and I/O
/// enabled. Without one, each request fails with [`TransportErrorKind::Runtime`]. A held stream
/// takes about 28 KB with its connection, and no thread. Each request runs in a task of its own, so
/// it proceeds while nobody polls the stream.
///
/// - TLS is rustls, with the operating system's certificates. If the machine has none, `http`
///   works, and `https` fails with [`TransportErrorKind::Tls`] and an error that names what is
///   missing.
/// - Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, …) by reqwest's usual rules, but
///   are never used for loopback. The feature `reqwest-socks` adds SOCKS proxies. The feature
///   `reqwest-system-proxy` adds the proxies in the settings of Windows and macOS. See [Behind a
///   proxy](crate::proxy).
/// - It uses HTTP/1.1, even if another crate enables reqwest's feature `http2`. Over HTTP/2, all
///   polls would share one connection and its limit of streams, and if that connection stalled, all
///   of them would stall.
/// - It follows no redirects, keeps no cookies, decompresses nothing, and has no total timeout. The
///   connect timeout is 30 s, and TCP keep-alive is on.
/// - It keeps at most 32 idle connections to each host, without a time limit: the server decides
///   how long they live. TCP keep-alive probes them every 30 s, so that firewalls don't forget
///   them. A connection that is dropped in silence is noticed within 60 s: see [Suspended machines
///   and dead networks](crate::reliability#suspended-machines-and-dead-networks).
/// - One transport belongs to one runtime: its pooled connections end with the runtime that made
///   them.
/// - A request with [`fresh_connection`](TransportRequest::fresh_connection) goes through a second
///   client, which keeps no connection. If it fails,
///   [`connection_was_reused`](TransportError::connection_was_reused) is `Some(false)`. For other
///   requests it is `None`, because reqwest does not report it.
///
/// # Exceptions to the contract
///
/// - If you block the only thread of the runtime, a request hangs, like everything else in that
///   runtime.
/// - A URL that the `url` crate would write in another way is refused as
///   [`TransportErrorKind::InvalidRequest`].
///
/// Cloning is cheap, and clones share connections.
#[derive(Clone)]
pub struct ReqwestTransport {
    client: Client,
    /// The clients for special requests. `None` if the transport has a client of the user, which
    /// then sends all requests.
    extra_clients: Option<Arc<ExtraClients>>,
    /// `true` if the user chose the settings of the clients. They may follow redirects or have a
    /// total timeout then.
    configured: bool,
    /// The error of every `https` request, if the machine has no certificates.
    no_tls: Option<TransportError>,
    /// The environment variables that should hold a proxy's URL and do not. reqwest would bypass
    /// the proxy.
    ignored_variables: Option<IgnoredVariables>,
}

/// The clients for loopback and for fresh connections. Each is built when a request first needs it,
/// because most programs never do.
struct ExtraClients {
    builder: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
    /// The clients, indexed by `is_loopback` and then by `fresh`. Clients for loopback use no
    /// proxy, and clients for fresh connections keep no connection. `[0][0]` is never built: the
    /// transport's own client sends such requests.
    clients: [[OnceLock<Client>; 2]; 2],
}

impl ReqwestTransport {
    /// Creates a transport with a client of its own and with rustls.
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Other`] if reqwest can't build a client. If the machine has no
    /// certificates, this succeeds, and `https` requests fail.
    pub fn new() -> Result<Self, TransportError> {
        Self::own(Self::client_builder)
    }

    /// Creates a transport with a client of its own and with the platform's TLS library: Schannel,
    /// Secure Transport, or OpenSSL.
    ///
    /// If a body ends with its connection, OpenSSL accepts it as complete even if the server did
    /// not end TLS. The [contract](crate::transport) recommends detecting that, but does not
    /// require it.
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Other`] if reqwest can't build a client with that library.
    #[cfg(feature = "reqwest-native-tls")]
    pub fn with_native_tls() -> Result<Self, TransportError> {
        Self::own(|| Self::client_builder().tls_backend_native())
    }

    /// Creates a transport whose clients come from `builder`: with extra roots, a proxy, or a DNS
    /// resolver.
    ///
    /// Start from [`client_builder`](Self::client_builder), or keep its settings: see
    /// [`with_client`](Self::with_client). The transport calls `builder` now. It calls `builder`
    /// again when it first needs a client for loopback, which uses no proxy. It does the same for
    /// requests with [`fresh_connection`](TransportRequest::fresh_connection), whose client keeps
    /// no connection.
    ///
    /// ```
    /// # use box_longpoll::transports::ReqwestTransport;
    /// # fn transport(root: reqwest::Certificate) -> Result<ReqwestTransport, box_longpoll::transport::TransportError> {
    /// ReqwestTransport::with_builder(move || {
    ///     ReqwestTransport::client_builder().tls_certs_merge([root.clone()])
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Other`] if reqwest can't build a client. If the machine has no
    /// certificates, only `https` requests fail. If a variable such as `HTTPS_PROXY` holds no
    /// proxy's URL, requests fail, even if `builder` sets another proxy.
    pub fn with_builder(
        builder: impl Fn() -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        Ok(Self {
            configured: true,
            ..Self::own(builder)?
        })
    }

    /// Creates a transport over a client of yours.
    ///
    /// Build the client from [`client_builder`](Self::client_builder), or keep its settings. A
    /// client that follows redirects or has a total timeout below 20 minutes breaks the
    /// [contract](crate::transport). One that decompresses bodies keeps it, because reqwest removes
    /// the headers of compression. With HTTP/2, all polls share one connection. The transport turns
    /// a response that came by a redirect into an error, so that you notice it.
    ///
    /// The client's proxies are used for loopback too. If the API is a fake on this machine,
    /// configure no proxy.
    ///
    /// The transport can't build a second client like yours, so it ignores
    /// [`fresh_connection`](TransportRequest::fresh_connection). If several idle connections have
    /// died unnoticed, a resent request may use the next dead one. If your network drops idle
    /// connections, use [`with_builder`](Self::with_builder).
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            extra_clients: None,
            configured: true,
            no_tls: None,
            ignored_variables: None,
        }
    }

    /// Returns a reqwest builder with the settings that the [contract](crate::transport) requires.
    /// Add your own to it: extra roots, a proxy, or a DNS resolver.
    pub fn client_builder() -> ClientBuilder {
        let builder = Client::builder();
        // reqwest supports this option only on Linux.
        #[cfg(target_os = "linux")]
        let builder = builder.tcp_user_timeout(USER_TIMEOUT);
        builder
            .tls_backend_rustls()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .connect_timeout(CONNECT_TIMEOUT)
            // Servers close idle connections, and a request that meets such an end is resent. If
            // the client forgot them earlier, a request after a quiet time would need a new one.
            .pool_idle_timeout(None)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_PROBES)
    }

    /// Creates a transport with the clients of `builder`.
    fn own(
        builder: impl Fn() -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let (client, no_certificates) = build(&builder)?;
        Ok(Self {
            client,
            extra_clients: Some(Arc::new(ExtraClients {
                builder: Box::new(builder),
                clients: Default::default(),
            })),
            configured: false,
            no_tls: no_certificates.map(|error| {
                TransportError::with_source(TransportErrorKind::Tls, error)
                    .with_detail(certificates::why_none())
            }),
            ignored_variables: IgnoredVariables::find(),
        })
    }

    /// Returns the client for a request.
    fn client_for(&self, url: &Url, fresh: bool) -> Result<&Client, TransportError> {
        let is_loopback = is_loopback(url);
        let ignored = self.ignored_variables.as_ref().filter(|_| !is_loopback);
        if let Some(error) = ignored.and_then(|variables| variables.error_for(url)) {
            return Err(error);
        }
        match &self.extra_clients {
            Some(extra_clients) if is_loopback || fresh => extra_clients.client(is_loopback, fresh),
            _ => Ok(&self.client),
        }
    }
}

impl ExtraClients {
    /// Returns one of the clients, and builds it if it does not exist yet.
    fn client(&self, is_loopback: bool, fresh: bool) -> Result<&Client, TransportError> {
        let client = &self.clients[usize::from(is_loopback)][usize::from(fresh)];
        if let Some(client) = client.get() {
            return Ok(client);
        }
        let (built, _) = build(|| {
            let mut builder = (self.builder)();
            if is_loopback {
                builder = builder.no_proxy();
            }
            if fresh {
                builder = builder.pool_max_idle_per_host(0);
            }
            builder
        })?;
        Ok(client.get_or_init(|| built))
    }
}

/// Builds a client. If the machine has no certificates, this returns a client that trusts no
/// server, for plain `http`, and the error.
fn build(
    builder: impl Fn() -> ClientBuilder,
) -> Result<(Client, Option<reqwest::Error>), TransportError> {
    match builder().build() {
        Ok(client) => Ok((client, None)),
        Err(error) => match builder().tls_certs_only([]).build() {
            Ok(client) => Ok((client, Some(error))),
            Err(error) => Err(failure(TransportErrorKind::Other, error)),
        },
    }
}

impl HttpTransport for ReqwestTransport {
    // These are not async functions. Their futures would hold the arguments as well as the futures
    // that are made of them, and each waiting stream would take more memory.
    fn send<'a, 'b>(&'a self, request: TransportRequest) -> Exchange<'b>
    where
        'a: 'b,
    {
        let started = future::lazy(move |_| {
            require_runtime()?;
            Ok(Spawned(tokio::spawn(in_runtime(self.begin(request)?))))
        });
        Box::pin(started.try_flatten())
    }

    fn sleep<'a, 'b>(&'a self, duration: Duration) -> Sleep<'b>
    where
        'a: 'b,
    {
        let started = future::lazy(move |_| {
            require_runtime()?;
            Ok(tokio::time::sleep(duration).map(Ok))
        });
        Box::pin(in_runtime(started.try_flatten()))
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Runtime, error))?;
        runtime.block_on(work);
        // A name resolution that is still running cannot be canceled, so do not wait for it.
        runtime.shutdown_background();
        Ok(())
    }
}

/// A request in a task of its own. A stream sends requests before it delivers a batch, and nobody
/// polls it while the consumer handles the batch. reqwest opens a connection, and waits for a free
/// one, only while it is polled. Dropping this ends the request.
struct Spawned(JoinHandle<Result<Response<Bytes>, TransportError>>);

impl Future for Spawned {
    type Output = Result<Response<Bytes>, TransportError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(Pin::new(&mut self.0).poll(cx)) {
            Ok(outcome) => outcome,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(ended) => Err(no_runtime(ended)),
            },
        })
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ReqwestTransport {
    /// Checks the request, and returns the future that sends it.
    fn begin(
        &self,
        request: TransportRequest,
    ) -> Result<impl Future<Output = Result<Response<Bytes>, TransportError>> + use<>, TransportError>
    {
        let fresh = self.extra_clients.is_some() && request.fresh_connection();
        let max_body = request.max_body();
        let request = request.into_request();
        let target = request.uri().path_and_query().cloned();
        let request = reqwest::Request::try_from(request)
            .map_err(|error| failure(TransportErrorKind::InvalidRequest, error))?;
        if target.is_none_or(|target| !is_same(&target, request.url())) {
            return Err(TransportError::with_source(
                TransportErrorKind::InvalidRequest,
                "reqwest would change the URL",
            ));
        }
        let https = request.url().scheme() == "https";
        if let (true, Some(missing)) = (https, &self.no_tls) {
            return Err(missing.clone());
        }
        let requested_url: Option<Box<str>> =
            self.configured.then(|| request.url().as_str().into());
        let client = self.client_for(request.url(), fresh)?;
        let response = client
            .execute(request)
            .then(move |response| Box::pin(read(response, requested_url, https, max_body)));
        Ok(response.map_err(move |error| {
            if fresh {
                error.with_connection_reused(false)
            } else {
                error
            }
        }))
    }
}

/// Returns `true` if reqwest's URL has the path and the query of the request.
fn is_same(target: &PathAndQuery, url: &Url) -> bool {
    target.path() == url.path() && target.query() == url.query()
}

/// Reads a response, up to `max_body` bytes. `requested_url` is set if the client may follow
/// redirects.
async fn read(
    response: reqwest::Result<reqwest::Response>,
    requested_url: Option<Box<str>>,
    https: bool,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    let mut response = match response {
        Ok(response) => response,
        Err(error) => {
            // Errors are rare, so their future is boxed. Otherwise each waiting stream would hold
            // its memory.
            let is_our_client = requested_url.is_none();
            return Err(Box::pin(failure_before_headers(error, https, is_our_client)).await);
        }
    };
    if requested_url.is_some_and(|requested_url| *requested_url != *response.url().as_str()) {
        return Err(TransportError::with_source(
            TransportErrorKind::InvalidRequest,
            "the reqwest client follows redirects: build it from ReqwestTransport::client_builder",
        ));
    }
    let too_large = || TransportError::new(TransportErrorKind::BodyTooLarge);
    let announced = response.content_length().unwrap_or(0);
    if announced > max_body as u64 {
        return Err(too_large());
    }
    let mut parts = Response::new(());
    *parts.status_mut() = response.status();
    *parts.version_mut() = response.version();
    *parts.headers_mut() = std::mem::take(response.headers_mut());
    let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > max_body => return Err(too_large()),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(parts.map(|()| body.freeze())),
            Err(error) if error.is_timeout() => {
                return Err(failure(TransportErrorKind::Timeout, error));
            }
            Err(error) => return Err(failure(TransportErrorKind::Body, error)),
        }
    }
}

/// Returns an error if no tokio runtime is running. tokio and reqwest would panic.
fn require_runtime() -> Result<(), TransportError> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(error) => Err(no_runtime(error)),
    }
}

/// Turns a panic into an error if the runtime was built without timers or I/O.
///
/// tokio and reqwest panic then, and a program cannot query the runtime for it beforehand. This is
/// not an async function, because its future would hold `work` twice, and each stream holds one
/// such future.
fn in_runtime<T>(
    work: impl Future<Output = Result<T, TransportError>>,
) -> impl Future<Output = Result<T, TransportError>> {
    AssertUnwindSafe(work).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            match text.or_else(|| panic.downcast_ref::<&str>().copied()) {
                Some(text) if TOKIO_LACKS.iter().any(|lack| text.contains(lack)) => {
                    Err(no_runtime(
                        "the tokio runtime has no timers or no I/O: build it with enable_all",
                    ))
                }
                _ => resume_unwind(panic),
            }
        })
    })
}

fn no_runtime(source: impl Into<Box<dyn StdError + Send + Sync>>) -> TransportError {
    TransportError::with_source(TransportErrorKind::Runtime, source)
}

/// The parts of tokio's panic texts by which it reports a runtime without timers or I/O.
const TOKIO_LACKS: [&str; 2] = ["timers are disabled", "IO is disabled"];

/// Classifies an error that came before the response's headers.
async fn failure_before_headers(
    error: reqwest::Error,
    https: bool,
    is_our_client: bool,
) -> TransportError {
    match proxies::verdict(causes(&error)) {
        Some(Verdict::Failed(
            failure @ (ProxyFailure::RefusedWithUnknownStatus | ProxyFailure::NoHttpProxy),
        )) if is_our_client => match error.url().and_then(|url| url.as_str().parse::<Uri>().ok()) {
            Some(target) if proxies::is_socks(&target) => no_socks(),
            Some(target) if failure == ProxyFailure::RefusedWithUnknownStatus => {
                proxies::refusal(target).await.error(error.without_url())
            }
            _ => failure.error(error.without_url()),
        },
        Some(Verdict::Failed(failure)) => failure.error(error.without_url()),
        Some(Verdict::NoSocks) => no_socks(),
        Some(Verdict::UnknownHost) => failure(TransportErrorKind::Connect, error).with_detail(
            "this machine cannot resolve the host's name: use a socks5h:// URL, so that the proxy \
             resolves it",
        ),
        Some(Verdict::Tls) => failure(TransportErrorKind::Tls, error).with_detail(
            "the proxy's certificate is not trusted: add its certificate authority to this \
             machine's, or name it in SSL_CERT_FILE",
        ),
        None => {
            let kind = kind_before_headers(&error, https);
            let detail = detail_of_tls(&error).filter(|_| kind == TransportErrorKind::Tls);
            let failure = failure(kind, error);
            match detail {
                Some(detail) => failure.with_detail(detail),
                None => failure,
            }
        }
    }
}

/// Returns the error of a SOCKS proxy without the feature for it.
fn no_socks() -> TransportError {
    unusable("the proxy speaks SOCKS: build with the feature reqwest-socks, or name an HTTP proxy")
}

/// Classifies an error that no proxy caused.
///
/// reqwest's own flags give the phase. In the connect phase, an error is TLS's unless a socket, a
/// timer or the resolver reported it. With TLS 1.3, a server rejects the client's certificate only
/// after that phase, by an alert.
fn kind_before_headers(error: &reqwest::Error, https: bool) -> TransportErrorKind {
    if error.is_builder() {
        return TransportErrorKind::InvalidRequest;
    }
    // This includes the end of a silent connection, which reqwest calls a timeout.
    let is_socket_error = causes(error).any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.raw_os_error().is_some())
    });
    if !error.is_connect() {
        return if error.is_timeout() && !is_socket_error {
            TransportErrorKind::Timeout
        } else if https && causes(error).any(is_alert) {
            TransportErrorKind::Tls
        } else {
            TransportErrorKind::Interrupted
        };
    }
    let is_network_error = error.is_timeout() || error.is_dns() || is_socket_error;
    if https && !is_network_error {
        TransportErrorKind::Tls
    } else {
        TransportErrorKind::Connect
    }
}

/// Returns the remedy for a failure of TLS, if the cause is known.
fn detail_of_tls(error: &reqwest::Error) -> Option<&'static str> {
    if causes(error).any(is_alert) {
        return Some(certificates::REJECTED_BY_SERVER);
    }
    causes(error)
        .any(|cause| cause.to_string().contains("UnknownIssuer"))
        .then_some(certificates::UNKNOWN_AUTHORITY)
}

/// Returns `true` if the server ended TLS with an alert, as rustls and OpenSSL report it.
fn is_alert(cause: &(dyn StdError + 'static)) -> bool {
    let text = cause.to_string();
    text.contains("received fatal alert") || text.contains(" alert ")
}

/// Returns the causes of an error, without the error itself.
fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Creates an error from reqwest's, without its URL, which may be a secret.
fn failure(kind: TransportErrorKind, error: reqwest::Error) -> TransportError {
    TransportError::with_source(kind, error.without_url())
}

impl fmt::Debug for ReqwestTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestTransport")
            .field("tls", &self.no_tls.is_none())
            .finish_non_exhaustive()
    }
}
