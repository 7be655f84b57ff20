//! [`EventFilter`]: the events that a program wants, among all that Box sends.
//!
//! Box selects an enterprise's events by type and time, and hardly any of a user's. A filter
//! selects by more fields, after the events have arrived. It reads only the fields that it names,
//! in one pass over the event's text. It does not know streams or positions: the fetcher of the
//! engine applies it. Start from [`EventFilter`].

mod ip_ranges;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::{Bound, RangeBounds};

use jiff::Timestamp;

pub use self::ip_ranges::IpRangeError;
use self::ip_ranges::IpRanges;
use super::cursor::JsonCursor;
use super::from_json::text;
use super::source::{SourceHead, has_plain_names};
use super::{Event, EventType};

/// A filter of events, by type, user, item, folder, IP address and time.
///
/// Pass it to [`LongPollClientBuilder::filter`](crate::LongPollClientBuilder::filter), or to
/// [`LongPollClient::filtered`](crate::LongPollClient::filtered) for a derived client. Streams then
/// deliver only the events that match. Or call [`matches`](Self::matches) yourself.
///
/// An event must match every criterion, and it matches a criterion if it matches one of its values.
/// An event does not match if it lacks the field of a criterion, or if that field is not as Box
/// documents it. A new filter has no criterion, so every event matches it, even one that is not a
/// JSON object. Each method replaces the values of its criterion. If you pass no values, the method
/// removes the criterion.
///
/// ```
/// use box_longpoll::Event;
/// use box_longpoll::event::{EventFilter, IpRangeError};
///
/// /// Returns a filter for downloads from the folder 4711 that come from the office.
/// fn downloads() -> Result<EventFilter, IpRangeError> {
///     EventFilter::new()
///         .event_types(["DOWNLOAD", "ITEM_DOWNLOAD"])
///         .folders(["4711"])
///         .ip_addresses(["192.0.2.0/24", "2001:db8::7"])
/// }
/// # let json = |ip| format!(r#"{{"event_type":"DOWNLOAD","ip_address":"{ip}",
/// #     "source":{{"item_type":"file","item_id":"1","parent":{{"id":"4711"}}}}}}"#);
/// # let matches = |ip| {
/// #     let event: Event = serde_json::from_str(&json(ip)).unwrap();
/// #     downloads().unwrap().matches(&event)
/// # };
/// # assert!(matches("192.0.2.99") && matches("2001:db8::7") && !matches("192.0.3.1"));
/// ```
///
/// # Prefer the filters of Box
///
/// A filter saves your program work, but no traffic: Box sends all events, and the stream remembers
/// their ids to skip repeats. If Box can select the events, let it do so, and add a filter for the
/// rest:
///
/// | events | selected by Box |
/// |---|---|
/// | an enterprise's live events | [`AdminLogsStreaming::event_types`](crate::enterprise::AdminLogsStreaming::event_types) |
/// | an enterprise's past events | [`AdminLogs::event_types`](crate::enterprise::AdminLogs::event_types), [`created_after`](crate::enterprise::AdminLogs::created_after) and [`created_before`](crate::enterprise::AdminLogs::created_before) |
/// | a user's events | [`LongPollClientBuilder::stream_type`](crate::LongPollClientBuilder::stream_type): all events, or those that may change the tree of files and folders |
///
/// # Positions and checkpoints
///
/// If no event of a page matches, the page only moves the position, like a page without events. A
/// subscription's checkpoint moves past such events without an acknowledgement, or by
/// [`Update::Moved`](crate::Update::Moved) if your program stores checkpoints. A position belongs
/// to the stream and not to the filter. If you resume with another filter, you get the events after
/// the position that match the new filter, and none from before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct EventFilter {
    event_types: HashSet<EventType>,
    users: HashSet<String>,
    items: HashSet<String>,
    folders: HashSet<String>,
    ip_addresses: IpRanges,
    created_at: Option<(Bound<Timestamp>, Bound<Timestamp>)>,
}

