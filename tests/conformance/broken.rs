//! Proves that the conformance suite finds transports that each break one rule.
//!
//! Most of them wrap the reqwest transport and change one behavior. The last group also proves the
//! texts of the suite's failures. Start at `broken_transport_is_found`.

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::HttpTransport;
use box_longpoll::transport::Moment;
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll_testkit::conformance::{Candidate, Case, MakeTransport, Setup, Subject, cases};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{HeaderValue, Response};
use reqwest::Certificate;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

type Outcome = Result<Response<Bytes>, TransportError>;
type Shared = Arc<Inner>;
type Sending = fn(Shared, TransportRequest) -> Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A transport that sends and sleeps in its own way by means of reqwest's transport.
struct Broken {
    inner: Shared,
    send: Sending,
    sleep: fn(Duration) -> Duration,
}

struct Inner {
    transport: ReqwestTransport,
    /// A response that no future waits for any more.
    late: Mutex<Option<JoinHandle<Outcome>>>,
    sent: AtomicUsize,
}

impl Inner {
    fn new(setup: &Setup) -> Self {
        Self {
            transport: reqwest(setup, false),
            late: Mutex::new(None),
            sent: AtomicUsize::new(0),
        }
    }
}

#[async_trait]
impl HttpTransport for Broken {
    async fn send(&self, request: TransportRequest) -> Outcome {
        (self.send)(Arc::clone(&self.inner), request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.inner.transport.sleep((self.sleep)(duration)).await
    }

    fn now(&self) -> Moment {
        self.inner.transport.now()
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.inner.transport.block_on(work)
    }
}

fn reqwest(setup: &Setup, accept_anybody: bool) -> ReqwestTransport {
    let root = Certificate::from_pem(setup.ca_pem().as_bytes()).unwrap();
    let builder = ReqwestTransport::client_builder().tls_certs_merge([root]);
    let builder = builder.tls_danger_accept_invalid_certs(accept_anybody);
    ReqwestTransport::with_client(builder.no_proxy().build().unwrap())
}

fn broken(setup: &Setup, send: Sending) -> Arc<dyn HttpTransport> {
    let inner = Arc::new(Inner::new(setup));
    let sleep = |duration| duration;
    Arc::new(Broken { inner, send, sleep })
}

fn endless(request: &TransportRequest) -> TransportRequest {
    TransportRequest::new(request.request().clone(), request.timeout(), usize::MAX)
}

fn wakes_early(setup: &Setup) -> Arc<dyn HttpTransport> {
    Arc::new(Broken {
        inner: Arc::new(Inner::new(setup)),
        send: |inner, request| Box::pin(async move { inner.transport.send(request).await }),
        sleep: |duration| duration / 2,
    })
}

fn trusts_anybody(setup: &Setup) -> Arc<dyn HttpTransport> {
    Arc::new(reqwest(setup, true))
}

fn follows_redirects(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let response = inner.transport.send(request.clone()).await?;
            let Some(location) = response.headers().get("location") else {
                return Ok(response);
            };
            let mut next = request.request().clone();
            *next.uri_mut() = location.to_str().unwrap().parse().unwrap();
            let (timeout, max_body) = (request.timeout(), request.max_body());
            let next = TransportRequest::new(next, timeout, max_body);
            inner.transport.send(next).await
        })
    })
}

fn retries(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            match inner.transport.send(request.clone()).await {
                Err(error) if error.kind() == TransportErrorKind::Interrupted => {
                    inner.transport.send(request).await
                }
                response => response,
            }
        })
    })
}

/// Returns a transport that sends every request but the first one on a dead connection.
fn keeps_a_dead_connection(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            match inner.sent.fetch_add(1, Ordering::Relaxed) {
                0 => inner.transport.send(request).await,
                _ => Err(TransportError::new(TransportErrorKind::Interrupted)),
            }
        })
    })
}

fn calls_an_interruption_a_failure_to_connect(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let response = inner.transport.send(request).await;
            response
                .map_err(|error| TransportError::with_source(TransportErrorKind::Connect, error))
        })
    })
}

