//! Events, as [Box describes them](https://developer.box.com/reference/resources/event/), and the
//! types of their fields.
//!
//! Start from [`Event`], and from [`Source`] for the item that an event concerns. Box
//! guarantees none of an event's fields, and adds types, sources and fields without notice. So
//! reading an event never fails. A field that is missing, `null`, or not of its documented shape is
//! `None`, and does not affect the other fields. [`Event::raw`] has every byte that Box sent.
//!
//! An [`EventFilter`] selects the events that a stream delivers.
//!
//! If a name occurs more than once in a JSON object, the last one counts.
//!
//! Times are [`jiff::Timestamp`]s. [`Event::created_at_offset`] returns the UTC offset in which Box
//! wrote an event's own time. The offsets of other times are only in the raw text.

mod access;
mod collaboration;
mod cursor;
pub(crate) mod envelope;
pub(crate) mod event_type;
mod filter;
mod from_json;
mod raw_json;
mod resources;
mod serialize;
mod source;
#[cfg(test)]
mod tests;
mod user;

pub use self::access::{FolderUploadEmail, Lock, SharedLink, SharedLinkPermissions};
pub use self::collaboration::{Collaboration, GroupSource};
pub(crate) use self::envelope::Event;
pub use self::envelope::EventDetails;
pub(crate) use self::event_type::EventType;
pub use self::filter::{EventFilter, IpRangeError};
pub use self::raw_json::{DecodeError, RawJson};
pub use self::resources::{
    AppItem, Classification, File, FileVersion, Folder, FolderMini, Item, PathCollection, WebLink,
};
pub use self::source::{OtherSource, Source};
pub use self::user::{Enterprise, Group, User, UserProfile};
