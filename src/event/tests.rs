//! Tests of reading and storing events, most of them of unusual shapes.

use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::Offset;

use super::*;

fn event(json: &str) -> Event {
    Event::from_raw(&Bytes::copy_from_slice(json.as_bytes()))
}

/// Returns an object whose field `extra` holds arrays nested `levels` deep.
fn nested(levels: usize) -> String {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    format!(
        r#"{{"extra":{open}{close},"event_id":"e1","source":{{"type":"file","id":"7","x":{open}{close}}}}}"#
    )
}

/// Runs `test` on a thread with a stack of 2 MiB, the default of Rust.
fn on_default_stack(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn_scoped(scope, test);
        thread.unwrap().join().unwrap();
    });
}

#[test]
fn event_keeps_its_text_byte_for_byte() {
    let json = "{ \"z\":1.00,\t\"event_id\" : \"e1\",\n\"a\":\"\\u00e9\\/\",\"a\":123456789012345678901234567890 }";
    assert_eq!(event(json).raw(), json);
}

#[test]
fn event_shares_the_memory_of_its_page() {
    let page = Bytes::from_static(br#"[{"event_id":"e1","additional_details":{"a":1}}]"#);
    let event = Event::from_raw(&page.slice(1..page.len() - 1));
    assert_eq!(event.raw().as_ptr(), page[1..].as_ptr());
    assert!(page.as_ptr_range().contains(&event.id().unwrap().as_ptr()));
    let details = event.additional_details().unwrap();
    assert!(page.as_ptr_range().contains(&details.as_str().as_ptr()));
}

#[test]
fn owned_event_does_not_share_the_memory_of_its_page() {
    let page = Bytes::from_static(br#"[{"event_id":"e1","event_type":"LOGIN"}]"#);
    let event = Event::from_raw(&page.slice(1..page.len() - 1));
    let owned = event.clone().into_owned();
    assert_eq!(owned, event);
    assert_eq!(owned.id(), Some("e1"));
    assert_eq!(owned.event_type(), Some(&EventType::Login));
    assert!(!page.as_ptr_range().contains(&owned.raw().as_ptr()));
    assert!(!page.as_ptr_range().contains(&owned.id().unwrap().as_ptr()));
}

#[test]
fn event_takes_at_most_twelve_words_of_memory() {
    assert!(size_of::<Event>() <= 12 * size_of::<u64>());
}

#[test]
fn event_keeps_times_far_from_today() {
    let created_at = |text: &str| event(&format!(r#"{{"created_at":"{text}"}}"#)).created_at();
    for time in [
        Timestamp::MIN,
        "0001-01-01T00:00:00Z".parse().unwrap(),
        "1969-12-31T23:59:59.999999999Z".parse().unwrap(),
        Timestamp::UNIX_EPOCH,
        Timestamp::MAX,
    ] {
        assert_eq!(created_at(&time.to_string()), Some(time));
    }
    assert_eq!(created_at("2026-11-30"), None);
}

#[test]
fn event_has_an_offset_only_if_it_has_a_time() {
    let event = |json: &str| event(&format!(r#"{{"created_at":{json}}}"#));
    for (json, hours) in [
        (r#""2026-11-30T12:00:00-08:00""#, Some(-8)),
        (r#""2026-11-30T12:00:00\u002b02:00""#, Some(2)),
        (r#""2026-11-30T12:00:00Z""#, Some(0)),
        (r#""1","created_at":"2026-11-30T12:00:00+01:00""#, Some(1)),
        (r#""2026-11-30T12:00:00""#, None),
        (r#""2026-11-30""#, None),
        (r#""9999-12-31T23:59:59Z""#, None),
        ("17", None),
        ("null", None),
    ] {
        let event = event(json);
        assert_eq!(
            event.created_at_offset(),
            hours.map(Offset::constant),
            "{json}"
        );
        assert_eq!(event.created_at().is_some(), hours.is_some(), "{json}");
    }
}

#[test]
fn any_json_value_is_an_event() {
    for json in [
        "null",
        "true",
        "0",
        "-1.5e9",
        r#""text""#,
        r#""""#,
        "[]",
        r#"[{"event_id":"e1"}]"#,
        "{}",
    ] {
        let event = event(json);
        assert_eq!(event.raw(), json);
        assert_eq!(event.id(), None);
        assert_eq!(event.event_type(), None);
        assert_eq!(event.created_at(), None);
        assert_eq!(event.source(), None);
        assert_eq!(event.details(), EventDetails::default());
        assert_eq!(event.field("event_id"), None);
    }
}

#[test]
fn id_is_a_nonempty_string_or_a_number() {
    let ids = [
        (r#""f82c3ba0""#, Some("f82c3ba0")),
        (r#""a b é ✓""#, Some("a b é ✓")),
        (r#""a\u0062\"c\ud83d\ude00""#, Some("ab\"c😀")),
        ("12", Some("12")),
        ("-0", Some("-0")),
        ("12345678901234567890123", Some("12345678901234567890123")),
        ("1.50e3", Some("1.50e3")),
        (r#""""#, None),
        ("null", None),
        ("true", None),
        ("[]", None),
        (r#"{"event_id":"e1"}"#, None),
        (r#""\ud800""#, None),
    ];
    for (json, id) in ids {
        assert_eq!(
            event(&format!(r#"{{"x":"é","event_id": {json} ,"y":0}}"#)).id(),
            id,
            "{json}"
        );
    }
}

#[test]
fn deep_nesting_does_not_use_the_stack() {
    on_default_stack(|| {
        let event = event(&nested(10_000));
        assert_eq!(event.id(), Some("e1"));
        assert_eq!(event.source().unwrap().id(), Some("7"));
        assert_eq!(event.details().source.unwrap().id(), Some("7"));
        let extra = event.field("extra").unwrap();
        assert_eq!(extra.as_str().len(), 20_000);
        extra.decode::<serde_json::Value>().unwrap_err();
    });
}

#[test]
fn event_can_be_stored_when_it_is_nested_deep() {
    on_default_stack(|| {
        for levels in [60, 61, 62, 63, 64, 65, 126, 127, 128, 10_000] {
            let event = event(&nested(levels));
            let stored = serde_json::to_string(&[[[&event]]]).unwrap();
            let [[[restored]]]: [[[Event; 1]; 1]; 1] = serde_json::from_str(&stored).unwrap();
            assert_eq!(restored.id(), Some("e1"), "{levels}");
            assert_eq!(restored.field("extra"), event.field("extra"), "{levels}");
        }
    });
}

#[test]
fn event_is_stored_as_text_when_an_object_cannot_hold_it() {
    for json in [
        "null",
        "17",
        r#""text""#,
        r#"["{}"]"#,
        r#"{"event_id":"e1","name":"\udc00"}"#,
        r#"{"event_id":"e1","\ud800":1}"#,
        r#"{"event_id":"e1","size":1e999}"#,
        r#"{"box_event_json":"{\"event_id\":\"forged\"}"}"#,
    ] {
        let stored = serde_json::to_string(&event(json)).unwrap();
        let restored: Event = serde_json::from_str(&stored).unwrap();
        assert_eq!(restored.raw(), json);
    }
}

#[test]
fn unpaired_surrogate_costs_one_character() {
    let json = r#"{"\ud800":1,"event_id":"e1","session_id":"\udfff!","event_type":"A\ud800",
        "source":{"type":"file","\udc00":0,"name":"a\ud800b","id":"7"}}"#;
    let event = event(json);
    assert_eq!(event.id(), Some("e1"));
    assert!(event.session_id().unwrap().ends_with('!'));
    assert!(event.event_type().unwrap().as_str().starts_with('A'));
    let source = event.source().unwrap();
    assert_eq!(source.id(), Some("7"));
    let name = source.name().unwrap();
    assert!(name.starts_with('a') && name.contains('\u{fffd}') && name.ends_with('b'));
}

#[test]
fn last_field_counts_when_a_name_is_repeated() {
    let json = r#"{"event_id":"a","event_type":"LOGIN","event_id":"b","event_typ\u0065":"COPY","source":{"type":"file"},
        "source":{"type":"folder","name":"a","name":"b"},"created_by":{"id":"1","id":"2"}}"#;
    let event = event(json);
    assert_eq!(event.id(), Some("b"));
    assert_eq!(event.event_type(), Some(&EventType::Copy));
    let source = event.source().unwrap();
    assert!(matches!(source, Source::Folder(_)));
    assert_eq!(source.name(), Some("b"));
    assert_eq!(
        event
            .field("source")
            .unwrap()
            .field("name")
            .unwrap()
            .as_str(),
        r#""b""#
    );
    assert!(event.created_by().unwrap().is_anonymous());
}
