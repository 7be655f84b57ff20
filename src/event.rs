//! Events, as [Box describes them](https://developer.box.com/reference/resources/event/).
//!
//! Box promises none of an event's fields, and adds types, sources and fields without notice. So nothing here fails:
//! a field that is missing, `null` or not of its documented shape is `None`, the others are not touched by it, and
//! [`Event::raw`] has every byte that came.
//!
//! Names in Box's JSON may repeat within one object, though they should not; the last one counts.
//!
//! Times are [`jiff::Timestamp`]s. The offset in which an event's own time is written is
//! [`Event::created_at_offset`]; any other one stands in the raw text.

mod access;
mod collaboration;
mod cursor;
pub(crate) mod envelope;
pub(crate) mod event_type;
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
pub use self::raw_json::{DecodeError, RawJson};
pub use self::resources::{
    AppItem, Classification, File, FileVersion, Folder, FolderMini, Item, PathCollection, WebLink,
};
pub use self::source::{OtherSource, Source};
pub use self::user::{Enterprise, Group, User, UserProfile};
