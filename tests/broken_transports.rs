//! The conformance suite finds transports that break a rule each.

#![cfg(feature = "reqwest")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{HttpTransport, Moment};
use box_longpoll_testkit::conformance::{MakeTransport, Setup, Subject, cases, run};
use bytes::Bytes;
use http::{HeaderValue, Response};
use reqwest::Certificate;
use rstest::rstest;
use tokio::task::JoinHandle;

type Answer = Result<Response<Bytes>, TransportError>;
type Shared = Arc<Inner>;
type Sending = fn(Shared, TransportRequest) -> Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A transport that sends and sleeps otherwise than reqwest's.
struct Broken {
    inner: Shared,
    send: Sending,
    sleep: fn(Duration) -> Duration,
}

struct Inner {
    transport: ReqwestTransport,
    /// An answer that nobody waits for any more.
    late: Mutex<Option<JoinHandle<Answer>>>,
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
    async fn send(&self, request: TransportRequest) -> Answer {
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

/// A transport that sends before it is awaited.
struct Hasty(ReqwestTransport);

#[async_trait]
impl HttpTransport for Hasty {
    fn send<'a, 'b>(
        &'a self,
        request: TransportRequest,
    ) -> Pin<Box<dyn Future<Output = Answer> + Send + 'b>>
    where
        'a: 'b,
    {
        let transport = self.0.clone();
        let sent = tokio::spawn(async move { transport.send(request).await });
        Box::pin(async move { sent.await.unwrap() })
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.0.sleep(duration).await
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.0.block_on(work)
    }
}

fn sends_at_once(setup: &Setup) -> Arc<dyn HttpTransport> {
    Arc::new(Hasty(reqwest(setup, false)))
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
            let answer = inner.transport.send(request.clone()).await?;
            let Some(location) = answer.headers().get("location") else {
                return Ok(answer);
            };
            let mut next = request.request().clone();
            *next.uri_mut() = location.to_str().unwrap().parse().unwrap();
            let (timeout, max_body) = (request.timeout(), request.max_body());
            let next = TransportRequest::new(next, timeout, max_body);
            inner.transport.send(next).await
        })
    })
}

fn tries_again(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            match inner.transport.send(request.clone()).await {
                Err(error) if error.kind() == TransportErrorKind::Interrupted => {
                    inner.transport.send(request).await
                }
                answer => answer,
            }
        })
    })
}

/// Every request but the first one fails on a connection that has died.
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
            let answer = inner.transport.send(request).await?;
            Ok(answer.map(|body| body.slice(..body.len().min(max_body))))
        })
    })
}

fn tells_the_referer(setup: &Setup) -> Arc<dyn HttpTransport> {
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
            let answer = inner.transport.send(request).await;
            answer.map_err(|error| TransportError::with_source(error.kind(), url))
        })
    })
}

fn has_a_timeout(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let answer = inner.transport.send(request);
            let timeout = tokio::time::timeout(Duration::from_secs(1), answer).await;
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

fn mixes_answers_up(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let late = inner.late.lock().unwrap().take();
            let asked = Arc::clone(&inner);
            let asked = late.unwrap_or_else(|| {
                tokio::spawn(async move { asked.transport.send(request).await })
            });
            let mut asked = Pooled(inner, Some(asked));
            let answer = asked.1.as_mut().unwrap().await.unwrap();
            asked.1 = None;
            answer
        })
    })
}

/// A request that is kept for the next one when it is given up.
struct Pooled(Shared, Option<JoinHandle<Answer>>);

impl Drop for Pooled {
    fn drop(&mut self) {
        *self.0.late.lock().unwrap() = self.1.take();
    }
}

fn spins(setup: &Setup) -> Arc<dyn HttpTransport> {
    broken(setup, |inner, request| {
        Box::pin(async move {
            let mut answer = inner.transport.send(request);
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                answer.as_mut().poll(cx)
            })
            .await
        })
    })
}

#[rstest]
#[case::haste(
    cases::required_a_request_is_sent_when_it_is_first_polled,
    sends_at_once
)]
#[case::redirects(cases::required_never_follows_redirects, follows_redirects)]
#[case::retries(cases::required_a_post_is_never_sent_twice, tries_again)]
#[case::dead_connection(
    cases::required_a_kept_connection_that_closes_is_replaced,
    keeps_a_dead_connection
)]
#[case::wrong_kind(
    cases::required_a_kept_connection_that_resets_is_replaced,
    calls_an_interruption_a_failure_to_connect
)]
#[case::called_fresh(
    cases::required_a_reused_connection_is_never_called_fresh,
    calls_every_connection_fresh
)]
#[case::called_reused(
    cases::required_a_reused_connection_is_never_called_fresh,
    calls_every_connection_reused
)]
#[case::get_retries(cases::optional_a_get_is_never_sent_twice, tries_again)]
#[case::any_connection(
    cases::optional_a_fresh_connection_is_opened_when_requested,
    takes_any_connection
)]
#[case::chunks(cases::required_the_cap_holds_for_chunks, takes_everything)]
#[case::length(cases::required_the_cap_holds_for_a_length, cuts_bodies)]
#[case::referer(cases::required_nothing_else_is_sent, tells_the_referer)]
#[case::second_referer(
    cases::required_a_request_tells_nothing_of_the_one_before,
    tells_the_referer
)]
#[case::secrets(cases::required_an_error_shows_no_secret, shows_the_url)]
#[case::timeout(cases::required_a_slow_answer_is_whole, has_a_timeout)]
#[case::open(
    cases::optional_dropping_a_request_closes_its_connection_at_once,
    keeps_what_is_dropped
)]
#[case::open_for_ever(
    cases::required_a_dropped_request_ends_with_its_timeout,
    keeps_what_is_dropped
)]
#[case::mix_up(
    cases::required_a_cancelled_request_never_answers_the_next,
    mixes_answers_up
)]
#[case::panic(
    cases::required_works_anywhere_or_says_where_not,
    keeps_what_is_dropped
)]
#[case::early_sleep(cases::required_a_sleep_is_never_early, wakes_early)]
#[case::unknown_authority(cases::required_an_unknown_authority_is_refused, trusts_anybody)]
#[case::expired(cases::required_an_expired_certificate_is_refused, trusts_anybody)]
#[case::another_name(
    cases::required_a_certificate_of_another_name_is_refused,
    trusts_anybody
)]
fn is_found(#[case] case: fn(&Subject), #[case] make: MakeTransport) {
    assert!(run(case, "", make).is_err());
}

#[cfg(target_os = "linux")]
#[test]
fn one_that_spins_is_found() {
    let case = cases::required_uses_no_cpu_while_a_request_is_held;
    let failure = run(case, "one_that_spins_is_found", spins).unwrap_err();
    // It was this that failed, in the process that is measured.
    assert!(failure.contains("of CPU time in"), "{failure}");
}
