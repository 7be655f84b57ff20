//! `surf` over async-h1, on any executor.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_io::AsyncRead;
use futures_util::FutureExt;
use futures_util::future::{Either, select};
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_client::{Config, h1::H1Client};
use smol::Timer;
use surf::http::{Body, Request as Outgoing, Response as Incoming, headers};
use surf::{Client, Url};

use super::body;
use crate::transport::{HttpTransport, TransportError, TransportErrorKind, TransportRequest};

/// Long enough for a distant host and a slow handshake; the next server is tried after it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// [`surf`](https://docs.rs/surf) over its own HTTP/1.1 client, on any executor.
///
/// Choose it where surf is already in use. surf, and the async-std that it stands on, are no longer maintained
/// (RUSTSEC-2025-0036, RUSTSEC-2026-0169, RUSTSEC-2025-0052, and RUSTSEC-2026-0174 for http-types): those who start fresh
/// take smol with `IsahcTransport`. A held poll costs some 30 KB; all of them share two threads, which wait for sockets
/// and timers, and names are looked up on a pool of threads.
///
/// `https` needs the feature `surf-native-tls`, which takes the platform's TLS library; on Linux that is OpenSSL, and
/// needs its headers. It doesn't build beside surf's own `h1-client-rustls`. Without it `https` is
/// [`TransportErrorKind::InvalidRequest`].
///
/// No redirects, no cookies, no decompression, no total timeout; a connect timeout of 30 s for all the addresses of a host
/// together.
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
///   [`TransportErrorKind::InvalidRequest`]. `Connection` is always `keep-alive`.
///
/// An empty line for a chunk's size is taken for the body's end.
///
/// And these are left out:
///
/// - Proxies are not used.
/// - TCP keep-alive stays off: a dead network is noticed when the poll's time is over.
/// - An answer's `Content-Type: application/octet-stream` is dropped: surf adds one where there is none.
/// - No connection is used twice. surf gives the connection of a dropped request to the next one, answer and all,
///   so each request has a client, and a connection, of its own.
///
/// # Logs
///
/// async-h1 logs each request and answer, with URL and headers, at the level `trace` of the `log` crate. That can't be
/// switched off from here: let no logger show `async_h1` at that level.
///
/// Cloning is cheap.
#[derive(Clone)]
pub struct SurfTransport {
    config: Config,
}

impl SurfTransport {
    /// A transport, which with the feature `surf-native-tls` trusts the operating system's certificate authorities.
    ///
    /// # Errors
    ///
    /// None today.
    pub fn new() -> Result<Self, TransportError> {
        let config = Config::new().set_timeout(None).set_tcp_no_delay(true);
        Ok(Self { config })
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
        use async_native_tls::{Certificate, TlsConnector};

        let mut tls = TlsConnector::new();
        for pem in certificates {
            let root = Certificate::from_pem(pem)
                .map_err(|error| TransportError::with_source(TransportErrorKind::Tls, error))?;
            tls = tls.add_root_certificate(root);
        }
        let Self { config } = Self::new()?;
        Ok(Self {
            config: config.set_tls_config(Some(Arc::new(tls))),
        })
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
        let (request, unsent) = convert(request, url.clone())?;
        let client = self.client()?;
        let sending = Box::pin(async move { client.send(request).await });
        let answer = select(Box::pin(begin(sending, url)), Timer::after(CONNECT_TIMEOUT));
        let answer = match answer.await {
            Either::Left((answer, _)) => answer?,
            Either::Right((_, answer)) if unsent.strong_count() == 0 => answer.await?,
            Either::Right(_) => return Err(TransportError::new(TransportErrorKind::Connect)),
        };
        read(answer.into(), head, max_body).await
    }

    /// surf's HTTP/1.1 client, whichever others are built in. One a request: the pool ends with it, so that no connection
    /// gets a second request, and yet, other than without keep-alive, all addresses of a host are tried.
    fn client(&self) -> Result<Client, TransportError> {
        let h1: Result<_, Infallible> = H1Client::try_from(self.config.clone());
        let Ok(h1) = h1;
        Client::try_from(surf::Config::new().set_http_client(h1))
            .map_err(|error| TransportError::with_source(TransportErrorKind::Other, error))
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

/// The request in surf's types, and its body, which is let go of once it is sent.
fn convert(request: Request<Bytes>, url: Url) -> Result<(Outgoing, Weak<[u8]>), TransportError> {
    let (parts, body) = request.into_parts();
    let method = parts.method.as_str().parse();
    let mut request = Outgoing::new(method.map_err(|_| invalid("an unknown method"))?, url);
    let length = body.len();
    let body: Arc<[u8]> = Arc::from(&*body);
    let unsent = Arc::downgrade(&body);
    let body = smol::io::Cursor::new(body);
    request.set_body(Body::from_reader(body, Some(length)));
    // The body brought one along.
    request.remove_header(headers::CONTENT_TYPE);
    for (name, value) in &parts.headers {
        let value = headers::HeaderValue::from_bytes(value.as_bytes().to_vec())
            .map_err(|_| invalid("surf sends header values of ASCII only"))?;
        request.append_header(name.as_str(), value);
    }
    Ok((request, unsent))
}

type Sending = Pin<Box<dyn Future<Output = surf::Result<surf::Response>> + Send>>;

/// Sends the request. A name is looked up within the first poll, which blocks.
async fn begin(mut sending: Sending, url: Url) -> Result<surf::Response, TransportError> {
    if url.domain().is_some() {
        let begun = smol::unblock(move || ((&mut sending).now_or_never(), sending));
        let (answer, rest) = begun.await;
        if let Some(answer) = answer {
            return answer.map_err(|error| failure(TransportErrorKind::Connect, error));
        }
        sending = rest;
    }
    sending.await.map_err(|error| {
        let kind = kind_before_headers(&error, url.scheme() == "https");
        failure(kind, error)
    })
}

/// What an error means that came before the answer's headers. What http-client says itself is about connecting, and is
/// a text.
fn kind_before_headers(error: &surf::Error, https: bool) -> TransportErrorKind {
    if error.status() != surf::StatusCode::BadRequest {
        TransportErrorKind::Interrupted
    } else if https && !error.to_string().contains("(os error") {
        TransportErrorKind::Tls
    } else {
        TransportErrorKind::Connect
    }
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
        Err(error) => {
            let text = error.to_string();
            match system_error(&text) {
                Some(error) => TransportError::with_source(kind, error),
                None => TransportError::with_source(kind, text),
            }
        }
    }
}

/// The system's error that the text of another one ends with.
fn system_error(text: &str) -> Option<io::Error> {
    let (_, code) = text.strip_suffix(')')?.rsplit_once("(os error ")?;
    Some(io::Error::from_raw_os_error(code.parse().ok()?))
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