fn calls_every_connection_fresh(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let response = inner.transport.send(request).await;
            response.map_err(|error| error.with_connection_reused(false))
        })
    })
}

fn calls_every_connection_reused(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let response = inner.transport.send(request).await;
            response.map_err(|error| error.with_connection_reused(true))
        })
    })
}

fn takes_any_connection(setup: &Setup) -> Arc<dyn HttpTransport> {
    Arc::new(reqwest(setup, false))
}

fn takes_everything(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move { inner.transport.send(endless(&request)).await })
    })
}

fn cuts_bodies(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let max_body = request.max_body();
            let request = endless(&request);
            let response = inner.transport.send(request).await?;
            Ok(response.map(|body| body.slice(..body.len().min(max_body))))
        })
    })
}

fn decompressed(response: Response<Bytes>) -> Response<Bytes> {
    response.map(|body| {
        let mut plain = Vec::new();
        // A body that isn't gzip, or is cut, ends with the part before the fault.
        let _ = MultiGzDecoder::new(&*body).read_to_end(&mut plain);
        plain.into()
    })
}

fn decompresses_and_keeps_the_headers(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move { inner.transport.send(request).await.map(decompressed) })
    })
}

fn decompresses_and_keeps_the_length(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let mut response = inner.transport.send(request).await.map(decompressed)?;
            response.headers_mut().remove("content-encoding");
            Ok(response)
        })
    })
}

fn loses_the_encoding(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let mut response = inner.transport.send(request).await?;
            response.headers_mut().remove("content-encoding");
            Ok(response)
        })
    })
}

fn adds_a_referer(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, mut request| {
        Box::pin(async move {
            let referer = HeaderValue::from_static("http://127.0.0.1/before");
            request.headers_mut().insert("referer", referer);
            inner.transport.send(request).await
        })
    })
}

fn shows_the_url(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let url = request.request().uri().to_string();
            let response = inner.transport.send(request).await;
            response.map_err(|error| TransportError::with_source(error.kind(), url))
        })
    })
}

fn has_a_timeout(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let response = inner.transport.send(request);
            let timeout = tokio::time::timeout(Duration::from_secs(1), response).await;
            timeout.unwrap_or_else(|_| Err(TransportError::new(TransportErrorKind::Timeout)))
        })
    })
}

fn keeps_what_is_dropped(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let sent = tokio::spawn(async move { inner.transport.send(request).await });
            sent.await.unwrap()
        })
    })
}

fn mixes_responses_up(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let late = inner.late.lock().unwrap().take();
            let sender = Arc::clone(&inner);
            let task = late.unwrap_or_else(|| {
                tokio::spawn(async move { sender.transport.send(request).await })
            });
            let mut task = Pooled(inner, Some(task));
            let response = task.1.as_mut().unwrap().await.unwrap();
            task.1 = None;
            response
        })
    })
}

/// A request that the next one takes over if it is dropped.
struct Pooled(Shared, Option<JoinHandle<Outcome>>);

impl Drop for Pooled {
    fn drop(&mut self) {
        *self.0.late.lock().unwrap() = self.1.take();
    }
}

fn spins(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let mut response = inner.transport.send(request);
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                response.as_mut().poll(cx)
            })
            .await
        })
    })
}

fn calls_itself_otherwise(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, mut request| {
        Box::pin(async move {
            let name = HeaderValue::from_static("gateway/1");
            request.headers_mut().insert("user-agent", name);
            inner.transport.send(request).await
        })
    })
}

/// A client that keeps its connection although a request on it was dropped.
struct Keeping {
    inner: ReqwestTransport,
    kept: tokio::sync::Mutex<Option<Kept>>,
    late: Late,
}

/// The handling of a late response: one to a request that was dropped.
#[derive(Clone, Copy)]
enum Late {
    /// The next request gets it as its own response.
    Taken,
    /// The next request goes out on the same connection, and skips it.
    PassedOver,
    /// The client reads it before the next request. If it hasn't come, that request uses another
    /// connection.
    Drained,
}

struct Kept {
    stream: TcpStream,
    received: Vec<u8>,
    /// The number of responses that have not come.
    due: usize,
}

