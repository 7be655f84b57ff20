//! Proves the accessors of events and their sources, for documented, odd and missing fields.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;

use box_longpoll::event::{PathCollection, Source};
use box_longpoll::{Event, EventType};
use jiff::Timestamp;
use serde::Deserialize;

const UPLOAD: &str = r#"{
    "type": "event",
    "event_id": "f82c3ba03e41f7e8a7608363cc6c0390183c3f83",
    "event_type": "ITEM_UPLOAD",
    "created_at": "2022-12-12T10:53:43-08:00",
    "recorded_at": "2022-12-12T10:54:43-08:00",
    "created_by": {"type": "user", "id": "17738362", "name": "Ada Byron", "login": "ada@example.com"},
    "session_id": "70090280850c8d2a1933c1",
    "source": {
        "type": "file", "id": "2305649799", "sequence_id": "1", "etag": "1", "name": "testing.html",
        "sha1": "85136c79cbf9fe36bb9d05d0639c70c265c18d37", "description": "", "size": 629644,
        "file_version": {"type": "file_version", "id": "26261748416", "sha1": "134b65991ed521fcfe4724b7d814ab8ded5185dc"},
        "path_collection": {"total_count": 2, "entries": [
            {"type": "folder", "id": "0", "sequence_id": null, "etag": null, "name": "All Files"},
            {"type": "folder", "id": "11446498", "sequence_id": "3", "etag": "2", "name": "Pictures"}
        ]},
        "created_at": "2022-12-12T10:53:43-08:00", "modified_at": "2022-12-12T10:53:44-08:00",
        "trashed_at": null, "purged_at": null,
        "content_created_at": "2012-11-02T12:00:00Z", "content_modified_at": "2012-11-03T12:00:00.250Z",
        "created_by": {"type": "user", "id": "17738362", "name": "Ada Byron", "login": "ada@example.com"},
        "modified_by": {"type": "user", "id": "17738363", "name": "Alan", "login": "alan@example.com"},
        "owned_by": {"type": "user", "id": "17738362", "name": "Ada Byron", "login": "ada@example.com"},
        "shared_link": {"url": "https://app.box.com/s/abc", "access": "open"},
        "parent": {"type": "folder", "id": "11446498", "sequence_id": "3", "etag": "2", "name": "Pictures"},
        "item_status": "active", "synced": false
    }
}"#;

const DOWNLOAD: &str = r#"{
    "type": "event", "event_id": "b9a2393a-20cf-4307-90f5-004110dec209", "event_type": "DOWNLOAD",
    "created_at": "2019-12-20T11:38:56-08:00",
    "created_by": {"type": "user", "id": "11446498", "name": "Aaron", "login": "aaron@example.com"},
    "action_by": {"type": "user", "id": "box_support", "name": "Box Support", "login": "support@box.com"},
    "ip_address": "192.0.2.7", "session_id": null,
    "accessible_by": {"type": "group", "id": "99", "name": "Support"},
    "source": {"item_type": "file", "item_id": "560284318361", "item_name": "report.pdf",
        "classification": {"name": "Top Secret"},
        "parent": {"type": "folder", "name": "Contracts", "id": "12345"},
        "owned_by": {"type": "user", "id": "11446498", "name": "Aaron", "login": "aaron@example.com"}},
    "additional_details": {"size": 1234567, "ekm_id": "3f4c5f9a", "version_id": "1152922976252290886", "service_name": "Box"}
}"#;

