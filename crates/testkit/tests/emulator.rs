//! The emulator without a network: the behavior that Box documents, each setting, and each fault. A
//! virtual clock makes the tests fast.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use box_longpoll_testkit::{
    Config, Delivery, Emulator, Endpoint, FakeResponse, Fault, HoldId, Outcome, PollPosition,
    Reply, Request, Settings, Spelling,
};
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

const TOKEN: &str = "token";

/// An emulator with a virtual clock, which only the test moves.
struct World {
    emulator: Emulator,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(Settings::default())
    }

    #[expect(clippy::disallowed_methods, reason = "some moment has to be the first")]
    fn with(settings: Settings) -> Self {
        let now = Instant::now();
        Self {
            emulator: Emulator::new(Config::from(settings), now),
            now,
        }
    }

    fn with_events(settings: Settings, count: usize) -> Self {
        let mut world = Self::with(settings);
        world.append(count);
        world
    }

    fn append(&mut self, count: usize) {
        self.emulator.append(TOKEN, count, self.now);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    #[track_caller]
    fn send(&mut self, request: Request) -> FakeResponse {
        let request = request.header("Authorization", &format!("Bearer {TOKEN}"));
        self.emulator
            .respond(&request, self.now)
            .response()
            .expect("a response at once")
    }

    #[track_caller]
    fn page(&mut self, query: &str) -> Value {
        let response = self.send(Request::get(&format!("/2.0/events?{query}")));
        assert_eq!(response.status, 200);
        body(&response)
    }

    /// Requests the list and returns the URL of the first realtime server.
    #[track_caller]
    fn realtime_url(&mut self) -> String {
        self.listed_url("")
    }

    /// Requests the list with a query, and returns the URL of the first realtime server.
    #[track_caller]
    fn listed_url(&mut self, query: &str) -> String {
        let list = body(&self.send(Request::new("OPTIONS", &format!("/2.0/events{query}"))));
        list["entries"][0]["url"]
            .as_str()
            .expect("a url")
            .to_owned()
    }

    fn poll(&mut self, url: &str, position: &str) -> Reply {
        self.emulator.respond(
            &Request::get(&format!("{url}&stream_position={position}")),
            self.now,
        )
    }

    #[track_caller]
    /// Opens a poll, which must be held.
    fn held_poll(&mut self) -> HoldId {
        let url = self.realtime_url();
        let Reply::Hold { id, .. } = self.poll(&url, "now") else {
            panic!("the poll was not held")
        };
        id
    }

    /// Reads all pages from the oldest event on, and returns the IDs of the events with repeats.
    #[track_caller]
    fn drain(&mut self, limit: usize) -> Vec<String> {
        let mut ids = Vec::new();
        let mut position = "0".to_owned();
        loop {
            let page = self.page(&format!("limit={limit}&stream_position={position}"));
            let next = position_of(&page);
            if next == position {
                return ids;
            }
            ids.extend(ids_of(&page));
            position = next;
        }
    }
}

fn body(response: &FakeResponse) -> Value {
    serde_json::from_slice(&response.body).expect("a JSON body")
}

fn position_of(page: &Value) -> String {
    page["next_stream_position"]
        .as_str()
        .expect("a position that is a string")
        .to_owned()
}

fn ids_of(page: &Value) -> Vec<String> {
    let entries = page["entries"].as_array().expect("entries");
    entries
        .iter()
        .map(|event| event["event_id"].as_str().expect("an id").to_owned())
        .collect()
}

