use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use box_longpoll::{HttpTransport, TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::{Method, Request, Response};

use super::Setup;

/// The longest body that a test accepts, in bytes, where it says nothing else.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Stands in whatever is secret: in headers, paths and queries.
pub(super) const CANARY: &str = "canary";

/// Makes the transport under test.
pub type MakeTransport = fn(&Setup) -> Arc<dyn HttpTransport>;

/// What a case puts to the test: a transport, made anew for each case.
#[derive(Debug)]
pub struct Subject {
    pub(super) setup: Arc<Setup>,
    pub(super) make: MakeTransport,
    /// The path of the test that runs the case, by which the test's program can run it alone.
    pub(super) test: &'static str,
    /// Tells how long the case may take from now on.
    pub(super) limit: mpsc::Sender<Duration>,
}

/// Why a machine doesn't show what a case is about.
pub(super) struct NotShown(pub(super) &'static str);

impl Subject {
    /// The transport, made for this call.
    pub(super) fn transport(&self) -> Arc<dyn HttpTransport> {
        (self.make)(&self.setup)
    }

    /// Ends the case, which neither passes nor fails.
    pub(super) fn is_not_shown(why: &'static str) -> ! {
        std::panic::resume_unwind(Box::new(NotShown(why)))
    }

    /// Lets the case take this long from now on.
    pub(super) fn may_take(&self, limit: Duration) {
        let _ = self.limit.send(limit);
    }

    /// Does `work` with a transport of its own, on this thread.
    #[track_caller]
    pub(super) fn drive<T, F>(&self, work: impl FnOnce(Client) -> F) -> T
    where
        T: Send,
        F: Future<Output = T> + Send,
    {
        let client = Client(self.transport());
        let transport = Arc::clone(&client.0);
        drive(&*transport, work(client))
    }

    /// Sends one GET.
    #[track_caller]
    pub(super) fn get(&self, url: &str) -> Result<Response<Bytes>, TransportError> {
        self.drive(|client| async move { client.get(url).await })
    }

    /// What kind of failure a GET is, whose error must show no secret.
    #[track_caller]
    pub(super) fn failure(&self, url: &str) -> TransportErrorKind {
        failure(self.get(url))
    }
}

/// Drives `work` by the transport's own means.
#[track_caller]
pub(super) fn drive<T: Send>(
    transport: &dyn HttpTransport,
    work: impl Future<Output = T> + Send,
) -> T {
    let mut outcome = None;
    let work: Pin<Box<dyn Future<Output = ()> + Send + '_>> =
        Box::pin(async { outcome = Some(work.await) });
    transport
        .block_on(work)
        .expect("block_on works on a thread of its own");
    outcome.expect("block_on comes back when the work is done")
}

/// A transport, and requests to send with it.
#[derive(Clone)]
pub(super) struct Client(pub(super) Arc<dyn HttpTransport>);

impl Client {
    pub(super) async fn get(&self, url: &str) -> Result<Response<Bytes>, TransportError> {
        self.send(request(Method::GET, url, "")).await
    }

    /// Sends a GET, which must be answered, and gives the body.
    pub(super) async fn text(&self, url: &str) -> String {
        let answer = self.get(url).await.expect("an answer");
        text(&answer)
    }

    pub(super) async fn send(
        &self,
        request: TransportRequest,
    ) -> Result<Response<Bytes>, TransportError> {
        self.0.send(request).await
    }

    pub(super) async fn sleep(&self, duration: Duration) {
        self.0.sleep(duration).await.expect("a sleep");
    }
}

/// A request with a secret in its headers, and more time than any case takes.
pub(super) fn request(method: Method, url: &str, body: impl Into<Bytes>) -> TransportRequest {
    limited(method, url, body, Duration::from_secs(3_600), MAX_BODY)
}

pub(super) fn limited(
    method: Method,
    url: &str,
    body: impl Into<Bytes>,
    timeout: Duration,
    max_body: usize,
) -> TransportRequest {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header("authorization", format!("Bearer {CANARY}"))
        .body(body.into())
        .expect("a valid request");
    TransportRequest::new(request, timeout, max_body)
}

pub(super) fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

/// The kind of a failure, whose text must show no secret.
#[track_caller]
pub(super) fn failure(answer: Result<Response<Bytes>, TransportError>) -> TransportErrorKind {
    match answer {
        Ok(answer) => panic!("there is no whole answer, and yet {answer:?}"),
        Err(error) => {
            assert_no_secret(&error);
            error.kind()
        }
    }
}

/// Asserts that neither the error nor any of its causes prints what is secret.
#[track_caller]
pub(super) fn assert_no_secret(error: &TransportError) {
    let error: &(dyn Error + 'static) = error;
    for cause in std::iter::successors(Some(error), |&error| error.source()) {
        let shown = format!("{cause} {cause:?} {cause:#?}");
        assert!(
            !shown.to_lowercase().contains(CANARY),
            "an error shows a secret: {shown}"
        );
    }
}
