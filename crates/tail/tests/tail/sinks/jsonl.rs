//! Tests of files of lines: their text, their locks and their names.

use std::fs;

use box_longpoll_testkit::EmulatorServer;

use super::{World, jsonl, text};
use crate::program::{TOKEN, Tail};

#[test]
fn file_has_the_exact_json_of_each_event() {
    let world = World::new();
    world.server.append(TOKEN, 3);
    let strange = ["{\n  \"event_id\": \"lines\" }", "null", r#"["é 画像"]"#];
    world.server.append_json(TOKEN, strange);
    let file = world.path("events.jsonl");
    world.run(0, &jsonl(&file), &["--from", "oldest", "--count", "6"]);
    let log = world.server.emulator().events(TOKEN);
    let lines: String = log
        .iter()
        .map(|event| event.replace('\n', " ") + "\n")
        .collect();
    assert_eq!(text(&file), lines);
}

#[test]
fn next_run_appends_to_the_file() {
    let world = World::new();
    let checkpoint = world.path("checkpoint");
    let arguments = [
        "--checkpoint",
        checkpoint.to_str().unwrap(),
        "--from",
        "oldest",
    ];
    for (name, options) in [("events.jsonl", &[][..]), ("more.jsonl.gz", &["--gzip"])] {
        let file = world.path(name);
        for _ in 0..3 {
            world.server.append(TOKEN, 4);
            let mut tail = world.start(&jsonl(&file), &[&arguments, options].concat());
            world.wait_for_all(&mut tail);
            tail.kill();
        }
    }
    let ids = ["events.jsonl", "more.jsonl.gz"].map(|name| super::ids(&world.path(name)));
    assert_eq!(ids.concat(), world.server.event_ids(TOKEN));
}

#[test]
fn file_in_use_is_refused_to_a_second_program() {
    let world = World::new();
    let file = world.path("events.jsonl");
    let mut tail = world.start(&jsonl(&file), &[]);
    tail.wait_for_report(|line| line == "listening");
    let mut paths = vec![file.clone()];
    #[cfg(unix)]
    {
        let link = world.path("link.jsonl");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        paths.push(link);
    }
    for path in paths {
        let ended = world.run(1, &jsonl(&path), &[]);
        let last = ended.reports.last().unwrap();
        assert!(
            last.contains("in use") && last.contains(path.to_str().unwrap()),
            "{last}"
        );
    }
    tail.kill();
    world.append("1");
    world.run(0, &jsonl(&file), &["--from", "oldest", "--count", "1"]);
}

#[cfg(unix)]
#[test]
fn pipe_and_directory_are_refused() {
    let world = World::new();
    let pipe = world.path("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    for path in [&*pipe, world.directory.path(), "/dev/stdout".as_ref()] {
        for place in ["jsonl", "sqlite"] {
            let ended = world.run(1, &format!("{place}:{}", path.display()), &[]);
            let last = ended.reports.last().unwrap();
            assert!(last.contains("it is not a regular file"), "{last}");
        }
    }
}

#[test]
fn file_in_a_directory_that_does_not_exist_is_refused() {
    let world = World::new();
    let file = world.path("missing").join("events.jsonl");
    for place in ["jsonl", "sqlite"] {
        let ended = world.run(1, &format!("{place}:{}", file.display()), &[]);
        let last = ended.reports.last().unwrap();
        assert!(last.contains(file.to_str().unwrap()), "{last}");
    }
}

#[test]
fn wrong_place_is_refused_with_a_reason() {
    let server = EmulatorServer::start();
    let directory = tempfile::tempdir().unwrap();
    let path = |place: &str| format!("{place}:{}", directory.path().join("x").display());
    let (jsonl, sqlite) = (path("jsonl"), path("sqlite"));
    let compressed = format!("{jsonl}.gz");
    for (arguments, expected) in [
        (&["--to", "events.jsonl"][..], "jsonl:FILE"),
        (&["--to", "jsonl:"], "jsonl:FILE"),
        (&["--to", "sqlite:"], "sqlite:FILE"),
        (&["--to", &compressed], "add --gzip"),
        (&["--gzip"], "need --to jsonl:FILE"),
        (
            &["--to", &sqlite, "--rotate-size", "1MB"],
            "need --to jsonl:FILE",
        ),
        (&["--to", &jsonl, "--rotate-size", "1 furlong"], "100MB"),
        (&["--to", &jsonl, "--rotate-size", "0"], "100MB"),
        (&["--to", &jsonl, "--rotate-every", "0h"], "1h or 1d"),
        (&["--to", &jsonl, "--rotate-every", "daily"], "1h or 1d"),
        (&["--to", &sqlite, "--checkpoint", "x"], "--checkpoint"),
    ] {
        let ended = Tail::of(&server, arguments).end_without_events();
        assert_eq!(ended.code, Some(2), "{arguments:?} {ended:?}");
        assert!(ended.reports.concat().contains(expected), "{ended:?}");
    }
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
}
