//! Pages of events: `GET /2.0/events`.
//!
//! A page is cut from an account's log as a query says. Settings and faults may change it on
//! purpose. The query is read in `page_query`, the log is in `account`, and long polling is in
//! `realtime`. Start from [`page`].

use crate::account::{Account, Page, Selection};
use crate::content::Content;
use crate::emulator::{Call, Emulator};
use crate::page_query::{PageQuery, Start, Stream};
use crate::response::Dripping;
use crate::session::Session;
use crate::{AdminLogsOrder, FakeResponse, Fault};

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
        limit,
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
    let (page, new_events) = if is_chronological {
        chronological(account, session, &query, &selection, fault)
    } else {
        in_order_of_arrival(account, session, &query, &selection, fault)
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
/// caller was not sent before.
fn in_order_of_arrival(
    account: &Account,
    session: &mut Session,
    query: &PageQuery,
    selection: &Selection<'_>,
    fault: Option<&Fault>,
) -> (Page, usize) {
    // A client that was killed may have fetched pages beyond the position that it resumes from.
    let requested = account.events_before(query.start);
    let mut page = match (fault, session.previous_page) {
        (Some(Fault::StalePage), Some((first, end))) if first <= requested => {
            account.page_between(first, end, selection)
        }
        _ => account.page(query.start, selection),
    };
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

/// Cuts the page of a log in the order of time, as [`in_order_of_arrival`] does. All events count
/// as not sent before, because requests may read parts of the log side by side.
fn chronological(
    account: &mut Account,
    session: &mut Session,
    query: &PageQuery,
    selection: &Selection<'_>,
    fault: Option<&Fault>,
) -> (Page, usize) {
    let seconds = &query.filter.seconds;
    let requested = account.span(query.start, seconds, selection.visible);
    let span = match (fault, session.previous_span) {
        (Some(Fault::StalePage), Some(previous)) if previous.from <= requested.from => previous,
        _ => requested,
    };
    let mut page = account.page_of(span, selection);
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

#[cfg(test)]
mod tests {
    use super::*;

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
