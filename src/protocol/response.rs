//! The meaning of a response before its body is decoded: the statuses that are failures, and their
//! kinds.
//!
//! The three calls have one function each: [`read_servers`], [`read_page`] and [`read_signal`].
//! They classify a failure, but do not decide what follows it: the engine's parts do. Start from
//! [`read_page`].

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{DATE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};

use super::box_error::BoxError;
use super::page::{PageError, PageFault};
use super::{Page, ServerList, Signal};
use crate::auth::AccessToken;
use crate::error::{Error, ErrorKind};
use crate::hosts::RealtimeHosts;
use crate::pacing::retry_after;
use crate::position::StartAt;
use crate::transport::{ReceivedBody, TransportError, TransportErrorKind};

/// A response, or the reason why there is none, as a transport returns it.
pub type Response = Result<http::Response<Bytes>, TransportError>;

/// A page, with the time at which Box sent it.
pub(crate) struct PageResponse {
    pub(crate) page: Page,
    /// The response's `Date`, by Box's clock.
    pub(crate) date: Option<SystemTime>,
    /// The body as it came over the network.
    pub(crate) body: ReceivedBody,
}

/// Reads the response to `OPTIONS /events`.
pub(crate) fn read_servers(
    result: Response,
    token: &AccessToken,
    hosts: &RealtimeHosts,
) -> Result<ServerList, Error> {
    let response = api_response(result, token)?;
    ServerList::decode(response.body(), hosts)
        .map_err(|error| error.with_retry_after(retry_after(response.headers())))
}

/// Reads the response to `GET /events`, which was sent with the position `from`.
pub(crate) fn read_page(
    result: Response,
    token: &AccessToken,
    from: &StartAt,
) -> Result<PageResponse, PageError> {
    let response = result.map_err(no_page)?;
    let response = api_response(Ok(response), token).map_err(|error| match error.status() {
        _ if error.is_bad_request() => PageFault::Call.of(rejected(error, from)),
        Some(StatusCode::GATEWAY_TIMEOUT) => PageFault::Slow.of(error),
        _ => PageFault::Call.of(error),
    })?;
    let page = Page::decode(response.body(), token).map_err(|PageError { error, fault }| {
        // A `Retry-After` does not count here: Box sent a page, although an event on it is
        // unreadable.
        if error.kind() == ErrorKind::PageUndecodable {
            return fault.of(error);
        }
        fault.of(error.with_retry_after(retry_after(response.headers())))
    })?;
    let date = response.headers().get(DATE);
    Ok(PageResponse {
        page,
        body: ReceivedBody::of(&response),
        date: date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()),
    })
}

/// Classifies a page that did not arrive. A smaller page may still arrive.
fn no_page(error: TransportError) -> PageError {
    match error.kind() {
        TransportErrorKind::BodyTooLarge => {
            let detail = "a page of events is larger than 16 MiB";
            PageFault::TooLarge
                .of(Error::new(ErrorKind::PageUndecodable, detail).with_source(error))
        }
        TransportErrorKind::Timeout | TransportErrorKind::Body => {
            PageFault::Slow.of(no_response(error))
        }
        _ => PageFault::Call.of(no_response(error)),
    }
}

/// Gives a 400 its kind: Box rejects the position that was sent, or another parameter.
fn rejected(error: Error, from: &StartAt) -> Error {
    let kind = match (error.parameter(), from.position()) {
        (None | Some("stream_position"), Some(_)) => ErrorKind::PositionRejected,
        _ => ErrorKind::ParameterRejected,
    };
    error.of_kind(kind)
}

/// Reads the response of a realtime server. A known signal counts with any status.
pub(crate) fn read_signal(result: Response) -> Result<Signal, Error> {
    let response = result.map_err(no_signal)?;
    let status = response.status();
    match Signal::decode(response.body()) {
        Some(known @ (Signal::NewChange | Signal::Reconnect | Signal::MaxRetries)) => Ok(known),
        _ if !status.is_success() => Err(Error::new(
            ErrorKind::Status,
            format!("the realtime server responded {}", status.as_u16()),
        )
        .with_status(status)
        .with_retry_after(retry_after(response.headers()))),
        Some(other) => Ok(other),
        None => Err(Error::new(
            ErrorKind::UnexpectedResponse,
            "unexpected response from the realtime server: not a signal",
        )),
    }
}

