//! A request and its response, within its limits.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::{self, Either};
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
    let timeout = transport.sleep(request.timeout());
    let answer = transport.send(request);
    future::select(answer, timeout).map(move |first| match first {
        Either::Left((Ok(answer), _)) if answer.body().len() > max_body => {
            Err(TransportError::new(TransportErrorKind::BodyTooLarge))
        }
        Either::Left((outcome, _)) => outcome,
        Either::Right((Ok(()), _)) => Err(TransportError::new(TransportErrorKind::Timeout)),
        Either::Right((Err(no_timer), _)) => Err(no_timer),
    })
}
