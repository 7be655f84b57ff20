//! Tests of the program `box-tail` as a child process, against an emulator of Box.
//!
//! This file has the tests of the output, the arguments and the errors.

#![cfg(any(feature = "reqwest", feature = "surf", feature = "isahc"))]

mod audit;
#[cfg(feature = "blocking")]
mod blocking;
#[cfg(unix)]
mod chromium;
mod credentials;
mod doctor;
mod echoes;
mod emulator;
mod enterprise;
#[cfg(unix)]
mod exec;
mod formats;
#[cfg(target_os = "linux")]
mod kill_points;
#[cfg(target_os = "linux")]
mod killer;
mod kills;
mod listen;
mod logs;
mod manuals;
mod monitoring;
mod positions;
mod program;
#[path = "../../src/pulse.rs"]
mod pulse;
#[path = "../../src/account/realtime_hosts.rs"]
mod realtime_hosts;
mod receiver;
#[cfg(target_os = "linux")]
mod rotation_points;
mod secrets;
#[cfg(target_os = "linux")]
mod service;
mod settings;
#[cfg(unix)]
mod signals;
mod sinks;
#[cfg(target_os = "linux")]
mod standstill;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(target_os = "linux")]
mod terminals;
#[cfg(target_os = "linux")]
mod unsaved;
mod until;
mod web;
mod web_client;
#[cfg(unix)]
mod web_page;
mod webhooks;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use box_longpoll::config::RealtimeHosts;
use box_longpoll_testkit::{EmulatorServer, Endpoint, Fault, Settings};
use jiff::Timestamp;

use crate::program::{BACKENDS, CLIENTS, PATIENCE, TOKEN, Tail};

#[test]
fn demo_shows_twenty_events_without_any_setup() {
    let ended = Tail::start(&["--count", "20"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events.len(), 20);
    assert!(ended.reports[0].contains("fake Box"), "{ended:?}");
}

#[test]
fn made_up_events_get_to_no_place_without_the_option() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name).display().to_string();
    let jsonl = format!("jsonl:{}", path("events.jsonl"));
    let sqlite = format!("sqlite:{}", path("events.db"));
    let command = format!("touch {}", path("touched"));
    for arguments in [
        &["--to", &jsonl][..],
        &["--to", &sqlite],
        &["--to", "http://127.0.0.1:9/"],
        &["--exec", &command],
        &["--enterprise"],
    ] {
        let arguments = [arguments, &["--count", "1"]].concat();
        let ended = Tail::start(&arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        for word in ["no credentials", "BOX_ACCESS_TOKEN", "--demo"] {
            assert!(ended.reports[0].contains(word), "{ended:?}");
        }
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    let environment = [("BOX_TAIL_TO", &jsonl)];
    let ended = Tail::start_with(&environment, &["--demo", "--count", "1"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn demo_option_takes_precedence_over_a_token() {
    for token in [TOKEN, ""] {
        let environment = [("BOX_ACCESS_TOKEN", token)];
        let ended = Tail::start_with(&environment, &["--demo", "--count", "2"]).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.events.len(), 2);
        assert!(ended.reports[0].contains("fake Box"), "{ended:?}");
    }
    for arguments in [["--demo", "--token", TOKEN], ["--demo", "--api", "x"]] {
        let ended = Tail::start(&arguments).end();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.reports[0].contains("--demo"), "{ended:?}");
    }
}

#[test]
fn token_variable_is_named_when_it_is_empty_or_invalid() {
    for (token, word) in [("", "empty"), ("two words", "white space")] {
        let environment = [("BOX_ACCESS_TOKEN", token)];
        let ended = Tail::start_with(&environment, &[]).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        let text = &ended.reports[0];
        assert!(
            text.starts_with("error: ") && text.contains("BOX_ACCESS_TOKEN") && text.contains(word),
            "{text}"
        );
        assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
    }
}

#[cfg(unix)]
#[test]
fn token_variable_is_named_when_it_is_not_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    let environment = [("BOX_ACCESS_TOKEN", OsStr::from_bytes(b"a-secret-\xff"))];
    let ended = Tail::start_with(&environment, &[]).end_without_events();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let text = &ended.reports[0];
    assert!(text.contains("BOX_ACCESS_TOKEN is not text"), "{text}");
    assert!(!format!("{ended:?}").contains("a-secret"), "{ended:?}");
}

#[test]
fn checkpoint_is_refused_in_the_demo() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let checkpoint = ["--count", "2", "--checkpoint", file.to_str().unwrap()];
    for arguments in [&checkpoint[..], &[&checkpoint[..], &["--demo"]].concat()] {
        let ended = Tail::start(arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{ended:?}");
        for word in ["--checkpoint", "--demo", "BOX_ACCESS_TOKEN"] {
            assert!(ended.reports[0].contains(word), "{ended:?}");
        }
        assert!(!file.exists());
    }
}

#[test]
fn checkpoint_of_another_user_is_refused() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let checkpoint = ["--json", "--checkpoint", file.to_str().unwrap()];
    let ada = [&checkpoint[..], &["--as-user", "17"]].concat();
    let mut tail = Tail::of(&server, &ada);
    tail.wait_for_report(|line| line == "listening");
    tail.kill();
    for user in [&["--as-user", "18"][..], &[]] {
        let ended = Tail::of(&server, &[&checkpoint[..], user].concat()).end();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let text = &ended.reports[0];
        assert!(
            text.contains("user:17") && text.contains(checkpoint[2]),
            "{text}"
        );
    }
    server.append("17", 3);
    let ended = Tail::of(&server, &[&ada[..], &["--count", "3"]].concat()).end();
    assert_eq!(ended.ids(), server.event_ids("17"));
}

