//! A request and its response, within their limits.
//!
//! [`exchange`] is the one place where the client sends a request. It applies the time limit,
//! checks the size limit again, and decompresses the body. It does not retry.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, Either};
use http::Response;

use super::inflate::inflate;
use super::{HttpTransport, TransportError, TransportErrorKind, TransportRequest};

/// Sends a request, and drops it when its time limit has passed.
///
/// This is not an async function, because that would keep the request in memory until the response.
pub(crate) fn exchange<T: HttpTransport + ?Sized>(
    transport: &T,
    request: TransportRequest,
) -> impl Future<Output = Result<Response<Bytes>, TransportError>> {
    let max_body = request.max_body();
    let timeout = transport.sleep(request.timeout());
    let response = transport.send(request);
    future::select(response, timeout).map(move |first| match first {
        Either::Left((Ok(response), _)) if response.body().len() > max_body => {
            Err(TransportError::new(TransportErrorKind::BodyTooLarge))
        }
        Either::Left((outcome, _)) => outcome.and_then(|response| inflate(response, max_body)),
        Either::Right((Ok(()), _)) => Err(TransportError::new(TransportErrorKind::Timeout)),
        Either::Right((Err(no_timer), _)) => Err(no_timer),
    })
}
