//! An event, and the fields that all events have.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;

use super::cursor::{JsonCursor, as_str};
use super::from_json::{FromJson, record};
use super::source::SourceHead;
use super::{EventType, RawJson, Source, User};

/// Something that happened in a Box account.
///
/// [`id`](Self::id), [`event_type`](Self::event_type) and [`created_at`](Self::created_at) are read once and cost
/// nothing after that. Every other accessor reads through the event's JSON text when it is called: take what you need
/// once, or call [`details`](Self::details) if you need most of it.
///
/// ```
/// use box_longpoll::Event;
///
/// fn line(event: &Event) -> String {
///     let what = event.event_type().map_or("?", |event_type| event_type.as_str());
///     let name = event.source_name().unwrap_or_default();
///     format!("{what} {name}")
/// }
/// # let json = r#"{"event_type":"ITEM_UPLOAD","source":{"type":"file","name":"plan.pdf"}}"#;
/// # assert_eq!(line(&serde_json::from_str(json).unwrap()), "ITEM_UPLOAD plan.pdf");
/// ```
///
/// # Memory
///
/// An event shares the memory of the page that it came with: cloning one copies nothing, but a single event keeps its
/// whole page allocated. [`into_owned`](Self::into_owned) cuts that tie.
///
/// # Serde
///
/// An event can be stored with any serde format and read back. JSON, YAML and other text formats get it as the object
/// that it is; going through that object may change the text of [`raw`](Self::raw): white space goes, a repeated name
/// stays once, the order of names and the spelling of numbers may change, and a number of more digits than 64 bits hold
/// is rounded. Binary formats get the exact text, in a field `box_event_json`, and so do text formats where the object
/// can't be written faithfully (it is nested more than 64 deep, say, or is no object).
///
/// Two events are equal when their texts are: all else in them is read from the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    id: Id,
    kind: Option<EventType>,
    /// Since `Timestamp::MIN`: an optional `Timestamp` takes 24 bytes, and this takes 16.
    created_at: Option<Duration>,
}

#[derive(Clone, PartialEq, Eq)]
enum Id {
    Missing,
    /// Where the id stands in the event's text.
    At(Range<usize>),
    /// An id that is written with escapes.
    Decoded(Box<str>),
}

impl Event {
    /// An event from its JSON text: one valid value, in UTF-8, without white space around it.
    pub(crate) fn from_raw(raw: &Bytes) -> Self {
        Self::on_page(raw, as_str(raw))
    }

    /// An event from its JSON text on a page.
    pub(crate) fn on_page(page: &Bytes, text: &str) -> Self {
        let raw = page.slice_ref(text.as_bytes());
        let (mut id, mut kind, mut created_at) = (Id::Missing, None, None);
        JsonCursor::over(&raw, text).members(|name, value| match name {
            "event_id" => id = Id::from_json(value),
            "event_type" => kind = EventType::from_json(value),
            "created_at" => created_at = Timestamp::from_json(value),
            _ => value.skip(),
        });
        let since_min = |time: Timestamp| time.duration_since(Timestamp::MIN).unsigned_abs();
        Self {
            raw,
            id,
            kind,
            created_at: created_at.map(since_min),
        }
    }

    /// What names this event (`event_id`). Box may send an event more than once: its repeats have the same id.
    ///
    /// A number counts by its digits. `None` means that there is no id to tell repeats by.
    #[must_use]
    #[doc(alias = "event_id")]
    pub fn id(&self) -> Option<&str> {
        match &self.id {
            Id::Missing => None,
            Id::At(range) => Some(as_str(&self.raw[range.clone()])),
            Id::Decoded(id) => Some(id),
        }
    }

    /// What happened.
    #[must_use]
    pub fn event_type(&self) -> Option<&EventType> {
        self.kind.as_ref()
    }

