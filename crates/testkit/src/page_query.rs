//! The query of a request for a page: its stream, its start, and its filters.
//!
//! A parameter that can't be read is refused in Box's format. The page itself is cut in
//! `events_api`. Start from [`PageQuery`].

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::clock::parse_rfc3339;
use crate::content::Content;
use crate::stream_type::UserStream;
use crate::{Edge, FakeResponse, Request, Settings};

/// Box's default for the number of events on a page.
const DEFAULT_LIMIT: usize = 100;
/// Box's maximum for the number of events on a page.
const MAX_LIMIT: usize = 500;

/// The start of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// The end of the log.
    Now,
    /// The oldest retained event.
    Oldest,
    /// A position.
    At(u64),
}

/// The stream that a request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    User(UserStream),
    /// The events of an enterprise as they happen: `admin_logs_streaming`.
    Streaming,
    /// The events of an enterprise in a range of dates: `admin_logs`.
    History,
}

/// The query parameters of a request for a page.
pub(crate) struct PageQuery {
    pub(crate) stream: Stream,
    pub(crate) start: Start,
    /// The greatest number of events on the page.
    pub(crate) limit: usize,
    pub(crate) filter: Filter,
}

/// A parameter for which a request is refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    /// The parameter of this name can't be read.
    Unreadable(&'static str),
    /// `created_after` is older than the events that `admin_logs` keeps.
    TooOld,
}

impl From<&'static str> for Refused {
    fn from(parameter: &'static str) -> Self {
        Self::Unreadable(parameter)
    }
}

impl Refused {
    pub(crate) fn response(&self, request: &Request) -> FakeResponse {
        match *self {
            Self::Unreadable(parameter) => FakeResponse::invalid_parameter(
                parameter,
                &request.query(parameter).unwrap_or_default(),
            ),
            Self::TooOld => FakeResponse::created_after_is_too_old(),
        }
    }
}

impl Start {
    /// Reads the `stream_position` of a request. Returns `None` if it can't be read.
    pub(crate) fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "0" | "null") => Some(Self::Oldest),
            Some("now") => Some(Self::Now),
            Some(text) => {
                // `Fault::FloatPosition` sends a position with a decimal point, which a client may
                // send back unchanged.
                let integer = match text.split_once('.') {
                    Some((integer, zeros))
                        if !zeros.is_empty() && zeros.bytes().all(|digit| digit == b'0') =>
                    {
                        integer
                    }
                    Some(_) => return None,
                    None => text,
                };
                let digits =
                    !integer.is_empty() && integer.bytes().all(|digit| digit.is_ascii_digit());
                digits.then(|| integer.parse().ok()).flatten().map(Self::At)
            }
        }
    }
}

impl PageQuery {
    /// Reads the parameters. `unix` is the present time in seconds since 1970.
    pub(crate) fn read(request: &Request, settings: &Settings, unix: i64) -> Result<Self, Refused> {
        let stream = match request.query("stream_type").as_deref() {
            Some("admin_logs_streaming") => Stream::Streaming,
            Some("admin_logs") => Stream::History,
            text => Stream::User(UserStream::parse(text).ok_or("stream_type")?),
        };
        let start =
            Start::parse(request.query("stream_position").as_deref()).ok_or("stream_position")?;
        let limit = match request.query("limit").as_deref() {
            None | Some("") => DEFAULT_LIMIT,
            Some(text) => match text.parse::<u64>() {
                // Box's SDK for Python sends limit 0 to learn where the stream ends.
                Ok(0) if start == Start::Now => 0,
                Err(_) | Ok(0) => return Err("limit".into()),
                Ok(limit) => usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT),
            },
        };
        let filter = match stream {
            Stream::User(_) => Filter::default(),
            Stream::Streaming => Filter::of_types(request),
            Stream::History => Filter {
                seconds: range(request, settings, unix)?,
                ..Filter::of_types(request)
            },
        };
        Ok(Self {
            stream,
            start,
            limit,
            filter,
        })
    }

    /// Returns `true` if no event is left out. The events then need not be parsed.
    pub(crate) fn keeps_all(&self) -> bool {
        match self.stream {
            Stream::User(stream) => stream == UserStream::All,
            Stream::Streaming | Stream::History => self.filter == Filter::default(),
        }
    }

    /// Returns `true` if the stream and the filter keep the event.
    pub(crate) fn keeps(&self, content: &Content) -> bool {
        match self.stream {
            Stream::User(stream) => stream.shows(&content.json()),
            Stream::Streaming | Stream::History => self.filter.keeps(content),
        }
    }

    /// Returns the time from the arrival of an event until the stream shows it.
    pub(crate) fn lag(&self, settings: &Settings) -> Duration {
        let milliseconds = match self.stream {
            Stream::User(_) | Stream::Streaming => settings.visible_after_ms,
            Stream::History => settings.visible_after_ms.max(settings.admin_logs_delay_ms),
        };
        Duration::from_millis(milliseconds)
    }

    /// Returns the time from the arrival of an event until the stream no longer shows it. `None`
    /// means never.
    pub(crate) fn retention(&self, settings: &Settings) -> Option<Duration> {
        match self.stream {
            Stream::Streaming => settings.streaming_retention_ms.map(Duration::from_millis),
            // `admin_logs` drops events by the time at which they happened.
            Stream::User(_) | Stream::History => None,
        }
    }
}

