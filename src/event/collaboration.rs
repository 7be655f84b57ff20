//! The sources of collaborations and groups, and members such as `folder_id` and `user_name`.
//!
//! The enterprise streams name an item, a group and a user in members with a prefix instead of in
//! nested objects. `Names` collects these members, and builds the [`Source`] that they describe.
//! Sources with a plain `type`, `id` and `name` are read without it.

use super::from_json::record;
use super::{Classification, FolderMini, Group, Item, Source, User};

/// An item, and the user or group who gains, has or loses access to it.
///
/// The collaboration's own id and role are in the event's
/// [`additional_details`](super::Event::additional_details), as `collab_id` and `role`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collaboration {
    /// The file or folder, with its parent and its owner.
    pub item: Item,
    /// The user. If the invited person has no account yet, there is no id, and `login` is the
    /// address to which the invitation went.
    pub user: Option<User>,
    /// The group, if a group has the access.
    pub group: Option<Group>,
}

/// A group, and the user who joins or leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupSource {
    /// The group.
    pub group: Group,
    /// The user, if the event is about a member.
    pub user: Option<User>,
}

record! {
    /// The members in which a source may name an item, a user and a group.
    pub(super) struct Names {
        "id" => pub id: Option<String>,
        "name" => pub name: Option<String>,
        "item_type" => pub item_type: Option<String>,
        "item_id" => pub item_id: Option<String>,
        "item_name" => pub item_name: Option<String>,
        "file_id" => pub file_id: Option<String>,
        "file_name" => pub file_name: Option<String>,
        "folder_id" => pub folder_id: Option<String>,
        "folder_name" => pub folder_name: Option<String>,
        "web_link_id" => pub web_link_id: Option<String>,
        "web_link_name" => pub web_link_name: Option<String>,
        "classification" => pub classification: Option<Classification>,
        "parent" => pub parent: Option<FolderMini>,
        "owned_by" => pub owned_by: Option<User>,
        "user_id" => pub user_id: Option<String>,
        "user_name" => pub user_name: Option<String>,
        "user_email" => pub user_email: Option<String>,
        "group_id" => pub group_id: Option<String>,
        "group_name" => pub group_name: Option<String>,
        "group_type" => pub group_type: Option<String>,
    }
}

impl Names {
    /// Returns the source that these names describe, if they describe an item, a group or a user.
    /// `kind` is the `type` of the source.
    pub(super) fn into_source(mut self, kind: Option<&str>) -> Option<Source> {
        let user = self.take_user();
        let group = self.take_group(kind);
        let own_name = self.name.clone();
        match (self.into_item(kind), group, user) {
            (Some(item), None, None) => Some(Source::Item(Box::new(item))),
            (Some(item), group, user) => Some(Source::Collaboration(Box::new(Collaboration {
                item,
                user,
                group,
            }))),
            (None, Some(mut group), user) => {
                group.name = group.name.or(own_name);
                Some(Source::Group(Box::new(GroupSource { group, user })))
            }
            (None, None, Some(mut user)) if matches!(kind, None | Some("user")) => {
                user.name = user.name.or(own_name);
                Some(Source::User(user))
            }
            (None, None, _) => None,
        }
    }

    /// Returns `true` if the source has an `id` of its own, so that the other names are only
    /// additions to it.
    pub(super) fn are_beside(&self, kind: Option<&str>) -> bool {
        self.id.is_some()
            && self.item_id.is_none()
            && self.item_type.is_none()
            && kind != Some("group")
    }

    /// Returns the user that the names describe, and removes these names.
    fn take_user(&mut self) -> Option<User> {
        let (id, name) = (self.user_id.take(), self.user_name.take());
        let login = self.user_email.take();
        let named = id.is_some() || name.is_some() || login.is_some();
        named.then(|| User {
            id,
            name,
            login,
            ..User::default()
        })
    }

    /// Returns the group that the names describe, and removes these names.
    fn take_group(&mut self, kind: Option<&str>) -> Option<Group> {
        let (mut id, name) = (self.group_id.take(), self.group_name.take());
        if kind == Some("group") {
            id = id.or(self.id.take());
        }
        let named = id.is_some() || name.is_some();
        named.then(|| Group {
            id,
            name,
            group_type: self.group_type.take(),
        })
    }

    /// Returns the file, folder or web link that the names describe.
    fn into_item(self, kind: Option<&str>) -> Option<Item> {
        let kind = self.item_type.as_deref().or(kind);
        let things = [
            ("file", self.file_id, self.file_name),
            ("folder", self.folder_id, self.folder_name),
            ("web_link", self.web_link_id, self.web_link_name),
        ];
        // The item of the source's own type takes precedence: the source of a file may name a
        // folder as well.
        let thing = things
            .into_iter()
            .filter(|(_, id, name)| id.is_some() || name.is_some())
            .min_by_key(|(named, ..)| Some(*named) != kind);
        let is_short =
            self.item_type.is_some() || self.item_id.is_some() || self.item_name.is_some();
        if thing.is_none() && !is_short {
            return None;
        }
        let (named, id, name) = thing.map_or((None, None, None), |(named, id, name)| {
            (Some(named), id, name)
        });
        Some(Item {
            item_type: named.or(kind).map(str::to_owned),
            item_id: self.item_id.or(id).or(self.id),
            item_name: self.item_name.or(name).or(self.name),
            classification: self.classification,
            parent: self.parent,
            owned_by: self.owned_by,
        })
    }
}
