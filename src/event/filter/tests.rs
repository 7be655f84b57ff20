//! Tests of each criterion, and of criteria together.

use bytes::Bytes;

use super::*;

fn event(json: &str) -> Event {
    Event::from_raw(&Bytes::copy_from_slice(json.as_bytes()))
}

/// Asserts that the filter accepts the events of `accepted` alone.
#[track_caller]
fn assert_accepts(filter: &EventFilter, accepted: &[&str], refused: &[&str]) {
    for json in accepted {
        assert!(
            filter.matches(&event(json)),
            "{json} does not match {filter:?}"
        );
    }
    for json in refused.iter().chain(WITHOUT_FIELDS) {
        assert!(!filter.matches(&event(json)), "{json} matches {filter:?}");
    }
}

/// Events that lack the field of each criterion, or have something else in its place.
const WITHOUT_FIELDS: &[&str] = &[
    "{}",
    "null",
    "17",
    r#""1""#,
    "[]",
    r#"[{"event_type":"LOGIN","source":{"type":"folder","id":"1"}}]"#,
    r#"{"event_type":null,"created_at":null,"created_by":null,"action_by":null,"ip_address":null,"source":null}"#,
    r#"{"event_type":1,"created_at":1,"created_by":"1","action_by":[{"id":"1"}],"ip_address":1,"source":"1"}"#,
    r#"{"created_by":{},"action_by":{"id":null},"source":{"type":"folder","id":{"id":"1"},"parent":"1","path_collection":["1"]}}"#,
    r#"{"id":"1","event_id":"1","session_id":"1","accessible_by":{"id":"1"}}"#,
];

#[test]
fn filter_without_criteria_accepts_everything() {
    let emptied = EventFilter::new()
        .event_types(["LOGIN"])
        .users(["1"])
        .created_at(Timestamp::MAX..);
    let emptied = emptied.event_types([""; 0]).users([""; 0]).created_at(..);
    assert_eq!(emptied, EventFilter::new());
    for json in WITHOUT_FIELDS {
        assert!(emptied.matches(&event(json)), "{json}");
    }
}