impl EventFilter {
    /// Creates a filter that every event matches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Accepts only events of these types. Default: all types.
    ///
    /// For an enterprise's events, prefer
    /// [`AdminLogsStreaming::event_types`](crate::enterprise::AdminLogsStreaming::event_types),
    /// which saves traffic.
    pub fn event_types<E: Into<EventType>>(mut self, types: impl IntoIterator<Item = E>) -> Self {
        // A name that a caller has put into `EventType::Other` may have a variant by now.
        let known = |event_type: E| EventType::from(event_type.into().as_str());
        self.event_types = types.into_iter().map(known).collect();
        self
    }

    /// Accepts only events that users with these ids have caused: one of the ids is that of
    /// [`created_by`](Event::created_by) or [`action_by`](Event::action_by). Default: all users.
    pub fn users<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.users = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only events that concern items with these ids: the event's
    /// [`source_id`](Event::source_id) is one of them. Default: all items.
    ///
    /// That is the id of the file, folder, web link, user, group or other source, whichever name
    /// Box gives the field. For a collaboration, it is the id of its item. A comment has an id of
    /// its own, so the id of its file does not match. The event's own id, [`Event::id`], does not
    /// count here.
    pub fn items<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.items = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only events that concern folders with these ids, or anything below them. Default:
    /// all events.
    ///
    /// An event matches if its source is a folder with one of these ids, or if the source's
    /// `parent` or a folder in its `path_collection` has one of them. Only the user streams send a
    /// `path_collection`. On the enterprise streams, an item therefore matches only if it is
    /// directly in the folder, and not further below.
    ///
    /// Box names the place that an item has when Box sends the event, not when the event happened.
    /// If the item was moved in between, its event names the new place.
    pub fn folders<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.folders = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only events whose [`ip_address`](Event::ip_address) is one of these, or in one of
    /// these ranges. Default: all addresses. Only the enterprise streams send addresses.
    ///
    /// A range is a CIDR prefix, such as `192.0.2.0/24` or `2001:db8::/32`. The bits after the
    /// prefix are ignored. An IPv4 address equals its IPv4-mapped IPv6 form, so `::/0` contains all
    /// addresses.
    ///
    /// # Errors
    ///
    /// [`IpRangeError`] if a text is neither an address nor a range. The error shows the text.
    pub fn ip_addresses<S: AsRef<str>>(
        mut self,
        ranges: impl IntoIterator<Item = S>,
    ) -> Result<Self, IpRangeError> {
        self.ip_addresses = IpRanges::parse(ranges)?;
        Ok(self)
    }

    /// Accepts only events whose [`created_at`](Event::created_at) is in this range. Default: all
    /// times.
    ///
    /// The kind of range decides whether its ends are included: `midnight..` begins at midnight,
    /// and `..midnight` ends just before it. If a range ends before it begins, no event matches.
    ///
    /// For an enterprise's past events, prefer
    /// [`AdminLogs::created_after`](crate::enterprise::AdminLogs::created_after) and
    /// [`created_before`](crate::enterprise::AdminLogs::created_before), which save traffic.
    ///
    /// ```
    /// # use box_longpoll::event::EventFilter;
    /// # use jiff::{SignedDuration, Timestamp};
    /// # fn filters(midnight: Timestamp) {
    /// let yesterday = midnight - SignedDuration::from_hours(24);
    /// let of_yesterday = EventFilter::new().created_at(yesterday..midnight);
    /// let of_today = EventFilter::new().created_at(midnight..);
    /// # }
    /// ```
    pub fn created_at(mut self, range: impl RangeBounds<Timestamp>) -> Self {
        let ends = (range.start_bound().cloned(), range.end_bound().cloned());
        let is_bounded = ends != (Bound::Unbounded, Bound::Unbounded);
        self.created_at = is_bounded.then_some(ends);
        self
    }

