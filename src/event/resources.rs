//! Files, folders, web links and other items, as the sources of events describe them.
//!
//! The user streams send [`File`], [`Folder`] and [`WebLink`], and the enterprise streams send the
//! short form [`Item`]. All fields are optional, because Box guarantees none of them. Fields that
//! few events have are kept as text, and accessors such as [`File::shared_link`] read them.

use jiff::Timestamp;

use super::from_json::record;
use super::{FolderUploadEmail, Group, Lock, RawJson, SharedLink, User};

record! {
    /// A [file](https://developer.box.com/reference/resources/file/).
    pub struct File {
        /// The file's id.
        "id" => pub id: Option<String>,
        /// The file's name.
        "name" => pub name: Option<String>,
        /// The file's description.
        "description" => pub description: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// A number that grows with each user event that concerns the file. Compare it as a number,
        /// not as text: the state with the larger number is the newer one.
        "sequence_id" => pub sequence_id: Option<String>,
        /// The SHA-1 of the content, in hexadecimal.
        "sha1" => pub sha1: Option<String>,
        /// The size in bytes.
        "size" => pub size: Option<u64>,
        /// The version of the content.
        "file_version" => pub file_version: Option<FileVersion>,
        /// The folder that contains the file.
        "parent" => pub parent: Option<FolderMini>,
        /// All folders above the file.
        "path_collection" => pub path_collection: Option<PathCollection>,
        /// The time at which the file was created on Box.
        "created_at" => pub created_at: Option<Timestamp>,
        /// The time at which the file was last changed on Box.
        "modified_at" => pub modified_at: Option<Timestamp>,
        /// The time at which the content was created, which may be before it was uploaded to Box.
        "content_created_at" => pub content_created_at: Option<Timestamp>,
        /// The time at which the content was last changed, which may be before it was uploaded to
        /// Box.
        "content_modified_at" => pub content_modified_at: Option<Timestamp>,
        /// The time at which the file was moved to the trash.
        "trashed_at" => pub trashed_at: Option<Timestamp>,
        /// The time at which Box deletes the file from the trash permanently.
        "purged_at" => pub purged_at: Option<Timestamp>,
        /// The user who created the file.
        "created_by" => pub created_by: Option<User>,
        /// The user who changed the file last.
        "modified_by" => pub modified_by: Option<User>,
        /// The user who owns the file.
        "owned_by" => pub owned_by: Option<User>,
        /// The status: `active`, `trashed` or `deleted`.
        "item_status" => pub item_status: Option<String>,
        "shared_link" => shared_link: Option<RawJson>,
        /// `true` if Box Sync keeps a copy of the file on a user's computer.
        "synced" => pub synced: Option<bool>,
        /// The tags of the file.
        "tags" => pub tags: Option<Vec<String>>,
        "lock" => lock: Option<RawJson>,
    }
}

// Few events have these fields, and few programs read them. So they are kept as text until a
// program calls the accessor.
impl File {
    /// Returns the link by which others reach the file, or `None` if the file is not shared.
    #[must_use]
    pub fn shared_link(&self) -> Option<SharedLink> {
        self.shared_link.as_ref()?.read_as()
    }

    /// Returns the lock on the file, or `None` if the file is not locked.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        self.lock.as_ref()?.read_as()
    }
}

record! {
    /// A [folder](https://developer.box.com/reference/resources/folder/).
    pub struct Folder {
        /// The folder's id. The root folder of an account has the id `0`.
        "id" => pub id: Option<String>,
        /// The folder's name.
        "name" => pub name: Option<String>,
        /// The folder's description.
        "description" => pub description: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// A number that grows with each user event that concerns the folder. Compare it as a
        /// number, not as text: the state with the larger number is the newer one.
        "sequence_id" => pub sequence_id: Option<String>,
        /// The size of the folder's content, in bytes.
        "size" => pub size: Option<u64>,
        /// The folder that contains this one. The root and the trash have none.
        "parent" => pub parent: Option<FolderMini>,
        /// All folders above this one.
        "path_collection" => pub path_collection: Option<PathCollection>,
        /// The time at which the folder was created on Box.
        "created_at" => pub created_at: Option<Timestamp>,
        /// The time at which the folder was last changed on Box.
        "modified_at" => pub modified_at: Option<Timestamp>,
        /// The time at which the folder was created, which may be before it was uploaded to Box.
        "content_created_at" => pub content_created_at: Option<Timestamp>,
        /// The time at which the content was last changed, which may be before it was uploaded to
        /// Box.
        "content_modified_at" => pub content_modified_at: Option<Timestamp>,
        /// The time at which the folder was moved to the trash.
        "trashed_at" => pub trashed_at: Option<Timestamp>,
        /// The time at which Box deletes the folder from the trash permanently.
        "purged_at" => pub purged_at: Option<Timestamp>,
        /// The user who created the folder.
        "created_by" => pub created_by: Option<User>,
        /// The user who changed the folder last.
        "modified_by" => pub modified_by: Option<User>,
        /// The user who owns the folder.
        "owned_by" => pub owned_by: Option<User>,
        /// The status: `active`, `trashed` or `deleted`.
        "item_status" => pub item_status: Option<String>,
        "shared_link" => shared_link: Option<RawJson>,
        /// `true` if Box Sync keeps a copy of the folder on a user's computer.
        "synced" => pub synced: Option<bool>,
        /// The tags of the folder.
        "tags" => pub tags: Option<Vec<String>>,
        "folder_upload_email" => folder_upload_email: Option<RawJson>,
    }
}