#[test]
fn json_lines_are_the_exact_events() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 30);
    let strange = [
        "{\n  \"event_id\": \"lines\",\r\n\t\"source\": null }",
        r#"{"event_id":"repeated name","event_id":"counts last","b":1,"a":1.0e+5}"#,
        r#"{"event_id":12345678901234567890123,"event_type":7,"source":[[]]}"#,
        "{\"event_id\":\"text\",\"name\":\"\\u001b[31m \\n é 画像 \u{2028} \u{9b}\"}",
        "{}",
        "null",
        "-0.00",
        r#"["event"]"#,
    ];
    server.append_json(TOKEN, strange);
    let log = server.emulator().events(TOKEN);
    let lines = |event: &Arc<str>| event.replace(['\n', '\r'], " ");

    let count = log.len().to_string();
    let ended = Tail::of(&server, &["--json", "--from", "oldest", "--count", &count]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.events, log.iter().map(lines).collect::<Vec<_>>());
}

#[test]
fn checkpoint_resumes_where_the_killed_run_ended() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let checkpoint = ["--json", "--checkpoint", file.to_str().unwrap()];

    // The first run starts at the current position. The later ones resume at the checkpoint.
    let mut tail = Tail::of(&server, &checkpoint);
    tail.wait_for_report(|line| line == "listening");
    let mut ids = tail.kill().ids();
    server.append(TOKEN, 7);
    let counted = [&checkpoint[..], &["--count", "3"]].concat();
    for _ in 0..2 {
        let ended = Tail::of(&server, &counted).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ids.extend(ended.ids());
    }
    let mut tail = Tail::of(&server, &checkpoint);
    tail.read_events(1);
    let second = Tail::of(&server, &checkpoint).end();
    assert_eq!(second.code, Some(1), "{second:?}");
    let text = &second.reports[0];
    assert!(
        text.contains(checkpoint[2]) && text.contains("in use"),
        "{text}"
    );
    ids.extend(tail.kill().ids());
    assert_eq!(ids, server.event_ids(TOKEN));
}

#[test]
fn x03_torn_checkpoint_is_named_and_left_unchanged() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tail.checkpoint");
    let name = file.to_str().unwrap();
    let checkpoint = ["--json", "--from", "oldest", "--checkpoint", name];
    let counted = [&checkpoint[..], &["--count", "3"]].concat();
    assert_eq!(Tail::of(&server, &counted).end().events.len(), 3);
    let complete = fs::read(&file).unwrap();
    let torn = &complete[..complete.len() / 2];
    fs::write(&file, torn).unwrap();
    let ended = Tail::of(&server, &checkpoint).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains(name), "{ended:?}");
    assert!(ended.events.is_empty(), "the program must not start again");
    assert!(fs::read(&file).unwrap() == torn);
}

#[cfg(unix)]
#[test]
fn ctrl_c_prints_the_position_to_resume_at() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let mut tail = Tail::of(&server, &["--from", "oldest"]);
    tail.read_events(3);
    tail.wait_for_report(|line| line == "listening");
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(ended.position(), Some(&*newest));
    let complete = &ended.reports[ended.reports.len() - 2];
    assert!(complete.starts_with("complete until 20"), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {newest}"));
}

