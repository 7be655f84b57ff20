//! The streams of an enterprise: `admin_logs` by time, `admin_logs_streaming` by arrival, and a log
//! of past events. A virtual clock makes the tests fast.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use box_longpoll_testkit::{
    AdminLogsOrder, Config, Edge, Emulator, Endpoint, FakeResponse, Fault, PastEvents, Request,
    Settings,
};
use rstest::rstest;
use serde_json::{Value, json};

const TOKEN: &str = "admin";
const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
/// 2026-01-01T00:00:00Z, the first moment of each world.
const START: i64 = 1_767_225_600;

/// An emulator with a virtual clock, which only the test moves.
struct World {
    emulator: Emulator,
    now: Instant,
}

/// Returns the settings of an enterprise as at Box.
fn settings() -> Settings {
    Settings {
        admin_logs_order: AdminLogsOrder::Chronological,
        admin_logs_retention_ms: Some(365 * DAY * 1_000),
        streaming_retention_ms: Some(14 * DAY * 1_000),
        ..Settings::default()
    }
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "some moment has to be the first")]
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let config = Config {
            started_unix: Some(START),
            ..Config::from(settings)
        };
        Self {
            emulator: Emulator::new(config, now),
            now,
        }
    }

    fn with_past(settings: Settings, past: &PastEvents) -> Self {
        let mut world = Self::new(settings);
        world.emulator.append_past(TOKEN, past, world.now);
        world
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Appends an event that happened at a second of the world's time, which may be negative.
    fn append(&mut self, id: &str, second: i64) {
        let event =
            json!({"event_id": id, "event_type": "LOGIN", "created_at": date(START + second)});
        self.emulator
            .append_json(TOKEN, [event.to_string()], self.now);
    }

    fn send(&mut self, query: &str) -> FakeResponse {
        let request = Request::get(&format!("/2.0/events?{query}"))
            .header("Authorization", &format!("Bearer {TOKEN}"));
        let reply = self.emulator.respond(&request, self.now);
        reply.response().expect("a response at once")
    }

    #[track_caller]
    fn page(&mut self, query: &str) -> Page {
        let response = self.send(query);
        assert_eq!(response.status, 200, "{query}");
        Page(body(&response))
    }

    /// Reads all pages from a position on, until the position no longer moves.
    #[track_caller]
    fn drain(&mut self, query: &str, from: &str) -> Vec<Value> {
        let mut events = Vec::new();
        let mut position = from.to_owned();
        loop {
            let page = self.page(&format!("{query}&stream_position={position}"));
            let next = page.position();
            if next == position {
                return events;
            }
            let Value::Array(entries) = page.0["entries"].clone() else {
                panic!("no entries")
            };
            events.extend(entries);
            position = next;
        }
    }

    #[track_caller]
    fn history(&mut self, query: &str) -> Vec<String> {
        ids(&self.drain(&format!("stream_type=admin_logs&{query}"), "0"))
    }

    #[track_caller]
    fn streaming(&mut self) -> Vec<String> {
        ids(&self.drain("stream_type=admin_logs_streaming&limit=500", "0"))
    }
}

/// The JSON of a page.
struct Page(Value);

impl Page {
    fn ids(&self) -> Vec<String> {
        ids(self.0["entries"].as_array().expect("entries"))
    }

    fn position(&self) -> String {
        let position = self.0["next_stream_position"].as_str();
        position.expect("a position").to_owned()
    }
}

fn body(response: &FakeResponse) -> Value {
    serde_json::from_slice(&response.body).expect("JSON")
}

fn ids(events: &[Value]) -> Vec<String> {
    let ids = events.iter().map(|event| event["event_id"].as_str());
    ids.map(|id| id.expect("an ID").to_owned()).collect()
}

/// Returns the times at which the events happened, in seconds since 1970.
fn times(events: &[Value]) -> Vec<i64> {
    let time = |event: &Value| {
        let text = event["created_at"].as_str().expect("a date");
        text.parse::<jiff::Timestamp>().expect("a date").as_second()
    };
    events.iter().map(time).collect()
}

