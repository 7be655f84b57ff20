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
        /// The file's text of description.
        "description" => pub description: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// Grows with each user event that concerns the file: of two states, the one with the larger number is newer.
        "sequence_id" => pub sequence_id: Option<String>,
        /// The SHA-1 of the content, in hexadecimal.
        "sha1" => pub sha1: Option<String>,
        /// The size in bytes.
        "size" => pub size: Option<u64>,
        /// The version of the content.
        "file_version" => pub file_version: Option<FileVersion>,
        /// The folder that the file lies in.
        "parent" => pub parent: Option<FolderMini>,
        /// All folders above the file.
        "path_collection" => pub path_collection: Option<PathCollection>,
        /// When the file was created on Box.
        "created_at" => pub created_at: Option<Timestamp>,
        /// When the file was last changed on Box.
        "modified_at" => pub modified_at: Option<Timestamp>,
        /// When the content was created, perhaps before it was on Box.
        "content_created_at" => pub content_created_at: Option<Timestamp>,
        /// When the content was last changed, perhaps before it was on Box.
        "content_modified_at" => pub content_modified_at: Option<Timestamp>,
        /// When the file went to the trash.
        "trashed_at" => pub trashed_at: Option<Timestamp>,
        /// When the file leaves the trash for good.
        "purged_at" => pub purged_at: Option<Timestamp>,
        /// Who created the file.
        "created_by" => pub created_by: Option<User>,
        /// Who changed the file last.
        "modified_by" => pub modified_by: Option<User>,
        /// Who owns the file.
        "owned_by" => pub owned_by: Option<User>,
        /// `active`, `trashed` or `deleted`.
        "item_status" => pub item_status: Option<String>,
        "shared_link" => shared_link: Option<RawJson>,
        /// `true` if Box Sync keeps a copy of the file on somebody's computer.
        "synced" => pub synced: Option<bool>,
        /// The tags that were put on the file.
        "tags" => pub tags: Option<Vec<String>>,
        "lock" => lock: Option<RawJson>,
    }
}

// What few events have, and fewer consumers read, is kept as text until it is wanted.
impl File {
    /// The link by which others reach the file. `None` if the file is not shared.
    #[must_use]
    pub fn shared_link(&self) -> Option<SharedLink> {
        self.shared_link.as_ref()?.read_as()
    }

    /// The lock on the file. `None` if nobody locked it.
    #[must_use]
    pub fn lock(&self) -> Option<Lock> {
        self.lock.as_ref()?.read_as()
    }
}

record! {
    /// A [folder](https://developer.box.com/reference/resources/folder/).
    pub struct Folder {
        /// The folder's id; the root of an account has `0`.
        "id" => pub id: Option<String>,
        /// The folder's name.
        "name" => pub name: Option<String>,
        /// The folder's text of description.
        "description" => pub description: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// Grows with each user event that concerns the folder: of two states, the one with the larger number is newer.
        "sequence_id" => pub sequence_id: Option<String>,
        /// The size of all that is in the folder, in bytes.
        "size" => pub size: Option<u64>,
        /// The folder that this one lies in; the root and the trash have none.
        "parent" => pub parent: Option<FolderMini>,
        /// All folders above this one.
        "path_collection" => pub path_collection: Option<PathCollection>,
        /// When the folder was created on Box.
        "created_at" => pub created_at: Option<Timestamp>,
        /// When the folder was last changed on Box.
        "modified_at" => pub modified_at: Option<Timestamp>,
        /// When the folder was created, perhaps before it was on Box.
        "content_created_at" => pub content_created_at: Option<Timestamp>,
        /// When the content was last changed, perhaps before it was on Box.
        "content_modified_at" => pub content_modified_at: Option<Timestamp>,
        /// When the folder went to the trash.
        "trashed_at" => pub trashed_at: Option<Timestamp>,
        /// When the folder leaves the trash for good.
        "purged_at" => pub purged_at: Option<Timestamp>,
        /// Who created the folder.
        "created_by" => pub created_by: Option<User>,
        /// Who changed the folder last.
        "modified_by" => pub modified_by: Option<User>,
        /// Who owns the folder.
        "owned_by" => pub owned_by: Option<User>,
        /// `active`, `trashed` or `deleted`.
        "item_status" => pub item_status: Option<String>,
        "shared_link" => shared_link: Option<RawJson>,
        /// `true` if Box Sync keeps a copy of the folder on somebody's computer.
        "synced" => pub synced: Option<bool>,
        /// The tags that were put on the folder.
        "tags" => pub tags: Option<Vec<String>>,
        "folder_upload_email" => folder_upload_email: Option<RawJson>,
    }
}

impl Folder {
    /// The link by which others reach the folder. `None` if the folder is not shared.
    #[must_use]
    pub fn shared_link(&self) -> Option<SharedLink> {
        self.shared_link.as_ref()?.read_as()
    }

