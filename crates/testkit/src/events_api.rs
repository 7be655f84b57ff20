//! Pages of events: `GET /2.0/events`.
//!
//! A page is cut from an account's log by position, limit, stream type and filters. Settings and
//! faults may change it on purpose. The log itself is in `account`, and long polling in `realtime`.
//! Start from [`page`].

use std::time::Duration;

use serde_json::Value;

use crate::account::{EventHead, Page, Selection, Start};
use crate::clock::parse_rfc3339;
use crate::emulator::{Call, Emulator};
use crate::response::Dripping;
use crate::stream_type::UserStream;
use crate::{FakeResponse, Fault, Request};

/// Box's default for the number of events on a page.
const DEFAULT_LIMIT: usize = 100;
/// Box's maximum for the number of events on a page.
const MAX_LIMIT: usize = 500;

/// Responds to `GET /2.0/events`. A fault, if there is one, changes the page.
pub(crate) fn page(
    emulator: &mut Emulator,
    call: &Call<'_>,
    fault: Option<&Fault>,
) -> FakeResponse {
    let caller = match emulator.admit(call) {
        Ok(caller) => caller.to_owned(),
        Err(refusal) => return refusal,
    };
    let query = match PageQuery::read(call.request) {
        Ok(query) => query,
        Err(parameter) => {
            return FakeResponse::invalid_parameter(
                parameter,
                &call.request.query(parameter).unwrap_or_default(),
            );
        }
    };
    let limit = emulator.page_limit(query.limit, fault);
    let lag = Duration::from_millis(emulator.settings.visible_after_ms);
    let Some(session) = emulator.sessions.get_mut(&caller) else {
        return FakeResponse::unauthorized(true);
    };
    let Some(account) = emulator.accounts.get(&session.account) else {
        return FakeResponse::unauthorized(true);
    };
    let keeps = |json: &str| query.keeps(json);
    let selection = Selection {
        limit: limit.unwrap_or(0),
        visible: account.visible(lag, call.now),
        filter: if query.keeps_all() {
            None
        } else {
            Some(&keeps)
        },
    };
    // A client that was killed may have fetched pages beyond the position that it resumes from.
    let requested = account.events_before(query.start);
    let mut page = match (fault, session.previous_page) {
        (Some(Fault::StalePage), Some((first, end))) if first <= requested => {
            account.page_between(first, end, selection.filter)
        }
        _ => account.page(query.start, &selection),
    };
    let more = page.end < selection.visible;
    if limit.is_none() && more {
        page.next = Page::nudged(page.from);
    }
    if matches!(fault, Some(Fault::EmptyList | Fault::NoEntries)) {
        page = Page {
            events: Vec::new(),
            next: page.from,
            end: account.events_before(Start::At(page.from)),
            ..page
        };
    }

    let first = account.events_before(Start::At(page.from));
    let new_events =
        usize::try_from(page.end.saturating_sub(session.sent.max(first))).unwrap_or(usize::MAX);
    let new_events = if fault.is_none_or(arrives) {
        new_events.min(page.events.len())
    } else {
        0
    };
    let drips = matches!(fault, Some(Fault::Drip { .. }));
    let sent_at_once = if drips { 0 } else { new_events };
    if sent_at_once > 0 {
        session.sent = page.end;
    }
    session.previous_page = Some((first, page.end));
    emulator.traffic.events_served += page.events.len() as u64;
    emulator.request_log.amend(call.record, |record| {
        record.events = page.events.len();
        record.new_events = sent_at_once;
    });
    let says_zero = emulator.settings.zero_position_at_the_end
        && !matches!(query.stream, Stream::User(_))
        && query.start != Start::Now;
    let position = if says_zero && page.events.is_empty() && !more {
        0
    } else {
        page.next
    };
    let position = emulator.settings.position_spelling.spell(position);
    let mut response = FakeResponse::json(200, render(&page, fault, position));
    response.dripping = drips.then_some(Dripping {
        caller,
        record: call.record,
        end: page.end,
        new_events,
    });
    response
}

impl Emulator {
    /// Records that the last byte of a slow page was sent, so its events now count as sent.
    pub(crate) fn page_has_dripped(&mut self, page: &Dripping) {
        if let Some(session) = self.sessions.get_mut(&page.caller) {
            session.sent = session.sent.max(page.end);
        }
        self.request_log.amend(page.record, |record| {
            record.new_events = page.new_events;
        });
    }

    /// Returns the greatest number of events on this page. `None` means an empty page whose
    /// position moves all the same.
    fn page_limit(&mut self, limit: usize, fault: Option<&Fault>) -> Option<usize> {
        if fault.is_some() {
            Some(limit)
        } else if self.happens(self.settings.empty_page_rate) {
            None
        } else if self.happens(self.settings.short_page_rate) {
            Some(self.rng.usize(1..=limit.max(1)))
        } else {
            Some(limit)
        }
    }
}

/// Returns `true` if a client can read the page in spite of the fault.
fn arrives(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Drip { .. }
            | Fault::NeverClose
            | Fault::StalePage
            | Fault::MissingPosition
            | Fault::NullPosition
            | Fault::ZeroPosition
            | Fault::NowPosition
            | Fault::EmptyPosition
            | Fault::FloatPosition
    )
}

