//! [`Activity`]: the meaning of an event's type, as far as schemas for security logs tell types
//! apart.
//!
//! Box has more than 200 types of events, and adds others without notice. Most of those about
//! files, logins, accounts and groups are listed here. The words of a name decide about the others,
//! so a new type such as `ROBOT_CREATED` counts as the creation of something.

use box_longpoll::event::Source;
use box_longpoll::{Event, EventType};

/// The meaning of an event's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    /// Something happened to a file, a folder or a web link, or to the access to it.
    File(FileActivity),
    /// Somebody logged in, or tried to.
    Logon,
    /// A session or an access token ended.
    Logoff,
    /// A user's account changed.
    Account(AccountActivity),
    /// A group of users changed.
    Group(GroupActivity),
    /// Box warns of a threat.
    Finding,
    /// A policy or another setting of the enterprise changed.
    Setting(Change),
    /// Another thing changed, such as a comment or a task.
    Thing(Change),
    /// The type of the event is not known.
    Other,
    /// The event has no type.
    None,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileActivity {
    Upload,
    /// A folder or a file was created by other means than an upload.
    Create,
    Download,
    Update,
    Delete,
    Rename,
    Copy,
    Move,
    Restore,
    Preview,
    Lock,
    Unlock,
    /// Somebody gained access.
    Share,
    /// Somebody lost access.
    Unshare,
    /// The terms of the access changed.
    ChangeAccess,
    Open,
    Sync,
    Unsync,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AccountActivity {
    Create,
    Delete,
    EnableMultiFactor,
    DisableMultiFactor,
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupActivity {
    Create,
    Delete,
    AddUser,
    RemoveUser,
    /// The members of the group gained access to an item.
    GrantAccess,
    /// The members of the group lost access to an item.
    RevokeAccess,
    Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Create,
    Update,
    Delete,
    Other,
}

/// The words that occur in the types of events about policies and other settings.
const SETTINGS: [&str; 10] = [
    "APPLICATION",
    "APP",
    "AUTOMATION",
    "BARRIER",
    "HOLD",
    "POLICY",
    "RETENTION",
    "SECURITY",
    "SETTINGS",
    "TEMPLATE",
];

impl Activity {
    /// Returns the activity of an event.
    pub(super) fn of(event: &Event, source: Option<&Source>) -> Self {
        let Some(event_type) = event.event_type() else {
            return Self::None;
        };
        match Self::of_type(event_type.as_str()) {
            Self::Other if source.is_some_and(is_item) => Self::File(FileActivity::Other),
            activity => activity,
        }
    }

    fn of_type(name: &str) -> Self {
        if let Some(activity) = FileActivity::of_type(name) {
            return Self::File(activity);
        }
        match name {
            "LOGIN"
            | "ADMIN_LOGIN"
            | "FAILED_LOGIN"
            | "USER_AUTHENTICATE_OAUTH2_ACCESS_TOKEN_CREATE" => Self::Logon,
            "OAUTH2_ACCESS_TOKEN_REVOKE" | "OAUTH2_REFRESH_TOKEN_REVOKE" => Self::Logoff,
            "NEW_USER" => Self::Account(AccountActivity::Create),
            "DELETE_USER" => Self::Account(AccountActivity::Delete),
            "ENABLE_TWO_FACTOR_AUTH" | "ENABLE_MULTI_FACTOR_AUTH" => {
                Self::Account(AccountActivity::EnableMultiFactor)
            }
            "DISABLE_MULTI_FACTOR_AUTH" => Self::Account(AccountActivity::DisableMultiFactor),
            "EDIT_USER"
            | "CHANGE_ADMIN_ROLE"
            | "EMAIL_ALIAS_CONFIRM"
            | "EMAIL_ALIAS_PRIMARY"
            | "EMAIL_ALIAS_REMOVE"
            | "ACCESS_GRANTED"
            | "ACCESS_REVOKED"
            | "MASTER_INVITE_ACCEPT"
            | "MASTER_INVITE_REJECT" => Self::Account(AccountActivity::Change),
            "GROUP_CREATION" => Self::Group(GroupActivity::Create),
            "GROUP_DELETION" => Self::Group(GroupActivity::Delete),
            "GROUP_ADD_USER" | "SHIELD_INFORMATION_BARRIER_GROUP_ADD_USER_BLOCKED" => {
                Self::Group(GroupActivity::AddUser)
            }
            "GROUP_REMOVE_USER" => Self::Group(GroupActivity::RemoveUser),
            "GROUP_ADD_ITEM" | "GROUP_ADD_FILE" | "GROUP_ADD_FOLDER" => {
                Self::Group(GroupActivity::GrantAccess)
            }
            "GROUP_REMOVE_ITEM" | "GROUP_REMOVE_FILE" | "GROUP_REMOVE_FOLDER" => {
                Self::Group(GroupActivity::RevokeAccess)
            }
            "GROUP_EDITED"
            | "GROUP_ADMIN_CREATED"
            | "GROUP_ADMIN_DELETED"
            | "GROUP_ADMIN_PERMISSIONS_UPDATED" => Self::Group(GroupActivity::Change),
            "SHIELD_ALERT"
            | "FILE_MARKED_MALICIOUS"
            | "AI_SECURITY_DETECTION"
            | "CONTENT_WORKFLOW_ABNORMAL_DOWNLOAD_ACTIVITY"
            | "CONTENT_WORKFLOW_SHARING_POLICY_VIOLATION"
            | "CONTENT_WORKFLOW_UPLOAD_POLICY_VIOLATION" => Self::Finding,
            _ => {
                let change = Change::of_type(name);
                if name.split('_').any(|word| SETTINGS.contains(&word)) {
                    Self::Setting(change)
                } else if change == Change::Other {
                    Self::Other
                } else {
                    Self::Thing(change)
                }
            }
        }
    }
}

impl FileActivity {
    fn of_type(name: &str) -> Option<Self> {
        Some(match name {
            "UPLOAD" | "ITEM_UPLOAD" => Self::Upload,
            "ITEM_CREATE" => Self::Create,
            "DOWNLOAD"
            | "ITEM_DOWNLOAD"
            | "FILE_WATERMARKED_DOWNLOAD"
            | "SHIELD_DOWNLOAD_BLOCKED" => Self::Download,
            "EDIT" | "ITEM_MODIFY" | "ITEM_MAKE_CURRENT_VERSION" => Self::Update,
            "DELETE" | "ITEM_TRASH" => Self::Delete,
            "RENAME" | "ITEM_RENAME" => Self::Rename,
            "COPY" | "ITEM_COPY" | "SHIELD_INFORMATION_BARRIER_ITEM_COPY_BLOCKED" => Self::Copy,
            "MOVE" | "ITEM_MOVE" | "SHIELD_INFORMATION_BARRIER_ITEM_MOVE_BLOCKED" => Self::Move,
            "UNDELETE" | "ITEM_UNDELETE_VIA_TRASH" | "FILE_VERSION_RESTORE" => Self::Restore,
            "PREVIEW" | "ITEM_PREVIEW" => Self::Preview,
            "LOCK" | "LOCK_CREATE" => Self::Lock,
            "UNLOCK" | "LOCK_DESTROY" => Self::Unlock,
            "SHARE"
            | "ITEM_SHARED"
            | "ITEM_SHARED_CREATE"
            | "SHARED_LINK_SEND"
            | "ITEM_EMAIL_SEND"
            | "COLLABORATION_INVITE"
            | "COLLAB_INVITE_COLLABORATOR"
            | "COLLAB_ADD_COLLABORATOR"
            | "SHIELD_EXTERNAL_COLLAB_INVITE_BLOCKED"
            | "SHIELD_EXTERNAL_COLLAB_INVITE_BLOCKED_MISSING_JUSTIFICATION"
            | "SHIELD_EXTERNAL_COLLAB_INVITE_JUSTIFIED"
            | "SHIELD_INFORMATION_BARRIER_COLLAB_BLOCKED" => Self::Share,
            "UNSHARE"
            | "ITEM_SHARED_UNSHARE"
            | "SHARE_EXPIRATION"
            | "COLLABORATION_REMOVE"
            | "COLLABORATION_EXPIRATION"
            | "COLLAB_REMOVE_COLLABORATOR" => Self::Unshare,
            "ITEM_SHARED_UPDATE"
            | "UPDATE_SHARE_EXPIRATION"
            | "UPDATE_COLLABORATION_EXPIRATION"
            | "COLLABORATION_ACCEPT"
            | "COLLABORATION_ROLE_CHANGE"
            | "COLLAB_ROLE_CHANGE"
            | "CHANGE_FOLDER_PERMISSION"
            | "ADVANCED_FOLDER_SETTINGS_UPDATE"
            | "ILLEGAL_ITEM_OWNERSHIP_TRANSFER_BY_USER"
            | "SHIELD_INFORMATION_BARRIER_ITEM_OWNER_TRANSFER_BLOCKED"
            | "SHIELD_SHARED_LINK_STATUS_RESTRICTED_ON_CREATE"
            | "SHIELD_SHARED_LINK_STATUS_RESTRICTED_ON_UPDATE" => Self::ChangeAccess,
            "ITEM_OPEN"
            | "CONTENT_ACCESS"
            | "SHIELD_EXTERNAL_COLLAB_ACCESS_BLOCKED"
            | "SHIELD_EXTERNAL_COLLAB_ACCESS_BLOCKED_MISSING_JUSTIFICATION"
            | "SHIELD_SHARED_LINK_ACCESS_BLOCKED"
            | "SHIELD_INFORMATION_BARRIER_SHARED_ITEM_ACCESS_BLOCKED" => Self::Open,
            "ITEM_SYNC" => Self::Sync,
            "ITEM_UNSYNC" => Self::Unsync,
            _ => return None,
        })
    }
}

impl Change {
    /// Returns the change that the last telling word of a type names.
    fn of_type(name: &str) -> Self {
        let of_word = |word| match word {
            "CREATE" | "CREATED" | "CREATION" | "ADD" | "ADDED" => Some(Self::Create),
            "UPDATE" | "UPDATED" | "EDIT" | "EDITED" | "CHANGE" => Some(Self::Update),
            "DELETE" | "DELETED" | "DELETION" | "REMOVE" | "REMOVED" => Some(Self::Delete),
            _ => None,
        };
        name.rsplit('_').find_map(of_word).unwrap_or(Self::Other)
    }
}

/// Returns `true` if an event is about an attempt that failed or was blocked.
pub(super) fn has_failed(event: &Event) -> bool {
    let name = event.event_type().map_or("", EventType::as_str);
    let is_telling = |word| ["BLOCKED", "FAILED", "ILLEGAL"].contains(&word);
    name.split('_').any(is_telling)
}

fn is_item(source: &Source) -> bool {
    super::item::Item::of(source).is_some()
}
