//! The list of realtime servers, decoded from the response to `OPTIONS /events`.
//!
//! This module checks each URL against [`RealtimeHosts`] and clamps the numbers. If an entry is
//! unusable, the others stay in the list. [`Rotation`](super::rotation::Rotation) chooses among the
//! servers. The type to start from is [`RealtimeServer`].

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use crate::error::{Error, ErrorKind};
use crate::hosts::RealtimeHosts;
use crate::json;

/// The default `retry_timeout`, 610 s, if the server gives no usable one. It is Box's own figure.
const DEFAULT_RETRY_TIMEOUT: Duration = Duration::from_secs(610);

/// The accepted range of `retry_timeout`. A shorter one would make a poll a busy loop, and a longer
/// one would leave a lost connection unnoticed.
const RETRY_TIMEOUT_SECONDS: RangeInclusive<f64> = 10.0..=1_200.0;

/// The default `max_retries`, 10, if the server gives none. It is Box's own figure.
const DEFAULT_MAX_RETRIES: u32 = 10;

/// The accepted range of `ttl`. A URL that expired within a minute would be listed repeatedly and
/// never polled. A `ttl` of over a year means "forever", and the upper bound keeps it from
/// overflowing a clock.
const TTL_MINUTES: RangeInclusive<f64> = 1.0..=525_600.0;

/// A server that holds a poll until something happens.
///
/// Its URL is a secret: anyone who has it can listen. It is never shown.
///
/// See <https://developer.box.com/reference/resources/realtime-server/>.
#[derive(Clone, PartialEq, Eq)]
pub struct RealtimeServer {
    pub(crate) url: Url,
    ttl: Option<Duration>,
    max_retries: u32,
    retry_timeout: Duration,
}

impl RealtimeServer {
    /// Returns the server's host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns the time for which the URL may be used, at least 1 minute. Returns `None` if Box
    /// gave no limit.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// Returns the number of polls after which the servers have to be listed again. At least 1;
    /// default: 10.
    #[must_use]
    pub fn max_retries(&self) -> u32 {
        self.max_retries
    }

    /// Returns the time for which the server may hold a poll. From 10 s to 1,200 s; default: 610 s.
    #[must_use]
    pub fn retry_timeout(&self) -> Duration {
        self.retry_timeout
    }
}

impl fmt::Debug for RealtimeServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealtimeServer")
            .field("host", &self.host())
            .field("ttl", &self.ttl)
            .field("max_retries", &self.max_retries)
            .field("retry_timeout", &self.retry_timeout)
            .finish_non_exhaustive()
    }
}

/// The usable servers of one response to `OPTIONS /events`.
#[derive(Debug)]
pub(crate) struct ServerList {
    pub(crate) servers: Vec<RealtimeServer>,
    /// The reason why the last unusable entry was left out.
    pub(crate) refused: Option<Error>,
}

#[derive(Deserialize)]
struct ListWire<'a> {
    #[serde(borrow)]
    entries: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct ServerWire<'a> {
    url: String,
    #[serde(borrow)]
    ttl: Option<&'a RawValue>,
    #[serde(borrow)]
    max_retries: Option<&'a RawValue>,
    #[serde(borrow)]
    retry_timeout: Option<&'a RawValue>,
}

impl ServerList {
    /// Decodes a body. An unusable entry is left out, and a missing number gets Box's usual one.
    pub(crate) fn decode(body: &[u8], hosts: &RealtimeHosts) -> Result<Self, Error> {
        let body = json::object(body)
            .ok_or_else(|| unexpected("the list of realtime servers is not JSON"))?;
        // Serde's own error quotes the text that it found, which may be a URL.
        let wire: ListWire = serde_json::from_slice(body)
            .map_err(|_| unexpected("the list of realtime servers cannot be read"))?;
        let mut list = Self {
            servers: Vec::new(),
            refused: None,
        };
        for entry in wire.entries.unwrap_or_default() {
            match Self::entry(entry, hosts) {
                Ok(server) => list.servers.push(server),
                Err(error) => list.refused = Some(error),
            }
        }
        list.servers.shrink_to_fit();
        Ok(list)
    }

