//! Tests in which the program is killed at each step of saving a checkpoint.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use box_longpoll::checkpoint::{CheckpointFile, CheckpointStore as _};
use box_longpoll_testkit::EmulatorServer;
use futures_lite::future::block_on;
use rstest::rstest;
use tempfile::TempDir;

use crate::killer::{FREELY, IN_PARTS, Killer};
use crate::kills::Written;
use crate::program::{Ended, TOKEN, Tail};

/// The checkpoint that a killed program leaves in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    /// The checkpoint from before the interrupted save.
    Previous,
    /// The checkpoint of the interrupted save.
    Next,
}
use Leaves::{Next, Previous};

/// The number of events in each run. Their ids take more than the 4,096 bytes of [`IN_PARTS`].
const EVENTS: usize = 200;

#[rstest]
#[case::before_a_leftover_is_removed("unlink", 1, FREELY, Previous)]
#[case::before_the_new_file_is_created("openat", 1, FREELY, Previous)]
#[case::the_new_file_is_empty("write", 1, FREELY, Previous)]
#[case::the_new_file_is_half_written("write", 2, IN_PARTS, Previous)]
#[case::the_new_file_is_written("fsync", 1, FREELY, Previous)]
#[case::the_new_file_is_synced("close", 1, FREELY, Previous)]
#[case::before_the_rename("rename", 1, FREELY, Previous)]
#[case::after_the_rename("openat", 2, FREELY, Next)]
#[case::before_the_directory_is_synced("fsync", 2, FREELY, Next)]
#[case::the_directory_is_synced("close", 2, FREELY, Next)]
#[ignore = "needs strace and the right to trace: .ci/run has them"]
fn x01_kill_at_each_step_of_a_save_keeps_a_valid_checkpoint(
    #[case] call: &str,
    #[case] nth: usize,
    #[case] run: &str,
    #[case] leaves: Leaves,
) {
    let world = World::new();
    let mut written = Written::default();
    world.server.append(TOKEN, EVENTS);
    written.add(&world.run_to_the_end());
    for _ in 0..2 {
        let before = world.saved_position();
        world.server.append(TOKEN, EVENTS);
        written.add(&world.run_and_kill(call, nth, run));
        let expected = match leaves {
            Previous => before,
            Next => world.newest(),
        };
        assert_eq!(world.saved_position(), expected);
        let expected_names = ["checkpoint", "checkpoint.lock", "checkpoint.new"];
        let names = world.names();
        assert!(
            names.iter().all(|name| expected_names.contains(&&**name)),
            "{names:?}"
        );
    }
    written.add(&world.run_to_the_end());
    assert_eq!(world.names(), ["checkpoint", "checkpoint.lock"]);
    assert!(written.first_seen == world.server.event_ids(TOKEN));
    // If the saves were lost, the second killed run and the last run began where the first killed
    // run had begun.
    let again = match leaves {
        Previous => 3 * EVENTS,
        Next => 0,
    };
    assert_eq!(written.repeats, again);
}

/// An emulator, and a directory for the checkpoint.
struct World {
    server: EmulatorServer,
    directory: TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            server: EmulatorServer::start(),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("checkpoint")
    }

    /// Returns the names of the files in the directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Returns the newest position of the account.
    fn newest(&self) -> String {
        self.server.emulator().newest_position(TOKEN)
    }

    /// Returns the position in the file, which must exist and be complete.
    #[track_caller]
    fn saved_position(&self) -> String {
        let store = CheckpointFile::open(self.file()).unwrap();
        let checkpoint = block_on(store.load("tail")).unwrap().unwrap();
        checkpoint.resume_at().to_string()
    }

    #[track_caller]
    fn start(&self, runner: &[&OsStr]) -> Tail {
        let file = self.file();
        let checkpoint = ["--checkpoint", file.to_str().unwrap()];
        let arguments = [&["--json", "--from", "oldest"], &checkpoint[..]].concat();
        Tail::run_by(runner, &self.server, &arguments)
    }

    /// Runs the program until it has written and acknowledged all events, and kills it.
    #[track_caller]
    fn run_to_the_end(&self) -> Ended {
        let mut tail = self.start(&[]);
        let newest = self.newest();
        tail.wait_for_report(|line| line == format!("position {newest}"));
        tail.kill()
    }

    /// Runs the program, which is killed in its first save, at the `nth` system call with that
    /// name.
    #[track_caller]
    fn run_and_kill(&self, call: &str, nth: usize, run: &str) -> Ended {
        let new = self.file().with_extension("new");
        let killer = Killer::at(call, nth, &[&new, self.directory.path()]);
        killer.assert_killed(self.start(&killer.runner(run)))
    }
}
