//! Tests of the command `audit`: which events of an enterprise a copy lacks.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
#[cfg(unix)]
use std::time::Duration;

use box_longpoll_testkit::{AdminLogsOrder, EmulatorServer, Endpoint, Fault, PastEvents, Settings};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, PATIENCE, TOKEN, Tail};

/// The time without a request that proves that the program sends none. It is longer than the
/// program would take to send one.
#[cfg(unix)]
const QUIET_TIME: Duration = Duration::from_secs(1);

/// An enterprise with events of the last year, and a directory for copies.
struct World {
    server: EmulatorServer,
    /// The events as JSON, one on each line.
    events: Vec<String>,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let server = EmulatorServer::start_with(Settings {
            admin_logs_order: AdminLogsOrder::Chronological,
            ..Settings::default()
        });
        server.append_past(TOKEN, &PastEvents::year_until(server.unix(), 1_200));
        let events = server.emulator().events(TOKEN);
        Self {
            events: events
                .iter()
                .map(|event| event.replace('\n', " "))
                .collect(),
            server,
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let file = self.path(name);
        fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Audits the copies, in the range of all events.
    fn audit(&self, copies: &[&str]) -> Ended {
        self.start(copies).read().end()
    }

    /// Starts such an audit. Its output is not read.
    fn start(&self, copies: &[&str]) -> Tail {
        let (since, until) = (since(), jiff::Timestamp::now().to_string());
        let range = ["audit", "--since", &since, "--until", &until];
        let api = ["--api", self.server.origin()];
        let environment = [("BOX_ACCESS_TOKEN", TOKEN)];
        Tail::start_unread(&environment, &[&range[..], &api, copies].concat())
    }

    /// Asserts that these of the events, and no others, are missing from the copies.
    #[track_caller]
    fn assert_missing(&self, copies: &[&str], missing: &[String]) {
        let ended = self.audit(copies);
        let code = if missing.is_empty() { 0 } else { 3 };
        assert_eq!(ended.code, Some(code), "{:?}", ended.reports);
        assert_eq!(ended.events, missing);
        let summary = format!(
            "{} of {} events are missing",
            missing.len(),
            self.events.len()
        );
        assert_eq!(ended.reports.last(), Some(&summary));
    }
}

/// Returns a time before all events.
fn since() -> String {
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(365 * 24 - 1);
    since.to_string()
}

fn id(event: &str) -> String {
    let event: Value = serde_json::from_str(event).unwrap();
    event["event_id"].as_str().unwrap().to_owned()
}

fn lines(lines: &[String]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [line, "\n"].concat().into_bytes())
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn audit_finds_the_events_that_files_lack() {
    let world = World::new();
    let (first, rest) = world.events.split_at(500);
    let (second, rest) = rest.split_at(300);
    let (third, missing) = rest.split_at(390);
    let plain = world.file("plain.jsonl", &lines(first));
    let members = [gzip(&lines(&second[..100])), gzip(&lines(&second[100..]))].concat();
    let compressed = world.file("members.jsonl.gz", &members);
    let ids: Vec<String> = third.iter().map(|event| id(event)).collect();
    let list = world.file("ids.txt", &lines(&ids));
    world.assert_missing(&[&plain, &compressed, &list], missing);
    let rest = world.file("rest.jsonl", &lines(missing));
    world.assert_missing(&[&rest, &list, &compressed, &plain], &[]);
}

#[test]
fn audit_reads_the_ids_of_other_formats() {
    let world = World::new();
    let (known, missing) = world.events.split_at(world.events.len() - 5);
    let known = known.iter().zip(0..);
    let known = known.map(|(event, number)| match (id(event), number % 4) {
        (id, 0) => format!(r#"{{"event":{{"id":"{id}"}}}}"#),
        (id, 1) => format!(r#"{{"metadata":{{"uid":"{id}"}}}}"#),
        (_, 2) => format!(r#"{{"error":"refused","event":{event}}}"#),
        (_, _) => format!(r#"{{"type":"LOGIN","data":{event}}}"#),
    });
    let known = world.file("formats.jsonl", &lines(&known.collect::<Vec<_>>()));
    world.assert_missing(&[&known], missing);
}

#[test]
fn audit_does_not_count_an_event_that_is_cut_off() {
    let world = World::new();
    let (known, missing) = world.events.split_at(world.events.len() - 1);
    let text = lines(&world.events);
    let torn = world.file("torn.jsonl", &text[..text.len() - 9]);
    let ended = world.audit(&[&torn]);
    assert_eq!(ended.code, Some(3), "{:?}", ended.reports);
    assert_eq!(ended.events, missing);
    assert!(
        ended.reports[0].contains("lines without an id: 1"),
        "{:?}",
        ended.reports
    );

    let last = gzip(&lines(missing));
    let members = [gzip(&lines(known)), last[..last.len() / 2].to_vec()].concat();
    let torn = world.file("torn.jsonl.gz", &members);
    let ended = world.audit(&[&torn]);
    assert_eq!(ended.code, Some(3), "{:?}", ended.reports);
    assert_eq!(ended.events, missing);
    assert!(ended.reports[0].contains("cut off"), "{:?}", ended.reports);
}

#[test]
fn audit_finds_the_events_that_the_outputs_of_follow_lack() {
    let world = World::new();
    let (known, missing) = world.events.split_at(1_100);
    let count = known.len().to_string();
    let since = since();
    let arguments = ["--enterprise", "--since", &since, "--count", &count];
    let follow = |output: &[&str]| {
        let ended = Tail::of(&world.server, &[&arguments[..], output].concat()).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    };
    let database = format!("sqlite:{}", world.path("events.db").display());
    follow(&["--to", &database]);
    world.assert_missing(&[&database], missing);
    let file = world.path("events.jsonl.gz");
    follow(&["--to", &format!("jsonl:{}", file.display()), "--gzip"]);
    world.assert_missing(&[file.to_str().unwrap()], missing);

    let plain = world.file("plain.jsonl", &lines(missing));
    let ended = world.audit(&[&database, &plain]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let nothing = format!("sqlite:{}", world.path("nothing.db").display());
    let ended = world.audit(&[&nothing]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("nothing.db"), "{ended:?}");
    assert!(!world.path("nothing.db").exists());
}

#[test]
fn audit_counts_the_events_of_all_accounts_in_a_database() {
    let world = World::new();
    let database = format!("sqlite:{}", world.path("events.db").display());
    let since = since();
    let (first, rest) = world.events.split_at(900);
    let (second, missing) = rest.split_at(250);
    for (user, events) in [("17", first), ("18", second)] {
        world
            .server
            .append_json(user, events.iter().map(String::as_str));
        let count = events.len().to_string();
        let arguments = ["--enterprise", "--since", &since, "--count", &count];
        let output = ["--to", &database, "--as-user", user];
        let ended = Tail::of(&world.server, &[arguments.as_slice(), &output].concat()).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    world.assert_missing(&[&database], missing);
}

#[test]
fn audit_that_is_not_complete_is_a_failure() {
    let world = World::new();
    let copy = world.file("copy.jsonl", &lines(&world.events));
    world
        .server
        .queue_fault(Endpoint::Events, Fault::Forbidden, 1);
    let ended = world.audit(&[&copy]);
    assert_eq!(ended.code, Some(77), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(last.contains("not complete"), "{last}");

    let nowhere = world.path("nowhere.jsonl");
    let ended = world.audit(&[&copy, nowhere.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("nowhere.jsonl"), "{ended:?}");
    assert!(ended.events.is_empty(), "{ended:?}");
}

#[cfg(unix)]
#[test]
fn audit_ends_on_ctrl_c_while_its_output_is_unread() {
    let world = World::new();
    let nothing = world.file("nothing.jsonl", b"");
    let tail = world.start(&[&nothing]);
    assert!(
        world
            .server
            .wait_until(PATIENCE, |emulator| emulator.counters().events_served > 0)
    );
    // The missing events are more than a pipe holds, so the audit sends no more requests.
    let sends = || {
        let before = world.server.counters().total.requests;
        world.server.wait_until(QUIET_TIME, |emulator| {
            emulator.counters().total.requests > before
        })
    };
    while sends() {}
    assert!(world.server.counters().events_served < world.events.len() as u64);
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(last.contains("not complete"), "{last}");
}

#[test]
fn audit_needs_credentials_and_a_range() {
    for arguments in [
        &["audit", "--since", "2026-01-01", "copy.jsonl"][..],
        &["audit", "--demo", "copy.jsonl"],
        &["audit", "--demo", "--since", "2026-01-01"],
    ] {
        let ended = Tail::start(arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
    }
}

#[test]
fn range_without_time_in_it_is_refused() {
    for (range, expected) in [
        (&["--since", "2h"][..], "without --until"),
        (
            &["--since", "2h", "--until", "3h"],
            "--until must be later than --since",
        ),
    ] {
        let ended = Tail::start(&[&["audit", "--demo", "-"], range].concat()).end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.reports[0].contains(expected), "{ended:?}");
    }
}
