//! One request and its outcome, with the facts that the checks of a stream's behavior need.
//!
//! The module reads bodies by itself, independently of the library, so that a decoding error of the
//! library can't hide itself. It doesn't judge anything: `conduct` does. Start at [`RequestFacts`]
//! and [`Body`].

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::{Endpoint, FakeResponse, Fault};
use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest `Retry-After` that the client respects, in seconds.
const LONGEST_RETRY_AFTER: u64 = 3_600;

/// The facts of a request that the checks need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestFacts {
    pub(crate) endpoint: Endpoint,
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) position: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) token: Option<String>,
    /// `true` if the client requests a new connection for it.
    pub(crate) fresh_connection: bool,
    pub(crate) timeout: Duration,
}

/// The response to a request, or its failure.
pub(crate) type Outcome = Result<FakeResponse, TransportErrorKind>;

/// Returns an outcome after decompression. A body that can't be decompressed is an error, but a
/// refusal counts without its body.
pub(crate) fn decompressed(outcome: &Outcome) -> Cow<'_, Outcome> {
    let Ok(response) = outcome else {
        return Cow::Borrowed(outcome);
    };
    if response.header_value("content-encoding").is_none() {
        return Cow::Borrowed(outcome);
    }
    let mut plain = response.clone();
    plain.body.clear();
    let read = MultiGzDecoder::new(&*response.body).read_to_end(&mut plain.body);
    if read.is_err() && (200..300).contains(&plain.status) {
        return Cow::Owned(Err(TransportErrorKind::Body));
    }
    if read.is_err() {
        plain.body.clear();
    }
    Cow::Owned(Ok(plain))
}

/// The phase of the protocol in which a stream sends a request. In all runs together, each fault
/// must meet each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    FirstFetch,
    /// After a page with new events.
    CatchingUp,
    /// After a page without new events.
    AfterFruitlessPage,
    AfterSignal,
    AfterFailedPoll,
    /// After a poll without any outcome.
    AfterSilence,
    AfterFailedFetch,
    /// After the attempt to list the servers, whether it succeeded or not.
    WithoutServer,
    Listing,
    FirstPoll,
    /// A poll of a URL that was polled before.
    NextPoll,
}

impl Phase {
    /// Returns the phases in which a stream can send a request to an endpoint.
    pub(crate) fn of(endpoint: Endpoint) -> &'static [Self] {
        match endpoint {
            Endpoint::Events => &[
                Self::FirstFetch,
                Self::CatchingUp,
                Self::AfterFruitlessPage,
                Self::AfterSignal,
                Self::AfterFailedPoll,
                Self::AfterSilence,
                Self::AfterFailedFetch,
                Self::WithoutServer,
            ],
            Endpoint::Options => &[Self::Listing],
            Endpoint::Realtime => &[Self::FirstPoll, Self::NextPoll],
            Endpoint::Token | Endpoint::Other => &[],
        }
    }
}

/// Returns the `Retry-After` of a fault in seconds, up to the longest that the client respects.
pub(crate) fn retry_after(fault: &Fault) -> u64 {
    let seconds = match fault {
        Fault::RateLimited { seconds } | Fault::RateLimitedDate { seconds } => *seconds,
        Fault::Status { headers, .. } => headers
            .get("Retry-After")
            .and_then(|seconds| seconds.parse().ok())
            .unwrap_or(0),
        _ => 0,
    };
    seconds.min(LONGEST_RETRY_AFTER)
}

/// Returns `true` if an error has Box's own form.
pub(crate) fn is_from_box(response: &FakeResponse) -> bool {
    let bearer = response
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    bearer
        || Body::read(&response.body)
            .is_some_and(|body| body.text("type").as_deref() == Some("error"))
}

/// The members of a JSON object. They are decoded on access, because most of a page is never read.
#[derive(Deserialize)]
pub(crate) struct Body<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);

impl<'a> Body<'a> {
    pub(crate) fn read(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    fn member<T: Deserialize<'a>>(&self, name: &str) -> Option<T> {
        let member: &'a RawValue = self.0.get(name)?;
        serde_json::from_str(member.get()).ok()
    }

    pub(crate) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.member(name)
    }

    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        self.member(name)
    }

    pub(crate) fn entries(&self) -> Option<Vec<&'a RawValue>> {
        self.member("entries")
    }

    fn is_null(&self, name: &str) -> bool {
        self.0.get(name).is_none_or(|member| member.get() == "null")
    }

    pub(crate) fn is_page(&self) -> bool {
        if self.is_null("entries") {
            !self.is_null("next_stream_position")
        } else {
            self.entries().is_some()
        }
    }
}

/// Returns `true` if a poll ended with a signal of new events.
pub(crate) fn is_signal(outcome: &Outcome) -> bool {
    let body = outcome.as_ref().ok().map(|response| &response.body);
    body.and_then(|body| Body::read(body)?.text("message").map(Cow::into_owned))
        .is_some_and(|message| message == "new_change")
}

/// Returns the position of a page as the page spells it. The emulator's positions have no escapes.
pub(crate) fn position_text(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(r#""next_stream_position":"#)?;
    let text = rest.split([',', '}']).next()?.trim_matches('"');
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (digits && !text.is_empty() && text != "0").then(|| text.to_owned())
}

/// Returns the channel in a realtime URL.
pub(crate) fn channel_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("channel=")?;
    rest.split('&').next().map(str::to_owned)
}