#[cfg(unix)]
#[test]
fn program_ends_on_ctrl_c_while_its_output_is_unread() {
    let server = EmulatorServer::start();
    let from = server.emulator().newest_position(TOKEN);
    // These events are more than a pipe holds.
    server.append(TOKEN, 500);
    let tail = Tail::unread(&server, &["--json", "--from", &from]);
    assert!(
        server.wait_until(PATIENCE, |emulator| emulator.counters().events_served
            == 500)
    );
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert_eq!(*last, format!("resume with --from {from}"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_prints_no_position_when_there_is_none() {
    let server = EmulatorServer::start();
    server.queue_fault(Endpoint::Events, Fault::Silence, 1);
    let tail = Tail::of(&server, &[]);
    assert!(server.wait_until(PATIENCE, |emulator| emulator.requests().next().is_some()));
    let ended = tail.interrupt();
    assert_eq!(ended.code, Some(130), "{ended:?}");
    assert!(!ended.reports.join("\n").contains("--from"), "{ended:?}");
}

#[test]
fn rejected_token_ends_the_program_and_is_not_printed() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 2);
    let mut tail = Tail::of(&server, &["--from", "oldest"]);
    tail.read_events(2);
    let here = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == format!("position {here}"));
    server.revoke(TOKEN);
    server.append(TOKEN, 1);
    let ended = tail.end();
    assert_eq!(ended.code, Some(77), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.starts_with("error: ") && last.contains("get a new one"),
        "{last}"
    );
    assert!(
        last.ends_with(&format!("resume with --from {here}")),
        "{last}"
    );
    assert_eq!(
        ended
            .reports
            .iter()
            .filter(|line| line.contains("error"))
            .count(),
        1
    );
    let everything = format!("{ended:?}");
    assert!(!everything.contains(TOKEN), "{everything}");
}

#[test]
fn rejected_position_is_reported_with_a_remedy() {
    let server = EmulatorServer::start();
    let ended = Tail::of(&server, &["--from", "nowhere"]).end();
    assert_eq!(ended.code, Some(65), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains("--from oldest") && last.contains("--from now"),
        "{last}"
    );
    assert!(last.contains("gap"), "{last}");
}

#[test]
fn position_stays_before_a_batch_that_count_cuts() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 3);
    let mut tail = Tail::of(&server, &["--json", "--from", "oldest", "--count", "5"]);
    tail.read_events(3);
    let here = server.emulator().newest_position(TOKEN);
    tail.wait_for_report(|line| line == "listening");
    server.append(TOKEN, 4);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), server.event_ids(TOKEN)[..5]);
    assert_eq!(ended.position(), Some(&*here));
}

#[test]
fn position_is_printed_when_count_ends_with_a_batch() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 4);
    let all = ["--json", "--from", "oldest", "--count", "4"];
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(Tail::of(&server, &all).end().position(), Some(&*newest));
}

#[test]
fn repeated_runs_with_count_reach_all_events() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 9);
    let mut from = "oldest".to_owned();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let ended = Tail::of(&server, &["--json", "--from", &from, "--count", "3"]).end();
        ids.extend(ended.ids());
        from = ended.position().unwrap().to_owned();
    }
    assert_eq!(ids, server.event_ids(TOKEN));
}

#[test]
fn every_compiled_backend_follows() {
    for backend in BACKENDS {
        for client in CLIENTS {
            assert_follows(&[&["--backend", backend], *client].concat());
        }
    }
}

#[track_caller]
fn assert_follows(arguments: &[&str]) {
    println!("{arguments:?}");
    let server = EmulatorServer::start();
    server.append(TOKEN, 2);
    let all = ["--json", "--from", "oldest", "--count", "5"];
    let mut tail = Tail::of(&server, &[&all, arguments].concat());
    tail.read_events(2);
    tail.wait_for_report(|line| line == "listening");
    server.append(TOKEN, 3);
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.ids(), server.event_ids(TOKEN));
    let newest = server.emulator().newest_position(TOKEN);
    assert_eq!(ended.position(), Some(&*newest));
}

#[test]
fn unknown_backend_is_refused_with_a_list_of_backends() {
    let ended = Tail::start(&["--backend", "carrier-pigeon"]).end();
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let text = ended.reports.join("\n");
    assert!(BACKENDS.iter().all(|name| text.contains(name)), "{text}");
}

