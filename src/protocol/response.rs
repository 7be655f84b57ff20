//! The meaning of a response before its body is read: which statuses are failures, and of what kind.

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
use crate::transport::{TransportError, TransportErrorKind};

/// A response, or why there is none, as a transport gives it.
pub type Response = Result<http::Response<Bytes>, TransportError>;

/// A page, and when Box says that it sent it.
pub(crate) struct PageResponse {
    pub(crate) page: Page,
    pub(crate) date: Option<SystemTime>,
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

/// Reads the response to `GET /events`, which was sent with that position.
pub(crate) fn read_page(
    result: Response,
    token: &AccessToken,
    from: &StartAt,
) -> Result<PageResponse, PageError> {
    let response = result.map_err(no_page)?;
    let response = api_response(Ok(response), token).map_err(|error| match error.status() {
        _ if error.is_a_bad_request() => PageFault::Call.of(rejected(error, from)),
        Some(StatusCode::GATEWAY_TIMEOUT) => PageFault::Slow.of(error),
        _ => PageFault::Call.of(error),
    })?;
    let page = Page::decode(response.body(), token).map_err(|PageError { error, fault }| {
        fault.of(error.with_retry_after(retry_after(response.headers())))
    })?;
    let date = response.headers().get(DATE);
    Ok(PageResponse {
        page,
        date: date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok()),
    })
}

/// A page that did not come may have been too large to come.
fn no_page(error: TransportError) -> PageError {
    match error.kind() {
        TransportErrorKind::BodyTooLarge => {
            let detail = "a page of events is larger than 16 MiB";
            PageFault::TooLarge
                .of(Error::new(ErrorKind::PageUndecodable, detail).with_source(error))
        }
        TransportErrorKind::Timeout | TransportErrorKind::Body => {
            PageFault::Slow.of(no_answer(error))
        }
        _ => PageFault::Call.of(no_answer(error)),
    }
}

/// Gives a 400 its kind: Box refuses the position that was sent, or another parameter.
fn rejected(error: Error, from: &StartAt) -> Error {
    let kind = match (error.parameter(), from.position()) {
        (None | Some("stream_position"), Some(_)) => ErrorKind::PositionRejected,
        _ => ErrorKind::ParameterRejected,
    };
    error.of_kind(kind)
}

/// Reads the response of a realtime server. A signal that is known counts whatever the status.
pub(crate) fn read_signal(result: Response) -> Result<Signal, Error> {
    let response = result.map_err(no_signal)?;
    let status = response.status();
    match Signal::decode(response.body()) {
        Some(known @ (Signal::NewChange | Signal::Reconnect | Signal::MaxRetries)) => Ok(known),
        _ if !status.is_success() => Err(Error::new(
            ErrorKind::Status,
            format!("the realtime server answered {}", status.as_u16()),
        )
        .with_status(status)
        .with_retry_after(retry_after(response.headers()))),
        Some(other) => Ok(other),
        None => Err(Error::new(
            ErrorKind::UnexpectedAnswer,
            "the realtime server's answer is no signal",
        )),
    }
}

/// A server chooses the realtime URL, so one that the transport can't send must not stop the stream.
fn no_signal(error: TransportError) -> Error {
    let kind = match error.kind() {
        TransportErrorKind::Runtime => ErrorKind::Runtime,
        _ => ErrorKind::Transport,
    };
    Error::new(kind, "no signal from the realtime server").with_source(error)
}

/// The caller chooses the API's origin: a transport that can't send there never will.
fn no_answer(error: TransportError) -> Error {
    let kind = match error.kind() {
        TransportErrorKind::Runtime | TransportErrorKind::InvalidRequest => ErrorKind::Runtime,
        _ => ErrorKind::Transport,
    };
    Error::new(kind, "no response from Box").with_source(error)
}

/// An API response with a good status.
///
/// Only an error in Box's own form is Box's word. Anything else came from something on the way, such as a proxy or a captive
/// portal, and passes.
fn api_response(result: Response, token: &AccessToken) -> Result<http::Response<Bytes>, Error> {
    let response = result.map_err(no_answer)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers();
    let said = BoxError::read(response.body(), token);
    let from_box =
        said.is_some() || (status == StatusCode::UNAUTHORIZED && asks_for_bearer(headers));
    let retry_after = retry_after(headers);
    let kind = match status {
        StatusCode::UNAUTHORIZED if from_box => ErrorKind::Unauthorized,
        StatusCode::FORBIDDEN if from_box => ErrorKind::Forbidden,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => ErrorKind::RateLimited,
        _ => ErrorKind::Status,
    };
    let detail = match &said {
        Some(said) => said.describe(status),
        None if from_box => format!("Box responded {}", status.as_u16()),
        None => format!(
            "unexpected response {}: it does not look like Box's, so something on the way may have sent it",
            status.as_u16()
        ),
    };
    let said = said.unwrap_or_default();
    Err(Error::new(kind, detail)
        .with_status(status)
        .with_code(said.code, said.request_id)
        .with_parameter(said.parameter)
        .said_by_box(from_box)
        .with_retry_after(retry_after))
}

/// Box's own 401 may have no body, and this header alone.
fn asks_for_bearer(headers: &HeaderMap) -> bool {
    headers.get_all(WWW_AUTHENTICATE).iter().any(|value| {
        let scheme = value.as_bytes().get(..6);
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of the error for a body that is no page.
    #[track_caller]
    fn said_of(body: &str) -> String {
        let token = AccessToken::new("a-token-of-nobody").unwrap();
        let result = Ok(http::Response::new(Bytes::from(body.to_owned())));
        let error = read_page(result, &token, &StartAt::Oldest).err().unwrap();
        Error::from(error).to_string()
    }

    #[test]
    fn an_unreadable_page_is_reported_by_its_place_unquoted() {
        let broken = "{\"entries\":[\n{\"event_id\":\"a\",\"login\":\"ada@example.com\",}]}";
        let said = said_of(broken);
        assert!(said.contains("line 2, column 43"), "{said}");
        assert!(!said.contains("ada"), "{said}");
        for part in [
            r#"[{"event_id":"a","login":"ada@example.com"}]"#,
            r#""ada@example.com"},{"event_id":"a"}],"next_stream_position":1}"#,
        ] {
            let said = said_of(part);
            assert!(
                said.contains("part of one") && !said.contains("ada"),
                "{said}"
            );
        }
    }

    #[test]
    fn a_response_of_something_else_is_quoted() {
        let said = said_of("<html>Please log in to the network</html>");
        assert!(
            said.ends_with(": <html>Please log in to the network</html>"),
            "{said}"
        );
    }
}
