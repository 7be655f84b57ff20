//! One request and what came of it, as far as a stream's conduct goes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use box_longpoll::transport::TransportErrorKind;
use box_longpoll_testkit::{Answer, Endpoint, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The longest `Retry-After` that is obeyed, in seconds.
const LONGEST_RETRY_AFTER: u64 = 3_600;

/// A request, as far as its conduct goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) endpoint: Endpoint,
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) position: Option<String>,
    pub(crate) channel: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) token: Option<String>,
    /// Whether it goes out on a connection of its own.
    pub(crate) fresh_connection: bool,
    pub(crate) timeout: Duration,
}

/// What came of it.
pub(crate) type Outcome = Result<Answer, TransportErrorKind>;

/// Where in its protocol a stream is when it asks for something: the rows of this are what each fault has to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    FirstFetch,
    CatchingUp,
    LookingAgain,
    AfterSignal,
    AfterFailedPoll,
    AfterSilence,
    AfterFailedFetch,
    WithoutServer,
    Listing,
    FirstPoll,
    NextPoll,
}

impl Place {
    /// Where a stream can be when it asks an endpoint.
    pub(crate) fn of(endpoint: Endpoint) -> &'static [Self] {
        match endpoint {
            Endpoint::Events => &[
                Self::FirstFetch,
                Self::CatchingUp,
                Self::LookingAgain,
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

/// How long a fault asks to be left alone.
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

/// Whether an error is in Box's own form.
pub(crate) fn is_from_box(answer: &Answer) -> bool {
    let bearer = answer
        .headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("www-authenticate"));
    bearer
        || Body::read(&answer.body)
            .is_some_and(|body| body.text("type").as_deref() == Some("error"))
}

/// The members of an object, which are read when they are asked for: most of a page is not.
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

/// The position that a page gives, as it is spelt. The emulator's has no escapes.
pub(crate) fn position_text(body: &[u8]) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let (_, rest) = body.split_once(r#""next_stream_position":"#)?;
    let text = rest.split([',', '}']).next()?.trim_matches('"');
    let digits = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (digits && !text.is_empty() && text != "0").then(|| text.to_owned())
}

pub(crate) fn channel_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("channel=")?;
    rest.split('&').next().map(str::to_owned)
}
