//! `reqwest` on tokio.

mod proxies;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future;
use futures_util::{FutureExt, TryFutureExt};
use http::uri::PathAndQuery;
use http::{Response, Uri};
use reqwest::{Client, ClientBuilder, Url};

use self::proxies::{PassedOver, Verdict};
use super::certificates;
use super::proxy::{ProxyFailure, unusable};
use crate::hosts::is_loopback;
use crate::transport::{
    Exchange, HttpTransport, Sleep, TransportError, TransportErrorKind, TransportRequest,
};

/// Long enough for a distant host and a slow handshake; the next server is tried after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A held poll is silent for ten minutes; probes after 30 s of silence notice a dead network within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// What was sent and is not acknowledged for so long ends its connection, as three unanswered probes do.
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// [`reqwest`](https://docs.rs/reqwest) on tokio: the default. Needs a tokio runtime with time and I/O enabled.
///
/// Choose it where the application runs on tokio. A held stream takes some 26 KB, its connection included, and no thread.
///
/// - TLS is rustls, with the operating system's certificates. On a machine without any, `http` works and `https` fails
///   with [`TransportErrorKind::Tls`] and a source that says what is missing.
/// - Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`, …) as usual with reqwest, but never for loopback. The
///   feature `reqwest-socks` adds SOCKS proxies, and `reqwest-system-proxy` those of the settings of Windows and macOS. See
///   [Behind a proxy](crate::proxy).
/// - HTTP/1.1, also where another crate switches on reqwest's `http2`: over HTTP/2 all polls would share a connection, and
///   its limit of streams, and stand still with it.
/// - No redirects, no cookies, no decompression, no total timeout; a connect timeout of 30 s; TCP keep-alive.
/// - One transport belongs to one runtime: its pooled connections end with the runtime that made them.
/// - A request with [`fresh_connection`](TransportRequest::fresh_connection) goes out through a second client that keeps no
///   connection. If it fails, [`connection_was_reused`](TransportError::connection_was_reused) is `Some(false)`; reqwest
///   doesn't say it of other requests, so there it is `None`.
///
/// # Exceptions to the contract
///
/// - In a runtime whose one thread the caller blocks, a request hangs, as does whatever else lives in that runtime.
/// - A URL that the `url` crate would write another way is refused as [`TransportErrorKind::InvalidRequest`].
///
/// Cloning is cheap, and clones share connections.
#[derive(Clone)]
pub struct ReqwestTransport {
    client: Client,
    /// `None`: the user's own client is used for everything.
    spares: Option<Arc<Spares>>,
    /// `true` if the user chose the clients' settings, so that they may follow redirects or have a total timeout.
    configured: bool,
    /// Why `https` can't be used.
    no_tls: Option<TransportError>,
    /// The environment's proxies that reqwest would go past.
    passed_over: Option<PassedOver>,
}

/// The clients that most programs never need. Each is built for the first request that needs it.
struct Spares {
    builder: Box<dyn Fn() -> ClientBuilder + Send + Sync>,
    /// By whether they are for loopback, and so use no proxy, and for requests that want a connection of their own, and so
    /// keep none. One that is for neither is the transport's own.
    clients: [[OnceLock<Client>; 2]; 2],
}

impl ReqwestTransport {
    /// A transport of its own, with rustls.
    ///
    /// # Errors
    ///
    /// When reqwest can't set up a client at all. Missing certificates are no error here; they are when `https` is used.
    pub fn new() -> Result<Self, TransportError> {
        Self::own(Self::client_builder)
    }

    /// A transport of its own, with the platform's TLS library: Schannel, Secure Transport, or OpenSSL.
    ///
    /// With OpenSSL a body that ends with its connection is taken for whole, though TLS was not ended: the
    /// [contract](crate::transport) calls noticing it good, and doesn't ask for it.
    ///
    /// # Errors
    ///
    /// When the library can't be set up.
    #[cfg(feature = "reqwest-native-tls")]
    pub fn with_native_tls() -> Result<Self, TransportError> {
        Self::own(|| Self::client_builder().tls_backend_native())
    }

