//! The trait; its rules are the module's documentation.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;

use super::{Moment, TransportError, TransportRequest};

/// An HTTP library, seen from the client: it sends requests, sleeps and tells the time.
///
/// The three belong together, so that a timer can't be missing, belong to another runtime, or run on another clock than
/// the one a test controls. The trait is object-safe: `Arc<dyn HttpTransport>` is itself a transport.
///
/// See the [module documentation](crate::transport) for what an implementation promises.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no HTTP transport of box-longpoll",
    label = "not an `HttpTransport`",
    note = "pass a transport of `box_longpoll::transports`, such as `ReqwestTransport::new()?`; each has a Cargo feature",
    note = "for another HTTP library, implement `HttpTransport` for a type of yours"
)]
#[async_trait]
pub trait HttpTransport: Send + Sync + 'static {
    /// Sends the request, and reads the complete response.
    ///
    /// # Errors
    ///
    /// Only where there is no whole answer; see [`TransportErrorKind`](crate::transport::TransportErrorKind). A status is never an error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request, and closes its connection at once, or at the latest when
    /// [`TransportRequest::timeout`] has passed.
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError>;

    /// Sleeps for at least `duration`, by the operating system's clock and by [`now`](Self::now), while other futures of the
    /// same task go on. Any duration will do, and dropping the future ends the sleep.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Runtime`](crate::transport::TransportErrorKind::Runtime), where no runtime is there to sleep on.
    async fn sleep(&self, duration: Duration) -> Result<(), TransportError>;

    /// The time, on both clocks.
    fn now(&self) -> Moment {
        Moment::read_clocks()
    }

    /// Drives `work` to its end on the calling thread, with what [`send`](Self::send) and [`sleep`](Self::sleep) need
    /// around it.
    ///
    /// A blocking client calls this on a thread of its own, where no runtime is, and all its calls happen inside. The
    /// default suits a transport that works on any executor. One that belongs to a runtime makes that runtime here, and lets
    /// go of it without waiting for what still runs there. One that wraps another passes the call on.
    ///
    /// # Errors
    ///
    /// [`TransportErrorKind::Runtime`](crate::transport::TransportErrorKind::Runtime), where the runtime can't be made.
    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        futures_lite::future::block_on(work);
        Ok(())
    }
}

/// What [`HttpTransport::send`] gives.
pub(crate) type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

/// What [`HttpTransport::sleep`] gives.
pub(crate) type Sleep<'a> = Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send + 'a>>;

impl<T: HttpTransport + ?Sized> HttpTransport for Arc<T> {
    // No async functions: those would put each future into another one, on the heap as well.
    fn send<'a, 'b>(&'a self, request: TransportRequest) -> Exchange<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).send(request)
    }

    fn sleep<'a, 'b>(&'a self, duration: Duration) -> Sleep<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        (**self).sleep(duration)
    }

    fn now(&self) -> Moment {
        (**self).now()
    }

    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        (**self).block_on(work)
    }
}
