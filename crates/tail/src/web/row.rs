//! [`Row`]: an event on the page.

use box_longpoll::Event;
use serde::Serialize;

use crate::output::{what, who};

/// The longest text in a cell, in characters.
const LONGEST: usize = 100;

/// An event, as a row of the page's table.
#[derive(Clone, Serialize)]
pub(super) struct Row {
    /// The number of the event since the start of the program. The first event is number 1.
    pub(super) number: u64,
    created_at: Option<String>,
    event_type: String,
    who: String,
    what: String,
}

impl Row {
    pub(super) fn of(number: u64, event: &Event) -> Self {
        let event_type = event
            .event_type()
            .map_or_else(none, |kind| kind.as_str().into());
        Self {
            number,
            created_at: event.created_at().map(|time| time.to_string()),
            event_type: cut(event_type),
            who: cut(event.created_by().map_or_else(none, |user| who(&user))),
            what: cut(event.source().map_or_else(none, |source| what(&source))),
        }
    }
}

fn none() -> String {
    "-".into()
}

/// Shortens a text of the server, which may be of any length.
fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}
