//! Pages of events: `GET /2.0/events`.
//!
//! A page is cut from an account's log by position, limit, stream type and filters. Settings and
//! faults may change it on purpose. The log itself is in `account`, and long polling in `realtime`.
//! Start from [`page`].

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::account::{Account, Page, Selection, Start};
use crate::chronology;
use crate::clock::parse_rfc3339;
use crate::content::Content;
use crate::emulator::{Call, Emulator};
use crate::response::Dripping;
use crate::session::Session;
use crate::stream_type::UserStream;
use crate::{AdminLogsOrder, Edge, FakeResponse, Fault, Request, Settings};

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
    let unix = emulator.unix(call.now);
    let query = match PageQuery::read(call.request, &emulator.settings, unix) {
        Ok(query) => query,
        Err(refused) => return refused.response(call.request),
    };
    let limit = emulator.page_limit(query.limit, fault);
    let now = emulator.clock.nanoseconds(call.now);
    let settings = &emulator.settings;
    let Some(session) = emulator.sessions.get_mut(&caller) else {
        return FakeResponse::unauthorized(true);
    };
    let Some(account) = emulator.accounts.get_mut(&session.account) else {
        return FakeResponse::unauthorized(true);
    };
    let keeps = |content: &Content| query.keeps(content);
    let selection = Selection {
        limit: limit.unwrap_or(0),
        expired: query
            .retention(settings)
            .map_or(0, |retention| account.expired(retention, now)),
        visible: account.visible(query.lag(settings), now),
        filter: if query.keeps_all() {
            None
        } else {
            Some(&keeps)
        },
    };
    let is_chronological = query.stream == Stream::History
        && settings.admin_logs_order == AdminLogsOrder::Chronological;
    let moves_on = limit.is_none();
    let (page, new_events) = if is_chronological {
        chronological(account, session, &query, &selection, (fault, moves_on))
    } else {
        in_order_of_arrival(account, session, &query, &selection, (fault, moves_on))
    };
    let new_events = if fault.is_none_or(arrives) {
        new_events.min(page.events.len())
    } else {
        0
    };
    let drips = matches!(fault, Some(Fault::Drip { .. }));
    let sent_at_once = if drips { 0 } else { new_events };
    if sent_at_once > 0 {
        session.sent = session.sent.max(page.end);
    }
    emulator.traffic.events_served += page.events.len() as u64;
    emulator.request_log.amend(call.record, |record| {
        record.events = page.events.len();
        record.new_events = sent_at_once;
    });
    let says_zero = emulator.settings.zero_position_at_the_end
        && !matches!(query.stream, Stream::User(_))
        && query.start != Start::Now;
    let position = if says_zero && page.events.is_empty() && !page.more {
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

/// Cuts the page of a log in the order of arrival. Also returns the number of its events that the
/// caller was not sent before. `moves_on` makes an empty page move its position.
fn in_order_of_arrival(
    account: &Account,
    session: &mut Session,
    query: &PageQuery,
    selection: &Selection<'_>,
    (fault, moves_on): (Option<&Fault>, bool),
) -> (Page, usize) {
    // A client that was killed may have fetched pages beyond the position that it resumes from.
    let requested = account.events_before(query.start);
    let mut page = match (fault, session.previous_page) {
        (Some(Fault::StalePage), Some((first, end))) if first <= requested => {
            account.page_between(first, end, selection)
        }
        _ => account.page(query.start, selection),
    };
    if moves_on && page.more {
        page.next = Page::nudged(page.from);
    }
    if brings_nothing(fault) {
        page = Page {
            end: account.events_before(Start::At(page.from)),
            ..page.without_events()
        };
    }
    let first = account.events_before(Start::At(page.from));
    session.previous_page = Some((first, page.end));
    let new_events = page.end.saturating_sub(session.sent.max(first));
    (page, usize::try_from(new_events).unwrap_or(usize::MAX))
}

/// Cuts the page of a log in the order of time, as [`in_order_of_arrival`] does. Each event counts
/// as one that the caller was not sent before, because requests may read parts of the log side by
/// side.
fn chronological(
    account: &mut Account,
    session: &mut Session,
    query: &PageQuery,
    selection: &Selection<'_>,
    (fault, moves_on): (Option<&Fault>, bool),
) -> (Page, usize) {
    let seconds = &query.filter.seconds;
    let requested = account.span(query.start, seconds, selection.visible);
    let span = match (fault, session.previous_span) {
        (Some(Fault::StalePage), Some(previous)) if previous.from <= requested.from => previous,
        _ => requested,
    };
    let mut page = account.page_of(span, selection);
    if moves_on && page.more {
        page.next = chronology::nudged(page.from);
    }
    if brings_nothing(fault) {
        page = page.without_events();
    }
    session.previous_span = Some(span.up_to(page.next));
    let new_events = page.events.len();
    (page, new_events)
}

/// Returns `true` if the fault leaves out a page's events, and its position does not move.
fn brings_nothing(fault: Option<&Fault>) -> bool {
    matches!(fault, Some(Fault::EmptyList | Fault::NoEntries))
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

/// A parameter for which a request is refused.
#[derive(Debug, PartialEq)]
enum Refused {
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
    fn response(&self, request: &Request) -> FakeResponse {
        match *self {
            Self::Unreadable(parameter) => FakeResponse::invalid_parameter(
                parameter,
                &request.query(parameter).unwrap_or_default(),
            ),
            Self::TooOld => FakeResponse::created_after_is_too_old(),
        }
    }
}

impl PageQuery {
    /// Reads the parameters. `unix` is the present time in seconds since 1970.
    fn read(request: &Request, settings: &Settings, unix: i64) -> Result<Self, Refused> {
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
    fn keeps_all(&self) -> bool {
        match self.stream {
            Stream::User(stream) => stream == UserStream::All,
            Stream::Streaming | Stream::History => self.filter == Filter::default(),
        }
    }

    /// Returns `true` if the stream and the filter keep the event.
    fn keeps(&self, content: &Content) -> bool {
        match self.stream {
            Stream::User(stream) => stream.shows(&content.json()),
            Stream::Streaming | Stream::History => self.filter.keeps(content),
        }
    }

    /// Returns the time from the arrival of an event until the stream shows it.
    fn lag(&self, settings: &Settings) -> Duration {
        let milliseconds = match self.stream {
            Stream::User(_) | Stream::Streaming => settings.visible_after_ms,
            Stream::History => settings.visible_after_ms.max(settings.admin_logs_delay_ms),
        };
        Duration::from_millis(milliseconds)
    }

    /// Returns the time from the arrival of an event until the stream no longer shows it. `None`
    /// means never.
    fn retention(&self, settings: &Settings) -> Option<Duration> {
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
struct Filter {
    /// The kept types; empty for all.
    event_types: Vec<String>,
    /// The range of dates in seconds since 1970, which only `admin_logs` has.
    seconds: RangeInclusive<i64>,
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
    fn a_page_shows_positions_with_all_their_digits() {
        let page = Page {
            from: Account::position(0),
            next: Account::position(0),
            events: Vec::new(),
            end: 0,
            more: false,
        };
        let body = render(&page, None, page.next.to_string());
        assert_eq!(
            body,
            br#"{"chunk_size":0,"next_stream_position":1152922976252290886,"entries":[]}"#
        );
    }
}
