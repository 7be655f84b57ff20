//! Tests of databases: their rows, their checkpoints, and the accounts and programs that share them.

use std::fs;
use std::path::{Path, PathBuf};

use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, PastEvents, Settings};
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use rusqlite::types::FromSql;

use super::World;
use crate::program::{TOKEN, Tail};

fn sqlite(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

/// Returns the first column of the rows that a query finds.
#[track_caller]
pub(super) fn column<T: FromSql>(file: &Path, query: &str) -> Vec<T> {
    let database = Connection::open(file).unwrap();
    let mut select = database.prepare(query).unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

const IDS: &str = "SELECT event_id FROM events ORDER BY number";

#[test]
fn row_has_the_values_that_people_look_for() {
    let world = World::new();
    let upload = r#"{"event_id":"1","event_type":"ITEM_UPLOAD","created_at":"2026-01-02T03:04:05-08:00","created_by":{"name":"Zoë"},"source":{"type":"file","name":"画像.pdf"}}"#;
    let events = [
        upload,
        "{}",
        "null",
        r#"{"event_id":7,"event_type":{}}"#,
        "{}",
    ];
    world.server.append_json(TOKEN, events);
    let file = world.path("events.db");
    world.run(0, &sqlite(&file), &["--from", "oldest", "--count", "5"]);
    assert_eq!(
        column::<String>(&file, "SELECT json FROM events ORDER BY number"),
        events
    );
    let row = "SELECT account || ' ' || event_id || ' ' || event_type || ' ' || created_at
               FROM events WHERE number = 1";
    assert_eq!(
        column::<String>(&file, row),
        ["tail 1 ITEM_UPLOAD 2026-01-02T11:04:05Z"]
    );
    let readable = "SELECT user_name || ' ' || source_type || ' ' || source_name
                    FROM readable_events ORDER BY number";
    assert_eq!(
        column::<Option<String>>(&file, readable),
        [Some("Zoë file 画像.pdf".into()), None, None, None, None]
    );
    let ids = column::<Option<String>>(&file, IDS);
    assert_eq!(ids.iter().flatten().count(), 2, "{ids:?}");
}

#[test]
fn next_run_continues_where_the_database_ends() {
    let world = World::new();
    let file = world.path("events.db");
    for _ in 0..3 {
        world.server.append(TOKEN, 5);
        let mut tail = world.start(&sqlite(&file), &["--from", "oldest"]);
        world.wait_for_all(&mut tail);
        tail.kill();
    }
    assert_eq!(column::<String>(&file, IDS), world.server.event_ids(TOKEN));
    // Box has served each event once.
    assert_eq!(world.server.counters().events_served, 15);
}

#[test]
fn page_that_count_cuts_is_stored_once() {
    let world = World::new();
    let file = world.path("events.db");
    world.server.append(TOKEN, 3);
    let mut tail = world.start(&sqlite(&file), &["--from", "oldest", "--count", "5"]);
    world.wait_for_all(&mut tail);
    world.server.append(TOKEN, 4);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = world.server.event_ids(TOKEN);
    assert_eq!(column::<String>(&file, IDS), log[..5]);
    let mut tail = world.start(&sqlite(&file), &[]);
    world.wait_for_all(&mut tail);
    tail.kill();
    assert_eq!(column::<String>(&file, IDS), log);
}

#[test]
fn accounts_share_a_database_at_the_same_time() {
    let world = World::new();
    let file = world.path("events.db");
    let users = ["17", "18", "19", "20"];
    for user in users {
        world.server.append(user, 50);
    }
    let place = sqlite(&file);
    let start = |user| {
        let arguments = ["--from", "oldest", "--as-user", user, "--count", "50"];
        world.start(&place, &arguments)
    };
    for tail in users.map(start) {
        let ended = tail.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    for user in users {
        let ids =
            format!("SELECT event_id FROM events WHERE account = 'user:{user}' ORDER BY number");
        assert_eq!(column::<String>(&file, &ids), world.server.event_ids(user));
    }
}

#[test]
fn account_in_use_is_refused_to_a_second_program() {
    let world = World::new();
    let place = sqlite(&world.path("events.db"));
    let mut tail = world.start(&place, &["--as-user", "17"]);
    tail.wait_for_report(|line| line == "listening");
    let ended = world.run(1, &place, &["--as-user", "17"]);
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains("in use") && last.contains("user:17"),
        "{last}"
    );
    let mut other = world.start(&place, &["--as-user", "18"]);
    other.wait_for_report(|line| line == "listening");
}

#[test]
fn checkpoint_of_another_stream_is_refused() {
    let world = World::new();
    let file = world.path("events.db");
    world.append("1");
    world.run(0, &sqlite(&file), &["--from", "oldest", "--count", "1"]);
    let other = EmulatorServer::start();
    let ended = Tail::of(&other, &["--to", &sqlite(&file)]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.reports.concat().contains("belongs to the API origin"),
        "{ended:?}"
    );
    let ended = world.run(1, &sqlite(&file), &["--stream-type", "changes"]);
    assert!(
        ended
            .reports
            .concat()
            .contains("belongs to the stream type"),
        "{ended:?}"
    );
    assert_eq!(column::<String>(&file, IDS), ["1"]);
}

#[test]
fn foreign_database_is_refused_and_left_unchanged() {
    let world = World::new();
    let make = |name: &str, commands: &str| {
        let file = world.path(name);
        Connection::open(&file)
            .unwrap()
            .execute_batch(commands)
            .unwrap();
        file
    };
    let text = world.path("text.db");
    fs::write(&text, "not a database, but a text that is long enough").unwrap();
    let ours = world.path("newer.db");
    world.append("1");
    world.run(0, &sqlite(&ours), &["--from", "oldest", "--count", "1"]);
    let cases: [(PathBuf, &str); 3] = [
        (
            make("foreign.db", "CREATE TABLE photos (name)"),
            "another program",
        ),
        (make("newer.db", "PRAGMA user_version = 99"), "version 99"),
        (text, "not a database"),
    ];
    for (file, expected) in cases {
        let before = fs::read(&file).unwrap();
        let ended = world.run(1, &sqlite(&file), &[]);
        let last = ended.reports.last().unwrap();
        assert!(
            last.contains(expected) && last.contains(file.to_str().unwrap()),
            "{last}"
        );
        assert!(fs::read(&file).unwrap() == before, "{file:?}");
    }
}

#[test]
fn demo_runs_again_with_the_database_of_an_earlier_one() {
    let directory = tempfile::tempdir().unwrap();
    let place = sqlite(&directory.path().join("events.db"));
    for _ in 0..2 {
        let ended = Tail::start(&["--demo", "--to", &place, "--count", "2"]).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
}

#[test]
fn past_of_an_enterprise_is_stored_once() {
    const EVENTS: u32 = 1_000;
    let server = EmulatorServer::start_with(Settings {
        admin_logs_order: AdminLogsOrder::Chronological,
        ..Settings::default()
    });
    let now = server.unix();
    let past = PastEvents {
        from_unix: now - 100 * 24 * 60 * 60,
        ..PastEvents::year_until(now, EVENTS)
    };
    server.append_past(TOKEN, &past);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("events.db");
    let since = Timestamp::now() - SignedDuration::from_hours(24 * 200);
    let (place, since) = (sqlite(&file), format!("{since:.0}"));
    let arguments = ["--enterprise", "--since", &since, "--to", &place];
    let parts = || column::<i64>(&file, "SELECT count(*) FROM checkpoint_ids")[0];
    for _ in 0..4 {
        let ended = Tail::of(&server, &[&arguments[..], &["--count", "150"]].concat()).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    assert!(parts() > 0);
    let mut tail = Tail::of(&server, &arguments);
    tail.wait_for_report(|line| line == "following live events");
    server.append(TOKEN, 3);
    let last = server.event_ids(TOKEN).pop().unwrap();
    let newest = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {newest}"));
    tail.kill();
    let stored = column::<String>(&file, IDS);
    let live = server.event_ids(TOKEN).split_off(EVENTS as usize);
    let expected: Vec<String> = past.ids().chain(live).collect();
    assert_eq!(stored, expected);
    assert_eq!(stored.last(), Some(&last));
    let accounts = column::<String>(&file, "SELECT DISTINCT account FROM events");
    assert_eq!(accounts, ["enterprise"]);
}
