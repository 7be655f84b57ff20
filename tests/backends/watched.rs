//! A transport that records its requests, and how many new events each response has.
//!
//! Start at [`Watched`].

use std::borrow::Cow;
use std::collections::HashSet;
use std::io::Read as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use box_longpoll::HttpTransport;
use box_longpoll::transport::{Moment, TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A request and its outcome, as the client sees them.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// The time since the transport was made, in milliseconds.
    pub(crate) at_ms: u64,
    /// The scheme, the host and the port.
    pub(crate) origin: String,
    pub(crate) call: Call,
    /// The `Accept-Encoding` of the client.
    pub(crate) accepts: Option<String>,
    /// The kind of the error, if the request failed.
    pub(crate) failed: Option<TransportErrorKind>,
    /// The number of events in the response that no earlier response had.
    pub(crate) new_events: usize,
}

/// The call that a request belongs to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    /// The list of the realtime servers.
    List,
    /// A poll of a realtime server.
    Listen,
    /// A page of events.
    Fetch,
}

impl Call {
    fn of(request: &TransportRequest) -> Self {
        let request = request.request();
        if request.method() == Method::OPTIONS {
            Self::List
        } else if request.uri().path().ends_with("/events") {
            Self::Fetch
        } else {
            Self::Listen
        }
    }
}

/// The recording transport.
pub(crate) struct Watched {
    inner: Arc<dyn HttpTransport>,
    began: Instant,
    sent: Mutex<Vec<Sent>>,
    /// The texts of all events of the responses so far.
    events: Mutex<HashSet<String>>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn HttpTransport>) -> Self {
        Self {
            began: inner.now().monotonic,
            inner,
            sent: Mutex::default(),
            events: Mutex::default(),
        }
    }

    /// Returns the requests so far.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.lock_sent().clone()
    }

    /// Returns the number of requests that failed with this kind of error.
    pub(crate) fn failures(&self, kind: TransportErrorKind) -> usize {
        let failed = |sent: &&Sent| sent.failed == Some(kind);
        self.lock_sent().iter().filter(failed).count()
    }

    fn lock_sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap()
    }

    /// Records a request, and returns its index.
    fn begin(&self, request: &TransportRequest) -> usize {
        let uri = request.request().uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let since = self.now().monotonic.duration_since(self.began);
        let accepts = request.request().headers().get("accept-encoding");
        let mut sent = self.lock_sent();
        sent.push(Sent {
            at_ms: since.as_millis().try_into().unwrap(),
            origin: format!("{scheme}://{authority}"),
            call: Call::of(request),
            accepts: accepts.map(|coding| coding.to_str().unwrap().to_owned()),
            failed: None,
            new_events: 0,
        });
        sent.len() - 1
    }

    /// Records the outcome of a request.
    fn end(&self, number: usize, outcome: &Result<Response<Bytes>, TransportError>) {
        let new_events = outcome
            .as_ref()
            .map_or(0, |response| self.count_new(response));
        let sent = &mut self.lock_sent()[number];
        sent.failed = outcome.as_ref().err().map(TransportError::kind);
        sent.new_events = new_events;
    }

    /// Returns the number of events of a page that no earlier page had, and remembers them.
    fn count_new(&self, response: &Response<Bytes>) -> usize {
        let body = decompressed(response);
        let Ok(page) = serde_json::from_slice::<Page>(&body) else {
            return 0;
        };
        let mut known = self.events.lock().unwrap();
        let new = page
            .entries
            .iter()
            .filter(|entry| known.insert(entry.get().to_owned()));
        new.count()
    }
}

/// A page, whose events may have any depth.
#[derive(Deserialize)]
struct Page<'a> {
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

/// Returns the body of a response, decompressed as far as the client reads it.
fn decompressed(response: &Response<Bytes>) -> Cow<'_, [u8]> {
    /// The largest page that the client accepts.
    const MAX_PAGE: u64 = 16 << 20;
    let body = response.body();
    if !response.headers().contains_key("content-encoding") {
        return Cow::Borrowed(body);
    }
    let mut plain = Vec::new();
    // A page that the client can't read brings no events.
    match MultiGzDecoder::new(&**body)
        .take(MAX_PAGE)
        .read_to_end(&mut plain)
    {
        Ok(_) => Cow::Owned(plain),
        Err(_) => Cow::Borrowed(&[]),
    }
}

#[async_trait]
impl HttpTransport for Watched {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let number = self.begin(&request);
        let outcome = self.inner.send(request).await;
        self.end(number, &outcome);
        outcome
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.inner.sleep(duration).await
    }

    fn now(&self) -> Moment {
        self.inner.now()
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.inner.block_on(work)
    }
}
