use std::borrow::Cow;

use super::read::{Part, Read, Record};
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
    fn read(part: Part<'_>) -> Option<Self> {
        let json = RawJson::read(part)?;
        // What it is may stand behind what depends on it.
        let mut members = Vec::new();
        part.members(|name, value| members.push((name, value)));
        let member = |wanted| last(&members, wanted);
        let item_type = member("type").and_then(Part::string);
        Some(match item_type.as_deref() {
            Some("user") => Self::User(filled(&members)),
            Some("file") => Self::File(Box::new(filled(&members))),
            Some("folder") => Self::Folder(Box::new(filled(&members))),
            Some("web_link") => Self::WebLink(Box::new(filled(&members))),
            Some("app_item") => Self::AppItem(Box::new(filled(&members))),
            _ if member("item_type").or(member("item_id")).is_some() => {
                Self::Item(Box::new(filled(&members)))
            }
            _ => Self::Other(OtherSource {
                id: member("id").and_then(String::read),
                name: member("name").and_then(String::read),
                item_type: item_type.map(Cow::into_owned),
                json,
            }),
        })
    }
}

type Members<'a> = [(Cow<'a, str>, Part<'a>)];

fn last<'a>(members: &Members<'a>, wanted: &str) -> Option<Part<'a>> {
    let found = members.iter().rfind(|(name, _)| name == wanted);
    found.map(|(_, value)| *value)
}

fn filled<T: Record>(members: &Members<'_>) -> T {
    let mut record = T::default();
    for (name, value) in members {
        record.set(name, *value);
    }
    record
}