    fn entry(json: &RawValue, hosts: &RealtimeHosts) -> Result<RealtimeServer, Error> {
        let wire: ServerWire = serde_json::from_str(json.get())
            .map_err(|_| unexpected("a realtime server's entry cannot be read"))?;
        Ok(RealtimeServer {
            url: hosts.permit(&wire.url)?,
            ttl: within(TTL_MINUTES, wire.ttl)
                .map(|minutes| Duration::from_secs_f64(minutes * 60.0)),
            max_retries: number(wire.max_retries)
                .map_or(DEFAULT_MAX_RETRIES, |polls| saturating_u32(polls).max(1)),
            retry_timeout: within(RETRY_TIMEOUT_SECONDS, wire.retry_timeout)
                .map_or(DEFAULT_RETRY_TIMEOUT, Duration::from_secs_f64),
        })
    }
}

fn unexpected(why: &str) -> Error {
    Error::new(ErrorKind::UnexpectedResponse, why)
}

/// Returns a number above zero, clamped to the range.
fn within(range: RangeInclusive<f64>, json: Option<&RawValue>) -> Option<f64> {
    let number = number(json).filter(|number| *number > 0.0)?;
    Some(number.clamp(*range.start(), *range.end()))
}

/// Returns a finite number, spelled as a number or as a string. Box's documentation has both.
fn number(json: Option<&RawValue>) -> Option<f64> {
    let text = json?.get().trim_matches('"').trim();
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is right for an absurd number"
)]
fn saturating_u32(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn server(fields: &str) -> RealtimeServer {
        let body = format!(r#"{{"entries":[{{"url":"https://a.box.com/"{fields}}}]}}"#);
        let list = ServerList::decode(body.as_bytes(), &RealtimeHosts::default()).unwrap();
        list.servers.into_iter().next().expect("one server")
    }

    #[test]
    fn number_is_read_in_both_spellings() {
        let seconds = Duration::from_secs;
        for fields in [
            r#","ttl":"10","max_retries":"7","retry_timeout":610"#,
            r#","ttl":10,"max_retries":7,"retry_timeout":"610""#,
        ] {
            let server = server(fields);
            assert_eq!(server.ttl(), Some(seconds(600)));
            assert_eq!(server.max_retries(), 7);
            assert_eq!(server.retry_timeout(), seconds(610));
        }
    }

    #[test]
    fn absurd_number_is_clamped() {
        let seconds = Duration::from_secs;
        for (given, taken) in [
            ("0", 610),
            ("-1", 610),
            ("null", 610),
            ("\"x\"", 610),
            ("1e999", 610),
            ("1", 10),
            ("1e300", 1_200),
        ] {
            let server = server(&format!(r#","retry_timeout":{given}"#));
            assert_eq!(server.retry_timeout(), seconds(taken), "{given}");
        }
        for (given, taken) in [("0", 1), ("-5", 1), ("1e300", u32::MAX), ("null", 10)] {
            let server = server(&format!(r#","max_retries":{given}"#));
            assert_eq!(server.max_retries(), taken, "{given}");
        }
        assert_eq!(server("").ttl(), None);
        for (given, taken) in [("0", None), ("-1", None), ("0.1", Some(seconds(60)))] {
            let server = server(&format!(r#","ttl":{given}"#));
            assert_eq!(server.ttl(), taken, "{given}");
        }
        assert!(server(r#","ttl":1e300"#).ttl().is_some());
    }

    #[test]
    fn unusable_entry_leaves_the_others() {
        let body = r#"{"entries":[null,{"type":"x"},{"url":7},{"url":"https://evil.example"},{"url":"https://a.box.com/"}]}"#;
        let list = ServerList::decode(body.as_bytes(), &RealtimeHosts::default()).unwrap();
        assert_eq!(list.servers.len(), 1);
        assert!(list.refused.is_some());
    }

    #[test]
    fn debug_does_not_show_the_url() {
        let server = server("");
        assert!(!format!("{server:?}").contains("https"));
    }
}
