//! Tests of the options for the events of an enterprise, live and past.

use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, PastEvents, Settings};
use jiff::{SignedDuration, Timestamp};

use crate::program::{CLIENTS, TOKEN, Tail};

/// Returns an enterprise with events of the last 100 days, and their ids in the order of time.
pub(crate) fn enterprise(count: u32) -> (EmulatorServer, Vec<String>) {
    let server = EmulatorServer::start_with(Settings {
        admin_logs_order: AdminLogsOrder::Chronological,
        ..Settings::default()
    });
    let now = server.unix();
    let past = PastEvents {
        from_unix: now - 100 * 24 * 60 * 60,
        ..PastEvents::year_until(now, count)
    };
    server.append_past(TOKEN, &past);
    let ids = past.ids().collect();
    (server, ids)
}

pub(crate) fn days_ago(days: i64) -> String {
    let time = Timestamp::now() - SignedDuration::from_hours(24 * days);
    format!("{time:.0}")
}

#[test]
fn past_events_come_before_live_ones() {
    for client in CLIENTS {
        let (server, past) = enterprise(400);
        let since = days_ago(200);
        let arguments = ["--enterprise", "--since", &since, "--json"];
        let mut tail = Tail::of(&server, &[&arguments[..], client].concat());
        tail.read_events(400);
        tail.wait_for_report(|line| line == "following live events");
        server.append(TOKEN, 3);
        tail.read_events(3);
        let ended = tail.kill();
        let live = server.event_ids(TOKEN).split_off(400);
        assert_eq!(ended.ids(), [past, live].concat());
        let reports = &ended.reports;
        assert_eq!(reports[0], "reading past events");
        let progress = |line: &String| line.starts_with("reading past events: ");
        assert!(reports.iter().any(progress), "{reports:?}");
        let time = |line: &String| line.starts_with("position since 20");
        assert!(reports.iter().any(time), "{reports:?}");
    }
}

#[test]
fn following_begins_after_the_last_event_of_a_backlog() {
    let server = EmulatorServer::start();
    // They need more pages than Box permits at once.
    server.append_json(
        TOKEN,
        (0..4_000).map(|n| format!(r#"{{"event_id":"{n}"}}"#)),
    );
    let mut tail = Tail::of(&server, &["--enterprise", "--from", "oldest", "--json"]);
    tail.wait_for_report(|line| line == "following live events");
    assert_eq!(tail.kill().events.len(), 4_000);
}

#[test]
fn past_resumes_from_its_last_position_line() {
    let (server, past) = enterprise(400);
    let since = days_ago(200);
    let json = ["--enterprise", "--json"];
    let ended = Tail::of(
        &server,
        &[&json[..], &["--since", &since, "--count", "150"]].concat(),
    )
    .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), past[..150]);
    let from = ended.position().expect("a position").to_owned();
    assert!(from.starts_with("since "), "{from}");
    let mut tail = Tail::of(&server, &[&json[..], &["--from", &from]].concat());
    let last = past.last().unwrap();
    tail.wait_for_event(|line| line.contains(last.as_str()));
    let rest = tail.kill().ids();
    let first = past.iter().position(|id| *id == rest[0]).unwrap();
    assert!(first <= 150, "{first}");
    assert_eq!(rest, past[first..]);
}

#[test]
fn checkpoint_resumes_in_the_past() {
    let (server, past) = enterprise(400);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let since = days_ago(200);
    let arguments = [
        "--enterprise",
        "--since",
        &since,
        "--json",
        "--count",
        "100",
        "--checkpoint",
        file.to_str().unwrap(),
    ];
    // A run may end in the middle of a batch, which the next run shows again.
    let mut shown: Vec<String> = Vec::new();
    while shown.len() < 300 {
        let ended = Tail::of(&server, &arguments).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let ids = ended.ids();
        let again = ids.iter().take_while(|id| shown.contains(id)).count();
        assert!(again < ids.len(), "no progress");
        assert!(shown.ends_with(&ids[..again]), "an acknowledged event");
        shown.extend_from_slice(&ids[again..]);
    }
    assert_eq!(shown, past[..shown.len()]);
}

#[test]
fn past_is_filtered_by_type_and_address() {
    let server = EmulatorServer::start();
    let created = days_ago(30);
    let events = [
        ("LOGIN", "192.0.2.7"),
        ("LOGIN", "198.51.100.7"),
        ("UPLOAD", "192.0.2.7"),
        ("LOGIN", "2001:db8::7"),
    ];
    server.append_json(
        TOKEN,
        events.iter().zip(0..).map(|((kind, ip), n)| {
            format!(
                r#"{{"event_id":"{n}","event_type":"{kind}","created_at":"{created}","ip_address":"{ip}"}}"#
            )
        }),
    );
    for (filter, shown) in [
        (&["--type", "LOGIN"][..], &["0", "1", "3"][..]),
        (&["--ip", "192.0.2.0/24"], &["0", "2"]),
        (
            &[
                "--ip",
                "192.0.2.7",
                "--ip",
                "2001:db8::/32",
                "--type",
                "LOGIN",
            ],
            &["0", "3"],
        ),
    ] {
        let since = days_ago(31);
        let arguments = [&["--enterprise", "--since", &since, "--json"], filter].concat();
        let mut tail = Tail::of(&server, &arguments);
        tail.wait_for_report(|line| line == "following live events");
        assert_eq!(tail.kill().ids(), shown, "{filter:?}");
    }
}

#[test]
fn demo_of_an_enterprise_has_a_past() {
    let ended = Tail::start(&[
        "--demo",
        "--enterprise",
        "--since",
        &days_ago(300),
        "--count",
        "20",
    ]);
    let ended = ended.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 20);
    let a_week_ago = days_ago(7);
    assert!(
        ended
            .events
            .iter()
            .all(|line| line[..10] < a_week_ago[..10])
    );
}

#[test]
fn wrong_start_in_the_past_is_refused_with_a_reason() {
    let day = ["--since", "2026-01-31"];
    for (arguments, expected) in [
        (&day[..], "--enterprise"),
        (
            &["--enterprise", "--since", "yesterday"],
            "2026-01-31T08:00:00Z",
        ),
        (
            &["--enterprise", "--since", "2026-01-31T08:00:00"],
            "no offset",
        ),
        (
            &["--enterprise", "--since", "2026-01-31", "--from", "oldest"],
            "--from",
        ),
        (&["--enterprise", "--stream-type", "all"], "--stream-type"),
        (&["--ip", "192.0.2.300"], "--ip: "),
    ] {
        let ended = Tail::start(arguments).end();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        assert!(ended.reports.concat().contains(expected), "{ended:?}");
    }
    let server = EmulatorServer::start();
    let since = days_ago(400);
    let ended = Tail::of(&server, &["--enterprise", "--since", &since]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(last.contains("365 days"), "{last}");
}
