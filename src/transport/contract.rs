//! The trait of a transport.
//!
//! [`HttpTransport`] is all that the client needs from an HTTP library. The rules that an
//! implementation must follow are in the documentation of [`transport`](crate::transport).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;

use super::{Moment, TransportError, TransportRequest};

/// An HTTP library that sends requests, sleeps and reads the clocks for the client.
///
/// One trait has all three. A timer therefore can't be missing, belong to another runtime, or run
/// on another clock than the one that a test controls. The trait is object-safe:
/// `Arc<dyn HttpTransport>` is itself a transport.
///
/// The [module documentation](crate::transport) has the rules that an implementation must follow.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an HTTP transport of box-longpoll",
    label = "not an `HttpTransport`",
    note = "pass a transport of `box_longpoll::transports`, such as `ReqwestTransport::new()?`; each has a Cargo feature",
    note = "for another HTTP library, implement `HttpTransport` for a type of yours"
)]
#[async_trait]
pub trait HttpTransport: Send + Sync + 'static {
    /// Sends the request, and returns the complete response.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no complete response; see
    /// [`TransportErrorKind`](crate::transport::TransportErrorKind). A status is never an error.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the request. Its connection is closed at once, or at the latest
    /// after [`TransportRequest::timeout`].
    async fn send(&self, request: TransportRequest) -> Result<Response<Bytes>, TransportError>;

    /// Sleeps for at least `duration`, by the operating system's clock and by [`now`](Self::now).
    ///
    /// Other futures of the same task go on in the meantime. Any duration is allowed, even
    /// [`Duration::MAX`].
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Runtime`](crate::transport::TransportErrorKind::Runtime) if
    /// the transport's runtime is not running.
    ///
    /// # Cancellation
    ///
    /// Dropping the future ends the sleep.
    async fn sleep(&self, duration: Duration) -> Result<(), TransportError>;

    /// Returns the current time, on both clocks. Default: the operating system's clocks.
    fn now(&self) -> Moment {
        Moment::read_clocks()
    }

    /// Drives `work` to its end on the calling thread, in the runtime that [`send`](Self::send) and
    /// [`sleep`](Self::sleep) need.
    ///
    /// A blocking client calls this on a thread of its own, outside of any runtime, and makes all
    /// its calls in `work`. [`RefreshedTokens`](crate::auth::RefreshedTokens) also calls it, to
    /// complete a refresh whose callers were all dropped.
    ///
    /// The default suits a transport that works on any executor. If your transport belongs to a
    /// runtime, create the runtime here, and drop it afterwards without waiting for its tasks. If
    /// your transport wraps another one, call the inner transport's method.
    ///
    /// # Errors
    ///
    /// Returns [`TransportErrorKind::Runtime`](crate::transport::TransportErrorKind::Runtime) if
    /// the runtime can't be created.
    fn block_on(
        &self,
        work: Pin<Box<dyn Future<Output = ()> + Send + '_>>,
    ) -> Result<(), TransportError> {
        futures_lite::future::block_on(work);
        Ok(())
    }
}

/// The future of [`HttpTransport::send`].
pub(crate) type Exchange<'a> =
    Pin<Box<dyn Future<Output = Result<Response<Bytes>, TransportError>> + Send + 'a>>;

/// The future of [`HttpTransport::sleep`].
pub(crate) type Sleep<'a> = Pin<Box<dyn Future<Output = Result<(), TransportError>> + Send + 'a>>;

impl<T: HttpTransport + ?Sized> HttpTransport for Arc<T> {
    // These are not async functions, because those would box each future a second time.
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
