//! The transport under test, and the functions by which a case drives it.
//!
//! A [`Candidate`] makes a transport and lists the headers that it adds on purpose. A case gets a
//! [`Subject`], which makes a new transport, sends requests with it, and checks that errors show no
//! secret. The servers are in [`server`](super::server).

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

/// The greatest response body that a request accepts unless a case sets its own limit, in bytes: 64
/// KiB.
pub(super) const MAX_BODY: usize = 64 * 1024;

/// The text that every secret contains: in headers, paths and queries. No error may show it.
pub(super) const CANARY: &str = "canary";

/// The headers that no transport may list under `adds`: the client relies on them, or they frame
/// the request.
const NEVER_ADDED: [&str; 5] = [
    "as-user",
    "authorization",
    "content-length",
    "host",
    "transfer-encoding",
];

/// A function that makes the transport under test.
pub type MakeTransport = fn(&Setup) -> Arc<dyn HttpTransport>;

/// A transport to test, and the headers that it adds on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    make: MakeTransport,
    adds: &'static [&'static str],
}

impl Candidate {
    /// Makes a candidate whose transport adds no headers.
    #[must_use]
    pub const fn new(make: MakeTransport) -> Self {
        Self { make, adds: &[] }
    }

    /// Sets the headers that the transport adds or sets on purpose. Default: none.
    #[must_use]
    pub const fn adds(self, headers: &'static [&'static str]) -> Self {
        Self {
            adds: headers,
            ..self
        }
    }

    /// Returns an error if `adds` names a header that no transport may change.
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

/// The object under test of one case: it makes the transports, which are new for each case.
#[derive(Debug)]
pub struct Subject {
    pub(super) setup: Arc<Setup>,
    pub(super) candidate: Candidate,
    /// The path of the test that runs the case. The test's program can run it alone by this path.
    pub(super) test: &'static str,
    /// The sender of a new time limit, which starts when it is sent.
    pub(super) limit: mpsc::Sender<Duration>,
    /// The record of what the case's servers do.
    pub(super) transcript: Transcript,
}

/// The reason why this machine can't test the rule of a case.
pub(super) struct NotShown(pub(super) &'static str);

impl Subject {
    /// Makes a transport.
    pub(super) fn transport(&self) -> Arc<dyn HttpTransport> {
        self.candidate.make(&self.setup)
    }

    /// Ends the case, which neither passes nor fails, because this machine can't test its rule.
    pub(super) fn is_not_shown(why: &'static str) -> ! {
        std::panic::resume_unwind(Box::new(NotShown(why)))
    }

    /// Sets the time limit of the case, which starts now.
    pub(super) fn may_take(&self, limit: Duration) {
        let _ = self.limit.send(limit);
    }

    /// Drives `work` with a new transport, on this thread, and returns its output.
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

    /// Sends one `GET` and returns its result.
    #[track_caller]
    pub(super) fn get(&self, url: &str) -> Result<Response<Bytes>, TransportError> {
        self.drive(|client| async move { client.get(url).await })
    }

    /// Sends a `GET` that must fail, checks that its error shows no secret, and returns the kind.
    #[track_caller]
    pub(super) fn failure(&self, url: &str) -> TransportErrorKind {
        failure(self.get(url))
    }
}

/// Drives `work` with the transport's own `block_on`, and returns its output.
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
    outcome.expect("block_on returns when the work is done")
}

/// A transport, with functions that send requests and fail a case if they must succeed.
#[derive(Clone)]
pub(super) struct Client(pub(super) Arc<dyn HttpTransport>);

impl Client {
    pub(super) async fn get(&self, url: &str) -> Result<Response<Bytes>, TransportError> {
        self.send(request(Method::GET, url, "")).await
    }

    /// Sends a `GET` that must get a response, and returns the body.
    pub(super) async fn text(&self, url: &str) -> String {
        let response = self.get(url).await;
        let response = response.expect("expected a response, got the error");
        text(&response)
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

/// Makes a request with a secret in its headers. Its timeout of an hour is longer than any case
/// takes.
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

pub(super) fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

/// Returns the kind of a failure, and checks that its text shows no secret.
#[track_caller]
pub(super) fn failure(response: Result<Response<Bytes>, TransportError>) -> TransportErrorKind {
    match response {
        Ok(response) => differs("an error", &response, "there is no complete response"),
        Err(error) => {
            assert_no_secret(&error);
            error.kind()
        }
    }
}

/// Asserts that neither the error nor any of its causes shows a secret.
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
