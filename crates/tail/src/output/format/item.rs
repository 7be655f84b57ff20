//! [`Item`]: the file or folder that an event is about, in one form for all streams; and the users
//! and the details of an event.

use box_longpoll::event::{Classification, FolderMini, PathCollection, RawJson, Source, User};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// A file, a folder or a web link.
#[derive(Default)]
pub(super) struct Item<'a> {
    /// `file`, `folder`, `web_link` or another type.
    pub(super) item_type: Option<&'a str>,
    pub(super) id: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) size: Option<u64>,
    pub(super) sha1: Option<&'a str>,
    pub(super) parent: Option<&'a FolderMini>,
    /// The path of the folder that contains the item, with a slash before each name.
    pub(super) directory: Option<String>,
    pub(super) owner: Option<&'a User>,
    pub(super) created_at: Option<Timestamp>,
    pub(super) modified_at: Option<Timestamp>,
    pub(super) classification: Option<&'a str>,
}

impl<'a> Item<'a> {
    /// Returns the item that an event is about, if it is about one.
    pub(super) fn of(source: &'a Source) -> Option<Self> {
        let head = Self {
            item_type: source.item_type(),
            id: source.id(),
            name: source.name(),
            ..Self::default()
        };
        Some(match source {
            Source::File(file) => Self {
                size: file.size,
                sha1: file.sha1.as_deref(),
                parent: file.parent.as_ref(),
                directory: file.path_collection.as_ref().and_then(path),
                owner: file.owned_by.as_ref(),
                created_at: file.created_at,
                modified_at: file.modified_at,
                ..head
            },
            Source::Folder(folder) => Self {
                parent: folder.parent.as_ref(),
                directory: folder.path_collection.as_ref().and_then(path),
                owner: folder.owned_by.as_ref(),
                created_at: folder.created_at,
                modified_at: folder.modified_at,
                ..head
            },
            Source::WebLink(link) => Self {
                parent: link.parent.as_ref(),
                directory: link.path_collection.as_ref().and_then(path),
                owner: link.owned_by.as_ref(),
                created_at: link.created_at,
                modified_at: link.modified_at,
                ..head
            },
            Source::Item(item) => Self {
                parent: item.parent.as_ref(),
                owner: item.owned_by.as_ref(),
                classification: item.classification.as_ref().and_then(name),
                ..head
            },
            Source::Collaboration(shared) => Self {
                parent: shared.item.parent.as_ref(),
                owner: shared.item.owned_by.as_ref(),
                classification: shared.item.classification.as_ref().and_then(name),
                ..head
            },
            _ => return None,
        })
    }

    /// Returns the part of the name after the last dot.
    pub(super) fn extension(&self) -> Option<&'a str> {
        let (name, extension) = self.name?.rsplit_once('.')?;
        let is_extension = self.item_type == Some("file") && !name.is_empty();
        (is_extension && !extension.is_empty()).then_some(extension)
    }

    /// Returns the path of the item, if that of its folder is known.
    pub(super) fn path(&self) -> Option<String> {
        Some(format!("{}/{}", self.directory.as_ref()?, self.name?))
    }
}

fn name(classification: &Classification) -> Option<&str> {
    classification.name.as_deref()
}

/// Returns the path of the last folder, if all folders above it have names.
fn path(folders: &PathCollection) -> Option<String> {
    let names = folders.entries.iter().flatten().map(|folder| {
        let name = folder.name.as_deref()?;
        Some(format!("/{name}"))
    });
    let path: String = names.collect::<Option<_>>()?;
    (!path.is_empty()).then_some(path)
}

/// Returns the user that an event is about, if it is about one.
pub(super) fn target(source: &Source) -> Option<&User> {
    match source {
        Source::User(user) => Some(user),
        Source::Collaboration(shared) => shared.user.as_ref(),
        Source::Group(source) => source.user.as_ref(),
        Source::AppItem(item) => item.user.as_ref(),
        _ => None,
    }
}

/// Returns a member of an event's additional details, by the names on the way to it. Returns `None`
/// if it is not of the type that the caller wants.
pub(super) fn detail<T: DeserializeOwned>(details: Option<&RawJson>, path: &[&str]) -> Option<T> {
    let mut value = details?.clone();
    for name in path {
        value = value.field(name)?;
    }
    value.decode().ok()
}

/// Returns a text or a number of an event's additional details as text.
pub(super) fn detail_text(details: Option<&RawJson>, path: &[&str]) -> Option<String> {
    let number = || detail::<serde_json::Number>(details, path).map(|number| number.to_string());
    detail::<String>(details, path).or_else(number)
}

/// Returns a user's address, if the login is one.
pub(super) fn address(user: &User) -> Option<&str> {
    user.login.as_deref().filter(|login| login.contains('@'))
}
