//! [`Event`], and the fields that all events have.
//!
//! An event is a slice of the page that Box sent. Its id, type and time are read when the page
//! arrives, because every stream needs them. The other accessors read the JSON text when they are
//! called, or all at once with [`Event::details`].

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
/// [`id`](Self::id), [`event_type`](Self::event_type) and [`created_at`](Self::created_at) are read
/// when the event arrives, so calling them costs nothing. Every other accessor reads the event's
/// JSON text when it is called. Call each of them once, or call [`details`](Self::details) if you
/// need most of the fields.
///
/// An accessor returns `None` if the field is missing, `null`, or not of its documented shape.
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
/// An event shares the memory of its page. Cloning copies nothing, but a single event keeps the
/// complete page allocated. [`into_owned`](Self::into_owned) copies the event out of its page.
///
/// # Serde
///
/// An event can be stored with any serde format and read back.
///
/// In JSON, YAML and other text formats, an event is written as its object. Storing and reading it
/// may change the text of [`raw`](Self::raw). White space is removed. If a name occurs more than
/// once, only its last value stays. The order of names and the spelling of numbers may change. A
/// number that does not fit into 64 bits is rounded.
///
/// In binary formats, an event is written as its exact text, in a field `box_event_json`. Text
/// formats do the same if they can't represent the object exactly. Examples are an event that is
/// nested more than 64 levels deep, and one that is not an object.
///
/// Two events are equal if their texts are equal, because all other fields are read from the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    id: Id,
    kind: Option<EventType>,
    /// The time since `Timestamp::MIN`. An optional `Timestamp` takes 24 bytes, and this takes 16.
    created_at: Option<Duration>,
}

/// The id of an event, without a copy of it if possible.
#[derive(Clone, PartialEq, Eq)]
enum Id {
    /// The event has no id that can be read.
    Missing,
    /// The place of the id in the event's text, in bytes.
    At(Range<usize>),
    /// The id, if the text has it with escapes.
    Decoded(Box<str>),
}

impl Event {
    /// Creates an event from its JSON text: one valid value, in UTF-8, without white space around
    /// it.
    pub(crate) fn from_raw(raw: &Bytes) -> Self {
        Self::on_page(raw, as_str(raw))
    }

    /// Creates an event from its JSON text, which is a part of `page`.
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

    /// Returns the id of this event (`event_id`). Box may send an event more than once, and repeats
    /// have the same id.
    ///
    /// If the id is a number, this returns its digits. `None` means that the event has no id by
    /// which you could recognize repeats.
    #[must_use]
    #[doc(alias = "event_id")]
    pub fn id(&self) -> Option<&str> {
        match &self.id {
            Id::Missing => None,
            Id::At(range) => Some(as_str(&self.raw[range.clone()])),
            Id::Decoded(id) => Some(id),
        }
    }

    /// Returns the type of the event, such as [`EventType::ItemUpload`].
    #[must_use]
    pub fn event_type(&self) -> Option<&EventType> {
        self.kind.as_ref()
    }

    /// Returns the time at which the event happened. Events do not arrive in the order of these
    /// times.
    #[must_use]
    pub fn created_at(&self) -> Option<Timestamp> {
        Timestamp::MIN.checked_add(self.created_at?).ok()
    }