impl Kept {
    async fn connect(authority: &str) -> Self {
        Self {
            stream: TcpStream::connect(authority).await.unwrap(),
            received: Vec::new(),
            due: 0,
        }
    }

    /// Returns the next response, if it has come.
    fn next_response(&mut self) -> Option<Bytes> {
        let text = std::str::from_utf8(&self.received).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let length = head.split_once("Content-Length: ")?.1;
        let length: usize = length.lines().next()?.parse().unwrap();
        let complete = body.get(..length)?.to_owned();
        self.received.drain(..head.len() + 4 + length);
        self.due -= 1;
        Some(complete.into())
    }

    async fn response(&mut self) -> Bytes {
        loop {
            if let Some(response) = self.next_response() {
                return response;
            }
            assert_ne!(self.stream.read_buf(&mut self.received).await.unwrap(), 0);
        }
    }

    /// Reads all responses that have come.
    fn drain(&mut self) {
        while self.due > 0 {
            if self.next_response().is_none()
                && self.stream.try_read_buf(&mut self.received).is_err()
            {
                return;
            }
        }
    }
}

#[async_trait]
impl HttpTransport for Keeping {
    async fn send(&self, request: TransportRequest) -> Outcome {
        let uri = request.request().uri();
        let authority = uri.authority().unwrap().as_str();
        let mut kept = self.kept.lock().await;
        if let (Late::Drained, Some(open)) = (self.late, &mut *kept) {
            open.drain();
            if open.due > 0 {
                *kept = None;
            }
        }
        if kept.is_none() {
            *kept = Some(Kept::connect(authority).await);
        }
        let open = kept.as_mut().unwrap();
        let head = format!("GET {} HTTP/1.1\r\nhost: {authority}\r\n\r\n", uri.path());
        open.stream.write_all(head.as_bytes()).await.unwrap();
        open.due += 1;
        let mut response = open.response().await;
        while matches!(self.late, Late::PassedOver) && open.due > 0 {
            response = open.response().await;
        }
        Ok(Response::new(response))
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.inner.sleep(duration).await
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.inner.block_on(work)
    }
}

fn keeping(setup: &Setup, late: Late) -> Arc<dyn HttpTransport> {
    Arc::new(Keeping {
        inner: reqwest(setup, false),
        kept: tokio::sync::Mutex::new(None),
        late,
    })
}

fn takes_a_late_response(setup: &Setup) -> Arc<dyn HttpTransport> {
    keeping(setup, Late::Taken)
}

fn passes_a_late_response_over(setup: &Setup) -> Arc<dyn HttpTransport> {
    keeping(setup, Late::PassedOver)
}

fn drains_a_late_response(setup: &Setup) -> Arc<dyn HttpTransport> {
    keeping(setup, Late::Drained)
}

/// Returns a case by its name. An unknown name doesn't compile.
macro_rules! case {
    ($name:ident) => {{
        let _: fn(&Subject) = cases::$name;
        Case::named(stringify!($name)).unwrap()
    }};
}

