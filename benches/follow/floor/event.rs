//! Box's responses, as plain owned structs with every documented field.
//!
//! The floor parses every page into them, as a simple client would. The library's own types keep
//! the text instead.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub(super) struct Servers {
    pub(super) entries: Vec<Server>,
}

#[derive(Deserialize)]
pub(super) struct Server {
    pub(super) url: String,
}

#[derive(Deserialize)]
pub(super) struct Signal {
    pub(super) message: String,
}

#[derive(Deserialize)]
pub(super) struct Page {
    next_stream_position: Box<RawValue>,
    pub(super) entries: Vec<Event>,
}

impl Page {
    pub(super) fn next_stream_position(&self) -> String {
        self.next_stream_position.get().trim_matches('"').to_owned()
    }
}

/// An event, with every field that Box documents.
#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
pub(crate) struct Event {
    #[serde(rename = "type")]
    object_type: Option<String>,
    pub(super) event_id: Option<String>,
    pub(super) event_type: Option<String>,
    pub(super) created_at: Option<String>,
    recorded_at: Option<String>,
    created_by: Option<User>,
    session_id: Option<String>,
    source: Option<Box<Source>>,
    additional_details: Option<Box<RawValue>>,
    action_by: Option<User>,
    ip_address: Option<String>,
    accessible_by: Option<User>,
    /// The emulator's own field, for latency.
    pub(super) sent_ns: Option<u64>,
}

/// A file, folder, web link, user or item, with the fields of all of them.
#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct Source {
    #[serde(rename = "type")]
    object_type: Option<String>,
    id: Option<String>,
    name: Option<String>,
    login: Option<String>,
    description: Option<String>,
    url: Option<String>,
    etag: Option<String>,
    sequence_id: Option<String>,
    sha1: Option<String>,
    size: Option<u64>,
    file_version: Option<FileVersion>,
    parent: Option<FolderMini>,
    path_collection: Option<PathCollection>,
    created_at: Option<String>,
    modified_at: Option<String>,
    content_created_at: Option<String>,
    content_modified_at: Option<String>,
    trashed_at: Option<String>,
    purged_at: Option<String>,
    created_by: Option<User>,
    modified_by: Option<User>,
    owned_by: Option<User>,
    item_status: Option<String>,
    item_type: Option<String>,
    item_id: Option<String>,
    item_name: Option<String>,
    classification: Option<Classification>,
    app_item_type: Option<String>,
    user: Option<User>,
    group: Option<Group>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct User {
    #[serde(rename = "type")]
    object_type: Option<String>,
    id: Option<String>,
    name: Option<String>,
    login: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct Group {
    id: Option<String>,
    name: Option<String>,
    group_type: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct FolderMini {
    id: Option<String>,
    name: Option<String>,
    etag: Option<String>,
    sequence_id: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct PathCollection {
    total_count: Option<u64>,
    entries: Option<Vec<FolderMini>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct FileVersion {
    id: Option<String>,
    sha1: Option<String>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "parsing every field is what the floor measures")]
struct Classification {
    name: Option<String>,
}
