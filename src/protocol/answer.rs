//! What an answer means before its body is read: which statuses are failures, and of what kind.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use super::retry::retry_after;
use super::{NotAPage, Page, RealtimeHosts, ServerList, Signal};
use crate::auth::AccessToken;
use crate::error::{Error, ErrorKind, quote};
use crate::transport::{TransportError, TransportErrorKind};

/// Error bodies are small; a larger one is not Box's and is not read.
const MAX_ERROR_BODY: usize = 64 * 1024;

/// An answer or the lack of one, as a transport gives it.
pub type Answer = Result<Response<Bytes>, TransportError>;

/// Why a page could not be had.
pub(crate) enum PageError {
    /// The call failed, whatever was asked for.
    Call(Error),
    /// The page has more bytes than are taken: fewer events at once help.
    TooLarge(Error),
    /// The page is not readable: if it stays so, one of its events is to blame.
    Undecodable(Error),
}

/// Reads the answer to `OPTIONS /events`.
pub(crate) fn read_servers(
    answer: Answer,
    token: &AccessToken,
    hosts: &RealtimeHosts,
) -> Result<ServerList, Error> {
    ServerList::decode(&api_body(answer, token)?, hosts)
}

/// Reads the answer to `GET /events`.
pub(crate) fn read_page(answer: Answer, token: &AccessToken) -> Result<Page, PageError> {
    if let Err(error) = &answer
        && error.kind() == TransportErrorKind::BodyTooLarge
    {
        let detail = "a page of events is larger than 16 MiB";
        let error = Error::new(ErrorKind::PageUndecodable, detail).with_source(error.clone());
        return Err(PageError::TooLarge(error));
    }
    let body = api_body(answer, token).map_err(|error| {
        PageError::Call(match error.status() {
            Some(StatusCode::BAD_REQUEST) => error.of_kind(ErrorKind::PositionRejected),
            _ => error,
        })
    })?;
    Page::decode(&body).map_err(|error| match error {
        NotAPage::Foreign => PageError::Call(Error::new(
            ErrorKind::UnexpectedAnswer,
            format!(
                "the answer is not a page of events: {}",
                shown(&String::from_utf8_lossy(&body), token)
            ),
        )),
        NotAPage::TooManyEvents => PageError::TooLarge(Error::new(
            ErrorKind::PageUndecodable,
            "a page has far more events than were asked for",
        )),
        NotAPage::Undecodable { line, column } => PageError::Undecodable(Error::new(
            ErrorKind::PageUndecodable,
            format!(
                "a page of events cannot be read from line {line}, column {column} on: {}",
                shown(&String::from_utf8_lossy(&body), token)
            ),
        )),
    })
}

/// Reads the answer of a realtime server. A signal that is known counts whatever the status.
pub(crate) fn read_signal(answer: Answer) -> Result<Signal, Error> {
    let response = answer.map_err(no_signal)?;
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
    let why = error.in_full();
    Error::new(kind, format!("no signal from the realtime server: {why}")).with_source(error)
}

/// The caller chooses the API's origin: a transport that can't send there never will.
fn no_answer(error: TransportError) -> Error {
    let kind = match error.kind() {
        TransportErrorKind::Runtime | TransportErrorKind::InvalidRequest => ErrorKind::Runtime,
        _ => ErrorKind::Transport,
    };
    Error::new(kind, format!("no answer from Box: {}", error.in_full())).with_source(error)
}

/// The body of an API answer with a good status.
fn api_body(answer: Answer, token: &AccessToken) -> Result<Bytes, Error> {
    let response = answer.map_err(no_answer)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response.into_body());
    }
    let retry_after = retry_after(response.headers());
    let kind = match status {
        StatusCode::UNAUTHORIZED => ErrorKind::Unauthorized,
        StatusCode::FORBIDDEN => ErrorKind::Forbidden,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => ErrorKind::RateLimited,
        _ => ErrorKind::Status,
    };
    let said = BoxError::read(response.body(), token);
    let mut detail = format!("Box answered {}", status.as_u16());
    if let Some(code) = &said.code {
        detail += &format!(" ({code})");
    }
    if let Some(message) = &said.message {
        detail += &format!(": {message}");
    }
    Err(Error::new(kind, detail)
        .with_status(status)
        .with_code(said.code, said.request_id)
        .with_retry_after(retry_after))
}

/// What Box says in the body of an error, fit to be shown.
#[derive(Default)]
struct BoxError {
    code: Option<String>,
    message: Option<String>,
    request_id: Option<String>,
}

impl BoxError {
    fn read(body: &[u8], token: &AccessToken) -> Self {
        let Some(value) = (body.len() <= MAX_ERROR_BODY)
            .then(|| serde_json::from_slice::<Value>(body).ok())
            .flatten()
        else {
            return Self::default();
        };
        let text = |name| Some(shown(value.get(name)?.as_str()?, token));
        Self {
            code: text("code"),
            message: text("message"),
            request_id: text("request_id"),
        }
    }
}

/// The beginning of a server's text, fit to be shown. The secrets are taken out of the whole, lest a part of one be left by
/// the cut.
fn shown(text: &str, token: &AccessToken) -> String {
    quote(&without_queries(&token.scrub(text)))
}

/// How a question mark may be written, in JSON and in a URL.
const QUESTION_MARKS: [&str; 4] = ["\\u003f", "\\u003F", "%3f", "%3F"];

/// Takes out what follows a question mark: a server may repeat a realtime URL, whose query gives access.
fn without_queries(text: &str) -> String {
    let plain = |text: String, spelling| text.replace(spelling, "?");
    let text = QUESTION_MARKS.into_iter().fold(text.to_owned(), plain);
    let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '<' | '>');
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, query)) = rest.split_once('?') {
        let end = query.find(ends).unwrap_or(query.len());
        shown += before;
        shown += if end == 0 { "?" } else { "?[query]" };
        rest = &query[end..];
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_without_queries(text: &str, expected: &str) {
        assert_eq!(without_queries(text), expected);
    }

    #[test]
    fn a_quoted_url_has_no_query_and_a_question_stays() {
        assert_without_queries(
            r#"GET "https:\/\/a.box.net\/s?type=all\u0026channel=c" to /s?channel=c HTTP/1.1"#,
            r#"GET "https:\/\/a.box.net\/s?[query]" to /s?[query] HTTP/1.1"#,
        );
        assert_without_queries("?a=?channel=c", "?[query]");
        assert_without_queries("?a='x'&channel=c it", "?[query] it");
        assert_without_queries(
            r"/s\u003fchannel=c and %3Fchannel%3Dc",
            "/s?[query] and ?[query]",
        );
        assert_without_queries("Sure? Yes?", "Sure? Yes?");
    }
}