    /// Returns the time at which it happened. Events do not come in this order.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        Timestamp::MIN.checked_add(self.created_at?).ok()
    }

    /// Returns the offset from UTC in which Box wrote [`created_at`](Self::created_at). It is the one of Box's servers, and
    /// says nothing about the user.
    ///
    /// `None` exactly if there is no `created_at`.
    ///
    /// ```
    /// # let json = r#"{"created_at":"2026-11-30T12:00:00-08:00"}"#;
    /// # let event: box_longpoll::Event = serde_json::from_str(json).unwrap();
    /// let (time, offset) = (event.created_at().unwrap(), event.created_at_offset().unwrap());
    /// assert_eq!(time.to_string(), "2026-11-30T20:00:00Z");
    /// assert_eq!(time.display_with_offset(offset).to_string(), "2026-11-30T12:00:00-08:00");
    /// ```
    #[must_use]
    pub fn created_at_offset(&self) -> Option<Offset> {
        self.created_at?;
        let text = self.walk().member("created_at")?.string()?;
        Pieces::parse(&text[..]).ok()?.to_numeric_offset()
    }

    /// When Box wrote the event down.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.read("recorded_at")
    }

    /// Who did it. See [`User::is_anonymous`] for somebody who is not logged in.
    #[must_use]
    pub fn created_by(&self) -> Option<User> {
        self.read("created_by")
    }

    /// The session in which the user did it.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        self.read("session_id")
    }

    /// What it happened to.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.read("source")
    }

    /// Returns [`Source::name`] of the [`source`](Self::source), without reading more of it than that needs.
    #[must_use]
    pub fn source_name(&self) -> Option<String> {
        self.source_head()?.name
    }

    /// Returns [`Source::id`] of the [`source`](Self::source), without reading more of it than that needs.
    #[must_use]
    pub fn source_id(&self) -> Option<String> {
        self.source_head()?.id
    }

    /// Returns [`Source::item_type`] of the [`source`](Self::source), such as `file`, without reading more of it than that
    /// needs.
    #[must_use]
    pub fn source_type(&self) -> Option<String> {
        self.source_head()?.item_type
    }

    /// More about the event, in a shape that depends on its type. Enterprise streams only.
    #[must_use]
    pub fn additional_details(&self) -> Option<RawJson> {
        self.read("additional_details")
    }

    /// The administrator, or Box's support (id `box_support`), who acted on a user's account. Enterprise streams only.
    #[must_use]
    pub fn action_by(&self) -> Option<User> {
        self.read("action_by")
    }

    /// The IP address that it was done from. Enterprise streams only.
    #[must_use]
    pub fn ip_address(&self) -> Option<String> {
        self.read("ip_address")
    }

    /// The user, or the group as [`user_type`](User::user_type) says, to whom access is given. Enterprise streams only.
    #[must_use]
    pub fn accessible_by(&self) -> Option<User> {
        self.read("accessible_by")
    }

    /// All that the accessors above read, but for what costs nothing anyway, in one pass over the text.
    #[must_use]
    pub fn details(&self) -> EventDetails {
        EventDetails::from_json(&mut self.walk()).unwrap_or_default()
    }

    /// Any field by its name in Box's JSON, for what has no accessor; a `null` is a field like any other.
    ///
    /// ```
    /// # let json = r#"{"source":{"type":"file","permissions":{"can_download":true}}}"#;
    /// # let event: box_longpoll::Event = serde_json::from_str(json).unwrap();
    /// let permissions = event.field("source").and_then(|source| source.field("permissions"));
    /// let can_download = permissions.and_then(|permissions| permissions.field("can_download"));
    /// assert!(can_download.unwrap().decode::<bool>().unwrap());
    /// ```
    #[must_use]
    pub fn field(&self, name: &str) -> Option<RawJson> {
        self.walk()
            .member(name)
            .map(|mut value| RawJson::new(value.raw()))
    }

    /// The event's JSON text, byte for byte as Box sent it.
    #[must_use]
    pub fn raw(&self) -> &str {
        as_str(&self.raw)
    }

    /// The same event in memory of its own, which copies the text. For the few events that are kept for long, so that
    /// their pages, of up to 500 events each, can go.
    #[must_use]
    pub fn into_owned(self) -> Self {
        Self {
            raw: Bytes::copy_from_slice(&self.raw),
            ..self
        }
    }

    fn read<T: FromJson>(&self, name: &str) -> Option<T> {
        let mut value = self.walk().member(name)?;
        T::from_json(&mut value)
    }

    fn source_head(&self) -> Option<SourceHead> {
        SourceHead::read(self.walk().member("source")?)
    }

    fn walk(&self) -> JsonCursor<'_> {
        JsonCursor::over(&self.raw, self.raw())
    }
}

impl Id {
    fn from_json(value: &mut JsonCursor<'_>) -> Self {
        let start = value.at();
        let json = value.value();
        match json.as_bytes() {
            [b'"', id @ .., b'"'] if id.contains(&b'\\') => {
                // Half a surrogate pair is no text. To replace it could make two ids one, and lose an event as a repeat.
                serde_json::from_str(json).map_or(Self::Missing, Self::Decoded)
            }
            [b'"', id @ .., b'"'] if !id.is_empty() => Self::At(start + 1..start + 1 + id.len()),
            [b'-' | b'0'..=b'9', ..] => Self::At(start..start + json.len()),
            _ => Self::Missing,
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id())
            .field("event_type", &self.kind)
            .field("created_at", &self.created_at())
            .field("raw_len", &self.raw.len())
            .finish_non_exhaustive()
    }
}

record! {
    /// An event's fields, but for the three that [`Event`] gives without reading: see [`Event::details`].
    pub struct EventDetails {
        /// See [`Event::recorded_at`].
        "recorded_at" => pub recorded_at: Option<Timestamp>,
        /// See [`Event::created_by`].
        "created_by" => pub created_by: Option<User>,
        /// See [`Event::session_id`].
        "session_id" => pub session_id: Option<String>,
        /// See [`Event::source`].
        "source" => pub source: Option<Source>,
        /// See [`Event::additional_details`].
        "additional_details" => pub additional_details: Option<RawJson>,
        /// See [`Event::action_by`].
        "action_by" => pub action_by: Option<User>,
        /// See [`Event::ip_address`].
        "ip_address" => pub ip_address: Option<String>,
        /// See [`Event::accessible_by`].
        "accessible_by" => pub accessible_by: Option<User>,
    }
}