fn date(unix: i64) -> String {
    let time = jiff::Timestamp::from_second(unix).expect("a date");
    time.to_string()
}

fn year(count: u32) -> PastEvents {
    PastEvents::year_until(START, count)
}

#[test]
fn admin_logs_are_in_order_of_time_and_without_repeats() {
    let mut world = World::new(Settings {
        repeat_rate: 0.3,
        reorder_rate: 0.3,
        late_rate: 0.1,
        ..settings()
    });
    for _ in 0..1_000 {
        world.pass(60);
        world.emulator.append(TOKEN, 1, world.now);
    }
    let history = world.drain("stream_type=admin_logs&limit=70", "0");
    let streaming = world.drain("stream_type=admin_logs_streaming&limit=70", "0");
    assert!(times(&history).is_sorted());
    assert!(!times(&streaming).is_sorted());
    assert_eq!(history.len(), 1_000);
    assert!(streaming.len() > 1_200, "{}", streaming.len());
    let distinct = |events: &[Value]| ids(events).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(distinct(&history), distinct(&streaming));
    let late = times(&streaming);
    let late = late.iter().filter(|&&time| time < START).count();
    assert!(late > 20, "{late}");
}

#[test]
fn reader_of_admin_logs_misses_an_event_that_arrives_late() {
    let mut world = World::new(settings());
    for (id, second) in [("a", 10), ("b", 20), ("c", 30)] {
        world.append(id, second);
    }
    let page = world.page("stream_type=admin_logs");
    assert_eq!(page.ids(), ["a", "b", "c"]);
    let (history, streaming) = (page.position(), world.emulator.newest_position(TOKEN));
    world.append("late", 15);
    world.append("in the same second", 30);
    world.append("d", 40);
    let rest = world.page(&format!("stream_type=admin_logs&stream_position={history}"));
    assert_eq!(rest.ids(), ["in the same second", "d"]);
    assert_eq!(
        world.history(""),
        ["a", "late", "b", "c", "in the same second", "d"]
    );
    let query = format!("stream_type=admin_logs_streaming&stream_position={streaming}");
    let arrived = ["late", "in the same second", "d"];
    assert_eq!(world.page(&query).ids(), arrived);
    let order = ["a", "b", "c", "late", "in the same second", "d"];
    assert_eq!(world.streaming(), order);
}

#[rstest]
fn admin_logs_show_an_event_after_their_delay(
    #[values(AdminLogsOrder::Arrival, AdminLogsOrder::Chronological)] order: AdminLogsOrder,
) {
    let mut world = World::new(Settings {
        admin_logs_delay_ms: 60_000,
        admin_logs_order: order,
        ..settings()
    });
    world.append("a", 0);
    world.pass(30);
    world.append("b", -30);
    world.pass(29);
    let none: [&str; 0] = [];
    assert_eq!(world.history(""), none);
    assert_eq!(world.streaming(), ["a", "b"]);
    world.pass(1);
    assert_eq!(world.history(""), ["a"]);
    let now = world.page("stream_type=admin_logs&stream_position=now");
    assert_eq!(now.ids(), none);
    world.append("c", 90);
    world.pass(60);
    let expected: &[&str] = match order {
        AdminLogsOrder::Arrival => &["a", "b", "c"],
        AdminLogsOrder::Chronological => &["b", "a", "c"],
    };
    assert_eq!(world.history(""), expected);
    // The later `visible_after_ms` decides, and hides what was shown before.
    world.pass(30);
    world
        .emulator
        .change_settings(|settings| settings.visible_after_ms = 120_000);
    assert_eq!(world.history(""), &expected[..2]);
    assert_eq!(world.streaming(), ["a", "b"]);
}