#[test]
fn position_of_now_is_printed_before_any_event() {
    let server = EmulatorServer::start();
    server.append(TOKEN, 7);
    let here = server.emulator().newest_position(TOKEN);
    let mut tail = Tail::of(&server, &[]);
    tail.wait_for_report(|line| line == format!("position {here}"));
    assert!(tail.kill().events.is_empty());
}

#[test]
fn server_text_cannot_control_the_terminal() {
    let server = EmulatorServer::start();
    let hostile = r"\u001b]0;owned\u0007\u009b31m\n\r\u202e\u007f";
    let event = format!(
        r#"{{"event_id":"e{hostile}","event_type":"T{hostile}","created_by":{{"name":"N{hostile}"}},"source":{{"type":"S{hostile}","name":"F{hostile}"}}}}"#
    );
    server.append_json(TOKEN, [event]);
    let ended = Tail::of(&server, &["--from", "oldest", "--count", "1"]).end();
    let [line] = &ended.events[..] else {
        panic!("{ended:?}")
    };
    assert!(
        !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{line:?}"
    );
    assert!(
        line.contains(r"owned\u{7}\u{9b}31m\n\r\u{202e}\u{7f}"),
        "{line}"
    );
}

#[test]
fn event_is_a_line_without_color_in_a_pipe() {
    let server = EmulatorServer::start();
    server.append_json(
        TOKEN,
        [
            r#"{"event_id":"1","event_type":"ITEM_UPLOAD","created_at":"2026-01-02T03:04:05-08:00","created_by":{"name":"Zoë O'Hara"},"source":{"type":"file","name":"画像.pdf"}}"#,
            r#"{"event_id":"2","event_type":"ITEM_TRASH","created_by":{"id":"2"},"source":{"type":"comment","id":"17"}}"#,
            "{}",
        ],
    );
    let ended = Tail::of(&server, &["--from", "oldest", "--count", "3"]).end();
    assert_eq!(
        ended.events,
        [
            r#"2026-01-02T03:04:05-08:00  ITEM_UPLOAD  Zoë O'Hara  file "画像.pdf""#,
            "-  ITEM_TRASH  somebody  comment 17",
            "-  -  -  -",
        ]
    );
}

#[test]
fn filters_select_the_events_to_show() {
    let server = EmulatorServer::start();
    let event = |(n, (kind, user, parent)): (usize, (&str, u32, u32))| {
        format!(
            r#"{{"event_id":"{n}","event_type":"{kind}","created_by":{{"id":"{user}"}},"source":{{"type":"file","id":"{n}0","parent":{{"id":"{parent}"}}}}}}"#
        )
    };
    let events = [
        ("ITEM_UPLOAD", 1, 7),
        ("ITEM_UPLOAD", 2, 7),
        ("ITEM_TRASH", 1, 7),
        ("ITEM_MOVE", 1, 8),
        ("ITEM_UPLOAD", 3, 9),
    ];
    server.append_json(TOKEN, events.into_iter().enumerate().map(event));
    let end = server.emulator().newest_position(TOKEN);
    for (filter, shown) in [
        (&["--type", "ITEM_UPLOAD"][..], &["0", "1", "4"][..]),
        (
            &["--type", "ITEM_TRASH", "--type", "ITEM_MOVE"],
            &["2", "3"],
        ),
        (&["--user", "2"], &["1"]),
        (&["--item", "30"], &["3"]),
        (&["--folder", "7", "--folder", "8"], &["0", "1", "2", "3"]),
        (&["--folder", "7", "--user", "1"], &["0", "2"]),
        (&["--user", "4"], &[]),
    ] {
        for client in CLIENTS {
            let arguments = [&["--json", "--from", "oldest"], filter, client].concat();
            let mut tail = Tail::of(&server, &arguments);
            tail.wait_for_report(|line| line == format!("position {end}"));
            assert_eq!(tail.kill().ids(), shown, "{arguments:?}");
        }
    }
}

#[test]
fn failure_and_its_end_are_printed_once() {
    let server = EmulatorServer::start();
    let broken = Fault::Status {
        status: 502,
        headers: [].into(),
        body: String::new(),
    };
    server.queue_fault(Endpoint::Events, broken, 3);
    let mut tail = Tail::of(&server, &[]);
    tail.wait_for_report(|line| line == "listening");
    let ended = tail.kill();
    let [failure, position, listening] = &ended.reports[..] else {
        panic!("{ended:?}")
    };
    assert!(
        failure.starts_with("retrying: ") && failure.contains("502"),
        "{failure}"
    );
    assert!(position.starts_with("position "), "{position}");
    assert_eq!(listening, "listening");
}

