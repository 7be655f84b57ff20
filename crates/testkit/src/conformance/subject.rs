use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use box_longpoll::HttpTransport;
use box_longpoll::transport::{TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::{Method, Request, Response};

use super::Setup;
use super::expect::differs;
use super::transcript::Transcript;

/// The longest body that a test accepts, in bytes, where it says nothing else.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// Stands in whatever is secret: in headers, paths and queries.
pub(super) const CANARY: &str = "canary";

/// Headers that the client relies on, or that say where a request ends.
const NEVER_ADDED: [&str; 5] = [
    "as-user",
    "authorization",
    "content-length",
    "host",
    "transfer-encoding",
];

/// Makes the transport under test.
pub type MakeTransport = fn(&Setup) -> Arc<dyn HttpTransport>;

/// A transport to be put to the test, and what it does on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    make: MakeTransport,
    adds: &'static [&'static str],
}

impl Candidate {
    /// A transport that adds no headers.
    #[must_use]
    pub const fn new(make: MakeTransport) -> Self {
        Self { make, adds: &[] }
    }

    /// Names the headers that the transport adds or sets on purpose.
    #[must_use]
    pub const fn adds(self, headers: &'static [&'static str]) -> Self {
        Self {
            adds: headers,
            ..self
        }
    }

    /// Refuses the name of a header that no transport may touch.
    pub(super) fn check(self) -> Result<(), String> {
        match NEVER_ADDED.into_iter().find(|header| self.may_add(header)) {
            Some(header) => Err(format!(
                "`adds` names {header}: a transport sends it as the client gives it"
            )),
            None => Ok(()),
        }
    }

    pub(super) fn make(self, setup: &Setup) -> Arc<dyn HttpTransport> {
        (self.make)(setup)
    }

    pub(super) fn may_add(self, header: &str) -> bool {
        self.adds
            .iter()
            .any(|added| added.eq_ignore_ascii_case(header))
    }
}

/// What a case puts to the test: a transport, made anew for each case.
#[derive(Debug)]
pub struct Subject {
    pub(super) setup: Arc<Setup>,
    pub(super) candidate: Candidate,
    /// The path of the test that runs the case, by which the test's program can run it alone.
    pub(super) test: &'static str,
    /// Tells how long the case may take from now on.
    pub(super) limit: mpsc::Sender<Duration>,
    /// The record of what the case's servers do.
    pub(super) transcript: Transcript,
}

/// Why a machine doesn't show what a case is about.
pub(super) struct NotShown(pub(super) &'static str);

impl Subject {
    /// The transport, made for this call.
    pub(super) fn transport(&self) -> Arc<dyn HttpTransport> {
        self.candidate.make(&self.setup)
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
        let answer = self.get(url).await;
        let answer = answer.expect("expected a response, got the error");
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
        Ok(answer) => differs("an error", &answer, "there is no complete response"),
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
            "expected: an error that shows no secret, here \"{CANARY}\"\ngot: {shown}"
        );
    }
}
