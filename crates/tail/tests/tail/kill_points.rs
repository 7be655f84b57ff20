//! A program that is killed at each step of a save.

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

/// Which checkpoint a killed program leaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Leaves {
    TheOneBefore,
    TheOneAfter,
}
use Leaves::{TheOneAfter, TheOneBefore};

/// A life's. Their ids take more than those 4,096 bytes.
const EVENTS: usize = 200;

#[rstest]
#[case::before_a_leftover_is_removed("unlink", 1, FREELY, TheOneBefore)]
#[case::before_the_new_file_is_created("openat", 1, FREELY, TheOneBefore)]
#[case::the_new_file_is_empty("write", 1, FREELY, TheOneBefore)]
#[case::the_new_file_is_half_written("write", 2, IN_PARTS, TheOneBefore)]
#[case::the_new_file_is_written("fsync", 1, FREELY, TheOneBefore)]
#[case::the_new_file_is_synced("close", 1, FREELY, TheOneBefore)]
#[case::before_the_rename("rename", 1, FREELY, TheOneBefore)]
#[case::after_the_rename("openat", 2, FREELY, TheOneAfter)]
#[case::before_the_directory_is_synced("fsync", 2, FREELY, TheOneAfter)]
#[case::the_directory_is_synced("close", 2, FREELY, TheOneAfter)]
#[ignore = "wants strace and the right to trace: .ci/run has them"]
fn x01_killed_at_each_step_of_a_save_it_goes_on_from_a_whole_checkpoint(
    #[case] call: &str,
    #[case] nth: usize,
    #[case] run: &str,
    #[case] leaves: Leaves,
) {
    let world = World::new();
    let mut written = Written::default();
    world.server.append(TOKEN, EVENTS);
    written.add(&world.live());
    for _ in 0..2 {
        let before = world.kept();
        world.server.append(TOKEN, EVENTS);
        written.add(&world.die(call, nth, run));
        let expected = match leaves {
            TheOneBefore => before,
            TheOneAfter => world.newest(),
        };
        assert_eq!(world.kept(), expected);
        let known = ["checkpoint", "checkpoint.lock", "checkpoint.new"];
        let names = world.names();
        assert!(
            names.iter().all(|name| known.contains(&&**name)),
            "{names:?}"
        );
    }
    written.add(&world.live());
    assert_eq!(world.names(), ["checkpoint", "checkpoint.lock"]);
    assert!(written.first_seen == world.server.event_ids(TOKEN));
    // Each of the last two lives begins where the first of the three was killed.
    let again = match leaves {
        TheOneBefore => 3 * EVENTS,
        TheOneAfter => 0,
    };
    assert_eq!(written.repeats, again);
}

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

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn newest(&self) -> String {
        self.server.emulator().newest_position(TOKEN)
    }

    /// Where the file says to go on. It is there, and whole.
    #[track_caller]
    fn kept(&self) -> String {
        let store = CheckpointFile::open(self.file()).unwrap();
        let kept = block_on(store.load("tail")).unwrap().unwrap();
        kept.resume_at().to_string()
    }

    #[track_caller]
    fn start(&self, runner: &[&OsStr]) -> Tail {
        let file = self.file();
        let checkpoint = ["--checkpoint", file.to_str().unwrap()];
        let arguments = [&["--json", "--from", "oldest"], &checkpoint[..]].concat();
        Tail::run_by(runner, &self.server, &arguments)
    }

    /// A life that writes and acknowledges all there is, and is killed then.
    #[track_caller]
    fn live(&self) -> Ended {
        let mut tail = self.start(&[]);
        let newest = self.newest();
        tail.wait_for_report(|line| line == format!("position {newest}"));
        tail.kill()
    }

    /// A life that is killed in its first save, at the so many'th call of that name.
    #[track_caller]
    fn die(&self, call: &str, nth: usize, run: &str) -> Ended {
        let new = self.file().with_extension("new");
        let killer = Killer::at(call, nth, &[&new, self.directory.path()]);
        killer.assert_killed(self.start(&killer.runner(run)))
    }
}
