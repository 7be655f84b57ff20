//! Tests of a checkpoint that can't be saved for a while.

use std::fs;
use std::path::PathBuf;

use box_longpoll_testkit::EmulatorServer;
use tempfile::TempDir;

use crate::program::{TOKEN, Tail};

/// An emulator, and a checkpoint in a directory that can be moved away.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self {
            server: EmulatorServer::start(),
            directory: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(world.place()).unwrap();
        world
    }

    fn place(&self) -> PathBuf {
        self.directory.path().join("place")
    }

    fn checkpoint(&self) -> PathBuf {
        self.place().join("box.checkpoint")
    }

    /// Starts the program, which delivers one event and saves the position after it.
    fn start(&self, arguments: &[&str]) -> Tail {
        let checkpoint = self.checkpoint();
        let fixed = ["--json", "--from", "oldest", "--checkpoint"];
        let fixed = [&fixed[..], &[checkpoint.to_str().unwrap()]].concat();
        self.server.append(TOKEN, 1);
        let arguments = [&fixed[..], arguments].concat();
        let mut tail = Tail::of(&self.server, &arguments);
        tail.read_events(1);
        tail
    }

    fn wait_until_saved(&self, tail: &mut Tail) {
        let newest = self.server.emulator().newest_position(TOKEN);
        tail.wait_for_report(|line| line == format!("position {newest}"));
    }

    fn move_away(&self) {
        fs::rename(self.place(), self.directory.path().join("moved")).unwrap();
    }

    fn move_back(&self) {
        fs::rename(self.directory.path().join("moved"), self.place()).unwrap();
    }
}

#[test]
fn checkpoint_is_saved_later_if_it_cannot_be_saved_now() {
    let world = World::new();
    let mut tail = world.start(&[]);
    world.wait_until_saved(&mut tail);
    world.move_away();
    world.server.append(TOKEN, 1);
    tail.wait_for_report(|line| line.starts_with("keeping 1 batches that are not durable"));
    // The next events do not wait for the checkpoint.
    world.server.append(TOKEN, 1);
    tail.read_events(2);
    world.move_back();
    world.wait_until_saved(&mut tail);
    let ids = tail.kill().ids();
    let next = world.start(&["--count", "1"]).end().ids();
    assert_eq!([ids, next].concat(), world.server.event_ids(TOKEN));
}

#[test]
fn count_that_ends_without_a_saved_position_is_a_failure() {
    let world = World::new();
    let mut tail = world.start(&["--count", "2"]);
    world.wait_until_saved(&mut tail);
    world.move_away();
    world.server.append(TOKEN, 1);
    let ended = tail.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.events.len(), 2, "{ended:?}");
    let last = ended.reports.last().unwrap();
    assert!(
        last.contains(world.checkpoint().to_str().unwrap()),
        "{last}"
    );
}