#[track_caller]
fn signal_of(reply: Option<Reply>) -> String {
    let response = reply.and_then(Reply::response).expect("a signal");
    assert!(response.close, "a realtime server closes the connection");
    body(&response)["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

#[test]
fn now_returns_an_empty_page_and_the_newest_position() {
    let mut world = World::with_events(Settings::default(), 3);
    let page = world.page("stream_position=now");
    assert_eq!(page["entries"], json!([]));
    assert_eq!(position_of(&page), world.emulator.newest_position(TOKEN));
    world.append(1);
    let next = world.page(&format!("stream_position={}", position_of(&page)));
    assert_eq!(next["chunk_size"], 1);
}

#[test]
fn pages_have_100_events_by_default_and_500_at_most() {
    let mut world = World::with_events(Settings::default(), 600);
    for (query, count) in [
        ("", 100),
        ("limit=7", 7),
        ("limit=500", 500),
        ("limit=10000", 500),
    ] {
        assert_eq!(world.page(query)["chunk_size"], count, "{query}");
    }
}

#[test]
fn pages_deliver_the_complete_log_in_order() {
    let mut world = World::with_events(Settings::default(), 1_234);
    assert_eq!(world.drain(500), world.emulator.event_ids(TOKEN));
}

#[test]
fn positions_have_more_digits_than_a_float() {
    for (spelling, is_string) in [(Spelling::Number, false), (Spelling::String, true)] {
        let mut world = World::with(Settings {
            position_spelling: spelling,
            ..Settings::default()
        });
        let position = &world.page("stream_position=now")["next_stream_position"];
        assert_eq!(position.is_string(), is_string);
        let digits: u64 = position
            .to_string()
            .trim_matches('"')
            .parse()
            .expect("digits");
        assert!(digits > 1 << 53);
    }
}

#[test]
fn an_unreadable_position_gets_a_400_in_boxs_format() {
    let mut world = World::new();
    let response = world.send(Request::get("/2.0/events?stream_position=yesterday"));
    assert_eq!(response.status, 400);
    let error = body(&response);
    assert_eq!(
        (&error["type"], &error["status"]),
        (&json!("error"), &json!(400))
    );
    assert_eq!(
        error["context_info"]["errors"][0]["name"],
        "stream_position"
    );
}

#[test]
fn a_call_without_an_accepted_token_gets_a_401() {
    let accepted = BTreeSet::from([TOKEN.to_owned(), "other".to_owned()]);
    let mut world = World::with(Settings {
        accepted_tokens: Some(accepted),
        ..Settings::default()
    });
    world.emulator.change_settings(|settings| {
        settings.revoked_tokens.insert("other".into());
    });
    for request in ["", "Bearer stranger", "Bearer other", "Basic token"] {
        let request = Request::get("/2.0/events").header("authorization", request);
        let response = world
            .emulator
            .respond(&request, world.now)
            .response()
            .expect("a response");
        assert_eq!(response.status, 401);
        assert!(
            response
                .header_value("WWW-Authenticate")
                .is_some_and(|value| value.contains("invalid_token"))
        );
    }
    assert_eq!(world.send(Request::get("/2.0/events")).status, 200);
}

#[test]
fn each_token_has_its_own_account_unless_it_is_mapped() {
    let mut world = World::with_events(Settings::default(), 2);
    let count = |world: &mut World, token: &str, user: Option<&str>| {
        let mut request =
            Request::get("/2.0/events").header("authorization", &format!("Bearer {token}"));
        if let Some(user) = user {
            request = request.header("As-User", user);
        }
        let response = world
            .emulator
            .respond(&request, world.now)
            .response()
            .expect("a response");
        body(&response)["chunk_size"].clone()
    };
    assert_eq!(count(&mut world, "another", None), 0);
    world.emulator.change_settings(|settings| {
        settings
            .token_accounts
            .insert("another".into(), TOKEN.into());
    });
    assert_eq!(count(&mut world, "another", None), 2);
    world.emulator.append("1234", 5, world.now);
    assert_eq!(count(&mut world, "another", Some("1234")), 5);
}

#[test]
fn a_position_before_retention_continues_with_the_oldest() {
    let mut world = World::with(Settings {
        retention: Some(10),
        ..Settings::default()
    });
    let start = position_of(&world.page("stream_position=now"));
    world.append(25);
    let page = world.page(&format!("stream_position={start}"));
    assert_eq!(ids_of(&page), world.emulator.event_ids(TOKEN));
    assert_eq!(page["chunk_size"], 10);
}

#[test]
fn repeats_short_pages_and_empty_pages_lose_nothing() {
    let unruly = Settings {
        repeat_rate: 0.3,
        short_page_rate: 0.3,
        empty_page_rate: 0.3,
        reorder_rate: 0.3,
        ..Settings::default()
    };
    let mut world = World::with_events(unruly, 1_000);
    let delivered = world.drain(50);
    assert!(delivered.len() > 1_200, "some events are repeated");
    let mut seen = BTreeSet::new();
    let distinct: Vec<_> = delivered
        .into_iter()
        .filter(|id| seen.insert(id.clone()))
        .collect();
    assert_eq!(distinct, world.emulator.event_ids(TOKEN));
    assert_eq!(distinct.len(), 1_000);

    let records: Vec<_> = world.emulator.requests().collect();
    assert!(
        records
            .iter()
            .any(|record| record.events == 0 && record.outcome == Outcome::Responded(200))
    );
    let new: usize = records.iter().map(|record| record.new_events).sum();
    assert_eq!(new, world.emulator.events(TOKEN).len());
}

#[test]
fn a_repeat_follows_within_two_thousand_places() {
    let repeating = Settings {
        repeat_rate: 0.9,
        ..Settings::default()
    };
    let mut world = World::with_events(repeating, 10_000);
    let mut first_seen = BTreeMap::new();
    for (place, id) in world.drain(500).into_iter().enumerate() {
        let first = *first_seen.entry(id).or_insert(place);
        assert!(place - first <= 2_001, "{} places later", place - first);
    }
}

#[test]
fn reordered_events_have_earlier_dates_than_those_before_them() {
    let mut world = World::with_events(
        Settings {
            reorder_rate: 0.5,
            ..Settings::default()
        },
        50,
    );
    let page = world.page("");
    let dates: Vec<&str> = page["entries"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|event| event["created_at"].as_str())
        .collect();
    assert!(!dates.is_sorted());
}

#[test]
fn the_same_seed_and_requests_give_the_same_responses() {
    let responses = |mut world: World| {
        world.append(50);
        let list = world.send(Request::new("OPTIONS", "/2.0/events"));
        (list, world.drain(7))
    };
    let unruly = || {
        World::with(Settings {
            repeat_rate: 0.5,
            short_page_rate: 0.5,
            ..Settings::default()
        })
    };
    assert_eq!(responses(unruly()), responses(unruly()));
}

#[test]
fn a_poll_is_held_until_an_event_is_appended() {
    let mut world = World::new();
    let id = world.held_poll();
    assert_eq!(world.emulator.counters().open_polls, 1);
    world.append(1);
    assert_eq!(world.emulator.take_ready(), [id]);
    assert_eq!(
        signal_of(world.emulator.resume(id, world.now)),
        "new_change"
    );
    assert_eq!(world.emulator.counters().open_polls, 0);
}

#[test]
fn a_poll_is_cut_when_its_time_is_up() {
    let mut world = World::with(Settings {
        cut_polls_after_ms: Some(60_000),
        ..Settings::default()
    });
    let (cut, changed) = (world.held_poll(), world.held_poll());
    world.pass(59);
    let held = world.emulator.resume(cut, world.now);
    let until = world.now + Duration::from_secs(1);
    assert_eq!(
        held,
        Some(Reply::Hold {
            id: cut,
            until: Some(until)
        })
    );
    world.pass(1);
    let reply = world.emulator.resume(cut, world.now).expect("a reply");
    let response = reply.response().expect("a response");
    assert_eq!(response.delivery, Delivery::CloseBeforeHeaders);
    let faults: Vec<_> = world
        .emulator
        .requests()
        .filter_map(|record| record.fault)
        .collect();
    assert_eq!(faults, ["close_before_headers"]);
    world.append(1);
    assert_eq!(
        signal_of(world.emulator.resume(changed, world.now)),
        "new_change"
    );
}

#[test]
fn a_poll_without_a_change_ends_with_reconnect() {
    let mut world = World::with(Settings {
        hold_ms: 30_000,
        ..Settings::default()
    });
    let id = world.held_poll();
    world.pass(29);
    assert!(matches!(
        world.emulator.resume(id, world.now),
        Some(Reply::Hold { .. })
    ));
    world.pass(1);
    assert_eq!(signal_of(world.emulator.resume(id, world.now)), "reconnect");
}

#[test]
fn a_poll_is_removed_when_its_client_disconnects() {
    let mut world = World::new();
    let id = world.held_poll();
    world.emulator.hang_up(id);
    assert_eq!(world.emulator.counters().open_polls, 0);
    assert_eq!(world.emulator.resume(id, world.now), None);
    assert_eq!(
        world
            .emulator
            .requests()
            .last()
            .map(|record| record.outcome.clone()),
        Some(Outcome::HungUp)
    );
}

#[test]
fn earlier_events_are_signaled_if_the_position_is_honoured() {
    for (poll_position, held) in [
        (PollPosition::Honored, false),
        (PollPosition::Ignored, true),
        (PollPosition::AlwaysNewChange, false),
    ] {
        let mut world = World::with_events(
            Settings {
                poll_position,
                ..Settings::default()
            },
            1,
        );
        let url = world.realtime_url();
        assert_eq!(
            matches!(world.poll(&url, "0"), Reply::Hold { .. }),
            held,
            "{poll_position:?}"
        );
    }
}

#[test]
fn dropped_signals_never_arrive() {
    let mut world = World::with(Settings {
        drop_signals: true,
        ..Settings::default()
    });
    let id = world.held_poll();
    world.append(1);
    assert!(matches!(
        world.emulator.resume(id, world.now),
        Some(Reply::Hold { .. })
    ));
    world.pass(600);
    assert_eq!(signal_of(world.emulator.resume(id, world.now)), "reconnect");
}

#[test]
fn an_event_may_be_signaled_before_it_can_be_fetched() {
    let mut world = World::with(Settings {
        visible_after_ms: 5_000,
        ..Settings::default()
    });
    let id = world.held_poll();
    world.append(1);
    assert_eq!(
        signal_of(world.emulator.resume(id, world.now)),
        "new_change"
    );
    assert_eq!(world.page("")["chunk_size"], 0);
    world.pass(5);
    assert_eq!(world.page("")["chunk_size"], 1);
}

#[test]
fn a_realtime_url_is_used_up_after_its_polls() {
    let settings = Settings {
        max_retries: json!(2),
        max_retries_status: 503,
        ..Settings::default()
    };
    let mut world = World::with(settings);
    let url = world.realtime_url();
    for _ in 0..3 {
        assert!(matches!(world.poll(&url, "now"), Reply::Hold { .. }));
    }
    let response = world.poll(&url, "now").response().expect("a response");
    assert_eq!(response.status, 503);
    assert_eq!(signal_of(Some(Reply::Respond(response))), "max_retries");
    let fresh = world.realtime_url();
    assert!(matches!(world.poll(&fresh, "now"), Reply::Hold { .. }));
}

#[test]
fn an_unknown_channel_gets_a_404() {
    let response = World::new()
        .poll("/realtime/0/subscribe?channel=guess", "now")
        .response()
        .expect("a response");
    assert_eq!(response.status, 404);
}

#[test]
fn a_realtime_server_can_require_the_token() {
    let mut world = World::with(Settings {
        realtime_needs_token: true,
        ..Settings::default()
    });
    let url = world.realtime_url();
    assert_eq!(
        world
            .poll(&url, "now")
            .response()
            .map(|response| response.status),
        Some(401)
    );
    let with_token = Request::get(&url).header("authorization", &format!("Bearer {TOKEN}"));
    assert!(matches!(
        world.emulator.respond(&with_token, world.now),
        Reply::Hold { .. }
    ));
}

#[test]
fn the_list_follows_the_settings() {
    let mut world = World::with(Settings {
        realtime_servers: 3,
        realtime_origins: vec!["https://2.realtime.services.box.net".into()],
        list_types: false,
        ttl: Value::Null,
        max_retries: json!("10"),
        retry_timeout: json!(-1),
        ..Settings::default()
    });
    let list = body(&world.send(Request::new("OPTIONS", "/2.0/events")));
    assert_eq!(list["chunk_size"], 3);
    let entry = &list["entries"][2];
    assert!(
        entry["url"]
            .as_str()
            .is_some_and(|url| url.starts_with("https://2.realtime.services.box.net/realtime/2/"))
    );
    assert_eq!((entry.get("type"), entry.get("ttl")), (None, None));
    assert_eq!(
        (&entry["max_retries"], &entry["retry_timeout"]),
        (&json!("10"), &json!(-1))
    );
}

#[test]
fn calls_above_the_rate_limit_get_a_429_until_the_minute_ends() {
    let mut world = World::with(Settings {
        calls_per_minute: Some(2),
        ..Settings::default()
    });
    world.page("");
    world.pass(20);
    world.page("");
    let refused = world.send(Request::get("/2.0/events"));
    assert_eq!(
        (refused.status, refused.header_value("Retry-After")),
        (429, Some("40"))
    );
    assert_eq!(body(&refused)["code"], "rate_limit_exceeded");
    world.pass(40);
    world.page("");
}

#[test]
fn the_rate_appends_nothing_to_full_logs() {
    let mut world = World::with(Settings {
        rate: 10.0,
        ..Settings::default()
    });
    let large: Arc<str> = "x".repeat(16 << 20).into();
    let events = std::iter::repeat_n(large, 256);
    world.emulator.append_json("full", events, world.now);
    world.pass(1);
    world.emulator.advance(world.now);
    assert_eq!(world.emulator.events("full").len(), 256);
    let retention = |settings: &mut Settings| settings.retention = Some(255);
    world.emulator.change_settings(retention);
    world.pass(1);
    world.emulator.advance(world.now);
    let newest = world.emulator.events("full").pop().expect("an event");
    assert!(newest.starts_with("{\"type\":\"event\""));
}

#[test]
fn the_rate_appends_to_every_known_account() {
    let mut world = World::with(Settings {
        rate: 2.5,
        ..Settings::default()
    });
    world.page("");
    for _ in 0..100 {
        world.now += Duration::from_millis(100);
        world.emulator.advance(world.now);
    }
    assert_eq!(world.emulator.event_ids(TOKEN).len(), 25);
}

#[test]
fn appended_events_are_delivered_unchanged() {
    let mut world = World::new();
    let odd = [
        r#""a string""#,
        "null",
        r#"{"event_id":7}"#,
        r#"{ "a" : 1.0 }"#,
    ];
    world.emulator.append_json(TOKEN, odd, world.now);
    let response = world.send(Request::get("/2.0/events"));
    let text = String::from_utf8(response.body).expect("text");
    assert!(text.contains(&odd.join(",")), "{text}");
}

#[test]
fn a_copied_log_is_shared_until_one_account_changes() {
    let mut world = World::with_events(Settings::default(), 3);
    let poll = world.held_poll();
    world.emulator.append("other", 700, world.now);
    world.emulator.copy_log("other", TOKEN);
    assert_eq!(
        signal_of(world.emulator.resume(poll, world.now)),
        "new_change"
    );
    let copied = world.emulator.event_ids("other");
    assert_eq!(world.drain(500), copied);
    world.append(1);
    world.emulator.append("other", 2, world.now);
    assert_eq!(world.emulator.event_ids("other")[..700], copied);
    assert_eq!(world.drain(500).len(), 701);
}

#[test]
fn enterprise_streams_can_be_filtered_by_type_and_date() {
    let mut world = World::new();
    let event =
        |kind: &str, date: &str| json!({"event_type": kind, "created_at": date}).to_string();
    world.emulator.append_json(
        TOKEN,
        [
            event("LOGIN", "2026-01-01T00:00:00Z"),
            event("LOGIN", "2026-02-01T00:00:00Z"),
            event("EDIT", "2026-02-01T00:00:00Z"),
        ],
        world.now,
    );
    let count = |world: &mut World, query: &str| world.page(query)["chunk_size"].clone();
    assert_eq!(
        count(&mut world, "stream_type=admin_logs&event_type=LOGIN,COPY"),
        2
    );
    let since = "created_after=2026-01-15T00:00:00Z";
    for (query, expected) in [
        (format!("stream_type=admin_logs&{since}"), 2),
        (
            format!("stream_type=admin_logs&{since}&event_type=LOGIN"),
            1,
        ),
        (
            "stream_type=admin_logs&created_before=2026-01-15T00:00:00Z".into(),
            1,
        ),
        (
            "stream_type=admin_logs_streaming&event_type=EDIT%2CCOPY".into(),
            1,
        ),
        (format!("stream_type=admin_logs_streaming&{since}"), 3),
        ("stream_type=all&event_type=LOGIN".into(), 3),
    ] {
        assert_eq!(count(&mut world, &query), expected, "{query}");
    }
}

#[test]
fn invalid_parameters_of_enterprise_streams_get_a_400() {
    let mut world = World::with_events(Settings::default(), 1);
    for (query, parameter) in [
        ("stream_type=admin_logs_of_all", "stream_type"),
        (
            "stream_type=admin_logs&created_after=yesterday",
            "created_after",
        ),
        ("stream_type=admin_logs_streaming&limit=0", "limit"),
        (
            "stream_type=admin_logs_streaming&stream_position=then",
            "stream_position",
        ),
    ] {
        let response = world.send(Request::get(&format!("/2.0/events?{query}")));
        assert_eq!(response.status, 400, "{query}");
        let error = &body(&response)["context_info"]["errors"][0];
        assert_eq!(error["name"], parameter, "{query}");
    }
}

#[test]
fn an_empty_last_enterprise_page_can_have_position_0() {
    let settings = Settings {
        zero_position_at_the_end: true,
        empty_page_rate: 0.5,
        ..Settings::default()
    };
    let mut world = World::with_events(settings, 20);
    for stream in ["admin_logs", "admin_logs_streaming"] {
        let (mut position, mut delivered, mut zeros) = ("0".to_owned(), 0, 0);
        for _ in 0..100 {
            let query = format!("stream_type={stream}&stream_position={position}&limit=7");
            let page = world.page(&query);
            delivered += ids_of(&page).len();
            match position_of(&page) {
                zero if zero == "0" => zeros += 1,
                next => position = next,
            }
        }
        assert_eq!(delivered, 20, "{stream}");
        assert!(zeros > 80, "{stream}: {zeros}");
        let now = world.page(&format!("stream_type={stream}&stream_position=now"));
        assert_eq!(position_of(&now), position, "{stream}");
    }
    let page = world.page("stream_type=all&stream_position=now");
    let query = format!("stream_position={}", position_of(&page));
    assert_eq!(position_of(&world.page(&query)), position_of(&page));
}

#[test]
fn enterprise_streams_repeat_events_and_date_them_out_of_order() {
    let settings = Settings {
        repeat_rate: 0.3,
        reorder_rate: 0.3,
        ..Settings::default()
    };
    let mut world = World::with_events(settings, 200);
    for stream in ["admin_logs", "admin_logs_streaming"] {
        let page = world.page(&format!("stream_type={stream}&limit=500"));
        let ids = ids_of(&page);
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), 200);
        assert!(ids.len() > 220, "{stream}: {}", ids.len());
        let entries = page["entries"].as_array().expect("entries");
        let dates = entries.iter().map(|event| event["created_at"].as_str());
        assert!(!dates.is_sorted(), "{stream}");
    }
}

