//! The time up to which a page proves that every event has been fetched: all events that were
//! created before it.
//!
//! All proofs rest on one assumption: Box shows an event at most the
//! [`event_delay`](crate::LongPollClientBuilder::event_delay) after it was created. A page then
//! proves a time in one of these ways:
//!
//! - It ends a drain. All events that Box showed before the request have been fetched.
//! - It brings new events. Box only appends to a stream, so all later events appear after these.
//! - It ends a query. Box sorts a query by time, so an event that appears late may lie before the
//!   position. No page of the query misses the events that Box showed before the query began.
//!
//! A page that is not full proves nothing by itself, because Box may send short pages in the middle
//! of a backlog. Start at [`complete_until`].

use std::time::SystemTime;

use super::mode::AfterPage;
use super::state::PageOutcome;
use crate::config::{Config, StreamKind};
use crate::position::StreamPosition;

/// Returns the time up to which a page proves that every event after the start of the stream has
/// been fetched. `began` is the start of the stream by the client's clock.
pub(super) fn complete_until(
    config: &Config,
    began: SystemTime,
    page: &PageOutcome,
    after: &AfterPage,
) -> Option<SystemTime> {
    let shown = match after {
        // More events may follow a full page, and a circle of pages never reaches them.
        AfterPage::EndDrain | AfterPage::Finish if page.is_full || page.circles => None,
        AfterPage::Finish => Some(began.min(page.requested_at)),
        AfterPage::EndDrain => {
            // A position that moves by itself may still lie before later events. Only those of an
            // enterprise contain a time: a user's may look the same, and mean something else.
            let has_time = page.moved && matches!(config.stream_kind, StreamKind::Streaming(_));
            let position = page.to.position().filter(|_| has_time);
            let reached = position.and_then(StreamPosition::time);
            Some(reached.map_or(page.requested_at, |time| time.min(page.requested_at)))
        }
        _ if page.moved => Some(page.requested_at.min(page.newest?)),
        _ => None,
    };
    let until = shown?.checked_sub(config.event_delay)?;
    match &config.stream_kind {
        StreamKind::History(_) if !matches!(after, AfterPage::Finish) => None,
        StreamKind::History(query) => Some(query.range.end().map_or(until, |end| end.min(until))),
        StreamKind::User(_) | StreamKind::Streaming(_) => Some(until),
    }
}
