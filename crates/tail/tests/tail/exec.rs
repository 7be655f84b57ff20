//! Tests of `follow --exec COMMAND`, with scripts of the shell.

use std::fs;
use std::path::{Path, PathBuf};

use box_longpoll_testkit::EmulatorServer;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{TOKEN, Tail};
use crate::sinks::kills::{Guarantee, KillableSink, events, kills, survives_kills};

/// A directory for the files that commands write.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn with_events(count: usize) -> Self {
        let server = EmulatorServer::start();
        server.append(TOKEN, count);
        let directory = tempfile::tempdir().unwrap();
        Self { server, directory }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the program with a command, in which `$D` stands for the directory.
    fn start(&self, command: &str, arguments: &[&str]) -> Tail {
        let directory = self.directory.path().to_str().unwrap();
        let command = format!("D={directory}; {command}");
        let exec = ["--from", "oldest", "--exec", &command];
        Tail::of(&self.server, &[&exec, arguments].concat())
    }
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn command_gets_each_event_in_order() {
    let world = World::with_events(5);
    let command =
        r#"cat >> $D/events; echo "$BOX_EVENT_ID $BOX_EVENT_TYPE" >> $D/names; echo shown"#;
    let ended = world.start(command, &["--count", "5"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = world.server.emulator().events(TOKEN);
    assert_eq!(
        lines(&world.file("events")),
        log.iter().map(|event| &**event).collect::<Vec<_>>()
    );
    let name = |event: &std::sync::Arc<str>| {
        let event: Value = serde_json::from_str(event).unwrap();
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        format!("{} {}", text("event_id"), text("event_type"))
    };
    assert_eq!(
        lines(&world.file("names")),
        log.iter().map(name).collect::<Vec<_>>()
    );
    assert_eq!(ended.events, ["shown"; 5]);
}

#[test]
fn command_gets_the_event_in_the_format_that_was_chosen() {
    let world = World::with_events(2);
    let format = ["--format", "{event_id} {event_type}"];
    let ended = world
        .start("cat", &[&format[..], &["--count", "2"]].concat())
        .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = world.server.event_ids(TOKEN);
    for (line, id) in ended.events.iter().zip(log) {
        assert!(line.starts_with(&format!("{id} ")), "{line}");
    }
}

#[test]
fn command_gets_no_secret_and_only_fields_of_its_event() {
    let server = EmulatorServer::start();
    let events = [
        r#"{"event_id":"1","created_at":"2026-01-02T03:04:05-08:00"}"#,
        r#"{"event_id":"a\u0000b","event_type":"T"}"#,
    ];
    server.append_json(TOKEN, events);
    let environment = [
        ("BOX_ACCESS_TOKEN", TOKEN),
        ("BOX_CLIENT_SECRET", "hidden-1"),
        ("BOX_TAIL_WEBHOOK_SECRET", "hidden-2"),
        ("BOX_CREATED_AT", "of another program"),
        ("HARMLESS", "stays"),
    ];
    let arguments = [
        "--api",
        server.origin(),
        "--from",
        "oldest",
        "--count",
        "2",
        "--exec",
    ];
    let command = "env | grep -E '^(BOX|HARMLESS|.*(hidden|nobody))' | sort; echo";
    let ended = Tail::start_with(&environment, &[&arguments[..], &[command]].concat()).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = [
        "BOX_CREATED_AT=2026-01-02T11:04:05Z",
        "BOX_EVENT_ID=1",
        "HARMLESS=stays",
        "",
        "BOX_EVENT_TYPE=T",
        "HARMLESS=stays",
        "",
    ];
    assert_eq!(ended.events, expected);
}

/// Linux starts no program with a variable of 128 KiB.
#[test]
fn value_that_is_too_long_for_a_variable_is_left_out() {
    let server = EmulatorServer::start();
    let long = "x".repeat(200 * 1024);
    server.append_json(
        TOKEN,
        [format!(r#"{{"event_id":"1","event_type":"{long}"}}"#)],
    );
    let command = "echo id $BOX_EVENT_ID, type ${BOX_EVENT_TYPE-none}; wc -c";
    let arguments = ["--from", "oldest", "--count", "1", "--exec", command];
    let mut tail = Tail::of(&server, &arguments);
    assert_eq!(tail.read_event(), "id 1, type none");
    let ended = tail.end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let length: usize = ended.events[1].trim().parse().unwrap();
    assert!(length > long.len(), "the event itself is complete");
}

#[test]
fn failed_command_runs_again_before_the_next_event() {
    let world = World::with_events(3);
    // The second event fails twice: by its exit code, and by a signal.
    let command = "echo $BOX_EVENT_ID >> $D/runs; \
        case $(wc -l < $D/runs) in 2) exit 3;; 3) kill -9 $$;; esac";
    let ended = world.start(command, &["--count", "3"]).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = world.server.event_ids(TOKEN);
    let expected = [&log[0], &log[1], &log[1], &log[1], &log[2]];
    assert_eq!(
        lines(&world.file("runs")).iter().collect::<Vec<_>>(),
        expected
    );
    let text = ended.reports.join("\n");
    assert!(
        text.contains("the command failed: exit status: 3"),
        "{text}"
    );
    assert!(text.contains("the command failed: signal: 9"), "{text}");
}

#[test]
fn policy_stop_ends_the_program_after_a_failed_command() {
    let world = World::with_events(2);
    let command = "echo $BOX_EVENT_ID >> $D/runs; exit 3";
    let ended = world.start(command, &["--on-error", "stop"]).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains("exit status: 3") && last.ends_with("resume with --from oldest"),
        "{last}"
    );
    assert_eq!(lines(&world.file("runs")).len(), 1);
}

#[test]
fn only_events_that_a_command_refuses_become_dead_letters() {
    let world = World::with_events(3);
    let log = world.server.event_ids(TOKEN);
    let letters = world.file("letters");
    // The first event fails four times because the command cannot work, the second one always.
    let command = format!(
        "echo $BOX_EVENT_ID >> $D/runs; \
        case $(wc -l < $D/runs) in 1) exit 75;; 2) exit 126;; 3) no-such-command; exit;; 4) exit 75;; esac; \
        test $BOX_EVENT_ID != {}",
        log[1]
    );
    let policy = format!("dead-letter:{}", letters.to_str().unwrap());
    let ended = world
        .start(&command, &["--on-error", &policy, "--count", "3"])
        .end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let runs = lines(&world.file("runs"));
    let first = std::iter::repeat_n(&log[0], 5);
    let second = std::iter::repeat_n(&log[1], 3);
    let expected: Vec<_> = first.chain(second).chain([&log[2]]).collect();
    assert_eq!(runs.iter().collect::<Vec<_>>(), expected);
    let [letter] = &lines(&letters)[..] else {
        panic!("{ended:?}")
    };
    let letter: Value = serde_json::from_str(letter).unwrap();
    assert_eq!(letter["event"]["event_id"], *log[1]);
    assert_eq!(letter["error"], "the command failed: exit status: 1");
}

#[test]
fn command_need_not_read_the_event() {
    let server = EmulatorServer::start();
    let padding = "x".repeat(1_000_000);
    server.append_json(
        TOKEN,
        [format!(r#"{{"event_id":"1","padding":"{padding}"}}"#)],
    );
    for (command, shown) in [
        ("true", &[][..]),
        ("wc -c", &["1000030"]),
        ("head -c 3", &[]),
    ] {
        let arguments = ["--from", "oldest", "--count", "1", "--exec", command];
        let ended = Tail::of(&server, &arguments).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.events, shown, "{command}");
    }
}

#[test]
fn slow_command_ends_with_the_processes_that_it_started() {
    let world = World::with_events(1);
    // The test reads standard output to its end, which every process keeps open.
    let command = "if mkdir $D/first; then sleep 1000 & sleep 1000; fi";
    let arguments = ["--count", "1", "--delivery-timeout", "1s"];
    let ended = world.start(command, &arguments).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let text = ended.reports.join("\n");
    assert!(text.contains("the command did not end within 1s"), "{text}");
}

#[test]
fn signal_ends_a_command_with_the_processes_that_it_started() {
    let world = World::with_events(1);
    let command = "sleep 1000 & echo started; sleep 1000; true";
    for (signal, code) in [("INT", 130), ("TERM", 0)] {
        let mut tail = world.start(command, &[]);
        tail.wait_for_event(|line| line == "started");
        tail.signal(signal);
        // The end of standard output is the end of every process that has it.
        let ended = tail.end();
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert_eq!(ended.reports.last().unwrap(), "resume with --from oldest");
    }
}

/// A command that appends each event to a file, and a checkpoint.
struct Append {
    directory: TempDir,
}

impl KillableSink for Append {
    fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.directory.path().join(name).display().to_string();
        let command = format!("cat >> {}", path("events"));
        let arguments = ["--exec", &command, "--checkpoint", &path("checkpoint")];
        arguments.map(str::to_owned).to_vec()
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn ids(&mut self) -> Vec<String> {
        let text = fs::read_to_string(self.directory.path().join("events")).unwrap();
        assert!(text.ends_with('\n'), "a torn line");
        let id = |line| {
            let event: Value = serde_json::from_str(line).expect("a line is an event");
            event["event_id"].as_str().unwrap().to_owned()
        };
        text.lines().map(id).collect()
    }
}

#[test]
fn killed_program_loses_no_event_of_a_command() {
    let directory = tempfile::tempdir().unwrap();
    survives_kills(Append { directory }, kills(), events());
}