    /// A transport whose clients are built by `builder`: with extra roots, a proxy, a DNS resolver.
    ///
    /// Start from [`client_builder`](Self::client_builder), or keep what that sets; see [`with_client`](Self::with_client).
    /// The transport calls `builder` now, and again if it needs a client for loopback, which uses no proxy, or a client for
    /// requests with [`fresh_connection`](TransportRequest::fresh_connection), which keeps no connection.
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
    /// [`TransportErrorKind::Other`] if reqwest can't build a client. If the machine has no certificates, only `https` fails.
    /// If a variable such as `HTTPS_PROXY` holds no proxy's URL, requests fail, though `builder` may set another proxy.
    pub fn with_builder(
        builder: impl Fn() -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        Ok(Self {
            configured: true,
            ..Self::own(builder)?
        })
    }

    /// A transport over a client of yours.
    ///
    /// Make it from [`client_builder`](Self::client_builder), or keep what that sets: a client that follows redirects, has
    /// a total timeout below 20 minutes, or decompresses breaks the [contract](crate::transport); with HTTP/2 all polls share
    /// a connection. An answer that came by a redirect is turned into an error, so that at least it is noticed. Its proxies
    /// are used for loopback too: have none where the API is a fake on this machine.
    ///
    /// The transport can't build a second client like yours, so it ignores
    /// [`fresh_connection`](TransportRequest::fresh_connection): if several kept connections have died unnoticed, a resent
    /// request may meet the next dead one. If your network drops idle connections, use
    /// [`with_builder`](Self::with_builder).
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            spares: None,
            configured: true,
            no_tls: None,
            passed_over: None,
        }
    }

    /// A reqwest builder with what the [contract](crate::transport) wants, to add to: extra roots, a proxy, a DNS resolver.
    pub fn client_builder() -> ClientBuilder {
        let builder = Client::builder();
        // reqwest can set it on Linux alone.
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
            .tcp_keepalive(KEEPALIVE)
            .tcp_keepalive_interval(KEEPALIVE_INTERVAL)
            .tcp_keepalive_retries(KEEPALIVE_PROBES)
    }

    fn own(
        builder: impl Fn() -> ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let (client, no_certificates) = build(&builder)?;
        Ok(Self {
            client,
            spares: Some(Arc::new(Spares {
                builder: Box::new(builder),
                clients: Default::default(),
            })),
            configured: false,
            no_tls: no_certificates.map(|error| {
                TransportError::with_source(TransportErrorKind::Tls, error)
                    .with_detail(certificates::why_none())
            }),
            passed_over: PassedOver::find(),
        })
    }

    fn client_for(&self, url: &Url, fresh: bool) -> Result<&Client, TransportError> {
        let is_loopback = is_loopback(url);
        let passed_over = self.passed_over.as_ref().filter(|_| !is_loopback);
        if let Some(error) = passed_over.and_then(|proxy| proxy.error_for(url)) {
            return Err(error);
        }
        match &self.spares {
            Some(spares) if is_loopback || fresh => spares.client(is_loopback, fresh),
            _ => Ok(&self.client),
        }
    }
}