impl Folder {
    /// Returns the link by which others reach the folder, or `None` if the folder is not shared.
    #[must_use]
    pub fn shared_link(&self) -> Option<SharedLink> {
        self.shared_link.as_ref()?.read_as()
    }

    /// Returns the email address by which files can be sent to the folder, or `None` if there is
    /// none.
    #[must_use]
    pub fn folder_upload_email(&self) -> Option<FolderUploadEmail> {
        self.folder_upload_email.as_ref()?.read_as()
    }
}

record! {
    /// A [web link](https://developer.box.com/reference/resources/web-link/): a bookmark in a
    /// folder.
    pub struct WebLink {
        /// The web link's id.
        "id" => pub id: Option<String>,
        /// The web link's name.
        "name" => pub name: Option<String>,
        /// The URL to which the web link leads.
        "url" => pub url: Option<String>,
        /// The web link's description.
        "description" => pub description: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// A number that grows with each user event that concerns the link. Compare it as a number,
        /// not as text: the state with the larger number is the newer one.
        "sequence_id" => pub sequence_id: Option<String>,
        /// The folder that contains the web link.
        "parent" => pub parent: Option<FolderMini>,
        /// All folders above the web link.
        "path_collection" => pub path_collection: Option<PathCollection>,
        /// The time at which the web link was created on Box.
        "created_at" => pub created_at: Option<Timestamp>,
        /// The time at which the web link was last changed on Box.
        "modified_at" => pub modified_at: Option<Timestamp>,
        /// The time at which the web link was moved to the trash.
        "trashed_at" => pub trashed_at: Option<Timestamp>,
        /// The time at which Box deletes the web link from the trash permanently.
        "purged_at" => pub purged_at: Option<Timestamp>,
        /// The user who created the web link.
        "created_by" => pub created_by: Option<User>,
        /// The user who changed the web link last.
        "modified_by" => pub modified_by: Option<User>,
        /// The user who owns the web link.
        "owned_by" => pub owned_by: Option<User>,
        /// The status: `active`, `trashed` or `deleted`.
        "item_status" => pub item_status: Option<String>,
        "shared_link" => shared_link: Option<RawJson>,
        /// `true` if Box Sync keeps a copy of the web link on a user's computer.
        "synced" => pub synced: Option<bool>,
        /// The tags of the web link.
        "tags" => pub tags: Option<Vec<String>>,
    }
}

impl WebLink {
    /// Returns the link by which others reach the web link, or `None` if the web link is not
    /// shared.
    #[must_use]
    pub fn shared_link(&self) -> Option<SharedLink> {
        self.shared_link.as_ref()?.read_as()
    }
}

record! {
    /// A file or folder, in the short form of the
    /// [enterprise streams](https://developer.box.com/reference/resources/event-source/).
    pub struct Item {
        /// The type: usually `file` or `folder`.
        "item_type" => pub item_type: Option<String>,
        /// The item's id.
        "item_id" => pub item_id: Option<String>,
        /// The item's name.
        "item_name" => pub item_name: Option<String>,
        /// The classification of the item, if it has one.
        "classification" => pub classification: Option<Classification>,
        /// The folder that contains the item. The root and the trash have none.
        "parent" => pub parent: Option<FolderMini>,
        /// The user who owns the item.
        "owned_by" => pub owned_by: Option<User>,
    }
}

record! {
    /// An item of one of Box's apps, such as a hub.
    pub struct AppItem {
        /// The item's id.
        "id" => pub id: Option<String>,
        /// The item's name. Box does not document this field.
        "name" => pub name: Option<String>,
        /// The kind of the item, such as `hubs`.
        "app_item_type" => pub app_item_type: Option<String>,
        /// The user whom the event concerns.
        "user" => pub user: Option<User>,
        /// The group that the event concerns.
        "group" => pub group: Option<Group>,
    }
}

record! {
    /// A [folder](https://developer.box.com/reference/resources/folder--mini/) in its short form.
    pub struct FolderMini {
        /// The folder's id. The root folder of an account has the id `0`.
        "id" => pub id: Option<String>,
        /// The folder's name.
        "name" => pub name: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// A number that grows with each user event that concerns the folder.
        "sequence_id" => pub sequence_id: Option<String>,
    }
}

record! {
    /// The folders above an item.
    pub struct PathCollection {
        /// The number of folders.
        "total_count" => pub total_count: Option<u64>,
        /// The folders, from the root down. `None` if one of them can't be read, because an
        /// incomplete path would be misleading.
        "entries" => pub entries: Option<Vec<FolderMini>>,
    }
}

impl PathCollection {
    /// Returns `true` if the folder with this id is one of these folders: the item is then below
    /// it. Returns `false` if [`entries`](Self::entries) is `None`.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        let mut entries = self.entries.iter().flatten();
        entries.any(|folder| folder.id.as_deref() == Some(id))
    }
}

record! {
    /// One [version](https://developer.box.com/reference/resources/file-version--mini/) of a file's
    /// content.
    pub struct FileVersion {
        /// The version's id.
        "id" => pub id: Option<String>,
        /// The SHA-1 of the content, in hexadecimal.
        "sha1" => pub sha1: Option<String>,
    }
}

record! {
    /// The classification that an enterprise gave to an item.
    pub struct Classification {
        /// Its name, as the enterprise chose it.
        "name" => pub name: Option<String>,
    }
}
