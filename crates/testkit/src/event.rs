//! Realistic events: random JSON with the fields, sizes and oddities of Box's own.
//!
//! The events include names beyond ASCII, missing sources, and objects of varying shape, which a
//! client must tolerate. They are independent of each other: a renamed file need not exist. Start
//! from [`realistic`].

use fastrand::Rng;

use crate::Settings;
use crate::emulator::happens;

/// The greatest number of seconds by which [`Settings::reorder_rate`] dates an event early.
const REORDER_SECONDS: i64 = 3_600;

const PEOPLE: [(&str, &str, &str); 6] = [
    ("11446498", "Aaron Levie", "ceo@example.com"),
    ("17738362", "Sean Rose", "sean@example.com"),
    ("191969", "Zoë Ångström", "zoe@example.com"),
    ("33224412", "Ama Mensah", "ama@example.com"),
    ("20561203", "Иван Петров", "ivan@example.com"),
    // Box's user for a visitor who isn't logged in.
    ("2", "Unknown User", ""),
];

const FILE_EVENTS: [&str; 12] = [
    "ITEM_UPLOAD",
    "ITEM_DOWNLOAD",
    "ITEM_PREVIEW",
    "ITEM_MOVE",
    "ITEM_COPY",
    "ITEM_RENAME",
    "ITEM_MODIFY",
    "ITEM_TRASH",
    "ITEM_UNDELETE_VIA_TRASH",
    "ITEM_SHARED_UPDATE",
    "LOCK_CREATE",
    "LOCK_DESTROY",
];
const FOLDER_EVENTS: [&str; 8] = [
    "ITEM_CREATE",
    "ITEM_MOVE",
    "ITEM_COPY",
    "ITEM_RENAME",
    "ITEM_TRASH",
    "ITEM_SYNC",
    "COLLAB_ADD_COLLABORATOR",
    "COLLAB_INVITE_COLLABORATOR",
];
const ENTERPRISE_EVENTS: [&str; 12] = [
    "LOGIN",
    "UPLOAD",
    "DOWNLOAD",
    "PREVIEW",
    "EDIT",
    "MOVE",
    "RENAME",
    "COPY",
    "SHARE",
    "DELETE",
    "LOCK",
    "COLLABORATION_INVITE",
];
const PREFIXES: [&str; 4] = [
    "Quarterly report",
    "Überblick",
    "invoice \\\"final\\\"",
    "画像",
];
const EXTENSIONS: [&str; 4] = ["pdf", "docx", "png", "csv"];

/// The dates of an event: when it happened and when Box recorded it, as JSON spells them.
pub(crate) struct Dates<'a> {
    pub(crate) created_at: &'a str,
    pub(crate) recorded_at: &'a str,
}

/// Makes an event like Box's, of 1.5 to 2 KB, with an ID of its own.
pub(crate) fn realistic(rng: &mut Rng, dates: &Dates<'_>) -> String {
    let Subject {
        event_type,
        source,
        details,
    } = match rng.u32(0..20) {
        0..11 => Subject::file(rng, dates),
        11..15 => Subject::folder(rng, dates),
        15 => Subject::comment(rng, dates),
        16 => Subject::web_link(rng, dates),
        17 => Subject::item(rng),
        18 => Subject::user(rng, dates),
        _ => Subject::nothing(rng),
    };
    format!(
        r#"{{"type":"event","event_id":"{id}","created_by":{by},"created_at":"{created}","recorded_at":"{recorded}","event_type":"{event_type}","session_id":"{session}"{source},"additional_details":{details}}}"#,
        id = hex40(rng),
        by = person(rng),
        created = dates.created_at,
        recorded = dates.recorded_at,
        session = &hex40(rng)[..16],
    )
}