impl Spares {
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

/// A client; on a machine without certificates one that trusts nobody, and so is good for plain `http` alone.
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
    // No async functions: those would keep what they were given beside what came of it, and a stream mostly waits.
    fn send<'a, 'b>(&'a self, request: TransportRequest) -> Exchange<'b>
    where
        'a: 'b,
    {
        let begun = future::lazy(move |_| {
            require_runtime()?;
            self.begin(request)
        });
        Box::pin(in_runtime(begun.try_flatten()))
    }

    fn sleep<'a, 'b>(&'a self, duration: Duration) -> Sleep<'b>
    where
        'a: 'b,
    {
        let begun = future::lazy(move |_| {
            require_runtime()?;
            Ok(tokio::time::sleep(duration).map(Ok))
        });
        Box::pin(in_runtime(begun.try_flatten()))
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
        // A name that is still being looked up can't be hurried.
        runtime.shutdown_background();
        Ok(())
    }
}

impl ReqwestTransport {
    fn begin(
        &self,
        request: TransportRequest,
    ) -> Result<impl Future<Output = Result<Response<Bytes>, TransportError>> + use<>, TransportError>
    {
        let fresh = self.spares.is_some() && request.fresh_connection();
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
        let asked: Option<Box<str>> = self.configured.then(|| request.url().as_str().into());
        let client = self.client_for(request.url(), fresh)?;
        let answer = client
            .execute(request)
            .then(move |answer| Box::pin(read(answer, asked, https, max_body)));
        Ok(answer.map_err(move |error| {
            if fresh {
                error.with_connection_reused(false)
            } else {
                error
            }
        }))
    }
}

fn is_same(target: &PathAndQuery, url: &Url) -> bool {
    target.path() == url.path() && target.query() == url.query()
}

async fn read(
    answer: reqwest::Result<reqwest::Response>,
    asked: Option<Box<str>>,
    https: bool,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    let mut answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            // Rare, and kept out of what each response is read with.
            let is_our_client = asked.is_none();
            return Err(Box::pin(failure_before_headers(error, https, is_our_client)).await);
        }
    };
    if asked.is_some_and(|asked| *asked != *answer.url().as_str()) {
        return Err(TransportError::with_source(
            TransportErrorKind::InvalidRequest,
            "the reqwest client follows redirects; build it from ReqwestTransport::client_builder",
        ));
    }
    let too_large = || TransportError::new(TransportErrorKind::BodyTooLarge);
    let announced = answer.content_length().unwrap_or(0);
    if announced > max_body as u64 {
        return Err(too_large());
    }
    let mut parts = Response::new(());
    *parts.status_mut() = answer.status();
    *parts.version_mut() = answer.version();
    *parts.headers_mut() = std::mem::take(answer.headers_mut());
    let mut body = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
    loop {
        match answer.chunk().await {
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

/// Tokio and reqwest panic where no runtime is.
fn require_runtime() -> Result<(), TransportError> {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => Ok(()),
        Err(error) => Err(no_runtime(error)),
    }
}

/// They panic as well where the runtime was built without timers or I/O, and there is no way to ask for that.
///
/// A future of another, rather than an async function: that would hold `work` twice, and each stream holds one.
fn in_runtime<T>(
    work: impl Future<Output = Result<T, TransportError>>,
) -> impl Future<Output = Result<T, TransportError>> {
    AssertUnwindSafe(work).catch_unwind().map(|outcome| {
        outcome.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            match text.or_else(|| panic.downcast_ref::<&str>().copied()) {
                Some(text) if TOKIO_LACKS.iter().any(|lack| text.contains(lack)) => {
                    Err(no_runtime(
                        "the tokio runtime has no timers or no I/O; build it with enable_all",
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

/// What tokio says, as it panics, of a runtime that was built without.
const TOKIO_LACKS: [&str; 2] = ["timers are disabled", "IO is disabled"];

/// Classifies an error that came before the response's headers.
async fn failure_before_headers(
    error: reqwest::Error,
    https: bool,
    is_our_client: bool,
) -> TransportError {
    match proxies::verdict(causes(&error)) {
        Some(Verdict::Failed(
            failure @ (ProxyFailure::RefusedSomehow | ProxyFailure::NoHttpProxy),
        )) if is_our_client => match error.url().and_then(|url| url.as_str().parse::<Uri>().ok()) {
            Some(target) if proxies::is_socks(&target) => no_socks(),
            Some(target) if failure == ProxyFailure::RefusedSomehow => {
                proxies::refusal(target).await.error(error.without_url())
            }
            _ => failure.error(error.without_url()),
        },
        Some(Verdict::Failed(failure)) => failure.error(error.without_url()),
        Some(Verdict::NoSocks) => no_socks(),
        Some(Verdict::UnknownHost) => failure(TransportErrorKind::Connect, error).with_detail(
            "this machine does not know the host's name: name a socks5h:// proxy, which looks it up itself",
        ),
        Some(Verdict::Tls) => failure(TransportErrorKind::Tls, error).with_detail(
            "the proxy's certificate is not trusted: add its certificate authority to this machine's, or name it in SSL_CERT_FILE",
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

fn no_socks() -> TransportError {
    unusable("the proxy speaks SOCKS: build with the feature reqwest-socks, or name an HTTP proxy")
}

/// The library's own flags tell the phase; within the connect phase a failure that no socket, timer or resolver reported is
/// TLS's. With TLS 1.3 a server rejects the client after that phase.
fn kind_before_headers(error: &reqwest::Error, https: bool) -> TransportErrorKind {
    if error.is_builder() {
        return TransportErrorKind::InvalidRequest;
    }
    if !error.is_connect() {
        return if error.is_timeout() {
            TransportErrorKind::Timeout
        } else if https && causes(error).any(is_alert) {
            TransportErrorKind::Tls
        } else {
            TransportErrorKind::Interrupted
        };
    }
    let of_the_network = error.is_timeout()
        || error.is_dns()
        || causes(error).any(|cause| {
            cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.raw_os_error().is_some())
        });
    if https && !of_the_network {
        TransportErrorKind::Tls
    } else {
        TransportErrorKind::Connect
    }
}

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

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// Without its URL, which may be a secret.
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