#[rstest]
#[case(Edge::Exclusive, Edge::Inclusive, &["11", "12"])]
#[case(Edge::Inclusive, Edge::Inclusive, &["10", "11", "12"])]
#[case(Edge::Inclusive, Edge::Exclusive, &["10", "11"])]
#[case(Edge::Exclusive, Edge::Exclusive, &["11"])]
fn edges_of_a_range_follow_the_settings(
    #[case] after: Edge,
    #[case] before: Edge,
    #[case] expected: &[&str],
    #[values(AdminLogsOrder::Arrival, AdminLogsOrder::Chronological)] order: AdminLogsOrder,
) {
    let mut world = World::new(Settings {
        created_after_edge: after,
        created_before_edge: before,
        admin_logs_order: order,
        ..settings()
    });
    world.pass(60);
    for second in 9..=13 {
        world.append(&second.to_string(), second);
    }
    let range = |from, until| {
        let (from, until) = (date(START + from), date(START + until));
        format!("created_after={from}&created_before={until}")
    };
    assert_eq!(world.history(&range(10, 12)), expected);
    // A range of one second is empty unless it includes both edges.
    let single: &[&str] = match (after, before) {
        (Edge::Inclusive, Edge::Inclusive) => &["11"],
        _ => &[],
    };
    assert_eq!(world.history(&range(11, 11)), single);
}

#[test]
fn admin_logs_refuse_a_start_beyond_their_retention() {
    let mut world = World::new(settings());
    let year = i64::try_from(365 * DAY).expect("a number");
    world.append("too old", -year - 1);
    world.append("oldest", -year);
    world.append("new", 0);
    let query = |second| {
        let date = date(START - year + second);
        format!("stream_type=admin_logs&created_after={date}")
    };
    let refused = world.send(&query(-1));
    assert_eq!(refused.status, 400);
    let error = body(&refused);
    assert_eq!(error["type"], "error");
    assert_eq!(
        error["message"],
        "created_after is beyond one year in the past"
    );
    assert_eq!(error["context_info"]["errors"][0]["name"], "created_after");
    assert_eq!(world.page(&query(0)).ids(), ["new"]);
    assert_eq!(world.history(""), ["oldest", "new"]);
    // Only the start is refused, and only in `admin_logs`.
    let early = date(START - year - 9);
    assert!(world.history(&format!("created_before={early}")).is_empty());
    let streaming = format!("stream_type=admin_logs_streaming&created_after={early}");
    assert_eq!(world.page(&streaming).ids().len(), 3);
    // A day later, the oldest event is too old as well.
    world.pass(DAY);
    assert_eq!(world.send(&query(0)).status, 400);
    assert_eq!(world.history(""), ["new"]);
}

#[test]
fn streaming_forgets_events_by_their_arrival() {
    let mut world = World::new(settings());
    world.append("a", 0);
    let first = world.emulator.newest_position(TOKEN);
    world.pass(DAY);
    // It happened long ago, but arrives only now.
    world.append("late", -900_000);
    world.pass(13 * DAY);
    assert_eq!(world.streaming(), ["a", "late"]);
    world.pass(1);
    assert_eq!(world.streaming(), ["late"]);
    assert_eq!(world.history(""), ["late", "a"]);
    world.append("new", 0);
    world.pass(DAY);
    let at =
        |position: &str| format!("stream_type=admin_logs_streaming&stream_position={position}");
    assert_eq!(world.page(&at(&first)).ids(), ["new"]);
    world.pass(14 * DAY);
    let empty = world.page(&at(&first));
    assert!(empty.ids().is_empty());
    assert_eq!(empty.position(), world.emulator.newest_position(TOKEN));
    assert_eq!(world.page("stream_type=all").ids().len(), 3);
}

