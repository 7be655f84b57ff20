use super::read::record;

record! {
    /// A [user](https://developer.box.com/reference/resources/user--mini/), in the short form that events have.
    ///
    /// Somebody who is not logged in appears as the user with id `2`: see [`is_anonymous`](Self::is_anonymous).
    pub struct User {
        /// The user's id.
        "id" => pub id: Option<String>,
        /// `user`, as a rule.
        "type" => pub user_type: Option<String>,
        /// The display name.
        "name" => pub name: Option<String>,
        /// The primary email address.
        "login" => pub login: Option<String>,
    }
}

impl User {
    /// Whether this is Box's stand-in for everybody who is not logged in.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.id.as_deref() == Some("2")
    }
}

record! {
    /// A [group of users](https://developer.box.com/reference/resources/group--mini/), in its short form.
    pub struct Group {
        /// The group's id.
        "id" => pub id: Option<String>,
        /// The group's name.
        "name" => pub name: Option<String>,
        /// `managed_group` or `all_users_group`.
        "group_type" => pub group_type: Option<String>,
    }
}
