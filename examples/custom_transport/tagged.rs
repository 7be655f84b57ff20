// A transport that wraps another one and adds a header of the application's own to each request.

use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use box_longpoll::HttpTransport;
use box_longpoll::transport::{Moment, TransportError, TransportRequest};
use bytes::Bytes;
use http::{HeaderValue, Response};

/// A transport that adds the header `x-job` to each request.
pub(crate) struct Tagged<T>(pub(crate) T);

#[async_trait]
impl<T: HttpTransport> HttpTransport for Tagged<T> {
    async fn send(&self, mut request: TransportRequest) -> Result<Response<Bytes>, TransportError> {
        let tag = HeaderValue::from_static("nightly-export");
        request.headers_mut().insert("x-job", tag);
        self.0.send(request).await
    }

    async fn sleep(&self, duration: Duration) -> Result<(), TransportError> {
        self.0.sleep(duration).await
    }

    fn now(&self) -> Moment {
        self.0.now()
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        self.0.block_on(work)
    }
}
