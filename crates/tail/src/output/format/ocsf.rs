//! Events in the [Open Cybersecurity Schema Framework](https://schema.ocsf.io), as JSON.
//!
//! The type of an event of Box decides about the class. Each class has required attributes. If an
//! event lacks one of them, the attribute says `unknown`. Fields of Box without an attribute are in
//! `unmapped`, and the complete event of Box is in `raw_data`.

mod class;

use std::net::IpAddr;

use box_longpoll::event::{EventDetails, Group, Source, User};
use box_longpoll::{Event, EventType};
use jiff::Timestamp;

use self::class::{Class, Classified};
use super::activity::{Activity, has_failed};
use super::item::{Item, address, detail_text, target};
use super::object::Object;

/// The version of the schema.
const VERSION: &str = "1.3.0";

/// The value of an attribute that is required, but that the event lacks.
const UNKNOWN: &str = "unknown";

/// Returns an event in this schema.
pub(super) fn object(event: &Event) -> Object {
    let details = event.details();
    let activity = Activity::of(event, details.source.as_ref());
    let event_type = event.event_type().map(EventType::as_str);
    let Classified {
        class,
        activity_id,
        activity_name,
    } = Classified::from(activity);
    let activity_name = activity_name.unwrap_or_else(|| event_type.unwrap_or("Unknown"));
    let time = event.created_at().or(details.recorded_at);

    let mut object = Object::new();
    object.set("activity_id", activity_id);
    object.set("activity_name", activity_name);
    object.set("category_uid", class.category_uid());
    object.set("category_name", class.category_name());
    object.set("class_uid", class.uid());
    object.set("class_name", class.name());
    let (severity_id, severity) = severity(class, &details);
    object.set("severity_id", severity_id);
    object.set("severity", severity);
    if let Some((status_id, status)) = status(class, event) {
        object.set("status_id", status_id);
        object.set("status", status);
    }
    // Each event needs a time. An event without one arrives now.
    let time = time.unwrap_or_else(Timestamp::now);
    object.set("time", time.as_millisecond());
    let offset = event
        .created_at_offset()
        .map(|offset| offset.seconds() / 60);
    object.set_some("timezone_offset", offset);
    object.set("type_uid", class.uid() * 100 + activity_id);
    object.set("type_name", format!("{}: {activity_name}", class.name()));
    object.set("metadata", metadata(event, &details));
    set_subjects(&mut object, class, event, &details);
    object.set_object("unmapped", unmapped(event, &details, class));
    object.set("raw_data", event.raw());
    object
}

/// Adds the attributes that depend on the class: those who act, and the things that they act on.
fn set_subjects(object: &mut Object, class: Class, event: &Event, details: &EventDetails) {
    let source = details.source.as_ref();
    let target = source.and_then(target);
    match class {
        Class::FileHosting => {
            object.set("actor", actor(details));
            object.set("file", file(&source.and_then(Item::of).unwrap_or_default()));
            object.set("src_endpoint", endpoint(details));
        }
        Class::Authentication => {
            object.set("actor", actor(details));
            object.set("user", user(target.or(details.created_by.as_ref())));
            object.set("service", named("Box"));
            object.set("is_remote", true);
            object.set("src_endpoint", endpoint(details));
        }
        Class::AccountChange => {
            object.set("actor", actor(details));
            object.set("user", user(target));
            object.set("src_endpoint", endpoint(details));
        }
        Class::GroupManagement => {
            object.set("actor", actor(details));
            object.set("group", group(source));
            if let Some(Source::Collaboration(_)) = source {
                object.set("resource", thing(source));
            }
            if let Some(target) = target {
                object.set("user", user(Some(target)));
            }
            object.set("src_endpoint", endpoint(details));
        }
        Class::EntityManagement => {
            object.set("actor", actor(details));
            object.set("entity", thing(source));
            object.set("src_endpoint", endpoint(details));
        }
        Class::ApiActivity => {
            object.set("actor", actor(details));
            let mut api = Object::new();
            let operation = event.event_type().map(EventType::as_str);
            api.set("operation", operation.unwrap_or(UNKNOWN));
            api.set("service", named("Box"));
            object.set("api", api);
            if source.is_some() {
                object.set("resources", [thing(source)]);
            }
            object.set("src_endpoint", endpoint(details));
        }
        Class::DetectionFinding => object.set("finding_info", finding(event, details)),
        Class::BaseEvent => {}
    }
}

/// Returns the severity. Box gives one only to the alerts of Box Shield.
fn severity(class: Class, details: &EventDetails) -> (u32, &'static str) {
    let priority = detail_text(
        details.additional_details.as_ref(),
        &["shield_alert", "priority"],
    );
    match priority.as_deref() {
        _ if class != Class::DetectionFinding => (1, "Informational"),
        Some("low") => (2, "Low"),
        Some("medium") => (3, "Medium"),
        Some("high") => (4, "High"),
        Some("critical") => (5, "Critical"),
        _ => (0, "Unknown"),
    }
}

/// Returns the outcome, or the state of a finding.
fn status(class: Class, event: &Event) -> Option<(u32, &'static str)> {
    match class {
        Class::BaseEvent => None,
        Class::DetectionFinding => Some((1, "New")),
        _ if has_failed(event) => Some((2, "Failure")),
        _ => Some((1, "Success")),
    }
}

fn metadata(event: &Event, details: &EventDetails) -> Object {
    let mut metadata = Object::new();
    metadata.set_some("event_code", event.event_type());
    let recorded_at = details.recorded_at.map(Timestamp::as_millisecond);
    metadata.set_some("logged_time", recorded_at);
    let created_at = event.field("created_at");
    let created_at = created_at.and_then(|time| time.decode::<String>().ok());
    metadata.set_some("original_time", created_at);
    let mut product = named("Box");
    product.set("vendor_name", "Box");
    metadata.set("product", product);
    metadata.set_some("uid", event.id());
    metadata.set("version", VERSION);
    metadata
}

