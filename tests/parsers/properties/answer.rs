//! An answer, written as a text: a line with the status, the headers, an empty line, and the body. What has no such head
//! is a body with 200.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};

/// What no text may show.
pub(crate) const TOKEN: &str = "canary-token-7f3a91bc04de";
pub(crate) const CHANNEL: &str = "canary-channel-52d8e6a7f019";

/// Where a server echoes the secrets, a text has these in their place.
const ECHOES: [(&str, &str); 2] = [
    ("{token}", TOKEN),
    (
        "{url}",
        "https://2.realtime.services.box.net/subscribe?channel=canary-channel-52d8e6a7f019&stream_type=all",
    ),
];

pub(crate) fn answer(text: &[u8]) -> Response<Bytes> {
    let (head, body) = split(text).unwrap_or((Head::default(), text));
    let mut response = Response::new(Bytes::from(echoed(body)));
    *response.status_mut() = head.status;
    for (name, value) in head.headers {
        let value = HeaderValue::from_bytes(&echoed(value.as_bytes()));
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

#[derive(Default)]
struct Head<'a> {
    status: StatusCode,
    headers: Vec<(&'a str, &'a str)>,
}

fn split(text: &[u8]) -> Option<(Head<'_>, &[u8])> {
    let end = text.windows(2).position(|window| window == b"\n\n")?;
    let mut lines = std::str::from_utf8(&text[..end]).ok()?.lines();
    let head = Head {
        status: lines.next()?.parse().ok()?,
        headers: lines.filter_map(|line| line.split_once(": ")).collect(),
    };
    Some((head, &text[end + 2..]))
}

/// The text with the secrets in it.
fn echoed(text: &[u8]) -> Vec<u8> {
    let mut echoed = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let echo = ECHOES
            .iter()
            .find_map(|(name, secret)| Some((secret, rest.strip_prefix(name.as_bytes())?)));
        if let Some((secret, behind)) = echo {
            echoed.extend_from_slice(secret.as_bytes());
            rest = behind;
        } else {
            echoed.push(*first);
            rest = after;
        }
    }
    echoed
}
