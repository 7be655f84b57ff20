//! Proves that event sources are recognized in every shape that Box sends, with their type, id,
//! name and fields.

use box_longpoll::Event;
use box_longpoll::event::Source;
use box_longpoll::event::{Collaboration, GroupSource};
use rstest::rstest;

/// Returns the source of an event with this JSON as its `source`, after checks that all accessors
/// agree.
#[track_caller]
fn source(json: &str) -> Source {
    let event = format!(r#"{{"event_id":"e1","source":{json}}}"#);
    // The event goes in as text, so that its members keep their order.
    let stored = serde_json::json!({"box_event_json": event}).to_string();
    let event: Event = serde_json::from_str(&stored).unwrap();
    let source = event.source().unwrap();
    assert_eq!(event.details().source.as_ref(), Some(&source));
    assert_eq!(event.source_type().as_deref(), source.item_type());
    assert_eq!(event.source_id().as_deref(), source.id());
    assert_eq!(event.source_name().as_deref(), source.name());
    source
}

/// Checks the type, the id and the name of a source.
#[track_caller]
fn assert_named(json: &str, named: [Option<&str>; 3]) {
    let source = source(json);
    let given = [source.item_type(), source.id(), source.name()];
    assert_eq!(given, named, "{json}");
}

#[track_caller]
fn collaboration(json: &str) -> Collaboration {
    match source(json) {
        Source::Collaboration(collaboration) => *collaboration,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn group(json: &str) -> GroupSource {
    match source(json) {
        Source::Group(group) => *group,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_collaboration_has_its_item_user_parent_and_owner() {
    let json = r#"{"folder_id":"4711","folder_name":"Drafts","user_id":"815","user_name":"Ada Byron",
        "parent":{"type":"folder","name":"All Files","id":"0"},
        "owned_by":{"type":"user","id":"816","name":"Alan","login":"alan@example.com"}}"#;
    assert_named(json, [Some("folder"), Some("4711"), Some("Drafts")]);
    let Collaboration {
        item, user, group, ..
    } = collaboration(json);
    assert_eq!(item.parent.unwrap().name.as_deref(), Some("All Files"));
    let owner = item.owned_by.unwrap();
    assert_eq!(owner.login.as_deref(), Some("alan@example.com"));
    let user = user.unwrap();
    assert_eq!(user.id.as_deref(), Some("815"));
    assert_eq!(user.name.as_deref(), Some("Ada Byron"));
    assert_eq!(group, None);
}

#[test]
fn an_invited_address_is_the_login_of_a_user_without_an_id() {
    let json = r#"{"file_id":4711,"file_name":"draft.pdf","user_email":"ada@example.com"}"#;
    assert_named(json, [Some("file"), Some("4711"), Some("draft.pdf")]);
    let user = collaboration(json).user.unwrap();
    assert_eq!(user.login.as_deref(), Some("ada@example.com"));
    assert_eq!((user.id, user.name), (None, None));
}

#[test]
fn a_collaboration_of_a_group_has_the_group() {
    let json =
        r#"{"folder_id":"4711","folder_name":"Drafts","group_id":"23","group_name":"Editors"}"#;
    assert_named(json, [Some("folder"), Some("4711"), Some("Drafts")]);
    let Collaboration { user, group, .. } = collaboration(json);
    let group = group.unwrap();
    assert_eq!(group.id.as_deref(), Some("23"));
    assert_eq!(group.name.as_deref(), Some("Editors"));
    assert_eq!(user, None);
}

#[rstest]
fn a_type_beside_a_collaboration_changes_nothing(
    #[values("folder", "collaboration", "user", "group", "something new")] kind: &str,
    #[values(true, false)] first: bool,
) {
    let bare = r#""folder_id":"4711","folder_name":"Drafts","user_id":"815","user_name":"Ada""#;
    let json = if first {
        format!(r#"{{"type":"{kind}",{bare}}}"#)
    } else {
        format!(r#"{{{bare},"type":"{kind}"}}"#)
    };
    assert_named(&json, [Some("folder"), Some("4711"), Some("Drafts")]);
    assert_eq!(
        collaboration(&json),
        collaboration(&format!("{{{bare}}}")),
        "{json}"
    );
}

#[test]
fn a_collaboration_may_have_its_item_in_the_short_form() {
    let json = r#"{"item_type":"file","item_id":"1","item_name":"a","user_id":2}"#;
    assert_named(json, [Some("file"), Some("1"), Some("a")]);
    let user = collaboration(json).user.unwrap();
    assert_eq!(user.id.as_deref(), Some("2"));
}

#[test]
fn a_group_may_stand_alone_or_with_a_member() {
    let json = r#"{"group_id":"23","group_name":"Editors"}"#;
    assert_named(json, [Some("group"), Some("23"), Some("Editors")]);
    assert_eq!(group(json).user, None);
    let json = r#"{"group_id":"23","name":"Editors"}"#;
    assert_named(json, [Some("group"), Some("23"), Some("Editors")]);
    for json in [
        r#"{"group_id":"23","group_name":"Editors","user_id":"815","user_name":"Ada"}"#,
        r#"{"type":"group","group_id":"23","group_name":"Editors","user_id":"815","user_name":"Ada"}"#,
        r#"{"type":"user","user_id":"815","user_name":"Ada","group_id":"23","group_name":"Editors"}"#,
    ] {
        assert_named(json, [Some("group"), Some("23"), Some("Editors")]);
        let user = group(json).user.unwrap();
        assert_eq!(user.id.as_deref(), Some("815"), "{json}");
    }
}

#[test]
fn a_group_is_read_in_its_own_form() {
    let json = r#"{"type":"group","id":"23","name":"Editors","group_type":"managed_group"}"#;
    assert_named(json, [Some("group"), Some("23"), Some("Editors")]);
    let group = group(json).group;
    assert_eq!(group.group_type.as_deref(), Some("managed_group"));
}

#[rstest]
fn a_typed_source_has_an_id_and_a_name_in_every_form(
    #[values("file", "folder", "web_link")] kind: &str,
    #[values("id", "item_id", "KIND_id")] id: &str,
    #[values("name", "item_name", "KIND_name")] name: &str,
    #[values(true, false)] with_type: bool,
) {
    let kind_as = if with_type { "type" } else { "item_type" };
    let json = format!(r#"{{"{kind_as}":"{kind}","{id}":"1","{name}":"a"}}"#);
    let json = json.replace("KIND", kind);
    assert_named(&json, [Some(kind), Some("1"), Some("a")]);
}

#[rstest]
#[case(r#"{"user_id":"815","user_name":"Ada","user_email":"ada@example.com"}"#)]
#[case(r#"{"type":"user","user_id":"815","user_name":"Ada","user_email":"ada@example.com"}"#)]
#[case(r#"{"type":"user","id":"815","user_name":"Ada","user_email":"ada@example.com"}"#)]
#[case(r#"{"user_email":"ada@example.com","user_name":"Ada","user_id":815,"type":"user"}"#)]
#[case(r#"{"user_email":"ada@example.com","name":"Ada","user_id":"815"}"#)]
fn a_user_may_be_named_as_in_a_collaboration(#[case] json: &str) {
    assert_named(json, [Some("user"), Some("815"), Some("Ada")]);
    let Source::User(user) = source(json) else {
        panic!("no user")
    };
    assert_eq!(user.login.as_deref(), Some("ada@example.com"));
}

#[rstest]
#[case(r#"{"barrier_id":"71","status":"enabled"}"#, [None, Some("71"), None])]
#[case(r#"{"status":"x","barrier_id":71}"#, [None, Some("71"), None])]
#[case(r#"{"policy_id":"5","policy_name":"Seven years","policy_type":"finite"}"#, [None, Some("5"), Some("Seven years")])]
#[case(r#"{"type":"legal_hold_policy","legal_hold_policy_id":"5","name":"Case 1"}"#, [Some("legal_hold_policy"), Some("5"), Some("Case 1")])]
#[case(r#"{"type":"device","user_id":"815","device_id":"d1","device_name":"Phone"}"#, [Some("device"), Some("d1"), Some("Phone")])]
#[case(r#"{"type":"application","name":"Sync","api_key":"k1","enterprise_id":1}"#, [Some("application"), Some("k1"), Some("Sync")])]
#[case(r#"{"type":"task","id":"9","user_id":"815","user_name":"Ada"}"#, [Some("task"), Some("9"), None])]
#[case(r#"{"type":"task","id":"9","task_name":"Look","user_name":"Ada"}"#, [Some("task"), Some("9"), Some("Look")])]
#[case(r#"{"type":"device","name":"Phone","device_id":"d1"}"#, [Some("device"), Some("d1"), Some("Phone")])]
#[case(r#"{"type":"webhook","id":9,"target":{"type":"folder","id":"1"}}"#, [Some("webhook"), Some("9"), None])]
#[case(r#"{"type":"enterprise","id":3838,"name":"Acme"}"#, [Some("enterprise"), Some("3838"), Some("Acme")])]
#[case(r#"{"odd_id":{"id":"1"},"session_id":null,"real_id":"7"}"#, [None, Some("7"), None])]
#[case(r#"{"status":"x"}"#, [None, None, None])]
fn a_source_of_an_unknown_shape_has_an_id_and_a_name(
    #[case] json: &str,
    #[case] named: [Option<&str>; 3],
) {
    assert_named(json, named);
    let Source::Other(other) = source(json) else {
        panic!("{json}")
    };
    assert_eq!(other.json.as_str(), json);
}

#[rstest]
#[case(r#"{"type":"file","id":"1","name":"a","file_id":"2","user_id":"3"}"#, [Some("file"), Some("1"), Some("a")])]
#[case(r#"{"type":"user","id":"1","file_id":"2","file_name":"a"}"#, [Some("user"), Some("1"), None])]
#[case(r#"{"type":"folder","id":"1","user_id":"3","user_name":"Ada"}"#, [Some("folder"), Some("1"), None])]
#[case(r#"{"file_id":"1","file_name":"a","folder_id":"2","folder_name":"b"}"#, [Some("file"), Some("1"), Some("a")])]
#[case(r#"{"type":"folder","file_id":"1","file_name":"a","folder_id":"2","folder_name":"b"}"#, [Some("folder"), Some("2"), Some("b")])]
#[case(r#"{"type":"app_item","id":"1","app_item_type":"hubs","name":"Hub"}"#, [Some("app_item"), Some("1"), Some("Hub")])]
fn a_sources_own_id_and_type_come_first(#[case] json: &str, #[case] named: [Option<&str>; 3]) {
    assert_named(json, named);
}

#[test]
fn a_typed_source_keeps_its_fields_when_its_id_has_another_name() {
    let json = r#"{"type":"file","file_id":"1","file_name":"a","sha1":"85","size":3}"#;
    let Source::File(file) = source(json) else {
        panic!("no file")
    };
    assert_eq!(file.id.as_deref(), Some("1"));
    assert_eq!(file.name.as_deref(), Some("a"));
    assert_eq!(file.size, Some(3));
}

#[test]
fn an_odd_field_of_a_collaboration_leaves_the_others_readable() {
    for odd in ["null", "true", "[]", r#"{"id":"1"}"#, r#"[{"id":1}]"#] {
        for name in [
            "user_id",
            "user_name",
            "group_id",
            "parent",
            "owned_by",
            "item_id",
            "file_id",
        ] {
            let json =
                format!(r#"{{"folder_id":"1","{name}":{odd},"user_email":"a@example.com"}}"#);
            let collaboration = collaboration(&json);
            assert_eq!(collaboration.item.item_id.as_deref(), Some("1"), "{json}");
            let login = collaboration.user.unwrap().login;
            assert_eq!(login.as_deref(), Some("a@example.com"), "{json}");
        }
    }
}

#[test]
fn an_item_alone_is_no_collaboration() {
    for json in [
        r#"{"folder_id":"1","folder_name":"b","owned_by":{"id":"9"}}"#,
        r#"{"item_type":"folder","item_id":"1","item_name":"b","owned_by":{"id":"9"}}"#,
    ] {
        let Source::Item(item) = source(json) else {
            panic!("{json}")
        };
        assert_eq!(item.item_type.as_deref(), Some("folder"), "{json}");
        assert_eq!(item.owned_by.unwrap().id.as_deref(), Some("9"), "{json}");
    }
}

#[test]
fn an_item_has_its_shared_link_and_its_lock() {
    let json = r#"{"type":"file","id":"1","name":"a","synced":true,"tags":["draft","2026"],
        "shared_link":{"url":"https://app.box.com/s/abc","download_url":null,"access":"open","effective_access":"company",
            "effective_permission":"can_download","is_password_enabled":true,"unshared_at":"2026-01-01T00:00:00Z",
            "download_count":3,"preview_count":"4","vanity_url":null,"vanity_name":"plans",
            "permissions":{"can_download":true,"can_preview":false}},
        "lock":{"type":"lock","id":"5","created_by":{"type":"user","id":"815"},"created_at":"2026-01-01T00:00:00Z",
            "expired_at":"2026-01-02T00:00:00Z","is_download_prevented":false,"app_type":"office_wopi"}}"#;
    let Source::File(file) = source(json) else {
        panic!("no file")
    };
    assert_eq!(file.synced, Some(true));
    assert_eq!(file.tags.as_deref().unwrap(), ["draft", "2026"]);
    let link = file.shared_link().unwrap();
    assert_eq!(link.url.as_deref(), Some("https://app.box.com/s/abc"));
    assert_eq!(link.access.as_deref(), Some("open"));
    assert_eq!(link.effective_access.as_deref(), Some("company"));
    assert_eq!(link.effective_permission.as_deref(), Some("can_download"));
    assert_eq!(link.is_password_enabled, Some(true));
    assert!(link.unshared_at.is_some() && link.download_url.is_none());
    assert_eq!(
        (link.download_count, link.preview_count),
        (Some(3), Some(4))
    );
    assert_eq!(
        (link.vanity_url, link.vanity_name.as_deref()),
        (None, Some("plans"))
    );
    let permissions = link.permissions.unwrap();
    assert_eq!(permissions.can_download, Some(true));
    assert_eq!(permissions.can_preview, Some(false));
    assert_eq!(permissions.can_edit, None);
    let lock = file.lock().unwrap();
    assert_eq!(lock.id.as_deref(), Some("5"));
    assert_eq!(lock.created_by.unwrap().id.as_deref(), Some("815"));
    assert!(lock.created_at < lock.expired_at);
    assert_eq!(lock.is_download_prevented, Some(false));
    assert_eq!(lock.app_type.as_deref(), Some("office_wopi"));
}

#[test]
fn a_folder_has_an_upload_address_and_a_web_link_is_shared() {
    let json = r#"{"type":"folder","id":"1","name":"b","synced":false,"tags":[],"shared_link":null,
        "folder_upload_email":{"access":"open","email":"upload.b.1@u.box.com"}}"#;
    let Source::Folder(folder) = source(json) else {
        panic!("no folder")
    };
    assert_eq!(folder.synced, Some(false));
    assert_eq!(folder.tags.as_deref(), Some(&[][..]));
    assert_eq!(folder.shared_link(), None);
    let upload = folder.folder_upload_email().unwrap();
    assert_eq!(upload.access.as_deref(), Some("open"));
    assert_eq!(upload.email.as_deref(), Some("upload.b.1@u.box.com"));

    let json = r#"{"type":"web_link","id":"1","name":"c","synced":false,"shared_link":{"access":"company"}}"#;
    let Source::WebLink(link) = source(json) else {
        panic!("no link")
    };
    let shared = link.shared_link().unwrap();
    assert_eq!(shared.access.as_deref(), Some("company"));
}

#[test]
fn an_odd_shared_link_or_lock_leaves_the_others_readable() {
    for odd in ["null", "3", r#""odd""#, "[]", r#"[{"url":1}]"#] {
        for name in ["shared_link", "lock", "synced", "tags"] {
            let odd = if name == "tags" && odd == "[]" {
                "{}"
            } else {
                odd
            };
            let json = format!(r#"{{"type":"file","id":"1","{name}":{odd},"name":"a"}}"#);
            let Source::File(file) = source(&json) else {
                panic!("{json}")
            };
            assert_eq!(file.name.as_deref(), Some("a"));
            assert_eq!((file.shared_link(), file.lock()), (None, None), "{json}");
            assert!(file.synced.is_none() && file.tags.is_none(), "{json}");
        }
    }
}

#[test]
fn a_user_has_a_status_a_role_a_job_and_an_enterprise() {
    let json = r#"{"type":"user","id":"815","name":"Ada","login":"ada@example.com","status":"active","role":"coadmin",
        "job_title":"Programmer","enterprise":{"type":"enterprise","id":3838,"name":"Engines"}}"#;
    let Source::User(user) = source(json) else {
        panic!("no user")
    };
    let profile = user.profile.unwrap();
    assert_eq!(profile.status.as_deref(), Some("active"));
    assert_eq!(profile.role.as_deref(), Some("coadmin"));
    assert_eq!(profile.job_title.as_deref(), Some("Programmer"));
    let enterprise = profile.enterprise.unwrap();
    assert_eq!(enterprise.id.as_deref(), Some("3838"));
    assert_eq!(enterprise.name.as_deref(), Some("Engines"));
}
