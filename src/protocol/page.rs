//! A page of events, decoded from the response to `GET /events`.
//!
//! Only the JSON around the events has to be valid. The events keep their exact text, and are
//! parsed later. An error says whether a smaller page limit may help: see [`PageFault`]. The type
//! to start from is [`Page`].

use std::fmt;

use bytes::Bytes;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::box_error::shown;
use crate::auth::AccessToken;
use crate::error::{Error, ErrorKind};
use crate::event::Event;
use crate::json;
use crate::position::StreamPosition;

/// One response to `GET /events`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Page {
    /// The events, in the order of the stream. They still include repeats, and events that do not
    /// match the client's [filter](crate::LongPollClient::filtered).
    pub events: Vec<Event>,
    /// The position after this page. `None` if Box gave no usable position: keep the old one then.
    pub next_position: Option<StreamPosition>,
}

/// The most events on a page: 50,000, whatever the limit was. Each event costs more memory than the
/// two bytes that it may have in the body.
const MAX_EVENTS: usize = 50_000;

/// The reason why there is no page.
#[derive(Debug)]
pub(crate) struct PageError {
    pub(crate) error: Error,
    pub(crate) fault: PageFault,
}

impl From<PageError> for Error {
    fn from(failed: PageError) -> Self {
        failed.error
    }
}

/// The kind of the fault, which decides whether a smaller page limit helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PageFault {
    /// The call failed, and its page limit did not cause that.
    Call,
    /// The page was late or cut off. A smaller page limit may help.
    Slow,
    /// The page is larger than the client accepts. A smaller page limit helps.
    TooLarge,
    /// The page is complete but cannot be decoded. If this persists, one of its events is the
    /// cause.
    Undecodable,
}

impl PageFault {
    /// Returns the error for a response that is not a page.
    fn with(self, detail: impl Into<String>) -> PageError {
        let kind = match self {
            PageFault::Call | PageFault::Slow => ErrorKind::UnexpectedResponse,
            PageFault::TooLarge | PageFault::Undecodable => ErrorKind::PageUndecodable,
        };
        self.of(Error::new(kind, detail))
    }

    /// Attaches the fault to an error.
    pub(super) fn of(self, error: Error) -> PageError {
        PageError { error, fault: self }
    }
}

impl Page {
    /// Decodes a body. Events of any shape are accepted, and only the page around them has to be
    /// JSON.
    pub(crate) fn decode(body: &Bytes, token: &AccessToken) -> Result<Self, PageError> {
        let has = |name: &[u8]| body.windows(name.len()).any(|at| at == name);
        let foreign = || {
            let seen = if has(ENTRIES) || has(EVENT_ID) {
                // Events contain names and addresses, which must not appear in a log.
                let bytes = body.len();
                format!(", and seems to be a part of one: {bytes} bytes, not shown")
            } else {
                format!(": {}", shown(body, token))
            };
            PageFault::Call.with(format!("the response is not a page of events{seen}"))
        };
        // Serde's error about text at the wrong place quotes that text, so it is not shown.
        let text = json::object(body).ok_or_else(foreign)?;
        let wire: Wire = serde_json::from_slice(text).map_err(|error| {
            if !has(ENTRIES) {
                foreign()
            } else if error.is_eof() {
                PageFault::Slow.with("a page of events ends too early: something cut it off")
            } else {
                let (line, column) = (error.line(), error.column());
                PageFault::Undecodable.with(format!(
                    "a page of events cannot be read from line {line}, column {column} on"
                ))
            }
        })?;
        if wire.entries.is_none() && wire.next_stream_position.is_none() {
            return Err(foreign());
        }
        let Entries(entries) = wire.entries.unwrap_or_default();
        if entries.len() > MAX_EVENTS {
            return Err(PageFault::TooLarge.with("a page has far more events than requested"));
        }
        Ok(Self {
            events: on_page(body, entries),
            next_position: wire.next_stream_position.map_or(Ok(None), next_position)?,
        })
    }
}

/// Reads the events of a page that was decoded before. Returns `None` if it can't be decoded.
pub(crate) fn events_of(body: &Bytes) -> Option<Vec<Event>> {
    let wire: Wire = serde_json::from_slice(json::object(body)?).ok()?;
    let Entries(entries) = wire.entries.unwrap_or_default();
    Some(on_page(body, entries))
}

fn on_page(body: &Bytes, entries: Vec<&RawValue>) -> Vec<Event> {
    let events = entries.into_iter();
    events.map(|raw| Event::on_page(body, raw.get())).collect()
}

const ENTRIES: &[u8] = b"\"entries\"";
const EVENT_ID: &[u8] = b"\"event_id\"";

/// A page's JSON object. If a name occurs twice, the last one counts.
#[derive(Default)]
struct Wire<'a> {
    entries: Option<Entries<'a>>,
    next_stream_position: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Wire<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PageVisitor;

        impl<'de> Visitor<'de> for PageVisitor {
            type Value = Wire<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a page of events")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
                let mut wire = Wire::default();
                while let Some(name) = members.next_key::<String>()? {
                    match name.as_str() {
                        "entries" => wire.entries = members.next_value()?,
                        "next_stream_position" => {
                            wire.next_stream_position = members.next_value()?;
                        }
                        _ => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(wire)
            }
        }

        deserializer.deserialize_map(PageVisitor)
    }
}

/// The texts of the events, up to one more than [`MAX_EVENTS`].
#[derive(Default)]
struct Entries<'a>(Vec<&'a RawValue>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of events")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while entries.len() <= MAX_EVENTS
                    && let Some(entry) = array.next_element()?
                {
                    entries.push(entry);
                }
                while array.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_seq(EntriesVisitor)
    }
}