#[track_caller]
fn event(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

/// Returns the source of an event with this JSON as its `source`.
#[track_caller]
fn source(json: &str) -> Option<Source> {
    event(&format!(r#"{{"event_id":"e1","source":{json}}}"#)).source()
}

fn time(rfc3339: &str) -> Option<Timestamp> {
    rfc3339.parse().ok()
}

#[test]
fn a_user_event_has_its_fields() {
    let event = event(UPLOAD);
    assert_eq!(event.id(), Some("f82c3ba03e41f7e8a7608363cc6c0390183c3f83"));
    assert_eq!(event.event_type(), Some(&EventType::ItemUpload));
    assert_eq!(event.created_at(), time("2022-12-12T10:53:43-08:00"));
    assert_eq!(event.recorded_at(), time("2022-12-12T18:54:43Z"));
    assert_eq!(
        event.session_id().as_deref(),
        Some("70090280850c8d2a1933c1")
    );
    let user = event.created_by().unwrap();
    assert_eq!(user.id.as_deref(), Some("17738362"));
    assert_eq!(user.user_type.as_deref(), Some("user"));
    assert_eq!(user.name.as_deref(), Some("Ada Byron"));
    assert_eq!(user.login.as_deref(), Some("ada@example.com"));
    assert!(!user.is_anonymous());
    assert_eq!(event.additional_details(), None);
    assert_eq!(event.action_by(), None);
    assert_eq!(event.ip_address(), None);
    assert_eq!(event.accessible_by(), None);
}

#[test]
fn a_file_has_its_fields() {
    let source = event(UPLOAD).source().unwrap();
    assert_eq!(source.id(), Some("2305649799"));
    assert_eq!(source.name(), Some("testing.html"));
    assert_eq!(source.item_type(), Some("file"));
    let Source::File(file) = source else {
        panic!("{source:?}")
    };
    assert_eq!((file.synced, file.lock()), (Some(false), None));
    let link = file.shared_link().unwrap();
    assert_eq!(link.url.as_deref(), Some("https://app.box.com/s/abc"));
    assert_eq!(file.description.as_deref(), Some(""));
    assert_eq!(file.etag.as_deref(), Some("1"));
    assert_eq!(file.sequence_id.as_deref(), Some("1"));
    assert_eq!(
        file.sha1.as_deref(),
        Some("85136c79cbf9fe36bb9d05d0639c70c265c18d37")
    );
    assert_eq!(file.size, Some(629_644));
    assert_eq!(
        file.file_version.unwrap().id.as_deref(),
        Some("26261748416")
    );
    assert_eq!(file.parent.unwrap().name.as_deref(), Some("Pictures"));
    assert_eq!(file.created_at, time("2022-12-12T10:53:43-08:00"));
    assert_eq!(file.modified_at, time("2022-12-12T10:53:44-08:00"));
    assert_eq!(file.content_created_at, time("2012-11-02T12:00:00Z"));
    assert_eq!(file.content_modified_at, time("2012-11-03T12:00:00.25Z"));
    assert_eq!(file.trashed_at, None);
    assert_eq!(file.purged_at, None);
    assert_eq!(file.created_by.unwrap().id.as_deref(), Some("17738362"));
    assert_eq!(file.modified_by.unwrap().id.as_deref(), Some("17738363"));
    assert_eq!(
        file.owned_by.unwrap().login.as_deref(),
        Some("ada@example.com")
    );
    assert_eq!(file.item_status.as_deref(), Some("active"));
    let path = file.path_collection.unwrap();
    assert_eq!(path.total_count, Some(2));
    assert!(path.contains("0") && path.contains("11446498"));
    assert!(!path.contains("2305649799") && !PathCollection::default().contains("0"));
    let folders = path.entries.unwrap();
    let names: Vec<_> = folders
        .iter()
        .map(|folder| folder.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["All Files", "Pictures"]);
    assert_eq!(folders[0].etag, None);
    assert_eq!(folders[1].sequence_id.as_deref(), Some("3"));
}

#[test]
fn event_names_its_source() {
    let event = event(UPLOAD);
    assert_eq!(event.source_type().as_deref(), Some("file"));
    assert_eq!(event.source_id().as_deref(), Some("2305649799"));
    assert_eq!(event.source_name().as_deref(), Some("testing.html"));
}

#[test]
fn event_without_a_source_names_none() {
    for json in ["{}", r#"{"source":null}"#, r#"{"source":"file"}"#] {
        let event = event(json);
        let named = [event.source_type(), event.source_id(), event.source_name()];
        assert_eq!(named, [None, None, None], "{json}");
    }
}

#[test]
fn a_folder_has_its_fields() {
    let Some(Source::Folder(folder)) = source(
        r#"{"type":"folder","id":"11446498","name":"Pictures","size":"1024","parent":null,
            "path_collection":{"total_count":0,"entries":[]},"owned_by":{"id":"1"},"item_status":"trashed",
            "trashed_at":"2022-12-12T10:53:43-08:00"}"#,
    ) else {
        panic!("no folder")
    };
    assert_eq!(folder.id.as_deref(), Some("11446498"));
    assert_eq!(folder.name.as_deref(), Some("Pictures"));
    assert_eq!(folder.size, Some(1024));
    assert_eq!(folder.parent, None);
    assert_eq!(folder.path_collection.unwrap().entries, Some(vec![]));
    assert_eq!(folder.item_status.as_deref(), Some("trashed"));
    assert_eq!(folder.trashed_at, time("2022-12-12T10:53:43-08:00"));
}

#[test]
fn a_web_link_has_its_fields() {
    let source = source(
        r#"{"type":"web_link","id":"742","name":"Docs","url":"https://example.com/?a=1&b=2","parent":{"id":"0"}}"#,
    );
    let Some(Source::WebLink(link)) = source else {
        panic!("{source:?}")
    };
    assert_eq!(link.name.as_deref(), Some("Docs"));
    assert_eq!(link.url.as_deref(), Some("https://example.com/?a=1&b=2"));
    assert_eq!(link.parent.unwrap().id.as_deref(), Some("0"));
}

#[test]
fn an_enterprise_event_has_its_fields() {
    #[derive(Deserialize)]
    struct Details {
        size: u64,
        version_id: String,
    }

    let event = event(DOWNLOAD);
    assert_eq!(event.event_type(), Some(&EventType::Download));
    assert_eq!(event.session_id(), None);
    assert_eq!(event.ip_address().as_deref(), Some("192.0.2.7"));
    assert_eq!(
        event.action_by().unwrap().id.as_deref(),
        Some("box_support")
    );
    assert_eq!(
        event.accessible_by().unwrap().user_type.as_deref(),
        Some("group")
    );
    let details: Details = event.additional_details().unwrap().decode().unwrap();
    assert_eq!(details.size, 1_234_567);
    assert_eq!(details.version_id, "1152922976252290886");

    let source = event.source().unwrap();
    assert_eq!(source.id(), Some("560284318361"));
    assert_eq!(source.name(), Some("report.pdf"));
    assert_eq!(source.item_type(), Some("file"));
    let Source::Item(item) = source else {
        panic!("{source:?}")
    };
    assert_eq!(
        item.classification.unwrap().name.as_deref(),
        Some("Top Secret")
    );
    assert_eq!(item.parent.unwrap().name.as_deref(), Some("Contracts"));
    assert_eq!(
        item.owned_by.unwrap().login.as_deref(),
        Some("aaron@example.com")
    );
}

#[test]
fn details_equal_the_results_of_the_accessors() {
    for json in [UPLOAD, DOWNLOAD, "{}"] {
        let event = event(json);
        let details = event.details();
        assert_eq!(details.recorded_at, event.recorded_at());
        assert_eq!(details.created_by, event.created_by());
        assert_eq!(details.session_id, event.session_id());
        assert_eq!(details.source, event.source());
        assert_eq!(details.additional_details, event.additional_details());
        assert_eq!(details.action_by, event.action_by());
        assert_eq!(details.ip_address, event.ip_address());
        assert_eq!(details.accessible_by, event.accessible_by());
    }
}

#[test]
fn a_user_can_be_the_source() {
    let source =
        source(r#"{"type":"user","id":"222853849","name":"Nick","login":"nick@example.com"}"#)
            .unwrap();
    assert_eq!(source.id(), Some("222853849"));
    assert_eq!(source.name(), Some("Nick"));
    assert_eq!(source.item_type(), Some("user"));
    let Source::User(user) = source else {
        panic!("{source:?}")
    };
    assert_eq!(user.login.as_deref(), Some("nick@example.com"));
}

#[test]
fn an_app_item_can_be_the_source() {
    let source = source(
        r#"{"type":"app_item","id":"6374669741","app_item_type":"hubs","user":{"type":"user","id":"1"},
            "group":{"type":"group","id":"11446498","name":"Support","group_type":"managed_group"}}"#,
    )
    .unwrap();
    assert_eq!(source.id(), Some("6374669741"));
    assert_eq!(source.name(), None);
    assert_eq!(source.item_type(), Some("app_item"));
    let Source::AppItem(item) = source else {
        panic!("{source:?}")
    };
    assert_eq!(item.app_item_type.as_deref(), Some("hubs"));
    assert_eq!(item.user.unwrap().id.as_deref(), Some("1"));
    let group = item.group.unwrap();
    assert_eq!(group.id.as_deref(), Some("11446498"));
    assert_eq!(group.name.as_deref(), Some("Support"));
    assert_eq!(group.group_type.as_deref(), Some("managed_group"));
}

#[test]
fn a_collaboration_keeps_all_its_fields() {
    let source =
        source(r#"{"type":"collaboration","id":"14176246","role":"editor","item":{"type":"folder","id":"9"}}"#).unwrap();
    assert_eq!(source.id(), Some("14176246"));
    assert_eq!(source.item_type(), Some("collaboration"));
    let Source::Other(collaboration) = source else {
        panic!("{source:?}")
    };
    let role: String = collaboration.json.field("role").unwrap().decode().unwrap();
    assert_eq!(role, "editor");
    let item = collaboration.json.field("item").unwrap();
    assert_eq!(item.field("id").unwrap().to_string(), r#""9""#);
}

#[test]
fn a_map_of_unknown_shape_keeps_all_its_fields() {
    #[derive(Deserialize)]
    struct Barrier {
        barrier_id: u64,
        barrier_segments: Vec<BTreeMap<String, serde_json::Value>>,
    }

    let source = source(
        r#"{"barrier_id":123456,"barrier_status":"ENABLED",
            "barrier_segments":[{"name":"8","member_count":1},{"name":"9","member_count":1}]}"#,
    );
    let Some(Source::Other(other)) = source else {
        panic!("{source:?}")
    };
    assert_eq!(other.id.as_deref(), Some("123456"));
    assert_eq!((other.name, other.item_type), (None, None));
    let barrier: Barrier = other.json.decode().unwrap();
    assert_eq!(barrier.barrier_id, 123_456);
    assert_eq!(barrier.barrier_segments[1]["name"], "9");
}

#[test]
fn an_event_may_have_no_source() {
    assert_eq!(source("null"), None);
    assert_eq!(
        event(r#"{"event_id":"e1","event_type":"LOGIN"}"#).source(),
        None
    );
}

#[test]
fn a_source_that_is_no_object_keeps_its_json() {
    for json in [r#""text""#, r#"["a",1]"#, "17", "false", "{}"] {
        let source = source(json);
        let Some(Source::Other(other)) = source else {
            panic!("{source:?}")
        };
        assert_eq!(other.json.as_str(), json);
    }
}

#[test]
fn a_source_of_an_unknown_type_is_recognized_by_its_fields() {
    let item = source(r#"{"type":"event_source","item_id":12,"item_name":"n"}"#);
    assert!(matches!(item, Some(Source::Item(_))), "{item:?}");
    let other = source(r#"{"type":7,"id":8,"name":"n"}"#).unwrap();
    assert!(matches!(other, Source::Other(_)), "{other:?}");
    assert_eq!(other.item_type(), None);
    assert_eq!(other.id(), Some("8"));
    assert_eq!(other.name(), Some("n"));
}

#[test]
fn a_user_who_is_not_logged_in_is_anonymous() {
    for json in [
        r#"{"type":"user","id":"2","name":"","login":""}"#,
        r#"{"id":2}"#,
    ] {
        let event = event(&format!(r#"{{"created_by":{json}}}"#));
        assert!(event.created_by().unwrap().is_anonymous());
    }
    assert!(
        !event(r#"{"created_by":{"id":"22"}}"#)
            .created_by()
            .unwrap()
            .is_anonymous()
    );
    assert!(
        !event(r#"{"created_by":{}}"#)
            .created_by()
            .unwrap()
            .is_anonymous()
    );
}

#[test]
fn ids_may_be_numbers() {
    for kind in ["user", "file", "folder", "web_link", "app_item", "comment"] {
        let source = source(&format!(r#"{{"type":"{kind}","id":12345678901234567890}}"#)).unwrap();
        assert_eq!(source.id(), Some("12345678901234567890"));
        assert_eq!(source.item_type(), Some(kind));
    }
    assert_eq!(
        source(r#"{"item_type":"file","item_id":5}"#).unwrap().id(),
        Some("5")
    );
    assert_eq!(
        event(r#"{"event_id":1152922976252290886}"#).id(),
        Some("1152922976252290886")
    );
}

#[test]
fn an_odd_field_leaves_the_others_readable() {
    const ODD: [&str; 8] = [
        "null",
        "true",
        "-3",
        "1.5",
        r#""odd""#,
        "[]",
        r#"[[{"id":1}]]"#,
        r#"{"odd":{}}"#,
    ];
    for name in [
        "event_type",
        "created_at",
        "created_by",
        "session_id",
        "source",
        "additional_details",
        "type",
    ] {
        for odd in ODD {
            let mut members: BTreeMap<String, serde_json::Value> =
                serde_json::from_str(UPLOAD).unwrap();
            members.insert(name.to_owned(), serde_json::from_str(odd).unwrap());
            let event = event(&serde_json::to_string(&members).unwrap());
            assert_eq!(event.id(), Some("f82c3ba03e41f7e8a7608363cc6c0390183c3f83"));
            assert_eq!(event.recorded_at(), time("2022-12-12T10:54:43-08:00"));
            assert_eq!(event.details().recorded_at, event.recorded_at());
            assert_eq!(event.field(name).unwrap().as_str(), odd);
            if name != "source" {
                assert_eq!(event.source().unwrap().name(), Some("testing.html"));
            }
        }
    }
}

#[test]
fn an_odd_field_of_a_source_leaves_the_others_readable() {
    for odd in [
        r#""size":-1"#,
        r#""size":1.5"#,
        r#""size":"big""#,
        r#""parent":"root""#,
        r#""path_collection":[]"#,
        r#""path_collection":{"total_count":null,"entries":{}}"#,
        r#""path_collection":{"entries":[{"id":"0"},"hole"]}"#,
        r#""created_at":"yesterday""#,
        r#""created_at":1670871223"#,
        r#""owned_by":[]"#,
        r#""file_version":0"#,
        r#""etag":{}"#,
    ] {
        let source = source(&format!(r#"{{"type":"file","id":"7",{odd},"name":"a"}}"#));
        let Some(Source::File(file)) = source else {
            panic!("{source:?}")
        };
        assert_eq!(file.id.as_deref(), Some("7"), "{odd}");
        assert_eq!(file.name.as_deref(), Some("a"), "{odd}");
        assert_eq!(file.size, None);
        assert_eq!(file.parent, None);
        assert_eq!(file.path_collection.and_then(|path| path.entries), None);
        assert_eq!(file.created_at, None);
        assert_eq!(file.owned_by, None);
        assert_eq!(file.file_version, None);
        assert_eq!(file.etag, None);
    }
}

#[test]
fn an_event_type_is_a_string_that_is_not_empty() {
    for odd in ["null", "3", "[]", "{}", r#""""#] {
        assert_eq!(
            event(&format!(r#"{{"event_type":{odd}}}"#)).event_type(),
            None
        );
    }
    assert_eq!(
        event(r#"{"event_type":"ITEM_\u0055PLOAD"}"#).event_type(),
        Some(&EventType::ItemUpload)
    );
}

#[test]
fn a_field_without_an_accessor_is_reached_by_its_name() {
    let event = event(UPLOAD);
    assert_eq!(
        event.field("type").unwrap().decode::<&str>().unwrap(),
        "event"
    );
    let link = event.field("source").unwrap().field("shared_link").unwrap();
    assert_eq!(
        link.field("access").unwrap().decode::<String>().unwrap(),
        "open"
    );
    assert_eq!(
        event
            .field("source")
            .unwrap()
            .field("purged_at")
            .unwrap()
            .as_str(),
        "null"
    );
    assert_eq!(event.field("nothing"), None);
    assert_eq!(event.field("type").unwrap().field("type"), None);
}

#[test]
fn a_field_of_another_shape_is_an_error_with_its_cause() {
    let event = event(UPLOAD);
    let error = event
        .field("source")
        .unwrap()
        .decode::<Vec<u8>>()
        .unwrap_err();
    assert!(
        error.source().unwrap().to_string().contains("invalid type"),
        "{error:?}"
    );
    assert!(!error.to_string().is_empty());
}

#[test]
fn debug_output_of_an_event_is_short() {
    let long = "x".repeat(1_000_000);
    let event = event(&format!(
        r#"{{"event_id":"e1","event_type":"COPY","created_at":"2022-12-12T10:53:43-08:00","additional_details":"é{long}"}}"#
    ));
    let shown = format!("{event:?}");
    assert!(
        shown.contains("e1") && shown.contains("Copy") && shown.contains("2022-12-12"),
        "{shown}"
    );
    assert!(shown.contains(&event.raw().len().to_string()), "{shown}");
    assert!(shown.len() < 300);
    assert!(format!("{:?}", event.details()).len() < 600);
}

#[test]
fn events_are_equal_when_their_texts_are() {
    assert_eq!(event(UPLOAD), event(UPLOAD));
    assert_ne!(event(UPLOAD), event(DOWNLOAD));
}

#[test]
fn every_documented_event_type_is_parsed_from_its_name() {
    assert_eq!(EventType::DOCUMENTED.len(), 209);
    let mut names = HashSet::new();
    for documented in EventType::DOCUMENTED {
        let name = documented.as_str();
        assert!(names.insert(name), "{name} is listed twice");
        let letters = name.replace('_', "").to_lowercase();
        assert_eq!(format!("{documented:?}").to_lowercase(), letters);
        assert_eq!(&EventType::from(name), documented);
        assert_eq!(&EventType::from(name.to_owned()), documented);
        assert_eq!(documented.to_string(), name);
        assert_eq!(
            serde_json::to_string(documented).unwrap(),
            format!("\"{name}\"")
        );
        assert_eq!(
            &serde_json::from_str::<EventType>(&format!("\"{name}\"")).unwrap(),
            documented
        );
        assert_eq!(
            event(&format!(r#"{{"event_type":"{name}"}}"#)).event_type(),
            Some(documented)
        );
    }
}

#[test]
fn an_unknown_event_type_keeps_its_name() {
    for name in ["ITEM_FOLDED", "item_upload", "ITEM_UPLOAD ", "é"] {
        let unknown = EventType::Other(name.to_owned());
        assert_eq!(EventType::from(name), unknown);
        assert_eq!(unknown.to_string(), name);
        let stored = serde_json::to_string(&unknown).unwrap();
        assert_eq!(serde_json::from_str::<EventType>(&stored).unwrap(), unknown);
        assert_eq!(
            event(&format!(r#"{{"event_type":"{name}"}}"#)).event_type(),
            Some(&unknown)
        );
    }
}