#[rstest]
#[case::redirects(
    case!(required_never_follows_redirects),
    follows_redirects,
    "expected: 301\ngot: 200"
)]
#[case::retries(
    case!(required_a_post_is_never_sent_twice),
    retries,
    "expected: 1\ngot: 2\nsituation: the number of POSTs"
)]
#[case::dead_connection(
    case!(required_a_kept_connection_that_closes_is_replaced),
    keeps_a_dead_connection,
    "expected a response when it is resent, got the error: TransportError"
)]
#[case::wrong_kind(
    case!(required_a_kept_connection_that_resets_is_replaced),
    calls_an_interruption_a_failure_to_connect,
    "expected: Interrupted\ngot: Connect"
)]
#[case::called_fresh(
    case!(required_a_reused_connection_is_never_called_fresh),
    calls_every_connection_fresh,
    "expected: no claim of a fresh connection"
)]
#[case::called_reused(
    case!(required_a_reused_connection_is_never_called_fresh),
    calls_every_connection_reused,
    "expected: no claim of a reused connection"
)]
#[case::get_retries(
    case!(optional_a_get_is_never_sent_twice),
    retries,
    "situation: requests that the server read"
)]
#[case::any_connection(
    case!(optional_a_fresh_connection_is_opened_when_requested),
    takes_any_connection,
    "expected: \"request 1\""
)]
#[case::chunks(
    case!(required_the_cap_holds_for_chunks),
    takes_everything,
    "expected: BodyTooLarge\ngot: Body"
)]
#[case::length(
    case!(required_the_cap_holds_for_a_length),
    cuts_bodies,
    "expected: an error\ngot: Response"
)]
#[case::both_headers_kept(
    case!(required_compression_and_its_header_go_together),
    decompresses_and_keeps_the_headers,
    "expected: None\ngot: Some(\"gzip\")\nsituation: the header content-encoding of a decompressed body"
)]
#[case::length_kept(
    case!(required_compression_and_its_header_go_together),
    decompresses_and_keeps_the_length,
    "situation: the header content-length of a decompressed body"
)]
#[case::encoding_lost(
    case!(required_compression_and_its_header_go_together),
    loses_the_encoding,
    "expected: Some(\"gzip\")\ngot: None"
)]
#[case::bomb(
    case!(required_the_cap_holds_for_a_decompressed_body),
    decompresses_and_keeps_the_headers,
    "situation: a body that is neither handed on nor decompressed"
)]
#[case::cut_gzip(
    case!(required_a_cut_gzip_stream_is_never_a_body),
    decompresses_and_keeps_the_headers,
    "situation: a body that is neither handed on nor decompressed"
)]
#[case::referer(
    case!(required_nothing_else_is_sent),
    adds_a_referer,
    "expected: no header referer\ngot: \"http://127.0.0.1/before\"\nsituation: OPTIONS; \
     if it is added on purpose, say so: adds: [\"referer\"]"
)]
#[case::second_referer(
    case!(required_a_request_shows_nothing_of_the_one_before),
    adds_a_referer,
    "expected: None\ngot: Some(\"http://127.0.0.1/before\")\nsituation: the header referer"
)]
#[case::name(
    case!(required_headers_are_sent_as_given),
    calls_itself_otherwise,
    "situation: user-agent"
)]
#[case::secrets(
    case!(required_an_error_shows_no_secret),
    shows_the_url,
    "expected: an error that shows no secret"
)]
#[case::timeout(
    case!(required_a_slow_response_is_complete),
    has_a_timeout,
    "expected a response, got the error: TransportError"
)]
#[case::open(
    case!(optional_dropping_a_request_closes_its_connection_at_once),
    keeps_what_is_dropped,
    "expected: Closed\ngot: Open\nsituation: 30s after a request was dropped"
)]
#[case::open_for_ever(
    case!(required_a_dropped_request_ends_with_its_timeout),
    keeps_what_is_dropped,
    "expected: Closed\ngot: Open\nsituation: 45s after a request was dropped"
)]
#[case::mix_up(
    case!(required_a_canceled_request_leaves_the_next_alone),
    mixes_responses_up,
    "expected: the next request's own response\ngot: \"dropped\"\nsituation: a mix-up"
)]
#[case::mix_up_on_a_connection(
    case!(required_a_canceled_request_leaves_the_next_alone),
    takes_a_late_response,
    "expected: the next request's own response\ngot: \"dropped\"\nsituation: a mix-up"
)]
#[case::reuse(
    case!(required_a_canceled_request_leaves_the_next_alone),
    passes_a_late_response_over,
    "expected: the next request on another connection\ngot: \"its own response on the connection of \
     the dropped request\"\nsituation: a reused connection"
)]
#[case::panic(
    case!(required_works_anywhere_or_says_where_not),
    keeps_what_is_dropped,
    "situation: smol"
)]
#[case::early_sleep(
    case!(required_a_sleep_is_never_early),
    wakes_early,
    "expected: a sleep of at least"
)]
#[case::unknown_authority(
    case!(required_an_unknown_authority_is_refused),
    trusts_anybody,
    "expected: Tls\ngot: Interrupted"
)]
#[case::expired(
    case!(required_an_expired_certificate_is_refused),
    trusts_anybody,
    "expected: Tls\ngot: Interrupted"
)]
#[case::another_name(
    case!(required_a_certificate_of_another_name_is_refused),
    trusts_anybody,
    "expected: Tls\ngot: Interrupted"
)]
/// Proves that the case finds the transport, and that the failure names the case, the rule and the
/// reason.
fn broken_transport_is_found(
    #[case] case: Case,
    #[case] make: MakeTransport,
    #[case] reason: &str,
) {
    let failure = case.run("", Candidate::new(make)).unwrap_err();
    let matters = if case.is_required() {
        "the client relies on its rule"
    } else {
        "the client can do without its rule"
    };
    let head = format!("{} failed; {matters}", case.name());
    assert!(failure.starts_with(&head), "{failure}");
    assert!(
        failure.contains(&format!("\nrule: {}\n", case.rule())),
        "{failure}"
    );
    assert!(failure.contains(reason), "{failure}");
    // A transport that only sleeps connects to no server.
    let (_, server) = failure.split_once("\nwhat the server did:\n").unwrap();
    let sleeps = case.name() == "required_a_sleep_is_never_early";
    assert_eq!(
        server.contains("connection 1: accepted it"),
        !sleeps,
        "{failure}"
    );
}