    /// Returns the offset from UTC in which Box wrote [`created_at`](Self::created_at). Box's
    /// servers choose this offset, and it does not depend on the user.
    ///
    /// It is `None` if, and only if, `created_at` is `None`.
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
        let text = self.cursor().member("created_at")?.string()?;
        Pieces::parse(&text[..]).ok()?.to_numeric_offset()
    }

    /// Returns the time at which Box recorded the event.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.read("recorded_at")
    }

    /// Returns the user who caused the event. [`User::is_anonymous`] recognizes a person who is not
    /// logged in.
    #[must_use]
    pub fn created_by(&self) -> Option<User> {
        self.read("created_by")
    }

    /// Returns the id of the session in which the user caused the event.
    #[must_use]
    pub fn session_id(&self) -> Option<String> {
        self.read("session_id")
    }

    /// Returns the item, user or group that the event concerns.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        self.read("source")
    }

    /// Returns [`Source::name`] of the [`source`](Self::source), and reads no more of the source
    /// than necessary.
    #[must_use]
    pub fn source_name(&self) -> Option<String> {
        self.source_head()?.name
    }

    /// Returns [`Source::id`] of the [`source`](Self::source), and reads no more of the source than
    /// necessary.
    #[must_use]
    pub fn source_id(&self) -> Option<String> {
        self.source_head()?.id
    }

    /// Returns [`Source::item_type`] of the [`source`](Self::source), such as `file`, and reads no
    /// more of the source than necessary.
    #[must_use]
    pub fn source_type(&self) -> Option<String> {
        self.source_head()?.item_type
    }

    /// Returns more details, in a shape that depends on the event type. Only enterprise streams
    /// send them.
    #[must_use]
    pub fn additional_details(&self) -> Option<RawJson> {
        self.read("additional_details")
    }

    /// Returns the administrator, or Box's support (id `box_support`), who acted on a user's
    /// account. Only enterprise streams send it.
    #[must_use]
    pub fn action_by(&self) -> Option<User> {
        self.read("action_by")
    }

    /// Returns the IP address of the user who caused the event. Only enterprise streams send it.
    #[must_use]
    pub fn ip_address(&self) -> Option<String> {
        self.read("ip_address")
    }

    /// Returns the user or group that gets access. [`user_type`](User::user_type) tells the two
    /// apart. Only enterprise streams send it.
    #[must_use]
    pub fn accessible_by(&self) -> Option<User> {
        self.read("accessible_by")
    }

    /// Returns the fields of the accessors above, read in one pass over the text. [`id`](Self::id),
    /// [`event_type`](Self::event_type) and [`created_at`](Self::created_at) are not among them,
    /// because they cost nothing.
    #[must_use]
    pub fn details(&self) -> EventDetails {
        EventDetails::from_json(&mut self.cursor()).unwrap_or_default()
    }

    /// Returns any field by its name in Box's JSON, for fields without an accessor. A `null` is a
    /// field like any other.
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
        self.cursor()
            .member(name)
            .map(|mut value| RawJson::new(value.raw()))
    }

    /// Returns the event's JSON text, byte for byte as Box sent it.
    #[must_use]
    pub fn raw(&self) -> &str {
        as_str(&self.raw)
    }

    /// Copies the event into memory of its own. Use this for the few events that you keep for a
    /// long time, so that their pages, of up to 500 events each, are freed.
    #[must_use]
    pub fn into_owned(self) -> Self {
        Self {
            raw: Bytes::copy_from_slice(&self.raw),
            ..self
        }
    }

    /// Reads one field of the event. If the name occurs more than once, the last field counts.
    fn read<T: FromJson>(&self, name: &str) -> Option<T> {
        let mut value = self.cursor().member(name)?;
        T::from_json(&mut value)
    }

    fn source_head(&self) -> Option<SourceHead> {
        SourceHead::read(self.cursor().member("source")?)
    }

    pub(super) fn cursor(&self) -> JsonCursor<'_> {
        JsonCursor::over(&self.raw, self.raw())
    }
}

impl Id {
    fn from_json(value: &mut JsonCursor<'_>) -> Self {
        let start = value.at();
        let json = value.value();
        match json.as_bytes() {
            [b'"', id @ .., b'"'] if id.contains(&b'\\') => {
                // An unpaired surrogate is not valid text. If it were replaced, two ids might
                // become equal, and an event would be dropped as a repeat.
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
    /// The fields of an event that are read from its JSON text: see [`Event::details`].
    pub struct EventDetails {
        /// The value of [`Event::recorded_at`].
        "recorded_at" => pub recorded_at: Option<Timestamp>,
        /// The value of [`Event::created_by`].
        "created_by" => pub created_by: Option<User>,
        /// The value of [`Event::session_id`].
        "session_id" => pub session_id: Option<String>,
        /// The value of [`Event::source`].
        "source" => pub source: Option<Source>,
        /// The value of [`Event::additional_details`].
        "additional_details" => pub additional_details: Option<RawJson>,
        /// The value of [`Event::action_by`].
        "action_by" => pub action_by: Option<User>,
        /// The value of [`Event::ip_address`].
        "ip_address" => pub ip_address: Option<String>,
        /// The value of [`Event::accessible_by`].
        "accessible_by" => pub accessible_by: Option<User>,
    }
}
