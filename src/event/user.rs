//! Users, groups and enterprises, in the short forms that events have.
//!
//! A [`User`] appears in many places of an event, mostly with an id, a name and a login. A user who
//! is the source of an event has more fields. They are in a boxed [`UserProfile`], to keep the
//! other users small.

use super::cursor::JsonCursor;
use super::from_json::{FromJson, Record, record};

/// A [user](https://developer.box.com/reference/resources/user--mini/), in the short form that
/// events have.
///
/// A person who is not logged in appears as the user with id `2`: see
/// [`is_anonymous`](Self::is_anonymous).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct User {
    /// The user's id.
    pub id: Option<String>,
    /// The type: usually `user`.
    pub user_type: Option<String>,
    /// The display name.
    pub name: Option<String>,
    /// The primary email address.
    pub login: Option<String>,
    /// More fields, if the user is the source of an event. Other users have none.
    pub profile: Option<Box<UserProfile>>,
}

record! {
    /// More fields of a [`User`]. Box sends them only if the user is the source of an event.
    pub struct UserProfile {
        /// The account's status: `active`, `inactive`, `cannot_delete_edit` or
        /// `cannot_delete_edit_upload`.
        "status" => pub status: Option<String>,
        /// The role in the enterprise: `admin`, `coadmin` or `user`.
        "role" => pub role: Option<String>,
        /// The job title.
        "job_title" => pub job_title: Option<String>,
        /// The enterprise that the user belongs to.
        "enterprise" => pub enterprise: Option<Enterprise>,
    }
}

impl User {
    /// Returns `true` if this user stands for a person who is not logged in. Box uses the same user
    /// for all such persons.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.id.as_deref() == Some("2")
    }
}

impl Record for User {
    fn set(&mut self, name: &str, value: &mut JsonCursor<'_>) {
        match name {
            "id" => self.id = FromJson::from_json(value),
            "type" => self.user_type = FromJson::from_json(value),
            "name" => self.name = FromJson::from_json(value),
            "login" => self.login = FromJson::from_json(value),
            "status" | "role" | "job_title" | "enterprise" => {
                self.profile.get_or_insert_default().set(name, value);
            }
            _ => value.skip(),
        }
    }
}

record! {
    /// The enterprise of a user.
    pub struct Enterprise {
        /// The enterprise's id.
        "id" => pub id: Option<String>,
        /// The enterprise's name.
        "name" => pub name: Option<String>,
    }
}

record! {
    /// A [group of users](https://developer.box.com/reference/resources/group--mini/), in its short
    /// form.
    pub struct Group {
        /// The group's id.
        "id" => pub id: Option<String>,
        /// The group's name.
        "name" => pub name: Option<String>,
        /// The type: `managed_group` or `all_users_group`.
        "group_type" => pub group_type: Option<String>,
    }
}