fn actor(details: &EventDetails) -> Object {
    let mut actor = Object::new();
    let service = detail_text(details.additional_details.as_ref(), &["service_name"]);
    actor.set_some("app_name", service);
    let mut session = Object::new();
    session.set_some("uid", details.session_id.as_ref());
    actor.set_object("session", session);
    actor.set("user", user(details.created_by.as_ref()));
    actor
}

fn user(user: Option<&User>) -> Object {
    let Some(user) = user else {
        return named(UNKNOWN);
    };
    let mut fields = Object::new();
    fields.set_some("email_addr", address(user));
    fields.set_some("full_name", user.name.as_ref());
    let login = user.login.as_deref().filter(|login| !login.is_empty());
    let name = login.or(user.name.as_deref());
    match (name, &user.id) {
        (None, None) => fields.set("name", UNKNOWN),
        _ => fields.set_some("name", name),
    }
    fields.set_some("uid", user.id.as_ref());
    fields
}

fn file(item: &Item<'_>) -> Object {
    let mut file = Object::new();
    if let Some(classification) = item.classification {
        file.set("confidentiality", classification);
        file.set("confidentiality_id", 99);
    }
    file.set_some(
        "created_time",
        item.created_at.map(Timestamp::as_millisecond),
    );
    file.set_some("ext", item.extension());
    if let Some(sha1) = item.sha1 {
        let mut hash = Object::new();
        hash.set("algorithm", "SHA-1");
        hash.set("algorithm_id", 2);
        hash.set("value", sha1);
        file.set("hashes", [hash]);
    }
    file.set_some(
        "modified_time",
        item.modified_at.map(Timestamp::as_millisecond),
    );
    file.set("name", item.name.unwrap_or(UNKNOWN));
    file.set_some("owner", item.owner.map(|owner| user(Some(owner))));
    let parent = item.parent.and_then(|parent| parent.name.as_ref());
    file.set_some("parent_folder", item.directory.as_ref().or(parent));
    file.set_some("path", item.path());
    file.set_some("size", item.size);
    let (type_id, type_name) = match item.item_type {
        None => (0, "Unknown"),
        Some("file") => (1, "Regular File"),
        Some("folder") => (2, "Folder"),
        Some(other) => (99, other),
    };
    file.set("type", type_name);
    file.set("type_id", type_id);
    file.set_some("uid", item.id);
    file
}

fn group(source: Option<&Source>) -> Object {
    match source {
        Some(Source::Group(source)) => group_fields(&source.group),
        Some(Source::Collaboration(shared)) => shared
            .group
            .as_ref()
            .map_or_else(|| named(UNKNOWN), group_fields),
        Some(Source::AppItem(item)) => item
            .group
            .as_ref()
            .map_or_else(|| named(UNKNOWN), group_fields),
        _ => named(UNKNOWN),
    }
}

fn group_fields(group: &Group) -> Object {
    let mut fields = Object::new();
    match (&group.name, &group.id) {
        (None, None) => fields.set("name", UNKNOWN),
        (name, _) => fields.set_some("name", name.as_ref()),
    }
    fields.set_some("type", group.group_type.as_ref());
    fields.set_some("uid", group.id.as_ref());
    fields
}

/// Returns the source of an event as an entity or a resource.
fn thing(source: Option<&Source>) -> Object {
    let (name, id) = (source.and_then(Source::name), source.and_then(Source::id));
    let mut fields = Object::new();
    match (name, id) {
        (None, None) => fields.set("name", UNKNOWN),
        _ => fields.set_some("name", name),
    }
    fields.set_some("type", source.and_then(Source::item_type));
    fields.set_some("uid", id);
    fields
}

/// Returns the place from which the user acted. Only the events of an enterprise have an address.
fn endpoint(details: &EventDetails) -> Object {
    let mut endpoint = Object::new();
    match details.ip_address.as_deref() {
        Some(address) if address.parse::<IpAddr>().is_ok() => endpoint.set("ip", address),
        Some(other) => endpoint.set("name", other),
        None => endpoint.set("name", UNKNOWN),
    }
    endpoint
}

fn finding(event: &Event, details: &EventDetails) -> Object {
    let more = details.additional_details.as_ref();
    let text = |name| detail_text(more, &["shield_alert", name]);
    let mut finding = Object::new();
    finding.set_some("src_url", text("link"));
    let event_type = event
        .event_type()
        .map(|event_type| event_type.as_str().to_owned());
    let title = text("rule_name").or(event_type);
    finding.set("title", title.unwrap_or_else(|| UNKNOWN.into()));
    let category = text("rule_category");
    finding.set_some("types", category.map(|category| [category]));
    let id = text("alert_id").or(event.id().map(str::to_owned));
    finding.set("uid", id.unwrap_or_else(|| UNKNOWN.into()));
    finding
}

/// Returns the fields of Box that have no attribute in the class.
fn unmapped(event: &Event, details: &EventDetails, class: Class) -> Object {
    let mut unmapped = Object::new();
    let mut keep = |name| {
        let value = event.field(name);
        let value = value.filter(|value| value.as_str() != "null");
        unmapped.set_raw(name, value.as_ref());
    };
    keep("accessible_by");
    keep("action_by");
    if !class.has_actor() {
        keep("created_by");
        keep("ip_address");
        keep("source");
    }
    unmapped.set_raw("additional_details", details.additional_details.as_ref());
    unmapped
}

/// Returns an object with only a name.
fn named(name: &str) -> Object {
    let mut object = Object::new();
    object.set("name", name);
    object
}
