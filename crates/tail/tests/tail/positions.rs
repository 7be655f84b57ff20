//! Tests of the command `positions`: showing, setting and exporting a checkpoint.

use std::fs;
use std::path::PathBuf;

use box_longpoll::checkpoint::{Checkpoint, CheckpointFile};
use box_longpoll_testkit::EmulatorServer;
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, TOKEN, Tail};

/// An emulator with four events, and a checkpoint file after two of them.
struct World {
    server: EmulatorServer,
    _directory: TempDir,
    file: PathBuf,
}

impl World {
    fn new() -> Self {
        let server = EmulatorServer::start();
        server.append(TOKEN, 4);
        let directory = tempfile::tempdir().unwrap();
        let world = Self {
            server,
            file: directory.path().join("tail.checkpoint"),
            _directory: directory,
        };
        let ended = world.follow(2);
        assert_eq!(ended.ids(), world.server.event_ids(TOKEN)[..2]);
        world
    }

    /// Follows for as many events, from the checkpoint.
    fn follow(&self, count: usize) -> Ended {
        let count = count.to_string();
        let arguments = ["--json", "--from", "oldest", "--count", &count];
        let checkpoint = ["--checkpoint", self.file.to_str().unwrap()];
        Tail::of(&self.server, &[arguments.as_slice(), &checkpoint].concat()).end()
    }

    /// Runs an action with the file.
    fn positions(&self, action: &str, arguments: &[&str]) -> Ended {
        let file = self.file.to_str().unwrap();
        Tail::start(&[&["positions", action, file], arguments].concat()).end()
    }

    fn checkpoint(&self) -> Checkpoint {
        CheckpointFile::read(&self.file).unwrap().unwrap()
    }
}

#[test]
fn position_is_shown_even_while_it_is_in_use() {
    let world = World::new();
    let checkpoint = ["--checkpoint", world.file.to_str().unwrap()];
    let mut tail = Tail::of(&world.server, &checkpoint);
    tail.wait_for_report(|line| line == "listening");
    let shown = world.positions("show", &[]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.events[0].starts_with("position "), "{shown:?}");
    assert!(
        shown
            .events
            .iter()
            .any(|line| line.ends_with(world.server.origin()))
    );
    let shown = world.positions("show", &["--json"]);
    tail.kill();
    let json: Value = serde_json::from_str(&shown.events[0]).unwrap();
    let newest = world.server.emulator().newest_position(TOKEN);
    assert_eq!(json["position"], *newest);
    assert_eq!(json["stream_type"], "all");
    assert_eq!(json["key"], "tail");
    assert!(json["subject"].is_null());
}

#[test]
fn position_is_set_only_after_a_confirmation() {
    let world = World::new();
    let before = fs::read(&world.file).unwrap();
    let ended = world.positions("set", &["oldest"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("delivered again"), "{ended:?}");
    assert!(ended.reports[1].contains("--yes"), "{ended:?}");
    assert_eq!(fs::read(&world.file).unwrap(), before);

    let ended = world.positions("set", &["oldest", "--yes"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(world.follow(4).ids(), world.server.event_ids(TOKEN));
}

#[test]
fn position_is_not_set_while_a_program_runs() {
    let world = World::new();
    let checkpoint = ["--checkpoint", world.file.to_str().unwrap()];
    let mut tail = Tail::of(&world.server, &checkpoint);
    tail.wait_for_report(|line| line == "listening");
    let ended = world.positions("set", &["oldest", "--yes"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("in use"), "{ended:?}");
    let newest = world.server.emulator().newest_position(TOKEN);
    assert_eq!(world.checkpoint().resume_at().to_string(), newest);
}

#[test]
fn position_that_no_checkpoint_can_have_is_refused() {
    let world = World::new();
    for position in ["now", "since 2026-01-01T00:00:00Z"] {
        let ended = world.positions("set", &[position, "--yes"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.reports[0].starts_with("error: "), "{ended:?}");
    }
    let ended = world.positions("set", &["", "--yes"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[test]
fn exported_checkpoint_can_be_read_by_the_library() {
    let world = World::new();
    let ended = world.positions("export", &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let exported: Checkpoint = serde_json::from_str(&ended.events.concat()).unwrap();
    assert_eq!(exported, world.checkpoint());
}

#[test]
fn checkpoint_file_that_is_missing_or_torn_is_named() {
    let world = World::new();
    let text = fs::read(&world.file).unwrap();
    fs::write(&world.file, &text[..text.len() / 2]).unwrap();
    let torn = world.positions("show", &[]);
    fs::remove_file(&world.file).unwrap();
    let missing = world.positions("export", &[]);
    for ended in [torn, missing] {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.reports[0].contains("tail.checkpoint"), "{ended:?}");
        assert!(ended.events.is_empty(), "{ended:?}");
    }
}

#[test]
fn positions_in_a_database_are_shown_and_exported() {
    let world = World::new();
    let database = format!("sqlite:{}", world.file.with_extension("db").display());
    let nothing = Tail::start(&["positions", "show", &database]).end();
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.reports[0].contains("tail.db"), "{nothing:?}");

    for user in ["17", "18"] {
        world.server.append(user, 2);
        let arguments = ["--from", "oldest", "--count", "2", "--as-user", user];
        let to = ["--to", &database];
        let ended = Tail::of(&world.server, &[arguments.as_slice(), &to].concat()).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }
    let shown = Tail::start(&["positions", "show", &database, "--json"]).end();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let positions = shown.events.iter();
    let positions: Vec<Value> = positions
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (position, user) in positions.iter().zip(["17", "18"]) {
        assert_eq!(position["account"], format!("user:{user}"));
        let newest = world.server.emulator().newest_position(user);
        assert_eq!(position["position"], *newest);
    }

    let export = ["positions", "export", &database];
    let ended = Tail::start(&export).end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.reports[0].contains("user:17, user:18"), "{ended:?}");
    let ended = Tail::start(&[&export[..], &["--account", "user:18"]].concat()).end();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let exported: Checkpoint = serde_json::from_str(&ended.events.concat()).unwrap();
    assert_eq!(exported.resume_at().to_string(), positions[1]["position"]);
}