#[test]
fn lasting_failure_is_printed_again_with_the_next_try() {
    let server = EmulatorServer::start();
    let broken = Fault::Status {
        status: 502,
        headers: [].into(),
        body: String::new(),
    };
    server.queue_fault(Endpoint::Events, broken, 1_000);
    let mut tail = Tail::of(&server, &[]);
    for _ in 0..2 {
        tail.wait_for_report(|line| line.starts_with("retrying: "));
    }
    let ended = tail.kill();
    assert_eq!(ended.reports.len(), 2, "printed too often: {ended:?}");
    let tries = ended.reports.iter().map(|line| {
        let (_, time) = line.split_once("; next try at ").expect("it has a time");
        time.parse::<Timestamp>().expect("a time")
    });
    assert!(tries.is_sorted(), "{ended:?}");
    let requests = server.counters().events.requests;
    assert!(requests > 2, "{requests}");
}

#[test]
fn program_ends_quietly_when_the_pipe_closes() {
    let server = EmulatorServer::start_with(Settings {
        rate: 20.0,
        ..Settings::default()
    });
    server.append(TOKEN, 1);
    let mut tail = Tail::unread(&server, &["--from", "oldest"]);
    drop(tail.child.stdout.take());
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let quiet = |line: &String| line == "listening" || line.starts_with("position ");
    assert!(ended.reports.iter().all(quiet), "{ended:?}");
}

#[test]
fn program_ends_quietly_after_one_line_of_many_pages() {
    for format in [&["--json"][..], &["--format", "ocsf"]] {
        let server = EmulatorServer::start();
        // More than a pipe holds.
        server.append(TOKEN, 2_000);
        let mut tail = Tail::unread(&server, &[&["--from", "oldest"], format].concat());
        let mut first = String::new();
        let mut pipe = BufReader::new(tail.child.stdout.take().unwrap());
        pipe.read_line(&mut first).unwrap();
        drop(pipe);
        assert!(first.contains(&server.event_ids(TOKEN)[0]), "{first}");
        let ended = tail.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let quiet = |line: &String| line == "listening" || line.starts_with("position ");
        assert!(ended.reports.iter().all(quiet), "{ended:?}");
    }
}

#[test]
fn invalid_argument_is_refused_with_its_name() {
    let too_long = "9".repeat(16 * 1024 + 1);
    for (arguments, expected) in [
        (&["--count", "0"][..], "--count"),
        (&["--from", &too_long], "not a stream position"),
        (&["--from", ""], "not a stream position"),
        (&["--stream-type", "admin_logs"], "--stream-type"),
        (&["--user", ""], "--user"),
        (&["--api", "http://127.0.0.1:9"], "BOX_ACCESS_TOKEN"),
        (&["--token", "two words"], "--token: not an access token"),
        (&["--token", ""], "--token: not an access token"),
    ] {
        let ended = Tail::start(arguments).end();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        let first = &ended.reports[0];
        assert!(
            first.starts_with("error: ") && first.contains(expected),
            "{first}"
        );
        assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
    }
}

#[test]
fn invalid_account_is_refused_with_its_argument() {
    for (arguments, expected) in [
        (
            ["--api", "http://box.example"],
            r#"--api "http://box.example": the API origin"#,
        ),
        (
            ["--api", "https://me:two words@box.example"],
            r#"--api "…@box.example": the API origin"#,
        ),
        (["--as-user", "1\n7"], r#"--as-user "1\n7": the id"#),
    ] {
        let ended = Tail::start_with(&[("BOX_ACCESS_TOKEN", TOKEN)], &arguments).end();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        let first = &ended.reports[0];
        assert!(
            first.starts_with("error: ") && first.contains(expected),
            "{first}"
        );
        assert!(!format!("{ended:?}").contains("two words"), "{ended:?}");
    }
}

#[test]
fn loopback_servers_are_trusted_only_with_a_loopback_api() {
    for api in ["http://127.0.0.1:1", "https://localhost", "http://[::1]:1/"] {
        let hosts = realtime_hosts::realtime_hosts(Some(api));
        assert_eq!(hosts, RealtimeHosts::default().allow_loopback(), "{api}");
    }
    for api in [
        None,
        Some("https://api.box.com"),
        Some("https://localhost.example.com"),
        Some("https://127.0.0.1.example.com"),
        Some("localhost"),
    ] {
        let hosts = realtime_hosts::realtime_hosts(api);
        assert_eq!(hosts, RealtimeHosts::default(), "{api:?}");
    }
}
