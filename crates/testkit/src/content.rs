//! The content of an event in a log: a JSON text, or a number from which the text is made.
//!
//! A log of a million events would take a gigabyte as text. So past events are stored as numbers,
//! and their JSON is made for the pages that show them. Start from [`Content`].

use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use crate::PastEvents;
use crate::clock::parse_rfc3339;

/// The content of an event.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// The JSON text.
    Text(Arc<str>),
    /// The event of this number among past events.
    Past(Arc<PastEvents>, u32),
}

/// The fields of an event that the emulator reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EventHead {
    pub(crate) event_id: Value,
    pub(crate) event_type: Value,
    pub(crate) created_at: Value,
}

impl EventHead {
    pub(crate) fn of(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}

impl From<Arc<str>> for Content {
    fn from(json: Arc<str>) -> Self {
        Self::Text(json)
    }
}

impl Content {
    pub(crate) fn json(&self) -> Arc<str> {
        match self {
            Self::Text(json) => Arc::clone(json),
            Self::Past(events, number) => events.json(*number).into(),
        }
    }

    /// Returns the ID if it is a text.
    pub(crate) fn id(&self) -> Option<String> {
        match self {
            Self::Text(json) => match EventHead::of(json).event_id {
                Value::String(id) => Some(id),
                _ => None,
            },
            Self::Past(events, number) => Some(events.id(*number)),
        }
    }

    /// Returns `true` if the event is of one of these types.
    pub(crate) fn is_of(&self, types: &[String]) -> bool {
        match self {
            Self::Text(json) => {
                let event_type = EventHead::of(json).event_type;
                types.iter().any(|name| event_type == name.as_str())
            }
            Self::Past(events, number) => {
                let event_type = events.event_type(*number);
                types.iter().any(|name| name == event_type)
            }
        }
    }

    /// Returns the time at which the event happened, in complete seconds since 1970. Returns `None`
    /// if its `created_at` can't be read.
    pub(crate) fn created_unix(&self) -> Option<i64> {
        match self {
            Self::Text(json) => parse_rfc3339(EventHead::of(json).created_at.as_str()?),
            Self::Past(events, number) => Some(events.created_unix(*number)),
        }
    }

    /// Returns the number of bytes that are stored for the event.
    pub(crate) fn stored_bytes(&self) -> usize {
        match self {
            Self::Text(json) => json.len(),
            Self::Past(..) => size_of::<Self>(),
        }
    }
}