/// Appends an event of this type, for an item inside or outside a synced folder. Returns the
/// event's ID.
fn append_typed(world: &mut World, event_type: &str, synced: bool) -> String {
    let id = format!("{event_type} {synced}");
    let source = json!({"type": "folder", "id": "7", "synced": synced});
    let event = json!({"event_id": id, "event_type": event_type, "source": source});
    world
        .emulator
        .append_json(TOKEN, [event.to_string()], world.now);
    id
}

fn is_held(reply: Option<&Reply>) -> bool {
    matches!(reply, Some(Reply::Hold { .. }))
}

#[test]
fn pages_of_changes_leave_out_events_and_move_past_them() {
    let mut world = World::new();
    append_typed(&mut world, "ITEM_PREVIEW", true);
    let upload = append_typed(&mut world, "ITEM_UPLOAD", false);
    let synced = append_typed(&mut world, "COLLAB_ROLE_CHANGE", true);
    append_typed(&mut world, "LOGIN", true);
    for (stream_type, ids) in [
        ("changes", &[&*upload, &*synced][..]),
        ("sync", &[&*synced]),
    ] {
        let page = world.page(&format!("stream_type={stream_type}&stream_position=0"));
        assert_eq!(ids_of(&page), ids, "{stream_type}");
        assert_eq!(position_of(&page), world.emulator.newest_position(TOKEN));
    }
    assert_eq!(
        world.page("stream_type=all&stream_position=0")["chunk_size"],
        4
    );

    append_typed(&mut world, "ITEM_DOWNLOAD", true);
    let newest = world.emulator.newest_position(TOKEN);
    let page = world.page("stream_type=changes&stream_position=0&limit=2");
    assert_ne!(
        position_of(&page),
        newest,
        "the page is full before the end"
    );
    let query = format!("stream_type=changes&stream_position={}", position_of(&page));
    let rest = world.page(&query);
    assert_eq!((ids_of(&rest).len(), position_of(&rest)), (0, newest));
}

