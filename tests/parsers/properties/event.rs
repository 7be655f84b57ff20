//! The property of the fields of an event.

use std::net::IpAddr;

use box_longpoll::Event;
use box_longpoll::EventType;
use box_longpoll::event::Source;
use box_longpoll::event::{EventDetails, EventFilter, RawJson};
use serde_json::value::RawValue;

/// Asserts that JSON of any shape is an event with that text, which can be read, kept and stored.
pub(crate) fn holds(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<&RawValue>(data) else {
        return;
    };
    let stored = serde_json::json!({"box_event_json": json.get()}).to_string();
    let event: Event = serde_json::from_str(&stored).expect("any JSON is an event");
    assert_eq!(event.raw(), json.get());
    assert_readable(&event);
    let owned = event.clone().into_owned();
    assert_eq!(owned, event);
    assert_eq!(owned.id(), event.id());

    let written = serde_json::to_string(&event).expect("an event can be written");
    let read: Event = serde_json::from_str(&written).expect("the written event can be read");
    assert_eq!(read.event_type(), event.event_type());
    assert_eq!(read.created_at(), event.created_at());
    // A number that does not fit into 64 bits is rounded.
    if event
        .field("event_id")
        .is_some_and(|id| id.as_str().starts_with('"'))
    {
        assert_eq!(read.id(), event.id());
    }
}

/// Asserts that each accessor returns the same as [`Event::details`], and that reading never
/// panics.
pub(crate) fn assert_readable(event: &Event) {
    let details = event.details();
    assert_eq!(event.recorded_at(), details.recorded_at);
    assert_eq!(event.created_by(), details.created_by);
    assert_eq!(event.session_id(), details.session_id);
    assert_eq!(event.source(), details.source);
    assert_eq!(event.additional_details(), details.additional_details);
    assert_eq!(event.action_by(), details.action_by);
    assert_eq!(event.ip_address(), details.ip_address);
    assert_eq!(event.accessible_by(), details.accessible_by);
    if let Some(EventType::Other(name)) = event.event_type() {
        assert_eq!(EventType::from(&**name).as_str(), name);
    }
    assert_ne!(event.id(), Some(""));
    for name in ["event_id", "source", "additional_details", ""] {
        if let Some(field) = event.field(name) {
            assert_part(&field, event.raw());
        }
    }
    let source = details.source.as_ref();
    assert_eq!(
        event.source_name().as_deref(),
        source.and_then(Source::name)
    );
    assert_eq!(event.source_id().as_deref(), source.and_then(Source::id));
    let source_type = source.and_then(Source::item_type);
    assert_eq!(event.source_type().as_deref(), source_type);
    if let Some(source) = source {
        assert_named(source, event);
    }
    assert_filtered(event, &details);
    let _ = format!("{event:?} {details:?}");
}

/// Asserts that an event matches the filters for the values that its accessors return.
fn assert_filtered(event: &Event, details: &EventDetails) {
    let all = EventFilter::new;
    assert!(all().matches(event));
    if let Some(event_type) = event.event_type() {
        assert!(all().event_types([event_type.as_str()]).matches(event));
    }
    if let Some(time) = event.created_at() {
        assert!(all().created_at(time..=time).matches(event));
    }
    let users = [&details.created_by, &details.action_by];
    for id in users
        .into_iter()
        .flatten()
        .filter_map(|user| user.id.as_ref())
    {
        assert!(all().users([id]).matches(event), "{id}");
    }
    let item = details.source.as_ref().and_then(Source::id);
    let items = item.map(|id| all().items([id]));
    assert_eq!(
        items.is_some_and(|items| items.matches(event)),
        item.is_some()
    );
    let address = details.ip_address.as_deref().unwrap_or_default();
    let is_address = address.parse::<IpAddr>().is_ok();
    let addresses = all().ip_addresses(["::/0"]).expect("a range");
    assert_eq!(addresses.matches(event), is_address, "{address}");
    let path = match &details.source {
        Some(Source::File(file)) => file.path_collection.as_ref(),
        Some(Source::Folder(folder)) => folder.path_collection.as_ref(),
        Some(Source::WebLink(link)) => link.path_collection.as_ref(),
        _ => None,
    };
    let folders = path.and_then(|path| path.entries.as_ref());
    for id in folders
        .into_iter()
        .flatten()
        .filter_map(|folder| folder.id.as_ref())
    {
        assert!(all().folders([id]).matches(event), "{id}");
    }
}

/// Asserts that no accessor of a source misses a value under its plain name.
fn assert_named(source: &Source, event: &Event) {
    for (name, given) in [("id", source.id()), ("name", source.name())] {
        let field = event.field("source").and_then(|source| source.field(name));
        let text = field.filter(|field| field.as_str().starts_with(['"', '-', '0', '1']));
        assert!(text.is_none() || given.is_some(), "{name} of {source:?}");
    }
    match source {
        Source::Other(other) => assert_part(&other.json, event.raw()),
        Source::File(file) => drop((file.shared_link(), file.lock())),
        Source::Folder(folder) => drop((folder.shared_link(), folder.folder_upload_email())),
        Source::WebLink(link) => drop(link.shared_link()),
        _ => {}
    }
}

/// Asserts that a part of an event is JSON, and shares the memory of the event.
fn assert_part(part: &RawJson, raw: &str) {
    let range = raw.as_bytes().as_ptr_range();
    assert!(range.contains(&part.as_str().as_ptr()), "a copy");
    assert!(part.decode::<&RawValue>().is_ok());
    assert!(part.field("no such field").is_none() || raw.contains("such"));
}
