//! A request and its response, within its limits.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http::Response;

use super::{HttpTransport, TransportError, TransportErrorKind, TransportRequest};

/// Sends a request, and gives up when its time is over.
///
/// No async function: that would hold the request for as long as its answer is awaited.
pub(crate) fn exchange<T: HttpTransport + ?Sized>(
    transport: &T,
    request: TransportRequest,
) -> impl Future<Output = Result<Response<Bytes>, TransportError>> {
    let max_body = request.max_body();
    let mut timeout = transport.sleep(request.timeout());
    let mut answer = transport.send(request);
    poll_fn(move |cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(match answer {
                Ok(answer) if answer.body().len() > max_body => {
                    Err(TransportError::new(TransportErrorKind::BodyTooLarge))
                }
                answer => answer,
            });
        }
        timeout.as_mut().poll(cx).map(|slept| {
            Err(slept
                .err()
                .unwrap_or_else(|| TransportError::new(TransportErrorKind::Timeout)))
        })
    })
}
