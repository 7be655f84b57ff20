//! Proves that events survive storage in every common serde format and container.
//!
//! The formats are JSON, YAML, CBOR, `MessagePack` and Postcard. The containers use serde's tags,
//! untagged enums and `flatten`.

use std::collections::BTreeMap;
use std::fmt::Debug;

use box_longpoll::Event;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[track_caller]
fn event(json: &str) -> Event {
    serde_json::from_str(json).unwrap()
}

fn through_json<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

fn through_json_value<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
}

fn through_yaml<T: Serialize + DeserializeOwned>(value: &T) -> T {
    serde_yaml_ng::from_str(&serde_yaml_ng::to_string(value).unwrap()).unwrap()
}

fn through_cbor<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let mut stored = Vec::new();
    ciborium::into_writer(value, &mut stored).unwrap();
    ciborium::from_reader(stored.as_slice()).unwrap()
}

fn through_messagepack<T: Serialize + DeserializeOwned>(value: &T) -> T {
    rmp_serde::from_slice(&rmp_serde::to_vec(value).unwrap()).unwrap()
}

fn through_messagepack_with_names<T: Serialize + DeserializeOwned>(value: &T) -> T {
    rmp_serde::from_slice(&rmp_serde::to_vec_named(value).unwrap()).unwrap()
}

fn through_postcard<T: Serialize + DeserializeOwned>(value: &T) -> T {
    postcard::from_bytes(&postcard::to_stdvec(value).unwrap()).unwrap()
}

/// The text of an event that every format keeps. It has a number of 19 digits, an escape, a `null`
/// and some depth.
const STORED: &str = r#"{"created_by":null,"event_id":"e\"1","event_type":"ITEM_UPLOAD","source":{"a":[[{"b":-1.5}]],"id":"7","n":1152922976252290886,"type":"file"}}"#;

/// The text of an event that no text format keeps exactly, because of its order, white space and
/// numbers.
const SPACED: &str = "{ \"type\": \"event\",\n\t\"event_id\": \"e1\", \"n\": 1.50e1, \"big\": 123456789012345678901234567890 }";

/// The text of an event that no map can represent. Every format stores it as text.
const UNSTRUCTURED: &str = r#"{"event_id":"e\"1","a":"\ud800","event_type":"ITEM_UPLOAD"}"#;

/// Returns an event with exactly this text.
fn exactly(raw: &str) -> Event {
    let mut text = BTreeMap::new();
    text.insert("box_event_json", raw);
    event(&serde_json::to_string(&text).unwrap())
}

/// Checks that a container with an event is equal after each way of storage.
#[track_caller]
fn survives<T>(wrap: impl Fn(Event) -> T, ways: &[fn(&T) -> T])
where
    T: PartialEq + Debug,
{
    for raw in [STORED, UNSTRUCTURED] {
        let event = exactly(raw);
        assert_eq!(event.raw(), raw);
        let stored = wrap(event);
        for (nth, way) in ways.iter().enumerate() {
            assert_eq!(way(&stored), stored, "way {nth}");
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum InternallyTagged {
    Event(Event),
    Idle { seconds: u64 },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "kind", content = "content")]
enum AdjacentlyTagged {
    Event(Event),
    Idle { seconds: u64 },
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Seconds(u64),
    Text(String),
    Event(Event),
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Row {
    received: u64,
    #[serde(flatten)]
    event: Event,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Outbox {
    before: u8,
    events: Vec<Event>,
    last: Option<Event>,
    after: String,
}

#[test]
fn an_event_can_be_stored_by_itself() {
    survives(
        |event| event,
        &[
            through_json,
            through_json_value,
            through_yaml,
            through_cbor,
            through_messagepack,
            through_messagepack_with_names,
            through_postcard,
        ],
    );
}

#[test]
fn events_can_be_stored_in_a_struct() {
    survives(
        |event| Outbox {
            before: 1,
            events: vec![event.clone(), event.clone()],
            last: Some(event),
            after: "after".to_owned(),
        },
        &[
            through_json,
            through_json_value,
            through_yaml,
            through_cbor,
            through_messagepack,
            through_messagepack_with_names,
            through_postcard,
        ],
    );
}

// Postcard doesn't describe its own types. So it can't store serde's tags, untagged enums and
// `flatten`.

#[test]
fn an_event_can_be_stored_with_an_internal_tag() {
    survives(
        InternallyTagged::Event,
        &[
            through_json,
            through_json_value,
            through_yaml,
            through_cbor,
            through_messagepack,
            through_messagepack_with_names,
        ],
    );
}

#[test]
fn an_event_can_be_stored_with_an_adjacent_tag() {
    survives(
        AdjacentlyTagged::Event,
        &[
            through_json,
            through_json_value,
            through_yaml,
            through_cbor,
            through_messagepack,
            through_messagepack_with_names,
        ],
    );
}

#[test]
fn an_event_can_be_stored_without_a_tag() {
    survives(
        Untagged::Event,
        &[
            through_json,
            through_json_value,
            through_yaml,
            through_cbor,
            through_messagepack,
            through_messagepack_with_names,
        ],
    );
}

#[test]
fn an_event_can_be_stored_flattened() {
    survives(
        |event| Row { received: 7, event },
        &[
            through_json,
            through_json_value,
            through_yaml,
            through_cbor,
            through_messagepack,
            through_messagepack_with_names,
        ],
    );
}

#[test]
fn untagged_enum_keeps_other_values_apart_from_events() {
    assert_eq!(through_json(&Untagged::Seconds(3)), Untagged::Seconds(3));
    assert_eq!(
        through_json(&Untagged::Text("{}".to_owned())),
        Untagged::Text("{}".to_owned())
    );
}

#[test]
fn json_stores_an_event_as_its_own_object() {
    assert_eq!(serde_json::to_string(&exactly(STORED)).unwrap(), STORED);
    let stored = serde_json::to_string(&exactly("{ \"event_id\": \"e1\",\n\t\"n\": 15 }")).unwrap();
    assert_eq!(stored, r#"{"event_id":"e1","n":15}"#);
}

#[test]
fn binary_formats_keep_the_exact_text() {
    let event = exactly(SPACED);
    assert_eq!(through_cbor(&event).raw(), SPACED);
    assert_eq!(through_messagepack(&event).raw(), SPACED);
    assert_eq!(through_postcard(&event).raw(), SPACED);
}

#[test]
fn json_that_is_no_event_is_an_error() {
    for json in [
        "",
        "{",
        "null",
        "17",
        r#""text""#,
        r#"{"a":}"#,
        "[]",
        "[1]",
        r#"{"box_event_json":1}"#,
        r#"{"box_event_json":""}"#,
        r#"{"box_event_json":"{"}"#,
        r#"{"box_event_json":"{} {}"}"#,
    ] {
        assert!(serde_json::from_str::<Event>(json).is_err(), "{json}");
    }
    let too_deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    serde_json::from_str::<Event>(&too_deep).unwrap_err();
    serde_yaml_ng::from_str::<Event>(&too_deep).unwrap_err();
    serde_yaml_ng::from_str::<Event>("[1, 2]").unwrap_err();
    assert!(postcard::from_bytes::<Event>(&postcard::to_stdvec("{\"a\":").unwrap()).is_err());
    assert!(postcard::from_bytes::<Event>(&[]).is_err());
    assert!(rmp_serde::from_slice::<Event>(&rmp_serde::to_vec("{}").unwrap()).is_err());
    assert!(ciborium::from_reader::<Event, _>(&[0xa1, 0x01, 0x02][..]).is_err());
}
