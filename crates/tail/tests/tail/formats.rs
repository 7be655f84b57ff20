//! Tests of `--format`: templates, and the schemas for logs.
//!
//! The expected lines of the schemas are in `golden`, one for each line of `golden/events.jsonl`.
//! After a change that is meant, `GOLDEN=write` writes them.

use std::path::Path;
use std::{env, fs};

use box_longpoll_testkit::EmulatorServer;
use jiff::Timestamp;
use serde_json::Value;

use crate::program::{TOKEN, Tail};

/// The events, as Box sends them.
const EVENTS: &str = include_str!("golden/events.jsonl");

/// Returns the lines that the program writes for these events.
#[track_caller]
fn lines<'a>(format: &str, events: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let server = EmulatorServer::start();
    server.append_json(TOKEN, events);
    let count = server.emulator().events(TOKEN).len().to_string();
    let all = ["--from", "oldest", "--count", &count, "--format", format];
    let ended = Tail::of(&server, &all).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.events
}

#[track_caller]
fn line(format: &str, event: &str) -> String {
    lines(format, [event]).remove(0)
}

#[track_caller]
fn json(format: &str, event: &str) -> Value {
    serde_json::from_str(&line(format, event)).expect("a line is JSON")
}

#[track_caller]
fn assert_equal_to_golden_lines(format: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = file.join(format!("tests/tail/golden/{format}.jsonl"));
    let lines = lines(format, EVENTS.lines());
    if env::var_os("GOLDEN").is_some() {
        fs::write(&file, lines.join("\n") + "\n").unwrap();
    }
    let golden = fs::read_to_string(&file).unwrap();
    for (line, golden) in lines.iter().zip(golden.lines()) {
        assert_eq!(line, golden);
    }
    assert_eq!(lines.join("\n") + "\n", golden);
}

#[test]
fn ecs_lines_equal_the_golden_ones() {
    assert_equal_to_golden_lines("ecs");
}

#[test]
fn ocsf_lines_equal_the_golden_ones() {
    assert_equal_to_golden_lines("ocsf");
}

/// The values that the schema permits in version 8.17:
/// <https://www.elastic.co/docs/reference/ecs/ecs-category-field-values-reference>. Each category
/// has the types that it expects.
const ECS_CATEGORIES: [(&str, &[&str]); 6] = [
    ("authentication", &["start", "end", "info"]),
    (
        "configuration",
        &["access", "change", "creation", "deletion", "info"],
    ),
    (
        "file",
        &["access", "change", "creation", "deletion", "info"],
    ),
    (
        "iam",
        &[
            "admin", "change", "creation", "deletion", "group", "info", "user",
        ],
    ),
    ("intrusion_detection", &["allowed", "denied", "info"]),
    ("malware", &["info"]),
];

#[test]
fn ecs_lines_have_only_values_of_the_schema() {
    for (line, event) in lines("ecs", EVENTS.lines()).iter().zip(EVENTS.lines()) {
        let value: Value = serde_json::from_str(line).unwrap();
        let time = value["@timestamp"].as_str().expect("a time");
        assert!(
            time.parse::<Timestamp>().is_ok() && time.ends_with('Z'),
            "{time}"
        );
        assert_eq!(value["ecs"]["version"], "8.17.0");
        let fields = &value["event"];
        assert_eq!(fields["original"], event);
        let kind = fields["kind"].as_str().unwrap();
        assert!(["event", "alert"].contains(&kind), "{line}");
        if let Some(outcome) = fields.get("outcome") {
            assert!(outcome == "success" || outcome == "failure", "{line}");
        }
        let list = |name| {
            fields
                .get(name)
                .map(|list| list.as_array().expect("a list"))
        };
        let expected = |category: &Value| {
            let found = ECS_CATEGORIES.iter().find(|(name, _)| category == name);
            found.unwrap_or_else(|| panic!("{line}")).1
        };
        let types = list("category").into_iter().flatten().flat_map(expected);
        let types: Vec<&&str> = types.collect();
        for event_type in list("type").into_iter().flatten() {
            assert!(types.iter().any(|name| event_type == **name), "{line}");
        }
        for label in value["labels"].as_object().into_iter().flatten() {
            assert!(label.1.is_string(), "{line}");
        }
        if let Some(ip) = value["source"].get("ip") {
            assert!(
                ip.as_str().unwrap().parse::<std::net::IpAddr>().is_ok(),
                "{line}"
            );
        }
    }
}

