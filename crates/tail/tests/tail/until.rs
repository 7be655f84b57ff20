//! Tests of `--until`: the program ends by itself at a time.

use std::fs;

use box_longpoll_testkit::{EmulatorServer, Settings};
use jiff::{SignedDuration, Timestamp};

use crate::enterprise::{days_ago, enterprise};
use crate::program::{CLIENTS, TOKEN, Tail};

/// Returns the ids of events that were created in a period.
fn in_period(server: &EmulatorServer, since: &str, until: &str) -> Vec<String> {
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let period = time(since)..time(until);
    let log = server.emulator().events(TOKEN).clone();
    let ids = log.iter().filter_map(|event| {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        let created_at = time(event["created_at"].as_str().unwrap());
        let id = event["event_id"].as_str().unwrap().to_owned();
        period.contains(&created_at).then_some(id)
    });
    ids.collect()
}

#[test]
fn past_ends_by_itself() {
    let (server, _) = enterprise(400);
    let (since, until) = (days_ago(80), days_ago(20));
    let expected = in_period(&server, &since, &until);
    assert!((200..300).contains(&expected.len()), "{}", expected.len());
    for client in CLIENTS {
        let arguments = [
            "--enterprise",
            "--since",
            &since,
            "--until",
            &until,
            "--json",
        ];
        let ended = Tail::of(&server, &[&arguments[..], client].concat()).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.ids(), expected);
        let last = ended.reports.last().unwrap();
        assert_eq!(*last, format!("complete until {until}"), "{ended:?}");
    }
}

#[test]
fn durations_end_at_the_present() {
    let (server, past) = enterprise(400);
    for (since, until, shown) in [
        ("1000h", "3 weeks", 21..42),
        ("P30D", "20 days", 20..30),
        ("2mo", "30d 12h", 30..62),
    ] {
        let arguments = ["--enterprise", "--since", since, "--until", until, "--json"];
        let ended = Tail::of(&server, &arguments).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        // There are 4 events a day, on the average of some days.
        let days = shown.end - shown.start;
        let count = ended.ids().len();
        assert!(
            (days * 3..=days * 5).contains(&count),
            "{since} {until} {count}"
        );
        assert!(ended.ids().iter().all(|id| past.contains(id)));
    }
}

#[test]
fn past_resumes_from_its_checkpoint_up_to_the_end() {
    let (server, _) = enterprise(400);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let (since, until) = (days_ago(80), days_ago(20));
    let arguments = [
        "--enterprise",
        "--since",
        &since,
        "--until",
        &until,
        "--json",
        "--checkpoint",
        file.to_str().unwrap(),
    ];
    let ended = Tail::of(&server, &[&arguments[..], &["--count", "100"]].concat()).end();
    let mut shown = ended.ids();
    assert_eq!(shown.len(), 100);
    let ended = Tail::of(&server, &arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let again = ended
        .ids()
        .iter()
        .take_while(|id| shown.contains(id))
        .count();
    shown.extend_from_slice(&ended.ids()[again..]);
    assert_eq!(shown, in_period(&server, &since, &until));

    let ended = Tail::of(&server, &arguments).end();
    assert_eq!((ended.code, ended.events.len()), (Some(0), 0), "{ended:?}");
}

/// Returns a server whose clock is three hours ahead, so that the end has passed there, and the end:
/// two hours from now.
fn ahead() -> (EmulatorServer, String) {
    let server = EmulatorServer::start_with(Settings {
        clock_skew_seconds: 3 * 60 * 60,
        ..Settings::default()
    });
    let end = Timestamp::now() + SignedDuration::from_hours(2);
    (server, format!("{end:.0}"))
}

fn append(server: &EmulatorServer, id: &str, created_at: Timestamp) {
    let event = format!(r#"{{"event_id":"{id}","created_at":"{created_at}"}}"#);
    server.append_json(TOKEN, [event]);
}

#[test]
fn live_events_end_at_a_time_to_come() {
    for kind in [&["--stream-type", "all"][..], &["--enterprise"]] {
        for client in CLIENTS {
            let (server, until) = ahead();
            let end: Timestamp = until.parse().unwrap();
            let second = SignedDuration::from_secs(1);
            append(&server, "before", end - second);
            append(&server, "at", end);
            append(&server, "after", end + second);
            append(&server, "late", end - second);
            let arguments = ["--json", "--from", "oldest", "--until", &until];
            let ended = Tail::of(&server, &[&arguments[..], kind, client].concat()).end();
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert_eq!(ended.ids(), ["before", "late"]);
            let last = ended.reports.last().unwrap();
            let complete: Timestamp = last["complete until ".len()..].parse().unwrap();
            assert!(complete >= end, "{last}");
        }
    }
}

#[test]
fn kept_position_skips_no_later_event() {
    let (server, until) = ahead();
    let end: Timestamp = until.parse().unwrap();
    append(&server, "before", end);
    append(&server, "after", end + SignedDuration::from_secs(1));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let arguments = [
        "--json",
        "--from",
        "oldest",
        "--checkpoint",
        file.to_str().unwrap(),
        "--until",
        &until,
    ];
    let ended = Tail::of(&server, &arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), ["before", "after"]);
    append(&server, "next", end);
    let ended = Tail::of(&server, &arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), ["next"]);
    assert!(fs::exists(&file).unwrap());
}

#[test]
fn demo_ends_after_a_duration() {
    let ended = Tail::start(&["--demo", "--until", "+1s"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(last.starts_with("complete until "), "{ended:?}");
}

#[test]
fn end_without_events_before_it_is_refused() {
    let since = ["--enterprise", "--since", "2026-01-31"];
    for (arguments, expected) in [
        (&["--until", "2h"][..], "--until has passed"),
        (
            &["--enterprise", "--until", "2026-01-31"],
            "--until has passed",
        ),
        (
            &[&since[..], &["--until", "2026-01-31"]].concat(),
            "--until must be later than --since",
        ),
        (
            &["--enterprise", "--since", "+2h"],
            "--since is still to come",
        ),
        (&["--until", "tomorrow"], "2026-01-31T08:00:00Z"),
    ] {
        let ended = Tail::start(&[&["--demo"], arguments].concat()).end_without_events();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        assert!(ended.reports.concat().contains(expected), "{ended:?}");
    }
}
