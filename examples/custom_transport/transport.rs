//! hyper-util's client as a transport, to copy and change.
//!
//! It sends each request once, and leaves retries and decompression to `box-longpoll`. It supports
//! HTTP/1.1 without proxies. The documentation of `box_longpoll::transport` has the contract of a
//! transport. Start from [`HyperTransport`].

use std::error::Error as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::HttpTransport;
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{Response, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper_rustls::{HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::{Builder as RuntimeBuilder, Handle};
use tower::timeout::Timeout;
use tower::timeout::error::Elapsed;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service};

/// The time limit of name resolution, connection and TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// The silence after which TCP probes the connection. A held poll is silent for ten minutes; these
/// probes notice a dead network within a minute.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The number of lost probes after which the connection counts as dead.
const KEEPALIVE_PROBES: u32 = 3;

/// The greatest number of idle connections to a host. They have no time limit, because servers
/// close them, and the client then resends the request.
const MAX_IDLE_PER_HOST: usize = 32;

/// The error of a name that isn't found, or a connection that isn't made. hyper-util does not
/// export its name.
type TcpError = <HttpConnector as Service<Uri>>::Error;

type Connector = BoxCloneSyncService<Uri, MaybeHttpsStream<TokioIo<TcpStream>>, BoxError>;

/// A transport over hyper-util on tokio, with rustls, for HTTP/1.1 without proxies.
pub(crate) struct HyperTransport {
    /// The client for most requests. It keeps connections.
    client: Client<Connector, Full<Bytes>>,
    /// The client for requests that need a connection of their own. It keeps none.
    fresh: Client<Connector, Full<Bytes>>,
}

impl HyperTransport {
    /// Returns a transport that trusts the operating system's certificate authorities, and
    /// `more_authorities`, such as a company's own.
    pub(crate) fn new(
        more_authorities: impl IntoIterator<Item = CertificateDer<'static>>,
    ) -> Result<Self, TransportError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        roots.add_parsable_certificates(more_authorities);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Tls, error))?
            .with_root_certificates(roots)
            .with_no_client_auth();

        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let connector = Connector::new(Timeout::new(connector, CONNECT_TIMEOUT));
        let fresh = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(connector.clone());
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(None)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .build(connector);
        Ok(Self { client, fresh })
    }

    /// Sends a request once. hyper-util follows no redirects, and treats any status as a response.
    async fn exchange(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let max_body = request.max_body();
        let fresh = request.fresh_connection();
        let request = request.into_request();
        if !matches!(request.uri().scheme_str(), Some("http" | "https")) {
            return Err(TransportError::new(TransportErrorKind::InvalidRequest));
        }
        let client = if fresh { &self.fresh } else { &self.client };
        let response = client.request(request.map(Full::new)).await;
        // hyper-util doesn't report whether it reused a connection. The `fresh` client keeps none.
        let response = response.map_err(|error| match before_the_response(error) {
            error if fresh => error.with_connection_reused(false),
            error => error,
        });
        read(response?, max_body).await
    }
}

#[async_trait]
impl HttpTransport for HyperTransport {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        in_tokio(self.exchange(request)).await?
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        in_tokio(async move { tokio::time::sleep(duration).await }).await
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        let runtime = RuntimeBuilder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| TransportError::with_source(TransportErrorKind::Runtime, error))?;
        runtime.block_on(work);
        // A thread that still resolves a name can't be interrupted: do not wait for it.
        runtime.shutdown_background();
        Ok(())
    }
}

/// Awaits work that needs a tokio runtime with timers and I/O.
///
/// tokio panics if the runtime has none, and has no function to check for them. So a panic becomes
/// an error here.
async fn in_tokio<T>(work: impl Future<Output = T>) -> Result<T, TransportError> {
    const LACKING: &str = "a panic, as of a tokio runtime that was built without enable_all";
    let wrong_place = |source| TransportError::with_source(TransportErrorKind::Runtime, source);
    Handle::try_current().map_err(|error| wrong_place(BoxError::from(error)))?;
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.map_err(|_| wrong_place(LACKING.into()))
}

/// Returns the response with its complete body, or an error if the body exceeds `max_body` bytes.
async fn read(
    response: Response<Incoming>,
    max_body: usize,
) -> Result<Response<Bytes>, TransportError> {
    let (head, body) = response.into_parts();
    if body.size_hint().lower() > max_body as u64 {
        return Err(TransportError::new(TransportErrorKind::BodyTooLarge));
    }
    match Limited::new(body, max_body).collect().await {
        Ok(body) => Ok(Response::from_parts(head, body.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(TransportError::new(TransportErrorKind::BodyTooLarge))
        }
        Err(error) => Err(TransportError::with_source(TransportErrorKind::Body, error)),
    }
}

/// Returns the error of a request that failed before its response.
///
/// The kind depends on the progress of the request. hyper's errors contain no URL and no header, so
/// they may be shown.
fn before_the_response(error: ClientError) -> TransportError {
    let kind = match error.source() {
        _ if !error.is_connect() => TransportErrorKind::Interrupted,
        Some(cause) if cause.is::<TcpError>() || cause.is::<Elapsed>() => {
            TransportErrorKind::Connect
        }
        _ => TransportErrorKind::Tls,
    };
    TransportError::with_source(kind, error)
}