/// The attributes that version 1.3.0 of the schema requires in all classes:
/// <https://schema.ocsf.io/1.3.0/classes/base_event>.
const OCSF_BASE: [&str; 10] = [
    "activity_id",
    "category_uid",
    "class_uid",
    "metadata",
    "severity_id",
    "time",
    "type_uid",
    "metadata.product",
    "metadata.version",
    "metadata.product.vendor_name",
];

/// A class of the schema: <https://schema.ocsf.io/1.3.0/classes>.
struct Class {
    uid: u64,
    /// The required attributes of its own.
    required: &'static [&'static str],
    /// The sets of attributes of which one is required.
    one_of: &'static [&'static [&'static str]],
}

const OCSF_CLASSES: [Class; 8] = [
    class(0, &[], &[]),
    class(2004, &["finding_info.title", "finding_info.uid"], &[]),
    class(3001, &["user"], &[USER]),
    class(3002, &["user"], &[USER, &["service", "dst_endpoint"]]),
    class(3004, &["entity"], &[&["entity.name", "entity.uid"]]),
    class(3006, &["group"], &[&["group.name", "group.uid"]]),
    class(
        6003,
        &["actor", "api.operation", "src_endpoint"],
        &[ACTOR, ENDPOINT],
    ),
    class(
        6006,
        &["actor", "file.name", "file.type_id", "src_endpoint"],
        &[ACTOR, ENDPOINT],
    ),
];

const USER: &[&str] = &["user.name", "user.uid"];
const ACTOR: &[&str] = &["actor.user.name", "actor.user.uid"];
const ENDPOINT: &[&str] = &["src_endpoint.ip", "src_endpoint.name"];

const fn class(
    uid: u64,
    required: &'static [&'static str],
    one_of: &'static [&'static [&'static str]],
) -> Class {
    Class {
        uid,
        required,
        one_of,
    }
}

#[test]
fn ocsf_lines_have_the_required_attributes() {
    let mut seen = Vec::new();
    for (line, event) in lines("ocsf", EVENTS.lines()).iter().zip(EVENTS.lines()) {
        let value: Value = serde_json::from_str(line).unwrap();
        let has = |path: &&str| {
            let pointer = format!("/{}", path.replace('.', "/"));
            value
                .pointer(&pointer)
                .is_some_and(|value| !value.is_null())
        };
        let uid = value["class_uid"].as_u64().unwrap();
        let class = OCSF_CLASSES.iter().find(|class| class.uid == uid);
        let class = class.unwrap_or_else(|| panic!("{line}"));
        for path in OCSF_BASE.iter().chain(class.required) {
            assert!(has(path), "{path} is missing: {line}");
        }
        for paths in class.one_of {
            assert!(paths.iter().any(has), "none of {paths:?}: {line}");
        }
        let activity = value["activity_id"].as_u64().unwrap();
        assert_eq!(value["type_uid"], uid * 100 + activity);
        assert_eq!(value["category_uid"], uid / 1_000);
        assert_eq!(value["raw_data"], event);
        seen.push(uid);
    }
    assert!(
        OCSF_CLASSES.iter().all(|class| seen.contains(&class.uid)),
        "{seen:?}"
    );
}

#[test]
fn event_without_a_time_gets_the_present_one() {
    let before = Timestamp::now().as_millisecond();
    let ecs = json("ecs", "{}");
    let ocsf = json("ocsf", "null");
    let after = Timestamp::now().as_millisecond();
    let time: Timestamp = ecs["@timestamp"].as_str().unwrap().parse().unwrap();
    for time in [time.as_millisecond(), ocsf["time"].as_i64().unwrap()] {
        assert!((before..=after).contains(&time), "{before} {time} {after}");
    }
    assert_eq!(ecs["event"]["kind"], "event");
    assert_eq!(ocsf["class_uid"], 0);
}