/// Returns the error for a poll without a response. A server chooses the realtime URL, so a URL
/// that the transport cannot send must not stop the stream.
fn no_signal(error: TransportError) -> Error {
    let kind = match error.kind() {
        TransportErrorKind::Runtime => ErrorKind::Runtime,
        _ => ErrorKind::Transport,
    };
    Error::new(kind, "no signal from the realtime server").with_source(error)
}

/// Returns the error for an API call without a response. The caller chooses the API's origin. If a
/// transport cannot send there now, it can never do so.
fn no_response(error: TransportError) -> Error {
    let kind = match error.kind() {
        TransportErrorKind::Runtime | TransportErrorKind::InvalidRequest => ErrorKind::Runtime,
        _ => ErrorKind::Transport,
    };
    Error::new(kind, "no response from Box").with_source(error)
}

/// Returns an API response with a success status, or the error of any other.
///
/// Only an error in Box's own form comes from Box. Any other error comes from something on the way,
/// such as a proxy or a captive portal, and is likely to pass.
fn api_response(result: Response, token: &AccessToken) -> Result<http::Response<Bytes>, Error> {
    let response = result.map_err(no_response)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers();
    let box_error = BoxError::read(response.body(), token);
    let from_box =
        box_error.is_some() || (status == StatusCode::UNAUTHORIZED && names_bearer(headers));
    let retry_after = retry_after(headers);
    let kind = match status {
        StatusCode::UNAUTHORIZED if from_box => ErrorKind::Unauthorized,
        StatusCode::FORBIDDEN if from_box => ErrorKind::Forbidden,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => ErrorKind::RateLimited,
        _ => ErrorKind::Status,
    };
    let detail = match &box_error {
        Some(box_error) => box_error.describe(status),
        None if from_box => format!("Box responded {}", status.as_u16()),
        None => format!(
            "unexpected response {}: it does not look like Box's, so something on the way may have sent it",
            status.as_u16()
        ),
    };
    let box_error = box_error.unwrap_or_default();
    Err(Error::new(kind, detail)
        .with_status(status)
        .with_code(box_error.code, box_error.request_id)
        .with_parameter(box_error.parameter)
        .sent_by_box(from_box)
        .with_retry_after(retry_after))
}

/// Returns `true` if the `WWW-Authenticate` header names the Bearer scheme. Box's own 401 may have
/// this header and no body.
fn names_bearer(headers: &HeaderMap) -> bool {
    headers.get_all(WWW_AUTHENTICATE).iter().any(|value| {
        let scheme = value.as_bytes().get(..6);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the text of the error for a body that is not a page.
    #[track_caller]
    fn error_text(body: &str) -> String {
        let token = AccessToken::new("a-token-of-nobody").unwrap();
        let result = Ok(http::Response::new(Bytes::from(body.to_owned())));
        let error = read_page(result, &token, &StartAt::Oldest).err().unwrap();
        Error::from(error).to_string()
    }

    #[test]
    fn unreadable_page_is_reported_by_line_and_not_quoted() {
        let broken = "{\"entries\":[\n{\"event_id\":\"a\",\"login\":\"ada@example.com\",}]}";
        let text = error_text(broken);
        assert!(text.contains("line 2, column 43"), "{text}");
        assert!(!text.contains("ada"), "{text}");
        for part in [
            r#"[{"event_id":"a","login":"ada@example.com"}]"#,
            r#""ada@example.com"},{"event_id":"a"}],"next_stream_position":1}"#,
        ] {
            let text = error_text(part);
            assert!(
                text.contains("part of one") && !text.contains("ada"),
                "{text}"
            );
        }
    }

    #[test]
    fn response_that_is_not_boxs_is_quoted() {
        let text = error_text("<html>Please log in to the network</html>");
        assert!(
            text.ends_with(": <html>Please log in to the network</html>"),
            "{text}"
        );
    }
}