#[test]
fn types_are_alternatives_and_may_be_unknown() {
    let filter = EventFilter::new().event_types(["LOGIN", "ITEM_FOLDED"]);
    assert_accepts(
        &filter,
        &[
            r#"{"event_type":"LOGIN"}"#,
            r#"{"event_type":"ITEM_FOLDED"}"#,
        ],
        &[r#"{"event_type":"UPLOAD"}"#, r#"{"event_type":"login"}"#],
    );
}

#[test]
fn type_matches_by_its_name_even_if_it_got_a_variant() {
    let other = EventType::Other("LOGIN".to_owned());
    let filter = EventFilter::new().event_types([other]);
    assert_accepts(&filter, &[r#"{"event_type":"LOGIN"}"#], &[]);
}

#[test]
fn user_is_the_one_who_caused_the_event_or_acted() {
    assert_accepts(
        &EventFilter::new().users(["1", "box_support"]),
        &[
            r#"{"created_by":{"type":"user","id":"1"}}"#,
            r#"{"created_by":{"id":1}}"#,
            r#"{"created_by":{"id":"\u0031"}}"#,
            r#"{"created_by":{"id":"2"},"action_by":{"id":"box_support"}}"#,
            r#"{"created_by":{"id":"1"},"action_by":null}"#,
        ],
        &[
            r#"{"created_by":{"id":"2"},"source":{"type":"user","id":"1"}}"#,
            r#"{"created_by":{"id":"11"},"accessible_by":{"id":"1"}}"#,
            r#"{"created_by":{"id":"1"},"created_by":{"id":"2"}}"#,
        ],
    );
}

#[test]
fn item_matches_under_every_name_of_its_id() {
    assert_accepts(
        &EventFilter::new().items(["7"]),
        &[
            r#"{"source":{"type":"file","id":"7","name":"a"}}"#,
            r#"{"source":{"type":"file","id":7}}"#,
            r#"{"source":{"item_type":"file","item_id":"7"}}"#,
            r#"{"source":{"folder_id":"7","user_id":"1"}}"#,
            r#"{"source":{"type":"file","file_id":"7"}}"#,
            r#"{"source":{"type":"group","group_id":"7"}}"#,
            r#"{"source":{"type":"user","id":"7"}}"#,
            r#"{"source":{"type":"shield_information_barrier","barrier_id":"7"}}"#,
            r#"{"source":{"id":"7"}}"#,
        ],
        &[
            r#"{"source":{"type":"file","id":"8","parent":{"id":"7"}}}"#,
            r#"{"source":{"folder_id":"1","user_id":"7"}}"#,
            r#"{"event_id":"7","created_by":{"id":"7"},"source":{"type":"file","id":"77"}}"#,
        ],
    );
}

#[test]
fn folder_matches_itself_and_everything_below() {
    let below = r#"{"source":{"type":"file","id":"8","parent":{"id":"9"},"path_collection":
        {"total_count":3,"entries":[{"id":"0"},{"type":"folder","id":"7"},{"id":"9"}]}}}"#;
    let partly_unreadable =
        r#"{"source":{"path_collection":{"entries":[17,null,{"id":7},{"name":"x"}]}}}"#;
    assert_accepts(
        &EventFilter::new().folders(["7"]),
        &[
            r#"{"source":{"type":"folder","id":"7","name":"a"}}"#,
            r#"{"source":{"item_type":"folder","item_id":"7"}}"#,
            r#"{"source":{"folder_id":"7","folder_name":"a","user_id":"1"}}"#,
            r#"{"source":{"type":"web_link","id":"8","parent":{"type":"folder","id":"7"}}}"#,
            r#"{"source":{"item_type":"file","item_id":"8","parent":{"id":"7"}}}"#,
            r#"{"source":{"file_id":"8","parent":{"id":"7"},"user_id":"1"}}"#,
            below,
            partly_unreadable,
        ],
        &[
            r#"{"source":{"type":"file","id":"7","name":"a"}}"#,
            r#"{"source":{"item_type":"file","item_id":"7","parent":{"id":"8"}}}"#,
            r#"{"source":{"type":"file","id":"8","parent":{"id":"8","parent":{"id":"7"}}}}"#,
            r#"{"source":{"type":"file","parent":{"id":"7"},"parent":{"id":"8"}}}"#,
            r#"{"source":{"path_collection":{"entries":[{"id":"77"}]}},"parent":{"id":"7"}}"#,
        ],
    );
}

#[test]
fn address_matches_alone_or_in_a_range() {
    let filter = EventFilter::new().ip_addresses(["192.0.2.7", "2001:db8::/32"]);
    assert_accepts(
        &filter.unwrap(),
        &[
            r#"{"ip_address":"192.0.2.7"}"#,
            r#"{"ip_address":"::ffff:192.0.2.7"}"#,
            r#"{"ip_address":"2001:db8:1::1"}"#,
        ],
        &[
            r#"{"ip_address":"192.0.2.8"}"#,
            r#"{"ip_address":"192.0.2.7/32"}"#,
            r#"{"ip_address":"Unknown IP"}"#,
            r#"{"ip_address":"2001:db9::1"}"#,
        ],
    );
}

#[test]
fn time_range_says_itself_if_its_ends_belong_to_it() {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let (midnight, noon) = (time("2026-01-01T00:00:00Z"), time("2026-01-01T12:00:00Z"));
    let first = r#"{"created_at":"2025-12-31T16:00:00-08:00"}"#;
    let last = r#"{"created_at":"2026-01-01T12:00:00Z"}"#;
    let between = r#"{"created_at":"2026-01-01T06:00:00Z"}"#;
    let before = r#"{"created_at":"2025-12-31T23:59:59.999Z"}"#;
    let after = r#"{"created_at":"2026-01-01T12:00:00.001Z"}"#;
    let at = |range: (Bound<Timestamp>, Bound<Timestamp>)| EventFilter::new().created_at(range);
    assert_accepts(
        &EventFilter::new().created_at(midnight..noon),
        &[first, between],
        &[before, last, after],
    );
    assert_accepts(
        &EventFilter::new().created_at(midnight..=noon),
        &[first, between, last],
        &[before, after],
    );
    assert_accepts(
        &at((Bound::Excluded(midnight), Bound::Unbounded)),
        &[between, last, after],
        &[before, first],
    );
    assert_accepts(
        &at((Bound::Included(noon), Bound::Included(midnight))),
        &[],
        &[before, first, between, last, after],
    );
}

#[test]
fn several_criteria_must_all_hold() {
    let json = |kind, user, item, ip| {
        format!(
            r#"{{"event_type":"{kind}","created_by":{{"id":"{user}"}},"ip_address":"{ip}",
                "source":{{"type":"folder","id":"{item}","name":"a"}}}}"#
        )
    };
    let filter = EventFilter::new()
        .event_types(["LOGIN"])
        .users(["1"])
        .items(["7"])
        .folders(["7"])
        .ip_addresses(["192.0.2.0/24"])
        .unwrap();
    assert_accepts(
        &filter,
        &[&json("LOGIN", 1, 7, "192.0.2.1")],
        &[
            &json("UPLOAD", 1, 7, "192.0.2.1"),
            &json("LOGIN", 2, 7, "192.0.2.1"),
            &json("LOGIN", 1, 8, "192.0.2.1"),
            &json("LOGIN", 1, 7, "192.0.3.1"),
        ],
    );
    let item_elsewhere = filter.folders(["8"]);
    assert_accepts(&item_elsewhere, &[], &[&json("LOGIN", 1, 7, "192.0.2.1")]);
}