/// Decodes the next position. The text of a number is the position as it stands, because it has
/// more digits than a float holds.
///
/// `0` and `now` are not positions: `0` would start over, and `now` would skip the events in
/// between.
fn next_position(raw: &RawValue) -> Result<Option<StreamPosition>, PageError> {
    let json = raw.get();
    let text = match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json).ok(),
        Some(b'0'..=b'9' | b'-') => Some(json.to_owned()),
        _ => None,
    };
    match text {
        Some(text) if text.len() > StreamPosition::MAX_LENGTH => {
            let bytes = text.len();
            Err(PageFault::Call.with(format!(
                "the next stream position has {bytes} bytes, and the most that is kept is 16 KiB"
            )))
        }
        text => Ok(text.and_then(|text| text.parse().ok())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: &Bytes) -> Result<Page, PageError> {
        Page::decode(body, &AccessToken::new("a-token-of-nobody").unwrap())
    }

    /// Asserts that a body is not a page, by this fault and with this text in the error.
    #[track_caller]
    fn assert_fault(body: &str, fault: PageFault, expected: &str) {
        let failed = decode(&Bytes::from(body.to_owned())).unwrap_err();
        assert_eq!(failed.fault, fault, "{body}");
        let text = failed.error.to_string();
        assert!(text.contains(expected), "{body}: {text}");
    }

    #[track_caller]
    fn assert_next_position(json: &str, expected: Option<&str>) {
        let body = format!(r#"{{"entries":[],"next_stream_position":{json}}}"#);
        let page = decode(&body.into()).unwrap_or(Page {
            events: Vec::new(),
            next_position: None,
        });
        assert_eq!(
            page.next_position.as_ref().map(StreamPosition::as_str),
            expected
        );
    }

    #[test]
    fn position_keeps_its_text() {
        assert_next_position("1152922976252290886", Some("1152922976252290886"));
        assert_next_position(r#""1152922976252290886""#, Some("1152922976252290886"));
        assert_next_position("1.5e300", Some("1.5e300"));
        assert_next_position(r#""a\u002bb""#, Some("a+b"));
    }

    #[test]
    fn unusable_next_position_is_none() {
        for json in [
            "null", r#""""#, r#""now""#, "0", r#""0""#, "true", "{}", "[1]",
        ] {
            assert_next_position(json, None);
        }
    }

    #[test]
    fn position_is_opaque_and_has_up_to_16_kib() {
        assert_next_position(r#""a b""#, Some("a b"));
        assert_next_position(r#"" \n""#, Some(" \n"));
        let longest = "9".repeat(16 * 1024);
        assert_next_position(&format!("\"{longest}\""), Some(&longest));
        let body = format!(r#"{{"entries":[],"next_stream_position":"{longest}9"}}"#);
        assert_fault(&body, PageFault::Call, "position has 16385 bytes");
    }

    #[test]
    fn entries_may_be_missing_or_null() {
        for body in [
            r#"{"next_stream_position":1}"#,
            r#"{"entries":null,"next_stream_position":1}"#,
        ] {
            let page = decode(&body.into()).unwrap();
            assert!(page.events.is_empty() && page.next_position.is_some());
        }
    }

    #[test]
    fn event_of_any_shape_keeps_its_exact_text() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(r#"{{"entries":[ {{"event_id" : "a"}} ,null,"x",7,{deep}]}}"#);
        let page = decode(&body.into()).unwrap();
        let texts: Vec<&str> = page.events.iter().map(Event::raw).collect();
        assert_eq!(
            texts,
            [r#"{"event_id" : "a"}"#, "null", r#""x""#, "7", &deep]
        );
    }

    #[test]
    fn body_that_is_no_page_differs_from_an_undecodable_page() {
        for foreign in [
            "",
            "<html>",
            "[[],1]",
            "{}",
            "null",
            r#"{"type":"error"}"#,
            "{ error: 'gateway', please log in }",
            r#"{"chunk_size":1,"next_"#,
        ] {
            let expected = format!("not a page of events: {foreign}");
            assert_fault(foreign, PageFault::Call, expected.trim_end());
        }
        for part in [
            r#"[{"event_id":"a"}]"#,
            r#"a@example.com"}},{"event_id":"a"}],"next_stream_position":1}"#,
            r#"{"events":[{"event_id":"a"}]}"#,
        ] {
            assert_fault(part, PageFault::Call, "seems to be a part of one");
        }
        for broken in [r#"{"entries":[{"a":]}"#, r#"{"entries":"x"}"#] {
            assert_fault(broken, PageFault::Undecodable, "cannot be read from line 1");
        }
        for cut in [r#"{"entries":[{"a":"#, r#"{"entries":[],"next_stream_posi"#] {
            assert_fault(cut, PageFault::Slow, "ends too early");
        }
    }

    #[test]
    fn last_value_counts_when_a_name_occurs_twice() {
        let body = r#"{"next_stream_position":1,"entries":[],"next_stream_position":2}"#;
        let page = decode(&body.into()).unwrap();
        assert_eq!(page.next_position.unwrap().as_str(), "2");
    }

    #[test]
    fn page_is_too_large_when_it_has_a_million_events() {
        let body = format!("{{\"entries\":[0{}]}}", ",0".repeat(1_000_000));
        let error = decode(&body.into()).unwrap_err();
        assert_eq!(error.fault, PageFault::TooLarge);
    }
}
