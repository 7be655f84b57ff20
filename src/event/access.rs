//! How an item can be reached, and who holds it: shared links, upload addresses and locks.

use jiff::Timestamp;

use super::User;
use super::from_json::record;

record! {
    /// A [link](https://developer.box.com/guides/shared-links/) by which others reach an item.
    ///
    /// If `access` is `open`, the URL alone gives access: treat it like a password. `Debug` shows it.
    pub struct SharedLink {
        /// The URL that people are given.
        "url" => pub url: Option<String>,
        /// The URL of the content itself; folders have none.
        "download_url" => pub download_url: Option<String>,
        /// The URL with a name that its creator chose.
        "vanity_url" => pub vanity_url: Option<String>,
        /// The name in `vanity_url`.
        "vanity_name" => pub vanity_name: Option<String>,
        /// The audience that was chosen: `open`, `company` or `collaborators`.
        "access" => pub access: Option<String>,
        /// The audience after the restrictions of the enterprise and of the folders above.
        "effective_access" => pub effective_access: Option<String>,
        /// The most that the link permits: `can_edit`, `can_download`, `can_preview` or `no_access`.
        "effective_permission" => pub effective_permission: Option<String>,
        /// The permissions of each visitor.
        "permissions" => pub permissions: Option<SharedLinkPermissions>,
        /// `true` if visitors need a password.
        "is_password_enabled" => pub is_password_enabled: Option<bool>,
        /// When the link expires.
        "unshared_at" => pub unshared_at: Option<Timestamp>,
        /// How often the item was downloaded by the link.
        "download_count" => pub download_count: Option<u64>,
        /// How often the item was looked at by the link.
        "preview_count" => pub preview_count: Option<u64>,
    }
}

record! {
    /// The permissions that a [`SharedLink`] gives.
    pub struct SharedLinkPermissions {
        /// `true` if visitors may download the item.
        "can_download" => pub can_download: Option<bool>,
        /// `true` if visitors may look at the item.
        "can_preview" => pub can_preview: Option<bool>,
        /// `true` if visitors may change the item.
        "can_edit" => pub can_edit: Option<bool>,
    }
}

record! {
    /// An address to which files can be mailed, to be put into a folder.
    pub struct FolderUploadEmail {
        /// The senders whose mail is taken: `open` or `collaborators`.
        "access" => pub access: Option<String>,
        /// The address.
        "email" => pub email: Option<String>,
    }
}

record! {
    /// A [lock](https://developer.box.com/guides/files/locks/) that keeps others from changing a file.
    pub struct Lock {
        /// The lock's id.
        "id" => pub id: Option<String>,
        /// The user who locked the file.
        "created_by" => pub created_by: Option<User>,
        /// When the user locked the file.
        "created_at" => pub created_at: Option<Timestamp>,
        /// When the lock ends by itself.
        "expired_at" => pub expired_at: Option<Timestamp>,
        /// `true` if others may not even download the file.
        "is_download_prevented" => pub is_download_prevented: Option<bool>,
        /// The kind of application that locked the file, such as `office_wopi`.
        "app_type" => pub app_type: Option<String>,
    }
}
