//! [`EventFilter`]: the events that a program wants, among all that Box sends.
//!
//! Box selects an enterprise's events by type and time, and hardly any of a user's. A filter selects
//! by more fields, after the events have arrived. It reads only the fields that it names, in one
//! pass over the event's text. It does not know streams or positions: the fetcher of the engine
//! applies it. Start from [`EventFilter`].

mod ip_ranges;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::{Bound, RangeBounds};

use jiff::Timestamp;

pub use self::ip_ranges::IpRangeError;
use self::ip_ranges::IpRanges;
use super::cursor::JsonCursor;
use super::from_json::text;
use super::source::SourceHead;
use super::{Event, EventType};

/// A filter of events, by type, user, item, folder, IP address and time.
///
/// Pass it to [`LongPollClientBuilder::filter`](crate::LongPollClientBuilder::filter), or to
/// [`LongPollClient::filtered`](crate::LongPollClient::filtered) for a derived client. Streams then
/// deliver only the events that match. Or call [`matches`](Self::matches) yourself.
///
/// Several values of one criterion are alternatives, and several criteria must all hold. An event
/// that lacks the field of a criterion, or whose field has another shape than Box documents, does
/// not match. A new filter has no criterion, so every event matches it, even one that is not a JSON
/// object. Each method replaces the values of its criterion, and without values there is no such
/// criterion.
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
/// A filter saves your program work, and no traffic: Box sends all events, and their ids are
/// remembered to skip repeats. If Box can select the events, let it do so, and add a filter for the
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
/// A page without an event that matches moves the position like a page without events. A
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

    /// Accepts only events that users with these ids have caused: the id of
    /// [`created_by`](Event::created_by) or of [`action_by`](Event::action_by) is one of them.
    /// Default: all users.
    pub fn users<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.users = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only events that concern items with these ids: the event's
    /// [`source_id`](Event::source_id) is one of them. Default: all items.
    ///
    /// That is the id of the file, folder, web link, user, group or other source, under each name
    /// that Box uses for it. For a collaboration, it is the id of its item. A comment has an id of
    /// its own, so the id of its file does not match. An event's id is [`Event::id`], and does not
    /// count here.
    pub fn items<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.items = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only events that concern folders with these ids, and what is below them. Default:
    /// all events.
    ///
    /// The source is a folder with one of these ids, or its `parent` or a folder of its
    /// `path_collection` has one of them. Only the user streams send a `path_collection`. On the
    /// enterprise streams, a source is therefore recognized only directly in a folder, and not
    /// further below.
    ///
    /// Box describes the item at its place when the event is sent. An event about an item that has
    /// left a folder since then names the new place.
    pub fn folders<S: Into<String>>(mut self, ids: impl IntoIterator<Item = S>) -> Self {
        self.folders = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Accepts only events whose [`ip_address`](Event::ip_address) is one of these, or in one of
    /// these ranges. Default: all addresses. Only the enterprise streams send addresses.
    ///
    /// A range is a CIDR prefix, such as `192.0.2.0/24` or `2001:db8::/32`. The bits behind the
    /// prefix do not count. An IPv4 address equals its IPv4-mapped IPv6 form, so `::/0` contains
    /// all addresses.
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
    /// The range says itself if its ends belong to it: `midnight..` begins at midnight, and
    /// `..midnight` ends just before it. If a range ends before it begins, no event matches.
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
    /// The type and the time are compared first, which costs almost nothing. Each other criterion
    /// reads its field from the event's text.
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

    /// Compares the fields that are read from the event's text, if there is a criterion for one.
    fn matches_fields(&self, event: &Event) -> bool {
        let by_source = !self.items.is_empty() || !self.folders.is_empty();
        if self.users.is_empty() && self.ip_addresses.is_empty() && !by_source {
            return true;
        }
        let [created_by, action_by, ip_address, source] = members(
            event.cursor(),
            ["created_by", "action_by", "ip_address", "source"],
        );
        let by_user = || has_id_of(created_by, &self.users) || has_id_of(action_by, &self.users);
        (self.users.is_empty() || by_user())
            && (self.ip_addresses.is_empty() || self.matches_address(ip_address))
            && (!by_source || source.is_some_and(|source| self.matches_source(source)))
    }

    fn matches_address(&self, address: Option<JsonCursor<'_>>) -> bool {
        let address = address.and_then(|mut address| address.string());
        let address = address.and_then(|address| address.parse::<IpAddr>().ok());
        address.is_some_and(|address| self.ip_addresses.contains(address))
    }

    fn matches_source(&self, source: JsonCursor<'_>) -> bool {
        let head = SourceHead::read(source).unwrap_or_default();
        let is_one_of = |ids: &HashSet<String>| head.id.as_ref().is_some_and(|id| ids.contains(id));
        // A file may have the same id as a folder.
        let is_folder = || head.item_type.as_deref() == Some("folder") && is_one_of(&self.folders);
        (self.items.is_empty() || is_one_of(&self.items))
            && (self.folders.is_empty() || is_folder() || self.is_below(source))
    }

    /// Returns `true` if the source is in one of the folders, or further below.
    fn is_below(&self, source: JsonCursor<'_>) -> bool {
        let [parent, path] = members(source, ["parent", "path_collection"]);
        if has_id_of(parent, &self.folders) {
            return true;
        }
        let mut is_below = false;
        if let Some(mut folders) = path.and_then(|path| path.member("entries")) {
            folders.items(|folder| {
                is_below = is_below || has_id_of(Some(*folder), &self.folders);
                folder.skip();
            });
        }
        is_below
    }
}

/// Returns the members of an object with these names, without reading them. If a name occurs more
/// than once, the last member counts.
fn members<'a, const N: usize>(
    mut object: JsonCursor<'a>,
    names: [&str; N],
) -> [Option<JsonCursor<'a>>; N] {
    let mut found = [None; N];
    object.members(|name, value| {
        if let Some(place) = names.iter().position(|wanted| *wanted == name) {
            found[place] = Some(*value);
        }
        value.skip();
    });
    found
}

/// Returns `true` if the object has one of these ids.
fn has_id_of(object: Option<JsonCursor<'_>>, ids: &HashSet<String>) -> bool {
    let id = object.and_then(|object| object.member("id"));
    let id = id.and_then(|mut id| text(&mut id));
    id.is_some_and(|id| ids.contains(&*id))
}
