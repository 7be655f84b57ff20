//! The thread of the blocking client: its start, its end, and failures on it.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::auth::TokenError;
use box_longpoll::blocking::{LongPollClient, token_fn};
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use box_longpoll::transports::ReqwestTransport;
use box_longpoll::{AccessToken, ErrorKind, HttpTransport, StartAt, TokenSource};
use box_longpoll_testkit::EmulatorServer;
use bytes::Bytes;
use http::Response;

use crate::fake_box::{TOKEN, builder, fake_box};

fn reqwest() -> ReqwestTransport {
    ReqwestTransport::new().unwrap()
}

fn token() -> AccessToken {
    AccessToken::new(TOKEN).unwrap()
}

fn over<T: HttpTransport>(server: &EmulatorServer, transport: T) -> LongPollClient<T> {
    builder(server).build_blocking(transport, token()).unwrap()
}

/// A layer that does not forward `block_on` to the transport below.
struct WithoutBlockOn(ReqwestTransport);

#[async_trait]
impl HttpTransport for WithoutBlockOn {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.0.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.0.sleep(duration).await
    }
}

#[test]
fn layer_without_block_on_is_a_runtime_error() {
    let server = fake_box(|_| ());
    let client = over(&server, WithoutBlockOn(reqwest()));
    let mut events = client.events(StartAt::Now);
    let error = events.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(events.next().is_none());
}

/// A layer whose runtime cannot be made.
struct WithoutRuntime(ReqwestTransport);

#[async_trait]
impl HttpTransport for WithoutRuntime {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.0.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.0.sleep(duration).await
    }

    fn block_on(
        &self,
        _work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        let cause = "no descriptors left";
        Err(TransportError::with_source(
            TransportErrorKind::Runtime,
            cause,
        ))
    }
}

#[test]
fn a_runtime_that_cannot_be_made_is_an_error_of_each_call() {
    let server = fake_box(|_| ());
    let client = over(&server, WithoutRuntime(reqwest()));
    for _ in 0..2 {
        let error = client.fetch(StartAt::Now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Runtime);
        let text = format!("{error:?}");
        assert!(text.contains("no descriptors left"), "{text}");
    }
    let mut events = client.events(StartAt::Now);
    let error = events.next().unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Runtime);
    assert!(events.next().is_none());
    assert_eq!(
        events.status().to_string(),
        "stopped: the client's thread did not start: the transport's runtime is not running here: no descriptors left"
    );
}

/// A token source that reports each call of `flush`.
struct Flushed(mpsc::Sender<()>);

#[async_trait]
impl TokenSource for Flushed {
    async fn token(&self, _rejected: Option<&AccessToken>) -> Result<AccessToken, TokenError> {
        Ok(token())
    }

    async fn flush(&self) {
        self.0.send(()).unwrap();
    }
}

#[test]
fn client_flush_flushes_the_token_source() {
    let server = fake_box(|_| ());
    let (flushed, is_flushed) = mpsc::channel();
    let client = builder(&server)
        .build_blocking(reqwest(), Flushed(flushed))
        .unwrap();
    client.flush().unwrap();
    is_flushed.try_recv().unwrap();
}

/// A transport that blocks its thread in `send` until the test releases it.
struct Blocking {
    entered: mpsc::Sender<()>,
    go_on: Mutex<mpsc::Receiver<()>>,
}

#[async_trait]
impl HttpTransport for Blocking {
    async fn send(&self, _: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        self.entered.send(()).unwrap();
        let _ = self.go_on.lock().unwrap().recv();
        Err(TransportError::new(TransportErrorKind::Runtime))
    }

    async fn sleep(&self, _: Duration) -> Result<(), TransportError> {
        pending().await
    }
}

#[test]
fn work_starts_after_other_work_that_blocks() {
    let (entered, is_inside) = mpsc::channel();
    let (go_on, released) = mpsc::channel();
    let transport = Blocking {
        entered,
        go_on: Mutex::new(released),
    };
    let client = LongPollClient::new(transport, token());
    let (mut first, mut second) = (client.events(StartAt::Now), client.events(StartAt::Now));
    let _ = first.next_timeout(Duration::ZERO);
    is_inside.recv().unwrap();
    let _ = second.next_timeout(Duration::ZERO);
    drop(go_on);
    is_inside.recv_timeout(Duration::from_secs(60)).unwrap();
    assert!(second.next().unwrap().is_err());
}