    /// The address to which files for the folder can be mailed. `None` if there is none.
    #[must_use]
    pub fn folder_upload_email(&self) -> Option<FolderUploadEmail> {
        self.folder_upload_email.as_ref()?.read_as()
    }
}

record! {
    /// A [web link](https://developer.box.com/reference/resources/web-link/): a bookmark in a folder.
    pub struct WebLink {
        /// The web link's id.
        "id" => pub id: Option<String>,
        /// The web link's name.
        "name" => pub name: Option<String>,
        /// Where it leads.
        "url" => pub url: Option<String>,
        /// The web link's text of description.
        "description" => pub description: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// Grows with each user event that concerns the link: of two states, the one with the larger number is newer.
        "sequence_id" => pub sequence_id: Option<String>,
        /// The folder that the web link lies in.
        "parent" => pub parent: Option<FolderMini>,
        /// All folders above the web link.
        "path_collection" => pub path_collection: Option<PathCollection>,
        /// When the web link was created on Box.
        "created_at" => pub created_at: Option<Timestamp>,
        /// When the web link was last changed on Box.
        "modified_at" => pub modified_at: Option<Timestamp>,
        /// When the web link went to the trash.
        "trashed_at" => pub trashed_at: Option<Timestamp>,
        /// When the web link leaves the trash for good.
        "purged_at" => pub purged_at: Option<Timestamp>,
        /// Who created the web link.
        "created_by" => pub created_by: Option<User>,
        /// Who changed the web link last.
        "modified_by" => pub modified_by: Option<User>,
        /// Who owns the web link.
        "owned_by" => pub owned_by: Option<User>,
        /// `active`, `trashed` or `deleted`.
        "item_status" => pub item_status: Option<String>,
        "shared_link" => shared_link: Option<RawJson>,
        /// `true` if Box Sync keeps a copy of the web link on somebody's computer.
        "synced" => pub synced: Option<bool>,
        /// The tags that were put on the web link.
        "tags" => pub tags: Option<Vec<String>>,
    }
}

impl WebLink {
    /// The link by which others reach the web link. `None` if the web link is not shared.
    #[must_use]
    pub fn shared_link(&self) -> Option<SharedLink> {
        self.shared_link.as_ref()?.read_as()
    }
}

record! {
    /// A file or folder as the [enterprise streams](https://developer.box.com/reference/resources/event-source/) name it.
    pub struct Item {
        /// `file` or `folder`, as a rule.
        "item_type" => pub item_type: Option<String>,
        /// The item's id.
        "item_id" => pub item_id: Option<String>,
        /// The item's name.
        "item_name" => pub item_name: Option<String>,
        /// How the item is classified; an item without a classification has none.
        "classification" => pub classification: Option<Classification>,
        /// The folder that the item lies in; the root and the trash have none.
        "parent" => pub parent: Option<FolderMini>,
        /// Who owns the item.
        "owned_by" => pub owned_by: Option<User>,
    }
}

record! {
    /// An item of one of Box's apps, such as a hub.
    pub struct AppItem {
        /// The item's id.
        "id" => pub id: Option<String>,
        /// The item's name; Box documents none.
        "name" => pub name: Option<String>,
        /// What it is: `hubs`, for instance.
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
        /// The folder's id; the root of an account has `0`.
        "id" => pub id: Option<String>,
        /// The folder's name.
        "name" => pub name: Option<String>,
        /// The version of the metadata, for `If-Match` headers.
        "etag" => pub etag: Option<String>,
        /// Grows with each user event that concerns the folder.
        "sequence_id" => pub sequence_id: Option<String>,
    }
}

record! {
    /// The folders above an item.
    pub struct PathCollection {
        /// How many there are.
        "total_count" => pub total_count: Option<u64>,
        /// The folders, from the root down; `None` if one of them can't be read, since a path with a hole misleads.
        "entries" => pub entries: Option<Vec<FolderMini>>,
    }
}

impl PathCollection {
    /// Returns `true` if the folder with this id is one of them, so that the item lies below it. `false` if
    /// [`entries`](Self::entries) is `None`.
    #[must_use]
    pub fn contains(&self, id: &str) -> bool {
        let mut entries = self.entries.iter().flatten();
        entries.any(|folder| folder.id.as_deref() == Some(id))
    }
}

record! {
    /// One [version](https://developer.box.com/reference/resources/file-version--mini/) of a file's content.
    pub struct FileVersion {
        /// The version's id.
        "id" => pub id: Option<String>,
        /// The SHA-1 of the content, in hexadecimal.
        "sha1" => pub sha1: Option<String>,
    }
}

record! {
    /// A classification that an enterprise gave to an item.
    pub struct Classification {
        /// Its name, as the enterprise chose it.
        "name" => pub name: Option<String>,
    }
}
