//! [`response`]: an HTTP response from the text of an input.
//!
//! The text has a line with the status, the headers, an empty line, and the body. A text without
//! such a head is a body with the status 200.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderName, HeaderValue, Response, StatusCode};

/// The access token, which no text may show.
pub(crate) const TOKEN: &str = "canary-token-7f3a91bc04de";
/// The channel of the realtime URL, which no text may show.
pub(crate) const CHANNEL: &str = "canary-channel-52d8e6a7f019";

/// The placeholders in an input for the secrets that a server echoes.
const ECHOES: [(&str, &str); 2] = [
    ("{token}", TOKEN),
    (
        "{url}",
        "https://2.realtime.services.box.net/subscribe?channel=canary-channel-52d8e6a7f019&stream_type=all",
    ),
];

/// Returns the response that a text describes.
pub(crate) fn response(text: &[u8]) -> Response<Bytes> {
    let (head, body) = split(text).unwrap_or((Head::default(), text));
    let mut response = Response::new(Bytes::from(with_secrets(body)));
    *response.status_mut() = head.status;
    for (name, value) in head.headers {
        let value = HeaderValue::from_bytes(&with_secrets(value.as_bytes()));
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) {
            response.headers_mut().append(name, value);
        }
    }
    // Compressed bodies have a property of their own.
    response.headers_mut().remove(CONTENT_ENCODING);
    response
}

/// The status and the headers.
#[derive(Default)]
struct Head<'a> {
    status: StatusCode,
    headers: Vec<(&'a str, &'a str)>,
}

/// Splits a text into head and body. Returns `None` if it has no head.
fn split(text: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let end = text.windows(2).position(|window| window == b"\n\n")?;
    let mut lines = std::str::from_utf8(&text[..end]).ok()?.lines();
    let head = Head {
        status: lines.next()?.parse().ok()?,
        headers: lines.filter_map(|line| line.split_once(": ")).collect(),
    };
    Some((head, &text[end + 2..]))
}

/// Returns the text with the secrets in place of their placeholders.
fn with_secrets(text: &[u8]) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let echo = ECHOES
            .iter()
            .find_map(|(name, secret)| Some((secret, rest.strip_prefix(name.as_bytes())?)));
        if let Some((secret, behind)) = echo {
            result.extend_from_slice(secret.as_bytes());
            rest = behind;
        } else {
            result.push(*first);
            rest = after;
        }
    }
    result
}