/// Writes the page as JSON. `position` is already in the spelling of the settings.
fn render(page: &Page, fault: Option<&Fault>, position: String) -> Vec<u8> {
    let position = match fault {
        Some(Fault::MissingPosition) => None,
        Some(Fault::NullPosition) => Some("null".into()),
        Some(Fault::ZeroPosition) => Some("0".into()),
        Some(Fault::NowPosition) => Some("\"now\"".into()),
        Some(Fault::EmptyPosition) => Some("\"\"".into()),
        Some(Fault::FloatPosition) => Some(format!("{}.0", page.next)),
        Some(Fault::WrongTypes) => {
            return format!(r#"{{"chunk_size":"many","next_stream_position":{{"at":{position}}},"entries":"none"}}"#)
                .into_bytes();
        }
        _ => Some(position),
    };
    let length: usize = page.events.iter().map(|event| event.len() + 1).sum();
    let mut body = String::with_capacity(length + 96);
    body.push_str("{\"chunk_size\":");
    body.push_str(&page.events.len().to_string());
    if let Some(position) = position {
        body.push_str(",\"next_stream_position\":");
        body.push_str(&position);
    }
    if fault != Some(&Fault::NoEntries) {
        body.push_str(",\"entries\":[");
        for (index, event) in page.events.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            body.push_str(event);
        }
        body.push(']');
    }
    body.push('}');
    body.into_bytes()
}

/// The stream that a request reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    User(UserStream),
    /// The events of an enterprise as they happen: `admin_logs_streaming`.
    Streaming,
    /// The events of an enterprise in a range of dates: `admin_logs`.
    History,
}

/// The query parameters of a request for a page.
struct PageQuery {
    stream: Stream,
    start: Start,
    limit: usize,
    filter: Filter,
}

impl PageQuery {
    /// Reads the parameters. The error is the name of the parameter that can't be read.
    fn read(request: &Request) -> Result<Self, &'static str> {
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
                Err(_) | Ok(0) => return Err("limit"),
                Ok(limit) => usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT),
            },
        };
        Ok(Self {
            stream,
            start,
            limit,
            filter: Filter::read(stream, request)?,
        })
    }

    /// Returns `true` if no event is left out. The events then need not be parsed.
    fn keeps_all(&self) -> bool {
        match self.stream {
            Stream::User(stream) => stream == UserStream::All,
            Stream::Streaming | Stream::History => self.filter.is_empty(),
        }
    }

    /// Returns `true` if the stream and the filter keep the event.
    fn keeps(&self, json: &str) -> bool {
        match self.stream {
            Stream::User(stream) => stream.shows(json),
            Stream::Streaming | Stream::History => self.filter.keeps(&EventHead::of(json)),
        }
    }
}

/// The filters of the enterprise streams. User streams ignore them, and only `admin_logs` applies
/// the dates, which are in seconds since 1970.
#[derive(Default, PartialEq)]
struct Filter {
    event_types: Vec<String>,
    created_after: Option<i64>,
    created_before: Option<i64>,
}

impl Filter {
    fn read(stream: Stream, request: &Request) -> Result<Self, &'static str> {
        let date = |name| match request.query(name) {
            Some(text) if stream == Stream::History && !text.is_empty() => {
                parse_rfc3339(&text).map(Some).ok_or(name)
            }
            _ => Ok(None),
        };
        if let Stream::User(_) = stream {
            return Ok(Self::default());
        }
        let event_types = request.query("event_type").unwrap_or_default();
        let read = Self {
            event_types: event_types
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(String::from)
                .collect(),
            created_after: date("created_after")?,
            created_before: date("created_before")?,
        };
        match (read.created_after, read.created_before) {
            (Some(after), Some(before)) if after > before => Err("created_before"),
            _ => Ok(read),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns `true` if the event is of one of the types and inside the range of dates.
    fn keeps(&self, head: &EventHead) -> bool {
        let created = match &head.created_at {
            Value::String(text) => parse_rfc3339(text),
            _ => None,
        };
        let of_type = |name: &String| head.event_type == name.as_str();
        (self.event_types.is_empty() || self.event_types.iter().any(of_type))
            && self
                .created_after
                .is_none_or(|after| created.is_some_and(|created| created > after))
            && self
                .created_before
                .is_none_or(|before| created.is_some_and(|created| created <= before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Account;

    fn limit_of(query: &str) -> Result<usize, &'static str> {
        PageQuery::read(&Request::get(&format!("/2.0/events?{query}"))).map(|query| query.limit)
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
    fn a_page_shows_positions_with_all_their_digits() {
        let page = Page {
            from: Account::position(0),
            next: Account::position(0),
            events: Vec::new(),
            end: 0,
        };
        let body = render(&page, None, page.next.to_string());
        assert_eq!(
            body,
            br#"{"chunk_size":0,"next_stream_position":1152922976252290886,"entries":[]}"#
        );
    }
}