#[test]
fn schemas_keep_a_broken_event_on_one_line() {
    let event = "{\"event_id\": \"1\",\r\n \"additional_details\":\n{\"a\":\n[1e400]}}";
    for format in ["ecs", "ocsf"] {
        let lines = lines(format, [event, "[[]]", "\"text\"", "7"]);
        assert_eq!(lines.len(), 4, "{lines:?}");
    }
    let line = line("ocsf", event);
    assert!(
        line.contains(r#""unmapped":{"additional_details":{"a": [1e400]}}"#),
        "{line}"
    );
}

const UPLOAD: &str = r#"{"event_id":"1","event_type":"ITEM_UPLOAD","created_at":"2026-01-02T03:04:05-08:00","created_by":{"id":"17","login":"ada@example.com"},"source":{"type":"file","id":"4","name":"a \"b\" {c}.txt","size":12345678901234567890123,"tags":["x",{"y":"z"}],"parent":null,"shared":false}}"#;

#[test]
fn template_shows_fields_by_path() {
    for (template, shown) in [
        (
            "{created_at} {event_type}",
            "2026-01-02T03:04:05-08:00 ITEM_UPLOAD",
        ),
        ("{source.name}", r#"a "b" {c}.txt"#),
        (
            "{source.size}|{source.shared}",
            "12345678901234567890123|false",
        ),
        ("{source.tags}", r#"["x",{"y":"z"}]"#),
        ("{source.tags.0} {source.tags.1.y} {source.tags.2}", "x z -"),
        (
            "{source.parent} {source.parent.id} {nothing} {source.name.x}",
            "- - - -",
        ),
        (
            "{user} {item} {item_id} {item_type}",
            r#"ada@example.com a "b" {c}.txt 4 file"#,
        ),
        ("{{{event_id}}} {{}}", "{1} {}"),
        ("…\t{event_id}", "…\t1"),
    ] {
        assert_eq!(line(template, UPLOAD), shown, "{template}");
    }
    assert_eq!(line("{event_id} {user}", "null"), "- -");
}

#[test]
fn template_keeps_an_event_on_one_line() {
    let hostile = r"\u001b]0;owned\u0007\u009b31m\n\r\t\u202e\u007f\\";
    let event = format!(
        "{{\"event_type\":\"T{hostile}\",\"source\":{{\n\"name\":\"N{hostile}\u{202e}\"\r}}}}"
    );
    let line = line("{event_type} {item} {source}", &event);
    assert!(
        !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{line:?}"
    );
    assert!(
        line.starts_with(r"T\u{1b}]0;owned\u{7}\u{9b}31m\n\r\t\u{202e}\u{7f}\\ N"),
        "{line}"
    );
    // An object stays JSON.
    let object = line.split_once(" { ").expect("the source").1;
    let object: Value = serde_json::from_str(&format!("{{{object}")).unwrap();
    assert!(
        object["name"].as_str().unwrap().ends_with("\\\u{202e}"),
        "{object}"
    );
}

#[test]
fn malformed_template_is_refused_with_its_place() {
    for (template, expected) in [
        ("{created_at", "the field at column 1 has no closing brace"),
        ("ä{a{b}", "the field at column 2 has no closing brace"),
        ("{a} }", "the brace at column 5 closes no field"),
        ("{}", "the field at column 1 has no name"),
        ("x {a..b}", "the field {a..b} at column 3"),
        ("{.a}", "the field {.a} at column 1"),
        ("{a}\n{b}", "a line break at column 4"),
        ("csv", "json, ecs or ocsf"),
        ("", "json, ecs or ocsf"),
    ] {
        let ended = Tail::start(&["--format", template]).end_without_events();
        assert_eq!(ended.code, Some(2), "{template:?} {ended:?}");
        let text = ended.reports.join(" ");
        assert!(
            text.contains("--format") && text.contains(expected),
            "{text}"
        );
    }
    let ended = Tail::start(&["--json", "--format", "ecs"]).end_without_events();
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn json_format_equals_the_json_option() {
    assert_eq!(line("json", UPLOAD), UPLOAD);
}
