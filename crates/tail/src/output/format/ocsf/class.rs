//! [`Class`]: the classes of the schema that fit the events of Box, and their activities.

use crate::output::format::activity::{
    AccountActivity, Activity, Change, FileActivity, GroupActivity,
};

/// A class of events in the schema.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// An event without a type.
    BaseEvent,
    DetectionFinding,
    AccountChange,
    Authentication,
    EntityManagement,
    GroupManagement,
    ApiActivity,
    FileHosting,
}

/// The class and the activity of an event.
pub(super) struct Classified {
    pub(super) class: Class,
    pub(super) activity_id: u32,
    /// The name of the activity in the schema. `None` if the schema has none, so that Box's own
    /// name takes its place.
    pub(super) activity_name: Option<&'static str>,
}

impl Class {
    pub(super) fn uid(self) -> u32 {
        match self {
            Self::BaseEvent => 0,
            Self::DetectionFinding => 2004,
            Self::AccountChange => 3001,
            Self::Authentication => 3002,
            Self::EntityManagement => 3004,
            Self::GroupManagement => 3006,
            Self::ApiActivity => 6003,
            Self::FileHosting => 6006,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BaseEvent => "Base Event",
            Self::DetectionFinding => "Detection Finding",
            Self::AccountChange => "Account Change",
            Self::Authentication => "Authentication",
            Self::EntityManagement => "Entity Management",
            Self::GroupManagement => "Group Management",
            Self::ApiActivity => "API Activity",
            Self::FileHosting => "File Hosting Activity",
        }
    }

    pub(super) fn category_uid(self) -> u32 {
        self.uid() / 1_000
    }

    pub(super) fn category_name(self) -> &'static str {
        match self.category_uid() {
            0 => "Uncategorized",
            2 => "Findings",
            3 => "Identity & Access Management",
            _ => "Application Activity",
        }
    }

    /// Returns `true` if the class has attributes for the user who acted, and for the place.
    pub(super) fn has_actor(self) -> bool {
        !matches!(self, Self::BaseEvent | Self::DetectionFinding)
    }
}

impl From<Activity> for Classified {
    fn from(activity: Activity) -> Self {
        let of = |class, (activity_id, activity_name)| Self {
            class,
            activity_id,
            activity_name,
        };
        match activity {
            Activity::File(activity) => of(Class::FileHosting, file(activity)),
            Activity::Logon => of(Class::Authentication, (1, Some("Logon"))),
            Activity::Logoff => of(Class::Authentication, (2, Some("Logoff"))),
            Activity::Account(activity) => of(Class::AccountChange, account(activity)),
            Activity::Group(activity) => of(Class::GroupManagement, group(activity)),
            Activity::Finding => of(Class::DetectionFinding, (1, Some("Create"))),
            Activity::Setting(change) => of(Class::EntityManagement, of_change(change)),
            Activity::Thing(change) => of(Class::ApiActivity, of_change(change)),
            Activity::Other => of(Class::ApiActivity, OTHER),
            Activity::None => of(Class::BaseEvent, (0, Some("Unknown"))),
        }
    }
}

/// The id of an activity that the schema does not name.
const OTHER: (u32, Option<&str>) = (99, None);

fn file(activity: FileActivity) -> (u32, Option<&'static str>) {
    match activity {
        FileActivity::Upload => (1, Some("Upload")),
        FileActivity::Download => (2, Some("Download")),
        FileActivity::Update => (3, Some("Update")),
        FileActivity::Delete => (4, Some("Delete")),
        FileActivity::Rename => (5, Some("Rename")),
        FileActivity::Copy => (6, Some("Copy")),
        FileActivity::Move => (7, Some("Move")),
        FileActivity::Restore => (8, Some("Restore")),
        FileActivity::Preview => (9, Some("Preview")),
        FileActivity::Lock => (10, Some("Lock")),
        FileActivity::Unlock => (11, Some("Unlock")),
        FileActivity::Share => (12, Some("Share")),
        FileActivity::Unshare => (13, Some("Unshare")),
        FileActivity::Open => (14, Some("Open")),
        FileActivity::Sync => (15, Some("Sync")),
        FileActivity::Unsync => (16, Some("Unsync")),
        FileActivity::Create | FileActivity::ChangeAccess | FileActivity::Other => OTHER,
    }
}

fn account(activity: AccountActivity) -> (u32, Option<&'static str>) {
    match activity {
        AccountActivity::Create => (1, Some("Create")),
        AccountActivity::Delete => (6, Some("Delete")),
        AccountActivity::EnableMultiFactor => (10, Some("MFA Factor Enable")),
        AccountActivity::DisableMultiFactor => (11, Some("MFA Factor Disable")),
        AccountActivity::Change => OTHER,
    }
}

fn group(activity: GroupActivity) -> (u32, Option<&'static str>) {
    match activity {
        GroupActivity::GrantAccess => (1, Some("Assign Privileges")),
        GroupActivity::RevokeAccess => (2, Some("Revoke Privileges")),
        GroupActivity::AddUser => (3, Some("Add User")),
        GroupActivity::RemoveUser => (4, Some("Remove User")),
        GroupActivity::Delete => (5, Some("Delete")),
        GroupActivity::Create => (6, Some("Create")),
        GroupActivity::Change => OTHER,
    }
}

/// Returns the activity for a change of something. The classes of entities and of APIs have the
/// same ids for it.
fn of_change(change: Change) -> (u32, Option<&'static str>) {
    match change {
        Change::Create => (1, Some("Create")),
        Change::Update => (3, Some("Update")),
        Change::Delete => (4, Some("Delete")),
        Change::Other => OTHER,
    }
}