#[test]
fn a_stale_page_of_changes_leaves_out_the_same_events() {
    let mut world = World::new();
    append_typed(&mut world, "LOGIN", false);
    append_typed(&mut world, "ITEM_MOVE", false);
    let page = world.page("stream_type=changes");
    let stale = Fault::StalePage;
    world.emulator.queue_fault(Endpoint::Events, stale, 1);
    assert_eq!(world.page("stream_type=changes"), page);
}

#[test]
fn listed_servers_carry_the_stream_type_of_the_request() {
    let mut world = World::new();
    for (query, name) in [
        ("", "all"),
        ("?stream_type=", "all"),
        ("?stream_type=all", "all"),
        ("?stream_type=changes", "changes"),
        ("?stream_type=sync", "sync"),
    ] {
        let url = world.listed_url(query);
        assert!(url.ends_with(&format!("&stream_type={name}")), "{url}");
    }
}

#[test]
fn options_refuses_a_stream_type_without_long_polling() {
    let mut world = World::new();
    for unknown in ["everything", "admin_logs", "admin_logs_streaming"] {
        let target = format!("/2.0/events?stream_type={unknown}");
        let response = world.send(Request::new("OPTIONS", &target));
        assert_eq!(response.status, 400, "{unknown}");
        let error = &body(&response)["context_info"]["errors"][0];
        assert_eq!(error["name"], "stream_type", "{unknown}");
    }
}