    /// Returns `true` if the event matches all criteria.
    ///
    /// The type and the time are compared first, which costs almost nothing. If there is another
    /// criterion, the event's text is read once, and only the fields that the filter names are
    /// decoded. That takes one to two times as long as reading one field by an accessor.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.matches_type(event) && self.matches_time(event) && self.matches_fields(event)
    }

    fn matches_type(&self, event: &Event) -> bool {
        let is_wanted = |event_type| self.event_types.contains(event_type);
        self.event_types.is_empty() || event.event_type().is_some_and(is_wanted)
    }

    fn matches_time(&self, event: &Event) -> bool {
        let is_in = |range: (Bound<_>, Bound<_>)| {
            let created_at = event.created_at();
            created_at.is_some_and(|created_at| range.contains(&created_at))
        };
        self.created_at.is_none_or(is_in)
    }

    /// Compares the fields that are read from the event's text, in one pass. If a name occurs more
    /// than once, the last one counts.
    fn matches_fields(&self, event: &Event) -> bool {
        let by_user = !self.users.is_empty();
        let by_address = !self.ip_addresses.is_empty();
        let by_source = !self.items.is_empty() || !self.folders.is_empty();
        if !by_user && !by_address && !by_source {
            return true;
        }
        let (mut created_by, mut action_by, mut address, mut source) = (false, false, false, false);
        event.cursor().members(|name, value| match name {
            "created_by" if by_user => created_by = has_id_of(value, &self.users),
            "action_by" if by_user => action_by = has_id_of(value, &self.users),
            "ip_address" if by_address => address = self.matches_address(value),
            "source" if by_source => source = self.matches_source(value),
            _ => value.skip(),
        });
        (!by_user || created_by || action_by) && (!by_address || address) && (!by_source || source)
    }

    fn matches_address(&self, address: &mut JsonCursor<'_>) -> bool {
        let address = address.string().and_then(|text| text.parse().ok());
        address.is_some_and(|address| self.ip_addresses.contains(address))
    }

    fn matches_source(&self, source: &mut JsonCursor<'_>) -> bool {
        let start = *source;
        let (mut kind, mut id) = (None, None);
        let (mut is_in_folder, mut is_below) = (false, false);
        let by_folder = !self.folders.is_empty();
        source.members(|name, value| match name {
            "type" => kind = value.string(),
            "id" => id = text(value),
            "parent" if by_folder => is_in_folder = has_id_of(value, &self.folders),
            "path_collection" if by_folder => is_below = self.is_on_path(value),
            _ => value.skip(),
        });
        if !kind.as_deref().is_some_and(has_plain_names) || id.is_none() {
            let head = SourceHead::read(start).unwrap_or_default();
            (kind, id) = (head.item_type.map(Cow::Owned), head.id.map(Cow::Owned));
        }
        let is_one_of = |ids: &HashSet<String>| id.as_deref().is_some_and(|id| ids.contains(id));
        // A file may have the same id as a folder.
        let is_folder = || kind.as_deref() == Some("folder") && is_one_of(&self.folders);
        (self.items.is_empty() || is_one_of(&self.items))
            && (!by_folder || is_in_folder || is_below || is_folder())
    }

    /// Returns `true` if one of the folders is in a `path_collection`.
    fn is_on_path(&self, path: &mut JsonCursor<'_>) -> bool {
        let mut is_on_path = false;
        path.members(|name, value| match name {
            "entries" => {
                is_on_path = false;
                value.items(|folder| is_on_path |= has_id_of(folder, &self.folders));
            }
            _ => value.skip(),
        });
        is_on_path
    }
}

/// Returns `true` if the value is an object with one of these ids. Moves past the value.
fn has_id_of(value: &mut JsonCursor<'_>, ids: &HashSet<String>) -> bool {
    let mut has_id = false;
    value.members(|name, value| match name {
        "id" => has_id = text(value).is_some_and(|id| ids.contains(&*id)),
        _ => value.skip(),
    });
    has_id
}