/// Returns the number of seconds from an event until it is appended. It is 0, unless
/// [`Settings::reorder_rate`] or [`Settings::late_rate`] applies.
pub(crate) fn early_seconds(rng: &mut Rng, settings: &Settings) -> i64 {
    let mut early = 0;
    if happens(rng, settings.reorder_rate) {
        early += rng.i64(1..=REORDER_SECONDS);
    }
    if happens(rng, settings.late_rate) {
        let most = i64::try_from(settings.late_by_ms / 1_000).unwrap_or(i64::MAX);
        early += rng.i64(1..=most.max(1));
    }
    early
}

/// The fields by which the events of an enterprise differ for the emulator.
pub(crate) struct EnterpriseEvent<'a> {
    pub(crate) id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) created_at: &'a str,
}

/// Makes an event as an enterprise's streams show it, of about 1 KB.
pub(crate) fn of_enterprise(rng: &mut Rng, event: &EnterpriseEvent<'_>) -> String {
    format!(
        r#"{{"type":"event","event_id":"{id}","event_type":"{event_type}","created_at":"{created_at}","created_by":{by},"action_by":null,"session_id":null,"ip_address":"192.0.2.{ip}","accessible_by":null,"source":{{"item_type":"file","item_id":"{item}","item_name":"{name} {number}.{extension}","classification":{{"name":"Confidential"}},"parent":{{"type":"folder","name":"Department {department}","id":"{parent}"}},"owned_by":{owner}}},"additional_details":{{"size":{size},"ekm_id":"{ekm}","version_id":"{version}","service_id":"{service}","service_name":"Box Sync for Windows","access_token_identifier":"{token}","shared_link_id":"{link}","device":{{"id":"{device}","platform":"Windows 11 Enterprise"}}}}}}"#,
        id = event.id,
        event_type = event.event_type,
        created_at = event.created_at,
        by = person(rng),
        ip = rng.u8(..),
        item = rng.u64(1_000_000_000_000..2_000_000_000_000),
        name = pick(rng, &PREFIXES),
        number = rng.u16(..),
        extension = pick(rng, &EXTENSIONS),
        department = rng.u8(..),
        parent = rng.u64(1_000_000_000..20_000_000_000),
        owner = person(rng),
        size = rng.u32(..),
        ekm = hex40(rng),
        version = rng.u64(1_000_000_000_000..2_000_000_000_000),
        service = rng.u32(10_000..99_999),
        token = hex40(rng),
        link = hex40(rng),
        device = hex40(rng),
    )
}

/// Returns the type of an event of an enterprise.
pub(crate) fn enterprise_type(rng: &mut Rng) -> &'static str {
    pick(rng, &ENTERPRISE_EVENTS)
}

/// Returns a random ID in the form that the events of an enterprise have.
pub(crate) fn uuid(rng: &mut Rng) -> String {
    let (high, low) = (rng.u64(..), rng.u64(..));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff,
    )
}

/// The part of an event that depends on its type.
struct Subject {
    event_type: &'static str,
    /// The field `source` as JSON, with a comma before it. Empty if Box leaves the field out.
    source: String,
    /// The value of `additional_details` as JSON.
    details: String,
}

impl Subject {
    fn file(rng: &mut Rng, dates: &Dates<'_>) -> Self {
        let name = format!(
            "{} {}.{}",
            pick(rng, &PREFIXES),
            rng.u16(..),
            pick(rng, &EXTENSIONS)
        );
        let source = format!(
            r#","source":{{"type":"file","id":"{id}","file_version":{{"type":"file_version","id":"{version}","sha1":"{sha1}"}},"sequence_id":"{sequence}","etag":"{sequence}","sha1":"{sha1}","name":"{name}","description":"","size":{size},"content_created_at":"{created}","content_modified_at":"{created}",{common},"shared_link":null,"item_status":"active"}}"#,
            id = rng.u64(1_000_000_000_000..2_000_000_000_000),
            version = rng.u64(1_000_000_000_000..2_000_000_000_000),
            sha1 = hex40(rng),
            sequence = rng.u8(..),
            size = rng.u32(..),
            created = dates.created_at,
            common = common_fields(rng, dates),
        );
        let details = format!(
            r#"{{"size":{},"ekm_id":"{}","version_id":"{}","service_id":"{}","service_name":"Box Sync for Windows"}}"#,
            rng.u32(..),
            hex40(rng),
            rng.u64(1_000_000_000_000..2_000_000_000_000),
            rng.u32(10_000..99_999),
        );
        Self {
            event_type: pick(rng, &FILE_EVENTS),
            source,
            details,
        }
    }

