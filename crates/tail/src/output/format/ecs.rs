//! Events in the [Elastic Common Schema](https://www.elastic.co/docs/reference/ecs), as JSON.
//!
//! The schema defines the fields and the values of `event.kind`, `event.category`, `event.type` and
//! `event.outcome`. Fields of Box without a field in the schema are in `labels`, and the complete
//! event of Box is in `event.original`.

use std::collections::BTreeSet;
use std::net::IpAddr;

use box_longpoll::event::{EventDetails, Group, Source, User};
use box_longpoll::{Event, EventType};
use jiff::Timestamp;

use super::activity::{AccountActivity, Activity, Change, FileActivity, GroupActivity, has_failed};
use super::item::{Item, address, detail, detail_text, target};
use super::object::Object;

/// The version of the schema.
const VERSION: &str = "8.17.0";

/// Returns an event in this schema.
pub(super) fn object(event: &Event) -> Object {
    let details = event.details();
    let source = details.source.as_ref();
    let activity = Activity::of(event, source);
    let item = source.and_then(Item::of);
    let time = event.created_at().or(details.recorded_at);

    let mut object = Object::new();
    // Each document needs a time. An event without one arrives now.
    object.set(
        "@timestamp",
        milliseconds(time.unwrap_or_else(Timestamp::now)),
    );
    let mut version = Object::new();
    version.set("version", VERSION);
    object.set("ecs", version);
    object.set("event", event_fields(event, &details, activity));
    object.set_object("file", item.as_ref().map(file).unwrap_or_default());
    object.set_object("group", source.and_then(group).unwrap_or_default());
    object.set_object("labels", labels(&details, item.as_ref()));
    object.set_object("related", related(&details, item.as_ref()));
    object.set_object("rule", rule(&details));
    object.set_object("source", source_address(&details));
    object.set_object("user", user_fields(&details, activity));
    object
}

fn event_fields(event: &Event, details: &EventDetails, activity: Activity) -> Object {
    let mut fields = Object::new();
    let event_type = event.event_type().map(EventType::as_str);
    let is_finding = activity == Activity::Finding;
    let (category, types) = classes(activity);
    // ECS leaves a field out if none of its values fits.
    let category = match event_type {
        Some("FILE_MARKED_MALICIOUS") => Some("malware"),
        _ => category,
    };
    fields.set_some("action", event_type);
    fields.set_some("category", category.map(|category| [category]));
    fields.set("dataset", "box.events");
    fields.set_some("id", event.id());
    fields.set("kind", if is_finding { "alert" } else { "event" });
    fields.set("module", "box");
    fields.set("original", event.raw());
    if activity != Activity::None && !is_finding {
        let outcome = if has_failed(event) {
            "failure"
        } else {
            "success"
        };
        fields.set("outcome", outcome);
    }
    fields.set("provider", "box");
    let risk: Option<f64> = detail(
        details.additional_details.as_ref(),
        &["shield_alert", "risk_score"],
    );
    fields.set_some("risk_score", risk);
    if !types.is_empty() {
        fields.set("type", types);
    }
    fields
}

/// Returns the values of `event.category` and `event.type`.
fn classes(activity: Activity) -> (Option<&'static str>, &'static [&'static str]) {
    match activity {
        Activity::File(activity) => (Some("file"), file_types(activity)),
        Activity::Logon => (Some("authentication"), &["start"]),
        Activity::Logoff => (Some("authentication"), &["end"]),
        Activity::Account(activity) => (
            Some("iam"),
            match activity {
                AccountActivity::Create => &["user", "creation"],
                AccountActivity::Delete => &["user", "deletion"],
                _ => &["user", "change"],
            },
        ),
        Activity::Group(activity) => (
            Some("iam"),
            match activity {
                GroupActivity::Create => &["group", "creation"],
                GroupActivity::Delete => &["group", "deletion"],
                _ => &["group", "change"],
            },
        ),
        Activity::Finding => (Some("intrusion_detection"), &["info"]),
        Activity::Setting(change) => (
            Some("configuration"),
            match change {
                Change::Create => &["creation"],
                Change::Update => &["change"],
                Change::Delete => &["deletion"],
                Change::Other => &["info"],
            },
        ),
        Activity::Thing(_) | Activity::Other | Activity::None => (None, &[]),
    }
}

fn file_types(activity: FileActivity) -> &'static [&'static str] {
    match activity {
        FileActivity::Upload
        | FileActivity::Create
        | FileActivity::Copy
        | FileActivity::Restore => &["creation"],
        FileActivity::Delete => &["deletion"],
        FileActivity::Download | FileActivity::Preview | FileActivity::Open => &["access"],
        FileActivity::Other => &["info"],
        _ => &["change"],
    }
}

