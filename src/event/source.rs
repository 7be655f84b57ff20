//! [`Source`]: the item, user or group that an event concerns.
//!
//! The source's `type` decides which struct it is read into. A source without such a type may name
//! an item, a group or a user in members such as `folder_id`; the module `collaboration` reads
//! these. All other sources are [`OtherSource`].

use std::borrow::Cow;

use super::collaboration::Names;
use super::cursor::JsonCursor;
use super::from_json::{FromJson, Record, record};
use super::{AppItem, Collaboration, File, Folder, GroupSource, Item, RawJson, User, WebLink};

/// The item, user or group that an event concerns.
///
/// Its shape depends on the event's type and on the stream. Box guarantees no shape, so match with
/// a fallback. [`id`](Self::id), [`name`](Self::name) and [`item_type`](Self::item_type) work for
/// every shape. They find a value under each name that Box uses for it: `id`, `item_id`, `file_id`,
/// `folder_id`, `group_id`, `user_id`, `barrier_id` and similar ones. If a typed shape lacks a
/// field, read it with [`Event::field`](super::Event::field).
///
/// ```
/// use box_longpoll::{Event, event::Source};
///
/// /// Describes the item of a collaboration, and the user or group who has access to it.
/// fn shared(event: &Event) -> Option<String> {
///     let Some(Source::Collaboration(shared)) = event.source() else {
///         return None;
///     };
///     let user = shared.user.and_then(|user| user.name.or(user.login));
///     let group = shared.group.and_then(|group| group.name);
///     Some(format!("{} with {}", shared.item.item_name?, user.or(group)?))
/// }
/// # let json = r#"{"event_type":"COLLABORATION_INVITE","source":{"folder_id":"1","folder_name":"Plans",
/// #     "user_email":"ada@example.com"}}"#;
/// # let event = serde_json::from_str(json).unwrap();
/// # assert_eq!(shared(&event).unwrap(), "Plans with ada@example.com");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// A user, for instance in events about logins and about changes to an account.
    User(User),
    /// A file, in the form in which the user streams send it.
    File(Box<File>),
    /// A folder, in the form in which the user streams send it.
    Folder(Box<Folder>),
    /// A web link: a bookmark in a folder.
    WebLink(Box<WebLink>),
    /// A file or a folder in the short form of the enterprise streams.
    Item(Box<Item>),
    /// A file or a folder, and the user or group whose access to it changes. The enterprise streams
    /// send it for collaborations.
    Collaboration(Box<Collaboration>),
    /// A group of users, and the user who joins or leaves it. The enterprise streams send it for
    /// changes to groups.
    Group(Box<GroupSource>),
    /// An item of one of Box's apps, such as a hub.
    AppItem(Box<AppItem>),
    /// Any other source, even a value that is not an object. Decode [`json`](OtherSource::json).
    Other(OtherSource),
}

/// A source that this crate has no type for, such as a comment, or the free-form maps of Box
/// Shield.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OtherSource {
    /// The source's `type`.
    pub item_type: Option<String>,
    /// The source's `id`. If there is none, its `api_key`, or else its first member whose name ends
    /// with `_id`, such as `barrier_id`.
    pub id: Option<String>,
    /// The source's `name`. If there is none, the name that belongs to its id: `policy_name`
    /// belongs to `policy_id`.
    pub name: Option<String>,
    /// The complete source.
    pub json: RawJson,
}

impl Source {
    /// Returns the id of the user, file, folder or other thing. For a collaboration, this is the id
    /// of its item.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.head().1.as_deref()
    }

    /// Returns the name of the user, file, folder or other thing. For a collaboration, this is the
    /// name of its item.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.head().2.as_deref()
    }

    /// Returns the type as Box writes it: `user`, `file`, `folder`, `web_link`, `group`,
    /// `app_item`, `comment` and others. For a collaboration, this is the type of its item.
    #[must_use]
    pub fn item_type(&self) -> Option<&str> {
        self.head().0
    }

    /// Returns the type, the id and the name.
    fn head(&self) -> (Option<&str>, &Option<String>, &Option<String>) {
        match self {
            Self::User(user) => (Some("user"), &user.id, &user.name),
            Self::File(file) => (Some("file"), &file.id, &file.name),
            Self::Folder(folder) => (Some("folder"), &folder.id, &folder.name),
            Self::WebLink(link) => (Some("web_link"), &link.id, &link.name),
            Self::Item(item) => (item.item_type.as_deref(), &item.item_id, &item.item_name),
            Self::Collaboration(collaboration) => {
                let item = &collaboration.item;
                (item.item_type.as_deref(), &item.item_id, &item.item_name)
            }
            Self::Group(source) => (Some("group"), &source.group.id, &source.group.name),
            Self::AppItem(item) => (Some("app_item"), &item.id, &item.name),
            Self::Other(other) => (other.item_type.as_deref(), &other.id, &other.name),
        }
    }
}