#[test]
fn calls_of_a_month_get_a_429_until_the_next_month() {
    let mut world = World::new(Settings {
        calls_per_month: Some(3),
        calls_per_minute: Some(2),
        ..settings()
    });
    let mut statuses = Vec::new();
    for seconds in [0, 0, 0, 60, 0] {
        world.pass(seconds);
        statuses.push(world.send("").status);
    }
    // The third call is above the limit of the minute, and does not count for the month.
    assert_eq!(statuses, [200, 200, 429, 200, 429]);
    let refused = world.send("");
    assert_eq!(body(&refused)["code"], "rate_limit_exceeded");
    let retry_after = refused.header_value("retry-after").expect("a number");
    assert_eq!(retry_after, (31 * DAY - 60).to_string());
    world.pass(31 * DAY - 61);
    assert_eq!(world.send("").header_value("retry-after"), Some("1"));
    world.pass(1);
    assert_eq!(world.send("").status, 200);
}

#[test]
fn pages_of_admin_logs_follow_each_other_through_faults() {
    let past = year(3_000);
    let mut world = World::with_past(
        Settings {
            short_page_rate: 0.3,
            empty_page_rate: 0.3,
            zero_position_at_the_end: true,
            ..settings()
        },
        &past,
    );
    let faults = [Fault::StalePage, Fault::EmptyList];
    let (mut position, mut received, mut stale) = ("0".to_owned(), Vec::new(), 0);
    for request in 0.. {
        if request % 5 == 3 {
            let fault = faults[request % 2].clone();
            world.emulator.queue_fault(Endpoint::Events, fault, 1);
        }
        let query = format!("stream_type=admin_logs&limit=90&stream_position={position}");
        let page = world.page(&query);
        match page.position() {
            end if end == "0" => break,
            next => position = next,
        }
        for id in page.ids() {
            if received.contains(&id) {
                stale += 1;
            } else {
                received.push(id);
            }
        }
    }
    assert!(received.into_iter().eq(past.ids()));
    assert!(stale > 90, "{stale}");
}

#[test]
fn stale_page_of_admin_logs_leaves_no_event_out() {
    let past = year(10);
    let mut world = World::with_past(settings(), &past);
    let ids: Vec<String> = past.ids().collect();
    let query = "stream_type=admin_logs&limit=2";
    let first = world.page(query);
    let second = format!("{query}&stream_position={}", first.position());
    world
        .emulator
        .queue_fault(Endpoint::Events, Fault::StalePage, 1);
    let stale = world.page(&second);
    assert_eq!(
        (stale.ids(), stale.position()),
        (first.ids(), first.position())
    );
    assert_eq!(world.page(&second).ids(), ids[2..4]);
    // The previous page lies behind the start, so it is not sent.
    world
        .emulator
        .queue_fault(Endpoint::Events, Fault::StalePage, 1);
    assert_eq!(world.page(query).ids(), ids[..2]);
}

#[test]
fn past_events_arrive_behind_those_that_are_there() {
    let past = year(500);
    let mut world = World::new(Settings {
        admin_logs_delay_ms: 60_000,
        ..settings()
    });
    world.append("live", 0);
    world.emulator.append_past(TOKEN, &past, world.now);
    let arrived: Vec<String> = ["live".to_owned()].into_iter().chain(past.ids()).collect();
    assert_eq!(world.streaming(), arrived);
    assert!(world.history("").is_empty());
    world.pass(60);
    let happened: Vec<String> = past.ids().chain(["live".to_owned()]).collect();
    assert_eq!(world.history(""), happened);
}

#[test]
fn slices_of_admin_logs_join_without_gap_and_overlap() {
    let past = year(20_000);
    let mut world = World::with_past(settings(), &past);
    let edges: Vec<i64> = (0..=40)
        .map(|n| past.from_unix - 1 + (past.until_unix - past.from_unix + 1) * n / 40)
        .collect();
    let mut received = Vec::new();
    // The slices are read from the last one, as by readers that work side by side.
    for edge in edges.windows(2).rev() {
        let (from, until) = (date(edge[0]), date(edge[1]));
        let range = format!("limit=500&created_after={from}&created_before={until}");
        received.splice(0..0, world.history(&range));
    }
    assert!(received.into_iter().eq(past.ids()));
}