#[test]
fn options_rejects_any_stream_type_if_the_settings_say_so() {
    let mut world = World::with(Settings {
        options_rejects_stream_type: true,
        ..Settings::default()
    });
    for stream_type in ["all", "changes", "everything"] {
        let target = format!("/2.0/events?stream_type={stream_type}");
        let response = world.send(Request::new("OPTIONS", &target));
        assert_eq!(response.status, 400);
        let error = body(&response);
        assert_eq!(
            (&error["type"], &error["status"]),
            (&json!("error"), &json!(400))
        );
        assert_eq!(error["code"], "bad_request");
    }
    assert!(world.realtime_url().ends_with("&stream_type=all"));
    world.page("stream_type=changes");
}

#[test]
fn a_channel_signals_only_events_of_its_type() {
    for (stream_type, others, own) in [
        ("all", &[][..], ("LOGIN", false)),
        (
            "changes",
            &[("ITEM_PREVIEW", true), ("LOGIN", true)][..],
            ("ITEM_TRASH", false),
        ),
        (
            "sync",
            &[("ITEM_PREVIEW", true), ("ITEM_MOVE", false)],
            ("ITEM_MOVE", true),
        ),
    ] {
        let mut world = World::new();
        let url = world.listed_url(&format!("?stream_type={stream_type}"));
        let Reply::Hold { id, .. } = world.poll(&url, "now") else {
            panic!("{stream_type}: the poll was not held")
        };
        for &(event_type, synced) in others {
            append_typed(&mut world, event_type, synced);
            // Each event wakes the poll, which is then held further.
            assert_eq!(world.emulator.take_ready(), [id], "{stream_type}");
            assert!(
                is_held(world.emulator.resume(id, world.now).as_ref()),
                "{stream_type}"
            );
        }
        append_typed(&mut world, own.0, own.1);
        assert_eq!(world.emulator.take_ready(), [id], "{stream_type}");
        let signal = signal_of(world.emulator.resume(id, world.now));
        assert_eq!(signal, "new_change", "{stream_type}");
    }
}