    fn folder(rng: &mut Rng, dates: &Dates<'_>) -> Self {
        let source = format!(
            r#","source":{{"type":"folder","id":"{id}","sequence_id":"{sequence}","etag":"{sequence}","name":"{name} {number}","description":"Everything that has to do with it","size":{size},{common},"shared_link":{{"url":"https://app.box.com/s/{link}","download_url":null,"vanity_url":null,"vanity_name":null,"effective_access":"company","effective_permission":"can_download","is_password_enabled":false,"unshared_at":null,"download_count":{downloads},"preview_count":0,"access":"collaborators","permissions":{{"can_download":true,"can_preview":true,"can_edit":false}}}},"folder_upload_email":null,"item_status":"active""#,
            id = rng.u64(1_000_000_000..20_000_000_000),
            sequence = rng.u8(..),
            name = pick(rng, &PREFIXES),
            number = rng.u16(..),
            size = rng.u32(..),
            common = common_fields(rng, dates),
            link = hex40(rng),
            downloads = rng.u8(..),
        );
        let event_type = pick(rng, &FOLDER_EVENTS);
        let synced = event_type == "ITEM_SYNC";
        Self {
            event_type,
            source: format!(r#"{source},"synced":{synced}}}"#),
            details: "{}".into(),
        }
    }

    fn comment(rng: &mut Rng, dates: &Dates<'_>) -> Self {
        let source = format!(
            r#","source":{{"type":"comment","id":"{id}","is_reply_comment":false,"message":"{message}","tagged_message":"","created_by":{by},"created_at":"{created}","modified_at":"{created}","item":{{"type":"file","id":"{item}","name":"{name}.pdf"}}}}"#,
            id = rng.u32(..),
            message = "Could somebody look at the second page? The figures there don't match last month's. ".repeat(12),
            by = person(rng),
            created = dates.created_at,
            item = rng.u64(1_000_000_000..20_000_000_000),
            name = pick(rng, &PREFIXES),
        );
        Self {
            event_type: "COMMENT_CREATE",
            source,
            details: "null".into(),
        }
    }

    fn web_link(rng: &mut Rng, dates: &Dates<'_>) -> Self {
        let source = format!(
            r#","source":{{"type":"web_link","id":"{id}","sequence_id":"0","etag":"0","name":"Status page","url":"https://status.example.com/?q=a%20b&c=d","description":"",{common},"item_status":"active"}}"#,
            id = rng.u64(1_000_000_000..20_000_000_000),
            common = common_fields(rng, dates),
        );
        Self {
            event_type: "ITEM_CREATE",
            source,
            details: free_map(rng, 4),
        }
    }

    /// Makes a source in the short form that enterprise streams use.
    fn item(rng: &mut Rng) -> Self {
        let source = format!(
            r#","source":{{"item_type":"file","item_id":"{id}","item_name":"{name}.csv","classification":{{"name":"Confidential"}},"parent":{{"type":"folder","name":"All Files","id":"0"}},"owned_by":{owner}}},"ip_address":"192.0.2.{ip}","action_by":null,"accessible_by":{owner}"#,
            id = rng.u64(1_000_000_000..20_000_000_000),
            name = pick(rng, &PREFIXES),
            owner = person(rng),
            ip = rng.u8(..),
        );
        Self {
            event_type: "DOWNLOAD",
            source,
            details: free_map(rng, 18),
        }
    }

    fn user(rng: &mut Rng, dates: &Dates<'_>) -> Self {
        let (id, name, login) = pick(rng, &PEOPLE);
        let source = format!(
            r#","source":{{"type":"user","id":"{id}","name":"{name}","login":"{login}","created_at":"{created}","modified_at":"{created}","language":"en","timezone":"America/Los_Angeles","space_amount":11345156112,"space_used":{used},"max_upload_size":2147483648,"status":"active","job_title":"","phone":"+1 555 0100","address":"","avatar_url":"https://app.box.com/api/avatar/large/{id}"}}"#,
            created = dates.created_at,
            used = rng.u32(..),
        );
        Self {
            event_type: "LOGIN",
            source,
            details: free_map(rng, 18),
        }
    }

    fn nothing(rng: &mut Rng) -> Self {
        let source = if rng.bool() { r#","source":null"# } else { "" };
        Self {
            event_type: "TERMS_OF_SERVICE_ACCEPT",
            source: source.into(),
            details: free_map(rng, 18),
        }
    }
}

/// Returns the fields that files, folders and web links have in common, as JSON.
fn common_fields(rng: &mut Rng, dates: &Dates<'_>) -> String {
    let parent = rng.u64(1_000_000_000..20_000_000_000);
    let name = pick(rng, &PREFIXES);
    format!(
        r#""path_collection":{{"total_count":3,"entries":[{{"type":"folder","id":"0","sequence_id":null,"etag":null,"name":"All Files"}},{{"type":"folder","id":"{above}","sequence_id":"1","etag":"1","name":"Department {department}"}},{{"type":"folder","id":"{parent}","sequence_id":"3","etag":"3","name":"{name}"}}]}},"created_at":"{created}","modified_at":"{created}","trashed_at":null,"purged_at":null,"created_by":{by},"modified_by":{modified_by},"owned_by":{owner},"parent":{{"type":"folder","id":"{parent}","sequence_id":"3","etag":"3","name":"{name}"}}"#,
        above = rng.u64(1_000_000_000..20_000_000_000),
        department = rng.u8(..),
        created = dates.created_at,
        by = person(rng),
        modified_by = person(rng),
        owner = person(rng),
    )
}

/// Returns details whose keys differ from event to event, as JSON.
fn free_map(rng: &mut Rng, entries: usize) -> String {
    let entries: Vec<String> = (0..entries)
        .map(|n| format!(r#""detail_{n}":{{"value":"{}"}}"#, hex40(rng)))
        .collect();
    format!(
        r#"{{"service_name":"Box Admin Console","shield_alert":{{{}}}}}"#,
        entries.join(",")
    )
}

fn person(rng: &mut Rng) -> String {
    let (id, name, login) = pick(rng, &PEOPLE);
    format!(r#"{{"type":"user","id":"{id}","name":"{name}","login":"{login}"}}"#)
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// Returns 40 random hexadecimal digits, the form of a SHA-1.
pub(crate) fn hex40(rng: &mut Rng) -> String {
    format!(
        "{:016x}{:016x}{:08x}",
        rng.u64(..),
        rng.u64(..),
        rng.u32(..)
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    fn events(count: usize) -> Vec<String> {
        let mut rng = Rng::with_seed(7);
        let dates = Dates {
            created_at: "2026-01-01T00:00:00-08:00",
            recorded_at: "2026-01-01T00:00:01-08:00",
        };
        (0..count).map(|_| realistic(&mut rng, &dates)).collect()
    }

    #[test]
    fn events_are_json_of_1_5_to_2_kilobytes() {
        for event in events(500) {
            serde_json::from_str::<Value>(&event).unwrap();
            assert!(
                (1_450..=2_100).contains(&event.len()),
                "{}: {event}",
                event.len()
            );
        }
    }

    #[test]
    fn events_differ_in_id_type_and_source() {
        let events: Vec<Value> = events(500)
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect();
        let distinct = |pointer| {
            events
                .iter()
                .map(|event| event.pointer(pointer).map(Value::to_string))
                .collect::<BTreeSet<_>>()
                .len()
        };
        assert_eq!(distinct("/event_id"), 500);
        assert!(distinct("/event_type") >= 15);
        assert!(distinct("/source/type") >= 5);
    }
}