#[test]
fn past_events_arrive_late_out_of_order_and_repeatedly() {
    let past = PastEvents {
        seed: 7,
        ..year(20_000)
    };
    let mixed = Settings {
        late_rate: 0.02,
        reorder_rate: 0.1,
        repeat_rate: 0.05,
        ..settings()
    };
    let mut world = World::with_past(mixed.clone(), &past);
    let history = world.drain("stream_type=admin_logs&limit=500", "0");
    // Late events of a second come after its other events.
    let known: BTreeSet<String> = ids(&history).into_iter().collect();
    assert_eq!((known, history.len()), (past.ids().collect(), 20_000));
    let created: Vec<i64> = (0..past.count).map(|n| past.created_unix(n)).collect();
    assert_eq!(times(&history), created);

    // Streaming shows the last 14 days, by arrival.
    let recent = world.drain("stream_type=admin_logs_streaming&limit=500", "0");
    let oldest = times(&recent).into_iter().min().expect("an event");
    let fourteen_days = START - i64::try_from(14 * DAY).expect("a number");
    assert!(oldest < fourteen_days, "late events are shown");
    let known: BTreeSet<String> = ids(&recent).into_iter().collect();
    for (id, created) in past.ids().zip(created) {
        assert!(created < fourteen_days || known.contains(&id), "{id}");
    }
    assert!(recent.len() > known.len());

    world
        .emulator
        .change_settings(|settings| settings.streaming_retention_ms = None);
    let streaming = world.drain("stream_type=admin_logs_streaming&limit=500", "0");
    assert_eq!(streaming.len(), world.emulator.events(TOKEN).len());
    let repeats = streaming.len() - 20_000;
    assert!((900..1_100).contains(&repeats), "{repeats}");
    let times = times(&streaming);
    let back = times.windows(2).filter(|two| two[0] > two[1]).count();
    assert!(back > 1_000, "{back}");
    let mut seen = BTreeSet::new();
    let mut firsts = ids(&streaming);
    firsts.retain(|id| seen.insert(id.clone()));
    assert_eq!(firsts, world.emulator.event_ids(TOKEN));
    assert_eq!(seen, past.ids().collect());

    // Another emulator has the same log.
    let again = World::with_past(mixed, &past);
    assert_eq!(again.emulator.event_ids(TOKEN), firsts);
}

#[test]
fn filters_and_live_events_work_with_past_events() {
    let past = year(20_000);
    let mut world = World::with_past(settings(), &past);
    let all = world.drain("stream_type=admin_logs&limit=500", "0");
    let mut by_type: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in &all {
        let kind = event["event_type"].as_str().expect("a type").to_owned();
        by_type
            .entry(kind)
            .or_default()
            .extend(ids(std::slice::from_ref(event)));
    }
    assert!(by_type.len() > 10);
    for kind in ["LOGIN", "EDIT"] {
        let query = format!("limit=500&event_type={kind}");
        assert_eq!(world.history(&query), by_type[kind]);
        let query = format!("stream_type=admin_logs_streaming&limit=500&{query}");
        let filtered = world.drain(&query, "0");
        assert!(filtered.iter().all(|event| event["event_type"] == kind));
    }
    let end = world.page("stream_type=admin_logs&stream_position=now");
    world.pass(1);
    world.append("live", 1);
    let query = format!("stream_type=admin_logs&stream_position={}", end.position());
    assert_eq!(world.page(&query).ids(), ["live"]);
    assert_eq!(world.streaming().last().map(String::as_str), Some("live"));
    // The retention of the log's last events applies to the past as well.
    world
        .emulator
        .change_settings(|settings| settings.retention = Some(3));
    let ids: Vec<String> = past.ids().skip(19_998).chain(["live".to_owned()]).collect();
    assert_eq!(world.history(""), ids);
}