impl FromJson for Source {
    fn from_json(value: &mut JsonCursor<'_>) -> Option<Self> {
        let start = *value;
        // Box usually sends the type first. Then one pass over the object is enough. If the type
        // that the pass finds is another one, a second pass reads the source as that type.
        let first = start.first_member("type");
        let mut kind = first.and_then(|mut kind| kind.string());
        loop {
            *value = start;
            let mut seen = None;
            let source = match kind.as_deref() {
                Some("user") => Self::User(shape(value, &mut seen)),
                Some("file") => Self::File(Box::new(shape(value, &mut seen))),
                Some("folder") => Self::Folder(Box::new(shape(value, &mut seen))),
                Some("web_link") => Self::WebLink(Box::new(shape(value, &mut seen))),
                Some("app_item") => Self::AppItem(Box::new(shape(value, &mut seen))),
                other => {
                    let names: Names = shape(value, &mut seen);
                    if seen.as_deref() != other {
                        kind = seen;
                        continue;
                    }
                    let source = Some(names).filter(|names| !names.are_beside(other));
                    let source = source.and_then(|names| names.into_source(other));
                    return source.or_else(|| OtherSource::read(start, other).map(Self::Other));
                }
            };
            if seen == kind {
                return Some(source.completed(start, kind.as_deref()));
            }
            kind = seen;
        }
    }
}

record! {
    /// The type, the id and the name of a source, read without the rest of it.
    pub(super) struct SourceHead {
        "type" => pub(super) item_type: Option<String>,
        "id" => pub(super) id: Option<String>,
        "name" => pub(super) name: Option<String>,
    }
}

impl SourceHead {
    /// Returns the same values as a [`Source`] would. A complete `Source` is read only if the type
    /// is another one, or if the id or the name is in a member with another name.
    pub(super) fn read(source: JsonCursor<'_>) -> Option<Self> {
        let head = Self::from_json(&mut { source })?;
        let is_complete = head.id.is_some() && head.name.is_some();
        match head.item_type.as_deref() {
            Some(kind) if is_complete && has_plain_names(kind) => Some(head),
            _ => {
                let source = Source::from_json(&mut { source })?;
                Some(Self {
                    item_type: source.item_type().map(str::to_owned),
                    id: source.id().map(str::to_owned),
                    name: source.name().map(str::to_owned),
                })
            }
        }
    }
}

/// Returns `true` if a source of this type has its id and its name in `id` and `name`, if it has
/// such members at all.
pub(super) fn has_plain_names(kind: &str) -> bool {
    matches!(kind, "user" | "file" | "folder" | "web_link" | "app_item")
}

/// Reads a source as one of the shapes, stores its type in `kind`, and moves the cursor past it.
fn shape<'a, T: Record>(source: &mut JsonCursor<'a>, kind: &mut Option<Cow<'a, str>>) -> T {
    let mut record = T::default();
    source.members(|name, value| {
        if name == "type" {
            *kind = { *value }.string();
        }
        record.set(name, value);
    });
    record
}

impl Source {
    /// Adds the id and the name if they have other names than `id` and `name`, such as `file_id`.
    fn completed(mut self, source: JsonCursor<'_>, kind: Option<&str>) -> Self {
        if self.id().is_some() && self.name().is_some() {
            return self;
        }
        let names = Names::from_json(&mut { source });
        let Some(other) = names.and_then(|names| names.into_source(kind)) else {
            return self;
        };
        if self.id().is_none() && matches!(other, Self::Collaboration(_) | Self::Group(_)) {
            return other;
        }
        if other.item_type() != kind {
            return self;
        }
        let (id, name) = match &mut self {
            Self::User(user) => {
                if let Self::User(other) = &other {
                    fill(&mut user.login, other.login.as_deref());
                }
                (&mut user.id, &mut user.name)
            }
            Self::File(file) => (&mut file.id, &mut file.name),
            Self::Folder(folder) => (&mut folder.id, &mut folder.name),
            Self::WebLink(link) => (&mut link.id, &mut link.name),
            Self::AppItem(item) => (&mut item.id, &mut item.name),
            _ => return other,
        };
        fill(id, other.id());
        fill(name, other.name());
        self
    }
}

/// Sets `slot` to `value` if it has no value yet.
fn fill(slot: &mut Option<String>, value: Option<&str>) {
    if slot.is_none() {
        *slot = value.map(str::to_owned);
    }
}

impl OtherSource {
    /// Reads a source that has no typed shape. Returns `None` if it is `null`.
    fn read(source: JsonCursor<'_>, kind: Option<&str>) -> Option<Self> {
        let json = RawJson::from_json(&mut { source })?;
        let text = |name: &str| String::from_json(&mut source.member(name)?);
        let mut thing = kind.map(str::to_owned);
        // The id of an application is its API key.
        let id = text("id").or_else(|| text("api_key")).or_else(|| {
            thing = first_id(source, kind);
            text(&format!("{}_id", thing.as_ref()?))
        });
        Some(Self {
            item_type: kind.map(str::to_owned),
            id,
            name: text("name").or_else(|| text(&format!("{}_name", thing?))),
            json,
        })
    }
}

/// Returns the thing that a source names by an id, such as `barrier` if it has a `barrier_id`. If
/// there are several, the source's own type takes precedence over the first one.
fn first_id(mut source: JsonCursor<'_>, kind: Option<&str>) -> Option<String> {
    let mut found = None;
    source.members(|name, value| {
        let is_id = String::from_json(value).is_some();
        if let Some(thing) = name.strip_suffix("_id")
            && is_id
            && (found.is_none() || Some(thing) == kind)
        {
            found = Some(thing.to_owned());
        }
    });
    found
}