#[test]
fn a_poll_is_held_unless_a_change_follows_its_position() {
    let mut world = World::new();
    let upload_ends = {
        append_typed(&mut world, "ITEM_UPLOAD", false);
        world.emulator.newest_position(TOKEN)
    };
    append_typed(&mut world, "LOGIN", false);
    let changes = world.listed_url("?stream_type=changes");
    let all = world.listed_url("");
    assert_eq!(signal_of(Some(world.poll(&changes, "0"))), "new_change");
    assert!(is_held(Some(&world.poll(&changes, &upload_ends))));
    assert_eq!(
        signal_of(Some(world.poll(&all, &upload_ends))),
        "new_change"
    );
}

#[test]
fn a_dropped_signal_is_sent_after_signals_are_enabled() {
    let mut world = World::with(Settings {
        drop_signals: true,
        ..Settings::default()
    });
    let url = world.listed_url("?stream_type=changes");
    let Reply::Hold { id, .. } = world.poll(&url, "now") else {
        panic!("the poll was not held")
    };
    append_typed(&mut world, "ITEM_UPLOAD", false);
    assert!(is_held(world.emulator.resume(id, world.now).as_ref()));
    world
        .emulator
        .change_settings(|settings| settings.drop_signals = false);
    append_typed(&mut world, "LOGIN", false);
    assert_eq!(
        signal_of(world.emulator.resume(id, world.now)),
        "new_change"
    );
}