fn file(item: &Item<'_>) -> Object {
    let mut file = Object::new();
    file.set_some("created", item.created_at.map(milliseconds));
    file.set_some("directory", item.directory.as_ref());
    file.set_some("extension", item.extension());
    let mut hash = Object::new();
    hash.set_some("sha1", item.sha1);
    file.set_object("hash", hash);
    file.set_some("mtime", item.modified_at.map(milliseconds));
    file.set_some("name", item.name);
    let owner = item.owner.and_then(|owner| owner.login.as_ref());
    file.set_some("owner", owner);
    file.set_some("path", item.path());
    file.set_some("size", item.size);
    let file_type = match item.item_type {
        Some("file") => Some("file"),
        Some("folder") => Some("dir"),
        _ => None,
    };
    file.set_some("type", file_type);
    file
}

fn group(source: &Source) -> Option<Object> {
    let of = |group: &Group| {
        let mut fields = Object::new();
        fields.set_some("id", group.id.as_ref());
        fields.set_some("name", group.name.as_ref());
        fields
    };
    match source {
        Source::Group(source) => Some(of(&source.group)),
        Source::Collaboration(shared) => shared.group.as_ref().map(of),
        _ => None,
    }
}

/// Returns the fields of Box that have no place in the schema. All are texts.
fn labels(details: &EventDetails, item: Option<&Item<'_>>) -> Object {
    let more = details.additional_details.as_ref();
    let source = details.source.as_ref();
    let parent = item.and_then(|item| item.parent);
    let actor = details.action_by.as_ref();
    let mut labels = Object::new();
    labels.set_some("action_by_id", actor.and_then(|user| user.id.as_ref()));
    labels.set_some(
        "action_by_login",
        actor.and_then(|user| user.login.as_ref()),
    );
    labels.set_some("classification", item.and_then(|item| item.classification));
    labels.set_some("parent_id", parent.and_then(|parent| parent.id.as_ref()));
    labels.set_some(
        "parent_name",
        parent.and_then(|parent| parent.name.as_ref()),
    );
    labels.set_some("service_name", detail_text(more, &["service_name"]));
    labels.set_some("session_id", details.session_id.as_ref());
    labels.set_some("source_id", source.and_then(Source::id));
    labels.set_some("source_name", source.and_then(Source::name));
    labels.set_some("source_type", source.and_then(Source::item_type));
    labels
}

/// Returns all users, addresses and hashes of the event, by which one searches.
fn related(details: &EventDetails, item: Option<&Item<'_>>) -> Object {
    let users = [
        details.created_by.as_ref(),
        details.action_by.as_ref(),
        details.source.as_ref().and_then(target),
        item.and_then(|item| item.owner),
    ];
    let texts = users.into_iter().flatten().flat_map(|user| {
        let texts = [&user.id, &user.login, &user.name];
        texts.into_iter().filter_map(|text| text.as_deref())
    });
    let texts = texts.filter(|text| !text.is_empty());
    let mut related = Object::new();
    let hash = item.and_then(|item| item.sha1);
    related.set_texts("hash", hash.into_iter().collect());
    let ip = details.ip_address.as_deref().filter(|text| is_ip(text));
    related.set_texts("ip", ip.into_iter().collect());
    related.set_texts("user", texts.collect::<BTreeSet<_>>());
    related
}

/// Returns the rule of Box Shield that caused an alert.
fn rule(details: &EventDetails) -> Object {
    let more = details.additional_details.as_ref();
    let text = |name| detail_text(more, &["shield_alert", name]);
    let mut rule = Object::new();
    rule.set_some("category", text("rule_category"));
    rule.set_some("id", text("rule_id"));
    rule.set_some("name", text("rule_name"));
    rule
}

fn source_address(details: &EventDetails) -> Object {
    let mut source = Object::new();
    let address = details.ip_address.as_deref();
    source.set_some("address", address);
    source.set_some("ip", address.filter(|text| is_ip(text)));
    source
}

/// Returns the user who acted, and the user whose account or access changed.
fn user_fields(details: &EventDetails, activity: Activity) -> Object {
    let mut fields = details.created_by.as_ref().map(user).unwrap_or_default();
    let is_about_a_user = !matches!(activity, Activity::Logon | Activity::Logoff);
    let target = details.source.as_ref().and_then(target);
    let target = target.filter(|_| is_about_a_user).map(user);
    fields.set_object("target", target.unwrap_or_default());
    fields
}

fn user(user: &User) -> Object {
    let mut fields = Object::new();
    fields.set_some("email", address(user));
    fields.set_some("full_name", user.name.as_ref());
    fields.set_some("id", user.id.as_ref());
    let login = user.login.as_ref().filter(|login| !login.is_empty());
    fields.set_some("name", login.or(user.name.as_ref()));
    fields
}

/// Elasticsearch rejects a document whose field for an address has anything else.
fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

fn milliseconds(time: Timestamp) -> String {
    format!("{time:.3}")
}