/// A layer that panics at the second request, and reports when it is dropped.
struct Panicking {
    inner: ReqwestTransport,
    sent: AtomicUsize,
    dropped: mpsc::Sender<()>,
}

#[async_trait]
impl HttpTransport for Panicking {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let before = self.sent.fetch_add(1, Ordering::Relaxed);
        assert_ne!(before, 1, "the transport fails on purpose");
        self.inner.send(request).await
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

impl Drop for Panicking {
    fn drop(&mut self) {
        // The test may have ended already.
        let _ = self.dropped.send(());
    }
}

#[test]
fn a_panic_goes_to_the_caller_and_to_nobody_else() {
    let server = fake_box(|_| ());
    let (dropped, was_dropped) = mpsc::channel();
    let client = over(
        &server,
        Panicking {
            inner: reqwest(),
            sent: AtomicUsize::new(0),
            dropped,
        },
    );
    client.fetch(StartAt::Now).unwrap();
    let caller = client.clone();
    let panic = thread::spawn(move || caller.fetch(StartAt::Now)).join();
    assert_eq!(
        panic
            .unwrap_err()
            .downcast_ref::<String>()
            .unwrap()
            .lines()
            .next(),
        Some("assertion `left != right` failed: the transport fails on purpose")
    );
    client.fetch(StartAt::Now).unwrap();

    // The thread holds the transport as long as it runs.
    let mut events = client.events(StartAt::Now);
    drop(client);
    assert!(was_dropped.try_recv().is_err());
    let _ = events.next_timeout(Duration::ZERO);
    drop(events);
    was_dropped.recv_timeout(Duration::from_secs(60)).unwrap();
}

#[test]
fn a_token_closure_may_block_on_a_client_of_its_own() {
    let server = fake_box(|_| ());
    let origin = server.clone();
    let tokens = token_fn(move || {
        // The closure runs outside the streams' runtime, so it may use one of its own.
        let runtime = tokio::runtime::Runtime::new().map_err(TokenError::transient)?;
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        over(&origin, reqwest())
            .fetch(StartAt::Now)
            .map_err(TokenError::transient)?;
        Ok(token())
    });
    let client = builder(&server).build_blocking(reqwest(), tokens).unwrap();
    client.fetch(StartAt::Now).unwrap();
}

#[test]
fn a_token_closure_that_panics_is_called_again() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1);
    let calls = AtomicUsize::new(0);
    let tokens = token_fn(move || {
        assert_ne!(
            calls.fetch_add(1, Ordering::Relaxed),
            0,
            "the closure fails on purpose"
        );
        Ok(token())
    });
    let client = builder(&server).build_blocking(reqwest(), tokens).unwrap();
    client.events(StartAt::Oldest).next().unwrap().unwrap();
}

#[test]
fn calls_of_a_token_closure_never_overlap() {
    let server = fake_box(|_| ());
    server.append(TOKEN, 1);
    let running = Arc::new(AtomicUsize::new(0));
    let (began, has_begun) = mpsc::channel();
    let (go_on, released) = mpsc::channel::<()>();
    let (began, released) = (Mutex::new(began), Mutex::new(released));
    let counter = running.clone();
    let tokens = token_fn(move || {
        assert_eq!(
            counter.fetch_add(1, Ordering::SeqCst),
            0,
            "two calls overlap"
        );
        let _ = began.lock().unwrap().send(());
        let _ = released.lock().unwrap().recv();
        counter.fetch_sub(1, Ordering::SeqCst);
        Ok(token())
    });
    let client = builder(&server).build_blocking(reqwest(), tokens).unwrap();
    let mut left = client.events(StartAt::Oldest);
    let _ = left.next_timeout(Duration::ZERO);
    has_begun.recv().unwrap();
    // No stream waits for the first call any more.
    drop(left);
    let mut events = client.events(StartAt::Oldest);
    let _ = events.next_timeout(Duration::ZERO);
    drop(go_on);
    events.next().unwrap().unwrap();
    assert_eq!(running.load(Ordering::SeqCst), 0);
}