#[test]
fn realistic_events_are_in_each_stream() {
    let mut world = World::with_events(Settings::default(), 500);
    let mut size = |stream_type: &str| {
        let page = world.page(&format!("stream_type={stream_type}&limit=500"));
        ids_of(&page).len()
    };
    let (all, changes, sync) = (size("all"), size("changes"), size("sync"));
    assert!(
        all == 500 && changes < all && sync < changes && sync > 0,
        "{changes}, {sync}"
    );
}

#[test]
fn status_faults_are_sent_as_they_were_queued() {
    const HTML: Option<&str> = Some("text/html");
    const JSON: Option<&str> = Some("application/json");
    let status = |status, headers: &[(&str, &str)], body: &str| Fault::Status {
        status,
        headers: headers
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    };
    let html = [("Content-Type", "text/html"), ("Retry-After", "1")];
    let too_old = "created_after is beyond one year in the past";
    let stale = "Invalid stream position";
    // Each case is a fault, with the status, `content-type`, `retry-after` and text of its
    // response.
    for (fault, code, content_type, retry_after, says) in [
        (
            Fault::html(403, "<html>blocked</html>"),
            403,
            HTML,
            None,
            "blocked",
        ),
        (
            Fault::html(401, "<html>log in</html>"),
            401,
            HTML,
            None,
            "log in",
        ),
        (
            Fault::html(400, "<html>nginx</html>"),
            400,
            HTML,
            None,
            "nginx",
        ),
        (status(400, &[], ""), 400, None, None, ""),
        (
            status(403, &html, "<html>later"),
            403,
            HTML,
            Some("1"),
            "later",
        ),
        (
            status(202, &[("Retry-After", "2")], ""),
            202,
            None,
            Some("2"),
            "",
        ),
        (
            Fault::box_error(400, "bad_request", too_old),
            400,
            JSON,
            None,
            too_old,
        ),
        (
            Fault::box_error(400, "bad_request", stale),
            400,
            JSON,
            None,
            stale,
        ),
    ] {
        let mut world = World::new();
        world
            .emulator
            .queue_fault(Endpoint::Events, fault.clone(), 1);
        let response = world.send(Request::get("/2.0/events"));
        let headers = |name: &str| {
            let named = response.headers.iter().filter(|(key, _)| key == name);
            named.map(|(_, value)| &**value).collect::<Vec<_>>()
        };
        assert_eq!(response.status, code, "{fault:?}");
        assert_eq!(
            headers("content-type"),
            Vec::from_iter(content_type),
            "{fault:?}"
        );
        assert_eq!(
            headers("retry-after"),
            Vec::from_iter(retry_after),
            "{fault:?}"
        );
        let text = String::from_utf8(response.body.clone()).expect("text");
        assert!(
            text.contains(says) && text.is_empty() == says.is_empty(),
            "{text}"
        );
        if content_type == JSON {
            let error = body(&response);
            let form = (&error["type"], &error["status"], &error["message"]);
            assert_eq!(form, (&json!("error"), &json!(code), &json!(says)));
        }
    }
}

#[test]
fn counters_have_the_busiest_second_and_minute() {
    let mut world = World::new();
    for seconds in [0, 0, 0, 30, 31] {
        world.pass(seconds);
        world.page("");
    }
    let events = world.emulator.counters().events;
    assert_eq!((events.requests, events.with_authorization), (5, 5));
    assert_eq!((events.most_per_second, events.most_per_minute), (3, 4));
    assert_eq!(world.emulator.callers()[TOKEN], events);
}

#[test]
fn a_fault_is_met_once_and_loses_nothing() {
    for fault in Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(Endpoint::Events))
    {
        let mut world = World::with_events(Settings::default(), 3);
        world
            .emulator
            .queue_fault(Endpoint::Events, fault.clone(), 1);
        let request = Request::get("/2.0/events").header("authorization", "Bearer token");
        let reply = world.emulator.respond(&request, world.now);
        assert_eq!(
            matches!(reply, Reply::Hold { until: None, .. }),
            fault == Fault::Silence
        );
        let record = world.emulator.requests().last().expect("a record").clone();
        assert_eq!(record.fault, Some(fault.name()));
        assert_eq!(
            world.drain(500),
            world.emulator.event_ids(TOKEN),
            "{}",
            fault.name()
        );
    }
}

