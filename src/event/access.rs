//! Shared links, upload addresses and locks: the ways to reach an item, and the ways to block it.
//!
//! Few events have these fields, so [`File`](super::File), [`Folder`](super::Folder) and
//! [`WebLink`](super::WebLink) keep them as text, and read them when their accessors are called.

use jiff::Timestamp;

use super::User;
use super::from_json::record;

record! {
    /// A [link](https://developer.box.com/guides/shared-links/) by which others reach an item.
    ///
    /// If `access` is `open`, the URL alone gives access: treat it like a password. `Debug` shows
    /// it.
    pub struct SharedLink {
        /// The URL to give to people.
        "url" => pub url: Option<String>,
        /// The URL of the content itself. Folders have none.
        "download_url" => pub download_url: Option<String>,
        /// The URL with a name that its creator chose.
        "vanity_url" => pub vanity_url: Option<String>,
        /// The name in `vanity_url`.
        "vanity_name" => pub vanity_name: Option<String>,
        /// The audience that the creator of the link chose: `open`, `company` or `collaborators`.
        "access" => pub access: Option<String>,
        /// The audience that remains after the restrictions of the enterprise and of the folders
        /// above.
        "effective_access" => pub effective_access: Option<String>,
        /// The highest permission that the link gives: `can_edit`, `can_download`, `can_preview` or
        /// `no_access`.
        "effective_permission" => pub effective_permission: Option<String>,
        /// The permissions of every visitor.
        "permissions" => pub permissions: Option<SharedLinkPermissions>,
        /// `true` if visitors need a password.
        "is_password_enabled" => pub is_password_enabled: Option<bool>,
        /// The time at which the link expires.
        "unshared_at" => pub unshared_at: Option<Timestamp>,
        /// The number of downloads through the link.
        "download_count" => pub download_count: Option<u64>,
        /// The number of previews through the link.
        "preview_count" => pub preview_count: Option<u64>,
    }
}

record! {
    /// The permissions that a [`SharedLink`] gives.
    pub struct SharedLinkPermissions {
        /// `true` if visitors may download the item.
        "can_download" => pub can_download: Option<bool>,
        /// `true` if visitors may preview the item.
        "can_preview" => pub can_preview: Option<bool>,
        /// `true` if visitors may change the item.
        "can_edit" => pub can_edit: Option<bool>,
    }
}

record! {
    /// An email address that puts the files sent to it into a folder.
    pub struct FolderUploadEmail {
        /// The senders whose mail Box accepts: `open` or `collaborators`.
        "access" => pub access: Option<String>,
        /// The address.
        "email" => pub email: Option<String>,
    }
}

record! {
    /// A [lock](https://developer.box.com/guides/files/locks/) that keeps others from changing a
    /// file.
    pub struct Lock {
        /// The lock's id.
        "id" => pub id: Option<String>,
        /// The user who locked the file.
        "created_by" => pub created_by: Option<User>,
        /// The time at which the user locked the file.
        "created_at" => pub created_at: Option<Timestamp>,
        /// The time at which the lock expires.
        "expired_at" => pub expired_at: Option<Timestamp>,
        /// `true` if the lock also keeps others from downloading the file.
        "is_download_prevented" => pub is_download_prevented: Option<bool>,
        /// The kind of application that locked the file, such as `office_wopi`.
        "app_type" => pub app_type: Option<String>,
    }
}
