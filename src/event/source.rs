use std::borrow::Cow;

use super::read::{Read, Record, record};
use super::walk::Walk;
use super::{AppItem, File, Folder, Item, RawJson, User, WebLink};

/// What an event happened to.
///
/// Which shape comes depends on the event's type and on the stream. Box gives no promise, so read it with a fallback;
/// [`id`](Self::id), [`name`](Self::name) and [`item_type`](Self::item_type) work for all of them. Whatever a typed
/// shape has no field for is reached through [`Event::field`](super::Event::field).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A user: logins, for instance, and changes to an account.
    User(User),
    /// A file: what the user streams send for changes to files.
    File(Box<File>),
    /// A folder: what the user streams send for changes to folders.
    Folder(Box<Folder>),
    /// A bookmark.
    WebLink(Box<WebLink>),
    /// A file or a folder in the short form of the enterprise streams.
    Item(Box<Item>),
    /// An item of one of Box's apps, such as a hub.
    AppItem(Box<AppItem>),
    /// Anything else, down to a value that is no object at all. Decode [`json`](OtherSource::json).
    Other(OtherSource),
}

/// A source of a shape that this crate has no type for, such as a collaboration, or the free maps of Box Shield.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherSource {
    /// Its `type`.
    pub item_type: Option<String>,
    /// Its `id`.
    pub id: Option<String>,
    /// Its `name`.
    pub name: Option<String>,
    /// All of it.
    pub json: RawJson,
}

impl Source {
    /// The id of the user, file, folder, …
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::User(user) => user.id.as_deref(),
            Self::File(file) => file.id.as_deref(),
            Self::Folder(folder) => folder.id.as_deref(),
            Self::WebLink(link) => link.id.as_deref(),
            Self::Item(item) => item.item_id.as_deref(),
            Self::AppItem(item) => item.id.as_deref(),
            Self::Other(other) => other.id.as_deref(),
        }
    }

    /// The name of the user, file, folder, …; app items have none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::User(user) => user.name.as_deref(),
            Self::File(file) => file.name.as_deref(),
            Self::Folder(folder) => folder.name.as_deref(),
            Self::WebLink(link) => link.name.as_deref(),
            Self::Item(item) => item.item_name.as_deref(),
            Self::AppItem(_) => None,
            Self::Other(other) => other.name.as_deref(),
        }
    }

    /// What it is, in Box's word: `user`, `file`, `folder`, `web_link`, `app_item`, `collaboration`, …
    #[must_use]
    pub fn item_type(&self) -> Option<&str> {
        match self {
            Self::User(_) => Some("user"),
            Self::File(_) => Some("file"),
            Self::Folder(_) => Some("folder"),
            Self::WebLink(_) => Some("web_link"),
            Self::Item(item) => item.item_type.as_deref(),
            Self::AppItem(_) => Some("app_item"),
            Self::Other(other) => other.item_type.as_deref(),
        }
    }
}

impl Read for Source {
    fn read(value: &mut Walk<'_>) -> Option<Self> {
        let start = *value;
        // What it is stands first, as a rule, and all is read in one go then.
        let first = start.first_member("type");
        let mut item_type = first.and_then(|mut item_type| item_type.string());
        loop {
            *value = start;
            let mut seen = Seen::default();
            let source = match item_type.as_deref() {
                Some("user") => Self::User(seen.record(value)),
                Some("file") => Self::File(Box::new(seen.record(value))),
                Some("folder") => Self::Folder(Box::new(seen.record(value))),
                Some("web_link") => Self::WebLink(Box::new(seen.record(value))),
                Some("app_item") => Self::AppItem(Box::new(seen.record(value))),
                _ => match seen.record(value) {
                    item if seen.is_item => Self::Item(Box::new(item)),
                    _ => Self::Other(OtherSource::read(start, item_type.as_deref())?),
                },
            };
            if seen.item_type == item_type {
                return Some(source);
            }
            item_type = seen.item_type;
        }
    }
}

/// What tells the shapes from each other.
#[derive(Default)]
struct Seen<'a> {
    item_type: Option<Cow<'a, str>>,
    is_item: bool,
}

impl<'a> Seen<'a> {
    /// Goes past a source, and reads it as one of the shapes.
    fn record<T: Record>(&mut self, source: &mut Walk<'a>) -> T {
        let mut record = T::default();
        source.members(|name, value| {
            match name {
                "type" => self.item_type = { *value }.string(),
                "item_type" | "item_id" => self.is_item = true,
                _ => {}
            }
            record.set(name, value);
        });
        record
    }
}

impl OtherSource {
    fn read(source: Walk<'_>, item_type: Option<&str>) -> Option<Self> {
        let json = RawJson::read(&mut { source })?;
        let named = Named::read(&mut { source }).unwrap_or_default();
        Some(Self {
            item_type: item_type.map(str::to_owned),
            id: named.id,
            name: named.name,
            json,
        })
    }
}

record! {
    struct Named {
        "id" => pub id: Option<String>,
        "name" => pub name: Option<String>,
    }
}