#[test]
fn position_faults_send_the_position_of_their_name() {
    let position = |fault| {
        let mut world = World::with_events(Settings::default(), 1);
        world.emulator.queue_fault(Endpoint::Events, fault, 1);
        let page = world.page("");
        assert_eq!(page["entries"].as_array().map(Vec::len), Some(1));
        page.get("next_stream_position").cloned()
    };
    assert_eq!(position(Fault::MissingPosition), None);
    assert_eq!(position(Fault::NullPosition), Some(Value::Null));
    assert_eq!(position(Fault::ZeroPosition), Some(json!(0)));
    assert_eq!(position(Fault::NowPosition), Some(json!("now")));
    assert_eq!(position(Fault::EmptyPosition), Some(json!("")));
    assert!(position(Fault::FloatPosition).is_some_and(|position| position.is_f64()));
}

#[test]
fn a_position_with_a_decimal_point_may_be_sent_back() {
    let mut world = World::with_events(Settings::default(), 3);
    let position = position_of(&world.page("limit=2"));
    assert_eq!(
        world.page(&format!("stream_position={position}.0"))["chunk_size"],
        1
    );
}

#[test]
fn a_stale_page_is_the_previous_page() {
    let mut world = World::with_events(Settings::default(), 4);
    let first = world.page("limit=2");
    world
        .emulator
        .queue_fault(Endpoint::Events, Fault::StalePage, 1);
    assert_eq!(
        world.page(&format!("limit=2&stream_position={}", position_of(&first))),
        first
    );
}

#[test]
fn a_compressed_body_is_the_page_after_its_padding() {
    let mut world = World::with_events(Settings::default(), 3);
    let page = world.page("");
    let fault = Fault::CompressedBody { bytes: 100_000 };
    world.emulator.queue_fault(Endpoint::Events, fault, 1);
    let request = Request::get("/2.0/events").header("authorization", "Bearer token");
    let response = world.emulator.respond(&request, world.now).response();
    let response = response.expect("a response");
    assert_eq!(response.header_value("content-encoding"), Some("gzip"));
    let mut padded = String::new();
    MultiGzDecoder::new(&*response.body)
        .read_to_string(&mut padded)
        .expect("gzip");
    assert!(padded.len() > 100_000 && response.body.len() < 10_000);
    assert_eq!(page, serde_json::from_str::<Value>(&padded).expect("JSON"));
}

#[test]
fn only_silence_keeps_a_poll_waiting() {
    for fault in Fault::all()
        .into_iter()
        .filter(|fault| fault.applies_to(Endpoint::Realtime))
    {
        let mut world = World::new();
        let url = world.realtime_url();
        world
            .emulator
            .queue_fault(Endpoint::Realtime, fault.clone(), 1);
        let reply = world.poll(&url, "now");
        assert_eq!(
            matches!(reply, Reply::Hold { .. }),
            fault == Fault::Silence,
            "{}",
            fault.name()
        );
    }
}

#[test]
fn open_polls_can_be_interrupted() {
    let mut world = World::new();
    let id = world.held_poll();
    assert_eq!(
        world
            .emulator
            .interrupt_polls(Some("nobody"), &Fault::Reset),
        0
    );
    assert_eq!(
        world.emulator.interrupt_polls(Some(TOKEN), &Fault::Reset),
        1
    );
    assert_eq!(world.emulator.take_ready(), [id]);
    let response = world
        .emulator
        .resume(id, world.now)
        .and_then(Reply::response)
        .expect("a response");
    assert_eq!(response.delivery, Delivery::Reset);
}

#[test]
#[should_panic(expected = "does not apply to Options")]
fn a_fault_cannot_be_queued_for_an_endpoint_without_it() {
    World::new()
        .emulator
        .queue_fault(Endpoint::Options, Fault::UnknownSignal, 1);
}

#[test]
fn requests_outside_the_api_are_refused() {
    let mut world = World::new();
    assert_eq!(world.send(Request::get("/2.0/users/me")).status, 404);
    assert_eq!(
        world.send(Request::new("DELETE", "/2.0/events")).status,
        405
    );
    assert_eq!(world.emulator.counters().other.requests, 2);
}

#[test]
fn the_readme_names_every_fault_and_every_setting() {
    let readme = include_str!("../README.md");
    let settings = serde_json::to_value(Settings::default()).expect("settings are JSON");
    let faults = Fault::all();
    let mut names: Vec<&str> = faults.iter().map(Fault::name).collect();
    names.extend(
        settings
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str),
    );
    for name in names {
        assert!(readme.contains(&format!("| `{name}`")), "{name} is missing");
    }
}