#[test]
fn failure_shows_the_rule_the_expectation_and_the_server() {
    let case = case!(required_never_follows_redirects);
    let failure = case.run("", Candidate::new(follows_redirects)).unwrap_err();
    // The address of the other server differs from run to run.
    let (before, after) = failure.split_once("http://127.0.0.1").unwrap();
    let after = after.split_once("/\\r\\n").unwrap().1;
    assert_eq!(
        before,
        "required_never_follows_redirects failed; the client relies on its rule\n\
         rule: A redirect is a response, with its `Location`, and the transport does not follow it.\n\
         expected: 301\ngot: 200\n\
         what the server did:\n  \
         server 2, connection 1: accepted it\n  \
         server 2, connection 1: read \"GET / HTTP/1.1\"\n  \
         server 2, connection 1: wrote \"HTTP/1.1 301 Moved\\r\\nLocation: "
    );
    assert!(
        after.contains("server 1, connection 1: read \"GET / HTTP/1.1\""),
        "{failure}"
    );
}

#[test]
fn connection_may_be_reused_once_it_is_drained() {
    let case = case!(required_a_canceled_request_leaves_the_next_alone);
    let outcome = case.run("", Candidate::new(drains_a_late_response));
    assert_eq!(outcome, Ok(()));
}

#[rstest]
#[case(case!(required_nothing_else_is_sent), adds_a_referer, &["referer"])]
#[case(case!(required_nothing_else_is_sent_with_a_post), adds_a_referer, &["x-job", "Referer"])]
#[case(case!(required_a_request_shows_nothing_of_the_one_before), adds_a_referer, &["referer"])]
#[case(case!(required_headers_are_sent_as_given), calls_itself_otherwise, &["User-Agent"])]
fn declared_header_may_be_added(
    #[case] case: Case,
    #[case] make: MakeTransport,
    #[case] adds: &'static [&'static str],
) {
    let candidate = Candidate::new(make);
    assert_eq!(case.run("", candidate.adds(adds)), Ok(()));
    let failure = case.run("", candidate.adds(&["x-other"])).unwrap_err();
    assert!(failure.contains("what the server did"), "{failure}");
}

#[test]
fn header_of_the_client_cannot_be_declared() {
    let candidate = Candidate::new(takes_any_connection).adds(&["x-job", "Authorization"]);
    let failure = case!(required_options_is_sent).run("", candidate);
    assert_eq!(
        failure.unwrap_err(),
        "`adds` names authorization: a transport sends it as the client gives it"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn spinning_transport_is_found() {
    let case = case!(required_uses_no_cpu_while_a_request_is_held);
    let failure = case.run(
        "conformance::broken::spinning_transport_is_found",
        Candidate::new(spins),
    );
    let failure = failure.unwrap_err();
    // The measurement in the child process failed, and nothing else.
    assert!(failure.contains("of CPU time in"), "{failure}");
}
