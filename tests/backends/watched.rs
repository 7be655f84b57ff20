//! A transport that keeps a list of what it was asked to send.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use box_longpoll::{HttpTransport, Moment, TransportError, TransportErrorKind, TransportRequest};
use bytes::Bytes;
use http::Response;

/// A request, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// Milliseconds since the transport was made.
    pub(crate) at_ms: u64,
    /// Scheme, host and port.
    pub(crate) origin: String,
    pub(crate) failed: Option<TransportErrorKind>,
}

pub(crate) struct Watched {
    inner: Arc<dyn HttpTransport>,
    began: Instant,
    sent: Mutex<Vec<Sent>>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn HttpTransport>) -> Self {
        Self {
            began: inner.now().monotonic,
            inner,
            sent: Mutex::default(),
        }
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.list().clone()
    }

    /// How many requests failed in that way.
    pub(crate) fn failures(&self, kind: TransportErrorKind) -> usize {
        let failed = |sent: &&Sent| sent.failed == Some(kind);
        self.list().iter().filter(failed).count()
    }

    fn list(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap()
    }

    fn begin(&self, request: &TransportRequest) -> usize {
        let uri = request.request().uri();
        let scheme = uri.scheme_str().unwrap_or_default();
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let since = self.now().monotonic.duration_since(self.began);
        let mut sent = self.list();
        sent.push(Sent {
            at_ms: since.as_millis().try_into().unwrap(),
            origin: format!("{scheme}://{authority}"),
            failed: None,
        });
        sent.len() - 1
    }
}

#[async_trait]
impl HttpTransport for Watched {
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let number = self.begin(&request);
        let answer = self.inner.send(request).await;
        if let Err(error) = &answer {
            self.list()[number].failed = Some(error.kind());
        }
        answer
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