/// Reads the range of dates, in seconds since 1970.
fn range(
    request: &Request,
    settings: &Settings,
    unix: i64,
) -> Result<RangeInclusive<i64>, Refused> {
    let date = |name| match request.query(name) {
        Some(text) if !text.is_empty() => parse_rfc3339(&text).map(Some).ok_or(name),
        _ => Ok(None),
    };
    let (after, before) = (date("created_after")?, date("created_before")?);
    if after
        .zip(before)
        .is_some_and(|(after, before)| after > before)
    {
        return Err("created_before".into());
    }
    let retention = settings.admin_logs_retention_ms;
    let oldest = retention.map(|ms| unix.saturating_sub_unsigned(ms / 1_000));
    if after
        .zip(oldest)
        .is_some_and(|(after, oldest)| after < oldest)
    {
        return Err(Refused::TooOld);
    }
    let exclusive = |edge| i64::from(edge == Edge::Exclusive);
    let first = after.map(|second| second.saturating_add(exclusive(settings.created_after_edge)));
    let last = before.map(|second| second.saturating_sub(exclusive(settings.created_before_edge)));
    Ok(first.or(oldest).unwrap_or(i64::MIN)..=last.unwrap_or(i64::MAX))
}

/// The filters of the enterprise streams. User streams ignore them.
#[derive(PartialEq)]
pub(crate) struct Filter {
    /// The kept types; empty for all.
    event_types: Vec<String>,
    /// The range of dates in seconds since 1970, which only `admin_logs` has.
    pub(crate) seconds: RangeInclusive<i64>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            event_types: Vec::new(),
            seconds: i64::MIN..=i64::MAX,
        }
    }
}

impl Filter {
    fn of_types(request: &Request) -> Self {
        let event_types = request.query("event_type").unwrap_or_default();
        Self {
            event_types: event_types
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(String::from)
                .collect(),
            ..Self::default()
        }
    }

    /// Returns `true` if the event is of one of the types and inside the range of dates.
    fn keeps(&self, content: &Content) -> bool {
        (self.event_types.is_empty() || content.is_of(&self.event_types))
            && (self.seconds == Self::default().seconds
                || content
                    .created_unix()
                    .is_some_and(|second| self.seconds.contains(&second)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit_of(query: &str) -> Result<usize, &'static str> {
        let request = Request::get(&format!("/2.0/events?{query}"));
        match PageQuery::read(&request, &Settings::default(), 0) {
            Ok(query) => Ok(query.limit),
            Err(Refused::Unreadable(parameter)) => Err(parameter),
            Err(Refused::TooOld) => Err("a date that is too old"),
        }
    }

    #[test]
    fn the_limit_is_100_by_default_and_500_at_most() {
        assert_eq!(limit_of(""), Ok(100));
        assert_eq!(limit_of("limit=7"), Ok(7));
        assert_eq!(limit_of("limit=99999"), Ok(500));
        assert_eq!(limit_of("limit=0&stream_position=now"), Ok(0));
        for wrong in ["limit=0", "limit=-1", "limit=ten"] {
            assert_eq!(limit_of(wrong), Err("limit"));
        }
    }

    #[test]
    fn an_unreadable_parameter_is_named() {
        assert_eq!(limit_of("stream_type=everything"), Err("stream_type"));
        assert_eq!(
            limit_of("stream_position=yesterday"),
            Err("stream_position")
        );
        assert_eq!(
            limit_of("stream_type=admin_logs&created_after=yesterday"),
            Err("created_after")
        );
        assert_eq!(
            limit_of(
                "stream_type=admin_logs&created_after=2026-01-02T00:00:00Z&created_before=2026-01-01T00:00:00Z"
            ),
            Err("created_before")
        );
        for ignores_it in ["all", "admin_logs_streaming"] {
            let query = format!("stream_type={ignores_it}&created_after=yesterday");
            assert_eq!(limit_of(&query), Ok(100), "{ignores_it}");
        }
    }

    #[test]
    fn unreadable_positions_are_refused() {
        for text in [
            "abc",
            "-1",
            "1.5",
            "1.",
            "+7",
            "99999999999999999999",
            "\"1\"",
            "NOW",
            " 1",
        ] {
            assert_eq!(Start::parse(Some(text)), None, "{text}");
        }
    }

    #[test]
    fn missing_and_zero_positions_mean_the_oldest_event() {
        for text in [None, Some(""), Some("0"), Some("null")] {
            assert_eq!(Start::parse(text), Some(Start::Oldest), "{text:?}");
        }
    }
}
